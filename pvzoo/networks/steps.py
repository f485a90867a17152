"""Make the adapter of a network, which prepares images by steps if a test proves them right.

The test compares the steps with the network's own processor on a few images, bit by bit.
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
    """The adapter of a network; it uses steps instead of the processor if they do the same."""
    adapter_class: type[Adapter] = registry.get("adapters", network.spec.adapter)
    spec = replace(network.spec, steps=proven_steps(network, adapter_class.pixels))
    return adapter_class(spec, network.prepare)


def proven_steps(network: Network, pixels: str) -> tuple[Step, ...] | None:
    """The network's steps; None if its own processor fails or gives a different result.

    Args:
        network: The network; the steps must give the same inputs and meta as its `prepare`.
        pixels: The name of the input that takes the pixels.
    """
    images = list(probes(QUICK))
    try:
        # the processor first: settings that make it fail may make the steps fail too
        wanted = [network.prepare(image) for image in images]
    except Exception:  # of many types; `pvzoo.pipeline.trial` reports that it fails
        return None
    try:
        steps = network.steps()
        own = [run(steps, image, pixels) for image in images]
    except PvzooError:  # steps cannot describe it, or they refuse such large images
        return None
    for (inputs, meta), (own_inputs, own_meta) in zip(wanted, own, strict=True):
        if unlike(own_inputs, inputs) or not _agrees(own_meta, meta):
            return None
    return steps


def thorough_steps(network: Network, prompts: Mapping[str, Any]) -> tuple[Step, ...] | None:
    """The network's steps, tested on many images, since an export has no other processor.

    Args:
        network: As for `proven_steps`.
        prompts: All prompts of the task.

    Raises:
        ExportError: Steps cannot describe its preprocessing, or they give another result.
    """
    try:
        steps = network.steps()
    except PvzooError as error:
        raise ExportError(
            f"The code that prepares images needs PyTorch: {error.what}",
            "An export needs steps; see docs/preprocessing.md.",
            stage="preprocessing",
        ) from error
    adapter_class: type[Adapter] = registry.get("adapters", network.spec.adapter)
    theirs = adapter_class(network.spec, network.prepare)
    ours = adapter_class(replace(network.spec, steps=steps))
    scaled = any(getattr(step, "arithmetic", "") == "float" for step in steps)
    for image in probes(THOROUGH):
        try:
            inputs, meta = theirs.preprocess(image, **prompts)
        except Exception:  # the processor takes no such image, so there is nothing to equal
            continue
        size = f"{image.width} x {image.height} pixels"
        try:
            own, own_meta = ours.preprocess(image, **prompts)
        except Exception as error:
            raise ExportError(
                f"The steps cannot prepare an image of {size} ({error_message(error)}).",
                stage="preprocessing",
            ) from error
        differs = unlike(own, inputs, ROUNDING if scaled else 0.0)
        if differs or not _agrees(own_meta, meta):
            raise ExportError(
                f"The steps and the processor give different results for an image of {size}: "
                f"{differs or 'the meta differs'}.",
                stage="preprocessing",
            )
    return steps


def _agrees(own: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether `own` has all the values of `wanted`, which postprocessing needs."""
    return all(repr(_plain(own.get(key))) == repr(_plain(wanted[key])) for key in wanted)


def _plain(value: object) -> object:
    """Sizes as lists of ints, from any sequence type."""
    if isinstance(value, (tuple, list)):
        return [_plain(v) for v in value]
    return int(value) if isinstance(value, (int, float)) or hasattr(value, "__index__") else value
