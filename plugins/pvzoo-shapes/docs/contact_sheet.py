"""Draw the image of the README: each shape with its name, then scenes, at their original size.

python docs/contact_sheet.py docs/scenes.jpg
"""

from __future__ import annotations

import sys

import numpy as np
from PIL import Image, ImageDraw
from pvzoo_shapes import MORE_SHAPES, SHAPES
from pvzoo_shapes.drawing import draw

SIDE, CAPTION, GAP, COLUMNS = 128, 16, 4, 5


def tile(pixels: np.ndarray, caption: str) -> Image.Image:
    """A scene with its caption below."""
    whole = Image.new("RGB", (SIDE + GAP, SIDE + CAPTION + GAP), "white")
    whole.paste(Image.fromarray(pixels))
    ImageDraw.Draw(whole).text((SIDE / 2, SIDE + CAPTION / 2), caption, fill="black", anchor="mm")
    return whole


def main(path: str) -> None:
    """Write the sheet."""
    tiles = [
        tile(draw(3, k, shapes=(name,), most=1).image, name)
        for k, name in enumerate((*SHAPES, *MORE_SHAPES))
    ]
    tiles += [tile(draw(0, k).image, f"scene {k} of seed 0") for k in range(3 * COLUMNS)]
    width, height = tiles[0].size
    sheet = Image.new("RGB", (COLUMNS * width, len(tiles) // COLUMNS * height), "white")
    for k, image in enumerate(tiles):
        sheet.paste(image, (k % COLUMNS * width, k // COLUMNS * height))
    sheet.save(path, quality=88)


if __name__ == "__main__":
    main(sys.argv[1])
