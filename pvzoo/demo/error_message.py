"""Report the errors of a demo: a sentence for the user, a line in the log of the server.

Only errors that are the server's own fault have a traceback in the log. A client can send anything,
and must not be able to fill the log.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gradio as gr

from pvzoo.errors import PvzooError, short

_log = logging.getLogger("pvzoo.demo")


def message_of(error: BaseException) -> str:
    """The sentence for the user; errors that are not the user's go only into the server's log."""
    if isinstance(error, PvzooError):
        return str(error)
    _log.error("a request failed", exc_info=error)
    return "Something went wrong on the server. Its log has the details."


@contextmanager
def sentence() -> Iterator[None]:
    """Turn every error into a `gr.Error`, which the page shows."""
    try:
        yield
    except gr.Error:
        raise
    except Exception as error:
        raise gr.Error(message_of(error), print_exception=False) from None


@contextmanager
def value_error() -> Iterator[None]:
    """Turn every error into a `gr.Error` about the values that a client sent."""
    try:
        yield
    except gr.Error as error:
        error.print_exception = False
        raise
    except Exception as error:
        _log_line("a request was refused", error)
        raise gr.Error(
            "The request has too few values, or a value of the wrong kind. "
            '"Use via API" at the end of the page lists the values.',
            print_exception=False,
        ) from None


class OneLine:
    """ASGI middleware that logs an error of Gradio's routes in one line, and answers 400.

    They raise errors for sessions, functions and events that a client made up. A lack of disk or
    memory is the server's own fault, so that error is raised as it is.
    """

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:  # noqa: D102
        started = False

        async def watched(message: dict[str, Any]) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            if scope["type"] != "http" or isinstance(error, OSError | MemoryError):
                raise
            _log_line(f"a request to {short(scope['path'])} failed", error)
            if not started:
                headers = [(b"content-type", b"text/plain"), (b"content-length", b"11")]
                await send({"type": "http.response.start", "status": 400, "headers": headers})
                await send({"type": "http.response.body", "body": b"Bad Request"})
            else:
                await send({"type": "http.response.body", "body": b""})


def _log_line(what: str, error: Exception) -> None:
    cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
    _log.warning("%s: %s (%s)", what, type(cause).__name__, short(str(cause), 200))
    _log.debug("its traceback", exc_info=error)
