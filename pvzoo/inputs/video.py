"""The frames of a video, a camera or a network stream, as inputs of a model.

These are the rules:

* **Time** is in seconds since the first frame, from the timestamps in the file, so that a variable
  frame rate is honoured. **Frame** is the index among all frames of the video.
* **Rotation** in the metadata is applied: all boxes and masks are in the upright frame.
* **Colour** of every depth and sampling becomes 8-bit RGB by FFmpeg's conversion, with the colour
  space that the file states. Pixels that are not square stay as they are stored.
* **Damage**: what was read before the damage is used, with a `PvzooWarning`.

A frame of a file is decoded again when its image is asked for after the next result, so results
hold no pixels. A frame of a camera or a network address cannot be: its image lives until the next
result.
"""

from __future__ import annotations

import warnings
from bisect import bisect_left
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from pvzoo.errors import ImageError, PvzooWarning, UsageError, error_message
from pvzoo.inputs.containers import is_address, most_pixels, name_of, opened, stream_of
from pvzoo.inputs.images import ImageHandle
from pvzoo.inputs.limits import check_pixels

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

SUFFIXES = frozenset(
    {".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".m2ts", ".mts"}
    | {".flv", ".wmv", ".asf", ".ogv", ".3gp"}
)
"""Suffixes of files that the command line takes for videos. A file may have any other one."""

_SHORT = 1.0
"""Seconds by which a video may be shorter than it states before this is called damage."""


@dataclass(frozen=True)
class Video:
    """A video and the part of it to read; iterating gives a `FrameHandle` for each frame.

    Attributes:
        place: A file, a network address, or the number of a camera.
        every: Give only each frame of this many, from the first one on.
        start: Seconds: frames before this time are left out.
        stop: Seconds: frames from this time on are left out. None for the end.
        title: What results and messages call it; by default its path or address.
    """

    place: Path | str | int
    every: int = 1
    start: float = 0.0
    stop: float | None = None
    title: str | None = None

    def __post_init__(self) -> None:
        if not _is_number(self.every, int) or self.every < 1:
            raise UsageError(f"every is {self.every!r}.", "Use an integer of at least 1.")
        if not _is_number(self.start, int | float) or not self.start >= 0:
            raise UsageError(f"start is {self.start!r}.", "Use seconds, 0 or more.")
        if self.stop is not None and not (
            _is_number(self.stop, int | float) and self.stop > self.start
        ):
            raise UsageError(f"stop is {self.stop!r}.", f"Use seconds after start ({self.start}).")

    @property
    def name(self) -> str:
        """The title, or the path or address, or "camera 0"."""
        return self.title or name_of(self.place)

    @property
    def live(self) -> bool:
        """Whether it cannot be read a second time."""
        return not isinstance(self.place, Path)

    def facts(self) -> tuple[float, int | None]:
        """Frames per second, and about how many frames there are to give, if the file states it.

        Raises:
            ImageError: It is not a video.
        """
        with opened(self.place, self.name) as container:
            stream = stream_of(container, self.name)
            rate, seconds = _rate(stream), _stated_seconds(stream)
        if seconds is None:
            return float(rate), None
        end = seconds if self.stop is None else min(self.stop, seconds)
        return float(rate), max(1, round(max(0.0, end - self.start) * rate / self.every))

    def size(self) -> tuple[int, int]:
        """(width, height) of the frames as they are stored, before they are turned.

        Raises:
            ImageError: It is not a video.
        """
        with opened(self.place, self.name) as container:
            stream = stream_of(container, self.name)
            return stream.width, stream.height

    def __iter__(self) -> Iterator[FrameHandle]:
        """The frames, in order.

        Raises:
            ImageError: It is not a video, or has no frames that can be decoded.
        """
        if not self.start or self.live:
            yield from self._frames(seeks=False)
            return
        try:
            yield from self._frames(seeks=True)
        except _TooLate:  # nothing was given yet
            yield from self._frames(seeks=False)

    def _frames(self, *, seeks: bool) -> Iterator[FrameHandle]:
        with opened(self.place, self.name) as container:
            reader = _Reader(container, self.name, live=self.live)
            if seeks:
                reader.skip_to(self.start)
            first: int | None = None
            with closing(reader.frames()) as frames:
                for number, time, frame in frames:
                    if self.stop is not None and time >= self.stop:
                        return
                    if self.start and time < self.start:  # times may jump back below 0
                        continue
                    first = number if first is None else first
                    if (number - first) % self.every == 0:
                        held = _Held(frame)
                        yield FrameHandle(
                            self.place, self.name, 0, number, time, self, frame.pts, held
                        )
            reader.warn_if_short()
            if first is None:
                warnings.warn(
                    f"{self.name} has no frames after {self.start} s: it ends at "
                    f"{reader.last:.1f} s.",
                    PvzooWarning,
                    stacklevel=2,
                )

    def again(self, number: int, pts: int | None) -> VideoFrame:
        """Decode one frame of a file once more.

        Args:
            number: Its index.
            pts: Its timestamp in units of the stream, if it has one.

        Raises:
            ImageError: It is not there any more.
        """
        if self.live:
            raise ImageError(
                "was shown live: its image is there only until the next result.",
                "Keep result.image.open() or result.plot() inside the loop.",
            )
        for may_seek in (pts is not None, False):
            with opened(self.place, self.name) as container:
                reader = _Reader(container, self.name, live=False)
                if may_seek:
                    container.seek(pts or 0, stream=reader.stream)
                with closing(reader.frames()) as frames:
                    for count, _, frame in frames:
                        if frame.pts == pts if pts is not None else count == number:
                            return frame
                        if may_seek and frame.pts is not None and frame.pts > (pts or 0):
                            break
        raise ImageError(f"has no frame {number} any more.", "Predict the video again.")


@dataclass(frozen=True, eq=False)
class FrameHandle(ImageHandle):
    """One frame of a video.

    Attributes:
        video: The video that it is from.
        pts: Its timestamp in units of the stream.
    """

    video: Video | None = None
    pts: int | None = None
    _held: _Held | None = field(default=None, repr=False)

    @property
    def file_name(self) -> str:
        """A name for a file with this frame."""
        stem = "camera" if isinstance(self.data, int) else Path(super().file_name).stem
        return f"{stem or 'video'}-{self.frame:06}.png"

    def release(self) -> None:
        """Forget the decoded frame. A file is decoded again if the image is asked for."""
        if self._held is not None:
            self._held.frame = None

    def _converted(self, convert: Callable[[Image.Image], Image.Image], own: bool) -> Image.Image:
        # each call makes a new image, so `own` changes nothing
        assert self.video is not None
        frame = self._held.frame if self._held else None
        if frame is None:
            frame = self.video.again(self.frame or 0, self.pts)
        check_pixels((frame.width, frame.height))
        return convert(upright(frame))


def upright(frame: VideoFrame) -> Image.Image:
    """A decoded frame as RGB, turned as its metadata say."""
    pixels = frame.to_ndarray(format="rgb24")
    return Image.fromarray(np.rot90(pixels, round(frame.rotation / 90) % 4))


class _TooLate(Exception):
    """A container went to a later place than it was asked to."""


class _Held:
    """A decoded frame until it is released; copies and pickles of it are released."""

    def __init__(self, frame: VideoFrame | None = None) -> None:
        self.frame = frame

    def __reduce__(self) -> tuple[type[_Held], tuple[()]]:
        return _Held, ()


class _Reader:
    """Decodes the frames of an open container and notes what is damaged."""

    def __init__(self, container: InputContainer, name: str, *, live: bool) -> None:
        self.container = container
        self.stream = stream_of(container, name)
        self.stream.thread_type = "AUTO"
        # the options of the container are not those of its decoder
        self.stream.codec_context.options = {**self.stream.codec_context.options, **most_pixels()}
        self.name = name
        self.rate = _rate(self.stream)
        self.origin = None if live else self.stream.start_time
        self.next = 0  # the index of the next frame
        self.before: list[int] = []  # timestamps of the frames before the part to read
        self.key: int | None = None  # where the part to read should begin, after `skip_to`
        self.seen = 0
        self.last = 0.0
        self.damage = ""  # what is damaged, and after what time

    def skip_to(self, seconds: float) -> None:
        """Go to the last key frame before a time, and count the frames that are left out.

        Packets are only counted, not decoded.
        """
        base = self.stream.time_base
        if base is None or self.origin is None:
            return
        target = self.origin + round(seconds / base)
        times: list[int] = []
        key: int | None = None
        for packet in self.container.demux(self.stream):
            if packet.dts is not None and packet.dts >= target:
                break
            if packet.pts is not None and packet.pts < target and not packet.is_discard:
                times.append(packet.pts)
                if packet.is_keyframe:
                    key = packet.pts if key is None else max(key, packet.pts)
        if key is None:
            key = self.origin
        self.container.seek(key, stream=self.stream)
        self.before, self.key = sorted(times), key

    def frames(self) -> Generator[tuple[int, float, VideoFrame], None, None]:
        """(index, seconds, frame) of each frame."""
        import av

        packets = self.container.demux(self.stream)
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError as error:
                self._note(error_message(error))
                return
            if packet is None:
                return
            if packet.is_corrupt:
                self._note("a part of it is missing")
            try:
                decoded = packet.decode()
            except av.FFmpegError as error:
                self._note(error_message(error))
                continue
            for frame in decoded:
                if self.key is not None:  # containers without an index do not seek exactly
                    if frame.pts is None or frame.pts > self.key:
                        raise _TooLate
                    self.next, self.key = bisect_left(self.before, frame.pts), None
                number, self.next = self.next, self.next + 1
                self.seen += 1
                self.last = self._time(frame, number)
                if frame.is_corrupt:
                    self._note("a part of it is missing")
                yield number, self.last, frame

    def _note(self, what: str) -> None:
        self.damage = self.damage or f"{what}, after {self.last:.1f} s"

    def _time(self, frame: VideoFrame, number: int) -> float:
        if frame.pts is None or frame.time_base is None:
            return float(number / self.rate)
        if self.origin is None:
            self.origin = frame.pts
        return float((frame.pts - self.origin) * frame.time_base)

    def warn_if_short(self) -> None:
        """Warn if the video is damaged; call it at its end.

        Raises:
            ImageError: No frame could be decoded.
        """
        if not self.seen:
            why = f" ({self.damage})" if self.damage else ""
            raise ImageError(
                f"{self.name} has no frames that can be decoded{why}.",
                "Copy or download it again.",
                source=self.name,
            )
        stated = _stated_seconds(self.stream)
        ended = self.last + 1 / float(self.rate)
        if self.damage:
            what = f"is damaged ({self.damage}). The frames that could be decoded were used."
        elif stated is not None and ended < stated - _SHORT:
            what = f"should last {stated:.1f} s, but breaks off after {ended:.1f} s."
        else:
            return
        warnings.warn(f"{self.name} {what}", PvzooWarning, stacklevel=3)


def is_video_name(name: str) -> bool:
    """Whether a file or web address has the suffix of a video."""
    return name.partition("?")[0].lower().endswith(tuple(SUFFIXES))


def video_of(source: Any) -> Video | None:
    """The video that a source of `Model.stream` names: a file, an address, a camera; else None.

    A file with the suffix of an image is not one, nor is a web address without the suffix of a
    video.
    """
    if isinstance(source, Video):
        return source
    if _is_number(source, int):
        if source < 0:
            raise UsageError(f"There is no camera {source}.", "The first camera is 0.")
        return Video(source)
    if is_address(source):
        web = source.lower().startswith(("http://", "https://"))
        return Video(source) if not web or is_video_name(source) else None
    return None


def _is_number(value: Any, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _rate(stream: VideoStream) -> Fraction:
    """Frames per second as the file states it; 25 if it does not."""
    return stream.average_rate or stream.guessed_rate or Fraction(25)


def _stated_seconds(stream: VideoStream) -> float | None:
    """How long the video stream lasts as the file states it."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    container: Any = stream.container
    if container.duration is None or container.streams.audio:
        return None
    return float(container.duration / 1e6)  # FFmpeg counts microseconds
