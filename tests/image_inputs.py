"""An image, its files, and what is said of an input that is none."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from pvzoo import PvzooError, open_image
from pvzoo.errors import ImageError

RGB = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


def encoded(image: Image.Image | np.ndarray, format: str, **options) -> bytes:
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def pixels(source) -> np.ndarray:
    image = open_image(source)
    assert image.mode == "RGB"
    return np.asarray(image)


def refused(source, *words: str, name: str | None = None) -> ImageError:
    """The error for `source`, which has everything a user needs."""
    with pytest.raises(ImageError) as caught:
        open_image(source)
    error = caught.value
    said = str(error)
    assert isinstance(error, PvzooError)
    assert error.hint
    assert said.endswith(error.hint)
    assert said.startswith(name if name is not None else "image 0")
    assert error.source
    assert len(said) < 1000
    assert all(word in said for word in words), said
    return error
