"""The contract of an adapter: how one family of networks is driven.

A prediction goes ``read -> preprocess -> forward -> postprocess -> result``. pvzoo reads images,
builds batches, overlaps decoding with the forward pass and hands out results; an adapter says:

* `load`: build the network from a `Checkpoint`, with every weight accounted for;
* `preprocess`: one upright RGB picture -> the network's input arrays;
* `forward`: a batch of inputs -> a dict of outputs (this stage is what a backend may replace);
* `postprocess`: one image's outputs -> the task's result.

That is all prediction and evaluation need. An adapter that can be fine-tuned also says: `retarget`,
`batch`, `loss`, `backbone`, `head` (for training at low rank), `save`. `docs/plugins.md` has the
whole contract, its version and how it may change; `pvzoo.testing` checks it.

Post-processing must be functions of the outputs alone (no use of the network), so that an
exported network can be run by another runtime with the same results.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from pvzoo.errors import UnsupportedModelError
from pvzoo.tasks.base import Result


@dataclass(frozen=True)
class Checkpoint:
    """A model's files on this disk.

    Attributes:
        name: What the user called it; for messages.
        config: The parsed ``config.json``, or the ``config`` table of the card.
        folder: The folder that holds the configuration files.
        weights: The weights file, or the index of a sharded one.
        rename: (pattern, replacement) pairs for tensor names; see `pvzoo.cards.Source`.
    """

    name: str
    config: dict[str, Any]
    folder: Path
    weights: Path
    rename: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Classes:
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


class Adapter(ABC):
    """Drives one family of networks.

    Class attributes:
        tasks: Ids of the tasks it can serve.
        backend: Id of the backend that runs its forward pass unless another is asked for.
        library: The Hub's word for the library whose format `save` writes.
        on_device: Outputs that `postprocess` takes as tensors too, where the network is on an
            accelerator: masks, which `pvzoo.postprocess` then scales there.

    Instance attributes:
        task: The id of the task this instance serves.
        labels: Class names in the order of the network's outputs.
        module: The network (a `torch.nn.Module` for the backend "torch", None for "numpy").
    """

    tasks: ClassVar[tuple[str, ...]]
    backend: ClassVar[str] = "torch"
    library: ClassVar[str] = "transformers"
    on_device: ClassVar[tuple[str, ...]] = ()

    task: str
    labels: tuple[str, ...]
    module: Any = None

    @classmethod
    @abstractmethod
    def matches(cls, config: Mapping[str, Any]) -> bool:
        """Whether a checkpoint with this ``config.json`` is of this family. Reads nothing else."""

    @classmethod  # noqa: B027 (refusing nothing is a meaning)
    def check(cls, name: str, config: Mapping[str, Any], task: str | None) -> None:
        """Refuse, by its config, a checkpoint that cannot be driven, before weights are fetched.

        ``name`` is what the user called it, ``task`` the one asked for. By default nothing is
        refused.

        Raises:
            UnsupportedModelError: With what is wrong with the checkpoint, and the way out.
        """

    @classmethod
    @abstractmethod
    def load(
        cls, checkpoint: Checkpoint, *, task: str | None, dtype: Any, trust_remote_code: bool
    ) -> Adapter:
        """Build the network on the CPU, in evaluation mode, with the checkpoint's weights.

        Args:
            checkpoint: The files.
            task: The task asked for; None leaves it to the checkpoint.
            dtype: A `torch.dtype` for the weights, or "auto" for the one they are stored in; None
                if nobody asked for one and the backend needs none.
            trust_remote_code: Whether code that comes with the checkpoint may run.

        Raises:
            WeightsError: A weight is missing, left over or of the wrong shape.
            UnsupportedModelError: The checkpoint does not serve the task.
        """

    @abstractmethod
    def preprocess(
        self, image: Image.Image, **prompts: Any
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """One upright RGB picture -> (inputs, meta).

        Each input array has a leading axis with one entry per network input this image needs
        (usually 1). ``meta`` is whatever `postprocess` needs to know of the image; it is not
        looked at. ``prompts`` are all fields of the task's ``prompts``; what the network needs of
        them is an input like any other. Called from several threads at once.

        Raises:
            UsageError: A prompt this network cannot take.
        """

    @abstractmethod
    def forward(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Run the network on a batch; every output has the batch as its leading axis.

        Inputs arrive as the backend's own arrays (tensors on the network's device and in its dtype
        for "torch").
        """

    @abstractmethod
    def postprocess(self, outputs: dict[str, Any], meta: dict[str, Any], **controls: Any) -> Result:
        """The outputs of one image (leading axis: its inputs) -> its result.

        Outputs are numpy arrays, whatever ran the network, and real numbers are float32; only those
        named in ``on_device`` are tensors where they are on an accelerator.

        ``controls`` are all fields of the task's ``controls``.
        """

    # --- fine-tuning, which is optional -----------------------------------------------------------

    def retarget(self, classes: Classes, *, image_size: int | None, seed: int) -> Adapter:
        """A new adapter whose network has other classes, and shares no memory with this one.

        Args:
            classes: What it should tell apart; weights of kept classes are kept.
            image_size: Side of the square that pictures are scaled to, in pixels; None for what the
                network was trained with.
            seed: For the weights that are new.

        Raises:
            UnsupportedModelError: This network cannot be trained, or not at this size.
        """
        raise self._lacks("fine-tune")

    def batch(self, pictures: Sequence[Image.Image], targets: Sequence[Any]) -> dict[str, Any]:
        """Upright RGB pictures and targets (`pvzoo.training.samples`) -> what `loss` takes."""
        raise self._lacks("fine-tune")

    def loss(self, module: Any, batch: dict[str, Any]) -> Any:
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
