"""What one gets from an image classification: values, tables, files and images."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pvzoo.errors import ImageError, UsageError
from pvzoo.inputs.images import ImageHandle
from pvzoo.results.classification import Classification
from pvzoo.tasks.image_classification import ImageClassification

NAMES = ("tabby cat", "tiger cat", "Egyptian cat", "lynx", "Körbchen „für“ Katzen")
SCORES = np.array([0.61, 0.25, 0.1, 0.03, 0.001], np.float32)
RNG = np.random.default_rng(0)


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(RNG.integers(0, 256, (height, width, 3), dtype=np.uint8))


def result_of(source: Image.Image | Path, count: int = 5, **changes) -> Classification:
    handle = ImageHandle.of(source)
    opened = handle.open()
    values = {
        "size": (opened.height, opened.width),
        "image": handle,
        "labels": np.array([281, 282, 285, 287, 7])[:count],
        "scores": SCORES[:count],
        "names": NAMES[:count],
    }
    return Classification(**(values | changes))


# --- values ---------------------------------------------------------------------------------------


def test_the_result_is_frozen() -> None:
    result = result_of(noise(8, 6))
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.labels = np.zeros(1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.anything = 1


def test_the_length_is_the_number_of_classes() -> None:
    assert [len(result_of(noise(8, 6), count)) for count in (0, 1, 5)] == [0, 1, 5]


def test_the_repr_is_short_and_has_no_pixels() -> None:
    said = repr(result_of(noise(800, 600)))
    assert "tabby cat" in said
    assert len(said) < 600


def test_to_dict_is_plain_python() -> None:
    plain = result_of(noise(8, 6), 2).to_dict()
    assert plain["task"] == "image-classification"
    assert (plain["width"], plain["height"]) == (8, 6)
    assert plain["source"] == "image 0 (PIL image, 8x6)"
    assert [p["label"] for p in plain["predictions"]] == [281, 282]
    assert [p["name"] for p in plain["predictions"]] == ["tabby cat", "tiger cat"]
    assert [p["score"] for p in plain["predictions"]] == [float(s) for s in SCORES[:2]]
    kinds = {type(v) for p in plain["predictions"] for v in p.values()}
    assert kinds == {int, str, float}
    assert "probabilities" not in plain


def test_probabilities_are_there_if_they_were_asked_for() -> None:
    result = result_of(noise(8, 6), probabilities=SCORES)
    assert result.to_dict()["probabilities"] == [float(s) for s in SCORES]
    assert json.loads(result.to_json())["probabilities"] == [float(s) for s in SCORES]


def test_to_json_is_one_line_that_says_the_same_as_to_dict() -> None:
    result = result_of(noise(8, 6))
    text = result.to_json()
    assert "\n" not in text
    assert json.loads(text) == result.to_dict()
    assert "Körbchen" in text


def test_the_source_is_the_path_as_it_was_given(tmp_path: Path) -> None:
    path = tmp_path / "Größe 图.png"
    noise(8, 6).save(path)
    result = result_of(path)
    assert result.source == str(path)
    assert json.loads(result.to_json())["source"] == str(path)


def test_a_result_without_its_image_has_no_source() -> None:
    result = result_of(noise(8, 6), image=None)
    assert result.source is None
    assert result.to_dict()["source"] is None
    with pytest.raises(UsageError, match="draw"):
        result.plot()
    assert result.draw(noise(8, 6)).mode == "RGB"


def test_to_pandas_has_a_row_per_class() -> None:
    table = result_of(noise(8, 6)).to_pandas()
    assert list(table.columns) == ["label", "name", "score"]
    assert list(table["name"]) == list(NAMES)
    assert list(table["label"]) == [281, 282, 285, 287, 7]
    assert np.allclose(table["score"], SCORES)


def test_an_empty_result_has_the_same_shape() -> None:
    result = result_of(noise(8, 6), 0)
    assert result.to_dict()["predictions"] == []
    assert json.loads(result.to_json())["predictions"] == []
    table = result.to_pandas()
    assert list(table.columns) == ["label", "name", "score"]
    assert len(table) == 0


# --- images -------------------------------------------------------------------------------------


def is_panel(drawn: Image.Image, top: int) -> bool:
    """Whether there is black writing on white below `top`, with a white edge at every side."""
    panel = np.asarray(drawn)[top:]
    edges = [panel[-1:], panel[:, :2], panel[:, -2:]]
    return panel.min() == 0 and all((edge == 255).all() for edge in edges)


SIZES = [(640, 480), (3840, 2160), (4000, 300), (300, 4000), (500, 500)]


@pytest.mark.parametrize("size", SIZES, ids=lambda s: f"{s[0]}x{s[1]}")
def test_the_image_stays_as_it_is_and_the_panel_is_below_it(size: tuple[int, int]) -> None:
    image = Image.effect_noise(size, 60).convert("RGB")
    before = image.copy()
    drawn = result_of(image).draw(image)
    assert image == before
    assert drawn.mode == "RGB"
    assert drawn.width == size[0]
    assert drawn.crop((0, 0, *size)) == image
    assert is_panel(drawn, size[1])


@pytest.mark.parametrize(("size", "zoom"), [((8, 8), 30), ((1, 1), 240), ((32, 20), 7)])
def test_a_tiny_image_is_enlarged_in_whole_steps(size: tuple[int, int], zoom: int) -> None:
    image = noise(*size)
    drawn = result_of(image).plot()
    assert drawn.width == 240
    left = (240 - zoom * size[0]) // 2
    shown = np.asarray(drawn)[: zoom * size[1], left : left + zoom * size[0]]
    assert (shown[::zoom, ::zoom] == np.asarray(image)).all()
    assert (shown[zoom - 1 :: zoom, zoom - 1 :: zoom] == np.asarray(image)).all()
    assert is_panel(drawn, zoom * size[1])


@pytest.mark.parametrize("size", [(8, 8), (640, 480), (3840, 2160)], ids=str)
def test_the_writing_grows_with_the_image(size: tuple[int, int]) -> None:
    image = Image.new("RGB", size)
    drawn = result_of(image).draw(image)
    share = (drawn.height - image.height * max(1, 240 // max(size))) / drawn.width
    assert 0.15 < share < 0.6  # of the width: five lines that can be read


def test_the_bars_are_as_long_as_the_scores() -> None:
    image = Image.new("RGB", (1000, 100))
    result = result_of(image, 2, names=(" ", " "), scores=np.array([0.75, 0.25], np.float32))
    drawn = np.asarray(result.draw(image))[100:]
    blue = (drawn == (173, 205, 255)).all(-1).sum(1)
    lengths = sorted(set(blue[blue > 0]))
    assert lengths[-1] / lengths[0] == pytest.approx(3, rel=0.02)


def test_a_long_name_is_cut_and_leaves_the_score_readable() -> None:
    image = Image.new("RGB", (400, 100))
    long = result_of(image, 1, names=("W" * 10_000,)).draw(image)
    short = result_of(image, 1, names=("",)).draw(image)
    assert long.size == short.size
    assert is_panel(long, 100)
    at_score = (400 - 45, 100, 400, long.height)
    assert long.crop(at_score) == short.crop(at_score)


def test_odd_names_are_drawn() -> None:
    names = ("two\nlines", "", "tab\there", "图 猫", "é")
    drawn = result_of(noise(300, 200), names=names).plot()
    assert is_panel(drawn, 200)


def test_of_very_many_classes_the_best_ten_are_drawn() -> None:
    count = 1000
    many = result_of(
        noise(300, 200),
        labels=np.arange(count),
        scores=np.full(count, 1e-3, np.float32),
        names=tuple(f"class {i}" for i in range(count)),
    )
    assert many.plot().height < 600
    assert len(many.rows()) == count


def test_an_empty_result_is_drawn_as_such() -> None:
    image = noise(640, 480)
    drawn = result_of(image, 0).plot()
    assert is_panel(drawn, 480)
    assert not (np.asarray(drawn)[480:] == (173, 205, 255)).all(-1).any()  # no bar


def test_a_score_of_one_fits() -> None:
    image = Image.new("RGB", (640, 480))
    drawn = result_of(image, 1, scores=np.array([1.0], np.float32)).draw(image)
    assert is_panel(drawn, 480)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".JPG", ".webp"])
def test_save_writes_the_annotated_image_and_makes_its_folder(suffix: str, tmp_path) -> None:
    result = result_of(noise(64, 48))
    path = result.save(tmp_path / "new" / f"x{suffix}")
    with Image.open(path) as written:
        assert written.size == result.plot().size
    assert result.save(str(path)) == path


def test_save_needs_the_name_of_an_image_format(tmp_path: Path) -> None:
    for name in ("x", "x.txt", "x.json"):
        with pytest.raises(UsageError, match=r"\.png or \.jpg"):
            result_of(noise(8, 6)).save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_plotting_a_file_that_is_gone_says_so(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    noise(8, 6).save(path)
    result = result_of(path)
    path.unlink()
    with pytest.raises(ImageError, match=r"x\.png does not exist"):
        result.plot()
    with pytest.raises(ImageError, match=r"x\.png does not exist"):
        result.save(tmp_path / "y.png")
    assert not list(tmp_path.iterdir())


# --- options --------------------------------------------------------------------------------------


def options(**given):
    prompts, controls = ImageClassification().options(given, NAMES)
    assert prompts == {}
    return controls


def test_the_options_have_defaults() -> None:
    assert options() == {"top_k": 5, "threshold": 0.0, "probabilities": False}


def test_good_options_are_taken() -> None:
    assert options(top_k=None)["top_k"] is None
    assert options(top_k=1, threshold=1)["threshold"] == 1
    assert options(top_k=np.int64(3))["top_k"] == 3
    assert options(threshold=np.float32(0.5))["threshold"] == 0.5
    assert options(probabilities=True)["probabilities"] is True


@pytest.mark.parametrize(
    "given",
    [
        {"top_k": 0},
        {"top_k": -1},
        {"top_k": 2.0},
        {"top_k": "5"},
        {"top_k": True},
        {"threshold": -0.1},
        {"threshold": 1.1},
        {"threshold": 50},
        {"threshold": "0.5"},
        {"threshold": float("nan")},
        {"threshold": None},
        {"threshold": True},
        {"probabilities": 1},
        {"probabilities": "yes"},
    ],
    ids=str,
)
def test_a_bad_value_is_refused_with_what_it_was_and_what_it_may_be(given: dict) -> None:
    ((name, value),) = given.items()
    with pytest.raises(UsageError) as caught:
        options(**given)
    assert str(caught.value).startswith(f"{name} is {value!r}.")
    assert caught.value.hint.startswith("Use ")


@pytest.mark.parametrize(
    ("wrong", "right"), [("topk", "top_k"), ("treshold", "threshold"), ("probability", "probab")]
)
def test_a_mistyped_option_is_refused_with_the_nearest_name(wrong: str, right: str) -> None:
    with pytest.raises(UsageError, match=f"image-classification has no option '{wrong}'") as caught:
        options(**{wrong: 1})
    assert right in caught.value.hint


def test_an_unknown_option_is_refused_with_all_names() -> None:
    with pytest.raises(UsageError, match="no option 'zzz'") as caught:
        options(zzz=1)
    assert "probabilities, threshold, top_k" in caught.value.hint


# --- a real model ---------------------------------------------------------------------------------


def test_the_options_choose_what_a_model_returns(lite0, photographs) -> None:
    photo = photographs["cat"]
    every = lite0.predict(photo, top_k=None, probabilities=True)
    assert len(every) == len(lite0.labels) == len(every.probabilities)
    assert (np.diff(every.scores) <= 0).all()
    assert (every.probabilities[every.labels] == every.scores).all()
    assert every.names == tuple(lite0.labels[i] for i in every.labels)
    assert (every.labels.dtype, every.scores.dtype) == (np.int64, np.float32)
    assert every.probabilities.sum() == pytest.approx(1, abs=1e-4)

    three = lite0.predict(photo, top_k=3)
    assert three.names == every.names[:3]
    assert three.probabilities is None
    limit = float(every.scores[1])
    above = lite0.predict(photo, top_k=None, threshold=limit)
    assert (above.scores >= limit).all()
    assert 1 <= len(above) <= 3

    none = lite0.predict(photo, threshold=1.0)
    assert len(none) == 0
    assert none.to_dict()["predictions"] == []
    assert len(none.to_pandas()) == 0
    assert none.plot().width == none.size[1]
