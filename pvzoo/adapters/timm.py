"""timm image classifiers, preprocessed by timm's own evaluation transform."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import timm
import torch
from PIL import Image
from timm.data import ImageNetInfo, create_transform, infer_imagenet_subset, resolve_data_config

from pvzoo.adapters._classification import classify, probabilities
from pvzoo.adapters._weights import read_state_dict, renamed
from pvzoo.adapters.base import Adapter, Checkpoint
from pvzoo.errors import UnsupportedModelError, WeightsError
from pvzoo.tasks.image_classification import Classification

# Keys of a pretrained_cfg that say where timm itself would fetch weights.
_SOURCE_KEYS = ("url", "file", "state_dict", "hf_hub_id", "hf_hub_filename", "source")


class TimmAdapter(Adapter):
    """Any timm checkpoint with a classifier: timm's own format, or transformers' timm_wrapper."""

    tasks = ("image-classification",)

    def __init__(self, module: torch.nn.Module, labels: tuple[str, ...], multi_label: bool) -> None:
        self.task = "image-classification"
        self.module = module
        self.labels = labels
        self._multi_label = multi_label
        self._transform = create_transform(
            **resolve_data_config(model=module, pretrained_cfg=module.pretrained_cfg),
            is_training=False,
        )

    @classmethod
    def matches(cls, config: Mapping[str, Any]) -> bool:
        """A timm config has an architecture, and no model type or that of transformers' wrapper."""
        return (
            "architecture" in config and config.get("model_type", "timm_wrapper") == "timm_wrapper"
        )

    @classmethod
    def load(
        cls, checkpoint: Checkpoint, *, task: str | None, dtype: Any, trust_remote_code: bool
    ) -> TimmAdapter:
        """Load strictly; a checkpoint without a classifier is refused."""
        config = checkpoint.config
        num_classes = _num_classes(config)
        if not num_classes:
            raise UnsupportedModelError(
                f"{checkpoint.name} has no classifier (num_classes is 0): it gives features only.",
                "Choose a checkpoint fine-tuned for classification, such as one ending in 'in1k'.",
            )
        state_dict = read_state_dict(checkpoint.weights)
        if checkpoint.rename:
            state_dict = renamed(state_dict, checkpoint)
        elif all(name.startswith("timm_model.") for name in state_dict):
            state_dict = {k.removeprefix("timm_model."): v for k, v in state_dict.items()}
        module = _create(checkpoint, num_classes, state_dict)
        if dtype == "auto":
            dtype = next(v.dtype for v in state_dict.values() if v.is_floating_point())
        multi_label = config.get("problem_type") == "multi_label_classification"
        return cls(module.to(dtype), _labels(config, num_classes), multi_label)

    def preprocess(
        self, image: Image.Image, **prompts: Any
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """timm's evaluation transform: (1, 3, height, width) float32."""
        return {"x": self._transform(image)[None].numpy()}, {"size": image.size[::-1]}

    def forward(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """(n, classes) logits."""
        return {"logits": self.module(inputs["x"])}

    def postprocess(
        self, outputs: dict[str, Any], meta: dict[str, Any], **controls: Any
    ) -> Classification:
        """The best classes of one image."""
        scores = probabilities(outputs["logits"], self._multi_label)[0]
        return classify(
            scores, self.labels, meta["size"], multi_label=self._multi_label, **controls
        )


def _num_classes(config: Mapping[str, Any]) -> int:
    in_cfg = (config.get("pretrained_cfg") or {}).get("num_classes", 1000)
    return config.get("num_classes", in_cfg)


def _create(
    checkpoint: Checkpoint, num_classes: int, state_dict: dict[str, torch.Tensor]
) -> torch.nn.Module:
    """timm's own loading, from tensors in hand: its key filters and label offsets apply."""
    config = checkpoint.config
    architecture = config["architecture"]
    if not timm.is_model(architecture):
        raise UnsupportedModelError(
            f"{checkpoint.name} is of the architecture {architecture!r}, which timm "
            f"{timm.__version__} does not have.",
            "Try a newer timm.",
        )
    # Without a pretrained_cfg, timm's own table describes the architecture's default weights.
    pretrained_cfg = None
    if config.get("pretrained_cfg"):
        stated = {k: v for k, v in config["pretrained_cfg"].items() if k not in _SOURCE_KEYS}
        pretrained_cfg = {**stated, "architecture": architecture}
    try:
        module = timm.create_model(
            architecture,
            pretrained=True,
            pretrained_cfg=pretrained_cfg,
            pretrained_cfg_overlay={"num_classes": num_classes, "state_dict": state_dict},
            **{**(config.get("model_args") or {}), "num_classes": num_classes},
        )
    except (RuntimeError, KeyError) as error:
        raise WeightsError(
            f"The weights {checkpoint.weights} do not fit {architecture!r}: {error}",
            "The file and its config do not belong together; fetch both again.",
        ) from error
    module.pretrained_cfg.pop("state_dict", None)  # else timm keeps a second copy in memory
    return module


def _labels(config: Mapping[str, Any], num_classes: int) -> tuple[str, ...]:
    """Class names: the config's own, else timm's names of ImageNet classes, else numbers."""
    pretrained_cfg = config.get("pretrained_cfg") or {}
    names = config.get("label_names") or pretrained_cfg.get("label_names")
    descriptions = config.get("label_descriptions") or pretrained_cfg.get("label_descriptions")
    if names is not None and isinstance(descriptions, dict):
        names = [descriptions.get(name, name) for name in names]
    if names is None:
        subset = infer_imagenet_subset({"num_classes": num_classes})
        names = ImageNetInfo(subset).label_descriptions() if subset else None
    if names is None or len(names) != num_classes:
        return tuple(f"class {i}" for i in range(num_classes))
    return tuple(names)
