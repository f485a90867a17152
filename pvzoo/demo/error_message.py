"""What goes wrong in a demo, as a sentence for the person in front of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import gradio as gr

from pvzoo.errors import PvzooError

_log = logging.getLogger("pvzoo.demo")


def said(error: BaseException) -> str:
    """The sentence; what is not the person's doing goes into the log of the server only."""
    if isinstance(error, PvzooError):
        return str(error)
    _log.error("a request failed", exc_info=error)
    return "Something went wrong on the server. Its log has the details."


@contextmanager
def sentence() -> Iterator[None]:
    """Turn every error into Gradio's own, which is shown."""
    try:
        yield
    except gr.Error:
        raise
    except Exception as error:
        raise gr.Error(said(error), print_exception=False) from None
