"""What `stream` does for the frames of a video beyond what it does for images."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from typing import Any

from pvzoo.errors import UsageError
from pvzoo.inputs.video import FrameHandle, Video
from pvzoo.tasks.base import Task
from pvzoo.tracking.follow import Follower, check_task, tracker_of


@dataclass(frozen=True)
class Part:
    """The part of a video that a caller asked for; None for what was not given."""

    every: int | None = None
    start: float | None = None
    stop: float | None = None


def frames_of(images: Iterable[Any], part: Part) -> Iterable[Any]:
    """The images; of a video the frames in a part.

    Raises:
        UsageError: A value of the part is not possible, or one was given without a video.
    """
    given = {name: value for name, value in asdict(part).items() if value is not None}
    if isinstance(images, Video):
        return replace(images, **given)
    if given:
        raise UsageError(
            f"{next(iter(given))} is only for videos, and the source is not one.",
            "Pass the file of a video, an address or the number of a camera.",
        )
    return images


def following(
    track: Any,
    task: Task,
    images: Iterable[Any],
    asked: Mapping[str, Any],
    controls: Mapping[str, Any],
) -> Follower:
    """What follows the objects of a stream.

    Args:
        track: The argument of `Model.stream`.
        task: The task of the model.
        images: The images or the video.
        asked: What the adapter would be asked for without tracking.
        controls: The options of the prediction.

    Raises:
        UsageError: The task has no boxes, or there is no such tracker.
    """
    check_task(task)
    rate = None
    if isinstance(images, Video) and not images.live:
        rate = images.facts()[0] / images.every
    return Follower(tracker_of(track, rate), asked, controls)


def released(results: Generator[Any, None, None]) -> Generator[Any, None, None]:
    """The results; the decoded frame of each is forgotten when the next one is asked for."""
    with closing(results):
        for result in results:
            yield result
            if isinstance(result.image, FrameHandle):
                result.image.release()
