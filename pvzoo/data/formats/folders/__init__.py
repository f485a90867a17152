"""Folders whose places are the labels."""

from __future__ import annotations

from pathlib import Path

from pvzoo.data.copies import Parts
from pvzoo.data.files import Split
from pvzoo.data.formats.base import DataSource, Format
from pvzoo.data.formats.folders import read, write
from pvzoo.data.schema import CLASSIFICATION, SEMANTIC


class MaskFolders(Format):
    """Images and semantic masks."""

    name = "folder"
    title = "images and masks"
    layout = "folders images/ and masks/"
    reads = (SEMANTIC,)
    writes = (SEMANTIC,)

    @staticmethod
    def splits(source: DataSource) -> list[Split]:
        """See `pvzoo.data.formats.folders.read`."""
        return read.mask_splits(source.path, reduce_labels=source.reduce_labels)

    @staticmethod
    def write(parts: Parts, folder: Path) -> None:
        """See `pvzoo.data.formats.folders.write`."""
        write.write_maps(parts, folder)


class ClassFolders(Format):
    """A folder for each class."""

    name = "folder"
    title = "folders of classes"
    layout = "class/image.jpg"
    reads = (CLASSIFICATION,)
    writes = (CLASSIFICATION,)
    guessed = True

    @staticmethod
    def splits(source: DataSource) -> list[Split]:
        """See `pvzoo.data.formats.folders.read`."""
        return read.class_splits(source.path)

    @staticmethod
    def write(parts: Parts, folder: Path) -> None:
        """See `pvzoo.data.formats.folders.write`."""
        write.write_classes(parts, folder)
