"""Compare two models on the same images: side by side in one image, and a table of their times.

    python demos/compare_models.py
    python demos/compare_models.py street.jpg --model detr-resnet50 --model rtdetr-r18

Without arguments, two sizes of EfficientNet-Lite label photographs of scikit-image.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from PIL import Image, ImageOps
from quickstart import PHOTOGRAPHS, photograph

import pvzoo

MODELS = ["efficientnet-lite0-pip", "efficientnet-lite2-pip"]
TILE = (400, 300)


def main() -> None:
    """Print the table row by row, then write the image."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("images", nargs="*", metavar="IMAGE", help="files or URLs")
    parser.add_argument("--model", action="append", help="name, repo or folder; twice")
    parser.add_argument("--output", type=Path, default=Path("compared.png"))
    args = parser.parse_args()
    names = args.model or MODELS
    images = args.images or [photograph(*p) for p in PHOTOGRAPHS if p[0] == "skimage"]
    models = [pvzoo.load(name) for name in names]
    sheet = Image.new("RGB", (TILE[0] * len(names), TILE[1] * len(images)), "white")
    width = max(map(len, names))
    print(f"{'image':20} {'model':{width}} {'ms':>5}  finds")
    for model in models:
        model.predict(images[0])  # the first call takes longer
    for row, image in enumerate(images):
        for column, (name, model) in enumerate(zip(names, models, strict=True)):
            start = time.perf_counter()
            result = model.predict(image)  # reads the file too
            took = 1000 * (time.perf_counter() - start)
            found = "; ".join(r["name"].partition(",")[0] for r in result.rows()[:3])
            print(f"{Path(result.source).name:20} {name:{width}} {took:5.0f}  {found}")
            tile = ImageOps.pad(result.plot(), TILE, color="white")
            sheet.paste(tile, (column * TILE[0], row * TILE[1]))
    sheet.save(args.output)
    print(f"wrote {args.output}: {' | '.join(names)}")


if __name__ == "__main__":
    main()
