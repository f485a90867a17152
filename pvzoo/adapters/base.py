"""The contract of an adapter: the inputs of a family of networks, and the meaning of its outputs.

The steps of a prediction are ``read -> preprocess -> run -> postprocess -> result``. pvzoo reads
images, builds batches, decodes images while the network runs, and returns results. An adapter has:

* `matches`: which checkpoints are of its family;
* `preprocess`: one upright RGB image -> the network's input arrays;
* `run`: a batch of inputs -> outputs, by the graphs that a runtime runs;
* `postprocess`: one image's outputs -> the task's result.

An adapter computes with numpy and does not import a network library. The network, its weights and
its training are in a `pvzoo.networks.base.Network`. `Adapter.network` names its class, which is
imported when a checkpoint is loaded with PyTorch. A `Spec` connects the two. It is plain data, so
that an exported network runs without PyTorch. `docs/plugins.md` has the whole contract, its version
and how it may change; `pvzoo.testing` checks it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from PIL import Image

from pvzoo.errors import UnsupportedModelError
from pvzoo.families.base import Family
from pvzoo.preprocess.run import run
from pvzoo.preprocess.steps import Step, from_json, to_json
from pvzoo.results.base import Result

Arrays = dict[str, np.ndarray]
"""Name -> array; the first axis of each array counts the network inputs."""

Meta = dict[str, Any]
"""What `Adapter.postprocess` needs to know about an image, as values that JSON can hold."""

Prepare = Callable[..., tuple[Arrays, Meta]]
"""``prepare(image, **prompts)``: as `Adapter.preprocess`."""

Graphs = Callable[[str, Arrays], dict[str, Any]]
"""``graphs(name, inputs)`` runs a part of a network; every runtime is such a function."""


@dataclass(frozen=True)
class Checkpoint:
    """The files of a model on this disk.

    Attributes:
        name: The name that the user gave for the model; for messages.
        config: The parsed ``config.json``, or the ``config`` table of the card.
        folder: The folder that holds the configuration files.
        weights: The weights file, or the index of a sharded one.
        rename: (pattern, replacement) pairs for tensor names; see
            `pvzoo.catalog.cards.WeightsSource`.
        untrained: Whether there are no weights. The network is then built with random weights, to
            measure its speed.
    """

    name: str
    config: dict[str, Any]
    folder: Path
    weights: Path
    rename: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    untrained: bool = False


@dataclass(frozen=True)
class Spec:
    """The description of a network without its weights, which JSON can hold.

    Attributes:
        adapter: The name of the adapter's entry point.
        task: The id of the task that the model serves.
        labels: Class names in the order of the network's outputs; "" is not a class.
        family: The key of the record of its family in `Adapter.families`: the ``model_type`` of its
            checkpoint, or a plugin's own name.
        steps: The steps that prepare an image; None if only the checkpoint's processor can do it.
        prompts: The prompts that were fixed at the export; predictions do not take them.
        extra: What else the adapter needs to know, as values that JSON can hold.
    """

    adapter: str
    task: str
    labels: tuple[str, ...]
    family: str | None = None
    steps: tuple[Step, ...] | None = None
    prompts: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The spec as values that JSON can hold."""
        return {
            "adapter": self.adapter,
            "task": self.task,
            "labels": list(self.labels),
            "family": self.family,
            "steps": None if self.steps is None else to_json(self.steps),
            "prompts": dict(self.prompts),
            "extra": dict(self.extra),
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Spec:
        """The spec that `to_json` gave.

        Raises:
            UsageError: A step is not known.
        """
        steps = found["steps"]
        return cls(
            found["adapter"],
            found["task"],
            tuple(found["labels"]),
            found["family"],
            None if steps is None else from_json(steps),
            found["prompts"],
            found["extra"],
        )


class Adapter(ABC):
    """Reads and interprets the inputs and outputs of one family of networks.

    Class attributes:
        tasks: Ids of the tasks it can serve.
        network: The class of its `Network`, as "package.module:Class"; None for an adapter
            without one, which has `open` and `compute` instead.
        families: The records of the families that it can run, by `Spec.family`.
        pixels: The name of the input that takes the pixels, for `Spec.steps`.
        on_device: Names of outputs that `postprocess` takes as tensors if the network runs on an
            accelerator, because they are large; all other outputs are always arrays.
    """

    tasks: ClassVar[tuple[str, ...]]
    network: ClassVar[str | None] = None
    families: ClassVar[Mapping[str, Family]] = {}
    pixels: ClassVar[str] = "pixel_values"
    on_device: ClassVar[tuple[str, ...]] = ()

    def __init__(self, spec: Spec, prepare: Prepare | None = None) -> None:
        self.spec = spec
        self._prepare = prepare

    @property
    def task(self) -> str:
        """The id of the task that this instance serves."""
        return self.spec.task

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in the order of the network's outputs."""
        return self.spec.labels

    @property
    def family(self) -> Family:
        """The record of its family; a record of defaults if there is none."""
        return self.families.get(self.spec.family or "", Family())

    @classmethod
    @abstractmethod
    def matches(cls, config: Mapping[str, Any]) -> bool:
        """Whether a checkpoint with this ``config.json`` is of this family; reads nothing else."""

    @classmethod  # noqa: B027 (by default nothing is refused)
    def check(cls, name: str, config: Mapping[str, Any], task: str | None) -> None:
        """Refuse a checkpoint that cannot run, by its config, before its weights are downloaded.

        By default nothing is refused. `Network.check` checks what needs the network's library.

        Args:
            name: The name that the user gave for the model.
            config: The parsed ``config.json``.
            task: The task that the user asked for, if any.

        Raises:
            UnsupportedModelError: The message says what is wrong with the checkpoint, the hint what
                to do.
        """

    @classmethod
    def open(cls, checkpoint: Checkpoint, *, task: str | None) -> Self:
        """Read a checkpoint, if `network` is None.

        Raises:
            WeightsError: A file is damaged.
            UnsupportedModelError: The checkpoint does not serve the task.
        """
        raise UnsupportedModelError(
            f"{cls.__name__} cannot open {checkpoint.name}.", "Its plugin has no code for this."
        )

    def compute(self, inputs: Arrays) -> Arrays:
        """A batch of inputs -> outputs, if `network` is None.

        The first axis of every output is the batch.
        """
        raise UnsupportedModelError(
            f"{type(self).__name__} cannot compute outputs.", "Its plugin has no code for this."
        )

    def preprocess(self, image: Image.Image, **prompts: Any) -> tuple[Arrays, Meta]:
        """One upright RGB image -> (inputs, meta).

        The first axis of each input array has one entry for each network input of this image
        (usually 1). ``prompts`` are all fields of the task's ``prompts``; if the network needs
        them, they are inputs like any other. Several threads call this at once.

        By default, this runs the steps of the spec, or the checkpoint's own processor.

        Raises:
            UsageError: The network cannot take a prompt.
        """
        if self.spec.steps is not None:
            return run(self.spec.steps, image, self.pixels)
        if self._prepare is None:
            raise UnsupportedModelError(
                f"{type(self).__name__} cannot prepare images.",
                "Its plugin has no code for this.",
            )
        return self._prepare(image, **prompts)

    def run(self, graphs: Graphs, inputs: Arrays) -> dict[str, Any]:
        """A batch of inputs -> outputs; the first axis of each output is the batch."""
        return graphs("model", inputs)

    def dense_scores(self, outputs: dict[str, Any], meta: Meta) -> np.ndarray | None:
        """The scores of all classes at every pixel of one image, for maps of images in tiles.

        Arguments are as for `postprocess`, which takes the class with the best score.

        Returns:
            (classes, height, width) float32 at the size of the image; the same scale for all
            images, such as probabilities or logits. None, the default, if there are no such scores:
            then the adapter's maps cannot be predicted in tiles.
        """
        return None

    @abstractmethod
    def postprocess(self, outputs: dict[str, Any], meta: Meta, **controls: Any) -> Result:
        """The outputs of one image (first axis: its inputs) -> its result.

        ``controls`` are all fields of the task's ``controls``. Outputs are numpy arrays; those that
        `on_device` names are tensors if the network ran on an accelerator.
        """
