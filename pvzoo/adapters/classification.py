"""What adapters of classifiers share: from logits to a result, and to a loss.

It is part of the contract with plugins (`docs/plugins.md`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from pvzoo.postprocess.scores import largest, sigmoid, softmax
from pvzoo.tasks.image_classification import Classification


def probabilities(logits: np.ndarray, multi_label: bool) -> np.ndarray:
    """(n, classes) logits -> (n, classes) float32 scores: sigmoid or softmax."""
    return sigmoid(logits) if multi_label else softmax(logits)


def classify(
    scores: np.ndarray,
    labels: tuple[str, ...],
    size: tuple[int, int],
    *,
    multi_label: bool,
    top_k: int | None,
    threshold: float,
    probabilities: bool,
) -> Classification:
    """(classes,) scores -> the best classes of an image: at most `top_k`, none below `threshold`"""
    ids = largest(scores, top_k or len(scores))
    ids = ids[scores[ids] >= threshold]
    return Classification(
        size=size,
        labels=ids,
        scores=scores[ids],
        names=tuple(labels[i] for i in ids),
        multi_label=multi_label,
        probabilities=scores if probabilities else None,
    )


def class_targets(targets: Sequence[Any]) -> torch.Tensor:
    """Targets (`pvzoo.training.samples`) of a batch: (n,) int64, or (n, classes) float32."""
    if "labels" in targets[0]:
        return torch.stack([target["labels"] for target in targets])
    return torch.tensor([target["label"] for target in targets])


def class_loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of (n, classes) logits with `class_targets`; binary if they are float."""
    logits = logits.float()
    if targets.is_floating_point():
        return torch.nn.functional.binary_cross_entropy_with_logits(logits, targets)
    return torch.nn.functional.cross_entropy(logits, targets)
