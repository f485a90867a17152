"""`pvzoo.data.push`: labelled data on the Hub."""

from __future__ import annotations

from pathlib import Path

import colour_model
import datasets
import numpy as np
import pytest
from hub_server import GOOD_TOKEN
from huggingface_hub import DatasetCard
from PIL import Image

import pvzoo
from pvzoo.errors import DataError, HubError


@pytest.fixture
def data(tmp_path):
    made = colour_model.dataset("object-detection", tmp_path / "images", 5, size=(48, 32))
    return datasets.DatasetDict({"train": made.select(range(3)), "test": made.select([3, 4])})


def test_pushed_data_is_loaded_by_its_name_with_the_same_labels_and_bytes(
    data, hub, own_cache, monkeypatch
):
    monkeypatch.setenv("HF_TOKEN", GOOD_TOKEN)
    address = pvzoo.data.push(data, "me/cells", license="cc-by-4.0")
    assert "datasets/me/cells" in address
    again = pvzoo.data.load("me/cells")
    assert list(again) == list(data)
    for split in data:
        plain, pushed = (d[split].with_format("arrow")[:].to_pylist() for d in (data, again))
        for before, after in zip(plain, pushed, strict=True):
            image = before.pop("image")
            assert after.pop("image")["bytes"] == Path(image["path"]).read_bytes()
            assert after == before


def test_its_card_says_what_it_is(data, hub, own_cache, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", GOOD_TOKEN)
    pvzoo.data.push(data, "me/cells", license="cc-by-4.0")
    card = DatasetCard.load("me/cells")
    assert card.data.license == "cc-by-4.0"
    assert card.data.task_categories == ["object-detection"]
    assert card.data.tags == ["pvzoo"]
    assert card.data.configs  # which files belong to which split
    for split, part in data.items():
        assert f"| {split} | {len(part)} |" in card.text
    assert 'pvzoo.data.load("me/cells")' in card.text


def test_without_a_right_to_push_nothing_is_uploaded(data, hub, own_cache, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(HubError, match="HF_TOKEN"):
        pvzoo.data.push(data, "me/cells")
    assert hub.repos == {}


def test_data_without_labels_is_refused(hub, tmp_path):
    (tmp_path / "photos").mkdir()
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "photos" / "a.png")
    with pytest.raises(DataError):
        pvzoo.data.push(tmp_path / "photos", "me/photos")
