"""Tiny trained networks of every family: what the page of parity is made from.

    python tests/trained_models.py [NAME ...]

Each begins as the small random network that other tests use, and is trained by `fine_tune` for some
hundred steps on drawn scenes (seed 0), so that its scores differ as a trained network's do. It is
not a good one. The weights are kept in float16 in ``tests/trained``; tests only read them.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import checkpoints
import classification_families
import detection_families
import segmentation_families
import torch
import transformers
from safetensors.torch import load_file, save_file

import pvzoo
from pvzoo.data import schema

HOME = Path(__file__).parent / "trained"
SCENES = 320
BATCH = 4
SIDE = 96
SHAPES = ("disc", "square", "triangle", "star")
"""With the four kinds of stuff they are as many classes as the small segmenters have."""
UNIVERSAL = ("AutoModelForUniversalSegmentation", "AutoModelForInstanceSegmentation")
SWIN = ("mask2former_swin", "maskformer", "oneformer")
CLASSES = (*SHAPES, *"abcd")
NAMED = {"semantic": schema.SEMANTIC, "instance": schema.INSTANCE, "panoptic": schema.PANOPTIC}


@dataclass(frozen=True)
class Trained:
    """How a checkpoint comes to be.

    Attributes:
        build: Writes the random network into a folder.
        tasks: What it is used for; the first is what it is trained for.
        rate: The highest learning rate; 0 for those that keep their random weights.
        epochs: How often every scene is seen.
        loss: What is learnt by a network that `fine_tune` does not train.
        windows: Whether its processor cuts images into windows, once it is trained.
    """

    build: Callable[[Path], object]
    tasks: tuple[str, ...]
    rate: float = 3e-4
    epochs: int = 2
    loss: Callable[[Any, dict[str, Any]], torch.Tensor] | None = None
    windows: bool = False


def _classifiers() -> dict[str, Trained]:
    found = {}
    for name in checkpoints.FAMILIES:
        write = partial(checkpoints.transformers_folder, family=name, labels=CLASSES)
        found[f"{name}-classifier"] = Trained(write, (schema.CLASSIFICATION,), 1e-3, 1)
    for name in classification_families.FAMILIES:
        write = partial(classification_families.build, name, labels=CLASSES)
        found[f"{name}-classifier"] = Trained(write, (schema.CLASSIFICATION,), rate=0.0)
    for name in ("test_convnext", "test_efficientnet", "test_resnet", "test_vit"):
        found[f"timm-{name}"] = Trained(
            partial(_write_timm, name), (schema.CLASSIFICATION,), 1e-3, 1
        )
    return found


def _write_timm(architecture: str, folder: Path) -> None:
    options = {"num_classes": len(CLASSES), "config": {"label_names": CLASSES}}
    checkpoints.timm_folder(folder, architecture, **options)


def _detectors() -> dict[str, Trained]:
    found = {
        name: Trained(partial(detection_families.build, name), (schema.DETECTION,))
        for name in detection_families.FAMILIES
    }
    layouts = {"pp_doclayout_v2": 0.0, "pp_doclayout_v3": 1e-3, "pp_doclayout_v4": 0.0}
    for name, rate in layouts.items():
        write = partial(_write_as_initialised, name)
        found[name] = Trained(write, (schema.DETECTION,), rate, loss=_layout_loss)
    return found


def _write_as_initialised(family: str, folder: Path) -> None:
    """The random weights of other tests make this decoder multiply rounding by a thousand."""
    recipe = detection_families.RECIPES[family]
    torch.manual_seed(0)
    getattr(transformers, recipe.model)(recipe.config()).save_pretrained(folder)
    processor = getattr(transformers, recipe.processor)(**recipe.processor_options)
    processor.save_pretrained(folder)


def _segmenters() -> dict[str, Trained]:
    found = {}
    for name, family in segmentation_families.FAMILIES.items():
        tasks = NAMED if name == "maskformer" else family.tasks
        tasks = sorted(tasks, key=["panoptic", "instance", "semantic"].index)
        windows = name.startswith("eomt") and name.endswith("semantic")
        built = name.replace("semantic", "panoptic") if windows else name
        found[f"{name}_maps" if name in detection_families.FAMILIES else name] = Trained(
            partial(_write_segmenter, built),
            tuple(NAMED[task] for task in tasks),
            rate=3e-4 if family.auto in UNIVERSAL else 1e-3,
            loss=_own_loss if name == "oneformer" else None,
            windows=windows,
        )
    return found


def _write_segmenter(family: str, folder: Path) -> None:
    """Those with a Swin get one size: in free sizes its export takes minutes."""
    segmentation_families.build(family, folder)
    if family in SWIN:
        for file in folder.glob("*processor*.json"):
            settings = json.loads(file.read_text())
            images = settings.get("image_processor", settings)
            images["size"] = {"height": 64, "width": 64}
            file.write_text(json.dumps(settings))


def train(name: str, work: Path) -> Path:
    """Build and train a network in a folder; where it is then."""
    import pvzoo_shapes

    how = CHECKPOINTS[name]
    start = work / "start"
    how.build(start)
    task = how.tasks[0]
    data = pvzoo_shapes.scenes(task, count=SCENES, size=SIDE, seed=0, shapes=SHAPES)
    names = schema.class_names(data.features)
    _rename(start, names)
    model = pvzoo.load(start, task=task, device="cpu")
    if how.loss:
        _train_by_hand(model.network, how, data)
        model.network.module.save_pretrained(start)
        return start
    model.fine_tune(
        data,
        epochs=how.epochs,
        batch_size=BATCH,
        learning_rate={"backbone": how.rate, "rest": how.rate},
        augment=False,
        seed=0,
        trainer_args={"lr_scheduler_type": "cosine"},
        output_dir=work / "run",
    )
    if how.windows:
        segmentation_families.eomt_processor(split=True).save_pretrained(work / "run")
    return work / "run"


def _train_by_hand(network: Any, how: Trained, data: Any) -> None:
    """As `fine_tune` would, with a loss that it does not know."""
    from pvzoo.training.samples import Samples

    torch.manual_seed(0)
    samples = Samples(data, None, 0)
    steps = how.epochs * len(samples) // BATCH
    optimiser = torch.optim.AdamW(network.module.parameters(), lr=how.rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    network.module.train()
    for step in range(steps):
        drawn = [samples[0, (step * BATCH + k) % len(samples)] for k in range(BATCH)]
        batch = network.batch([image for image, _, _ in drawn], [target for _, target, _ in drawn])
        loss = how.loss(network, batch)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.module.parameters(), 0.1)
        optimiser.step()
        schedule.step()
    print(f"loss {loss.item():.2f}")


def _own_loss(network: Any, batch: dict[str, Any]) -> torch.Tensor:
    """OneFormer's without that of its texts, which its config turns off."""
    return network.module(**batch).loss.sum()


def _layout_loss(network: Any, batch: dict[str, Any]) -> torch.Tensor:
    """RT-DETR's, whose detector PP-DocLayout has; the order of reading is left as it is."""
    from transformers.loss.loss_rt_detr import RTDetrForObjectDetectionLoss

    labels = batch.pop("labels")
    found = network.module(**batch)
    config = transformers.RTDetrConfig(num_labels=found.logits.shape[-1], auxiliary_loss=False)
    return RTDetrForObjectDetectionLoss(
        found.logits, labels, found.logits.device, found.pred_boxes, config
    )[0]


def _rename(folder: Path, names: tuple[str, ...]) -> None:
    """Call the first classes that have a name by those of the data, so that their heads are kept.

    All heads of the small networks find something already, each something else.
    """
    file = folder / "config.json"
    config = json.loads(file.read_text())
    if "id2label" not in config:  # timm's
        return
    labels = {int(key): value for key, value in config["id2label"].items()}
    free = [index for index in sorted(labels) if labels[index] not in ("N/A", "")]
    labels.update(zip(free, names, strict=False))
    config["id2label"] = {str(key): value for key, value in labels.items()}
    config["label2id"] = {value: key for key, value in labels.items()}
    file.write_text(json.dumps(config))


CHECKPOINTS: dict[str, Trained] = {**_classifiers(), **_detectors(), **_segmenters()}


def keep(run: Path, folder: Path) -> None:
    """Copy what opens a network, with its weights in float16."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file in sorted(run.glob("*.json")) + sorted(run.glob("*.txt")):
        if file.name in ("run.json", "report.json"):
            continue
        text = file.read_text()
        if file.suffix == ".json":
            text = json.dumps(json.loads(text), separators=(",", ":"))
        (folder / file.name).write_text(text)
    tensors = load_file(run / "model.safetensors")
    halved = {name: _half(values).contiguous() for name, values in tensors.items()}
    save_file(halved, folder / "model.safetensors", {"format": "pt"})


def _half(values: torch.Tensor) -> torch.Tensor:
    """In float16, unless a number is too large for it, such as a variance."""
    small = values.half() if values.dtype == torch.float32 else values
    return small if small.isfinite().all() else values


def opened(name: str, task: str) -> pvzoo.Model:
    """A network, in float32 on the CPU; one that is not trained is built."""
    how = CHECKPOINTS[name]
    with tempfile.TemporaryDirectory() as folder:
        if not how.rate:
            how.build(Path(folder))
        kept = HOME / name if how.rate else Path(folder)
        return pvzoo.load(kept, task=task, device="cpu", dtype="float32")


def main(names: list[str]) -> None:
    """Make them anew."""
    for name in names or [name for name, how in CHECKPOINTS.items() if how.rate]:
        with tempfile.TemporaryDirectory() as work:
            keep(train(name, Path(work)), HOME / name)
        size = (HOME / name / "model.safetensors").stat().st_size
        print(f"{name}: {size / 1e6:.2f} MB", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
