"""Compare two models on the same data: which images the second model gets better or worse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pvzoo.metrics.bootstrap import Difference, compare
from pvzoo.report.parts import Cell, Section, Table

if TYPE_CHECKING:
    from pvzoo.metrics.base import Evaluation

_LISTED = 50
"""The largest number of images in a list on the page."""


@dataclass(frozen=True)
class Comparison:
    """The differences between two models, `a` and `b`.

    Attributes:
        a: The name of the first model.
        b: The name of the second model.
        differences: The difference of each metric; empty if the metric keeps nothing of each
            image.
        fixed: (index, loss of a, loss of b) of the images on which b is better, largest
            difference first.
        broken: The same for the images on which a is better.
    """

    a: str
    b: str
    differences: Mapping[str, Difference]
    fixed: Sequence[tuple[int, float, float]]
    broken: Sequence[tuple[int, float, float]]

    @property
    def indices(self) -> list[int]:
        """The indices of the images that are listed, largest difference first."""
        listed = (*self.fixed[:_LISTED], *self.broken[:_LISTED])
        return [index for index, a, b in sorted(listed, key=lambda row: -abs(row[1] - row[2]))]

    def sections(self, names: Mapping[int, str]) -> list[Section]:
        """The sections of the page; `names` are the file names of `indices`."""
        rows: list[Sequence[Cell]] = [
            (
                name,
                float(found.a),
                float(found.b),
                f"{found.low:+.3f} to {found.high:+.3f}" if found.low == found.low else "-",
                _verdict(found),
            )
            for name, found in self.differences.items()
        ]
        columns = ("figure", "A", "B", "95 % interval of B - A", "")
        lists = [
            Table(
                ("image", "loss of A", "loss of B"),
                [(names[index], a, b) for index, a, b in some[:_LISTED]],
            )
            for some in (self.fixed, self.broken)
        ]
        return [
            Section(
                "Two models",
                f"A is {self.a}, B is {self.b}. The interval comes from a paired bootstrap: both "
                "models are measured on the same resamples of the images. If the interval of a "
                "difference contains 0, the difference could be chance.",
                (Table(columns, rows),),
            ),
            Section(
                "What B fixes",
                f"{len(self.fixed):,} images on which B makes fewer or smaller errors.",
                lists[:1] if self.fixed else (),
            ),
            Section(
                "What B breaks",
                f"{len(self.broken):,} images on which B makes more or larger errors.",
                lists[1:] if self.broken else (),
            ),
        ]

    def to_json(self, names: Mapping[int, str]) -> dict[str, Any]:
        """Plain values."""
        listed = {
            key: [
                {"index": index, "file_name": names[index], "loss_a": a, "loss_b": b}
                for index, a, b in some[:_LISTED]
            ]
            for key, some in (("fixes", self.fixed), ("breaks", self.broken))
        }
        figures = {
            name: {"a": d.a, "b": d.b, "low": d.low, "high": d.high, "better": d.better}
            for name, d in self.differences.items()
        }
        counts = {"images_fixed": len(self.fixed), "images_broken": len(self.broken)}
        return {"a": self.a, "b": self.b, "figures": figures, **counts, **listed}


def _verdict(found: Difference) -> str:
    if found.low != found.low:
        return "-"
    return {"a": "A is better", "b": "B is better", None: "could be chance"}[found.better]


def comparison(a: Evaluation, b: Evaluation) -> Comparison:
    """Compare two evaluations on the same data, both with a source."""
    assert a.source is not None
    assert b.source is not None
    sides = [{one.index: one.loss for one in e.analysis.images()} for e in (a, b)]
    rows = [
        (index, sides[0].get(index, 0.0), sides[1].get(index, 0.0))
        for index in sorted({*sides[0], *sides[1]})
    ]
    rows = sorted((row for row in rows if row[1] != row[2]), key=lambda row: -abs(row[1] - row[2]))
    both = a.per_image is not None and b.per_image is not None
    return Comparison(
        a.source.model,
        b.source.model,
        compare(a.per_image, b.per_image) if both and a.per_image and b.per_image else {},
        [row for row in rows if row[2] < row[1]],
        [row for row in rows if row[2] > row[1]],
    )
