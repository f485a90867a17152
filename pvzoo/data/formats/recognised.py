"""List the installed formats, and recognise the format of a file or folder."""

from __future__ import annotations

from pathlib import Path

from pvzoo.data.files import Split, entries, folders, listing, split_name
from pvzoo.data.formats.base import DataSource, Format
from pvzoo.data.formats.folders.read import wrapped
from pvzoo.errors import DataError, PluginError
from pvzoo.plugins import registry


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

    Args:
        source: The source to read.
        task: The task to read it for, which decides between several formats; None for any task.

    Raises:
        DataError: The source is in no known format, or in several.
    """
    known = formats()
    found = _marked(source, known)
    inner = folders(source.path)
    if not found and len(inner) == 1 and not split_name(inner[0].name):  # as in archives
        found = _marked(DataSource(inner[0], source.area, source.reduce_labels), known)
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
        return splits(DataSource(within, source.area, source.reduce_labels), task)
    for form in known:
        if form.guessed and (parts := form.splits(source)):
            return parts
    raise _in_no_format(source.path, known)


def _marked(source: DataSource, known: list[type[Format]]) -> dict[type[Format], list[Split]]:
    """The splits in each format that its files identify."""
    return {form: parts for form in known if not form.guessed and (parts := form.splits(source))}


def _in_no_format(path: Path, known: list[type[Format]]) -> DataError:
    what = f"{path} is not in a format that pvzoo reads"
    if path.is_dir():
        inside = [p.name + "/" * p.is_dir() for p in entries(path)]
        what += f"; it holds {listing(inside, 8)}" if inside else "; it is empty"
    looked = [f"{form.title} ({form.layout})" for form in known]
    return DataError(
        f"{what}.", f"Use one of: {', '.join(looked)}, or a folder that datasets writes."
    )
