"""Write results, drawn on their frames, as a video."""

from __future__ import annotations

import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from PIL import Image

from pvzoo.errors import UsageError, error_message
from pvzoo.extras import needs
from pvzoo.inputs.video import FrameHandle
from pvzoo.video.sound import Sound

if TYPE_CHECKING:
    from av.container import OutputContainer

    from pvzoo.results.base import Result

_TICKS = 90_000
"""Units of time per second: as of MPEG-TS, and fine enough for every frame rate."""


@dataclass(frozen=True)
class _Format:
    """What a suffix stands for: FFmpeg's names of the container and the codecs."""

    container: str
    video: str
    sound: str
    options: dict[str, str]


_H264 = {"crf": "20", "preset": "fast"}
_FORMATS = {
    ".mp4": _Format("mp4", "libx264", "aac", _H264),
    ".mov": _Format("mov", "libx264", "aac", _H264),
    ".mkv": _Format("matroska", "libx264", "aac", _H264),
    ".webm": _Format(
        *("webm", "libvpx-vp9", "libopus"),
        {"crf": "32", "b": "0", "deadline": "realtime", "cpu-used": "5"},
    ),
}
SUFFIXES = frozenset(_FORMATS)
"""Suffixes of the videos that can be written."""


class AnnotatedVideo:
    """A video of results drawn on their frames, with the times and the sound of the original.

        with AnnotatedVideo("out.mp4") as video:
            for result in model.stream("street.mp4", track=True):
                video.add(result)

    Results must be added inside the loop over `Model.stream`, where their frames are still there.
    The file appears when the block ends; if an error ends it, there is no file. After Ctrl-C it has
    what was added before. Sound is copied, or encoded again if the new container cannot hold it.
    """

    def __init__(self, path: str | Path) -> None:
        """Check the path.

        Args:
            path: Ends with .mp4, .mov, .mkv or .webm.

        Raises:
            UsageError: It has another suffix.
            MissingExtraError: PyAV is not installed.
        """
        needs("Writing videos", "av")
        self.path = Path(path).expanduser()
        if self.path.suffix.lower() not in _FORMATS:
            raise UsageError(
                f"{self.path} does not end with the suffix of a video that can be written.",
                f"Use one of: {', '.join(_FORMATS)}.",
            )
        self._format = _FORMATS[self.path.suffix.lower()]
        self._part = self.path.with_name(f".{self.path.name}.part")
        self._out: OutputContainer | None = None
        self._stream: Any = None
        self._sound: Sound | None = None
        self._size = (0, 0)
        self._start = 0.0
        self._last = -1
        self._step = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None or issubclass(kind, KeyboardInterrupt):
                self._finish()
        finally:
            self._close()
            self._part.unlink(missing_ok=True)

    def add(self, result: Result) -> None:
        """Draw a result on its frame and write it.

        Raises:
            UsageError: The result is not from a video, or the file cannot be written.
        """
        if not isinstance(result.image, FrameHandle) or result.time is None:
            raise UsageError(
                "Only results of a video can be written as a video.",
                "Use model.stream('street.mp4'), or result.save('out.png') for an image.",
            )
        drawn = result.plot()
        try:
            if self._out is None:
                self._open(result.image, result.time, drawn.size)
            self._write(drawn, result.time - self._start)
        except (OSError, _ffmpeg_error()) as error:
            raise self._refusal(error) from error

    def _open(self, handle: FrameHandle, time: float, size: tuple[int, int]) -> None:
        import av

        video = handle.video
        assert video is not None
        if isinstance(video.place, Path) and self.path.exists() and self.path.samefile(video.place):
            raise UsageError(f"{self.path} is the video itself.", "Choose another path.")
        rate = 25.0 if video.live else video.facts()[0]
        self._start, self._step = time, video.every / rate
        self._size = (size[0] + size[0] % 2, size[1] + size[1] % 2)  # H.264 needs even sides
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._out = av.open(str(self._part), "w", format=self._format.container)
        fps = Fraction(rate / video.every).limit_denominator(1001)
        self._stream = self._out.add_stream(
            self._format.video, rate=fps, options=dict(self._format.options)
        )
        self._stream.width, self._stream.height = self._size
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = Fraction(1, _TICKS)
        if not video.live:
            self._sound = Sound.of(video, time, self._out, self._format.sound)

    def _write(self, drawn: Image.Image, time: float) -> None:
        import av

        assert self._out is not None
        if drawn.size != self._size:
            whole = Image.new("RGB", self._size)
            fits = drawn.width <= self._size[0] and drawn.height <= self._size[1]
            whole.paste(drawn if fits else drawn.resize(self._size))
            drawn = whole
        frame = av.VideoFrame.from_ndarray(np.array(drawn.convert("RGB")), format="rgb24")
        self._last = max(round(time * _TICKS), self._last + 1)
        frame.pts, frame.time_base = self._last, Fraction(1, _TICKS)
        if self._sound is not None:
            self._sound.write_until(self._last / _TICKS)
        self._out.mux(self._stream.encode(frame))

    def _finish(self) -> None:
        if self._out is None:
            return
        try:
            self._out.mux(self._stream.encode())
            if self._sound is not None:
                self._sound.write_until(self._last / _TICKS + self._step)
                self._sound.finish()
            self._close()
            os.replace(self._part, self.path)
        except (OSError, _ffmpeg_error()) as error:
            raise self._refusal(error) from error

    def _close(self) -> None:
        if self._sound is not None:
            self._sound.close()
        if self._out is not None:
            out, self._out = self._out, None
            out.close()

    def _refusal(self, error: Exception) -> UsageError:
        return UsageError(
            f"{self.path} cannot be written ({error_message(error)}).", "Choose another path."
        )


def _ffmpeg_error() -> Any:
    import av

    return av.FFmpegError
