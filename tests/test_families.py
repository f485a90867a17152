"""What is known of families: in one place, on the page of families, and in plugins."""

from __future__ import annotations

import ast
import json
import re
import runpy
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import colour_model
import numpy as np
import pytest
import torch
from test_layers import TREES
from torch import nn

import pvzoo
from pvzoo import Model
from pvzoo.adapters.base import Adapter, Spec
from pvzoo.data import schema
from pvzoo.errors import UnsupportedModelError
from pvzoo.families import FAMILIES, Family, Recipe
from pvzoo.networks.base import Network
from pvzoo.plugins import registry
from pvzoo.results.detections import Detections

DOCS = Path(__file__).parents[1] / "docs"


def test_the_page_of_families_is_made_of_the_records():
    made = runpy.run_path(str(DOCS / "families.py"))["page"]()
    written = (DOCS / "families.md").read_text(encoding="utf-8")
    assert written == made, "Make it anew: python docs/families.py > docs/families.md"


def test_only_records_know_families_by_name():
    """Else a new one that is like another would need more than its record."""
    own = ("pvzoo.families.records", "pvzoo.adapters.timm")
    wrong = {
        f"{module} has {ast.unparse(node)}"
        for module, tree in TREES.items()
        if module not in own
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare) and re.search("family|model_type", ast.unparse(node))
        for part in ast.walk(node)
        if isinstance(part, ast.Constant) and part.value in FAMILIES
    }
    assert wrong == set()


def test_a_network_for_videos_is_refused_by_what_its_record_says(tmp_path):
    heads = ["VideomtForUniversalSegmentation"]
    config = {"model_type": "videomt", "architectures": heads}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UnsupportedModelError, match="takes videos, not images"):
        pvzoo.load(tmp_path)


class Corner(nn.Module):
    """(n, 3, height, width) -> (n, 4): a box as shares of the image."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 1)
        self.head = nn.Linear(4, 4)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.head(self.stem(pixels).mean((2, 3))).sigmoid()


class CornerNetwork(Network):
    """A plugin's detector, of which transformers knows nothing."""

    backbone = ("stem.",)

    def __init__(self, labels: tuple[str, ...]) -> None:
        self.module = Corner()
        self.spec = Spec("zoo:corner", schema.DETECTION, labels, family="corner-net")

    @classmethod
    def load(cls, checkpoint, **options):
        raise NotImplementedError

    def prepare(self, image, **prompts):
        pixels = np.asarray(image.resize((16, 16)), np.float32).transpose(2, 0, 1)[None] / 255
        return {"pixel_values": pixels}, {"size": image.size[::-1]}

    def forward(self, inputs):
        return {"boxes": self.module(inputs["pixel_values"])}

    def retarget(self, classes, *, image_size, seed):
        return CornerNetwork(classes.names)

    def batch(self, images, targets):
        pixels = np.concatenate([self.prepare(image)[0]["pixel_values"] for image in images])
        return {"pixels": torch.from_numpy(pixels)}

    def loss(self, module, batch):
        return module(batch["pixels"]).square().mean()

    def save(self, folder):
        (folder / "config.json").write_text("{}")


class CornerAdapter(Adapter):
    """Without a record of its family."""

    tasks = (schema.DETECTION,)

    @classmethod
    def matches(cls, config: Mapping[str, Any]) -> bool:
        return False

    def postprocess(self, outputs, meta, **controls):
        empty = np.zeros(0, np.float32)
        return Detections(
            size=meta["size"],
            boxes=empty.reshape(0, 4),
            scores=empty,
            labels=empty.astype(np.int64),
            names=(),
        )


class RecordedAdapter(CornerAdapter):
    families = MappingProxyType(
        {"corner-net": Family(recipe=Recipe("the authors of corner-net", 0.02, clip=10.0))}
    )


@pytest.mark.filterwarnings("ignore:Classes do not occur:pvzoo.errors.PvzooWarning")
@pytest.mark.parametrize(
    ("adapter", "source", "rate", "clip"),
    [
        (RecordedAdapter, "the authors of corner-net", 0.02, 10.0),
        (CornerAdapter, "no author's: ", 1e-4, 1.0),
    ],
)
def test_a_plugins_detector_is_trained_by_its_own_recipe_and_never_by_that_of_another_family(
    monkeypatch, tmp_path, adapter, source, rate, clip
):
    get = registry.get

    def with_the_plugin(group: str, name: str) -> Any:
        return adapter if name == "zoo:corner" else get(group, name)

    monkeypatch.setattr(registry, "get", with_the_plugin)
    network = CornerNetwork(("red",))
    model = Model("corner", adapter(network.spec, network.prepare), network, device="cpu")
    data = colour_model.dataset(schema.DETECTION, tmp_path / "images", 4, size=(32, 32))
    tuned = model.fine_tune(data, epochs=1, batch_size=2, output_dir=tmp_path / "run")
    recipe = tuned.report.settings["recipe"]
    assert recipe["source"].startswith(source)
    assert (recipe["rate"], recipe["clip"]) == (rate, clip)
