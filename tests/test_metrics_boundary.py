"""Boundary IoU, held against erosion by OpenCV as in the paper's own code."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pvzoo.data import schema
from pvzoo.metrics.boundary import near_boundary


def eroded_boundary(mask: np.ndarray) -> np.ndarray:
    """`mask_to_boundary` of the authors (github.com/bowenc0221/boundary-iou-api)."""
    height, width = mask.shape
    dilation = max(1, round(0.02 * np.sqrt(height**2 + width**2)))
    padded = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    eroded = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=dilation)
    return mask - eroded[1 : height + 1, 1 : width + 1]


@pytest.mark.parametrize("size", [(60, 80), (200, 150), (5, 400), (3, 3)])
@pytest.mark.parametrize("seed", range(3))
def test_the_boundary_of_each_class_is_what_erosion_takes_away(size, seed):
    rng = np.random.default_rng(seed)
    values = np.zeros(size, int)
    for label in range(1, 4):
        top, left = rng.integers(0, size[0]), rng.integers(0, size[1])
        values[top : top + rng.integers(1, 90), left : left + rng.integers(1, 90)] = label
    near = near_boundary(values)
    for label in range(4):
        mask = (values == label).astype(np.uint8)
        assert np.array_equal(near & (values == label), eroded_boundary(mask).astype(bool))


def test_the_boundary_iou_of_a_class_is_that_of_its_two_boundaries(tmp_path):
    import colour_model

    made = colour_model.dataset(schema.SEMANTIC, tmp_path, 6)
    model = colour_model.model(schema.SEMANTIC)
    analysis = model.evaluate(made).analysis
    both, either = np.zeros(4), np.zeros(4)
    for row, result in zip(made, model.stream(made["image"], progress=False), strict=True):
        truth = np.array(row["annotation"])
        for label in range(4):
            a, b = (eroded_boundary((m == label).astype(np.uint8)) for m in (truth, result.map))
            both[label] += (a & b).sum()
            either[label] += (a | b).sum()
    expected = {n: i / u for n, i, u in zip(colour_model.NAMES, both, either, strict=True) if u}
    assert analysis.boundary_iou == pytest.approx(expected)
