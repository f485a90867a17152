"""Measuring models in the runtimes of this machine."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import colour_model
import pytest
from checkpoints import timm_folder
from forked import run_command as run

import pvzoo
from pvzoo.benchmark import benchmark, machine, timing
from pvzoo.benchmark.table import HEADINGS
from pvzoo.benchmark.timing import PHOTOGRAPHS, Times, forward, latency
from pvzoo.data import schema
from pvzoo.errors import PvzooError, UsageError

pytestmark = pytest.mark.filterwarnings("ignore:Other programs use this machine")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    timm_folder(folder, "test_resnet")
    return folder


def test_every_runtime_asked_for_has_a_row_with_all_its_figures(tiny: Path) -> None:
    steps: list[tuple[int, int]] = []
    found = benchmark(
        tiny,
        runtimes=["torch", "torch-channels-last", "onnxruntime"],
        rounds=2,
        progress=lambda done, total: steps.append((done, total)),
    )
    assert [row.runtime for row in found] == ["torch", "torch-channels-last", "onnxruntime"]
    for row in found:
        assert not row.error
        assert 0 < row.batch_1.p50 <= row.batch_1.p95
        assert row.batch_8.p50 > row.batch_1.p50 / 2
        assert row.images_per_s_low <= row.images_per_s <= row.images_per_s_high
        assert row.memory > 50e6  # a process with numpy and a runtime
    torch, _, onnx = found
    assert onnx.memory < torch.memory
    # 0.47 M weights of four bytes; the export has its manifest and references beside it
    assert torch.disk == pytest.approx(4 * 470_000, rel=0.1)
    assert onnx.disk > torch.disk
    assert steps[-1][0] == steps[-1][1]

    said = json.loads(found.to_json())
    assert said["machine"]["cpus"] >= 1
    assert said["rows"][0]["batch_1_p50_ms"] == torch.batch_1.p50
    lines = list(csv.DictReader(io.StringIO(found.to_csv())))
    assert [line["runtime"] for line in lines] == [row.runtime for row in found]
    assert float(lines[2]["images_per_s"]) == onnx.images_per_s
    for heading in HEADINGS:
        assert heading in repr(found)
        assert heading in found._repr_html_()


@pytest.fixture
def photos(tmp_path: Path, photographs: dict[str, Path]) -> Path:
    """Labelled photographs in folders of their classes, of which EfficientNet-Lite0 knows most."""
    shown = {"coffee": "espresso", "rocket": "missile", "china": "palace", "flower": "daisy"}
    for name, label in shown.items():
        folder = tmp_path / "photos" / label
        folder.mkdir(parents=True)
        for number in range(2):
            shutil.copy(photographs[name], folder / f"{number}{photographs[name].suffix}")
    return tmp_path / "photos"


def test_with_labelled_data_a_row_has_the_main_metric_and_its_interval(
    photos: Path, lite0: pvzoo.Model[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pvzoo.benchmark.run._peak_memory", lambda *_: None)
    (row,) = benchmark("efficientnet-lite0-pip", runtimes=["torch"], rounds=1, data=photos)
    name, value, low, high = row.metric
    assert name == "top1"
    assert value == lite0.evaluate(photos)[name]
    assert low <= value <= high
    assert low < high
    assert row.cells[-1].startswith(f"top1 {value:.4f} (")


def test_a_model_that_fails_has_the_reason_in_its_row_and_the_others_are_measured(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pvzoo.benchmark.run._peak_memory", lambda *_: None)
    found = benchmark([tiny, "no-such-folder/model"], runtimes=["torch"], rounds=1)
    good, bad = found
    assert not good.error
    assert "no-such-folder" in bad.error
    assert bad.error in repr(found)
    assert bad.to_dict()["images_per_s"] is None
    with pytest.raises(PvzooError, match="cannot be measured"):
        benchmark("no-such-folder/model", runtimes=["torch"])


def test_what_cannot_be_asked_for_is_refused() -> None:
    with pytest.raises(UsageError, match="torch-channels-last"):
        benchmark("efficientnet-lite0-pip", runtimes=["torch-channel-last"])
    with pytest.raises(UsageError, match="0 models"):
        benchmark([])
    with pytest.raises(UsageError, match="0 rounds"):
        benchmark("efficientnet-lite0-pip", rounds=0)


def test_other_programs_that_take_the_machine_are_warned_of() -> None:
    with pytest.warns(pvzoo.PvzooWarning, match=r"load 99\.0"):
        machine.warn_if_busy(99.0)
    machine.warn_if_busy(0.0)
    machine.warn_if_busy(None)


def test_a_slow_call_is_measured_once_and_a_fast_one_several_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [0.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock[0])

    def call(seconds: float) -> None:
        clock[0] += seconds

    assert latency(lambda: call(0.5), most_ms=100).calls == 1
    assert latency(lambda: call(0.2), most_ms=100).calls == 5
    found = latency(lambda: call(0.001), most_ms=100)
    assert found.calls == timing.CALLS
    assert found.p50 == pytest.approx(1)


def test_half_of_the_calls_are_faster_than_p50_and_nineteen_of_twenty_than_p95() -> None:
    found = Times.of([number / 1000 for number in range(1, 101)])
    assert found.p50 == pytest.approx(50.5)
    assert found.p95 == pytest.approx(95.05)


def test_a_forward_pass_is_one_of_a_photograph_as_the_model_prepares_it(lite0) -> None:
    outputs = forward(lite0, 3)()
    expected = lite0.predict(PHOTOGRAPHS[0], probabilities=True).probabilities
    assert len(outputs["logits"]) == 3
    assert outputs["logits"][1].argmax() == expected.argmax()


@pytest.mark.slow
def test_a_model_that_computes_without_a_network_is_measured_in_its_own_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pvzoo.benchmark.run._peak_memory", lambda *_: None)
    (row,) = benchmark("face-cascade", rounds=1)
    assert not row.error
    assert row.disk == 0


@pytest.mark.slow
def test_the_command_line_writes_a_table_and_a_csv_file(tiny: Path, tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    done = run("benchmark", tiny, "--runtime", "torch", "--rounds", "1", "--csv", file)
    assert done.returncode == 0
    assert "images/s" in done.stdout
    assert str(tiny) in done.stdout
    assert file.read_text().count("\n") == 2


# --- comparing two models on data -----------------------------------------------------------------


def test_the_command_line_says_which_model_is_better_or_that_it_is_not_decided(
    photos: Path,
) -> None:
    asked = ("compare", "efficientnet-lite0-pip", "efficientnet-lite1-pip", "--data", photos)
    done = run(*asked, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["top1"]
    assert found["images"] == 8
    assert found["difference"] == pytest.approx(found["b"] - found["a"])
    done = run(*asked)
    assert re.search(r"top1 .* (is better|not decided|no difference)", done.stdout)
    assert "8 images" in done.stdout


def test_a_model_with_planted_mistakes_is_found_to_be_worse(tmp_path: Path) -> None:
    data = colour_model.dataset(schema.DETECTION, tmp_path, 60)
    good = colour_model.model(schema.DETECTION).evaluate(data)
    red_and_green_swapped = ("background", "green", "red", "blue")
    bad = colour_model.model(schema.DETECTION, red_and_green_swapped).evaluate(data)
    found = good.compare(bad)
    assert found["map"].better == "a"
    assert found["map"].value == pytest.approx(bad["map"] - good["map"])
    assert found["map"].high < 0
