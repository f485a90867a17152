"""Fine-tune semantic segmentation, where every pixel gets a class.

The Mask2Former of drawn shapes learns two new shapes. To use your own data, replace `scenes` by
it: see docs/data.md for the formats.
"""

from __future__ import annotations

import argparse

import pvzoo_shapes

import pvzoo

TASK = "semantic-segmentation"
SHAPES = ("disc", "square", "triangle", *pvzoo_shapes.MORE_SHAPES)


def main() -> None:
    """Train, measure, predict."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=300, help="to train on")
    parser.add_argument("--epochs", type=int, default=20)
    args = parser.parse_args()
    tuned = pvzoo.load("shapes-mask2former-semantic").fine_tune(
        pvzoo_shapes.scenes(TASK, count=args.images, shapes=SHAPES, seed=10),
        pvzoo_shapes.scenes(TASK, count=max(8, args.images // 3), shapes=SHAPES, seed=11),
        epochs=args.epochs,
        learning_rate=4e-4,
        output_dir="runs/semantic",
    )
    print(tuned.report.metrics)
    scene = pvzoo_shapes.scenes(count=1, shapes=SHAPES, seed=12)[0]["image"]
    tuned.predict(scene).save("runs/semantic/predicted.png")


if __name__ == "__main__":
    main()
