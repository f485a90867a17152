"""Curves over the threshold and calibration, held against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import f1_score, precision_score, recall_score

from pvzoo.metrics.calibration import calibration
from pvzoo.metrics.curves import THRESHOLDS, curve


@pytest.mark.parametrize("seed", range(5))
def test_a_curve_is_what_scikit_learn_says_at_each_threshold(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.random(200).round(int(rng.integers(1, 5))).astype(np.float32)
    right = rng.random(200) < scores
    found = curve(scores, right, int(right.sum()))
    for place in range(0, 101, 7):
        said = scores.round(5) >= np.float32(THRESHOLDS[place])
        for name, function in (
            ("precision", precision_score),
            ("recall", recall_score),
            ("f1", f1_score),
        ):
            expected = function(right, said, zero_division=np.nan)
            actual = getattr(found, name)[place]
            assert actual == pytest.approx(expected, nan_ok=True), (name, THRESHOLDS[place])


def test_things_that_nothing_finds_lower_the_recall_but_not_the_precision() -> None:
    found = curve(np.array([0.9, 0.8]), np.array([True, True]), 4)
    assert found.at(0.5) == {"precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3)}


def test_the_best_threshold_separates_what_is_right_from_what_is_wrong() -> None:
    found = curve(np.array([0.9, 0.8, 0.3, 0.2]), np.array([True, True, False, False]), 2)
    assert 0.3 < found.best <= 0.8
    assert found.at(found.best)["f1"] == 1


def test_where_nothing_is_predicted_or_asked_for_no_threshold_is_the_best() -> None:
    assert np.isnan(curve(np.zeros(0), np.zeros(0, bool), 0).best)


@pytest.mark.parametrize("seed", range(5))
def test_the_reliability_diagram_is_scikit_learns_and_the_error_that_of_its_definition(
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    scores = np.append(rng.beta(2, 1, 300), [0.0, 1.0])
    right = np.append(rng.random(300) < scores[:300] ** 2, [False, True])
    found = calibration(scores, right)
    accuracy, confidence = calibration_curve(right, scores, n_bins=10)
    some = found.count > 0
    np.testing.assert_allclose(found.accuracy[some], accuracy)
    np.testing.assert_allclose(found.confidence[some], confidence)
    error = 0.0
    for least in np.arange(10) / 10:
        inside = (scores > least) & (scores <= least + 0.1) | (least == 0) & (scores == 0)
        if inside.any():
            error += inside.mean() * abs(scores[inside].mean() - right[inside].mean())
    assert found.error == pytest.approx(error)


def test_scores_that_say_too_much_have_an_error_and_honest_ones_none() -> None:
    assert calibration(np.full(100, 0.9), np.arange(100) < 50).error == pytest.approx(0.4)
    assert calibration(np.full(100, 0.9), np.arange(100) < 90).error == pytest.approx(0)
    assert np.isnan(calibration(np.zeros(0), np.zeros(0, bool)).error)
