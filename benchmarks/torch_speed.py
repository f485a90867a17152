"""`stream` with PyTorch against `transformers.pipeline` and against a plain loop over a timm model.

    OMP_NUM_THREADS=1 python benchmarks/torch_speed.py        # some minutes

The same JPEG files, read from disk, with the same weights. All ways take turns, nine times; each
figure is the median of the ratios of nine turns, and the second least of them, below which the true
median lies in one of fifty such measurements. The time of the processor does not change with what
else runs on the machine; the time on the clock does.
"""

from __future__ import annotations

import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from timm.data import create_transform, resolve_data_config
from transformers import ResNetConfig, ResNetForImageClassification, ViTImageProcessor, pipeline

import pvzoo
from pvzoo.benchmark.timing import PHOTOGRAPHS

TURNS = 9
FILES = [str(file) for file in PHOTOGRAPHS]
Way = Callable[[], Any]


def streamed(model: pvzoo.Model, batch_size: int) -> Way:
    """pvzoo."""
    return lambda: list(model.stream(FILES, batch_size=batch_size))


def piped(task: str, folder: Path, batch_size: int, **options: Any) -> Way:
    """transformers' pipeline, which reads the files itself."""
    run = pipeline(task, model=str(folder), device="cpu", batch_size=batch_size)
    return lambda: list(run(FILES, **options))


def timm_loop(model: pvzoo.Model) -> Way:
    """The loop of timm's documentation."""
    module = model.network.module
    config = resolve_data_config(model=module, pretrained_cfg=module.pretrained_cfg)
    transform = create_transform(**config, is_training=False)

    def run() -> None:
        with torch.inference_mode():
            for file in FILES:
                batch = transform(Image.open(file).convert("RGB"))[None]
                module(batch).softmax(-1).topk(5)

    return run


def turn(way: Way) -> tuple[float, float]:
    """Seconds of the processor and on the clock."""
    processor, clock = time.process_time(), time.perf_counter()
    way()
    return time.process_time() - processor, time.perf_counter() - clock


def compare(name: str, ways: dict[str, Way]) -> None:
    """Print how many times as long as pvzoo each other way takes."""
    taken: dict[str, list[tuple[float, float]]] = {key: [] for key in ways}
    for way in ways.values():
        way()
    for _ in range(TURNS):
        for key, way in ways.items():
            taken[key].append(turn(way))
    ours = taken.pop("pvzoo")
    rate = len(FILES) / statistics.median(seconds for seconds, _ in ours)
    for key, theirs in taken.items():
        cells = []
        for kind in (0, 1):
            ratios = sorted(a[kind] / b[kind] for a, b in zip(theirs, ours, strict=True))
            cells.append(f"{statistics.median(ratios):.2f} ({ratios[1]:.2f})")
        print(f"| {name} | {key} | {rate:.1f} | {cells[0]} | {cells[1]} |", flush=True)


def main() -> None:
    """Print a table."""
    warnings.simplefilter("ignore")
    print(
        "| model | against | pvzoo, images/s | processor | clock |\n| --- | --- | --- | --- | --- |"
    )
    lite0 = pvzoo.load("efficientnet-lite0-pip", device="cpu")
    for size in (1, 8):
        ways = {"pvzoo": streamed(lite0, size), "a timm loop": timm_loop(lite0)}
        compare(f"efficientnet-lite0-pip, batches of {size}", ways)
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "resnet"
        config = ResNetConfig(
            depths=[2, 2, 2, 2], hidden_sizes=[64, 128, 256, 512], num_labels=1000
        )
        ResNetForImageClassification(config).save_pretrained(folder)
        ViTImageProcessor(size={"height": 224, "width": 224}).save_pretrained(folder)
        cases: list[tuple[str, Any, str, dict[str, Any]]] = [
            ("ResNet-18 of transformers", folder, "image-classification", {}),
            ("shapes-detector", None, "object-detection", {"threshold": 0.5}),
            ("shapes-mask2former-semantic", None, "image-segmentation", {"subtask": "semantic"}),
            ("shapes-mask2former-instance", None, "image-segmentation", {"subtask": "instance"}),
            ("shapes-mask2former-panoptic", None, "image-segmentation", {"subtask": "panoptic"}),
        ]
        for name, where, task, options in cases:
            model = pvzoo.load(where or name, device="cpu")
            if where is None:
                where = Path(home) / name
                model.save(where)
            ways = {"pvzoo": streamed(model, 1), "pipeline": piped(task, where, 1, **options)}
            compare(name, ways)


if __name__ == "__main__":
    main()
