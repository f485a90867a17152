"""Code that networks in plain PyTorch share: build a module from a config, and load its weights.

It is part of the contract with plugins (`docs/plugins.md`).
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar, Self

from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from pvzoo.adapters.base import Arrays, Checkpoint, Meta, Spec
from pvzoo.errors import PvzooError, UnsupportedModelError, WeightsError, error_message, short
from pvzoo.hub.publish import open_to_others
from pvzoo.networks._bounds import built_within
from pvzoo.networks._heads import ClassAxis, class_axes, with_classes
from pvzoo.networks._weights import read_state_dict, renamed
from pvzoo.networks.base import Network, TargetClasses
from pvzoo.networks.randomness import seeded
from pvzoo.preprocess.run import run


class TorchNetwork(Network):
    """A network whose module a plugin builds from the checkpoint's ``config.json``.

    A subclass sets the class attributes and defines `build`, `steps` and `forward`. For fine-tuning
    it also defines `backbone`, `batch` and `loss`. This class loads, saves and changes classes.

    The config has ``labels``, the names of the classes in the order of the outputs; ``model_type``,
    the key of the family's record; and the other values that `build` and postprocessing need, which
    become the spec's ``extra``. If it has ``image_size`` or ``multi_label``, fine-tuning sets them.

    Class attributes:
        adapter: The entry point of its adapter, such as "my-zoo:my-zoo".
        task: The id of the task it serves.
        background_first: Whether the entries of a background come before those of the classes, as
            in torchvision's Faster R-CNN; see `keep_classes`.

    Instance attributes:
        config: The content of its config.json, which `save` writes.
    """

    library = "pvzoo"
    adapter: ClassVar[str]
    task: ClassVar[str]
    background_first: ClassVar[bool] = False

    def __init__(self, module: nn.Module, config: Mapping[str, Any]) -> None:
        self.module = module
        self.config = dict(config)
        more = {k: v for k, v in config.items() if k not in ("labels", "model_type")}
        self.spec = Spec(
            self.adapter,
            self.task,
            tuple(config.get("labels", ())),
            family=config.get("model_type"),
            extra=more,
        )

    @classmethod
    @abstractmethod
    def build(cls, config: Mapping[str, Any]) -> nn.Module:
        """The module of a config with random weights, for the classes ``config["labels"]``."""

    @classmethod
    def load(
        cls, checkpoint: Checkpoint, *, task: str | None, dtype: Any, trust_remote_code: bool
    ) -> Self:
        """Build the module and load its weights: the file must have all, in the right shape.

        The file is safetensors, or a pickle that contains only tensors, such as a state dict that
        ``torch.save`` wrote.
        """
        config, name = checkpoint.config, checkpoint.name
        tensors = read_state_dict(checkpoint.weights)
        if checkpoint.rename:
            tensors = renamed(tensors, checkpoint)
        labels = config.get("labels", ())
        if not isinstance(labels, list | tuple) or not all(isinstance(n, str) for n in labels):
            raise WeightsError(
                f"The labels of {name} are {short(labels)}: expected a list of names.",
                "Fix its config.",
            )
        try:
            with seeded(0), built_within(name, checkpoint.weights):
                module = cls.build(config).eval()
        except PvzooError:
            raise
        except Exception as error:  # modules raise many types for wrong values
            raise WeightsError(
                f"{name} cannot be built from its config ({error_message(error)}).",
                "Fix its config.",
            ) from error
        try:
            module.load_state_dict(tensors)
        except RuntimeError as error:
            raise WeightsError(
                f"{checkpoint.weights} does not fit {name} ({error_message(error)}).",
                "Fetch it again.",
            ) from error
        if dtype == "auto":
            dtype = next(t.dtype for t in tensors.values() if t.is_floating_point())
        return cls(module.to(dtype), config)

    def prepare(self, image: Image.Image, **prompts: Any) -> tuple[Arrays, Meta]:
        """``pixel_values`` (1, 3, height, width), by the steps: there is no other processor."""
        return run(self.steps(), image)

    def save(self, folder: Path) -> None:
        """Write config.json and model.safetensors, which `load` reads."""
        (folder / "config.json").write_text(json.dumps(self.config, indent=2), encoding="utf-8")
        tensors = {name: tensor.contiguous() for name, tensor in self.module.state_dict().items()}
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        open_to_others([folder / "model.safetensors"])

    def at_size(self, image_size: int) -> Self:
        """The same network with another ``image_size`` in its config, if the config has one."""
        config = self._sized(image_size)
        with seeded(0):
            module = self.build(config).to(next(self.module.parameters()))
        module.load_state_dict(self.module.state_dict())
        return type(self)(module.eval(), config)

    def _sized(self, image_size: int) -> dict[str, Any]:
        """The config for images of a size."""
        if "image_size" not in self.config:
            raise UnsupportedModelError(
                f"A {type(self).__name__} cannot change the image size.", "Leave image_size out."
            )
        return self.config | {"image_size": image_size}

    # --- fine-tuning ------------------------------------------------------------------------------

    def retarget(self, classes: TargetClasses, *, image_size: int | None, seed: int) -> Self:
        """A network with new entries for new classes (see `keep_classes`); the rest is copied."""
        sized = self.config if image_size is None else self._sized(image_size)
        config = sized | {"labels": list(classes.names)}
        if classes.multi_label or "multi_label" in config:
            config["multi_label"] = classes.multi_label
        keep = partial(self.keep_classes, kept=classes.kept)
        count = len(self.spec.labels)
        make = partial(self._make, config)
        module = with_classes(make, self.module, count, classes.kept, seed, keep=keep)
        return type(self)(module, config)

    def keep_classes(self, name: str, old: Tensor, new: Tensor, kept: Sequence[int | None]) -> None:
        """Copy the entries of kept classes in a tensor that has entries for classes.

        By default, the entries of a class lie side by side, and the classes are in their order. A
        layer may have several entries for each class, such as four for the sides of a box. Entries
        that belong to none of the classes are copied: those of a background before the classes (if
        `background_first`), and those after the classes, such as "no object". Override this for a
        network with another order, such as RetinaNet: it has all classes for each anchor.

        Args:
            name: The name of the tensor in the module's state dict.
            old: The tensor of this network, with the class axis first.
            new: The tensor of the new network, with the class axis first and random numbers; it is
                changed in place.
            kept: For each class of the new network, the index of this network's class, or None.
        """
        each, first = self._class_axes[name].each, int(self.background_first)
        count, new_count = len(self.spec.labels), len(kept)
        others = len(old) - each * count  # entries that belong to none of the classes
        if each < 1 or others != len(new) - each * new_count or others % each:
            return  # its size follows another rule: these are not entries of classes
        rows, new_rows = old.unflatten(0, (-1, each)), new.unflatten(0, (-1, each))
        new_rows[:first] = rows[:first]
        new_rows[first + new_count :] = rows[first + count :]
        for index, label in enumerate(kept):
            if label is not None:
                new_rows[first + index] = rows[first + label]

    @property
    def head(self) -> tuple[str, ...]:
        """The tensors that have entries for classes, found with a network of one class more."""
        return tuple(self._class_axes)

    @cached_property
    def _class_axes(self) -> dict[str, ClassAxis]:
        return class_axes(partial(self._make, self.config), len(self.spec.labels))

    def _make(self, config: Mapping[str, Any], count: int) -> nn.Module:
        """The module of a config, with `count` classes."""
        return self.build({**config, "labels": [str(i) for i in range(count)]})
