"""Predict a folder of any size: a line of JSON for each image, in constant memory.

    python demos/stream_folder.py
    python demos/stream_folder.py photos/ --model detr-resnet50 --output found.jsonl

Files that cannot be read are reported and left out. Without arguments, EfficientNet-Lite0 labels
the images that come with scikit-image.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from quickstart import photograph

import pvzoo


def main() -> None:
    """Write the lines, and print how many there are."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", nargs="?", metavar="FOLDER", help="subfolders are included")
    parser.add_argument("--model", default="efficientnet-lite0-pip", help="name, repo or folder")
    parser.add_argument("--output", type=Path, default=Path("predicted.jsonl"))
    args = parser.parse_args()
    bad: list[pvzoo.ImageError] = []

    def report(error: pvzoo.ImageError) -> None:
        bad.append(error)
        print(f"left out: {error}", file=sys.stderr)

    folder = args.folder or photograph("skimage", "data")
    results = pvzoo.load(args.model).stream(folder, batch_size=8, on_error=report)
    good = 0
    with args.output.open("w", encoding="utf-8") as lines:
        for result in results:
            lines.write(result.to_json() + "\n")
            good += 1
    print(f"{good} images in {args.output}, {len(bad)} left out")


if __name__ == "__main__":
    main()
