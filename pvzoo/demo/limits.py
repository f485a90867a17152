"""How much a demo accepts from its users, and how much of the machine it uses."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The limits of a demo. The defaults suit a machine of two cores and 16 GB.

    Attributes:
        max_bytes: Most bytes of an image, uploaded or downloaded.
        max_pixels: Most pixels of an image.
        url_seconds: Most seconds for the download of an image from its address.
        seconds: Most seconds for a run of the network, including the wait for other requests.
        queue: Most requests that wait; further ones are asked to come back later.
        at_once: Requests that are processed at the same time; the network runs for one of them.
        models: Most bytes of weights in memory. If a further model needs room, the models that
            were used least recently are dropped.
        outputs: Most bytes of network outputs in memory. They are kept so that another threshold
            needs no second run.
        keep_seconds: Seconds for which the files of a request are kept.
    """

    max_bytes: int = 20 * 2**20
    max_pixels: int = 32_000_000
    url_seconds: float = 10.0
    seconds: float = 120.0
    queue: int = 100
    at_once: int = 4
    models: int = 4 * 2**30
    outputs: int = 512 * 2**20
    keep_seconds: int = 1800
