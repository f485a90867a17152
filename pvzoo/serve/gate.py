"""Let requests in: only with the token, if there is one, and none after the server is stopping."""

from __future__ import annotations

import hmac
import json
from typing import Any

from pvzoo.serve.limits import Limits

OPEN = frozenset({"/health/live", "/health/ready", "/v2/health/live", "/v2/health/ready"})
"""Routes that need no token: those that the system asks which runs the server."""


class Gate:
    """ASGI middleware that checks the token, and closes connections while the server stops.

    Args:
        app: The application.
        limits: Those of the application.
        token: What requests must have in their header: ``Authorization: Bearer TOKEN``. None lets
            all requests in.

    Attributes:
        limits: As the argument.
        stopping: Whether the server stops. Requests are still answered, and each answer tells the
            client to use a new connection, which then goes to another server.
    """

    def __init__(self, app: Any, limits: Limits, *, token: str | None = None) -> None:
        self._app = app
        self.limits = limits
        self._wanted = f"Bearer {token}".encode() if token else None
        self.stopping = False

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:  # noqa: D102
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def closing(message: dict[str, Any]) -> None:
            if self.stopping and message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
            await send(message)

        if self._wanted is not None and scope["path"] not in OPEN:
            given = dict(scope["headers"]).get(b"authorization", b"")
            if not hmac.compare_digest(given, self._wanted):
                await _refuse(closing)
                return
        await self._app(scope, receive, closing)


async def _refuse(send: Any) -> None:
    text = json.dumps(
        {"error": "The token is missing or wrong. Send the header Authorization: Bearer TOKEN."}
    ).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(text)).encode()),
        (b"www-authenticate", b"Bearer"),
        (b"connection", b"close"),  # the body is not read
    ]
    await send({"type": "http.response.start", "status": 401, "headers": headers})
    await send({"type": "http.response.body", "body": text})
