"""The report of an evaluation: a folder with a page."""

from __future__ import annotations

import csv
import json
import pickle
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import colour_model
import numpy as np
import pytest
from PIL import Image
from planted import found, plant
from pycocotools import mask as coco

from pvzoo import data
from pvzoo.data import schema
from pvzoo.errors import UsageError
from pvzoo.metrics.class_match import LabelMatch
from pvzoo.metrics.detection import DetectionMetric
from pvzoo.report import gallery
from pvzoo.results.detections import Detections

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
EVIL_CLASS = "<script>alert(1)</script>"
EVIL_FILE = '"><img src=x onerror=alert(2)>.jpg'


class Reader(HTMLParser):
    """Takes a page apart: its elements with their attributes, and its text."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, text: str) -> None:
        self.text += text

    def all(self, tag: str, attribute: str) -> list[str]:
        return [a[attribute] for t, a in self.elements if t == tag and attribute in a]


def evaluated(task: str, folder: Path, count: int = 20, **options: Any) -> Any:
    return colour_model.model(task).evaluate(colour_model.dataset(task, folder, count, **options))


@pytest.mark.parametrize("task", colour_model.TASKS)
def test_every_task_has_a_report_that_opens_from_the_folder_alone(task: str, tmp_path: Path):
    evaluation = evaluated(task, tmp_path / "data")
    page = evaluation.report(tmp_path / "report")
    read = Reader(page)
    assert len(evaluation.worst(100)) == len(read.all("figure", "data-kinds")) > 3
    files = [*read.all("img", "src"), *(h for h in read.all("a", "href") if h[0] != "#")]
    assert all((page.parent / file).is_file() for file in files)
    assert not read.all("script", "src") + read.all("link", "href")
    for name, value in evaluation.items():
        assert name in read.text
        assert value != value or f"{value:.3f}" in read.text
    said = json.loads((page.parent / "report.json").read_text())
    assert said["metrics"] == pytest.approx(evaluation.to_dict()["metrics"], abs=1e-6)
    rows = list(csv.DictReader((page.parent / "images.csv").open()))
    assert [float(row["loss"]) for row in rows] == pytest.approx(
        [one.loss for one in evaluation.worst(100)], rel=1e-5
    )


def test_the_worst_images_come_first_and_say_what_is_wrong(tmp_path: Path):
    """The model takes blue for green in the left half."""
    evaluation = evaluated(schema.DETECTION, tmp_path)
    worst = evaluation.worst(3)
    losses = [one.loss for one in evaluation.worst(100)]
    assert losses == sorted(losses, reverse=True)
    assert [one.kinds for one in worst] == [("class",)] * 3
    assert [one.classes for one in worst] == [("green",)] * 3
    assert evaluation.errors["class"]["cost"] > 0.1
    assert sum(row["cost"] for kind, row in evaluation.errors.items() if kind != "class") == 0


def test_the_confusion_of_a_detector_counts_objects_and_what_is_not_there(tmp_path: Path):
    """Of each object at most one detection scores 0.5, so that a matrix can be made by hand."""
    rows = [([(0, 0, 10, 10), (20, 0, 10, 10), (0, 20, 10, 10)], [0, 1, 1])]
    match = LabelMatch.of(["a", "b"], ["a", "b"])
    metric = DetectionMetric(match)
    boxes = [(0, 0, 10, 10), (20, 0, 30, 10), (40, 40, 50, 50), (0, 20, 10, 30)]
    result = Detections(
        size=(60, 60),
        boxes=np.array(boxes, np.float32),
        scores=np.array([0.9, 0.8, 0.7, 0.4], np.float32),
        labels=np.array([0, 0, 1, 1]),
        names=("a", "a", "b", "b"),
    )
    truth, classes = rows[0]
    objects = {
        "category": classes,
        "bbox": [list(map(float, box)) for box in truth],
        "area": [100.0] * 3,
        "iscrowd": [False] * 3,
        "ignore": [False] * 3,
    }
    metric.update(0, result, {"image_id": 0, "file_name": "0.png", "objects": objects})
    evaluation = metric.compute()
    assert evaluation.confusion_names == ("a", "b", "none")
    assert evaluation.confusion is not None
    assert evaluation.confusion.tolist() == [[1, 0, 0], [1, 0, 1], [0, 1, 0]]


def plain_confusion(
    boxes: list[Any], scores: list[float], labels: list[int], truth: list[Any], classes: list[int]
) -> np.ndarray:
    """The matrix of an image, as its definition says it: the best detections choose first."""
    made = np.zeros((4, 4), int)
    taken: dict[int, int] = {}
    shown = [i for i in np.argsort(-np.array(scores)) if scores[i] >= 0.5]
    iou = coco.iou(np.array(boxes, float), np.array(truth, float), [False] * len(truth))
    rest = []
    for i in shown:  # right ones
        fits = [(iou[i, j], j) for j in range(len(truth)) if classes[j] == labels[i]]
        fits = [(share, j) for share, j in fits if share >= 0.5 and j not in taken]
        if fits:
            taken[max(fits)[1]] = labels[i]
        else:
            rest.append(i)
    free = set(range(len(truth))) - set(taken)
    for i in rest:
        own = [iou[i, j] for j in range(len(truth)) if classes[j] == labels[i]]
        others = [(iou[i, j], j) for j in range(len(truth)) if classes[j] != labels[i]]
        is_near = any(0.1 <= share <= 0.5 for share in [max(own, default=0)])
        best = max(others, default=(0, -1))
        if not is_near and best[0] >= 0.5 and best[1] in free and best[1] not in taken:
            taken[best[1]] = labels[i]
        else:
            made[3, labels[i]] += 1
    for j, label in enumerate(classes):
        made[label, taken.get(j, 3)] += 1
    return made


@pytest.mark.parametrize("seed", range(6))
def test_the_confusion_of_random_detections_is_that_of_its_definition(seed: int):
    rng = np.random.default_rng(seed)
    names = ["a", "b", "c"]
    metric, expected = DetectionMetric(LabelMatch.of(names, names)), np.zeros((4, 4), int)
    for image in range(15):
        corners, sizes = rng.uniform(0, 60, (5, 2)), rng.uniform(15, 40, (5, 2))
        truth, classes = np.hstack([corners, sizes]), rng.integers(0, 3, 5)
        near = truth[rng.integers(0, 5, 12)]
        boxes = (near + rng.normal(0, 3, (12, 4))).astype(np.float32)
        scores, labels = rng.random(12).astype(np.float32), rng.integers(0, 3, 12)
        corner_form = np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]])
        boxes[:, 2:] = corner_form[:, 2:] - corner_form[:, :2]  # as float32 has it
        result = Detections(
            size=(100, 100),
            boxes=corner_form,
            scores=scores,
            labels=labels,
            names=tuple(names[label] for label in labels),
        )
        objects = {
            "category": classes.tolist(),
            "bbox": truth.tolist(),
            "area": sizes.prod(1).tolist(),
            "iscrowd": [False] * 5,
            "ignore": [False] * 5,
        }
        row = {"image_id": image, "file_name": f"{image}.png", "objects": objects}
        metric.update(image, result, row)
        said = (boxes.tolist(), scores.tolist(), labels.tolist())
        expected += plain_confusion(*said, truth.tolist(), classes.tolist())
    assert metric.compute().confusion.tolist() == expected.tolist()


def hostile(folder: Path) -> Any:
    """Data with a class and a file whose names are HTML, and a class that is a formula."""
    made = colour_model.dataset(schema.DETECTION, folder, 12)
    names = ["background", "=1+1", EVIL_CLASS, "blue"]
    features = made.features.copy()
    features["objects"] = schema.features(schema.DETECTION, names)["objects"]
    made = made.map(lambda row, i: {"file_name": f"{i}{EVIL_FILE}"}, with_indices=True)
    labels = tuple(names)
    return colour_model.model(schema.DETECTION, labels).evaluate(made.cast(features))


def test_names_from_the_data_are_text_wherever_they_stand(tmp_path: Path):
    page = hostile(tmp_path / "data").report(tmp_path / "report")
    text = page.read_text(encoding="utf-8")
    assert EVIL_CLASS not in text
    assert "<img src=x" not in text
    read = Reader(page)
    assert len(read.all("script", "src")) == 0
    assert [tag for tag, _ in read.elements].count("script") == 1
    assert EVIL_CLASS in read.text  # and yet it is there to be read
    assert "</script" not in (page.parent / "report.json").read_text()
    cells = [
        cell for f in page.parent.glob("*.csv") for row in csv.reader(f.open()) for cell in row
    ]
    assert "'=1+1" in cells
    assert not [cell for cell in cells if cell.startswith(("=", "@", "+"))]


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_in_a_browser_nothing_runs_but_the_filter_and_nothing_is_fetched(
    browser: Any, tmp_path: Path, width: int
):
    report = hostile(tmp_path / "data").report(tmp_path / "report")
    page = browser.new_page(viewport={"width": width, "height": 900})
    heard: list[str] = []
    page.on("dialog", lambda dialog: heard.append(dialog.message) or dialog.dismiss())
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("request", lambda r: heard.append(r.url) if not r.url.startswith("file:") else None)
    page.goto(report.as_uri())
    every = page.locator(".gallery figure")
    count = every.count()
    every.last.scroll_into_view_if_needed()
    for _ in range(100):  # the policy forbids what wait_for_function does
        if page.evaluate("[...document.images].at(-1).naturalWidth > 0"):
            break
        page.wait_for_timeout(50)
    else:
        pytest.fail("the last image was not shown")
    page.get_by_label("Class").select_option(label=EVIL_CLASS)
    shown = page.locator(".gallery figure:visible").count()
    assert 0 < shown <= count
    page.get_by_label("Kind of error").select_option("")
    page.get_by_label("Class").focus()  # by the keyboard too
    page.keyboard.press("Home")
    assert page.locator(".gallery figure:visible").count() == count
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert heard == []
    page.close()


def test_a_page_forbids_what_it_does_not_bring(tmp_path: Path):
    page = evaluated(schema.CLASSIFICATION, tmp_path / "data").report(tmp_path / "report")
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', page.read_text())
    assert policy.startswith("default-src 'none'; img-src 'self' file:; ")
    assert "unsafe" not in policy


def test_two_models_are_compared_image_by_image(tmp_path: Path):
    """One that sees colours as they are, and one that takes red for green everywhere."""
    made = colour_model.dataset(schema.CLASSIFICATION, tmp_path / "data", 30)
    one = colour_model.model(schema.CLASSIFICATION).evaluate(made)
    labels = ("background", "green", "red", "blue")
    other = colour_model.model(schema.CLASSIFICATION, labels).evaluate(made)
    page = one.report(tmp_path / "report", other=other)
    said = json.loads((page.parent / "report.json").read_text())["comparison"]
    assert said["figures"]["top1"]["a"] == pytest.approx(one["top1"])
    assert said["figures"]["top1"]["b"] == pytest.approx(other["top1"])
    assert said["figures"]["top1"]["better"] == "a"
    right = {i: one.source.dataset[i]["label"] for i in range(30)}
    worse = [i for i, label in right.items() if label == 1]
    assert {row["index"] for row in said["breaks"]} >= set(worse)
    assert "A is better" in Reader(page).text


def test_a_report_of_what_cannot_be_compared_or_is_not_here_is_refused(tmp_path: Path):
    evaluation = evaluated(schema.CLASSIFICATION, tmp_path / "a")
    gone = pickle.loads(pickle.dumps(evaluation))
    assert gone["top1"] == evaluation["top1"]
    with pytest.raises(UsageError, match="another process"):
        gone.report(tmp_path / "new")
    with pytest.raises(UsageError, match="different data"):
        evaluation.report(tmp_path / "new", other=evaluated(schema.CLASSIFICATION, tmp_path, 9))
    with pytest.raises(UsageError, match="same task"):
        evaluation.report(tmp_path / "new", other=evaluated(schema.DETECTION, tmp_path / "b"))
    with pytest.raises(UsageError, match="not empty"):
        evaluation.report(tmp_path / "a")
    assert not (tmp_path / "new").exists()


def test_a_report_stays_small_however_many_and_large_the_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(gallery, "MOST", 6)
    monkeypatch.setattr(gallery, "_WORST", 4)
    size = (900, 1800)
    made = colour_model.dataset(schema.DETECTION, tmp_path / "data", 30, size=size, images=3)
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    for file in (tmp_path / "data").glob("*.png"):  # nothing is harder to compress
        image = np.asarray(Image.open(file))
        Image.fromarray(np.where(image > 0, image, noise // 8)).save(file)
    page = colour_model.model(schema.DETECTION).evaluate(made).report(tmp_path / "report")
    large = [f for f in (page.parent / "images").iterdir() if "small" not in f.name]
    assert len(large) == 6
    assert max(max(Image.open(file).size) for file in large) <= 1600
    assert sum(f.stat().st_size for f in page.parent.rglob("*") if f.is_file()) < 6 * 250_000


# --- labels that may be mistakes ------------------------------------------------------------------


@pytest.fixture(scope="module")
def shapes() -> tuple[Any, list[Any], tuple[str, ...]]:
    """The validation split of shapes, and what the detector says of it."""
    import pvzoo

    dataset = data.load("shapes", schema.DETECTION, split="validation")
    model = pvzoo.load("shapes-detector", device="cpu")
    results = list(model.stream(dataset["image"], batch_size=16, progress=False, threshold=0.0))
    return dataset, results, model.labels


@pytest.mark.parametrize("seed", range(2))
def test_most_planted_mistakes_are_among_the_first_twice_as_many_suspects(shapes: Any, seed: int):
    dataset, results, labels = shapes
    names = schema.class_names(dataset.features)
    rows = list(dataset.remove_columns("image").with_format(None))
    wrong, planted = plant(rows, len(names), 0.05, np.random.default_rng(seed))
    metric = DetectionMetric(LabelMatch.of(labels, names))
    for index, (result, row) in enumerate(zip(results, wrong, strict=True)):
        metric.update(index, result, row)
    suspects = metric.compute().analysis.suspects()[: 2 * len(planted)]
    seen = found(planted, suspects)
    assert len(planted) > 100
    assert np.mean(seen) >= 0.8
    said = {suspect.kind for suspect in suspects}
    assert said == {"wrong class", "missing", "position", "nothing there"}


def test_suspects_are_drafts_for_label_tools_that_name_the_images(tmp_path: Path):
    page = evaluated(schema.DETECTION, tmp_path / "data", 40).report(tmp_path / "report")
    suspects = list(csv.DictReader((page.parent / "suspects.csv").open()))
    named = {row["file_name"] for row in suspects}
    assert {row["kind"] for row in suspects} == {"wrong class"}
    tasks = json.loads(next((page.parent / "label-studio").glob("tasks*.json")).read_text())
    assert {Path(task["data"]["image"]).name for task in tasks} == named
    assert not list(page.parent.glob("*/images/*.png"))
    assert (page.parent / "cvat" / "annotations.xml").is_file()


def test_a_wrong_label_of_an_image_is_a_suspect(tmp_path: Path):
    made = colour_model.dataset(schema.CLASSIFICATION, tmp_path, 30)
    labels = list(made["label"])
    right = [i for i in range(30) if labels[i] == 1]
    labels[right[0]] = 3
    made = (
        made.remove_columns("label")
        .add_column("label", labels)
        .cast_column("label", made.features["label"])
    )
    suspects = colour_model.model(schema.CLASSIFICATION).evaluate(made).analysis.suspects()
    assert [(s.kind, s.label, s.predicted) for s in suspects if s.index == right[0]] == [
        ("wrong class", "blue", "red")
    ]
