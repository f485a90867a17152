"""A `datasets` builder for scenes, with pvzoo's columns."""

from __future__ import annotations

import hashlib
import io
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from PIL import Image

from pvzoo.data import schema
from pvzoo.errors import UsageError, nearest
from pvzoo.results.masks import Masks
from pvzoo_shapes.backgrounds import STUFF, Range
from pvzoo_shapes.drawing import ANY_COLOUR, MAX_OBJECTS, MIN_SIDE, Scene, draw
from pvzoo_shapes.forms import FORMS, SHAPES

SPLITS = {"train": (0, 2000), "validation": (1, 500)}
"""Seed and number of scenes of each split of `load`."""


@dataclass(eq=False)
class ShapesConfig(datasets.BuilderConfig):  # type: ignore[misc]  # datasets has no types
    """The settings of the drawing.

    Attributes:
        task: One of `TASKS`.
        count: The number of scenes, at least 1.
        size: (height, width) in pixels, each at least 32.
        seed: The seed of the series of scenes.
        shapes: The classes of things, in their order.
        colours: Ranges of the hue (degrees), saturation and value (0..1) of the shapes.
    """

    task: str = schema.DETECTION
    count: int = 1000
    size: tuple[int, int] = (128, 128)
    seed: int = 0
    shapes: tuple[str, ...] = SHAPES
    colours: tuple[Range, Range, Range] = ANY_COLOUR

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.task not in TASKS:
            raise UsageError(f"There is no task {self.task!r}.", f"Known: {', '.join(TASKS)}.")
        self.count = _whole("count", self.count, 1)
        self.seed = _whole("seed", self.seed, 0)
        self.size = _size(self.size)
        self.shapes = _known_shapes(self.shapes)
        self.colours = _ranges(self.colours)

    def create_config_id(self, *_: Any, **__: Any) -> str:
        """The name of the cache folder; the same for all ways to ask for the same scenes."""
        about = {k: v for k, v in asdict(self).items() if k not in ("name", "version")}
        return f"{self.task}-{hashlib.sha256(repr(about).encode()).hexdigest()[:16]}"


class Shapes(datasets.GeneratorBasedBuilder):  # type: ignore[misc]  # datasets has no types
    """Drawn scenes: `Shapes(task=..., count=...)` takes the attributes of `ShapesConfig`.

    Its only split is called train. Scenes in the cache are drawn again if the drawing code changes.
    """

    VERSION = datasets.Version("1.0.0")
    BUILDER_CONFIG_CLASS = ShapesConfig
    config: ShapesConfig

    def __init__(self, **settings: Any) -> None:
        super().__init__(dataset_name="pvzoo_shapes", hash=_code(), **settings)

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(features=schema.features(self.config.task, self._names))

    @property
    def _names(self) -> tuple[str, ...]:
        with_stuff = self.config.task in (schema.SEMANTIC, schema.PANOPTIC)
        return (*self.config.shapes, *STUFF) if with_stuff else self.config.shapes

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        return [datasets.SplitGenerator(name=str(datasets.Split.TRAIN))]

    def _generate_examples(self) -> Iterator[tuple[int, dict[str, Any]]]:
        config = self.config
        to_row = _ROWS[config.task]
        most = 1 if config.task == schema.CLASSIFICATION else MAX_OBJECTS
        for index in range(config.count):
            scene = draw(
                config.seed,
                index,
                size=config.size,
                shapes=config.shapes,
                colours=config.colours,
                most=most,
            )
            row = {
                "image": _png(scene.image),
                "image_id": index,
                "file_name": f"{index:06d}.png",
            }
            yield index, row | to_row(scene, config.shapes, index)


def scenes(
    task: str = schema.DETECTION,
    *,
    count: int,
    size: int | tuple[int, int] = 128,
    seed: int = 0,
    shapes: Sequence[str] = SHAPES,
    colours: tuple[Range, Range, Range] = ANY_COLOUR,
) -> datasets.Dataset:
    """Drawn scenes with exact labels, in the columns of `pvzoo.data.schema`.

    A scene has one to eight shapes. The extent of a shape (the longer side of its box) is 10% to
    45% of the frame's shorter side, and at most 40% of its pixels are hidden. The scenes of a seed
    are the same for each task and do not depend on `count`. Only scenes of image-classification
    differ: they show one shape each, which is the label. Semantic and panoptic maps have a class in
    every pixel. The dataset is memory-mapped, and drawn once for each set of arguments.

    Args:
        task: One of `TASKS`.
        count: The number of scenes.
        size: The size of the images in pixels: the side of a square, or (height, width); each side
            at least 32.
        seed: Other seeds give other scenes.
        shapes: Names from `SHAPES` and `MORE_SHAPES`: the classes, all equally likely.
        colours: The colours of the shapes: ranges of hue in degrees, saturation and value (0..1) in
            HSV. Hues may exceed 360 degrees: (330, 390) is red.

    Raises:
        UsageError: An argument has a value that is not allowed.
    """
    size = size if isinstance(size, Sequence) else (size, size)
    builder = Shapes(task=task, count=count, size=size, seed=seed, shapes=shapes, colours=colours)
    builder.download_and_prepare()
    return builder.as_dataset(split="train")


def load(
    task: str | None = None, split: str | None = None
) -> datasets.Dataset | datasets.DatasetDict:
    """The dataset "shapes" of pvzoo: 2000 scenes for training and 500 for validation.

    Args:
        task: One of `TASKS`; object-detection if None.
        split: train or validation; None for both, in a DatasetDict.

    Raises:
        UsageError: There is no such task.
        UsageError: There is no such split.
    """
    if split is None:
        return datasets.DatasetDict({name: load(task, name) for name in SPLITS})
    if split not in SPLITS:
        raise UsageError(f"shapes has no split {split!r}.", f"It has {' and '.join(SPLITS)}.")
    seed, count = SPLITS[split]
    return scenes(task or schema.DETECTION, count=count, seed=seed)


# --- rows -----------------------------------------------------------------------------------------


def _classification(scene: Scene, shapes: Sequence[str], index: int) -> dict[str, Any]:
    return {"label": shapes.index(scene.things[0].shape)}


def _detection(scene: Scene, shapes: Sequence[str], index: int) -> dict[str, Any]:
    masks = Masks.from_map(scene.visible, range(1, len(scene.things) + 1))
    boxes = masks.boxes.astype(np.float64)
    boxes[:, 2:] -= boxes[:, :2]
    count = len(masks)
    height, width = scene.visible.shape
    objects = {
        # from 1, because 0 means "no match" in pycocotools
        "id": [index * MAX_OBJECTS + k + 1 for k in range(count)],
        "bbox": boxes.tolist(),
        "category": [shapes.index(thing.shape) for thing in scene.things],
        "area": masks.areas.astype(np.float64).tolist(),
        "iscrowd": [False] * count,
        "ignore": [False] * count,
    }
    return {"width": width, "height": height, "objects": objects}


def _instance(scene: Scene, shapes: Sequence[str], index: int) -> dict[str, Any]:
    row = _detection(scene, shapes, index)
    masks = Masks.from_map(scene.visible, range(1, len(scene.things) + 1))
    row["objects"]["segmentation"] = masks.to_coco()
    return row


def _semantic(scene: Scene, shapes: Sequence[str], index: int) -> dict[str, Any]:
    classes = np.array([0, *(shapes.index(t.shape) for t in scene.things)], dtype=np.uint8)
    stuff = scene.stuff + np.uint8(len(shapes))
    values = np.where(scene.visible > 0, classes[scene.visible], stuff)
    ids = list(range(len(shapes) + len(STUFF)))
    return {"annotation": _png(values), "segments": {"id": ids, "category": ids}}


def _panoptic(scene: Scene, shapes: Sequence[str], index: int) -> dict[str, Any]:
    things = len(scene.things)
    first = np.uint8(things + 1)  # the segments of stuff come after those of the things
    ids = np.where(scene.visible > 0, scene.visible, scene.stuff + first)
    stuff = [k for k in range(len(STUFF)) if (ids == things + 1 + k).any()]
    segments = {
        "id": [*range(1, things + 1), *(things + 1 + k for k in stuff)],
        "category": [
            *(shapes.index(thing.shape) for thing in scene.things),
            *(len(shapes) + k for k in stuff),
        ],
        "isthing": [True] * things + [False] * len(stuff),
        "iscrowd": [False] * (things + len(stuff)),
    }
    rgb = np.zeros((*ids.shape, 3), dtype=np.uint8)
    rgb[..., 0] = ids
    return {"annotation": _png(rgb), "segments": segments}


_ROWS = {
    schema.CLASSIFICATION: _classification,
    schema.DETECTION: _detection,
    schema.INSTANCE: _instance,
    schema.SEMANTIC: _semantic,
    schema.PANOPTIC: _panoptic,
}
TASKS = tuple(_ROWS)
"""The tasks for which scenes have labels."""


def _png(pixels: np.ndarray) -> dict[str, Any]:
    file = io.BytesIO()
    # the fastest compression: noise has no repetitions, and maps are runs of one value
    Image.fromarray(pixels).save(file, "PNG", compress_level=1, compress_type=zlib.Z_RLE)
    return {"path": None, "bytes": file.getvalue()}


# --- arguments ------------------------------------------------------------------------------------


@cache
def _code() -> str:
    """A hash of the code of this package; the scenes depend on it and on the arguments."""
    digest = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _whole(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise UsageError(f"{name} is {value!r}.", f"Use an integer of at least {least}.")
    return int(value)


def _size(size: Any) -> tuple[int, int]:
    if isinstance(size, str) or not isinstance(size, Sequence) or len(size) != 2:
        raise UsageError(f"size is {size!r}.", "Use a side or (height, width) in pixels.")
    return _whole("height", size[0], MIN_SIDE), _whole("width", size[1], MIN_SIDE)


def _known_shapes(names: Sequence[str]) -> tuple[str, ...]:
    if isinstance(names, str):
        raise UsageError(f"shapes is the text {names!r}.", f"Pass a list: [{names!r}].")
    if not isinstance(names, Sequence):
        raise UsageError(f"shapes is {names!r}.", f"Use a list of names: {', '.join(FORMS)}.")
    names = tuple(names)
    for name in names:
        if not isinstance(name, str) or name not in FORMS:
            hint = nearest(str(name), FORMS) or f"Known: {', '.join(FORMS)}."
            raise UsageError(f"There is no shape {name!r}.", hint)
    if not names or len(set(names)) < len(names):
        raise UsageError(f"shapes is {list(names)}.", "Name at least one shape, and each once.")
    return names


def _ranges(colours: Any) -> tuple[Range, Range, Range]:
    hint = "Use three pairs (low, high): hue in 0..720 degrees, saturation and value in 0..1."
    try:
        ranges = tuple((float(low), float(high)) for low, high in colours)
    except (TypeError, ValueError) as error:
        raise UsageError(f"colours is {colours!r}.", hint) from error
    if len(ranges) != 3 or not all(
        0 <= low <= high <= most for (low, high), most in zip(ranges, (720, 1, 1), strict=False)
    ):
        raise UsageError(f"colours is {colours!r}.", hint)
    return ranges
