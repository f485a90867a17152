"""Choosing a model by its speed here, from a catalogue of ten architectures, three of them slow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from checkpoints import timm_folder
from forked import run_command as run

import pvzoo
from pvzoo.benchmark import benchmark, latencies
from pvzoo.benchmark.choice import Choice
from pvzoo.benchmark.timing import Times
from pvzoo.catalog.catalogue import refresh
from pvzoo.errors import PvzooError, UsageError

FAST = (
    *("test_resnet", "test_efficientnet", "test_byobnet", "test_nfnet"),
    *("test_convnext", "test_vit", "test_vit2"),
)
SLOW = ("resnet18", "resnet34", "vit_small_patch32_224")

pytestmark = pytest.mark.filterwarnings("ignore:Other programs use this machine")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the catalogue of ten; no weights, nothing but what a card says."""
    home = tmp_path_factory.mktemp("ten")
    cards = ["contract = 2\n"]
    for number, name in enumerate((*SLOW, *FAST)):
        (home / name).mkdir()
        about = {"architecture": name, "num_classes": 1000, "pretrained_cfg": {"num_classes": 1000}}
        (home / name / "config.json").write_text(json.dumps(about))
        cards.append(
            f'[[models]]\nname = "ten-{name.replace("_", "-")}"\ntask = "image-classification"\n'
            f'adapter = "timm"\nsource = {{ path = "{home / name}" }}\n'
            f'license = "{"mit" if number != 4 else "cc-by-nc-4.0"}"\nparams = 1_000_000\n'
            f'metrics = [{{ name = "ten", value = {90 - number} }}]\n'
        )
    (home / "ten.toml").write_text("\n".join(cards))
    return home


@pytest.fixture
def catalogue_of_ten(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("PVZOO_CATALOG", str(home / "ten.toml"))
        patch.setenv("PVZOO_CACHE", str(home / "cache"))
        refresh()
        yield
    refresh()


def choose(**wanted: object) -> Choice:
    return pvzoo.choose(task="classification", metric="ten", min_metric=0, **wanted)


def times(choice: Choice) -> dict[str, float]:
    return {c.name: c.ms for c in (*choice, *choice.fell_out) if c.ms is not None}


@pytest.mark.usefixtures("catalogue_of_ten")
def test_the_best_model_is_the_one_with_the_best_figure_among_those_fast_enough() -> None:
    everyone = choose()
    assert [c.name for c in everyone][:3] == [
        "ten-resnet18",
        "ten-resnet34",
        "ten-vit-small-patch32-224",
    ]
    taken = times(everyone)
    assert len(taken) == 10
    slow = [taken[f"ten-{name.replace('_', '-')}"] for name in SLOW]
    fast = [taken[f"ten-{name.replace('_', '-')}"] for name in FAST]
    assert max(fast) < min(slow)

    limit = (max(fast) * min(slow)) ** 0.5
    choice = choose(max_ms=limit)
    assert choice.best.name == "ten-test-resnet"
    assert [c.name for c in choice] == [f"ten-{name.replace('_', '-')}" for name in FAST]
    out = {c.name: c.why_not for c in choice.fell_out}
    assert out["ten-resnet18"] == f"slower than {limit:g} ms"
    # all others of the task report no such figure, and each is told so
    assert set(out.values()) == {f"slower than {limit:g} ms", "ten is not reported"}
    assert "ten-resnet18" in repr(choice)

    permissive = choose(max_ms=limit, license="permissive")
    assert "ten-test-efficientnet" not in [c.name for c in permissive]
    why = {c.name: c.why_not for c in permissive.fell_out}["ten-test-efficientnet"]
    assert why == "its licence is cc-by-nc-4.0, not permissive"

    assert choose(max_ms=limit, budget_s=0).best.name == "ten-test-resnet"  # times were kept
    with pytest.raises(PvzooError, match="No model meets all conditions"):
        choose(max_ms=1e-6).best  # noqa: B018


@pytest.mark.usefixtures("catalogue_of_ten")
def test_models_for_which_no_time_is_left_are_listed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PVZOO_CACHE", str(tmp_path))
    choice = choose(budget_s=0)
    assert len(choice) == 0
    assert len(choice.not_measured) == 10
    assert {c.why_not for c in choice.not_measured} == {"not measured: no time was left"}


@pytest.mark.usefixtures("catalogue_of_ten")
def test_a_model_that_cannot_be_built_falls_out_and_the_others_are_measured(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = (home / "ten.toml").read_text().replace(str(home / "test_vit"), str(tmp_path / "gone"))
    (tmp_path / "damaged.toml").write_text(text)
    monkeypatch.setenv("PVZOO_CACHE", str(tmp_path))
    monkeypatch.setenv("PVZOO_CATALOG", str(tmp_path / "damaged.toml"))
    monkeypatch.setattr(latencies, "latency", lambda call, most: Times.of([0.001, 0.001]))
    choice = choose()
    assert len(choice) >= 8
    why = {c.name: c.why_not for c in choice.fell_out}["ten-test-vit"]
    assert why.startswith("cannot be measured")


@pytest.mark.usefixtures("catalogue_of_ten")
def test_what_no_card_says_is_refused_with_what_there_is() -> None:
    with pytest.raises(UsageError, match=r"No card .* reports 'tne'"):
        pvzoo.choose(task="classification", metric="tne")
    with pytest.raises(UsageError, match="licence"):
        choose(license="permisive")
    with pytest.raises(UsageError, match="task"):
        pvzoo.choose(task="clasification")


@pytest.mark.usefixtures("catalogue_of_ten")
def test_the_command_line_prints_every_candidate_and_fails_if_none_fits(home: Path) -> None:
    asked = ("choose", "--task", "classification", "--metric", "ten", "--min-metric", "0")
    environment = {"PVZOO_CATALOG": str(home / "ten.toml"), "PVZOO_CACHE": str(home / "cache")}
    done = run(*asked, "--json", **environment)
    assert done.returncode == 0
    assert json.loads(done.stdout)["chosen"][0]["name"] == "user:ten-resnet18"
    done = run(*asked, "--max-ms", "0.000001", **environment)
    assert done.returncode == 1
    assert "slower than 1e-06 ms" in done.stdout


@pytest.mark.slow
def test_the_order_by_speed_is_that_of_a_benchmark(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PVZOO_CATALOG", str(home / "ten.toml"))
    monkeypatch.setenv("PVZOO_CACHE", str(home / "cache"))
    names = (*SLOW, *FAST)
    for name in names:
        timm_folder(tmp_path / name, name)
    taken = times(choose())
    rows = benchmark([tmp_path / name for name in names], runtimes=["torch"], rounds=5)
    measured = [row.batch_1.p50 for row in rows]
    expected = [taken[f"ten-{name.replace('_', '-')}"] for name in names]
    ranks = np.argsort(np.argsort([measured, expected], axis=1), axis=1)
    assert np.corrcoef(ranks)[0, 1] > 0.8
