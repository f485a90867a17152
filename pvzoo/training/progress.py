"""Show the loss, the main figure and the time left while a run is going on."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from transformers import TrainerCallback

from pvzoo.progress import duration

_NOT_EVALUATED = (
    "nothing is evaluated, so the weights of the last epoch are kept. To evaluate every epoch and "
    "keep the best: fine_tune(train, eval), --eval, or data with a split called validation."
)


class Progress(TrainerCallback):
    """Print a line on standard error after every epoch; in a terminal, also a live line.

    Args:
        main: The figure to show. None if nothing is evaluated; a line then says so, once.
    """

    def __init__(self, main: str | None) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._main = main
        self._loss: float | None = None
        self._figure: float | None = None
        self._status: Any = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clock. The time left does not count the earlier steps of a resumed run."""
        self._start, self._first = time.monotonic(), state.global_step
        if self._main is None:
            self._console.print(_NOT_EVALUATED)
        if self._console.is_terminal:
            self._status = self._console.status("training")
            self._status.start()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Remember the loss."""
        self._loss = (logs or {}).get("loss", self._loss)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Update the live line."""
        if self._status:
            self._status.update(self._line(state))

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: Any = None, **_: Any
    ) -> None:
        """Remember the main figure."""
        self._figure = (metrics or {}).get(f"eval_{self._main}")

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Print the line of an epoch: evaluation and saving end it."""
        self._console.print(self._line(state))

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Stop the live line, and print which weights are kept."""
        if self._status:
            self._status.stop()
        took, kept = duration(time.monotonic() - self._start), "the last epoch"
        if state.best_global_step:
            epoch = state.best_global_step / state.max_steps * state.num_train_epochs
            kept = f"epoch {epoch:.1f} ({self._main} {state.best_metric:.4f})"
        self._console.print(f"trained in {took}; the weights of {kept} are kept")

    def _line(self, state: Any) -> str:
        done = state.global_step - self._first
        left = (
            (time.monotonic() - self._start) / max(done, 1) * (state.max_steps - state.global_step)
        )
        parts = [
            f"epoch {state.epoch or 0:.1f} of {state.num_train_epochs}",
            f"step {state.global_step} of {state.max_steps}",
        ]
        if self._loss is not None:
            parts.append(f"loss {self._loss:.4g}")
        if self._figure is not None:
            parts.append(f"{self._main} {self._figure:.4f}")
        return ", ".join(
            [*parts, f"{left / 60:.0f} min left" if left > 90 else f"{left:.0f} s left"]
        )
