"""COCO: objects and panoptic segments in JSON files."""

from __future__ import annotations

from pvzoo.data.formats.base import Format
from pvzoo.data.formats.coco import objects_read, objects_write, panoptic_read, panoptic_write
from pvzoo.data.schema import DETECTION, INSTANCE, PANOPTIC, SEMANTIC


class Coco(Format):
    """Boxes and masks of objects."""

    name = "coco"
    title = "COCO"
    layout = "a JSON with images, annotations and categories"
    reads = (DETECTION, INSTANCE)
    writes = (DETECTION, INSTANCE)

    splits = staticmethod(objects_read.splits)
    write = staticmethod(objects_write.write)


class CocoPanoptic(Format):
    """Maps of segments, and their classes."""

    name = "coco"
    title = "COCO panoptic"
    layout = "a JSON with segments_info and PNGs"
    reads = (PANOPTIC, SEMANTIC)
    writes = (PANOPTIC,)

    splits = staticmethod(panoptic_read.splits)
    write = staticmethod(panoptic_write.write)
