"""What a notebook shows of pvzoo's objects: a real one is executed, and its outputs looked at."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import numpy as np
import pytest
from PIL import Image

import pvzoo
from pvzoo.catalog.cards import Card, WeightsSource
from pvzoo.catalog.search import Cards
from pvzoo.inputs.images import ImageHandle
from pvzoo.metrics.base import Evaluation
from pvzoo.metrics.class_match import LabelMatch
from pvzoo.results.detections import Detections
from pvzoo.results.several import Results

CELLS = {
    "set-up": """
import os, pvzoo, pvzoo_shapes, numpy as np
from PIL import Image
scenes = pvzoo_shapes.scenes(count=16, size=160, seed=31)
for i, row in enumerate(scenes):
    row["image"].save(f"scene-{i}.png")
scenes[3]["image"].save("gone.png")
Image.open(os.environ["PHOTOGRAPH"]).resize((3000, 2000)).save("large.png")
detector = pvzoo.load("shapes-detector", device="cpu")
segmenter = pvzoo.load("shapes-mask2former-panoptic", device="cpu")
""",
    "model": "detector",
    "detections": "found = detector.predict('scene-2.png'); found",
    "one row": "found[0]",
    "panoptic": "segmenter.predict('scene-2.png')",
    "large": "detector.predict('large.png', threshold=0.05)",
    "list": "results = detector.predict([f'scene-{i}.png' for i in range(16)]); results",
    "slice": "results[:2]",
    "gone": "gone = detector.predict('gone.png'); os.remove('gone.png'); gone",
    "list with one gone": "pvzoo.results.several.Results([gone, found])",
    "changed": "scenes[0]['image'].resize((99, 98)).save('scene-2.png'); found",
    "catalogue": "pvzoo.list_models(task='object-detection')",
    "card": "pvzoo.info('detr-resnet50')",
    "evaluation": "detector.evaluate(scenes)",
    "bar": "for _ in detector.stream((row['image'] for row in scenes), progress=True): pass",
    "short": "_ = detector.predict(['scene-1.png'])",
}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory, photographs: Any) -> dict[str, list[Any]]:
    """The outputs of each cell."""
    folder = tmp_path_factory.mktemp("notebook")
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in CELLS.values()]
    )
    client = nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PHOTOGRAPH", str(photographs["china"]))
        client.execute()
    nbformat.write(notebook, folder / "executed.ipynb")
    return {name: cell.outputs for name, cell in zip(CELLS, notebook.cells, strict=True)}


def shown(outputs: dict[str, list[Any]], cell: str) -> dict[str, str]:
    """By kind what the only output of a cell is."""
    (output,) = outputs[cell]
    return output["data"]


def decoded(data: dict[str, str]) -> Image.Image:
    assert set(data) == {"image/jpeg", "text/plain"}
    octets = base64.b64decode(data["image/jpeg"])
    assert len(octets) <= 1_000_000
    with Image.open(io.BytesIO(octets)) as opened:
        opened.load()
        assert opened.format == "JPEG"
        assert max(opened.size) <= 1024
        return opened


class _Cells(HTMLParser):
    """The text of a table's cells, row by row; and the tags."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.tags[-1] in ("td", "th"):
            self.rows[-1][-1] += data


@pytest.mark.parametrize("cell", ["detections", "one row", "panoptic"])
def test_a_result_is_its_annotated_image(outputs: Any, cell: str) -> None:
    data = shown(outputs, cell)
    drawn = decoded(data)
    kind = "Panoptic" if cell == "panoptic" else "Detections"
    assert data["text/plain"].startswith(f"<{kind} of scene-2.png, 160 x 160 pixels: ")
    assert drawn.size == (480, 480), "a small image is enlarged for its labels"
    colours = np.asarray(drawn.convert("HSV"))[..., 1]
    assert (colours > 200).mean() > 0.005, "boxes and labels are drawn in full colours"


def test_the_image_is_what_plot_gives(tmp_path: Path, photographs: Any, lite0: Any) -> None:
    result = lite0.predict(photographs["coffee"])
    before = dict(vars(result))
    data = result._repr_jpeg_()
    assert vars(result) == before, "nothing is kept"
    with Image.open(io.BytesIO(data)) as opened:
        whole = result.plot()
        assert opened.size == whole.size
        assert np.abs(np.asarray(opened).astype(int) - np.asarray(whole)).mean() < 4


def test_a_large_image_is_scaled_down(outputs: Any) -> None:
    drawn = decoded(shown(outputs, "large"))
    assert drawn.size == (1024, 683)


def test_the_worst_image_keeps_to_the_limit() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1100, 1024, 3), np.uint8)
    result = detections(ImageHandle.of(noise), size=(1100, 1024))
    assert len(result._repr_jpeg_()) <= 1_000_000
    assert len(Results([result] * 30)._repr_html_()) <= 1_100_000


@pytest.mark.parametrize("cell", ["gone", "changed"])
def test_where_the_image_is_gone_or_another_the_text_is_left(outputs: Any, cell: str) -> None:
    data = shown(outputs, cell)
    assert set(data) == {"text/plain"}
    assert data["text/plain"].startswith("<Detections of ")


def test_a_list_is_a_grid_of_the_first_images(outputs: Any) -> None:
    data = shown(outputs, "list")
    html = _Cells(data["text/html"])
    assert html.tags.count("img") == html.tags.count("figcaption") == 12
    assert html.text.startswith("Detections of scene-0.png, 160 x 160 pixels: ")
    assert html.text.endswith("and 4 more")
    assert len(data["text/html"]) < 1_100_000
    assert data["text/plain"].splitlines()[0] == "<16 results"
    assert len(data["text/plain"].splitlines()) == 8
    first = re.search(r"data:image/jpeg;base64,([^\"]*)", data["text/html"])
    with Image.open(io.BytesIO(base64.b64decode(first[1]))) as tile:
        assert max(tile.size) <= 560
    assert _Cells(shown(outputs, "slice")["text/html"]).tags.count("img") == 2


def test_a_list_with_an_image_that_is_gone_shows_the_others(outputs: Any) -> None:
    html = _Cells(shown(outputs, "list with one gone")["text/html"])
    assert (html.tags.count("img"), html.tags.count("figcaption")) == (1, 2)


def test_a_model_is_a_table_of_what_is_known_of_it(outputs: Any) -> None:
    data = shown(outputs, "model")
    rows = dict(_Cells(data["text/html"]).rows)
    assert rows["name"] == "shapes-detector"
    assert rows["task"] == "object-detection"
    assert rows["classes"].startswith("8: disc, square, ")
    assert rows["size"] == "0.8M parameters"
    assert rows["licence"] == "apache-2.0"
    assert "pvzoo_shapes" in rows["weights"]
    assert data["text/plain"] == (
        "<pvzoo.Model 'shapes-detector': object-detection, 8 classes, cpu>"
    )


def test_a_model_that_is_in_no_catalogue_says_what_it_is(tmp_path: Path) -> None:
    from checkpoints import timm_folder

    timm_folder(tmp_path / "<b>run", "test_resnet", num_classes=7)
    model = pvzoo.load(tmp_path / "<b>run")
    html = _Cells(model._repr_html_())
    rows = dict(html.rows)
    assert rows["name"] == model.name
    assert rows["licence"] == "unknown"
    count = sum(p.numel() for p in model.network.module.parameters())
    assert rows["size"] == f"{count / 1e6:.1f}M parameters"
    assert "b" not in html.tags


def test_the_catalogue_is_a_table(outputs: Any) -> None:
    data = shown(outputs, "catalogue")
    cards = pvzoo.list_models(task="object-detection")
    headings, *rows = _Cells(data["text/html"]).rows
    assert headings == ["model", "task", "size", "licence", "reported"]
    assert [row[0] for row in rows] == [card.name for card in cards]
    assert data["text/plain"].splitlines()[0] == f"<{len(cards)} models"
    assert len(data["text/plain"].splitlines()) == 12
    card = dict(_Cells(shown(outputs, "card")["text/html"]).rows)
    assert (card["name"], card["size"]) == ("detr-resnet50", "41.0M parameters")


def test_an_evaluation_is_a_table_of_its_figures_and_one_of_its_classes(outputs: Any) -> None:
    data = shown(outputs, "evaluation")
    html = _Cells(data["text/html"])
    assert html.text.startswith("Evaluation of 16 images")
    rows = {name: values for name, *values in html.rows}
    assert re.fullmatch(r"0\.\d{4}", rows["map"][0])
    assert {"class", "disc", "star"} <= set(rows)
    assert len(rows["disc"]) == len(rows["class"])
    assert data["text/plain"].startswith("<Evaluation of 16 images: map 0.")


def test_a_bar_is_shown_where_it_is_asked_for_and_a_line_of_it_left(outputs: Any) -> None:
    data = shown(outputs, "bar")
    assert re.fullmatch(r"images: 16, \d+ s", data["text/html"])
    assert data["text/html"] == data["text/plain"]
    assert outputs["short"] == []


# --- without a notebook ---------------------------------------------------------------------------

HOSTILE = '<script>alert("1")</script>&amp;'


def detections(image: ImageHandle | None, size: tuple[int, int] = (8, 8)) -> Detections:
    return Detections(
        size=size,
        image=image,
        boxes=np.array([[1, 1, 5, 5]], np.float32),
        scores=np.ones(1, np.float32),
        labels=np.zeros(1, np.int64),
        names=(HOSTILE,),
    )


def test_no_text_of_strangers_becomes_html() -> None:
    card = Card(
        HOSTILE, HOSTILE, "timm", WeightsSource(hub="a/b"), license=HOSTILE, summary=HOSTILE
    )
    match = LabelMatch.of((HOSTILE,), (HOSTILE,))
    figures = {HOSTILE: float("nan")}
    image = ImageHandle(np.zeros((8, 8, 3), np.uint8), f'"{HOSTILE}')
    for thing in (
        card,
        Cards([card]),
        Evaluation(figures, {HOSTILE: figures}, 1, match, note=HOSTILE),
        Results([detections(image)]),
    ):
        html = _Cells(thing._repr_html_())
        assert HOSTILE in html.text
        assert not {"script", "alert"} & set(html.tags)
        for row in html.rows:
            assert "-" not in row[1:] or isinstance(thing, Evaluation)


def test_lists_of_results_and_cards_are_lists() -> None:
    one, other = detections(None), detections(None)
    results = Results([one, other])
    assert isinstance(results, list)
    assert results == [one, other] == list(results)
    assert results[1] is other
    assert type(results[:1]) is Results
    assert results[::-1] == [other, one]
    assert results != [other, one]
    results.append(one)
    assert len(results) == 3
    cards = pvzoo.list_models()
    assert isinstance(cards, list)
    assert type(cards[:3]) is type(cards)
    assert cards[:3] == list(cards)[:3]
    assert sorted(cards, key=lambda card: card.name)[0].name == min(c.name for c in cards)
    assert repr(Results()) == "<0 results>"


def test_nothing_is_drawn_unless_it_is_shown(
    lite0: Any, photographs: Any, monkeypatch: Any
) -> None:
    def draw(*_: Any) -> None:
        raise AssertionError

    results = lite0.predict([photographs["coffee"]] * 2)
    monkeypatch.setattr(type(results[0]), "draw", draw)
    assert "espresso" in repr(results[0])
    assert "Classification of" in repr(results)
    with pytest.raises(AssertionError):
        results._repr_html_()


def test_a_table_of_thousands_shows_the_first() -> None:
    cards = Cards(
        Card(f"m{i}", "image-classification", "timm", WeightsSource(hub="a/b")) for i in range(3000)
    )
    html = _Cells(cards._repr_html_())
    assert len(html.rows) == 201
    assert html.text.endswith("and 2,800 more")
    assert len(repr(cards).splitlines()) == 12
