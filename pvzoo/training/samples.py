"""A row of labelled data -> a picture and its target, as tensors that torchvision can transform."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from datasets import Image as ImageColumn
from PIL import Image
from pycocotools import mask as coco
from torch.utils.data import Dataset as TorchDataset
from torchvision.tv_tensors import BoundingBoxes, Mask

from pvzoo.data.maps import read_map, replaced
from pvzoo.data.schema import VOID, class_names
from pvzoo.inputs.images import open_image
from pvzoo.training.augment import Target, seeded, tidy

Transform = Callable[[Image.Image, Target], tuple[Image.Image, Target]]


class Samples(TorchDataset):
    """Pictures and targets of a canonical dataset, by (epoch, place).

    A target is a dict of

    * ``label`` (int), or ``labels`` ((classes,) float32 of 0 and 1), for classification;
    * ``boxes`` ((n, 4) float32 `BoundingBoxes`, left, top, right, bottom in pixels) and
      ``categories`` ((n,) int64) for detection; crowds and ignored objects are left out, as DETR's
      authors do;
    * also ``masks`` ((n, height, width) bool `Mask`) for instance segmentation;
    * ``map`` ((height, width) int32 `Mask`) for semantic segmentation (class ids, -1 for void) and
      panoptic segmentation (places in ``categories``, -1 for void and crowds).

    Args:
        dataset: In the columns of `pvzoo.data.schema`.
        transform: Changes picture and target together; None for no change. It may draw on any of
            the global random generators of Python, NumPy and torch: they are seeded for each call
            by (seed, epoch, place), so that neither the order of images nor a resumed run nor a
            number of workers changes what an image becomes.
        seed: See `transform`.
    """

    def __init__(self, dataset: Dataset, transform: Transform | None, seed: int) -> None:
        for name, feature in dataset.features.items():
            if isinstance(feature, ImageColumn):
                dataset = dataset.cast_column(name, ImageColumn(decode=False))
        self._dataset = dataset.with_format(None)
        self.names = class_names(dataset.features)
        self._transform = transform
        self._seed = seed

    def __len__(self) -> int:
        return len(self._dataset)

    def name_of(self, index: int) -> str:
        """What messages call an image."""
        return self._dataset[index]["file_name"]

    def __getitem__(self, place: tuple[int, int]) -> tuple[Image.Image, Target, tuple[int, int]]:
        """(picture, target, place) of image ``place[1]`` in epoch ``place[0]``; upright and RGB."""
        epoch, index = place
        row = self._dataset[index]
        picture = open_image(row["image"])
        target = _target(row, picture, len(self.names))
        if self._transform is not None:
            with seeded(self._seed, epoch, index):
                picture, target = self._transform(picture, target)
        return picture, tidy(picture, target), place


def _target(row: Mapping[str, Any], picture: Image.Image, classes: int) -> Target:
    if "label" in row:
        return {"label": row["label"]}
    if "labels" in row:
        labels = torch.zeros(classes)
        labels[row["labels"] or []] = 1
        return {"labels": labels}
    if "objects" in row:
        return _objects(row["objects"], picture.size[::-1])
    return _map(row)


def _objects(objects: Mapping[str, Any], size: tuple[int, int]) -> Target:
    kept = [
        i
        for i, apart in enumerate(zip(objects["iscrowd"], objects["ignore"], strict=True))
        if not any(apart)
    ]
    boxes = torch.tensor([objects["bbox"][i] for i in kept], dtype=torch.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    target: Target = {
        "boxes": BoundingBoxes(boxes, format="XYXY", canvas_size=size),
        "categories": torch.tensor([objects["category"][i] for i in kept], dtype=torch.int64),
    }
    if "segmentation" in objects:
        masks = np.zeros((len(kept), *size), dtype=bool)
        for mask, i in zip(masks, kept, strict=True):
            mask[:] = coco.decode(objects["segmentation"][i])
        target["masks"] = Mask(torch.from_numpy(masks))
    return target


def _map(row: Mapping[str, Any]) -> Target:
    values = read_map(row["annotation"], row["file_name"])
    segments = row["segments"]
    ids, categories = segments["id"], segments["category"]
    if "isthing" not in segments:
        table = dict(zip(ids, categories, strict=True))
        return {"map": Mask(torch.from_numpy(replaced(values, table, VOID)))}
    kept = [
        i
        for i, (category, crowd) in enumerate(zip(categories, segments["iscrowd"], strict=True))
        if category != VOID and not crowd
    ]
    places = replaced(values, {ids[i]: place for place, i in enumerate(kept)}, VOID)
    return {
        "map": Mask(torch.from_numpy(places)),
        "categories": torch.tensor([categories[i] for i in kept], dtype=torch.int64),
    }
