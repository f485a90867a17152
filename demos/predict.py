"""Predict one image: print the result, and save the image with it.

    python demos/predict.py
    python demos/predict.py street.jpg --model detr-resnet50 --output annotated.png

Without arguments, EfficientNet-Lite0 labels a photograph of scikit-image.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from quickstart import photograph

import pvzoo


def main() -> None:
    """Load, predict, print, save."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("image", nargs="?", metavar="IMAGE", help="a file or URL")
    parser.add_argument("--model", default="efficientnet-lite0-pip", help="name, repo or folder")
    parser.add_argument("--output", type=Path, default=Path("predicted.png"))
    args = parser.parse_args()
    model = pvzoo.load(args.model)
    result = model.predict(args.image or photograph("skimage", "data/coffee.png"))
    print(f"{model.task} of {result.source}")
    print(result.to_pandas().to_string(index=False))
    print(f"wrote {result.save(args.output)}")


if __name__ == "__main__":
    main()
