"""Labels of objects that may be mistakes, found by what a detector says of them.

The ideas are those of ObjectLab (Tkachenko et al., arXiv:2309.00832): a label is suspicious if a
confident prediction contradicts it, or if there is no trace of a prediction at its object.
"""

from __future__ import annotations

import numpy as np

from pvzoo.metrics.analysis import Suspect
from pvzoo.metrics.matching import (
    BACKGROUND_KIND,
    BOTH,
    CLASS,
    LOCATION,
    RIGHT,
    Overlaps,
    Pairing,
)

LEAST = 0.3
"""Suspicions that are smaller are not listed."""


def suspects(pairing: Pairing, names: tuple[str, ...], overlaps: Overlaps) -> list[Suspect]:
    """Labels that may be mistakes, the most suspicious first; each object or detection once."""
    found, objects, kind = pairing.found, pairing.objects, pairing.kind
    made: list[Suspect] = []
    blamed = set()  # objects that a prediction contradicts

    def add(kind: str, suspicion: float, detection: int, object: int) -> None:
        table, at = (objects, object) if object >= 0 else (found, detection)
        made.append(
            Suspect(
                int(table["image"][at]),
                suspicion,
                kind,
                names[objects["label"][object]] if object >= 0 else "",
                names[found["label"][detection]] if detection >= 0 else "",
                float(found["score"][detection]) if detection >= 0 else float("nan"),
                tuple(table["box"][at].astype(float).round(2).tolist()),
            )
        )

    own = np.zeros(len(objects))  # the best score of the class that an object is labelled as
    right = np.flatnonzero(kind == RIGHT)
    own[pairing.object_of[right]] = found["score"][right]
    for i in np.argsort(-found["score"], kind="stable").tolist():
        score, at = float(found["score"][i]), int(pairing.object_of[i])
        if score < LEAST:
            break
        if kind[i] in (CLASS, LOCATION) and at not in blamed:
            suspicion = score * (1 - own[at])
            if suspicion >= LEAST:
                add("wrong class" if kind[i] == CLASS else "position", suspicion, i, at)
                blamed.add(at)
        elif kind[i] in (BACKGROUND_KIND, BOTH):
            add("missing", score, i, -1)
    for at in np.flatnonzero(pairing.detection_of < 0).tolist():
        suspicion = 1 - float(pairing.near[at]) ** 0.5
        if at not in blamed and suspicion >= LEAST:
            add("nothing there", suspicion, -1, at)
    return sorted(made, key=lambda one: (-one.suspicion, one.index))
