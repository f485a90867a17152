"""Exported models against PyTorch, the pipeline of transformers and a bare runtime; cold starts.

    python benchmarks/exported.py FOLDER        # about fifteen minutes on two cores

Models are EfficientNet-Lite0, the small networks of pvzoo-shapes, and a DETR-R50 of random weights.
Each is exported to the folder, if it is not there yet; then all predict the same JPEG files in
turns, one at a time or as a stream. OpenVINO runs the same ONNX files. A figure is the median of
the ratios of turns. "bare" is ONNX Runtime and Pillow alone, written for this one network. A cold
start is a whole process, from its beginning to its end, with the most memory it had.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import torch
import transformers
from PIL import Image

import pvzoo
from pvzoo.export.reference import IMAGES

TURNS = 7

Way = Callable[[list[Path]], object]


def bare(folder: Path) -> Way:
    """EfficientNet-Lite0 as a script would run it: Pillow, numpy, ONNX Runtime."""
    session = onnxruntime.InferenceSession(folder / "model.onnx")

    def predict(files: list[Path]) -> None:
        for file in files:
            image = Image.open(file).convert("RGB")
            scale = 256 / min(image.size)
            size = tuple(int(side * scale) for side in image.size)
            image = image.resize(size, Image.Resampling.BICUBIC)
            left, top = (image.width - 224) // 2, (image.height - 224) // 2
            crop = image.crop((left, top, left + 224, top + 224))
            planes = (np.asarray(crop, np.float32) / 255 - 0.5) / 0.5
            (logits,) = session.run(None, {"x": planes.transpose(2, 0, 1)[None]})
            np.argsort(-logits[0])[:5]

    return predict


def one_by_one(model: pvzoo.Model) -> Way:
    """All files, one after the other."""

    def predict(files: list[Path]) -> None:
        for file in files:
            model.predict(file)

    return predict


def streamed(model: pvzoo.Model) -> Way:
    """All files, read ahead."""
    return lambda files: list(model.stream(files, progress=False))


def pipeline(task: str, folder: Path) -> Way:
    """`transformers.pipeline`, as its documentation calls it."""
    pipe = transformers.pipeline(task, model=str(folder), device="cpu")
    return lambda files: [pipe(str(file)) for file in files]


def compare(name: str, ways: dict[str, Way], files: list[Path], turns: int, rounds: int) -> None:
    """Let ways take turns; print images a second, and each one's ratio to the first."""
    for way in ways.values():
        way(files)
    seconds: dict[str, list[float]] = {key: [] for key in ways}
    for _ in range(turns):
        for key, way in ways.items():
            began = time.perf_counter()
            for _ in range(rounds):
                way(files)
            seconds[key].append(time.perf_counter() - began)
    first = next(iter(ways))
    for key, taken in seconds.items():
        ratio = statistics.median(a / b for a, b in zip(seconds[first], taken, strict=True))
        rate = rounds * len(files) / statistics.median(taken)
        print(f"| {name} | {key} | {rate:.1f} | {ratio:.2f} |", flush=True)


def exported(original: pvzoo.Model, folder: Path) -> dict[str, Way]:
    """The original, and its export in both runtimes."""
    ways = {"PyTorch": one_by_one(original)}
    if not folder.exists():
        original.export(folder)
    for runtime in ("onnxruntime", "openvino"):
        model = pvzoo.load(folder, runtime=runtime)
        ways[runtime] = one_by_one(model)
        ways[f"{runtime}, stream"] = streamed(model)
    return ways


def detr(folder: Path) -> None:
    """A DETR-R50 of random weights, if it is not there yet."""
    if folder.exists():
        return
    torch.manual_seed(0)
    backbone = transformers.ResNetConfig(out_features=["stage4"])
    config = transformers.DetrConfig(
        backbone_config=backbone, use_timm_backbone=False, backbone=None, num_labels=91
    )
    transformers.DetrForObjectDetection(config).save_pretrained(folder)
    transformers.DetrImageProcessor().save_pretrained(folder)


# from a small process: what the one before had counts as memory of the new one
_LAUNCH = """
import os, subprocess, sys, time
began = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
_, status, used = os.wait4(process.pid, 0)
print(status, time.perf_counter() - began, used.ru_maxrss / 1024)
"""


def cold(command: list[str]) -> tuple[float, float]:
    """Seconds that a process takes, and MiB it has at most: the least of three."""
    taken = []
    for _ in range(3):
        launch = [sys.executable, "-c", _LAUNCH, *command]
        done = subprocess.run(launch, capture_output=True, text=True, check=True)
        status, seconds, most = done.stdout.split()
        if status != "0":
            raise SystemExit(f"{command} failed")
        taken.append((float(seconds), float(most)))
    return min(taken)


def main() -> None:
    """Print a table of throughput, and one of cold starts."""
    files = sorted(IMAGES.glob("*.jpg"))
    home = Path(sys.argv[1])
    print(f"load: {os.getloadavg()[0]:.1f}")
    print("| model | run by | images/s | ratio to PyTorch |\n| --- | --- | --- | --- |")
    home.mkdir(exist_ok=True)
    lite = pvzoo.load("efficientnet-lite0-pip", device="cpu")
    ways = exported(lite, home / "lite")
    ways["bare ONNX Runtime"] = bare(home / "lite")
    if not (home / "timm").exists():
        lite.save(home / "timm")
    ways["transformers.pipeline"] = pipeline("image-classification", home / "timm")
    compare("efficientnet-lite0-pip", ways, files, TURNS, 2)
    for name in ("shapes-detector", "shapes-mask2former-panoptic"):
        ways = exported(pvzoo.load(name, device="cpu"), home / name)
        compare(name, ways, files, TURNS, 2)
    detr(home / "detr")
    ways = exported(pvzoo.load(home / "detr", device="cpu"), home / "detr-export")
    ways["transformers.pipeline"] = pipeline("object-detection", home / "detr")
    compare("DETR-R50", ways, files[:4], 3, 1)
    predict = [sys.executable, "-m", "pvzoo", "predict", str(files[0]), "--model"]
    code = (
        "from transformers import pipeline; "
        f"pipeline('image-classification', model={str(home / 'timm')!r})({str(files[0])!r})"
    )
    print("\n| process | seconds | MiB |\n| --- | --- | --- |")
    for what, command in {
        "`pvzoo predict`, exported": [*predict, str(home / "lite")],
        "`pvzoo predict`, PyTorch": [*predict, "efficientnet-lite0-pip"],
        "`transformers.pipeline`": [sys.executable, "-c", code],
    }.items():
        print("| {} | {:.2f} | {:.0f} |".format(what, *cold(command)), flush=True)


if __name__ == "__main__":
    main()
