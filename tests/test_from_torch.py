"""Networks that a plugin builds itself: loaded strictly, saved, and given other classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision_detector
from PIL import Image
from torch import nn

from pvzoo.adapters.base import Checkpoint
from pvzoo.errors import PvzooError, UnsupportedModelError, WeightsError
from pvzoo.networks.base import TargetClasses
from pvzoo.networks.from_torch import TorchNetwork
from pvzoo.preprocess.steps import Rescale, Resize

CONFIG = {"model_type": "little", "labels": ["a", "b", "c"], "width": 4}


class Module(nn.Module):
    """A classifier whose head has "no object" after the classes, and a box for each of all."""

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.stem = nn.Linear(3, width)
        self.scores = nn.Linear(width, classes + 1)
        self.boxes = nn.Linear(width, 4 * classes)


class Little(TorchNetwork):
    adapter = "little"
    task = "image-classification"

    @classmethod
    def build(cls, config):
        module = Module(len(config["labels"]), config["width"])
        module.side = config.get("image_size")
        return module

    def steps(self):
        return (Resize("exact", (8, 8)), Rescale(255.0, divide=True))

    def forward(self, inputs):
        return {"logits": self.module.scores(self.module.stem(inputs["pixel_values"].mean((2, 3))))}


class FourEach(Little):
    def keep_classes(self, name, old, new, kept):
        each = 4 if name.startswith("boxes") else 1
        for index, label in enumerate(kept):
            if label is not None:
                new[each * index : each * (index + 1)] = old[each * label : each * (label + 1)]


@pytest.fixture
def network() -> Little:
    torch.manual_seed(7)
    return Little(Little.build(CONFIG).eval(), CONFIG)


def load(folder: Path, config: dict[str, Any] | None = None, **options: Any) -> Little:
    options = {"task": None, "dtype": "auto", "trust_remote_code": False, **options}
    file = next(folder.glob("model.*"))
    return Little.load(Checkpoint("little", config or CONFIG, folder, file), **options)


def same(network: Little, other: Little) -> bool:
    theirs = other.module.state_dict()
    return all(torch.equal(v, theirs[k]) for k, v in network.module.state_dict().items())


def test_what_is_saved_is_loaded_with_all_that_its_config_says(network, tmp_path):
    network.save(tmp_path)
    again = load(tmp_path)
    assert same(network, again)
    assert (again.spec.labels, again.spec.family) == (("a", "b", "c"), "little")
    assert again.spec.extra == {"width": 4}
    assert not again.module.training
    half = load(tmp_path, dtype=torch.bfloat16)
    assert half.module.stem.weight.dtype == torch.bfloat16


def test_saved_weights_have_the_permissions_of_any_new_file(network, tmp_path):
    network.save(tmp_path)
    modes = {(tmp_path / name).stat().st_mode for name in ("config.json", "model.safetensors")}
    assert len(modes) == 1


def test_a_pickle_of_tensors_is_read_as_well(network, tmp_path):
    torch.save(network.module.state_dict(), tmp_path / "model.pth")
    assert same(network, load(tmp_path))


def test_loading_draws_nothing_from_the_callers_random_numbers(network, tmp_path):
    network.save(tmp_path)
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    load(tmp_path)
    assert torch.equal(torch.rand(3), wanted)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"labels": "abc"}, "are 'abc': expected a list of names"),
        ({"labels": ["a", 1, "c"]}, "expected a list of names"),
        ({"labels": ["a", "b"]}, "does not fit little"),
        ({"width": "wide"}, "cannot be built from its config"),
        ({"width": 10**6}, "far larger network"),
    ],
)
def test_a_config_that_does_not_fit_the_weights_is_refused(network, tmp_path, change, said):
    network.save(tmp_path)
    with pytest.raises(WeightsError, match=said):
        load(tmp_path, CONFIG | change)


def test_a_missing_setting_is_refused(network, tmp_path):
    network.save(tmp_path)
    with pytest.raises(PvzooError, match="width"):
        load(tmp_path, {"labels": ["a", "b", "c"]})


def test_kept_classes_keep_their_entries_and_the_rest_stays(network):
    tuned = network.retarget(TargetClasses(("c", "new"), (2, None)), image_size=None, seed=0)
    assert tuned.config == CONFIG | {"labels": ["c", "new"]}
    old, new = network.module, tuned.module
    assert torch.equal(new.stem.weight, old.stem.weight)
    assert torch.equal(new.scores.weight[0], old.scores.weight[2])
    assert torch.equal(new.scores.bias[2], old.scores.bias[3])  # "no object"
    assert not (new.scores.weight[1, None] == old.scores.weight).any()
    assert torch.equal(new.boxes.weight[:4], old.boxes.weight[8:])  # four for each class
    assert not torch.isin(new.boxes.weight[4:], old.boxes.weight).any()
    assert set(tuned.head) == {"scores.weight", "scores.bias", "boxes.weight", "boxes.bias"}


def test_a_network_says_itself_where_its_classes_are(network):
    own = FourEach(network.module, CONFIG)
    tuned = own.retarget(TargetClasses(("c", "a"), (2, 0)), image_size=None, seed=0)
    old, new = own.module.boxes.weight, tuned.module.boxes.weight
    assert torch.equal(new, torch.cat([old[8:12], old[0:4]]))


def test_the_entries_of_a_background_may_come_first():
    own = torchvision_detector.network()
    classes = TargetClasses(("blue", "new", "red", "other"), (2, None, 0, None))
    tuned = own.retarget(classes, image_size=None, seed=0)
    for layer, each in (("cls_score", 1), ("bbox_pred", 4)):
        for kind in ("weight", "bias"):
            name = f"roi_heads.box_predictor.{layer}.{kind}"
            old, new = (x.module.state_dict()[name].unflatten(0, (-1, each)) for x in (own, tuned))
            assert len(new) == 5
            assert torch.equal(new[[0, 1, 3]], old[[0, 3, 1]])
            assert not torch.isin(new[[2, 4]], old).all()


def test_the_size_of_images_is_set_where_the_config_has_one(network):
    classes = TargetClasses(("a",), (0,), multi_label=True)
    with pytest.raises(UnsupportedModelError, match="Leave image_size out"):
        network.retarget(classes, image_size=32, seed=0)
    sized = Little(network.module, CONFIG | {"image_size": 64})
    tuned = sized.retarget(classes, image_size=32, seed=0)
    assert (tuned.config["image_size"], tuned.spec.extra["multi_label"]) == (32, True)
    assert tuned.module.side == 32
    other = sized.at_size(16)
    assert (other.module.side, sized.module.side, other.config["image_size"]) == (16, None, 16)
    assert same(sized, other)


def test_images_are_prepared_by_the_steps(network):
    inputs, meta = network.prepare(Image.new("RGB", (20, 10), "red"))
    assert inputs["pixel_values"].shape == (1, 3, 8, 8)
    np.testing.assert_array_equal(inputs["pixel_values"][0, :, 0, 0], [1, 0, 0])
    assert meta["size"] == (10, 20)
