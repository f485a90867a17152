"""`pvzoo.load` from folders and installed packages: every writer's format, and what is refused."""

from __future__ import annotations

import hashlib
import importlib
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoints import as_pickle, timm_folder, transformers_folder
from PIL import Image

import pvzoo
from pvzoo.catalog import catalogue
from pvzoo.errors import (
    ModelNotFoundError,
    UnsupportedModelError,
    UsageError,
    WeightsError,
)

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8))


@pytest.fixture(autouse=True)
def _no_network(hub):
    """An empty Hub: whatever is asked of it is an error."""
    yield
    assert not hub.requests


def scores(name: str | Path, **options) -> np.ndarray:
    model = pvzoo.load(name, device="cpu", **options)
    return model.predict(NOISE, probabilities=True).probabilities


def edit(folder: Path, **changes: object) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


# -- how a folder is named -------------------------------------------------------------------------


def test_a_folder_is_named_by_path_by_form_or_by_being_there(tmp_path, monkeypatch):
    transformers_folder(tmp_path / "runs" / "mine", "vit")
    transformers_folder(tmp_path / "bare", "vit")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in (
        Path("runs/mine"),
        Path("bare"),
        "bare",
        "bare/",
        "./bare",
        "runs/mine",
        "runs/mine/",
        "~/runs/mine",
        str(tmp_path / "bare"),
    ):
        assert pvzoo.load(name).labels == ("ant", "bee", "cat"), name


def test_a_catalogue_name_wins_over_a_folder_of_that_name(tmp_path, monkeypatch):
    transformers_folder(tmp_path / "efficientnet-lite0-pip", "vit")
    monkeypatch.chdir(tmp_path)
    assert len(pvzoo.load("efficientnet-lite0-pip").labels) == 1000
    assert len(pvzoo.load("./efficientnet-lite0-pip").labels) == 3


@pytest.mark.parametrize("name", ["./absent", "/absent/folder", "~/absent", Path("absent")])
def test_a_missing_folder_is_named(name):
    with pytest.raises(ModelNotFoundError, match=r"no folder .*absent"):
        pvzoo.load(name)


@pytest.mark.parametrize("name", ["./runs/cels", "/nowhere/at/all", Path("runs/cels")])
def test_a_missing_folder_is_told_with_where_here_is_and_what_may_have_been_meant(
    tmp_path, monkeypatch, name
):
    (tmp_path / "runs" / "cells").mkdir(parents=True)
    (tmp_path / "runs" / "cells.txt").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelNotFoundError, match=r"no folder .* \(here is ") as caught:
        pvzoo.load(name)
    assert str(tmp_path) in caught.value.what
    wanted = "Did you mean 'runs/cells'?" if "runs" in str(name) else ""
    assert caught.value.hint == wanted


def test_a_file_in_the_place_of_a_folder_is_told(tmp_path):
    transformers_folder(tmp_path / "m", "vit")
    with pytest.raises(ModelNotFoundError, match=r"model\.safetensors is a file, not a folder"):
        pvzoo.load(tmp_path / "m" / "model.safetensors")


@pytest.mark.parametrize("name", ["", 3])
def test_a_value_that_is_not_a_name_is_refused(name):
    with pytest.raises(UsageError, match="not a model name"):
        pvzoo.load(name)


def test_without_a_name_the_default_model_of_the_task_is_loaded():
    assert pvzoo.load(task="detection", device="cpu").name == "shapes-detector"
    with pytest.raises(UsageError, match=r"Neither a model nor a task.*task='detection'"):
        pvzoo.load()
    with pytest.raises(UsageError, match="several tasks"):
        pvzoo.load(task="segmentation")


def test_folders_and_packages_have_no_revision(tmp_path):
    transformers_folder(tmp_path / "m", "vit")
    for name in (tmp_path / "m", "efficientnet-lite0-pip"):
        with pytest.raises(UsageError, match="no revision 'v1'"):
            pvzoo.load(name, revision="v1")


def test_an_empty_folder_and_one_without_weights_are_told_apart(tmp_path):
    with pytest.raises(UnsupportedModelError, match=r"no config\.json"):
        pvzoo.load(tmp_path)
    transformers_folder(tmp_path / "m", "vit")
    (tmp_path / "m" / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match="no weights"):
        pvzoo.load(tmp_path / "m")


# -- formats ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("safe", [True, False])
@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_a_folder_written_by_timm_equals_timm_opening_it(tmp_path, name, safe):
    import timm

    module = timm_folder(tmp_path / "m", name, safe=safe, num_classes=7)
    assert json.loads((tmp_path / "m/config.json").read_text())["model_args"]["num_classes"] == 7
    theirs = timm.create_model(f"local-dir:{tmp_path / 'm'}", pretrained=True).eval()
    transform = timm.data.create_transform(
        **timm.data.resolve_model_data_config(theirs), is_training=False
    )
    with torch.inference_mode():
        pixels = transform(NOISE)[None]
        expected = theirs(pixels).softmax(-1)[0].numpy()
        np.testing.assert_array_equal(module(pixels).softmax(-1)[0].numpy(), expected)
    np.testing.assert_allclose(scores(tmp_path / "m"), expected, rtol=0, atol=1e-6)


def test_arguments_of_the_network_that_timm_wrote_are_honoured(tmp_path):
    import timm

    arguments = {"img_size": 96, "depth": 2, "class_token": False, "global_pool": "avg"}
    timm_folder(tmp_path / "m", "vit_tiny_patch16_224", num_classes=5, **arguments)
    theirs = timm.create_model(f"local-dir:{tmp_path / 'm'}", pretrained=True).eval()
    data = timm.data.resolve_model_data_config(theirs)
    assert data["input_size"] == (3, 96, 96)
    with torch.inference_mode():
        pixels = timm.data.create_transform(**data, is_training=False)(NOISE)[None]
        expected = theirs(pixels).softmax(-1)[0].numpy()
    np.testing.assert_allclose(scores(tmp_path / "m"), expected, rtol=0, atol=1e-6)


def test_timms_first_flat_config_format_is_read_as_timm_reads_it(tmp_path):
    import timm

    timm_folder(tmp_path / "m", "test_resnet", num_classes=3)
    config = json.loads((tmp_path / "m/config.json").read_text())
    flat = config["pretrained_cfg"] | {
        "architecture": "test_resnet",
        "num_classes": 3,
        "labels": ["x", "y", "z"],
        "crop_pct": 0.6,
        "mean": [0.1, 0.2, 0.3],
    }
    (tmp_path / "m/config.json").write_text(json.dumps(flat))
    theirs = timm.create_model(f"local-dir:{tmp_path / 'm'}", pretrained=True).eval()
    data = timm.data.resolve_model_data_config(theirs)
    assert data["crop_pct"] == 0.6
    with torch.inference_mode():
        pixels = timm.data.create_transform(**data, is_training=False)(NOISE)[None]
        expected = theirs(pixels).softmax(-1)[0].numpy()
    np.testing.assert_allclose(scores(tmp_path / "m"), expected, rtol=0, atol=1e-6)
    assert pvzoo.load(tmp_path / "m").labels == ("x", "y", "z")


def test_a_folder_written_by_transformers_timm_wrapper_opens(tmp_path):
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    timm_folder(tmp_path / "timm", "test_resnet")
    edit(tmp_path / "timm", model_args=None)  # transformers 5 fails on the num_classes in there
    wrapper = AutoModelForImageClassification.from_pretrained(tmp_path / "timm").eval()
    wrapper.save_pretrained(tmp_path / "wrapped")
    config = json.loads((tmp_path / "wrapped/config.json").read_text())
    assert config["model_type"] == "timm_wrapper"
    assert config["model_args"] is None
    pixels = AutoImageProcessor.from_pretrained(tmp_path / "timm")(NOISE, return_tensors="pt")
    with torch.inference_mode():
        expected = wrapper(**pixels).logits.softmax(-1)[0].numpy()
    np.testing.assert_allclose(scores(tmp_path / "wrapped"), expected, atol=1e-6)
    assert pvzoo.load(tmp_path / "wrapped").labels == tuple(wrapper.config.id2label.values())


def test_labels_that_the_wrapper_left_behind_are_not_believed(tmp_path):
    from transformers import AutoModelForImageClassification

    names = [f"old {i}" for i in range(5)]
    timm_folder(tmp_path / "timm", "test_resnet", num_classes=5, config={"label_names": names})
    edit(tmp_path / "timm", model_args=None)  # as above
    assert pvzoo.load(tmp_path / "timm").labels == tuple(names)
    AutoModelForImageClassification.from_pretrained(
        tmp_path / "timm", num_labels=2, ignore_mismatched_sizes=True
    ).save_pretrained(tmp_path / "tuned")
    stale = json.loads((tmp_path / "tuned/config.json").read_text())
    assert (len(stale["label_names"]), stale["num_classes"]) == (5, 2)
    assert pvzoo.load(tmp_path / "tuned").labels == ("class 0", "class 1")


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"label_names": ["n1", "n2", "n3"]}, ("n1", "n2", "n3")),
        (
            {"label_names": ["n1", "n2", "n3"], "label_descriptions": {"n1": "ant", "n3": "cat"}},
            ("ant", "n2", "cat"),
        ),
        ({"label_names": {"0": "ant", "2": "cat"}}, ("ant", "class 1", "cat")),
        ({"label_names": {"1": "ant", "2": "bee", "3": "cat"}}, ("ant", "bee", "cat")),
        ({"label_names": {"0": "ant", "7": "cat"}}, ("class 0", "class 1", "class 2")),
        ({}, ("class 0", "class 1", "class 2")),
    ],
)
def test_timm_labels_come_from_the_config(tmp_path, labels, expected):
    timm_folder(tmp_path / "m", "test_resnet", num_classes=3, config=labels)
    assert pvzoo.load(tmp_path / "m").labels == expected


@pytest.mark.parametrize(("classes", "subset"), [(1000, "imagenet-1k"), (11821, "imagenet-12k")])
def test_timm_labels_are_imagenets_if_the_config_names_none(tmp_path, classes, subset):
    from timm.data import ImageNetInfo

    timm_folder(tmp_path / "m", "test_resnet", num_classes=classes)
    info = ImageNetInfo(subset)
    labels = pvzoo.load(tmp_path / "m").labels
    assert labels == tuple(info.index_to_description(i) for i in range(classes))


def test_a_transformers_folder_of_shards_or_pickles_equals_the_plain_one(tmp_path):
    for name, size in (("plain", "5GB"), ("bin", "5GB"), ("shards", "10KB")):
        transformers_folder(tmp_path / name, "vit", max_shard_size=size)
    as_pickle(tmp_path / "bin")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 1
    for name in ("bin", "shards"):
        np.testing.assert_array_equal(scores(tmp_path / name), scores(tmp_path / "plain"))


def test_a_folder_that_misses_a_shard_names_it(tmp_path):
    transformers_folder(tmp_path, "vit", max_shard_size="10KB")
    lost = sorted(tmp_path.glob("*.safetensors"))[1]
    lost.unlink()
    with pytest.raises(WeightsError, match=f"{lost.name}, .* is missing"):
        pvzoo.load(tmp_path)


def test_a_damaged_index_is_refused(tmp_path):
    transformers_folder(tmp_path, "vit", max_shard_size="10KB")
    for text in ("{", "[]", '{"weight_map": 3}'):
        (tmp_path / "model.safetensors.index.json").write_text(text)
        with pytest.raises(WeightsError, match=r"index\.json cannot be read"):
            pvzoo.load(tmp_path)


# -- what is refused -------------------------------------------------------------------------------


def test_a_timm_backbone_is_refused(tmp_path):
    timm_folder(tmp_path / "m", "test_resnet", num_classes=0)
    with pytest.raises(UnsupportedModelError, match="no classifier"):
        pvzoo.load(tmp_path / "m")


def test_an_architecture_unknown_to_timm_is_refused(tmp_path):
    timm_folder(tmp_path / "m", "test_resnet")
    edit(tmp_path / "m", architecture="resnet9000")
    with pytest.raises(UnsupportedModelError, match=r"'resnet9000', which timm .* newer timm"):
        pvzoo.load(tmp_path / "m")


def test_networks_for_other_than_three_channels_are_refused(tmp_path):
    timm_folder(tmp_path / "timm", "test_resnet", in_chans=1)
    transformers_folder(tmp_path / "transformers", "vit", num_channels=4)
    for name, channels in (("timm", 1), ("transformers", 4)):
        with pytest.raises(UnsupportedModelError, match=f"{channels} channels"):
            pvzoo.load(tmp_path / name)


def test_a_regression_head_is_refused(tmp_path):
    transformers_folder(tmp_path, "vit", labels=("age",), problem_type="regression")
    with pytest.raises(UnsupportedModelError, match="regression"):
        pvzoo.load(tmp_path)


@pytest.mark.parametrize("change", ["missing", "left over", "shape"])
def test_timm_tensors_that_do_not_fit_are_refused(tmp_path, change):
    from safetensors.torch import load_file, save_file

    timm_folder(tmp_path, "test_resnet")
    tensors = load_file(tmp_path / "model.safetensors")
    name = "fc.weight"
    if change == "missing":
        del tensors[name]
    elif change == "shape":
        tensors[name] = tensors[name][:9].clone()
    else:
        tensors[name := "left.over"] = torch.zeros(2)
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match=name.replace(".", r"\.")):
        pvzoo.load(tmp_path)


@pytest.mark.parametrize("what", [torch.zeros(3), [1, 2], {"epoch": 3}, {"state_dict": {"x": 1}}])
def test_a_pickle_of_something_else_is_refused(tmp_path, what):
    timm_folder(tmp_path, "test_resnet")
    (tmp_path / "model.safetensors").unlink()
    torch.save(what, tmp_path / "pytorch_model.bin")
    with pytest.raises(WeightsError, match="something other than named tensors"):
        pvzoo.load(tmp_path)


def write_weights(folder: Path, content: dict[str, object], safe: bool = False) -> None:
    """Instead of the folder's own weights."""
    from safetensors.torch import save_file

    (folder / "model.safetensors").unlink()
    if safe:
        save_file(content, folder / "model.safetensors", {"format": "pt"})
    else:
        torch.save(content, folder / "pytorch_model.bin")


@pytest.mark.parametrize("key", ["state_dict", "model", "model_ema", "module"])
@pytest.mark.parametrize("write", [timm_folder, transformers_folder])
def test_a_training_scripts_wrapping_is_taken_off(tmp_path, write, key):
    module = write(tmp_path)
    expected = scores(tmp_path)
    write_weights(tmp_path, {key: module.state_dict(), "epoch": 3})
    np.testing.assert_allclose(scores(tmp_path), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "_orig_mod.module.", "module._orig_mod."]
)
@pytest.mark.parametrize("safe", [True, False])
@pytest.mark.parametrize("write", [timm_folder, transformers_folder])
def test_the_prefix_of_data_parallel_and_of_torch_compile_is_taken_off(
    tmp_path, write, safe, prefix
):
    module = write(tmp_path)
    expected = scores(tmp_path)
    state = {f"{prefix}{name}": value for name, value in module.state_dict().items()}
    write_weights(tmp_path, state, safe)
    np.testing.assert_allclose(scores(tmp_path), expected, rtol=0, atol=1e-6)


def test_the_prefix_is_taken_off_shards_too(tmp_path):
    from safetensors.torch import load_file, save_file

    transformers_folder(tmp_path, max_shard_size="10KB")
    expected = scores(tmp_path)
    for file in tmp_path.glob("*.safetensors"):
        save_file({f"module.{k}": v for k, v in load_file(file).items()}, file, {"format": "pt"})
    index = tmp_path / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    content["weight_map"] = {f"module.{k}": v for k, v in content["weight_map"].items()}
    index.write_text(json.dumps(content))
    np.testing.assert_allclose(scores(tmp_path), expected, rtol=0, atol=1e-6)


def test_a_prefix_that_only_some_tensors_have_is_not_taken_off(tmp_path):
    module = timm_folder(tmp_path)
    state = module.state_dict()
    state["module.fc.weight"] = state.pop("fc.weight")
    write_weights(tmp_path, state)
    with pytest.raises(WeightsError, match=r"fc\.weight"):
        pvzoo.load(tmp_path)


@pytest.mark.parametrize("keys", [("state_dict", "state_dict_ema"), ("model", "model_ema")])
@pytest.mark.parametrize("write", [timm_folder, transformers_folder])
def test_the_moving_average_is_taken_where_a_checkpoint_has_it_beside_the_weights(
    tmp_path, write, keys
):
    """As timm does, whose training script writes both."""
    from timm.models import load_state_dict

    module = write(tmp_path)
    expected = scores(tmp_path)
    average = {f"module.{name}": value for name, value in module.state_dict().items()}
    last = {name: torch.zeros_like(value) for name, value in module.state_dict().items()}
    write_weights(tmp_path, {"epoch": 3, **dict(zip(keys, (last, average), strict=True))})
    np.testing.assert_allclose(scores(tmp_path), expected, rtol=0, atol=1e-6)
    theirs = load_state_dict(str(tmp_path / "pytorch_model.bin"))
    assert all(torch.equal(theirs[name], value) for name, value in module.state_dict().items())


def test_the_task_must_be_one_that_the_checkpoint_serves(tmp_path):
    transformers_folder(tmp_path, "vit")
    assert pvzoo.load(tmp_path, task="image-classification").task == "image-classification"
    with pytest.raises(UsageError, match="image-classification"):
        pvzoo.load(tmp_path, task="image-clasification")


# -- weights in packages, and a card's own words ---------------------------------------------------


@pytest.fixture
def card(tmp_path, monkeypatch):
    """Write a card (and a package ``shelf`` to take weights from), under the name ``shelved``."""
    (tmp_path / "site" / "shelf").mkdir(parents=True)
    (tmp_path / "site" / "shelf" / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setenv("PVZOO_CATALOG", str(tmp_path / "catalog.toml"))

    def write(source: str, adapter: str = "timm", config: str = "") -> None:
        (tmp_path / "catalog.toml").write_text(
            f'[[models]]\nname = "shelved"\ntask = "image-classification"\nadapter = "{adapter}"\n'
            f"source = {{ {source} }}\n{config}"
        )
        importlib.invalidate_caches()
        catalogue.refresh()

    yield write
    sys.modules.pop("shelf", None)
    monkeypatch.delenv("PVZOO_CATALOG")
    catalogue.refresh()


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.mark.parametrize("adapter", ["timm", "transformers-classification"])
@pytest.mark.parametrize("where", ["", "inner/deeper/"])
def test_a_package_may_hold_a_whole_folder_and_is_not_imported(card, tmp_path, adapter, where):
    folder = tmp_path / "site" / "shelf" / where
    if adapter == "timm":
        timm_folder(folder, "test_resnet")
    else:
        transformers_folder(folder, "vit")
    digest = sha256(folder / "model.safetensors")
    card(f'package = "shelf", file = "{where}model.safetensors", sha256 = "{digest}"', adapter)
    np.testing.assert_array_equal(scores("shelved"), scores(folder))
    assert "shelf" not in sys.modules


def test_a_missing_changed_or_incomplete_package_is_an_error(card, tmp_path):
    timm_folder(tmp_path / "site" / "shelf", "test_resnet")
    file = tmp_path / "site" / "shelf" / "model.safetensors"
    card(f'package = "no_shelf", file = "model.safetensors", sha256 = "{"0" * 64}"')
    with pytest.raises(WeightsError, match=r"not installed.*pip install no-shelf"):
        pvzoo.load("shelved")
    card(f'package = "shelf", file = "model.safetensors", sha256 = "{"0" * 64}"')
    with pytest.raises(WeightsError, match=f"SHA-256 {sha256(file)}.*Install the package again"):
        pvzoo.load("shelved")
    card(f'package = "shelf", file = "absent.pth", sha256 = "{"0" * 64}"')
    with pytest.raises(WeightsError, match=r"no weights \(absent\.pth\)"):
        pvzoo.load("shelved")


def test_what_is_in_a_package_or_a_folder_is_listed_as_loading_offline(card, tmp_path):
    folder = tmp_path / "site" / "shelf"
    transformers_folder(folder, "vit", max_shard_size="10KB")
    index = folder / "model.safetensors.index.json"
    package = f'package = "shelf", file = "{index.name}", sha256 = "{sha256(index)}"'
    for source in (f'path = "{folder}"', package):
        card(source, "transformers-classification")
        assert [c.name for c in pvzoo.list_models("shelved", offline=True)] == ["shelved"]
        lost = sorted(folder.glob("*.safetensors"))[1]
        kept = lost.read_bytes()
        lost.unlink()
        assert pvzoo.list_models("shelved", offline=True) == []
        with pytest.raises(WeightsError, match=lost.name):
            pvzoo.load("shelved")
        lost.write_bytes(kept)
        assert pvzoo.load("shelved").labels == ("ant", "bee", "cat")
    (folder / "config.json").unlink()
    assert pvzoo.list_models("shelved", offline=True) == []
    card('package = "not_installed", file = "a.bin", sha256 = "' + "0" * 64 + '"')
    assert pvzoo.list_models("shelved", offline=True) == []


def test_rename_rules_give_tensors_their_names(card, tmp_path):
    from safetensors.torch import load_file, save_file

    timm_folder(tmp_path / "m", "test_resnet")
    expected = scores(tmp_path / "m")
    file = tmp_path / "m" / "model.safetensors"
    tensors = load_file(file)
    save_file({k.replace("layer", "stage_").replace("fc.", "head."): v for k, v in tensors.items()},
              file)  # fmt: skip
    rules = """rename = [['^stage_(\\d)', 'layer\\1'], ['^head\\.', 'fc.']]"""
    card(f'path = "m", {rules}')
    np.testing.assert_allclose(scores("shelved"), expected, rtol=0, atol=1e-6)
    card("path = 'm', rename = [['^stage_', 'layer'], ['^head', 'fc'], ['^absent', 'x']]")
    with pytest.raises(WeightsError, match=r"\['\^absent'\] match no tensor"):
        pvzoo.load("shelved")
    card("path = 'm', rename = [['^stage_.', 'layer1'], ['^head', 'fc']]")
    with pytest.raises(WeightsError, match="the same name"):
        pvzoo.load("shelved")
    card("path = 'm', rename = [['^stage_', 'layer']]")
    with pytest.raises(WeightsError, match=r"head\.weight"):
        pvzoo.load("shelved")


def test_a_card_may_name_the_weights_file_and_the_network(card, tmp_path):
    timm_folder(tmp_path / "m", "test_resnet", num_classes=4)
    expected = scores(tmp_path / "m")
    (tmp_path / "m" / "inner").mkdir()
    (tmp_path / "m" / "model.safetensors").rename(tmp_path / "m" / "inner" / "best.safetensors")
    (tmp_path / "m" / "config.json").unlink()
    card(
        'path = "m", file = "inner/best.safetensors"',
        config='config = { architecture = "test_resnet", num_classes = 4, '
        'label_names = ["a", "b", "c", "d"] }',
    )
    np.testing.assert_allclose(scores("shelved"), expected, rtol=0, atol=1e-6)
    assert pvzoo.load("shelved").labels == ("a", "b", "c", "d")


def test_transformers_is_not_trusted_to_read_another_file_than_the_card_names(card, tmp_path):
    transformers_folder(tmp_path / "m", "vit")
    data = (tmp_path / "m" / "model.safetensors").read_bytes()
    (tmp_path / "m" / "best.safetensors").write_bytes(data)
    card('path = "m", file = "best.safetensors"', "transformers-classification")
    with pytest.raises(UnsupportedModelError, match=r"best\.safetensors"):
        pvzoo.load("shelved")
    card("path = 'm', rename = [['classifier', 'head']]", "transformers-classification")
    with pytest.raises(UnsupportedModelError, match="rename"):
        pvzoo.load("shelved")


def test_models_can_be_loaded_by_several_threads_at_once():
    names = ["shapes-detector", "shapes-mask2former-semantic", "efficientnet-lite0-pip"] * 3
    with ThreadPoolExecutor(4) as pool:
        loaded = list(pool.map(lambda name: pvzoo.load(name, device="cpu"), names))
    assert [model.name for model in loaded] == names
