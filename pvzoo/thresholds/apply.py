"""Apply the thresholds of a model to the results of its adapter."""

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
    """The options for an adapter, and a function that applies thresholds to its result.

    Args:
        thresholds: The thresholds of the model, or None.
        labels: The classes of the model.
        controls: All options of the task, complete.
        given: The options that the user gave. A ``threshold`` among them replaces the model's.

    Returns:
        The controls for `Adapter.postprocess`, and a function from its result to the final one.
    """
    if thresholds is None or not labels:  # a prompt names the classes, so they have no thresholds
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
    """For objects: remove those below the threshold of their class before NMS and counting."""
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
    """For images that may have several classes."""

    def finish(result: Classification) -> Classification:
        kept = result[result.scores >= least[result.labels]]
        return kept if controls["top_k"] is None else kept[: controls["top_k"]]

    return {**controls, "threshold": lowest, "top_k": None}, finish


def _calibrated(
    thresholds: Thresholds, controls: Mapping[str, Any]
) -> tuple[dict[str, Any], Finish]:
    """For images with one class: scores as if the logits were divided by the temperature."""
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
        temperature: A value above 1 makes scores less confident; below 1, more confident.

    Returns:
        (n, classes) float32.
    """
    tiny = np.finfo(np.float32).tiny
    logs = np.log(np.maximum(probabilities.astype(np.float64), tiny)) / temperature
    powers = np.exp(logs - logs.max(axis=1, keepdims=True))
    made: np.ndarray = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
    return made
