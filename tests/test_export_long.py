"""What of exports takes minutes: memory over many images, and an environment of wheels."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from exports import write_classifier
from PIL import Image

import pvzoo

pytest.importorskip("onnx", reason="the extra export is not installed")

pytestmark = pytest.mark.slow

COUNT = 20_000
STREAM = f"""
import itertools, json, sys
from pathlib import Path
import pvzoo

def resident():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))

model = pvzoo.load(sys.argv[1])
files = sorted(Path(sys.argv[2]).iterdir())
seen, told = [], set()
images = itertools.islice(itertools.cycle(files), {COUNT})
for index, result in enumerate(model.stream(images, batch_size=8, progress=False)):
    told.add((index % len(files), result.names[0]))
    if index % 1000 == 999:
        seen.append(resident())
print(json.dumps([seen, len(told)]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow_over_twenty_thousand_images(tmp_path):
    write_classifier(tmp_path / "original")
    pvzoo.load(tmp_path / "original", device="cpu").export(tmp_path / "export")
    random = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for index in range(16):
        height, width = random.integers(40, 200, 2)
        pixels = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{index:02}.jpg")
    arguments = [str(tmp_path / "export"), str(tmp_path / "images")]
    done = subprocess.run(
        [sys.executable, "-c", STREAM, *arguments], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    seen, told = json.loads(done.stdout)
    assert len(seen) == COUNT // 1000
    assert told == 16  # the same answer for a file each time
    assert max(seen) - seen[1] < 8, seen
