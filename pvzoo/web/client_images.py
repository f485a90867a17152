"""Check the images that clients send or name, before they are decoded."""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PIL import Image

from pvzoo.errors import ImageError
from pvzoo.inputs.downloads import download
from pvzoo.inputs.encoded import check_tags, formats
from pvzoo.inputs.images import ImageHandle
from pvzoo.web.limits import Limits


class TooLargeError(ImageError):
    """An image has more bytes or pixels than allowed."""


@dataclass(frozen=True, eq=False)
class ClientImage:
    """An encoded image within the limits.

    Attributes:
        handle: Opens the image. Its data is bytes, and its name is a file name without folders.
        size: (width, height) of the stored pixels; (0, 0) if the header cannot be read.
    """

    handle: ImageHandle
    size: tuple[int, int]

    @property
    def digest(self) -> str:
        """SHA-256 of the bytes."""
        return hashlib.sha256(self.handle.data).hexdigest()


def checked(data: bytes, name: str, limits: Limits) -> ClientImage:
    """An encoded image, if it is within the limits by its header; no pixel is decoded.

    Raises:
        TooLargeError: It has too many bytes or pixels.
    """
    if len(data) > limits.max_bytes:
        raise too_large(name, len(data), limits)
    (width, height), pixels = _size(data)
    if pixels > limits.max_pixels:
        raise TooLargeError(
            f"{name} has {pixels:,} pixels, more than the {limits.max_pixels:,} allowed.",
            "Make it smaller.",
            source=name,
        )
    return ClientImage(ImageHandle(data, name), (width, height))


def fetch(url: str, limits: Limits) -> ClientImage:
    """The image at a public web address.

    Raises:
        ImageError: It is not a web address, or not public; or the download is too large, too slow
            or not an image.
    """
    url = url.strip()
    refuse = partial(_refusal, url[:200])
    if not is_address(url):
        raise refuse("is not a web address.", "A web address begins with http:// or https://.")
    data = download(
        url, refuse, max_bytes=limits.max_bytes, seconds=limits.url_seconds, public=True
    )
    name = Path(url.partition("?")[0].rstrip("/")).name[-80:] or "image"
    return checked(data, name if Path(name).suffix else f"{name}.png", limits)


def is_address(text: str) -> bool:
    """Whether a text begins as a web address does."""
    return text.lower().startswith(("http://", "https://"))


def too_large(name: str, size: int, limits: Limits) -> TooLargeError:
    """The error for an image of `size` bytes."""
    return TooLargeError(
        f"{name} has {size:,} bytes, more than {limits.max_bytes:,}.",
        "Make it smaller.",
        source=name,
    )


def _size(data: bytes) -> tuple[tuple[int, int], int]:
    """The size by an image's header, and the number of pixels.

    Both are 0 if the header cannot be read: the error comes on opening the image. Of an image that
    is so large that PIL refuses it, only the number is known.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # this limit is lower than PIL's
            check_tags(io.BytesIO(data))
            width, height = Image.open(io.BytesIO(data), formats=formats()).size
    except Image.DecompressionBombError as error:
        count = re.search(r"\d+", str(error))
        return (0, 0), int(count[0]) if count else 0
    except Exception:
        return (0, 0), 0
    return (width, height), width * height


def _refusal(name: str, what: str, hint: str) -> ImageError:
    return ImageError(f"{name} {what}", hint, source=name)
