"""Find the classes of a segmentation model that are stuff (sky, road), not things (cars, people).

The usual keys of configs do not say. The sources are, in this order: the card or the config's
``pvzoo`` entry (``stuff``: class names); OneFormer's ``metadata.thing_ids``; the published label
sets of ``things_and_stuff.json``, if all names agree with the model's labels; and the record of the
family, which may have the answer for this number of classes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from pvzoo.families import family_of


@dataclass(frozen=True)
class Stuff:
    """Ids of the classes that are stuff; ``label_set`` is the published set they come from."""

    ids: frozenset[int]
    label_set: str | None = None


def stuff_of(
    config: Mapping[str, Any], labels: Sequence[str], metadata: Mapping[str, Any] | None = None
) -> Stuff | None:
    """The stuff classes of a model with these labels; None if no source has them.

    Args:
        config: The parsed ``config.json``.
        labels: Class names in the model's order.
        metadata: The ``metadata`` of OneFormer's image processor.
    """
    label_set = next((name for name, known in _label_sets().items() if _agree(known, labels)), None)
    stated = (config.get("pvzoo") or {}).get("stuff")
    if stated is not None:
        return Stuff(frozenset(i for i, name in enumerate(labels) if name in stated), label_set)
    if metadata and "thing_ids" in metadata:
        things = set(metadata["thing_ids"])
        return Stuff(frozenset(i for i in range(len(labels)) if i not in things), label_set)
    if label_set is not None:
        known = _label_sets()[label_set]
        return Stuff(frozenset(i for i, c in enumerate(known) if not c["isthing"]), label_set)
    masks = family_of(config.get("model_type")).masks
    ids = masks.stuff.get(len(labels)) if masks else None
    return None if ids is None else Stuff(frozenset(ids))


@cache
def _label_sets() -> dict[str, list[dict[str, Any]]]:
    sets: dict[str, list[dict[str, Any]]] = json.loads(
        resources.files("pvzoo.families").joinpath("things_and_stuff.json").read_text()
    )
    return sets


def _agree(known: list[dict[str, Any]], labels: Sequence[str]) -> bool:
    """Whether every label is, apart from spelling, the known name at the same index.

    A published name may list synonyms ("road, route"); one common synonym is enough.
    """
    return len(known) == len(labels) and all(
        _synonyms(entry["name"]) & _synonyms(label)
        for entry, label in zip(known, labels, strict=True)
    )


def _synonyms(name: str) -> set[str]:
    return {"".join(c for c in part.lower() if c.isalnum()) for part in name.split(",")}
