"""A model under test, with the images to test it on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

import pvzoo
from pvzoo.adapters.base import Adapter, Checkpoint
from pvzoo.catalog.resolve import resolve, with_card
from pvzoo.plugins import registry
from pvzoo.tasks.base import Task
from pvzoo.testing.rules import NotApplicable

if TYPE_CHECKING:
    from pvzoo.model import Model


class Subject:
    """A model, loaded on the CPU when a rule first needs it.

    Args:
        name: The name for `pvzoo.load`.
        task: The task for `pvzoo.load`.
        options: Keyword arguments for every `predict`, for tasks that need a prompt. If the prompt
            is a list of classes, the default is "cat" and "dog".
    """

    def __init__(
        self,
        name: str | Path,
        *,
        task: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = name
        self._task = task
        self._options = dict(options or {})

    def __str__(self) -> str:
        return self.name.name if isinstance(self.name, Path) else self.name

    def load(self, **options: Any) -> Model:
        """The model, loaded again."""
        return pvzoo.load(self.name, task=self._task, **{"device": "cpu", **options})

    @cached_property
    def model(self) -> Model:
        """The model, in float32 if it computes with torch."""
        return self.load()

    @property
    def adapter(self) -> Adapter:
        """The model's adapter."""
        return self.model.adapter

    @cached_property
    def task(self) -> Task:
        """The model's task."""
        task: Task = registry.get("tasks", self.adapter.task)()
        return task

    @property
    def uses_torch(self) -> bool:
        """Whether it has a network that torch runs."""
        return self.model.network is not None

    @property
    def network(self) -> Any:
        """The model's network; skips the rule if there is none."""
        self.needs_torch()
        return self.model.network

    def options(self, **more: Any) -> dict[str, Any]:
        """The options for a call of `predict`."""
        prompt = self.task.class_prompt
        given = {prompt: ["cat", "dog"]} if prompt and prompt not in self._options else {}
        return {**given, **self._options, **more}

    def predict(self, images: Any, **more: Any) -> Any:
        """The model's predictions."""
        return self.model.predict(images, **self.options(**more))

    @cached_property
    def results(self) -> list[Any]:
        """The model's prediction for each of `images`, one image per call."""
        return [self.predict(image) for image in self.images]

    def sorted_options(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """(prompts, controls) as pvzoo passes them to the adapter."""
        return self.task.options(self.options(), self.model.labels)

    def has_control(self, name: str) -> bool:
        """Whether the task has a control of this name."""
        return name in {f.name for f in fields(self.task.controls)}

    def needs_torch(self) -> None:
        """Skip a rule about torch if the model does not use torch."""
        if not self.uses_torch:
            raise NotApplicable("The adapter has no torch network.")

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint that pvzoo passed to the network's `load` or the adapter's `open`."""
        from pvzoo.hub import download as hub

        card, source, config = resolve(self.name, None)
        found = hub.find(source, str(self.name), config, trust_remote_code=False)
        return replace(found.fetch(), config=with_card(found.config, card))

    @cached_property
    def image(self) -> Image.Image:
        """An upright RGB image of 128 x 96 pixels that is not empty."""
        return scene(0, (96, 128))[0]

    @cached_property
    def images(self) -> list[Image.Image]:
        """Four images: two of one size, one of another size, and an empty one."""
        turned = self.image.transpose(Image.Transpose.ROTATE_180)
        return [self.image, turned, scene(1, (131, 97))[0], Image.new("RGB", (128, 96), "gray")]


Thing = tuple[int, tuple[int, int, int, int]]


def scene(seed: int, size: tuple[int, int]) -> tuple[Image.Image, list[Thing]]:
    """A textured image of (height, width), and its two rectangles.

    A rectangle is (class, (left, top, right, bottom)). Class 1 is red, class 2 is blue.
    """
    rng = np.random.default_rng(seed)
    height, width = size
    coarse = Image.fromarray(rng.integers(60, 200, (6, 8, 3), dtype=np.uint8))
    pixels = np.array(coarse.resize((width, height), Image.Resampling.BICUBIC))
    things = []
    for number, colour in enumerate(((220, 30, 30), (30, 40, 220))):
        left, top = (
            number * width // 2 + int(rng.integers(2, 12)),
            int(rng.integers(4, height // 3)),
        )
        right, bottom = left + width // 3, top + height // 2
        pixels[top:bottom, left:right] = colour
        things.append((number + 1, (left, top, right, bottom)))
    return Image.fromarray(pixels), things
