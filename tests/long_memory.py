"""Prints what long and thin images cost: a line "way seconds megabytes" for each way to meet one.

Seconds are of the processor, megabytes beyond what the process had before.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from PIL import Image

import pvzoo

torch.set_num_threads(1)


def megabytes(key: str) -> float:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith(key))


def convnext() -> pvzoo.Model:
    folder = tempfile.mkdtemp()
    config = transformers.ConvNextConfig(hidden_sizes=[8] * 4, depths=[1] * 4, num_labels=3)
    transformers.ConvNextForImageClassification(config).save_pretrained(folder)
    transformers.ConvNextImageProcessor(size={"shortest_edge": 224}).save_pretrained(folder)
    return pvzoo.load(folder, device="cpu")


def main(*sizes: str) -> None:
    lite0 = pvzoo.load("efficientnet-lite0-pip", device="cpu")
    timm, other = lite0.network, convnext()
    ways: dict[str, Callable[[Image.Image], Any]] = {
        "predict": lite0.predict,
        "transformers": other.predict,
        "stream": lambda image: list(lite0.stream([image, image])),
        "outputs": lambda image: lite0.outputs(image).result(),
        "training": lambda image: timm.batch([image, image], [{"label": 0}] * 2),
    }
    for way, meet in ways.items():
        meet(Image.new("RGB", (300, 200)))  # what is loaded once
        for size in sizes:
            width, height = map(int, size.split("x"))
            image = Image.new("RGB", (width, height))
            Path("/proc/self/clear_refs").write_text(
                "5", encoding="utf-8"
            )  # forget how much memory there has been
            before, start = megabytes("VmRSS"), time.process_time()
            meet(image)
            print(way, time.process_time() - start, megabytes("VmHWM") - before)


main(*sys.argv[1:])
