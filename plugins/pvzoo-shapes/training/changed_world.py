"""Fine-tuning on a changed world against training from scratch, for equal time.

    python changed_world.py FOLDER

300 scenes of two shapes that the detector has never seen beside three that it has, in bluish
colours alone. The shipped detector and the same network with random weights are trained on them by
the same call, and measured on 500 other scenes of that world.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import pvzoo_shapes
from detector import untrained

import pvzoo

SHAPES = ("disc", "square", "triangle", *pvzoo_shapes.MORE_SHAPES)
COLOURS = ((180, 280), (0.4, 1.0), (0.3, 1.0))
EPOCHS = 15


def main() -> None:
    """Train both, and print how good each became in what time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    home = parser.parse_args().folder
    train, test = (
        pvzoo_shapes.scenes(count=count, shapes=SHAPES, colours=COLOURS, seed=seed)
        for count, seed in ((300, 20), (500, 21))
    )
    starts = {"the shipped detector": "shapes-detector", "from scratch": untrained(home / "start")}
    for name, start in starts.items():
        begin = time.monotonic()
        tuned = pvzoo.load(start, device="cpu").fine_tune(
            train,
            epochs=EPOCHS,
            batch_size=16,
            learning_rate={"backbone": 8e-4, "rest": 8e-4},
            augment=False,
            seed=0,
            trainer_args={"lr_scheduler_type": "cosine"},
            output_dir=home / name.replace(" ", "-"),
        )
        minutes = (time.monotonic() - begin) / 60
        found = tuned.evaluate(test)
        print(
            f"{name}: {minutes:.1f} minutes, mAP {found['map']:.3f}, mAP50 {found['map_50']:.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
