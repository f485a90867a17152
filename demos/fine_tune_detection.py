"""Fine-tune a detector: the detector of drawn shapes learns two new shapes.

To use your own data, replace `scenes` by a folder in COCO, YOLO or Pascal VOC format, or by a Hub
dataset.
"""

from __future__ import annotations

import argparse

import pvzoo_shapes

import pvzoo

SHAPES = ("disc", "square", "triangle", *pvzoo_shapes.MORE_SHAPES)


def main() -> None:
    """Train, measure, predict."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=300, help="to train on")
    parser.add_argument("--epochs", type=int, default=20)
    args = parser.parse_args()
    tuned = pvzoo.load("shapes-detector").fine_tune(
        pvzoo_shapes.scenes(count=args.images, shapes=SHAPES, seed=10),
        pvzoo_shapes.scenes(count=max(8, args.images // 3), shapes=SHAPES, seed=11),
        epochs=args.epochs,
        batch_size=16,
        learning_rate=4e-4,
        output_dir="runs/detection",
    )
    print(tuned.report.metrics)
    scene = pvzoo_shapes.scenes(count=1, shapes=SHAPES, seed=12)[0]["image"]
    tuned.predict(scene).save("runs/detection/predicted.png")


if __name__ == "__main__":
    main()
