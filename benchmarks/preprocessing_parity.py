"""List the families for which numpy and Pillow prepare images exactly as their processors do.

    python benchmarks/preprocessing_parity.py > docs/preprocessing.md

For each model type with a head in pvzoo, transformers' image processor is made with its default
settings and compared with its steps, to the bit, on the images of `pvzoo.preprocess.compare`: odd
and even sides, tall, wide, tiny, large and grey.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import timm.data
import transformers
from PIL import Image
from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING_NAMES

from pvzoo.errors import PvzooError
from pvzoo.families import FAMILIES
from pvzoo.preprocess.compare import ROUNDING, THOROUGH, difference
from pvzoo.preprocess.derive import steps_of, timm_steps
from pvzoo.preprocess.run import run
from pvzoo.preprocess.steps import Step

# transformers has no processor of these types; their published checkpoints use those of others
_BORROWED = {
    "d_fine": "RTDetrImageProcessor",
    "dab-detr": "ConditionalDetrImageProcessor",
    "dinov2_with_registers": "BitImageProcessor",
    "hgnet_v2": "RTDetrImageProcessor",
    "rt_detr_v2": "RTDetrImageProcessor",
}
_HEAD = """# Preprocessing without PyTorch

Preprocessing is data: a list of steps (`pvzoo.preprocess.steps`) that numpy and Pillow run. pvzoo
derives the steps from a checkpoint's own image processor, or from timm's evaluation transform. It
uses them only if they give the same numbers: whenever a model is loaded, two images are compared. A
processor that steps cannot describe is refused by name; such a model keeps its processor, which
needs PyTorch.

"Equal" below means to the bit, on {count} images with odd and even sides, tall, wide, tiny, large
and grey, with the default settings of each processor of transformers {version}, on a machine with
AVX2 or newer, where torchvision scales bytes without converting them to floats. If floats are
scaled (RF-DETR), the last bit depends on PyTorch's number of threads; "equal" then means within
{rounding:g}, and the processor is used if PyTorch is installed.

This page is made by `benchmarks/preprocessing_parity.py`.

| model type | image processor | steps |
| --- | --- | --- |"""


def main() -> None:
    logging.disable(logging.WARNING)
    print(_HEAD.format(count=len(THOROUGH), version=transformers.__version__, rounding=ROUNDING))
    for family in sorted(FAMILIES):
        name = _processor_of(family)
        print(f"| {family} | {name or 'none in transformers'} | {_verdict(name)} |")
    print(f"| timm | evaluation transform, crop_mode center or squash | {_timm()} |")


def _processor_of(family: str) -> str | None:
    if family == "timm_wrapper":
        return "timm's evaluation transform"
    entry = IMAGE_PROCESSOR_MAPPING_NAMES.get(family) or {}
    return entry.get("torchvision") or _BORROWED.get(family)


def _verdict(name: str | None) -> str:
    if name is None:
        return "refused: it has no processor that torchvision runs"
    if not hasattr(transformers, name):
        return "as timm below"
    try:
        processor = getattr(transformers, name)()
        steps = steps_of(processor)
    except PvzooError as error:
        return f"refused: {error.what.partition('steps: ')[2].rstrip('.')}"
    except Exception as error:  # some processors need arguments
        return f"refused: it cannot be made without arguments ({type(error).__name__})"
    floats = any(getattr(step, "arithmetic", "") == "float" for step in steps)
    found = difference(
        lambda image: _ours(steps, image),
        lambda image: _theirs(processor, image),
        THOROUGH,
        tolerance=ROUNDING if floats else 0.0,
    )
    if found:
        return f"differ: {found}"
    return f"equal within {ROUNDING:g}" if floats else "equal"


def _ours(steps: tuple[Step, ...], image: Image.Image) -> dict[str, np.ndarray]:
    return {"pixel_values": run(steps, image)[0]["pixel_values"]}


def _theirs(processor: Any, image: Image.Image) -> dict[str, np.ndarray]:
    more = {"task_inputs": ["semantic"]} if "OneFormer" in type(processor).__name__ else {}
    found = processor(images=image, return_tensors="np", **more)
    return {"pixel_values": np.asarray(found["pixel_values"])}


def _timm() -> str:
    verdicts = set()
    for mode in ("center", "squash"):
        for filter in ("bilinear", "bicubic", "lanczos", "nearest"):
            config = {
                "input_size": (3, 224, 224),
                "crop_pct": 0.9,
                "crop_mode": mode,
                "interpolation": filter,
                "mean": (0.485, 0.456, 0.406),
                "std": (0.229, 0.224, 0.225),
            }
            steps = timm_steps(config)
            transform = timm.data.create_transform(**config, is_training=False)
            found = difference(
                lambda image, steps=steps: run(steps, image, "x")[0],
                lambda image, transform=transform: {"x": transform(image)[None].numpy()},
                THOROUGH,
            )
            verdicts.add(found or "equal")
    return "; ".join(sorted(verdicts)) + "; crop_mode border is refused"


if __name__ == "__main__":
    main()
