"""Load models at their first use, and drop them when memory is needed."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import pvzoo
from pvzoo.errors import HubError, ModelNotFoundError, PvzooError, UsageError, nearest

if TYPE_CHECKING:
    from pvzoo.model import Model

_log = logging.getLogger("pvzoo.web")


class Shelf:
    """Models by name, with at most `budget` bytes of weights.

    Args:
        loaded: Models that are already loaded; they are never dropped and do not count.
        names: Names of the models that may be loaded.
        budget: Most bytes of weights of these models.
        load: Loads the model of a name.
        dropped: Called with the name of each model that was dropped.
    """

    def __init__(
        self,
        loaded: Sequence[Model],
        names: Sequence[str],
        *,
        budget: int,
        load: Callable[[str], Model] = pvzoo.load,
        dropped: Callable[[str], None] = lambda name: None,
    ) -> None:
        self._kept = {model.name: model for model in loaded}
        self._names = frozenset(names)
        self._budget = budget
        self._load_model = load
        self._dropped = dropped
        self._recent: OrderedDict[str, Model] = OrderedDict()  # the least recently used comes first
        self._loading = threading.Lock()  # for long; who takes both takes it first
        self._lock = threading.Lock()  # of the order

    def is_loaded(self, name: str) -> bool:
        """Whether `get` returns the model without loading it."""
        return name in self._kept or name in self._recent

    def get(self, name: str) -> Model:
        """The model of that name, loaded if necessary; only one is loaded at a time.

        Raises:
            ModelNotFoundError: The server does not offer the model.
            UsageError: The model alone is larger than the budget.
            PvzooError: The model cannot be loaded.
        """
        if (model := self.loaded(name)) is not None:
            return model
        if name not in self._names:
            raise ModelNotFoundError(
                f"There is no model {name[:100]!r} here.", nearest(name[:100], self._names)
            )
        with self._loading:
            if (model := self.loaded(name)) is None:  # nobody has loaded it meanwhile
                model = self._load(name)
                with self._lock:
                    self._recent[name] = model
            return model

    def loaded(self, name: str) -> Model | None:
        """The model if it is loaded; then it is the one that was used last."""
        if name in self._kept:
            return self._kept[name]
        with self._lock:
            if name in self._recent:
                self._recent.move_to_end(name)
            return self._recent.get(name)

    def _load(self, name: str) -> Model:
        params = _params(name)
        if params is not None:
            self._make_room(name, 4 * params)
        try:
            model = self._load_model(name)
        except PvzooError as error:  # its message is for the operator of the server
            _log.warning("%s cannot be loaded: %s", name, error)
            what = "fetched from the Hub" if isinstance(error, HubError) else "loaded"
            raise PvzooError(
                f"{name} cannot be {what} now.", "Try again later, or choose another model."
            ) from error
        self._make_room(name, model.nbytes)
        return model

    def _make_room(self, name: str, size: int) -> None:
        if size > self._budget:
            raise UsageError(
                f"{name} needs {size / 2**30:.1f} GB, more than the memory for models "
                f"({self._budget / 2**30:.1f} GB).",
                "Choose a smaller model.",
            )
        dropped = []
        with self._lock:
            while sum(model.nbytes for model in self._recent.values()) + size > self._budget:
                dropped.append(self._recent.popitem(last=False)[0])
        for other in dropped:
            self._dropped(other)


def _params(name: str) -> int | None:
    """The number of parameters by the catalogue; None if it does not say."""
    try:
        return pvzoo.info(name).params
    except PvzooError:
        return None
