"""Counts of each image and class, in arrays that hold only the classes that an image has."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence

import numpy as np

from pvzoo.metrics.bootstrap import ClassCounts

State = tuple[bytes, bytes, bytes, bytes]


class Tally:
    """Takes the counts of images one by one.

    Args:
        kinds: How many kinds of count there are.
        classes: How many classes there are.
    """

    def __init__(self, kinds: int, classes: int) -> None:
        self._kinds, self._classes = kinds, classes
        self._images = array("q")
        # a row for each class of each image
        self._index, self._label, self._counts = array("q"), array("i"), array("q")

    def add(self, index: int, counts: np.ndarray) -> None:
        """Take the (kinds, classes) int64 counts of the image at this index of the dataset."""
        labels = np.flatnonzero(counts.any(axis=0))
        self._images.append(index)
        self._index.extend([index] * len(labels))
        self._label.extend(labels.tolist())
        self._counts.frombytes(counts[:, labels].T.astype(np.int64).tobytes())

    def state(self) -> State:
        """What was taken: the images, and of each row its image, its class and its counts."""
        arrays = (self._images, self._index, self._label, self._counts)
        images, index, label, counts = (values.tobytes() for values in arrays)
        return images, index, label, counts

    def merge(self, states: Sequence[State]) -> None:
        """Replace what was taken by what several `state` calls gave."""
        images, index, label, counts = (b"".join(parts) for parts in zip(*states, strict=True))
        self._images, self._index = array("q", images), array("q", index)
        self._label, self._counts = array("i", label), array("q", counts)

    def per_image(self, summary: Callable[[np.ndarray], dict[str, float]]) -> ClassCounts:
        """All of it, for the bootstrap; `summary` gives the figures of (kinds, classes) sums."""
        images = np.sort(np.array(self._images, np.int64))
        index, label = np.array(self._index, np.int64), np.array(self._label, np.int64)
        counts = np.array(self._counts, np.int64).reshape(-1, self._kinds)
        order = np.argsort(label, kind="stable")
        return ClassCounts(
            images,
            np.searchsorted(images, index[order]),
            label[order],
            counts[order],
            self._classes,
            summary,
        )
