"""Folders of images: the folder or a mask file is the label."""

from __future__ import annotations

from pvzoo.data.formats.base import Format
from pvzoo.data.formats.folders import read, write
from pvzoo.data.schema import CLASSIFICATION, SEMANTIC


class MaskFolders(Format):
    """Images and semantic masks."""

    name = "folder"
    title = "images and masks"
    layout = "folders images/ and masks/"
    reads = (SEMANTIC,)
    writes = (SEMANTIC,)

    splits = staticmethod(read.mask_splits)
    write = staticmethod(write.write_maps)


class ClassFolders(Format):
    """A folder for each class."""

    name = "folder"
    title = "folders of classes"
    layout = "class/image.jpg"
    reads = (CLASSIFICATION,)
    writes = (CLASSIFICATION,)
    guessed = True

    splits = staticmethod(read.class_splits)
    write = staticmethod(write.write_classes)
