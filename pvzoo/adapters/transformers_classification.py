"""Image classifiers of transformers (`AutoModelForImageClassification`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import AutoModelForImageClassification
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES

from pvzoo.adapters import _training
from pvzoo.adapters._weights import check_channels
from pvzoo.adapters.base import Adapter, Checkpoint, Classes
from pvzoo.adapters.classification import (
    class_loss,
    class_targets,
    classify,
    probabilities,
)
from pvzoo.adapters.from_transformers import class_names, load_model, load_processor, prepared
from pvzoo.errors import UnsupportedModelError
from pvzoo.tasks.image_classification import Classification


class TransformersClassificationAdapter(Adapter):
    """Any transformers model whose config names an image-classification head."""

    tasks = ("image-classification",)

    def __init__(self, module: torch.nn.Module, processor: Any) -> None:
        self.task = "image-classification"
        self.module = module
        self.labels = class_names(module.config)
        self._processor = processor
        # One output without a stated problem is a yes/no score, as transformers' pipeline has it.
        self._multi_label = (
            module.config.problem_type == "multi_label_classification" or len(self.labels) == 1
        )

    @classmethod
    def matches(cls, config: Mapping[str, Any]) -> bool:
        """The architecture saved is an image-classification head of its model type.

        Remote code is judged by its ``auto_map``.
        """
        if "AutoModelForImageClassification" in (config.get("auto_map") or {}):
            return True
        heads = MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES.get(config.get("model_type", ""), ())
        heads = (heads,) if isinstance(heads, str) else heads
        return config.get("model_type") != "timm_wrapper" and any(
            a in heads for a in config.get("architectures") or ()
        )

    @classmethod
    def check(cls, name: str, config: Mapping[str, Any], task: str | None) -> None:
        """Refuse a regression head, and a network that takes no RGB images."""
        check_channels(name, config.get("num_channels", 3))
        if config.get("problem_type") == "regression":
            raise UnsupportedModelError(
                f"{name} predicts numbers (problem_type 'regression'), not classes.",
                "Use it with transformers directly.",
            )

    @classmethod
    def load(
        cls, checkpoint: Checkpoint, *, task: str | None, dtype: Any, trust_remote_code: bool
    ) -> TransformersClassificationAdapter:
        """Load strictly."""
        module = load_model(AutoModelForImageClassification, checkpoint, dtype, trust_remote_code)
        return cls(module, load_processor(checkpoint, trust_remote_code))

    def preprocess(
        self, image: Image.Image, **prompts: Any
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """The checkpoint's own processor; usually ``pixel_values`` (1, 3, height, width)."""
        inputs = prepared(self._processor, image)
        return dict(inputs), {"size": image.size[::-1]}

    def forward(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """(n, classes) logits."""
        return {"logits": self.module(**inputs).logits}

    def postprocess(
        self, outputs: dict[str, Any], meta: dict[str, Any], **controls: Any
    ) -> Classification:
        """The best classes of one image."""
        scores = probabilities(outputs["logits"], self._multi_label)[0]
        return classify(
            scores, self.labels, meta["size"], multi_label=self._multi_label, **controls
        )

    # --- fine-tuning ------------------------------------------------------------------------------

    def retarget(
        self, classes: Classes, *, image_size: int | None, seed: int
    ) -> TransformersClassificationAdapter:
        """With the head of `classes`."""
        module = _training.retargeted(self.module, classes, seed)
        kind = "multi_label" if classes.multi_label else "single_label"
        module.config.problem_type = f"{kind}_classification"
        tuned = type(self)(module, _training.resized(self._processor, image_size))
        return _training.at_size(tuned, image_size)

    def batch(self, pictures: Sequence[Image.Image], targets: Sequence[Any]) -> dict[str, Any]:
        """Inputs and ``labels``."""
        inputs = [self.preprocess(picture)[0] for picture in pictures]
        return {**_training.stack(inputs), "labels": class_targets(targets)}

    def loss(self, module: Any, batch: dict[str, Any]) -> torch.Tensor:
        """Cross-entropy, binary for several labels."""
        inputs = {name: value for name, value in batch.items() if name != "labels"}
        return class_loss(module(**inputs).logits, batch["labels"])

    @property
    def backbone(self) -> tuple[str, ...]:
        """All but the head."""
        return tuple(name for name, _ in self.module.named_parameters() if name not in self.head)

    @cached_property
    def head(self) -> tuple[str, ...]:
        """The tensors that have an entry for each class: heads have many names."""
        return _training.head_of(self.module)

    def save(self, folder: Path) -> None:
        """As `AutoModelForImageClassification.from_pretrained` reads it."""
        _training.save(self.module, self._processor, folder, {"task": self.task})

    def snippet(self, name: str) -> str:
        """For model cards."""
        return _training.snippet("AutoModelForImageClassification", name)
