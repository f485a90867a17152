"""How large the images of clients may be, and how much memory models may take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The limits that the demo and the server have in common.

    Attributes:
        max_bytes: Most bytes of an image, uploaded or downloaded.
        max_pixels: Most pixels of an image.
        url_seconds: Most seconds for the downloads of a request together.
        models: Most bytes of weights in memory. If a further model needs room, the models that
            were used least recently are dropped.
    """

    max_bytes: int = 20 * 2**20
    max_pixels: int = 32_000_000
    url_seconds: float = 10.0
    models: int = 4 * 2**30
