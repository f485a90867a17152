"""Long and thin images, whose shorter side many networks have scaled to a fixed length.

An image of 1 x 65,535 pixels becomes one of 256 x 16,776,960 pixels by that, which takes 17 GB.
"""

from __future__ import annotations

from typing import Any

from PIL import Image

from pvzoo.errors import ImageError
from pvzoo.inputs.limits import MAX_SIDE

MAX_INPUT_PIXELS = 2**24
"""Most pixels that an image may become for a network, which is a square of 4096 x 4096."""

RATIO = 64
"""How many times as long as wide an image may be, to be scaled whole before its middle is cut."""


def middle(image: Image.Image) -> Image.Image:
    """What networks see that have the shorter side scaled and the middle cut out as a square.

    Whole multiples of four times the shorter side are left out, half of them at each end. So the
    scaled image loses whole multiples of four times its shorter side, and the middle stays where
    it was, to the pixel. Images of up to `RATIO` to 1 are returned as they are. Of longer ones
    the network's input differs from that of the whole by at most 2 of 255 levels, because libraries
    round the length of the scaled image; where there is nothing to round, it does not differ.
    The scaled image is at most 68 times as long as wide: 13 MB, if it is 256 pixels wide.
    """
    width, height = image.size
    short, long = sorted(image.size)
    off = 2 * short * max(0, (long - RATIO * short) // (4 * short))
    if not off:
        return image
    return image.crop(
        (off, 0, width - off, height) if width > height else (0, off, width, height - off)
    )


def fitting(images: Any, image: Image.Image, options: dict[str, Any]) -> Image.Image:
    """The image, or as much of it as an image processor of transformers looks at.

    Args:
        images: The processor.
        image: Upright, RGB.
        options: What the processor is called with.

    Raises:
        ImageError: It would become larger than `MAX_INPUT_PIXELS`.
    """
    given = {name: getattr(images, name, None) for name in _SETTINGS} | options
    edges = {edge: pixels for edge, pixels in dict(given["size"] or {}).items() if pixels}
    kind, size = type(images).__name__, image.size[::-1]
    crops = bool(given["do_center_crop"])
    if kind.startswith("ConvNext") and "shortest_edge" in edges:
        side = edges["shortest_edge"]
        crops = side < 384  # larger squares are what the whole image is scaled to
        edges = edges if crops else {"height": side, "width": side}
    elif given["crop_pct"] and edges.get("height", 0) == edges.get("width"):  # of PoolFormer
        edges = {"shortest_edge": edges["height"]}
    if crops:
        by_shorter = given["do_resize"] and set(edges) == {"shortest_edge"}
        return middle(image) if by_shorter else image
    if given["do_resize"] and "height" in edges and "width" in edges:
        if kind.startswith("Owlv2") and given["do_pad"]:
            check_input(image.size, (max(size),) * 2, Image.MAX_IMAGE_PIXELS)
        size = edges["height"], edges["width"]
    elif given["do_resize"] and "shortest_edge" in edges:
        scale = edges["shortest_edge"] / min(size)
        scale = min(scale, edges.get("longest_edge", scale * max(size)) / max(size))
        size = round(size[0] * scale), round(size[1] * scale)
    check_input(image.size, size)
    return image


_SETTINGS = ("size", "do_resize", "do_center_crop", "do_pad", "crop_pct")


def check_side(image: Image.Image) -> None:
    """Refuse an image to whose length nothing can be scaled back: a map takes memory along it.

    Raises:
        ImageError: A side is longer than `MAX_SIDE`.
    """
    if max(image.size) > MAX_SIDE:
        raise ImageError(
            f"An image of {image.width:,} x {image.height:,} pixels is too long to be "
            f"segmented: {MAX_SIDE:,} pixels are allowed.",
            "Cut it into pieces.",
        )


def check_input(
    image: tuple[int, int], size: tuple[int, int], most: int | None = MAX_INPUT_PIXELS
) -> None:
    """Refuse an image that would become too large, or nothing.

    Args:
        image: Its (width, height).
        size: (height, width) of what it would become.
        most: Most pixels of that; None for no limit.

    Raises:
        ImageError: There would be more, or none.
    """
    width, height = image
    if min(size) < 1:
        raise ImageError(
            f"An image of {width:,} x {height:,} pixels would become less than a pixel wide for "
            "this network.",
            "Crop it, or cut it into pieces.",
        )
    if most is not None and size[0] * size[1] > most:
        raise ImageError(
            f"An image of {width:,} x {height:,} pixels would become one of {size[1]:,} x "
            f"{size[0]:,} for this network, more than the {most:,} pixels allowed.",
            "Crop it, or cut it into pieces.",
        )
