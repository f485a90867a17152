"""CVAT for images 1.1: boxes, polygons, masks and tags in one XML file."""

from __future__ import annotations

from pathlib import Path

from pvzoo.data.copies import Parts
from pvzoo.data.files import Split
from pvzoo.data.formats.base import DataSource, Format
from pvzoo.data.formats.cvat import read, write
from pvzoo.data.schema import CLASSIFICATION, DETECTION, INSTANCE


class Cvat(Format):
    """What CVAT itself exports and imports."""

    name = "cvat"
    title = read.TITLE
    layout = "an annotations.xml"
    reads = (DETECTION, INSTANCE, CLASSIFICATION)
    writes = (DETECTION, INSTANCE, CLASSIFICATION)

    @staticmethod
    def splits(source: DataSource) -> list[Split]:
        """See `pvzoo.data.formats.cvat.read`."""
        return read.splits(source.path, source.area)

    @staticmethod
    def write(parts: Parts, folder: Path) -> None:
        """See `pvzoo.data.formats.cvat.write`."""
        write.write(parts, folder)
