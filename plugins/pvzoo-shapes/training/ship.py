"""Put a trained network into the package, and evaluate it on scenes that no run has used.

    python ship.py NAME --runs RUN [RUN ...] --tasks TASK [TASK ...]

The network of the last run goes to ``pvzoo_shapes/models/NAME``, the logs of all runs to
``training/log/NAME``. Copy the printed values into ``catalog.toml``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from pathlib import Path

import pvzoo_shapes

import pvzoo

HELD_OUT = 1000
"""Seed of the scenes for the published figures."""


def main() -> None:
    """Copy the files, evaluate the network and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--runs", nargs="+", type=Path, required=True)
    parser.add_argument("--tasks", nargs="+", required=True)
    arguments = parser.parse_args()
    plugin = Path(__file__).parents[1]
    home = plugin / "pvzoo_shapes" / "models" / arguments.name
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    for file in ("config.json", "preprocessor_config.json", "model.safetensors"):
        shutil.copyfile(arguments.runs[-1] / file, home / file)
    for run in arguments.runs:
        log = plugin / "training" / "log" / arguments.name / run.name
        log.mkdir(parents=True, exist_ok=True)
        for file in ("curves.csv", "curves.png"):
            shutil.copyfile(run / file, log / file)
        settings = json.loads((run / "run.json").read_text(encoding="utf-8"))
        settings["model"] = Path(settings["model"]).name  # without the local path
        (log / "run.json").write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
    weights = home / "model.safetensors"
    print(f"sha256 {hashlib.sha256(weights.read_bytes()).hexdigest()}")
    print(f"{weights.stat().st_size / 1e6:.2f} MB")
    for task in arguments.tasks:
        model = pvzoo.load(home, task=task, device="cpu")
        data = pvzoo_shapes.scenes(task, count=500, seed=HELD_OUT)
        found = model.evaluate(data, batch_size=16)
        print(task, {k: round(v, 4) for k, v in found.items()}, flush=True)


if __name__ == "__main__":
    main()
