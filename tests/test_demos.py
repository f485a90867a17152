"""The scripts in demos/ run as they stand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

DEMOS = Path(__file__).parents[1] / "demos"


def run(script: str, *arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, DEMOS / script, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
    )
    assert done.returncode == 0, done.stderr
    return done


def test_the_example_of_predicting_labels_a_photograph_and_saves_it_drawn(tmp_path):
    table = run("predict.py", cwd=tmp_path).stdout
    assert "espresso 0.95" in table
    assert Image.open(tmp_path / "predicted.png").width > 0


@pytest.mark.slow
def test_the_example_of_predicting_takes_another_image_and_model(tmp_path):
    import pvzoo_shapes

    pvzoo_shapes.scenes(count=1, seed=4)[0]["image"].save(tmp_path / "scene.png")
    arguments = ("scene.png", "--model", "shapes-detector", "--output", "boxes.jpg")
    table = run("predict.py", *arguments, cwd=tmp_path).stdout
    assert "ring" in table
    assert (tmp_path / "boxes.jpg").exists()


def test_the_example_of_tiles_finds_what_one_pass_does_not(tmp_path):
    lines = run("tiles.py", cwd=tmp_path).stdout.splitlines()
    one_pass, in_tiles = (int(line.split()[2]) for line in lines[:2])
    assert one_pass < 20
    assert in_tiles > 150
    assert Image.open(tmp_path / "tiles.png").size == (1024, 768)


def test_the_example_of_a_folder_writes_a_line_an_image_and_names_what_is_broken(
    photographs, tmp_path
):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("coffee", "cat"):
        Image.open(photographs[name]).save(folder / f"{name}.png")
    (folder / "broken.jpg").write_bytes(b"no image")
    done = run("stream_folder.py", folder, "--output", "found.jsonl", cwd=tmp_path)
    lines = [json.loads(x) for x in (tmp_path / "found.jsonl").read_text("utf-8").splitlines()]
    firsts = {Path(x["source"]).name: x["predictions"][0]["name"] for x in lines}
    assert firsts == {"cat.png": "tiger cat", "coffee.png": "espresso"}
    assert done.stdout == "2 images in found.jsonl, 1 left out\n"
    assert "broken.jpg" in done.stderr


@pytest.mark.slow
def test_the_example_of_a_folder_has_images_of_its_own(tmp_path):
    done = run("stream_folder.py", cwd=tmp_path)
    lines = (tmp_path / "predicted.jsonl").read_text("utf-8").splitlines()
    assert done.stdout.startswith(f"{len(lines)} images in predicted.jsonl, ")
    assert len(lines) > 10


@pytest.mark.slow
def test_the_example_of_comparing_shows_each_image_with_both_models(tmp_path):
    done = run("compare_models.py", cwd=tmp_path)
    heading, *rows, last = done.stdout.splitlines()
    assert heading.split() == ["image", "model", "ms", "finds"]
    assert [row.split()[1] for row in rows[:2]] == [
        "efficientnet-lite0-pip",
        "efficientnet-lite2-pip",
    ]
    assert all(float(row.split()[2]) > 0 for row in rows)
    assert last.startswith("wrote compared.png")
    assert Image.open(tmp_path / "compared.png").size == (800, 300 * len(rows) // 2)


def test_the_list_of_examples_names_every_script():
    listed = (DEMOS / "README.md").read_text("utf-8")
    assert [p.name for p in DEMOS.glob("*.py") if f"`{p.name}`" not in listed] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "task", ["classification", "detection", "semantic", "instance", "panoptic"]
)
def test_the_example_of_fine_tuning_runs(task, tmp_path):
    """With few images, for one epoch: as much as shows that it works."""
    done = run(f"fine_tune_{task}.py", "--images", 32, "--epochs", 1, cwd=tmp_path)
    made = {p.name for p in (tmp_path / "runs" / task).iterdir()}
    assert {"model.safetensors", "report.json", "first-batch.png"} <= made
    assert done.stdout.strip()


def test_there_is_no_example_that_is_not_run():
    assert {p.stem for p in DEMOS.glob("fine_tune_*.py")} == {
        f"fine_tune_{task}"
        for task in ("classification", "detection", "semantic", "instance", "panoptic")
    }


@pytest.mark.slow
def test_the_example_of_a_video_follows_its_objects(tmp_path):
    said = run("video.py", cwd=tmp_path).stdout
    assert "tracks in tracks.txt, drawn in annotated.mp4" in said
    assert "#0 " in said
    assert len((tmp_path / "tracks.txt").read_text().splitlines()) > 50
    assert (tmp_path / "annotated.mp4").stat().st_size > 10_000


@pytest.mark.slow
def test_the_example_of_counting_sees_what_crosses_the_line(tmp_path):
    said = run("count_in_zone.py", cwd=tmp_path).stdout
    assert int(said.rpartition("crossed the middle: ")[2]) >= 3
    assert "in the left half" in said
