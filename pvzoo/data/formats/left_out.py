"""Count the labels that a format cannot store while it is written."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pvzoo.errors import PvzooWarning


class Lost:
    """Counts labels that a format cannot store, by kind."""

    def __init__(self, title: str) -> None:
        """`title` is the name of the format in the warning."""
        self._title = title
        self._counts: Counter[str] = Counter()

    def count(self, what: str) -> None:
        """Count one more label of a kind."""
        self._counts[what] += 1

    def is_flagged(self, objects: Mapping[str, Sequence[Any]], i: int) -> bool:
        """Whether an object is a crowd or an object to ignore; if so, count it."""
        if objects["iscrowd"][i]:
            self.count("crowds")
        elif objects["ignore"][i]:
            self.count("objects to ignore")
        return bool(objects["iscrowd"][i] or objects["ignore"][i])

    def has_no_class(self, label: int, names: Sequence[str]) -> bool:
        """Whether a label is not an index of `names`; if so, count it."""
        if 0 <= label < len(names):
            return False
        self.count("labels without a class")
        return True

    def warn(self) -> None:
        """Warn of the labels that were left out, if there are any."""
        if self._counts:
            counts = ", ".join(f"{count} {what}" for what, count in sorted(self._counts.items()))
            warnings.warn(
                f"Left out, because {self._title} cannot store them: {counts}.",
                PvzooWarning,
                stacklevel=4,
            )
