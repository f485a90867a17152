"""The adapter of a network, which prepares pictures by steps if that was proven.

The steps are tried on a few pictures and compared with the network's own processor to the bit.
"""

from __future__ import annotations

from dataclasses import replace

from PIL import Image

from pvzoo import registry
from pvzoo.adapters.base import Adapter
from pvzoo.networks.base import Network
from pvzoo.preprocess.compare import QUICK, difference
from pvzoo.preprocess.run import run
from pvzoo.preprocess.steps import Step


def adapter_of(network: Network) -> Adapter:
    """The adapter of a network: with steps in the place of the processor where they do the same."""
    adapter_class = registry.get("adapters", network.spec.adapter)
    spec = replace(network.spec, steps=proven_steps(network, adapter_class.pixels))
    return adapter_class(spec, network.prepare)


def proven_steps(network: Network, pixels: str) -> tuple[Step, ...] | None:
    """The network's steps; None where its own processor gives anything else.

    Args:
        network: Whose `Network.prepare` the steps are to equal, in inputs and meta.
        pixels: The name of the input that takes the pixels.
    """
    try:
        steps = network.steps()
        return steps if _are_proven(steps, network, pixels) else None
    except Exception:  # a processor that fails on any picture is told by `pvzoo.trial`
        return None


def _are_proven(steps: tuple[Step, ...], network: Network, pixels: str) -> bool:
    def told(image: Image.Image) -> dict[str, object]:
        """What postprocessing gets to know that `prepare` says."""
        found, wanted = run(steps, image, pixels)[1], network.prepare(image)[1]
        return {key: (found.get(key), value) for key, value in wanted.items()}

    other = difference(
        lambda image: run(steps, image, pixels)[0], lambda image: network.prepare(image)[0], QUICK
    )
    if other is not None:
        return False
    picture = Image.new("RGB", QUICK[-1])
    return all(_same(*pair) for pair in told(picture).values())


def _same(one: object, other: object) -> bool:
    return repr(_plain(one)) == repr(_plain(other))


def _plain(value: object) -> object:
    """Sizes as lists of ints, whichever sequence they came in."""
    if isinstance(value, (tuple, list)):
        return [_plain(v) for v in value]
    return int(value) if isinstance(value, (int, float)) or hasattr(value, "__index__") else value
