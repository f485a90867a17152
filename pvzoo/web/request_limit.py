"""Limit the size of request bodies, which neither Gradio nor uvicorn does."""

from __future__ import annotations

import json
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
        message = f"The request is larger than {self._limit:,} bytes. Make its images smaller."
        text = json.dumps({"error": message}).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(text)).encode()),
            (b"connection", b"close"),  # the rest of the body is not read
        ]
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body", "body": text})
