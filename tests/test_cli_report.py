"""``pvzoo report`` and ``tune-thresholds``, in processes of their own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from forked import run_command as run

import pvzoo
from pvzoo import data


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty scenes as a COCO folder."""
    folder = tmp_path_factory.mktemp("shapes") / "coco"
    some = data.load("shapes", "object-detection", split="validation").select(range(40))
    data.write(some, folder, "coco")
    return folder


def test_a_report_is_written_and_its_page_is_named(shapes: Path, tmp_path: Path):
    done = run("report", shapes, "--model", "shapes-detector", "--output-dir", tmp_path / "new")
    assert done.returncode == 0, done.stderr
    page = tmp_path / "new" / "index.html"
    assert page.is_file()
    assert str(page) in done.stderr
    assert json.loads((page.parent / "report.json").read_text())["images"] == 40


def test_two_models_are_compared_and_three_refused(shapes: Path, tmp_path: Path):
    model = ["--model", "shapes-detector"]
    done = run("report", shapes, *model, *model, "-o", tmp_path / "new")
    assert done.returncode == 0, done.stderr
    said = json.loads((tmp_path / "new" / "report.json").read_text())["comparison"]
    assert said["images_fixed"] == said["images_broken"] == 0
    assert {found["better"] for found in said["figures"].values()} == {None}
    done = run("report", shapes, *model, *model, *model, "-o", tmp_path / "other")
    assert done.returncode == 2
    assert "3 models were named. Name one model, or two." in done.stderr


def test_a_folder_that_is_there_is_refused_before_anything_is_measured(shapes: Path):
    for command in ("report", "tune-thresholds"):
        done = run(command, shapes, "--model", "no-such-model", "-o", shapes)
        assert done.returncode == 1
        assert "exists and is not empty" in done.stderr


def test_thresholds_are_chosen_saved_shown_and_used(shapes: Path, tmp_path: Path):
    folder = tmp_path / "sure"
    options = ("--model", "shapes-detector", "--target", "precision=0.9", "-o", folder, "--json")
    done = run("tune-thresholds", shapes, *options)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["target"] == {"precision": 0.9}
    assert pvzoo.load(folder, device="cpu").thresholds.to_json() == said
    done = run("info", folder)
    assert "chosen for precision 0.9 on 20 images" in done.stdout


@pytest.mark.parametrize("target", ["f2", "precision=high", "precision=2"])
def test_a_target_that_there_is_not_is_refused(shapes: Path, tmp_path: Path, target: str):
    model = ("--model", "shapes-detector", "-o", tmp_path / "new")
    done = run("tune-thresholds", shapes, *model, "--target", target)
    assert done.returncode == 2
    assert "target" in done.stderr
    assert not (tmp_path / "new").exists()
