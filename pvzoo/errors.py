"""Every error a user can cause, and the one warning class.

Each message says what was wrong, with which input, and what to do next; the last part is also in
``hint`` so that a screen can set it apart. Catch `PvzooError` to catch them all.
"""

from __future__ import annotations

import difflib
import sys
import traceback
import warnings
from collections.abc import Iterable
from typing import TypeVar

E = TypeVar("E", bound=BaseException)


class PvzooError(Exception):
    """What went wrong (`what`) and the way out (`hint`)."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(f"{what} {hint}".strip())
        self.what = what
        self.hint = hint


class ImageError(PvzooError):
    """An input that is not an image pvzoo can read, or on which a network fails.

    ``source`` names the input as the caller gave it; ``index`` is its place in a list or stream.
    """

    def __init__(self, what: str, hint: str = "", *, source: str = "", index: int = 0) -> None:
        super().__init__(what, hint)
        self.source = source
        self.index = index


class UsageError(PvzooError, ValueError):
    """An argument that does not exist or has an impossible value."""


class CatalogError(PvzooError):
    """A catalogue file that breaks the schema; the message names the file and the key."""


class ModelNotFoundError(PvzooError, LookupError):
    """No card, folder or Hub repo of that name."""


class NameClashError(PvzooError):
    """Two plugins claim one name; the message names both."""


class PluginError(PvzooError):
    """A plugin that could not be loaded, with its own error."""


class DisabledError(PluginError):
    """A plugin that the environment variable ``PVZOO_DISABLE_PLUGINS`` turned off."""


class WeightsError(PvzooError):
    """Weights that are missing, damaged or do not fit the network."""


class HubError(PvzooError):
    """The Hub, or the way to it, said no."""


class DeviceError(PvzooError):
    """A device that is not here, or too small."""


class UnsupportedModelError(PvzooError):
    """A checkpoint that no adapter can drive for the task."""


class DataError(PvzooError):
    """Labelled data that cannot be read or used; the message names the file or row."""


class TrainingError(PvzooError):
    """A training run that cannot go on, or may not be resumed; the message says at which step."""


class PvzooWarning(UserWarning):
    """Something worth knowing that did not stop the call."""


def nearest(name: str, known: Iterable[str], *, count: int = 3) -> str:
    """``Did you mean a, b?`` for a mistyped name, or an empty string."""
    close = difflib.get_close_matches(name, list(known), n=count, cutoff=0.55)
    return f"Did you mean {', '.join(map(repr, close))}?" if close else ""


def let_go(error: E) -> E:
    """The error, once it holds nothing of what it was met with.

    A traceback keeps alive the variables of all functions that were running, such as the pixels
    decoded so far. Here tracebacks, those of causes too, become notes that name the lines.
    """
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None or one.__traceback__ is None:
            continue
        lines = "".join(traceback.format_tb(one.__traceback__)).rstrip()
        one.add_note(f"Traceback (most recent call last):\n{lines}")
        one.__traceback__ = None
        waiting += [one.__cause__, one.__context__]
    return error


def warn_of_image(message: str, stacklevel: int) -> None:
    """`warnings.warn` for one image of many, of which Python keeps nothing.

    It would keep every text that it has shown, to show it only once.
    """
    frame = sys._getframe(1)
    for _ in range(stacklevel - 1):
        frame = frame.f_back or frame
    file, line = frame.f_code.co_filename, frame.f_lineno
    warnings.warn_explicit(message, PvzooWarning, file, line, registry={})
