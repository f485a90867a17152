"""The contract of an adapter: what a family of networks takes, and what its outputs mean.

A prediction goes ``read -> preprocess -> run -> postprocess -> result``. pvzoo reads images,
builds batches, overlaps decoding with the network and hands out results; an adapter says:

* `matches`: which checkpoints are of its family;
* `preprocess`: one upright RGB image -> the network's input arrays;
* `run`: a batch of inputs -> outputs, by the graphs that a runtime runs;
* `postprocess`: one image's outputs -> the task's result.

An adapter imports no network library and computes with numpy. The network itself, its weights and
its training are a `pvzoo.adapters.network.Network`, which `Adapter.network` names and which is
imported when a checkpoint is loaded with PyTorch. The two are joined by a `Spec`, which is data:
with it an exported network is driven without PyTorch. `docs/plugins.md` has the whole contract, its
version and how it may change; `pvzoo.testing` checks it.
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
"""By name, each with a leading axis of network inputs."""

Meta = dict[str, Any]
"""What `Adapter.postprocess` needs to know of an image, as JSON can say it."""

Prepare = Callable[..., tuple[Arrays, Meta]]
"""``prepare(image, **prompts)``: as `Adapter.preprocess`."""

Graphs = Callable[[str, Arrays], dict[str, Any]]
"""``graphs(name, inputs)``: runs a part of a network; every runtime is one."""


@dataclass(frozen=True)
class Checkpoint:
    """A model's files on this disk.

    Attributes:
        name: What the user called it; for messages.
        config: The parsed ``config.json``, or the ``config`` table of the card.
        folder: The folder that holds the configuration files.
        weights: The weights file, or the index of a sharded one.
        rename: (pattern, replacement) pairs for tensor names; see
            `pvzoo.catalog.cards.WeightsSource`.
    """

    name: str
    config: dict[str, Any]
    folder: Path
    weights: Path
    rename: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Spec:
    """What is known of a network without its weights; to JSON and back.

    Attributes:
        adapter: The name of the adapter's entry point.
        task: The id of the task that is served.
        labels: Class names in the order of the network's outputs; "" names no class.
        family: The key of what is known of its family, in `Adapter.families`: the ``model_type``
            of its checkpoint, or what a plugin calls it.
        steps: How images are prepared; None if only the checkpoint's processor can do it.
        prompts: What was said at export instead of the task's prompts.
        extra: What else the adapter needs to know, as JSON can say it.
    """

    adapter: str
    task: str
    labels: tuple[str, ...]
    family: str | None = None
    steps: tuple[Step, ...] | None = None
    prompts: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
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
        """What `to_json` wrote.

        Raises:
            UsageError: A step of it is not known.
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
    """Knows one family of networks.

    Class attributes:
        tasks: Ids of the tasks it can serve.
        network: Where its `Network` is, as "package.module:Class"; None for an adapter without
            one, which has `open` and `compute` instead.
        families: What is known of the families that it drives, by `Spec.family`.
        pixels: The name of the input that takes the pixels, for `Spec.steps`.
        on_device: Names of outputs that `postprocess` takes as tensors where the network runs on
            an accelerator, for they are large; all others are arrays everywhere.
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
        """The id of the task this instance serves."""
        return self.spec.task

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in the order of the network's outputs."""
        return self.spec.labels

    @property
    def family(self) -> Family:
        """What is known of its family; a record that says nothing if there is none."""
        return self.families.get(self.spec.family or "", Family())

    @classmethod
    @abstractmethod
    def matches(cls, config: Mapping[str, Any]) -> bool:
        """Whether a checkpoint with this ``config.json`` is of this family. Reads nothing else."""

    @classmethod  # noqa: B027 (refusing nothing is a meaning)
    def check(cls, name: str, config: Mapping[str, Any], task: str | None) -> None:
        """Refuse, by its config, a checkpoint that cannot be driven, before weights are fetched.

        ``name`` is what the user called it, ``task`` the one asked for. By default nothing is
        refused. What only the network's library knows is for `Network.check`.

        Raises:
            UnsupportedModelError: With what is wrong with the checkpoint, and the way out.
        """

    @classmethod
    def open(cls, checkpoint: Checkpoint, *, task: str | None) -> Self:
        """Read a checkpoint, where `network` is None.

        Raises:
            WeightsError: A file is damaged.
            UnsupportedModelError: The checkpoint does not serve the task.
        """
        raise UnsupportedModelError(
            f"{cls.__name__} cannot open {checkpoint.name}.", "Its plugin brings no code for it."
        )

    def compute(self, inputs: Arrays) -> Arrays:
        """A batch of inputs -> outputs, where `network` is None; every output has the batch as its
        leading axis.
        """
        raise UnsupportedModelError(
            f"{type(self).__name__} computes nothing itself.", "Its plugin brings no code for it."
        )

    def preprocess(self, image: Image.Image, **prompts: Any) -> tuple[Arrays, Meta]:
        """One upright RGB image -> (inputs, meta).

        Each input array has a leading axis with one entry per network input this image needs
        (usually 1). ``prompts`` are all fields of the task's ``prompts``; what the network needs of
        them is an input like any other. Called from several threads at once.

        By default the steps of the spec are run, or the checkpoint's own processor.

        Raises:
            UsageError: A prompt this network cannot take.
        """
        if self.spec.steps is not None:
            return run(self.spec.steps, image, self.pixels)
        if self._prepare is None:
            raise UnsupportedModelError(
                f"{type(self).__name__} prepares no images itself.",
                "Its plugin brings no code for it.",
            )
        return self._prepare(image, **prompts)

    def run(self, graphs: Graphs, inputs: Arrays) -> dict[str, Any]:
        """A batch of inputs -> outputs, each with the batch as its leading axis."""
        return graphs("model", inputs)

    @abstractmethod
    def postprocess(self, outputs: dict[str, Any], meta: Meta, **controls: Any) -> Result:
        """The outputs of one image (leading axis: its inputs) -> its result.

        ``controls`` are all fields of the task's ``controls``. Outputs are numpy arrays; those of
        `on_device` are tensors if the network ran on an accelerator.
        """
