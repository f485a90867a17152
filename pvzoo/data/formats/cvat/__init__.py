"""CVAT for images 1.1: boxes, polygons, masks and tags in one XML file."""

from __future__ import annotations

from pvzoo.data.formats.base import Format
from pvzoo.data.formats.cvat import read, write
from pvzoo.data.schema import CLASSIFICATION, DETECTION, INSTANCE


class Cvat(Format):
    """CVAT's own format for exports and imports."""

    name = "cvat"
    title = read.TITLE
    layout = "an annotations.xml"
    reads = (DETECTION, INSTANCE, CLASSIFICATION)
    writes = (DETECTION, INSTANCE, CLASSIFICATION)

    splits = staticmethod(read.splits)
    write = staticmethod(write.write)
