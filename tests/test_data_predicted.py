"""Predictions as files that annotation tools import, and as maps."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from forked import run_command as run
from PIL import Image

from pvzoo.data.formats.label_studio import brush
from pvzoo.data.load import load
from pvzoo.data.predicted import Predicted
from pvzoo.data.schema import class_names
from pvzoo.data.write import write
from pvzoo.errors import DataError, UsageError
from pvzoo.inputs.images import ImageHandle
from pvzoo.results.classification import Classification
from pvzoo.results.detections import Detections
from pvzoo.results.instances import Instances
from pvzoo.results.masks import Masks
from pvzoo.results.panoptic import Panoptic, PanopticSegment
from pvzoo.results.semantic import SemanticMap

pytestmark = pytest.mark.usefixtures("own_cache")

NAMES = ("cat", "dog", "")
MASK = np.zeros((10, 20), bool)
MASK[2:4, 3:9] = MASK[8, 19] = True


def image(folder: Path, name: str = "a.png") -> ImageHandle:
    folder.mkdir(exist_ok=True)
    Image.new("RGB", (20, 10), (len(name), 0, 0)).save(folder / name)
    return ImageHandle.of(folder / name)


def detections(folder: Path, name: str = "a.png", count: int = 2) -> Detections:
    return Detections(
        size=(10, 20),
        image=image(folder, name),
        boxes=np.array([[1, 2, 5, 8], [2.5, 1, 9, 4]], np.float32)[:count],
        scores=np.array([0.75, 0.5], np.float32)[:count],
        labels=np.array([1, 0])[:count],
        names=("dog", "cat")[:count],
    )


def gathered(kind, *results) -> Predicted:
    predicted = Predicted(kind, NAMES)
    for result in results:
        predicted.add(result)
    return predicted


def test_boxes_with_scores_go_to_cvat_and_come_back(tmp_path):
    results = detections(tmp_path / "in"), detections(tmp_path / "in", "b.png", 0)
    predicted = gathered(Detections, *results)
    write(predicted.dataset(), tmp_path / "out", "cvat")
    root = ElementTree.parse(tmp_path / "out/annotations.xml").getroot()
    assert [label.findtext("name") for label in root.iter("label")] == ["cat", "dog"]
    box = root.find("image/box")
    assert box.attrib["source"] == "auto"
    assert [float(box.attrib[k]) for k in ("xtl", "ytl", "xbr", "ybr")] == [1, 2, 5, 8]
    assert box.find("attribute").attrib["name"] == "score"
    assert [float(a.text) for a in root.findall("image/box/attribute")] == [0.75, 0.5]
    labels = json.loads((tmp_path / "out/labels.json").read_text())
    assert [a["name"] for a in labels[0]["attributes"]] == ["score"]
    found = load(tmp_path / "out")
    assert found[0]["objects"]["bbox"] == [[1, 2, 4, 6], [2.5, 1, 6.5, 3]]
    assert found[1]["objects"]["id"] == []


def test_boxes_with_scores_are_predictions_of_label_studio(tmp_path):
    predicted = gathered(Detections, detections(tmp_path / "in"))
    write(predicted.dataset(), tmp_path / "out", "label-studio")
    (task,) = json.loads((tmp_path / "out/tasks.json").read_text())
    assert task["data"] == {"image": "/data/local-files/?d=images/a.png"}
    assert "annotations" not in task
    (prediction,) = task["predictions"]
    assert prediction["score"] == 0.625
    first = prediction["result"][0]
    assert first["type"] == "rectanglelabels"
    assert (first["from_name"], first["to_name"], first["score"]) == ("label", "image", 0.75)
    assert (first["original_width"], first["original_height"]) == (20, 10)
    value = {"x": 5, "y": 20, "width": 20, "height": 60, "rotation": 0}
    assert first["value"] == value | {"rectanglelabels": ["dog"]}
    config = ElementTree.parse(tmp_path / "out/label_config.xml").getroot()
    assert [label.get("value") for label in config.iter("Label")] == ["cat", "dog"]
    with pytest.raises(DataError, match="without annotations"), pytest.warns(match="left out"):
        load(tmp_path / "out")


def masked(folder: Path):
    masks = Masks.from_array(MASK[None])
    ids = MASK.astype(np.int32)
    segment = PanopticSegment(1, 1, "dog", True, 0.75, int(MASK.sum()))
    common = {"size": (10, 20), "image": image(folder)}
    yield Instances(
        **common,
        boxes=masks.boxes,
        scores=np.array([0.75], np.float32),
        labels=np.array([1]),
        names=("dog",),
        masks=masks,
    )
    yield Panoptic(**common, map=ids, segments=(segment,))
    yield SemanticMap.of(ids, ("cat", "dog"))


@pytest.mark.parametrize("place", range(3))
def test_masks_of_every_task_go_to_both_tools(tmp_path, place):
    from dataclasses import replace

    result = list(masked(tmp_path / "in"))[place]
    result = replace(result, image=image(tmp_path / "in"))
    predicted = gathered(type(result), result)
    write(predicted.dataset(), tmp_path / "cvat", "cvat")
    write(predicted.dataset(), tmp_path / "studio", "label-studio")
    (row,) = (found := load(tmp_path / "cvat"))
    masks = [
        Masks((10, 20), (code["counts"].encode(),))[0] for code in row["objects"]["segmentation"]
    ]
    dogs = [class_names(found.features)[i] for i in row["objects"]["category"]].index("dog")
    assert (masks[dogs] == MASK).all()
    (task,) = json.loads((tmp_path / "studio/tasks.json").read_text())
    drawn = task["predictions"][0]["result"][dogs]
    assert drawn["value"]["brushlabels"] == ["dog"]
    assert (brush.decode(bytes(drawn["value"]["rle"]), (10, 20), "it") == MASK).all()
    assert ("score" in drawn) == (place < 2)


def test_the_best_class_is_a_tag_or_a_choice(tmp_path):
    result = Classification(
        size=(10, 20),
        image=image(tmp_path / "in"),
        labels=np.array([1, 0]),
        scores=np.array([0.75, 0.25], np.float32),
        names=("dog", "cat"),
    )
    write(gathered(Classification, result).dataset(), tmp_path / "cvat", "cvat")
    write(gathered(Classification, result).dataset(), tmp_path / "studio", "label-studio")
    root = ElementTree.parse(tmp_path / "cvat/annotations.xml").getroot()
    assert [tag.get("label") for tag in root.iter("tag")] == ["dog"]
    assert root.findtext("image/tag/attribute") == "0.7500"
    (task,) = json.loads((tmp_path / "studio/tasks.json").read_text())
    (choice,) = task["predictions"][0]["result"]
    assert (choice["value"], choice["score"]) == ({"choices": ["dog"]}, 0.75)


def test_images_that_never_were_files_are_written_too(tmp_path):
    from dataclasses import replace

    file = tmp_path / "in/a.png"
    image(tmp_path / "in")
    result = replace(detections(tmp_path / "in"), image=ImageHandle.of(file.read_bytes()))
    write(gathered(Detections, result).dataset(), tmp_path / "out", "coco")
    content = json.loads((tmp_path / "out/annotations/instances.json").read_text())
    assert [a["score"] for a in content["annotations"]] == [0.75, 0.5]
    name = content["images"][0]["file_name"]
    assert (tmp_path / "out/images" / name).read_bytes() == file.read_bytes()


def test_the_command_writes_answers_for_review_and_says_first_what_is_wrong(tmp_path, photographs):
    coffee = photographs["coffee"]
    run("predict", coffee, "--review", tmp_path / "out", "--to", "label-studio")
    (task,) = json.loads((tmp_path / "out/tasks.json").read_text())
    assert task["predictions"][0]["result"][0]["value"] == {"choices": ["espresso"]}
    again = run("predict", coffee, "--review", tmp_path / "out")
    assert "exists and is not empty" in again.stderr
    assert (again.returncode, again.stdout) == (1, "")
    wrong = run("predict", coffee, "--review", tmp_path / "new", "--to", "yolo")
    assert "cannot store labels of image-classification" in wrong.stderr


def test_the_command_saves_maps(tmp_path, photographs):
    args = ("--task", "semantic-segmentation", "--json", "--save-maps", tmp_path / "maps")
    done = run("predict", photographs["coffee"], *args)
    (said,) = map(json.loads, done.stdout.splitlines())
    values = np.asarray(Image.open(tmp_path / "maps/coffee.png"))
    assert values.shape == (said["height"], said["width"])
    areas = {row["label"]: row["area"] for row in said["predictions"]}
    assert {i: int((values == i).sum()) for i in np.unique(values).tolist()} == areas


def test_maps_are_saved_as_files_of_their_values(tmp_path):
    from pvzoo.cli.maps import write_maps

    instances, panoptic, semantic = masked(tmp_path / "in")
    (file,) = write_maps(panoptic, tmp_path / "maps", "a")
    assert (np.asarray(Image.open(file)) == panoptic.map).all()
    scored = SemanticMap.of(MASK.astype(int), ("cat", "dog"), np.full((10, 20), 0.5, np.float32))
    values, scores = write_maps(scored, tmp_path / "maps", "b")
    assert (np.asarray(Image.open(values)) == semantic.map).all()
    assert (np.load(scores) == 0.5).all()
    assert scores.name == "b.scores.npy"
    with pytest.raises(UsageError, match="have no maps"):
        write_maps(instances, tmp_path / "maps", "c")
