"""The page of parity: it has every family, and what it says is so."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest
from trained_models import CHECKPOINTS, HOME

from pvzoo.families import family_of

DOCS = Path(__file__).parents[1] / "docs"
PARITY = runpy.run_path(str(DOCS / "parity.py"))
ROWS = json.loads((DOCS / "parity.json").read_text())
QUICK = (
    "timm-test_vit, image-classification, onnxruntime",
    "segformer, semantic-segmentation, onnxruntime",
    "rt_detr_v2, object-detection, openvino",
)
"""Rows that are tried in every run."""


def test_the_page_is_made_of_what_was_found():
    written = (DOCS / "parity.md").read_text(encoding="utf-8")
    assert written == PARITY["page"](ROWS), "Make it anew: python docs/parity.py"


def test_every_tiny_network_is_on_the_page_for_each_task_and_runtime():
    assert set(ROWS) == {
        f"{name}, {task}, {runtime}"
        for name, how in CHECKPOINTS.items()
        for task in how.tasks
        for runtime in PARITY["RUNTIMES"]
    }
    assert {folder.name for folder in HOME.iterdir()} == set(CHECKPOINTS)


def test_every_family_that_is_not_a_classifier_was_tried_for_each_of_its_tasks():
    tried = {(row["family"], row["task"]) for row in ROWS.values()}
    left = PARITY["rows_wanted"]() - tried
    assert {task for _, task in left} <= {"image-classification"}


def test_a_family_that_is_refused_says_why_in_its_record_alone():
    for row in ROWS.values():
        if row["verdict"] == "refused":
            assert family_of(row["family"]).unexported in row["why"]
            assert family_of(row["family"]).unexported
        else:
            assert row["verdict"] == "certified"


def test_the_tiny_networks_are_small():
    sizes = [file.stat().st_size for file in HOME.rglob("*") if file.is_file()]
    assert max(sizes) < 2_000_000
    assert sum(sizes) < 15_000_000


@pytest.mark.parametrize(
    "row", [pytest.param(r, marks=() if r in QUICK else pytest.mark.slow) for r in ROWS]
)
def test_what_the_page_says_is_so(row):
    name, task, runtime = row.split(", ")
    assert PARITY["prove_one"](name, task, runtime)["verdict"] == ROWS[row]["verdict"]
