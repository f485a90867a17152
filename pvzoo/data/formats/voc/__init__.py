"""Pascal VOC: an XML file for each image, and maps."""

from __future__ import annotations

from pathlib import Path

from pvzoo.data.copies import Parts
from pvzoo.data.files import Split
from pvzoo.data.formats.base import DataSource, Format
from pvzoo.data.formats.voc import read, write
from pvzoo.data.schema import DETECTION, INSTANCE


class Voc(Format):
    """Boxes and polygons in XML, and maps of pixels."""

    name = "voc"
    title = "Pascal VOC"
    layout = "XML files in Annotations/"
    reads = (DETECTION, INSTANCE)
    writes = (DETECTION, INSTANCE)

    @staticmethod
    def splits(source: DataSource) -> list[Split]:
        """See `pvzoo.data.formats.voc.read`."""
        return read.splits(source.path, source.area, reduce_labels=source.reduce_labels)

    @staticmethod
    def write(parts: Parts, folder: Path) -> None:
        """See `pvzoo.data.formats.voc.write`."""
        write.write(parts, folder)
