"""Segmentation models of transformers: universal (Mask2Former's family), instance and semantic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from PIL import Image

from pvzoo.adapters.base import Adapter, Arrays, Meta
from pvzoo.errors import UnsupportedModelError
from pvzoo.families import FAMILIES, Family, MaskRecord, family_of
from pvzoo.families.base import INSTANCE as INSTANCE_HEAD
from pvzoo.families.base import SEMANTIC as SEMANTIC_HEAD
from pvzoo.families.base import UNIVERSAL as UNIVERSAL_HEAD
from pvzoo.families.base import Kind
from pvzoo.families.heads import has_head
from pvzoo.postprocess import semantic
from pvzoo.postprocess.frame import Frame
from pvzoo.postprocess.instances import instances
from pvzoo.postprocess.panoptic import panoptic
from pvzoo.preprocess.long_images import check_side
from pvzoo.results.base import Result
from pvzoo.results.instances import Instances
from pvzoo.results.masks import Masks, encode
from pvzoo.results.panoptic import Panoptic, PanopticSegment
from pvzoo.results.semantic import SemanticMap

SEMANTIC, INSTANCE, PANOPTIC = (
    "semantic-segmentation",
    "instance-segmentation",
    "panoptic-segmentation",
)


class TransformersSegmentationAdapter(Adapter):
    """Any transformers segmentation model for images, for one of the tasks it can serve.

    Outputs are ``logits`` (n, classes, h, w) for pixels; or, for queries, ``classes`` (n, queries,
    classes), ``masks`` (n, queries, h, w) and perhaps ``boxes`` (n, queries, 4), relative.

    The spec's ``extra`` has ``own_task``, the task that the checkpoint was made for; ``stuff``, the
    ids of classes that are stuff; and ``label_set``, the name of the published set of the labels.
    """

    tasks = (SEMANTIC, INSTANCE, PANOPTIC)
    network = "pvzoo.networks.transformers_segmentation:TransformersSegmentationNetwork"
    families = FAMILIES
    on_device = ("logits", "masks")

    @classmethod
    def matches(cls, config: Mapping[str, Any]) -> bool:
        """Whether the config names a segmentation head of its model type."""
        return head_of(config) is not None

    @classmethod
    def check(cls, name: str, config: Mapping[str, Any], task: str | None) -> None:
        """Refuse other models, and a model of several tasks if the user names none of them."""
        head, model_type = head_of(config), config.get("model_type", "")
        family = family_of(model_type)
        if head is None or (head != SEMANTIC_HEAD and family.masks is None):
            known = ", ".join(name for name, record in FAMILIES.items() if record.masks)
            raise UnsupportedModelError(
                f"{name} ({model_type or 'no model type'}) "
                f"{family.refused or 'is not a segmentation model that pvzoo can run'}.",
                f"pvzoo can run: {known} and the semantic models of transformers.",
            )
        if task or not family.windows:  # else the processor decides, which is not here yet
            choose_task(name, config, task, tasks_of(family))

    @property
    def _names(self) -> tuple[str, ...]:
        """Class names for maps: every pixel has a class, so a class without a name gets one."""
        return tuple(name or f"class {i}" for i, name in enumerate(self.labels))

    @property
    def _record(self) -> MaskRecord:
        """The record of a network whose queries make masks: instances and panoptic maps need it."""
        return cast(MaskRecord, self.family.masks)

    @property
    def _stuff(self) -> frozenset[int]:
        return frozenset(self.spec.extra["stuff"])

    def preprocess(self, image: Image.Image, **prompts: Any) -> tuple[Arrays, Meta]:
        """As `Adapter.preprocess`; refuses images that are too large for a map."""
        check_side(image)
        return super().preprocess(image, **prompts)

    def postprocess(self, outputs: dict[str, Any], meta: Meta, **controls: Any) -> Result:
        """The result of the task for one image."""
        if self.task == SEMANTIC:
            return self._semantic(outputs, meta, **controls)
        if self.task == PANOPTIC:
            return self._panoptic(outputs, meta, **controls)
        return self._instances(outputs, meta, **controls)

    def dense_scores(self, outputs: dict[str, Any], meta: Meta) -> np.ndarray:
        """The scores of all classes; sums of probabilities, or logits for networks of pixels."""
        arrays = {name: _array(value) for name, value in outputs.items()}
        record = self.family.masks
        if record is None:
            logits = arrays["logits"][0]
            frame = self._frame(logits, meta)
            return semantic.scores_from_pixels(logits, frame, self.family.pixels)
        classes, masks = arrays["classes"], arrays["masks"]
        if "windows" in meta:
            return semantic.scores_from_windows(
                classes, masks, meta["windows"], meta["padded"], meta["valid"], meta["size"]
            )
        return semantic.scores_from_queries(
            classes[0], masks[0], self._frame(masks[0], meta), masks_first=self._masks_first(record)
        )

    def _masks_first(self, record: MaskRecord) -> bool:
        """Authors scale masks before they sum classes, but not in checkpoints for maps alone."""
        return self.spec.extra["own_task"] != SEMANTIC or record.masks_first

    def _frame(self, masks: Any, meta: Meta) -> Frame:
        if self.family.masks is not None and self.family.masks.straight:
            height, width = masks.shape[-2:]
            return Frame((height, width), (height, width), meta["size"])
        return Frame(meta["padded"], meta["valid"], meta["size"])

    def _semantic(self, outputs: dict[str, Any], meta: Meta, scores: bool) -> SemanticMap:
        record = self.family.masks
        if record is None:
            logits = outputs["logits"][0]
            frame = self._frame(logits, meta)
            found = semantic.from_pixels(logits, frame, self.family.pixels, with_scores=scores)
        elif "windows" in meta:
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
            found = semantic.from_queries(
                classes,
                masks,
                self._frame(masks, meta),
                masks_first=self._masks_first(record),
                with_scores=scores,
            )
        labels, best_scores = found
        return SemanticMap.of(labels, self._names, best_scores)

    def _panoptic(
        self, outputs: dict[str, Any], meta: Meta, threshold: float | None, overlap: float | None
    ) -> Panoptic:
        masks, record = outputs["masks"][0], self._record
        least = record.scores.get(self.spec.extra["label_set"], record.score)
        stuff, names = self._stuff, self._names
        ids, segments = panoptic(
            record,
            outputs["classes"][0],
            masks,
            self._frame(masks, meta),
            stuff=stuff,
            threshold=least if threshold is None else threshold,
            overlap=record.overlap if overlap is None else overlap,
        )
        return Panoptic(
            size=meta["size"],
            map=ids,
            segments=tuple(
                PanopticSegment(
                    id=s.number,
                    label=s.label,
                    name=names[s.label],
                    is_thing=s.label not in stuff,
                    score=s.score,
                    area=s.area,
                )
                for s in segments
            ),
        )

    def _instances(self, outputs: dict[str, Any], meta: Meta, **controls: Any) -> Instances:
        size, stuff = meta["size"], self._stuff
        things = {i for i, name in enumerate(self.labels) if name and i not in stuff}
        wanted = controls.pop("classes")
        masks = outputs["masks"][0]
        found = instances(
            self._record,
            outputs["classes"][0],
            masks,
            self._frame(masks, meta),
            pack=lambda top, left, mask: encode(mask, top, left, size),
            boxes=outputs["boxes"][0] if "boxes" in outputs else None,
            classes=things if wanted is None else things & set(wanted),
            **controls,
        )
        labels = np.array([i.label for i in found], dtype=np.int64)
        return Instances(
            size=size,
            boxes=np.array([i.box for i in found], dtype=np.float32).reshape(-1, 4),
            scores=np.array([i.score for i in found], dtype=np.float32),
            labels=labels,
            names=tuple(self.labels[i] for i in labels),
            masks=Masks(size, tuple(i.mask for i in found)),
        )


def _array(value: Any) -> np.ndarray:
    """An output as an array, also if it is a tensor on an accelerator."""
    if isinstance(value, np.ndarray):
        return value
    array: np.ndarray = value.float().cpu().numpy()
    return array


def head_of(config: Mapping[str, Any]) -> Kind | None:
    """The kind of a config's head; None if it is not a segmentation head."""
    kinds = (UNIVERSAL_HEAD, INSTANCE_HEAD, SEMANTIC_HEAD)
    return next((kind for kind in kinds if has_head(kind, config)), None)


def tasks_of(family: Family) -> tuple[str, ...]:
    """The tasks that a segmentation head of a family can serve."""
    return family.masks.tasks if family.masks else (SEMANTIC,)


def choose_task(
    name: str, config: Mapping[str, Any], task: str | None, able: tuple[str, ...]
) -> str:
    """The task to serve: the one that the user or the config names, or the only one.

    Args:
        name: The name of the model; for messages.
        config: The parsed ``config.json``.
        task: The task that the user asked for, if any.
        able: The tasks that the checkpoint can serve.

    Raises:
        UnsupportedModelError: The checkpoint cannot serve the task, or it can serve several and
            none is named.
    """
    task = task or (config.get("pvzoo") or {}).get("task") or (able[0] if len(able) == 1 else None)
    if task is None:
        raise UnsupportedModelError(
            f"{name} can serve several tasks.",
            f"Name one: task={' or task='.join(map(repr, able))}.",
        )
    if task not in able:
        raise UnsupportedModelError(f"{name} cannot serve {task}.", f"It serves {', '.join(able)}.")
    return task
