"""The head alone, on features that are computed once, is enough for handwritten digits."""

from __future__ import annotations

import importlib
import time
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


@pytest.mark.slow
def test_a_tuned_head_reads_the_digits_within_minutes(monkeypatch):
    """One split of benchmarks/frozen_backbone.py; it takes a minute or so on two idle cores."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    benchmark = importlib.import_module("frozen_backbone")
    train, test = benchmark.splits(seed=0)
    start = time.monotonic()
    tuned = benchmark.tune(train, epochs=40)
    seconds = time.monotonic() - start
    assert tuned.evaluate(test, batch_size=32)["top1"] >= 0.935
    assert seconds < 3 * 60
