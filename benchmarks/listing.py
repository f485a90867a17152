"""Measure how much longer `pvzoo list` takes with 50 installed plugins of 100 cards each.

    python benchmarks/listing.py

Each time is the median of several runs, taken in turns, each in a new process.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

CARD = """
[[models]]
name = "model-{plugin}-{number}"
aliases = ["net-{plugin}-{number}"]
task = "image-classification"
adapter = "timm"
family = "resnet"
summary = "A residual network of {number} layers, trained on photographs by plugin {plugin}"
params = 25_557_032
license = "apache-2.0"
dataset = "imagenet-1k"
input_size = 224
facts = "The model card of the repo"
source = {{ hub = "someone/model-{plugin}-{number}", revision = "main" }}
metrics = [
    {{ name = "top1", value = 80.{number}, dataset = "imagenet-1k", source = "the model card" }},
    {{ name = "top5", value = 94.{number}, dataset = "imagenet-1k", source = "the model card" }},
]
"""


def install(folder: Path, plugins: int, cards: int) -> None:
    """Put catalogue plugins into a folder, with the same files that pip would install."""
    for plugin in range(plugins):
        package = folder / f"crowd_{plugin}"
        info = folder / f"crowd_{plugin}-1.0.dist-info"
        package.mkdir(parents=True)
        info.mkdir()
        catalogue = "".join(CARD.format(plugin=plugin, number=i) for i in range(cards))
        (package / "catalog.toml").write_text("contract = 2\n" + catalogue)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: crowd-{plugin}\nVersion: 1.0\n"
        )
        (info / "entry_points.txt").write_text(f"[pvzoo.catalogs]\ncrowd = {package.name}\n")


def seconds(path: Path | None, cache: Path) -> tuple[float, float]:
    """(wall time, CPU time) of `pvzoo list`, with or without plugins on the path."""
    environment = {**os.environ, "PVZOO_CACHE": str(cache), "PYTHONPATH": str(path or "")}
    before = os.times()
    command = [sys.executable, "-m", "pvzoo", "list"]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    after = os.times()
    busy = after.children_user - before.children_user + after.children_system
    return after.elapsed - before.elapsed, busy - before.children_system


def measure(
    folder: Path, plugins: int = 50, cards: int = 100, times: int = 7
) -> dict[str, tuple[float, float]]:
    """Median seconds of listing without plugins, with plugins the first time, and again."""
    installed, cache = folder / "site", folder / "cache"
    install(installed, plugins, cards)
    seconds(None, cache)
    cold = seconds(installed, cache)
    pairs = [(seconds(None, cache), seconds(installed, cache)) for _ in range(times)]
    without, warm = (_medians(side) for side in zip(*pairs, strict=True))
    more = (warm[0] - without[0], warm[1] - without[1])
    return {"without": without, "cold": cold, "warm": warm, "more": more}


def _medians(rows: Sequence[tuple[float, float]]) -> tuple[float, float]:
    time, busy = (statistics.median(column) for column in zip(*rows, strict=True))
    return time, busy


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        for name, (time, busy) in measure(Path(temporary)).items():
            print(f"{name:8} {time:.2f} s, CPU time {busy:.2f} s")
