"""What a format has no place for, counted while it is written."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pvzoo.errors import PvzooWarning


class Lost:
    """The labels that a format cannot say, by what they are."""

    def __init__(self, title: str) -> None:
        """`title` is what the warning calls the format."""
        self._title = title
        self._counts: Counter[str] = Counter()

    def count(self, what: str) -> None:
        """One more is left out."""
        self._counts[what] += 1

    def is_flagged(self, objects: Mapping[str, Sequence[Any]], i: int) -> bool:
        """Whether an object is a crowd or to be ignored; then it is counted."""
        if objects["iscrowd"][i]:
            self.count("crowds")
        elif objects["ignore"][i]:
            self.count("objects to ignore")
        return bool(objects["iscrowd"][i] or objects["ignore"][i])

    def has_no_class(self, label: int, names: Sequence[str]) -> bool:
        """Whether a label is no place in `names`; then it is counted."""
        if 0 <= label < len(names):
            return False
        self.count("labels that are no class")
        return True

    def warn(self) -> None:
        """Say what was left out, if anything was."""
        if self._counts:
            said = ", ".join(f"{count} {what}" for what, count in sorted(self._counts.items()))
            warnings.warn(
                f"Left out, as {self._title} cannot say them: {said}.", PvzooWarning, stacklevel=4
            )
