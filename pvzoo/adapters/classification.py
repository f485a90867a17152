"""Code that adapters of classifiers share: from logits to a result.

It is part of the contract with plugins (`docs/plugins.md`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pvzoo.adapters.base import Adapter, Meta
from pvzoo.postprocess.scores import largest, sigmoid, softmax
from pvzoo.results.classification import Classification


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
    """(classes,) scores -> the best classes of an image: at most `top_k`, from `threshold` up."""
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


class ClassifierAdapter(Adapter):
    """A classifier whose output is ``logits`` (n, classes).

    ``multi_label`` in the spec's `extra` says whether an image can have several classes.
    """

    tasks = ("image-classification",)

    def postprocess(self, outputs: dict[str, Any], meta: Meta, **controls: Any) -> Classification:
        """The best classes of one image."""
        several = self.spec.extra["multi_label"]
        scores = probabilities(outputs["logits"], several)[0]
        return classify(scores, self.labels, meta["size"], multi_label=several, **controls)
