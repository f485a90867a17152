"""Segmentation models of transformers: universal (Mask2Former's family), instance and semantic."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torchvision.ops import masks_to_boxes
from transformers import (
    AutoModelForInstanceSegmentation,
    AutoModelForSemanticSegmentation,
    AutoModelForUniversalSegmentation,
)
from transformers.image_transforms import get_size_with_aspect_ratio
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_INSTANCE_SEGMENTATION_MAPPING_NAMES,
    MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING_NAMES,
    MODEL_FOR_UNIVERSAL_SEGMENTATION_MAPPING_NAMES,
)

from pvzoo.adapters import _training
from pvzoo.adapters._counts import counted_over_processes
from pvzoo.adapters._long import check_side
from pvzoo.adapters._stuff import stuff_of
from pvzoo.adapters.base import Adapter, Checkpoint, Classes
from pvzoo.adapters.from_transformers import (
    backbone_config,
    load_model,
    load_processor,
    named_classes,
    prepared,
)
from pvzoo.errors import PvzooWarning, UnsupportedModelError
from pvzoo.masks import Masks, encode
from pvzoo.postprocess import semantic
from pvzoo.postprocess.detection import Boxes, best, suppress
from pvzoo.postprocess.frame import Frame, Size
from pvzoo.postprocess.segmentation import RECORDS, instances, panoptic
from pvzoo.tasks.base import Result
from pvzoo.tasks.instance_segmentation import Instances
from pvzoo.tasks.panoptic_segmentation import Panoptic, PanopticSegment
from pvzoo.tasks.semantic_segmentation import SemanticMap

SEMANTIC, INSTANCE, PANOPTIC = (
    "semantic-segmentation",
    "instance-segmentation",
    "panoptic-segmentation",
)
BACKGROUND = "background"
"""What is not the one class of a network with one channel."""
_EOMT = ("eomt", "eomt_dinov3")
_UNIVERSAL = ("mask2former", "maskformer", "oneformer", *_EOMT)
_TASKS = {**dict.fromkeys(_UNIVERSAL, (SEMANTIC, INSTANCE, PANOPTIC)), "rf_detr": (INSTANCE,)}
_TASKS["detr"] = (INSTANCE, PANOPTIC)

# How the authors of models that score pixels bring the scores to the image.
_PIXEL_STEPS: dict[str, semantic.Steps] = {
    "dpt": "bicubic",
    "mobilenet_v2": "aligned",
    "mobilevit": "aligned",
    "mobilevitv2": "aligned",
}
# Checkpoints whose authors keep a panoptic segment from another class score than the family's.
_PANOPTIC_SCORES = {("mask2former", "mapillary-vistas"): 0.0, ("oneformer", "ade20k-150"): 0.5}

_ONEFORMER_MULTIPLE = 32  # SHI-Labs/OneFormer pads inputs to this (SIZE_DIVISIBILITY)
_CROPPING = ("mobilenet_v2", "mobilevit", "mobilevitv2")


class TransformersSegmentationAdapter(Adapter):
    """Any transformers segmentation model for images, for one of the tasks it can serve."""

    tasks = (SEMANTIC, INSTANCE, PANOPTIC)

    def __init__(
        self, module: torch.nn.Module, processor: Any, task: str, own_task: str, config: Any
    ) -> None:
        self.task = task
        self.module = module
        self._record = RECORDS.get(module.config.model_type)
        self.labels = named_classes(module.config)
        # One channel alone is a sigmoid: transformers' own loss (SegFormer's) makes it the
        # probability that a pixel has the label 1, and not 0.
        self._alone = self._record is None and len(self.labels) == 1
        if self._alone:
            named = self.labels[0] if self.labels[0].casefold() != BACKGROUND else ""
            self.labels = (BACKGROUND, named or "foreground")
        # every pixel belongs to some class, so one without a name needs a word too
        self._names = tuple(name or f"class {i}" for i, name in enumerate(self.labels))
        self._model_type = module.config.model_type
        self._processor = processor
        self._images = getattr(processor, "image_processor", processor)
        # Authors scale masks before classes are summed, but in checkpoints made for this alone;
        # no OneFormer is.
        self._masks_first = own_task != SEMANTIC or self._model_type == "oneformer"
        stuff = stuff_of(config, self.labels, getattr(self._images, "metadata", None))
        if task == PANOPTIC and stuff is None:
            warnings.warn(
                "Nothing says which classes of this model are stuff; all count as things, so their "
                "segments are not fused. A 'stuff' list in its card or config would say it.",
                PvzooWarning,
                stacklevel=5,
            )
        self._stuff = stuff.ids if stuff else frozenset()
        self._windowed = bool(getattr(self._images, "do_split_image", False))
        if self._record:
            key = (self._model_type, stuff.label_set if stuff else None)
            self._panoptic_score = _PANOPTIC_SCORES.get(key, self._record.score)

    @classmethod
    def matches(cls, config: Mapping[str, Any]) -> bool:
        """The architecture saved is a segmentation head of its model type."""
        return _auto_class(config) is not None

    @classmethod
    def check(cls, name: str, config: Mapping[str, Any], task: str | None) -> None:
        """Refuse what is no segmentation model, or able to do several tasks and told none."""
        auto_class, model_type = _auto_class(config), config.get("model_type", "")
        if auto_class is None or (
            auto_class is not AutoModelForSemanticSegmentation and model_type not in RECORDS
        ):
            raise UnsupportedModelError(
                f"{name} ({model_type or 'no model type'}) is no segmentation model for images "
                "that pvzoo can drive.",
                f"It can: {', '.join(_TASKS)} and the semantic models of transformers.",
            )
        if task or model_type not in _EOMT:  # EoMT's processor, not yet fetched, may decide
            _choose_task(name, config, task, _TASKS.get(model_type, (SEMANTIC,)))

    @classmethod
    def load(
        cls, checkpoint: Checkpoint, *, task: str | None, dtype: Any, trust_remote_code: bool
    ) -> TransformersSegmentationAdapter:
        """Load strictly, for `task` or the one the config states."""
        config = checkpoint.config
        auto_class, model_type = _auto_class(config), config["model_type"]
        kwargs = {"class_info_file": None} if model_type == "oneformer" else {}
        processor = load_processor(checkpoint, trust_remote_code, **kwargs)
        able = _TASKS.get(model_type, (SEMANTIC,))
        if getattr(processor, "do_split_image", False):
            able = (SEMANTIC,)  # EoMT cuts images into windows for this task alone
        task = _choose_task(checkpoint.name, config, task, able)
        own_task = (config.get("pvzoo") or {}).get("task")
        module = load_model(
            auto_class, checkpoint, dtype, trust_remote_code, **backbone_config(checkpoint)
        )
        if model_type in _EOMT:
            # Probabilities of masked attention during training; finished checkpoints hold zeros,
            # and with anything between 0 and 1 the network draws lots at every call.
            module.attn_mask_probs.zero_()
        if model_type == "oneformer":
            processor = _oneformer_processor(checkpoint, processor)
        return cls(module, processor, task, own_task or task, config)

    # --- the network's input ----------------------------------------------------------------------

    def preprocess(
        self, image: Image.Image, **prompts: Any
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """The checkpoint's own processor: ``pixel_values`` (n, 3, h, w), n > 1 for windows.

        ``meta`` says where the image lies in the input.
        """
        check_side(image)
        size = image.size[::-1]
        if self._model_type == "oneformer":
            return self._preprocess_oneformer(image)
        options: dict[str, Any] = {}
        if self._model_type in _CROPPING and getattr(self._images, "do_center_crop", False):
            # A centre crop would leave the rest of the picture without an answer.
            crop = self._images.crop_size
            options = {
                "do_center_crop": False,
                "size": {"height": crop["height"], "width": crop["width"]},
            }
        if self._model_type == "dpt":
            options = {"keep_aspect_ratio": False}  # the network takes square inputs only
        found = prepared(self._images, image, **options)
        pixels = np.asarray(found["pixel_values"])
        padded = pixels.shape[-2:]
        meta = {"size": size, "padded": padded, "valid": padded}
        inputs = {"pixel_values": pixels}
        if self._model_type in _EOMT:
            target = self._images.size
            meta["valid"] = get_size_with_aspect_ratio(
                size, target["shortest_edge"], target.get("longest_edge")
            )
            if self._windowed:
                meta["windows"] = [tuple(map(int, o[1:])) for o in found["patch_offsets"]]
        if "pixel_mask" in found:
            mask = np.asarray(found["pixel_mask"])[0]
            meta["valid"] = (int(mask.any(axis=1).sum()), int(mask.any(axis=0).sum()))
            if self._model_type in ("detr", "rf_detr"):  # the others do not look at it
                inputs["pixel_mask"] = mask[None]
        return inputs, meta

    def _preprocess_oneformer(
        self, image: Image.Image
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """With the task as words, and padded as its authors do; the processor leaves that out."""
        word = self.task.partition("-")[0]
        found = prepared(self._processor, image, task_inputs=[word])
        pixels = np.asarray(found["pixel_values"])
        valid = pixels.shape[-2:]
        padded = [math.ceil(v / _ONEFORMER_MULTIPLE) * _ONEFORMER_MULTIPLE for v in valid]
        margins = [(0, 0), (0, 0), *((0, p - v) for p, v in zip(padded, valid, strict=True))]
        inputs = {
            "pixel_values": np.pad(pixels, margins),
            "task_inputs": np.asarray(found["task_inputs"]),
        }
        return inputs, {"size": image.size[::-1], "padded": tuple(padded), "valid": valid}

    # --- forward ----------------------------------------------------------------------------------

    def forward(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """``logits`` (n, classes, h, w), or ``classes``, ``masks`` (and ``boxes``) of queries."""
        outputs = self.module(**inputs)
        if self._record is None:
            return {"logits": outputs.logits.float()}
        if self._model_type in _UNIVERSAL:
            classes, masks = outputs.class_queries_logits, outputs.masks_queries_logits
            return {"classes": classes.float(), "masks": masks.float()}
        masks = outputs.pred_masks  # DETR's keep an axis of length 1
        masks = masks.reshape(*outputs.logits.shape[:2], *masks.shape[-2:])
        return {
            "classes": outputs.logits.float(),
            "masks": masks.float(),
            "boxes": outputs.pred_boxes.float(),
        }

    # --- results ----------------------------------------------------------------------------------

    def postprocess(self, outputs: dict[str, Any], meta: dict[str, Any], **controls: Any) -> Result:
        """The result of the task for one image."""
        if self.task == SEMANTIC:
            return self._semantic(outputs, meta, **controls)
        if self.task == PANOPTIC:
            return self._panoptic(outputs, meta, **controls)
        return self._instances(outputs, meta, **controls)

    def _frame(self, masks: torch.Tensor, meta: dict[str, Any]) -> Frame:
        if self._model_type == "rf_detr":  # its masks are scaled straight to the image
            cells: Size = tuple(masks.shape[-2:])
            return Frame(cells, cells, meta["size"])
        return Frame(meta["padded"], meta["valid"], meta["size"])

    def _semantic(self, outputs: dict[str, Any], meta: dict[str, Any], scores: bool) -> SemanticMap:
        if self._record is None:
            logits = outputs["logits"][0]
            steps = _PIXEL_STEPS.get(self._model_type, "bilinear")
            frame = self._frame(logits, meta)
            found = semantic.from_pixels(logits, frame, steps, with_scores=scores)
        elif self._windowed:
            found = semantic.from_windows(
                outputs["classes"],
                outputs["masks"],
                meta["windows"],
                network=meta["padded"],
                scaled=meta["valid"],
                image=meta["size"],
                with_scores=scores,
            )
        else:
            classes, masks = outputs["classes"][0], outputs["masks"][0]
            frame = self._frame(masks, meta)
            first = self._masks_first
            found = semantic.from_queries(
                classes, masks, frame, masks_first=first, with_scores=scores
            )
        labels, best_scores = found
        return SemanticMap.of(
            labels.cpu().numpy(),
            self._names,
            None if best_scores is None else best_scores.cpu().numpy(),
        )

    def _panoptic(
        self,
        outputs: dict[str, Any],
        meta: dict[str, Any],
        threshold: float | None,
        overlap: float | None,
    ) -> Panoptic:
        masks = outputs["masks"][0]
        ids, segments = panoptic(
            self._record,
            outputs["classes"][0],
            masks,
            self._frame(masks, meta),
            stuff=self._stuff,
            threshold=self._panoptic_score if threshold is None else threshold,
            overlap=self._record.overlap if overlap is None else overlap,
        )
        return Panoptic(
            size=meta["size"],
            map=ids.cpu().numpy(),
            segments=tuple(
                PanopticSegment(
                    id=s.number,
                    label=s.label,
                    name=self._names[s.label],
                    is_thing=s.label not in self._stuff,
                    score=s.score,
                    area=s.area,
                )
                for s in segments
            ),
        )

    def _instances(
        self, outputs: dict[str, Any], meta: dict[str, Any], **controls: Any
    ) -> Instances:
        size = meta["size"]
        things = {i for i, name in enumerate(self.labels) if name and i not in self._stuff}
        if controls["classes"] is not None:
            things &= set(controls["classes"])
        masks = outputs["masks"][0]
        found = instances(
            self._record,
            outputs["classes"][0],
            masks,
            self._frame(masks, meta),
            labels=things,
            threshold=controls["threshold"],
            pack=lambda top, left, mask: encode(mask.cpu().numpy(), top, left, size),
            boxes=outputs["boxes"][0] if "boxes" in outputs else None,
        )
        kept = Boxes(
            torch.tensor([i.score for i in found], dtype=torch.float32),
            torch.tensor([i.label for i in found], dtype=torch.int64),
            torch.tensor([i.box for i in found], dtype=torch.float32).reshape(-1, 4),
            torch.arange(len(found)),
        )
        if controls["nms"] is not None:
            kept = suppress(kept, controls["nms"], controls["class_agnostic"])
        if controls["max_detections"] is not None:
            kept = best(kept, controls["max_detections"])
        labels = kept.labels.numpy()
        return Instances(
            size=size,
            boxes=kept.boxes.numpy(),
            scores=kept.scores.numpy(),
            labels=labels,
            names=tuple(self.labels[i] for i in labels),
            masks=Masks(size, tuple(found[i].mask for i in kept.queries.tolist())),
        )

    # --- fine-tuning ------------------------------------------------------------------------------

    def retarget(
        self, classes: Classes, *, image_size: int | None, seed: int
    ) -> TransformersSegmentationAdapter:
        """With the head of `classes`; all families but OneFormer, and EoMT's windows."""
        if self._model_type == "oneformer":
            raise _training.refuse("oneformer", "its loss needs texts that name each object")
        if self._windowed:
            raise _training.refuse(self._model_type, "it cuts images into windows")
        own = classes
        if self._alone:  # its one channel is that of the foreground
            own = replace(classes, kept=tuple(0 if i == 1 else None for i in classes.kept))
        module = _training.retargeted(self.module, own, seed)
        if self._alone and 1 in classes.kept:
            # a sigmoid is the softmax of its logit and of zero, which is the background's
            background = [place for place, i in enumerate(classes.kept) if i == 0]
            state = module.state_dict()
            for name, axis in _training.class_axes_of(module).items():
                state[name].movedim(axis, 0)[background] = 0
        about = {"task": self.task, "stuff": list(classes.stuff)}
        processor = _training.resized(self._processor, image_size)
        tuned = type(self)(module, processor, self.task, self.task, {"pvzoo": about})
        return _training.at_size(tuned, image_size)

    def batch(self, pictures: Sequence[Image.Image], targets: Sequence[Any]) -> dict[str, Any]:
        """Padded inputs and the family's labels: a map of classes, or a mask for each segment."""
        prepared = [self.preprocess(picture) for picture in pictures]
        batch = _training.stack([inputs for inputs, _ in prepared])
        padded = tuple(batch["pixel_values"].shape[-2:])
        frames = [(meta["valid"], padded) for _, meta in prepared]
        if self._record is None:
            maps = [
                _training.place_map(_void(target["map"]), *frame, _training.VOID)
                for target, frame in zip(targets, frames, strict=True)
            ]
            return {**batch, "labels": torch.stack(maps).long()}
        found = [_segments(target, *frame) for target, frame in zip(targets, frames, strict=True)]
        categories, masks = [c for c, _ in found], [m for _, m in found]
        if self._model_type in _UNIVERSAL:
            return {**batch, "class_labels": categories, "mask_labels": masks}
        labels = [
            {"class_labels": c, "masks": m, "boxes": _boxes_of(m, valid)}
            for c, m, (valid, _) in zip(categories, masks, frames, strict=True)
        ]
        return {**batch, "labels": labels}

    def loss(self, module: Any, batch: dict[str, Any]) -> torch.Tensor:
        """The family's own loss; nothing for a batch without a pixel or object to learn from."""
        with counted_over_processes():
            outputs = module(**batch)
        labels = batch.get("labels")
        if self._record is None and not (labels != _training.VOID).any():
            return outputs.logits.sum() * 0  # a mean over no pixel is not a number
        if outputs.loss.ndim:  # so RF-DETR's if no image of the batch has an object
            return sum(v for v in outputs.loss_dict.values() if v.ndim == 0)
        return outputs.loss

    @property
    def backbone(self) -> tuple[str, ...]:
        """The network that sees the pixels."""
        return _training.backbone_of(self.module)

    @cached_property
    def head(self) -> tuple[str, ...]:
        """The tensors that have an entry for each class."""
        return _training.head_of(self.module)

    def save(self, folder: Path) -> None:
        """As the `AutoModelFor...Segmentation` of the family reads it."""
        stuff = [self.labels[i] for i in sorted(self._stuff)]
        _training.save(self.module, self._processor, folder, {"task": self.task, "stuff": stuff})

    def snippet(self, name: str) -> str:
        """For model cards."""
        kind = type(self.module).__name__
        config = {"model_type": self._model_type, "architectures": [kind]}
        return _training.snippet(_auto_class(config).__name__, name)


def _void(values: torch.Tensor) -> torch.Tensor:
    return torch.where(values < 0, _training.VOID, values)


def _segments(target: Any, valid: Size, padded: Size) -> tuple[torch.Tensor, torch.Tensor]:
    """(n,) classes and (n, height, width) float32 masks of a target, in the network's frame.

    A semantic map gives a segment for each class that occurs, as Mask2Former's authors train it.
    Segments too small to be left after scaling are dropped.
    """
    if "masks" in target:
        masks = _training.place_map(target["masks"].to(torch.uint8), valid, padded, 0)
        categories = target["categories"]
    else:
        places = _training.place_map(target["map"], valid, padded, -1)
        found = places.unique()
        found = found[found >= 0].long()
        masks = places[None] == found[:, None, None]
        categories = target["categories"][found] if "categories" in target else found
    masks = masks.float()
    kept = masks.flatten(1).any(dim=1)
    return categories[kept], masks[kept]


def _boxes_of(masks: torch.Tensor, valid: Size) -> torch.Tensor:
    """(n, 4) float32: centre and size of the boxes round masks, as shares of the picture."""
    boxes = masks_to_boxes(masks) if len(masks) else torch.zeros(0, 4)
    left, top, right, bottom = boxes.unbind(-1)
    right, bottom = right + 1, bottom + 1  # torchvision gives the last pixel, not its edge
    found = torch.stack([(left + right) / 2, (top + bottom) / 2, right - left, bottom - top], -1)
    height, width = valid
    return found / torch.tensor([width, height, width, height])


def _auto_class(config: Mapping[str, Any]) -> Any:
    """The auto class that opens a config's architecture; None if it is no segmentation head."""
    model_type, saved = config.get("model_type", ""), config.get("architectures") or ()
    for names, auto_class in (
        (MODEL_FOR_UNIVERSAL_SEGMENTATION_MAPPING_NAMES, AutoModelForUniversalSegmentation),
        (MODEL_FOR_INSTANCE_SEGMENTATION_MAPPING_NAMES, AutoModelForInstanceSegmentation),
        (MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING_NAMES, AutoModelForSemanticSegmentation),
    ):
        if names.get(model_type) in saved:
            return auto_class
    return None


def _choose_task(
    name: str, config: Mapping[str, Any], task: str | None, able: tuple[str, ...]
) -> str:
    """The task to serve, of those a checkpoint is able to: asked for, stated, or the only one."""
    task = task or (config.get("pvzoo") or {}).get("task") or (able[0] if len(able) == 1 else None)
    if task is None:
        raise UnsupportedModelError(
            f"{name} can serve several tasks.",
            f"Say which: task={' or task='.join(map(repr, able))}.",
        )
    if task not in able:
        raise UnsupportedModelError(f"{name} cannot serve {task}.", f"It serves {', '.join(able)}.")
    return task


def _oneformer_processor(checkpoint: Checkpoint, images: Any) -> Any:
    """OneFormer's processor around an image processor that fetches no class list from the Hub."""
    from transformers import AutoTokenizer, OneFormerProcessor

    tokenizer = AutoTokenizer.from_pretrained(checkpoint.folder, local_files_only=True)
    config = checkpoint.config
    return OneFormerProcessor(
        images,
        tokenizer,
        max_seq_length=config.get("max_seq_len", 77),
        task_seq_length=config.get("task_seq_len", 77),
    )
