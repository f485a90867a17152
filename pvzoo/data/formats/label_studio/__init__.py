"""Label Studio: tasks with their annotations in a JSON file."""

from __future__ import annotations

from pvzoo.data.formats.base import Format
from pvzoo.data.formats.label_studio import read, write
from pvzoo.data.schema import CLASSIFICATION, DETECTION, INSTANCE


class LabelStudio(Format):
    """The JSON that Label Studio exports and imports."""

    name = "label-studio"
    title = read.TITLE
    layout = "a JSON list of tasks"
    reads = (DETECTION, INSTANCE, CLASSIFICATION)
    writes = (DETECTION, INSTANCE, CLASSIFICATION)

    splits = staticmethod(read.splits)
    write = staticmethod(write.write)
