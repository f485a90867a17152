"""Read anything that may be called an image as one upright RGB image.

These are the rules:

* **Orientation**: the EXIF orientation is applied; all boxes and masks are in the upright image.
* **Colour**: everything becomes 8-bit RGB. Transparent pixels are laid over white. 16-bit grey is
  scaled to 8 bit (PIL alone would clip it to white).
* **Several frames or pages**: the first one is used, with a `PvzooWarning`. A PIL image that is
  already at a later frame means that frame.
* **numpy arrays** are (height, width) or (height, width, channels), **torch tensors** are
  (channels, height, width) or (height, width), with 1, 3 or 4 channels: grey, RGB, RGBA. (OpenCV's
  BGR cannot be distinguished from RGB: pass ``array[..., ::-1]``.)
* **uint8** is used as it is; **bool** is black and white; **uint16** is 0..65535. **Floats** are
  0..1 and other **integers** 0..255. They are refused if a value is outside this range (for floats:
  by more than half a level, which rounding removes).
* PIL's mode **I** is 0..65535, and is refused if its range is not clear; its mode **F** is 0..1.
* **File objects** are read from their start if they can be rewound, as PIL does, else from their
  current position.
* **PostScript** (EPS) is a program and is not run.
* **Icons** (ICO, CUR, ICNS), BLP and IPTC hold other image files and are not read.

These are the limits against hostile input. `PIL.Image.MAX_IMAGE_PIXELS` is PIL's own limit, 89
megapixels by default; half of it is allowed for WebP and LAB and a third for JPEG 2000, which need
more memory and time. `pvzoo.inputs.limits` has `MAX_BYTES` for a file or download, and
`URL_SECONDS` for a whole download. Within these limits, no small file takes 1 GB of memory or two
seconds. An image is also refused if it would have more than 16 megapixels as input of a network.
An image with a side of more than 131,072 pixels is not segmented, and results are not drawn on it.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
from PIL import Image, UnidentifiedImageError

from pvzoo.errors import ImageError, PvzooWarning, let_go
from pvzoo.inputs import encoded
from pvzoo.inputs.kinds import take
from pvzoo.inputs.limits import check_bytes, check_pixels, too_many_pixels
from pvzoo.inputs.names import no_path, shown
from pvzoo.inputs.pixels import to_rgb


@dataclass(frozen=True, eq=False)
class ImageHandle:
    """An input that can be opened more than once, kept in the compact form in which it came.

    Each result has one, so that it can be drawn later without keeping decoded pixels in memory.

    Attributes:
        data: A path, bytes, a PIL image or an array.
        name: The path or URL, or the kind of object; used in messages and JSON.
        index: Its index in the list or stream it came in.
        frame: Its index among all frames of the video it is from, if it is from one.
        time: Seconds since the first frame of that video.
    """

    data: Any = field(repr=False)
    name: str
    index: int = 0
    frame: int | None = None
    time: float | None = None

    @property
    def file_name(self) -> str:
        """The last part of the path or URL; empty if there is neither."""
        place = self.name.partition("?")[0]
        return "" if place.startswith(("data:", "image ")) else Path(place).name

    @classmethod
    def of(cls, source: Any, index: int = 0) -> ImageHandle:
        """Make a handle for any accepted input; file objects and URLs are read here, once.

        Arrays and images in memory are copied, so that the caller may reuse them.

        Raises:
            ImageError: The input has a type that is not accepted, or cannot be read.
        """
        if isinstance(source, ImageHandle):
            return replace(source, index=index)
        data, name = take(source, index)
        return cls(data, name, index)

    def open(self) -> Image.Image:
        """The upright RGB image (mode "RGB").

        Raises:
            ImageError: The image cannot be decoded, is too large, or its numbers break the rules
                above. The error holds no pixels, so errors may be kept.
        """
        return self._read(to_rgb)

    def open_as_is(self) -> Image.Image:
        """The upright image in the mode it is stored in, for maps whose pixels are numbers.

        Raises:
            ImageError: As `open`.
        """
        return self._read(lambda image: image)

    def open_to_read(self) -> Image.Image:
        """As `open`, but the caller must not change the image, which may be that of the handle."""
        return self._read(to_rgb, own=False)

    def _read(
        self, convert: Callable[[Image.Image], Image.Image], *, own: bool = True
    ) -> Image.Image:
        try:
            return self._converted(convert, own)
        except PvzooWarning:  # the caller turned warnings into errors
            raise
        except Exception as error:
            raise self._error(*self._explain(error)) from let_go(error)

    def _converted(self, convert: Callable[[Image.Image], Image.Image], own: bool) -> Image.Image:
        if isinstance(self.data, np.ndarray):
            return convert(Image.fromarray(self.data))
        if isinstance(self.data, Image.Image):
            check_pixels(self.data.size)
            with encoded.PIL_LOCK:
                self.data.load()
                turn = encoded.orientation(self.data)
            converted = encoded.upright(convert(self.data), turn)
            # the caller keeps an object of their own
            return converted.copy() if own and converted is self.data else converted
        if isinstance(self.data, Path):
            _check_path(self.data)
        else:
            check_bytes(len(self.data))
        with encoded.opened(self.data) as image:
            encoded.warn_of_frames(image, self.name)
            image.load()  # this turns a TIFF by itself
            turn = encoded.orientation(image)
            converted = convert(image)
        del image  # two images are enough in memory
        return encoded.upright(converted, turn)

    def _explain(self, error: Exception) -> tuple[str, str]:
        """The message and hint for an error."""
        if isinstance(error, ImageError):
            return error.what, error.hint
        if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
            count = re.search(r"\d+", str(error))
            amount = f"it has {int(count[0]):,}" if count else str(error)
            return too_many_pixels(Image.MAX_IMAGE_PIXELS or 0, amount)
        if isinstance(error, UnidentifiedImageError):
            return encoded.no_image(_head(self.data))
        if isinstance(error, PermissionError):
            return "cannot be read: permission denied.", "Check its permissions."
        if isinstance(error, MemoryError):
            return "needs more memory than there is.", "Make it smaller."
        # PIL raises many types for damaged files
        hint = "Copy or download it again."
        if isinstance(self.data, Image.Image):
            hint = "If its file was closed, call image.load() before that."
        return f"is damaged or incomplete ({shown(str(error))}).", hint

    def _error(self, what: str, hint: str) -> ImageError:
        name = shown(self.name)
        return ImageError(f"{name} {what}", hint, source=name, index=self.index)


class Array(Protocol):
    """A numpy array or a torch tensor, for type checkers."""

    @property
    def __array__(self) -> Callable[..., Any]:
        """Both types have this method."""


OneImage = (
    str
    | os.PathLike[str]
    | bytes
    | bytearray
    | memoryview
    | IO[bytes]
    | Image.Image
    | Array
    | dict[str, Any]
    | ImageHandle
)
"""What `ImageHandle.of` accepts, for type checkers."""


def open_image(source: OneImage) -> Image.Image:
    """Open any accepted input as an upright RGB image; see `pvzoo.inputs.images` for the rules.

    Args:
        source: A path, ``http(s)://`` or ``data:`` URL, bytes, binary file object, PIL image, numpy
            array, torch tensor, or the dict of a `datasets` image column that is not decoded.

    Returns:
        A new image, mode "RGB".

    Raises:
        ImageError: The input cannot be read. The message tells what is wrong with which input, and
            what to do.
    """
    return ImageHandle.of(source).open()


def _check_path(path: Path) -> None:
    """Refuse paths that cannot be images, before they are opened."""
    try:
        size = path.stat().st_size
    except (FileNotFoundError, NotADirectoryError) as error:
        hint = f"Check the path (the current folder is {Path.cwd()})."
        if not path.parent.exists():
            hint = (
                f"There is no folder {shown(str(path.parent))} (the current folder is "
                f"{Path.cwd()})."
            )
        raise ImageError("does not exist.", hint) from error
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise ImageError(*no_path(str(path))) from error
        raise
    except ValueError as error:  # a null character
        raise ImageError(*no_path(str(path))) from error
    if path.is_dir():
        raise ImageError(
            "is a folder, not an image.", "Use model.stream(folder) for all images in a folder."
        )
    if not path.is_file():
        raise ImageError("is a pipe or a device, not a file.", "Pass open(path, 'rb') instead.")
    check_bytes(size)


def _head(data: Path | bytes) -> bytes:
    if isinstance(data, bytes):
        return data[:64]
    with data.open("rb") as file:
        return file.read(64)
