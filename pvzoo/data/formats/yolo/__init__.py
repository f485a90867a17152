"""YOLO: text files beside images."""

from __future__ import annotations

from pvzoo.data.formats.base import Format
from pvzoo.data.formats.yolo import read, write
from pvzoo.data.schema import DETECTION, INSTANCE


class Yolo(Format):
    """Boxes and polygons."""

    name = "yolo"
    title = "YOLO"
    layout = "a data.yaml with names"
    reads = (DETECTION, INSTANCE)
    writes = (DETECTION, INSTANCE)

    splits = staticmethod(read.splits)
    write = staticmethod(write.write)
