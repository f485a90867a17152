"""Image classifiers of timm, with timm's own evaluation transform."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from PIL import Image
from timm.data import ImageNetInfo, create_transform, infer_imagenet_subset, resolve_data_config
from timm.models import (
    PretrainedCfg,
    get_model_args,
    get_pretrained_cfg,
    is_model_pretrained,
    save_for_hf,
)
from timm.models._hub import _parse_model_cfg  # timm has no public name for it

from pvzoo.adapters.base import Arrays, Checkpoint, Meta, Spec
from pvzoo.errors import PvzooError, UnsupportedModelError, WeightsError, error_message, short
from pvzoo.networks._bounds import built_within
from pvzoo.networks._heads import class_axes, with_classes
from pvzoo.networks._weights import check_channels, read_state_dict, renamed
from pvzoo.networks.base import Network, TargetClasses
from pvzoo.networks.classification import class_loss, class_targets, targets_of_classes
from pvzoo.preprocess.derive import timm_steps
from pvzoo.preprocess.long_images import middle
from pvzoo.preprocess.steps import Step

# Keys that a pretrained_cfg may have here: all except those that make timm download weights.
_STATED = {f.name for f in fields(PretrainedCfg)} - {
    *("url", "file", "state_dict", "hf_hub_id", "hf_hub_filename", "source", "custom_load")
}


class TimmNetwork(Network):
    """A network of timm with a classifier, and timm's own evaluation transform."""

    library = "timm"

    module: Any  # no type has the attributes that timm's networks share

    def __init__(self, module: Any, labels: tuple[str, ...], multi_label: bool) -> None:
        self.module = module
        self.spec = Spec("timm", "image-classification", labels, extra={"multi_label": multi_label})
        self._data_config = resolve_data_config(model=module, pretrained_cfg=module.pretrained_cfg)
        self._transform = create_transform(**self._data_config, is_training=False)

    @classmethod
    def check(cls, name: str, config: Mapping[str, Any], task: str | None) -> None:
        """Refuse an architecture that timm does not have, and a checkpoint without a classifier."""
        architecture = config["architecture"]
        if not timm.is_model(architecture):
            raise UnsupportedModelError(
                f"{name} has the architecture {short(architecture)}, which timm "
                f"{timm.__version__} does not have.",
                "Try a newer timm.",
            )
        if not _classifies(_parsed(config)["pretrained_cfg"]):
            raise UnsupportedModelError(
                f"{name} has no classifier: it gives features only.",
                "Choose a checkpoint for classification, such as one whose name ends in 'in1k'.",
            )

    @classmethod
    def load(
        cls, checkpoint: Checkpoint, *, task: str | None, dtype: Any, trust_remote_code: bool
    ) -> TimmNetwork:
        """Load the checkpoint; all weights must fit."""
        config = _parsed(checkpoint.config)
        checkpoint = replace(checkpoint, config=config)
        cfg = config["pretrained_cfg"]
        if checkpoint.untrained:
            module: Any = timm.create_model(
                cfg["architecture"],
                pretrained_cfg=cfg,
                **{**config["model_args"], "num_classes": cfg["num_classes"]},
            )
            state_dict = module.state_dict()
        else:
            state_dict = read_state_dict(checkpoint.weights)
            if checkpoint.rename:
                state_dict = renamed(state_dict, checkpoint)
            elif all(name.startswith("timm_model.") for name in state_dict):
                state_dict = {k.removeprefix("timm_model."): v for k, v in state_dict.items()}
            module = _create(checkpoint, state_dict)
        pretrained: Any = module.pretrained_cfg
        check_channels(checkpoint.name, pretrained["input_size"][0])
        if dtype == "auto":
            dtype = next(v.dtype for v in state_dict.values() if v.is_floating_point())
        # A single output is a yes/no score, as in transformers' pipeline.
        multi_label = (
            config["problem_type"] == "multi_label_classification" or cfg["num_classes"] == 1
        )
        return cls(module.to(dtype), _labels(cfg), multi_label)

    def prepare(self, image: Image.Image, **prompts: Any) -> tuple[Arrays, Meta]:
        """The output of timm's evaluation transform: ``x`` (1, 3, height, width) float32."""
        crops = self._data_config["crop_mode"] not in ("squash", "border")
        seen = middle(image) if crops else image
        return {"x": self._transform(seen)[None].numpy()}, {"size": image.size[::-1]}

    def steps(self) -> tuple[Step, ...]:
        """The steps of timm's evaluation transform."""
        return timm_steps(self._data_config)

    def forward(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """The logits (n, classes)."""
        return {"logits": self.module(inputs["x"])}

    def at_size(self, image_size: int) -> TimmNetwork:
        """A copy that takes squares of `image_size` pixels."""
        module = _at_size(self.module, image_size).eval()
        return type(self)(module, self.spec.labels, self.spec.extra["multi_label"])

    # --- fine-tuning ------------------------------------------------------------------------------

    def retarget(self, classes: TargetClasses, *, image_size: int | None, seed: int) -> TimmNetwork:
        """A new network with a classifier for `classes`."""
        module = self.module if image_size is None else _at_size(self.module, image_size)
        module = with_classes(
            lambda count: _alike(module, count), module, len(self.spec.labels), classes.kept, seed
        )
        return type(self)(module, classes.names, classes.multi_label)

    def batch(self, images: Sequence[Image.Image], targets: Sequence[Any]) -> dict[str, Any]:
        """A batch of ``x`` and ``labels``."""
        inputs = [self.prepare(image)[0]["x"] for image in images]
        return {"x": torch.from_numpy(np.concatenate(inputs)), "labels": class_targets(targets)}

    def targets_of(self, batch: dict[str, Any]) -> list[dict[str, Any]]:
        """For each image, ``label`` or ``labels``."""
        return targets_of_classes(batch["labels"])

    def loss(self, module: Any, batch: dict[str, Any]) -> torch.Tensor:
        """Cross-entropy, binary for several labels."""
        return class_loss(module(batch["x"]), batch["labels"])

    @property
    def backbone(self) -> tuple[str, ...]:
        """All parameters but those of the head."""
        return tuple(name for name, _ in self.module.named_parameters() if name not in self.head)

    @cached_property
    def head(self) -> tuple[str, ...]:
        """The tensors that have an entry for each class."""
        return tuple(class_axes(lambda count: _alike(self.module, count), len(self.spec.labels)))

    def save(self, folder: Path) -> None:
        """Write files for ``timm.create_model("local-dir:...")`` and transformers' wrapper."""
        kind = "multi_label" if self.spec.extra["multi_label"] else "single_label"
        about = {
            "label_names": list(self.spec.labels),
            "problem_type": f"{kind}_classification",
            "pvzoo": {"task": self.spec.task},
        }
        save_for_hf(self.module, str(folder), model_config=about, safe_serialization=True)
        file = folder / "config.json"
        config = json.loads(file.read_text(encoding="utf-8"))
        del config["model_args"]["num_classes"]  # transformers' wrapper would pass it twice
        file.write_text(json.dumps(config, indent=2), encoding="utf-8")

    def snippet(self, name: str) -> str:
        """Python code for model cards, for a folder and for a Hub repo."""
        return (
            "import os\n\nimport timm\n\n"
            f'name = "{name}"\n'
            'where = "local-dir:" if os.path.isdir(name) else "hf-hub:"\n'
            "network = timm.create_model(where + name, pretrained=True)"
        )


def _alike(module: Any, count: int) -> torch.nn.Module:
    """A new network like `module`, but with `count` classes without names."""
    named = ("label_names", "label_descriptions", "label_offset")
    cfg = {k: v for k, v in module.pretrained_cfg.items() if k not in named and k in _STATED}
    return timm.create_model(
        cfg["architecture"],
        pretrained_cfg={**cfg, "num_classes": count},
        **{**get_model_args(module), "num_classes": count},
    )


def _at_size(module: Any, image_size: int) -> Any:
    """A copy that takes squares of `image_size` pixels; images are scaled without cropping.

    Raises:
        UnsupportedModelError: The network does not take images of this size.
    """
    module = deepcopy(module)
    try:
        if hasattr(module, "set_input_size"):
            module.set_input_size((image_size, image_size))
        example = torch.zeros(1, 3, image_size, image_size)
        with torch.no_grad():
            module(example.to(next(module.parameters())))
    except Exception as error:  # networks raise many types for sizes they cannot take
        architecture = module.pretrained_cfg["architecture"]
        raise UnsupportedModelError(
            f"{architecture} does not take images of {image_size} x {image_size} pixels "
            f"({str(error).strip()}).",
            "Leave image_size out to use its own size, or choose another model.",
        ) from error
    squares = {
        "input_size": (3, image_size, image_size),
        "crop_pct": 1.0,
        "crop_mode": "squash",
        "pool_size": None,
    }
    dropped = ("test_input_size", "test_crop_pct")
    cfg = {k: v for k, v in module.pretrained_cfg.items() if k not in dropped}
    module.pretrained_cfg = {**cfg, **squares}
    return module


def _parsed(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config of any version, parsed as timm's own loader does: all values in ``pretrained_cfg``.

    The config of a card may have no ``pretrained_cfg``. Then it comes from timm's table, which
    describes the architecture's default weights.
    """
    given = deepcopy(dict(config))
    if given.get("model_args") is None:  # transformers' wrapper writes null
        given.pop("model_args", None)
    if given.get("pretrained_cfg") is None:
        given.pop("pretrained_cfg", None)
        if "input_size" not in given:  # else it has timm's first format, which was flat
            listed = get_pretrained_cfg(given["architecture"])
            given["pretrained_cfg"] = listed.to_dict() if listed else {}
    problem_type = given.get("problem_type")
    cfg, architecture, model_args = _parse_model_cfg(given, {})
    cfg = {k: v for k, v in cfg.items() if k in _STATED} | {"architecture": architecture}
    cfg.setdefault("num_classes", 1000)
    return {"pretrained_cfg": cfg, "model_args": model_args, "problem_type": problem_type}


def _create(checkpoint: Checkpoint, state_dict: dict[str, torch.Tensor]) -> Any:
    """Load tensors with timm's own code, so that its key filters and label offsets apply."""
    cfg = checkpoint.config["pretrained_cfg"]
    try:
        with built_within(checkpoint.name, checkpoint.weights):
            module: Any = timm.create_model(
                cfg["architecture"],
                pretrained=True,
                pretrained_cfg={**cfg, "state_dict": state_dict},
                **{**checkpoint.config["model_args"], "num_classes": cfg["num_classes"]},
            )
    except (PvzooError, MemoryError):
        raise
    except Exception as error:  # networks raise many types for wrong arguments and tensors
        raise WeightsError(
            f"{checkpoint.weights} does not fit {cfg['architecture']!r} with the options of its "
            f"config: {error_message(error)}",
            "The file and its config do not belong together; fetch both again.",
        ) from error
    module.pretrained_cfg.pop("state_dict", None)  # else timm keeps a second copy in memory
    return module


def _classifies(pretrained_cfg: Mapping[str, Any]) -> bool:
    """Whether the network has outputs that are classes, not the embedding of CLIP's image tower.

    timm calls the numbers of an embedding classes too. timm's table tells them apart: no classifier
    in it has so few classes without names.
    """
    count = pretrained_cfg["num_classes"]
    name = f"{pretrained_cfg['architecture']}.{pretrained_cfg.get('tag')}"
    listed = get_pretrained_cfg(name) if is_model_pretrained(name) else None
    embedding = (
        listed is not None
        and listed.num_classes == count < 5000
        and infer_imagenet_subset(pretrained_cfg) is None
        and not pretrained_cfg.get("label_names")
    )
    return count > 0 and not embedding


def _labels(pretrained_cfg: Mapping[str, Any]) -> tuple[str, ...]:
    """Class names: the config's own, else timm's names of ImageNet classes, else numbers."""
    count = pretrained_cfg["num_classes"]
    names = pretrained_cfg.get("label_names")
    descriptions = pretrained_cfg.get("label_descriptions")
    if isinstance(names, dict):  # number -> name; some numbers may be missing
        by_number = {int(number): name for number, name in names.items()}
        first = 1 if set(by_number) == set(range(1, count + 1)) else 0
        names = [by_number.pop(i, f"class {i}") for i in range(first, first + count)]
        if by_number:  # the names are of another network
            return tuple(f"class {i}" for i in range(count))
    if names is None and (subset := infer_imagenet_subset(pretrained_cfg)):
        info = ImageNetInfo(subset)
        names, descriptions = info.label_names(), info.label_descriptions(as_dict=True)
    if names is None or len(names) != count:
        return tuple(f"class {i}" for i in range(count))
    if isinstance(descriptions, dict):
        names = [descriptions.get(name, name) for name in names]
    return tuple(str(name) for name in names)
