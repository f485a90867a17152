"""``pvzoo sample``: images for trying the other commands."""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from pvzoo.cli.app import Debug, app, err, print_columns
from pvzoo.demo import EXAMPLES
from pvzoo.errors import PvzooError, UsageError, nearest

_ABOUT = {
    "astronaut": ("a woman in a space suit", "pvzoo predict astronaut.jpg --model face-cascade"),
    "chelsea": ("a cat", "pvzoo predict chelsea.jpg"),
    "coffee": ("a cup of espresso", "pvzoo predict coffee.jpg"),
    "scene": ("drawn shapes", "pvzoo predict scene.jpg --task detection"),
}
_SUFFIXES = (".jpg", ".jpeg", ".png")


@app.command()
def sample(
    path: Annotated[
        Path | None,
        typer.Argument(
            help="A file with the name of a sample, such as scene.png, or a folder for all. "
            "Without a path, the samples are listed.",
            metavar="PATH",
        ),
    ] = None,
    debug: Debug = False,
) -> None:
    """Write sample images for trying the other commands."""
    if path is None:
        rows = [(name, *about) for name, about in _ABOUT.items()]
        print_columns(("name", "shows", "try"), rows)
        return
    for file in _write(path.expanduser()):
        err.print(f"wrote {escape(str(file))}")


def _write(path: Path) -> list[Path]:
    """Write one image, or all of them into a folder, and return the files.

    Raises:
        UsageError: No image has that name.
        PvzooError: The file exists already, or cannot be written.
    """
    if path.name in _ABOUT and not path.is_dir():
        path = path.with_name(f"{path.name}.jpg")
    if path.suffix:
        contents = {path: _encoded(path)}
    else:
        contents = {path / f"{name}.jpg": _shipped(name).read_bytes() for name in _ABOUT}
    for file in contents:
        if file.exists():
            raise PvzooError(f"{file} already exists.", "Name another file or folder.")
    for file, content in contents.items():
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        except OSError as error:
            with suppress(OSError):
                file.unlink()  # it may be incomplete
            raise PvzooError(
                f"{file} cannot be written ({error.strerror}).", "Name another file or folder."
            ) from error
    return list(contents)


def _encoded(path: Path) -> bytes:
    """The image that the file is named after, in the format of its suffix."""
    if path.stem not in _ABOUT:
        hint = nearest(path.stem, _ABOUT) or f"The images are {', '.join(_ABOUT)}."
        raise UsageError(f"No image is called {path.stem!r}.", hint)
    if path.suffix.lower() not in _SUFFIXES:
        raise UsageError(
            f"{path.name} does not have the suffix of a format for samples.",
            f"End the name with {' or '.join(_SUFFIXES)}.",
        )
    shipped = _shipped(path.stem)
    if path.suffix.lower() != ".png":
        return shipped.read_bytes()
    from PIL import Image

    buffer = io.BytesIO()
    with Image.open(shipped) as image:
        image.save(buffer, "PNG")
    return buffer.getvalue()


def _shipped(name: str) -> Path:
    return EXAMPLES / f"{name}.jpg"
