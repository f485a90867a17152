"""The type of results: a frozen dataclass of numpy arrays for each task, derived from `Result`."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from PIL import Image

from pvzoo.display import jpeg, lines
from pvzoo.errors import ImageError, PvzooError, UsageError
from pvzoo.extras import needs
from pvzoo.inputs.images import ImageHandle
from pvzoo.inputs.limits import MAX_SIDE
from pvzoo.results.selection import Rows, indices

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, kw_only=True)
class Result(ABC):
    """What `predict` returns for one image. Subclasses add their arrays.

    Its arrays cannot be written to; a copy (``result.boxes.copy()``) is the user's own. A subclass
    with a ``__post_init__`` calls this one's.

    Class attributes:
        task: The id of its task.
        columns: Name and pandas dtype of each column of `to_pandas`: the keys of `rows`.

    Attributes:
        size: (height, width) of the upright image, in pixels.
        image: The input, for drawing; set by the model that made the result.
    """

    task: ClassVar[str]
    columns: ClassVar[Mapping[str, str]]

    size: tuple[int, int]
    image: ImageHandle | None = field(default=None, repr=False)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        # its own, else a dataclass writes one with all arrays
        cls.__repr__ = cls.__repr__  # type: ignore[method-assign]

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray):
                object.__setattr__(self, name, read_only(value))

    def __setstate__(self, state: dict[str, Any]) -> None:
        """What comes from another process, or is a copy, is no more to be written to."""
        vars(self).update(state)
        Result.__post_init__(self)

    def __repr__(self) -> str:
        return f"<{self.title()}>"

    def _repr_jpeg_(self) -> bytes | None:
        image = self.shown()
        return None if image is None else jpeg(image)

    def shown(self) -> Image.Image | None:
        """As `plot`, or None where the image cannot be drawn on, such as a file that is gone."""
        try:
            return self.plot()
        except PvzooError:
            return None

    def title(self) -> str:
        """What it is of, such as "Detections of street.jpg, 640 x 480 pixels"."""
        of = f" of {_one_line(self.source, 80)}" if self.source else ""
        return f"{type(self).__name__}{of}, {self.size[1]:,} x {self.size[0]:,} pixels"

    @property
    def source(self) -> str | None:
        """The path or URL of the input, or what kind of object it was."""
        return self.image.name if self.image else None

    @abstractmethod
    def draw(self, image: Image.Image) -> Image.Image:
        """A new image: `image` (upright RGB, of this result's size) with the result on it."""

    @abstractmethod
    def rows(self) -> list[dict[str, Any]]:
        """One dict of plain Python values per predicted thing: the rows of a table."""

    def plot(self) -> Image.Image:
        """The input with the result drawn on it.

        Raises:
            ImageError: The input was a file that is no longer there or has another size now, or a
                side of it is longer than 131,072 pixels.
        """
        if self.image is None:
            raise UsageError("This result does not know its image.", "Use result.draw(image).")
        image = self.image.open()
        if max(image.size) > MAX_SIDE:
            raise ImageError(
                f"{self.source} is {image.width:,} x {image.height:,} pixels, too long to be "
                f"drawn on: {MAX_SIDE:,} are allowed.",
                "Cut it into pieces.",
                source=self.source or "",
            )
        if image.size != self.size[::-1]:
            raise ImageError(
                f"{self.source} has {image.width:,} x {image.height:,} pixels, and had "
                f"{self.size[1]:,} x {self.size[0]:,} when this was predicted.",
                "Predict again.",
                source=self.source or "",
            )
        return self.draw(image)

    def save(self, path: str | Path) -> Path:
        """Write the annotated image; the suffix of `path` says in which format.

        Raises:
            UsageError: The suffix is no format that PIL writes, or the file cannot be written.
        """
        path = Path(path)
        if Image.registered_extensions().get(path.suffix.lower()) not in Image.SAVE:
            raise UsageError(
                f"{path} does not end in the name of an image format.", "Use .png or .jpg."
            )
        image = self.plot()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            image.save(path)
        except OSError as error:
            raise UsageError(f"{path} cannot be written ({error}).", "Choose another.") from error
        return path

    def to_dict(self) -> dict[str, Any]:
        """Plain Python values, ready for JSON."""
        height, width = self.size
        return {
            "task": self.task,
            "source": self.source,
            "width": width,
            "height": height,
            "predictions": self.rows(),
        }

    def to_json(self) -> str:
        """`to_dict` as one line of JSON.

        Raises:
            PvzooError: A score is not a number, which JSON cannot say.
        """
        try:
            return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False)
        except ValueError as error:
            raise PvzooError(
                f"The result of {self.source} has scores that are not numbers.",
                "The network overflowed; if it ran in float16, use float32 or bfloat16.",
            ) from error

    def to_pandas(self) -> pd.DataFrame:
        """One row per predicted thing; the columns are there even when there is no row."""
        needs("A table", "pandas")
        import pandas as pd

        return pd.DataFrame(self.rows(), columns=list(self.columns)).astype(self.columns)


@dataclass(frozen=True, eq=False, kw_only=True)
class ResultWithRows(Result):
    """A result with an entry for each predicted thing, which is indexed as a numpy array is.

        result[result.scores > 0.5]     those that score more
        result[:3], result[[4, 0]]      the first three; two of them, in this order
        result[-1]                      the last one
        for found in result: ...        one after the other
        len(result)                     how many there are

    What comes out is always a result of the same kind, of the same image, with all that is known of
    these rows. So a single row is a result with one: ``result[0].names[0]``. Masks stay encoded.

    Class attributes:
        per_row: The fields that have an entry for each row: arrays, tuples, `Masks` or None.
    """

    per_row: ClassVar[tuple[str, ...]]

    def __len__(self) -> int:
        return len(getattr(self, self.per_row[0]))

    def __getitem__(self, rows: int | Rows) -> Self:
        """The result with these rows.

        Args:
            rows: An index (below 0 it counts from the end), a slice, a list or array of indices, or
                a mask: True or False for each row.

        Raises:
            RowError: An index is out of range, or the mask has another length; also `IndexError`.
        """
        return replace(self, **self._of_rows(indices(rows, len(self))))

    def __iter__(self) -> Iterator[Self]:
        return (self[i] for i in range(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """One object, so that an array of results is not taken apart into rows of rows."""
        alone = np.empty(1, object)
        alone[0] = self
        return alone.reshape(())

    def _of_rows(self, kept: np.ndarray) -> dict[str, Any]:
        """The fields that differ if only the rows at these (k,) indices are there."""
        values = {name: getattr(self, name) for name in self.per_row}
        return {
            name: tuple(value[i] for i in kept) if isinstance(value, tuple) else value[kept]
            for name, value in values.items()
            if value is not None
        }

    def title(self) -> str:
        """What it is of and how many rows there are."""
        return f"{super().title()}: {len(self):,} row{'s' * (len(self) != 1)}"

    def __repr__(self) -> str:
        rows = self[:_SHOWN].rows()
        return lines(self.title(), map(_row_text, rows), len(self) - _SHOWN)


_SHOWN = 6
"""How many rows a `repr` shows."""

_SIDES = ("xmin", "ymin", "xmax", "ymax")


def read_only(array: np.ndarray) -> np.ndarray:
    """The array, such that it cannot be written to; whoever has it otherwise still can."""
    view = array.view()
    view.flags.writeable = False
    return view


def _row_text(row: Mapping[str, Any]) -> str:
    """A row of a `repr`: name and score, then what else there is, the box rounded."""
    parts = [_one_line(row["name"], 40)] if "name" in row else []
    if "score" in row:
        parts.append(f"{row['score']:.2f}")
    if all(side in row for side in _SIDES):
        parts.append("[" + ", ".join(f"{row[side]:.0f}" for side in _SIDES) + "]")
    for name, value in row.items():
        if name not in ("name", "score", "label", "id", *_SIDES):
            text = f"{value:.3g}" if isinstance(value, float) else _one_line(str(value), 40)
            parts.append(f"{name} {text}")
    return "  ".join(parts)


def _one_line(text: str, most: int) -> str:
    """A text on one line, cut if it is long."""
    text = " ".join(text[: 10 * most].split())
    return text if len(text) <= most else f"{text[: most - 3]}..."
