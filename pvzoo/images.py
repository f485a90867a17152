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

Limits against hostile input: `PIL.Image.MAX_IMAGE_PIXELS` (PIL's own switch, 89 megapixels unless
set), `MAX_BYTES` for a file or download, `URL_SECONDS` for a download as a whole.
"""

from __future__ import annotations

import base64
import binascii
import errno
import io
import os
import re
import sys
import threading
import urllib.parse
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from pvzoo.downloads import Refuse, download
from pvzoo.errors import ImageError, PvzooWarning, warn_of_image

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
            ImageError: It cannot be decoded, is too large, or its array breaks the rules above.
        """
        try:
            return self._open()
        except ImageError as error:
            raise self._error(error.what, error.hint) from error.__cause__
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            count = re.search(r"\d+", str(error))
            said = f"it has {int(count[0]):,}" if count else str(error)
            raise self._error(*_too_many_pixels(said)) from error
        except UnidentifiedImageError as error:
            raise self._error(*_no_image(_head(self.data))) from error
        except PermissionError as error:
            raise self._error("may not be read.", "Check its permissions.") from error
        except (PvzooWarning, MemoryError):
            raise
        except Exception as error:  # what PIL raises for damaged files knows no bounds
            hint = "Copy or download it again."
            if isinstance(self.data, Image.Image):
                hint = "If its file was closed, call image.load() before that."
            raise self._error(f"is damaged or cut short ({_short(str(error))}).", hint) from error

    def _open(self) -> Image.Image:
        if isinstance(self.data, np.ndarray):
            return _from_array(self.data)
        if isinstance(self.data, Image.Image):
            _check_pixels(self.data.size)
            with _PIL_LOCK:
                self.data.load()
                _orientation(self.data)
            picture = _to_rgb(self.data)
            return picture.copy() if picture is self.data else picture  # the caller's stays his
        if isinstance(self.data, Path):
            _check_path(self.data)
        else:
            _check_size(len(self.data))
        encoded = io.BytesIO(self.data) if isinstance(self.data, bytes) else self.data
        with Image.open(encoded) as image:
            _check_pixels(image.size)
            _warn_of_frames(image, self.name)
            return _to_rgb(image)

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
        return _own(source), f"{name} (numpy array, shape {source.shape}, {source.dtype})"
    if _is_tensor(source):
        return _own(_from_tensor(source, refuse)), f"{name} (torch tensor, {tuple(source.shape)})"
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


def _own(array: np.ndarray) -> np.ndarray:
    """A copy, for loops that write every frame into one buffer; not of what is refused later."""
    limit = Image.MAX_IMAGE_PIXELS
    return array.copy() if limit is None or array.size <= 4 * limit else array


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


# --- encoded files --------------------------------------------------------------------------------


def _too_many_bytes(size: str) -> tuple[str, str]:
    return (
        f"has {size}, more than the {MAX_BYTES:,} allowed.",
        "Make it smaller, or raise pvzoo.images.MAX_BYTES.",
    )


def _too_many_pixels(said: str) -> tuple[str, str]:
    return (
        f"is larger than the {Image.MAX_IMAGE_PIXELS:,} pixels allowed ({said}).",
        "If you trust it, raise PIL.Image.MAX_IMAGE_PIXELS.",
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


def _check_pixels(size: tuple[int, int]) -> None:
    width, height = size
    if width * height == 0:
        raise ImageError(f"is {width} x {height}, without a single pixel.", "Check the crop.")
    if Image.MAX_IMAGE_PIXELS is not None and width * height > Image.MAX_IMAGE_PIXELS:
        raise ImageError(*_too_many_pixels(f"it is {width:,} x {height:,}"))


def _head(data: Path | bytes) -> bytes:
    if isinstance(data, bytes):
        return data[:64]
    with data.open("rb") as file:
        return file.read(64)


def _no_image(head: bytes) -> tuple[str, str]:
    """What a file that PIL does not know may be, by its first bytes."""
    if head.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, not the image itself.", "Fetch it with: git lfs pull"
    if head[4:12] in (b"ftypheic", b"ftypheix", b"ftyphevc", b"ftypmif1", b"ftypmsf1"):
        return (
            "is a HEIC picture, which PIL alone cannot read.",
            "Install pillow-heif and call pillow_heif.register_heif_opener(), or save it as JPEG.",
        )
    if head.lstrip()[:1] == b"<":
        return "is a web page, XML or SVG, not a picture of pixels.", "Save the picture as PNG."
    return (
        "is not an image in a format PIL can read.",
        "Use a JPEG, PNG, WebP, BMP, GIF or TIFF file.",
    )


def _warn_of_frames(image: Image.Image, name: str) -> None:
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.tell() == 0 and image.format not in _ONE_PICTURE_FORMATS:
        warn_of_image(f"{_short(name)} has {frames} frames or pages; the first one is used.", 5)


UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""How a picture of each EXIF orientation is turned upright."""


def _orientation(image: Image.Image) -> int:
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # a picture is no worse for a broken note beside it
        return 1


def _to_rgb(image: Image.Image) -> Image.Image:
    """Any PIL mode as upright 8-bit RGB."""
    image.load()  # this turns a TIFF by itself
    # ImageOps.exif_transpose also writes the EXIF data anew, which fails on a broken note in it
    if (turn := UPRIGHT.get(_orientation(image))) is not None:
        image = image.transpose(turn)
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode == "I" or image.mode.startswith("I;16"):
        return _from_array(_sixteen_bits(image))
    if image.mode == "F":
        return _from_array(np.asarray(image))
    if image.mode == "La":  # PIL knows no shorter way
        image = image.convert("LA")
    if image.mode in ("RGBA", "LA", "PA", "RGBa") or "transparency" in image.info:
        return _over_white(image.convert("RGBA"))
    return image.convert("RGB")


def _sixteen_bits(image: Image.Image) -> np.ndarray:
    """(H, W) uint16. Mode I is how PIL may hold 16-bit grey, but also any other whole numbers."""
    pixels = np.asarray(image)
    low, high = int(pixels.min()), int(pixels.max())
    unsure = image.mode == "I" and image.format != "PPM" and 0 < high <= 255
    if low < 0 or high > 65535 or unsure:
        raise ImageError(
            f"has 32-bit pixels from {low} to {high}; which number is white is not known.",
            "Make it 8 or 16 bits first: Image.fromarray(np.asarray(image).astype('uint8')).",
        )
    see_through = image.info.get("transparency")
    if isinstance(see_through, int):
        pixels = np.where(pixels == see_through, 65535, pixels)
    return pixels.astype(np.uint16)


def _over_white(image: Image.Image) -> Image.Image:
    white = Image.new("RGBA", image.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, image).convert("RGB")


# --- arrays ---------------------------------------------------------------------------------------


def _is_tensor(source: Any) -> bool:
    """Whether it is a torch tensor, asked without importing torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(source, torch.Tensor)


def _from_tensor(tensor: Any, refuse: Refuse) -> np.ndarray:
    """A torch tensor (C, H, W) or (H, W) as an array (H, W, C) or (H, W)."""
    tensor = tensor.detach()
    try:
        if tensor.is_floating_point() and tensor.element_size() < 4:  # numpy has no bfloat16
            tensor = tensor.float()
        array = tensor.cpu().numpy()
    except (TypeError, RuntimeError, NotImplementedError) as error:  # sparse, meta, complex views
        raise refuse(
            f"is a torch tensor that numpy cannot read ({_short(str(error))}).",
            "Make it a plain dense tensor of uint8 or float32.",
        ) from error
    if array.ndim == 2:
        return array
    if array.ndim == 3 and array.shape[0] in _CHANNELS:
        return array.transpose(1, 2, 0)
    if array.ndim == 3 and array.shape[2] in _CHANNELS:
        raise refuse(
            f"is a torch tensor of shape {tuple(array.shape)}, channels last.",
            "Tensors are (channels, height, width): use tensor.permute(2, 0, 1).",
        )
    raise refuse(*_wrong_rank("torch tensor", array.shape, "(channels, height, width)"))


def _wrong_rank(kind: str, shape: tuple[int, ...], wanted: str) -> tuple[str, str]:
    hint = "For a batch, pass a list of images: list(batch)." if len(shape) == 4 else ""
    return (
        f"is a {kind} of shape {tuple(shape)}; an image has the shape {wanted} or (height, width), "
        f"with 1, 3 or 4 channels.",
        hint or "Reshape it.",
    )


def _from_array(array: np.ndarray) -> Image.Image:
    """A numpy array (H, W) or (H, W, C) as an RGB picture."""
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in _CHANNELS):
        if array.ndim == 3 and array.shape[0] in _CHANNELS:
            raise ImageError(
                f"has the shape {array.shape}, channels first.",
                "numpy images are (height, width, channels): use array.transpose(1, 2, 0).",
            )
        raise ImageError(*_wrong_rank("numpy array", array.shape, "(height, width, channels)"))
    _check_pixels((array.shape[1], array.shape[0]))
    pixels = _to_uint8(array)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        return _over_white(Image.fromarray(np.ascontiguousarray(pixels)))
    return Image.fromarray(np.ascontiguousarray(pixels)).convert("RGB")


def _to_uint8(array: np.ndarray) -> np.ndarray:
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * 255
    if array.dtype.kind == "u" and array.dtype.itemsize == 2:  # in either byte order
        return ((array.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    if np.issubdtype(array.dtype, np.floating):
        if not np.isfinite(array).all():
            raise ImageError("has pixels that are NaN or infinite.", "Clean it with np.nan_to_num.")
        low, high = float(array.min()), float(array.max())
        half = 0.5 / 255
        if low < -half or high > 1 + half:
            hint = (
                "Undo the normalisation (pvzoo does its own), or clip it."
                if low < 0
                else "Divide by 255, or cast to uint8 if it is 0..255."
            )
            raise ImageError(f"has float pixels from {low:g} to {high:g}; floats are 0..1.", hint)
        return np.round(array * 255).clip(0, 255).astype(np.uint8)
    if np.issubdtype(array.dtype, np.integer):
        low, high = int(array.min()), int(array.max())
        if low < 0 or high > 255:
            raise ImageError(
                f"has {array.dtype} pixels from {low} to {high}; they should be 0..255.",
                "For 16-bit pixels cast to uint16; else scale to 0..255.",
            )
        return array.astype(np.uint8)
    raise ImageError(f"has pixels of the type {array.dtype}.", "Cast it to uint8.")
