"""Drawing objects and masks on pictures, with supervision's annotators."""

from __future__ import annotations

import warnings
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    import supervision as sv


@cache
def supervision() -> ModuleType:
    """The supervision package, without its remark that OpenCV would be faster."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="OpenCV")
        import supervision
    return supervision


@cache
def _palette() -> Any:
    """Sixty distinct colours; a class keeps its colour whatever else is in the picture."""
    # golden-angle steps of hue at three lightnesses: neighbours in id are far apart in colour
    import colorsys

    colours = []
    for i in range(60):
        hue = (i * 0.61803398875) % 1.0
        lightness = (0.5, 0.38, 0.62)[i % 3]
        rgb = colorsys.hls_to_rgb(hue, lightness, 0.85)
        colours.append("#" + "".join(f"{round(255 * c):02x}" for c in rgb))
    return supervision().ColorPalette.from_hex(colours)


def class_colour(label: int) -> tuple[int, int, int]:
    """The RGB colour of a class id."""
    colour = _palette().by_idx(label)
    return colour.r, colour.g, colour.b


def draw_objects(picture: Image.Image, detections: sv.Detections) -> Image.Image:
    """Boxes, masks if there are any, and labels that stay inside the frame."""
    sv = supervision()
    scene = picture.copy()
    if len(detections) == 0:
        return scene
    side = min(picture.size)
    thickness = max(1, round(side / 250))
    palette = {"color": _palette(), "color_lookup": sv.ColorLookup.CLASS}
    if detections.mask is not None:
        scene = sv.MaskAnnotator(opacity=0.5, **palette).annotate(scene, detections)
    inside = detections[:]
    width, height = picture.size
    inside.xyxy = np.clip(detections.xyxy, 0, [width - 1, height - 1] * 2)
    scene = sv.BoxAnnotator(thickness=thickness, **palette).annotate(scene, inside)
    labels = [
        f"{name} {score:.2f}"
        for name, score in zip(inside.data["class_name"], inside.confidence, strict=True)
    ]
    annotator = sv.RichLabelAnnotator(
        font_size=max(10, round(side / 32)),
        text_padding=max(2, round(side / 160)),
        smart_position=True,
        **palette,
    )
    return annotator.annotate(scene, inside, labels=labels)
