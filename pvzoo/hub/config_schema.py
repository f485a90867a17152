"""Check the values that pvzoo itself reads in a ``config.json`` or the ``config`` of a card.

The libraries that build networks check the rest, or build a network that the weights do not fit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pvzoo.errors import WeightsError, short

Check = Callable[[Any], bool]

MOST_CLASSES = 1_000_000
_MOST = (
    (re.compile(r"layer|depth|block|stage|repeat"), 10_000),
    (re.compile(r"image_size|img_size"), 16_384),
)
"""The largest numbers of layers and similar parts, and of pixels: far more than any network has.
Libraries use some of these numbers before they build the network."""


def _text(value: Any) -> bool:
    """Whether a value is a text that is short enough for a message."""
    return isinstance(value, str) and len(value) <= 500


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_CLASSES


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _table(value: Any) -> bool:
    return isinstance(value, dict)


def _texts(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(text, str) for text in value)


def _names(value: Any) -> bool:
    """Whether a value gives names by number: a list of texts, or a dict with whole-number keys."""
    if not isinstance(value, dict):
        return _texts(value)
    return all(re.fullmatch(r"-?\d{1,9}", str(key)) for key in value) and bool(value)


def _per_channel(value: Any) -> bool:
    return _number(value) or (isinstance(value, list | tuple) and all(map(_number, value)))


def _size(value: Any) -> bool:
    whole = isinstance(value, list | tuple) and len(value) == 3 and all(map(_whole, value))
    return whole and min(value) > 0


_CONFIG: dict[str, tuple[Check, str]] = {
    "model_type": (_text, "a short text"),
    "architecture": (_text, "a short text"),
    "architectures": (_texts, "a list of texts"),
    "problem_type": (_text, "a short text"),
    "auto_map": (_table, "an object"),
    "id2label": (lambda value: _table(value) and _names(value), "an object of numbers and names"),
    "num_labels": (_whole, f"a whole number up to {MOST_CLASSES:,}"),
    "num_classes": (_whole, f"a whole number up to {MOST_CLASSES:,}"),
    "num_channels": (_whole, "a whole number"),
    "backbone": (_text, "a short text"),
    "backbone_kwargs": (_table, "an object"),
    "pretrained_cfg": (_table, "an object"),
    "model_args": (_table, "an object"),
    "label_names": (_names, "a list of texts, or an object of numbers and names"),
    "label_descriptions": (lambda value: _table(value) or _texts(value), "an object or a list"),
    "pvzoo": (_table, "an object"),
}
_TIMM: dict[str, tuple[Check, str]] = {
    "num_classes": _CONFIG["num_classes"],
    "label_names": _CONFIG["label_names"],
    "label_descriptions": _CONFIG["label_descriptions"],
    "input_size": (_size, "three whole numbers above 0"),
    "test_input_size": (_size, "three whole numbers above 0"),
    "mean": (_per_channel, "a number for each channel"),
    "std": (_per_channel, "a number for each channel"),
    "crop_pct": (_number, "a number"),
    "interpolation": (_text, "a short text"),
    "crop_mode": (_text, "a short text"),
    "tag": (_text, "a short text"),
}
_OWN: dict[str, tuple[Check, str]] = {
    "task": (_text, "a short text"),
    "stuff": (_texts, "a list of texts"),
    "thresholds": (_table, "an object"),
}


def check_config(name: str, config: Mapping[str, Any]) -> None:
    """Refuse values that pvzoo cannot use, or that would need too much memory.

    Args:
        name: The name that the user gave for the model; for messages.
        config: The parsed ``config.json``. ``null`` counts as a missing key.

    Raises:
        WeightsError: A value is wrong; the message names its key.
    """
    for where, table, schema in (
        ("", config, _CONFIG),
        ("pvzoo.", config.get("pvzoo"), _OWN),
        ("pretrained_cfg.", config.get("pretrained_cfg"), _TIMM),
    ):
        for key, (fits, wanted) in schema.items():
            value = table.get(key) if isinstance(table, Mapping) else None
            if value is not None and not fits(value):
                raise _wrong(name, where + key, value, f"It must be {wanted}.")
    for key, value in _numbers(config):
        for pattern, most in _MOST:
            if pattern.search(key) and value > most:
                raise _wrong(name, key, value, f"No network has more than {most:,}.")


def _numbers(config: Mapping[str, Any]) -> Iterator[tuple[str, int | float]]:
    """The numbers in a config, at any depth, each with its key."""
    waiting: list[tuple[str, Any]] = list(config.items())
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [(str(inner), content) for inner, content in value.items()]
        elif isinstance(value, list):
            waiting += [(key, content) for content in value]
        elif _number(value):
            yield key, value


def _wrong(name: str, key: str, value: Any, wanted: str) -> WeightsError:
    return WeightsError(
        f"The config of {name} says that {short(key)[1:-1]} is {short(value)}. {wanted}",
        "Fix it there (in a folder, it is config.json), or fetch the model again.",
    )
