"""Errors as answers: a status, and a sentence for the client.

Errors that are the server's own fault go to its log with a traceback, and the client reads only
that there is one.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from starlette.responses import JSONResponse

from pvzoo.errors import DeviceError, ImageError, ModelNotFoundError, PvzooError, UsageError
from pvzoo.web.client_images import TooLargeError

_log = logging.getLogger("pvzoo.serve")


class RefusedError(PvzooError):
    """A request that is answered with a status of its own."""

    def __init__(
        self, status: int, what: str, hint: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(what, hint)
        self.status = status
        self.headers = dict(headers or {})


def busy(what: str, seconds: int) -> RefusedError:
    """The answer 503, with the seconds after which a client should ask again."""
    hint = f"Try again in {seconds} s."
    return RefusedError(503, what, hint, {"Retry-After": str(seconds)})


def answer_of(error: Exception) -> JSONResponse:
    """The answer for an error: ``{"error": "..."}``."""
    headers: Mapping[str, str] = {}
    message = str(error)
    match error:
        case RefusedError():
            status, headers = error.status, error.headers
        case TooLargeError():
            status = 413
        case ModelNotFoundError():
            status = 404
        case ImageError() | UsageError():
            status = 422
        case RecursionError():
            status, message = 400, "The options are nested too deeply. Send simpler ones."
        case DeviceError():
            _log.error("a request failed: %s", error)
            status, message = 503, "The server has too little memory now. Try again later."
            headers = {"Retry-After": "10"}
        case _:
            _log.error("a request failed", exc_info=error)
            status = 500
            message = "Something went wrong on the server. Its log has the details."
    # JSON of a client can hold half a character, which is not UTF-8
    message = message.encode("utf-8", "replace").decode()
    return JSONResponse({"error": message}, status, dict(headers))
