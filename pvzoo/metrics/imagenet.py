"""Look up ImageNet's ids of classes, such as n01440764 for "tench, Tinca tinca".

The ids are WordNet's numbers of nouns (synsets). The tables come from timm; without timm, no id is
known. More text may follow an id: ``n02085620-Chihuahua``, ``n01440764_tench``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from timm.data import ImageNetInfo

_ID = re.compile(r"n\d{8}(?!\d)")

_EVERY_CLASS = "imagenet-22k"


def synset(name: str) -> str:
    """The id at the beginning of a name, or ""."""
    found = _ID.match(name)
    return found[0] if found else ""


def description(name: str) -> str:
    """The synonyms of the class whose id is at the beginning of a name, or ""."""
    info = _info(_EVERY_CLASS) if synset(name) else None
    try:
        return info.label_name_to_description(synset(name)) if info else ""
    except KeyError:
        return ""


def synsets(names: Sequence[str], word: Callable[[str], str]) -> list[str]:
    """The id of each class: the id in its name, or the id at its index in a list of ImageNet's.

    Args:
        names: The classes of a model or a dataset, in their order.
        word: A function that returns the same word for different names of one class.

    Returns:
        An id, or "", for each class. The names count as a list of ImageNet's if they are as many as
        in a list that timm knows, and more than half of them are at their index in it.
    """
    own = [synset(name) for name in names]
    if any(own):
        return own
    try:
        from timm.data import infer_imagenet_subset
    except ImportError:
        return own
    subset = infer_imagenet_subset({"num_classes": len(names)})
    info = _info(subset) if subset else None
    if info is None:
        return own
    pairs = zip(names, info.label_descriptions(), strict=True)
    alike = sum(word(name) == word(other) for name, other in pairs)
    return list(info.label_names()) if 2 * alike > len(names) else own


@cache
def _info(subset: str) -> ImageNetInfo | None:
    try:
        from timm.data import ImageNetInfo
    except ImportError:
        return None
    return ImageNetInfo(subset)
