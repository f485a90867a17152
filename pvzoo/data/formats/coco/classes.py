"""The classes of COCO files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any
from warnings import warn

from pvzoo.data.files import listing, whole
from pvzoo.data.formats.coco.file import LAYOUT, Labels
from pvzoo.errors import DataError, PvzooWarning


class CocoClasses:
    """The classes of all files of a source: the same, in the same order, for each split.

    If several classes have the same name, those without annotations are left out: Roboflow's files
    begin with a class named after the project.

    Attributes:
        ids: The category ids in the files, ascending.
        names: The class names, in the order of `ids`.
        entries: The declared categories, in the order of `ids`.
    """

    def __init__(self, sources: Collection[Labels]) -> None:
        declared: dict[int, dict[str, Any]] = {}
        used_in = {source.file: set(source.summary["used"]) for source in sources}
        for source in sources:
            for number_, entry in _categories(source).items():
                other = declared.setdefault(number_, entry)
                if other["name"] != entry["name"]:
                    raise DataError(
                        f"{source.file} calls the class {number_} {entry['name']!r}, but another "
                        f"split calls it {other['name']!r}.",
                        "Point at one of the files, or give each class the same id in all files.",
                    )
        for file, ids in used_in.items():
            if undeclared := sorted(ids - declared.keys()):
                warn(
                    f"{file}: the category_id {listing(undeclared)} is not among the categories; "
                    f"their ids are {listing(sorted(declared))}.",
                    PvzooWarning,
                    stacklevel=2,
                )
        used = set().union(*used_in.values())
        last = {entry["name"]: number_ for number_, entry in sorted(declared.items())}
        repeated = {n for n, c in Counter(e["name"] for e in declared.values()).items() if c > 1}
        for name in repeated:
            same = [i for i, entry in declared.items() if entry["name"] == name]
            keep = [i for i in same if i in used] or [last[name]]
            for number_ in set(same) - set(keep):
                del declared[number_]
        self.ids = sorted(declared)
        self.entries = [declared[i] for i in self.ids]
        self.names = [entry["name"] for entry in self.entries]
        self._indices = {number_: index for index, number_ in enumerate(self.ids)}

    def index(self, number_: int) -> int:
        """The index of a declared id in `names`; for any other id, a number out of range."""
        if number_ in self._indices:
            return self._indices[number_]
        low, high = min(self._indices), max(self._indices)
        if number_ < low:
            return max(number_ - low, -(2**63))
        beyond = len(self._indices) + (number_ - high - 1 if number_ > high else number_)
        return min(beyond, 2**63 - 1)


def _is_name(value: Any) -> bool:
    """Whether a value can be the name of a class: a text or a whole number, but not true."""
    return bool(value) if isinstance(value, str) else whole(value) is not None


def _categories(source: Labels) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for index, entry in enumerate(source.summary["categories"]):
        number_, name = whole(entry.get("id")), entry.get("name")
        if number_ is None or not _is_name(name):
            raise DataError(
                f"{source.file}: categories[{index}] has no name, or its id is not a whole number.",
                LAYOUT,
            )
        if number_ in found:
            raise DataError(
                f"{source.file}: two categories have the id {number_}.", "Renumber one of them."
            )
        found[number_] = {**entry, "name": str(name)}
    if not found:
        raise DataError(f"{source.file} has no categories.", LAYOUT)
    return found
