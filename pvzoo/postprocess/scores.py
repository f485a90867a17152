"""Turn logits into scores, and find the best scores."""

from __future__ import annotations

import numpy as np


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """The sigmoid of each number, in a new float32 array of the same shape."""
    return sigmoid_(np.array(logits, dtype=np.float32))


def sigmoid_(logits: np.ndarray) -> np.ndarray:
    """As `sigmoid`, in place: the float32 logits are replaced."""
    np.negative(logits, out=logits)
    with np.errstate(over="ignore"):  # the reciprocal of an infinite sum is 0, as it should be
        np.exp(logits, out=logits)
    logits += 1
    np.reciprocal(logits, out=logits)
    return logits


def softmax(logits: np.ndarray, axis: int = -1) -> np.ndarray:
    """The softmax along an axis, in a new float32 array of the same shape."""
    logits = np.asarray(logits, dtype=np.float32)
    powers: np.ndarray = np.exp(logits - logits.max(axis=axis, keepdims=True))
    powers /= powers.sum(axis=axis, keepdims=True)
    return powers


def largest(scores: np.ndarray, count: int) -> np.ndarray:
    """The indices of the `count` largest of (n,) scores, largest first; of equal ones the first."""
    if count >= len(scores):
        return np.argsort(-scores, kind="stable")
    least = np.partition(scores, len(scores) - count)[len(scores) - count]
    above, equal = np.flatnonzero(scores > least), np.flatnonzero(scores == least)
    indices = np.sort(np.concatenate([above, equal[: count - len(above)]]))
    return indices[np.argsort(-scores[indices], kind="stable")]
