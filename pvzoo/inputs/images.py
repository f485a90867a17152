"""Any input a person may call an image -> one upright RGB picture.

The rules, so that nothing has to be guessed:

* **Orientation**: the EXIF orientation is applied; all boxes and masks are in the upright picture.
* **Colour**: everything becomes 8-bit RGB. Transparent pixels are laid over white. 16-bit grey is
  scaled to 8 bit (PIL alone would clip it to white).
* **Several frames or pages**: the first one, said in a `PvzooWarning`. A PIL image that is already
  at a later frame stands for that frame.
* **numpy arrays** are (height, width) or (height, width, channels), **torch tensors** are
  (channels, height, width) or (height, width), with 1, 3 or 4 channels: grey, RGB, RGBA. (OpenCV's
  BGR looks the same and cannot be told apart: pass ``array[..., ::-1]``.)
* **uint8** is taken as it is; **bool** is black and white; **uint16** is 0..65535; **floats** are
  0..1 and other **integers** 0..255, and are refused when a value lies outside (for floats: by
  more than the half level that rounding takes away).
* PIL's mode **I** is 0..65535, and refused where that is a guess; its mode **F** is 0..1.
* **File objects** are read from their start if they can be rewound, as PIL does, else from where
  they stand.

* **PostScript** (EPS) is a program and is not run.

Limits against hostile input: `PIL.Image.MAX_IMAGE_PIXELS` (PIL's own switch, 89 megapixels unless
set; half of it for WebP and LAB and a third for JPEG 2000, which take more memory and time),
`MAX_BYTES` for a file or download, `URL_SECONDS` for a download as a whole. Within them no small
file takes 1 GB of memory, or two seconds. A picture is also refused that would become one of more
than 16 megapixels for a network. One with a side of more than 131,072 pixels is not segmented, and
results are not drawn on it.
"""

from __future__ import annotations

import base64
import binascii
import errno
import os
import re
import sys
import threading
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from pvzoo.errors import ImageError, PvzooWarning, let_go, warn_of_image
from pvzoo.inputs import encoded
from pvzoo.inputs.downloads import Refuse, download
from pvzoo.inputs.pixels import to_rgb, to_uint8

MAX_BYTES = 256 * 2**20
"""Most bytes an encoded image may have."""

URL_SECONDS = 30.0
"""Most seconds a download may take from start to end."""

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
)
"""What counts as an image file when a folder is read."""

_CHANNELS = (1, 3, 4)
# Formats whose further frames are not pages or animation: MPO is what phones call a JPEG with a
# preview or a depth map behind the photograph.
_ONE_PICTURE_FORMATS = frozenset({"MPO", "JPEG"})
# One PIL image may be in two places of a list, and PIL's decoders do not expect two threads.
_PIL_LOCK = threading.Lock()


@dataclass(frozen=True, eq=False)
class ImageHandle:
    """An input, kept as compactly as it came, that can be opened more than once.

    Results hold one, so that they can be drawn later without keeping decoded pixels in memory.

    Attributes:
        name: The path or URL, or what kind of object it was; used in messages and JSON.
        index: Its place in the list or stream it came in.
    """

    data: Any = field(repr=False)
    name: str
    index: int = 0

    @classmethod
    def of(cls, source: Any, index: int = 0) -> ImageHandle:
        """Take hold of any accepted input; a file object and a URL are read here, once.

        Arrays and pictures in memory are copied, so that the caller may reuse them.

        Raises:
            ImageError: The input is of no accepted kind, or cannot be read.
        """
        if isinstance(source, ImageHandle):
            return replace(source, index=index)
        data, name = _take(source, index)
        return cls(data, name, index)

    def open(self) -> Image.Image:
        """The upright RGB picture (mode "RGB").

        Raises:
            ImageError: It cannot be decoded, is too large, or its numbers break the rules above. It
                holds none of the pixels, so errors may be kept.
        """
        return self._read(to_rgb)

    def open_as_is(self) -> Image.Image:
        """The upright picture in the mode it is stored in, for maps whose pixels are numbers.

        Raises:
            ImageError: As `open`.
        """
        return self._read(lambda image: image)

    def _read(self, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
        try:
            return self._converted(convert)
        except PvzooWarning:  # made an error by the caller
            raise
        except Exception as error:
            raise self._error(*self._said_of(error)) from let_go(error)

    def _converted(self, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
        if isinstance(self.data, np.ndarray):
            return convert(Image.fromarray(self.data))
        if isinstance(self.data, Image.Image):
            encoded.check_pixels(self.data.size)
            with _PIL_LOCK:
                self.data.load()
                turn = encoded.orientation(self.data)
            picture = encoded.upright(convert(self.data), turn)
            return picture.copy() if picture is self.data else picture  # the caller's stays his
        if isinstance(self.data, Path):
            _check_path(self.data)
        else:
            _check_size(len(self.data))
        with encoded.opened(self.data) as image:
            _warn_of_frames(image, self.name)
            image.load()  # this turns a TIFF by itself
            turn = encoded.orientation(image)
            picture = convert(image)
        del image  # two pictures are enough in memory
        return encoded.upright(picture, turn)

    def _said_of(self, error: Exception) -> tuple[str, str]:
        """What is wrong, and the way out."""
        if isinstance(error, ImageError):
            return error.what, error.hint
        if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
            count = re.search(r"\d+", str(error))
            said = f"it has {int(count[0]):,}" if count else str(error)
            return encoded.too_many_pixels(Image.MAX_IMAGE_PIXELS or 0, said)
        if isinstance(error, UnidentifiedImageError):
            return encoded.no_image(_head(self.data))
        if isinstance(error, PermissionError):
            return "may not be read.", "Check its permissions."
        if isinstance(error, MemoryError):
            return "needs more memory than there is.", "Make it smaller."
        # what PIL raises for damaged files knows no bounds
        hint = "Copy or download it again."
        if isinstance(self.data, Image.Image):
            hint = "If its file was closed, call image.load() before that."
        return f"is damaged or cut short ({_short(str(error))}).", hint

    def _error(self, what: str, hint: str) -> ImageError:
        name = _short(self.name)
        return ImageError(f"{name} {what}", hint, source=name, index=self.index)


def open_image(source: Any) -> Image.Image:
    """Any accepted input as an upright RGB picture; see the module's text for the rules.

    Args:
        source: A path, ``http(s)://`` or ``data:`` URL, bytes, binary file object, PIL image, numpy
            array, torch tensor, or the dict a `datasets` image column gives when it is not decoded.
            The picture that comes out is a new one.

    Raises:
        ImageError: With what is wrong, which input it is, and the way out.
    """
    return ImageHandle.of(source).open()


# --- taking hold ----------------------------------------------------------------------------------


def _take(source: Any, index: int) -> tuple[Any, str]:
    """What to keep of an input (path, bytes, PIL image or array), and its name."""
    name = f"image {index}"

    def refuse(what: str, hint: str) -> ImageError:
        called = _short(source) if isinstance(source, str) and source.strip() else name
        return ImageError(f"{called} {what}", hint, source=called, index=index)

    if isinstance(source, str):
        return _take_text(source, name, refuse)
    if isinstance(source, os.PathLike):
        path = Path(os.fsdecode(source))
        return _expand(path), _readable(str(path))
    if isinstance(source, bytes | bytearray | memoryview):
        data = bytes(source)
        return data, f"{name} ({len(data):,} bytes)"
    if isinstance(source, Image.Image):
        return _take_picture(source, name)
    if isinstance(source, np.ndarray):
        name = f"{name} (numpy array, shape {source.shape}, {source.dtype})"
        return _of_array(source, refuse), name
    if _is_tensor(source):
        name = f"{name} (torch tensor, {tuple(source.shape)})"
        return _of_tensor(source, refuse), name
    if isinstance(source, dict):
        return _take_row(source, index, refuse)
    if callable(getattr(source, "read", None)):
        file = getattr(source, "name", None)
        return _read_file(source, refuse), _readable(file) if file else f"{name} (file)"
    raise refuse(
        f"is of the type {type(source).__name__}, which is not an image.",
        "Pass a path, URL, bytes, file, PIL image, numpy array (HWC) or torch tensor (CHW).",
    )


def _take_text(text: str, name: str, refuse: Refuse) -> tuple[Path | bytes, str]:
    start = text[:32].lower()
    if start.startswith(("http://", "https://")):
        limits = {"max_bytes": MAX_BYTES, "seconds": URL_SECONDS}
        return download(text, refuse, **limits), _readable(text)
    if start.startswith("data:"):
        return _data_uri(text, refuse), f"{name} (data URI)"
    if re.match(r"[a-z][a-z0-9+.-]+://", start):
        raise refuse(
            "is not an address pvzoo reads: only http://, https:// and data: are.",
            "Pass a local path, the bytes or an open file, such as fsspec.open(url).open().",
        )
    if not text.strip():
        raise refuse("is an empty text.", "Pass a path or a URL.")
    if len(text) > 4096:  # longer than any system's paths
        raise refuse(*_no_path(text))
    return _expand(Path(text)), _readable(text)


def _take_picture(picture: Image.Image, name: str) -> tuple[Image.Image, str]:
    file = getattr(picture, "filename", "")
    name = _readable(file) if file else f"{name} (PIL image, {picture.width}x{picture.height})"
    if picture.format in _ONE_PICTURE_FORMATS:
        return picture, name
    with _PIL_LOCK:
        try:
            if getattr(picture, "is_animated", False):
                _warn_of_frames(picture, name)
                # ImageSequence.Iterator moves this very object on to the next frame
                return picture.copy(), name
        except PvzooWarning:
            raise
        except Exception:
            return picture, name  # damaged: `open` will say so
    if type(picture) is Image.Image:  # pixels in memory, which the caller may paint over
        return picture.copy(), name
    return picture, name


def _take_row(row: dict[Any, Any], index: int, refuse: Refuse) -> tuple[Any, str]:
    """What `datasets` gives for an image that it has not decoded."""
    if not {"bytes", "path"} <= set(row):
        keys = _short(", ".join(map(str, row)))
        raise refuse(
            f"is a dict with the keys {keys}, not an image.",
            "Pass its image, such as row['image'].",
        )
    path = row["path"]
    if row["bytes"] is not None:
        if not isinstance(row["bytes"], bytes | bytearray | memoryview):
            kind = type(row["bytes"]).__name__
            raise refuse(f"is a dict whose 'bytes' are of the type {kind}.", "Pass real bytes.")
        data, name = _take(row["bytes"], index)
        return data, _readable(path) if path else name
    if not path:
        raise refuse("is a dict with neither bytes nor a path.", "Leave the row out.")
    if isinstance(path, str) and "://" in path and not path.startswith(("http://", "https://")):
        return _read_remote(path, refuse), _readable(path)
    return _take(path, index)


def _read_remote(path: str, refuse: Refuse) -> bytes:
    """A file as a streamed dataset names it, such as ``zip://a.jpg::hf://datasets/me/it/a.zip``."""
    import fsspec

    try:
        with fsspec.open(path) as file:
            return _read_file(file, refuse)
    except ImageError:
        raise
    except Exception as error:  # one class per file system
        raise refuse(
            f"cannot be read: {_short(path)} ({_short(str(error))}).", "Check the path."
        ) from error


def _read_file(file: Any, refuse: Refuse) -> bytes:
    chunks, size = [], 0
    try:
        if callable(getattr(file, "seekable", None)) and file.seekable():
            file.seek(0)
        while size <= MAX_BYTES and (chunk := file.read(MAX_BYTES + 1 - size)):
            if not isinstance(chunk, bytes):
                break
            chunks.append(chunk)
            size += len(chunk)
    except (OSError, ValueError) as error:  # such as a closed file
        raise refuse(f"is a file object that cannot be read ({error}).", "Open it anew.") from error
    if isinstance(chunk, str):
        raise refuse("is a text file object.", "Open it in binary mode: open(path, 'rb').")
    if not isinstance(chunk, bytes):
        kind = type(chunk).__name__
        raise refuse(f"is a file object whose read() gives a {kind}.", "Pass its bytes instead.")
    return b"".join(chunks)


def _data_uri(uri: str, refuse: Refuse) -> bytes:
    head, comma, body = uri.partition(",")
    if not comma:
        raise refuse("is a data URI without a comma.", "It should read data:image/png;base64,...")
    body_bytes = urllib.parse.unquote_to_bytes(body)
    if not head.lower().endswith(";base64"):
        return body_bytes
    try:
        return base64.b64decode(b"".join(body_bytes.split()), validate=True)
    except binascii.Error as error:
        raise refuse(f"is a data URI with broken base64 ({error}).", "Encode it again.") from error


def _expand(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:  # "~lock.jpg" is a file's name, not the home of a user called lock.jpg
        return path


def _readable(name: Any) -> str:
    """A name that can be printed and written as UTF-8, also of a file whose name is neither."""
    return str(name).encode("utf-8", "replace").decode()


def _short(name: str) -> str:
    """A name as messages show it: both ends of a long one."""
    name = _readable(name).replace("\0", "\\0")
    return name if len(name) <= 300 else f"{name[:200]}...{name[-80:]}"


def _no_path(text: str) -> tuple[str, str]:
    if "\0" in text[:4096]:
        return "has a null character in it.", "Check where the name comes from."
    return (
        f"is a text of {len(text):,} characters, not a path or URL.",
        "If it is base64, pass base64.b64decode(text).",
    )


# --- limits -----------------------------------------------------------------------------------


def _too_many_bytes(size: str) -> tuple[str, str]:
    return (
        f"has {size}, more than the {MAX_BYTES:,} allowed.",
        "Make it smaller, or raise pvzoo.inputs.images.MAX_BYTES.",
    )


def _check_path(path: Path) -> None:
    """Refuse what need not be opened to see that it is no image."""
    try:
        size = path.stat().st_size
    except (FileNotFoundError, NotADirectoryError) as error:
        hint = f"Check the path (here is {Path.cwd()})."
        if not path.parent.exists():
            hint = f"There is no folder {_short(str(path.parent))} (here is {Path.cwd()})."
        raise ImageError("does not exist.", hint) from error
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise ImageError(*_no_path(str(path))) from error
        raise
    except ValueError as error:  # a null character
        raise ImageError(*_no_path(str(path))) from error
    if path.is_dir():
        raise ImageError(
            "is a folder, not an image.", "model.stream(folder) goes through a whole folder."
        )
    if not path.is_file():
        raise ImageError("is a pipe or a device, not a file.", "Pass open(path, 'rb') instead.")
    _check_size(size)


def _check_size(size: int) -> None:
    if size == 0:
        raise ImageError("is empty (0 bytes).", "Copy or download it again.")
    if size > MAX_BYTES:
        raise ImageError(*_too_many_bytes(f"{size:,} bytes"))


def _head(data: Path | bytes) -> bytes:
    if isinstance(data, bytes):
        return data[:64]
    with data.open("rb") as file:
        return file.read(64)


def _warn_of_frames(image: Image.Image, name: str) -> None:
    # how many there are would take minutes to find out for some files
    several = getattr(image, "is_animated", False)
    if several and image.tell() == 0 and image.format not in _ONE_PICTURE_FORMATS:
        warn_of_image(f"{_short(name)} has several frames or pages; the first one is used.", 6)


# --- arrays ---------------------------------------------------------------------------------------


def _of_array(array: np.ndarray, refuse: Refuse) -> np.ndarray:
    """An array as RGB or grey, uint8; a copy, for loops that write every frame into one buffer."""
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in _CHANNELS):
        if array.ndim == 3 and array.shape[0] in _CHANNELS:
            raise refuse(
                f"has the shape {array.shape}, channels first.",
                "numpy images are (height, width, channels): use array.transpose(1, 2, 0).",
            )
        raise refuse(*_wrong_rank("numpy array", array.shape, "(height, width, channels)"))
    return _eight_bit(array.shape, array.dtype, array.__getitem__, refuse)


def _is_tensor(source: Any) -> bool:
    """Whether it is a torch tensor, asked without importing torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(source, torch.Tensor)


def _of_tensor(tensor: Any, refuse: Refuse) -> np.ndarray:
    """A torch tensor (C, H, W) or (H, W) as `_of_array` has it."""
    shape = tuple(tensor.shape)
    if tensor.ndim == 3 and shape[0] in _CHANNELS:
        tensor = tensor.permute(1, 2, 0)
    elif tensor.ndim == 3 and shape[2] in _CHANNELS:
        raise refuse(
            f"is a torch tensor of shape {shape}, channels last.",
            "Tensors are (channels, height, width): use tensor.permute(2, 0, 1).",
        )
    elif tensor.ndim != 2:
        raise refuse(*_wrong_rank("torch tensor", shape, "(channels, height, width)"))
    small = tensor.is_floating_point() and tensor.element_size() < 4  # numpy has no bfloat16

    def rows(place: slice) -> np.ndarray:
        part = tensor.detach()[place]
        return (part.float() if small else part).cpu().numpy()

    try:
        dtype = rows(slice(0, 0)).dtype
        return _eight_bit(tuple(tensor.shape), dtype, rows, refuse)
    except (TypeError, RuntimeError, NotImplementedError) as error:  # sparse, meta, complex views
        raise refuse(
            f"is a torch tensor that numpy cannot read ({_short(str(error))}).",
            "Make it a plain dense tensor of uint8 or float32.",
        ) from error


def _wrong_rank(kind: str, shape: tuple[int, ...], wanted: str) -> tuple[str, str]:
    hint = "For a batch, pass a list of images: list(batch)." if len(shape) == 4 else ""
    return (
        f"is a {kind} of shape {tuple(shape)}; an image has the shape {wanted} or (height, width), "
        f"with 1, 3 or 4 channels.",
        hint or "Reshape it.",
    )


def _eight_bit(
    shape: tuple[int, ...], dtype: np.dtype, rows: Callable[[slice], np.ndarray], refuse: Refuse
) -> np.ndarray:
    """What is kept of an array, as `PIL.Image.fromarray` takes it."""
    try:
        encoded.check_pixels((shape[1], shape[0]))
        pixels = to_uint8(shape, dtype, rows)
    except ImageError as error:
        raise refuse(error.what, error.hint) from None
    return pixels[:, :, 0] if pixels.shape[2:] == (1,) else pixels
