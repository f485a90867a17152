"""Find labels of objects that may be mistakes, from the predictions of a detector.

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
    Pairing,
)

LEAST = 0.3
"""Smaller suspicions are not listed."""
MOST = 10_000
"""The largest number of suspects in the list."""
_KINDS = ("wrong class", "position", "missing", "nothing there")
_WRONG_CLASS, _POSITION, _MISSING, _NOTHING = range(4)


def suspects(pairing: Pairing, names: tuple[str, ...]) -> list[Suspect]:
    """Labels that may be mistakes, most suspicious first; each object or detection occurs once."""
    found, kind, score = pairing.found, pairing.kind, pairing.found["score"].astype(np.float64)
    at = pairing.object_of
    own = np.zeros(len(pairing.objects))  # for each object, the best score with the labelled class
    right = np.flatnonzero(kind == RIGHT)
    own[at[right]] = score[right]

    # for each object, the contradicting prediction with the highest score
    against = np.flatnonzero(np.isin(kind, (CLASS, LOCATION)))
    against = against[np.argsort(-score[against], kind="stable")]
    blamed, first = np.unique(at[against], return_index=True)
    against = against[first]
    contradicted = score[against] * (1 - own[blamed])
    alone = np.flatnonzero(np.isin(kind, (BACKGROUND_KIND, BOTH)))
    lost = np.flatnonzero(pairing.detection_of < 0)
    lost = np.setdiff1d(lost, blamed[contradicted >= LEAST])
    rows = np.concatenate(
        [
            _rows(np.where(kind[against] == CLASS, _WRONG_CLASS, _POSITION), contradicted),
            _rows(np.full(len(alone), _MISSING), score[alone]),
            _rows(np.full(len(lost), _NOTHING), 1 - pairing.near[lost].astype(np.float64) ** 0.5),
        ]
    )
    none = -np.ones(max(len(alone), len(lost)), np.int64)
    detections = np.concatenate([against, alone, none[: len(lost)]])
    objects = np.concatenate([blamed, none[: len(alone)], lost])
    image = np.where(
        objects >= 0,
        _taken(pairing.objects["image"], objects),
        _taken(found["image"], detections),
    )
    order = np.lexsort((image, -rows["suspicion"]))
    order = order[rows["suspicion"][order] >= LEAST][:MOST]
    made = []
    for i in order.tolist():
        d, o = int(detections[i]), int(objects[i])
        box = pairing.objects["box"][o] if o >= 0 else found["box"][d]
        left, top, width, height = box.astype(float).round(2).tolist()
        made.append(
            Suspect(
                int(image[i]),
                float(rows["suspicion"][i]),
                _KINDS[rows["kind"][i]],
                names[pairing.objects["label"][o]] if o >= 0 else "",
                names[found["label"][d]] if d >= 0 else "",
                float(score[d]) if d >= 0 else float("nan"),
                (left, top, width, height),
            )
        )
    return made


def _rows(kind: np.ndarray, suspicion: np.ndarray) -> np.ndarray:
    rows = np.zeros(len(kind), [("kind", "i1"), ("suspicion", "f8")])
    rows["kind"], rows["suspicion"] = kind, suspicion
    return rows


def _taken(values: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """The values at the indices; 0 at an index of -1."""
    taken: np.ndarray = np.append(values, 0)[indices]
    return taken
