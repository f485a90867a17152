"""Intervals of figures, held against repeated images and against the truth of simulated data."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import test_metrics_classification as classification
import test_metrics_detection as detection
import test_metrics_panoptic as panoptic
import test_metrics_semantic as semantic

from pvzoo.errors import UsageError
from pvzoo.metrics.bootstrap import (
    ClassCounts,
    Interval,
    Means,
    PerImage,
    compare,
    images_needed,
    intervals,
    resamples,
)
from pvzoo.metrics.classification import ClassificationMetric
from pvzoo.metrics.detection import DetectionMetric, InstanceMetric
from pvzoo.metrics.panoptic_quality import PanopticMetric
from pvzoo.metrics.semantic import SemanticMetric

Case = tuple[Any, list[tuple[Any, dict[str, Any]]]]


def of_detection(rng: np.random.Generator) -> Case:
    match = detection.random_match(rng)
    return DetectionMetric(match), detection.random_case(rng, match, masks=False)


def of_instances(rng: np.random.Generator) -> Case:
    match = detection.random_match(rng)
    return InstanceMetric(match), detection.random_case(rng, match, masks=True)


def of_semantic(rng: np.random.Generator) -> Case:
    match, case, _, _ = semantic.random_case(rng)
    return SemanticMetric(match), case


def of_panoptic(rng: np.random.Generator) -> Case:
    match = panoptic.random_match(rng)
    return PanopticMetric(match), panoptic.random_case(rng, match)


def of_classes(rng: np.random.Generator) -> Case:
    match = classification.random_match(rng)
    labels = rng.integers(0, len(match.data), rng.integers(1, 20)).tolist()
    scores = classification.random_scores(rng, match, len(labels))
    rows = classification.rows("label", labels)
    return ClassificationMetric(match), list(
        zip(map(classification.result, scores), rows, strict=True)
    )


def of_several_classes(rng: np.random.Generator) -> Case:
    match = classification.random_match(rng)
    count = rng.integers(1, 20)
    labels = [np.flatnonzero(rng.random(len(match.data)) < 0.3).tolist() for _ in range(count)]
    scores = classification.random_scores(rng, match, count)
    rows = classification.rows("labels", labels)
    return ClassificationMetric(match), list(
        zip(map(classification.result, scores), rows, strict=True)
    )


KINDS = [of_detection, of_instances, of_semantic, of_panoptic, of_classes, of_several_classes]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("kind", KINDS)
def test_a_weight_counts_an_image_as_often_as_repeating_it_does(
    kind: Callable[[np.random.Generator], Case], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    metric, case = kind(rng)
    again = type(metric)(metric.match)
    for index, (result, row) in enumerate(case):
        metric.update(index, result, row)
    kept = pickle.loads(pickle.dumps(metric.compute().per_image))
    assert kept.figures(np.ones(len(kept.images), np.int64)) == pytest.approx(
        dict(metric.compute()), abs=1e-12, nan_ok=True
    )
    weights = rng.integers(0, 4, len(case))
    number = 0
    for (result, row), times in zip(case, weights, strict=True):
        for _ in range(times):
            again.update(number, result, row)
            number += 1
    expected = dict(again.compute())
    assert kept.figures(weights[kept.images]) == pytest.approx(expected, abs=1e-9, nan_ok=True)


# --- coverage -------------------------------------------------------------------------------------


def accuracy_of(rng: np.random.Generator, images: int) -> PerImage:
    """Of images that are hard to a different degree; the model is right on 70 % of all."""
    right = rng.random(images) < rng.beta(3.5, 1.5, images)
    return Means(np.arange(images), ("top1",), right[:, None].astype(float))


def miou(sums: np.ndarray) -> dict[str, float]:
    hits, pixels, predicted = sums
    return {"miou": float(np.mean(hits / (pixels + predicted - hits)))}


def areas_of(rng: np.random.Generator, images: int) -> PerImage:
    """Of three classes, whose pixels are right in a part that differs between images."""
    pixels = rng.integers(100, 1000, (images, 3))
    good = rng.beta(6, 2, (images, 3))
    hits = (pixels * good).astype(int)
    predicted = hits + (rng.integers(100, 1000, (images, 3)) * (1 - good) * 0.5).astype(int)
    return ClassCounts(
        np.arange(images),
        np.tile(np.arange(images), 3),
        np.repeat(np.arange(3), images),
        np.stack([hits.T.ravel(), pixels.T.ravel(), predicted.T.ravel()], axis=1),
        3,
        miou,
    )


def boxes_of(rng: np.random.Generator, images: int) -> PerImage:
    """Of a detector that misses objects, places boxes badly and finds what is not there."""
    metric = DetectionMetric(detection.LabelMatch.of(["a", "b"], ["a", "b"]))
    for index in range(images):
        count, hard = rng.integers(1, 5), rng.beta(2, 2)
        corners = np.arange(count)[:, None] * 100.0 + np.array([0.0, 5.0])
        truth = np.hstack([corners, rng.uniform(15, 90, (count, 2))])
        classes = rng.integers(0, 2, count)
        seen = rng.random(count) > 0.6 * hard
        found = (truth + rng.normal(0, 0.08 * hard, (count, 4)) * truth[:, 2:3])[seen]
        extra = rng.poisson(hard)
        wrong = np.hstack([rng.uniform(500, 900, (extra, 2)), rng.uniform(15, 90, (extra, 2))])
        scores = np.append(
            rng.normal(0.7 - 0.3 * hard, 0.15, seen.sum()), rng.normal(0.4, 0.2, extra)
        )
        boxes = np.vstack([found, wrong])
        boxes[:, 2:] = boxes[:, :2] + np.maximum(boxes[:, 2:], 1)
        result = detection.detections(
            *zip(boxes.tolist(), scores.clip(0.01, 0.99).tolist(), strict=True),
            labels=np.append(classes[seen], rng.integers(0, 2, extra)),
        )
        row = detection.row(*truth.tolist(), category=classes.tolist(), image_id=index)
        metric.update(index, result, row)
    kept = metric.compute().per_image
    assert kept is not None
    return kept


@pytest.mark.parametrize(
    ("draw", "figure", "images", "many"),
    [
        (accuracy_of, "top1", 100, 200_000),
        (areas_of, "miou", 60, 100_000),
        pytest.param(boxes_of, "map", 60, 4_000, marks=pytest.mark.slow),
        pytest.param(boxes_of, "mar_100", 60, 4_000, marks=pytest.mark.slow),
    ],
)
def test_the_true_value_lies_in_the_interval_of_nineteen_in_twenty_simulated_data_sets(
    draw: Callable[[np.random.Generator, int], PerImage], figure: str, images: int, many: int
) -> None:
    large = draw(np.random.default_rng(1), many)
    truth = large.figures(np.ones(many, np.int64))[figure]
    found = [intervals(draw(np.random.default_rng(seed), images))[figure] for seed in range(2, 202)]
    covered = np.mean([interval.low <= truth <= interval.high for interval in found])
    assert 0.9 <= covered <= 0.99
    # and the standard error is what the figure of such data sets really varies by
    spread = np.std([interval.value for interval in found])
    assert np.mean([interval.error for interval in found]) == pytest.approx(spread, rel=0.15)


@pytest.mark.parametrize("right", [0.0, 1.0])
def test_a_model_that_is_right_or_wrong_on_all_images_has_no_interval_of_width_zero(
    right: float,
) -> None:
    kept = Means(np.arange(50), ("top1",), np.full((50, 1), right))
    found = intervals(kept)["top1"]
    # the exact interval of Clopper and Pearson
    assert abs(found.high - found.low) == pytest.approx(1 - 0.025 ** (1 / 50))
    assert right in (found.low, found.high)
    assert found.smallest_difference > 0.03


# --- comparing ------------------------------------------------------------------------------------


def two_models(rng: np.random.Generator, images: int, gain: float) -> tuple[Means, Means]:
    """The second is right on `gain` more of the images; both fail on mostly the same ones."""
    hard = rng.random(images)
    luck = rng.random((2, images))
    right = np.where(luck < 0.1, luck < 0.05, hard < np.array([[0.7], [0.7 + gain]]))
    first, second = (
        Means(np.arange(images), ("top1",), side[:, None].astype(float)) for side in right
    )
    return first, second


def test_a_paired_comparison_shows_less_than_two_intervals_side_by_side_would() -> None:
    a, b = two_models(np.random.default_rng(0), 1000, 0.03)
    found = compare(a, b)["top1"]
    assert found.better == "b"
    assert intervals(a)["top1"].high > intervals(b)["top1"].low  # which overlap
    assert compare(b, a)["top1"].better == "a"
    same = compare(a, a)["top1"]
    assert same.better is None
    assert same.images_needed is None


def test_where_an_error_is_compared_the_lower_one_is_better() -> None:
    class Errors(Means):
        lower_is_better = ("rmse",)

    rng = np.random.default_rng(0)
    values = rng.random((200, 1))
    a = Errors(np.arange(200), ("rmse",), values)
    b = Errors(np.arange(200), ("rmse",), values + 0.2)
    assert compare(a, b)["rmse"].better == "a"


def test_as_many_images_as_are_said_to_be_needed_show_the_difference_four_times_in_five() -> None:
    a, b = two_models(np.random.default_rng(0), 100_000, 0.02)
    found = compare(a, b, count=100)["top1"]
    needed = images_needed(found.value, found.error, found.images)
    assert needed is not None
    assert 100 < needed < 10_000
    shown = [
        compare(*two_models(np.random.default_rng(seed), needed, 0.02), count=100)["top1"].better
        for seed in range(1, 151)
    ]
    assert 0.7 < np.mean([better == "b" for better in shown]) < 0.9
    assert shown.count("a") == 0


def test_models_that_judged_different_images_are_compared_on_those_both_judged() -> None:
    values = np.array([[1.0], [1.0], [0.0], [0.0]])
    a = Means(np.array([0, 1, 2, 3]), ("top1",), values)
    b = Means(np.array([2, 3, 4]), ("top1",), np.ones((3, 1)))
    found = compare(a, b)["top1"]
    assert (found.a, found.b, found.images) == (0, 1, 2)
    with pytest.raises(UsageError, match="no image in common"):
        compare(a, Means(np.array([7]), ("top1",), np.ones((1, 1))))


def test_the_resamples_are_the_same_every_time_and_draw_as_many_images_as_there_are() -> None:
    first, again = (np.stack(list(resamples(30, 50, seed=3))) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert (first.sum(axis=1) == 30).all()
    assert (first.max(axis=1) > 1).all()


def test_figures_that_are_not_defined_have_no_interval_and_no_images_have_none() -> None:
    unknown = Means(np.arange(3), ("x",), np.full((3, 1), np.nan))
    empty = Means(np.arange(0), ("x",), np.zeros((0, 1)))
    for kept in (unknown, empty):
        found = intervals(kept)["x"]
        assert all(np.isnan([found.value, found.low, found.high, found.error]))
        assert isinstance(found, Interval)


def test_an_evaluation_says_its_intervals_in_json_too() -> None:
    metric, case = of_classes(np.random.default_rng(3))
    for index, (result, row) in enumerate(case):
        metric.update(index, result, row)
    found = metric.compute()
    said = json.loads(found.to_json())["intervals"]["top1"]
    top1 = found.intervals["top1"]
    assert said == {
        "low": top1.low,
        "high": top1.high,
        "error": top1.error,
        "smallest_difference": top1.smallest_difference,
    }
