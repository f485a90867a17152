"""`load`: from a name, a repo id or a folder to a model ready to predict."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack, overload

from pvzoo.catalog.catalogue import catalogue
from pvzoo.catalog.resolve import adapter_class_of, resolve, with_card
from pvzoo.errors import (
    MissingExtraError,
    PvzooWarning,
    UnsupportedModelError,
    UsageError,
    reading,
)
from pvzoo.extras import needs
from pvzoo.hub.config_schema import check_config
from pvzoo.plugins import registry

if TYPE_CHECKING:
    from pvzoo.adapters.base import Adapter
    from pvzoo.model import Model
    from pvzoo.networks.base import Network
    from pvzoo.results.classification import Classification
    from pvzoo.results.detections import Detections
    from pvzoo.results.instances import Instances
    from pvzoo.results.panoptic import Panoptic
    from pvzoo.results.semantic import SemanticMap

# transformers changes how modules are made while it builds one, for all threads
_BUILDING = threading.RLock()


class _How(TypedDict, total=False):
    """The arguments of `load` that say nothing of the task, for type checkers."""

    device: Any
    device_map: Any
    dtype: Any
    revision: str | None
    trust_remote_code: bool
    runtime: str | None
    threads: int | None


@overload
def load(
    name: str | Path | None = None,
    *,
    task: Literal["image-classification", "classification"],
    **how: Unpack[_How],
) -> Model[Classification]: ...
@overload
def load(
    name: str | Path | None = None,
    *,
    task: Literal["object-detection", "detection"],
    **how: Unpack[_How],
) -> Model[Detections]: ...
@overload
def load(
    name: str | Path | None = None,
    *,
    task: Literal["instance-segmentation", "instance"],
    **how: Unpack[_How],
) -> Model[Instances]: ...
@overload
def load(
    name: str | Path | None = None,
    *,
    task: Literal["semantic-segmentation", "semantic"],
    **how: Unpack[_How],
) -> Model[SemanticMap]: ...
@overload
def load(
    name: str | Path | None = None,
    *,
    task: Literal["panoptic-segmentation", "panoptic"],
    **how: Unpack[_How],
) -> Model[Panoptic]: ...
@overload
def load(
    name: str | Path | None = None, *, task: str | None = None, **how: Unpack[_How]
) -> Model[Any]: ...
def load(
    name: str | Path | None = None,
    *,
    task: str | None = None,
    device: Any = None,
    device_map: Any = None,
    dtype: Any = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
    runtime: str | None = None,
    threads: int | None = None,
) -> Model[Any]:
    """Load a pretrained model.

    Args:
        name: A catalogue name (``"detr-resnet50"``, or ``"dist:name"`` to pick a plugin's), a Hub
            repo id (``"facebook/detr-resnet-50"``, ``"timm/resnet50.a1_in1k"``), or a folder
            (a `Path`, or a text that starts with ``.``, ``/`` or ``~`` or names an existing
            folder). A name without ``/`` is looked up in the catalogue first. Without a name it
            is the default model of `task`: the one that your own catalogue names, or a plugin.
        task: Which task to serve, for checkpoints that can serve several, such as
            "panoptic-segmentation" or just "panoptic". Written out, it also tells type checkers
            and editors which results and options the model has.
        device: Such as "cuda:0" or "cpu"; by default Accelerate's choice, one device.
        device_map: "auto" to spread a network that does not fit one device over all of them, or
            a dict as Accelerate's `dispatch_model` takes.
        dtype: Type of the weights: a `torch.dtype`, its name ("float16"), or "auto" for the one
            they are stored in. The default is float32.
        revision: Branch, tag or commit of a Hub repo.
        trust_remote_code: Whether Python code that comes with a Hub repo may run.
        runtime: What runs the network; by default "torch", "numpy" for what has no network, and
            for an exported folder the one it was exported for.
        threads: Most threads that compute one batch of an exported model.

    Raises:
        PvzooError: One of its subclasses, with what was wrong and what to do next; also for a model
            that could not answer any image, such as one whose images are prepared in another
            size than its network takes.
    """
    from pvzoo.hub import download as hub
    from pvzoo.hub.errors import NoRepo, NotCached
    from pvzoo.model import Model
    from pvzoo.pipeline import trial

    if dtype is not None:
        _check_dtype(dtype)
    if runtime is not None:
        registry.get("runtimes", runtime)  # refused before anything is downloaded
    wanted_task = registry.task_id(task) if task else None
    if name is None:
        name = _default(wanted_task)
    card, source, config = resolve(name, revision)
    wanted_task = wanted_task or (card.task if card else None)
    with reading(str(name)):
        networked = card is not None and registry.get("adapters", card.adapter).network is not None
        if networked and source.hub:
            _needs_torch(str(name))  # before anything is downloaded for it
        try:
            found = hub.find(source, str(name), config, trust_remote_code=trust_remote_code)
        except (NotCached, NoRepo) as error:
            if card is not None or source.hub != str(name):
                raise
            what, hint = hub.no_folder(Path(name))  # which it may have been meant to be
            raise type(error)(f"{what} {error.what}", f"{hint} {error.hint}".strip()) from error
        if found.export is not None:
            given = {"dtype": dtype, "device_map": device_map}
            if unfit := [key for key, value in given.items() if value is not None]:
                raise UsageError(
                    f"{name} was exported, so {unfit[0]} has no meaning.", f"Leave {unfit[0]} out."
                )
            return _exported(found.export(), str(name), wanted_task, runtime, device, threads)
        if threads is not None:
            raise UsageError(f"{name} is no exported model, which alone takes threads.")
        config = with_card(found.config, card)
        check_config(str(name), config)
        adapter_class = adapter_class_of(card, config, str(name), wanted_task, trust_remote_code)
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
            from pvzoo.networks.steps import adapter_of

            adapter = adapter_of(network)
        model = Model(
            card.name if card else str(name),
            adapter,
            network,
            card=card,
            runtime=runtime,
            device=device,
            device_map=device_map,
        )
        if device_map is None:  # a network that is spread has its weights moved about
            trial.at_load(model.name, adapter, model.runtime, network)
        return model


def _default(task: str | None) -> str:
    """The name of the model that a task uses when none is named."""
    if task is None:
        raise UsageError(
            "Neither a model nor a task was named.",
            "Name a model, or a task to get its default model, such as task='detection'.",
        )
    return catalogue().default(task).qualified_name


def _exported(
    folder: Path,
    name: str,
    task: str | None,
    runtime: str | None,
    device: Any,
    threads: int | None,
) -> Model:
    from pvzoo.export.about import word
    from pvzoo.export.exported import open_folder
    from pvzoo.export.seen import is_known
    from pvzoo.model import Model

    opened = open_folder(folder, name, runtime=runtime, device=device, threads=threads)
    if task not in (None, opened.adapter.task):
        raise UnsupportedModelError(
            f"{name} cannot serve {task}.", f"It was exported for {opened.adapter.task}."
        )
    if not is_known(folder):
        warnings.warn(f"{name}: {word(name)}.", PvzooWarning, stacklevel=3)
    return Model(name, opened.adapter, None, runtime=opened.runtime)


def network_of(adapter_class: type[Adapter], name: str) -> type[Network]:
    """The network class of an adapter, imported now; `name` is what the user called the model.

    Raises:
        MissingExtraError: There is no PyTorch.
    """
    _needs_torch(name)
    network_class: type[Network] = registry.named(str(adapter_class.network))
    return network_class


def _needs_torch(name: str) -> None:
    needs(f"{name} is a network of PyTorch and", "torch")


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
