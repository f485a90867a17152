"""How the tiles of each kind of task become a result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pvzoo.adapters.base import Adapter, Meta
from pvzoo.plugins.calls import calling, fault_of
from pvzoo.postprocess.detection import select
from pvzoo.results.base import Result
from pvzoo.results.detections import Detections
from pvzoo.tasks.base import Task
from pvzoo.tiles.choose import no_scores
from pvzoo.tiles.objects import ObjectJoiner
from pvzoo.tiles.run import Joining
from pvzoo.tiles.semantic import MapJoiner, RawOutputs

Postprocess = Callable[[dict[str, Any], Meta, Mapping[str, Any]], Result]
"""(outputs, meta, controls) -> the result of the adapter."""


def joining_of(
    adapter: Adapter,
    task: Task,
    postprocess: Postprocess,
    controls: Mapping[str, Any],
    asked: Mapping[str, Any],
    finish: Callable[[Any], Any],
) -> Joining:
    """The functions for tiles of a task, which `pvzoo.tiles.choose.check` has accepted.

    Args:
        adapter: The model's.
        task: The model's.
        postprocess: Calls the adapter.
        controls: All controls of the task.
        asked: Those for the adapter, which differ if the model has thresholds.
        finish: From the adapter's result to the final one.
    """
    if issubclass(task.result, Detections):
        return _of_objects(postprocess, controls, asked, finish)
    return _of_maps(adapter, postprocess, controls)


def _of_objects(
    postprocess: Postprocess,
    controls: Mapping[str, Any],
    asked: Mapping[str, Any],
    finish: Callable[[Any], Any],
) -> Joining:
    # what the options keep or drop depends on all objects of the image
    known = ("nms", "class_agnostic", "max_detections")
    after = {name: controls[name] for name in known if name in controls}
    of_tile = {**asked, **({"max_detections": None} if "max_detections" in asked else {})}

    def finished(result: Detections) -> Any:
        result = finish(result)
        return result[select(result.boxes, result.scores, result.labels, **after)]

    return Joining(
        whole=True,
        postprocess=lambda outputs, meta: postprocess(outputs, meta, of_tile),
        alone=finished,
        joiner=lambda grid: ObjectJoiner(grid, finished),
    )


def _of_maps(adapter: Adapter, postprocess: Postprocess, controls: Mapping[str, Any]) -> Joining:
    names = tuple(name or f"class {i}" for i, name in enumerate(adapter.labels))

    def scores(seen: RawOutputs) -> np.ndarray:
        with calling(adapter, "dense_scores"):
            found = adapter.dense_scores(seen.outputs, seen.meta)
        if found is None:
            raise no_scores(adapter)
        if not isinstance(found, np.ndarray) or found.ndim != 3 or len(found) != len(names):
            shape = getattr(found, "shape", type(found).__name__)
            fault = f"returned {shape}, not an array ({len(names)} classes, height, width)"
            raise fault_of(adapter, "dense_scores", fault)
        return found

    return Joining(
        whole=False,
        postprocess=RawOutputs,
        alone=lambda seen: postprocess(seen.outputs, seen.meta, controls),
        joiner=lambda grid: MapJoiner(
            grid, names, scores, with_scores=bool(controls.get("scores"))
        ),
    )
