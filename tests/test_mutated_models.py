"""Model files damaged at random: reading them gives a result or a `PvzooError`, soon."""

from __future__ import annotations

import json
import random
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import detection_families
import mutations
import numpy as np
import pytest
import segmentation_families
from checkpoints import timm_folder, transformers_folder
from PIL import Image

import pvzoo
from pvzoo.catalog import cache
from pvzoo.catalog.files import read_catalog
from pvzoo.cli.catalog import _card_json

pytestmark = pytest.mark.filterwarnings("ignore")  # of what damaged files make libraries say

IMAGE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 24, 3), dtype=np.uint8))
CARDS = """
contract = 2

[defaults]
image-classification = "one"

[[models]]
name = "one"
task = "image-classification"
adapter = "timm"
source = { hub = "me/one", revision = "v1", rename = [["^module\\\\.", ""]] }
aliases = ["uno", "first"]
family = "resnet"
params = 1000
license = "mit"
license_upstream = "cc-by-4.0"
dataset = "imagenet"
input_size = 224
metrics = [{ name = "top1", value = 80.5, dataset = "imagenet", source = "the paper" }]
summary = "The first."
config = { architecture = "resnet18", num_classes = 3, label_names = ["a", "b", "c"] }

[[models]]
name = "two"
task = "panoptic-segmentation"
adapter = "transformers-segmentation"
source = { package = "pip", file = "two.pth", sha256 = "%s" }
stuff = ["sky", "road"]
""" % ("0" * 64)


def toml(value: Any) -> str:
    """A tree as TOML in one line; what TOML has no word for is left out."""
    if isinstance(value, dict):
        pairs = (f"{json.dumps(str(k))} = {toml(v)}" for k, v in value.items() if v is not None)
        return "{ " + ", ".join(pairs) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(toml(v) for v in value if v is not None) + "]"
    return json.dumps(value).replace("NaN", "nan").replace("Infinity", "inf")


def mutated_toml(data: bytes, rng: random.Random) -> bytes:
    try:
        if rng.random() < 0.75:
            tree = mutations.mutated_tree(tomllib.loads(data.decode()), rng)
            lines = [f"{json.dumps(k)} = {toml(v)}" for k, v in tree.items() if v is not None]
            return mutations._with_raw("\n".join(lines)).encode("utf-8", "surrogatepass")
    except Exception:  # the tree is none any more
        pass
    return mutations.mutated_bytes(data, rng)


def mutated_safetensors(data: bytes, rng: random.Random) -> bytes:
    """Its header as JSON, the length before it, or any bytes of it."""
    length = int.from_bytes(data[:8], "little")
    kind = rng.randrange(4)
    if kind == 0:
        said = rng.choice([0, 1, length - 1, length + 1, 2**31, 2**40, 2**63, rng.randrange(10**6)])
        return said.to_bytes(8, "little") + data[8:]
    if kind == 1:
        return mutations.mutated_bytes(data, rng)
    header = mutations.mutated(data[8 : 8 + length], "json", rng)
    return len(header).to_bytes(8, "little") + header + data[8 + length :]


def mutated_json(data: bytes, rng: random.Random) -> bytes:
    return mutations.mutated(data, "json", rng)


def _segformer(folder: Path) -> None:
    segmentation_families.build("segformer", folder)


def _mask2former(folder: Path) -> None:
    segmentation_families.build("mask2former_resnet", folder)
    config = json.loads((folder / "config.json").read_text())
    about = {"task": "panoptic-segmentation", "stuff": ["class 6"]}
    (folder / "config.json").write_text(json.dumps({**config, "pvzoo": about}))


def _detector(family: str) -> Callable[[Path], None]:
    return lambda folder: detection_families.build(family, folder)


def _sharded(folder: Path) -> None:
    transformers_folder(folder, "vit", max_shard_size="10KB")


MODELS: dict[str, Callable[[Path], Any]] = {
    "timm": lambda folder: timm_folder(
        folder, config={"label_names": [f"c{i}" for i in range(10)]}, num_classes=10
    ),
    "vit": transformers_folder,
    "resnet": lambda folder: transformers_folder(folder, "resnet"),
    "swin": lambda folder: transformers_folder(folder, "swin"),
    "rt_detr": _detector("rt_detr_v2"),
    "detr": _detector("detr_resnet"),
    "segformer": _segformer,
    "mask2former": _mask2former,
    "sharded": _sharded,
}
CONFIGS = ("timm", "vit", "resnet", "swin", "rt_detr", "detr", "segformer", "mask2former")
PROCESSORS = ("vit", "resnet", "rt_detr", "detr", "segformer", "mask2former")


@pytest.fixture(scope="module")
def attempt(tmp_path_factory) -> Callable[..., Callable[[random.Random], None]]:
    """A function: damages one file of one of some models, and reads the folder."""
    home = tmp_path_factory.mktemp("models")
    place = home / "damaged"

    def original(name: str) -> Path:
        folder = home / name
        if not folder.exists():
            folder.mkdir()
            MODELS[name](folder)
            pvzoo.load(folder, device="cpu").predict(IMAGE)  # what is imported is no part of it
        return folder

    def read(folder: Path, name: str) -> None:
        found: list[pvzoo.Model] = []
        mutations.obeys_the_rule(lambda: found.append(pvzoo.load(folder, device="cpu")), name)
        if found:  # what a network takes for a larger input is as it is
            seconds = 5 * mutations.SECONDS
            mutations.obeys_the_rule(lambda: found[0].predict(IMAGE), f"{name}, predict", seconds)

    def of(
        names: tuple[str, ...], file: str, mutate: Callable[[bytes, random.Random], bytes]
    ) -> Callable[[random.Random], None]:
        for name in names:
            original(name)

        def once(rng: random.Random) -> None:
            folder = original(rng.choice(names))
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(folder, place)
            data = mutate((folder / file).read_bytes(), rng)
            (place / file).write_bytes(data)
            read(place, f"{folder.name}/{file}")

        return once

    return of


@pytest.fixture
def catalogue(tmp_path) -> Callable[[random.Random], None]:
    """A function: damages a catalogue and reads all of its cards."""
    file = tmp_path / "catalog.toml"

    def read() -> None:
        cache.forget()
        for card in read_catalog(file).cards:
            _card_json(card)

    def once(rng: random.Random) -> None:
        data = CARDS.encode()
        for _ in range(rng.choice([1, 1, 2, 3])):
            data = mutated_toml(data, rng)
        file.write_bytes(data)
        mutations.obeys_the_rule(read, str(file))

    return once


KINDS = {
    "config": (CONFIGS, "config.json", mutated_json),
    "processor": (PROCESSORS, "preprocessor_config.json", mutated_json),
    "safetensors": (("timm", "vit"), "model.safetensors", mutated_safetensors),
    "index": (("sharded",), "model.safetensors.index.json", mutated_json),
}


@pytest.mark.parametrize(
    "seconds", [2, pytest.param(60, marks=pytest.mark.slow)], ids=["soon", "long"]
)
class TestDamaged:
    """Reading gives a result or a `PvzooError`, in bounds of time and memory."""

    @pytest.mark.parametrize("kind", KINDS)
    def test_files_of_models(self, attempt, kind, seconds):
        assert mutations.until(seconds, attempt(*KINDS[kind]), 10) >= 10

    def test_catalogues(self, catalogue, seconds):
        assert mutations.until(seconds, catalogue, 50) >= 50
