"""How much a demo accepts from its users, and how much of the machine it uses."""

from __future__ import annotations

from dataclasses import dataclass

from pvzoo.web import limits


@dataclass(frozen=True)
class Limits(limits.Limits):
    """The limits of a demo. The defaults suit a machine of two cores and 16 GB.

    Attributes:
        seconds: Most seconds for a run of the network, including the wait for other requests.
        queue: Most requests that wait; further ones are asked to come back later.
        at_once: Requests that are processed at the same time; the network runs for one of them.
        outputs: Most bytes of network outputs in memory. They are kept so that another threshold
            needs no second run.
        keep_seconds: Seconds for which the files of a request are kept.
        video_seconds: The first seconds of a video are used, the rest is left out.
        video_frames: Most frames of a video that are used; 0 for a demo without videos.
        video_pixels: Most pixels of a frame.
    """

    seconds: float = 120.0
    queue: int = 100
    at_once: int = 4
    outputs: int = 512 * 2**20
    keep_seconds: int = 1800
    video_seconds: float = 20.0
    video_frames: int = 300
    video_pixels: int = 2_100_000
