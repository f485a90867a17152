"""What clients give a demo -> an image within the limits, or a sentence why not.

`read` is the only place where something that a client said becomes a file that is opened or an
address that is fetched; `pvzoo.demo.guard` sees to that.
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
    """An encoded image, small enough, and what it is known by.

    Attributes:
        handle: Opens it. Its data is bytes, its name that of a file without folders.
        digest: SHA-256 of its bytes.
    """

    handle: ImageHandle
    digest: str


def read(said: Any, limits: Limits) -> ClientImage:
    """The image that a client means.

    Args:
        said: What the client sent: a dict whose "path" is that of a file which Gradio keeps for the
            app (uploads, examples), or a web address; or whose "url" is a data URI.
        limits: How large it may be.

    Raises:
        ImageError: It is no image, too large, or not to be had. A path gets one and the same
            sentence, whatever is there, unless it is a regular file in Gradio's folder.
    """
    indices = [said.get(key) for key in ("path", "url")] if isinstance(said, dict) else []
    index = next(filter(None, indices), None)
    if not isinstance(index, str):
        raise _not_here()
    if index[:5].lower() == "data:":
        return _checked(ImageHandle.of(index).data, "image.png", limits)
    if _is_address(index):
        return fetch(index, limits)
    return _checked(*_kept(index, limits), limits)


def fetch(url: str, limits: Limits) -> ClientImage:
    """The image at a public web address.

    Raises:
        ImageError: It is no address, not public, too large, too slow, or no image.
    """
    url = url.strip()
    refuse = partial(_refusal, url[:200])
    if not _is_address(url):
        raise refuse("is no web address.", "It begins with http:// or https://.")
    data = download(
        url, refuse, max_bytes=limits.max_bytes, seconds=limits.url_seconds, public=True
    )
    name = Path(url.partition("?")[0].rstrip("/")).name[-80:] or "image"
    return _checked(data, name if Path(name).suffix else f"{name}.png", limits)


def keep(data: bytes, name: str) -> str:
    """Write a file that others may be reading already: at once, under the digest of its bytes.

    (Gradio's own function writes into the file that it is serving to somebody else.)
    """
    home = Path(get_upload_folder()) / hashlib.sha256(data).hexdigest()
    home.mkdir(parents=True, exist_ok=True)
    file = home / strip_invalid_filename_characters(name)
    try:
        os.utime(file)  # it is as new as its latest user
    except FileNotFoundError:
        with tempfile.NamedTemporaryFile(dir=home, delete=False) as part:
            part.write(data)
        Path(part.name).chmod(0o644)
        Path(part.name).replace(file)
    return str(file)


def _is_address(index: str) -> bool:
    return index.lower().startswith(("http://", "https://"))


def _kept(path: str, limits: Limits) -> tuple[bytes, str]:
    """The bytes and the name of a file in the folder where Gradio keeps what clients upload.

    What a path names outside that folder is not even looked at; links in it are not followed. The
    file is opened once, and what was opened is what is looked at and read.
    """
    try:
        folder = os.path.abspath(get_upload_folder())
        file = Path(folder).resolve() / Path(os.path.abspath(path)).relative_to(folder)
        if file.resolve() != file:
            raise OSError("there is a link on the way")
        stream = open(file, "rb", opener=_open_regular)  # noqa: SIM115 (closed below)
    except (OSError, ValueError, RuntimeError):  # the last two: NUL characters, circles of links
        raise _not_here() from None
    with stream:
        size = os.fstat(stream.fileno()).st_size
        if size > limits.max_bytes:
            raise _too_large(file.name, size, limits)
        return stream.read(size + 1), file.name


def _open_regular(path: str, flags: int) -> int:
    """Open a regular file, and neither a link nor what would wait for somebody to write into it."""
    for name in ("O_NOFOLLOW", "O_NONBLOCK"):  # where the system has them
        flags |= getattr(os, name, 0)
    descriptor = os.open(path, flags)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError("no regular file")
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
    """How many pixels an image says it has, or 0: whoever opens it will say what is wrong."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # this limit is lower than PIL's
            check_tags(io.BytesIO(data))
            width, height = Image.open(io.BytesIO(data)).size
    except Image.DecompressionBombError as error:
        said = re.search(r"\d+", str(error))
        return int(said[0]) if said else 0
    except Exception:
        return 0
    return width * height


def _not_here() -> ImageError:
    return ImageError(
        "This image is not here, or no longer: uploaded images are kept for a while only.",
        "Upload it again.",
    )


def _too_large(name: str, size: int, limits: Limits) -> ImageError:
    return _refusal(
        name, f"has {size:,} bytes, more than {limits.max_bytes:,}.", "Make it smaller."
    )


def _refusal(name: str, what: str, hint: str) -> ImageError:
    return ImageError(f"{name} {what}", hint, source=name)
