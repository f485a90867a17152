"""Draw results on images with PIL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from pvzoo.results.masks import Masks

Colour = tuple[int, int, int]
Spot = tuple[float, float, float, float]
"""A place for a label: (across, down), in 0..1, is the point of the label that lies at (x, y)."""

# Each colour is as far as possible from all colours before it (CIEDE2000): the first 20 differ by
# 20, all differ by 7. No colour is near grey, black or white.
_COLOURS = bytes.fromhex(
    """
    e42430 00fc00 00b4fc 005424 0000f0 fcb424 f0b4fc 846018 00a890 d818a8 7878fc 849c00 f09c84
    90003c 24f0fc 00609c e4e400 84300c 6c4884 90f0c0 d86c00 f0789c 008400 a8b4fc 546000 3cb454
    d86cfc 9c30fc b48400 b4546c b4cc84 9c6ca8 0c84e4 f0d890 5454c0 9c0078 a8603c 248460 d89c60
    fc603c 84cc00 b4a860 8400b4 fc0060 847800 a80c24 a890d8 18c0d8 d86c6c 6c843c 00d8c0 fc54c0
    c03000 00e478 6c3c00 ccb400 304884 cc84c0 6ca8fc 544800 a8f078 6cc090 9c48b4 fc9000 786cb4
    c00060 a86000 84a860 fc9ccc d818f0 489c00 549c6c 3c6cd8 9c4878 cc7854 3c6c24 b4c03c 9c4848
    fc9054 fc0090 cc2448 b4f000 fc84f0 d85418 9c783c fcc084 4830a8 c06c90 a860e4 fcd848 fc9ca8
    00b4b4 d8e478 7890d8 b46054 00cc18 543cfc 9c4800 909048 009ccc d8b46c 006c48 84cc6c 009048
    fc1800 9c9000 783060 9c4830 48ccfc 305400 cc60c0 903c54 cc8424 00d89c 7860e4 ccb4fc fc786c
    fc6c18 6c6018 6cf0e4 189cf0 782484 845424 b47848 c09c3c fc4848 7848c0 6cb430 003cd8 b400a8
    cc90fc a80000 9c90fc fc00d8 547800 cc3c84 843030 b4549c 0c54c0 9cd89c 0078b4 0054fc 9078d8
    78840c 00b478 d8cc60 b478cc 544890 c00084 905490 e49c30 fc6078 18c09c d8543c d85478 d88448
    """
)
_LEAST = 480  # pixels: the side that an image needs so that names fit in it


def class_colour(label: int) -> Colour:
    """The RGB colour of a class id; it depends only on the id. There are 156 different colours."""
    red, green, blue = _COLOURS[int(label) * 3 % len(_COLOURS) :][:3]
    return red, green, blue


def _ink(background: Colour) -> str:
    """Black or white, whichever is more readable on a colour."""
    red, green, blue = ((c / 255) ** 2.2 for c in background)
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return "black" if luminance > 0.18 else "white"  # at 0.18 both WCAG contrasts are equal


def enlarge(image: Image.Image) -> tuple[Image.Image, int]:
    """A small image enlarged by a whole factor, so that names fit in it; and the factor."""
    zoom = max(1, _LEAST // max(image.size))
    return image.resize((image.width * zoom, image.height * zoom), Image.Resampling.NEAREST), zoom


def text_size(width: int, height: int) -> int:
    """A font size in pixels that is readable on small, large and very long images.

    On images that are much wider than high it is a tenth of the height, so that lines of text are
    not much larger than the image.
    """
    return max(12, min(width // 36, (width + height) // 60, height // 10))


def text_font(size: int, text: str) -> Any:
    """PIL's own font; for letters that it does not have, a font of the system, if there is one."""
    path = _font_path(text)
    return ImageFont.truetype(path, size) if path else ImageFont.load_default(size=size)


def _font_path(text: str) -> str | None:
    if not text.isascii():
        for name in ("DejaVuSans.ttf", "Arial Unicode.ttf", "arial.ttf"):
            try:
                return str(ImageFont.truetype(name, 12).path)
            except OSError:
                continue
    return None


def shorten(text: str, room: float, font: Any) -> str:
    """`text` on one line, cut with an ellipsis so that it is at most `room` pixels wide."""
    text = " ".join(text[:201].split())
    if len(text) <= 200 and font.getlength(text) <= room:
        return text
    while text and font.getlength(text + "…") > room:
        text = text[:-1]
    return text + "…"


def draw_objects(
    image: Image.Image,
    boxes: np.ndarray,
    scores: np.ndarray | None,
    labels: np.ndarray,
    names: Sequence[str],
    masks: Masks | None = None,
    colours: Sequence[Colour] | None = None,
    trails: Sequence[np.ndarray] | None = None,
) -> Image.Image:
    """Draw boxes, masks and trails if there are any, and labels that stay inside the frame.

    Objects with a better score (without scores: with a larger box) get their label first. A label
    that would cover others is left out. Small images are enlarged. Each object has the colour of
    its class, or that of `colours`. A trail is (k, 2) points, x and y.
    """
    colours = [class_colour(label) for label in labels] if colours is None else colours
    if masks is not None:
        image = tint(image, _paint(image, colours, masks))
    scene, zoom = enlarge(image)
    frame = [scene.width - 1, scene.height - 1] * 2
    boxes = np.clip(boxes.astype(float) * zoom, 0, frame).round()
    size = _label_size(scene)
    pen = ImageDraw.Draw(scene)
    sides = boxes[:, 2:] - boxes[:, :2]
    order = np.argsort(-(sides.prod(axis=1) if scores is None else scores), kind="stable")
    endings = [""] * len(boxes) if scores is None else [f" {score:.2f}" for score in scores]
    for colour, trail in zip(colours, trails or (), strict=False):
        if len(trail) > 1:
            points = (trail * zoom).ravel().tolist()
            pen.line(points, colour, max(2, size // 5), joint="curve")
    for i in order[::-1]:
        pen.rectangle(tuple(boxes[i]), outline=colours[i], width=max(2, size // 7))
    _write(
        scene,
        ((names[i], endings[i], colours[i], _box_spots(boxes[i])) for i in order),
        size,
    )
    return scene


def _box_spots(box: np.ndarray) -> list[Spot]:
    """Places for a label: above a box, inside it, below it; each at the left, then at the right."""
    x0, y0, x1, y1 = box
    return [
        *((x0, y0, 0, 1), (x0, y0, 0, 0), (x0, y1, 0, 0), (x0, y1, 0, 1)),
        *((x1, y0, 1, 1), (x1, y0, 1, 0), (x1, y1, 1, 0), (x1, y1, 1, 1)),
    ]


def _label_size(image: Image.Image) -> int:
    """The font size of labels inside an image: at most an eighth of the height of a flat image."""
    return max(12, min(text_size(*image.size), image.height // 8))


def _write(
    image: Image.Image,
    captions: Iterable[tuple[str, str, Colour, list[Spot]]],
    size: int,
) -> None:
    """Write captions (name, ending, background, spots) into an image, most important first.

    A caption goes to its first spot that does not cover an earlier caption, moved inside the frame.
    If there is no such spot, the caption is left out.
    """
    captions = list(captions)
    pen = ImageDraw.Draw(image)
    font = text_font(size, "".join(name for name, *_ in captions))
    pad = max(2, size // 4)
    tall = size + 2 * pad
    taken = np.zeros((0, 4))
    for name, ending, colour, spots in captions:
        room = image.width - 2 * pad - font.getlength(ending)
        text = shorten(name, room, font) + ending
        wide = int(font.getlength(text)) + 1 + 2 * pad
        for x, y, across, down in spots:
            left = int(max(0, min(x - across * wide, image.width - wide)))
            top = int(max(0, min(y - down * tall, image.height - tall)))
            right, bottom = left + wide, top + tall
            clear = (taken[:, 0] >= right) | (taken[:, 2] <= left)
            clear |= (taken[:, 1] >= bottom) | (taken[:, 3] <= top)
            if clear.all():
                taken = np.vstack([taken, [left, top, right, bottom]])
                pen.rectangle((left, top, right - 1, bottom - 1), fill=colour)
                middle = (left + pad, top + tall / 2)
                pen.text(middle, text, _ink(colour), font, anchor="lm")
                break


def _paint(image: Image.Image, colours: Sequence[Colour], masks: Masks) -> Image.Image:
    """The image with masks in these solid colours, small masks over large ones."""
    painted = image.copy()
    boxes = masks.boxes.astype(int)
    for i in np.argsort(-masks.areas, kind="stable"):
        left, top, right, bottom = boxes[i]
        stencil = Image.fromarray(np.ascontiguousarray(masks[i][top:bottom, left:right]))
        painted.paste(colours[i], (left, top), stencil)
    return painted


def tint(image: Image.Image, colours: Image.Image) -> Image.Image:
    """The image with another image of the same size, half transparent, over it."""
    return Image.blend(image, colours, 0.5)


def add_legend(
    image: Image.Image, entries: list[tuple[str, Colour]], most: int = 12
) -> Image.Image:
    """The image with a legend below it: coloured squares with names, in as many columns as fit."""
    width = max(image.width, _LEAST // 2)
    text = text_size(width, image.height)
    entries, left_out = entries[:most], len(entries) - most
    if left_out > 0:
        entries.append((f"and {left_out} smaller", (255, 255, 255)))
    font = text_font(text, "".join(name for name, _ in entries))
    line, margin = round(text * 1.6), text // 2
    room = width - 2 * text - 2 * margin
    entries = [(shorten(name, room, font), colour) for name, colour in entries]
    widest = max((font.getlength(name) for name, _ in entries), default=0) + 2 * text + margin
    columns = max(1, int((width - margin) // widest))
    lines = -(-len(entries) // columns)
    canvas = Image.new("RGB", (width, image.height + lines * line + margin), "white")
    canvas.paste(image, ((width - image.width) // 2, 0))
    pen = ImageDraw.Draw(canvas)
    for place, (name, colour) in enumerate(entries):
        x = margin + (place % columns) * widest
        middle = image.height + margin // 2 + (place // columns + 0.5) * line
        pen.rectangle((x, middle - text / 2, x + text, middle + text / 2), fill=colour)
        pen.text((x + 1.5 * text, middle), name, "black", font, "lm")
    return canvas


def draw_segments(
    image: Image.Image, ids: np.ndarray, segments: list[tuple[int, int, str]], masks: Masks
) -> Image.Image:
    """Draw the segments of a (height, width) id map: colour, outline and name.

    Each segment is (id, class id, name); `masks` are the masks of the segments. Segments of one
    class have the same colour; outlines separate them. A label that would cover the label of a
    larger segment is left out. Small images are enlarged.
    """
    table = np.zeros((int(ids.max()) + 1, 3), np.uint8)
    for number, label, _ in segments:
        table[number] = class_colour(label)
    scene = image.copy()
    scene.paste(tint(image, Image.fromarray(table[ids])), mask=Image.fromarray(ids > 0))
    scene, zoom = enlarge(scene)
    size = _label_size(scene)
    thick = -(-max(1, size // 10) // zoom)
    edge = np.zeros(ids.shape, bool)
    edge[thick:] |= ids[thick:] != ids[:-thick]
    edge[:, thick:] |= ids[:, thick:] != ids[:, :-thick]
    scene.paste("white", mask=enlarge(Image.fromarray(edge))[0])
    boxes = masks.boxes.astype(int)
    captions = []
    for i in np.argsort(-masks.areas, kind="stable"):
        number, label, name = segments[i]
        left, top, right, bottom = boxes[i]
        x, y = _inside_point(ids[top:bottom, left:right] == number)
        spot = ((left + x) * zoom, (top + y) * zoom, 0.5, 0.5)
        captions.append((name, "", class_colour(label), [spot]))
    _write(scene, captions, size)
    return scene


def _inside_point(mask: np.ndarray) -> tuple[float, float]:
    """A point (x, y) well inside a mask: the middle of the widest run of the mask's middle row.

    The mask must not be empty.
    """
    counts = mask.sum(axis=1).cumsum()
    y = int(np.searchsorted(counts, counts[-1] / 2))
    edges = np.diff(np.concatenate([[0], mask[y].astype(np.int8), [0]]))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    widest = int(np.argmax(ends - starts))
    return float(starts[widest] + ends[widest]) / 2, y + 0.5
