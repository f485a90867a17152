"""Compare time and peak memory of mask post-processing with transformers, on the same logits.

    python benchmarks/segmentation_postprocessing.py            # everything: about 15 minutes
    python benchmarks/segmentation_postprocessing.py 1920x1280  # one size

Mask2Former outputs (mask logits 200 x 304) are generated: "blobs" have soft edges like those of a
trained network; "noise" is the worst case for code that skips regions that it can prove empty. Each
row is one call of each library, in separate processes that take turns; memory is the peak above the
inputs. pvzoo's times include the run-length encoding of instance masks. Linux only (/proc).
"""

from __future__ import annotations

import ctypes
import itertools
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as nnf

Size = tuple[int, int]

CELLS = (200, 304)
PADDED = (800, 1216)
SIZES = {"640x427": (427, 640), "1920x1280": (1280, 1920), "4000x3000": (3000, 4000)}
CLASSES = {"panoptic": 133, "instance": 80, "semantic": 150}
STUFF = frozenset(range(80, 133))


def outputs(kind: str, classes: int, queries: int, kept: int) -> tuple[Tensor, Tensor]:
    """Class and mask logits of one image; `kept` of the queries are sure of a class."""
    generator = torch.Generator().manual_seed(0)
    class_logits = torch.randn((queries, classes + 1), generator=generator)
    class_logits[:, -1] += 6
    sure = torch.randperm(queries, generator=generator)[:kept]
    label = torch.randint(0, classes, (kept,), generator=generator)
    class_logits[sure, label] += 14 + torch.rand(kept, generator=generator)
    coarse = torch.randn((1, queries, CELLS[0] // 6, CELLS[1] // 6), generator=generator)
    rough = nnf.interpolate(coarse, size=CELLS, mode="bilinear")[0]
    if kind == "noise":
        return class_logits, rough * 6 - 2
    y = torch.linspace(0, 1, CELLS[0])[:, None]
    x = torch.linspace(0, 1, CELLS[1])
    centre = torch.rand((2, queries, 1, 1), generator=generator)
    size = 0.03 + 0.22 * torch.rand((2, queries, 1, 1), generator=generator) ** 2
    distance = (((y - centre[0]) / size[0]) ** 2 + ((x - centre[1]) / size[1]) ** 2).sqrt()
    blobs = (20 * size.amin(dim=0) / 0.05 * (1 - distance)).clamp(-12, 9)
    return class_logits, blobs + rough


def pvzoo_call(task: str, class_logits: Tensor, mask_logits: Tensor, image: Size) -> None:
    """Run pvzoo's post-processing."""
    from pvzoo.families import FAMILIES
    from pvzoo.postprocess import semantic
    from pvzoo.postprocess.frame import Frame
    from pvzoo.postprocess.instances import instances
    from pvzoo.postprocess.panoptic import panoptic
    from pvzoo.results.masks import encode

    record, frame = FAMILIES["mask2former"].masks, Frame(PADDED, PADDED, image)
    given = class_logits.numpy(), mask_logits.numpy(), frame
    if task == "panoptic":
        panoptic(record, *given, stuff=STUFF, threshold=0.8, overlap=0.8)
    elif task == "instance":
        instances(
            record,
            *given,
            threshold=0.5,
            pack=lambda top, left, mask: encode(mask, top, left, image),
        )
    else:
        semantic.from_queries(*given, masks_first=True)


def transformers_call(task: str, class_logits: Tensor, mask_logits: Tensor, image: Size) -> None:
    """Run the post-processing of transformers' Mask2Former processor."""
    from types import SimpleNamespace

    from transformers import Mask2FormerImageProcessor

    processor = Mask2FormerImageProcessor()
    result = SimpleNamespace(
        class_queries_logits=class_logits[None], masks_queries_logits=mask_logits[None]
    )
    if task == "panoptic":
        processor.post_process_panoptic_segmentation(
            result, threshold=0.8, label_ids_to_fuse=set(STUFF), target_sizes=[image]
        )
    elif task == "instance":
        processor.post_process_instance_segmentation(result, threshold=0.5, target_sizes=[image])
    else:
        processor.post_process_semantic_segmentation(result, target_sizes=[image])


def _megabytes(field: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def measure(side: str, task: str, kind: str, queries: int, kept: int, image: Size) -> tuple:
    """(seconds, megabytes above the inputs) of one call; runs in a worker process."""
    call = pvzoo_call if side == "pvzoo" else transformers_call
    class_logits, mask_logits = outputs(kind, CLASSES[task], queries, kept)
    with torch.inference_mode():
        call(task, class_logits[:5], mask_logits[:5], (64, 96))  # imports and first-use costs
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        before = _megabytes("VmRSS")
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
        start = time.perf_counter()
        call(task, class_logits, mask_logits, image)
        seconds = time.perf_counter() - start
    return seconds, _megabytes("VmHWM") - before


def main() -> None:
    """Print the table."""
    sizes = sys.argv[1:] or list(SIZES)
    spawn = multiprocessing.get_context("spawn")
    sides = ("pvzoo", "transformers")
    workers = {side: ProcessPoolExecutor(1, mp_context=spawn) for side in sides}
    print("image      task      logits queries kept |  pvzoo          transformers    | ratio")
    for size, task, kind, (queries, few, many) in itertools.product(
        sizes, CLASSES, ("blobs", "noise"), ((100, 20, 60), (200, 40, 120))
    ):
        for kept in (few,) if task == "semantic" else (few, many):
            ours, theirs = (
                workers[side].submit(measure, side, task, kind, queries, kept, SIZES[size]).result()
                for side in sides
            )
            print(
                f"{size:10} {task:9} {kind:6} {queries:7} {kept:4} | "
                f"{ours[0]:6.2f} s {ours[1]:6.0f} MB {theirs[0]:6.2f} s {theirs[1]:6.0f} MB | "
                f"{theirs[0] / ours[0]:5.1f} x faster, {theirs[1] / max(ours[1], 1):5.1f} x less",
                flush=True,
            )


if __name__ == "__main__":
    main()
