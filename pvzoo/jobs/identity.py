"""Which job an output folder belongs to; another one is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pvzoo
from pvzoo.errors import PvzooError, UsageError, short
from pvzoo.jobs.parts import write_json
from pvzoo.jobs.storage import Place
from pvzoo.tiles.choose import recorded

NAME = "_job.json"


def job_of(
    model: Mapping[str, Any], source: str, column: str | None, options: Mapping[str, Any]
) -> dict[str, Any]:
    """What decides the rows of a job.

    Args:
        model: What `Worker.about` says.
        source: The source, as text.
        column: Of a table.
        options: Of `Model.stream`: those of the task, and ``tiles``.

    Raises:
        UsageError: An option cannot be written down as JSON.
    """
    if options.get("tiles") is not None:
        options = {**options, "tiles": recorded(options["tiles"])}
    try:
        plain = json.loads(json.dumps(dict(options), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"An option cannot be kept in the output ({error}).",
            "Pass numbers, texts, and lists of them.",
        ) from error
    return {
        "model": dict(model),
        "source": source,
        "column": column,
        "options": plain,
        "pvzoo": pvzoo.__version__,
    }


def settle(out: Place, job: Mapping[str, Any]) -> bool:
    """Make an output folder that of a job; returns whether it was already.

    Raises:
        PvzooError: The folder belongs to another job, or has files of something else.
    """
    try:
        before = json.loads((out / NAME).read())
    except FileNotFoundError:
        if others := [name for name, _ in out.entries() if not name.startswith(("_", "."))]:
            raise PvzooError(
                f"{out} has other files, such as {others[0]}.", "Choose a new folder."
            ) from None
        write_json(out, NAME, job)
        return False
    except ValueError as error:
        raise PvzooError(f"{out / NAME} is damaged ({error}).", "Choose a new folder.") from error
    for what, was, now in _differences(before, job):
        raise PvzooError(
            f"{out} was begun with {what} {short(was)}, not {short(now)}.",
            "Choose a new folder, or start the same command as before.",
        )
    return True


def source_before(out: Place) -> str | None:
    """The source of the job that an output folder belongs to; None if there is none yet."""
    try:
        source = json.loads((out / NAME).read())["source"]
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        return None  # `settle` says what is wrong
    return source if isinstance(source, str) else None


def _differences(before: Any, now: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """(what, value before, value now) of all that is not the same."""
    found = []
    for key, value in now.items():
        was = before.get(key) if isinstance(before, dict) else None
        if was == value:
            continue
        if isinstance(value, dict) and isinstance(was, dict):
            of = "the option " if key == "options" else "the model's " if key == "model" else ""
            for inner in sorted({*value, *was}):
                if was.get(inner) != value.get(inner):
                    what = "the model" if inner == "model" else of + inner
                    found.append((what, was.get(inner), value.get(inner)))
        else:
            found.append((f"the version {key}" if key == "pvzoo" else f"the {key}", was, value))
    return sorted(found, key=lambda difference: difference[0] != "the model")
