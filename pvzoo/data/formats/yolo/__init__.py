"""YOLO: text files beside images."""

from __future__ import annotations

from pathlib import Path

from pvzoo.data.copies import Parts
from pvzoo.data.files import Split
from pvzoo.data.formats.base import DataSource, Format
from pvzoo.data.formats.yolo import read, write
from pvzoo.data.schema import DETECTION, INSTANCE


class Yolo(Format):
    """Boxes and polygons."""

    name = "yolo"
    title = "YOLO"
    layout = "a data.yaml with names"
    reads = (DETECTION, INSTANCE)
    writes = (DETECTION, INSTANCE)

    @staticmethod
    def splits(source: DataSource) -> list[Split]:
        """See `pvzoo.data.formats.yolo.read`."""
        return read.splits(source.path, source.area)

    @staticmethod
    def write(parts: Parts, folder: Path) -> None:
        """See `pvzoo.data.formats.yolo.write`."""
        write.write(parts, folder)
