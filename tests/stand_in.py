"""A stand-in for a network: it costs nothing, or sleeps, and other processes can load it too.

As a plugin has it, its adapter is named by an entry point; `install` writes one into a folder that
is then on the path of Python.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pvzoo.adapters.base import Adapter, Arrays, Checkpoint, Meta, Spec
from pvzoo.adapters.classification import classify, probabilities

LABELS = ("red", "green", "blue")


class StandIn(Adapter):
    """Scores the colours of one pixel; sleeps ``seconds`` for each image, if its config says so."""

    tasks = ("image-classification",)

    def __init__(self, seconds: float) -> None:
        super().__init__(Spec("stand-in:stand-in", "image-classification", LABELS))
        self._seconds = seconds

    @classmethod
    def matches(cls, config: Mapping[str, Any]) -> bool:
        return config.get("model_type") == "stand-in"

    @classmethod
    def open(cls, checkpoint: Checkpoint, *, task: str | None) -> StandIn:
        return cls(checkpoint.config["seconds"])

    def preprocess(self, image: Image.Image, **prompts: Any) -> tuple[Arrays, Meta]:
        pixel = image.getpixel((image.width // 2, image.height // 2))
        return {"pixels": np.array([pixel], np.float32)}, {"size": image.size[::-1]}

    def compute(self, inputs: Arrays) -> Arrays:
        if self._seconds:
            time.sleep(self._seconds * len(inputs["pixels"]))
        return {"logits": inputs["pixels"] / 64}

    def postprocess(self, outputs: dict[str, Any], meta: Meta, **controls: Any) -> Any:
        scores = probabilities(outputs["logits"], False)[0]
        return classify(scores, self.labels, meta["size"], multi_label=False, **controls)


def install(folder: Path) -> Path:
    """Write the plugin into a new folder, which goes on the path of Python."""
    about = folder / "stand_in-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: stand-in\nVersion: 1.0\n")
    parts = "[pvzoo.adapters]\nstand-in = stand_in:StandIn\n[pvzoo.contract]\n2 = stand_in\n"
    (about / "entry_points.txt").write_text(parts)
    (folder / "stand_in.py").write_bytes(Path(__file__).read_bytes())
    return folder


def write_model(folder: Path, seconds: float = 0.0) -> Path:
    """A new folder that `pvzoo.load` opens as a stand-in."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "stand-in", "seconds": seconds}))
    (folder / "model.safetensors").write_bytes(b"")
    return folder


def environment(plugin: Path) -> dict[str, str]:
    """The environment of a process that has the plugin."""
    path = os.pathsep.join(filter(None, [str(plugin), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path}
