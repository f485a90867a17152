"""ImageNet's ids of classes, such as n01440764 for "tench, Tinca tinca".

They are WordNet's numbers of nouns (synsets). The tables are timm's; where timm is not installed no
id is known. An id may have more behind it: ``n02085620-Chihuahua``, ``n01440764_tench``.
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
    """The id that a name is, or begins with; else ""."""
    found = _ID.match(name)
    return found[0] if found else ""


def description(name: str) -> str:
    """The synonyms of the class that a name is, or begins with, the id of; "" if it is none."""
    info = _info(_EVERY_CLASS) if synset(name) else None
    try:
        return info.label_name_to_description(synset(name)) if info else ""
    except KeyError:
        return ""


def synsets(names: Sequence[str], word: Callable[[str], str]) -> list[str]:
    """The id of each class: the one in its name, or that of its place in a list of ImageNet's.

    Args:
        names: The classes of a model or a dataset, in their order.
        word: What makes of a name what names of one class have in common.

    Returns:
        An id each, or "". The list is taken for ImageNet's if it is as long as one of those that
        timm knows, and more than half of its names are in their place.
    """
    said = [synset(name) for name in names]
    if any(said):
        return said
    try:
        from timm.data import infer_imagenet_subset
    except ImportError:
        return said
    subset = infer_imagenet_subset({"num_classes": len(names)})
    info = _info(subset) if subset else None
    if info is None:
        return said
    pairs = zip(names, info.label_descriptions(), strict=True)
    alike = sum(word(name) == word(other) for name, other in pairs)
    return list(info.label_names()) if 2 * alike > len(names) else said


@cache
def _info(subset: str) -> ImageNetInfo | None:
    try:
        from timm.data import ImageNetInfo
    except ImportError:
        return None
    return ImageNetInfo(subset)
