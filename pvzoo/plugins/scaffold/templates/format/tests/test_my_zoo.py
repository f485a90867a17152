"""The plugin follows the rules for pvzoo's plugins; its format is exact and refuses damage."""

from __future__ import annotations

import pytest
from datasets import DatasetDict

from pvzoo import data
from pvzoo.errors import DataError
from pvzoo.testing import conformance, scenes

test_conformance = conformance("my-zoo")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("splits", [True, False])
def test_what_is_written_is_read_again(tmp_path, seed, splits):
    dataset = scenes(8, seed)
    if splits:
        dataset = DatasetDict(train=dataset, validation=scenes(4, seed + 10))
    folder = data.write(dataset, tmp_path / "data", "my-zoo")
    again = data.load(folder)
    assert not data.check(again).findings
    for name, part in dataset.items() if splits else [(None, dataset)]:
        read = again[name] if splits else again
        assert len(read) == len(part)
        assert read.features["objects"] == part.features["objects"]
        for row, before in zip(read, part, strict=True):
            assert row["image"].tobytes() == before["image"].tobytes()
            for key in ("bbox", "category"):
                assert row["objects"][key] == before["objects"][key]


IMAGE = '{"image": "images/0000.png", "split": null, "boxes": '


@pytest.mark.parametrize(
    ("index", "line", "message"),
    [
        (1, "", "line 1 is not JSON"),
        (1, "[]", "line 1 is not a JSON object"),
        (1, '{"classes": [1]}', "line 1 has no list of classes"),
        (2, '{"image": "a.png"', "line 2 is not JSON"),
        (2, '{"image": "a.png"}', "line 2 has no image or no boxes list"),
        (2, '{"image": "a.png", "split": 1, "boxes": []}', "line 2 has the split 1"),
        (2, IMAGE + '[["red", 1, 2, 3]]}', r"line 2 has the box \['red', 1, 2, 3\]"),
        (2, IMAGE + '[["red", 1, 2, 3, null]]}', "line 2 has the box"),
        (2, IMAGE + '[["pink", 1, 2, 3, 4]]}', "line 2 has the box"),
        (2, IMAGE + '[[["red"], 1, 2, 3, 4]]}', "line 2 has the box"),
    ],
)
def test_a_damaged_file_is_refused_with_its_line(tmp_path, index, line, message):
    file = data.write(scenes(2), tmp_path / "data", "my-zoo") / "my-zoo.jsonl"
    lines = file.read_text().splitlines()
    lines[index - 1] = line
    file.write_text("\n".join(lines))
    with pytest.raises(DataError, match=message):
        data.load(file.parent)


def test_a_file_that_ends_early_is_read_or_refused(tmp_path):
    file = data.write(scenes(1), tmp_path / "data", "my-zoo") / "my-zoo.jsonl"
    text = file.read_text()
    for length in range(len(text)):
        file.write_text(text[:length])
        try:
            found = len(data.load(file.parent))
        except DataError as error:
            found = str(error)
        assert found == 1 or str(file) in found
