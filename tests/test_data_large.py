"""A folder of many images, opened and checked in memory that could not hold their pixels."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

WIDTH, HEIGHT = 320, 240
BITS = 14

CHECK = """
import json, resource, sys
from pvzoo import data

told = []
report = data.check(data.load(sys.argv[1]), progress=lambda *now: told.append(now))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"peak": peak, "report": report.to_dict(), "told": told}))
"""


def coco_folder(root: Path, count: int) -> Path:
    """Images that differ by a bar code of their number, with an object each."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (HEIGHT // 16, WIDTH // 16, 3), dtype=np.uint8)
    base = Image.fromarray(coarse).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    (root / "images").mkdir(parents=True)
    for number in range(count):
        image = base.copy()
        pen = ImageDraw.Draw(image)
        for bit in range(BITS):
            colour = "white" if number >> bit & 1 else "black"
            pen.rectangle((16 * bit, 0, 16 * bit + 15, 15), fill=colour)
        image.save(root / "images" / f"{number:05d}.jpg", quality=60)
    content = {
        "images": [
            {"id": i, "file_name": f"{i:05d}.jpg", "width": WIDTH, "height": HEIGHT}
            for i in range(count)
        ],
        "annotations": [
            {"id": i + 1, "image_id": i, "category_id": 1, "bbox": [5, 5, 50, 40], "area": 2000}
            for i in range(count)
        ],
        "categories": [{"id": 1, "name": "bar code"}],
    }
    (root / "labels.json").write_text(json.dumps(content))
    return root


def check(folder: Path) -> dict[str, Any]:
    """What a process of its own found, told of its progress, and its peak memory in bytes."""
    done = subprocess.run(
        [sys.executable, "-c", CHECK, str(folder)],
        env={**os.environ, "HF_DATASETS_CACHE": str(folder / "cache")},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("count", [1_000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_a_large_coco_folder_is_checked_in_memory_that_does_not_hold_its_pixels(count, tmp_path):
    few = check(coco_folder(tmp_path / "few", 20))
    many = check(coco_folder(tmp_path / "many", count))
    assert many["report"]["findings"] == []
    assert many["report"]["images"] == many["report"]["objects"] == count
    assert many["told"] == [[done, count] for done in range(1, count + 1)]
    pixels = count * WIDTH * HEIGHT * 3
    print(
        f"{count:,} images, {pixels / 1e6:,.0f} MB of pixels: peak {many['peak'] / 1e6:.0f} MB, "
        f"of 20 images {few['peak'] / 1e6:.0f} MB"
    )
    assert many["peak"] - few["peak"] < 60e6
