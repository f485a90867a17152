"""The adapter of a network, which prepares images by steps if that was proven.

The steps are tried on a few images and compared with the network's own processor to the bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pvzoo.adapters.base import Adapter
from pvzoo.errors import ExportError, PvzooError, error_message
from pvzoo.networks.base import Network
from pvzoo.plugins import registry
from pvzoo.preprocess.compare import QUICK, ROUNDING, THOROUGH, probes, unlike
from pvzoo.preprocess.run import run
from pvzoo.preprocess.steps import Step


def adapter_of(network: Network) -> Adapter:
    """The adapter of a network: with steps instead of the processor where they do the same."""
    adapter_class: type[Adapter] = registry.get("adapters", network.spec.adapter)
    spec = replace(network.spec, steps=proven_steps(network, adapter_class.pixels))
    return adapter_class(spec, network.prepare)


def proven_steps(network: Network, pixels: str) -> tuple[Step, ...] | None:
    """The network's steps; None where its own processor fails or gives anything else.

    Args:
        network: Whose `Network.prepare` the steps are to equal, in inputs and meta.
        pixels: The name of the input that takes the pixels.
    """
    images = list(probes(QUICK))
    try:
        # before the steps are asked for: settings that stop the processor may stop them too
        wanted = [network.prepare(image) for image in images]
    except Exception:  # processors raise many things; `pvzoo.pipeline.trial` says that it fails
        return None
    try:
        steps = network.steps()
        own = [run(steps, image, pixels) for image in images]
    except PvzooError:  # no steps describe it, or they refuse images that large
        return None
    for (inputs, meta), (own_inputs, own_meta) in zip(wanted, own, strict=True):
        if unlike(own_inputs, inputs) or not _says(own_meta, meta):
            return None
    return steps


def thorough_steps(
    network: Network, pixels: str, prompts: Mapping[str, Any]
) -> tuple[Step, ...] | None:
    """The network's steps, tried on many images: an export has nothing else.

    Args:
        network: As for `proven_steps`.
        pixels: Likewise.
        prompts: The task's prompts, complete.

    Raises:
        ExportError: Its preprocessing cannot be said in steps, or the steps do something else.
    """
    try:
        steps = network.steps()
    except PvzooError as error:
        raise ExportError(
            f"Images are prepared by code that only PyTorch's side has: {error.what}",
            "An export needs steps; see docs/preprocessing.md.",
            stage="preprocessing",
        ) from error
    scaled = any(getattr(step, "arithmetic", "") == "float" for step in steps)
    for image in probes(THOROUGH):
        try:
            inputs, meta = network.prepare(image, **prompts)
        except Exception:  # the processor takes no such image, so there is nothing to equal
            continue
        size = f"{image.width} x {image.height} pixels"
        try:
            own, told = run(steps, image, pixels)
        except Exception as error:
            raise ExportError(
                f"The steps cannot prepare an image of {size} ({error_message(error)}).",
                stage="preprocessing",
            ) from error
        differs = unlike(own, inputs, ROUNDING if scaled else 0.0)
        if differs or not _says(told, meta):
            raise ExportError(
                f"The steps prepare an image of {size} otherwise than the processor: "
                f"{differs or 'they say something else of it'}.",
                stage="preprocessing",
            )
    return steps


def _says(own: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether postprocessing gets to know all that it is to know."""
    return all(repr(_plain(own.get(key))) == repr(_plain(wanted[key])) for key in wanted)


def _plain(value: object) -> object:
    """Sizes as lists of ints, whichever sequence they came in."""
    if isinstance(value, (tuple, list)):
        return [_plain(v) for v in value]
    return int(value) if isinstance(value, (int, float)) or hasattr(value, "__index__") else value
