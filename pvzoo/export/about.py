"""Describe an export to people, from its manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pvzoo.export import manifest
from pvzoo.export.seen import is_known


def lines(folder: Path, name: str) -> list[tuple[str, str]]:
    """Describe an export, its origin and its certificate as (heading, text).

    Args:
        folder: The export; only its manifest is read.
        name: The name of the export in messages.

    Raises:
        WeightsError: The manifest is damaged.
    """
    found = manifest.read(folder, name)
    classes = [label for label in found.spec.labels if label]
    size = sum(stated["bytes"] for stated in found.files.values())
    told = [
        ("name", name),
        ("task", found.spec.task),
        ("classes", f"{len(classes):,}: {_some(classes)}" if classes else "none of its own"),
        ("exported from", found.source),
        ("runs on", f"{found.runtime}, {found.precision}"),
        ("files", f"{size / 1e6:.1f} MB"),
        ("licence", found.license or "unknown"),
        ("versions", ", ".join(f"{k} {v}" for k, v in found.versions.items())),
        ("certificate", _certificate(found.certificate)),
    ]
    told += [(key, str(value)) for key, value in found.spec.prompts.items()]
    if found.certificate is not None:
        told.append(("proven here", "yes" if is_known(folder) else f"no: {word(name)}"))
    return told


def word(name: str) -> str:
    """A note about a certificate that was made on another machine."""
    return (
        "the certificate comes from the person who exported it; "
        f"pvzoo verify {name} repeats the comparison on this machine"
    )


def _some(names: list[str]) -> str:
    return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")


def _certificate(told: Any) -> str:
    if told is None:
        return "none"
    text = (
        f"{told.get('verdict')}: {told.get('images')} images, {told.get('rows')} objects, classes "
        f"or segments, in {told.get('runtime')} on {told.get('machine')}"
    )
    return text + (f", in fp32; {_lowered(told['precision'])}" if told.get("precision") else "")


def _lowered(told: Any) -> str:
    """The loss of a lower precision, as text; a manifest may come from anybody."""
    try:
        taken = next(trial for trial in told["trials"] if trial["verdict"] == "taken")
        return (
            f"{told['precision']} has {told['metric']} {taken['metric']:.4f}, "
            f"{taken['loss']:.4f} below fp32 and at most {taken['upper']:.4f}, on "
            f"{told['images']} images"
        )
    except (KeyError, StopIteration, TypeError, ValueError):
        return "the loss of the lower precision cannot be read"
