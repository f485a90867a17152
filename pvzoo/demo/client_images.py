"""Read the images that clients send to a demo, within the limits.

Only `read` and `fetch` open files or fetch addresses that a client names. `pvzoo.demo.guard` makes
sure of that.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
import tempfile
import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from gradio.utils import get_upload_folder
from gradio_client.utils import strip_invalid_filename_characters
from PIL import Image

from pvzoo.demo.limits import Limits
from pvzoo.errors import ImageError
from pvzoo.inputs.downloads import download
from pvzoo.inputs.encoded import check_tags
from pvzoo.inputs.images import ImageHandle


@dataclass(frozen=True, eq=False)
class ClientImage:
    """An encoded image within the limits.

    Attributes:
        handle: Opens the image. Its data is bytes, and its name is a file name without folders.
        digest: SHA-256 of the bytes.
    """

    handle: ImageHandle
    digest: str


def read(value: Any, limits: Limits) -> ClientImage:
    """The image that a client sent or named.

    Args:
        value: What the client sent: a dict. Its "path" is a web address, or the path of a file that
            Gradio keeps for the app (uploads, examples); or its "url" is a data URI.
        limits: How large the image may be.

    Raises:
        ImageError: It is not an image, is too large, or is not available. The message is the same
            for every path that is not a regular file in Gradio's folder, whatever is there.
    """
    places = [value.get(key) for key in ("path", "url")] if isinstance(value, dict) else []
    place = next(filter(None, places), None)
    if not isinstance(place, str):
        raise _not_here()
    if place[:5].lower() == "data:":
        return _checked(ImageHandle.of(place).data, "image.png", limits)
    if _is_address(place):
        return fetch(place, limits)
    return _checked(*_kept(place, limits), limits)


def fetch(url: str, limits: Limits) -> ClientImage:
    """The image at a public web address.

    Raises:
        ImageError: It is not a web address, or not public; or the download is too large, too slow
            or not an image.
    """
    url = url.strip()
    refuse = partial(_refusal, url[:200])
    if not _is_address(url):
        raise refuse("is not a web address.", "A web address begins with http:// or https://.")
    data = download(
        url, refuse, max_bytes=limits.max_bytes, seconds=limits.url_seconds, public=True
    )
    name = Path(url.partition("?")[0].rstrip("/")).name[-80:] or "image"
    return _checked(data, name if Path(name).suffix else f"{name}.png", limits)


def keep(data: bytes, name: str) -> str:
    """Write a file into a folder named after the digest of its bytes, and return its path.

    Others may be reading the same file, so it is written elsewhere and then moved. (Gradio's own
    function writes into the file while it serves it to somebody else.)
    """
    home = Path(get_upload_folder()) / hashlib.sha256(data).hexdigest()
    home.mkdir(parents=True, exist_ok=True)
    file = home / strip_invalid_filename_characters(name)
    try:
        os.utime(file)  # used again: keep it as long as a new file
    except FileNotFoundError:
        with tempfile.NamedTemporaryFile(dir=home, delete=False) as part:
            part.write(data)
        Path(part.name).chmod(0o644)
        Path(part.name).replace(file)
    return str(file)


def _is_address(text: str) -> bool:
    return text.lower().startswith(("http://", "https://"))


def _kept(path: str, limits: Limits) -> tuple[bytes, str]:
    """The bytes and the name of a file in the folder where Gradio keeps what clients upload.

    Paths outside that folder are not looked at, and links in it are not followed. The file is
    opened only once: the open file is what is checked and read.
    """
    try:
        folder = os.path.abspath(get_upload_folder())
        file = Path(folder).resolve() / Path(os.path.abspath(path)).relative_to(folder)
        if file.resolve() != file:
            raise OSError("the path contains a link")
        stream = open(file, "rb", opener=_open_regular)  # noqa: SIM115 (closed below)
    except (OSError, ValueError, RuntimeError):  # the last two: NUL characters, loops of links
        raise _not_here() from None
    with stream:
        size = os.fstat(stream.fileno()).st_size
        if size > limits.max_bytes:
            raise _too_large(file.name, size, limits)
        return stream.read(size + 1), file.name


def _open_regular(path: str, flags: int) -> int:
    """Open a regular file only: not a link, nor a pipe, which would wait for a writer."""
    for name in ("O_NOFOLLOW", "O_NONBLOCK"):  # where the system has them
        flags |= getattr(os, name, 0)
    descriptor = os.open(path, flags)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError("not a regular file")
    return descriptor


def _checked(data: bytes, name: str, limits: Limits) -> ClientImage:
    if len(data) > limits.max_bytes:
        raise _too_large(name, len(data), limits)
    pixels = _pixels(data)
    if pixels > limits.max_pixels:
        raise _refusal(
            name,
            f"has {pixels:,} pixels, more than the {limits.max_pixels:,} allowed.",
            "Make it smaller.",
        )
    return ClientImage(ImageHandle(data, name), hashlib.sha256(data).hexdigest())


def _pixels(data: bytes) -> int:
    """The number of pixels by an image's header; 0 if unreadable: the error comes on opening it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # this limit is lower than PIL's
            check_tags(io.BytesIO(data))
            width, height = Image.open(io.BytesIO(data)).size
    except Image.DecompressionBombError as error:
        count = re.search(r"\d+", str(error))
        return int(count[0]) if count else 0
    except Exception:
        return 0
    return width * height


def _not_here() -> ImageError:
    return ImageError(
        "This image is not on the server: it keeps uploaded images only for a while.",
        "Upload it again.",
    )


def _too_large(name: str, size: int, limits: Limits) -> ImageError:
    return _refusal(
        name, f"has {size:,} bytes, more than {limits.max_bytes:,}.", "Make it smaller."
    )


def _refusal(name: str, what: str, hint: str) -> ImageError:
    return ImageError(f"{name} {what}", hint, source=name)
