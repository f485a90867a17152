"""Prints what figures and a report cost for `count` images of 100 boxes; see test_report.py.

Four numbers: seconds of processor time for the figures and for the report, and how high memory
rose in MB after each.
"""

import resource
import sys
import time
from pathlib import Path

import colour_model
import datasets
import numpy as np

from pvzoo.adapters.base import Spec
from pvzoo.data import schema
from pvzoo.model import Model
from pvzoo.results.detections import Detections


class ManyBoxes(colour_model.ColourAdapter):
    """Finds a hundred boxes: most of the drawn objects, and many that are not there."""

    def postprocess(self, outputs, meta, **controls):
        seed = int(outputs["pixels"].sum()) % 1000
        rng = np.random.default_rng(seed)
        corners = rng.uniform(0, 250, (100, 2))
        boxes = np.hstack([corners, corners + rng.uniform(20, 60, (100, 2))]).astype(np.float32)
        scores, labels = rng.random(100).astype(np.float32), rng.integers(1, 4, 100)
        names = tuple(self.labels[i] for i in labels)
        kept = scores > controls["threshold"]
        found = Detections(
            size=meta["size"], boxes=boxes, scores=scores, labels=labels, names=names
        )
        return found[kept]


def rows(folder: Path, count: int):
    """Images that repeat, each with 20 boxes."""
    small = colour_model.dataset(schema.DETECTION, folder, 50, size=(300, 300))
    paths = [str(folder / f"{i}.png") for i in range(50)]
    for i in range(count):
        rng = np.random.default_rng(i)
        corners, sizes = rng.uniform(0, 250, (20, 2)), rng.uniform(20, 60, (20, 2))
        objects = {
            "id": list(range(20 * i, 20 * i + 20)),
            "bbox": np.hstack([corners, sizes]).tolist(),
            "category": rng.integers(1, 4, 20).tolist(),
            "area": sizes.prod(1).tolist(),
            "iscrowd": [False] * 20,
            "ignore": [False] * 20,
        }
        name = f"{i}.png"
        row = {"image": paths[i % 50], "image_id": i, "file_name": name, "objects": objects}
        yield row | {"height": 300, "width": 300}
    del small


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(folder: str, count: str) -> None:
    home = Path(folder)
    made = [*rows(home / "data", int(count))]
    features = schema.features(schema.DETECTION, colour_model.NAMES)
    dataset = datasets.Dataset.from_list(made, features=features)
    del made
    adapter = ManyBoxes(Spec("colours", schema.DETECTION, colour_model.NAMES))
    model = Model("colours", adapter)
    model.evaluate(dataset.select(range(50))).report(home / "first")  # what is loaded once
    start = time.process_time()
    evaluation = model.evaluate(dataset)
    figures, after = time.process_time() - start, peak()
    start = time.process_time()
    evaluation.report(home / "report")
    print(figures, time.process_time() - start, after, peak())


main(*sys.argv[1:])
