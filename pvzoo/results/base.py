"""The type of results: a frozen dataclass of numpy arrays for each task, derived from `Result`."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from PIL import Image

from pvzoo.errors import ImageError, PvzooError, UsageError
from pvzoo.extras import needs
from pvzoo.inputs.images import ImageHandle
from pvzoo.inputs.limits import MAX_SIDE

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, kw_only=True)
class Result(ABC):
    """What `predict` returns for one image. Subclasses add their arrays.

    One whose rows can be shown without the others may have a method ``only(rows)``: the result with
    those of its rows, by their places or by a mask (`pvzoo.results.selection.places`). Demos then
    have a switch for each.

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

    @property
    def source(self) -> str | None:
        """The path or URL of the input, or what kind of object it was."""
        return self.image.name if self.image else None

    @abstractmethod
    def draw(self, picture: Image.Image) -> Image.Image:
        """A new picture: `picture` (upright RGB, of this result's size) with the result on it."""

    @abstractmethod
    def rows(self) -> list[dict[str, Any]]:
        """One dict of plain Python values per predicted thing: the rows of a table."""

    def plot(self) -> Image.Image:
        """The input with the result drawn on it.

        Raises:
            ImageError: The input was a file that is no longer there, or a side of it is longer than
                131,072 pixels.
        """
        if self.image is None:
            raise UsageError("This result does not know its image.", "Use result.draw(picture).")
        picture = self.image.open()
        if max(picture.size) > MAX_SIDE:
            raise ImageError(
                f"{self.source} is {picture.width:,} x {picture.height:,} pixels, too long to be "
                f"drawn on: {MAX_SIDE:,} are allowed.",
                "Cut it into pieces.",
                source=self.source or "",
            )
        return self.draw(picture)

    def save(self, path: str | Path) -> Path:
        """Write the annotated picture; the suffix of `path` says in which format.

        Raises:
            UsageError: The suffix is no format that PIL writes, or the file cannot be written.
        """
        path = Path(path)
        if Image.registered_extensions().get(path.suffix.lower()) not in Image.SAVE:
            raise UsageError(
                f"{path} does not end in the name of an image format.", "Use .png or .jpg."
            )
        picture = self.plot()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path)
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
