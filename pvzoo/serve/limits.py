"""How much a server accepts from its clients, and how it shares the machine."""

from __future__ import annotations

from dataclasses import dataclass

from pvzoo.web import limits


@dataclass(frozen=True)
class Limits(limits.Limits):
    """The limits of a server. The defaults suit a machine of two cores and 4 GB.

    Attributes:
        max_request: Most bytes of a request, with all its images.
        max_images: Most images in a request.
        max_prompts: Most texts, points or other values in the prompts of a request.
        max_tiles: Most tiles of the images of a request together.
        seconds: Most seconds from the first byte of a request to its answer.
        queue: Most images that wait; further ones are answered 503.
        waiting_bytes: Most bytes of all requests that are being answered.
        batch_size: Most images in a batch.
        batch_wait: Seconds that an image waits for others to share its batch.
        at_once: Batches that are processed at the same time: one is decoded while the network
            runs for another.
        allow_urls: Whether an image may be named by its public web address.
    """

    max_request: int = 32 * 2**20
    max_images: int = 16
    max_prompts: int = 100
    max_tiles: int = 100
    seconds: float = 30.0
    queue: int = 128
    waiting_bytes: int = 256 * 2**20
    batch_size: int = 8
    batch_wait: float = 0.005
    at_once: int = 2
    allow_urls: bool = False
