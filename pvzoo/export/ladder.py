"""What was tried to lower the precision of an export, as a table and in sentences."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Trial:
    """One way to lower the precision, as it was measured.

    Attributes:
        rung: Which layers; "weights" for fp16.
        speed: How many times as fast as float32 on this machine: the median of several rounds.
        bytes: Of the files.
        metric: The task's main metric; None if it was not measured, because a faster trial passed
            or this one is slower than float32.
        loss: By how much the metric is below that of float32.
        upper: The upper end of the 95 % interval of the loss.
        verdict: "taken", "slower than fp32", "loses too much", "not decided" or "not needed".
    """

    rung: str
    speed: float
    bytes: int
    metric: float | None = None
    loss: float | None = None
    upper: float | None = None
    verdict: str = "not needed"


@dataclass(frozen=True)
class Ladder:
    """All that was tried, and by what it was measured.

    Attributes:
        precision: "fp16" or "int8".
        metric: The name of the task's main metric.
        fp32: Its value in float32.
        bytes: Of the files in float32.
        max_loss: The largest loss that is allowed.
        calibration: How many images found the ranges.
        images: How many labelled images measured the loss.
        trials: The fastest first.
    """

    precision: str
    metric: str
    fp32: float
    bytes: int
    max_loss: float
    calibration: int
    images: int
    trials: tuple[Trial, ...]

    @property
    def taken(self) -> Trial | None:
        """What the export has become."""
        return next((trial for trial in self.trials if trial.verdict == "taken"), None)

    def to_json(self) -> dict[str, Any]:
        """As plain values, for the manifest."""
        return asdict(self)

    def __str__(self) -> str:
        rows: list[tuple[str, ...]] = [
            ("layers", "speed", "MB", self.metric, "loss", "at most", "")
        ]
        rows.append(("fp32", "1.00", _mb(self.bytes), f"{self.fp32:.4f}", "", "", ""))
        rows += [
            (
                trial.rung,
                f"{trial.speed:.2f}",
                _mb(trial.bytes),
                *("" if v is None else f"{v:.4f}" for v in (trial.metric, trial.loss, trial.upper)),
                trial.verdict,
            )
            for trial in self.trials
        ]
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        table = "\n".join(
            "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        )
        size_only = self.taken is not None and self.taken.speed <= 1
        note = f"\nOn this machine {self.precision} saves size, not time." if size_only else ""
        return (
            f"{self.precision}, {self.images} labelled images, a loss of up to {self.max_loss:g}:\n"
            f"{table}{note}"
        )


def refused(ladder: Ladder) -> str:
    """Say why none of the trials was taken, with the table."""
    if any(trial.verdict == "not decided" for trial in ladder.trials):
        needed = min(images_needed(ladder, t) for t in ladder.trials if t.verdict == "not decided")
        what = f"too few labelled images to decide: it takes about {needed:,}"
    elif any(trial.verdict == "loses too much" for trial in ladder.trials):
        what = f"nothing that is faster keeps the loss within {ladder.max_loss:g}"
    elif ladder.trials:
        what = "nothing is faster than fp32 on this machine"
    else:
        what = "there is nothing in the network that could be lowered"
    return f"No {ladder.precision} is written: {what}.\n{ladder}\n"


def way_out(ladder: Ladder) -> str:
    """Say what to do if none of the trials was taken."""
    if any(trial.verdict == "not decided" for trial in ladder.trials):
        return "Give more images with data=, or allow more with max_loss=."
    if any(trial.verdict == "loses too much" for trial in ladder.trials):
        return "Export it in fp32, or allow more with max_loss=."
    return "Export it in fp32; allow_slower=True writes it for another machine."


def images_needed(ladder: Ladder, trial: Trial) -> int:
    """About how many labelled images would decide: intervals shrink with the root of their number.

    Args:
        ladder: What the trial is of.
        trial: With a loss below ``max_loss`` and its upper bound above.
    """
    assert trial.loss is not None
    assert trial.upper is not None
    room = max(ladder.max_loss - trial.loss, 1e-6)
    return math.ceil(ladder.images * ((trial.upper - trial.loss) / room) ** 2)


def _mb(count: int) -> str:
    return f"{count / 1e6:.1f}"
