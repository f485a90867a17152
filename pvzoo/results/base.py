"""The base class of results. Each task has a subclass: a frozen dataclass of numpy arrays."""

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
from pvzoo.plugins.calls import calling, fault_of
from pvzoo.results.selection import Rows, indices

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, kw_only=True)
class Result(ABC):
    """The result of `predict` for one image. Subclasses add their arrays.

    The arrays are read-only; make a copy to change them (``result.boxes.copy()``). A subclass with
    a ``__post_init__`` must call the one of this class.

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
        # set it in the class itself; otherwise the dataclass adds one that shows all arrays
        cls.__repr__ = cls.__repr__  # type: ignore[method-assign]

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray):
                object.__setattr__(self, name, read_only(value))

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Make the arrays read-only again, after copying or unpickling."""
        vars(self).update(state)
        Result.__post_init__(self)

    def __repr__(self) -> str:
        return f"<{self.title()}>"

    def _repr_jpeg_(self) -> bytes | None:
        image = self.shown()
        return None if image is None else jpeg(image)

    def shown(self) -> Image.Image | None:
        """As `plot`, or None if the image cannot be drawn on, for example if its file is gone."""
        try:
            return self.plot()
        except PvzooError:
            return None

    def title(self) -> str:
        """A title such as "Detections of street.jpg, 640 x 480 pixels"."""
        of = f" of {_one_line(self.source, 80)}" if self.source else ""
        return f"{type(self).__name__}{of}, {self.size[1]:,} x {self.size[0]:,} pixels"

    @property
    def source(self) -> str | None:
        """The path or URL of the input, or the kind of object that it was."""
        return self.image.name if self.image else None

    @property
    def frame(self) -> int | None:
        """The index of the frame in the video that it is from, or None."""
        return self.image.frame if self.image else None

    @property
    def time(self) -> float | None:
        """Seconds since the first frame of the video that it is from, or None."""
        return self.image.time if self.image else None

    @abstractmethod
    def draw(self, image: Image.Image) -> Image.Image:
        """A new image: `image` (upright RGB, of this result's size) with the result drawn on it."""

    @abstractmethod
    def rows(self) -> list[dict[str, Any]]:
        """The rows of a table: for each predicted thing a dict of plain Python values."""

    def plot(self) -> Image.Image:
        """The input with the result drawn on it.

        Raises:
            ImageError: The input was a file that no longer exists or now has another size, or one
                of its sides is longer than 131,072 pixels.
        """
        if self.image is None:
            raise UsageError("This result has no image to draw on.", "Use result.draw(image).")
        image = self.image.open()
        if max(image.size) > MAX_SIDE:
            raise ImageError(
                f"{self.source} has {image.width:,} x {image.height:,} pixels, which is too long "
                f"to be drawn on: a side may have {MAX_SIDE:,} pixels.",
                "Cut the image into pieces.",
                source=self.source or "",
            )
        if image.size != self.size[::-1]:
            raise ImageError(
                f"{self.source} has {image.width:,} x {image.height:,} pixels, but had "
                f"{self.size[1]:,} x {self.size[0]:,} when this result was predicted.",
                "Predict the image again.",
                source=self.source or "",
            )
        with calling(self, "draw"):
            drawn = self.draw(image)
        if not isinstance(drawn, Image.Image):
            raise fault_of(self, "draw", f"returned a {type(drawn).__name__}, not an image")
        return drawn

    def save(self, path: str | Path) -> Path:
        """Write the annotated image; the suffix of `path` chooses the format.

        Raises:
            UsageError: PIL cannot write files with this suffix, or the file cannot be written.
        """
        path = Path(path)
        if Image.registered_extensions().get(path.suffix.lower()) not in Image.SAVE:
            raise UsageError(
                f"{path} does not end with the suffix of an image format.", "Use .png or .jpg."
            )
        image = self.plot()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            image.save(path)
        except OSError as error:
            raise UsageError(
                f"{path} cannot be written ({error}).", "Choose another path."
            ) from error
        return path

    def to_dict(self) -> dict[str, Any]:
        """Plain Python values, ready for JSON; with ``frame`` and ``time`` if from a video."""
        height, width = self.size
        moment = {} if self.frame is None else {"frame": self.frame, "time": self.time}
        return {
            "task": self.task,
            "source": self.source,
            **moment,
            "width": width,
            "height": height,
            "predictions": self.rows(),
        }

    def to_json(self) -> str:
        """`to_dict` as one line of JSON.

        Raises:
            PvzooError: A score is not a number (NaN), which JSON cannot represent.
        """
        try:
            return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False)
        except ValueError as error:
            raise PvzooError(
                f"The result of {self.source} has scores that are not numbers.",
                "The network overflowed; if it ran in float16, use float32 or bfloat16.",
            ) from error

    def to_pandas(self) -> pd.DataFrame:
        """One row per predicted thing; the columns are there even without rows."""
        needs("A table", "pandas")
        import pandas as pd

        with calling(self, "rows"):
            rows = self.rows()
        for row in rows:
            if missing := [name for name in self.columns if name not in row]:
                raise fault_of(self, "rows", f"returned a row without {missing[0]!r}")
        with calling(self, "columns"):
            return pd.DataFrame(rows, columns=list(self.columns)).astype(self.columns)


@dataclass(frozen=True, eq=False, kw_only=True)
class ResultWithRows(Result):
    """A result with one row for each predicted thing. It can be indexed like a numpy array.

        result[result.scores > 0.5]     the rows with a score above 0.5
        result[:3], result[[4, 0]]      the first three rows; two rows, in this order
        result[-1]                      the last row
        for found in result: ...        one row after the other
        len(result)                     the number of rows

    Indexing always gives a result of the same type and image, with all fields of these rows. So a
    single row is a result of length 1: ``result[0].names[0]``. Masks stay encoded.

    Class attributes:
        per_row: The fields that have one entry per row: arrays, tuples, `Masks` or None.
    """

    per_row: ClassVar[tuple[str, ...]]

    def __len__(self) -> int:
        return len(getattr(self, self.per_row[0]))

    def __getitem__(self, rows: int | Rows) -> Self:
        """The result with these rows.

        Args:
            rows: An index (negative ones count from the end), a slice, a list or array of indices,
                or a mask: True or False for each row.

        Raises:
            RowError: An index is out of range, or the mask has another length; also `IndexError`.
        """
        return replace(self, **self._of_rows(indices(rows, len(self))))

    def __iter__(self) -> Iterator[Self]:
        return (self[i] for i in range(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """An array with this one object; otherwise numpy would split results into their rows."""
        alone = np.empty(1, object)
        alone[0] = self
        return alone.reshape(())

    def _of_rows(self, kept: np.ndarray) -> dict[str, Any]:
        """The fields that change if only the rows at these (k,) indices are kept."""
        values = {name: getattr(self, name) for name in self.per_row}
        return {
            name: tuple(value[i] for i in kept) if isinstance(value, tuple) else value[kept]
            for name, value in values.items()
            if value is not None
        }

    def title(self) -> str:
        """The title of the result, with the number of rows."""
        return f"{super().title()}: {len(self):,} row{'s' * (len(self) != 1)}"

    def __repr__(self) -> str:
        rows = self[:_SHOWN].rows()
        return lines(self.title(), map(_row_text, rows), len(self) - _SHOWN)


_SHOWN = 6
"""How many rows a `repr` shows."""

_SIDES = ("xmin", "ymin", "xmax", "ymax")


def read_only(array: np.ndarray) -> np.ndarray:
    """A read-only view of the array; the array itself does not change."""
    view = array.view()
    view.flags.writeable = False
    return view


def _row_text(row: Mapping[str, Any]) -> str:
    """A row of a `repr`: name and score, then the other values, with the box rounded."""
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
