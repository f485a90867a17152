"""Open encoded images with PIL within limits, and turn them upright.

Files may be hostile. Before any pixel is decoded, a file is refused if it has too many pixels, if
it is a program (EPS), if it is of a format that holds other image files (as icons do), or if its
tags claim more bytes than it has.
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
"""How to turn an image upright, by its EXIF orientation."""

ONE_IMAGE_FORMATS = frozenset({"MPO", "JPEG"})
"""Formats whose further frames are not pages or animation. MPO is a JPEG of a phone with a preview
or a depth map after the photograph."""

CONTAINERS = frozenset({"BLP", "CUR", "ICNS", "ICO", "IPTC"})
"""Formats that hold other image files, which PIL decodes when it opens them: the size in the header
does not limit the pixels."""

PIL_LOCK = threading.Lock()
"""One PIL image may occur twice in a list, and PIL's decoders are not safe for two threads."""

_TIFF = tuple(order + bytes(kind) for order in (b"II", b"MM") for kind in ((42, 0), (0, 42)))
_TIFF += (b"II\x2b\0", b"MM\0\x2b")
_EXIF = b"Exif\0\0"
_SLACK = 2**24  # bytes, for small files whose tags share a value
# Bytes of a value of each type that tags have.
_TAG_SIZES = dict(enumerate((1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4), start=1)) | {16: 8}


def formats() -> tuple[str, ...]:
    """The formats that are read: those of PIL and its plugins, without `CONTAINERS`."""
    Image.preinit()  # the usual formats are tried first
    Image.init()
    return tuple(format for format in Image.ID if format not in CONTAINERS)


def opened(data: Path | bytes | BinaryIO) -> Image.Image:
    """Open an image with PIL, without decoding it.

    Raises:
        ImageError: The image is beyond a limit.
        Exception: PIL raises many types for data that is not an image.
    """
    if isinstance(data, Path):
        if not data.is_file():  # reading a pipe would wait
            raise ImageError("is not a file.", "Check the path.")
        with data.open("rb") as file:
            check_tags(file)
    else:
        data = io.BytesIO(data) if isinstance(data, bytes) else data
        check_tags(data)
        data.seek(0)
    image = Image.open(data, formats=formats())
    try:
        if image.format == "EPS":
            raise ImageError(
                "is PostScript, a program that pvzoo does not run.", "Save the image as PNG."
            )
        check_pixels(image.size, image.format, image.mode)
    except ImageError:
        image.close()
        raise
    return image


def header(
    data: Path | bytes | BinaryIO, upright: tuple[int, int] | None = None
) -> tuple[tuple[int, int], int]:
    """(width, height) of the stored pixels, and the EXIF orientation, without decoding the image.

    Args:
        data: The file.
        upright: The size of the upright image, if it is known. If the stored size of a PNG differs,
            the PNG is decoded, because its EXIF may come after the pixels.

    Raises:
        Exception: As `opened`.
    """
    with opened(data) as image:
        needed = image.format != "PNG" or "exif" in image.info or upright not in (None, image.size)
        return image.size, orientation(image) if needed else 1


def orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 if there is none or the EXIF is broken."""
    try:
        note = image.info.get("exif", b"")
        if not _fits(io.BytesIO(note.removeprefix(_EXIF))):
            return 1
        found = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # the image is still good if its EXIF is broken
        return 1
    return found if found in UPRIGHT else 1


def upright(image: Image.Image, turn: int) -> Image.Image:
    """An image turned upright; `turn` is its EXIF orientation."""
    return image.transpose(UPRIGHT[turn]) if turn in UPRIGHT else image


def upright_size(size: tuple[int, int], turn: int) -> tuple[int, int]:
    """(width, height) of the upright image, given that of the stored pixels."""
    return size[::-1] if turn >= 5 else size


def warn_of_frames(image: Image.Image, name: str) -> None:
    """Warn that only the first of several frames or pages is used."""
    # counting the frames would take minutes for some files
    several = getattr(image, "is_animated", False)
    if several and image.tell() == 0 and image.format not in ONE_IMAGE_FORMATS:
        warn_of_image(f"{shown(name)} has several frames or pages; the first one is used.", 6)


# --- tags -----------------------------------------------------------------------------------------


def check_tags(file: BinaryIO) -> None:
    """Refuse a TIFF or JPEG in which many tags claim the same bytes as their value.

    PIL would keep a copy for each tag.
    """
    start = file.read(4)
    note = _exif_of_jpeg(file) if start.startswith(b"\xff\xd8") else b""
    if (start in _TIFF and not _fits(file)) or not _fits(io.BytesIO(note)):
        raise ImageError(
            "has tags that claim more bytes than the file has.", "Save it without EXIF."
        )


def _exif_of_jpeg(file: BinaryIO) -> bytes:
    """The EXIF that PIL joins from the segments before the image."""
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
    """Whether a TIFF or EXIF is large enough for the values in its first directory.

    Values beyond the end do not count: PIL does not read them.
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
        return True  # too short for a TIFF: PIL will raise an error
    entries = file.read(min(count * entry.size, size))
    whole = entries[: len(entries) // entry.size * entry.size]
    values = ((n * _TAG_SIZES.get(kind, 0), at) for _, kind, n, at in entry.iter_unpack(whole))
    claimed: int = sum(length for length, at in values if at + length <= size)
    return claimed <= size + _SLACK


def no_image(head: bytes) -> tuple[str, str]:
    """The message and hint for a file that PIL does not know, judged by its first bytes."""
    if head.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, not the image itself.", "Download it with: git lfs pull"
    if head[4:12] in (b"ftypheic", b"ftypheix", b"ftyphevc", b"ftypmif1", b"ftypmsf1"):
        return (
            "is a HEIC image, which PIL alone cannot read.",
            "Install pillow-heif and call pillow_heif.register_heif_opener(), or save it as JPEG.",
        )
    if head[4:8] == b"ftyp" or head[:4] == b"\x1aE\xdf\xa3" or head[8:12] == b"AVI ":
        return "is a video, not an image.", "Use model.stream(file) for its frames."
    if head[:4] in (b"\0\0\1\0", b"\0\0\2\0", b"icns", b"BLP1", b"BLP2"):
        return (
            "is an icon or another file that holds images, which pvzoo does not read.",
            "Save the image as PNG.",
        )
    if head.lstrip()[:1] == b"<":
        return "is a web page, XML or SVG, not an image of pixels.", "Save the image as PNG."
    return (
        "is not an image in a format that pvzoo reads.",
        "Use a JPEG, PNG, WebP, BMP, GIF or TIFF file.",
    )
