"""Whether a model can answer any image at all, tried with blank ones.

A checkpoint may come with a preprocessor that cannot prepare an image, or that prepares it in a
size which the network does not take, as is common after fine-tuning at another size. That is the
model's fault, to be said once and with the way out, not of each image.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from pvzoo.adapters.base import Adapter
from pvzoo.errors import DeviceError, PvzooError, UnsupportedModelError, UsageError
from pvzoo.plugins import registry

if TYPE_CHECKING:
    from pvzoo.networks.base import Network
    from pvzoo.runtimes.base import Runtime

Inputs = dict[str, np.ndarray]

_SIZES = ((640, 480), (320, 240))  # of one shape, so that what is scaled becomes of one size
_STEPS = 200
_WAY_OUT = (
    "Its preprocessor_config.json, or for a timm model pretrained_cfg in its config.json, says how "
    "images are prepared, and in which size: correct that."
)


def at_load(name: str, adapter: Adapter, runtime: Runtime, network: Network | None) -> None:
    """Refuse a model that can answer no image; it takes less than a tenth of a second.

    The network is run only where its first steps show that it may fail. Nothing is tried of a task
    that needs prompts: they come with the images.

    Raises:
        UnsupportedModelError: It cannot.
    """
    try:
        prompts, _ = registry.get("tasks", adapter.task)().options({}, adapter.labels)
        check(
            name,
            lambda image: adapter.preprocess(image, **prompts),
            lambda inputs: adapter.run(runtime, inputs),
            lambda inputs: network is None or starts(network, inputs),
        )
    except (UsageError, DeviceError):
        return


def check(
    name: str,
    preprocess: Callable[[Image.Image], tuple[Inputs, Any]],
    forward: Callable[[Inputs], Any],
    takes: Callable[[Inputs], bool] = lambda inputs: False,
) -> None:
    """Refuse a model that fails on images that nothing is wrong with.

    Args:
        name: What messages call the model.
        preprocess: Makes inputs of an image.
        forward: Runs the network on inputs.
        takes: Whether the network is known to take inputs, so that it need not be run.

    Raises:
        UnsupportedModelError: It fails.
        UsageError: A prompt that the network cannot take.
        DeviceError: There is too little memory.
    """
    inputs = _prepared(name, preprocess, _SIZES[0])
    if takes(inputs):
        return
    try:
        forward(inputs)
    except (DeviceError, UsageError):
        raise
    except PvzooError as error:
        again = _prepared(name, preprocess, _SIZES[1])
        if _shapes(inputs) != _shapes(again):
            return  # inputs are as large as images are: others may fit
        raise UnsupportedModelError(
            f"{name} fails on every image: {error.what}", f"{_WAY_OUT} {error.hint}".strip()
        ) from error


def _prepared(
    name: str, preprocess: Callable[[Image.Image], tuple[Inputs, Any]], size: tuple[int, int]
) -> Inputs:
    try:
        return preprocess(Image.new("RGB", size))[0]
    except (DeviceError, UsageError):
        raise
    except Exception as error:  # processors raise many things for settings that they lack
        said = error.what if isinstance(error, PvzooError) else f"{type(error).__name__}: {error}"
        raise UnsupportedModelError(
            f"{name} cannot prepare any image ({said}).", _WAY_OUT
        ) from error


def _shapes(inputs: Inputs) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in inputs.items()}


def starts(network: Network, inputs: Inputs) -> bool:
    """Whether the first steps of a network take inputs, tried without weights or computing.

    Where that cannot be tried, it is not known that they do not.
    """
    import torch
    from torch.func import functional_call
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

    class Weightless:
        def __getattr__(self, name: str) -> Any:
            return getattr(module, name)

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return functional_call(module, tensors, args, kwargs)

    module = network.module
    named = (*module.named_parameters(), *module.named_buffers())
    tensors = {name: torch.empty_like(tensor, device="meta") for name, tensor in named}
    floating = next(t.dtype for t in tensors.values() if t.is_floating_point())
    shadow = copy(network)
    weightless: Any = Weightless()  # it does what `forward` asks of a module
    shadow.module = weightless
    given = {name: torch.from_numpy(array).to("meta") for name, array in inputs.items()}
    given = {n: t.to(floating) if t.is_floating_point() else t for n, t in given.items()}
    try:
        with torch.inference_mode(), FirstSteps():
            shadow.forward(given)
    except Enough:
        return True
    except Exception as error:  # networks raise many things for what they do not take
        return "meta" in str(error)
    return True
