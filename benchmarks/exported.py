"""Compare exported models with PyTorch and with a bare runtime, on JPEG files; and cold starts.

    python benchmarks/exported.py               # about five minutes on two cores

The models are EfficientNet-Lite0 and the small networks of pvzoo-shapes. Each is exported for ONNX
Runtime and OpenVINO. Then all predict the same files in turns, one image at a time; a figure is the
median of the ratios of turns. "bare" uses only ONNX Runtime and Pillow, and is written for this one
network. A cold start is a whole process, from its start to its end.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

import pvzoo
from pvzoo.export.reference import IMAGES

TURNS = 7
ROUNDS = 4
"""The number of times that a turn predicts all images."""


def bare(folder: Path) -> Callable[[list[Path]], None]:
    """EfficientNet-Lite0 in a plain script with Pillow, numpy and ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    session = onnxruntime.InferenceSession(folder / "model.onnx", options)

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


def one_by_one(model: pvzoo.Model) -> Callable[[list[Path]], None]:
    """A function that predicts all files, one after the other."""

    def predict(files: list[Path]) -> None:
        for file in files:
            model.predict(file)

    return predict


def compare(name: str, ways: dict[str, Callable[[list[Path]], None]], files: list[Path]) -> None:
    """Run the ways in turns; print images per second, and the ratio of each way to the first."""
    for way in ways.values():
        way(files)
    seconds: dict[str, list[float]] = {key: [] for key in ways}
    for _ in range(TURNS):
        for key, way in ways.items():
            began = time.perf_counter()
            for _ in range(ROUNDS):
                way(files)
            seconds[key].append(time.perf_counter() - began)
    first = next(iter(ways))
    for key, taken in seconds.items():
        ratio = statistics.median(a / b for a, b in zip(seconds[first], taken, strict=True))
        rate = ROUNDS * len(files) / statistics.median(taken)
        print(f"| {name} | {key} | {rate:.1f} | {ratio:.2f} |", flush=True)


def cold(command: list[str]) -> float:
    """The seconds that a process takes; the smallest of three runs."""
    taken = []
    for _ in range(3):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        taken.append(time.perf_counter() - began)
    return min(taken)


def main() -> None:
    """Print a table of throughput, and one of cold starts."""
    files = sorted(IMAGES.glob("*.jpg"))
    with tempfile.TemporaryDirectory() as home:
        print("| model | run by | images/s | ratio to PyTorch |\n| --- | --- | --- | --- |")
        for name in ("efficientnet-lite0-pip", "shapes-detector", "shapes-mask2former-panoptic"):
            original = pvzoo.load(name, device="cpu")
            ways = {"PyTorch": one_by_one(original)}
            for runtime in ("onnxruntime", "openvino"):
                folder = Path(home) / f"{name}-{runtime}"
                original.export(folder, runtime=runtime)
                ways[runtime] = one_by_one(pvzoo.load(folder))
            if name == "efficientnet-lite0-pip":
                ways["bare ONNX Runtime"] = bare(Path(home) / f"{name}-onnxruntime")
            compare(name, ways, files)
        exported = str(Path(home) / "efficientnet-lite0-pip-onnxruntime")
        command = [sys.executable, "-m", "pvzoo", "predict", str(files[0]), "--model"]
        print("\n| `pvzoo predict` of | seconds |\n| --- | --- |")
        print(f"| the exported folder | {cold([*command, exported]):.2f} |")
        print(f"| the original, with PyTorch | {cold([*command, 'efficientnet-lite0-pip']):.2f} |")


if __name__ == "__main__":
    main()
