"""Find the weights that a name means, and the adapter for them."""

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
    """The meaning of a name: (card or None, source of the weights, config of the card).

    Raises:
        UsageError: `name` is not a name, or a folder or package cannot have a revision.
        PvzooError: The catalogue does not know the name.
    """
    folder = _as_folder(name)
    if folder is not None:
        if revision is not None:
            raise UsageError(
                f"{name} is a folder, which has no revision {revision!r}.", "Leave revision out."
            )
        return None, WeightsSource(path=folder), {}
    if "/" in str(name):
        card = catalogue().of_repo(str(name))
        if card is not None and card.dist in (USER, OWN):  # a plugin's card counts only by its name
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
                f"{card.name} has no revision {revision!r}: its weights are {card.source}.",
                "Leave revision out.",
            )
        return card, replace(card.source, revision=revision), card.config
    return card, card.source, card.config


def _as_folder(name: str | Path) -> Path | None:
    """The folder that `name` means: by its form, or if it has a slash and is a folder."""
    if isinstance(name, Path):
        return name.expanduser()
    if not isinstance(name, str) or not name:
        raise UsageError(
            f"{name!r} is not a model name.", "Pass a name, a Hub repo id or a folder."
        )
    path = Path(name).expanduser()
    by_form = name.startswith((".", "/", "~")) or path.is_absolute()
    return path if by_form or ("/" in name and path.is_dir()) else None


def _timm_source(name: str) -> tuple[WeightsSource, dict[str, Any]]:
    """The source and config of a ``timm/...`` name, by timm's table: some are in other repos."""
    needs(f"{name} is a network of timm and", "timm")
    from timm.models import get_pretrained_cfg

    model = name.removeprefix("timm/")
    try:
        cfg = get_pretrained_cfg(model)
    except Exception:  # timm raises several types for unknown names
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
    """The config, with facts of the card that standard config files do not have.

    They are under the key ``pvzoo``, as in a folder that pvzoo saved.
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
        UnsupportedModelError: No adapter fits, or the card names another one than fits the config.
    """
    if card is None:
        return choose_adapter(config, name, task, trust_remote_code)
    adapter: type[Adapter] = registry.get("adapters", card.adapter)
    part = registry.part_of(adapter)
    try:  # some adapters are for cards only: they match nothing, or fail
        if part is None or _matches(part, adapter, config):
            return adapter
        other = choose_adapter(config, name, None, trust_remote_code)
    except (PluginError, UnsupportedModelError):
        return adapter
    theirs = registry.part_of(other)
    raise UnsupportedModelError(
        f"The card of {name} names the adapter {card.adapter!r}, but {card.source} is a model for "
        f"{theirs.name if theirs else other.__name__!r}.",
        f"Correct 'adapter' in the card, which is in the catalogue of {card.dist}.",
    )


def choose_adapter(
    config: Mapping[str, Any], name: str, task: str | None, trust_remote_code: bool
) -> type[Adapter]:
    """The adapter whose family a config belongs to; pvzoo's own adapters come first.

    The key for Python code in the repo (``auto_map``) counts only if that code is trusted.

    Raises:
        UnsupportedModelError: No adapter fits.
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
            warnings.warn(f"{error} It was skipped.", PvzooWarning, stacklevel=3)
            continue
        if fits:
            return adapter
    if own_code:
        raise UnsupportedModelError(
            f"{name} comes with its own Python code, which was not run.",
            "If you trust its author, pass trust_remote_code=True.",
        )
    named = ", ".join(config.get("architectures") or ()) or config.get("architecture")
    what = short(named)[1:-1] if named else "no head"
    purpose = f" for {task}" if task else ""
    raise UnsupportedModelError(
        f"No installed adapter can run {name}{purpose}: its config names {what}.",
        "The model needs a head for one of these tasks: "
        + ", ".join(registry.names("tasks"))
        + ". A backbone alone, or a model of another kind, does not have one.",
    )


def _matches(part: Part, adapter: type[Adapter], config: Mapping[str, Any]) -> bool:
    try:
        return adapter.matches(config)
    except Exception as error:  # an error of one adapter must not stop the search
        why = f"{type(error).__name__}: {error_message(error)}"
        raise PluginError(
            f"The adapter {part.name!r} of plugin {part.dist!r} failed to check whether a config "
            f"is of its family ({why}).",
            f"Report this to the author of {part.dist}, or uninstall it.",
        ) from error
