"""Join the objects of tiles: boxes, and masks if there are any."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from pvzoo.results.detections import Detections
from pvzoo.results.instances import Instances
from pvzoo.results.masks import Masks
from pvzoo.tiles.detections import merge
from pvzoo.tiles.geometry import Area, Grid
from pvzoo.tiles.instances import common_of, placed, shared_by, united
from pvzoo.tiles.views import Views, best_of, union_of


class ObjectJoiner:
    """Collects the objects of the tiles of one image.

    Args:
        grid: The tiles.
        finish: Called with the merged result, the best objects first.
    """

    def __init__(self, grid: Grid, finish: Callable[[Any], Any]) -> None:
        self._grid, self._finish = grid, finish
        self._found: list[Detections] = []
        self._areas: list[Area] = []

    def add(self, area: Area, seen: Detections) -> None:
        """Take the objects of a tile, or of the whole image."""
        image = self._grid.image
        scale = -(-max(area.size) // max(seen.size))  # a huge image was scaled down
        corner = np.array([area.left, area.top] * 2, dtype=np.float64)
        boxes = seen.boxes.astype(np.float64) * scale + corner
        changed: dict[str, Any] = {"boxes": boxes, "size": image, "image": None}
        if isinstance(seen, Instances):
            changed["masks"] = Masks(image, placed(seen.masks, area, image))
        found = replace(seen, **changed)
        if area.size == image:
            height, width = self._grid.shared
            sides = boxes[:, 2:] - boxes[:, :2]
            found = found[np.logical_or(sides[:, 0] > width, sides[:, 1] > height)]
        self._found.append(found)
        self._areas.append(area)

    def result(self) -> Any:
        """The merged objects of the image."""
        found, last = self._found, self._found[-1]
        rows: dict[str, Any] = {}
        for name in last.per_row:
            values = [getattr(one, name) for one in found]
            if isinstance(values[-1], np.ndarray):
                rows[name] = np.concatenate(values)
            elif values[-1] is not None and not isinstance(values[-1], Masks):
                rows[name] = tuple(entry for value in values for entry in value)
        tiles = np.repeat(np.arange(len(found)), [len(one) for one in found])
        views = Views(
            rows["boxes"], rows["scores"], rows["labels"], tiles, self._areas, self._grid.image
        )
        codes: list[bytes] | None = None
        if isinstance(last, Instances):
            codes = [code for one in found for code in one.masks.counts]  # type: ignore[attr-defined]
            groups = merge(views, shared_by(codes, views), common_of(codes, views.image))
        else:
            groups = merge(views)
        # the other fields are those of the best view
        first = [best_of(views.scores, g.members) for g in groups]
        made: dict[str, Any] = {
            name: tuple(value[i] for i in first) if isinstance(value, tuple) else value[first]
            for name, value in rows.items()
        }
        boxes = [union_of(views.boxes[list(g.members)]) for g in groups]
        made["boxes"] = np.array(boxes, dtype=np.float32).reshape(-1, 4)
        made["scores"] = np.array([g.score for g in groups], dtype=views.scores.dtype)
        if codes is not None:
            pieces = [[codes[m] for m in g.members] for g in groups]
            made["masks"] = Masks(views.image, tuple(united(p, views.image) for p in pieces))
        return self._finish(replace(last, **made))
