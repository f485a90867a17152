"""Image classifiers of transformers (`AutoModelForImageClassification`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import AutoModelForImageClassification

from pvzoo.adapters.base import Arrays, Checkpoint, Meta, Spec
from pvzoo.networks import _training
from pvzoo.networks._weights import check_channels
from pvzoo.networks.base import Classes, Network
from pvzoo.networks.classification import class_loss, class_targets
from pvzoo.networks.from_transformers import class_names, load_model, load_processor, prepared
from pvzoo.preprocess.derive import steps_of
from pvzoo.preprocess.steps import Step


class TransformersClassificationNetwork(Network):
    """A network of transformers with an image-classification head."""

    def __init__(self, module: torch.nn.Module, processor: Any) -> None:
        self.module = module
        labels = class_names(module.config)
        # One output without a stated problem is a yes/no score, as transformers' pipeline has it.
        several = module.config.problem_type == "multi_label_classification" or len(labels) == 1
        self.spec = Spec(
            "transformers-classification",
            "image-classification",
            labels,
            family=module.config.model_type,
            extra={"multi_label": several},
        )
        self._processor = processor

    @classmethod
    def check(cls, name: str, config: Mapping[str, Any], task: str | None) -> None:
        """Refuse a network that takes no RGB images."""
        check_channels(name, config.get("num_channels", 3))

    @classmethod
    def load(
        cls, checkpoint: Checkpoint, *, task: str | None, dtype: Any, trust_remote_code: bool
    ) -> TransformersClassificationNetwork:
        """Load strictly."""
        module = load_model(AutoModelForImageClassification, checkpoint, dtype, trust_remote_code)
        return cls(module, load_processor(checkpoint, trust_remote_code))

    def prepare(self, image: Image.Image, **prompts: Any) -> tuple[Arrays, Meta]:
        """The checkpoint's own processor; usually ``pixel_values`` (1, 3, height, width)."""
        inputs = prepared(self._processor, image)
        return dict(inputs), {"size": image.size[::-1]}

    def steps(self) -> tuple[Step, ...]:
        """Those of the processor."""
        return steps_of(self._processor)

    def forward(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """(n, classes) logits."""
        return {"logits": self.module(**inputs).logits}

    # --- fine-tuning ------------------------------------------------------------------------------

    def retarget(
        self, classes: Classes, *, image_size: int | None, seed: int
    ) -> TransformersClassificationNetwork:
        """With the head of `classes`."""
        module = _training.retargeted(self.module, classes, seed)
        kind = "multi_label" if classes.multi_label else "single_label"
        module.config.problem_type = f"{kind}_classification"
        tuned = type(self)(module, _training.resized(self._processor, image_size))
        return _training.at_size(tuned, image_size)

    def batch(self, pictures: Sequence[Image.Image], targets: Sequence[Any]) -> dict[str, Any]:
        """Inputs and ``labels``."""
        inputs = [self.prepare(picture)[0] for picture in pictures]
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
        _training.save(self.module, self._processor, folder, {"task": self.spec.task})

    def snippet(self, name: str) -> str:
        """For model cards."""
        return _training.snippet("AutoModelForImageClassification", name)
