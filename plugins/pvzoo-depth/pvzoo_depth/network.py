"""Networks of transformers that estimate depth (`AutoModelForDepthEstimation`)."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate
from transformers import AutoModelForDepthEstimation, PreTrainedModel

from pvzoo.adapters.base import Spec
from pvzoo.errors import UnsupportedModelError
from pvzoo.networks.base import TargetClasses
from pvzoo.networks.from_transformers import TransformersNetwork
from pvzoo_depth.adapter import is_metric


class DepthNetwork(TransformersNetwork):
    """Any network of the families of `pvzoo_depth.adapter`."""

    auto_class = AutoModelForDepthEstimation

    def __init__(self, module: PreTrainedModel, processor: Any) -> None:
        super().__init__(module, processor)
        config = module.config
        padded = config.model_type == "zoedepth" and processor.do_pad
        self.spec = Spec(
            "pvzoo-depth:depth",
            "depth-estimation",
            (),
            family=config.model_type,
            extra={"metric": is_metric(config.to_dict()), "padded": padded},
        )

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """``predicted_depth`` (n, h, w) and, for Depth Pro, ``field_of_view`` (n,), float32."""
        outputs = self.module(**inputs)
        found = {n: getattr(outputs, n, None) for n in ("predicted_depth", "field_of_view")}
        return {name: value.float() for name, value in found.items() if value is not None}

    @property
    def patches(self) -> tuple[str, ...]:
        """For Depth Anything, whose code turns the sides of its input into Python integers."""
        return ("integers",) if self.spec.family == "depth_anything" else ()

    # --- fine-tuning ------------------------------------------------------------------------------

    def retarget(
        self, classes: TargetClasses, *, image_size: int | None, seed: int
    ) -> DepthNetwork:
        """A copy of the network, because there are no classes."""
        if self.spec.family in ("zoedepth", "depth_pro"):
            raise UnsupportedModelError(
                f"{type(self.module).__name__} cannot be fine-tuned.",
                "Its output is not the depth itself. Depth Anything, DPT and GLPN can.",
            )
        if image_size is not None:
            raise UnsupportedModelError(
                "A depth estimator is trained at the size of its processor.", "Omit image_size."
            )
        return type(self)(copy.deepcopy(self.module), copy.deepcopy(self._processor))

    def batch(self, images: Sequence[Image.Image], targets: Sequence[Any]) -> dict[str, Any]:
        """Lists of inputs and targets: processors keep proportions, so the sizes differ."""
        pixels = [torch.from_numpy(self.prepare(p)[0]["pixel_values"]) for p in images]
        return {"pixels": pixels, "depth": [t["depth"].as_subclass(Tensor) for t in targets]}

    def loss(self, module: Any, batch: dict[str, Any]) -> Tensor:
        """The mean over the images of `silog` or, for relative depth, of `inverse_error`."""
        judge = silog if self.spec.extra["metric"] else inverse_error
        losses = []
        for pixels, truth in zip(batch["pixels"], batch["depth"], strict=True):
            found = module(pixel_values=pixels).predicted_depth.float()
            found = interpolate(found[None], truth.shape, mode="bilinear")[0, 0]
            known = truth > 0
            losses.append(judge(found[known], truth[known]) if known.any() else found.sum() * 0)
        return torch.stack(losses).mean()

    @property
    def backbone(self) -> tuple[str, ...]:
        """All parts except the neck and the head."""
        names = (name for name, _ in self.module.named_parameters())
        return tuple(name for name in names if not name.startswith(("neck.", "head.", "decoder.")))

    def save(self, folder: Path) -> None:
        """Save the network for `from_pretrained`."""
        self.module.save_pretrained(folder)
        self._processor.save_pretrained(folder)


def silog(depth: Tensor, truth: Tensor) -> Tensor:
    """The root of mean(e^2) - mean(e)^2 / 2, with e the difference of the logs of (n,) metres.

    Eigen et al., "Depth map prediction from a single image", section 3.2.
    """
    error = depth.clamp(min=1e-3).log() - truth.log()
    return ((error**2).mean() - 0.5 * error.mean() ** 2 + 1e-8).sqrt()


def inverse_error(inverse: Tensor, truth: Tensor) -> Tensor:
    """The mean error of (n,) inverse depth with the best scale and shift, relative to the truth.

    Ranftl et al., "Towards robust monocular depth estimation", section 5.
    """
    wanted = 1 / truth
    off, apart = inverse - inverse.mean(), wanted - wanted.mean()
    scale = (off * apart).mean() / ((off**2).mean() + 1e-8)
    return (scale * off - apart).abs().mean() / wanted.mean()
