"""pvzoo: pretrained vision models behind one interface.

    >>> import pvzoo
    >>> model = pvzoo.load("efficientnet-lite0-pip")
    >>> result = model.predict("photo.jpg")
    >>> result.names[0], result.scores[0]

The public names are imported when they are first used, so that ``import pvzoo`` is instant.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from pvzoo.errors import PvzooError, PvzooWarning

if TYPE_CHECKING:
    from pvzoo.benchmark.choose import choose
    from pvzoo.catalog.cards import Card
    from pvzoo.catalog.catalogue import info
    from pvzoo.catalog.search import list_models
    from pvzoo.inputs.images import open_image
    from pvzoo.jobs.bulk import bulk
    from pvzoo.loading import load
    from pvzoo.model import Model
    from pvzoo.plugins.states import list_plugins
    from pvzoo.tiles.geometry import Tiles

__version__ = "0.1.0"

_HOMES = {
    "Card": "pvzoo.catalog.cards",
    "Model": "pvzoo.model",
    "Tiles": "pvzoo.tiles.geometry",
    "bulk": "pvzoo.jobs.bulk",
    "choose": "pvzoo.benchmark.choose",
    "info": "pvzoo.catalog.catalogue",
    "list_models": "pvzoo.catalog.search",
    "list_plugins": "pvzoo.plugins.states",
    "load": "pvzoo.loading",
    "open_image": "pvzoo.inputs.images",
}

__all__ = [
    "Card",
    "Model",
    "PvzooError",
    "PvzooWarning",
    "Tiles",
    "bulk",
    "choose",
    "info",
    "list_models",
    "list_plugins",
    "load",
    "open_image",
]


def __getattr__(name: str) -> Any:
    if name == "data":
        return importlib.import_module("pvzoo.data")
    if name not in _HOMES:
        raise AttributeError(f"module 'pvzoo' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, "data"})
