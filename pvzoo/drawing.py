"""Drawing objects and masks on pictures, with supervision's annotators."""

from __future__ import annotations

import warnings
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

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


def text_size(width: int, height: int) -> int:
    """A size of letters that can be read on small, large and very long pictures, in pixels."""
    return max(12, min(width // 36, (width + height) // 60))


def text_font(size: int, text: str) -> Any:
    """PIL's own font, or for letters it does not have one of the system's, if there is one."""
    path = _font_path(text)
    return ImageFont.truetype(path, size) if path else ImageFont.load_default(size=size)


def _font_path(text: str) -> str | None:
    if not text.isascii():
        for name in ("DejaVuSans.ttf", "Arial Unicode.ttf", "arial.ttf"):
            try:
                return ImageFont.truetype(name, 12).path
            except OSError:
                continue
    return None


def shorten(text: str, room: float, font: Any) -> str:
    """`text`, cut with an ellipsis so that it is at most `room` pixels wide."""
    text = text if len(text) <= 200 else text[:200] + "…"
    if font.getlength(text) <= room:
        return text
    while text and font.getlength(text + "…") > room:
        text = text[:-1]
    return text + "…"


def draw_objects(picture: Image.Image, detections: sv.Detections) -> Image.Image:
    """Boxes, masks if there are any, and labels that stay inside the frame."""
    sv = supervision()
    scene = picture.copy()
    if len(detections) == 0:
        return scene
    size = text_size(*picture.size)
    palette = {"color": _palette(), "color_lookup": sv.ColorLookup.CLASS}
    if detections.mask is not None:
        scene = sv.MaskAnnotator(opacity=0.5, **palette).annotate(scene, detections)
    inside = detections[:]
    width, height = picture.size
    inside.xyxy = np.clip(detections.xyxy, 0, [width - 1, height - 1] * 2)
    scene = sv.BoxAnnotator(thickness=max(1, size // 7), **palette).annotate(scene, inside)
    labels = [
        f"{name} {score:.2f}"
        for name, score in zip(inside.data["class_name"], inside.confidence, strict=True)
    ]
    annotator = sv.RichLabelAnnotator(
        font_path=_font_path("".join(labels)),
        font_size=size,
        text_padding=max(2, size // 4),
        smart_position=True,
        **palette,
    )
    return annotator.annotate(scene, inside, labels=labels)


def tint(picture: Image.Image, colours: np.ndarray, opacity: float = 0.5) -> Image.Image:
    """The picture with (height, width, 3) uint8 colours laid over it."""
    return Image.blend(picture, Image.fromarray(colours), opacity)


def add_legend(
    picture: Image.Image, entries: list[tuple[str, tuple[int, int, int]]], most: int = 12
) -> Image.Image:
    """The picture with a legend below: coloured squares with names, in as many columns as fit."""
    width = max(picture.width, 240)
    text = text_size(width, picture.height)
    font = text_font(text, "".join(name for name, _ in entries))
    line, margin = round(text * 1.6), text // 2
    left_out = len(entries) - most
    entries = entries[:most]
    if left_out > 0:
        entries.append((f"and {left_out} smaller", (255, 255, 255)))
    widest = max((font.getlength(name) for name, _ in entries), default=0) + 2 * text + margin
    columns = max(1, int((width - margin) // widest))
    lines = -(-len(entries) // columns)
    canvas = Image.new("RGB", (width, picture.height + lines * line + margin), "white")
    canvas.paste(picture, ((width - picture.width) // 2, 0))
    pen = ImageDraw.Draw(canvas)
    for place, (name, colour) in enumerate(entries):
        x = margin + (place % columns) * widest
        y = picture.height + margin // 2 + (place // columns) * line
        pen.rectangle((x, y + 2, x + text, y + 2 + text), fill=colour)
        room = width - x - 2 * text
        pen.text((x + 1.5 * text, y + line / 2), shorten(name, room, font), "black", font, "lm")
    return canvas


def draw_segments(
    picture: Image.Image, ids: np.ndarray, segments: list[tuple[int, int, str]]
) -> Image.Image:
    """Segments of a (height, width) id map, each (id, class id, name), tinted, outlined, named.

    Segments of one class share its colour; the outline tells them apart.
    """
    table = np.zeros((int(ids.max()) + 1, 3), np.uint8)
    for number, label, _ in segments:
        table[number] = class_colour(label)
    scene = np.asarray(tint(picture, table[ids])).copy()
    void = ids == 0
    scene[void] = np.asarray(picture)[void]
    text = text_size(*picture.size)
    thickness = max(1, text // 10)
    edge = np.zeros(ids.shape, bool)
    edge[thickness:] |= ids[thickness:] != ids[:-thickness]
    edge[:, thickness:] |= ids[:, thickness:] != ids[:, :-thickness]
    scene[edge] = 255
    result = Image.fromarray(scene)
    pen = ImageDraw.Draw(result)
    font = text_font(text, "".join(name for _, _, name in segments))
    pad = max(2, text // 4)
    for number, label, name in segments:
        x, y = _inside_point(ids == number)
        name = shorten(name, picture.width - 2 * pad, font)
        wide = font.getlength(name) / 2 + pad
        tall = text / 2 + pad
        x = min(max(x, wide), picture.width - wide)
        y = min(max(y, tall), picture.height - tall)
        pen.rectangle((x - wide, y - tall, x + wide, y + tall), fill=class_colour(label))
        pen.text((x, y), name, "white", font, anchor="mm")
    return result


def _inside_point(mask: np.ndarray) -> tuple[float, float]:
    """(x, y) of a pixel well inside a mask: the middle of the widest run of its middle row."""
    rows = np.flatnonzero(mask.any(axis=1))
    counts = mask[rows].sum(axis=1).cumsum()
    y = int(rows[np.searchsorted(counts, counts[-1] / 2)])
    edges = np.diff(np.concatenate([[0], mask[y].astype(np.int8), [0]]))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    widest = int(np.argmax(ends - starts))
    return (float(starts[widest] + ends[widest]) / 2, float(y))
