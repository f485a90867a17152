"""The losses of DETR and MaskFormer on images that processes share out; see test_fine_tune.py.

Arguments: the folder of the checkpoints, and where to write the losses of this process, as JSON.
"""

import json
import os
import sys
from pathlib import Path

import colour_model
import torch

import pvzoo
from pvzoo.data import schema
from pvzoo.networks.base import TargetClasses
from pvzoo.processes import processes
from pvzoo.training.samples import Samples

NETWORKS = {"detr_resnet": schema.DETECTION, "maskformer": schema.PANOPTIC}


def main(folder: str, answer: str) -> None:
    state = processes()
    losses = {}
    for name, task in NETWORKS.items():
        images = Path(answer) / os.environ.get("RANK", "alone") / name
        samples = Samples(colour_model.dataset(task, images, 4, size=(64, 64)), None, 0)
        classes = TargetClasses(samples.names, (None,) * 4, stuff=("background",))
        start = pvzoo.load(Path(folder) / name, task=task, device="cpu").network
        adapter = start.retarget(classes, image_size=None, seed=0)
        adapter.module.eval()
        own = range(state.process_index, 4, state.num_processes)
        images, targets, _ = zip(*(samples[0, i] for i in own), strict=True)
        with torch.no_grad():
            losses[name] = float(adapter.loss(adapter.module, adapter.batch(images, targets)))
    losses["processes"] = state.num_processes
    Path(answer, f"{state.process_index}.json").write_text(json.dumps(losses), encoding="utf-8")


main(*sys.argv[1:])
