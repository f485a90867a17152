"""Rules about formats: what they write they read, and damaged files are refused in a sentence."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pvzoo.data.formats.base import DataSource, Format
from pvzoo.data.paths import Area
from pvzoo.data.schema import DETECTION, class_names
from pvzoo.errors import DataError
from pvzoo.plugins import registry
from pvzoo.testing.plugin_rules import InstalledPlugin
from pvzoo.testing.rules import Broken, NotApplicable, error_line, must, rule
from pvzoo.testing.scenes import scenes

_IMAGES = {".png", ".jpg", ".jpeg", ".webp", ".bmp"}
_SIDE = 0.1
"""How far the side of a box may move, in pixels: some formats round."""


@rule("Let `splits` read all that `write` writes: images, classes and boxes.")
def formats_round_trip(plugin: InstalledPlugin) -> None:
    """Scenes that a format of boxes writes are read back with the same boxes and classes."""
    for form in _of_boxes(plugin):
        with tempfile.TemporaryDirectory() as home:
            wanted = scenes(3)
            read = _read(form, _written(form, wanted, Path(home)))
            must(len(read) == 1, f"{form.title}: it has {len(read)} splits; one was written.")
            before, after = _objects(wanted), _objects(read[0])
            must(
                before.keys() == after.keys(),
                f"{form.title}: {len(before.keys() & after.keys())} of {len(before)} images are "
                "the same.",
            )
            for image, boxes in before.items():
                must(
                    [name for name, _ in boxes] == [name for name, _ in after[image]]
                    and np.allclose(
                        [box for _, box in boxes], [box for _, box in after[image]], atol=_SIDE
                    ),
                    f"{form.title}: {boxes} was written; {after[image]} was read.",
                )


@rule("Raise a `DataError` that names the file and the place; see docs/plugins.md, 'A format'.")
def formats_refuse_damage(plugin: InstalledPlugin) -> None:
    """A damaged label file of a format of boxes gives a DataError in one line, or can be read."""
    for form in _of_boxes(plugin):
        with tempfile.TemporaryDirectory() as home:
            folder = _written(form, scenes(2), Path(home))
            for file in sorted(folder.rglob("*")):
                if file.is_file() and file.suffix.lower() not in _IMAGES:
                    _check_damaged(form, folder, file)


def _check_damaged(form: type[Format], folder: Path, file: Path) -> None:
    whole = file.read_bytes()
    half = whole[: len(whole) // 2]
    damaged = {
        "cut in the middle": half,
        "empty": b"",
        "of random bytes": np.random.default_rng(0).bytes(200),
        "with text for numbers": whole.translate(bytes.maketrans(b"0123456789", b"abcdefghij")),
    }
    for how, content in damaged.items():
        file.write_bytes(content)
        try:
            _read(form, folder)
        except DataError as error:
            must("\n" not in error.what, f"{form.title}, {file.name} {how}: {error.what!r}.")
        except Exception as error:
            line = error_line(error)
            raise Broken(f"{form.title}, {file.name} {how}: {line}") from error
    file.write_bytes(whole)


def _of_boxes(plugin: InstalledPlugin) -> Iterator[type[Format]]:
    """The formats that can write object detection; skips the rule if there are none."""
    forms = [registry.load_part(part) for part in plugin.parts("formats")]
    found = [form for form in forms if DETECTION in form.writes]
    if not found:
        raise NotApplicable("Its formats do not write boxes.")
    yield from found


def _written(form: type[Format], data: Any, home: Path) -> Path:
    from pvzoo.data.copies import Parts

    folder = home / "written"
    folder.mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what the format cannot store
        form.write(Parts.of({None: data}, None), folder)
    return folder


def _read(form: type[Format], folder: Path) -> list[Any]:
    """The datasets of all splits of a folder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parts = form.splits(DataSource(folder, Area.of(folder, allow_outside=False)))
        return [part.read(DETECTION) for part in parts]


def _objects(data: Any) -> dict[bytes, list[tuple[str, list[float]]]]:
    """The pixels of each image -> the classes and boxes in it, in a fixed order."""
    names = class_names(data.features)
    return {
        np.asarray(row["image"].convert("RGB")).tobytes(): sorted(
            (names[label], [float(side) for side in box])
            for label, box in zip(row["objects"]["category"], row["objects"]["bbox"], strict=True)
        )
        for row in data
    }


FORMAT_RULES = (formats_round_trip, formats_refuse_damage)
