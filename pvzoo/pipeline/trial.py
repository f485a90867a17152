"""Try with blank images whether a model can predict any image at all.

The preprocessor of a checkpoint may be unable to prepare images, or may prepare them in a size that
the network does not take; this is common after fine-tuning at another size. The model is then
wrong, not the images. So there is one error with a hint, and not an error for each image.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from pvzoo.adapters.base import Adapter
from pvzoo.errors import DeviceError, PvzooError, UnsupportedModelError, UsageError

if TYPE_CHECKING:
    from pvzoo.networks.base import Network
    from pvzoo.runtimes.base import Runtime
from pvzoo.tasks.fixed import task_of

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
        )
    except (UsageError, DeviceError):
        return


def check(
    name: str,
    preprocess: Callable[[Image.Image], tuple[Inputs, Any]],
    forward: Callable[[Inputs], Any],
    takes: Callable[[Inputs], bool] = lambda inputs: False,
) -> None:
    """Refuse a model that fails on valid images.

    Args:
        name: The name of the model, for messages.
        preprocess: Makes inputs from an image.
        forward: Runs the network on inputs.
        takes: Whether it is known that the network takes inputs; then it is not run.

    Raises:
        UnsupportedModelError: The model fails.
        UsageError: The network cannot take a prompt.
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
            return  # the input size depends on the image, so other images may work
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
    except Exception as error:  # processors raise many kinds of errors for missing settings
        text = error.what if isinstance(error, PvzooError) else f"{type(error).__name__}: {error}"
        raise UnsupportedModelError(
            f"{name} cannot prepare any image ({text}).", _WAY_OUT
        ) from error


def _shapes(inputs: Inputs) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in inputs.items()}


def starts(network: Network, inputs: Inputs) -> bool:
    """Whether the first steps of a network take inputs, tried without weights and computation.

    If this cannot be tried, the answer is True.
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
    weightless: Any = Weightless()  # behaves like the module that `forward` uses
    shadow.module = weightless
    given = {name: torch.from_numpy(array).to("meta") for name, array in inputs.items()}
    given = {n: t.to(floating) if t.is_floating_point() else t for n, t in given.items()}
    try:
        with torch.inference_mode(), FirstSteps():
            shadow.forward(given)
    except Enough:
        return True
    except Exception as error:  # networks raise many kinds of errors for inputs they do not take
        return "meta" in str(error)
    return True
