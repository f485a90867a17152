"""Describe a loaded model for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pvzoo.model import Model


def lines(model: Model) -> list[tuple[str, str]]:
    """(heading, text) lines: the task and the device, then the card, or what else is known."""
    classes = [name for name in model.labels if name]
    named = ", ".join(classes[:10]) + (", ..." if len(classes) > 10 else "")
    precision = f", in {str(model.dtype).removeprefix('torch.')}" if model.dtype else ""
    found = [
        ("name", model.name),
        ("task", model.task),
        ("classes", f"{len(classes):,}: {named}" if classes else "none of its own"),
        ("runs on", f"{model.device}{precision}"),
    ]
    if model.card is not None:
        return found + [line for line in model.card.lines if line[0] not in ("name", "task")]
    if model.network is not None:
        count = sum(p.numel() for p in model.network.module.parameters())
        found.append(("size", f"{count / 1e6:.1f}M parameters"))
    return [*found, ("licence", "unknown")]
