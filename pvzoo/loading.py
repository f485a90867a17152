"""`load`: load a model by its name, repo id or folder."""

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
    TrainingError,
    UnsupportedModelError,
    UsageError,
    reading,
)
from pvzoo.extras import needs
from pvzoo.hub.config_schema import check_config
from pvzoo.plugins import registry
from pvzoo.plugins.calls import fault_of, named_by
from pvzoo.thresholds.fitted import warn_if_otherwise
from pvzoo.thresholds.values import Thresholds

if TYPE_CHECKING:
    from pvzoo.adapters.base import Adapter
    from pvzoo.model import Model
    from pvzoo.networks.base import Network
    from pvzoo.results.classification import Classification
    from pvzoo.results.detections import Detections
    from pvzoo.results.instances import Instances
    from pvzoo.results.panoptic import Panoptic
    from pvzoo.results.semantic import SemanticMap
    from pvzoo.training.report import TrainingReport

# while transformers builds a module, it changes for all threads how modules are made
_BUILDING = threading.RLock()


class _How(TypedDict, total=False):
    """The arguments of `load` that do not depend on the task, for type checkers."""

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
        name: A catalogue name (``"detr-resnet50"``, or ``"dist:name"`` for a plugin's model), a
            Hub repo id (``"facebook/detr-resnet-50"``, ``"timm/resnet50.a1_in1k"``), or a folder
            (a `Path`, or a text that starts with ``.``, ``/`` or ``~`` or names an existing
            folder). A name without ``/`` is looked up in the catalogue first. Without a name, the
            default model of `task` is loaded, which your own catalogue or a plugin sets.
        task: The task, for checkpoints that can serve several, such as "panoptic-segmentation" or
            just "panoptic". If it is a literal, type checkers and editors also know the results
            and options of the model.
        device: The device, such as "cuda:0" or "cpu"; by default one device of Accelerate's choice.
        device_map: "auto" to spread a network over all devices if it does not fit one device, or a
            dict for Accelerate's `dispatch_model`.
        dtype: Type of the weights: a `torch.dtype`, its name ("float16"), or "auto" for the type
            in which they are stored. The default is float32.
        revision: Branch, tag or commit of a Hub repo.
        trust_remote_code: Whether Python code in a Hub repo may run.
        runtime: The runtime of the network: by default "torch", "numpy" for models without a
            network, and for an exported folder the runtime that it was exported for.
        threads: Most threads that compute one batch of an exported model.

    Raises:
        PvzooError: One of its subclasses; the message tells what was wrong and what to do. A model
            that cannot process any image is an error too, for example if images are prepared in
            another size than its network accepts.
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
            what, hint = hub.no_folder(Path(name))  # the name may have been meant as a folder
            raise type(error)(f"{what} {error.what}", f"{hint} {error.hint}".strip()) from error
        if found.export is not None:
            given = {"dtype": dtype, "device_map": device_map}
            if unfit := [key for key, value in given.items() if value is not None]:
                raise UsageError(
                    f"{name} was exported, so {unfit[0]} does not apply.", f"Leave {unfit[0]} out."
                )
            return _exported(found.export(), str(name), wanted_task, runtime, device, threads)
        if threads is not None:
            raise UsageError(
                f"{name} is not an exported model, so threads does not apply.", "Leave threads out."
            )
        config = with_card(found.config, card)
        check_config(str(name), config)
        adapter_class = adapter_class_of(card, config, str(name), wanted_task, trust_remote_code)
        config, thresholds = _thresholds(config, str(name))
        stated = (config.get("pvzoo") or {}).get("task")
        _check_task(adapter_class, wanted_task or stated, str(name))
        adapter_class.check(str(name), config, wanted_task)
        if adapter_class.network is None:
            if dtype is not None:
                raise UsageError(
                    f"{name} has no weights, so dtype does not apply.", "Leave dtype out."
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
        if thresholds is not None and thresholds.task != adapter.task:
            thresholds = None
        model = Model(
            card.name if card else str(name),
            adapter,
            network,
            card=card,
            runtime=runtime,
            device=device,
            device_map=device_map,
            report=None if network is None else _report(checkpoint.folder),
            thresholds=thresholds,
        )
        warn_if_otherwise(model.name, thresholds, adapter, model.dtype)
        if device_map is None:  # the weights of a spread network are moved between devices
            trial.at_load(model.name, adapter, model.runtime, network)
        return model


def load_untrained(name: str, *, device: Any = None) -> Model[Any]:
    """Build a model with random weights, to measure its speed. Only its config is downloaded.

    Args:
        name: A catalogue name, a Hub repo id or a folder.
        device: As for `load`.

    Raises:
        PvzooError: The model has no network, or its config cannot be read, or the network cannot
            be built from it.
    """
    from pvzoo.hub import download as hub
    from pvzoo.model import Model
    from pvzoo.networks.steps import adapter_of

    card, source, config = resolve(name, None)
    task = card.task if card else None
    with reading(name):
        checkpoint = hub.without_weights(source, name, config)
        config = with_card(checkpoint.config, card)
        check_config(name, config)
        adapter_class = adapter_class_of(card, config, name, task, False)
        adapter_class.check(name, config, task)
        if adapter_class.network is None:
            raise UnsupportedModelError(
                f"{name} does not have a network.", "Load it with pvzoo.load to measure it."
            )
        with _lacking(adapter_class):
            network_class = network_of(adapter_class, name)
            network_class.check(name, config, task)
            with _BUILDING:
                network = network_class.load(
                    replace(checkpoint, config=config),
                    task=task,
                    dtype=_dtype("float32"),
                    trust_remote_code=False,
                )
        return Model(name, adapter_of(network), network, card=card, device=device)


def _report(folder: Path) -> TrainingReport | None:
    """The report of the run that wrote a folder, if a run did."""
    from pvzoo.training import report

    try:
        return report.read(folder) if (folder / "curves.csv").is_file() else None
    except TrainingError:  # the weights are whole without it
        return None


def _default(task: str | None) -> str:
    """The name of a task's default model."""
    if task is None:
        raise UsageError(
            "Neither a model nor a task was given.",
            "Pass the name of a model, or a task such as task='detection' for its default model.",
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
    found = opened.manifest
    thresholds = Thresholds.from_json(found.thresholds, name) if found.thresholds else None
    if thresholds is not None and thresholds.task != opened.adapter.task:
        thresholds = None
    warn_if_otherwise(name, thresholds, opened.adapter, found.precision)
    return Model(
        name,
        opened.adapter,
        None,
        runtime=opened.runtime,
        thresholds=thresholds,
        manifest=found,
    )


def _thresholds(config: dict[str, Any], name: str) -> tuple[dict[str, Any], Thresholds | None]:
    """The config without thresholds, which are the model's and not the network's; and those."""
    own = dict(config.get("pvzoo") or {})
    found = own.pop("thresholds", None)
    if found is None:
        return config, None
    return {**config, "pvzoo": own}, Thresholds.from_json(found, name)


def network_of(adapter_class: type[Adapter], name: str) -> type[Network]:
    """Import the network class of an adapter; `name` is the user's name of the model.

    Raises:
        MissingExtraError: PyTorch is not installed.
        PluginError: The adapter does not name a network.
    """
    _needs_torch(name)
    from pvzoo.networks.base import Network

    network_class = named_by(adapter_class, "network", lets=(ImportError,))
    if not (isinstance(network_class, type) and issubclass(network_class, Network)):
        raise fault_of(adapter_class, "network", f"is {network_class!r}, not a Network")
    return network_class


def _needs_torch(name: str) -> None:
    needs(f"{name} is a network of PyTorch and", "torch")


@contextmanager
def _lacking(adapter_class: type[Adapter]) -> Iterator[None]:
    """If a plugin imports a missing module, raise an error that names the package to install.

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
            f"{dtype!r} is not a floating-point dtype.", "Use 'float32', 'float16' or 'bfloat16'."
        )


def _dtype(dtype: Any) -> Any:
    """The `torch.dtype`, or "auto"."""
    import torch

    return dtype if dtype == "auto" or not isinstance(dtype, str) else getattr(torch, dtype)
