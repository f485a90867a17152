"""What the detectors share: from scored boxes to a result."""

from __future__ import annotations

import torch

from pvzoo.postprocess.detection import Boxes, best, suppress
from pvzoo.tasks.object_detection import Detections


def detections(
    scores: torch.Tensor,
    labels: torch.Tensor,
    boxes: torch.Tensor,
    *,
    frame: tuple[int, int],
    size: tuple[int, int],
    prompts: tuple[str, ...],
    nms: float | None,
    class_agnostic: bool,
    max_detections: int | None,
) -> Detections:
    """The objects of one image.

    Args:
        scores: (n,) of those that are good enough.
        labels: (n,) places in `prompts`.
        boxes: (n, 4) centre x, centre y, width, height, relative to `frame`.
        frame: (height, width) in pixels of the image, of what the boxes are relative to.
        size: (height, width) of the image.
        prompts: What was looked for.
        nms: As the controls of the task.
        class_agnostic: Likewise.
        max_detections: Likewise.
    """
    centre, extent = boxes.split(2, dim=-1)
    corners = torch.cat([centre - 0.5 * extent, centre + 0.5 * extent], dim=-1)
    height, width = frame
    pixels = corners * torch.tensor([width, height, width, height], device=boxes.device)
    found = Boxes(scores, labels, pixels, torch.zeros_like(labels))
    if nms is not None:
        found = suppress(found, nms, class_agnostic)
    if max_detections is not None:
        found = best(found, max_detections)
    ids = found.labels.cpu().numpy()
    return Detections(
        size=size,
        boxes=found.boxes.cpu().numpy(),
        scores=found.scores.cpu().numpy(),
        labels=ids,
        names=tuple(prompts[i] for i in ids),
    )
