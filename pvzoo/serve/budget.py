"""Read the bodies of requests within a number of bytes that all of them share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from starlette.requests import Request

from pvzoo.serve.errors import RefusedError, busy


class Budget:
    """The bytes of all requests that are being answered.

    Args:
        most: How many there may be.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._used = 0

    @contextmanager
    def share(self) -> Iterator[Share]:
        """The bytes of one request; they are free again when it is answered."""
        share = Share(self)
        try:
            yield share
        finally:
            self._used -= share.size

    def check(self, size: int) -> None:
        """Refuse `size` more bytes if there is no room for them.

        Raises:
            RefusedError: There is none (503).
        """
        if self._used + size > self._most:
            raise busy("The server is busy with large requests.", 1)

    def add(self, size: int) -> None:
        """Count `size` more bytes.

        Raises:
            RefusedError: There is no room for them (503).
        """
        self.check(size)
        self._used += size


class Share:
    """The bytes of one request.

    Attributes:
        size: How many there are.
    """

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.size = 0

    def add(self, size: int) -> None:
        """Count `size` more bytes.

        Raises:
            RefusedError: There is no room for them (503).
        """
        self._budget.add(size)
        self.size += size

    async def body(self, request: Request, most: int) -> bytes:
        """The body of a request.

        A byte counts when it is here, so that a client that only announces bytes keeps nobody out.

        Raises:
            RefusedError: It has more than `most` bytes (413), or there is no room (503).
            ClientDisconnect: The client went away.
        """
        announced = int(request.headers.get("content-length", 0))
        _check(announced, most)
        self._budget.check(announced)
        body = bytearray()  # one object for each chunk could be more than all their bytes
        async for chunk in request.stream():
            _check(self.size + len(chunk), most)
            self.add(len(chunk))
            body += chunk
        return bytes(body)


def _check(size: int, most: int) -> None:
    if size > most:
        raise RefusedError(413, f"The request has more than {most:,} bytes.", "Make it smaller.")
