"""Use thresholds that were chosen on data: between what an adapter says and a result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pvzoo.postprocess.detection import select
from pvzoo.results.classification import Classification
from pvzoo.results.detections import Detections
from pvzoo.thresholds.values import Thresholds

Finish = Callable[[Any], Any]


def applied(
    thresholds: Thresholds | None,
    labels: Sequence[str],
    controls: Mapping[str, Any],
    given: Mapping[str, Any],
) -> tuple[dict[str, Any], Finish]:
    """What to ask an adapter for, and what to do with its result.

    Args:
        thresholds: Of the model; None for none.
        labels: Its classes.
        controls: All options of the task, complete.
        given: Those that the user gave. With a ``threshold`` among them, that one holds.

    Returns:
        The controls for `Adapter.postprocess`, and a function from its result to the final one.
    """
    if thresholds is None or not labels:  # classes that a prompt names have no thresholds
        return dict(controls), lambda result: result
    if thresholds.temperature is not None:
        return _calibrated(thresholds, controls)
    if given.get("threshold") is not None:
        return dict(controls), lambda result: result
    least = np.array(thresholds.of_classes(labels), dtype=np.float32)
    lowest = max(0.0, float(least.min(initial=thresholds.common)) - 1e-6)
    if "top_k" in controls:
        return _several_classes(least, lowest, controls)
    return _objects(least, lowest, controls)


def _objects(
    least: np.ndarray, lowest: float, controls: Mapping[str, Any]
) -> tuple[dict[str, Any], Finish]:
    """Objects: what is below the threshold of its class suppresses nothing and is not counted."""
    known = ("nms", "class_agnostic", "max_detections")
    after = {name: controls[name] for name in known if name in controls}
    off = {name: None for name in ("nms", "max_detections") if name in controls}
    asked = {**controls, **off, "threshold": lowest}

    def finish(result: Detections) -> Detections:
        result = result[result.scores >= least[result.labels]]
        return result[select(result.boxes, result.scores, result.labels, **after)]

    return asked, finish


def _several_classes(
    least: np.ndarray, lowest: float, controls: Mapping[str, Any]
) -> tuple[dict[str, Any], Finish]:
    """Classes of an image that may have several."""

    def finish(result: Classification) -> Classification:
        kept = result[result.scores >= least[result.labels]]
        return kept if controls["top_k"] is None else kept[: controls["top_k"]]

    return {**controls, "threshold": lowest, "top_k": None}, finish


def _calibrated(
    thresholds: Thresholds, controls: Mapping[str, Any]
) -> tuple[dict[str, Any], Finish]:
    """The class of an image: scores as if the logits were divided by the temperature."""
    temperature = thresholds.temperature or 1.0

    def finish(result: Classification) -> Classification:
        assert result.probabilities is not None
        scores = tempered(result.probabilities[None], temperature)[0]
        made = replace(
            result,
            scores=scores[result.labels],
            probabilities=scores if controls["probabilities"] else None,
            sure=bool(scores.max(initial=0) >= thresholds.common),
        )
        made = made[made.scores >= controls["threshold"]]
        return made if controls["top_k"] is None else made[: controls["top_k"]]

    return {**controls, "threshold": 0.0, "top_k": None, "probabilities": True}, finish


def tempered(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities as if the logits they come from were divided by a temperature.

    Args:
        probabilities: (n, classes), the softmax of logits.
        temperature: Above 1 makes scores less sure, below 1 surer.

    Returns:
        (n, classes) float32.
    """
    tiny = np.finfo(np.float32).tiny
    logs = np.log(np.maximum(probabilities.astype(np.float64), tiny)) / temperature
    powers = np.exp(logs - logs.max(axis=1, keepdims=True))
    made: np.ndarray = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
    return made
