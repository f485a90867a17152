"""Thresholds that are chosen on labelled data and kept with a model."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import colour_model
import numpy as np
import pytest
from exports import write_classifier
from hub_server import GOOD_TOKEN
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

import pvzoo
from pvzoo import about, data
from pvzoo.adapters.base import Spec
from pvzoo.data import schema
from pvzoo.errors import (
    DataError,
    PvzooWarning,
    UnsupportedModelError,
    UsageError,
    WeightsError,
)
from pvzoo.metrics.detection import DetectionMetric
from pvzoo.model import Model
from pvzoo.postprocess.detection import select
from pvzoo.thresholds.apply import applied, tempered
from pvzoo.thresholds.choose import temperature_for, threshold_for
from pvzoo.thresholds.tune import EXAMPLES, halves, thresholds_of
from pvzoo.thresholds.values import Thresholds


class ThresholdAdapter(colour_model.ColourAdapter):
    """The colour model, which leaves out what scores less than the threshold."""

    def postprocess(self, outputs: Any, meta: Any, **controls: Any) -> Any:
        result = super().postprocess(outputs, meta, **controls)
        return result[result.scores >= controls["threshold"]]


def colour_model_of(task: str) -> Model:
    return Model("colours", ThresholdAdapter(Spec("colours", task, colour_model.NAMES)))


# --- choosing -------------------------------------------------------------------------------------


def figures(scores: np.ndarray, right: np.ndarray, count: int, least: Any) -> dict[str, float]:
    said = scores >= least
    hits = int((said & right).sum())
    return {
        "precision": hits / said.sum() if said.any() else 0.0,
        "recall": hits / count,
        "f1": 2 * hits / (said.sum() + count),
    }


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("digits", [1, 6])
def test_a_chosen_threshold_is_the_best_of_all_that_there_are(seed: int, digits: int):
    rng = np.random.default_rng(seed)
    scores = rng.random(80).round(digits).astype(np.float32)
    right = rng.random(80) < scores
    count = int(right.sum()) + 7
    every = [0.0, *scores.astype(float).tolist(), 1.1]
    each = [(t, figures(scores, right, count, t)) for t in every]

    def reached(name: str, value: float) -> tuple[float, dict[str, float]]:
        least = threshold_for(name, value, scores, right, count)
        return least, figures(scores, right, count, least)

    assert reached("f1", 1.0)[1]["f1"] == pytest.approx(max(f["f1"] for _, f in each))
    found = reached("precision", 0.8)[1]
    best = max(f["recall"] for _, f in each if f["precision"] >= 0.8)
    assert found["precision"] >= 0.8
    assert found["recall"] == pytest.approx(best)
    found = reached("recall", 0.5)[1]
    best = max(t for t, f in each if f["recall"] >= 0.5)
    assert found == figures(scores, right, count, best)


def test_what_cannot_be_reached_is_come_near_to():
    scores, right = np.array([0.9, 0.8, 0.7]), np.array([False, True, False])
    assert 0.7 < threshold_for("precision", 0.9, scores, right, 5) <= 0.8
    assert threshold_for("recall", 0.9, scores, right, 5) == pytest.approx(0.75)


@pytest.mark.parametrize("heat", [0.4, 1.0, 3.0])
def test_the_temperature_is_the_one_at_which_the_labels_are_likeliest(heat: float):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (2000, 5))
    labels = np.array([rng.choice(5, p=row) for row in softmax(logits, axis=1)])
    hot = logits * heat  # as a network that is too sure, or not sure enough
    found = temperature_for(softmax(hot, axis=1).astype(np.float32), labels)
    rows = np.arange(len(labels))

    def loss(temperature: float) -> float:
        return -log_softmax(hot / temperature, axis=1)[rows, labels].mean()

    expected = minimize_scalar(loss, bounds=(0.05, 20), method="bounded").x
    assert found == pytest.approx(expected, rel=0.01)
    assert found == pytest.approx(heat, rel=0.15)


def test_probabilities_are_tempered_as_logits_are_divided():
    logits = np.random.default_rng(1).normal(0, 3, (20, 6))
    made = tempered(softmax(logits, axis=1).astype(np.float32), 2.5)
    np.testing.assert_allclose(made, softmax(logits / 2.5, axis=1), atol=1e-6)


def test_half_of_the_images_choose_and_the_others_check():
    first, second = halves(np.arange(101))
    assert sorted([*first, *second]) == list(range(101))
    assert abs(len(first) - len(second)) == 1
    with pytest.raises(DataError, match="1 image"):
        halves(np.array([3]))


# --- tuning ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return colour_model.dataset(schema.DETECTION, tmp_path_factory.mktemp("scenes"), 200)


@pytest.mark.parametrize("task", [schema.DETECTION, schema.INSTANCE])
def test_a_detector_finds_with_its_own_thresholds_what_half_would_hide(task: str, tmp_path: Path):
    """The colour model's scores are below 0.5, and its boxes as right as they can be."""
    made = colour_model.dataset(task, tmp_path, 120)
    model = colour_model_of(task)
    tuned = model.tune_thresholds(made)
    assert not any(len(r) for r in model.predict(made["image"][:10]))
    assert sum(len(r) for r in tuned.predict(made["image"][:10])) > 10
    found = tuned.thresholds.figures["f1"]
    assert found["before"] == 0
    assert found["low"] < found["value"] < found["high"]
    assert found["value"] > 0.7
    assert model.thresholds is None  # it stays as it was


def test_a_class_with_few_examples_has_the_common_threshold_and_says_so(scenes: Any):
    tuned = colour_model_of(schema.DETECTION).tune_thresholds(scenes)
    assert tuned.thresholds.fallback == ("background",)
    assert set(tuned.thresholds.per_class) == {"red", "green", "blue"}
    few = scenes.select(range(EXAMPLES))  # about one object of each class an image
    thresholds = colour_model_of(schema.DETECTION).tune_thresholds(few).thresholds
    assert thresholds.per_class == {}
    assert set(thresholds.fallback) == set(colour_model.NAMES)
    assert "the common threshold" in str(thresholds.lines)
    plain = colour_model_of(schema.DETECTION).tune_thresholds(scenes, per_class=False)
    assert plain.thresholds.per_class == {}
    assert plain.thresholds.fallback == ()


def test_a_threshold_that_is_given_holds_and_evaluation_asks_for_everything(scenes: Any):
    model = colour_model_of(schema.DETECTION)
    tuned = model.tune_thresholds(scenes, target={"recall": 0.5})
    image = scenes[1]["image"]
    assert tuned.predict(image, threshold=0.5).scores.tolist() == []
    assert len(tuned.predict(image, threshold=0.0)) == len(model.predict(image, threshold=0.0))
    assert tuned.evaluate(scenes).to_dict() == model.evaluate(scenes).to_dict()
    assert tuned.outputs(image).result().to_dict() == tuned.predict(image).to_dict()


def test_a_classifier_says_when_it_is_not_sure_and_its_scores_become_honest(tmp_path: Path):
    """The colour model says 0.7 of all answers, and is right in about as many."""
    made = colour_model.dataset(schema.CLASSIFICATION, tmp_path, 150)
    model = colour_model_of(schema.CLASSIFICATION)
    tuned = model.tune_thresholds(made, target={"accuracy": 0.99})
    thresholds = tuned.thresholds
    assert thresholds.temperature is not None
    sure = replace(thresholds, common=0.99)
    tuned.thresholds = sure
    result = tuned.predict(made[0]["image"])
    assert result.sure is False
    assert result.to_dict()["sure"] is False
    assert "not sure" in repr(result)
    tuned.thresholds = replace(thresholds, common=0.1, temperature=2.0)
    result = tuned.predict(made[0]["image"], probabilities=True, top_k=2)
    plain = model.predict(made[0]["image"], probabilities=True)
    assert result.sure is True
    assert len(result) == 2
    np.testing.assert_allclose(result.probabilities, tempered(plain.probabilities[None], 2.0)[0])
    np.testing.assert_allclose(result.scores, result.probabilities[result.labels])
    assert model.predict(made[0]["image"]).sure is None
    assert tuned.evaluate(made).to_dict() == model.evaluate(made).to_dict()


def test_thresholds_of_what_has_none_and_targets_that_there_are_not_are_refused(
    scenes: Any, tmp_path: Path
):
    with pytest.raises(UnsupportedModelError, match="no threshold to tune"):
        colour_model_of(schema.SEMANTIC).tune_thresholds("anything")
    for target in ("f2", {"precision": 2}, {"accuracy": 0.5}, {"precision": 0.9, "recall": 0.9}):
        with pytest.raises(UsageError, match="target is"):
            colour_model_of(schema.DETECTION).tune_thresholds(scenes, target=target)
    photos = colour_model.dataset(schema.CLASSIFICATION, tmp_path, 4)
    with pytest.raises(UsageError, match="'accuracy'"):
        colour_model_of(schema.CLASSIFICATION).tune_thresholds(photos, target={"recall": 0.9})


def test_chosen_thresholds_beat_a_half_on_images_that_were_not_looked_at():
    """The shapes detector: the mean F1 of five divisions of the data in halves."""
    dataset = data.load("shapes", schema.DETECTION, split="validation")
    model = pvzoo.load("shapes-detector", device="cpu")
    results = list(model.stream(dataset["image"], batch_size=16, progress=False, threshold=0.0))
    rows = list(dataset.remove_columns("image").with_format(None))
    from pvzoo.metrics.class_match import LabelMatch

    metric = DetectionMetric(LabelMatch.of(model.labels, schema.class_names(dataset.features)))
    for index, (result, row) in enumerate(zip(results, rows, strict=True)):
        metric.update(index, result, row)
    ranked = metric.compute().analysis.ranked()
    gains = []
    for seed in range(5):
        first, second = halves(np.arange(len(rows)), seed)
        common, own = thresholds_of(ranked, first, ("f1", 1.0), True)
        assert len(own) == 8
        least = np.array([own.get(name, common) for name in ranked.names], np.float32)
        there = np.isin(ranked.image, second)
        asked = int(np.isin(ranked.asked_image, second).sum())
        of = (ranked.score[there], ranked.right[there], asked)
        gain = figures(*of, least[ranked.label[there]])["f1"] - figures(*of, 0.5)["f1"]
        gains.append(gain)
    assert np.mean(gains) > 0.005


# --- using ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"max_detections": 3},
        {"nms": 0.4},
        {"nms": 0.4, "class_agnostic": True},
        {"classes": ["red", "blue"], "max_detections": 2},
    ],
)
def test_objects_below_their_threshold_neither_count_nor_suppress(options: dict[str, Any]):
    """As if the adapter had been given only the others."""
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 50, (60, 2))
    boxes = np.hstack([corners, corners + rng.uniform(10, 40, (60, 2))]).astype(np.float32)
    scores, labels = rng.random(60).astype(np.float32), rng.integers(0, 4, 60)
    task = colour_model_of(schema.DETECTION)._task
    names = colour_model.NAMES
    thresholds = Thresholds(schema.DETECTION, 0.3, {"red": 0.8, "blue": 0.1})
    _, controls = task.options(options, names)
    asked, finish = applied(thresholds, names, controls, options)
    from pvzoo.adapters.detection import detections

    found = finish(detections(boxes, scores, labels, names, (100, 100), **asked))
    least = np.array([0.3, 0.8, 0.3, 0.1])
    some = scores >= least[labels]
    del controls["threshold"]
    kept = select(boxes[some], scores[some], labels[some], **controls)
    np.testing.assert_array_equal(found.scores, scores[some][kept])
    assert len(found)


# --- keeping --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tuned() -> Any:
    """The shapes detector with thresholds."""
    dataset = data.load("shapes", schema.DETECTION, split="validation").select(range(120))
    return pvzoo.load("shapes-detector", device="cpu").tune_thresholds(dataset)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import pvzoo_shapes

    file = tmp_path_factory.mktemp("scene") / "scene.png"
    pvzoo_shapes.scenes(count=1, size=160, seed=5)[0]["image"].save(file)
    return file


def test_a_saved_model_gives_the_same_objects_in_another_process(
    tuned: Any, scene: Path, tmp_path: Path
):
    folder = tuned.save(tmp_path / "sure")
    code = (
        "import pvzoo, sys\n"
        "print(pvzoo.load(sys.argv[1], device='cpu').predict(sys.argv[2]).to_json())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder), str(scene)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    here = tuned.predict(scene).to_dict()["predictions"]
    there = json.loads(done.stdout.splitlines()[-1])["predictions"]
    assert [row["name"] for row in there] == [row["name"] for row in here]
    assert [row["score"] for row in there] == pytest.approx([row["score"] for row in here])
    plain = json.loads((folder / "config.json").read_text())["pvzoo"]
    assert plain["task"] == schema.DETECTION
    assert plain["thresholds"]["images"] == [60, 60]
    assert plain["thresholds"]["fitted_with"] == {
        "image_size": [128, 128],
        "precision": "fp32",
        "tiles": None,
    }
    assert plain["thresholds"]["data"]


def test_a_pushed_model_comes_back_with_its_thresholds(
    tuned: Any, scene: Path, hub: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HF_TOKEN", GOOD_TOKEN)
    tuned.push_to_hub("me/sure")
    again = pvzoo.load("me/sure", device="cpu")
    assert again.thresholds == tuned.thresholds
    assert again.predict(scene).scores.tolist() == tuned.predict(scene).scores.tolist()


def test_thresholds_are_told_to_people_and_dropped_by_what_changes_the_weights(
    tuned: Any, tmp_path: Path
):
    told = dict(about.lines(tuned))
    assert told["thresholds"].startswith("chosen for f1 on 60 images: 0.")
    assert "without them" in told["f1"]
    folder = tuned.save(tmp_path / "sure")
    again = pvzoo.load(folder, device="cpu")
    again.thresholds = None
    assert "thresholds" not in (again.save(tmp_path / "new") / "config.json").read_text()


def test_a_model_that_runs_otherwise_than_its_thresholds_were_chosen_warns(
    tuned: Any, tmp_path: Path
):
    folder = tuned.save(tmp_path / "sure")
    with warnings.catch_warnings():
        warnings.simplefilter("error", PvzooWarning)
        pvzoo.load(folder, device="cpu")
    with pytest.warns(PvzooWarning, match=r"chosen with precision fp32 \(now bf16\)"):
        pvzoo.load(folder, device="cpu", dtype="bfloat16")


@pytest.mark.parametrize(
    "change",
    [
        {"common": 2},
        {"common": None},
        {"common": float("nan")},
        {"per_class": [1]},
        {"per_class": {"disc": "0.5"}},
        {"temperature": -1},
        {"figures": {"f1": {"value": "high"}}},
        {"images": 3},
        {"fallback": [1]},
        {"target": 3},
        {"task": schema.DETECTION, "temperature": 1.5},
        {"task": None},
        "nothing",
    ],
)
def test_thresholds_that_no_tuning_wrote_are_refused_with_what_to_do(
    change: Any, tuned: Any, tmp_path: Path
):
    good = tuned.thresholds.to_json()
    bad = change if isinstance(change, str) else good | change
    if change == "nothing":
        bad = good.copy()
        del bad["common"]
    assert Thresholds.from_json(good, "x") == tuned.thresholds
    with pytest.raises(WeightsError, match=r"The thresholds of x cannot be read.*Tune them again"):
        Thresholds.from_json(bad, "x")


def test_an_export_has_the_thresholds_and_uses_them(scene: Path, tmp_path: Path):
    write_classifier(tmp_path / "plain")
    model = pvzoo.load(tmp_path / "plain", device="cpu")
    plain = model.predict(scene)
    model.thresholds = Thresholds(schema.CLASSIFICATION, 0.5, temperature=2.0)
    model.export(tmp_path / "exported")
    exported = pvzoo.load(tmp_path / "exported")
    assert exported.thresholds == model.thresholds
    found = exported.predict(scene)
    np.testing.assert_allclose(found.scores, model.predict(scene).scores, atol=1e-3)
    assert found.sure is bool(found.scores[0] >= 0.5)
    assert found.scores[0] < plain.scores[0] - 0.01
    told = dict(about.saved(str(tmp_path / "exported")))
    assert told["task"] == schema.CLASSIFICATION
    assert told["temperature"] == "2"


def test_the_demo_leaves_thresholds_to_the_model_and_tells_them(tuned: Any, scene: Path):
    from pvzoo.demo.cards import about_model
    from pvzoo.demo.controls import controls_of, options_of

    def options(own: bool) -> dict[str, Any]:
        controls = controls_of(type(tuned._task), tuned.labels, own_thresholds=own)
        return options_of(controls, [c.component.value for c in controls])

    assert options(False)["threshold"] == 0.5
    assert "threshold" not in options(True)
    seen = tuned.outputs(scene).result(**options(True))
    assert seen.scores.tolist() == tuned.predict(scene).scores.tolist()
    assert "* thresholds: chosen for f1" in about_model(tuned)


def test_info_shows_the_thresholds_of_a_folder(tuned: Any, tmp_path: Path):
    folder = tuned.save(tmp_path / "sure")
    told = dict(about.saved(str(folder)))
    assert told["task"] == schema.DETECTION
    assert told["classes"].startswith("8: disc, ")
    assert told["thresholds"] == dict(tuned.thresholds.lines)["thresholds"]
