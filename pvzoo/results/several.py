"""The results of several images: a list that a notebook shows as images."""

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
    """What `predict` returns for a list of images: a list of their results, in their order.

    In a notebook it is a grid of the annotated images, the first twelve of them, which are drawn
    only when it is shown.
    """

    def __repr__(self) -> str:
        shown = [result.title() for result in self[:_SHOWN]]
        return lines(f"{len(self):,} result{'s' * (len(self) != 1)}", shown, len(self) - _SHOWN)

    def _repr_html_(self) -> str:
        return grid(self, lambda result: result.shown(), lambda result: result.title())


_SHOWN = 6
