"""A list of the results of several images, which a notebook shows as annotated images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pvzoo.display import ShownList, grid, lines

if TYPE_CHECKING:
    from typing_extensions import TypeVar  # Python's own has no default before 3.13

    from pvzoo.results.base import Result

    R = TypeVar("R", bound=Result, default=Any)
else:
    from typing import TypeVar

    R = TypeVar("R")


class Results(ShownList[R]):
    """The list of results that `predict` returns for a list of images, in the same order.

    A notebook shows the first twelve annotated images as a grid. They are drawn only when the list
    is shown.
    """

    def __repr__(self) -> str:
        shown = [result.title() for result in self[:_SHOWN]]
        return lines(f"{len(self):,} result{'s' * (len(self) != 1)}", shown, len(self) - _SHOWN)

    def _repr_html_(self) -> str:
        return grid(self, lambda result: result.shown(), lambda result: result.title())


_SHOWN = 6
