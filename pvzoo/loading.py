"""`load`: from a name, a repo id or a folder to a model ready to predict."""

from __future__ import annotations

import importlib
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pvzoo import registry
from pvzoo.catalog.cards import USER, Card, Source
from pvzoo.catalog.catalogue import catalogue
from pvzoo.config_schema import check_config
from pvzoo.errors import (
    DeviceError,
    DisabledError,
    MissingExtraError,
    PluginError,
    PvzooError,
    PvzooWarning,
    UnsupportedModelError,
    UsageError,
    WeightsError,
    lacks_memory,
    said,
    short,
)
from pvzoo.extras import needs
from pvzoo.installed import OWN, Part

if TYPE_CHECKING:
    from pvzoo.adapters.base import Adapter
    from pvzoo.model import Model
    from pvzoo.networks.base import Network
    from pvzoo.training.report import TrainingReport

# transformers changes how modules are made while it builds one, for all threads
_BUILDING = threading.RLock()


def load(
    name: str | Path,
    *,
    task: str | None = None,
    device: Any = None,
    device_map: Any = None,
    dtype: Any = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
    runtime: str | None = None,
) -> Model:
    """Load a pretrained model.

    Args:
        name: A catalogue name (``"detr-resnet50"``, or ``"dist:name"`` to pick a plugin's), a Hub
            repo id (``"facebook/detr-resnet-50"``, ``"timm/resnet50.a1_in1k"``), or a folder
            (a `Path`, or a text that starts with ``.``, ``/`` or ``~`` or names an existing
            folder). A name without ``/`` is looked up in the catalogue first.
        task: Which task to serve, for checkpoints that can serve several, such as
            "panoptic-segmentation" or just "panoptic".
        device: Such as "cuda:0" or "cpu"; by default Accelerate's choice, one device.
        device_map: "auto" to spread a network that does not fit one device over all of them, or
            a dict as Accelerate's `dispatch_model` takes.
        dtype: Type of the weights: a `torch.dtype`, its name ("float16"), or "auto" for the one
            they are stored in. The default is float32.
        revision: Branch, tag or commit of a Hub repo.
        trust_remote_code: Whether Python code that comes with a Hub repo may run.
        runtime: What runs the network; by default "torch", and "numpy" for what has no network.

    Raises:
        PvzooError: One of its subclasses, with what was wrong and what to do next; also for a model
            that could not answer any picture, such as one whose pictures are prepared in another
            size than its network takes.
    """
    from pvzoo import hub, trial

    if dtype is not None:
        _check_dtype(dtype)
    if runtime is not None:
        registry.get("runtimes", runtime)  # refused before anything is downloaded
    card, source, config = resolve(name, revision)
    wanted_task = registry.task_id(task) if task else (card.task if card else None)
    with reading(str(name)):
        try:
            found = hub.find(source, str(name), config, trust_remote_code=trust_remote_code)
        except (hub.NotCached, hub.NoRepo) as error:
            if card is not None or source.hub != str(name):
                raise
            what, hint = hub.no_folder(Path(name))  # which it may have been meant to be
            raise type(error)(f"{what} {error.what}", f"{hint} {error.hint}".strip()) from error
        config = with_card(found.config, card)
        check_config(str(name), config)
        adapter_class = _adapter_class(card, config, str(name), wanted_task, trust_remote_code)
        stated = (config.get("pvzoo") or {}).get("task")
        _check_task(adapter_class, wanted_task or stated, str(name))
        adapter_class.check(str(name), config, wanted_task)
        if adapter_class.network is None:
            if dtype is not None:
                raise UsageError(
                    f"{name} has no weights that a dtype could be of.", "Leave dtype out."
                )
            checkpoint = replace(found.fetch(), config=config)
            with _lacking(adapter_class):
                adapter, network = adapter_class.open(checkpoint, task=wanted_task), None
        else:
            with _lacking(adapter_class):
                network_class = network_of(adapter_class, str(name))
                network_class.check(str(name), config, wanted_task)
                checkpoint = replace(found.fetch(), config=config)
                with _BUILDING:
                    network = network_class.load(
                        checkpoint,
                        task=wanted_task,
                        dtype=_dtype(dtype or "float32"),
                        trust_remote_code=trust_remote_code,
                    )
            adapter = drive(network)
        model = assemble(
            card.name if card else str(name),
            adapter,
            network,
            card=card,
            runtime=runtime,
            device=device,
            device_map=device_map,
        )
        if device_map is None:  # a network that is spread has its weights moved about
            trial.at_load(model, adapter, network)
        return model


def network_of(adapter_class: type[Adapter], name: str) -> type[Network]:
    """The network class of an adapter, imported now; `name` is what the user called the model.

    Raises:
        MissingExtraError: There is no PyTorch.
    """
    needs(f"{name} is a network of PyTorch and", "torch")
    module, _, attribute = str(adapter_class.network).partition(":")
    return getattr(importlib.import_module(module), attribute)


def drive(network: Network) -> Adapter:
    """The adapter of a network: with steps in the place of the processor where they do the same."""
    from pvzoo.networks.steps import proven_steps

    adapter_class = registry.get("adapters", network.spec.adapter)
    spec = replace(network.spec, steps=proven_steps(network, adapter_class.pixels))
    return adapter_class(spec, network.prepare)


def assemble(
    name: str,
    adapter: Adapter,
    network: Network | None,
    *,
    card: Card | None = None,
    runtime: str | None = None,
    device: Any = None,
    device_map: Any = None,
    report: TrainingReport | None = None,
) -> Model:
    """A model of its parts.

    Raises:
        DeviceError: The device is not here or too small.
        UsageError: The runtime cannot run it.
    """
    from pvzoo.model import Model

    runtime_class = registry.get("runtimes", runtime or ("torch" if network else "numpy"))
    return Model(
        name=name,
        adapter=adapter,
        runtime=runtime_class(adapter, network, device=device, device_map=device_map),
        network=network,
        task=registry.get("tasks", adapter.task)(),
        card=card,
        report=report,
    )


@contextmanager
def _lacking(adapter_class: type[Adapter]) -> Iterator[None]:
    """Within it a module that a plugin imports and that is not there is named with what brings it.

    Plugins may import what they need as late as this.
    """
    try:
        yield
    except MissingExtraError:
        raise
    except ModuleNotFoundError as error:
        part = registry.part_of(adapter_class)
        if part is None:
            raise
        raise registry.lacking(part, error) from error


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Within it whatever damaged files make libraries raise is a `PvzooError`."""
    try:
        yield
    except Exception as error:
        if lacks_memory(error):
            raise DeviceError(
                f"There is too little memory to load {name}.",
                "Use dtype='float16' to halve it, device_map='auto' to spread it, or choose a "
                "smaller model.",
            ) from error
        if isinstance(error, PvzooError | ImportError):
            raise
        raise WeightsError(
            f"{name} cannot be loaded ({type(error).__name__}: {said(error)}).",
            "Its config or its weights are damaged, or do not belong together; fetch both again.",
        ) from error


def _adapter_class(
    card: Card | None,
    config: Mapping[str, Any],
    name: str,
    task: str | None,
    trust_remote_code: bool,
) -> type[Adapter]:
    """The adapter that the card names, else the one whose family the config belongs to.

    Raises:
        UnsupportedModelError: None is, or the card names one and the config is another's.
    """
    if card is None:
        return choose_adapter(config, name, task, trust_remote_code)
    adapter = registry.get("adapters", card.adapter)
    part = registry.part_of(adapter)
    try:  # some adapters are for cards alone, and match nothing or cannot say
        if part is None or _matches(part, adapter, config):
            return adapter
        other = choose_adapter(config, name, None, trust_remote_code)
    except (PluginError, UnsupportedModelError):
        return adapter
    theirs = registry.part_of(other)
    raise UnsupportedModelError(
        f"The card of {name} names the adapter {card.adapter!r}, but {card.source} is a model for "
        f"{theirs.name if theirs else other.__name__!r}.",
        f"Correct 'adapter' in the card, which {card.dist} brings.",
    )


def with_card(config: dict[str, Any], card: Card | None) -> dict[str, Any]:
    """The config, with what its card knows and standard config files cannot say.

    It goes where a folder saved by pvzoo has it: under the key ``pvzoo``.
    """
    if card is None:
        return config
    known: dict[str, Any] = {"task": card.task}
    if card.stuff is not None:
        known["stuff"] = list(card.stuff)
    return {**config, "pvzoo": {**(config.get("pvzoo") or {}), **known}}


def resolve(name: str | Path, revision: str | None) -> tuple[Card | None, Source, dict[str, Any]]:
    """What a name means: (its card if it has one, where its weights are, the card's config)."""
    folder = _as_folder(name)
    if folder is not None:
        if revision is not None:
            raise UsageError(f"{name} is a folder, which has no revision {revision!r}.")
        return None, Source(path=folder), {}
    if "/" in str(name):
        card = catalogue().of_repo(str(name))
        if card is not None and card.dist in (USER, OWN):  # plugins speak for their names
            return (
                card,
                replace(card.source, revision=revision or card.source.revision),
                card.config,
            )
        if str(name).startswith("timm/"):
            source, config = _timm_source(str(name))
        else:
            source, config = Source(hub=str(name)), {}
        return None, replace(source, revision=revision), config
    card = catalogue().find(str(name))
    if card is None:
        if Path(name).is_dir():
            return None, Source(path=Path(name)), {}
        raise catalogue().not_found(str(name))
    if revision is not None:
        if card.source.hub is None:
            raise UsageError(
                f"{card.name} is {card.source}, which has no revision {revision!r}.",
                "Leave revision out.",
            )
        return card, replace(card.source, revision=revision), card.config
    return card, card.source, card.config


def _as_folder(name: str | Path) -> Path | None:
    """The folder that `name` means by its form, or because a path with a slash exists."""
    if isinstance(name, Path):
        return name.expanduser()
    if not isinstance(name, str) or not name:
        raise UsageError(f"{name!r} is no model name.", "Pass a name, a Hub repo id or a folder.")
    path = Path(name).expanduser()
    by_form = name.startswith((".", "/", "~")) or path.is_absolute()
    return path if by_form or ("/" in name and path.is_dir()) else None


def _timm_source(name: str) -> tuple[Source, dict[str, Any]]:
    """Where a ``timm/...`` name's weights are: timm's own table knows, for some are elsewhere."""
    needs(f"{name} is a network of timm and", "timm")
    from timm.models import get_pretrained_cfg

    model = name.removeprefix("timm/")
    try:
        cfg = get_pretrained_cfg(model)
    except Exception:  # timm raises several things for names it does not know
        cfg = None
    if cfg is None or cfg.hf_hub_id == name:
        return Source(hub=name), {}
    if not cfg.hf_hub_id:
        raise UnsupportedModelError(
            f"timm publishes {model} at {cfg.url or 'no address'}, not on the Hub.",
            f"Choose another checkpoint of the architecture: pvzoo list {model.partition('_')[0]}",
        )
    architecture = model.partition(".")[0]
    config = {"architecture": architecture, "pretrained_cfg": cfg.to_dict()}
    return Source(hub=cfg.hf_hub_id, file=cfg.hf_hub_filename), config


def choose_adapter(
    config: Mapping[str, Any], name: str, task: str | None, trust_remote_code: bool
) -> type[Adapter]:
    """The adapter whose family a config belongs to: pvzoo's own are asked first.

    What a config says of code of its own counts only if that is trusted.
    """
    own_code = config.get("auto_map") and not trust_remote_code
    if own_code:
        config = {key: value for key, value in config.items() if key != "auto_map"}
    for part in registry.parts("adapters"):
        try:
            adapter = registry.load_part(part)
            fits = (task is None or task in adapter.tasks) and _matches(part, adapter, config)
        except DisabledError:
            continue
        except PluginError as error:
            warnings.warn(f"{error} It was passed over.", PvzooWarning, stacklevel=3)
            continue
        if fits:
            return adapter
    if own_code:
        raise UnsupportedModelError(
            f"{name} comes with Python code of its own, which was not run.",
            "If you trust its author, pass trust_remote_code=True.",
        )
    named = ", ".join(config.get("architectures") or ()) or config.get("architecture")
    what = short(named)[1:-1] if named else "no head"
    purpose = f" for {task}" if task else ""
    raise UnsupportedModelError(
        f"No adapter here can drive {name}{purpose}: its config names {what}.",
        "It needs a vision head for one of: "
        + ", ".join(registry.names("tasks"))
        + ". A backbone alone, or a model of another kind, has none.",
    )


def _matches(part: Part, adapter: type[Adapter], config: Mapping[str, Any]) -> bool:
    try:
        return adapter.matches(config)
    except Exception as error:  # whatever it raises must not keep others from being asked
        why = f"{type(error).__name__}: {said(error)}"
        raise PluginError(
            f"The adapter {part.name!r} of plugin {part.dist!r} cannot say whether a config is of "
            f"its family ({why}).",
            f"Report this to the author of {part.dist}, or uninstall it.",
        ) from error


def _check_task(adapter_class: type[Adapter], task: str | None, name: str) -> None:
    if task is not None and task not in adapter_class.tasks:
        raise UnsupportedModelError(
            f"{name} cannot serve {task}.", f"It serves {', '.join(adapter_class.tasks)}."
        )


_DTYPES = ("auto", "float16", "bfloat16", "float32", "float64")


def _check_dtype(dtype: Any) -> None:
    known = dtype in _DTYPES if isinstance(dtype, str) else getattr(dtype, "is_floating_point", 0)
    if not known:
        raise UsageError(
            f"{dtype!r} is no floating-point dtype.", "Use 'float32', 'float16' or 'bfloat16'."
        )


def _dtype(dtype: Any) -> Any:
    """As torch has it; "auto" stays."""
    import torch

    return dtype if dtype == "auto" or not isinstance(dtype, str) else getattr(torch, dtype)
