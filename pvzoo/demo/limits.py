"""How much a demo takes from strangers, and how much of the machine it takes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The defaults suit a machine of two cores and 16 GB.

    Attributes:
        max_bytes: Most bytes of an image, uploaded or downloaded.
        max_pixels: Most pixels of an image.
        url_seconds: Most seconds until an image has come from its address.
        seconds: Most seconds until the network has answered, waiting for others included.
        queue: Most requests that wait; more are told to come back.
        at_once: Requests that are worked on at the same time; the network runs for one.
        models: Most bytes of weights that are held. When a further model is asked for, those that
            were used least recently go.
        outputs: Most bytes of outputs of networks that are remembered, so that another threshold
            needs no second run.
        keep_seconds: How long the files of a request are kept.
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
