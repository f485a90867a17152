"""Export: it answers as the original does, with proof; what is broken is found, and where."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from exports import BREAKS, broken, write_classifier, write_detector
from light_site import NETWORK, LightSite
from PIL import Image
from pycocotools.mask import encode

import pvzoo
from pvzoo.errors import ExportError, PvzooError, PvzooWarning, WeightsError
from pvzoo.export import about, manifest, reference
from pvzoo.export.compare import Reading, Row, Tally, compare
from pvzoo.export.onnx_file import references
from pvzoo.export.reference import Side
from pvzoo.export.verify import verify, verify_foreign
from pvzoo.results.base import Result

onnx = pytest.importorskip("onnx", reason="the extra export is not installed")

WRITERS = {"classifier": write_classifier, "detector": write_detector}


class Made:
    """A model, its export for ONNX Runtime and what was said of it."""

    def __init__(self, kind: str, folder: Path) -> None:
        WRITERS[kind](folder / "original")
        self.model = pvzoo.load(folder / "original", device="cpu")
        self.folder = folder / "onnx"
        self.progress: list[tuple[str, int, int]] = []
        self.certificate = self.model.export(
            self.folder, progress=lambda *step: self.progress.append(step)
        )

    @property
    def side(self) -> Side:
        return Side.original(self.model.network, self.model.runtime)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> dict[str, Made]:
    return {kind: Made(kind, tmp_path_factory.mktemp(kind)) for kind in WRITERS}


@pytest.fixture(scope="module")
def openvino(made, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("openvino") / "export"
    made["detector"].model.export(folder, runtime="openvino")
    return folder


@pytest.fixture(scope="module")
def photographs(tmp_path_factory) -> list[Path]:
    """Drawn images of many sizes, which no export was compared on."""
    folder, random = tmp_path_factory.mktemp("photographs"), np.random.default_rng(7)
    for index in range(6):
        size = random.integers(40, 300, 2)
        soft = random.integers(0, 256, (5, 6, 3), dtype=np.uint8)
        Image.fromarray(soft).resize(tuple(map(int, size))).save(folder / f"{index}.png")
    return sorted(folder.iterdir())


def same(mine: Result, theirs: Result) -> None:
    """Up to rounding, the same rows in the same order."""
    assert mine.names == theirs.names
    assert np.allclose(mine.scores, theirs.scores, atol=1e-4)
    if hasattr(mine, "boxes"):
        assert np.allclose(mine.boxes, theirs.boxes, atol=0.1)


@pytest.mark.parametrize("kind", WRITERS)
def test_an_exported_model_answers_as_the_original(made, photographs, kind):
    original, exported = made[kind].model, pvzoo.load(made[kind].folder)
    options = {"threshold": 0.3} if kind == "detector" else {"top_k": 5}
    found = exported.predict(photographs, batch_size=3, **options)
    assert sum(len(result) for result in found) > 10
    for mine, theirs in zip(found, original.predict(photographs, **options), strict=True):
        same(mine, theirs)
    for mine, theirs in zip(exported.stream(photographs, **options), found, strict=True):
        same(mine, theirs)
    seen = exported.outputs(photographs[0])
    same(seen.result(**options), found[0])
    assert exported.labels == original.labels
    assert exported.task == original.task


def test_openvino_answers_as_the_original_in_any_batch_and_shape(made, openvino, photographs):
    original, exported = made["detector"].model, pvzoo.load(openvino)
    assert {path.suffix for path in openvino.iterdir()} >= {".xml", ".bin"}
    for _ in range(6):  # from then on it is compiled for each shape
        for mine, theirs in zip(
            exported.predict(photographs, threshold=0.3, batch_size=2),
            original.predict(photographs, threshold=0.3),
            strict=True,
        ):
            same(mine, theirs)


def test_openvino_runs_onnx_files_too(made, photographs):
    exported = pvzoo.load(made["detector"].folder, runtime="openvino")
    for mine, theirs in zip(
        exported.predict(photographs, threshold=0.3),
        made["detector"].model.predict(photographs, threshold=0.3),
        strict=True,
    ):
        same(mine, theirs)


@pytest.mark.parametrize("kind", WRITERS)
def test_the_certificate_counts_what_was_compared(made, kind):
    certificate = made[kind].certificate
    told = json.loads((made[kind].folder / manifest.NAME).read_text())["certificate"]
    assert told["verdict"] == certificate.verdict == "certified"
    assert told["images"] == len(reference.images()) >= 12
    assert told["batches"] == [1, 2, 3, 8]
    assert told["rows"] >= 20 * len(reference.images())
    assert (len(told["sizes"]) > 5) is (kind == "detector")  # DETR's sizes are free
    assert ("comparing", told["images"], told["images"]) in made[kind].progress


def test_what_is_written_are_ordinary_files(made):
    folder = made["detector"].folder
    onnx.checker.check_model(onnx.load(folder / "model.onnx"))
    before = json.loads((folder.parent / "original" / "config.json").read_text())
    after = json.loads((folder / "config.json").read_text())
    for key in ("model_type", "id2label", "num_queries"):
        assert after.get(key) == before.get(key)
    told = json.loads((folder / manifest.NAME).read_text())
    (graph,) = told["graphs"].values()
    assert graph["inputs"]["pixel_values"]["shape"] == ["batch", 3, "height", "width"]
    text = (folder / "model.onnx").read_bytes()
    assert str(Path.home()).encode() not in text
    assert b"site-packages" not in text


def test_an_export_needs_no_network_library(made, photographs, tmp_path):
    site = LightSite(tmp_path / "site-packages", (*NETWORK, "datasets", "pandas", "onnx"))
    code = f"""
import json, sys
import pvzoo
model = pvzoo.load({str(made["detector"].folder)!r})
found = model.predict({[str(p) for p in photographs]!r}, threshold=0.3)
found[0].save({str(tmp_path / "drawn.png")!r})
heavy = {{"torch", "transformers", "timm", "datasets", "accelerate"}} & set(sys.modules)
print(json.dumps([[r.to_dict() for r in found], sorted(heavy)]))
"""
    done = site.run("-c", code)
    assert done.returncode == 0, done.stderr
    rows, heavy = json.loads(done.stdout)
    assert heavy == []
    theirs = pvzoo.load(made["detector"].folder).predict(photographs, threshold=0.3)
    assert rows == [result.to_dict() for result in theirs]
    assert Image.open(tmp_path / "drawn.png").size == Image.open(photographs[0]).size
    done = site.pvzoo("verify", str(made["detector"].folder))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("certified: ")
    assert " ms" in done.stdout


def test_four_threads_get_the_same_answers(made, openvino, photographs):
    for folder in (made["detector"].folder, openvino):
        model = pvzoo.load(folder)
        wanted = model.predict(photographs, threshold=0.3)
        found: dict[int, list] = {}

        def ask(index: int, model=model, found=found) -> None:
            found[index] = [model.predict(photographs, threshold=0.3) for _ in range(3)]

        threads = [threading.Thread(target=ask, args=(index,)) for index in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for answers in found.values():
            for answer in answers:
                for mine, theirs in zip(answer, wanted, strict=True):
                    same(mine, theirs)
        assert len(found) == 4
        assert sum(len(result) for result in wanted) > 10


@pytest.mark.parametrize("what", BREAKS)
@pytest.mark.parametrize("beside", ["the original", "what it said"])
def test_what_is_broken_is_caught_and_its_stage_is_named(made, what, beside, tmp_path):
    kind, stage, change = BREAKS[what]
    folder = broken(made[kind].folder, tmp_path / "broken", change)
    original = made[kind].side if beside == "the original" else None
    with pytest.raises(ExportError) as error:
        verify(folder, original=original)
    assert error.value.stage == stage


def test_what_is_whole_is_verified_with_the_original_and_without(made):
    for kind in WRITERS:
        for original in (made[kind].side, None):
            found = verify(made[kind].folder, original=original)
            assert found.is_decided
            assert found.latency > 0


def test_a_foreign_onnx_file_is_compared_with_the_model_it_is_said_to_come_from(made, tmp_path):
    file = tmp_path / "theirs.onnx"
    model = onnx.load(made["classifier"].folder / "model.onnx")
    for value in model.graph.input:  # names of their own
        for node in model.graph.node:
            node.input[:] = ["images" if name == value.name else name for name in node.input]
        value.name = "images"
    onnx.save(model, file)
    assert verify_foreign(file, made["classifier"].side).is_decided
    other = broken(
        made["classifier"].folder, tmp_path / "b", BREAKS["one layer changed by one percent"][2]
    )
    with pytest.raises(ExportError) as error:
        verify_foreign(other / "model.onnx", made["classifier"].side)
    assert error.value.stage == "graph"
    with pytest.raises(ExportError, match="another network"):
        verify_foreign(file, made["detector"].side)


def test_a_failed_export_is_not_handed_over_but_can_be_kept(made, tmp_path, monkeypatch):
    monkeypatch.setattr("pvzoo.export.certificate.SHARE", -1.0)  # nothing is that close
    with pytest.raises(ExportError) as error:
        made["classifier"].model.export(tmp_path / "new", keep_failed=tmp_path / "failed")
    assert error.value.stage == "graph"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["failed"]
    assert (tmp_path / "failed" / "model.onnx").is_file()


def test_an_exported_model_is_not_trained_and_says_what_to_load(made, tmp_path):
    exported = pvzoo.load(made["classifier"].folder)
    with pytest.raises(PvzooError, match="original"):
        exported.fine_tune(tmp_path, epochs=1, output_dir=tmp_path / "run")
    with pytest.raises(PvzooError, match="original"):
        exported.save(tmp_path / "new")
    with pytest.raises(PvzooError, match="original"):
        exported.export(tmp_path / "new")


def test_options_of_exported_models_are_refused_with_a_reason(made, tmp_path):
    folder = made["classifier"].folder
    with pytest.raises(PvzooError, match="has cpu"):
        pvzoo.load(folder, device="cuda")
    with pytest.raises(PvzooError, match="whole number"):
        pvzoo.load(folder, threads=0)
    with pytest.raises(PvzooError, match="dtype does not apply"):
        pvzoo.load(folder, dtype="float16")
    with pytest.raises(PvzooError, match="device_map does not apply"):
        pvzoo.load(folder, device_map="auto")
    with pytest.raises(PvzooError, match="cannot run such files"):
        pvzoo.load(folder, runtime="torch")
    with pytest.raises(PvzooError, match="exported for image-classification"):
        pvzoo.load(folder, task="detection")
    with pytest.raises(PvzooError, match="not an exported model"):
        pvzoo.load(folder.parent / "original", threads=2)
    with pytest.raises(PvzooError, match=r"model\.export"):
        pvzoo.load(folder.parent / "original", runtime="onnxruntime")
    with pytest.raises(PvzooError, match="cannot run exported files"):
        made["classifier"].model.export(tmp_path / "new", runtime="numpy")
    assert pvzoo.load(folder, threads=1).predict(np.zeros((50, 60, 3), np.uint8)).names


def test_an_export_on_the_hub_loads_and_needs_no_other_file(made, tmp_path, monkeypatch, hub):
    folder = made["classifier"].folder
    contents = {path.name: path.read_bytes() for path in folder.iterdir()}
    hub.add_repo("me/exported", contents | {"big.bin": b"not asked for"})
    model = pvzoo.load("me/exported")
    image = np.random.default_rng(0).integers(0, 256, (90, 70, 3), dtype=np.uint8)
    same(model.predict(image), pvzoo.load(folder).predict(image))
    assert not [r for r in hub.requests if "big.bin" in r.path and r.method == "GET"]
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    same(pvzoo.load("me/exported").predict(image), model.predict(image))


def test_a_certificate_from_elsewhere_is_said_to_be_somebodys_word(made, tmp_path, monkeypatch):
    folder = made["classifier"].folder
    assert dict(about.lines(folder, "it"))["proven here"] == "yes"
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))  # as on another machine
    assert "comes from the person" in dict(about.lines(folder, "it"))["proven here"]
    with pytest.warns(PvzooWarning, match="pvzoo verify"):
        pvzoo.load(folder)
    verify(folder)
    assert dict(about.lines(folder, "it"))["proven here"] == "yes"
    pvzoo.load(folder)  # a warning would be an error here


def test_info_of_an_export_says_what_it_is_and_what_its_certificate_is_worth(made, tmp_path):
    from test_cli import run

    folder = made["detector"].folder
    done = run("info", folder)
    assert done.returncode == 0, done.stderr
    for text in ("object-detection", "onnxruntime", "certified: 13 images", "yes"):
        assert text in done.stdout
    done = run("info", folder, XDG_STATE_HOME=str(tmp_path))
    assert "pvzoo verify" in " ".join(done.stdout.split())
    told = json.loads(run("info", folder, "--json").stdout)
    assert told["certificate"]["verdict"] == "certified"


# --- folders from strangers -----------------------------------------------------------------------


def _told(folder: Path) -> dict:
    return json.loads((folder / manifest.NAME).read_text())


def _tell(folder: Path, told: object) -> None:
    (folder / manifest.NAME).write_text(json.dumps(told))


def _link(folder: Path) -> None:
    (folder / "model.onnx").rename(folder / "elsewhere")
    (folder / "model.onnx").symlink_to(folder / "elsewhere")


def _parent(folder: Path) -> None:
    told = _told(folder)
    told["files"]["../model.onnx"] = told["files"].pop("model.onnx")
    told["graphs"]["model"]["file"] = "../model.onnx"
    _tell(folder, told)


def _unlisted(folder: Path) -> None:
    told = _told(folder)
    told["graphs"]["model"]["file"] = "config.yaml"
    _tell(folder, told)


def _external(index: str):
    def change(folder: Path) -> None:
        model = onnx.load(folder / "model.onnx")
        onnx.save(
            model,
            folder / "model.onnx",
            save_as_external_data=True,
            location="weights.bin",
            size_threshold=1024,
        )
        text = (folder / "model.onnx").read_bytes()
        assert references(folder / "model.onnx")[0] == {"weights.bin"}
        (folder / "model.onnx").write_bytes(text.replace(b"weights.bin", index.encode()))
        told = _told(folder)
        told["files"] = manifest.stated(folder, [*told["files"]])
        _tell(folder, told)

    return change


def _foreign_operator(folder: Path) -> None:
    model = onnx.load(folder / "model.onnx")
    model.graph.node[0].domain = "evil.library"
    onnx.save(model, folder / "model.onnx")
    told = _told(folder)
    told["files"] = manifest.stated(folder, [*told["files"]])
    _tell(folder, told)


def _huge_step(folder: Path) -> None:
    told = _told(folder)
    next(s for s in told["spec"]["steps"] if "size" in s)["size"] = [10**9, 10**9]
    _tell(folder, told)


def _swapped(folder: Path) -> None:
    data = bytearray((folder / "model.onnx").read_bytes())
    data[-100] ^= 1
    (folder / "model.onnx").write_bytes(bytes(data))


def _cut(folder: Path) -> None:
    data = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(data[: len(data) // 2])


def _cut_and_described(folder: Path) -> None:
    _cut(folder)
    told = _told(folder)
    told["files"] = manifest.stated(folder, [*told["files"]])
    _tell(folder, told)


def _edit(**changes: object):
    def change(folder: Path) -> None:
        _tell(folder, {**_told(folder), **changes})

    return change


def _text(text: str):
    def change(folder: Path) -> None:
        (folder / manifest.NAME).write_text(text)

    return change


HOSTILE = {
    "a link": _link,
    "a file in the folder above": _parent,
    "a file that is not listed": _unlisted,
    "weights in the folder above": _external("../ghts.bin"),
    "weights at the root": _external("/etc/hosts"),
    "operators of a library": _foreign_operator,
    "a huge step": _huge_step,
    "a file of one other bit": _swapped,
    "a file that was cut short": _cut,
    "a file that was cut short before it was described": _cut_and_described,
    "no file": lambda folder: (folder / "model.onnx").unlink(),
    "another version": _edit(pvzoo_export=2),
    "no graphs": _edit(graphs={}),
    "graphs that are a list": _edit(graphs=[1]),
    "a spec that is none": _edit(spec={"adapter": "timm"}),
    "an adapter that nobody brings": lambda folder: _tell(
        folder, {**_told(folder), "spec": {**_told(folder)["spec"], "adapter": "nobody"}}
    ),
    "a runtime that nobody brings": _edit(runtime="nobody"),
    "a family that only code of others can read": lambda folder: _tell(
        folder,
        {
            **_told(folder),
            "spec": {
                **_told(folder)["spec"],
                "adapter": "transformers-detection",
                "task": "object-detection",
                "family": "unheard-of",
                "extra": {"processor": {"image_processor_type": "AutoTokenizer"}},
            },
        },
    ),
    "no JSON": _text("{"),
    "nested JSON": _text("[" * 100_000),
    "a list": _text("[]"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_folder_from_a_stranger_is_refused_with_a_sentence(made, what, tmp_path):
    folder = tmp_path / "export"
    shutil.copytree(made["classifier"].folder, folder)
    HOSTILE[what](folder)
    with pytest.raises(PvzooError) as error:
        pvzoo.load(folder)
    assert len(str(error.value)) < 600
    assert "\n" not in str(error.value)


def test_external_data_beside_the_file_is_read(made, tmp_path):
    folder = tmp_path / "export"
    shutil.copytree(made["classifier"].folder, folder)
    model = onnx.load(folder / "model.onnx")
    (folder / "model.onnx").unlink()
    onnx.save(
        model,
        folder / "model.onnx",
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=1024,
    )
    told = _told(folder)
    told["files"] = manifest.stated(folder, [*told["files"], "weights.bin"])
    _tell(folder, told)
    assert verify(folder).is_decided


def test_weights_that_are_no_file_of_the_manifest_are_refused(made, tmp_path):
    folder = tmp_path / "export"
    shutil.copytree(made["classifier"].folder, folder)
    model = onnx.load(folder / "model.onnx")
    (folder / "model.onnx").unlink()
    onnx.save(
        model,
        folder / "model.onnx",
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=1024,
    )
    told = _told(folder)
    told["files"] = manifest.stated(folder, [*told["files"]])
    _tell(folder, told)
    with pytest.raises(WeightsError, match=r"weights\.bin"):
        pvzoo.load(folder)


def test_the_command_line_exports_and_verifies(made, tmp_path, photographs):
    from test_cli import run

    original = made["classifier"].folder.parent / "original"
    done = run("export", original, tmp_path / "new", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["verdict"] == "certified"
    done = run("verify", tmp_path / "new", "--model", original)
    assert done.returncode == 0, done.stderr
    assert "certified" in done.stdout
    done = run("predict", photographs[0], "-m", tmp_path / "new", "--json")
    assert done.returncode == 0, done.stderr
    mine = json.loads(done.stdout)["predictions"]
    theirs = made["classifier"].model.predict(photographs[0]).to_dict()["predictions"]
    assert [row["name"] for row in mine] == [row["name"] for row in theirs]
    done = run("verify", tmp_path / "new" / "model.onnx")
    assert done.returncode == 2
    assert "--model" in done.stderr
    assert os.listdir(tmp_path) == ["new"]


def test_nothing_is_left_where_the_folder_is_taken(made, tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "mine").write_text("kept")
    with pytest.raises(PvzooError, match="not empty"):
        made["classifier"].model.export(tmp_path / "new")
    assert os.listdir(tmp_path) == ["new"]


def test_labelled_data_is_measured_with_both(made, tmp_path):
    for index, name in enumerate(made["classifier"].model.labels[:4]):
        (tmp_path / "data" / name).mkdir(parents=True)
        pixels = np.random.default_rng(index).integers(0, 256, (64, 80, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "data" / name / "a.png")
    found = made["classifier"].model.export(tmp_path / "new", data=tmp_path / "data")
    assert found.images == len(reference.images()) + 4
    assert found.metric
    assert all(mine == pytest.approx(theirs) for mine, theirs in found.metric.values())


def test_the_images_of_the_data_are_the_reference_for_drift(made, tmp_path):
    images = []
    for index in range(30):
        pixels = np.full((64, 80, 3), 8 * index, np.uint8)
        (tmp_path / "data").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "data" / f"{index:02}.png")
        images.append(Image.fromarray(pixels))
    made["classifier"].model.export(tmp_path / "new", data=tmp_path / "data")
    reference = manifest.read(tmp_path / "new", "new").reference
    assert reference["images"] == 30
    assert reference["values"]["brightness"] == [8.0 * index for index in range(30)]
    scores = sorted(r.scores.max() for r in pvzoo.load(tmp_path / "new").predict(images))
    assert reference["values"]["score"] == pytest.approx(scores, abs=1e-4)


@pytest.mark.parametrize(
    ("pixels", "covered", "faults"), [(0, 1, 0), (2, 1, 0), (3, 1, 1), (8, 4, 0), (9, 4, 1)]
)
def test_two_input_pixels_of_a_small_mask_may_depend_on_rounding(pixels, covered, faults):
    square = np.zeros((40, 40), np.uint8, order="F")
    square[10:20, 10:20] = 1
    other = square.copy(order="F")
    other[10, 10 : 10 + pixels] = 0
    one, two = (
        Reading("Instances", (40, 40), (Row(0, "a", 0.9, mask=encode(m)["counts"]),), {})
        for m in (square, other)
    )
    tally = Tally()
    compare(one, two, tally, "a.png", pixel=covered)
    assert len(tally.faults) == faults
    assert tally.worst["mask IoU"] == 1 - pixels / 100


def test_a_runtime_of_a_plugin_that_answers_wrongly_breaks_its_rule(monkeypatch):
    from pvzoo.runtimes.onnxruntime import OnnxRuntime
    from pvzoo.testing import InstalledPlugin, judge
    from pvzoo.testing.plugin_rules import runtimes_answer_as_pytorch

    right = OnnxRuntime.__call__

    def a_little_too_large(self, name, inputs):
        return {key: value * 1.01 for key, value in right(self, name, inputs).items()}

    monkeypatch.setattr(OnnxRuntime, "__call__", a_little_too_large)
    verdict = judge(runtimes_answer_as_pytorch, InstalledPlugin("pvzoo"))
    assert verdict.state == "broken"
    assert "onnxruntime, graph" in verdict.detail


def test_the_default_model_is_answered_by_its_export_once_there_is_one(photographs, tmp_path):
    from test_cli import run

    home = {"XDG_DATA_HOME": str(tmp_path)}
    before = run("predict", photographs[0], "--json", **home)
    done = run("export", "efficientnet-lite0-pip", **home)
    assert done.returncode == 0, done.stderr
    code = (
        "import sys; from pvzoo.cli import app; "
        f"sys.argv = ['pvzoo', 'predict', {str(photographs[0])!r}, '--json']\n"
        "try: app()\nexcept SystemExit: pass\n"
        "sys.stderr.write(repr('torch' in sys.modules))"
    )
    after = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **home}
    )
    assert "the export of efficientnet-lite0-pip" in after.stderr
    assert after.stderr.endswith("False")
    mine, theirs = (json.loads(d.stdout)["predictions"] for d in (after, before))
    assert [row["name"] for row in mine] == [row["name"] for row in theirs]
    again = run("export", "efficientnet-lite0-pip", **home)
    assert again.returncode == 2
    assert "already" in again.stderr
    named = run("predict", photographs[0], "--model", "efficientnet-lite0-pip", **home)
    assert "export" not in named.stderr
