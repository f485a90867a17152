"""Describe a model that is loaded, or saved somewhere, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pvzoo.catalog.cards import in_millions
from pvzoo.thresholds.values import Thresholds

if TYPE_CHECKING:
    from pvzoo.model import Model


def lines(model: Model) -> list[tuple[str, str]]:
    """(heading, text) lines: the task and the device, then the card, or what else is known."""
    precision = f", in {str(model.dtype).removeprefix('torch.')}" if model.dtype else ""
    found = [
        ("name", model.name),
        ("task", model.task),
        ("classes", _classes(model.labels)),
        ("runs on", f"{model.device}{precision}"),
    ]
    if model.thresholds is not None:
        found += model.thresholds.lines
    if model.card is not None:
        return found + [line for line in model.card.lines if line[0] not in ("name", "task")]
    if model.network is not None:
        count = sum(p.numel() for p in model.network.module.parameters())
        found.append(("size", f"{in_millions(count)} parameters"))
    return [*found, ("licence", "unknown")]


def saved(name: str) -> list[tuple[str, str]]:
    """(heading, text) of a folder or a Hub repo; its weights are neither fetched nor read.

    Args:
        name: As `pvzoo.load` takes it.

    Raises:
        HubError: The Hub cannot be reached, or refuses.
        ModelNotFoundError: There is no such folder, repo or card.
        WeightsError: Its files are damaged.
    """
    from pvzoo.catalog.resolve import resolve
    from pvzoo.export import about as export
    from pvzoo.export import manifest
    from pvzoo.hub import download
    from pvzoo.hub.config_schema import check_config

    _, source, config = resolve(name, None)
    found = download.find(source, name, config, trust_remote_code=False)
    if found.export is not None:
        folder = found.export()
        told = manifest.read(folder, name).thresholds
        return [*export.lines(folder, name), *_threshold_lines(told, name)]
    check_config(name, found.config)
    own = found.config.get("pvzoo") or {}
    names = _names(found.config)
    rows = [("name", name), ("task", own.get("task") or "unknown"), ("classes", _classes(names))]
    return [*rows, *_threshold_lines(own.get("thresholds"), name)]


def _names(config: Mapping[str, Any]) -> list[str]:
    """The classes that a ``config.json`` names."""
    names = config.get("id2label") or config.get("label_names") or config.get("labels") or []
    return list(names.values() if isinstance(names, Mapping) else names)


def _threshold_lines(found: Any, name: str) -> list[tuple[str, str]]:
    return Thresholds.from_json(found, name).lines if found else []


def _classes(labels: Any) -> str:
    classes = [name for name in labels if name]
    named = ", ".join(classes[:10]) + (", ..." if len(classes) > 10 else "")
    return f"{len(classes):,}: {named}" if classes else "none of its own"
