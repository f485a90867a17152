"""Where a network is placed, and in which type it computes."""

from __future__ import annotations

import re

import numpy as np
import pytest
import timm
import torch
from accelerate import PartialState, infer_auto_device_map
from checkpoints import timm_folder, transformers_folder
from PIL import Image

import pvzoo
from pvzoo.errors import DeviceError, PvzooError, UsageError
from pvzoo.runtimes.torch import TorchRuntime, _blocks

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8))


@pytest.fixture(scope="module", params=["timm", "transformers"])
def folder(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "timm":
        timm_folder(folder, "test_vit", num_classes=5)
    else:
        transformers_folder(folder, "vit")
    return folder


def scores(folder, **options) -> np.ndarray:
    return pvzoo.load(folder, **options).predict(NOISE, probabilities=True).probabilities


def test_accelerate_chooses_the_device_if_none_is_named(folder):
    model = pvzoo.load(folder)
    assert model.device == PartialState().device
    assert {p.device for p in model.network.module.parameters()} == {model.device}


def test_the_network_is_in_evaluation_mode_and_keeps_no_gradients(folder, monkeypatch):
    model = pvzoo.load(folder, device="cpu")
    assert not any(m.training for m in model.network.module.modules())
    forward, seen = model.network.forward, []
    monkeypatch.setattr(model.network, "forward", lambda x: seen.append(forward(x)) or seen[0])
    outputs = model.runtime("model", model.adapter.preprocess(NOISE)[0])
    assert not seen[0]["logits"].requires_grad
    assert np.shares_memory(outputs["logits"], seen[0]["logits"].numpy())  # nothing is copied


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
def test_outputs_are_arrays_in_float32_whatever_the_network_computes_in(folder, dtype):
    outputs = pvzoo.load(folder, device="cpu", dtype=dtype).outputs(NOISE)._outputs
    assert {type(value) for value in outputs.values()} == {np.ndarray}
    assert {value.dtype for value in outputs.values()} == {np.dtype(np.float32)}


class OnAccelerator(torch.Tensor):
    """A tensor in main memory that says it is elsewhere."""

    @property
    def device(self) -> torch.device:
        return torch.device("cuda", 0)

    def cpu(self) -> torch.Tensor:
        return self.as_subclass(torch.Tensor)


def test_only_outputs_that_an_adapter_names_stay_on_an_accelerator(folder, monkeypatch):
    model = pvzoo.load(folder, device="cpu")
    outputs = {
        "masks": torch.rand(1, 2, 3, dtype=torch.float16).as_subclass(OnAccelerator),
        "scores": torch.rand(1, 2, dtype=torch.float16).as_subclass(OnAccelerator),
    }
    monkeypatch.setattr(model.network, "forward", lambda inputs: outputs)
    monkeypatch.setattr(type(model.adapter), "on_device", ("masks",))
    run = TorchRuntime(model.adapter, model.network, device="cpu", device_map=None)
    found = run("model", {})
    assert isinstance(found["masks"], OnAccelerator)
    assert found["masks"].dtype == torch.float32
    assert isinstance(found["scores"], np.ndarray)
    np.testing.assert_array_equal(found["scores"], outputs["scores"].cpu().float().numpy())
    in_memory = {name: value.cpu() for name, value in outputs.items()}
    monkeypatch.setattr(model.network, "forward", lambda inputs: in_memory)
    assert isinstance(run("model", {})["masks"], np.ndarray)


@pytest.mark.parametrize("device_map", ["auto", {"": "cpu"}])
def test_a_device_map_changes_no_prediction(folder, device_map):
    expected = scores(folder, device="cpu")
    np.testing.assert_allclose(scores(folder, device_map=device_map), expected, atol=1e-6)


def test_a_network_spread_part_by_part_changes_no_prediction(tmp_path):
    transformers_folder(tmp_path, "vit")
    expected = scores(tmp_path, device="cpu")
    parts = {name: "cpu" for name, _ in pvzoo.load(tmp_path).network.module.named_children()}
    assert len(parts) > 1
    np.testing.assert_allclose(scores(tmp_path, device_map=parts), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("architecture", "inside"),
    [
        ("vit_base_patch16_224", r"blocks\.\d+\."),
        ("resnet50", r"layer\d\.\d+\."),
        ("swin_tiny_patch4_window7_224", r"blocks\.\d+\."),
    ],
)
def test_no_block_of_a_network_is_cut_between_two_devices(architecture, inside):
    """What is added up in a block would lie on two devices."""
    with torch.device("meta"):
        module = timm.create_model(architecture)
    size = sum(p.nbytes for p in module.parameters())
    for share in np.random.default_rng(0).uniform(0.2, 0.8, 20):
        memory = {0: int(share * size), 1: 2 * size}
        whole = list(_blocks(module))
        indices = infer_auto_device_map(module, memory, no_split_module_classes=whole)
        assert not [name for name in indices if re.search(inside, name)]


def test_numbers_whose_sum_is_too_large_for_half_precision_are_taken(tmp_path):
    timm_folder(tmp_path, "test_resnet", num_classes=1000)
    model = pvzoo.load(tmp_path, device="cpu", dtype="float16")
    head = model.network.module.get_classifier()
    with torch.no_grad():
        head.weight.zero_()
        head.bias.fill_(-70)
    results = model.predict([NOISE] * 16, batch_size=16)
    assert len(results) == 16


@pytest.mark.parametrize("device", ["gpu", "cuda:99", 99, "meta", 1.5, "auto", "cpuu"])
def test_a_device_that_is_not_here_is_named(folder, device):
    with pytest.raises(DeviceError, match="cannot be used") as caught:
        pvzoo.load(folder, device=device)
    assert repr(device) in str(caught.value)
    assert "device='cpu'" in caught.value.hint


@pytest.mark.parametrize("device_map", ["cuda:0", "balanced-ish", ["cpu"], 3])
def test_an_impossible_device_map_is_refused(folder, device_map):
    with pytest.raises(UsageError, match="'auto' or a dict"):
        pvzoo.load(folder, device_map=device_map)


@pytest.mark.parametrize("device_map", [{"absent": "cpu"}, {}, {"": "cuda:99"}, {"": "disk"}])
def test_a_device_map_that_does_not_fit_is_refused(folder, device_map):
    with pytest.raises(DeviceError) as caught:
        pvzoo.load(folder, device_map=device_map)
    assert caught.value.hint


def test_device_and_device_map_exclude_each_other(folder):
    with pytest.raises(UsageError, match="exclude each other"):
        pvzoo.load(folder, device="cpu", device_map="auto")


@pytest.mark.parametrize("dtype", ["int8", "float31", torch.int64, 16, "nn", "Tensor"])
def test_a_type_that_is_not_floating_point_is_refused(folder, dtype):
    with pytest.raises(UsageError, match="not a floating-point dtype"):
        pvzoo.load(folder, dtype=dtype)


def test_an_unknown_runtime_is_answered_with_the_nearest(folder):
    with pytest.raises(UsageError, match=r"runtime 'torhc'.*'torch'"):
        pvzoo.load(folder, runtime="torhc")
    assert pvzoo.load(folder, runtime="torch").labels


def test_numbers_that_are_not_finite_are_said_and_not_read(tmp_path):
    """As when a network overflows in float16: nothing would be found, and nobody knew why."""
    transformers_folder(tmp_path, "vit")
    model = pvzoo.load(tmp_path, device="cpu")
    with torch.no_grad():
        next(model.network.module.parameters()).fill_(float("nan"))
    with pytest.raises(PvzooError, match=r"not finite.*bfloat16"):
        model.predict(np.zeros((32, 32, 3), np.uint8))
