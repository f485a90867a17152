"""From a name to where the weights are, and to the adapter that drives them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pvzoo.catalog.cards import USER, Card, WeightsSource
from pvzoo.catalog.catalogue import catalogue
from pvzoo.errors import (
    DisabledError,
    PluginError,
    PvzooWarning,
    UnsupportedModelError,
    UsageError,
    error_message,
    short,
)
from pvzoo.extras import needs
from pvzoo.plugins import registry
from pvzoo.plugins.installed import OWN, Part

if TYPE_CHECKING:
    from pvzoo.adapters.base import Adapter


def resolve(
    name: str | Path, revision: str | None
) -> tuple[Card | None, WeightsSource, dict[str, Any]]:
    """What a name means: (its card if it has one, where its weights are, the card's config)."""
    folder = _as_folder(name)
    if folder is not None:
        if revision is not None:
            raise UsageError(f"{name} is a folder, which has no revision {revision!r}.")
        return None, WeightsSource(path=folder), {}
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
            source, config = WeightsSource(hub=str(name)), {}
        return None, replace(source, revision=revision), config
    card = catalogue().find(str(name))
    if card is None:
        if Path(name).is_dir():
            return None, WeightsSource(path=Path(name)), {}
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


def _timm_source(name: str) -> tuple[WeightsSource, dict[str, Any]]:
    """Where a ``timm/...`` name's weights are: timm's own table knows, for some are elsewhere."""
    needs(f"{name} is a network of timm and", "timm")
    from timm.models import get_pretrained_cfg

    model = name.removeprefix("timm/")
    try:
        cfg = get_pretrained_cfg(model)
    except Exception:  # timm raises several things for names it does not know
        cfg = None
    if cfg is None or cfg.hf_hub_id == name:
        return WeightsSource(hub=name), {}
    if not cfg.hf_hub_id:
        raise UnsupportedModelError(
            f"timm publishes {model} at {cfg.url or 'no address'}, not on the Hub.",
            f"Choose another checkpoint of the architecture: pvzoo list {model.partition('_')[0]}",
        )
    architecture = model.partition(".")[0]
    config = {"architecture": architecture, "pretrained_cfg": cfg.to_dict()}
    return WeightsSource(hub=cfg.hf_hub_id, file=cfg.hf_hub_filename), config


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


def adapter_class_of(
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
    adapter: type[Adapter] = registry.get("adapters", card.adapter)
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
            adapter: type[Adapter] = registry.load_part(part)
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
        why = f"{type(error).__name__}: {error_message(error)}"
        raise PluginError(
            f"The adapter {part.name!r} of plugin {part.dist!r} cannot say whether a config is of "
            f"its family ({why}).",
            f"Report this to the author of {part.dist}, or uninstall it.",
        ) from error
