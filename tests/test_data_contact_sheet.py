"""Images of labelled data: on real photographs, with and without mistakes."""

from __future__ import annotations

import io

import numpy as np
import pytest
from broken_data import BROKEN
from clean_data import (
    HEIGHT,
    WIDTH,
    dataset,
    encoded,
    mask_code,
    objects,
    plain,
    rows,
)
from colour_model import TASKS
from datasets import DatasetDict
from PIL import Image

from pvzoo.data import draw_labels as drawn
from pvzoo.data.contact_sheet import TILE, contact_sheet, draw
from pvzoo.data.quality.check import check
from pvzoo.data.schema import CLASSIFICATION, DETECTION, INSTANCE, PANOPTIC, SEMANTIC
from pvzoo.errors import DataError, ImageError, UsageError
from pvzoo.results import drawing, semantic
from pvzoo.results.detections import Detections
from pvzoo.results.drawing import class_colour

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def scene(photographs) -> dict:
    """A photograph of 451 x 300 as the image of a row."""
    return {
        "image": {"path": str(photographs["cat"]), "bytes": None},
        "image_id": 0,
        "file_name": "chelsea.png",
        "width": 451,
        "height": 300,
    }


def one(task: str, row: dict, **options) -> tuple[dict, object]:
    data = dataset(task, [row], **options)
    return plain(data)[0], data.features


def shows(image: Image.Image, colour: tuple[int, int, int]) -> bool:
    return bool((np.asarray(image) == colour).all(axis=2).any())


def test_boxes_are_drawn_as_predictions_are_but_without_scores(scene):
    bboxes = [[120, 20, 200, 200], [20, 30, 60, 70]]
    row, columns = one(DETECTION, {**scene, "objects": objects(bboxes, [0, 2])})
    image = Image.open(scene["image"]["path"]).convert("RGB")
    corners = np.array([[120, 20, 320, 220], [20, 30, 80, 100]], np.float32)
    scored = Detections(
        size=(300, 451),
        boxes=corners,
        scores=np.array([0.9, 0.8], np.float32),
        labels=np.array([0, 2]),
        names=("circle", "star"),
    )
    ours, theirs = (np.asarray(p).astype(int) for p in (draw(row, columns), scored.draw(image)))
    differs = np.abs(ours - theirs).sum(axis=2) > 0
    down, across = differs.nonzero()
    assert 0 < differs.mean() < 0.01  # the scores behind the names
    assert down.max() < 40
    assert across.max() < 320


def test_crowds_and_ignored_objects_are_marked(scene):
    listed = objects([[50, 60, 300, 200]], [1])
    drawn = []
    for crowd, ignored in ((False, False), (True, False), (False, True), (True, True)):
        marked = {**listed, "iscrowd": [crowd], "ignore": [ignored]}
        drawn.append(draw(*one(DETECTION, {**scene, "objects": marked})).tobytes())
    assert len(set(drawn)) == 4


def test_masks_are_drawn_where_they_are(scene):
    mask = np.zeros((300, 451), bool)
    mask[100:200, 150:300] = True
    listed = {**objects([[150, 100, 150, 100]], [1]), "segmentation": [mask_code(mask)]}
    row, columns = one(INSTANCE, {**scene, "objects": listed})
    plain_row = {**row, "objects": {k: [] for k in listed}}
    with_mask, without = (np.asarray(draw(r, columns)) for r in (row, plain_row))
    assert (with_mask != without)[110:190, 160:290].any(axis=2).mean() > 0.9
    assert not (with_mask != without)[210:, :].any()


def test_small_images_are_scaled_down_with_their_labels():
    made = rows(DETECTION, 1)
    made[0]["image"]["bytes"] = large_dark_image()
    made[0] |= {"width": 1920, "height": 960, "objects": objects([[960, 480, 400, 200]], [1])}
    sheet = np.asarray(contact_sheet(dataset(DETECTION, made)))
    colour = np.array(class_colour(1))
    _, across = (sheet == colour).all(axis=2).nonzero()
    assert TILE / 2 <= across.min() - 12 <= TILE / 2 + 2  # the gap beside a tile
    assert abs(across.max() - 12 - TILE * 1360 / 1920) <= 2


def large_dark_image() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (1920, 960)).save(file, "PNG")
    return file.getvalue()


def test_semantic_maps_get_a_legend_with_void_and_unknown_values(scene, monkeypatch):
    written = legends(monkeypatch)
    values = np.zeros((300, 451), np.uint8)
    values[:, 200:] = 1
    values[:50] = 255
    values[250:] = 77
    row, columns = one(SEMANTIC, with_map(scene, values, {"id": [0, 1], "category": [1, 2]}))
    image = draw(row, columns)
    assert image.height > 300
    assert {name.split(" ", 1)[1] for name in written} == {"square", "star", "void", "value 77?"}


def test_panoptic_maps_name_crowds_and_segments_that_are_not_listed(scene, monkeypatch):
    captions: list[str] = []
    write = drawing._write

    def watched(image, listed, size):
        listed = list(listed)
        captions.extend(name for name, *_ in listed)
        write(image, listed, size)

    monkeypatch.setattr(drawing, "_write", watched)
    values = np.zeros((300, 451, 3), np.uint8)
    values[:, :200] = (1, 2, 250)  # an id of 16 million
    values[:100, 200:] = (5, 0, 0)
    values[200:, 200:] = (6, 0, 0)
    segments = {
        "id": [1 + 512 + 65536 * 250, 5, 99],
        "category": [0, 1, 2],
        "isthing": [True, True, False],
        "iscrowd": [False, True, False],
    }
    row, columns = one(PANOPTIC, with_map(scene, values, segments))
    draw(row, columns)
    assert sorted(captions) == ["circle", "segment 6?", "square (crowd)"]


def test_classes_are_written_below_the_image(scene, monkeypatch):
    written = legends(monkeypatch)
    for label in (2, None, -1, 9):
        draw(*one(CLASSIFICATION, {**scene, "label": label}))
    draw(*one(CLASSIFICATION, {**scene, "labels": [0, 1]}, multi_label=True))
    draw(*one(CLASSIFICATION, {**scene, "labels": []}, multi_label=True))
    assert written == ["star", "no class", "no class", "class id 9?", "circle", "square"]


def legends(monkeypatch) -> list[str]:
    """The names in all legends from now on."""
    written: list[str] = []
    add = drawn.add_legend

    def watched(image, entries):
        written.extend(name for name, _ in entries)
        return add(image, entries)

    monkeypatch.setattr(drawn, "add_legend", watched)
    monkeypatch.setattr(semantic, "add_legend", watched)
    return written


def with_map(scene: dict, values: np.ndarray, segments: dict) -> dict:
    row = {key: scene[key] for key in ("image", "image_id", "file_name")}
    return {**row, "annotation": encoded(values), "segments": segments}


@pytest.mark.parametrize("task", TASKS)
def test_decoded_and_encoded_rows_are_drawn_alike(task):
    data = dataset(task, rows(task, 3))
    for encoded_row, decoded_row in zip(plain(data), data, strict=True):
        ours = draw(encoded_row, data.features)
        assert np.array_equal(np.asarray(ours), np.asarray(draw(decoded_row, data.features)))


@pytest.mark.parametrize("name", BROKEN)
def test_every_broken_dataset_has_a_contact_sheet(name):
    case = BROKEN[name]
    made = {split: dataset(case.task, part) for split, part in case.data().items()}
    data = made[""] if "" in made else DatasetDict(made)
    report = check(data)
    sheet = contact_sheet(data, count=3, report=report)
    assert sheet.width == 3 * (TILE + 12) + 12


def test_what_cannot_be_drawn_says_why():
    row, columns = one(DETECTION, rows(DETECTION, 1)[0])
    with pytest.raises(ImageError):
        draw({**row, "image": {"path": None, "bytes": b"no image"}}, columns)
    row, columns = one(SEMANTIC, rows(SEMANTIC, 1)[0])
    with pytest.raises(DataError, match=r"0\.png"):
        draw({**row, "annotation": {"path": None, "bytes": b"no image"}}, columns)
    with pytest.raises(DataError, match=r"0\.png"):
        draw({**row, "annotation": None}, columns)


# --- contact sheets -------------------------------------------------------------------------------


def coloured(count: int) -> list[dict]:
    """Rows each of which is an image of a grey of its own."""
    made = rows(CLASSIFICATION, count)
    for number, row in enumerate(made):
        row["image"] = encoded(np.full((HEIGHT, WIDTH, 3), 100 + number, np.uint8))
    return made


def greys(sheet: Image.Image) -> set[int]:
    pixels = np.asarray(sheet)
    same = (pixels == pixels[..., :1]).all(axis=2)
    found, counts = np.unique(pixels[..., 0][same], return_counts=True)
    large = found[counts > 20_000].tolist()
    return {value - 100 for value in large if 100 <= value < 200}


def test_samples_depend_on_the_seed_only_and_none_is_shown_twice():
    data = dataset(CLASSIFICATION, coloured(40))
    first = contact_sheet(data, count=8)
    assert len(greys(first)) == 8
    assert greys(contact_sheet(data, count=8)) == greys(first)
    assert greys(contact_sheet(data, count=8, seed=1)) != greys(first)
    assert greys(contact_sheet(data, count=100)) == set(range(40))


def test_images_with_findings_come_first():
    made = coloured(40)
    made[33]["label"] = 7
    made[21]["label"] = -1
    data = DatasetDict(train=dataset(CLASSIFICATION, made))
    assert greys(contact_sheet(data, count=2, report=check(data))) == {21, 33}
    assert greys(contact_sheet(data, count=5, report=check(data))) > {21, 33}


def test_a_contact_sheet_is_written(tmp_path):
    data = dataset(DETECTION, rows(DETECTION))
    sheet = contact_sheet(data, tmp_path / "new" / "sheet.png", count=3)
    with Image.open(tmp_path / "new" / "sheet.png") as written:
        assert np.array_equal(np.asarray(written), np.asarray(sheet))
    for path in (tmp_path / "sheet.nothing", tmp_path / "new" / "sheet.png" / "x.png"):
        with pytest.raises(UsageError, match="cannot be written"):
            contact_sheet(data, path, count=1)
    with pytest.raises(UsageError, match="count is 0"):
        contact_sheet(data, count=0)
    with pytest.raises(DataError, match="no images"):
        contact_sheet(dataset(DETECTION, []))
