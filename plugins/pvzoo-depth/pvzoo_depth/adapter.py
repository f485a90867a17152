"""The adapter of Depth Anything, DPT, ZoeDepth, GLPN and Depth Pro: it interprets outputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pvzoo.adapters.base import Adapter, Meta
from pvzoo.postprocess.scaling import Mode, scaling
from pvzoo_depth.task import DepthMap

FAMILIES = ("depth_anything", "dpt", "zoedepth", "glpn", "depth_pro")
"""By the ``model_type`` of the config."""


def is_metric(config: Mapping[str, Any]) -> bool:
    """Whether a network predicts metres.

    DPT is MiDaS and does not. But DPT on DINOv2 does: these are the DINOv2 authors' networks for
    NYU and KITTI.
    """
    if config["model_type"] == "depth_anything":
        return bool(config.get("depth_estimation_type", "relative") == "metric")
    if config["model_type"] == "dpt":
        return (config.get("backbone_config") or {}).get("model_type") == "dinov2"
    return True


class DepthAdapter(Adapter):
    """Any depth estimator of these families.

    Outputs: ``predicted_depth`` (1, h, w) and, for Depth Pro, ``field_of_view`` (1,) in degrees.
    """

    tasks = ("depth-estimation",)
    network = "pvzoo_depth.network:DepthNetwork"

    @classmethod
    def matches(cls, config: Mapping[str, Any]) -> bool:
        """Whether the saved architecture is the depth estimator of one of the families."""
        names = [str(name) for name in config.get("architectures") or ()]
        return config.get("model_type") in FAMILIES and any("ForDepth" in name for name in names)

    def postprocess(self, outputs: dict[str, Any], meta: Meta, **controls: Any) -> DepthMap:
        """The depth at the size of the image, as in ``post_process_depth_estimation``."""
        depth, (height, width) = np.asarray(outputs["predicted_depth"][0]), meta["size"]
        if self.spec.family == "depth_pro":
            if "field_of_view" in outputs:
                half = np.deg2rad(np.asarray(outputs["field_of_view"][0], np.float32)) / 2
                depth = depth * 2 * np.tan(half)  # width / focal length
            depth = 1 / np.clip(scaled(depth, (height, width), "linear"), 1e-4, 1e4)
        elif self.spec.extra["padded"]:  # the input was padded by reflection
            down, across = (int(np.sqrt(side / 2) * 3) for side in (height, width))
            depth = scaled(depth, (height + 2 * down, width + 2 * across), "cubic")
            depth = depth[down : down + height, across : across + width]
        else:
            depth = scaled(depth, (height, width), "cubic")
        return DepthMap(size=(height, width), depth=depth, metric=self.spec.extra["metric"])


def scaled(depth: np.ndarray, size: tuple[int, int], mode: Mode) -> np.ndarray:
    """Scale a (h, w) map to another (height, width), as torch does."""
    rows, columns = (scaling(*sides, mode) for sides in zip(depth.shape, size, strict=True))
    resized: np.ndarray = rows @ depth.astype(np.float32) @ columns.T
    return resized
