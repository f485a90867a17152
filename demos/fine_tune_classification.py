"""Fine-tune a classifier: EfficientNet-Lite0 learns scikit-learn's handwritten digits.

The backbone is frozen and the images are not augmented, so the features are computed only once.
This takes a minute or two on a CPU.
"""

from __future__ import annotations

import argparse

import datasets
import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

import pvzoo


def digits() -> datasets.DatasetDict:
    """1,797 images of 8 x 8 pixels, a fifth of them for validation."""
    found = load_digits()
    columns = datasets.Features(
        image=datasets.Image(), label=datasets.ClassLabel(names=[str(i) for i in range(10)])
    )
    images = [Image.fromarray((p * 255 / 16).astype(np.uint8)) for p in found.images]
    data = datasets.Dataset.from_dict({"image": images, "label": found.target}, features=columns)
    parts = data.train_test_split(test_size=0.2, seed=0)
    return datasets.DatasetDict(train=parts["train"], validation=parts["test"])


def main() -> None:
    """Train, measure, predict."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1437, help="to train on")
    parser.add_argument("--epochs", type=int, default=20)
    args = parser.parse_args()
    data = digits()
    tuned = pvzoo.load("efficientnet-lite0-pip").fine_tune(
        data["train"].select(range(args.images)),
        epochs=args.epochs,
        batch_size=32,
        learning_rate=3e-2,
        freeze="backbone",
        augment=False,
        output_dir="runs/classification",
    )
    print(tuned.evaluate(data["validation"].select(range(args.images // 4))))
    print(tuned.predict(data["validation"][0]["image"], top_k=3).to_json())


if __name__ == "__main__":
    main()
