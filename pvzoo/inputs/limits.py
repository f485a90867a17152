"""Limits against hostile input, and the messages for input that is beyond them."""

from __future__ import annotations

from PIL import Image

from pvzoo.errors import ImageError

MAX_BYTES = 256 * 2**20
"""Most bytes an encoded image may have."""

URL_SECONDS = 30.0
"""Most seconds a download may take from start to end."""

MAX_SIDE = 2**17
"""Most pixels that a side of an image may have if the image is segmented or drawn on."""

COSTLY = {"WEBP": 2, "LAB": 2, "JPEG2000": 3}
"""The limit of pixels is divided by this for formats and modes that need more memory and time."""


def most_pixels() -> int:
    """Most pixels of an image in memory, or of the part of one that is read at once."""
    return Image.MAX_IMAGE_PIXELS or 2**62


def check_bytes(count: int) -> None:
    """Refuse an encoded image that is empty or has too many bytes.

    Raises:
        ImageError: The image is empty or has too many bytes.
    """
    if count == 0:
        raise ImageError("is empty (0 bytes).", "Copy or download it again.")
    if count > MAX_BYTES:
        raise ImageError(*too_many_bytes(f"{count:,} bytes", MAX_BYTES))


def too_many_bytes(amount: str, allowed: int) -> tuple[str, str]:
    """The message and hint for an image with more bytes than allowed."""
    hint = "Make it smaller"
    if allowed == MAX_BYTES:  # not the limit of a server
        hint += ", or raise pvzoo.inputs.limits.MAX_BYTES"
    return f"has {amount}, more than the {allowed:,} allowed.", f"{hint}."


def check_pixels(size: tuple[int, int], *kinds: str | None) -> None:
    """Refuse an image that has no pixels or too many; `kinds` are its format and mode.

    Raises:
        ImageError: The image has no pixels or too many.
    """
    width, height = size
    if width * height == 0:
        raise ImageError(f"is {width} x {height} and has no pixels.", "Check how it was cropped.")
    if Image.MAX_IMAGE_PIXELS is None:
        return
    costs = (COSTLY.get(kind or "", 1) for kind in kinds)
    allowed = Image.MAX_IMAGE_PIXELS // max(costs, default=1)
    if width * height > allowed:
        raise ImageError(*too_many_pixels(allowed, f"it is {width:,} x {height:,}"))


def too_many_pixels(allowed: int, amount: str) -> tuple[str, str]:
    """The message and hint for an image with more pixels than allowed."""
    return (
        f"is larger than the {allowed:,} pixels allowed ({amount}).",
        "If you trust it, raise PIL.Image.MAX_IMAGE_PIXELS.",
    )
