"""Turn a row of labelled data into an image and a target that torchvision can transform."""

from __future__ import annotations

import hashlib

from datasets import Dataset
from datasets import Image as ImageColumn
from PIL import Image
from torch.utils.data import Dataset as TorchDataset

from pvzoo.data.schema import class_names, task_for
from pvzoo.inputs.images import open_image
from pvzoo.networks.randomness import seeded
from pvzoo.plugins.calls import calling
from pvzoo.training.targets.base import Target, Transform, training_of


class Samples(TorchDataset[tuple[Image.Image, Target, tuple[int, int]]]):
    """Images and targets of a canonical dataset, indexed by (epoch, index).

    The task's `Training` makes the target from a row, for example boxes with their classes.

    Args:
        dataset: A dataset with the columns of `pvzoo.data.schema`.
        transform: Changes image and target together; None for no change. It may use the global
            random generators of Python, NumPy and torch. They are seeded for each call by
            (seed, epoch, index), so the result does not depend on the order of the images, on
            resuming a run or on the number of workers.
        seed: See `transform`.
    """

    def __init__(self, dataset: Dataset, transform: Transform | None, seed: int) -> None:
        self.training = training_of(task_for(dataset.features))
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
        """The name of an image, for messages."""
        return str(self._dataset[index]["file_name"])

    def __getitem__(self, key: tuple[int, int]) -> tuple[Image.Image, Target, tuple[int, int]]:
        """(image, target, key) of image ``key[1]`` in epoch ``key[0]``; upright and RGB."""
        epoch, index = key
        row = self._dataset[index]
        image = open_image(row["image"])
        with calling(self.training, "target"):
            target = self.training.target(row, image, len(self.names))
        if self._transform is not None:
            with seeded(_seed_of(self._seed, epoch, index)):
                image, target = self._transform(image, target)
        with calling(self.training, "tidy"):
            return image, self.training.tidy(image, target), key


def _seed_of(*key: int) -> int:
    return int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:4], "big")
