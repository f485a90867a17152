"""Read parts of an image: of one in memory, or of a huge TIFF, whose parts are read from the file.

A TIFF is stored in tiles or strips. If it has more pixels or bytes than an image may have, only
those are read and decoded that a part of the image needs. Files in other formats can only be read
from their beginning, so they stay below the limits of `pvzoo.inputs.limits`.
"""

from __future__ import annotations

import io
import math
import threading
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image, UnidentifiedImageError

from pvzoo.errors import ImageError, PvzooError, error_message
from pvzoo.extras import is_installed
from pvzoo.inputs import limits
from pvzoo.inputs.encoded import check_tags
from pvzoo.inputs.images import ImageHandle
from pvzoo.inputs.names import shown
from pvzoo.inputs.pixels import to_rgb, to_uint8
from pvzoo.tiles.geometry import Area, Size

SHRUNK = 4096
"""The longest side to which a huge image is scaled down, in pixels."""

_BLOCK = 2**22
"""How many pixels of a huge image are read at once to scale it down."""
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_UPRIGHT = 1
_KINDS = {0: "WhiteIsZero", 1: "BlackIsZero", 2: "RGB", 6: "YCbCr"}


class Source(Protocol):
    """An image of which parts can be read, by several threads."""

    size: Size
    """(height, width) in pixels."""

    def read(self, area: Area) -> Image.Image:
        """A part of the image, as RGB."""

    def whole(self) -> Image.Image:
        """The whole image, perhaps scaled down by a whole number."""

    def close(self) -> None:
        """Close its file."""

    def check_whole(self) -> None:
        """Refuse an image that cannot be read at once."""


def open_source(handle: ImageHandle) -> Source:
    """Open an image for reading parts of it.

    Raises:
        ImageError: It cannot be read, or it is too large and cannot be read in parts.
    """
    if isinstance(handle.data, Path) and _is_huge_tiff(handle.data):
        return TiffSource(handle)
    try:
        return MemorySource(handle.open_to_read())
    except ImageError as error:
        if isinstance(handle.data, Path) and "allowed" in error.what:
            error.hint = f"{error.hint} {_IN_PARTS}"
            error.args = (f"{error.what} {error.hint}",)
        raise


_IN_PARTS = (
    'Or save it as a TIFF in tiles, and run pip install "pvzoo[large]": then it is read in parts.'
)


class MemorySource:
    """An image that is decoded."""

    def __init__(self, image: Image.Image) -> None:
        self._image = image
        self.size = (image.height, image.width)

    def read(self, area: Area) -> Image.Image:
        """A part of the image."""
        return self._image.crop((area.left, area.top, area.right, area.bottom))

    def whole(self) -> Image.Image:
        """The image itself."""
        return self._image

    def close(self) -> None:
        """It has no file."""

    def check_whole(self) -> None:
        """It is in memory already."""


_IMAGES = (6, 7, 33003, 33004, 33005, 33007, 34712, 34892, 34933, 34934, 50001)
"""Compressions of TIFF whose pieces are images of their own: JPEG, JPEG 2000, WebP."""


class TiffSource:
    """A TIFF that is read by windows.

    Raises:
        ImageError: Its pixels are of another kind than 8 or 16 bit grey or RGB, or it is stored in
            pieces that are too large.
    """

    def __init__(self, handle: ImageHandle) -> None:
        import tifffile

        self._handle = handle
        self._file = tifffile.TiffFile(handle.data)
        self._page: Any = self._file.pages.first
        self._lock = threading.Lock()
        self.size = (int(self._page.imagelength), int(self._page.imagewidth))
        try:
            self._check()
        except ImageError:
            self.close()
            raise

    def _check(self) -> None:
        page = self._page
        orientation = page.tags.get("Orientation")
        turned = orientation is not None and int(orientation.value) != _UPRIGHT
        plain = page.samplesperpixel == 1 or page.planarconfig == 1
        if page.dtype not in (np.uint8, np.uint16) or page.photometric not in _KINDS or not plain:
            raise _refused(
                self._handle,
                "is a huge TIFF whose pixels are not grey or RGB with 8 or 16 bits, or whose "
                "channels are stored one after the other.",
                "Save it as RGB with 8 bits, in tiles.",
            )
        if turned or page.imagedepth != 1:
            raise _refused(
                self._handle,
                "is a huge TIFF that is turned or has several layers.",
                "Save it upright and flat, in tiles.",
            )
        self._piece = (
            (page.tilelength, page.tilewidth)
            if page.is_tiled
            else (min(page.rowsperstrip, self.size[0]), self.size[1])
        )
        if math.prod(self._piece) > limits.most_pixels():
            raise _refused(
                self._handle,
                f"is a huge TIFF that is stored in pieces of {self._piece[1]:,} x "
                f"{self._piece[0]:,} pixels, which cannot be read one by one.",
                "Save it in tiles, such as 512 x 512.",
            )

    def read(self, area: Area) -> Image.Image:
        """A part of the image; the pieces of the file that it needs are decoded.

        Raises:
            ImageError: It has too many pixels, or a piece is damaged.
        """
        height, width = area.size
        try:
            limits.check_pixels((width, height))
            return self._read(area)
        except ImageError as error:
            raise _refused(self._handle, error.what, error.hint) from error
        except PvzooError:
            raise
        except Exception as error:
            what = f"is damaged, or has an unknown compression ({error_message(error)})."
            raise _refused(self._handle, what, "Save it again, in tiles.") from error

    def _read(self, area: Area) -> Image.Image:
        page, (high, wide) = self._page, self._piece
        samples = int(page.samplesperpixel)
        pixels = np.zeros((*area.size, samples), page.dtype)
        across = -(-self.size[1] // wide)
        more: dict[str, Any] = {}
        if page.compression in (6, 7, 33007, 34892):
            more = {"jpegtables": page.jpegtables, "jpegheader": page.jpegheader}
        for row in range(area.top // high, -(-area.bottom // high)):
            for column in range(area.left // wide, -(-area.right // wide)):
                index = row * across + column
                count = int(page.databytecounts[index])
                if count == 0:  # left out: zeros
                    continue
                if count > limits.MAX_BYTES:
                    raise ImageError("has a piece with too many bytes.", "Save it in tiles.")
                with self._lock:
                    self._file.filehandle.seek(int(page.dataoffsets[index]))
                    data = self._file.filehandle.read(count)
                if page.compression in _IMAGES:
                    _check_held(data, high, wide)
                piece, _, _ = page.decode(data, index, **more)
                if piece is None:
                    continue
                piece = piece.reshape(-1, *piece.shape[-2:])
                top, left = row * high, column * wide
                y0, y1 = max(area.top, top), min(area.bottom, top + piece.shape[0])
                x0, x1 = max(area.left, left), min(area.right, left + piece.shape[1])
                pixels[y0 - area.top : y1 - area.top, x0 - area.left : x1 - area.left] = piece[
                    y0 - top : y1 - top, x0 - left : x1 - left
                ]
        return self._rgb(pixels)

    def _rgb(self, pixels: np.ndarray) -> Image.Image:
        eight = to_uint8(pixels.shape, pixels.dtype, lambda rows: pixels[rows])
        if self._page.photometric == 0:
            eight[..., 0] = 255 - eight[..., 0]
        if eight.shape[2] in (1, 2):
            return to_rgb(Image.fromarray(eight[..., 0]))
        return to_rgb(Image.fromarray(np.ascontiguousarray(eight[..., :4])))

    def whole(self) -> Image.Image:
        """The image, scaled down by a whole number so that no side is longer than `SHRUNK`."""
        factor = -(-max(self.size) // SHRUNK)
        height, width = (-(-side // factor) for side in self.size)
        image = Image.new("RGB", (width, height))
        rows, columns = (max(factor, side // factor * factor) for side in self._block())
        for top in range(0, self.size[0], rows):
            for left in range(0, self.size[1], columns):
                area = Area(
                    top,
                    left,
                    min(top + rows, self.size[0]),
                    min(left + columns, self.size[1]),
                )
                image.paste(self.read(area).reduce(factor), (left // factor, top // factor))
        return image

    def _block(self) -> Size:
        """(height, width) of the pieces that are read at once, to scale the image down."""
        height, width = self._piece
        most = min(_BLOCK, limits.most_pixels())
        while 2 * height * width <= most:
            if width <= height and width < self.size[1]:
                width *= 2
            elif height < self.size[0]:
                height *= 2
            else:
                break
        return height, width

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def check_whole(self) -> None:
        """It is too large for one tile.

        Raises:
            ImageError: Always.
        """
        height, width = self.size
        what, hint = limits.too_many_pixels(limits.most_pixels(), f"it is {width:,} x {height:,}")
        raise _refused(self._handle, what, f"Use smaller tiles. {hint}")


def _check_held(data: bytes, high: int, wide: int) -> None:
    """Refuse a piece whose bytes are an image that is larger than the file states.

    Raises:
        ImageError: It is larger. It would be decoded as a whole.
    """
    try:
        with Image.open(io.BytesIO(data)) as held:
            fits = held.width <= wide and held.height <= high
    except UnidentifiedImageError:  # what Pillow does not know is left to the decoder
        return
    except Image.DecompressionBombError:
        fits = False
    if not fits:
        raise ImageError("has a piece that is larger than it states.", "Save it again.")


def _is_huge_tiff(path: Path) -> bool:
    """Whether a file is a TIFF that is larger than an image in memory may be, and can be opened."""
    try:
        if not path.is_file() or not is_installed("tifffile"):
            return False
        with path.open("rb") as file:
            if file.read(4) not in _TIFF:
                return False
            file.seek(0)
            check_tags(file)
    except (OSError, ImageError):  # `ImageHandle.open` says what is wrong, with the name
        return False
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            page: Any = tiff.pages.first
            pixels = int(page.imagelength) * int(page.imagewidth)
    except Exception:  # PIL says what is wrong with it
        return False
    return path.stat().st_size > limits.MAX_BYTES or pixels > limits.most_pixels()


def _refused(handle: ImageHandle, what: str, hint: str) -> ImageError:
    name = shown(handle.name)
    return ImageError(f"{name} {what}", hint, source=name, index=handle.index)
