"""Small files that say they are large images."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

from PIL import Image

SIDE = 9400  # just within PIL's limit of 89 megapixels


def tiff(bits: int, samples: int, meaning: int, *, kind: int = 1, **tags: list[int]) -> bytes:
    """A TIFF whose strips all lie at one place of the file.

    `meaning` is its photometric interpretation, `kind` its sample format; `tags` are more.
    """
    row = SIDE * samples * bits // 8
    strip = zlib.compress(bytes(100 * row), 1)
    count = SIDE // 100
    values: dict[int, tuple[str, list[int]]] = {
        256: ("I", [SIDE]),
        257: ("I", [SIDE]),
        258: ("H", [bits] * samples),
        259: ("H", [8]),
        262: ("H", [meaning]),
        273: ("I", [8] * count),
        277: ("H", [samples]),
        278: ("I", [100]),
        279: ("I", [len(strip)] * count),
        339: ("H", [kind] * samples),
        **{_TAGS[name]: ("H", list(value)) for name, value in tags.items()},
    }
    body, entries = strip, b""
    for tag, (code, numbers) in sorted(values.items()):
        data = struct.pack(f"<{len(numbers)}{code}", *numbers)
        if len(data) > 4:
            body += bytes(len(body) % 2)
            index = struct.pack("<I", 8 + len(body))
            body += data
        else:
            index = data.ljust(4, b"\0")
        entries += struct.pack("<HHI", tag, {"H": 3, "I": 4}[code], len(numbers)) + index
    start = struct.pack("<2sHI", b"II", 42, 8 + len(body))
    return start + body + struct.pack("<H", len(values)) + entries + bytes(4)


_TAGS = {"orientation": 274, "extra": 338, "colours": 320}


def bmp() -> bytes:
    """A BMP that skips from line to line."""
    skips = bytes([0, 2, 0, 255]) * (SIDE // 255) + bytes([0, 2, 0, SIDE % 255, 0, 1])
    start = 54 + 8
    head = struct.pack("<2sIHHI", b"BM", start + len(skips), 0, 0, start)
    about = struct.pack("<IiiHHIIiiII", 40, SIDE, SIDE, 1, 8, 1, len(skips), 0, 0, 2, 0)
    return head + about + bytes(8) + skips


def of_pil(mode: str, format: str, side: int = SIDE, **options: object) -> bytes:
    """An image of one colour."""
    file = io.BytesIO()
    Image.new(mode, (side, side)).save(file, format, **options)
    return file.getvalue()


def overlapping_tags(count: int = 60_000, size: int = 400_000) -> bytes:
    """A TIFF each of whose tags says that the whole file is its value."""
    entries = b"".join(struct.pack("<HHII", 1000 + i, 1, size, 8) for i in range(count))
    body = struct.pack("<H", count) + entries + bytes(4)
    return struct.pack("<2sHI", b"II", 42, 8) + body + bytes(size)


def jpeg_with_exif() -> bytes:
    """A JPEG whose EXIF, in many segments, is such a TIFF."""
    note = overlapping_tags()
    segments = b""
    for start in range(0, len(note), 65_000):
        part = b"Exif\0\0" + note[start : start + 65_000]
        segments += struct.pack(">HH", 0xFFE1, len(part) + 2) + part
    file = io.BytesIO()
    Image.new("RGB", (32, 24), "red").save(file, "JPEG")
    return file.getvalue()[:2] + segments + file.getvalue()[2:]


def png_with_exif() -> bytes:
    """A PNG whose EXIF is such a TIFF."""
    file = io.BytesIO()
    Image.new("RGB", (32, 24), "red").save(file, "PNG", exif=overlapping_tags())
    return file.getvalue()


def pages(count: int) -> bytes:
    """A TIFF of many pages of which only the first has an image."""
    file = io.BytesIO()
    Image.new("L", (32, 24)).save(file, "TIFF")
    data = bytearray(file.getvalue())
    (start,) = struct.unpack_from("<I", data, 4)
    (tags,) = struct.unpack_from("<H", data, start)
    struct.pack_into("<I", data, start + 2 + 12 * tags, len(data))
    first = len(data)
    for i in range(count):
        data += struct.pack("<HI", 0, first + 6 * (i + 1) if i + 1 < count else 0)
    return bytes(data)


def frames(count: int) -> bytes:
    """A GIF of many frames of one pixel."""
    frame = b",\0\0\0\0\1\0\1\0\0\2\2D\1\0"
    return b"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff" + frame * count + b";"


BOMBS: dict[str, Callable[[], bytes]] = {
    "grey.tif": lambda: tiff(8, 1, 1),
    "grey16.tif": lambda: tiff(16, 1, 1),
    "float.tif": lambda: tiff(32, 1, 1, kind=3),
    "grey-alpha.tif": lambda: tiff(8, 2, 1, extra=[2]),
    "palette.tif": lambda: tiff(8, 1, 3, colours=[0] * 768),
    "rgba.tif": lambda: tiff(8, 4, 2, extra=[2]),
    "turned.tif": lambda: tiff(8, 3, 2, orientation=[6]),
    "cmyk.tif": lambda: tiff(8, 4, 5),
    "lab.tif": lambda: tiff(8, 3, 8),
    "skips.bmp": bmp,
    "lossless.webp": lambda: of_pil("RGB", "WEBP", 4096, lossless=True),
    "tags.tif": overlapping_tags,
    "exif.jpg": jpeg_with_exif,
    "exif.png": png_with_exif,
    "pages.tif": lambda: pages(30_000),
    "frames.gif": lambda: frames(300_000),
}
"""By their names."""
