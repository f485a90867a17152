"""The contract of a task's training: its targets and how images are varied."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from PIL import Image
from torchvision.transforms import v2

from pvzoo.errors import DataError
from pvzoo.families.recipes import PLAIN, Recipe
from pvzoo.plugins import registry
from pvzoo.tasks.base import Task

Target = dict[str, Any]
"""What is to be learnt of an image; `pvzoo.networks.base.Network.batch` takes it."""

Transform = Callable[[Image.Image, Target], tuple[Image.Image, Target]]
"""Changes image and target together."""


def composed(*transforms: Any) -> Transform:
    """Several of torchvision, one after the other."""
    transform: Transform = v2.Compose(list(transforms))
    return transform


@dataclass(frozen=True)
class HeadLoss:
    """How the head of a network is trained alone, where the loss follows from its logits.

    `pvzoo.networks.base.Network.batch` of such a task has its targets under the key ``labels``, and
    ``forward`` gives ``logits``.

    Attributes:
        targets: The targets of a batch, as `loss` takes them.
        loss: The loss of (n, ...) logits with these.
    """

    targets: Callable[[Sequence[Target]], torch.Tensor]
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Training(ABC):
    """What training needs to know of a task; `pvzoo.tasks.base.Task.training` names a subclass.

    Class attributes:
        recipe: How networks are trained whose family has no recipe of its own.
        head: How a head alone is trained; None where the loss needs more than its logits.
    """

    recipe: ClassVar[Recipe] = PLAIN
    head: ClassVar[HeadLoss | None] = None

    @abstractmethod
    def target(self, row: Mapping[str, Any], image: Image.Image, classes: int) -> Target:
        """What is to be learnt of an image.

        Args:
            row: Of labelled data (`pvzoo.data.schema`), images not decoded.
            image: Its image, upright RGB.
            classes: How many classes the data has.

        Returns:
            What lies in the image are tv_tensors of torchvision, which its transforms move along.
        """

    @abstractmethod
    def row(self, target: Target, size: tuple[int, int], classes: int) -> dict[str, Any]:
        """The way back: a target as the columns of labelled data, for an image of what is learnt.

        Args:
            target: Perhaps transformed.
            size: (width, height) of its image.
            classes: How many classes the data has.
        """

    def fault_of(self, names: Sequence[str], *, multi_label: bool) -> DataError | None:
        """Why there is nothing to learn with the classes of some data; None if there is.

        Args:
            names: The classes.
            multi_label: Whether an image may be of several.
        """
        return None

    def augmentation(self) -> Transform:
        """How images are varied unless the caller says otherwise: colours and a flip."""
        return composed(v2.RandomPhotometricDistort(p=0.5), v2.RandomHorizontalFlip())

    def tidy(self, image: Image.Image, target: Target) -> Target:
        """A target without what a transform moved out of the image."""
        return target

    def example(
        self, image: Image.Image, things: Sequence[tuple[int, tuple[int, int, int, int]]]
    ) -> Target | None:
        """A target for a drawn image, for the suite of `pvzoo.testing`; None if there is none.

        Args:
            image: With filled rectangles on a background.
            things: Of each its class, 1 or 2, and its left, top, right and bottom; the background
                is of class 0.
        """
        return None


def training_of(task: Task) -> Training:
    """What training needs to know of a task that has it."""
    training: Training = registry.named(task.training or "")()
    return training
