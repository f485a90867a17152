"""Copy the sound of a video into another one, cut to the same part."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from pvzoo.errors import PvzooWarning, error_message
from pvzoo.inputs.containers import opened, stream_of
from pvzoo.inputs.video import Video

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet


class Sound:
    """The first sound stream of a video, written little by little beside the frames."""

    def __init__(
        self,
        container: InputContainer,
        source: AudioStream,
        out: OutputContainer,
        codec: str,
        begin: Fraction,
        name: str,
    ) -> None:
        self._container = container
        self._out = out
        self._begin = begin
        self._name = name
        own = source.codec_context.name
        # few programs play plain samples (PCM) in these containers
        self._copies = own in out.supported_codecs and not own.startswith("pcm_")
        self._target: Any
        if self._copies:
            self._target = out.add_stream_from_template(source)
        else:
            rate = 48_000 if codec == "libopus" else source.rate
            layout = source.layout.name
            if layout.endswith("channels"):  # which of them is left is not stated
                layout = "mono" if source.layout.nb_channels == 1 else "stereo"
            self._target = out.add_stream(codec, rate=rate, layout=layout)
        self._packets = self._in_time(source)
        self._next = next(self._packets, None)

    @classmethod
    def of(cls, video: Video, start: float, out: OutputContainer, codec: str) -> Sound | None:
        """The sound of a video from a time on; None if it has none.

        Args:
            video: A file.
            start: The time of the first frame, in seconds.
            out: Where the sound goes; no packet was written to it yet.
            codec: FFmpeg's name of the codec to use if `out` cannot hold the one of the video.
        """
        container = opened(video.place, video.name)
        source = next((s for s in container.streams.audio if s.codec_context is not None), None)
        if source is None:  # or FFmpeg does not know what it is
            container.close()
            return None
        frames = stream_of(container, video.name)
        origin = Fraction(0)
        if frames.start_time is not None and frames.time_base is not None:
            origin = frames.start_time * frames.time_base
        begin = origin + Fraction(start).limit_denominator(1_000_000)
        if start and source.time_base:
            container.seek(int(begin / source.time_base), stream=source)
        return cls(container, source, out, codec, begin, video.name)

    def write_until(self, time: float) -> None:
        """Write the sound before a time, in seconds since the first frame."""
        while self._next is not None and self._next[0] < time:
            _, packet = self._next
            self._out.mux(packet)
            self._next = next(self._packets, None)

    def finish(self) -> None:
        """Write what an encoder still holds."""
        if not self._copies:
            self._out.mux(self._target.encode())

    def close(self) -> None:
        """Close the video."""
        self._packets = iter(())
        self._next = None
        self._container.close()

    def _in_time(self, source: AudioStream) -> Iterator[tuple[float, Packet[Any]]]:
        """(seconds since the first frame, packet for the target) of each packet."""
        import av

        made = self._copied(source) if self._copies else self._encoded(source)
        try:
            yield from made
        except av.FFmpegError as error:
            warnings.warn(
                f"The sound of {self._name} is damaged ({error_message(error)}); the rest of it "
                "is left out.",
                PvzooWarning,
                stacklevel=2,
            )

    def _copied(self, source: AudioStream) -> Iterator[tuple[float, Packet[Any]]]:
        for packet in self._container.demux(source):
            if packet.pts is None or packet.dts is None or packet.time_base is None:
                continue
            offset = round(self._begin / packet.time_base)
            if packet.pts + (packet.duration or 0) < offset:  # one more, which decoders start from
                continue
            packet.pts -= offset
            packet.dts -= offset
            packet.stream = self._target
            yield float(packet.pts * packet.time_base), packet

    def _encoded(self, source: AudioStream) -> Iterator[tuple[float, Packet[Any]]]:
        for frame in self._container.decode(source):
            if frame.pts is None or frame.time_base is None:
                continue
            offset = round(self._begin / frame.time_base)
            if frame.pts < offset:
                continue
            frame.pts -= offset
            for packet in self._target.encode(frame):
                yield float((packet.pts or 0) * packet.time_base), packet
