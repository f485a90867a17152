"""Compare fine-tuning and training from scratch on other shapes and colours, for equal time.

    python changed_world.py FOLDER

The 300 scenes have two shapes that the detector has never seen and three that it knows, only in
bluish colours. The shipped detector and the same network with random weights are trained on them
with the same call, and evaluated on 500 other scenes of the same kind.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pvzoo_shapes
from detector import untrained

import pvzoo

SHAPES = ("disc", "square", "triangle", *pvzoo_shapes.MORE_SHAPES)
COLOURS = ((180, 280), (0.4, 1.0), (0.3, 1.0))
EPOCHS = 15


@dataclass(frozen=True)
class Outcome:
    """How good a detector became.

    Attributes:
        start: The start of the training: "the shipped detector" or "from scratch".
        minutes: The time in `fine_tune`.
        map: mAP on scenes that were not used in training, 0..1.
        map_50: mAP50 on the same scenes.
    """

    start: str
    minutes: float
    map: float
    map_50: float


def compare(home: Path) -> Iterator[Outcome]:
    """Train both, one after the other, in folders of `home`."""
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
        yield Outcome(name, minutes, found["map"], found["map_50"])


def main() -> None:
    """Print the figures and the training time of each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    for one in compare(parser.parse_args().folder):
        print(
            f"{one.start}: {one.minutes:.1f} minutes, mAP {one.map:.3f}, mAP50 {one.map_50:.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
