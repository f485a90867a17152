"""Rules about optional parts: saving and fine-tuning."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from pvzoo.errors import UnsupportedModelError
from pvzoo.testing.compare import difference, values_difference
from pvzoo.testing.rules import Broken, NotApplicable, must, rule
from pvzoo.testing.subject import Subject, scene

if TYPE_CHECKING:
    from pvzoo.networks.base import Network, TargetClasses

BEST = 10
"""Rows of a result to compare; the last ones may change places by rounding."""

STEPS = 20
RATES = (1e-3, 1e-4)
"""Learning rates to try: large networks with random weights need a low one."""


@rule("Let `save` write config.json and all weights, and `load` read all that `save` writes.")
def save_and_load(s: Subject) -> None:
    """A model that is saved and loaded has the same task, classes and predictions."""
    s.needs_torch()
    from pvzoo.networks.base import Network

    if type(s.network).save is Network.save:
        raise NotApplicable("The network cannot save.")
    import pvzoo

    with tempfile.TemporaryDirectory() as home:
        folder = s.model.save(Path(home) / "saved")
        again = pvzoo.load(folder, device="cpu")
        must(again.task == s.model.task, f"Its task is {again.task!r}; it was {s.model.task!r}.")
        must(again.labels == s.model.labels, "The names of its classes have changed.")
        for image, before in zip(s.images, s.results, strict=True):
            if found := difference(before, again.predict(image, **s.options())):
                raise Broken(f"Its predictions differ: {found}.")


@rule("Copy the network before you change it (`copy.deepcopy`); seed new weights with `seed`.")
def retarget(s: Subject) -> None:
    """`retarget` returns a new network that depends only on its arguments and the seed."""
    s.needs_torch()
    import torch

    before = {n: v.clone() for n, v in _network(s).state_dict().items()}
    labels = s.adapter.labels
    new, again = _retargeted(s), _retargeted(s)
    spec = new.spec
    must(spec.labels == _classes(s).names, f"Its classes are {spec.labels!r:.80}.")
    must(spec.task == s.adapter.task, f"Its task is {spec.task!r}.")
    must(s.adapter.labels == labels, "The classes of the old network changed.")
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
        "The same seed gave different weights.",
    )


@rule("Keep the weights of kept classes: see `TorchNetwork.keep_classes` and `background_first`.")
def kept_classes(s: Subject) -> None:
    """Classes that `retarget` keeps are predicted as before; here all, in reverse order."""
    s.needs_torch()
    from pvzoo.networks.base import TargetClasses
    from pvzoo.networks.steps import adapter_of
    from pvzoo.pipeline.predict import plain_stream
    from pvzoo.runtimes.torch import TorchRuntime

    labels = s.adapter.labels
    if len(labels) < 2 or not all(labels) or len(set(labels)) < len(labels):
        raise NotApplicable("The rule needs two or more classes, each with its own name.")
    order = tuple(reversed(range(len(labels))))
    classes = TargetClasses(
        labels[::-1],
        order,
        stuff=tuple(s.adapter.spec.extra.get("stuff", ())),
        multi_label=bool(s.adapter.spec.extra.get("multi_label")),
    )
    new = _retargeted(s, classes)
    new.module.eval()
    adapter = adapter_of(new)
    runtime = TorchRuntime(adapter, new, device="cpu", device_map=None)
    streams = (
        plain_stream(s.adapter, s.model.runtime, s.task, str(s)),
        plain_stream(adapter, runtime, s.task, str(s)),
    )
    options = s.options(**{"threshold": 0.0} if s.has_control("threshold") else {})
    both = [stream(s.images, batch_size=1, progress=False, **options) for stream in streams]
    for results in zip(*both, strict=True):
        before, after = map(_by_name, results)
        for row in before[:BEST]:
            if all(values_difference(row, other, tolerance=1e-3) for other in after):
                raise Broken(f"Before there was {row}; now there is {after[:3]!r:.300}.")


def _by_name(result: Any) -> list[dict[str, Any]]:
    """The rows of a result without class ids and ids of segments, which may change."""
    return [
        {key: value for key, value in row.items() if key not in ("label", "id")}
        for row in result.rows()
    ]


@rule("Use prefixes of the names in `module.named_parameters()` that end at a dot.")
def backbone(s: Subject) -> None:
    """The backbone's names match some parameters, but not all."""
    _network(s)
    new = _retargeted(s)
    names = [name for name, _ in new.module.named_parameters()]
    inside = [name for name in names if name.startswith(tuple(new.backbone))]
    must(inside, f"No parameter begins with {new.backbone!r}; the first are {names[:5]}.")
    must(len(inside) < len(names), f"Every parameter begins with {new.backbone!r}.")


@rule("Let `batch` and `loss` use the same targets; gradients must reach the parameters.")
def learns(s: Subject) -> None:
    """Twenty steps on one batch lower the loss."""
    _network(s)
    targets = _targets(s)
    for rate in RATES:
        first, *_, last = _losses(s, targets, rate)
        if last < first:
            return
    raise Broken(f"The loss went from {first:.4g} to {last:.4g} (learning rate {rate:g}).")


def _losses(s: Subject, targets: list[tuple[Image.Image, Any]], rate: float) -> list[float]:
    """The loss before each step."""
    import torch

    from pvzoo.networks.randomness import put_back

    new = _retargeted(s)
    batch = new.batch([image for image, _ in targets], [target for _, target in targets])
    module = new.module.train()
    # weight decay alone may also lower a loss
    optimizer = torch.optim.AdamW(module.parameters(), lr=rate, weight_decay=0.0)
    losses = []
    with put_back():
        torch.manual_seed(0)
        for _ in range(STEPS):
            loss = new.loss(module, batch)
            must(loss.ndim == 0, f"The loss has the shape {tuple(loss.shape)}, not ().")
            must(loss.isfinite(), f"The loss is {loss.item()}.")
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


def _network(s: Subject) -> Any:
    """The network to train; skips the rule if there is none or it has no loss."""
    s.needs_torch()
    from pvzoo.networks.base import Network

    if type(s.network).loss is Network.loss:
        raise NotApplicable("The network cannot be fine-tuned.")
    return s.network.module


def _classes(s: Subject) -> TargetClasses:
    """Three classes, one of them the network's own; none for a network without classes."""
    from pvzoo.networks.base import TargetClasses

    if not any(s.adapter.labels):
        return TargetClasses((), ())
    own = next(i for i, name in enumerate(s.adapter.labels) if name)
    names = ("suite background", "suite red", s.adapter.labels[own])
    return TargetClasses(names, (None, None, own), stuff=("suite background",))


def _retargeted(s: Subject, classes: TargetClasses | None = None) -> Network:
    try:
        network: Network = s.network.retarget(classes or _classes(s), image_size=None, seed=0)
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


TRAINING_RULES = (save_and_load, retarget, kept_classes, backbone, learns)
