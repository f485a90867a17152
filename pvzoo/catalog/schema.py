"""Check the content of a catalogue file: the keys of `docs/catalog.md`, each with its check."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from pvzoo.errors import CatalogError, nearest, short


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("must be a text that is not empty")
    return value


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise ValueError("must be a whole number above 0")
    return value


def _number(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise ValueError("must be a finite number")
    return float(value)


def _model_name(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", value):
        raise ValueError("must be lower-case letters, digits, '-' and '.', such as 'my-model-50'")
    return value


def _names(value: Any) -> list[str]:
    return [_model_name(v) for v in _list(value)]


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("must be a list")
    return value


def _table(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("must be a table")
    return value


def _texts(value: Any) -> dict[str, str]:
    table = _table(value)
    if not all(isinstance(v, str) for v in table.values()):
        raise ValueError("must be a table of texts")
    return table


def _package(value: Any) -> str:
    if not isinstance(value, str) or not value.isidentifier():  # finding a.b imports a
        raise ValueError("must be the import name of a top-level package")
    return value


def _inner_path(value: Any) -> str:
    path = PurePosixPath(_text(value))
    if path.is_absolute() or ".." in path.parts or "\\" in value or ":" in value:
        raise ValueError("must be a path inside the package, with '/' and without '..'")
    return str(path)


def _sha256(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9a-f]{64}", value):
        raise ValueError("must be 64 lower-case hexadecimal digits")
    return value


def _repo_id(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[\w.-]+/[\w.-]+", value):
        raise ValueError("must be a Hub repo id, 'owner/name'")
    return value


def _rename(value: Any) -> list[list[str]]:
    rules = _list(value)
    for rule in rules:
        if not (
            isinstance(rule, list) and len(rule) == 2 and all(isinstance(r, str) for r in rule)
        ):
            raise ValueError("must be a list of [pattern, replacement] pairs")
        try:
            re.compile(rule[0])
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(
                f"has the pattern {short(rule[0])}, which does not compile: {error}"
            ) from None
    return rules


Check = Callable[[Any], Any]

_METRIC: dict[str, Check] = {
    "name": _text,
    "value": _number,
    "dataset": _text,
    "source": _text,
}
_SOURCE: dict[str, Check] = {
    "hub": _repo_id,
    "revision": _text,
    "package": _package,
    "path": _text,
    "file": _inner_path,
    "sha256": _sha256,
    "rename": _rename,
}
_CARD: dict[str, Check] = {
    "name": _model_name,
    "task": _text,
    "adapter": _text,
    "source": _table,
    "aliases": _names,
    "family": _text,
    "params": _count,
    "license": _text,
    "license_upstream": _text,
    "license_note": _text,
    "dataset": _text,
    "input_size": _count,
    "metrics": _list,
    "summary": _text,
    "facts": _text,
    "stuff": lambda value: [_text(v) for v in _list(value)],
    "config": _table,
}
_FILE: dict[str, Check] = {"contract": _count, "defaults": _texts, "models": _list}


def _checked(
    table: Any, schema: dict[str, Check], required: Iterable[str], where: str
) -> dict[str, Any]:
    """The values of a table, checked; `where` is the beginning of every message."""
    if not isinstance(table, dict):
        raise CatalogError(f"{where} must be a table, not {short(table)}.")
    for key in table:
        if key not in schema:
            raise CatalogError(
                f"{where} has the unknown key {short(key)}.",
                nearest(key, schema) or f"Known keys: {', '.join(schema)}.",
            )
    for key in required:
        if key not in table:
            raise CatalogError(f"{where} does not have the key {key!r}.", "Add it.")
    values = {}
    for key, value in table.items():
        try:
            values[key] = schema[key](value)
        except ValueError as error:
            raise CatalogError(f"{where}: the key {key!r} {error}; it is {short(value)}.") from None
    return values


def _check_source(table: Any, where: str) -> None:
    values = _checked(table, _SOURCE, (), where)
    kinds = [k for k in ("hub", "package", "path") if k in values]
    if len(kinds) != 1:
        raise CatalogError(
            f"{where} must have exactly one of the keys 'hub', 'package' and 'path'."
        )
    if kinds == ["package"] and not {"file", "sha256"} <= set(values):
        raise CatalogError(f"{where} needs 'file' and 'sha256' beside 'package'.")


def _check_card(table: Any, number: int, file: Path) -> None:
    name = table.get("name", f"number {number}") if isinstance(table, dict) else f"number {number}"
    where = f"{file}: model {short(name)}"
    values = _checked(table, _CARD, ("name", "task", "adapter", "source"), where)
    _check_source(values["source"], f"{where}, source")
    for i, metric in enumerate(values.get("metrics", ()), 1):
        _checked(metric, _METRIC, ("name", "value"), f"{where}, metric {i}")


def check_catalog(tables: dict[str, Any], file: Path, *, foreign_defaults: bool) -> None:
    """Check the content of a catalogue file.

    Args:
        tables: The content of the file.
        file: Where it is, for messages.
        foreign_defaults: Whether ``[defaults]`` may name models that are not in the file.

    Raises:
        CatalogError: The content breaks the schema; the message names the file, model and key.
    """
    values = _checked(tables, _FILE, (), str(file))
    taken: dict[str, str] = {}
    for number, table in enumerate(values.get("models", ()), 1):
        _check_card(table, number, file)
        for name in (table["name"], *table.get("aliases", ())):
            if name in taken:
                raise CatalogError(
                    f"{file}: {short(name)} names both {short(taken[name])} and "
                    f"{short(table['name'])}."
                )
            taken[name] = table["name"]
    for task, model in values.get("defaults", {}).items():
        if model not in taken and not foreign_defaults:
            raise CatalogError(
                f"{file}: the default for {short(task)} is {short(model)}, which is not a model in "
                "this file."
            )
