"""Limits against hostile input, and what is said of what is beyond them."""

from __future__ import annotations

from PIL import Image

from pvzoo.errors import ImageError

MAX_BYTES = 256 * 2**20
"""Most bytes an encoded image may have."""

URL_SECONDS = 30.0
"""Most seconds a download may take from start to end."""

MAX_SIDE = 2**17
"""Most pixels of a side of an image that is segmented or drawn on."""

COSTLY = {"WEBP": 2, "LAB": 2, "JPEG2000": 3}
"""How many times fewer pixels are allowed in formats and modes that take more memory and time."""


def check_bytes(count: int) -> None:
    """Refuse an encoded image without a byte, or with too many.

    Raises:
        ImageError: It is one.
    """
    if count == 0:
        raise ImageError("is empty (0 bytes).", "Copy or download it again.")
    if count > MAX_BYTES:
        raise ImageError(*too_many_bytes(f"{count:,} bytes", MAX_BYTES))


def too_many_bytes(said: str, allowed: int) -> tuple[str, str]:
    """What is wrong with an image that has more bytes than allowed, and the way out."""
    hint = "Make it smaller"
    if allowed == MAX_BYTES:  # not the limit of a server
        hint += ", or raise pvzoo.inputs.limits.MAX_BYTES"
    return f"has {said}, more than the {allowed:,} allowed.", f"{hint}."


def check_pixels(size: tuple[int, int], *kinds: str | None) -> None:
    """Refuse an image without a pixel, or with too many; `kinds` are its format and mode.

    Raises:
        ImageError: It is one.
    """
    width, height = size
    if width * height == 0:
        raise ImageError(f"is {width} x {height}, without a single pixel.", "Check the crop.")
    if Image.MAX_IMAGE_PIXELS is None:
        return
    costs = (COSTLY.get(kind or "", 1) for kind in kinds)
    allowed = Image.MAX_IMAGE_PIXELS // max(costs, default=1)
    if width * height > allowed:
        raise ImageError(*too_many_pixels(allowed, f"it is {width:,} x {height:,}"))


def too_many_pixels(allowed: int, said: str) -> tuple[str, str]:
    """What is wrong with an image that has more pixels than allowed, and the way out."""
    return (
        f"is larger than the {allowed:,} pixels allowed ({said}).",
        "If you trust it, raise PIL.Image.MAX_IMAGE_PIXELS.",
    )
