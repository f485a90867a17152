"""Give the objects of a stream of results track ids, by a tracker of the package `trackers`.

A tracker only says which boxes belong together. Boxes, masks, scores and their order stay those of
the network: no object is lost, replaced or moved.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import fields, replace
from typing import Any

import numpy as np

from pvzoo.errors import MissingExtraError, UsageError, error_message, nearest, short
from pvzoo.extras import needs
from pvzoo.postprocess.detection import select
from pvzoo.results.detections import Detections, sv_detections
from pvzoo.tasks.base import Task

LOWEST = 0.1
"""Objects with a lower score are not shown to the tracker."""

TRAIL = 30
"""The number of latest boxes whose centres make the trail of an object."""

TRACKERS = {
    "bytetrack": "ByteTrackTracker",
    "sort": "SORTTracker",
    "ocsort": "OCSORTTracker",
    "botsort": "BoTSORTTracker",
    "cbiou": "CBIoUTracker",
}
"""Name of a tracker -> its class in `trackers`."""

Finish = Callable[[Any], Any]


def tracker_of(track: Any, rate: float | None) -> Any:
    """The tracker that the argument ``track`` of `Model.stream` means, without any tracks yet.

    Args:
        track: True for ByteTrack, a name in `TRACKERS`, or a tracker of the package `trackers`.
        rate: Frames per second that it will see; None if they have no times.

    Raises:
        UsageError: There is no such tracker.
        MissingExtraError: `trackers` is not installed, or OpenCV, which it needs, does not work.
    """
    needs("Tracking", "trackers", "supervision")
    sv_detections()
    try:
        import trackers
    except ImportError as error:  # opencv-python without the libraries of a desktop
        raise MissingExtraError(
            f"Tracking needs OpenCV, which cannot be imported ({error_message(error)}).",
            "On a server, run: pip install --force-reinstall opencv-python-headless",
        ) from error
    if isinstance(track, bool | str):
        name = "bytetrack" if track is True else track
        if name not in TRACKERS:
            raise UsageError(
                f"There is no tracker {name!r}.",
                nearest(str(name), TRACKERS) or f"There are: {', '.join(TRACKERS)}.",
            )
        kind = getattr(trackers, TRACKERS[name])
        return kind() if rate is None else kind(frame_rate=rate)
    if not (callable(getattr(track, "update", None)) and callable(getattr(track, "reset", None))):
        raise UsageError(
            f"track is {short(track)}.",
            f"Use True, a name ({', '.join(TRACKERS)}), or a tracker of the package trackers.",
        )
    track.reset()
    return track


def check_task(task: Task) -> None:
    """Raise a `UsageError` unless the results of a task have boxes, and scores to choose from."""
    if not issubclass(task.result, Detections) or "threshold" not in {
        field.name for field in fields(task.controls)
    }:
        raise UsageError(
            f"track is not an option of {task.id}.",
            "Objects are tracked by their boxes: use object detection or instance segmentation.",
        )


class Follower:
    """Follows the objects of results that come in order.

    Attributes:
        asked: What to ask the adapter for, so that the tracker sees weak objects too.
    """

    def __init__(self, tracker: Any, asked: Mapping[str, Any], controls: Mapping[str, Any]) -> None:
        """Start with no tracks.

        Args:
            tracker: Made by `tracker_of`.
            asked: What the adapter would be asked for without tracking.
            controls: The options of the prediction.
        """
        self._limits = {
            name: asked[name] for name in ("threshold", "max_detections") if name in asked
        }
        weaker = {"threshold": min(LOWEST, asked["threshold"]), "max_detections": None}
        self.asked = {**asked, **{name: weaker[name] for name in self._limits}}
        self._tracker = tracker
        self._needs_pixels = getattr(tracker, "enable_cmc", False)  # to see the camera move
        self._overlap = {
            name: controls[name] for name in ("nms", "class_agnostic") if name in controls
        }
        self._time = -1.0
        self._trails: dict[int, deque[tuple[float, float]]] = {}
        self._seen: dict[int, int] = {}  # track id -> the number of the update that saw it last
        self._updates = 0

    def results(
        self, results: Generator[Any, None, None], finish: Finish
    ) -> Generator[Any, None, None]:
        """Results with track ids, after the limits and then `finish`.

        Args:
            results: What the adapter gave for `asked`, in order.
            finish: What is done with a result without tracking.
        """
        with closing(results):
            for result in results:
                result = self._follow(result)
                kept = select(result.boxes, result.scores, result.labels, **self._limits)
                yield finish(result[kept])

    def _follow(self, result: Detections) -> Detections:
        shown = select(result.boxes, result.scores, result.labels, **self._overlap)
        shown = shown[result.scores[shown] >= LOWEST]
        ids = np.full(len(result), -1)
        ids[shown] = self._update(result, shown)
        self._updates += 1
        trails = tuple(self._trail(int(i), box) for i, box in zip(ids, result.boxes, strict=True))
        self._forget()
        track_id = tuple(None if i < 0 else int(i) for i in ids)
        return replace(result, track_id=track_id, trails=trails)

    def _update(self, result: Detections, shown: np.ndarray) -> np.ndarray:
        """The track ids of the shown objects: (k,), -1 for none."""
        detections = sv_detections()(
            xyxy=result.boxes[shown],
            confidence=result.scores[shown],
            class_id=result.labels[shown],
            data={"row": np.arange(len(shown))},
        )
        more: dict[str, Any] = {}
        if result.image is not None and result.image.time is not None:
            # two frames with the same time would not move the tracker's expectations
            self._time = max(result.image.time, self._time + 1e-3)
            more["timestamp"] = self._time
        if self._needs_pixels and result.image is not None:
            pixels = np.asarray(result.image.open())
            more["frame"] = np.ascontiguousarray(pixels[..., ::-1])
        told = self._tracker.update(detections, **more)
        ids = np.full(len(shown), -1)
        if len(told):
            ids[told.data["row"]] = told.tracker_id
        return ids

    def _trail(self, track: int, box: np.ndarray) -> np.ndarray:
        if track < 0:
            return np.zeros((0, 2), np.float32)
        trail = self._trails.setdefault(track, deque(maxlen=TRAIL))
        trail.append((float(box[0] + box[2]) / 2, float(box[1] + box[3]) / 2))
        self._seen[track] = self._updates
        return np.array(trail, np.float32)

    def _forget(self) -> None:
        """Drop trails of objects that are gone, so that memory does not grow."""
        old = [track for track, seen in self._seen.items() if seen < self._updates - TRAIL]
        for track in old:
            del self._trails[track], self._seen[track]
