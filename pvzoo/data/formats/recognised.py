"""List the installed formats, and recognise the format of a file or folder."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pvzoo.data.files import Split, entries, folders, listing, split_name
from pvzoo.data.formats.base import DataSource, Format
from pvzoo.data.formats.folders.read import wrapped
from pvzoo.data.schema import labelled_tasks
from pvzoo.errors import DataError, PluginError, PvzooWarning, short
from pvzoo.plugins import registry
from pvzoo.plugins.calls import calling, fault_of
from pvzoo.tasks.base import Task

if TYPE_CHECKING:
    from datasets import Dataset


def formats() -> list[type[Format]]:
    """The formats of pvzoo and of plugins; formats that cannot be loaded are left out."""
    found = []
    for part in registry.parts("formats"):
        try:
            found.append(registry.load_part(part))
        except PluginError:  # `pvzoo.list_plugins` shows it
            continue
    return found


def splits(source: DataSource, task: str | None) -> list[Split]:
    """The splits of a file or folder, in the format of its contents.

    A format of a plugin that fails to look at it is left out, with a warning.

    Args:
        source: The source to read.
        task: The task to read it for, which decides between several formats; None for any task.

    Raises:
        DataError: The source is in no known format, or in several.
        PluginError: It is in no known format, but the format of a plugin failed to look at it.
    """
    known = _Known(formats())
    found = known.splits(source, task)
    for fault in known.faults:
        if not found:
            raise fault
        warnings.warn(f"{fault.what} This format was left out.", PvzooWarning, stacklevel=4)
    if not found:
        raise _in_no_format(source.path, known.formats)
    return found


@dataclass
class _Known:
    """The formats, and the errors of those that fail, each once."""

    formats: list[type[Format]]
    faults: list[PluginError] = field(default_factory=list)

    def splits(self, source: DataSource, task: str | None) -> list[Split]:
        """The splits of a source in the one format that it is in; none if it is in none."""
        found = self._marked(source)
        inner = folders(source.path)
        if not found and len(inner) == 1 and not split_name(inner[0].name):  # as in archives
            found = self._marked(DataSource(inner[0], source.area, source.reduce_labels))
        if len(found) > 1:  # COCO's own folder has instances beside panoptic labels
            found = {form: parts for form, parts in found.items() if task in form.reads} or found
        if len(found) > 1:
            raise DataError(
                f"{source.path} has labels in several formats: "
                f"{', '.join(form.title for form in found)}.",
                "Pass the task, or point at the labels you mean: the JSON, the data.yaml or the "
                "Annotations folder.",
            )
        if found:
            return next(iter(found.values()))
        if within := wrapped(source.path):
            return self.splits(DataSource(within, source.area, source.reduce_labels), task)
        guesses = (self._asked(form, source) for form in list(self.formats) if form.guessed)
        return next((parts for parts in guesses if parts), [])

    def _marked(self, source: DataSource) -> dict[type[Format], list[Split]]:
        """The splits in each format that its files identify."""
        asked = {form: self._asked(form, source) for form in self.formats if not form.guessed}
        return {form: parts for form, parts in asked.items() if parts}

    def _asked(self, form: type[Format], source: DataSource) -> list[Split]:
        """The splits in one format; none if the code of its plugin fails."""
        try:
            with calling(form, "splits"):
                found = form.splits(source)
            if not isinstance(found, list) or not all(isinstance(part, Split) for part in found):
                raise fault_of(form, "splits", f"returned {short(found)}, not a list of Split")
        except PluginError as fault:
            self.faults.append(fault)
            self.formats = [one for one in self.formats if one is not form]
            return []
        return [guarded(form, part) for part in found]


def guarded(owner: type[Format] | Task, part: Split) -> Split:
    """The split with a reader whose unexpected errors name the format or task it comes from."""

    def read(task: str | None) -> Dataset:
        with calling(owner, "reader", lets=(OSError,)):
            return part.read(task)

    return replace(part, read=read)


def _in_no_format(path: Path, known: list[type[Format]]) -> DataError:
    what = f"{path} is not in a format that pvzoo reads"
    if path.is_dir():
        inside = [p.name + "/" * p.is_dir() for p in entries(path)]
        what += f"; it holds {listing(inside, 8)}" if inside else "; it is empty"
    looked = [f"{form.title} ({form.layout})" for form in known]
    hint = f"Use one of: {', '.join(looked)}, or a folder that datasets writes."
    if own := [t.id for t in labelled_tasks() if type(t).find_files is not Task.find_files]:
        hint += (
            f" The files of {' and '.join(own)} are found only if you name the task: task=, or "
            "--task on the command line."
        )
    for dist, fault in registry.failures("formats").items():
        hint += f" The formats of the plugin {dist} were not tried: {fault.what}"
    return DataError(f"{what}.", hint)
