"""The errors that a user can cause, and the only warning class.

Each message tells what was wrong with which input, and what to do. The latter is also in ``hint``,
so that it can be shown separately. Catch `PvzooError` to catch all errors.
"""

from __future__ import annotations

import difflib
import re
import sys
import traceback
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

E = TypeVar("E", bound=BaseException)

_LONG_WORD = re.compile(r"\S{1000,}")


class PvzooError(Exception):
    """What went wrong (`what`) and what to do (`hint`), at most 2,000 characters each."""

    def __init__(self, what: str, hint: str = "") -> None:
        what, hint = _readable(what), _readable(hint)
        super().__init__(f"{what} {hint}".strip())
        self.what = what
        self.hint = hint


class ImageError(PvzooError):
    """An input is not an image that pvzoo can read, or a network fails on it.

    ``source`` is the name of the input; ``index`` is its index in a list or stream.
    """

    def __init__(self, what: str, hint: str = "", *, source: str = "", index: int = 0) -> None:
        super().__init__(what, hint)
        self.source = source
        self.index = index


class UsageError(PvzooError, ValueError):
    """An argument that does not exist or has an impossible value."""


class RowError(UsageError, IndexError):
    """A row does not exist, or an index cannot choose rows."""


class CatalogError(PvzooError):
    """A catalogue file does not follow the schema; the message names the file and the key."""


class ModelNotFoundError(PvzooError, LookupError):
    """There is no card, folder or Hub repo with this name."""


class NameClashError(PvzooError):
    """Two plugins use the same name; the message names both plugins."""


class PluginError(PvzooError):
    """A plugin could not be loaded; the message has the plugin's own error."""


class DisabledError(PluginError):
    """The environment variable ``PVZOO_DISABLE_PLUGINS`` turned this plugin off."""


class MissingExtraError(PvzooError, ImportError):
    """A package that only a part of pvzoo needs is not installed; the message names the extra."""


class WeightsError(PvzooError):
    """Weights are missing, damaged or do not fit the network."""


class HubError(PvzooError):
    """The Hub cannot be reached, or refuses a request."""


class DeviceError(PvzooError):
    """A device does not exist or has too little memory."""


class UnsupportedModelError(PvzooError):
    """No adapter can use a checkpoint for the task."""


class DataError(PvzooError):
    """Labelled data cannot be read or used; the message names the file or row."""


class TrainingError(PvzooError):
    """A training run cannot continue or be resumed; the message names the step."""


class ExportError(PvzooError):
    """A network cannot be exported, or its export gives other results than the original.

    ``stage`` is where it failed: "preprocessing", "graph" or "postprocessing"; "" if the comparison
    had not begun.
    """

    def __init__(self, what: str, hint: str = "", *, stage: str = "") -> None:
        super().__init__(what, hint)
        self.stage = stage


class PvzooWarning(UserWarning):
    """Something worth knowing that did not stop the call."""


def _readable(text: str) -> str:
    """Shorten a message: names in damaged files may have any length."""
    text = _LONG_WORD.sub(lambda word: f"{word[0][:250]}...{word[0][-250:]}", text)
    return text if len(text) <= 2000 else f"{text[:1000]} ... {text[-1000:]}"


def short(value: Any, most: int = 80) -> str:
    """A value for a message: its `repr` in one line, cut if it is long."""
    text = " ".join(repr(value).split())
    return text if len(text) <= most else f"{text[: most - 3]}..."


def error_message(error: BaseException, most: int = 500) -> str:
    """The message of another library's error in one line, cut if it is long."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= most else f"{text[: most - 3]}..."


def lacks_memory(error: BaseException | None) -> bool:
    """Whether an error, or its cause, is a lack of memory."""
    while error is not None:
        # CPUs and Metal have no error class for it
        if isinstance(error, MemoryError) or (
            isinstance(error, RuntimeError)
            and any(words in str(error) for words in ("out of memory", "allocate memory"))
        ):
            return True
        error = error.__cause__
    return False


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Turn all errors that libraries raise for damaged files into a `PvzooError`."""
    try:
        yield
    except Exception as error:
        if lacks_memory(error):
            raise DeviceError(
                f"There is too little memory to load {name}.",
                "Use dtype='float16' to halve the memory, device_map='auto' to use several "
                "devices, or choose a smaller model.",
            ) from error
        if isinstance(error, PvzooError | ImportError):
            raise
        raise WeightsError(
            f"{name} cannot be loaded ({type(error).__name__}: {error_message(error)}).",
            "Its config or weights are damaged, or do not belong together; download both again.",
        ) from error


def nearest(name: str, known: Iterable[str], *, count: int = 3) -> str:
    """``Did you mean a, b?`` for a mistyped name, or an empty string."""
    close = difflib.get_close_matches(name, list(known), n=count, cutoff=0.55)
    return f"Did you mean {', '.join(map(repr, close))}?" if close else ""


def nearest_beside(path: Path, *, folders_only: bool = False) -> str:
    """``Did you mean a, b?`` for a mistyped path, from the files beside it, or an empty string."""
    try:
        there = list(islice(path.parent.iterdir(), _MOST_BESIDE))
        names = [p.name for p in there if not folders_only or p.is_dir()]
    except OSError:  # its folder does not exist either
        return ""
    close = difflib.get_close_matches(path.name, names, n=3, cutoff=0.55)
    found = ", ".join(repr(str(path.parent / name)) for name in close)
    return f"Did you mean {found}?" if found else ""


_MOST_BESIDE = 1000
"""How many files of a folder are searched for a similar name."""


def let_go(error: E) -> E:
    """The error without references to large objects.

    A traceback keeps alive the variables of all functions that were running, such as decoded
    pixels. Tracebacks, also those of causes, are replaced by notes that name the lines.
    """
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        if one.__traceback__ is not None:  # an error that was only made has none
            lines = "".join(traceback.format_tb(one.__traceback__)).rstrip()
            one.add_note(f"Traceback (most recent call last):\n{lines}")
            one.__traceback__ = None
        waiting += [one.__cause__, one.__context__]
    return error


def warn_of_image(message: str, stacklevel: int) -> None:
    """`warnings.warn` for one image of many, without a record in memory.

    Python otherwise records every message that it has shown, so as to show it only once.
    """
    frame = sys._getframe(1)
    for _ in range(stacklevel - 1):
        frame = frame.f_back or frame
    file, line = frame.f_code.co_filename, frame.f_lineno
    warnings.warn_explicit(message, PvzooWarning, file, line, registry={})
