"""Networks of transformers for segmentation: universal, instance and semantic."""

from __future__ import annotations

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
    PreTrainedModel,
)
from transformers.image_transforms import get_size_with_aspect_ratio

from pvzoo.adapters.base import Arrays, Checkpoint, Meta, Spec
from pvzoo.adapters.transformers_segmentation import (
    INSTANCE,
    PANOPTIC,
    SEMANTIC,
    choose_task,
    head_of,
    tasks_of,
)
from pvzoo.errors import PvzooWarning
from pvzoo.families import family_of
from pvzoo.families.base import INSTANCE as INSTANCE_HEAD
from pvzoo.families.base import SEMANTIC as SEMANTIC_HEAD
from pvzoo.families.base import UNIVERSAL as UNIVERSAL_HEAD
from pvzoo.families.base import Kind
from pvzoo.families.stuff_classes import stuff_of
from pvzoo.networks import _training
from pvzoo.networks._counts import counted_over_processes
from pvzoo.networks.base import TargetClasses
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
"""The name of the pixels outside the single class of a network with one channel."""
_AUTO: dict[Kind | None, Any] = {  # the adapter refuses a None: no segmentation head
    UNIVERSAL_HEAD: AutoModelForUniversalSegmentation,
    INSTANCE_HEAD: AutoModelForInstanceSegmentation,
    SEMANTIC_HEAD: AutoModelForSemanticSegmentation,
}


class TransformersSegmentationNetwork(_training.TrainableNetwork):
    """Any segmentation network of transformers, for one of the tasks it can serve."""

    def __init__(
        self, module: PreTrainedModel, processor: Any, task: str, own_task: str, config: Any
    ) -> None:
        super().__init__(module, processor)
        labels = named_classes(module.config)
        # A single channel is a sigmoid: in transformers' own loss (SegFormer's) it is the
        # probability that a pixel has the label 1, not 0.
        self._alone = self.family.masks is None and len(labels) == 1
        if self._alone:
            named = labels[0] if labels[0].casefold() != BACKGROUND else ""
            labels = (BACKGROUND, named or "foreground")
        self._images = getattr(processor, "image_processor", processor)
        stuff = stuff_of(config, labels, getattr(self._images, "metadata", None))
        if task == PANOPTIC and stuff is None:
            warnings.warn(
                "Nothing says which classes of this model are stuff. All classes count as things, "
                "so their segments are not merged. Add a 'stuff' list to its card or config.",
                PvzooWarning,
                stacklevel=5,
            )
        self._windowed = bool(getattr(self._images, "do_split_image", False))
        self.spec = Spec(
            "transformers-segmentation",
            task,
            labels,
            family=module.config.model_type,
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
        """Load the checkpoint, for `task` or the task in its config; all weights must fit."""
        config = checkpoint.config
        family = family_of(config["model_type"])
        kwargs = {"class_info_file": None} if family.words else {}
        processor = load_processor(checkpoint, trust_remote_code, **kwargs)
        windows = getattr(processor, "do_split_image", False)
        able = (SEMANTIC,) if windows else tasks_of(family)
        task = choose_task(checkpoint.name, config, task, able)
        own_task = (config.get("pvzoo") or {}).get("task")
        module = load_model(_AUTO[head_of(config)], checkpoint, dtype, trust_remote_code)
        for name in family.zeroed:
            module.get_buffer(name).zero_()
        if family.words:
            processor = _with_words(checkpoint, processor)
        return cls(module, processor, task, own_task or task, config)

    # --- the network's input ----------------------------------------------------------------------

    def prepare(self, image: Image.Image, **prompts: Any) -> tuple[Arrays, Meta]:
        """The processor's output: ``pixel_values`` (n, 3, h, w), with n > 1 for windows.

        ``meta`` has the place of the image in the input.
        """
        size, options = image.size[::-1], self._options()
        if self.family.words:
            options["task_inputs"] = [self.spec.task.partition("-")[0]]
        found = prepared(self._processor, image, **options)
        pixels = np.asarray(found["pixel_values"])
        meta: Meta = {"size": size, "padded": pixels.shape[-2:], "valid": pixels.shape[-2:]}
        inputs = {"pixel_values": pixels}
        if self.family.windows:
            target = self._images.size
            meta["valid"] = get_size_with_aspect_ratio(
                size, target["shortest_edge"], target.get("longest_edge")
            )
            if self._windowed:
                meta["windows"] = [tuple(map(int, o[1:])) for o in found["patch_offsets"]]
        if "pixel_mask" in found:
            mask = np.asarray(found["pixel_mask"])[0]
            meta["valid"] = (int(mask.any(axis=1).sum()), int(mask.any(axis=0).sum()))
            if self._masked:
                inputs["pixel_mask"] = mask[None]
        if self.family.words:
            inputs["task_inputs"] = np.asarray(found["task_inputs"])
        if self.family.multiple > 1:  # the authors pad, the processor does not
            margins = [(0, -side % self.family.multiple) for side in pixels.shape[-2:]]
            inputs["pixel_values"] = np.pad(pixels, [(0, 0), (0, 0), *margins])
            meta["padded"] = inputs["pixel_values"].shape[-2:]
        return inputs, meta

    @property
    def _masked(self) -> bool:
        """Whether the network gets the mask that separates the image from padding."""
        return self.family.masks is not None and not self.family.ignores_mask

    def _options(self) -> dict[str, Any]:
        """Options of the processor, which replace its own attributes."""
        options = dict(self.family.options)
        if self.family.whole and getattr(self._images, "do_center_crop", False):
            # With a centre crop, the rest of the image would have no result.
            crop = self._images.crop_size
            size = {"height": crop["height"], "width": crop["width"]}
            options |= {"do_center_crop": False, "size": size}
        return options

    def steps(self) -> tuple[Step, ...]:
        """The steps of the processor, the authors' padding, and the task in words."""
        steps = steps_of(self._images, **self._options())
        if not self._masked:
            steps = tuple(replace(s, mask=None) if isinstance(s, Pad) else s for s in steps)
        if self.family.multiple > 1:
            steps = (*steps, Pad(multiple=self.family.multiple))
        if self.family.words:
            tokens = self.prepare(Image.new("RGB", (32, 32)))[0]["task_inputs"]
            steps = (*steps, Constant("task_inputs", tokens[0].tolist(), str(tokens.dtype)))
        return steps

    # --- forward ----------------------------------------------------------------------------------

    def forward(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """``logits`` (n, classes, h, w); or, of queries, ``classes``, ``masks`` (and ``boxes``)."""
        outputs = self.module(**inputs)
        if self.family.masks is None:
            return {"logits": outputs.logits.float()}
        if not self.family.masks.predicted_boxes:
            classes, masks = outputs.class_queries_logits, outputs.masks_queries_logits
            return {"classes": classes.float(), "masks": masks.float()}
        masks = outputs.pred_masks  # those of DETR have an axis of length 1
        masks = masks.reshape(*outputs.logits.shape[:2], *masks.shape[-2:])
        return {
            "classes": outputs.logits.float(),
            "masks": masks.float(),
            "boxes": outputs.pred_boxes.float(),
        }

    # --- fine-tuning ------------------------------------------------------------------------------

    def retarget(
        self, classes: TargetClasses, *, image_size: int | None, seed: int
    ) -> TransformersSegmentationNetwork:
        """A new network with a head for `classes`; refuses one that cuts images into windows."""
        if self._windowed:
            raise _training.refuse(self.module.config.model_type, "it cuts images into windows")
        own = classes
        if self._alone:  # its single channel is the foreground
            own = replace(classes, kept=tuple(0 if i == 1 else None for i in classes.kept))
        module = _training.retargeted(self.module, own, seed)
        if self._alone and 1 in classes.kept:
            # sigmoid(x) is the softmax of (x, 0): the logit of the background is 0
            background = [index for index, i in enumerate(classes.kept) if i == 0]
            state = module.state_dict()
            for name, found in _training.class_axes_of(module).items():
                state[name].movedim(found.axis, 0)[background] = 0
        about = {"task": self.spec.task, "stuff": list(classes.stuff)}
        processor = _training.resized(self._processor, image_size)
        tuned = type(self)(module, processor, self.spec.task, self.spec.task, {"pvzoo": about})
        return _training.at_size(tuned, image_size)

    def batch(self, images: Sequence[Image.Image], targets: Sequence[Any]) -> dict[str, Any]:
        """Padded inputs and the family's labels: a map of classes, or a mask for each segment."""
        prepared = [self.prepare(image) for image in images]
        batch = _training.stack([inputs for inputs, _ in prepared])
        height, width = batch["pixel_values"].shape[-2:]
        frames = [(meta["valid"], (height, width)) for _, meta in prepared]
        if self.family.masks is None:
            maps = [
                _training.place_map(_void(target["map"]), *frame, _training.VOID)
                for target, frame in zip(targets, frames, strict=True)
            ]
            return {**batch, "labels": torch.stack(maps).long()}
        found = [_segments(target, *frame) for target, frame in zip(targets, frames, strict=True)]
        categories, masks = [c for c, _ in found], [m for _, m in found]
        if not self.family.masks.predicted_boxes:
            return {**batch, "class_labels": categories, "mask_labels": masks}
        labels = [
            {"class_labels": c, "masks": m, "boxes": _boxes_of(m, valid)}
            for c, m, (valid, _) in zip(categories, masks, frames, strict=True)
        ]
        return {**batch, "labels": labels}

    def targets_of(self, batch: dict[str, Any]) -> list[dict[str, Any]]:
        """For each image, ``map`` or the segments, as the task has them."""
        if self.family.masks is None:
            maps = batch["labels"].int()
            return [{"map": torch.where(own == _training.VOID, -1, own)} for own in maps]
        if "labels" in batch:
            found = [(own["class_labels"], own["masks"]) for own in batch["labels"]]
        else:
            found = list(zip(batch["class_labels"], batch["mask_labels"], strict=True))
        return [_target_of(self.spec.task, classes, masks.bool()) for classes, masks in found]

    def loss(self, module: Any, batch: dict[str, Any]) -> torch.Tensor:
        """The family's own loss; 0 for a batch without labelled pixels."""
        with counted_over_processes():
            outputs = module(**batch)
        loss: torch.Tensor = outputs.loss
        if self.family.masks is None and not (batch["labels"] != _training.VOID).any():
            loss = outputs.logits.sum() * 0  # a mean over no pixel is not a number
        elif loss.ndim:  # of RF-DETR, if no image of the batch has an object
            loss = sum(v for v in outputs.loss_dict.values() if v.ndim == 0)
        return loss

    @property
    def saved(self) -> dict[str, Any]:
        """The task, and the names of the classes that are stuff."""
        stuff = [self.spec.labels[i] for i in self.spec.extra["stuff"]]
        return {**super().saved, "stuff": stuff}

    def snippet(self, name: str) -> str:
        """Python code with the `AutoModelFor...Segmentation` of the family."""
        kind = type(self.module).__name__
        config = {"model_type": self.spec.family, "architectures": [kind]}
        return _training.snippet(_AUTO[head_of(config)], name)


def _void(values: torch.Tensor) -> torch.Tensor:
    return torch.where(values < 0, _training.VOID, values)


def _segments(target: Any, valid: Size, padded: Size) -> tuple[torch.Tensor, torch.Tensor]:
    """(n,) classes and (n, height, width) float32 masks of a target, in the network's frame.

    A semantic map gives a segment for each class in it, as in the training of Mask2Former's
    authors. Segments that are too small and disappear in scaling are dropped.
    """
    if "masks" in target:
        masks = _training.place_map(target["masks"].to(torch.uint8), valid, padded, 0)
        categories = target["categories"]
    else:
        indices = _training.place_map(target["map"], valid, padded, -1)
        found = indices.unique()
        found = found[found >= 0].long()
        masks = indices[None] == found[:, None, None]
        categories = target["categories"][found] if "categories" in target else found
    masks = masks.float()
    kept = masks.flatten(1).any(dim=1)
    return categories[kept], masks[kept]


def _target_of(task: str, categories: torch.Tensor, masks: torch.Tensor) -> dict[str, Any]:
    """The inverse of `_segments`: (n,) classes and (n, height, width) masks -> a target."""
    if task == INSTANCE:
        return {"boxes": _corners(masks), "masks": masks, "categories": categories}
    values = categories if task == SEMANTIC else torch.arange(len(masks))
    indices = torch.full(masks.shape[1:], -1, dtype=torch.int32)
    for value, mask in zip(values, masks, strict=True):
        indices[mask] = int(value)
    return {"map": indices, "categories": categories}


def _corners(masks: torch.Tensor) -> torch.Tensor:
    """(n, 4) float32: left, top, right, bottom of the boxes around masks."""
    from torchvision.ops import masks_to_boxes  # slow to import, and only training needs it

    boxes: torch.Tensor = masks_to_boxes(masks) if len(masks) else torch.zeros(0, 4)
    boxes[:, 2:] += 1  # torchvision gives the index of the last pixel, not its edge
    return boxes


def _boxes_of(masks: torch.Tensor, valid: Size) -> torch.Tensor:
    """(n, 4) float32: centre and size of the boxes around masks, as shares of the image."""
    return _training.relative_boxes(_corners(masks), valid)


def _with_words(checkpoint: Checkpoint, images: Any) -> Any:
    """OneFormer's processor, with an image processor that does not use the Hub."""
    from transformers import AutoTokenizer, OneFormerProcessor

    tokenizer = AutoTokenizer.from_pretrained(checkpoint.folder, local_files_only=True)
    config = checkpoint.config
    return OneFormerProcessor(
        images,
        tokenizer,
        max_seq_length=config.get("max_seq_len", 77),
        task_seq_length=config.get("task_seq_len", 77),
    )
