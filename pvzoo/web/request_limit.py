"""Limit the size of request bodies, which neither Gradio nor uvicorn does."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any


class BodyLimit:
    """ASGI middleware that answers 413 to requests with a body of more than `limit` bytes.

    A request that states its length is refused before it is read; any other is cut off at the
    limit.
    """

    def __init__(self, app: Any, *, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:  # noqa: D102
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if length.isdigit() and int(length) > self._limit:
            await self._refuse(send)
            return
        size, started, refused = 0, False, False

        async def counted() -> dict[str, Any]:
            nonlocal size, refused
            message: dict[str, Any] = await receive()
            size += len(message.get("body", b""))
            if size > self._limit:
                refused = True
                if not started:
                    await self._refuse(send)
                return {"type": "http.disconnect"}
            return message

        async def watched(message: dict[str, Any]) -> None:
            nonlocal started
            if not refused:
                started = True
                await send(message)

        try:
            await self._app(scope, counted, watched)
        except Exception:
            if not refused:
                raise

    async def _refuse(self, send: Any) -> None:
        message = f"The request is larger than the {self._limit:,} bytes allowed. Make it smaller."
        text = json.dumps({"error": message}).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(text)).encode()),
            (b"connection", b"close"),  # the rest of the body is not read
        ]
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body", "body": text})


class ReadToEnd:
    """ASGI middleware that reads what is left of a request before it is answered.

    A server that refuses a request early and closes the connection while the client is still
    sending makes the client's system drop the answer. At most `limit` bytes are read, for at most
    five seconds.
    """

    def __init__(self, app: Any, *, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:  # noqa: D102
        # such a client sends the body only after it was asked to
        waits = any(name == b"expect" for name, _ in scope.get("headers", ()))
        if scope["type"] != "http" or waits:
            await self._app(scope, receive, send)
            return
        size, ended = 0, False

        async def counted() -> dict[str, Any]:
            nonlocal size, ended
            message: dict[str, Any] = await receive()
            size += len(message.get("body", b""))
            ended = ended or not message.get("more_body", False)
            return message

        async def late(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                with suppress(TimeoutError):
                    async with asyncio.timeout(5):
                        while not ended and size < self._limit:
                            await counted()
            await send(message)

        await self._app(scope, counted, late)
