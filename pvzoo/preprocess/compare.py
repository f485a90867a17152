"""Compare the inputs that steps and a processor make of generated images, to the bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from PIL import Image

Arrays = Mapping[str, np.ndarray]

QUICK = ((47, 65), (331, 250))
"""(width, height) of the images that are compared whenever a model is loaded."""

THOROUGH = (
    *QUICK,
    *(
        (64, 48),
        (224, 224),
        (1, 1),
        (1, 7),
        (31, 2),
        (97, 640),
        (640, 97),
        (333, 500),
        (640, 480),
        (1201, 800),
    ),
    *((427, 641), (1600, 1067), (2048, 1365)),
)
"""(width, height) of the images that are compared before a network is exported."""

ROUNDING = 2e-6
"""How much normalised pixels may differ when floats are scaled: torch's own results differ by as
much between one thread and several."""


def probes(sizes: Sequence[tuple[int, int]], seed: int = 0) -> Iterator[Image.Image]:
    """RGB images with noise, flat parts, edges and soft colours; every fourth image is grey."""
    random = np.random.default_rng(seed)
    for index, (width, height) in enumerate(sizes):
        coarse = random.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        soft = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
        pixels = soft.copy()
        pixels[: height // 2, : width // 2] = random.integers(
            0, 256, (height // 2, width // 2, 3), dtype=np.uint8
        )
        pixels[height // 2 :, : width // 3] = np.where(
            soft[height // 2 :, : width // 3] > 127, 255, 0
        )
        image = Image.fromarray(pixels)
        yield image.convert("L").convert("RGB") if index % 4 == 3 else image


def difference(
    one: Callable[[Image.Image], Arrays],
    other: Callable[[Image.Image], Arrays],
    sizes: Sequence[tuple[int, int]] = QUICK,
    tolerance: float = 0.0,
) -> str | None:
    """Where two ways to prepare images differ by more than `tolerance`, as a text, or None.

    With a tolerance of 0 they must be equal to the bit.
    """
    for image in probes(sizes):
        found = unlike(one(image), other(image), tolerance)
        if found:
            return f"{found}, for an image of {image.width} x {image.height} pixels"
    return None


def unlike(found: Arrays, wanted: Arrays, tolerance: float = 0.0) -> str | None:
    """Where the inputs made of one image differ by more than `tolerance`, as a text, or None."""
    if set(found) != set(wanted):
        return f"the inputs are {', '.join(found)} and {', '.join(wanted)}"
    for name in found:
        a, b = np.asarray(found[name]), np.asarray(wanted[name])
        if a.shape != b.shape or a.dtype != b.dtype:
            return f"{name} is {a.shape} {a.dtype} and {b.shape} {b.dtype}"
        gaps = np.abs(a.astype(np.float64) - b)
        if not gaps.max(initial=0) <= tolerance:  # true also for NaN
            share = np.mean(gaps > tolerance)
            return f"{name} differs in {share:.2%} of its values, by {gaps.max():.3g} at most"
    return None
