"""Choose the best models of the catalogue that are fast enough on this machine."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pvzoo.benchmark import machine as here
from pvzoo.benchmark.choice import Candidate, Choice
from pvzoo.benchmark.latencies import Latencies
from pvzoo.catalog.search import list_models
from pvzoo.errors import PvzooError, UsageError, error_message, nearest
from pvzoo.extras import needs
from pvzoo.plugins import registry

if TYPE_CHECKING:
    from pvzoo.catalog.cards import Card

Progress = Callable[[int, int], None]

_NO_TIME = "not measured: no time was left"


def choose(
    *,
    task: str,
    max_ms: float | None = None,
    license: str | None = None,
    metric: str | None = None,
    min_metric: float | None = None,
    max_params: float | None = None,
    data: Any = None,
    split: str | None = None,
    budget_s: float = 300,
    device: Any = None,
    progress: Progress | None = None,
) -> Choice:
    """Choose models of the catalogue; the best one comes first.

    The time of a forward pass (one image, PyTorch) is measured with random weights, because speed
    does not depend on weights. So only configurations are downloaded. Times are kept in pvzoo's
    cache, for this machine and these versions of libraries.

    Args:
        task: Such as "object-detection", or just "detection".
        max_ms: The longest time of a forward pass, in milliseconds.
        license: As for `list_models`, such as "permissive".
        metric: The reported metric that ranks the models; by default, the one that most cards of
            the task report. With `data`, a metric of `Model.evaluate`; by default, the task's main
            metric.
        min_metric: The lowest value of the metric.
        max_params: The largest number of parameters.
        data: Labelled data. The models that are fast enough are downloaded and measured on it.
        split: The split of `data`.
        budget_s: The time limit in seconds; after it, no further model is measured.
        device: As for `pvzoo.load`.
        progress: A function that is called with the number of candidates done and the number of
            all candidates.

    Raises:
        UsageError: The task, the licence or the metric does not exist.
    """
    needs("Measuring models", "torch")
    end = time.monotonic() + budget_s
    task = registry.task_id(task)
    cards = list(list_models(task=task))
    reported = _common_metric(cards) if metric is None or data is not None else metric
    names = {m.name for card in cards for m in card.metrics}
    if data is None and reported not in names:
        raise UsageError(
            f"No card of {task} reports {reported!r}.",
            nearest(reported, names) or f"Reported: {', '.join(sorted(names)) or 'none'}.",
        )
    allowed = {
        c.qualified_name for c in list_models(task=task, license=license, max_params=max_params)
    }
    candidates = [Candidate(card, _reported(card, reported)) for card in cards]
    candidates.sort(key=lambda c: (-_rank(c), c.card.params or math.inf, c.name))
    least = min_metric if data is None and min_metric is not None else -math.inf
    asked, fell_out = [], []
    for c in candidates:
        why = ""
        if c.card.qualified_name not in allowed:
            why = _not_allowed(c.card, license, max_params)
        elif _rank(c) < least:
            why = (
                f"{reported} is not reported"
                if c.metric is None
                else f"{reported} is below {least:g}"
            )
        if why:
            fell_out.append(replace(c, why_not=why))
        else:
            asked.append(c)
    here.warn_if_busy(here.load())
    fits, slow, late = _timed(asked, max_ms, end, device, progress)
    fell_out += slow
    if data is not None:
        reported = metric or registry.get("tasks", task).main_metric or ""
        fits, bad, later = _measured(fits, data, split, reported, min_metric, end, device)
        fell_out += bad
        late += later
    fits.sort(key=lambda c: (-_rank(c), c.ms or 0))
    return Choice(tuple(fits), tuple(fell_out), tuple(late), reported, data is not None)


_Sorted = tuple[list[Candidate], list[Candidate], list[Candidate]]
"""The candidates that fit, that do not fit, and that were not measured."""


def _timed(
    asked: list[Candidate],
    max_ms: float | None,
    end: float,
    device: Any,
    progress: Progress | None,
) -> _Sorted:
    """Add the time of a forward pass to the candidates."""
    known = Latencies(device)
    fits: list[Candidate] = []
    fell_out, late = [], []
    for done, c in enumerate(asked):
        if progress is not None:
            progress(done, len(asked))
        name = c.card.qualified_name
        if name not in known and time.monotonic() > end:
            late.append(replace(c, why_not=_NO_TIME))
            continue
        try:
            ms = known[name] if name in known else known.measure(name, max_ms)
        except Exception as error:  # networks raise many kinds of errors
            what = error.what if isinstance(error, PvzooError) else error_message(error)
            fell_out.append(replace(c, why_not=f"cannot be measured: {what}"))
            continue
        if max_ms is not None and ms > max_ms:
            fell_out.append(replace(c, ms=ms, why_not=f"slower than {max_ms:g} ms"))
        else:
            fits.append(replace(c, ms=ms))
    if progress is not None:
        progress(len(asked), len(asked))
    return fits, fell_out, late


def _measured(
    asked: list[Candidate],
    data: Any,
    split: str | None,
    metric: str,
    least: float | None,
    end: float,
    device: Any,
) -> _Sorted:
    """Add the metric on data to the candidates.

    Raises:
        UsageError: The metric does not exist.
    """
    from pvzoo.loading import load

    fits: list[Candidate] = []
    fell_out, late = [], []
    for c in asked:
        unknown = replace(c, metric=None)
        if time.monotonic() > end:
            late.append(replace(unknown, why_not=_NO_TIME))
            continue
        try:
            found = load(c.card.qualified_name, device=device).evaluate(data, split=split)
        except PvzooError as error:
            fell_out.append(replace(unknown, why_not=f"cannot be measured: {error.what}"))
            continue
        if metric not in found:
            raise UsageError(f"There is no metric {metric!r}.", f"There are: {', '.join(found)}.")
        measured = replace(c, metric=found[metric], interval=found.intervals.get(metric))
        if least is not None and not found[metric] >= least:
            fell_out.append(replace(measured, why_not=f"{metric} is below {least:g}"))
        else:
            fits.append(measured)
    return fits, fell_out, late


def _common_metric(cards: Sequence[Card]) -> str:
    """The metric that most cards report; "" if none reports any."""
    names = [name for card in cards for name in sorted({m.name for m in card.metrics})]
    return max(dict.fromkeys(names), key=names.count, default="")


def _reported(card: Card, metric: str) -> float | None:
    return max((m.value for m in card.metrics if m.name == metric), default=None)


def _rank(candidate: Candidate) -> float:
    value = candidate.metric
    return -math.inf if value is None or math.isnan(value) else value


def _not_allowed(card: Card, license: str | None, max_params: float | None) -> str:
    if max_params is not None and (card.params is None or card.params > max_params):
        return f"{card.size_text} parameters" if card.params else "its size is not known"
    return f"its licence is {card.license_text}, not {license}"
