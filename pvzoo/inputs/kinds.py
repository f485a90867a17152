"""Convert every kind of input to what is kept of it: a path, bytes, a PIL image or an array."""

from __future__ import annotations

import base64
import binascii
import os
import re
import urllib.parse
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pvzoo.errors import ImageError, PvzooWarning
from pvzoo.inputs import limits
from pvzoo.inputs.arrays import is_tensor, of_array, of_tensor
from pvzoo.inputs.encoded import ONE_IMAGE_FORMATS, PIL_LOCK, warn_of_frames
from pvzoo.inputs.names import Refuse, expand, no_path, readable, shown


def take(source: Any, index: int) -> tuple[Any, str]:
    """What to keep of an input, and its name; `index` is its index among many.

    Raises:
        ImageError: The input has a type that is not accepted, or cannot be read.
    """
    name = f"image {index}"

    def refuse(what: str, hint: str) -> ImageError:
        called = shown(source) if isinstance(source, str) and source.strip() else name
        return ImageError(f"{called} {what}", hint, source=called, index=index)

    if isinstance(source, str):
        return _take_text(source, name, refuse)
    if isinstance(source, os.PathLike):
        path = Path(os.fsdecode(source))
        return expand(path), readable(str(path))
    if isinstance(source, bytes | bytearray | memoryview):
        data = bytes(source)
        return data, f"{name} ({len(data):,} bytes)"
    if isinstance(source, Image.Image):
        return _take_image(source, name)
    if isinstance(source, np.ndarray):
        name = f"{name} (numpy array, shape {source.shape}, {source.dtype})"
        return of_array(source, refuse), name
    if is_tensor(source):
        name = f"{name} (torch tensor, {tuple(source.shape)})"
        return of_tensor(source, refuse), name
    if isinstance(source, dict):
        return _take_row(source, index, refuse)
    if callable(getattr(source, "read", None)):
        file = getattr(source, "name", None)
        return _read_file(source, refuse), readable(file) if file else f"{name} (file)"
    raise refuse(
        f"is of the type {type(source).__name__}, which is not an image.",
        "Pass a path, URL, bytes, file, PIL image, numpy array (HWC) or torch tensor (CHW).",
    )


def _take_text(text: str, name: str, refuse: Refuse) -> tuple[Path | bytes, str]:
    start = text[:32].lower()
    if start.startswith(("http://", "https://")):
        from pvzoo.inputs.downloads import download  # sockets and TLS: files need none

        data = download(text, refuse, max_bytes=limits.MAX_BYTES, seconds=limits.URL_SECONDS)
        return data, readable(text)
    if start.startswith("data:"):
        return _data_uri(text, refuse), f"{name} (data URI)"
    if re.match(r"[a-z][a-z0-9+.-]+://", start):
        raise refuse(
            "is an address that pvzoo cannot read; it reads only http://, https:// and data:.",
            "Pass a local path, the bytes or an open file, such as fsspec.open(url).open().",
        )
    if not text.strip():
        raise refuse("is an empty string.", "Pass a path or a URL.")
    if len(text) > 4096:  # longer than any system's paths
        raise refuse(*no_path(text))
    return expand(Path(text)), readable(text)


def _take_image(image: Image.Image, name: str) -> tuple[Image.Image, str]:
    file = getattr(image, "filename", "")
    name = readable(file) if file else f"{name} (PIL image, {image.width}x{image.height})"
    if image.format in ONE_IMAGE_FORMATS:
        return image, name
    with PIL_LOCK:
        try:
            if getattr(image, "is_animated", False):
                warn_of_frames(image, name)
                # ImageSequence.Iterator moves this very object on to the next frame
                return image.copy(), name
        except PvzooWarning:
            raise
        except Exception:
            return image, name  # damaged: `open` will say so
    if type(image) is Image.Image:  # pixels in memory, which the caller may paint over
        return image.copy(), name
    return image, name


def _take_row(row: dict[Any, Any], index: int, refuse: Refuse) -> tuple[Any, str]:
    """Take the dict that `datasets` returns for an image that is not decoded."""
    if not {"bytes", "path"} <= set(row):
        keys = shown(", ".join(map(str, row)))
        raise refuse(
            f"is a dict with the keys {keys}, not an image.",
            "Pass its image, such as row['image'].",
        )
    path = row["path"]
    if row["bytes"] is not None:
        if not isinstance(row["bytes"], bytes | bytearray | memoryview):
            kind = type(row["bytes"]).__name__
            raise refuse(f"is a dict whose 'bytes' have the type {kind}.", "Pass bytes.")
        data, name = take(row["bytes"], index)
        return data, readable(path) if path else name
    if not path:
        raise refuse("is a dict with neither bytes nor a path.", "Leave the row out.")
    if isinstance(path, str) and "://" in path and not path.startswith(("http://", "https://")):
        return _read_remote(path, refuse), readable(path)
    return take(path, index)


def _read_remote(path: str, refuse: Refuse) -> bytes:
    """Read a file of a streamed dataset, such as ``zip://a.jpg::hf://datasets/me/it/a.zip``."""
    import fsspec

    try:
        with fsspec.open(path) as file:
            return _read_file(file, refuse)
    except ImageError:
        raise
    except Exception as error:  # one class per file system
        raise refuse(
            f"cannot be read: {shown(path)} ({shown(str(error))}).", "Check the path."
        ) from error


def _read_file(file: Any, refuse: Refuse) -> bytes:
    chunks, size, most = [], 0, limits.MAX_BYTES
    try:
        if callable(getattr(file, "seekable", None)) and file.seekable():
            file.seek(0)
        while size <= most and (chunk := file.read(most + 1 - size)):
            if not isinstance(chunk, bytes):
                break
            chunks.append(chunk)
            size += len(chunk)
    except (OSError, ValueError) as error:  # such as a closed file
        raise refuse(
            f"is a file object that cannot be read ({error}).", "Open it again."
        ) from error
    if isinstance(chunk, str):
        raise refuse("is a text file object.", "Open it in binary mode: open(path, 'rb').")
    if not isinstance(chunk, bytes):
        kind = type(chunk).__name__
        raise refuse(f"is a file object whose read() returns a {kind}.", "Pass its bytes instead.")
    return b"".join(chunks)


def _data_uri(uri: str, refuse: Refuse) -> bytes:
    head, comma, body = uri.partition(",")
    if not comma:
        raise refuse("is a data URI without a comma.", "Write data:image/png;base64,...")
    body_bytes = urllib.parse.unquote_to_bytes(body)
    if not head.lower().endswith(";base64"):
        return body_bytes
    try:
        return base64.b64decode(b"".join(body_bytes.split()), validate=True)
    except binascii.Error as error:
        raise refuse(f"is a data URI with broken base64 ({error}).", "Encode it again.") from error
