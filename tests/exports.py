"""Small models and their exports, and ways to break an export."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import detection_families
import numpy as np
from checkpoints import timm_folder

from pvzoo.export import manifest
from pvzoo.thresholds.values import Thresholds

CLASSES = tuple(f"class {n}" for n in range(30))


def write_classifier(folder: Path) -> None:
    """A tiny timm network of 30 classes, whose scores are well apart."""
    timm_folder(
        folder,
        "test_vit",
        num_classes=len(CLASSES),
        config={"label_names": list(CLASSES)},
    )


def write_detector(folder: Path) -> None:
    """A tiny DETR, which takes images of any size."""
    detection_families.build("detr_resnet", folder)


Break = Callable[[Path, dict[str, Any]], None]
BREAKS: dict[str, tuple[str, str, Break]] = {}
"""By what is broken: whose export, the stage at which it shows, and what breaks it."""


def breaks(what: str, model: str, stage: str) -> Callable[[Break], Break]:
    def kept(broken: Break) -> Break:
        BREAKS[what] = (model, stage, broken)
        return broken

    return kept


def broken(export: Path, folder: Path, broken: Break) -> Path:
    """A copy of an export that somebody changed, with the digests of what it holds now."""
    shutil.copytree(export, folder)
    told = json.loads((folder / manifest.NAME).read_text())
    broken(folder, told)
    told["files"] = manifest.stated(folder, [*told["files"]])
    (folder / manifest.NAME).write_text(json.dumps(told))
    return folder


def _steps(told: dict[str, Any]) -> list[dict[str, Any]]:
    return told["spec"]["steps"]


def _step(told: dict[str, Any], name: str) -> dict[str, Any]:
    return next(step for step in _steps(told) if step["step"] == name)


@breaks("labels shifted by one", "detector", "postprocessing")
def _(folder: Path, told: dict[str, Any]) -> None:
    labels = told["spec"]["labels"]
    told["spec"]["labels"] = [*labels[1:], labels[0]]


@breaks("a wrong mean", "classifier", "preprocessing")
def _(folder: Path, told: dict[str, Any]) -> None:
    step = _step(told, "Normalize")
    step["mean"] = [m + 0.01 for m in step["mean"]]


@breaks("BGR", "classifier", "preprocessing")
def _(folder: Path, told: dict[str, Any]) -> None:
    _steps(told).insert(0, {"step": "Channels", "order": [2, 1, 0]})


@breaks("a resize without antialias", "detector", "preprocessing")
def _(folder: Path, told: dict[str, Any]) -> None:
    _step(told, "Resize")["antialias"] = False


@breaks("a step left out", "classifier", "preprocessing")
def _(folder: Path, told: dict[str, Any]) -> None:
    _steps(told).remove(_step(told, "CenterCrop"))


@breaks("the batch fixed", "classifier", "graph")
def _(folder: Path, told: dict[str, Any]) -> None:
    import onnx

    model = onnx.load(folder / "model.onnx")
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(model, folder / "model.onnx")


@breaks("one layer changed by one percent", "classifier", "graph")
def _(folder: Path, told: dict[str, Any]) -> None:
    import onnx
    from onnx import numpy_helper

    model = onnx.load(folder / "model.onnx")
    layer = max(
        (t for t in model.graph.initializer if t.data_type == onnx.TensorProto.FLOAT),
        key=lambda tensor: np.prod(tensor.dims),
    )
    changed = numpy_helper.to_array(layer) * np.float32(1.01)
    layer.CopyFrom(numpy_helper.from_array(changed, layer.name))
    onnx.save(model, folder / "model.onnx")


@breaks("boxes in another format", "detector", "graph")
def _(folder: Path, told: dict[str, Any]) -> None:
    import onnx
    from onnx import numpy_helper

    model = onnx.load(folder / "model.onnx")
    for node in model.graph.node:
        node.output[:] = ["centres" if name == "pred_boxes" else name for name in node.output]
    order = numpy_helper.from_array(np.array([2, 3, 0, 1]), "order")
    model.graph.initializer.append(order)
    model.graph.node.append(
        onnx.helper.make_node("Gather", ["centres", "order"], ["pred_boxes"], axis=-1)
    )
    onnx.save(model, folder / "model.onnx")


@breaks("another network's file", "classifier", "graph")
def _(folder: Path, told: dict[str, Any]) -> None:
    import onnx
    from onnx import numpy_helper

    model = onnx.load(folder / "model.onnx")
    random = np.random.default_rng(0)
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) > 1:
            array = numpy_helper.to_array(tensor)
            drawn = random.normal(0, array.std() + 1e-6, array.shape).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(drawn, tensor.name))
    onnx.save(model, folder / "model.onnx")


@breaks("the reading of another family", "detector", "postprocessing")
def _(folder: Path, told: dict[str, Any]) -> None:
    told["spec"]["family"] = "rt_detr"  # sigmoids, and the best pairs of queries and classes


@breaks("thresholds of another model", "detector", "postprocessing")
def _(folder: Path, told: dict[str, Any]) -> None:
    told["thresholds"] = Thresholds("object-detection", 0.31).to_json()
