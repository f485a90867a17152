"""Compare images in tiles with SAHI: the same model, tiles and batches, in processes of their own.

    pip install sahi
    python benchmarks/tiles.py            # everything: about 10 minutes
    python benchmarks/tiles.py small      # up to 64 tiles

The images are grids of drawn scenes of 128 x 128 pixels, and tiles of 128 pixels overlap by 32. The
model is the export of ``shapes-detector``. For each image: the mean average precision of boxes with
a score above 0.3, SAHI's default (pycocotools, without its limit of 100 objects an image), seconds,
milliseconds of processor time a tile, and the peak memory above that of the model and the image.
"alone" predicts each scene as an image of its own, "one pass" the whole image, scaled down. Linux
only (/proc).
"""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIDE, STEP, LEAST = 128, 96, 0.3
GRIDS = {"4": (2, 2), "16": (4, 4), "64": (8, 8), "256": (16, 16), "2542": (62, 41)}
"""Tiles -> columns and rows of tiles. The last image has about 6,000 x 4,000 pixels."""
WAYS = ("pvzoo", "sahi", "alone", "one pass")


def canvas(columns: int, rows: int) -> tuple[Image.Image, list[Any], list[dict[str, Any]]]:
    """The image, its scenes with their corners, and the objects (COCO's form)."""
    import pvzoo_shapes

    width, height = (SIDE + STEP * (n - 1) for n in (columns, rows))
    across, down = width // SIDE, height // SIDE
    scenes = pvzoo_shapes.scenes("object-detection", count=across * down, size=SIDE, seed=1000)
    image = Image.new("RGB", (width, height), (128, 128, 128))
    placed, truth = [], []
    for index, row in enumerate(scenes):
        x, y = index % across * SIDE, index // across * SIDE
        image.paste(row["image"], (x, y))
        placed.append((row["image"], x, y))
        for box, label in zip(row["objects"]["bbox"], row["objects"]["category"], strict=True):
            left, top, w, h = box
            truth.append(
                {
                    "id": len(truth) + 1,
                    "image_id": 1,
                    "category_id": label + 1,
                    "bbox": [left + x, top + y, w, h],
                    "area": w * h,
                    "iscrowd": 0,
                }
            )
    return image, placed, truth


def by_sahi(model: Any, image: Image.Image) -> list[dict[str, Any]]:
    """The objects that SAHI finds with pvzoo's model."""
    from sahi.models.base import DetectionModel
    from sahi.predict import get_sliced_prediction
    from sahi.prediction import ObjectPrediction

    class Wrapped(DetectionModel):
        def set_model(self, model: Any, **kwargs: Any) -> None:
            self.model = model
            self.category_mapping = {str(i): n for i, n in enumerate(model.labels)}

        def perform_inference(self, image: np.ndarray) -> None:
            self.perform_batch_inference([image])

        def perform_batch_inference(self, images: list[np.ndarray]) -> None:
            self._original_predictions = self.model.predict(images, batch_size=8, threshold=LEAST)

        def _create_object_prediction_list_from_original_predictions(
            self, shift_amount_list: Any = None, full_shape_list: Any = None
        ) -> None:
            if len(shift_amount_list) == 2 and not isinstance(shift_amount_list[0], list):
                shift_amount_list, full_shape_list = [shift_amount_list], [full_shape_list]
            self._object_prediction_list_per_image = [
                [
                    ObjectPrediction(
                        bbox=box.tolist(),
                        category_id=int(label),
                        category_name=name,
                        score=float(score),
                        shift_amount=shift,
                        full_shape=shape,
                    )
                    for box, label, name, score in zip(
                        found.boxes, found.labels, found.names, found.scores, strict=True
                    )
                ]
                for found, shift, shape in zip(
                    self._original_predictions, shift_amount_list, full_shape_list, strict=True
                )
            ]

    wrapped = Wrapped(model=model, confidence_threshold=LEAST, device="cpu")
    found = get_sliced_prediction(
        image,
        wrapped,
        slice_height=SIDE,
        slice_width=SIDE,
        overlap_height_ratio=(SIDE - STEP) / SIDE,
        overlap_width_ratio=(SIDE - STEP) / SIDE,
        batch_size=8,
        verbose=0,
    )
    return [
        {
            "bbox": p.bbox.to_xywh(),
            "category_id": p.category.id,
            "score": float(p.score.value),
        }
        for p in found.object_prediction_list
    ]


def run(way: str, columns: int, rows: int) -> dict[str, Any]:
    """One way on one image, in this process."""
    import pvzoo_shapes

    import pvzoo

    model = pvzoo.load(str(Path(pvzoo_shapes.__file__).parent / "exports" / "shapes-detector"))
    image, scenes, truth = canvas(columns, rows)
    tiles = pvzoo.Tiles(SIDE, overlap=(SIDE - STEP) / SIDE)

    def predicted() -> list[dict[str, Any]]:
        if way == "sahi":
            return by_sahi(model, image)
        if way == "alone":
            results = model.predict([scene for scene, _, _ in scenes], threshold=LEAST)
            moved = zip(results, scenes, strict=True)
            return [
                {**row, "bbox": [row["bbox"][0] + x, row["bbox"][1] + y, *row["bbox"][2:]]}
                for found, (_, x, y) in moved
                for row in found.to_coco()
            ]
        options = {} if way == "one pass" else {"tiles": tiles}
        return list(model.predict(image, threshold=LEAST, progress=False, **options).to_coco())

    whole, image = image, image.crop((0, 0, 2 * STEP, 2 * STEP))
    predicted()  # warm up
    image = whole
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    before, start, cpu = memory("VmRSS"), time.perf_counter(), time.process_time()
    found = predicted()
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    return {
        "seconds": seconds,
        "cpu": cpu,
        "MB": (memory("VmHWM") - before) / 2**10,
        "objects": len(found),
        "map": precision(truth, found, image.size),
    }


def memory(name: str) -> int:
    """A figure of this process in KiB."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def precision(truth: list[Any], found: list[Any], size: tuple[int, int]) -> float:
    """The mean average precision of all objects of an image, by pycocotools."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        data = COCO()
        data.dataset = {
            "info": {},
            "images": [{"id": 1, "width": size[0], "height": size[1]}],
            "categories": [{"id": i} for i in sorted({row["category_id"] for row in truth})],
            "annotations": truth,
        }
        data.createIndex()
        rows = [{**r, "image_id": 1, "category_id": r["category_id"] + 1} for r in found]
        evaluation = COCOeval(data, data.loadRes(rows), "bbox")
        evaluation.params.maxDets = [10**6]
        evaluation.evaluate()
        evaluation.accumulate()
    values = evaluation.eval["precision"][:, :, :, 0, 0]
    return float(values[values > -1].mean())


def main() -> None:
    if sys.argv[1:2] == ["run"]:
        print(json.dumps(run(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))))
        return
    names = list(GRIDS)[: 3 if sys.argv[1:] == ["small"] else None]
    print(f"{'tiles':>6} {'way':9} {'map':>6} {'objects':>8} {'s':>8} {'ms/tile':>8} {'MB':>7}")
    for name in names:
        columns, rows = GRIDS[name]
        for way in WAYS:
            command = [sys.executable, __file__, "run", way, str(columns), str(rows)]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                sys.exit(done.stderr)
            found = json.loads(done.stdout.splitlines()[-1])
            each = 1000 * found["cpu"] / (columns * rows)
            print(
                f"{name:>6} {way:9} {found['map']:6.3f} {found['objects']:8,} "
                f"{found['seconds']:8.2f} {each:8.2f} {found['MB']:7.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
