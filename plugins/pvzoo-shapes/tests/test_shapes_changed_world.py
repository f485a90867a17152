"""What the shipped detector is worth to somebody with few scenes of another world."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

TRAINING = Path(__file__).parents[1] / "training"


@pytest.mark.slow
def test_the_detector_learns_a_changed_world_far_better_than_a_network_from_scratch(
    tmp_path, monkeypatch
):
    monkeypatch.syspath_prepend(TRAINING)
    outcomes = {o.start: o for o in importlib.import_module("changed_world").compare(tmp_path)}
    shipped, scratch = outcomes["the shipped detector"], outcomes["from scratch"]
    assert shipped.map - scratch.map >= 0.3
    assert shipped.map_50 - scratch.map_50 >= 0.3
    assert max(shipped.minutes, scratch.minutes) < 10
