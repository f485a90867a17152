"""Train a classifier's head on cached features: measure accuracy and the speed-up by the cache.

    python benchmarks/frozen_backbone.py [--splits 5]

EfficientNet-Lite0 with a frozen backbone is trained on scikit-learn's digits (1,797 handwritten
digits of 8 x 8 pixels), in random splits of 80 to 20. Then ten epochs of one split are timed with
and without the cache; "without" is the same call with a transform that changes nothing. Needs
pvzoo-efficientnet-lite and scikit-learn.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

import pvzoo


def splits(seed: int) -> tuple[datasets.Dataset, datasets.Dataset]:
    """A random 80 % of the digits, and the rest."""
    digits = load_digits()
    features = datasets.Features(
        image=datasets.Image(), label=datasets.ClassLabel(names=[str(i) for i in range(10)])
    )
    images = [Image.fromarray((p * 255 / 16).astype(np.uint8)) for p in digits.images]
    data = datasets.Dataset.from_dict(
        {"image": images, "label": digits.target.tolist()}, features=features
    )
    order = np.random.default_rng(seed).permutation(len(data))
    cut = len(data) * 4 // 5
    return data.select(order[:cut]), data.select(order[cut:])


def tune(train: datasets.Dataset, epochs: int, **options: Any) -> pvzoo.Model:
    """Tune the head in a new folder."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
        return pvzoo.load("efficientnet-lite0-pip", device="cpu").fine_tune(
            train,
            epochs=epochs,
            batch_size=32,
            learning_rate=3e-2,
            freeze="backbone",
            output_dir=Path(folder) / "run",
            **{"augment": False, **options},
        )


def unchanged(image: Any, target: Any) -> tuple[Any, Any]:
    """A transform that changes nothing; but with a transform, features cannot be cached."""
    return image, target


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splits", type=int, default=5)
    arguments = parser.parse_args()
    tops = []
    for seed in range(arguments.splits):
        train, test = splits(seed)
        start = time.monotonic()
        tuned = tune(train, epochs=40)
        seconds = time.monotonic() - start
        tops.append(tuned.evaluate(test, batch_size=32)["top1"])
        print(f"split {seed}: top-1 {tops[-1]:.4f}, tuned in {seconds:.0f} s", flush=True)
    if tops:
        print(f"mean of {len(tops)} splits: {np.mean(tops):.4f}")
    train, _ = splits(0)
    times = {}
    for name, options in {"with": {}, "without": {"augment": unchanged}}.items():
        start = time.monotonic()
        tune(train, epochs=10, **options)
        times[name] = time.monotonic() - start
        print(f"ten epochs {name} the cache: {times[name]:.0f} s", flush=True)
    print(f"ratio {times['without'] / times['with']:.1f} ({os.cpu_count()} cores)")


if __name__ == "__main__":
    main()
