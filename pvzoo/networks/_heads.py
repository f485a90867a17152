"""Give a network other classes, and keep all weights except those of removed classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import torch

from pvzoo.errors import UnsupportedModelError
from pvzoo.networks.randomness import seeded

Module = TypeVar("Module", bound=torch.nn.Module)
Make = Callable[[int], Module]
"""``make(count)`` gives a new network with `count` classes, initialised as its authors do."""

Keep = Callable[[str, torch.Tensor, torch.Tensor], None]
"""``keep(name, old, new)`` copies the kept part of a tensor; both have the class axis first."""


class ClassAxis(NamedTuple):
    """Where a tensor has its classes.

    Attributes:
        axis: The axis of the classes.
        each: The number of entries for each class, such as 4 for the boxes of Faster R-CNN.
    """

    axis: int
    each: int


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

    Entries of the class axis after the classes are kept too (such as "no object", which is last in
    all families of transformers).

    Args:
        make: Makes such networks.
        module: The old network.
        old_count: Its number of classes.
        kept: For each class of the new network, the index of the old class, or None.
        seed: The seed of the new weights.
        new_bias: Bias of the new classes; None for the bias that `make` gives.
        keep: Copies the entries of classes; None if entry ``i`` is the class ``i``.

    Returns:
        The new network, in evaluation mode.

    Raises:
        UnsupportedModelError: `make` does not give a network like `module`.
    """
    shapes, larger = (_shapes(make, old_count + more) for more in (0, 1))
    old = module.state_dict()
    if {k: v.shape for k, v in old.items()} != shapes:
        raise UnsupportedModelError(
            f"A {type(module).__name__} cannot be built again from its configuration, so pvzoo "
            "cannot change its classes.",
            "Choose another model.",
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
        axis = axes[name].axis
        source, target = old[name].movedim(axis, 0), value.movedim(axis, 0)
        if keep is not None:
            keep(name, source.to(target), target)
            continue
        if new_bias is not None and name.endswith("bias"):
            target[new_places] = new_bias
        target[kept_places] = source[old_places].to(target)
        target[len(kept) :] = source[old_count:].to(target)
    dtype = next(p.dtype for p in module.parameters() if p.is_floating_point())
    return fresh.to(dtype).eval()


def class_axes(make: Make[torch.nn.Module], count: int) -> dict[str, ClassAxis]:
    """The tensors of a network that have entries for each class -> where these are.

    No library lists them. To find them, the network is built a second time with one class more
    (without memory for its weights), and the shapes are compared.
    """
    return _differing(*(_shapes(make, count + more) for more in (0, 1)))


def _shapes(make: Make[torch.nn.Module], count: int) -> dict[str, torch.Size]:
    with torch.device("meta"):
        return {name: value.shape for name, value in make(count).state_dict().items()}


def _differing(
    shapes: dict[str, torch.Size], others: dict[str, torch.Size]
) -> dict[str, ClassAxis]:
    """The shapes that `others`, of one class more, differ from -> the first axis that differs."""
    found = {}
    for name, shape in shapes.items():
        if shape != others[name]:
            axis = next(i for i, size in enumerate(shape) if size != others[name][i])
            found[name] = ClassAxis(axis, others[name][axis] - shape[axis])
    return found
