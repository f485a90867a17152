"""Try with blank images whether a model can predict any image at all.

The preprocessor of a checkpoint may be unable to prepare images, or may prepare them in a size that
the network does not take; this is common after fine-tuning at another size. The model is then
wrong, not the images. So there is one error with a hint, and not an error for each image.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy, deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from pvzoo.adapters.base import Adapter
from pvzoo.errors import (
    DeviceError,
    PluginError,
    PvzooError,
    UnsupportedModelError,
    UsageError,
)
from pvzoo.plugins.calls import plugin_of
from pvzoo.plugins.installed import OWN
from pvzoo.tasks.fixed import task_of

if TYPE_CHECKING:
    from torch import nn

    from pvzoo.networks.base import Network
    from pvzoo.runtimes.base import Runtime

Inputs = dict[str, np.ndarray]

_SIZES = ((640, 480), (320, 240))  # the same proportions, so that scaled images have one size
_STEPS = 200
_WAY_OUT = (
    "Its preprocessor_config.json (for a timm model: pretrained_cfg in its config.json) sets how "
    "images are prepared and in which size: correct it."
)


def at_load(name: str, adapter: Adapter, runtime: Runtime, network: Network | None) -> None:
    """Refuse a model that fails on every image; this takes less than a tenth of a second.

    The network is run only if its first steps show that it may fail. A model for a task that needs
    prompts is not tried, because prompts come with the images.

    Raises:
        UnsupportedModelError: The model fails on every image.
    """
    try:
        prompts, _ = task_of(adapter.spec).options({}, adapter.labels)
        check(
            name,
            lambda image: adapter.preprocess(image, **prompts),
            lambda inputs: adapter.run(runtime, inputs),
            lambda inputs: network is None or starts(network, inputs),
            way_out=way_out(adapter),
        )
    except (UsageError, DeviceError):
        return


def way_out(adapter: Adapter) -> str:
    """What a user can do about a model that fails on every image."""
    dist = plugin_of(adapter)
    if dist == OWN:
        return _WAY_OUT
    kind = type(adapter).__name__
    of = f"{kind} of the plugin {dist!r}" if dist else kind
    return (
        f"The code of {of} runs it; --debug shows where it failed. If the model has a "
        "preprocessor_config.json, that sets how images are prepared and in which size."
    )


def check(
    name: str,
    preprocess: Callable[[Image.Image], tuple[Inputs, Any]],
    forward: Callable[[Inputs], Any],
    takes: Callable[[Inputs], bool] = lambda inputs: False,
    *,
    way_out: str = _WAY_OUT,
) -> None:
    """Refuse a model that fails on valid images.

    Args:
        name: The name of the model, for messages.
        preprocess: Makes inputs from an image.
        forward: Runs the network on inputs.
        takes: Whether it is known that the network takes inputs; then it is not run.
        way_out: What the user can do about it.

    Raises:
        UnsupportedModelError: The model fails.
        UsageError: The network cannot take a prompt.
        DeviceError: There is too little memory.
    """
    inputs = _prepared(name, preprocess, _SIZES[0], way_out)
    if takes(inputs):
        return
    try:
        forward(inputs)
    except (DeviceError, UsageError, PluginError):
        raise
    except PvzooError as error:
        again = _prepared(name, preprocess, _SIZES[1], way_out)
        if _shapes(inputs) != _shapes(again):
            return  # the input size depends on the image, so other images may work
        raise UnsupportedModelError(
            f"{name} fails on every image: {error.what}", f"{way_out} {error.hint}".strip()
        ) from error


def _prepared(
    name: str,
    preprocess: Callable[[Image.Image], tuple[Inputs, Any]],
    size: tuple[int, int],
    way_out: str,
) -> Inputs:
    try:
        return preprocess(Image.new("RGB", size))[0]
    except (DeviceError, UsageError, PluginError):
        raise
    except Exception as error:  # processors raise many kinds of errors for missing settings
        text = error.what if isinstance(error, PvzooError) else f"{type(error).__name__}: {error}"
        raise UnsupportedModelError(
            f"{name} cannot prepare any image ({text}).", way_out
        ) from error


def _shapes(inputs: Inputs) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in inputs.items()}


def starts(network: Network, inputs: Inputs) -> bool:
    """Whether the first steps of a network take inputs, tried without weights and computation.

    If this cannot be tried, the answer is True.
    """
    import torch
    from torch.overrides import TorchFunctionMode

    class Enough(Exception):
        pass

    class FirstSteps(TorchFunctionMode):
        steps = 0

        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            self.steps += 1
            if self.steps > _STEPS:
                raise Enough
            return func(*args, **(kwargs or {}))

    shadow = copy(network)
    try:
        shadow.module = _without_weights(network.module)
        floating = next(p.dtype for p in network.module.parameters() if p.is_floating_point())
        given = {name: torch.from_numpy(array).to("meta") for name, array in inputs.items()}
        given = {n: t.to(floating) if t.is_floating_point() else t for n, t in given.items()}
    except Exception:  # a module that cannot be copied, or has no weights
        return True
    try:
        with torch.inference_mode(), FirstSteps():
            shadow.forward(given)
    except Enough:
        return True
    except Exception as error:  # networks raise many kinds of errors for inputs they do not take
        return "meta" in str(error)
    return True


def _without_weights(module: nn.Module) -> nn.Module:
    """A copy of a module whose parameters and buffers have no values, and take no memory.

    Other tensors of the module are copied, because `forward` may move them to the device of its
    inputs; torchvision's detectors keep their anchors in a list and do so.
    """
    import torch

    empty: dict[int, Any] = {}
    for parameter in module.parameters():
        tensor = torch.empty_like(parameter, device="meta")
        empty[id(parameter)] = torch.nn.Parameter(tensor, requires_grad=False)
    for buffer in module.buffers():
        empty[id(buffer)] = torch.empty_like(buffer, device="meta")
    return deepcopy(module, empty)
