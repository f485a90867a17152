"""Any input a person may call an image -> one upright RGB picture.

The rules, so that nothing has to be guessed:

* **Orientation**: the EXIF orientation is applied; all boxes and masks are in the upright picture.
* **Colour**: everything becomes 8-bit RGB. Transparent pixels are laid over white. 16-bit grey is
  scaled to 8 bit (PIL alone would clip it to white).
* **Several frames or pages**: the first one, said in a `PvzooWarning`.
* **numpy arrays** are (height, width) or (height, width, channels), **torch tensors** are
  (channels, height, width) or (height, width), with 1, 3 or 4 channels.
* **uint8** is taken as it is; **bool** is black and white; **uint16** is 0..65535; **floats** are
  0..1 and other **integers** 0..255, and are refused when a value lies outside.

Limits against hostile input: `PIL.Image.MAX_IMAGE_PIXELS` (PIL's own switch, 89 megapixels unless
set), `MAX_BYTES` for a file or download, `URL_SECONDS` for a download as a whole.
"""

from __future__ import annotations

import base64
import binascii
import io
import time
import urllib.error
import urllib.parse
import urllib.request
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from pvzoo.errors import ImageError, PvzooWarning

MAX_BYTES = 256 * 2**20
"""Most bytes an encoded image may have."""

URL_SECONDS = 30.0
"""Most seconds a download may take from start to end."""

SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
"""What counts as an image file when a folder is read."""

_CHANNELS = (1, 3, 4)
# Formats whose further frames are not pages or animation: MPO is what phones call a JPEG with a
# preview or a depth map behind the photograph.
_ONE_PICTURE_FORMATS = frozenset({"MPO", "JPEG"})


@dataclass(frozen=True)
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

        Raises:
            ImageError: The input is of no accepted kind, or cannot be read.
        """
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
        except Image.DecompressionBombError as error:
            raise self._error(*_too_many_pixels(str(error).rstrip("."))) from error
        except UnidentifiedImageError as error:
            raise self._error("is not an image in a format PIL can read.", _FORMAT_HINT) from error
        except PermissionError as error:
            raise self._error("may not be read.", "Check its permissions.") from error
        except (OSError, SyntaxError, ValueError, EOFError) as error:
            # PIL raises all of these for damaged files, depending on the format
            raise self._error(
                f"is damaged or cut short ({error}).", "Copy or download it again."
            ) from error

    def _open(self) -> Image.Image:
        if isinstance(self.data, Path | bytes):
            encoded = io.BytesIO(self.data) if isinstance(self.data, bytes) else self.data
            _check_encoded(self.data)
            with Image.open(encoded) as image:
                return _to_rgb(_first_frame(image, self.name))
        if isinstance(self.data, Image.Image):
            return _to_rgb(_first_frame(self.data, self.name))
        return _from_array(self.data)

    def _error(self, what: str, hint: str) -> ImageError:
        return ImageError(f"{self.name} {what}", hint, source=self.name, index=self.index)


_FORMAT_HINT = "Use a JPEG, PNG, WebP, BMP, GIF or TIFF file."


def open_image(source: Any) -> Image.Image:
    """Any accepted input as an upright RGB picture; see the module's text for the rules.

    Args:
        source: A path, ``http(s)://`` or ``data:`` URL, bytes, binary file object, PIL image, numpy
            array, torch tensor, or the dict a `datasets` image column gives when it is not decoded.

    Raises:
        ImageError: With what is wrong, which input it is, and the way out.
    """
    return ImageHandle.of(source).open()


# --- taking hold ----------------------------------------------------------------------------------


def _take(source: Any, index: int) -> tuple[Any, str]:
    def refuse(what: str, hint: str) -> ImageError:
        name = source if isinstance(source, str) else f"image {index}"
        name = name if len(name) <= 200 else name[:200] + "..."
        return ImageError(f"{name} {what}", hint, source=name, index=index)

    if isinstance(source, str):
        if source.startswith(("http://", "https://")):
            return _download(source, refuse), source
        if source.startswith("data:"):
            return _data_uri(source, refuse), f"image {index} (data URI)"
        return Path(source).expanduser(), source
    if isinstance(source, Path):
        return source, str(source)
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source), f"image {index} ({len(source)} bytes)"
    if isinstance(source, Image.Image):
        file = getattr(source, "filename", "")
        size = f"{source.width}x{source.height}"
        return source, str(file) or f"image {index} (PIL image, {size})"
    if isinstance(source, np.ndarray):
        return source, f"image {index} (numpy array, shape {source.shape}, {source.dtype})"
    if type(source).__module__.partition(".")[0] == "torch":
        return _from_tensor(source, refuse), f"image {index} (torch tensor, {tuple(source.shape)})"
    if isinstance(source, dict) and {"bytes", "path"} <= set(source):
        if source["bytes"] is not None:
            return source["bytes"], source["path"] or f"image {index}"
        return _take(source["path"], index)
    if isinstance(source, dict):
        raise refuse(
            f"is a dict with the keys {', '.join(map(str, source))}, not an image.",
            "Pass its image, such as row['image'].",
        )
    if callable(getattr(source, "read", None)):
        return _read_file(source, refuse), str(getattr(source, "name", f"image {index} (file)"))
    raise refuse(
        f"is of the type {type(source).__name__}, which is not an image.",
        "Pass a path, URL, bytes, file, PIL image, numpy array (HWC) or torch tensor (CHW).",
    )


def _read_file(file: BinaryIO, refuse: Any) -> bytes:
    data = file.read(MAX_BYTES + 1)
    if not isinstance(data, bytes):
        raise refuse("is a text file object.", "Open it in binary mode: open(path, 'rb').")
    return data


def _data_uri(uri: str, refuse: Any) -> bytes:
    head, comma, body = uri.partition(",")
    if not comma:
        raise refuse("is a data URI without a comma.", "It should read data:image/png;base64,...")
    try:
        if head.endswith(";base64"):
            return base64.b64decode(urllib.parse.unquote(body), validate=True)
        return urllib.parse.unquote_to_bytes(body)
    except binascii.Error as error:
        raise refuse(f"is a data URI with broken base64 ({error}).", "Encode it again.") from error


class _WebOnly(urllib.request.HTTPRedirectHandler):
    """Follow redirects to http and https addresses only."""

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, url: str
    ) -> Any:
        if not url.startswith(("http://", "https://")):
            raise urllib.error.URLError(f"redirected to {url}, which is no web address")
        return super().redirect_request(req, fp, code, msg, headers, url)


def _download(url: str, refuse: Any) -> bytes:
    deadline = time.monotonic() + URL_SECONDS
    too_slow = (
        f"did not arrive within {URL_SECONDS:g} seconds.",
        "Try again, or download it yourself and pass the file.",
    )
    request = urllib.request.Request(url, headers={"User-Agent": "pvzoo", "Accept": "image/*"})
    chunks, size = [], 0
    try:
        with urllib.request.build_opener(_WebOnly).open(request, timeout=URL_SECONDS) as answer:
            # read1 returns what has arrived, so a server that drips cannot outlast the deadline
            while chunk := answer.read1(1 << 16):
                chunks.append(chunk)
                size += len(chunk)
                if size > MAX_BYTES:
                    raise refuse(*_too_many_bytes(size))
                if time.monotonic() > deadline:
                    raise refuse(*too_slow)
            kind = answer.headers.get_content_type()
    except urllib.error.HTTPError as error:
        raise refuse(f"answered {error.code} {error.reason}.", "Check the address.") from error
    except TimeoutError as error:
        raise refuse(*too_slow) from error
    except (urllib.error.URLError, OSError, ValueError) as error:
        if isinstance(getattr(error, "reason", None), TimeoutError):
            raise refuse(*too_slow) from error
        reason = getattr(error, "reason", error)
        raise refuse(
            f"could not be downloaded ({reason}).", "Check the address and the network."
        ) from error
    if kind.startswith("text/"):
        raise refuse(f"is a page ({kind}), not an image.", "Pass the address of the image itself.")
    return b"".join(chunks)


# --- encoded files --------------------------------------------------------------------------------


def _too_many_bytes(size: int) -> tuple[str, str]:
    return (
        f"has {size:,} bytes, more than the {MAX_BYTES:,} allowed.",
        "Make it smaller, or raise pvzoo.images.MAX_BYTES.",
    )


def _too_many_pixels(said: str) -> tuple[str, str]:
    return (
        f"is larger than the {Image.MAX_IMAGE_PIXELS:,} pixels allowed ({said}).",
        "If you trust it, raise PIL.Image.MAX_IMAGE_PIXELS.",
    )


def _check_encoded(data: Path | bytes) -> None:
    """Refuse what need not be opened to see that it is no image."""
    if isinstance(data, Path):
        if data.is_dir():
            raise ImageError(
                "is a folder, not an image.", "model.stream(folder) goes through a whole folder."
            )
        if not data.exists():
            raise ImageError("does not exist.", f"Check the path (here is {Path.cwd()}).")
        size = data.stat().st_size
    else:
        size = len(data)
    if size == 0:
        raise ImageError("is empty (0 bytes).", "Copy or download it again.")
    if size > MAX_BYTES:
        raise ImageError(*_too_many_bytes(size))


def _first_frame(image: Image.Image, name: str) -> Image.Image:
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and image.width * image.height > limit:
        raise ImageError(*_too_many_pixels(f"it is {image.width} x {image.height}"))
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format not in _ONE_PICTURE_FORMATS:
        image.seek(0)
        warnings.warn(
            f"{name} has {frames} frames or pages; the first one is used.",
            PvzooWarning,
            stacklevel=5,
        )
    return image


def _to_rgb(image: Image.Image) -> Image.Image:
    """Any PIL mode as upright 8-bit RGB."""
    if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode == "RGB":
        image.load()
        return image if "transparency" not in image.info else _over_white(image.convert("RGBA"))
    if image.mode in ("I", "I;16", "I;16B", "I;16L", "I;16N"):
        return _from_array(_sixteen_bits(np.asarray(image.convert("I"))))
    if image.mode == "F":
        return _from_array(np.asarray(image))
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        return _over_white(image.convert("RGBA"))
    return image.convert("RGB")


def _sixteen_bits(pixels: np.ndarray) -> np.ndarray:
    """PIL's mode I is how it holds 16-bit grey; more than 16 bits has no known range."""
    if pixels.min() < 0 or pixels.max() > 65535:
        raise ImageError(
            f"has 32-bit pixels from {pixels.min()} to {pixels.max()}.",
            "Scale it to 8 or 16 bits first; which range is white is not known here.",
        )
    return pixels.astype(np.uint16)


def _over_white(image: Image.Image) -> Image.Image:
    white = Image.new("RGBA", image.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, image).convert("RGB")


# --- arrays ---------------------------------------------------------------------------------------


def _from_tensor(tensor: Any, refuse: Any) -> np.ndarray:
    """A torch tensor (C, H, W) or (H, W) as an array (H, W, C) or (H, W)."""
    array = tensor.detach().cpu()
    if str(array.dtype) in ("torch.bfloat16", "torch.float16"):
        array = array.float()
    array = array.numpy()
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
    if array.size == 0:
        raise ImageError(f"has the shape {array.shape}, without a single pixel.", "Check the crop.")
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
    if array.dtype == np.uint16:
        return ((array.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    if np.issubdtype(array.dtype, np.floating):
        if not np.isfinite(array).all():
            raise ImageError("has pixels that are NaN or infinite.", "Clean it with np.nan_to_num.")
        low, high = float(array.min()), float(array.max())
        if low < 0 or high > 1:
            hint = (
                "Undo the normalisation: pvzoo does its own."
                if low < 0
                else "Divide by 255, or cast to uint8 if it is 0..255."
            )
            raise ImageError(f"has float pixels from {low:g} to {high:g}; floats are 0..1.", hint)
        return np.round(array * 255).astype(np.uint8)
    if np.issubdtype(array.dtype, np.integer):
        low, high = int(array.min()), int(array.max())
        if low < 0 or high > 255:
            raise ImageError(
                f"has {array.dtype} pixels from {low} to {high}; they should be 0..255.",
                "For 16-bit pixels cast to uint16; else scale to 0..255.",
            )
        return array.astype(np.uint8)
    raise ImageError(f"has pixels of the type {array.dtype}.", "Cast it to uint8.")
