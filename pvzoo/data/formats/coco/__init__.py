"""COCO: objects and panoptic segments in JSON files."""

from __future__ import annotations

from pathlib import Path

from pvzoo.data.copies import Parts
from pvzoo.data.files import Split
from pvzoo.data.formats.base import DataSource, Format
from pvzoo.data.formats.coco import objects_read as objects
from pvzoo.data.formats.coco import objects_write, panoptic_write
from pvzoo.data.formats.coco import panoptic_read as panoptic
from pvzoo.data.schema import DETECTION, INSTANCE, PANOPTIC, SEMANTIC


class Coco(Format):
    """Boxes and masks of objects."""

    name = "coco"
    title = "COCO"
    layout = "a JSON with images, annotations and categories"
    reads = (DETECTION, INSTANCE)
    writes = (DETECTION, INSTANCE)

    @staticmethod
    def splits(source: DataSource) -> list[Split]:
        """See `pvzoo.data.formats.coco.objects_read`."""
        return objects.splits(source.path, source.area)

    @staticmethod
    def write(parts: Parts, folder: Path) -> None:
        """See `pvzoo.data.formats.coco.objects_write`."""
        objects_write.write(parts, folder)


class CocoPanoptic(Format):
    """Maps of segments, and what they mean."""

    name = "coco"
    title = "COCO panoptic"
    layout = "a JSON with segments_info and PNGs"
    reads = (PANOPTIC, SEMANTIC)
    writes = (PANOPTIC,)

    @staticmethod
    def splits(source: DataSource) -> list[Split]:
        """See `pvzoo.data.formats.coco.panoptic_read`."""
        return panoptic.splits(source.path, source.area)

    @staticmethod
    def write(parts: Parts, folder: Path) -> None:
        """See `pvzoo.data.formats.coco.panoptic_write`."""
        panoptic_write.write(parts, folder)
