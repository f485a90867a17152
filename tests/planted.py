"""Mistakes planted in labels of objects, so that a test can ask whether they are found."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np

KINDS = ("wrong class", "missing", "position", "nothing there")


def plant(
    rows: list[dict[str, Any]], classes: int, share: float, rng: np.random.Generator
) -> tuple[list[dict[str, Any]], list[tuple[int, str, list[float]]]]:
    """Rows with mistakes in a share of their objects, and (row, kind, box) of each mistake.

    Args:
        rows: With ``width``, ``height`` and ``objects``, which stay as they are.
        classes: How many there are.
        share: Of the objects.
        rng: Chooses them.
    """
    rows = deepcopy(rows)
    every = [(i, k) for i, row in enumerate(rows) for k in range(len(row["objects"]["id"]))]
    chosen = rng.permutation(len(every))[: round(share * len(every))]
    planted, gone = [], []
    for number, place in enumerate(chosen.tolist()):
        i, k = every[place]
        objects, kind = rows[i]["objects"], KINDS[number % 4]
        box = list(objects["bbox"][k])
        if kind == "wrong class":
            old = objects["category"][k]
            objects["category"][k] = int((old + rng.integers(1, classes)) % classes)
        elif kind == "missing":
            gone.append((i, k))
        elif kind == "position":
            left, top, width, height = box
            box = [left + 0.5 * width, top + 0.4 * height, width, height]
            objects["bbox"][k] = box
        else:
            size = rng.uniform(12, 30, 2)
            corner = rng.random(2) * ((rows[i]["width"], rows[i]["height"]) - size)
            box = [*corner.tolist(), *size.tolist()]
            new = {
                "id": 10_000 + number,
                "bbox": box,
                "category": int(rng.integers(classes)),
                "area": float(size.prod()),
                "iscrowd": False,
                "ignore": False,
            }
            for name, value in new.items():
                objects[name].append(value)
        planted.append((i, kind, box))
    for i, k in sorted(gone, reverse=True):
        for values in rows[i]["objects"].values():
            del values[k]
    return rows, planted


def found(planted: list[tuple[int, str, list[float]]], suspects: list[Any]) -> list[bool]:
    """Whether each mistake is among the suspects: its image, its kind or place."""
    from pycocotools import mask as coco

    def is_it(mistake: tuple[int, str, list[float]], suspect: Any) -> bool:
        i, _, box = mistake
        if suspect.index != i or suspect.box is None:
            return False
        shares = coco.iou(np.array([box]), np.array([suspect.box]), [False])
        return bool(shares[0, 0] >= 0.3)

    return [any(is_it(mistake, suspect) for suspect in suspects) for mistake in planted]
