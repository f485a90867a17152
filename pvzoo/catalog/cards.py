"""Cards of models: the facts that are known about a model.

An unknown fact is None (or empty) on the card; nothing is guessed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pvzoo.display import table

USER = "user"
"""The "distribution" of cards that come from the user's own catalogue files."""

# Licences of weights that allow any use, SPDX identifiers in lower case.
PERMISSIVE = frozenset(
    {
        "apache-2.0",
        "mit",
        "bsd-2-clause",
        "bsd-3-clause",
        "cc0-1.0",
        "isc",
        "unlicense",
        "cc-by-4.0",
    }
)


@dataclass(frozen=True)
class CardMetric:
    """One reported figure. ``source`` says who reported it, and where to read it."""

    name: str
    value: float
    dataset: str | None = None
    source: str | None = None


@dataclass(frozen=True)
class WeightsSource:
    """Where weights come from; exactly one of ``hub``, ``package`` and ``path`` is set.

    Attributes:
        hub: A Hub repo id, at ``revision`` (branch, tag or commit; None is the default branch).
        package: The import name of an installed package; it contains ``file``, with ``sha256``.
        path: A folder on this machine.
        file: The weights file, relative to the repo, package or folder; None finds the usual ones.
        rename: (pattern, replacement) pairs, applied in order with `re.sub` to every tensor name.
    """

    hub: str | None = None
    revision: str | None = None
    package: str | None = None
    path: Path | None = None
    file: str | None = None
    sha256: str | None = None
    rename: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        if self.hub:
            return f"Hub repo {self.hub}" + (f" at {self.revision}" if self.revision else "")
        if self.package:
            return f"{self.file} in the Python package {self.package}"
        return f"folder {self.path}"


@dataclass(frozen=True)
class Card:
    """One model of the catalogue. None (or an empty tuple) means unknown.

    Attributes:
        params: Number of parameters.
        license: The licence tag where the weights are published (an SPDX identifier, lower case).
        license_upstream: The licence that the authors state, if it differs from the tag.
        input_size: Default side of the network's input, in pixels.
        config: The content of a ``config.json``, for weights that come without one.
        facts: The source of the facts on this card.
        stuff: Names of the classes that are stuff, for panoptic models whose labels do not show it.
        dist: The distribution that has the card.
    """

    name: str
    task: str
    adapter: str
    source: WeightsSource
    aliases: tuple[str, ...] = ()
    family: str | None = None
    params: int | None = None
    license: str | None = None
    license_upstream: str | None = None
    license_note: str | None = None
    dataset: str | None = None
    input_size: int | None = None
    metrics: tuple[CardMetric, ...] = ()
    summary: str | None = None
    facts: str | None = None
    stuff: tuple[str, ...] | None = None
    config: dict[str, Any] = field(default_factory=dict, hash=False)
    dist: str = USER

    @property
    def qualified_name(self) -> str:
        """``dist:name``, which means this card, whatever else is installed."""
        return f"{self.dist}:{self.name}"

    @property
    def license_text(self) -> str:
        """The licence as a text: the tag and, if it differs, the upstream licence; or "unknown"."""
        tag = self.license or "unknown"
        return f"{tag} (upstream: {self.license_upstream})" if self.license_upstream else tag

    @property
    def reported(self) -> str:
        """The reported figures as a text, such as "top1 80.1, top5 95"."""
        return ", ".join([f"{m.name} {m.value:g}" for m in self.metrics])

    @property
    def permissive(self) -> bool:
        """Whether the tag and, if there is one, the upstream licence are permissive."""
        return self.license in PERMISSIVE and self.license_upstream in (None, *PERMISSIVE)

    @property
    def size_text(self) -> str:
        """The number of parameters as a text, such as "41.5M"."""
        return in_millions(self.params) if self.params else "unknown"

    @property
    def lines(self) -> list[tuple[str, str]]:
        """All facts of the card as pairs of (heading, text)."""
        found = [
            ("name", self.name),
            ("also called", ", ".join(self.aliases)),
            ("what", self.summary),
            ("task", self.task),
            ("family", self.family or "unknown"),
            ("weights", str(self.source)),
            ("size", self.size_text + (" parameters" if self.params else "")),
            ("input", f"{self.input_size} px" if self.input_size else "unknown"),
            ("licence", self.license_text),
            ("about it", self.license_note),
            ("trained on", self.dataset or "unknown"),
            ("adapter", self.adapter),
            ("brought by", self.dist),
            ("facts from", self.facts),
        ]
        for metric in self.metrics:
            on = f" on {metric.dataset}" if metric.dataset else ""
            source = f" ({metric.source})" if metric.source else ""
            found.append(("reported", f"{metric.name} {metric.value:g}{on}{source}"))
        return [(heading, text) for heading, text in found if text]

    def _repr_html_(self) -> str:
        return table((), self.lines)


def in_millions(count: int) -> str:
    """A number of parameters as a text, such as "41.5M"; a small one as it is, such as "1,204"."""
    return f"{count / 1e6:.1f}M" if count >= 50_000 else f"{count:,}"
