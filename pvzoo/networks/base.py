"""The contract of a network: weights, forward pass and training, in PyTorch.

An adapter (`pvzoo.adapters.base.Adapter`) says what the inputs and outputs of a family mean, and
its `Adapter.network` names a subclass of `Network`.

For prediction and evaluation, a network must have `load`, `prepare` and `forward`. With `steps` it
does not need the checkpoint's processor. For fine-tuning it must also have `retarget`, `batch`,
`loss`, `backbone`, `head` (for training at low rank) and `save`; and perhaps `targets_of`, for the
image of the first batch.
"""

from __future__ import annotations

import shutil
import tempfile
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
    """The classes of a new network.

    Attributes:
        names: Their names, in the order of the outputs.
        kept: For each class, the index of the old network's class of the same name, or None.
        stuff: Names of the classes that are stuff, for panoptic segmentation.
        multi_label: Whether an image can have several classes, for classification.
    """

    names: tuple[str, ...]
    kept: tuple[int | None, ...]
    stuff: tuple[str, ...] = ()
    multi_label: bool = False


@dataclass(frozen=True)
class Graph:
    """A part of a network that a runtime runs.

    Attributes:
        name: The name that `Adapter.run` uses.
        module: Its ``forward`` takes the inputs by name and returns a dict of outputs; the first
            axis of each output is the batch.
    """

    name: str
    module: nn.Module


class Network(ABC):
    """A network with its weights.

    Class attributes:
        library: The Hub's name of the library whose format `save` writes.

    Instance attributes:
        module: The network.
        spec: Its description without the weights; `Spec.adapter` names its adapter.
    """

    library: ClassVar[str] = "transformers"

    module: nn.Module
    spec: Spec

    @classmethod  # noqa: B027 (by default nothing is refused)
    def check(cls, name: str, config: Mapping[str, Any], task: str | None) -> None:
        """As `Adapter.check`, for checks that need the network's library."""

    @classmethod
    @abstractmethod
    def load(
        cls, checkpoint: Checkpoint, *, task: str | None, dtype: Any, trust_remote_code: bool
    ) -> Self:
        """Build the network on the CPU, in evaluation mode, with the checkpoint's weights.

        Args:
            checkpoint: The files.
            task: The task that the user asked for; None if the checkpoint decides.
            dtype: A `torch.dtype` for the weights, or "auto" for the dtype in the file.
            trust_remote_code: Whether code that comes with the checkpoint may run.

        Raises:
            WeightsError: A weight is missing, not used or of the wrong shape.
            UnsupportedModelError: The checkpoint does not serve the task.
        """

    @abstractmethod
    def prepare(self, image: Image.Image, **prompts: Any) -> tuple[Arrays, Meta]:
        """As `Adapter.preprocess`, by the checkpoint's own processor."""

    @abstractmethod
    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Run the network on a batch; the first axis of every output is the batch.

        Inputs are on the network's device; those of floating point have its dtype.
        """

    def steps(self) -> tuple[Step, ...]:
        """The steps of `prepare`, as data.

        Raises:
            UnsupportedModelError: Steps cannot describe it; the message names what prepares images.
        """
        raise undescribed(type(self).__name__, "it has no steps")

    def graphs(self) -> tuple[Graph, ...]:
        """The parts that `Adapter.run` runs: by default one, "model", which is `forward`."""
        return (Graph("model", _Whole(self)),)

    def at_size(self, image_size: int) -> Self:
        """The same network, with images scaled to squares of `image_size` pixels.

        Raises:
            UnsupportedModelError: The network does not take images of this size.
        """
        raise UnsupportedModelError(
            f"{type(self).__name__} cannot change the image size.", "Leave image_size out."
        )

    def with_prompts(self, prompts: Mapping[str, Any]) -> Network:
        """The network with prompts that are always the same; an export has them in it.

        Its `spec` has them in ``prompts``, and what they name in ``labels``; `prepare` takes them,
        and makes inputs of the image alone.

        Args:
            prompts: All of the task's.

        Raises:
            UnsupportedModelError: It needs to be told them with each image.
        """
        raise UnsupportedModelError(
            f"{type(self).__name__} cannot be exported with fixed prompts.",
            "It goes on working with PyTorch.",
        )

    def write_config(self, folder: Path) -> None:
        """Write the ``config.json`` of the network's own library into a folder."""
        with tempfile.TemporaryDirectory() as saved:
            self.save(Path(saved))
            shutil.copyfile(Path(saved) / "config.json", folder / "config.json")

    @property
    def patches(self) -> tuple[str, ...]:
        """Names in `pvzoo.export.patches` of the changes in libraries that an export needs."""
        return ()

    @property
    def unexported(self) -> str:
        """Why it cannot be exported; "" if it can."""
        return ""

    # --- fine-tuning, which is optional -----------------------------------------------------------

    def retarget(self, classes: TargetClasses, *, image_size: int | None, seed: int) -> Self:
        """A new network with other classes, which shares no memory with this one.

        Args:
            classes: The new classes; weights of kept classes are kept.
            image_size: Side of the square that images are scaled to, in pixels; None for the size
                that the network was trained with.
            seed: The seed of the new weights.

        Raises:
            UnsupportedModelError: This network cannot be fine-tuned, or not at this size.
        """
        raise self._lacks("fine-tune")

    def batch(self, images: Sequence[Image.Image], targets: Sequence[Any]) -> dict[str, Any]:
        """Upright RGB images and their targets (see docs/plugins.md) -> the input of `loss`."""
        raise self._lacks("fine-tune")

    def targets_of(self, batch: dict[str, Any]) -> list[dict[str, Any]] | None:
        """The inverse of `batch`: the targets in it, for a drawing of the first batch.

        Returns:
            For each image its target, as `batch` gets it, in pixels of the network's input, which
            `batch` has under the name `Adapter.pixels`. None if there is no inverse: then the
            drawing shows the arguments of `batch`.
        """
        return None

    def loss(self, module: Any, batch: dict[str, Any]) -> Tensor:
        """The loss of a batch, a scalar; `module` is the network, perhaps wrapped by Accelerate."""
        raise self._lacks("fine-tune")

    @property
    def backbone(self) -> tuple[str, ...]:
        """The prefixes of the names of the backbone's parameters."""
        raise self._lacks("fine-tune")

    @property
    def head(self) -> tuple[str, ...]:
        """The names of the tensors that have an entry for each class."""
        raise self._lacks("fine-tune")

    def save(self, folder: Path) -> None:
        """Write the config and all weights to a folder that is there, for `load` to read."""
        raise self._lacks("save")

    def snippet(self, name: str) -> str:
        """Python code for model cards: opens the files of `save` with the network's library."""
        return ""

    def _lacks(self, verb: str) -> UnsupportedModelError:
        return UnsupportedModelError(
            f"{type(self).__name__} cannot {verb}.", "Its plugin has no code for this."
        )


class _Whole(nn.Module):
    """`Network.forward` as a module that takes inputs by name."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = [network]  # in a list, so that its module is not registered here twice
        self.module = network.module

    def forward(self, **inputs: Tensor) -> dict[str, Tensor]:
        return self.network[0].forward(inputs)
