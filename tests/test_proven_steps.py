"""Whether a network's own processor is replaced by steps when the network is loaded."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from PIL import Image

from pvzoo.adapters.base import Spec
from pvzoo.networks.base import Network
from pvzoo.networks.steps import proven_steps
from pvzoo.preprocess.derive import undescribed
from pvzoo.preprocess.run import run
from pvzoo.preprocess.steps import CenterCrop, Rescale, Resize, Step

STEPS = (Resize("exact", (8, 8)), Rescale(1 / 255))


class Plain(Network):
    """Its processor does what its steps say."""

    def __init__(self) -> None:
        self.module = torch.nn.Identity()
        self.spec = Spec("plain", "image-classification", ("a",))

    @classmethod
    def load(cls, checkpoint: Any, **options: Any) -> Plain:
        return cls()

    def prepare(self, image: Image.Image, **prompts: Any) -> tuple[dict, dict]:
        return run(STEPS, image)

    def forward(self, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return inputs

    def steps(self) -> tuple[Step, ...]:
        return STEPS


def test_steps_that_do_what_the_processor_does_are_taken() -> None:
    assert proven_steps(Plain(), "pixel_values") == STEPS


def test_a_processor_that_no_steps_describe_is_kept() -> None:
    class Undescribed(Plain):
        def steps(self) -> tuple[Step, ...]:
            raise undescribed("Donut", "it has steps of its own")

    assert proven_steps(Undescribed(), "pixel_values") is None


@pytest.mark.parametrize(
    "others",
    [
        (Resize("exact", (8, 8)), Rescale(1 / 254)),
        (Resize("exact", (8, 8)),),
        (Resize("exact", (8, 9)), Rescale(1 / 255)),
    ],
    ids=["values", "type", "shape"],
)
def test_a_processor_that_gives_other_inputs_is_kept(others) -> None:
    class Other(Plain):
        def steps(self) -> tuple[Step, ...]:
            return others

    assert proven_steps(Other(), "pixel_values") is None


def test_a_processor_that_says_more_to_postprocessing_is_kept() -> None:
    class More(Plain):
        def prepare(self, image: Image.Image, **prompts: Any) -> tuple[dict, dict]:
            inputs, meta = super().prepare(image)
            return inputs, {**meta, "turned": True}

    assert proven_steps(More(), "pixel_values") is None


def test_a_processor_that_fails_is_kept_and_its_steps_are_not_asked_for() -> None:
    class Broken(Plain):
        def prepare(self, image: Image.Image, **prompts: Any) -> tuple[dict, dict]:
            raise KeyError("shortest_edge")

        def steps(self) -> tuple[Step, ...]:
            raise KeyError("shortest_edge")

    assert proven_steps(Broken(), "pixel_values") is None


def test_steps_that_refuse_images_that_large_are_not_taken() -> None:
    class Large(Plain):
        def steps(self) -> tuple[Step, ...]:
            return (Resize("exact", (5000, 5000)), *STEPS)

    assert proven_steps(Large(), "pixel_values") is None


def test_a_fault_in_saying_the_steps_is_not_hidden() -> None:
    class Faulty(Plain):
        def steps(self) -> tuple[Step, ...]:
            return self.module.described

    with pytest.raises(AttributeError):
        proven_steps(Faulty(), "pixel_values")


def test_a_fault_in_running_the_steps_is_not_hidden(monkeypatch) -> None:
    class Cropped(Plain):
        def steps(self) -> tuple[Step, ...]:
            return (CenterCrop((4, 4)), *STEPS)

    def faulty(state: Any, step: Any) -> Any:
        raise AttributeError("a typing error")

    monkeypatch.setitem(run.__globals__["_DO"], CenterCrop, faulty)
    with pytest.raises(AttributeError):
        proven_steps(Cropped(), "pixel_values")
