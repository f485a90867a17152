"""Folders of models with something wrong in them: an error that names it, soon and in bounds."""

from __future__ import annotations

import json
import resource
from pathlib import Path
from typing import Any

import detection_families
import forked
import numpy as np
import pytest
import torch
from checkpoints import as_pickle, timm_folder, transformers_folder
from PIL import Image

import pvzoo
from pvzoo.catalog import catalogue
from pvzoo.errors import DeviceError, PvzooError, UnsupportedModelError, WeightsError, reading
from pvzoo.hub.config_schema import check_config

IMAGE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8))
WRITE = {"timm": timm_folder, "vit": transformers_folder}


def edit(folder: Path, **changes: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


# -- config.json -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("architectures", [1]),
        ("architectures", "ViTForImageClassification"),
        ("architectures", {"a": 1}),
        ("model_type", 3),
        ("model_type", ["vit"]),
        ("id2label", {}),
        ("id2label", ["ant", "bee"]),
        ("id2label", {"ant": 0}),
        ("id2label", 3),
        ("num_labels", 10**9),
        ("num_labels", "three"),
        ("num_channels", "RGB"),
        ("problem_type", 1),
        ("auto_map", [1]),
        ("pvzoo", [1]),
        ("pvzoo", {"task": 3}),
        ("pvzoo", {"stuff": "sky"}),
        ("backbone", 3),
        ("backbone_kwargs", [1]),
        ("num_hidden_layers", 10**9),
        ("depths", [2, 2, 10**9]),
    ],
)
def test_a_value_of_the_wrong_kind_in_a_config_is_named(tmp_path, key, value):
    transformers_folder(tmp_path)
    edit(tmp_path, **{key: value})
    with pytest.raises(WeightsError, match=rf"config of .* says that {key}") as caught:
        pvzoo.load(tmp_path)
    assert "config.json" in caught.value.hint


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("architecture", 3),
        ("pretrained_cfg", [1]),
        ("model_args", [1]),
        ("num_classes", "ten"),
        ("label_names", 3),
        ("label_names", [1, 2]),
        ("label_descriptions", 3),
        ("pretrained_cfg.input_size", 224),
        ("pretrained_cfg.input_size", [3, "a", 224]),
        ("pretrained_cfg.input_size", [3, 160]),
        ("pretrained_cfg.mean", "grey"),
        ("pretrained_cfg.std", {"r": 1}),
        ("pretrained_cfg.crop_pct", "most"),
        ("pretrained_cfg.interpolation", 3),
        ("pretrained_cfg.num_classes", -1),
        ("pretrained_cfg.tag", 3),
    ],
)
def test_a_value_of_the_wrong_kind_in_timms_config_is_named(tmp_path, key, value):
    timm_folder(tmp_path)
    table, _, inner = key.partition(".")
    config = json.loads((tmp_path / "config.json").read_text())
    edit(tmp_path, **{table: config[table] | {inner: value} if inner else value})
    with pytest.raises(PvzooError, match=rf"says that {key}"):
        pvzoo.load(tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [("interpolation", "sharpest"), ("input_size", [3, 0, 0])],
)
def test_what_timms_transform_cannot_use_is_an_error_at_once(tmp_path, key, value):
    timm_folder(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    edit(tmp_path, pretrained_cfg=config["pretrained_cfg"] | {key: value})
    with pytest.raises(PvzooError, match=str(tmp_path)):
        pvzoo.load(tmp_path)


def test_null_says_as_much_as_a_key_that_is_not_there(tmp_path):
    transformers_folder(tmp_path)
    nothing = dict.fromkeys(("pvzoo", "problem_type", "backbone", "pretrained_cfg"))
    edit(tmp_path, **nothing)
    assert pvzoo.load(tmp_path).labels == ("ant", "bee", "cat")


@pytest.mark.parametrize("text", ["[" * 100_000, "{", "[]", "3", "\ufeff{}", "\xff"])
def test_a_config_that_is_no_json_object_is_told(tmp_path, text):
    transformers_folder(tmp_path)
    (tmp_path / "config.json").write_bytes(text.encode("latin-1" if text == "\xff" else "utf-8"))
    with pytest.raises(WeightsError, match=r"config\.json"):
        pvzoo.load(tmp_path)


def test_every_config_of_the_catalogue_is_of_the_right_kind():
    for card in pvzoo.list_models():
        check_config(card.name, card.config)


@pytest.mark.parametrize(
    ("folder", "key", "value"),
    [
        ("vit", "hidden_size", 10**9),
        ("vit", "intermediate_size", 10**9),
        ("vit", "num_hidden_layers", 9_999),
        ("vit", "image_size", 16_384),
        ("detector", "decoder_ffn_dim", 10**9),
        ("detector", "d_model", 10**8),
        ("timm", "model_args", {"stem_width": 10**6, "base_width": 10**6}),
        ("timm", "model_args", {"layers": [9_000, 9_000, 9_000, 9_000]}),
        ("timm", "num_classes", 10**6),
    ],
)
def test_a_network_far_larger_than_its_file_is_refused_before_it_fills_the_memory(
    tmp_path, folder, key, value
):
    if folder == "detector":
        detection_families.build("rt_detr_v2", tmp_path)
    else:
        WRITE[folder](tmp_path)
    pvzoo.load(tmp_path)
    edit(tmp_path, **{key: value})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(WeightsError, match=r"far larger network|does not fit"):
        pvzoo.load(tmp_path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # kilobytes


# -- weights ---------------------------------------------------------------------------------------


def header(change) -> bytes:
    """A safetensors file, of which `change` gets the header and the data."""
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    text, data = change({"a": entry}, bytes(8))
    text = text if isinstance(text, bytes) else json.dumps(text).encode()
    return len(text).to_bytes(8, "little") + text + data


HEADERS = {
    "empty": b"",
    "huge": (2**62).to_bytes(8, "little") + b"{}",
    "short": (100).to_bytes(8, "little") + b"{}",
    "no json": header(lambda h, d: (b"{]", d)),
    "no object": header(lambda h, d: ([1], d)),
    "overlap": header(lambda h, d: ({**h, "b": h["a"]}, d)),
    "outside": header(lambda h, d: ({"a": {**h["a"], "data_offsets": [0, 800]}}, d)),
    "shape": header(lambda h, d: ({"a": {**h["a"], "shape": [2**40, 2**40]}}, d)),
    "dtype": header(lambda h, d: ({"a": {**h["a"], "dtype": "F99"}}, d)),
    "deep": header(lambda h, d: (b"[" * 50_000, d)),
    "other": header(lambda h, d: (h, d)),
}


@pytest.mark.parametrize("kind", HEADERS)
@pytest.mark.parametrize("library", WRITE)
def test_a_damaged_safetensors_file_is_an_error_that_names_its_folder(tmp_path, library, kind):
    WRITE[library](tmp_path)
    (tmp_path / "model.safetensors").write_bytes(HEADERS[kind])
    with pytest.raises(WeightsError, match=str(tmp_path)):
        pvzoo.load(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x02.", b"\x80\x05K\x01."])
@pytest.mark.parametrize("library", WRITE)
def test_a_damaged_pickle_is_an_error_that_names_its_folder(tmp_path, library, content):
    WRITE[library](tmp_path)
    as_pickle(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(content)
    with pytest.raises(WeightsError, match=str(tmp_path)):
        pvzoo.load(tmp_path)


@pytest.mark.parametrize("name", ["../other.safetensors", "/etc/passwd", "a/b", "..", "", 3, "C:x"])
@pytest.mark.parametrize("library", WRITE)
def test_an_index_may_not_name_files_elsewhere(tmp_path, library, name):
    """The file it names is there and fits: only where it lies is wrong."""
    folder = tmp_path / "m"
    WRITE[library](folder)
    weights = folder / "model.safetensors"
    (tmp_path / "other.safetensors").write_bytes(weights.read_bytes())
    weights.unlink()
    index = {"metadata": {}, "weight_map": {"a": name}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(WeightsError, match=r"model\.safetensors\.index\.json"):
        pvzoo.load(folder)


def test_an_index_that_names_no_file_is_told(tmp_path):
    transformers_folder(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {}}')
    with pytest.raises(WeightsError, match="names no files"):
        pvzoo.load(tmp_path)


# -- cards, tasks, memory --------------------------------------------------------------------------


@pytest.fixture
def card(tmp_path, monkeypatch):
    """Write a card called ``mine`` for the folder ``m``."""
    monkeypatch.setenv("PVZOO_CATALOG", str(tmp_path / "catalog.toml"))

    def write(adapter: str, more: str = "") -> None:
        (tmp_path / "catalog.toml").write_text(
            f'[[models]]\nname = "mine"\ntask = "image-classification"\nadapter = "{adapter}"\n'
            f'source = {{ path = "m" }}\n{more}'
        )
        catalogue.refresh()

    yield write
    monkeypatch.delenv("PVZOO_CATALOG")
    catalogue.refresh()


@pytest.mark.parametrize(
    ("library", "adapter", "right"),
    [
        ("vit", "timm", "transformers-classification"),
        ("timm", "transformers-classification", "timm"),
    ],
)
def test_a_card_whose_adapter_is_not_its_folders_is_told_with_the_right_one(
    tmp_path, card, library, adapter, right
):
    WRITE[library](tmp_path / "m")
    card(adapter)
    with pytest.raises(UnsupportedModelError, match=f"names the adapter '{adapter}', .*'{right}'"):
        pvzoo.load("mine")
    card(right)
    assert pvzoo.load("mine").predict(IMAGE).names


def test_a_config_in_a_card_is_looked_at_too(tmp_path, card):
    timm_folder(tmp_path / "m")
    card("timm", 'config = { architecture = "test_resnet", num_classes = "ten" }')
    with pytest.raises(WeightsError, match="num_classes is 'ten'"):
        pvzoo.load("mine")


def test_a_task_in_the_config_that_the_network_cannot_serve_is_told(tmp_path):
    transformers_folder(tmp_path)
    edit(tmp_path, pvzoo={"task": "object-detection"})
    with pytest.raises(UnsupportedModelError, match="cannot serve object-detection"):
        pvzoo.load(tmp_path)


def _with_little_memory(folder: Path, said: Path) -> None:
    pvzoo.load(folder)  # what is imported is there
    big = folder.parent / "big"
    timm_folder(big, "resnet18")  # 45 MB
    size = (
        int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0])
        * resource.getpagesize()
    )
    resource.setrlimit(resource.RLIMIT_AS, (size + 2**26, resource.RLIM_INFINITY))
    try:
        pvzoo.load(big, dtype="float64")
    except DeviceError as error:
        said.write_text(str(error), encoding="utf-8")


def test_too_little_memory_is_said_to_be_that(tmp_path):
    timm_folder(tmp_path / "m")
    forked.start(_with_little_memory, tmp_path / "m", tmp_path / "said.txt").join()
    assert (tmp_path / "said.txt").read_text().startswith("There is too little memory to load")


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory")])
def test_any_kind_of_memory_error_is_told_as_such(error):
    with pytest.raises(DeviceError, match="too little memory to load mine"), reading("mine"):
        raise error
