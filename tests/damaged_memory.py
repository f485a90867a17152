"""Prints by how much memory grows (in MB) when damaged images are read.

The collector of reference circles is off: memory is free at once, not some time.
"""

import gc
import sys
import warnings
from pathlib import Path

import pvzoo
from pvzoo.data.maps import read_map
from pvzoo.data.quality.probe import _look
from pvzoo.data.quality.report import Notes
from pvzoo.data.quality.tasks.base import LabelCheck
from pvzoo.errors import DataError, ImageError


def megabytes() -> float:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return next(int(x.split()[1]) / 1024 for x in status.splitlines() if x.startswith("VmRSS"))


def read(way: str, path: Path, count: int, kept: list[Exception]) -> None:
    if way == "skip":
        assert list(model.stream([path] * count, on_error="skip")) == []
    elif way == "keep":
        assert list(model.stream([path] * count, on_error=kept.append)) == []
        assert len(kept) == count
    elif way == "check":
        for _ in range(count):
            assert _look(str(path), None, LabelCheck([], Notes())).problem
    else:
        verbs = {"predict": model.predict, "outputs": model.outputs, "open": pvzoo.open_image}
        verbs["map"] = lambda path: read_map({"path": str(path), "bytes": None}, "a map")
        for _ in range(count):
            try:
                verbs[way](path)
            except (ImageError, DataError) as error:
                kept.append(error)
        assert len(kept) == count


def main(path: str, count: str, *ways: str) -> None:
    warnings.simplefilter("ignore")
    for way in ways:
        read(way, Path(path), min(10, int(count) // 4), [])
        gc.collect()
        gc.disable()
        before, kept = megabytes(), []
        read(way, Path(path), int(count), kept)
        print(way, megabytes() - before)
        gc.enable()


model = pvzoo.load("efficientnet-lite0-pip", device="cpu")
main(*sys.argv[1:])
