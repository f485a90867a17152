"""What people give a demo -> a picture within the limits, or a sentence why not.

Gradio's own way of taking pictures decodes whatever it gets, without a limit, and fetches addresses
without one. So the picture component is told to leave both to this module.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from pvzoo.demo.limits import Limits
from pvzoo.demo.said import sentence
from pvzoo.downloads import download
from pvzoo.errors import ImageError
from pvzoo.images import ImageHandle


@dataclass(frozen=True, eq=False)
class Picture:
    """An encoded picture, small enough, and what it is known by.

    Attributes:
        handle: Opens it.
        digest: SHA-256 of its bytes.
    """

    handle: ImageHandle
    digest: str


def read(path: str, limits: Limits) -> Picture:
    """The picture in a file.

    Raises:
        ImageError: It is no picture, or too large. It names the file without its folders.
    """
    name = Path(path).name
    data = Path(path).read_bytes()
    refuse = partial(_refusal, name)
    if len(data) > limits.max_bytes:
        raise refuse(
            f"has {len(data):,} bytes, more than {limits.max_bytes:,}.", "Make it smaller."
        )
    pixels = _pixels(data)
    if pixels > limits.max_pixels:
        raise refuse(
            f"has {pixels:,} pixels, more than the {limits.max_pixels:,} allowed.",
            "Make it smaller.",
        )
    return Picture(ImageHandle(data, name), hashlib.sha256(data).hexdigest())


def _pixels(data: bytes) -> int:
    """How many pixels a picture says it has, or 0: whoever opens it will say what is wrong."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # this limit is lower than PIL's
            width, height = Image.open(io.BytesIO(data)).size
    except Image.DecompressionBombError as error:
        return int(re.search(r"\d+", str(error))[0])
    except Exception:
        return 0
    return width * height


def _refusal(name: str, what: str, hint: str) -> ImageError:
    return ImageError(f"{name} {what}", hint, source=name)


def fetch(url: str, limits: Limits, folder: str) -> str:
    """Download the picture at a public web address; the path of the file, in `folder`.

    Raises:
        ImageError: It is no address, not public, too large, too slow, or no picture.
    """
    url = url.strip()
    refuse = partial(_refusal, url[:200])
    if not url.lower().startswith(("http://", "https://")):
        raise refuse("is no web address.", "It begins with http:// or https://.")
    data = download(
        url, refuse, max_bytes=limits.max_bytes, seconds=limits.url_seconds, public=True
    )
    name = Path(url.partition("?")[0].rstrip("/")).name[-80:] or "picture"
    path = keep(data, name if Path(name).suffix else f"{name}.png", folder)
    read(path, limits)
    return path


def keep(data: bytes, name: str, folder: str) -> str:
    """Write a file that others may be reading already: at once, under the digest of its bytes.

    (Gradio's own function writes into the file that it is serving to somebody else.)
    """
    home = Path(folder) / hashlib.sha256(data).hexdigest()
    home.mkdir(parents=True, exist_ok=True)
    file = home / name
    try:
        os.utime(file)  # it is as new as its latest user
    except FileNotFoundError:
        with tempfile.NamedTemporaryFile(dir=home, delete=False) as part:
            part.write(data)
        Path(part.name).chmod(0o644)
        Path(part.name).replace(file)
    return str(file)


def component(limits: Limits, **options: Any) -> gr.Image:
    """A `gradio.Image` whose value is the path of a file that nobody has looked into yet.

    The instance is changed, not a subclass made, because for a subclass Gradio writes a ``.pyi``
    file next to the module.
    """
    image = gr.Image(type="filepath", sources=["upload", "webcam", "clipboard"], **options)
    to_cache: Callable[..., Any] = image.async_move_resource_to_block_cache

    async def move(place: str | Path | None) -> str | None:
        """Files stay as they are; addresses, which clients may send too, are fetched by `fetch`."""
        if isinstance(place, str) and place.lower().startswith(("http://", "https://")):
            import anyio

            with sentence():
                place = await anyio.to_thread.run_sync(fetch, place, limits, image.GRADIO_CACHE)
        return await to_cache(place)

    def path_of(payload: Any) -> str | None:
        if payload is None:
            return None
        if payload.url and payload.url.startswith("data:"):
            with sentence():
                handle = ImageHandle.of(payload.url)
                return keep(handle.data, "picture.png", image.GRADIO_CACHE)
        return payload.path

    image.async_move_resource_to_block_cache = move  # type: ignore[method-assign]
    image.preprocess = path_of  # type: ignore[method-assign]
    return image
