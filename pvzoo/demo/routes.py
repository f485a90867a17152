"""Serve only the routes of Gradio that the page of a demo, its clients and agents need.

Every version of Gradio adds routes: a video converter, a proxy for any public address, links to a
saved state. They accept files and addresses from anybody, and use machine time.
"""

from __future__ import annotations

from typing import Any

_NEEDED = frozenset(
    {
        *("api", "call", "cancel", "queue", "reset", "run", "mcp"),
        *("upload", "upload_progress"),
        *("app_id", "info", "openapi.json", "startup-events", "heartbeat", "theme.css"),
        *("login_check", "token", "user"),
    }
)
_API = "/gradio_api/"


class OnlyNeeded:
    """ASGI middleware that answers 404 to the routes below ``/gradio_api/`` that are not needed."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:  # noqa: D102
        if scope["type"] == "http" and not _is_needed(scope["path"]):
            headers = [(b"content-type", b"text/plain"), (b"content-length", b"9")]
            await send({"type": "http.response.start", "status": 404, "headers": headers})
            await send({"type": "http.response.body", "body": b"Not Found"})
            return
        await self._app(scope, receive, send)


def _is_needed(path: str) -> bool:
    _, below, rest = path.partition(_API)
    if not below:
        return True
    if rest.startswith("file="):  # Gradio would fetch an address, whatever its size
        return "://" not in rest
    return rest.partition("/")[0] in _NEEDED
