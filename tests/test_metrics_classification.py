"""Accuracy, F1 and average precision, held against scikit-learn."""

from __future__ import annotations

import json
import pickle
import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import (
    average_precision_score,
    confusion_matrix,
    f1_score,
    precision_recall_fscore_support,
    top_k_accuracy_score,
)

from pvzoo.errors import DataError, PvzooError, UsageError
from pvzoo.metrics import classification
from pvzoo.metrics.class_match import LabelMatch
from pvzoo.metrics.classification import ClassificationMetric
from pvzoo.results.classification import Classification


def result(scores: Any) -> Classification:
    scores = None if scores is None else np.asarray(scores, dtype=np.float32)
    return Classification(
        size=(1, 1), labels=np.zeros(0), scores=np.zeros(0), names=(), probabilities=scores
    )


def rows(key: str, labels: Any) -> list[dict[str, Any]]:
    return [{"file_name": f"a/{i}.jpg", key: value} for i, value in enumerate(labels)]


def evaluated(match: LabelMatch, scores: np.ndarray, labelled: list[dict[str, Any]]) -> Any:
    metric = ClassificationMetric(match)
    for index, row in enumerate(labelled):
        metric.update(index, result(scores[index]), row)
    return metric.compute()


def random_match(rng: np.random.Generator, most: int = 9) -> LabelMatch:
    names = [f"class {i}" for i in range(most)]
    model = rng.permutation(names)[: rng.integers(3, most + 1)].tolist()
    data = rng.permutation(names)[: rng.integers(1, most + 1)].tolist()
    return LabelMatch.of(model, data if set(model) & set(data) else [*data, model[0]])


def random_scores(rng: np.random.Generator, match: LabelMatch, count: int) -> np.ndarray:
    """Rounded to one decimal half of the time, so that there are ties."""
    scores = rng.random((count, len(match.model))).astype(np.float32)
    return scores.round(1) if rng.random() < 0.5 else scores


# --- one class an image ---------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(120))
def test_single_label_figures_are_those_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    match = random_match(rng)
    labels = rng.integers(0, len(match.data), rng.integers(1, 40))
    scores = random_scores(rng, match, len(labels))
    found = evaluated(match, scores, rows("label", labels.tolist()))

    names = np.array([match.data[i] for i in labels])
    judged = np.isin(names, match.model)
    assert found.images == judged.sum()
    assert found.left_out == (~judged).sum()
    assert ("top5" in found) == (len(match.model) >= 5)
    if not judged.any():
        assert np.isnan(found["top1"])
        return
    names, scores = names[judged], scores[judged]
    targets = [match.model.index(n) for n in names]
    for k, figure in ((1, "top1"), (5, "top5")):
        if figure in found:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of k that is no less than the classes
                expected = top_k_accuracy_score(
                    targets, scores, k=k, labels=range(len(match.model))
                )
            assert found[figure] == pytest.approx(expected)
    answers = [match.model[i] for i in scores.argsort(1, "stable")[:, -1]]
    answers = [a if a in match.data else "other" for a in answers]
    shared = [n for n in match.data if n in match.model]
    expected = precision_recall_fscore_support(names, answers, labels=shared, zero_division=np.nan)
    assert list(found.per_class) == shared
    for k, figure in enumerate(("precision", "recall", "f1", "support")):
        values = [row[figure] for row in found.per_class.values()]
        np.testing.assert_allclose(values, expected[k], rtol=1e-12)
    matrix = confusion_matrix(names, answers, labels=[*match.data, "other"])[:-1]
    np.testing.assert_array_equal(found.confusion, matrix)
    assert found.confusion_names == (*match.data, "other")


@pytest.mark.parametrize("key", ["label", "labels"])
@pytest.mark.parametrize("seed", range(10))
def test_parts_merged_in_any_order_give_exactly_what_one_pass_gives(key: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    match = random_match(rng)
    labels = rng.integers(0, len(match.data), 30).tolist()
    labels = labels if key == "label" else [[i] if i % 3 else [] for i in labels]
    scores, labelled = random_scores(rng, match, 30), rows(key, labels)
    parts = [ClassificationMetric(match) for _ in range(4)]  # the last one stays empty
    for index in rng.permutation(30):
        parts[rng.integers(3)].update(int(index), result(scores[index]), labelled[index])
    merged = ClassificationMetric(match)
    merged.merge([pickle.loads(pickle.dumps(part.state())) for part in parts])
    assert merged.compute().to_dict() == evaluated(match, scores, labelled).to_dict()


THREE = LabelMatch.of(["cat", "dog", "cow"], ["cat", "dog", "hen"])


def test_of_equal_scores_the_later_class_is_the_better_one() -> None:
    found = evaluated(THREE, np.array([[0.5, 0.5, 0]] * 2), rows("label", [0, 1]))
    assert found["top1"] == 0.5
    assert found.per_class["dog"]["recall"] == 1


def test_images_of_a_class_the_model_lacks_are_left_out_and_counted() -> None:
    found = evaluated(THREE, np.eye(3)[[0, 1]], rows("label", [0, 2]))
    assert (found["top1"], found.images, found.left_out) == (1, 1, 1)
    assert json.loads(found.to_json())["left_out"] == 1


def test_an_answer_that_is_no_class_of_the_data_is_wrong() -> None:
    found = evaluated(THREE, np.eye(3)[[2]], rows("label", [0]))
    assert found["top1"] == 0
    assert found.confusion.tolist() == [[0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_of_very_many_classes_there_is_no_confusion_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classification, "MOST_CONFUSED", 2)
    found = evaluated(THREE, np.eye(3)[[0]], rows("label", [0]))
    assert found.confusion is None
    assert found.confusion_names == ()


def test_figures_of_each_class_come_as_a_table() -> None:
    table = evaluated(THREE, np.eye(3)[[0, 1]], rows("label", [0, 0])).to_pandas()
    assert list(table.index) == ["cat", "dog"]
    assert table.loc["cat", "recall"] == 0.5


# --- several classes an image ---------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(120))
def test_multi_label_figures_are_those_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    match = random_match(rng)
    count = rng.integers(1, 40)
    truth = rng.random((count, len(match.data))) < rng.random()
    labels = [np.flatnonzero(row).tolist() for row in truth]
    scores = random_scores(rng, match, count)
    found = evaluated(match, scores, rows("labels", labels))

    shared = [n for n in match.data if n in match.model]
    truth = truth[:, [match.data.index(n) for n in shared]]
    scores = scores[:, [match.model.index(n) for n in shared]]
    some = truth.any(0)
    aps = [
        average_precision_score(t, s) for t, s in zip(truth.T[some], scores.T[some], strict=True)
    ]
    expected = dict(zip(np.array(shared)[some], aps, strict=True))
    assert found["map"] == pytest.approx(np.mean(aps) if aps else np.nan, nan_ok=True)
    guess = scores >= 0.5
    # scikit-learn has no warning-free way to say nan of several undefined classes at once
    f1 = np.array(
        [f1_score(t, g, zero_division=np.nan) for t, g in zip(truth.T, guess.T, strict=True)]
    )
    macro = f1[~np.isnan(f1)].mean() if (~np.isnan(f1)).any() else np.nan
    assert found["f1_macro"] == pytest.approx(macro, nan_ok=True)
    micro = f1_score(truth.ravel(), guess.ravel(), zero_division=np.nan)
    assert found["f1_micro"] == pytest.approx(micro, nan_ok=True)
    assert list(found.per_class) == shared
    for k, (name, row) in enumerate(found.per_class.items()):
        assert row["ap"] == pytest.approx(expected.get(name, np.nan), nan_ok=True)
        assert row["f1"] == pytest.approx(f1[k], nan_ok=True)
        assert row["support"] == truth[:, k].sum()
    assert found.images == count


@pytest.mark.parametrize(
    ("key", "some", "nothing"),
    [("label", [0, 1, 1, 0], [-1, None]), ("labels", [[0], [1, 2]], [None])],
)
def test_images_without_a_label_are_left_out_and_counted(
    key: str, some: list[Any], nothing: list[Any]
) -> None:
    scores = np.random.default_rng(0).random((len(some), 3)).astype(np.float32)
    alone = evaluated(THREE, scores, rows(key, some))
    metrics = [ClassificationMetric(THREE), ClassificationMetric(THREE)]
    for index, row in enumerate(rows(key, some)):
        metrics[0].update(index, result(scores[index]), row)
    for index, row in enumerate(rows(key, nothing), len(some)):
        metrics[1].update(index, result(scores[0]), row)
    assert (metrics[1].compute().images, metrics[1].compute().left_out) == (0, len(nothing))
    together = ClassificationMetric(THREE)
    together.merge([metric.state() for metric in metrics])
    found = together.compute()
    assert (found.images, found.left_out) == (len(some), len(nothing))
    assert found.metrics == alone.metrics
    assert found.per_class == alone.per_class


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("label", 3, r"a/0\.jpg has the class id 3, but the 3 classes"),
        ("label", -2, r"a/0\.jpg has the class id -2"),
        ("label", "cat", r"label of a/0\.jpg is \['cat'\]"),
        ("labels", [0, 7], r"a/0\.jpg has the class id 7"),
        ("labels", [None], r"labels of a/0\.jpg is \[None\]"),
    ],
)
def test_labels_that_mean_nothing_are_refused_with_the_name_of_the_image(
    key: str, value: Any, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        evaluated(THREE, np.eye(3), rows(key, [value]))


def test_scores_that_are_missing_or_no_numbers_are_refused() -> None:
    with pytest.raises(PvzooError, match=r"a/0\.jpg are not numbers"):
        evaluated(THREE, np.full((1, 3), np.nan), rows("label", [0]))
    with pytest.raises(UsageError, match="probabilities=True"):
        ClassificationMetric(THREE).update(0, result(None), rows("label", [0])[0])


def test_without_images_there_is_no_figure() -> None:
    found = ClassificationMetric(THREE).compute()
    assert np.isnan(found["top1"])
    assert (found.images, found.left_out) == (0, 0)
