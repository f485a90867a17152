"""SAM exported as two parts: one pass over the image, then masks for points and boxes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

import pvzoo

RNG = np.random.default_rng(0)
IMAGES = [
    Image.fromarray(RNG.integers(0, 256, (*size, 3), dtype=np.uint8))
    for size in ((48, 64), (100, 40))
]
POINTS, BOXES = [[5, 6], [30, 20]], [[1, 2, 30, 28], [4.5, 5, 12, 30]]
ASKED = (
    {"points": POINTS},
    {"points": POINTS[:1]},
    {"points": POINTS, "point_labels": [1, 0], "boxes": BOXES},
    {"boxes": BOXES[:1]},
    {"points": [[[5, 6], [9, 9], [20, 30]]], "point_labels": [[1, 1, 0]]},
)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["sam", "sam_hq", "sam2"])
def test_an_export_makes_the_masks_of_the_original_for_any_points_and_boxes(
    checkpoint, family, tmp_path
):
    original = pvzoo.load(checkpoint(family), device="cpu")
    certificate = original.export(tmp_path / "export")
    assert certificate.verdict == "certified"
    told = json.loads((tmp_path / "export" / "pvzoo-export.json").read_text())
    assert set(told["graphs"]) == {"encoder", "one_mask", "three_masks"}
    exported = pvzoo.load(tmp_path / "export")
    for asked in ASKED:
        for found, wanted in zip(
            exported.predict(IMAGES, **asked), original.predict(IMAGES, **asked), strict=True
        ):
            assert len(found) == len(wanted) == len(next(iter(asked.values())))
            np.testing.assert_allclose(found.scores, wanted.scores, atol=1e-4)
            for mine, theirs in zip(found.masks, wanted.masks, strict=True):
                mine, theirs = np.asarray(mine), np.asarray(theirs)
                assert (mine != theirs).mean() < 1e-3
