"""Binary masks, held run-length encoded as in COCO and decoded when they are looked at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from pycocotools import mask as coco


@dataclass(frozen=True)
class Masks(Sequence[np.ndarray]):
    """Masks of one image. ``masks[i]`` decodes one, ``masks.to_array()`` all.

    Attributes:
        size: (height, width) in pixels.
        counts: One compressed COCO run-length code per mask.
    """

    size: tuple[int, int]
    counts: tuple[bytes, ...] = ()

    @classmethod
    def from_array(cls, masks: np.ndarray) -> Masks:
        """(n, height, width) masks; whatever is not zero belongs to the mask."""
        size = (int(masks.shape[1]), int(masks.shape[2]))
        return cls(size, tuple(encode(mask != 0, 0, 0, size) for mask in masks))

    @classmethod
    def from_cutouts(
        cls, cutouts: Iterable[tuple[int, int, np.ndarray]], size: tuple[int, int]
    ) -> Masks:
        """(top, left, bool mask without empty surroundings) of each; nothing is made full-size."""
        return cls(size, tuple(encode(mask, top, left, size) for top, left, mask in cutouts))

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...

    @overload
    def __getitem__(self, index: slice) -> Masks: ...

    def __getitem__(self, index: int | slice) -> np.ndarray | Masks:
        """A mask as (height, width) bool, or some of the masks, still encoded."""
        if isinstance(index, slice):
            return Masks(self.size, self.counts[index])
        return coco.decode(self._code(self.counts[index])).astype(bool)

    def __len__(self) -> int:
        return len(self.counts)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[i] for i in range(len(self)))

    def to_array(self) -> np.ndarray:
        """All masks: (n, height, width) bool."""
        result = np.empty((len(self), *self.size), dtype=bool)
        for i, mask in enumerate(self):
            result[i] = mask
        return result

    @property
    def areas(self) -> np.ndarray:
        """(n,) int64 pixels in each mask."""
        return np.array([coco.area(self._code(c)) for c in self.counts], dtype=np.int64)

    @property
    def boxes(self) -> np.ndarray:
        """(n, 4) float32: left, top, right, bottom around each mask; zeros for an empty one."""
        boxes = np.array([coco.toBbox(self._code(c)) for c in self.counts], dtype=np.float32)
        boxes = boxes.reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        return boxes

    def to_coco(self) -> list[dict[str, Any]]:
        """COCO's compressed run-length codes, with ``counts`` as text, ready for JSON."""
        return [{"size": list(self.size), "counts": c.decode("ascii")} for c in self.counts]

    def polygons(self, index: int) -> list[list[float]]:
        """The outlines of a mask as COCO polygons: flat lists x1, y1, x2, y2, ...

        Polygons cannot say holes, and of single pixels and lines they say nothing: use `to_coco`
        for what must come back exactly.
        """
        from pvzoo.drawing import supervision

        outlines = supervision().mask_to_polygons(self[index])
        return [outline.astype(float).flatten().tolist() for outline in outlines]

    def _code(self, counts: bytes) -> dict[str, Any]:
        return {"size": list(self.size), "counts": counts}


def encode(mask: np.ndarray, top: int, left: int, size: tuple[int, int]) -> bytes:
    """The run-length code of a (h, w) bool mask placed at (top, left) in an image of `size`.

    COCO counts runs down the columns, beginning with zeros; a cut-out's runs are found in the
    cut-out and moved to their place in the image.
    """
    height, width = size
    h, w = mask.shape
    edges = np.zeros((w, h + 2), dtype=np.int8)
    edges[:, 1:-1] = mask.T
    steps = np.diff(edges, axis=1)
    columns, rows = (steps == 1).nonzero()
    starts = (left + columns) * height + top + rows
    columns, rows = (steps == -1).nonzero()
    ends = (left + columns) * height + top + rows
    if len(starts) == 0:
        counts = [height * width]
    else:
        # a run that reaches the bottom goes on at the top of the next column
        breaks = starts[1:] != ends[:-1]
        starts = np.concatenate([starts[:1], starts[1:][breaks]])
        ends = np.concatenate([ends[:-1][breaks], ends[-1:]])
        bounds = np.stack([starts, ends], axis=1).flatten()
        counts = np.diff(np.concatenate([[0], bounds, [height * width]])).tolist()
        if counts[-1] == 0:
            counts.pop()
    return coco.frPyObjects({"size": [height, width], "counts": counts}, height, width)["counts"]
