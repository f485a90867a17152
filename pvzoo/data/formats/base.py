"""The contract of a format: how files of it are recognised, read and written.

An entry point of the group ``pvzoo.formats`` names a subclass of `Format`. Nothing is made of it:
its functions are static. What they give and get is in the columns of `pvzoo.data.schema`, so that
every format can be written as every other one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pvzoo.data.copies import Parts
from pvzoo.data.files import Split
from pvzoo.data.paths import Area


@dataclass(frozen=True)
class DataSource:
    """What `pvzoo.data.load` is asked for.

    Attributes:
        path: A file or folder that is there.
        area: Which files its labels may name.
        reduce_labels: Whether 0 is void in semantic maps, and k the k-th class.
    """

    path: Path
    area: Area
    reduce_labels: bool = False


class Format(ABC):
    """A format of labelled files. Subclasses set the class attributes.

    Attributes:
        name: What `pvzoo.data.write` calls it. Several formats may have the same name: the one
            that has a place for the labels of the task is written.
        title: What messages call it.
        layout: How its files look, for the message about a source that is in no format.
        reads: The tasks it is taken for where a source has labels in other formats too.
        writes: The tasks it can write.
        guessed: Whether it has no mark of its own, so that it is tried last.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    layout: ClassVar[str]
    reads: ClassVar[tuple[str, ...]]
    writes: ClassVar[tuple[str, ...]] = ()
    guessed: ClassVar[bool] = False

    @staticmethod
    @abstractmethod
    def splits(source: DataSource) -> list[Split]:
        """The splits of a source, not read yet; none if it is not of this format.

        Raises:
            DataError: It is of this format, but damaged.
        """

    @staticmethod
    def write(parts: Parts, folder: Path) -> None:
        """Write a dataset of one of the tasks in `writes` to a folder, which is empty.

        Raises:
            DataError: The format has no place for the labels of an image.
        """
        raise NotImplementedError
