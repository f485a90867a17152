"""Whatever a person calls an image comes out as one upright RGB image, or as a clear error."""

from __future__ import annotations

import base64
import io
import os
import random
import struct
import time
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from image_inputs import RGB, encoded, pixels, refused
from PIL import Image, ImageSequence

from pvzoo import PvzooWarning, open_image
from pvzoo.errors import ImageError
from pvzoo.inputs import limits
from pvzoo.inputs.images import ImageHandle

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (5, 7), dtype=np.uint8)
RGBA = RNG.integers(0, 256, (5, 7, 4), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (5, 7)).astype(np.uint16)

# What each EXIF orientation tells a viewer to do with the stored pixels.
ORIENTATIONS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a),
}


def png(width: int, height: int, depth: int, colour: int, rows: bytes, **chunks: bytes) -> bytes:
    """A PNG file of any header, from its raw rows (each with its filter byte)."""

    def chunk(name: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + check

    interlaced = chunks.pop("interlaced", 0)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    extra = b"".join(chunk(name.encode(), data) for name, data in chunks.items())
    body = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + body + chunk(b"IEND", b"")


def rows_of(pixels: np.ndarray) -> bytes:
    return b"".join(b"\0" + row.tobytes() for row in pixels)


def grey(array: np.ndarray) -> np.ndarray:
    return np.repeat(array[:, :, None], 3, axis=2)


def over_white(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    a = alpha[..., None] / 255
    return rgb * a + 255 * (1 - a)


# --- kinds of input -------------------------------------------------------------------------------


KINDS = ["str", "Path", "PathLike", "bytes", "bytearray", "memoryview", "file", "BytesIO"]
KINDS += ["data-uri", "PIL", "array", "row", "row with a path", "row of a bytearray"]


class OwnPath:
    """What other path libraries give."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __fspath__(self) -> str:
        return str(self.path)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_input_gives_the_same_image(kind: str, tmp_path: Path) -> None:
    data = encoded(RGB, "PNG")
    path = tmp_path / "an image, ünïcode 图.png"
    path.write_bytes(data)
    sources = {
        "str": str(path),
        "Path": path,
        "PathLike": OwnPath(path),
        "bytes": data,
        "bytearray": bytearray(data),
        "memoryview": memoryview(data),
        "BytesIO": io.BytesIO(data),
        "data-uri": "data:image/png;base64," + base64.b64encode(data).decode(),
        "PIL": Image.fromarray(RGB),
        "array": RGB,
        "row": {"bytes": data, "path": None},
        "row with a path": {"bytes": None, "path": str(path)},
        "row of a bytearray": {"bytes": bytearray(data), "path": "photo.png"},
    }
    if kind == "file":
        with path.open("rb") as file:
            assert (pixels(file) == RGB).all()
    else:
        assert (pixels(sources[kind]) == RGB).all()


def test_a_tilde_in_a_path_is_the_home_folder(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "x.png").write_bytes(encoded(RGB, "PNG"))
    assert (pixels("~/x.png") == RGB).all()
    assert (pixels(Path("~/x.png")) == RGB).all()


def test_a_file_whose_name_begins_with_a_tilde_is_read(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("~lock-1.png").write_bytes(encoded(RGB, "PNG"))
    assert (pixels("~lock-1.png") == RGB).all()
    assert (pixels(Path("~lock-1.png")) == RGB).all()


def test_a_file_name_that_is_not_unicode_can_be_read_and_printed(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff.png"
    Path(os.fsdecode(path)).write_bytes(encoded(RGB, "PNG"))
    handle = ImageHandle.of(os.fsdecode(path))
    handle.name.encode()
    assert (np.asarray(handle.open()) == RGB).all()


def test_a_file_object_is_read_from_its_start_like_pil_does() -> None:
    file = io.BytesIO()
    Image.fromarray(RGB).save(file, "PNG")  # stands at its end
    assert (pixels(file) == RGB).all()
    assert (pixels(file) == RGB).all()
    file.seek(16)
    assert (pixels(file) == RGB).all()


def test_a_file_object_that_cannot_be_rewound_is_read_in_whatever_pieces_it_gives() -> None:
    class Pipe(io.RawIOBase):
        data = encoded(RGB, "PNG")

        def readable(self) -> bool:
            return True

        def readinto(self, buffer) -> int:
            piece, self.data = self.data[:10], self.data[10:]
            buffer[: len(piece)] = piece
            return len(piece)

    assert (pixels(Pipe()) == RGB).all()


def test_a_data_uri_may_be_percent_encoded_or_broken_into_lines() -> None:
    data = encoded(RGB, "PNG")
    lines = base64.encodebytes(data).decode()
    assert "\n" in lines.strip()
    assert (pixels("data:image/png;base64," + lines) == RGB).all()
    assert (pixels("DATA:image/png;BASE64," + lines.replace("+", "%2B")) == RGB).all()
    assert (pixels("data:image/png," + "".join(f"%{b:02x}" for b in data)) == RGB).all()


def test_the_image_that_comes_out_is_a_new_one() -> None:
    for source in (Image.fromarray(RGB), RGB.copy(), Image.fromarray(RGBA)):
        before = np.array(source)
        open_image(source).paste((1, 2, 3), (0, 0, 7, 5))
        assert (np.asarray(source) == before).all()


def test_a_handle_can_be_opened_again_and_compared() -> None:
    for source in (io.BytesIO(encoded(RGB, "PNG")), RGB):
        handle = ImageHandle.of(source, 3)
        assert (np.asarray(handle.open()) == np.asarray(handle.open())).all()
        assert handle == handle
        assert handle != ImageHandle.of(RGB)
        assert "3" in handle.name


def test_one_pil_image_can_be_read_by_several_threads_at_once() -> None:
    big = RNG.integers(0, 256, (600, 600, 3), dtype=np.uint8)
    data = encoded(big, "PNG")
    for _ in range(5):
        lazy = Image.open(io.BytesIO(data))
        with ThreadPoolExecutor(4) as pool:
            for image in pool.map(open_image, [lazy] * 4):
                assert (np.asarray(image) == big).all()


# --- orientation ----------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
def test_a_rotated_phone_photo_comes_out_upright(format: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if format == "WEBP" else {}
    data = encoded(RGB, format, exif=exif, **options)
    assert (pixels(data) == ORIENTATIONS[orientation](RGB)).all()


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_rotated_jpeg_comes_out_upright_also_when_pil_has_it_open(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(RGB, "JPEG", exif=exif)
    stored = np.asarray(Image.open(io.BytesIO(data)))
    upright = ORIENTATIONS[orientation](stored)
    assert (pixels(data) == upright).all()
    with Image.open(io.BytesIO(data)) as image:
        assert (pixels(image) == upright).all()
        assert (pixels(image) == upright).all()  # not turned twice
        assert (np.asarray(image) == stored).all()


@pytest.mark.parametrize(
    ("tag", "kind", "value"),
    [(0x0128, 2, b"abc\0"), (0x0128, 4, struct.pack("<I", 70000)), (0x011A, 2, b"wid\0")],
    ids=["unit-as-text", "unit-too-large", "resolution-as-text"],
)
def test_a_broken_note_beside_the_orientation_costs_no_photo(tag, kind, value) -> None:
    count = 4 if kind == 2 else 1
    notes = struct.pack("<2sHIH", b"II", 42, 8, 2) + struct.pack("<HHII", 0x0112, 3, 1, 6)
    notes += struct.pack("<HHI4sI", tag, kind, count, value, 0)
    data = encoded(RGB, "JPEG", exif=b"Exif\0\0" + notes)
    stored = np.asarray(Image.open(io.BytesIO(data)))
    assert (pixels(data) == ORIENTATIONS[6](stored)).all()


@pytest.mark.parametrize("orientation", [0, 9, 77])
def test_an_impossible_orientation_is_ignored(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert (pixels(encoded(RGB, "PNG", exif=exif)) == RGB).all()


def test_grey_16_bit_and_see_through_images_are_turned_too() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert (pixels(encoded(GREY, "PNG", exif=exif)) == grey(np.rot90(GREY, -1))).all()
    assert (pixels(encoded(DEEP, "PNG", exif=exif))[..., 0] == np.rot90(eight(DEEP), -1)).all()
    assert pixels(encoded(RGBA, "PNG", exif=exif)).shape == (7, 5, 3)


def test_an_image_with_broken_exif_is_still_an_image() -> None:
    data = encoded(RGB, "JPEG", exif=b"Exif\0\0 this is no EXIF at all")
    assert (pixels(data) == np.asarray(Image.open(io.BytesIO(data)))).all()


# --- colour ---------------------------------------------------------------------------------------


def eight(deep: np.ndarray) -> np.ndarray:
    """16 bits to 8 in exact whole numbers: 65535 is 257 times 255."""
    return np.array([(int(v) + 128) // 257 for v in deep.ravel()], np.uint8).reshape(deep.shape)


@pytest.mark.parametrize("format", ["PNG", "TIFF", "PPM"])
def test_16_bit_grey_is_scaled_exactly(format: str) -> None:
    every = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    assert (pixels(encoded(every, format)) == grey(eight(every))).all()


def test_16_bit_grey_is_scaled_in_every_way_pil_and_numpy_hold_it() -> None:
    big_endian = DEEP.astype(">u2")
    tiff = encoded(Image.frombytes("I;16B", (7, 5), big_endian.tobytes()), "TIFF")
    assert tiff[:2] == b"MM"
    held_as_i = Image.fromarray(DEEP.astype(np.int32))
    assert held_as_i.mode == "I"
    for source in (tiff, held_as_i, Image.fromarray(DEEP), DEEP, big_endian):
        assert (pixels(source) == grey(eight(DEEP))).all()


def test_16_bit_colour_is_scaled_within_one_level() -> None:
    deep = RNG.integers(0, 65536, (5, 7, 3)).astype(np.uint16)
    data = png(7, 5, 16, 2, rows_of(deep.astype(">u2")))
    assert abs(pixels(data).astype(int) - eight(deep)).max() <= 1
    assert (pixels(deep) == eight(deep)).all()


def test_32_bit_pixels_are_refused_where_white_is_a_guess() -> None:
    for high in (200, 70_000):
        ints = np.full((5, 7), high, np.int32)
        refused(Image.fromarray(ints), f"32-bit pixels from {high} to {high}")
        refused(encoded(ints, "TIFF"), f"32-bit pixels from {high} to {high}")
    assert (pixels(Image.fromarray(np.zeros((5, 7), np.int32))) == 0).all()


def test_a_float_tiff_is_0_to_1_or_refused() -> None:
    values = RNG.random((5, 7)).astype(np.float32)
    expected = np.floor(values.astype(np.float64) * 255 + 0.5)
    assert (pixels(encoded(values, "TIFF")) == grey(expected)).all()
    refused(encoded(values * 255, "TIFF"), "floats are 0..1", "255")


def test_transparent_pixels_are_laid_over_white() -> None:
    expected = over_white(RGBA[..., :3], RGBA[..., 3])
    sources = {
        "png": encoded(RGBA, "PNG"),
        "webp": encoded(RGBA, "WEBP", lossless=True, exact=True),
        "tiff": encoded(RGBA, "TIFF"),
        "pil": Image.fromarray(RGBA),
        "array": RGBA,
        "floats": RGBA / 255,
    }
    for name, source in sources.items():
        assert abs(pixels(source) - expected).max() <= 1, name


def test_grey_with_alpha_is_laid_over_white() -> None:
    la = Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(RGBA[..., 3])])
    expected = over_white(grey(GREY), RGBA[..., 3])
    for source in (la, encoded(la, "PNG")):
        assert abs(pixels(source) - expected).max() <= 1
    assert abs(pixels(la.convert("La")) - expected).max() <= 2  # loses a level on the way
    premultiplied = Image.fromarray(RGBA).convert("RGBa")
    assert abs(pixels(premultiplied).astype(int) - pixels(RGBA)).max() <= 2


def test_a_colour_declared_see_through_is_white() -> None:
    at = (2, 3)
    grey_png = encoded(GREY, "PNG", transparency=int(GREY[at]))
    assert (pixels(grey_png) == grey(np.where(GREY[at] == GREY, 255, GREY))).all()
    deep_png = encoded(DEEP, "PNG", transparency=int(DEEP[at]))
    assert (pixels(deep_png) == grey(np.where(DEEP[at] == DEEP, 255, eight(DEEP)))).all()
    rgb_png = encoded(RGB, "PNG", transparency=tuple(map(int, RGB[at])))
    expected = RGB.copy()
    expected[at] = 255
    assert (pixels(rgb_png) == expected).all()


def test_a_palette_with_transparency_is_laid_over_white() -> None:
    palette = RNG.integers(0, 256, (4, 3), dtype=np.uint8)
    alpha = np.array([0, 85, 170, 255], np.uint8)
    index = RNG.integers(0, 4, (5, 7), dtype=np.uint8)
    image = Image.frombytes("P", (7, 5), index.tobytes())
    image.putpalette(palette.tobytes())
    assert (pixels(encoded(image, "PNG")) == palette[index]).all()
    expected = over_white(palette[index], alpha[index])
    data = encoded(image, "PNG", transparency=alpha.tobytes())
    assert abs(pixels(data) - expected).max() <= 1
    gif = encoded(image, "GIF", transparency=2)
    assert (pixels(gif) == np.where((index == 2)[..., None], 255, palette[index])).all()


def test_one_bit_grey_and_bool_are_black_and_white() -> None:
    mask = RNG.random((5, 7)) > 0.5
    expected = grey(mask.astype(np.uint8) * 255)
    for source in (mask, mask[..., None], Image.fromarray(mask), encoded(mask, "PNG")):
        assert (pixels(source) == expected).all()
    assert (pixels(encoded(mask, "TIFF")) == expected).all()


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_cmyk_matches_pil(format: str) -> None:
    cmyk = Image.fromarray(RGBA).convert("RGB").convert("CMYK")
    data = encoded(cmyk, format)
    expected = Image.open(io.BytesIO(data))
    assert expected.mode == "CMYK"
    assert (pixels(data) == np.asarray(expected.convert("RGB"))).all()
    assert (pixels(cmyk) == np.asarray(cmyk.convert("RGB"))).all()


def test_a_cmyk_jpeg_from_adobe_is_not_a_negative() -> None:
    flat = np.full((16, 16, 3), (200, 60, 30), np.uint8)
    data = encoded(Image.fromarray(flat).convert("CMYK"), "JPEG")  # PIL writes Adobe's marker
    assert b"Adobe" in data
    assert abs(pixels(data).astype(int) - flat).max() <= 6


@pytest.mark.parametrize("mode", ["HSV", "YCbCr", "LAB", "RGBX", "P", "L"])
def test_other_modes_of_pil_come_close_to_the_image(mode: str) -> None:
    ramp = np.linspace(40, 200, 24 * 24 * 3).reshape(24, 24, 3).astype(np.uint8)
    if mode == "LAB":
        from PIL import ImageCms

        srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        change = ImageCms.buildTransform(srgb, lab, "RGB", "LAB")
        image = ImageCms.applyTransform(Image.fromarray(ramp), change)
    else:
        image = Image.fromarray(ramp).convert(mode)
    assert image.mode == mode
    assert abs(pixels(image).astype(int) - ramp).mean() < 20  # a web palette has steps of 51


def test_an_interlaced_png_is_put_together() -> None:
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4)]
    passes += [(2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    big = RNG.integers(0, 256, (19, 23, 3), dtype=np.uint8)
    rows = b"".join(rows_of(big[y::dy, x::dx]) for y, x, dy, dx in passes)
    assert (pixels(png(23, 19, 8, 2, rows, interlaced=1)) == big).all()


# --- frames and pages -----------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_several_frames_the_first_is_taken_and_a_warning_says_so(format, tmp_path) -> None:
    frames = [Image.new("RGB", (7, 5), colour) for colour in ("red", "lime", "blue")]
    options = {"lossless": True} if format == "WEBP" else {}
    path = tmp_path / "moving"
    path.write_bytes(encoded(frames[0], format, save_all=True, append_images=frames[1:], **options))
    with pytest.warns(
        PvzooWarning, match=r"moving has several frames or pages; the first one"
    ) as seen:
        assert open_image(path).getpixel((0, 0)) == (255, 0, 0)
    assert len(seen) == 1
    assert Path(seen[0].filename) == Path(__file__)  # it points at the user's own line


def test_a_single_frame_gives_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for format in ("GIF", "WEBP", "PNG", "TIFF", "JPEG"):
            open_image(encoded(RGB, format))


def test_a_phone_photo_with_a_preview_behind_it_gives_no_warning() -> None:
    second = Image.new("RGB", (4, 4))
    data = encoded(RGB, "MPO", save_all=True, append_images=[second])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pixels(data).shape == (5, 7, 3)
        with Image.open(io.BytesIO(data)) as image:
            assert image.format == "MPO"
            assert pixels(image).shape == (5, 7, 3)


def test_each_frame_of_an_image_sequence_stands_for_itself() -> None:
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    frames = [Image.new("RGB", (7, 5), colour) for colour in colours]
    gif = Image.open(io.BytesIO(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])))
    with pytest.warns(PvzooWarning, match="several frames"):
        handles = [ImageHandle.of(frame) for frame in ImageSequence.Iterator(gif)]
    assert [h.open().getpixel((0, 0)) for h in handles] == colours


# --- arrays ---------------------------------------------------------------------------------------


def test_the_layout_of_an_array_in_memory_does_not_matter() -> None:
    for view in (RGB[::-1], RGB[:, ::-1], RGB[..., ::-1], RGB[::2, ::3], np.asfortranarray(RGB)):
        assert (pixels(view) == view).all()
    assert (pixels(RGB.transpose(1, 0, 2)) == RGB.transpose(1, 0, 2)).all()
    read_only = RGB.copy()
    read_only.flags.writeable = False
    assert (pixels(read_only) == RGB).all()


def test_grey_arrays_have_two_axes_or_one_channel() -> None:
    assert (pixels(GREY) == grey(GREY)).all()
    assert (pixels(GREY[..., None]) == grey(GREY)).all()


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint32", "uint64"])
def test_other_whole_numbers_are_0_to_255(dtype: str) -> None:
    small = (RGB // 2).astype(dtype)
    assert (pixels(small) == RGB // 2).all()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "longdouble"])
def test_floats_are_0_to_1_and_keep_every_level(dtype: str) -> None:
    assert (pixels((RGB / 255).astype(dtype)) == RGB).all()


def test_floats_may_be_off_by_what_rounding_takes_away() -> None:
    assert (
        pixels(np.array([[1.0000001, -1e-9, 1.001, -0.001]])) == grey(np.array([[255, 0, 255, 0]]))
    ).all()


def test_an_array_whose_axes_are_ambiguous_is_read_by_the_rule() -> None:
    cube = RNG.integers(0, 256, (3, 8, 3), dtype=np.uint8)
    assert (pixels(cube) == cube).all()


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((3, 5, 7), np.uint8), ["channels first", "transpose(1, 2, 0)"]),
        (np.zeros((1, 5, 7), np.uint8), ["channels first", "transpose(1, 2, 0)"]),
        (np.zeros((1, 3, 5, 7), np.uint8), ["(1, 3, 5, 7)", "batch", "list"]),
        (np.zeros((5, 7, 2), np.uint8), ["(5, 7, 2)", "1, 3 or 4 channels"]),
        (np.zeros(5, np.uint8), ["(5,)", "(height, width)"]),
        (np.array(3), ["()", "(height, width)"]),
        (np.zeros((0, 7, 3), np.uint8), ["7 x 0", "has no pixels"]),
        (np.zeros((5, 0), np.uint8), ["0 x 5", "has no pixels"]),
        (np.full((5, 7), np.nan), ["NaN", "nan_to_num"]),
        (np.full((5, 7), np.inf), ["infinite"]),
        (np.full((5, 7), 128.0), ["float pixels from 128 to 128", "Divide by 255"]),
        (np.full((5, 7), -1.5), ["-1.5", "normalisation"]),
        (np.full((5, 7), 256), ["int64 pixels", "0..255"]),
        (np.full((5, 7), -1), ["int64 pixels from -1"]),
        (np.zeros((5, 7), complex), ["complex128", "uint8"]),
        (np.zeros((5, 7), object), ["object"]),
        (np.full((5, 7), "a"), ["<U1"]),
    ],
    ids=lambda value: f"{value.shape}-{value.dtype}" if isinstance(value, np.ndarray) else "",
)
def test_an_array_that_breaks_the_rules_is_refused(array, words) -> None:
    refused(array, "numpy array", *words)


def test_a_huge_array_is_refused_before_it_is_copied() -> None:
    refused(np.broadcast_to(np.uint8(0), (100_000, 100_000)), "pixels allowed")


# --- tensors --------------------------------------------------------------------------------------


def test_tensors_have_their_channels_first() -> None:
    torch = pytest.importorskip("torch")
    chw = torch.from_numpy(RGB).permute(2, 0, 1)
    assert (pixels(chw) == RGB).all()
    assert (pixels(chw.contiguous()) == RGB).all()
    assert (pixels((chw / 255).requires_grad_()) == RGB).all()
    assert (pixels(torch.nn.Parameter(chw / 255)) == RGB).all()
    assert (pixels(chw.double() / 255) == RGB).all()
    assert (pixels(chw.long()) == RGB).all()
    assert (pixels(torch.from_numpy(GREY)) == grey(GREY)).all()
    assert (pixels(torch.from_numpy(GREY)[None]) == grey(GREY)).all()
    assert (pixels(torch.from_numpy(GREY > 9)) == grey((GREY > 9).astype(np.uint8) * 255)).all()
    rgba = torch.from_numpy(RGBA).permute(2, 0, 1)
    assert (pixels(rgba) == pixels(RGBA)).all()
    for dtype in (torch.float16, torch.bfloat16):
        assert abs(pixels((chw / 255).to(dtype)).astype(int) - RGB).max() <= 1


def test_an_image_tensor_of_torchvision_is_a_tensor() -> None:
    tv_tensors = pytest.importorskip("torchvision.tv_tensors")
    image = tv_tensors.Image(np.ascontiguousarray(RGB.transpose(2, 0, 1)))
    assert (pixels(image) == RGB).all()


def test_a_tensor_that_breaks_the_rules_is_refused() -> None:
    torch = pytest.importorskip("torch")
    refused(torch.zeros(5, 7, 3), "channels last", "permute(2, 0, 1)")
    refused(torch.zeros(1, 3, 5, 7), "(1, 3, 5, 7)", "list(batch)")
    refused(torch.zeros(2, 5, 7), "(2, 5, 7)", "1, 3 or 4 channels")
    refused(torch.zeros(7), "(7,)")
    refused(torch.zeros(3, 0, 7), "has no pixels")
    refused(torch.full((3, 5, 7), float("nan")), "NaN")
    refused(torch.full((3, 5, 7), 255.0), "Divide by 255")
    refused(torch.zeros(3, 5, 7, device="meta"), "numpy cannot read")
    refused(torch.zeros(5, 7).to_sparse(), "numpy cannot read")
    refused(torch.float32, "of the type dtype")


# --- what is no image -----------------------------------------------------------------------------


def test_a_missing_file_is_named_with_the_folder_one_is_in(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    refused("gone.jpg", "does not exist", str(tmp_path), name="gone.jpg")
    refused(Path("gone.jpg"), "does not exist", name="gone.jpg")
    refused("no/such/gone.jpg", "There is no folder no/such", name="no/such/gone.jpg")
    Path("file").write_bytes(b"x")
    refused("file/gone.jpg", "does not exist", name="file/gone.jpg")


def test_a_folder_is_refused_with_the_way_to_read_one(tmp_path: Path) -> None:
    refused(tmp_path, "is a folder", "model.stream", name=str(tmp_path))
    refused(str(tmp_path), "is a folder", name=str(tmp_path))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["empty", "0 bytes"]),
        (b"hello, this is text", ["not an image", "JPEG"]),
        (b"<!doctype html><html></html>", ["web page"]),
        (b"\n <svg xmlns='http://www.w3.org/2000/svg'/>", ["SVG", "PNG"]),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", ["git lfs pull"]),
        (b"\0\0\0\x18ftypheic" + bytes(50), ["HEIC", "pillow-heif"]),
        (encoded(RNG.integers(0, 256, (64, 64), np.uint8), "JPEG")[:1500], ["incomplete"]),
        (encoded(RNG.integers(0, 256, (64, 64), np.uint8), "PNG")[:1500], ["incomplete"]),
        (encoded(RGB, "WEBP")[:40], ["incomplete"]),
        (encoded(RGB, "TIFF")[:-40], ["incomplete"]),
        (encoded(RGB, "JPEG")[:12], ["incomplete"]),
    ],
    ids=["empty", "text", "html", "svg", "lfs", "heic", "jpeg", "png", "webp", "tiff", "head"],
)
def test_a_file_that_is_no_image_is_refused(content, words, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    refused(path, *words, name=str(path))
    refused(content, *words)
    refused({"bytes": content, "path": "train/photo.jpg"}, *words, name="train/photo.jpg")


def test_a_damaged_file_is_an_image_error_wherever_it_is_damaged() -> None:
    dice = random.Random(0)
    image = Image.fromarray(RNG.integers(0, 256, (30, 40, 3), dtype=np.uint8))
    kinds = [("JPEG", {}), ("PNG", {}), ("WEBP", {}), ("GIF", {}), ("BMP", {}), ("TIFF", {})]
    kinds += [("GIF", {"save_all": True, "append_images": [Image.new("RGB", (40, 30))]})]
    kinds += [("PPM", {})]
    survivors, errors = 0, []
    for format, options in kinds:
        whole = encoded(image, format, **options)
        for _ in range(150):
            broken = bytearray(whole)
            for _ in range(dice.choice([1, 3, 10])):
                broken[dice.randrange(dice.choice([60, len(whole)]))] = dice.randrange(256)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    open_image(bytes(broken))
                survivors += 1
            except ImageError as error:
                errors.append(error)
    assert survivors
    assert len(errors) > 100
    assert all(error.hint and str(error).startswith("image 0") for error in errors)


@pytest.mark.parametrize("side", [10_000, 100_000, 2**31 - 1])
def test_an_image_that_claims_to_be_gigantic_is_refused_at_once(side: int, tmp_path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png(side, side, 8, 2, bytes(100)))
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        refused(path, "pixels allowed", "MAX_IMAGE_PIXELS", name=str(path))
    assert time.perf_counter() - start < 1


def test_the_pixel_limit_is_pils_own_switch(monkeypatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 34)
    for source in (RGB, Image.fromarray(RGB), encoded(RGB, "PNG")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            refused(source, "34 pixels allowed", "7 x 5")
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        refused(encoded(RGB, "PNG"), "34 pixels allowed", "35")
    for limit in (35, None):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        assert (pixels(encoded(RGB, "PNG")) == RGB).all()


def test_the_byte_limit_holds_for_paths_bytes_and_files(tmp_path: Path, monkeypatch) -> None:
    data = encoded(RGB, "PNG")
    path = tmp_path / "x.png"
    path.write_bytes(data)
    monkeypatch.setattr(limits, "MAX_BYTES", len(data))
    assert (pixels(path) == RGB).all()
    assert (pixels(io.BytesIO(data)) == RGB).all()
    monkeypatch.setattr(limits, "MAX_BYTES", len(data) - 1)
    refused(path, f"{len(data)} bytes", "MAX_BYTES", name=str(path))
    refused(data, "MAX_BYTES")
    refused(io.BytesIO(data), "MAX_BYTES")
    refused("data:," + "a" * 1000, "MAX_BYTES")
    with open("/dev/zero", "rb") as endless:
        refused(endless, "MAX_BYTES", name="/dev/zero")


def test_a_device_or_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "pipe or a device", name=str(tmp_path / "pipe"))
    refused("/dev/zero", "pipe or a device", name="/dev/zero")


@pytest.mark.parametrize("length", [5_000, 10_000_000])
def test_base64_pasted_as_a_path_is_refused_in_a_short_message(length: int) -> None:
    text = "/9j/" + "A" * length
    error = refused(text, f"{len(text):,} characters", "b64decode", name="/9j/AAAA")
    assert len(str(error)) < 600
    assert len(error.source) < 600
    refused("A" * 300, "300 characters", "b64decode", name="AAAA")  # longer than a file's name
    assert len(str(refused("/9j/" + "A/" * 2000, "does not exist", name="/9j/"))) < 1000


def test_impossible_texts_are_refused(tmp_path: Path) -> None:
    refused("", "empty string")
    refused("  \n", "empty string")
    refused("a\0b.jpg", "null character", name="a\\0b.jpg")
    refused(Path("a\0b.jpg"), "null character", name="a\\0b.jpg")
    for url in ("ftp://h/a.png", "file:///etc/passwd", "S3://bucket/key.jpg", "gs://b/k"):
        refused(url, "http://", name=url)
    refused("data:image/png;base64", "comma", name="data:")
    refused("data:image/png;base64,@@@", "base64", name="data:")
    refused("data:image/png;base64," + "A" * 9_999_999, "base64", name="data:")
    refused("data:image/png;base64,", "empty")


def test_objects_that_are_no_image_are_refused() -> None:
    refused(None, "NoneType", "Pass a path")
    refused(3, "int")
    refused([1, 2], "list")
    refused(np.float32(3), "float32")
    refused({"image": RGB, "label": 3}, "image, label", "row['image']")
    refused({str(i): i for i in range(10_000)}, "dict")
    refused({"bytes": None, "path": None}, "neither bytes nor a path")
    refused({"bytes": "text", "path": None}, "str")
    refused({"bytes": None, "path": "memory://gone/a.png"}, "memory://gone/a.png", "path")


def test_file_objects_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    refused(io.StringIO("x"), "text file", "'rb'")
    (tmp_path / "t.txt").write_text("x")
    with open(tmp_path / "t.txt", encoding="utf-8") as text:
        refused(text, "text file")
    closed = io.BytesIO(b"x")
    closed.close()
    refused(closed, "cannot be read", "Open it again")
    refused(io.BytesIO(), "empty")

    class Odd:
        def read(self, size: int = -1) -> int:
            return 7

    refused(Odd(), "returns a int")


def test_a_pil_image_whose_file_was_closed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(encoded(RGB, "PNG"))
    with Image.open(path) as image:
        pass
    refused(image, "image.load()", name=str(path))
    refused(Image.new("RGB", (0, 5)), "0 x 5")


def test_a_damaged_animation_that_pil_has_open_is_an_image_error() -> None:
    frames = [Image.fromarray(RNG.integers(0, 256, (60, 60, 3), np.uint8)) for _ in range(2)]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    with Image.open(io.BytesIO(data[:2500])) as image:
        refused(image)


def test_the_error_knows_which_of_many_inputs_it_was() -> None:
    with pytest.raises(ImageError, match=r"^image 41 ") as caught:
        ImageHandle.of(b"no image", 41).open()
    assert caught.value.index == 41
    with pytest.raises(ImageError, match=r"^image 42 ") as caught:
        ImageHandle.of(None, 42)
    assert caught.value.index == 42
