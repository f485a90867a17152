"""A network for other classes: everything kept but what belongs to a class that is gone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from pvzoo.errors import UnsupportedModelError
from pvzoo.networks.randomness import seeded

Module = TypeVar("Module", bound=torch.nn.Module)
Make = Callable[[int], Module]
"""A new network for a number of classes, with the initialisation of its authors."""

Keep = Callable[[str, torch.Tensor, torch.Tensor], None]
"""``keep(name, old, new)`` copies what stays of a tensor, both with the axis of classes first."""


def with_classes(
    make: Make[Module],
    module: torch.nn.Module,
    old_count: int,
    kept: Sequence[int | None],
    seed: int,
    new_bias: float | None = None,
    keep: Keep | None = None,
) -> Module:
    """A new network: its class ``j`` is the old class ``kept[j]``, or a new one where that is None.

    What the axis of the classes has beyond them (as "no object", which all families of transformers
    have last) is kept too.

    Args:
        make: Makes such networks.
        module: The old network.
        old_count: Its number of classes.
        kept: For each class of the new network the old class it is.
        seed: For what is initialised anew.
        new_bias: Bias of the new classes; None for that of `make`.
        keep: What copies the entries of classes; None if entry ``i`` is the class ``i``.

    Returns:
        It, in evaluation mode.

    Raises:
        UnsupportedModelError: `make` does not make this network.
    """
    shapes, larger = (_shapes(make, old_count + more) for more in (0, 1))
    old = module.state_dict()
    if {k: v.shape for k, v in old.items()} != shapes:
        raise UnsupportedModelError(
            f"A {type(module).__name__} cannot be made again from its configuration, so it cannot "
            "be given other classes.",
        )
    axes = _differing(shapes, larger)
    with seeded(seed):
        fresh = make(len(kept))
    fresh = fresh.to(next(iter(old.values())).device)
    pairs = [(new, i) for new, i in enumerate(kept) if i is not None]
    kept_places, old_places = [new for new, _ in pairs], [i for _, i in pairs]
    new_places = [new for new, i in enumerate(kept) if i is None]
    for name, value in fresh.state_dict().items():
        if name not in axes:
            value.copy_(old[name])
            continue
        source, target = old[name].movedim(axes[name], 0), value.movedim(axes[name], 0)
        if keep is not None:
            keep(name, source.to(target), target)
            continue
        if new_bias is not None and name.endswith("bias"):
            target[new_places] = new_bias
        target[kept_places] = source[old_places].to(target)
        target[len(kept) :] = source[old_count:].to(target)
    dtype = next(p.dtype for p in module.parameters() if p.is_floating_point())
    return fresh.to(dtype).eval()


def class_axes(make: Make[torch.nn.Module], count: int) -> dict[str, int]:
    """The tensors of a network that have an entry for each class -> the axis of the classes.

    Which they are is not written down anywhere; it is seen by building the network, without
    memory for its weights, for one class more.
    """
    return _differing(*(_shapes(make, count + more) for more in (0, 1)))


def _shapes(make: Make[torch.nn.Module], count: int) -> dict[str, torch.Size]:
    with torch.device("meta"):
        return {name: value.shape for name, value in make(count).state_dict().items()}


def _differing(shapes: dict[str, torch.Size], others: dict[str, torch.Size]) -> dict[str, int]:
    """The names of shapes that differ from the others -> the first axis that does."""
    return {
        name: next(axis for axis, size in enumerate(shape) if size != others[name][axis])
        for name, shape in shapes.items()
        if shape != others[name]
    }
