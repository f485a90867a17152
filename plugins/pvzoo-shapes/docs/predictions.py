"""Draw scenes and the predictions of both networks for them: ``python predictions.py OUT.jpg``."""

from __future__ import annotations

import sys

import pvzoo_shapes
from PIL import Image

import pvzoo

SIDE = 300
SEEDS = (5, 6, 7, 9)
COLUMNS = 2


def main(out: str) -> None:
    """Write the image: two scenes side by side in each row, with their predictions."""
    detector = pvzoo.load("shapes-detector")
    segmenter = pvzoo.load("shapes-mask2former-panoptic")
    sheet = Image.new("RGB", (3 * SIDE * COLUMNS, SIDE * len(SEEDS) // COLUMNS))
    for index, seed in enumerate(SEEDS):
        scene = pvzoo_shapes.scenes(count=1, seed=seed, size=SIDE)[0]["image"]
        seen = (
            scene,
            detector.predict(scene, threshold=0.5).plot(),
            segmenter.predict(scene).plot(),
        )
        row, column = divmod(index, COLUMNS)
        for i, image in enumerate(seen):
            sheet.paste(image, ((3 * column + i) * SIDE, row * SIDE))
    sheet.save(out, quality=88)


if __name__ == "__main__":
    main(sys.argv[1])
