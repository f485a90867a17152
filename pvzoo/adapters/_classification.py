"""What the two classification adapters share: from logits to a result."""

from __future__ import annotations

import torch

from pvzoo.tasks.image_classification import Classification


def probabilities(logits: torch.Tensor, multi_label: bool) -> torch.Tensor:
    """(n, classes) logits of any dtype -> (n, classes) float32 scores: sigmoid or softmax."""
    logits = logits.float()
    return logits.sigmoid() if multi_label else logits.softmax(-1)


def classify(
    scores: torch.Tensor,
    labels: tuple[str, ...],
    size: tuple[int, int],
    *,
    multi_label: bool,
    top_k: int | None,
    threshold: float,
    probabilities: bool,
) -> Classification:
    """(classes,) scores -> the best classes of an image: at most `top_k`, none below `threshold`"""
    best, ids = scores.topk(min(top_k or len(scores), len(scores)))
    keep = best >= threshold
    ids, best = ids[keep].cpu().numpy(), best[keep].cpu().numpy()
    return Classification(
        size=size,
        labels=ids,
        scores=best,
        names=tuple(labels[i] for i in ids),
        multi_label=multi_label,
        probabilities=scores.cpu().numpy() if probabilities else None,
    )
