"""Limit the memory for long and thin images when their shorter side is scaled to a fixed length.

For example, an image of 1 x 65,535 pixels would become 256 x 16,776,960 pixels, which takes 17 GB.
"""

from __future__ import annotations

from typing import Any

from PIL import Image

from pvzoo.errors import ImageError
from pvzoo.inputs.limits import MAX_SIDE

MAX_INPUT_PIXELS = 2**24
"""The most pixels that a network's input may have: a square of 4096 x 4096."""

RATIO = 64
"""The largest ratio of the sides at which an image is scaled whole before its middle is cut out."""


def middle(image: Image.Image) -> Image.Image:
    """The middle of a long image, for networks that scale the shorter side and crop the middle.

    Whole multiples of four times the shorter side are removed, half of them at each end. So the
    scaled image loses whole multiples of four times its shorter side, and the middle stays at the
    same place, to the pixel. Images of up to `RATIO` to 1 are returned unchanged. For longer images
    the network's input differs from that of the whole image by at most 2 of 255 levels, because
    libraries round the length of the scaled image; without rounding, it does not differ.
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
    """The image, or the part of it that an image processor of transformers uses.

    Args:
        images: The processor.
        image: Upright, RGB.
        options: The options of the processor's call.

    Raises:
        ImageError: The input would be larger than `MAX_INPUT_PIXELS`.
    """
    given = {name: getattr(images, name, None) for name in _SETTINGS} | options
    edges = {edge: pixels for edge, pixels in dict(given["size"] or {}).items() if pixels}
    kind, size = type(images).__name__, image.size[::-1]
    crops = bool(given["do_center_crop"])
    if kind.startswith("ConvNext") and "shortest_edge" in edges:
        side = edges["shortest_edge"]
        crops = side < 384  # for larger sides, the whole image is scaled to a square
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
    """Refuse an image that is too long for maps of its size, which would take too much memory.

    Raises:
        ImageError: A side is longer than `MAX_SIDE`.
    """
    if max(image.size) > MAX_SIDE:
        raise ImageError(
            f"An image of {image.width:,} x {image.height:,} pixels is too long to be "
            f"segmented: a side may have {MAX_SIDE:,} pixels.",
            "Cut the image into pieces.",
        )


def check_input(
    image: tuple[int, int], size: tuple[int, int], most: int | None = MAX_INPUT_PIXELS
) -> None:
    """Refuse an image with an input that would be too large or empty.

    Args:
        image: (width, height) of the image.
        size: (height, width) of the input.
        most: The most pixels that the input may have; None for no limit.

    Raises:
        ImageError: The input would have more pixels, or none.
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
