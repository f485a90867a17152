"""Depth is the same as in transformers; labelled depth is read, checked and measured."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from pvzoo_depth.task import DepthMap

import pvzoo
from pvzoo import data as data_module
from pvzoo.errors import DataError, UnsupportedModelError
from pvzoo.testing import MODEL_RULES, PLUGIN_RULES, InstalledPlugin, Subject, judge

RELATIVE = ("depth_anything", "dpt")
METRIC = ("depth_anything metric", "zoedepth", "glpn", "depth_pro")


def random_image(seed: int = 0, size: tuple[int, int] = (70, 90)) -> Image.Image:
    """A textured image of (height, width)."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size[::-1], Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two splits: PNGs in millimetres in one, arrays in metres in the other."""
    home = tmp_path_factory.mktemp("depth")
    for split, count in (("train", 4), ("val", 3)):
        for number in range(count):
            for name in ("images", "depth"):
                (home / split / name).mkdir(parents=True, exist_ok=True)
            random_image(number + 10 * (split == "val")).save(home / split / f"images/{number}.png")
            metres = 1 + np.arange(70)[:, None] / 20 + np.zeros((70, 90)) + number / 2
            metres[:5] = 0
            if split == "train":
                millimetres = Image.fromarray((metres * 1000).astype(np.uint16))
                millimetres.save(home / split / f"depth/{number}.png")
            else:
                metres[5] = np.nan
                np.save(home / split / f"depth/{number}.npy", metres)
    return home


# --- predictions ----------------------------------------------------------------------------------


@pytest.mark.parametrize("family", [*RELATIVE, *METRIC])
@pytest.mark.parametrize("size", [(70, 90), (97, 50)])
def test_depth_is_that_of_transformers(
    checkpoint: Callable[[str], Path], family: str, size: tuple[int, int]
) -> None:
    image = random_image(1, size)
    found = pvzoo.load(checkpoint(family), device="cpu").predict(image)
    processor = transformers.AutoImageProcessor.from_pretrained(checkpoint(family))
    module = transformers.AutoModelForDepthEstimation.from_pretrained(checkpoint(family)).eval()
    with torch.inference_mode():
        outputs = module(**processor(image, return_tensors="pt"))
    sizes = {"source_sizes": [size]} if family == "zoedepth" else {}
    (expected,) = processor.post_process_depth_estimation(outputs, target_sizes=[size], **sizes)
    wanted = expected["predicted_depth"].numpy()
    assert wanted.std() > 1e-4
    assert found.depth.shape == found.size == size
    assert found.depth.dtype == np.float32
    np.testing.assert_allclose(found.depth, wanted, rtol=2e-4, atol=2e-5 * np.abs(wanted).max())
    assert (found.metric, found.unit) == (
        (True, "m") if family in METRIC else (False, "relative inverse depth")
    )


def test_near_is_red_and_far_is_blue_for_depth_and_inverse_depth() -> None:
    metres = np.tile(np.linspace(1, 9, 300, dtype=np.float32), (200, 1))
    for depth, metric in ((metres, True), (1 / metres, False)):
        result = DepthMap(size=(200, 300), depth=depth, metric=metric)
        drawn = np.asarray(result.draw(Image.new("RGB", (300, 200)))).astype(int)
        assert drawn.shape[0] > 200  # the scale
        assert drawn[100, 5, 0] > drawn[100, 5, 2] + 50
        assert drawn[100, -6, 2] > drawn[100, -6, 0]


# --- labelled data --------------------------------------------------------------------------------


def test_a_folder_is_read_in_metres_and_checked(folder: Path) -> None:
    read = data_module.load(folder, "depth-estimation")
    assert {name: len(part) for name, part in read.items()} == {"train": 4, "validation": 3}
    assert np.asarray(read["train"][1]["depth"])[69, 0] == 4950  # millimetres, as in the file
    assert np.asarray(read["validation"][1]["depth"])[69, 0] == np.float32(4.95)
    assert read["train"][0]["file_name"] == "train/images/0.png"
    report = data_module.check(folder, "depth-estimation")
    assert not report.findings
    assert data_module.contact_sheet(read["train"]).width > 0


def test_a_datasets_own_names_of_columns_are_found(folder: Path) -> None:
    read = data_module.load(folder, "depth-estimation", split="train")
    theirs = read.rename_columns({"image": "rgb", "depth": "depth_map"}).remove_columns("file_name")
    ours = data_module.load(theirs, "depth-estimation")
    assert [row["depth"].tobytes() for row in ours] == [row["depth"].tobytes() for row in read]


def test_a_metadata_file_may_name_the_depth_of_each_image(folder: Path, tmp_path: Path) -> None:
    for name in ("images/1.png", "depth/1.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes((folder / "train" / name).read_bytes())
    lines = ["file_name,depth_file_name", "images/1.png,depth/1.png"]
    (tmp_path / "metadata.csv").write_text("\n".join(lines), encoding="utf-8")
    read = data_module.load(tmp_path, "depth-estimation")
    (part,) = read.values() if isinstance(read, dict) else [read]
    assert np.asarray(part[0]["depth"])[69, 0] == 4950


def test_the_check_names_depth_of_another_size_none_at_all_and_another_unit(
    tmp_path: Path,
) -> None:
    depths = [np.full((70, 90), 5.0), np.zeros((70, 90)), np.full((35, 45), 2.0)]
    depths.append(np.full((70, 90), 5000.0))
    for number, depth in enumerate(depths):
        for name in ("images", "depth"):
            (tmp_path / name).mkdir(exist_ok=True)
        random_image(number).save(tmp_path / f"images/{number}.png")
        np.save(tmp_path / f"depth/{number}.npy", depth)
    report = data_module.check(tmp_path, "depth-estimation")
    assert {finding.rule: finding.rows for finding in report.findings} == {
        "mask-size": (("", 2),),
        "no-depth": (("", 1),),
        "depth-unit": (("", 3),),
    }
    (tmp_path / "depth/0.npy").unlink()
    with pytest.raises(DataError, match=r"0\.png has no depth"):
        data_module.load(tmp_path, "depth-estimation")


# --- figures --------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["depth_anything", "glpn"])
def test_figures_are_those_of_their_definitions(
    checkpoint: Callable[[str], Path], folder: Path, family: str
) -> None:
    model = pvzoo.load(checkpoint(family), device="cpu")
    figures = model.evaluate(folder, split="validation")
    rows = []
    for number in range(3):
        z = np.load(folder / f"val/depth/{number}.npy")
        found = model.predict(folder / f"val/images/{number}.png").depth.astype(float)
        known = [(i, j) for i in range(70) for j in range(90) if z[i, j] > 0]
        truth = np.array([z[at] for at in known])
        said = np.array([found[at] for at in known])
        if family == "depth_anything":
            scale, shift = np.polyfit(said, 1 / truth, 1)
            said = 1 / np.maximum(scale * said + shift, 1 / truth.max())
        off = said - truth
        near = [max(a / b, b / a) < 1.25 for a, b in zip(said, truth, strict=True)]
        rows.append((np.mean(abs(off) / truth), np.mean(off**2) ** 0.5, np.mean(near)))
    np.testing.assert_allclose([*figures.values()], np.mean(rows, axis=0), rtol=1e-4)
    assert list(figures) == ["abs_rel", "rmse", "delta_1.25"]
    assert ("least squares" in figures.note) == (family == "depth_anything")


def test_a_report_shows_the_worst_images_of_a_task_that_pvzoo_does_not_know(
    folder: Path, checkpoint: Callable[[str], Path], tmp_path: Path
) -> None:
    model = pvzoo.load(checkpoint("glpn"), device="cpu")
    figures = model.evaluate(folder, split="validation")
    worst = figures.worst()
    assert [one.loss for one in worst] == sorted((one.loss for one in worst), reverse=True)
    assert "delta_1.25" in worst[0].about
    page = figures.report(tmp_path / "report")
    assert page.read_text().count("<figure") == len(worst) == figures.images
    assert len(list((page.parent / "images").iterdir())) == 2 * len(worst)


# --- training -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "family",
    [
        "depth_anything",
        *(
            pytest.param(f, marks=pytest.mark.slow)
            for f in ("depth_anything metric", "dpt", "glpn")
        ),
    ],
)
def test_fine_tuning_gives_a_model_that_was_measured_and_opens_again(
    checkpoint: Callable[[str], Path], folder: Path, family: str, tmp_path: Path
) -> None:
    model = pvzoo.load(checkpoint(family), device="cpu")
    tuned = model.fine_tune(folder, epochs=2, output_dir=tmp_path / "run", batch_size=2)
    losses = [row["loss"] for row in tuned.report.history if "loss" in row]
    assert all(np.isfinite(losses))
    assert set(tuned.report.metrics) >= {"abs_rel", "rmse", "delta_1.25"}
    assert (tmp_path / "run/first-batch.png").is_file()
    again = pvzoo.load(tmp_path / "run", device="cpu").predict(random_image())
    np.testing.assert_array_equal(again.depth, tuned.predict(random_image()).depth)
    assert (again.depth != model.predict(random_image()).depth).any()


def test_families_that_cannot_be_trained_say_so(
    checkpoint: Callable[[str], Path], folder: Path, tmp_path: Path
) -> None:
    model = pvzoo.load(checkpoint("zoedepth"), device="cpu")
    with pytest.raises(UnsupportedModelError, match="cannot be fine-tuned"):
        model.fine_tune(folder, epochs=1, output_dir=tmp_path / "run")


# --- rules of plugins -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def subject(checkpoint: Callable[[str], Path]) -> Any:
    made: dict[str, Subject] = {}
    return lambda family: made.setdefault(family, Subject(checkpoint(family)))


@pytest.mark.parametrize("rule", PLUGIN_RULES, ids=str)
def test_the_plugin_keeps_the_rule(rule: Any) -> None:
    finding = judge(rule, InstalledPlugin.of("pvzoo-depth"))
    assert finding.state != "broken", str(finding)


@pytest.mark.parametrize("rule", MODEL_RULES, ids=str)
@pytest.mark.parametrize("family", [*RELATIVE, *METRIC])
def test_the_family_keeps_the_rule(family: str, rule: Any, subject: Any) -> None:
    finding = judge(rule, subject(family))
    assert finding.state != "broken", str(finding)
