"""Compare the speed of scaling images in pvzoo's numpy and in torchvision, with equal results.

    python benchmarks/resize.py

Both run in one thread, in turns; a time is the smallest CPU time of several runs.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import time
from collections.abc import Callable

import numpy as np
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from pvzoo.preprocess.resize import Filter, resize_uint8

RUNS = 15
SIZES = [
    ((480, 640), (640, 640)),
    ((480, 640), (800, 1066)),
    ((853, 1280), (640, 640)),
    ((853, 1280), (800, 1200)),
    ((1080, 1920), (750, 1333)),
    ((3000, 4000), (640, 640)),
    ((3000, 4000), (800, 1066)),
]


def main() -> None:
    torch.set_num_threads(1)
    random = np.random.default_rng(0)
    print("image     | to          | filter   | torchvision | pvzoo    | ratio")
    for old, new in SIZES:
        pixels = random.integers(0, 256, (*old, 3), dtype=np.uint8)
        for filter in ("bilinear", "bicubic"):
            theirs, ours = _times(*(_ways(pixels, new, filter)))
            print(
                f"{old[1]} x {old[0]:<5} | {new[1]} x {new[0]:<5} | {filter:<8} | "
                f"{theirs:8.1f} ms | {ours:5.1f} ms | {ours / theirs:.2f}"
            )


def _ways(
    pixels: np.ndarray, size: tuple[int, int], filter: Filter
) -> tuple[Callable[[], np.ndarray], Callable[[], np.ndarray]]:
    tensor, mode = torch.from_numpy(pixels), InterpolationMode(filter)

    def theirs() -> np.ndarray:
        planes = tensor.permute(2, 0, 1).contiguous()
        return functional.resize(planes, list(size), interpolation=mode).permute(1, 2, 0).numpy()

    def ours() -> np.ndarray:
        return resize_uint8(pixels, *size, filter)

    if not np.array_equal(theirs(), ours()):
        raise SystemExit("The results differ: torch scales uint8 images differently on this CPU.")
    return theirs, ours


def _times(*ways: Callable[[], object]) -> list[float]:
    """Milliseconds of each way; the ways run in turns."""
    times: list[list[float]] = [[] for _ in ways]
    for _ in range(RUNS):
        for way, found in zip(ways, times, strict=True):
            start = time.process_time()
            way()
            found.append((time.process_time() - start) * 1000)
    return [min(found) for found in times]


if __name__ == "__main__":
    main()
