"""The contract of a network: weights, forward pass and training, in PyTorch.

What a family's inputs and outputs mean is the other half, `pvzoo.adapters.base.Adapter`, whose
`Adapter.network` names a subclass of `Network`.

That is what a network must say for prediction and evaluation: `load`, `prepare`, `forward`.
`steps` frees it from the checkpoint's processor. One that can be fine-tuned also says: `retarget`,
`batch`, `loss`, `backbone`, `head` (for training at low rank), `save`; and perhaps `targets_of`,
for the image of the first batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from PIL import Image
from torch import Tensor, nn

from pvzoo.adapters.base import Arrays, Checkpoint, Meta, Spec
from pvzoo.errors import UnsupportedModelError
from pvzoo.preprocess.derive import undescribed
from pvzoo.preprocess.steps import Step


@dataclass(frozen=True)
class TargetClasses:
    """The classes that a network is to be given.

    Attributes:
        names: In the order of its outputs.
        kept: For each the class of the old network that has its name, or None.
        stuff: Names of those that are stuff, for panoptic segmentation.
        multi_label: Whether an image can have several, for classification.
    """

    names: tuple[str, ...]
    kept: tuple[int | None, ...]
    stuff: tuple[str, ...] = ()
    multi_label: bool = False


@dataclass(frozen=True)
class Graph:
    """A part of a network that a runtime runs.

    Attributes:
        name: What `Adapter.run` calls it.
        module: Its ``forward`` takes the inputs by name and gives a dict of outputs, each with the
            batch as its leading axis.
    """

    name: str
    module: nn.Module


class Network(ABC):
    """A network with its weights.

    Class attributes:
        library: The Hub's word for the library whose format `save` writes.

    Instance attributes:
        module: The network.
        spec: What is known of it without the weights; `Spec.adapter` names its other half.
    """

    library: ClassVar[str] = "transformers"

    module: nn.Module
    spec: Spec

    @classmethod  # noqa: B027 (refusing nothing is a meaning)
    def check(cls, name: str, config: Mapping[str, Any], task: str | None) -> None:
        """As `Adapter.check`, for what only the network's library knows."""

    @classmethod
    @abstractmethod
    def load(
        cls, checkpoint: Checkpoint, *, task: str | None, dtype: Any, trust_remote_code: bool
    ) -> Self:
        """Build the network on the CPU, in evaluation mode, with the checkpoint's weights.

        Args:
            checkpoint: The files.
            task: The task asked for; None leaves it to the checkpoint.
            dtype: A `torch.dtype` for the weights, or "auto" for the one they are stored in.
            trust_remote_code: Whether code that comes with the checkpoint may run.

        Raises:
            WeightsError: A weight is missing, left over or of the wrong shape.
            UnsupportedModelError: The checkpoint does not serve the task.
        """

    @abstractmethod
    def prepare(self, image: Image.Image, **prompts: Any) -> tuple[Arrays, Meta]:
        """As `Adapter.preprocess`, by the checkpoint's own processor."""

    @abstractmethod
    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Run the network on a batch; every output has the batch as its leading axis.

        Inputs are on the network's device and, where they are fractions, in its dtype.
        """

    def steps(self) -> tuple[Step, ...]:
        """What `prepare` does to an image, as data.

        Raises:
            UnsupportedModelError: No steps describe it; what prepares images is named.
        """
        raise undescribed(type(self).__name__, "it says no steps")

    def graphs(self) -> tuple[Graph, ...]:
        """The parts that `Adapter.run` asks for: by default one called "model", `forward`."""
        return (Graph("model", _Whole(self)),)

    def at_size(self, image_size: int) -> Self:
        """The same network, with images scaled to squares of `image_size` pixels.

        Raises:
            UnsupportedModelError: It does not take images of this size.
        """
        raise UnsupportedModelError(
            f"{type(self).__name__} cannot be told an image size.", "Leave image_size out."
        )

    @property
    def patches(self) -> tuple[str, ...]:
        """Names in `pvzoo.export.patches` of what is changed in libraries for an export."""
        return ()

    @property
    def unexported(self) -> str:
        """Why it cannot be exported; "" if it can."""
        return ""

    # --- fine-tuning, which is optional -----------------------------------------------------------

    def retarget(self, classes: TargetClasses, *, image_size: int | None, seed: int) -> Self:
        """A new network that has other classes, and shares no memory with this one.

        Args:
            classes: What it should tell apart; weights of kept classes are kept.
            image_size: Side of the square that images are scaled to, in pixels; None for what the
                network was trained with.
            seed: For the weights that are new.

        Raises:
            UnsupportedModelError: This network cannot be trained, or not at this size.
        """
        raise self._lacks("fine-tune")

    def batch(self, images: Sequence[Image.Image], targets: Sequence[Any]) -> dict[str, Any]:
        """Upright RGB images and targets (`pvzoo.training.samples`) -> what `loss` takes."""
        raise self._lacks("fine-tune")

    def targets_of(self, batch: dict[str, Any]) -> list[dict[str, Any]] | None:
        """The way back from `batch`: the targets in it, for an image of what is learnt.

        Returns:
            For each image its target, as `pvzoo.training.samples` has it, in pixels of the
            network's input, which `batch` has under the name `Adapter.pixels`. None where there is
            no way back: then the image and the target that `batch` was given are drawn.
        """
        return None

    def loss(self, module: Any, batch: dict[str, Any]) -> Tensor:
        """The loss of a batch, a scalar; `module` is the network, perhaps wrapped by Accelerate."""
        raise self._lacks("fine-tune")

    @property
    def backbone(self) -> tuple[str, ...]:
        """What the names of the backbone's parameters begin with."""
        raise self._lacks("fine-tune")

    @property
    def head(self) -> tuple[str, ...]:
        """The names of the tensors that have an entry for each class."""
        raise self._lacks("fine-tune")

    def save(self, folder: Path) -> None:
        """Write what `load` reads, in the format of the network's own library, into a folder."""
        raise self._lacks("save")

    def snippet(self, name: str) -> str:
        """Python that opens what `save` wrote with the network's own library, for model cards."""
        return ""

    def _lacks(self, verb: str) -> UnsupportedModelError:
        return UnsupportedModelError(
            f"{type(self).__name__} cannot {verb}.", "Its plugin brings no code for it."
        )


class _Whole(nn.Module):
    """`Network.forward` as a module that takes inputs by name."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = [network]  # in a list: its module must not be this one's a second time
        self.module = network.module

    def forward(self, **inputs: Tensor) -> dict[str, Tensor]:
        return self.network[0].forward(inputs)
