"""The contract of a format: how its files are recognised, read and written.

An entry point of the group ``pvzoo.formats`` names a subclass of `Format`. The class has no
instances: its functions are static. They return and take datasets with the columns of
`pvzoo.data.schema`, so that data in any format can be written in any other.
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
    """The source that `pvzoo.data.load` is to read.

    Attributes:
        path: An existing file or folder.
        area: The files that its labels may name.
        reduce_labels: Whether in semantic maps 0 is void and k is the k-th class.
    """

    path: Path
    area: Area
    reduce_labels: bool = False


class Format(ABC):
    """A format of labelled files. Subclasses set the class attributes.

    Attributes:
        name: The name for `pvzoo.data.write`. Several formats may have the same name: the one that
            can write the task of the labels is used.
        title: The name in messages.
        layout: What its files look like, for the message about a source in no known format.
        reads: The tasks for which this format is preferred if a source has several formats.
        writes: The tasks that it can write.
        guessed: Whether nothing in its files identifies the format, so that it is tried last.
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
            DataError: The source is of this format, but damaged.
        """

    @staticmethod
    def write(parts: Parts, folder: Path) -> None:
        """Write a dataset of one of the tasks in `writes` to an empty folder.

        Raises:
            DataError: The format cannot store the labels of an image.
        """
        raise NotImplementedError
