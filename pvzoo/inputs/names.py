"""Names of inputs: as paths, and in messages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pvzoo.errors import ImageError

Refuse = Callable[[str, str], ImageError]
"""Makes an error that names the input, from (what is wrong, what to do)."""


def expand(path: Path) -> Path:
    """A path with ``~`` replaced by the user's home folder."""
    try:
        return path.expanduser()
    except RuntimeError:  # "~lock.jpg" is a file's name, not the home of a user called lock.jpg
        return path


def readable(name: Any) -> str:
    """A name that can be printed and written as UTF-8, even if the name of the file cannot."""
    return str(name).encode("utf-8", "replace").decode()


def shown(name: str) -> str:
    """A name for messages; a long name is shortened to its two ends."""
    name = readable(name).replace("\0", "\\0")
    return name if len(name) <= 300 else f"{name[:200]}...{name[-80:]}"


def no_path(text: str) -> tuple[str, str]:
    """The message and hint for a text that cannot be a path."""
    if "\0" in text[:4096]:
        return "has a null character in it.", "Check where the name comes from."
    return (
        f"is a text of {len(text):,} characters, not a path or URL.",
        "If it is base64, pass base64.b64decode(text).",
    )
