"""IoU and accuracy of maps, held against scikit-learn."""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import accuracy_score, confusion_matrix, jaccard_score, recall_score

from pvzoo.data.maps import encode_colour, encode_grey
from pvzoo.errors import DataError
from pvzoo.metrics.class_match import LabelMatch
from pvzoo.metrics.semantic import SemanticMetric
from pvzoo.results.semantic import SemanticMap

Case = list[tuple[SemanticMap, dict[str, Any]]]


def random_case(rng: np.random.Generator) -> tuple[LabelMatch, Case, np.ndarray, np.ndarray]:
    """Images, and the names of truth and prediction of all pixels that are to be judged."""
    names = [f"class {i}" for i in range(7)]
    model = rng.permutation(names)[: rng.integers(1, 8)].tolist()
    data = rng.permutation(names)[: rng.integers(1, 8)].tolist()
    match = LabelMatch.of(model, data if set(model) & set(data) else [*data, model[0]])
    top = int(rng.choice([255, 65536, 2**24]))
    values = rng.choice(top, len(match.data) + 1, replace=False)  # the last one is void, too
    case, truths, guesses = [], [], []
    for _ in range(rng.integers(1, 5)):
        size = tuple(rng.integers(1, 20, 2).tolist())
        few = rng.integers(0, len(match.data) + 2)  # so that classes are absent
        indices = rng.integers(0, len(values) + 1, size) if few else np.zeros(size, dtype=int)
        annotation = np.append(values, 255)[indices]
        listed = [*range(len(match.data)), -1]
        if 255 in values:
            indices[indices == len(values)] = np.flatnonzero(values == 255)[0]
        guess = rng.integers(0, len(match.model), size)
        right = rng.random(size) < rng.random()
        for j, name in enumerate(match.data):
            if name in match.model:
                guess[right & (indices == j)] = match.model.index(name)
        encode = encode_grey if annotation.max() < 65536 else encode_colour
        row = {
            "file_name": "a/1.jpg",
            "annotation": {"bytes": encode(annotation), "path": None},
            "segments": {"id": values.tolist(), "category": listed},
        }
        case.append((SemanticMap.of(guess, match.model), row))
        known = np.array([n in match.model for n in match.data] + [False, False])
        judged = known[indices]
        truths += [match.data[j] for j in indices[judged]]
        guesses += [match.model[i] for i in guess[judged]]
    return match, case, np.array(truths, dtype=object), np.array(guesses, dtype=object)


def evaluated(match: LabelMatch, case: Case) -> Any:
    metric = SemanticMetric(match)
    for index, (result, row) in enumerate(case):
        metric.update(index, result, row)
    return metric.compute()


@pytest.mark.parametrize("seed", range(120))
def test_figures_are_those_of_scikit_learn(seed: int) -> None:
    match, case, truth, guess = random_case(np.random.default_rng(seed))
    found = evaluated(match, case)
    guess = np.array([g if g in match.data else "other" for g in guess], dtype=object)
    if not len(truth):
        assert all(np.isnan(v) for v in found.values())
        return
    shared = [n for n in match.data if n in match.model]
    occur = [n for n in shared if n in truth or n in guess]
    options = {"average": None, "zero_division": 0}
    ious = dict(zip(occur, jaccard_score(truth, guess, labels=occur, **options), strict=True))
    present = [n for n in shared if n in truth]
    accuracies = dict(
        zip(present, recall_score(truth, guess, labels=present, **options), strict=True)
    )
    assert found["miou"] == pytest.approx(np.mean(list(ious.values())))
    assert found["mean_accuracy"] == pytest.approx(np.mean(list(accuracies.values())))
    assert found["pixel_accuracy"] == pytest.approx(accuracy_score(truth, guess))
    assert list(found.per_class) == shared
    for name, row in found.per_class.items():
        assert row["iou"] == pytest.approx(ious.get(name, np.nan), nan_ok=True)
        assert row["accuracy"] == pytest.approx(accuracies.get(name, np.nan), nan_ok=True)
        assert row["pixels"] == (truth == name).sum()
    expected = confusion_matrix(truth, guess, labels=[*match.data, "other"])[:-1]
    np.testing.assert_array_equal(found.confusion, expected)
    assert found.confusion_names == (*match.data, "other")


@pytest.mark.parametrize("seed", range(20))
def test_parts_merged_in_any_order_give_exactly_what_one_pass_gives(seed: int) -> None:
    rng = np.random.default_rng(seed)
    match, case, _, _ = random_case(rng)
    parts = [SemanticMetric(match) for _ in range(3)]
    for index in rng.permutation(len(case)):
        parts[rng.integers(3)].update(int(index), *case[index])
    merged = SemanticMetric(match)
    merged.merge([pickle.loads(pickle.dumps(part.state())) for part in parts])
    assert merged.compute().to_dict() == evaluated(match, case).to_dict()


# --- special cases --------------------------------------------------------------------------------

TWO = LabelMatch.of(["cat", "sky"], ["cat", "sky"])


def image(truth: Any, guess: Any, **segments: Any) -> tuple[SemanticMap, dict[str, Any]]:
    row = {
        "file_name": "a/1.jpg",
        "annotation": {"bytes": encode_grey(np.array(truth)), "path": None},
        "segments": {"id": [0, 1], "category": [0, 1]} | segments,
    }
    return SemanticMap.of(np.array(guess), ("cat", "sky")), row


def test_255_is_void_unless_it_is_listed() -> None:
    assert evaluated(TWO, [image([[0, 255]], [[0, 0]])])["pixel_accuracy"] == 1
    listed = image([[0, 255]], [[0, 0]], id=[0, 255])
    assert evaluated(TWO, [listed])["pixel_accuracy"] == 0.5


def test_a_map_in_palette_colours_means_its_numbers(tmp_path: Any) -> None:
    drawn = Image.new("P", (2, 1))
    drawn.putpalette([9, 9, 9, 200, 0, 0] + [0] * 762)
    drawn.putdata([0, 1])
    drawn.save(tmp_path / "map.png")
    result, row = image([[0, 1]], [[0, 1]])
    row["annotation"] = {"bytes": None, "path": str(tmp_path / "map.png")}
    assert evaluated(TWO, [(result, row)])["miou"] == 1
    file = io.BytesIO()
    drawn.convert("RGB").save(file, "PNG")
    row["annotation"] = {"bytes": file.getvalue(), "path": None}
    with pytest.raises(DataError, match="values without a segment"):
        evaluated(TWO, [(result, row)])


def test_a_class_that_is_neither_there_nor_predicted_has_no_iou() -> None:
    found = evaluated(TWO, [image([[0, 0]], [[0, 0]])])
    assert found["miou"] == 1
    assert np.isnan(found.per_class["sky"]["iou"])
    assert evaluated(TWO, [image([[0, 0]], [[0, 1]])])["miou"] == 0.25


def test_maps_of_another_size_and_values_that_mean_nothing_are_refused() -> None:
    for case, message in (
        (image([[0, 1]], [[0], [1]]), r"a/1\.jpg is 1 x 2 pixels, but its map is 2 x 1"),
        (image([[0, 7, 9]], [[0, 1, 1]]), r"map of a/1\.jpg has values .* \[7, 9\]"),
        (image([[0, 1]], [[0, 1]], category=[0, 2]), r"a/1\.jpg has the class id 2"),
    ):
        with pytest.raises(DataError, match=message):
            evaluated(TWO, [case])


def test_many_classes_and_large_maps_are_counted_right() -> None:
    names = tuple(f"c{i}" for i in range(300))
    match = LabelMatch.of(names, names)
    rng = np.random.default_rng(0)
    truth, guess = rng.integers(0, 300, (2, 400, 500))
    row = {
        "file_name": "1.png",
        "annotation": {"bytes": encode_grey(truth), "path": None},
        "segments": {"id": list(range(300)), "category": list(range(300))},
    }
    found = evaluated(match, [(SemanticMap.of(guess, names), row)])
    assert found["pixel_accuracy"] == (truth == guess).mean()
    assert found.confusion.sum() == truth.size
