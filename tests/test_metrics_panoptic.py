"""Panoptic quality, held against a plain implementation of the paper."""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np
import pytest
from PIL import Image
from reference_panoptic import Segment, tallies

from pvzoo.data.maps import encode_colour
from pvzoo.errors import DataError
from pvzoo.metrics.class_match import LabelMatch
from pvzoo.metrics.panoptic_quality import PanopticMetric
from pvzoo.results.panoptic import Panoptic, PanopticSegment

THINGS = {"cat", "dog", "cow"}
NAMES = ("cat", "dog", "cow", "sky", "sea", "sand")
Case = list[tuple[Panoptic, dict[str, Any]]]


def random_match(rng: np.random.Generator) -> LabelMatch:
    model = rng.permutation(NAMES)[: rng.integers(1, 7)].tolist()
    data = rng.permutation(NAMES)[: rng.integers(1, 7)].tolist()
    return LabelMatch.of(model, data if set(model) & set(data) else [*data, model[0]])


def random_map(rng: np.random.Generator, size: tuple[int, int], parts: int) -> np.ndarray:
    """Overlapping rectangles, numbered from 1; some of them are covered altogether."""
    values = np.zeros(size, dtype=np.int64)
    for i in range(1, parts + 1):
        top, left = (int(rng.integers(0, n)) for n in size)
        values[top : top + rng.integers(1, 9), left : left + rng.integers(1, 9)] = i
    return values


def random_image(rng: np.random.Generator, match: LabelMatch) -> tuple[Panoptic, dict[str, Any]]:
    size = (int(rng.integers(4, 14)), int(rng.integers(4, 14)))
    truth = random_map(rng, size, int(rng.integers(0, 7)))
    ids = rng.choice(2**24 - 1, 7, replace=False) + 1
    listed = np.flatnonzero(np.bincount(truth.reshape(-1), minlength=7) > 0)
    listed = listed[listed > 0]
    if rng.random() < 0.2:  # a segment without pixels
        listed = np.unique([*listed, rng.integers(1, 7)])
    classes = [int(rng.integers(-1 if rng.random() < 0.2 else 0, len(match.data))) for _ in listed]
    row = {
        "file_name": "a/1.jpg",
        "annotation": {"bytes": encode_colour(np.append(0, ids)[truth]), "path": None},
        "segments": {
            "id": [int(ids[i - 1]) for i in listed],
            "category": classes,
            "isthing": [c >= 0 and match.data[c] in THINGS for c in classes],
            "iscrowd": [bool(rng.random() < 0.15) for _ in listed],
        },
    }
    guess = random_map(rng, size, int(rng.integers(0, 7)))
    near = truth
    if rng.random() < 0.7:  # near the truth, shifted and with some pixels wrong
        near = np.roll(truth, rng.integers(-1, 2, 2), axis=(0, 1))
        guess = np.where(rng.random(size) < rng.choice([0, 0.1, 0.3]), guess, near)
    labels = {}
    for i in np.unique(guess[guess > 0]).tolist():
        label = int(rng.integers(0, len(match.model)))
        index = np.flatnonzero(listed == i)
        if len(index) and classes[index[0]] in match.to_data and rng.random() < 0.8:
            known = classes[index[0]]
            label = match.to_data.index(known) if known >= 0 else label
        labels[i] = label
    segments = tuple(
        PanopticSegment(
            id=i,
            label=label,
            name=match.model[label],
            is_thing=match.model[label] in THINGS,
            score=0.5,
            area=int((guess == i).sum()),
        )
        for i, label in labels.items()
    )
    return Panoptic(size=size, map=guess.astype(np.int32), segments=segments), row


def reference(case: Case, match: LabelMatch, *, one_crowd: bool = False) -> dict[str, Any]:
    """The quality of each class that occurs."""
    images = []
    for result, row in case:
        height, width = result.size
        everywhere = {(y, x) for y in range(height) for x in range(width)}
        values = row["decoded"]
        truth, covered = [], set()
        for id, category, crowd in zip(
            *(row["segments"][k] for k in ("id", "category", "iscrowd")), strict=True
        ):
            if category < 0 or match.data[category] not in match.model:
                continue
            pixels = {p for p in everywhere if values[p] == id}
            truth.append(Segment(match.data[category], crowd, pixels))
            covered |= pixels
        prediction = [
            Segment(s.name, pixels={p for p in everywhere if result.map[p] == s.id})
            for s in result.segments
            if s.name in match.data
        ]
        images.append((truth, prediction, everywhere - covered))
    return {name: tally.quality() for name, tally in tallies(images, one_crowd=one_crowd).items()}


def decoded(case: Case) -> Case:
    """With the values of the maps, read by other means, for the reference."""
    for _, row in case:
        drawn = Image.open(io.BytesIO(row["annotation"]["bytes"]))
        row["decoded"] = {
            (y, x): r + 256 * g + 65536 * b
            for y in range(drawn.height)
            for x in range(drawn.width)
            for r, g, b in [drawn.getpixel((x, y))]
        }
    return case


def evaluated(match: LabelMatch, case: Case) -> Any:
    metric = PanopticMetric(match)
    for index, (result, row) in enumerate(case):
        metric.update(index, result, row)
    return metric.compute()


def random_case(rng: np.random.Generator, match: LabelMatch) -> Case:
    return [random_image(rng, match) for _ in range(rng.integers(1, 6))]


@pytest.mark.parametrize("seed", range(200))
def test_quality_is_that_of_the_paper(seed: int) -> None:
    rng = np.random.default_rng(seed)
    match = random_match(rng)
    case = decoded(random_case(rng, match))
    found, expected = evaluated(match, case), reference(case, match)
    assert set(expected) <= set(found.per_class)
    for name, row in found.per_class.items():
        for figure in ("pq", "sq", "rq"):
            value = expected.get(name, {}).get(figure, np.nan)
            assert row[figure] == pytest.approx(value, abs=1e-9, nan_ok=True)
    for figure in ("pq", "sq", "rq"):
        for group, members in (
            ("", set(NAMES)),
            ("_things", THINGS),
            ("_stuff", set(NAMES) - THINGS),
        ):
            values = [row[figure] for name, row in expected.items() if name in members]
            value = sum(values) / len(values) if values else np.nan
            assert found[figure + group] == pytest.approx(value, abs=1e-9, nan_ok=True)


def test_the_random_cases_have_matches_crowds_and_void() -> None:
    rng = np.random.default_rng(0)
    match = LabelMatch.of(NAMES, NAMES)
    figures = [evaluated(match, random_case(rng, match)) for _ in range(40)]
    values = np.array([f["pq"] for f in figures])
    assert (values > 0.2).sum() > 10
    assert (values < 0.8).sum() > 10


@pytest.mark.parametrize("seed", range(20))
def test_parts_merged_in_any_order_give_exactly_what_one_pass_gives(seed: int) -> None:
    rng = np.random.default_rng(seed)
    match = random_match(rng)
    case = [random_image(rng, match) for _ in range(12)]
    parts = [PanopticMetric(match) for _ in range(3)]
    for index in rng.permutation(len(case)):
        parts[rng.integers(3)].update(int(index), *case[index])
    merged = PanopticMetric(match)
    merged.merge([pickle.loads(pickle.dumps(part.state())) for part in parts])
    assert merged.compute().to_dict() == evaluated(match, case).to_dict()


# --- special cases --------------------------------------------------------------------------------


def image(
    truth: list[str], guess: list[str], classes: dict[str, str], match: LabelMatch, **marks: bool
) -> tuple[Panoptic, dict[str, Any]]:
    """An image of characters: a space is void, `classes` says what the others are."""
    letters = sorted(set("".join(truth)) - {" "})
    values = np.array([[ord(c) if c != " " else 0 for c in line] for line in truth])
    row = {
        "file_name": "a/1.jpg",
        "annotation": {"bytes": encode_colour(values), "path": None},
        "segments": {
            "id": [ord(c) for c in letters],
            "category": [match.data.index(classes[c]) for c in letters],
            "isthing": [classes[c] in THINGS for c in letters],
            "iscrowd": [marks.get(c, False) for c in letters],
        },
    }
    map = np.array([[ord(c) if c != " " else 0 for c in line] for line in guess], dtype=np.int32)
    segments = tuple(
        PanopticSegment(
            id=ord(c),
            label=match.model.index(classes[c]),
            name=classes[c],
            is_thing=classes[c] in THINGS,
            score=1.0,
            area=int((map == ord(c)).sum()),
        )
        for c in sorted(set("".join(guess)) - {" "})
    )
    return Panoptic(size=map.shape, map=map, segments=segments), row


ALL = LabelMatch.of(NAMES, NAMES)


def test_iou_of_exactly_a_half_is_no_match() -> None:
    found = evaluated(ALL, [image(["aabb"], ["xbbb"], {"a": "cat", "b": "sky", "x": "cat"}, ALL)])
    assert found.per_class["cat"]["pq"] == 0
    assert found.per_class["sky"]["pq"] == pytest.approx(2 / 3)


def test_a_segment_of_which_half_lies_on_void_is_an_error_and_with_more_it_is_none() -> None:
    classes = {"a": "cat", "x": "dog"}
    half = evaluated(ALL, [image(["aa  "], ["axx "], classes, ALL)])
    assert half.per_class["dog"]["rq"] == 0
    more = evaluated(ALL, [image(["aa  "], ["axxx"], classes, ALL)])
    assert np.isnan(more.per_class["dog"]["rq"])


def test_crowds_of_the_class_forgive_and_others_do_not() -> None:
    for kind, forgiven in (("dog", True), ("cow", False)):
        classes = {"a": "cat", "c": kind, "d": kind, "x": "dog"}
        case = [image(["aacd"], ["aaxx"], classes, ALL, c=True, d=True)]
        assert np.isnan(evaluated(ALL, case).per_class["dog"]["pq"]) == forgiven
        assert evaluated(ALL, case).per_class[kind]["segments"] == 0


def test_panopticapi_differs_where_an_image_has_several_crowds_of_a_class_and_nowhere_else() -> (
    None
):
    differing = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        case = decoded([random_image(rng, ALL)])
        ((_, row),) = case
        segments = row["segments"]
        for crowd in np.flatnonzero(rng.random(len(segments["id"])) < 0.4):
            segments["iscrowd"][crowd], segments["category"][crowd] = True, int(rng.integers(2))
        classes = [
            c for c, crowd in zip(segments["category"], segments["iscrowd"], strict=True) if crowd
        ]
        found, theirs = evaluated(ALL, case), reference(case, ALL, one_crowd=True)
        ours = {name: found.per_class[name]["pq"] for name in theirs}
        if len(set(classes)) == len(classes):
            assert ours == pytest.approx({n: t["pq"] for n, t in theirs.items()}, nan_ok=True)
        differing += any(not ours[name] <= theirs[name]["pq"] for name in theirs)
    assert differing > 5  # where they forgive less, they find more errors


def test_a_class_the_model_lacks_is_void_and_one_the_data_lacks_is_a_miss() -> None:
    match = LabelMatch.of(["cat", "dog"], ["cat", "sky"])
    classes = {"a": "cat", "s": "sky", "x": "cat", "y": "dog"}
    found = evaluated(match, [image(["aass"], ["aaxx"], classes, match)])
    assert found["pq"] == 1
    assert list(found.per_class) == ["cat"]
    found = evaluated(match, [image(["aass"], ["yyxx"], classes, match)])
    assert found["pq"] == 0
    assert found.per_class["cat"]["segments"] == 1


def test_a_class_that_only_predictions_have_is_a_thing_if_they_say_so() -> None:
    classes = {"a": "cat", "b": "sky", "x": "dog", "y": "sea"}
    found = evaluated(ALL, [image(["aabb"], ["xxyy"], classes, ALL)])
    assert found["pq_things"] == found["pq_stuff"] == 0
    found = evaluated(ALL, [image(["aabb"], ["xxbb"], classes, ALL)])
    assert found["pq_things"] == 0
    assert found["pq_stuff"] == 1
    assert found["pq"] == pytest.approx(1 / 3)


def test_without_images_there_is_no_figure() -> None:
    found = PanopticMetric(ALL).compute()
    assert all(np.isnan(v) for v in found.values())
    assert found.images == 0


def test_labels_that_mean_nothing_are_refused_with_the_name_of_the_image() -> None:
    result, row = image(["aab"], ["aab"], {"a": "cat", "b": "sky"}, ALL)

    def changed(**changes: Any) -> dict[str, Any]:
        return row | {"segments": row["segments"] | changes}

    for bad, message in (
        (changed(id=[ord("a"), 7]), r"values without a segment: \[98\]"),
        (changed(id=[97, 97]), r"lists a segment twice"),
        (changed(category=[0, 6]), r"class id 6"),
        (changed(category=[0, -2]), r"class id -2"),
        (changed(category=[0]), r"2 segments but 1 classes"),
        (changed(iscrowd=[None, False]), r"segments\.iscrowd"),
        (changed(isthing=[True]), r"segments\.isthing"),
        (changed(isthing=None), r"segments\.isthing"),
        (changed(category=None), r"segments\.category"),
        (changed(id=None), r"has no segments"),
        (row | {"segments": None}, r"has no segments"),
        (row | {"annotation": None}, r"is missing"),
        (row | {"annotation": {"bytes": b"no image", "path": None}}, r"cannot be read"),
        (row | {"annotation": {"bytes": None, "path": "no/such.png"}}, r"cannot be read"),
        (
            row | {"annotation": {"bytes": encode_colour(np.zeros((3, 1), int)), "path": None}},
            r"3 x 1 pixels, but its map is 1 x 3",
        ),
    ):
        metric = PanopticMetric(ALL)
        with pytest.raises(DataError, match=message) as error:
            metric.update(0, result, bad)
        assert "a/1.jpg" in error.value.what
        assert metric.compute().images == 0
