"""Image classifiers of transformers (`AutoModelForImageClassification`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from PIL import Image
from transformers import AutoModelForImageClassification, PreTrainedModel

from pvzoo.adapters.base import Spec
from pvzoo.networks import _training
from pvzoo.networks._weights import check_channels
from pvzoo.networks.base import TargetClasses
from pvzoo.networks.classification import class_loss, class_targets, targets_of_classes
from pvzoo.networks.from_transformers import class_names


class TransformersClassificationNetwork(_training.TrainableNetwork):
    """A network of transformers with an image-classification head."""

    auto_class = AutoModelForImageClassification

    def __init__(self, module: PreTrainedModel, processor: Any) -> None:
        super().__init__(module, processor)
        labels = class_names(module.config)
        # A single output without a problem type is a yes/no score, as in transformers' pipeline.
        several = module.config.problem_type == "multi_label_classification" or len(labels) == 1
        self.spec = Spec(
            "transformers-classification",
            "image-classification",
            labels,
            family=module.config.model_type,
            extra={"multi_label": several},
        )

    @classmethod
    def check(cls, name: str, config: Mapping[str, Any], task: str | None) -> None:
        """Refuse a network that does not take RGB images."""
        check_channels(name, config.get("num_channels", 3))

    def forward(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """The logits (n, classes)."""
        outputs = self.module(**inputs)
        # those of PP-LCNet have another name
        return {"logits": outputs.get("logits", outputs.get("last_hidden_state"))}

    # --- fine-tuning ------------------------------------------------------------------------------

    def retarget(
        self, classes: TargetClasses, *, image_size: int | None, seed: int
    ) -> TransformersClassificationNetwork:
        """A new network with a head for `classes`."""
        module = _training.retargeted(self.module, classes, seed)
        module.config.problem_type = (
            "multi_label_classification" if classes.multi_label else "single_label_classification"
        )
        tuned = type(self)(module, _training.resized(self._processor, image_size))
        return _training.at_size(tuned, image_size)

    def batch(self, images: Sequence[Image.Image], targets: Sequence[Any]) -> dict[str, Any]:
        """A batch of inputs and ``labels``."""
        inputs = [self.prepare(image)[0] for image in images]
        return {**_training.stack(inputs), "labels": class_targets(targets)}

    def targets_of(self, batch: dict[str, Any]) -> list[dict[str, Any]]:
        """For each image, ``label`` or ``labels``."""
        return targets_of_classes(batch["labels"])

    def loss(self, module: Any, batch: dict[str, Any]) -> torch.Tensor:
        """Cross-entropy, binary for several labels."""
        inputs = {name: value for name, value in batch.items() if name != "labels"}
        return class_loss(module(**inputs).logits, batch["labels"])

    @property
    def backbone(self) -> tuple[str, ...]:
        """All parameters but those of the head."""
        return tuple(name for name, _ in self.module.named_parameters() if name not in self.head)
