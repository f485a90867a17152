"""A model that can answer no image is blamed for it once, if possible when it is loaded."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import text_families
import torch
import torchvision_detector
from checkpoints import timm_folder, transformers_folder
from PIL import Image

import pvzoo
from pvzoo.adapters.base import Adapter, Spec
from pvzoo.errors import ImageError, PvzooError, UnsupportedModelError
from pvzoo.model import Model
from pvzoo.networks.base import Network
from pvzoo.pipeline import trial
from pvzoo.results.classification import Classification
from pvzoo.runtimes.torch import TorchRuntime

IMAGE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8))


def prepared_by(folder: Path, **settings: Any) -> None:
    """Change settings of a checkpoint's preprocessor; those that are None are dropped."""
    file = folder / "preprocessor_config.json"
    config = {**json.loads(file.read_text()), **settings}
    file.write_text(json.dumps({k: v for k, v in config.items() if v is not None}))


@pytest.mark.parametrize("family", ["vit", "deit"])
@pytest.mark.parametrize(
    "size",
    [
        {"height": 48, "width": 48},
        {"height": 32, "width": 24},
        {"shortest_edge": 32},  # a square for squares alone
    ],
    ids=str,
)
def test_images_of_another_size_than_the_networks_are_found_at_load(family, size, tmp_path):
    transformers_folder(tmp_path, family)
    prepared_by(tmp_path, size=size, do_center_crop=False)
    with pytest.raises(UnsupportedModelError) as caught:
        pvzoo.load(tmp_path, device="cpu")
    assert f"{tmp_path} fails on every image: " in caught.value.what
    assert "doesn't match model (32*32)" in caught.value.what
    assert caught.value.hint.startswith("Its preprocessor_config.json")


def test_a_timm_model_whose_config_prepares_no_image_is_found_at_load(tmp_path):
    timm_folder(tmp_path, "test_vit")
    file = tmp_path / "config.json"
    config = json.loads(file.read_text())
    config["pretrained_cfg"]["mean"] = [0.5, 0.5]
    file.write_text(json.dumps(config))
    with pytest.raises(UnsupportedModelError, match=r"cannot prepare any image.*pretrained_cfg"):
        pvzoo.load(tmp_path, device="cpu")


@pytest.mark.parametrize("family", ["beit", "dinov2", "resnet", "convnext", "swin", "mobilevit"])
def test_networks_that_take_many_sizes_may_be_given_another(family, tmp_path):
    transformers_folder(tmp_path, family)
    prepared_by(tmp_path, size={"shortest_edge": 96}, crop_size={"height": 96, "width": 96})
    assert len(pvzoo.load(tmp_path, device="cpu").predict(IMAGE)) == 3


@pytest.mark.parametrize(
    "settings",
    [
        {"image_mean": [0.5, 0.5]},
        {"image_std": "large"},
        {"size": {"width": 32}},
        {"size": {"height": 32, "width": 0}},
        {"size": {"height": 90_000, "width": 90_000}},
    ],
    ids=str,
)
def test_a_preprocessor_that_prepares_no_image_is_blamed_once(settings, tmp_path):
    transformers_folder(tmp_path, "vit")
    prepared_by(tmp_path, **settings)
    with pytest.raises(PvzooError, match=r"preprocessor_config\.json"):
        pvzoo.load(tmp_path, device="cpu")


def test_a_size_that_is_not_changed_is_the_images_own(tmp_path):
    transformers_folder(tmp_path, "vit")
    prepared_by(tmp_path, do_resize=False)
    model = pvzoo.load(tmp_path, device="cpu")
    refused: list[ImageError] = []
    images = [Image.new("RGB", size) for size in ((32, 32), (40, 40), (32, 32), (64, 48))]
    assert len(list(model.stream(images, on_error=refused.append))) == 2
    assert [error.index for error in refused] == [1, 3]
    assert "doesn't match model (32*32)" in str(refused[0])


def test_what_is_asked_with_prompts_is_blamed_once_when_it_is_asked(tmp_path):
    text_families.build("clip", tmp_path)
    size = {"height": 48, "width": 48}
    prepared_by(tmp_path, crop_size=size, size={"shortest_edge": 48})
    model = pvzoo.load(tmp_path, device="cpu")
    refused: list[ImageError] = []
    with pytest.raises(UnsupportedModelError, match="fails on every image"):
        list(model.stream([IMAGE] * 3, on_error=refused.append, prompts=["cat", "dog"]))
    with pytest.raises(UnsupportedModelError, match="fails on every image"):
        model.outputs(IMAGE, prompts=["cat", "dog"])
    prepared_by(tmp_path, image_mean=[0.5, 0.5])
    model = pvzoo.load(tmp_path, device="cpu")
    with pytest.raises(UnsupportedModelError, match="cannot prepare any image"):
        list(model.stream([IMAGE] * 3, on_error=refused.append, prompts=["cat", "dog"]))
    assert not refused


def test_the_trial_runs_no_network_that_takes_its_inputs(tmp_path, monkeypatch):
    """And leaves no trace in it."""
    module, computed = transformers_folder(tmp_path, "vit"), []
    run = TorchRuntime.__call__

    def counted(self: TorchRuntime, name: str, inputs: dict[str, Any]) -> dict[str, Any]:
        computed.append(inputs)
        return run(self, name, inputs)

    monkeypatch.setattr(TorchRuntime, "__call__", counted)
    model = pvzoo.load(tmp_path, device="cpu")
    assert computed == []
    model.predict(IMAGE)
    assert len(computed) == 1
    for name, tensor in model.network.module.state_dict().items():
        assert torch.equal(tensor, module.state_dict()[name])


def test_the_trial_leaves_the_anchors_of_torchvisions_detectors_alone():
    """They are tensors in a list, which the module moves to the device of its inputs."""
    network = torchvision_detector.network()
    adapter = torchvision_detector.FasterRcnn(network.spec, network.prepare)
    model = Model("frcnn", adapter, network, device="cpu")
    pixels = torch.from_numpy(adapter.preprocess(IMAGE)[0]["pixel_values"])
    with torch.inference_mode():
        (truth,) = copy.deepcopy(network.module)(list(pixels))
    trial.at_load("frcnn", adapter, model.runtime, network)
    found = model.predict(IMAGE, threshold=0.0)
    count = len(truth["scores"])
    assert count > 0
    np.testing.assert_allclose(found.scores[:count], truth["scores"], atol=1e-6)
    np.testing.assert_allclose(found.boxes[:count], truth["boxes"], atol=1e-3)


# --- while images are answered ------------------------------------------------------------------


class Choosy(Adapter):
    """Fails on images whose first pixel is brighter than it likes, in a way of its own."""

    tasks = ("image-classification",)

    def __init__(self, spec: Spec, brightest: int, error: Exception) -> None:
        super().__init__(spec)
        self._brightest, self._error = brightest, error

    @classmethod
    def matches(cls, config: Any) -> bool:
        return False

    def preprocess(self, image: Image.Image, **prompts: Any) -> Any:
        pixels = np.asarray(image.resize((4, 4)), np.float32)
        return {"pixels": pixels[None]}, {"size": image.size[::-1]}

    def compute(self, inputs: dict[str, Any]) -> dict[str, Any]:
        if (inputs["pixels"] > self._brightest).any():
            raise self._error
        return {"logits": inputs["pixels"].reshape(len(inputs["pixels"]), -1)[:, :2]}

    def postprocess(self, outputs: Any, meta: Any, **controls: Any) -> Classification:
        scores = np.asarray(outputs["logits"][0])
        return Classification(
            size=meta["size"], labels=np.arange(2), scores=scores, names=self.labels
        )


class ChoosyNetwork(Network):
    """The same in PyTorch."""

    def __init__(self, adapter: Choosy) -> None:
        self.module, self.spec, self._adapter = torch.nn.Linear(1, 2), adapter.spec, adapter

    @classmethod
    def load(cls, checkpoint: Any, **options: Any) -> ChoosyNetwork:
        raise NotImplementedError

    def prepare(self, image: Image.Image, **prompts: Any) -> Any:
        return self._adapter.preprocess(image)

    def forward(self, inputs: dict[str, Any]) -> dict[str, Any]:
        return self._adapter.compute(inputs)


def choosy(brightest: int, error: Exception, *, on_torch: bool) -> Model:
    adapter = Choosy(Spec("choosy", "image-classification", ("a", "b")), brightest, error)
    return Model("choosy", adapter, ChoosyNetwork(adapter) if on_torch else None, device="cpu")


ERRORS = [ValueError("a"), RuntimeError("b\nc"), KeyError("d"), AssertionError(), IndexError("e")]


@pytest.mark.parametrize("on_torch", [True, False])
@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_an_image_on_which_the_network_fails_is_named_and_costs_no_other(error, on_torch):
    model = choosy(100, error, on_torch=on_torch)
    images = [Image.new("RGB", (8, 8), (grey,) * 3) for grey in (50, 200, 60, 70)]
    refused: list[ImageError] = []
    found = list(model.stream(images, batch_size=4, on_error=refused.append))
    assert [result.scores[0] for result in found] == [50, 60, 70]
    assert [refusal.index for refusal in refused] == [1]
    with pytest.raises(ImageError, match="image 1"):
        model.predict(images)


@pytest.mark.parametrize("on_torch", [True, False])
@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_a_network_that_fails_on_every_image_is_blamed_once(error, on_torch):
    model = choosy(-1, error, on_torch=on_torch)
    refused: list[ImageError] = []
    for on_error in ("raise", "skip", refused.append):
        with pytest.raises(UnsupportedModelError, match="choosy fails on every image"):
            list(model.stream([IMAGE] * 3, on_error=on_error))
    assert not refused


class Unprepared(Choosy):
    """Says nothing of how images are prepared: no `preprocess`, no steps and no processor."""

    preprocess = Adapter.preprocess


def test_an_adapter_that_prepares_no_images_is_told_so():
    spec = Spec("unprepared", "image-classification", ("a", "b"))
    model = Model("unprepared", Unprepared(spec, 100, ERRORS[0]), None, device="cpu")
    with pytest.raises(UnsupportedModelError, match="Unprepared cannot prepare images"):
        model.predict(IMAGE)
