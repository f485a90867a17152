"""The plugin follows the rules for plugins; its data is read and checked; its model is trained."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

import pvzoo
from pvzoo import data
from pvzoo.errors import DataError
from pvzoo.testing import conformance

test_conformance = conformance("my-zoo")


@pytest.fixture
def folder(tmp_path):
    """Images that are partly red and otherwise white, in two splits."""
    for split, seed in (("train", 0), ("val", 1)):
        (tmp_path / split).mkdir()
        cover = {}
        for number, width in enumerate(np.random.default_rng(seed).integers(10, 90, 12)):
            image = Image.new("RGB", (100, 50 + 10 * number + seed), "white")
            image.paste((220, 40, 40), (0, 0, int(width), image.height))
            image.save(tmp_path / split / f"{number}.png")
            cover[f"{number}.png"] = {"red": width / 100, "white": 1 - width / 100}
        (tmp_path / split / "cover.json").write_text(json.dumps(cover))
    return tmp_path


def test_an_image_is_of_the_colours_that_cover_it():
    image = Image.new("RGB", (40, 10), "white")
    image.paste("black", (0, 0, 10, 10))
    model = pvzoo.load("my-zoo-example")
    result = model.predict(image)
    assert result.names == ("white", "black")
    np.testing.assert_allclose(result.shares, [0.75, 0.25], atol=0.02)
    assert model.predict(image, least=0.5).names == ("white",)


def test_a_folder_is_read_checked_drawn_and_measured(folder):
    dataset = data.load(folder, "my-zoo-cover")
    assert {name: len(part) for name, part in dataset.items()} == {"train": 12, "validation": 12}
    row = dataset["train"][0]
    assert (row["file_name"], row["cover"]["category"]) == ("train/0.png", [0, 1])
    assert not data.check(dataset).findings
    assert data.contact_sheet(dataset["train"]).width > 0
    figures = pvzoo.load("my-zoo-example").evaluate(dataset, split="validation")
    assert figures["overlap"] > 0.97
    assert figures.per_class["red"]["error"] < 0.03


def test_the_check_names_impossible_shares_and_classes(folder):
    file = folder / "val" / "cover.json"
    cover = json.loads(file.read_text())
    cover["3.png"]["red"] += 0.5
    file.write_text(json.dumps(cover))
    (finding,) = data.check(folder, "my-zoo-cover").findings
    assert (finding.rule, finding.rows) == ("cover-sum", (("validation", 3),))
    file.write_text(json.dumps(cover | {"3.png": "red"}))
    with pytest.raises(DataError, match=r"cover\.json: 3\.png has no shares"):
        data.load(folder, "my-zoo-cover")


def test_fine_tuning_teaches_it_other_classes(folder, tmp_path):
    for file in folder.glob("*/cover.json"):
        file.write_text(file.read_text().replace("red", "roof").replace("white", "snow"))
    options = {"epochs": 10, "batch_size": 4, "augment": False, "output_dir": tmp_path / "run"}
    tuned = pvzoo.load("my-zoo-example", device="cpu").fine_tune(folder, **options)
    assert tuned.labels == ("roof", "snow")
    assert tuned.report.metrics["overlap"] > 0.9
    assert (tmp_path / "run" / "first-batch.png").is_file()
    again, image = pvzoo.load(tmp_path / "run", device="cpu"), folder / "val" / "0.png"
    np.testing.assert_array_equal(again.predict(image).shares, tuned.predict(image).shares)
