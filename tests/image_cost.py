"""Prints what it costs to read some files: a line "seconds megabytes what" for each.

Run with a way of reading, "image" or "map", and the files; or with "array", and a dtype and the
lengths of the axes. Seconds are of a processor that turns and converts some images in
`USUAL` seconds, or of this one if it is faster; megabytes beyond what the process had before.
"""

import sys
import time
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

import pvzoo.inputs.images
from pvzoo.errors import PvzooError

USUAL = 0.07


def slowness() -> float:
    """How many times longer this processor takes now than a usual one; 1 if it is no slower."""
    image = Image.effect_noise((2000, 2000), 60).convert("RGB")
    start = time.process_time()
    for _ in range(5):
        image.transpose(Image.Transpose.ROTATE_90).convert("L").convert("RGB")
    return max(1.0, (time.process_time() - start) / USUAL)


def megabytes(key: str) -> float:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith(key))


def read(way: str, file: str) -> str:
    if way == "array":
        kind, height, width, *channels = file.split(",")
        shape = (int(height), int(width), *map(int, channels))
        return str(pvzoo.inputs.images.open_image(np.zeros(shape, kind)).size)
    if way == "map":
        from pvzoo.data.maps import areas_of, read_map

        return str(areas_of(read_map({"path": file, "bytes": None}, file)))
    image = pvzoo.inputs.images.open_image(file)
    return f"{image.size} {image.getpixel((0, 0))}"


def main(way: str, *files: str) -> None:
    warnings.simplefilter("ignore")
    Image.init()
    if way == "map":
        from pvzoo.data import maps  # noqa: F401 (what is loaded once)
    for file in files:
        slower = slowness()
        Path("/proc/self/clear_refs").write_text(
            "5", encoding="utf-8"
        )  # forget how much memory there has been
        before, start = megabytes("VmRSS"), time.process_time()
        try:
            what = read(way, file)
        except PvzooError as error:
            what = f"{type(error).__name__}: {error}"
        print(
            round((time.process_time() - start) / slower, 2),
            round(megabytes("VmHWM") - before),
            what,
        )


main(*sys.argv[1:])
