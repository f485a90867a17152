"""A short run of fine-tuning, for tests that kill it or run it in several processes.

Arguments: the folder to work in, and the kinds of network to train. What `fine_tune` writes is in
``<folder>/<kind>``; ``<kind>.sha256`` says what the weights at the end are, with ``.1`` and so on
for those of further processes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import checkpoints
import colour_model
import detection_families
import pytest
import segmentation_families
from transformers import TrainerCallback

import pvzoo
from pvzoo.data import schema
from pvzoo.processes import processes
from pvzoo.training.identity import of_weights

KINDS = {
    "classifier": schema.CLASSIFICATION,
    "detector": schema.DETECTION,
    "mask2former": schema.PANOPTIC,
}


def untrained(kind: str, folder: Path) -> Path:
    """A tiny random checkpoint of the kind, with dropout, so that randomness matters."""
    if folder.exists():
        return folder
    if kind == "classifier":
        checkpoints.transformers_folder(folder, "vit", hidden_dropout_prob=0.1)
    elif kind == "detector":
        folder.mkdir(parents=True)
        detection_families.build("rt_detr_v2", folder)
    else:
        segmentation_families.build("mask2former_resnet", folder)
    return folder


def tune(kind: str, folder: Path, **options) -> pvzoo.Model:
    """Three epochs of four steps."""
    number = processes().process_index  # each has files of its own: they are written here
    images = folder / (f"images-{number}" if number else "images")
    data = colour_model.dataset(KINDS[kind], images, 12, size=(64, 64))
    train, held_out = data.select(range(8)), data.select(range(8, 12))
    task = KINDS[kind] if kind == "mask2former" else None
    model = pvzoo.load(untrained(kind, folder / f"untrained-{kind}"), task=task, device="cpu")
    settings = {"epochs": 3, "batch_size": 2, "seed": 3, "learning_rate": 1e-3}
    settings["output_dir"] = folder / kind
    return model.fine_tune(train, held_out, **{**settings, **options})


def stopped(folder: Path, step: int, kind: str = "classifier", **options) -> None:
    """A run that ends by an exception after a step, with its checkpoints there."""

    class Stop(TrainerCallback):
        def on_step_end(self, args, state, control, **_):
            if state.global_step == step:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(kind, folder, callbacks=[Stop()], **options)


def main(folder: str, *kinds: str) -> None:
    """Train each kind; each process writes what came out."""
    for kind in kinds:
        tuned = tune(kind, Path(folder))
        state = processes()
        said = f"{of_weights(tuned.network.module)} {state.num_processes}"
        number = "" if state.is_main_process else f".{state.process_index}"
        Path(folder, f"{kind}.sha256{number}").write_text(said, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
