"""Open videos with FFmpeg (PyAV), so that a file from a stranger makes it read nothing else.

FFmpeg can read playlists and lists of files (hls, concat, dash, image sequences), devices, and
filters that are named as files (lavfi), all of which lead to other files and addresses. So it is
told which protocols and which kinds of containers it may use. Only a network address that the
caller names is connected to, and then no file is read.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from pvzoo.errors import ImageError, error_message
from pvzoo.extras import needs
from pvzoo.inputs.limits import check_pixels
from pvzoo.inputs.names import shown

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

CONTAINERS = (
    *("mov", "matroska", "avi", "mpegts", "mpeg", "flv", "asf", "ogg", "ivf", "nut"),
    *("h264", "hevc", "m4v", "mpegvideo", "mjpeg", "obu", "yuv4mpegpipe", "dv"),
)
"""FFmpeg's names of the containers that are read. None of them leads to another file."""

LIVE_SECONDS = 30.0
"""Most seconds to wait for a camera or a network address."""

_ADDRESS = re.compile(r"(rtsps?|rtmps?|https?)://", re.IGNORECASE)
_PROTOCOLS = "rtsp,rtsps,rtmp,rtmps,rtp,srtp,udp,tcp,tls,http,https,httpproxy"
_CAMERAS = {
    "linux": ("v4l2", "/dev/video{}"),
    "darwin": ("avfoundation", "{}"),
    "win32": ("vfwcap", "{}"),
}
"""For each system FFmpeg's input device, and its name of a camera."""

_NOT_A_VIDEO = "Use a video file such as MP4, MOV, MKV, WebM, AVI or MPEG-TS."


def is_address(place: Path | str | int) -> bool:
    """Whether it is an address on the network that FFmpeg may read."""
    return isinstance(place, str) and _ADDRESS.match(place) is not None


def name_of(place: Path | str | int) -> str:
    """The name of a video in messages; without the password that an address may have."""
    if isinstance(place, int):
        return f"camera {place}"
    return shown(re.sub(r"(?<=://)[^/@]*@", "", str(place)))


def opened(place: Path | str | int, name: str) -> InputContainer:
    """The container of a video, to be closed by the caller.

    Args:
        place: A file, a network address, or the number of a camera.
        name: What messages call it.

    Raises:
        ImageError: It cannot be opened, or is not a video.
        MissingExtraError: PyAV is not installed.
    """
    needs("Reading videos", "av")
    import av

    try:
        file, kind, options = _how(place)
        container = av.open(
            file,
            "r",
            format=kind,
            options=options,
            metadata_errors="replace",
            timeout=None if isinstance(place, Path) else LIVE_SECONDS,
        )
    except av.FFmpegError as error:
        raise _refusal(place, name, error) from error
    except ValueError as error:  # a format that this build of FFmpeg does not have
        raise ImageError(
            f"{name} cannot be opened ({error_message(error)}).",
            "Pass the frames themselves: model.stream(frames) takes any iterable of images.",
            source=name,
        ) from error
    if not container.streams.video:
        kinds = "only sound" if container.streams.audio else "no images"
        container.close()
        raise ImageError(f"{name} is not a video: it has {kinds}.", _NOT_A_VIDEO, source=name)
    return container


def stream_of(container: InputContainer, name: str) -> VideoStream:
    """The first video stream that is not a cover image.

    Raises:
        ImageError: Its frames are too large, or FFmpeg has no decoder for it.
    """
    from av.stream import Disposition

    streams = container.streams.video
    stream = next((s for s in streams if not s.disposition & Disposition.attached_pic), streams[0])
    if stream.codec_context is None:
        raise ImageError(
            f"{name} is in a format that FFmpeg cannot decode.",
            "Convert it to H.264 first.",
            source=name,
        )
    try:
        check_pixels((max(1, stream.width), max(1, stream.height)))
    except ImageError as error:
        raise ImageError(f"{name} {error.what}", error.hint, source=name) from error
    return stream


def _how(place: Path | str | int) -> tuple[str, str | None, dict[str, str]]:
    """The arguments of `av.open`: the file, the format and the options."""
    if isinstance(place, int):
        kind, device = _CAMERAS.get(sys.platform, _CAMERAS["linux"])
        options = {"framerate": "30"} if kind == "avfoundation" else {}
        return device.format(place), kind, options
    options = {"format_whitelist": ",".join(CONTAINERS), **most_pixels()}
    if isinstance(place, Path):
        return f"file:{place.absolute()}", None, {**options, "protocol_whitelist": "file"}
    options["protocol_whitelist"] = _PROTOCOLS
    if place.lower().startswith("rtsp"):
        options |= {"rtsp_transport": "tcp", "format_whitelist": "rtsp,sdp"}
    return place, None, options


def most_pixels() -> dict[str, str]:
    """FFmpeg's own limit, which holds before the first frame is decoded."""
    most = Image.MAX_IMAGE_PIXELS
    return {} if most is None else {"max_pixels": str(most)}


def _refusal(place: Path | str | int, name: str, error: Exception) -> ImageError:
    if isinstance(place, Path):
        if not place.is_file():
            return ImageError(f"{name} does not exist.", "Check the path.", source=name)
        if place.stat().st_size == 0:
            return ImageError(
                f"{name} is empty (0 bytes).", "Copy or download it again.", source=name
            )
        what = f"{name} is not a video that can be read ({_reason(error)})."
        hint = f"If it is damaged, copy it again. {_NOT_A_VIDEO} For one image use model.predict."
        return ImageError(what, hint, source=name)
    hint = "Check that it is connected, and that no other program uses it."
    if not isinstance(place, int):
        hint = "Check the address, the user name and the password, and the network."
    return ImageError(f"{name} cannot be opened ({_reason(error)}).", hint, source=name)


def _reason(error: Exception) -> str:
    """FFmpeg's message without the name of the file, which may hold a password."""
    return str(getattr(error, "strerror", None) or error_message(error))[:200]
