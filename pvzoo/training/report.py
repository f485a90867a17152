"""The report of a fine-tuning run: its settings, its history and its figures."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, dataclass, field
from math import isfinite, nan
from pathlib import Path
from typing import Any

from pvzoo.display import figure, heading, table
from pvzoo.errors import TrainingError, error_message
from pvzoo.training.files import read_object
from pvzoo.training.options import DECIDING


@dataclass(frozen=True)
class TrainingReport:
    """The history of a tuned model.

    Attributes:
        folder: The folder of the run. It holds the tuned model, `curves.csv`, `curves.png`,
            `first-batch.png`, `predictions.png` and the last checkpoints.
        settings: The arguments of `fine_tune` and the values it chose.
        history: One dict for each point of the curves: ``step``, ``epoch`` and ``loss``, or the
            figures of an evaluation.
        metrics: The figures of the weights that were kept; empty without evaluation data.
        seconds: Training time since the run was last started.
        data: The Hub ids or paths of ``train`` and ``eval``, as far as they were given by name.
    """

    folder: Path
    settings: dict[str, Any]
    history: tuple[dict[str, float], ...]
    metrics: dict[str, float]
    seconds: float
    data: dict[str, str] = field(default_factory=dict)

    @property
    def options(self) -> dict[str, Any]:
        """The arguments of `fine_tune` that were given and that the weights depend on."""
        values = {name: self.settings.get(name) for name in DECIDING}
        return {name: value for name, value in values.items() if value not in (None, {})}

    def __repr__(self) -> str:
        rows = [f"{name:<12}  {value}" for name, value in self._rows()]
        return "\n    ".join([f"TrainingReport: {self._title()}", *rows])

    def _repr_html_(self) -> str:
        return heading(self._title()) + table((), self._rows(), right=True)

    def _title(self) -> str:
        last = self.history[-1] if self.history else {}
        length = f"{last.get('epoch', 0):g} epochs, {last.get('step', 0):,} steps"
        return f"{self.folder}, {length}{'' if self.metrics else ', not evaluated'}"

    def _rows(self) -> list[tuple[str, str]]:
        return [(name, figure(value)) for name, value in self.metrics.items()]

    def write(self) -> None:
        """Write `curves.csv`, `curves.png` and then, in one rename, `report.json` to the folder.

        A folder with a `report.json` holds a run that has ended.
        """
        columns = list(dict.fromkeys(key for row in self.history for key in row))
        with (self.folder / "curves.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(self.history)
        self._draw()
        plain = {**asdict(self), "folder": str(self.folder)}
        part = self.folder / ".report.json.part"
        part.write_text(json.dumps(plain, indent=1), encoding="utf-8")
        part.rename(self.folder / "report.json")

    def _draw(self) -> None:
        from matplotlib.figure import Figure

        names = list(dict.fromkeys(k for row in self.history for k in row))
        names = [n for n in names if n not in ("step", "epoch", "learning_rate", "grad_norm")]
        names = [n for n in names if any(isfinite(row.get(n, nan)) for row in self.history)]
        losses = [n for n in names if n == "loss"]
        figures = [n for n in names if n != "loss"][:6]
        panels = [group for group in (losses, figures) if group]
        if not panels:  # a run stopped before its first log
            return
        figure = Figure(figsize=(9, 3.2 * len(panels)), layout="constrained")
        for index, group in enumerate(panels, 1):
            axes = figure.add_subplot(len(panels), 1, index)
            for name in group:
                points = [(row["step"], row[name]) for row in self.history if name in row]
                axes.plot(*zip(*points, strict=True), label=name, marker="." * (len(points) < 40))
            axes.set_xlabel("step")
            axes.legend()
            axes.grid(alpha=0.3)
        figure.savefig(self.folder / "curves.png", dpi=110)


def read(folder: Path) -> TrainingReport:
    """Read the report that `TrainingReport.write` wrote.

    Raises:
        TrainingError: The report is damaged.
    """
    file = folder / "report.json"
    plain = read_object(file)
    try:
        history = tuple(map(dict, plain["history"]))
        return TrainingReport(**{**plain, "history": history, "folder": folder})
    except (KeyError, TypeError, ValueError) as error:
        raise TrainingError(
            f"{file} is damaged ({error_message(error)}).",
            "Choose a new output_dir, or remove the folder.",
        ) from error
