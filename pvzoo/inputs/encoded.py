"""Encoded images: opened by PIL within limits, decoded, and turned upright.

Files say what they like. Before any pixel is decoded a file is refused that has too many pixels,
that is a program (EPS), or whose tags claim more bytes than it has.
"""

from __future__ import annotations

import io
import struct
import threading
from pathlib import Path
from typing import BinaryIO

from PIL import ExifTags, Image

from pvzoo.errors import ImageError, warn_of_image
from pvzoo.inputs.limits import check_pixels
from pvzoo.inputs.names import shown

UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""How an image of each EXIF orientation is turned upright."""

ONE_IMAGE_FORMATS = frozenset({"MPO", "JPEG"})
"""Formats whose further frames are not pages or animation: MPO is what phones call a JPEG with a
preview or a depth map behind the photograph."""

PIL_LOCK = threading.Lock()
"""One PIL image may be in two places of a list, and PIL's decoders do not expect two threads."""

_TIFF = tuple(order + bytes(kind) for order in (b"II", b"MM") for kind in ((42, 0), (0, 42)))
_TIFF += (b"II\x2b\0", b"MM\0\x2b")
_EXIF = b"Exif\0\0"
_SLACK = 2**24  # bytes, for small files whose tags share a value
# Bytes of a value of each type that tags have.
_TAG_SIZES = dict(enumerate((1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4), start=1)) | {16: 8}


def opened(data: Path | bytes | BinaryIO) -> Image.Image:
    """An image that PIL has open, and has decoded nothing of yet.

    Raises:
        ImageError: It is beyond a limit.
        Exception: PIL raises many things for what is no image.
    """
    if isinstance(data, Path):
        if not data.is_file():  # a pipe would be waited for
            raise ImageError("is not a file.", "Check the path.")
        with data.open("rb") as file:
            check_tags(file)
    else:
        data = io.BytesIO(data) if isinstance(data, bytes) else data
        check_tags(data)
        data.seek(0)
    image = Image.open(data)
    try:
        if image.format == "EPS":
            raise ImageError(
                "is PostScript, a program that would have to run.", "Save the image as PNG."
            )
        check_pixels(image.size, image.format, image.mode)
    except ImageError:
        image.close()
        raise
    return image


def header(
    data: Path | bytes | BinaryIO, upright: tuple[int, int] | None = None
) -> tuple[tuple[int, int], int]:
    """(width, height) of the stored pixels, and EXIF's orientation, without decoding the image.

    Args:
        data: The file.
        upright: The size of the image turned upright, if that is known: a PNG of another size
            is decoded, for its EXIF may come behind the pixels.

    Raises:
        Exception: As `opened`.
    """
    with opened(data) as image:
        told = image.format != "PNG" or "exif" in image.info or upright not in (None, image.size)
        return image.size, orientation(image) if told else 1


def orientation(image: Image.Image) -> int:
    """EXIF's, from 1 to 8; 1 where none is told, or by a note that is broken."""
    try:
        note = image.info.get("exif", b"")
        if not _fits(io.BytesIO(note.removeprefix(_EXIF))):
            return 1
        found = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # an image is no worse for a broken note beside it
        return 1
    return found if found in UPRIGHT else 1


def upright(image: Image.Image, turn: int) -> Image.Image:
    """An image turned as its orientation says."""
    return image.transpose(UPRIGHT[turn]) if turn in UPRIGHT else image


def upright_size(size: tuple[int, int], turn: int) -> tuple[int, int]:
    """What (width, height) of the stored pixels become in the image turned upright."""
    return size[::-1] if turn >= 5 else size


def warn_of_frames(image: Image.Image, name: str) -> None:
    """Say of an image with several frames or pages that the first one is used."""
    # how many there are would take minutes to find out for some files
    several = getattr(image, "is_animated", False)
    if several and image.tell() == 0 and image.format not in ONE_IMAGE_FORMATS:
        warn_of_image(f"{shown(name)} has several frames or pages; the first one is used.", 6)


# --- tags -----------------------------------------------------------------------------------------


def check_tags(file: BinaryIO) -> None:
    """Refuse a TIFF or JPEG that says over and over that the same bytes are the value of a tag.

    PIL would hold a copy for each tag.
    """
    start = file.read(4)
    note = _exif_of_jpeg(file) if start.startswith(b"\xff\xd8") else b""
    if (start in _TIFF and not _fits(file)) or not _fits(io.BytesIO(note)):
        raise ImageError("has tags that claim more bytes than it has.", "Save it without EXIF.")


def _exif_of_jpeg(file: BinaryIO) -> bytes:
    """What PIL puts together from the segments before the image."""
    note = b""
    file.seek(2)
    while True:
        head = file.read(4)
        if len(head) < 4 or head[0] != 0xFF or head[1] in (0xD9, 0xDA):
            return note
        size = max(0, int.from_bytes(head[2:], "big") - 2)
        if head[1] != 0xE1:
            file.seek(size, io.SEEK_CUR)
        elif (segment := file.read(size)).startswith(_EXIF):
            note += segment.removeprefix(_EXIF)


def _fits(file: BinaryIO) -> bool:
    """Whether the values in the first directory of a TIFF, or of EXIF, may lie side by side.

    What lies beyond the end does not count: PIL does not read it.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    start = file.read(16)
    order, big = ("<" if start.startswith(b"II") else ">"), 43 in start[2:4]
    entry = struct.Struct(order + ("HHQQ" if big else "HHII"))
    try:
        (index,) = struct.unpack_from(order + ("Q" if big else "I"), start, 8 if big else 4)
        file.seek(index)
        (count,) = struct.unpack(order + ("Q" if big else "H"), file.read(8 if big else 2))
    except (struct.error, OverflowError, ValueError, OSError):
        return True  # too short to be one: PIL will say so
    entries = file.read(min(count * entry.size, size))
    whole = entries[: len(entries) // entry.size * entry.size]
    values = ((n * _TAG_SIZES.get(kind, 0), at) for _, kind, n, at in entry.iter_unpack(whole))
    claimed: int = sum(length for length, at in values if at + length <= size)
    return claimed <= size + _SLACK


def no_image(head: bytes) -> tuple[str, str]:
    """What a file that PIL does not know may be, by its first bytes, and the way out."""
    if head.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, not the image itself.", "Fetch it with: git lfs pull"
    if head[4:12] in (b"ftypheic", b"ftypheix", b"ftyphevc", b"ftypmif1", b"ftypmsf1"):
        return (
            "is a HEIC image, which PIL alone cannot read.",
            "Install pillow-heif and call pillow_heif.register_heif_opener(), or save it as JPEG.",
        )
    if head.lstrip()[:1] == b"<":
        return "is a web page, XML or SVG, not an image of pixels.", "Save the image as PNG."
    return (
        "is not an image in a format PIL can read.",
        "Use a JPEG, PNG, WebP, BMP, GIF or TIFF file.",
    )
