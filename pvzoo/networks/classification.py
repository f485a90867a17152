"""Code that networks of classifiers share: from logits to a loss.

It is part of the contract with plugins (`docs/plugins.md`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch


def class_targets(targets: Sequence[Any]) -> torch.Tensor:
    """The targets (`pvzoo.training.samples`) of a batch: (n,) int64, or (n, classes) float32."""
    if "labels" in targets[0]:
        return torch.stack([target["labels"] for target in targets])
    return torch.tensor([target["label"] for target in targets])


def targets_of_classes(labels: torch.Tensor) -> list[dict[str, Any]]:
    """The inverse of `class_targets`."""
    key = "labels" if labels.is_floating_point() else "label"
    return [{key: own if key == "labels" else int(own)} for own in labels]


def class_loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of (n, classes) logits and `class_targets`; binary if the targets are float."""
    logits = logits.float()
    if targets.is_floating_point():
        return torch.nn.functional.binary_cross_entropy_with_logits(logits, targets)
    return torch.nn.functional.cross_entropy(logits, targets)
