"""What all error messages have in common."""

from __future__ import annotations

import pytest
from datasets import Dataset
from PIL import Image as Image

from pvzoo import data
from pvzoo.errors import DataError, ImageError


def test_a_message_is_one_that_can_be_read_however_long_the_names_in_a_file_are():
    image = Image.new("RGB", (4, 4))
    row = {"image": image, "objects": {"bbox": [[0, 0, 1, 1]], "9" * 10_000: [1]}}
    with pytest.raises(DataError, match=r"no category, only .*9{250}\.\.\.9{249}") as caught:
        data.load(Dataset.from_list([row]))
    assert len(str(caught.value)) < 1000


def test_a_message_of_ordinary_length_and_a_long_path_stay_as_they_are():
    path = "/a" * 450
    error = ImageError(f"{path} is not an image.", "Look at it.", source=path)
    assert str(error) == f"{path} is not an image. Look at it."
    assert error.source == path


def test_of_very_many_words_the_first_and_last_are_kept():
    error = DataError(" ".join(map(str, range(10_000))), "Fix them.")
    assert str(error).startswith("0 1 2 ")
    assert str(error).endswith("9998 9999 Fix them.")
    assert len(str(error)) < 2100
