"""Find small objects in a large image: one pass over it, and in tiles.

    python demos/tiles.py
    python demos/tiles.py aerial.tif --model rtdetr-r18 --tiles 640

Without an image, 48 drawn scenes are put side by side, and the detector of drawn shapes looks for
them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image

import pvzoo


def many_scenes() -> Image.Image:
    """Eight by six scenes of 128 x 128 pixels."""
    import pvzoo_shapes

    scenes = pvzoo_shapes.scenes("object-detection", count=48, size=128, seed=7)
    image = Image.new("RGB", (8 * 128, 6 * 128))
    for index, scene in enumerate(scenes["image"]):
        image.paste(scene, (index % 8 * 128, index // 8 * 128))
    return image


def main() -> None:
    """Print how many objects each way finds, and save the image with those of the tiles."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("image", nargs="?", metavar="IMAGE", help="a path or URL")
    parser.add_argument("--model", default="shapes-detector", help="name, repo or folder")
    parser.add_argument("--tiles", type=int, help="side of a tile; by default the network's input")
    parser.add_argument("--output", type=Path, default=Path("tiles.png"))
    args = parser.parse_args()
    image = args.image or many_scenes()
    model = pvzoo.load(args.model)
    print(f"one pass: {len(model.predict(image))} found")
    found = model.predict(image, tiles=args.tiles or "auto")
    print(f"in tiles: {len(found)} found")
    print(f"wrote {found.save(args.output)}")


if __name__ == "__main__":
    main()
