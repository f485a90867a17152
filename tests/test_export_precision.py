"""Exports in a lower precision: measured on labelled images, and refused where they lose."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import datasets
import numpy as np
import pytest
from exports import write_classifier
from PIL import Image

import pvzoo
from pvzoo.errors import ExportError, UsageError
from pvzoo.export import about, manifest
from pvzoo.export.ladder import Ladder, Trial, images_needed
from pvzoo.export.precision import _judged, split_data
from pvzoo.export.verify import verify
from pvzoo.metrics.base import Evaluation
from pvzoo.metrics.bootstrap import Means
from pvzoo.plugins import registry
from pvzoo.runtimes.onnxruntime import OnnxRuntime
from pvzoo.tasks.image_classification import ImageClassification

onnx = pytest.importorskip("onnx", reason="the extra export is not installed")
numpy_helper = pytest.importorskip("onnx.numpy_helper")

COUNT = 40


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classifier")
    write_classifier(folder)
    return pvzoo.load(folder, device="cpu")


@pytest.fixture(scope="module")
def data(model) -> datasets.Dataset:
    """Drawn images, each with the class that the model in float32 gives it."""
    random = np.random.default_rng(3)
    images = [
        Image.fromarray(random.integers(0, 256, (6, 7, 3), np.uint8)).resize((90, 70))
        for _ in range(COUNT)
    ]
    found = [int(result.labels[0]) for result in model.predict(images, top_k=1)]
    features = datasets.Features(
        image=datasets.Image(), label=datasets.ClassLabel(names=list(model.labels))
    )
    return datasets.Dataset.from_dict({"image": images, "label": found}, features=features)


def broken_runtime(monkeypatch, lower) -> None:
    """Let exports for the runtime "broken" be lowered by a function (file, result)."""

    class Broken(OnnxRuntime):
        @classmethod
        def rungs(cls, precision: str) -> tuple[str, ...]:
            return ("everything",)

        @classmethod
        def lower(cls, file, result, *rest):
            lower(file, result)
            return frozenset({"a layer"})

    own = registry.get
    monkeypatch.setattr(
        registry, "get", lambda kind, name: Broken if name == "broken" else own(kind, name)
    )


@pytest.mark.parametrize(
    "runtime", ["onnxruntime", pytest.param("openvino", marks=pytest.mark.slow)]
)
def test_int8_is_measured_and_loads_like_any_export(model, data, tmp_path, runtime):
    calibrates, measures = split_data(data, ImageClassification())
    splits = datasets.DatasetDict({"train": calibrates, "validation": measures})
    certificate = model.export(
        tmp_path / "e",
        runtime=runtime,
        precision="int8",
        data=splits,
        max_loss=1,
        allow_slower=True,
    )
    ladder = certificate.ladder
    assert (ladder.calibration, ladder.images) == (COUNT // 2, COUNT - COUNT // 2)
    assert ladder.fp32 == 1.0  # the labels are its own
    assert ladder.taken.upper <= 1
    assert ladder.taken.bytes < ladder.bytes
    told = manifest.read(tmp_path / "e", "e")
    assert told.precision == "int8"
    assert [t["rung"] for t in told.certificate["precision"]["trials"]] == [
        t.rung for t in ladder.trials
    ]
    loaded = pvzoo.load(tmp_path / "e")
    assert loaded.evaluate(measures)["top1"] == pytest.approx(ladder.taken.metric)
    assert verify(tmp_path / "e").is_decided  # it answers as it did at export
    told = dict(about.lines(tmp_path / "e", "e"))["certificate"]
    assert (
        f"in fp32; int8 has top1 {ladder.taken.metric:.4f}, {ladder.taken.loss:.4f} below" in told
    )


def test_thresholds_are_chosen_again_at_the_new_precision(model, data, tmp_path):
    sure = model.tune_thresholds(data, target={"accuracy": 0.9})
    sure.export(tmp_path / "e", precision="fp16", data=data, max_loss=1)
    loaded = pvzoo.load(tmp_path / "e")
    assert loaded.thresholds.target == {"accuracy": 0.9}
    assert loaded.thresholds.fitted_with["precision"] == "fp16"
    assert loaded.thresholds.data != sure.thresholds.data  # half of the images, those that measure


def test_what_ruins_the_network_is_refused_with_the_table(model, data, tmp_path, monkeypatch):
    def ruin(file: Path, result: Path) -> None:
        graph = onnx.load(file)
        for value in graph.graph.initializer:
            array = numpy_helper.to_array(value)
            if array.dtype == np.float32 and array.ndim > 1:
                value.CopyFrom(numpy_helper.from_array(np.zeros_like(array), value.name))
        onnx.save(graph, result)

    broken_runtime(monkeypatch, ruin)
    with pytest.raises(ExportError, match=r"keeps the loss within 0\.01") as raised:
        model.export(
            tmp_path / "e", runtime="broken", precision="int8", data=data, allow_slower=True
        )
    assert re.search(r"everything .* loses too much", str(raised.value))
    assert raised.value.stage == "precision"
    assert list(tmp_path.iterdir()) == []


def slowed(file: Path, result: Path) -> None:
    """The same network, which computes its first layer some hundred times."""
    graph = onnx.load(file)
    name = graph.graph.input[0].name
    again = [
        node
        for i in range(300)
        for node in (
            onnx.helper.make_node("Neg", [name if not i else f"slow{i}"], [f"minus{i}"]),
            onnx.helper.make_node("Neg", [f"minus{i}"], [f"slow{i + 1}"]),
        )
    ]
    for node in graph.graph.node:
        for index, given in enumerate(node.input):
            if given == name:
                node.input[index] = "slow300"
    for node in reversed(again):
        graph.graph.node.insert(0, node)
    onnx.save(graph, result)


@pytest.mark.slow
def test_what_is_slower_is_written_only_for_another_machine(model, data, tmp_path, monkeypatch):
    import onnxruntime

    plain = onnxruntime.SessionOptions

    def unoptimised() -> onnxruntime.SessionOptions:  # two minus signs would be left out
        options = plain()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        return options

    monkeypatch.setattr(onnxruntime, "SessionOptions", unoptimised)
    broken_runtime(monkeypatch, slowed)
    options = {"runtime": "broken", "precision": "int8", "data": data}
    with pytest.raises(
        ExportError, match=r"(?s)no way is faster than fp32.*allow_slower"
    ) as raised:
        model.export(tmp_path / "e", **options)
    assert "slower than fp32" in str(raised.value)
    found = model.export(tmp_path / "e", **options, allow_slower=True)
    assert found.ladder.taken.speed < 1
    assert found.ladder.taken.loss == 0
    assert "saves size, not time" in str(found)


def test_fp16_has_half_the_size_and_takes_the_same_numbers(model, data, tmp_path):
    plain = model.export(tmp_path / "32")
    half = model.export(tmp_path / "16", precision="fp16", data=data)
    assert half.ladder.taken.bytes < 0.65 * half.ladder.bytes
    assert plain.ladder is None
    image = data[0]["image"]
    mine, theirs = (pvzoo.load(tmp_path / name).predict(image) for name in ("32", "16"))
    assert mine.names[0] == theirs.names[0]
    assert np.allclose(mine.scores, theirs.scores, atol=0.01)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"precision": "int4"}, "'int4' is not a precision.*fp32, fp16, int8"),
        ({"precision": "int8"}, "there are none.*data="),
        ({"precision": "int8", "data": "images", "max_loss": -1}, "max_loss is -1"),
        ({"precision": "int8", "data": "images", "max_loss": float("nan")}, "max_loss is nan"),
    ],
)
def test_what_cannot_be_lowered_is_refused_before_the_export(model, tmp_path, options, says):
    with pytest.raises(UsageError, match=says):
        model.export(tmp_path / "e", **options)
    assert list(tmp_path.iterdir()) == []


def test_no_image_both_calibrates_and_measures(data):
    first, second = split_data(data, ImageClassification())
    assert len(first) + len(second) == COUNT
    seen = [np.asarray(image).tobytes() for split in (first, second) for image in split["image"]]
    assert len(set(seen)) == COUNT
    splits = datasets.DatasetDict({"train": second, "test": first})
    assert [len(s) for s in split_data(splits, ImageClassification())] == [len(second), len(first)]
    with pytest.raises(UsageError, match="train split"):
        split_data(
            datasets.DatasetDict({"test": first, "validation": second}), ImageClassification()
        )


def evaluation(right: np.ndarray) -> Evaluation:
    kept = Means(np.arange(len(right)), ("top1",), right[:, None].astype(float))
    return Evaluation({"top1": float(right.mean())}, {}, len(right), None, per_image=kept)


def test_too_few_images_are_not_decided_and_the_number_they_need_decides():
    def judged(count: int) -> Trial:
        # of 100 answers 90 are right; at the lower precision three of those are wrong, and one more
        # is right
        number = np.arange(count) % 100
        fp32, lowered = number < 90, (number >= 3) & (number < 91)
        trial = Trial("everything", 1.5, 1)
        return _judged(trial, evaluation(fp32), evaluation(lowered), "top1", 0.03)

    few = judged(200)
    assert few.verdict == "not decided"
    needed = images_needed(Ladder("int8", "top1", 0.9, 1, 0.03, 1, 200, (few,)), few)
    assert 200 < needed < 10_000
    assert judged(3 * needed).verdict == "taken"


@pytest.mark.parametrize(
    "what", ["an export is opened", pytest.param("int8 is written", marks=pytest.mark.slow)]
)
def test_openvino_and_nncf_report_to_nobody(model, data, tmp_path, what):
    """They would send what they are used for, without asking, as soon as they are imported."""
    program = """
import atexit, socket, sys
from pathlib import Path

tried = []
def refuse(*given, **named):
    tried.append(given)
    raise OSError("no network here")
socket.socket.connect = socket.getaddrinfo = refuse
atexit.register(lambda: print("tried", tried))  # after the threads that send have ended

import numpy as np
import pvzoo
pvzoo.load("e").predict(np.zeros((80, 90, 3), np.uint8))
if sys.argv[2:]:
    from pvzoo.runtimes import openvino_precision
    samples = lambda: iter([{sys.argv[2]: np.zeros((1, 3, 160, 160), np.float32)}])
    assert openvino_precision.to_int8(Path(sys.argv[1]), Path("o.xml"), "everything", samples, ())
print("kept", [p.name for p in Path.home().iterdir() if p.name == "intel"])
"""
    model.export(tmp_path / "e", runtime="openvino")
    (graph,) = manifest.read(tmp_path / "e", "e").graphs.values()
    home = tmp_path / "home"
    home.mkdir()
    given = (
        ["-"] if "opened" in what else [str(tmp_path / "e" / graph.file), next(iter(graph.inputs))]
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, *given],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={k: v for k, v in os.environ.items() if k not in ("CI", "NNCF_CI")}
        | {"HOME": str(home)},
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "tried []" in ran.stdout
    assert "kept []" in ran.stdout
