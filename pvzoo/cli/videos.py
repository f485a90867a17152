"""The videos of ``pvzoo predict``."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from pvzoo.errors import UsageError
from pvzoo.inputs.names import expand
from pvzoo.inputs.video import Video, is_video_name, video_of
from pvzoo.video.write import SUFFIXES, AnnotatedVideo


def video_in(inputs: list[str]) -> Video | None:
    """The video that the arguments name; None if they name images.

    Raises:
        UsageError: They name a video and something else.
    """
    found = [video for text in inputs if (video := _as_video(text))]
    if found and len(inputs) > 1:
        raise UsageError(
            f"{found[0].name} is a video, and there are other inputs.", "Give one video alone."
        )
    return found[0] if found else None


def written_to(save: Path | None, source: object) -> AbstractContextManager[AnnotatedVideo | None]:
    """The video to write; None if there is none, but perhaps a folder of images."""
    if save is None or not isinstance(source, Video) or save.suffix.lower() not in SUFFIXES:
        return nullcontext()
    return AnnotatedVideo(save)


def _as_video(text: str) -> Video | None:
    path = expand(Path(text))
    if is_video_name(text) and path.is_file():
        return Video(path)
    return video_of(int(text) if text.isdecimal() and not path.exists() else text)
