"""The attempts to lower the precision of an export, as a table and as sentences."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Trial:
    """One way to lower the precision, with its measurements.

    Attributes:
        rung: The layers that were lowered; "weights" for fp16.
        speed: How many times as fast as float32 on this machine: the median of several rounds.
        bytes: The size of the files.
        metric: The task's main metric; None if it was not measured, because a faster trial passed
            or because this one is slower than float32.
        loss: How much worse the metric is than in float32.
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
    """All trials, and the data that they were measured on.

    Attributes:
        precision: "fp16" or "int8".
        metric: The name of the task's main metric.
        fp32: The value of the metric in float32.
        bytes: The size of the files in float32.
        max_loss: The largest loss that is allowed.
        calibration: The number of images for finding the ranges of activations.
        images: The number of labelled images for measuring the loss.
        trials: The trials, fastest first.
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
        """The trial whose files the export now has; None if none was taken."""
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
        what = f"there are too few labelled images to decide; about {needed:,} are needed"
    elif any(trial.verdict == "loses too much" for trial in ladder.trials):
        what = f"no faster way keeps the loss within {ladder.max_loss:g}"
    elif ladder.trials:
        what = "no way is faster than fp32 on this machine"
    else:
        what = "the network has no layer whose precision could be lowered"
    return f"No {ladder.precision} export was written: {what}.\n{ladder}\n"


def way_out(ladder: Ladder) -> str:
    """Say what to do if none of the trials was taken."""
    if any(trial.verdict == "not decided" for trial in ladder.trials):
        return "Give more images with data=, or allow a larger loss with max_loss=."
    if any(trial.verdict == "loses too much" for trial in ladder.trials):
        return "Export the model in fp32, or allow a larger loss with max_loss=."
    return "Export the model in fp32; or write it for another machine with allow_slower=True."


def images_needed(ladder: Ladder, trial: Trial) -> int:
    """About how many labelled images are needed for a decision.

    The width of an interval falls with the square root of the number of images.

    Args:
        ladder: The ladder that has the trial.
        trial: A trial whose loss is below ``max_loss`` and whose upper bound is above it.
    """
    assert trial.loss is not None
    assert trial.upper is not None
    room = max(ladder.max_loss - trial.loss, 1e-6)
    return math.ceil(ladder.images * ((trial.upper - trial.loss) / room) ** 2)


def _mb(count: int) -> str:
    return f"{count / 1e6:.1f}"
