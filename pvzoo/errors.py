"""Every error a user can cause, and the one warning class.

Each message says what was wrong, with which input, and what to do next; the last part is also in
``hint`` so that a screen can set it apart. Catch `PvzooError` to catch them all.
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
    """What went wrong (`what`) and the way out (`hint`), 2,000 characters of each at most."""

    def __init__(self, what: str, hint: str = "") -> None:
        what, hint = _readable(what), _readable(hint)
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


class RowError(UsageError, IndexError):
    """A row that is not there, or something that chooses no rows."""


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


class MissingExtraError(PvzooError, ImportError):
    """A package that only a part of pvzoo needs is not installed; the message has the extra."""


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


class ExportError(PvzooError):
    """A network that cannot be exported, or whose export answers otherwise than the original.

    ``stage`` is where: "preprocessing", "graph" or "postprocessing"; "" if it was not begun.
    """

    def __init__(self, what: str, hint: str = "", *, stage: str = "") -> None:
        super().__init__(what, hint)
        self.stage = stage


class PvzooWarning(UserWarning):
    """Something worth knowing that did not stop the call."""


def _readable(text: str) -> str:
    """A message without what no one reads: a damaged file may have names of any length."""
    text = _LONG_WORD.sub(lambda word: f"{word[0][:250]}...{word[0][-250:]}", text)
    return text if len(text) <= 2000 else f"{text[:1000]} ... {text[-1000:]}"


def short(value: Any, most: int = 80) -> str:
    """A value for a message: its `repr` in one line, cut if it is long."""
    text = " ".join(repr(value).split())
    return text if len(text) <= most else f"{text[: most - 3]}..."


def error_message(error: BaseException, most: int = 500) -> str:
    """What an error of another library says, in one line, for a message; cut if it is long."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= most else f"{text[: most - 3]}..."


def lacks_memory(error: BaseException | None) -> bool:
    """Whether an error, or what caused it, is that there was too little memory."""
    while error is not None:
        # CPUs and Metal have no class of error for it
        if isinstance(error, MemoryError) or (
            isinstance(error, RuntimeError)
            and any(said in str(error) for said in ("out of memory", "allocate memory"))
        ):
            return True
        error = error.__cause__
    return False


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Within it whatever damaged files make libraries raise is a `PvzooError`."""
    try:
        yield
    except Exception as error:
        if lacks_memory(error):
            raise DeviceError(
                f"There is too little memory to load {name}.",
                "Use dtype='float16' to halve it, device_map='auto' to spread it, or choose a "
                "smaller model.",
            ) from error
        if isinstance(error, PvzooError | ImportError):
            raise
        raise WeightsError(
            f"{name} cannot be loaded ({type(error).__name__}: {error_message(error)}).",
            "Its config or its weights are damaged, or do not belong together; fetch both again.",
        ) from error


def nearest(name: str, known: Iterable[str], *, count: int = 3) -> str:
    """``Did you mean a, b?`` for a mistyped name, or an empty string."""
    close = difflib.get_close_matches(name, list(known), n=count, cutoff=0.55)
    return f"Did you mean {', '.join(map(repr, close))}?" if close else ""


def nearest_beside(path: Path, *, folders_only: bool = False) -> str:
    """``Did you mean a, b?`` for a mistyped path, of what lies where it should lie; or nothing."""
    try:
        there = list(islice(path.parent.iterdir(), _MOST_BESIDE))
        names = [p.name for p in there if not folders_only or p.is_dir()]
    except OSError:  # there is no such place either
        return ""
    close = difflib.get_close_matches(path.name, names, n=3, cutoff=0.55)
    found = ", ".join(repr(str(path.parent / name)) for name in close)
    return f"Did you mean {found}?" if found else ""


_MOST_BESIDE = 1000
"""How much of a folder is looked through for a name that may have been meant."""


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
