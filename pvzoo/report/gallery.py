"""The images of a report: label and prediction side by side, in two sizes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw

from pvzoo.display import jpeg
from pvzoo.errors import DataError, ImageError
from pvzoo.inputs.images import open_image
from pvzoo.report.page import Shown
from pvzoo.results.drawing import enlarge, shorten, text_font

if TYPE_CHECKING:
    from datasets import Dataset

    from pvzoo.metrics.analysis import ImageErrors, Suspect
    from pvzoo.metrics.base import Evaluation

MOST = 200
"""The largest number of images in a report."""
LONGEST, SMALL = 1600, 480
"""The longest side in pixels of a large image file, and of the small one that the page shows."""
MOST_BYTES, MOST_SMALL_BYTES = 180_000, 30_000
"""The approximate size limits of both files, so that all images take less than 50 MB."""
_WORST = 150
"""The number of images that are chosen first, by their errors; then come suspicious labels."""
_AT_ONCE = 16
"""The number of images that are predicted, and kept in memory, at one time."""

Panels = list[tuple[str, Image.Image]]


def chosen(worst: Sequence[ImageErrors], suspects: Sequence[Suspect], images: int) -> list[int]:
    """Choose the images to show: the indices of at most `MOST`; without errors, the first 20."""
    indices = dict.fromkeys(one.index for one in worst[:_WORST])
    for index in [*(one.index for one in suspects), *(one.index for one in worst[_WORST:])]:
        if len(indices) < MOST:
            indices.setdefault(index)
    return list(indices) or list(range(min(images, 20)))


def write_images(
    evaluation: Evaluation,
    other: Evaluation | None,
    indices: Sequence[int],
    worst: Sequence[ImageErrors],
    folder: Path,
) -> list[Shown]:
    """Write the images of these indices into a folder, each in two sizes.

    Args:
        evaluation: An evaluation with a source.
        other: The evaluation of a second model on the same data, to draw its predictions too; or
            None.
        indices: The indices of the images, in the order of the page.
        worst: The images that have errors, with these errors.
        folder: The new folder of the report.

    Returns:
        The entries of the page's gallery.
    """
    (folder / "images").mkdir()
    errors = {one.index: one for one in worst}
    shown = []
    for number, (index, name, panels) in enumerate(_drawn(evaluation, other, indices), 1):
        image = side_by_side(panels)
        file, small = f"images/{number:04}.jpg", f"images/{number:04}-small.jpg"
        (folder / file).write_bytes(jpeg(image, LONGEST, MOST_BYTES))
        (folder / small).write_bytes(jpeg(image, SMALL, MOST_SMALL_BYTES))
        image.thumbnail((SMALL, SMALL))
        error = errors.get(index)
        kinds, classes = (error.kinds, error.classes) if error else ((), ())
        about = error.about if error else "no error at this threshold"
        shown.append(Shown(file, small, *image.size, name, about, kinds, classes))
    return shown


def _drawn(
    evaluation: Evaluation, other: Evaluation | None, indices: Sequence[int]
) -> Iterator[tuple[int, str, Panels]]:
    """(index, name, panels) of each image."""
    assert evaluation.source is not None
    dataset = undecoded(evaluation.source.dataset)
    for start in range(0, len(indices), _AT_ONCE):
        some = indices[start : start + _AT_ONCE]
        rows = [dataset[index] for index in some]
        sides = [_predicted(e, some, rows) for e in (evaluation, other) if e is not None]
        for place, (index, row) in enumerate(zip(some, rows, strict=True)):
            yield (
                index,
                row["file_name"],
                _panels(evaluation, index, row, [s[place] for s in sides]),
            )


def undecoded(dataset: Dataset) -> Dataset:
    """The dataset, with images as encoded files instead of decoded pixels."""
    from datasets import Image as ImageColumn

    dataset = dataset.with_format(None)
    for name, feature in dataset.features.items():
        if isinstance(feature, ImageColumn):
            dataset = dataset.cast_column(name, ImageColumn(decode=False))
    return dataset


def _predicted(
    evaluation: Evaluation, indices: Sequence[int], rows: Sequence[dict[str, Any]]
) -> list[Panels]:
    """The panels of each image: label and prediction, from the analysis or predicted again."""
    source = evaluation.source
    assert source is not None
    names = evaluation.labels.data
    made: list[Panels] = []
    again: list[int] = []
    for place, (index, row) in enumerate(zip(indices, rows, strict=True)):
        panels = evaluation.analysis.panels(index, open_image(row["image"]), row)
        made.append(panels or [])
        if panels is None:
            again.append(place)
    results = source.predict([rows[place]["image"] for place in again]) if again else iter(())
    for place, result in zip(again, results, strict=True):
        image, row = open_image(rows[place]["image"]), rows[place]
        try:
            label = source.task.draw_labels(image, row, names, image.size)
        except (DataError, ImageError):  # the label is damaged; the metrics left it out too
            label = image
        made[place] = [("label", label), ("prediction", result.draw(image))]
        wrong = evaluation.analysis.wrong_pixels(result, row)
        if wrong is not None:
            made[place].append(("wrong pixels", _marked(image, wrong)))
    return made


def _marked(image: Image.Image, wrong: np.ndarray) -> Image.Image:
    """The image in grey, with wrong pixels in red."""
    grey = image.convert("L").convert("RGB")
    grey.paste((229, 57, 53), mask=Image.fromarray(wrong))
    return enlarge(grey)[0]


def _panels(
    evaluation: Evaluation, index: int, row: dict[str, Any], sides: Sequence[Panels]
) -> Panels:
    """The panels of an image: label and prediction, and the prediction of a second model."""
    panels = list(sides[0])
    if len(sides) > 1:
        names = ("prediction of A", "prediction of B")
        panels = [panels[0], (names[0], panels[1][1]), (names[1], sides[1][1][1])]
    return panels


def side_by_side(panels: Panels) -> Image.Image:
    """Join images in a row, scaled to one height, below their titles; at most `LONGEST` wide."""
    gap, bar = 8, 26
    wide = sum(image.width / image.height for _, image in panels)
    room = LONGEST - gap * (len(panels) - 1)
    high = int(min(max(image.height for _, image in panels), room / wide, LONGEST - bar)) or 1
    scaled = [
        (title, image.resize((max(1, round(image.width * high / image.height)), high)))
        for title, image in panels
    ]
    total = sum(image.width for _, image in scaled) + gap * (len(panels) - 1)
    canvas = Image.new("RGB", (min(total, LONGEST), high + bar), "white")
    left = 0
    for title, image in scaled:
        font = text_font(16, title)
        where = (left + 2, bar // 2)
        ImageDraw.Draw(canvas).text(where, shorten(title, image.width, font), "black", font, "lm")
        canvas.paste(image, (left, bar))
        left += image.width + gap
    return canvas
