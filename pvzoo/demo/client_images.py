"""Read the images that clients send to a demo, within the limits.

Only `read` and `uploaded` open files that a client names. `pvzoo.demo.guard` makes sure of that.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from pathlib import Path
from typing import Any

from gradio.utils import get_upload_folder
from gradio_client.utils import strip_invalid_filename_characters

from pvzoo.demo.limits import Limits
from pvzoo.errors import ImageError
from pvzoo.inputs.images import ImageHandle
from pvzoo.web.client_images import ClientImage, checked, fetch, is_address, too_large


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
        return checked(ImageHandle.of(place).data, "image.png", limits)
    if is_address(place):
        return fetch(place, limits)
    return checked(*_kept(place, limits), limits)


def uploaded(value: Any, limits: Limits) -> tuple[bytes, str]:
    """The bytes and the file name of a video that a client uploaded.

    Raises:
        ImageError: It is too large or is not available; see `read`.
    """
    place = value.get("path") if isinstance(value, dict) else None
    if not isinstance(place, str) or is_address(place):
        raise _not_here()
    return _kept(place, limits)


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
            raise too_large(file.name, size, limits)
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


def _not_here() -> ImageError:
    return ImageError(
        "This image is not on the server: it keeps uploaded images only for a while.",
        "Upload it again.",
    )
