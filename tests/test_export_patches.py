"""Each change to a library is still needed. Where one fails, that change can go."""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Callable
from importlib import import_module

import detection_families
import pytest
import torch
from torch import nn
from transformers import CONFIG_MAPPING

import pvzoo
from pvzoo.errors import PvzooError
from pvzoo.export.patches import PATCHES, applied
from pvzoo.families import FAMILIES

FIXING: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "length": lambda x: x + torch.zeros(len(x), 1),
    "integers": lambda x: x + torch.zeros(int(x.shape[0]), int(x.shape[1])),
    "sizes: linspace": lambda x: x + torch.linspace(0.5, x.shape[1] - 0.5, x.shape[1]),
    "sizes: as_tensor": lambda x: x + torch.as_tensor([(x.shape[0], x.shape[1])]).sum(),
}
"""What fixes a side of its input, by the name of the patch that keeps the side free."""

ELSEWHERE = {"pvzoo-depth": ("depth_anything", "integers")}
"""What networks of plugins need."""

NEEDING = {
    "length": r"\blen\(source_flatten\)",
    "integers": r"\bint\(patch_",
    "sizes": r"as_tensor\(spatial_shapes_list",
    "plain probabilities": r"attn_mask_probs\[.*\] > 0",
}
"""The code of transformers that each patch is for. "unoptimised" is for onnxscript's."""


class Applied(nn.Module):
    """A function of a tensor as a network."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return self.function(values)


class Asking(nn.Module):
    """A network that asks for a number of a buffer, as EoMT does."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("attn_mask_probs", torch.zeros(1))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return values + 1 if self.attn_mask_probs[0] > 0 else values


def exported(module: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    """A network as torch.export has it, from a (3, 4) input of which both sides are to be free."""
    auto = torch.export.Dim.AUTO
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.export.export(
            module, (torch.ones(3, 4),), dynamic_shapes=({0: auto, 1: auto},), strict=False
        ).module()


@pytest.mark.parametrize("what", FIXING)
def test_a_side_is_fixed_without_the_patch_and_free_with_it(what):
    module, other = Applied(FIXING[what]), torch.ones(5, 7)
    with pytest.raises(AssertionError, match="Guard failed"):
        exported(module)(other)
    with applied([what.partition(":")[0]], module):
        free = exported(module)
    assert torch.equal(free(other), module(other))


def test_a_number_of_a_buffer_cannot_be_asked_for_without_the_patch():
    module = Asking()
    with pytest.raises(Exception, match="data-dependent"):
        exported(module)
    with applied(["plain probabilities"], module):
        free = exported(module)
    assert torch.equal(free(torch.ones(5, 7)), torch.ones(5, 7))
    assert isinstance(module.attn_mask_probs, torch.Tensor)


def _named() -> list[tuple[str, str]]:
    own = [(name, patch) for name, family in FAMILIES.items() for patch in family.patches]
    return [*own, *ELSEWHERE.values()]


def test_every_patch_is_tested_here_and_named_by_a_family():
    assert set(PATCHES) == {patch for _, patch in _named()} == {*NEEDING, "unoptimised"}


@pytest.mark.parametrize(("family", "patch"), [p for p in _named() if p[1] in NEEDING])
def test_a_family_that_names_a_patch_has_the_code_that_it_is_for(family, patch):
    folder = import_module(CONFIG_MAPPING[family].__module__).__name__.rpartition(".")[0]
    source = inspect.getsource(import_module(f"{folder}.modeling_{folder.rpartition('.')[2]}"))
    assert re.search(NEEDING[patch], source), f"{family} does not need {patch!r} any more"


def test_layouts_of_version_two_are_still_sorted_in_an_order_that_pytorch_does_not_promise():
    source = inspect.getsource(import_module("transformers").PPDocLayoutV2ForObjectDetection)
    assert "torch.argsort(mask.int(), dim=1, descending=True)" in source


@pytest.mark.slow
def test_deformable_detr_cannot_be_exported_with_onnxscripts_optimizer(tmp_path, monkeypatch):
    detection_families.build("deformable_detr_box_refine", tmp_path / "original")
    model = pvzoo.load(tmp_path / "original", device="cpu")
    needed = tuple(name for name in model.network.patches if name != "unoptimised")
    assert needed != model.network.patches
    monkeypatch.setattr(type(model.network), "patches", needed)
    with pytest.raises(PvzooError):
        model.export(tmp_path / "export")
