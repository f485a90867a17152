"""Label Studio: tasks with their annotations in a JSON file."""

from __future__ import annotations

from pathlib import Path

from pvzoo.data.copies import Parts
from pvzoo.data.files import Split
from pvzoo.data.formats.base import DataSource, Format
from pvzoo.data.formats.label_studio import read, write
from pvzoo.data.schema import CLASSIFICATION, DETECTION, INSTANCE


class LabelStudio(Format):
    """What Label Studio exports as JSON, and imports."""

    name = "label-studio"
    title = read.TITLE
    layout = "a JSON list of tasks"
    reads = (DETECTION, INSTANCE, CLASSIFICATION)
    writes = (DETECTION, INSTANCE, CLASSIFICATION)

    @staticmethod
    def splits(source: DataSource) -> list[Split]:
        """See `pvzoo.data.formats.label_studio.read`."""
        return read.splits(source.path, source.area)

    @staticmethod
    def write(parts: Parts, folder: Path) -> None:
        """See `pvzoo.data.formats.label_studio.write`."""
        write.write(parts, folder)
