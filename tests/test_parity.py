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
TRIED = sorted({row["name"] for row in ROWS.values()})
QUICK = ("vit-classifier", "eomt_panoptic")
"""Those that are exported in every run; tests/test_export.py also exports a detector."""


def test_the_page_is_made_of_what_was_found():
    written = (DOCS / "parity.md").read_text(encoding="utf-8")
    assert written == PARITY["page"](ROWS), "Make it anew: python docs/parity.py"


def test_a_network_on_the_page_is_there_for_each_task_and_runtime():
    assert set(ROWS) == {
        f"{name}, {task}, {runtime}"
        for name in TRIED
        for task in CHECKPOINTS[name].tasks
        for runtime in PARITY["RUNTIMES"]
    }
    trained = {name for name in TRIED if CHECKPOINTS[name].rate}
    assert {folder.name for folder in HOME.iterdir()} == trained
    assert all(row["trained"] == (row["name"] in trained) for row in ROWS.values())


def test_every_family_is_on_the_page_for_each_of_its_tasks():
    tried = {(row["family"], row["task"]) for row in ROWS.values()}
    text = (DOCS / "parity.md").read_text(encoding="utf-8")
    for family, task in PARITY["rows_wanted"]():
        assert (family, task) in tried or f"`{family}` ({task})" in text


def test_a_family_that_is_refused_is_so_by_its_record():
    for row in ROWS.values():
        if row["verdict"] == "refused":
            assert row["why"] == family_of(row["family"]).unexported
        else:
            assert row["verdict"] == "certified"


def test_the_tiny_networks_are_small():
    sizes = [file.stat().st_size for file in HOME.rglob("*") if file.is_file()]
    assert max(sizes) < 2_000_000
    assert sum(sizes) < 30_000_000


@pytest.mark.filterwarnings("ignore:Nothing says which classes:pvzoo.errors.PvzooWarning")
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in TRIED]
)
def test_what_the_page_says_is_so(name):
    found = PARITY["prove"](name)
    assert found
    for key, row in found.items():
        assert row["verdict"] == ROWS[key]["verdict"], f"{key}: {row}"
        assert row.get("compared", 0) >= 0.9 * ROWS[key].get("compared", 0)
