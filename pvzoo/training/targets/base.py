"""The contract of a task's training: its targets and its augmentation."""

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
from pvzoo.plugins.calls import calling, fault_of, named_by
from pvzoo.tasks.base import Task

Target = dict[str, Any]
"""What a network learns about an image; `pvzoo.networks.base.Network.batch` takes it."""

Transform = Callable[[Image.Image, Target], tuple[Image.Image, Target]]
"""Changes image and target together."""


def composed(*transforms: Any) -> Transform:
    """Several transforms of torchvision, one after the other."""
    transform: Transform = v2.Compose(list(transforms))
    return transform


@dataclass(frozen=True)
class HeadLoss:
    """How to train only the head of a network, for tasks with a loss that needs only logits.

    For such a task, `pvzoo.networks.base.Network.batch` returns the targets under the key
    ``labels``, and ``forward`` returns ``logits``.

    Attributes:
        targets: Turns a list of targets into the targets of a batch, as `loss` takes them.
        loss: The loss of (n, ...) logits, given these targets.
    """

    targets: Callable[[Sequence[Target]], torch.Tensor]
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Training(ABC):
    """How to train for a task; `pvzoo.tasks.base.Task.training` names a subclass.

    Class attributes:
        recipe: The recipe for networks of families that have none.
        head: How to train only the head; None if the loss needs more than logits.
    """

    recipe: ClassVar[Recipe] = PLAIN
    head: ClassVar[HeadLoss | None] = None

    @abstractmethod
    def target(self, row: Mapping[str, Any], image: Image.Image, classes: int) -> Target:
        """The target of an image.

        Args:
            row: A row of labelled data (`pvzoo.data.schema`), images not decoded.
            image: The image of the row, upright RGB.
            classes: The number of classes of the data.

        Returns:
            A dict. Boxes and masks are tv_tensors, so torchvision transforms them with the image.
        """

    @abstractmethod
    def row(self, target: Target, size: tuple[int, int], classes: int) -> dict[str, Any]:
        """Turn a target back into the columns of labelled data, to draw it.

        Args:
            target: The target, perhaps transformed.
            size: (width, height) of its image.
            classes: The number of classes of the data.
        """

    def fault_of(self, names: Sequence[str], *, multi_label: bool) -> DataError | None:
        """Why a network cannot learn from data with these classes; None if it can.

        Args:
            names: The names of the classes.
            multi_label: Whether an image may have several classes.
        """
        return None

    def augmentation(self) -> Transform:
        """The default augmentation: random colours and a random flip."""
        return composed(v2.RandomPhotometricDistort(p=0.5), v2.RandomHorizontalFlip())

    def tidy(self, image: Image.Image, target: Target) -> Target:
        """The target without objects that a transform moved out of the image."""
        return target

    def example(
        self, image: Image.Image, things: Sequence[tuple[int, tuple[int, int, int, int]]]
    ) -> Target | None:
        """A target for a drawn image, for the suite of `pvzoo.testing`; None for no target.

        Args:
            image: An image of filled rectangles on a background.
            things: For each rectangle its class, 1 or 2, and its left, top, right and bottom. The
                background has class 0.
        """
        return None


def training_of(task: Task) -> Training:
    """The `Training` of a task that can be trained.

    Raises:
        PluginError: The task does not name a subclass of `Training`, or it cannot be made.
    """
    kind = named_by(task, "training")
    if not (isinstance(kind, type) and issubclass(kind, Training)):
        raise fault_of(task, "training", f"is {kind!r}, not a subclass of Training")
    with calling(kind, "constructor"):
        return kind()
