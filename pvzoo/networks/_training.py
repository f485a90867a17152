"""Fine-tune networks of transformers: the code that does not depend on the task."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from copy import deepcopy
from functools import cached_property
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
import torch
from PIL import Image
from torchvision.ops import box_convert
from torchvision.transforms.v2 import functional
from torchvision.transforms.v2.functional import InterpolationMode
from transformers import PreTrainedModel

from pvzoo.errors import UnsupportedModelError
from pvzoo.families import Family, family_of
from pvzoo.networks._heads import ClassAxis, Make, class_axes, with_classes
from pvzoo.networks.base import Network, TargetClasses
from pvzoo.networks.from_transformers import TransformersNetwork, quiet

N = TypeVar("N", bound=Network)

PRIOR = 0.01
"""First probability of every new class, as for the focal loss (RetinaNet, section 4.1)."""
VOID = 255
"""The value that transformers' losses of semantic maps ignore."""


class TrainableNetwork(TransformersNetwork):
    """A network of transformers that can be fine-tuned and saved."""

    @property
    def family(self) -> Family:
        """The record of its family."""
        return family_of(self.module.config.model_type)

    def at_size(self, image_size: int) -> Self:
        """The same network, with a processor that scales images to a square."""
        sized = type(self)(self.module, resized(self._processor, image_size))
        return at_size(sized, image_size)

    @property
    def patches(self) -> tuple[str, ...]:
        """The patches of its family."""
        return self.family.patches

    @property
    def unexported(self) -> str:
        """The reason in the record of its family; "" if there is none."""
        return self.family.unexported

    @property
    def backbone(self) -> tuple[str, ...]:
        """The prefixes of the backbone's parameters, found by the usual names of backbones.

        Raises:
            UnsupportedModelError: The network has no parameter with such a name.
        """
        names = [name for name, _ in self.module.named_parameters()]
        for part in _BACKBONES:
            for name in names:
                if f".{part}." in f".{name}":
                    return (name[: f".{name}".index(f".{part}.") + len(part) + 1],)
        prefixes = self.family.backbone or (f"{self.module.base_model_prefix}.",)
        if any(name.startswith(prefixes) for name in names):
            return prefixes
        raise UnsupportedModelError(
            f"pvzoo does not know which part of a {type(self.module).__name__} is the backbone."
        )

    @cached_property
    def head(self) -> tuple[str, ...]:
        """The tensors that have an entry for each class."""
        return tuple(class_axes_of(self.module))

    @property
    def saved(self) -> dict[str, Any]:
        """The content of the key ``pvzoo`` in config.json."""
        return {"task": self.spec.task}

    def save(self, folder: Path) -> None:
        """Write files that `from_pretrained` of its `auto_class` reads."""
        with quiet():
            self.module.save_pretrained(folder, max_shard_size="1000GB")
        self._processor.save_pretrained(folder)
        file = folder / "config.json"
        config = json.loads(file.read_text(encoding="utf-8"))
        file.write_text(json.dumps({**config, "pvzoo": self.saved}, indent=2), encoding="utf-8")

    def snippet(self, name: str) -> str:
        """Python code that opens the files of `save` with transformers."""
        return snippet(self.auto_class, name)


def maker(module: PreTrainedModel, names: Sequence[str]) -> Make[PreTrainedModel]:
    """A function that makes networks like `module`, with these class names; see `with_classes`."""

    def make(count: int) -> PreTrainedModel:
        config = deepcopy(module.config)
        numbered = {i: names[i] if i < len(names) else str(i) for i in range(count)}
        config.id2label = numbered
        config.label2id = {name: i for i, name in numbered.items()}
        return type(module)(config)

    return make


def retargeted(module: PreTrainedModel, classes: TargetClasses, seed: int) -> PreTrainedModel:
    """The network with other classes; see `Network.retarget`.

    If the scores of a detector are sigmoids, its new classes start at a probability of `PRIOR`. In
    transformers, the first probability depends on the family. For most it is 1 / (classes + 1) or
    1/2, which makes the loss of the first steps many times as large.

    Raises:
        UnsupportedModelError: Its family cannot be fine-tuned.
    """
    config: Any = module.config  # its attributes depend on the family
    family = family_of(config.model_type)
    if family.untrained:
        raise refuse(config.model_type, family.untrained)
    record = family.boxes
    fresh = with_classes(
        maker(module, classes.names),
        module,
        config.num_labels,
        classes.kept,
        seed,
        math.log(PRIOR / (1 - PRIOR)) if record and not record.softmax else None,
    )
    networks: tuple[Any, Any] = (module, fresh)  # their attributes depend on the family too
    if family.auxiliary_loss:
        networks[1].config.auxiliary_loss = True
    if family.ranking_class and config.two_stage:
        # no loss of transformers would train new weights here
        old, new = (m.model.decoder.class_embed[-1].state_dict() for m in networks)
        for name, value in new.items():
            value[0] = old[name][0]
    return fresh


def resized(processor: Any, image_size: int | None) -> Any:
    """A copy of an image processor that scales to a square, if `image_size` is not None.

    Some processors always keep the proportions of the image: those of ConvNeXt cut out a square,
    those of EoMT pad the image to a square.

    ``do_reduce_labels`` is off in the copy, since the new classes have no void class.

    Raises:
        UnsupportedModelError: The processor cannot change the size of images.
    """
    processor = deepcopy(processor)
    images = getattr(processor, "image_processor", processor)
    if getattr(images, "do_reduce_labels", False):
        images.do_reduce_labels = False
    if image_size is None:
        return processor
    if not getattr(images, "size", None):
        raise UnsupportedModelError(
            f"A {type(images).__name__} cannot change the image size.", "Leave image_size out."
        )
    edges = {edge for edge, pixels in dict(images.size).items() if pixels is not None}
    cropping = getattr(images, "do_center_crop", False)
    if hasattr(images, "do_split_image") or (edges == {"shortest_edge"} and not cropping):
        images.size = dict.fromkeys(edges, image_size)
    else:
        images.size = {"height": image_size, "width": image_size}
    if getattr(images, "crop_size", None):
        images.crop_size = {"height": image_size, "width": image_size}
    return processor


def at_size(network: N, image_size: int | None) -> N:
    """The same network; if `image_size` is not None, after a test with a blank image of that size.

    Raises:
        UnsupportedModelError: The network does not take images of that size.
    """
    if image_size is None:
        return network
    inputs, _ = network.prepare(Image.new("RGB", (image_size, image_size)))
    weight = next(p for p in network.module.parameters() if p.is_floating_point())
    tensors = {name: torch.from_numpy(a).to(weight.device) for name, a in inputs.items()}
    tensors = {k: t.to(weight.dtype) if t.is_floating_point() else t for k, t in tensors.items()}
    try:
        with torch.no_grad():
            network.forward(tensors)
    except Exception as error:  # networks raise many types for sizes they cannot take
        raise UnsupportedModelError(
            f"This {type(network.module).__name__} does not take images of {image_size} x "
            f"{image_size} pixels ({str(error).strip()}).",
            "Leave image_size out to use its own size, or choose another model.",
        ) from error
    return network


def stack(inputs: Sequence[dict[str, np.ndarray]]) -> dict[str, torch.Tensor]:
    """The inputs of several images as one batch, padded with zeros on the right and below.

    ``pixel_mask`` (n, height, width), for networks that use it, is 0 in the padding.
    """
    batch: dict[str, torch.Tensor] = {}
    for name in inputs[0]:
        arrays = [one[name] for one in inputs]
        if arrays[0].ndim < 3:
            batch[name] = torch.from_numpy(np.concatenate(arrays))
            continue
        height = max(a.shape[-2] for a in arrays)
        width = max(a.shape[-1] for a in arrays)
        padded = np.zeros((len(arrays), *arrays[0].shape[1:-2], height, width), arrays[0].dtype)
        for target, array in zip(padded, arrays, strict=True):
            target[..., : array.shape[-2], : array.shape[-1]] = array[0]
        batch[name] = torch.from_numpy(padded)
    return batch


def relative_boxes(boxes: torch.Tensor, frame: tuple[float, float]) -> torch.Tensor:
    """(n, 4) left, top, right, bottom -> centre and size as shares of `frame` (height, width)."""
    height, width = frame
    centred: torch.Tensor = box_convert(boxes, "xyxy", "cxcywh")
    return centred / torch.tensor([width, height, width, height])


def absolute_boxes(boxes: torch.Tensor, frame: tuple[int, int]) -> torch.Tensor:
    """The inverse of `relative_boxes`."""
    height, width = frame
    corners: torch.Tensor = box_convert(boxes, "cxcywh", "xyxy")
    return corners * torch.tensor([width, height, width, height])


def extent(mask: torch.Tensor) -> tuple[int, int]:
    """Height and width of the area that a mask (height, width) marks from its top left corner."""
    return int(mask.any(dim=1).sum()), int(mask.any(dim=0).sum())


def place_map(
    values: torch.Tensor, valid: tuple[int, int], padded: tuple[int, int], fill: int
) -> torch.Tensor:
    """A map of the image, (..., h, w), scaled to `valid` and padded to `padded` with `fill`."""
    scaled = functional.resize(
        values.as_subclass(torch.Tensor)[None], list(valid), InterpolationMode.NEAREST_EXACT
    )[0]
    margins = [0, padded[1] - valid[1], 0, padded[0] - valid[0]]
    return torch.nn.functional.pad(scaled, margins, value=fill)


def refuse(name: str, why: str) -> UnsupportedModelError:
    """The error that a family cannot be fine-tuned."""
    return UnsupportedModelError(
        f"The family {name!r} cannot be fine-tuned: {why}.",
        "Choose a model of another family: pvzoo list.",
    )


def class_axes_of(module: PreTrainedModel) -> dict[str, ClassAxis]:
    """The tensors of a network of transformers that have entries for classes -> where these are."""
    return class_axes(maker(module, ()), len(module.config.id2label or ()))


# The innermost names come first. Layers between a backbone and its decoder (such as LW-DETR's
# projector, next to the ViT in model.backbone) are not pretrained; as the authors do, they are
# trained like the decoder.
_BACKBONES = (
    *("pixel_level_module.encoder", "conv_encoder.backbone", "conv_encoder.model"),
    *("backbone.backbone", "backbone"),
)


def snippet(auto_class: type, name: str) -> str:
    """Python code that opens a saved network with a class of transformers."""
    opener = auto_class.__name__
    return (
        f"from transformers import AutoImageProcessor, {opener}\n\n"
        f'processor = AutoImageProcessor.from_pretrained("{name}")\n'
        f'network = {opener}.from_pretrained("{name}")'
    )
