"""A format as a plugin brings it: a file of lines, each an image and a box."""

from __future__ import annotations

from pathlib import Path

from pvzoo.data.copies import Names, Parts, copy_image
from pvzoo.data.files import Split, is_file, read_text
from pvzoo.data.formats.annotated import Annotated, Annotations, Shape
from pvzoo.data.formats.base import DataSource, Format
from pvzoo.data.schema import DETECTION


class Lines(Format):
    """``boxes.lines``: the image, the class, left, top, width and height in a line."""

    name = "lines"
    title = "Lines"
    layout = "a boxes.lines"
    reads = (DETECTION,)
    writes = (DETECTION,)

    @staticmethod
    def splits(source: DataSource) -> list[Split]:
        file = source.path / "boxes.lines"
        if not is_file(file):
            return []
        images = []
        for line in read_text(file).splitlines():
            image, label, *numbers = line.split("\t")
            shape = Shape(label, f"{file}: {image}", box=tuple(map(float, numbers)))
            images.append(Annotated(image, (0, 0), (shape,)))
        found = Annotations("Lines", file, [file], source.path, images, (), source.area)
        return found.splits({None: [source.path]})

    @staticmethod
    def write(parts: Parts, folder: Path) -> None:
        lines = []
        for split in parts.splits:
            names = Names(parts.file_names(split))
            for row in parts.rows(split):
                image = copy_image(row, folder, names)
                for category, box in zip(
                    row["objects"]["category"], row["objects"]["bbox"], strict=True
                ):
                    lines.append("\t".join([image, parts.names[category], *map(repr, box)]))
        (folder / "boxes.lines").write_text("".join(f"{line}\n" for line in lines))
