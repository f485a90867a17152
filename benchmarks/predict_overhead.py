"""Measure the share of `predict` outside the forward pass, for DETR-R50 at its default size.

    python benchmarks/predict_overhead.py

It uses the real architecture with random weights, and a 640 x 427 photograph from disk, one image
per call.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import sklearn
import torch
from transformers import DetrConfig, DetrForObjectDetection, DetrImageProcessor

import pvzoo

RUNS = 10


def main() -> None:
    """Print the medians."""
    torch.manual_seed(0)
    photograph = Path(sklearn.__file__).parent / "datasets" / "images" / "china.jpg"
    with tempfile.TemporaryDirectory() as folder:
        DetrForObjectDetection(DetrConfig(num_labels=91)).save_pretrained(folder)
        DetrImageProcessor().save_pretrained(folder)
        model = pvzoo.load(Path(folder), device="cpu")
    run = model.runtime
    inside: list[float] = []

    def timed(name: str, inputs: dict) -> dict:
        start = time.perf_counter()
        outputs = run(name, inputs)
        inside.append(time.perf_counter() - start)
        return outputs

    model.runtime = timed
    model.predict(photograph, threshold=0.0)
    inside.clear()
    whole = []
    for _ in range(RUNS):
        start = time.perf_counter()
        model.predict(photograph, threshold=0.0)
        whole.append(time.perf_counter() - start)
    shares = [1 - part / total for part, total in zip(inside, whole, strict=True)]
    print(f"predict {statistics.median(whole):.3f} s, forward {statistics.median(inside):.3f} s")
    print(f"not the forward pass: {100 * statistics.median(shares):.1f} % (median of {RUNS})")


if __name__ == "__main__":
    main()
