"""The scripts in demos/ run as they stand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

DEMOS = Path(__file__).parents[1] / "demos"


@pytest.mark.slow
@pytest.mark.parametrize(
    "task", ["classification", "detection", "semantic", "instance", "panoptic"]
)
def test_the_example_of_fine_tuning_runs(task, tmp_path):
    """With few pictures, for one epoch: as much as shows that it works."""
    script = DEMOS / f"fine_tune_{task}.py"
    done = subprocess.run(
        [sys.executable, script, "--images", "32", "--epochs", "1"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    made = {p.name for p in (tmp_path / "runs" / task).iterdir()}
    assert {"model.safetensors", "report.json", "first-batch.png"} <= made
    assert done.stdout.strip()


def test_there_is_no_example_that_is_not_run():
    assert {p.stem for p in DEMOS.glob("fine_tune_*.py")} == {
        f"fine_tune_{task}"
        for task in ("classification", "detection", "semantic", "instance", "panoptic")
    }
