"""Pascal VOC: an XML file for each image, and maps."""

from __future__ import annotations

from pvzoo.data.formats.base import Format
from pvzoo.data.formats.voc import read, write
from pvzoo.data.schema import DETECTION, INSTANCE


class Voc(Format):
    """Boxes and polygons in XML, and maps of pixels."""

    name = "voc"
    title = "Pascal VOC"
    layout = "XML files in Annotations/"
    reads = (DETECTION, INSTANCE)
    writes = (DETECTION, INSTANCE)

    splits = staticmethod(read.splits)
    write = staticmethod(write.write)
