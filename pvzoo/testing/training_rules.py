"""Rules on what is optional: saving and fine-tuning."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from pvzoo.errors import UnsupportedModelError
from pvzoo.testing.compare import difference
from pvzoo.testing.rules import Broken, NotApplicable, must, rule
from pvzoo.testing.subject import Subject, scene

if TYPE_CHECKING:
    from pvzoo.networks.base import Network, TargetClasses

STEPS = 20
RATES = (1e-3, 1e-4)
"""Learning rates that are tried: large networks with random weights take no high one."""


@rule("Let `save` write config.json and all weights, and `load` read all that `save` writes.")
def save_and_load(s: Subject) -> None:
    """A saved model is loaded again with the same task, classes and predictions."""
    s.needs_torch()
    from pvzoo.networks.base import Network

    if type(s.network).save is Network.save:
        raise NotApplicable("The network cannot save.")
    import pvzoo

    with tempfile.TemporaryDirectory() as home:
        folder = s.model.save(Path(home) / "saved")
        again = pvzoo.load(folder, device="cpu")
        must(again.task == s.model.task, f"Its task is {again.task!r}, was {s.model.task!r}.")
        must(again.labels == s.model.labels, "The names of its classes are others.")
        for image, before in zip(s.images, s.results, strict=True):
            if found := difference(before, again.predict(image, **s.options())):
                raise Broken(f"It predicts something else: {found}.")


@rule("Copy the network before you change it (`copy.deepcopy`), and draw new weights by `seed`.")
def retarget(s: Subject) -> None:
    """A network for other classes is a new one, and follows from the seed."""
    s.needs_torch()
    import torch

    before = {n: v.clone() for n, v in _network(s).state_dict().items()}
    labels = s.adapter.labels
    new, again = _retargeted(s), _retargeted(s)
    spec = new.spec
    must(spec.labels == _classes(s).names, f"Its classes are {spec.labels!r:.80}.")
    must(spec.task == s.adapter.task, f"Its task is {spec.task!r}.")
    must(s.adapter.labels == labels, "The classes of the old one changed.")
    old = s.network.module.state_dict()
    must(all(torch.equal(v, before[n]) for n, v in old.items()), "The old network changed.")
    shared = {v.data_ptr() for v in old.values() if v.numel()}
    mine = new.module.state_dict()
    must(
        shared.isdisjoint(v.data_ptr() for v in mine.values() if v.numel()),
        "The new network shares memory with the old one.",
    )
    theirs = again.module.state_dict()
    must(
        mine.keys() == theirs.keys() and all(torch.equal(v, theirs[n]) for n, v in mine.items()),
        "The same seed gave other weights.",
    )


@rule("Name the parameters as `module.named_parameters()` does, up to a dot.")
def backbone(s: Subject) -> None:
    """The backbone's names are those of some parameters, and not of all."""
    _network(s)
    new = _retargeted(s)
    names = [name for name, _ in new.module.named_parameters()]
    inside = [name for name in names if name.startswith(tuple(new.backbone))]
    must(inside, f"No parameter begins with {new.backbone!r}; there are {names[:5]}.")
    must(len(inside) < len(names), f"Every parameter begins with {new.backbone!r}.")


@rule("Check that `batch` and `loss` agree on targets, and that gradients reach the parameters.")
def learns(s: Subject) -> None:
    """Twenty steps on one batch lower the loss."""
    _network(s)
    targets = _targets(s)
    for rate in RATES:
        first, *_, last = _losses(s, targets, rate)
        if last < first:
            return
    raise Broken(f"It went from {first:.4g} to {last:.4g}, with a learning rate of {rate:g}.")


def _losses(s: Subject, targets: list[tuple[Image.Image, Any]], rate: float) -> list[float]:
    """The loss before each step."""
    import torch

    from pvzoo.networks.randomness import put_back

    new = _retargeted(s)
    batch = new.batch([image for image, _ in targets], [target for _, target in targets])
    module = new.module.train()
    # weights that merely decay may lower a loss too
    optimizer = torch.optim.AdamW(module.parameters(), lr=rate, weight_decay=0.0)
    losses = []
    with put_back():
        torch.manual_seed(0)
        for _ in range(STEPS):
            loss = new.loss(module, batch)
            must(loss.ndim == 0, f"The loss has the shape {tuple(loss.shape)}.")
            must(loss.isfinite(), f"The loss is {loss.item()}.")
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


def _network(s: Subject) -> Any:
    """The network to train; skips where there is none or no loss."""
    s.needs_torch()
    from pvzoo.networks.base import Network

    if type(s.network).loss is Network.loss:
        raise NotApplicable("The network cannot be fine-tuned.")
    return s.network.module


def _classes(s: Subject) -> TargetClasses:
    """Three classes, of which one is the network's own; none for a network without classes."""
    from pvzoo.networks.base import TargetClasses

    if not any(s.adapter.labels):
        return TargetClasses((), ())
    own = next(i for i, name in enumerate(s.adapter.labels) if name)
    names = ("suite background", "suite red", s.adapter.labels[own])
    return TargetClasses(names, (None, None, own), stuff=("suite background",))


def _retargeted(s: Subject) -> Network:
    try:
        network: Network = s.network.retarget(_classes(s), image_size=None, seed=0)
    except UnsupportedModelError as error:
        raise NotApplicable(str(error)) from error
    return network


def _targets(s: Subject) -> list[tuple[Image.Image, Any]]:
    """Four images and their targets."""
    from pvzoo.training.targets.base import training_of

    training = training_of(s.task)
    made = [scene(seed, (96, 128)) for seed in range(4)]
    targets = [(image, training.example(image, things)) for image, things in made]
    if targets[0][1] is None:
        raise NotApplicable(f"{s.adapter.task} has no targets for the suite's images.")
    return targets


TRAINING_RULES = (save_and_load, retarget, backbone, learns)
