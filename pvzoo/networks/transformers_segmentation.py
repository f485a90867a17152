"""Networks of transformers for segmentation: universal, instance and semantic."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import (
    AutoModelForInstanceSegmentation,
    AutoModelForSemanticSegmentation,
    AutoModelForUniversalSegmentation,
)
from transformers.image_transforms import get_size_with_aspect_ratio

from pvzoo.adapters.base import Arrays, Checkpoint, Meta, Spec
from pvzoo.adapters.transformers_segmentation import (
    EOMT,
    PANOPTIC,
    SEMANTIC,
    TASKS,
    UNIVERSAL,
    choose_task,
    head_of,
)
from pvzoo.errors import PvzooWarning
from pvzoo.families.heads import INSTANCE as INSTANCE_HEAD
from pvzoo.families.heads import SEMANTIC as SEMANTIC_HEAD
from pvzoo.families.heads import UNIVERSAL as UNIVERSAL_HEAD
from pvzoo.families.heads import Kind
from pvzoo.families.masks import RECORDS
from pvzoo.families.stuff import stuff_of
from pvzoo.networks import _training
from pvzoo.networks._counts import counted_over_processes
from pvzoo.networks.base import Classes
from pvzoo.networks.from_transformers import (
    load_model,
    load_processor,
    named_classes,
    prepared,
)
from pvzoo.postprocess.frame import Size
from pvzoo.preprocess.derive import steps_of
from pvzoo.preprocess.steps import Constant, Pad, Step

BACKGROUND = "background"
"""What is not the one class of a network with one channel."""
_AUTO: dict[Kind, Any] = {
    UNIVERSAL_HEAD: AutoModelForUniversalSegmentation,
    INSTANCE_HEAD: AutoModelForInstanceSegmentation,
    SEMANTIC_HEAD: AutoModelForSemanticSegmentation,
}
_ONEFORMER_MULTIPLE = 32  # SHI-Labs/OneFormer pads inputs to this (SIZE_DIVISIBILITY)
_CROPPING = ("mobilenet_v2", "mobilevit", "mobilevitv2")
_MASKED = ("detr", "rf_detr")
"""Families that look at the mask of what is picture and what padding."""


class TransformersSegmentationNetwork(_training.TrainableNetwork):
    """Any segmentation network of transformers, for one of the tasks it can serve."""

    def __init__(
        self, module: torch.nn.Module, processor: Any, task: str, own_task: str, config: Any
    ) -> None:
        super().__init__(module, processor)
        family = module.config.model_type
        labels = named_classes(module.config)
        # One channel alone is a sigmoid: transformers' own loss (SegFormer's) makes it the
        # probability that a pixel has the label 1, and not 0.
        self._alone = family not in RECORDS and len(labels) == 1
        if self._alone:
            named = labels[0] if labels[0].casefold() != BACKGROUND else ""
            labels = (BACKGROUND, named or "foreground")
        self._images = getattr(processor, "image_processor", processor)
        stuff = stuff_of(config, labels, getattr(self._images, "metadata", None))
        if task == PANOPTIC and stuff is None:
            warnings.warn(
                "Nothing says which classes of this model are stuff; all count as things, so their "
                "segments are not fused. A 'stuff' list in its card or config would say it.",
                PvzooWarning,
                stacklevel=5,
            )
        self._windowed = bool(getattr(self._images, "do_split_image", False))
        self.spec = Spec(
            "transformers-segmentation",
            task,
            labels,
            family=family,
            extra={
                "own_task": own_task,
                "stuff": sorted(stuff.ids) if stuff else [],
                "label_set": stuff.label_set if stuff else None,
            },
        )

    @classmethod
    def load(
        cls, checkpoint: Checkpoint, *, task: str | None, dtype: Any, trust_remote_code: bool
    ) -> TransformersSegmentationNetwork:
        """Load strictly, for `task` or the one the config states."""
        config = checkpoint.config
        auto_class, model_type = _AUTO[head_of(config)], config["model_type"]
        kwargs = {"class_info_file": None} if model_type == "oneformer" else {}
        processor = load_processor(checkpoint, trust_remote_code, **kwargs)
        able = TASKS.get(model_type, (SEMANTIC,))
        if getattr(processor, "do_split_image", False):
            able = (SEMANTIC,)  # EoMT cuts images into windows for this task alone
        task = choose_task(checkpoint.name, config, task, able)
        own_task = (config.get("pvzoo") or {}).get("task")
        module = load_model(auto_class, checkpoint, dtype, trust_remote_code)
        if model_type in EOMT:
            # Probabilities of masked attention during training; finished checkpoints hold zeros,
            # and with anything between 0 and 1 the network draws lots at every call.
            module.attn_mask_probs.zero_()
        if model_type == "oneformer":
            processor = _oneformer_processor(checkpoint, processor)
        return cls(module, processor, task, own_task or task, config)

    # --- the network's input ----------------------------------------------------------------------

    def prepare(self, image: Image.Image, **prompts: Any) -> tuple[Arrays, Meta]:
        """The checkpoint's own processor: ``pixel_values`` (n, 3, h, w), n > 1 for windows.

        ``meta`` says where the image lies in the input.
        """
        size = image.size[::-1]
        if self.spec.family == "oneformer":
            return self._prepare_oneformer(image)
        found = prepared(self._images, image, **self._options())
        pixels = np.asarray(found["pixel_values"])
        padded = pixels.shape[-2:]
        meta = {"size": size, "padded": padded, "valid": padded}
        inputs = {"pixel_values": pixels}
        if self.spec.family in EOMT:
            target = self._images.size
            meta["valid"] = get_size_with_aspect_ratio(
                size, target["shortest_edge"], target.get("longest_edge")
            )
            if self._windowed:
                meta["windows"] = [tuple(map(int, o[1:])) for o in found["patch_offsets"]]
        if "pixel_mask" in found:
            mask = np.asarray(found["pixel_mask"])[0]
            meta["valid"] = (int(mask.any(axis=1).sum()), int(mask.any(axis=0).sum()))
            if self.spec.family in _MASKED:
                inputs["pixel_mask"] = mask[None]
        return inputs, meta

    def _prepare_oneformer(self, image: Image.Image) -> tuple[Arrays, Meta]:
        """With the task as words, and padded as its authors do; the processor leaves that out."""
        word = self.spec.task.partition("-")[0]
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

    def _options(self) -> dict[str, Any]:
        """What the processor is told, in the place of its own attributes."""
        if self.spec.family in _CROPPING and getattr(self._images, "do_center_crop", False):
            # A centre crop would leave the rest of the picture without an answer.
            crop = self._images.crop_size
            size = {"height": crop["height"], "width": crop["width"]}
            return {"do_center_crop": False, "size": size}
        if self.spec.family == "dpt":
            return {"keep_aspect_ratio": False}  # the network takes square inputs only
        return {}

    def steps(self) -> tuple[Step, ...]:
        """Those of the processor, and for OneFormer its authors' padding and the task as words."""
        steps = steps_of(self._images, **self._options())
        if self.spec.family == "oneformer":
            tokens = self._prepare_oneformer(Image.new("RGB", (32, 32)))[0]["task_inputs"]
            words = Constant("task_inputs", tokens[0].tolist(), str(tokens.dtype))
            return (*steps, Pad(multiple=_ONEFORMER_MULTIPLE), words)
        if self.spec.family not in _MASKED:
            steps = tuple(replace(s, mask=None) if isinstance(s, Pad) else s for s in steps)
        return steps

    # --- forward ----------------------------------------------------------------------------------

    def forward(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """``logits`` (n, classes, h, w), or ``classes``, ``masks`` (and ``boxes``) of queries."""
        outputs = self.module(**inputs)
        if self.spec.family not in RECORDS:
            return {"logits": outputs.logits.float()}
        if self.spec.family in UNIVERSAL:
            classes, masks = outputs.class_queries_logits, outputs.masks_queries_logits
            return {"classes": classes.float(), "masks": masks.float()}
        masks = outputs.pred_masks  # DETR's keep an axis of length 1
        masks = masks.reshape(*outputs.logits.shape[:2], *masks.shape[-2:])
        return {
            "classes": outputs.logits.float(),
            "masks": masks.float(),
            "boxes": outputs.pred_boxes.float(),
        }

    # --- fine-tuning ------------------------------------------------------------------------------

    def retarget(
        self, classes: Classes, *, image_size: int | None, seed: int
    ) -> TransformersSegmentationNetwork:
        """With the head of `classes`; all families but OneFormer, and EoMT's windows."""
        if self.spec.family == "oneformer":
            raise _training.refuse("oneformer", "its loss needs texts that name each object")
        if self._windowed:
            raise _training.refuse(self.spec.family, "it cuts images into windows")
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
        about = {"task": self.spec.task, "stuff": list(classes.stuff)}
        processor = _training.resized(self._processor, image_size)
        tuned = type(self)(module, processor, self.spec.task, self.spec.task, {"pvzoo": about})
        return _training.at_size(tuned, image_size)

    def batch(self, pictures: Sequence[Image.Image], targets: Sequence[Any]) -> dict[str, Any]:
        """Padded inputs and the family's labels: a map of classes, or a mask for each segment."""
        prepared = [self.prepare(picture) for picture in pictures]
        batch = _training.stack([inputs for inputs, _ in prepared])
        padded = tuple(batch["pixel_values"].shape[-2:])
        frames = [(meta["valid"], padded) for _, meta in prepared]
        if self.spec.family not in RECORDS:
            maps = [
                _training.place_map(_void(target["map"]), *frame, _training.VOID)
                for target, frame in zip(targets, frames, strict=True)
            ]
            return {**batch, "labels": torch.stack(maps).long()}
        found = [_segments(target, *frame) for target, frame in zip(targets, frames, strict=True)]
        categories, masks = [c for c, _ in found], [m for _, m in found]
        if self.spec.family in UNIVERSAL:
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
        if self.spec.family not in RECORDS and not (labels != _training.VOID).any():
            return outputs.logits.sum() * 0  # a mean over no pixel is not a number
        if outputs.loss.ndim:  # so RF-DETR's if no image of the batch has an object
            return sum(v for v in outputs.loss_dict.values() if v.ndim == 0)
        return outputs.loss

    @property
    def saved(self) -> dict[str, Any]:
        """The task, and the names of the classes that are stuff."""
        stuff = [self.spec.labels[i] for i in self.spec.extra["stuff"]]
        return {**super().saved, "stuff": stuff}

    def snippet(self, name: str) -> str:
        """By the `AutoModelFor...Segmentation` of the family."""
        kind = type(self.module).__name__
        config = {"model_type": self.spec.family, "architectures": [kind]}
        return _training.snippet(_AUTO[head_of(config)], name)


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
    from torchvision.ops import masks_to_boxes  # slow to import, and for training alone

    boxes = masks_to_boxes(masks) if len(masks) else torch.zeros(0, 4)
    boxes[:, 2:] += 1  # torchvision gives the last pixel, not its edge
    return _training.relative_boxes(boxes, valid)


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
