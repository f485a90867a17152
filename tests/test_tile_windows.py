"""Huge TIFF files are read in parts, and give what they would give in memory."""

from __future__ import annotations

import io
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import tifffile
import tile_models
from PIL import Image

import pvzoo
from pvzoo.errors import ImageError
from pvzoo.inputs.images import ImageHandle
from pvzoo.tiles.geometry import Area
from pvzoo.tiles.windows import MemorySource, TiffSource, open_source

MOST = 60_000
"""The limit of pixels in these tests; images have twice as many."""
SIZE = (300, 400)
TILES = pvzoo.Tiles(96, overlap=0.3)


@pytest.fixture
def small_limit(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", MOST)


def pixels_of(kind: str) -> tuple[np.ndarray, dict]:
    colours = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), np.uint8)
    return {
        "rgb": (colours, {"photometric": "rgb"}),
        "rgba": (
            np.dstack([colours, colours[..., :1]]),
            {"photometric": "rgb", "extrasamples": [2]},
        ),
        "grey": (colours[..., 0], {}),
        "grey of 16 bits": (colours[..., 0].astype(np.uint16) * 257, {}),
        "white is zero": (colours[..., 0], {"photometric": "miniswhite"}),
    }[kind]


def source_of(path, monkeypatch) -> TiffSource:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", MOST)
    source = open_source(ImageHandle.of(path))
    assert isinstance(source, TiffSource)
    return source


@pytest.mark.parametrize("kind", ["rgb", "rgba", "grey", "grey of 16 bits", "white is zero"])
@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "jpeg"])
def test_parts_have_the_pixels_that_pil_reads(kind, compression, tmp_path, monkeypatch):
    if compression == "jpeg" and kind in ("rgba", "grey of 16 bits"):
        pytest.skip("JPEG has no such pixels")
    for name, stored in product(["tiles", "strips"], [True, False]):
        pixels, more = pixels_of(kind)
        path = tmp_path / f"{name}.tif"
        shape = {"tile": (64, 80)} if name == "tiles" else {"rowsperstrip": 24}
        tifffile.imwrite(path, pixels, compression=compression, bigtiff=stored, **shape, **more)
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10**8)
        wanted = np.asarray(ImageHandle.of(path).open())
        source = source_of(path, monkeypatch)
        assert source.size == SIZE
        rng = np.random.default_rng(1)
        for _ in range(20):
            (top, bottom), (left, right) = (
                sorted(rng.choice(side + 1, 2, replace=False).tolist()) for side in SIZE
            )
            if (bottom - top) * (right - left) > MOST:
                continue
            part = np.asarray(source.read(Area(top, left, bottom, right)))
            assert (part == wanted[top:bottom, left:right]).all()


@pytest.mark.parametrize(
    "task", ["object-detection", "instance-segmentation", "semantic-segmentation"]
)
def test_a_huge_tiff_gives_the_result_of_the_image_in_memory(task, tmp_path, monkeypatch):
    pixels = tile_models.canvas((700, 900))
    for k in range(12):
        x, y = 60 + 200 * (k % 4), 60 + 200 * (k // 4)
        tile_models.disc(pixels, tile_models.NAMES[1 + k % 3], x, y, 10 + 3 * k)
    tile_models.box(pixels, "red", 30, 560, 880, 660)  # larger than any tile
    path = tmp_path / "huge.tif"
    tifffile.imwrite(path, pixels, tile=(128, 128), compression="zlib")
    model = tile_models.model(task)
    wanted = model.predict(path, tiles=pvzoo.Tiles(96, overlap=0.3, whole=False))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", MOST)
    monkeypatch.setattr("pvzoo.tiles.windows.SHRUNK", 450)  # the whole is scaled by a half
    with pytest.raises(ImageError, match="allowed"):
        model.predict(path)
    for whole in (False, True):
        found = model.predict(path, tiles=pvzoo.Tiles(96, overlap=0.3, whole=whole))
        assert found.size == (700, 900)
        assert found.source == str(path)
        if task == "semantic-segmentation":
            assert (found.map == wanted.map).all()
            continue
        assert len(found) == len(wanted) == 13
        assert np.allclose(np.sort(found.boxes, axis=0), np.sort(wanted.boxes, axis=0))
        if task == "instance-segmentation":
            assert sorted(found.masks.areas) == sorted(wanted.masks.areas)


def test_masks_of_a_scaled_down_image_are_enlarged_to_their_place(tmp_path, monkeypatch):
    """The object is too large for tiles that do not overlap, and its pieces do not agree."""
    pixels = tile_models.canvas((700, 900))
    tile_models.disc(pixels, "green", 450, 350, 300)
    path = tmp_path / "huge.tif"
    tifffile.imwrite(path, pixels, tile=(128, 128))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", MOST)
    monkeypatch.setattr("pvzoo.tiles.windows.SHRUNK", 300)
    source = open_source(ImageHandle.of(path))
    assert source.whole().size == (300, 234)
    model = tile_models.model("instance-segmentation")
    found = model.predict(path, tiles=TILES)
    assert len(found) == 1
    mask, wanted = found.masks[0], pixels[..., 1] > 0
    assert (mask & wanted).sum() / (mask | wanted).sum() > 0.98


@pytest.mark.parametrize(
    ("pixels", "options", "message"),
    [
        (np.zeros((3, *SIZE), np.uint8), {"planarconfig": 2, "photometric": "rgb"}, "one after"),
        (np.zeros(SIZE, np.float32), {}, "8 or 16 bits"),
        (np.zeros((*SIZE, 3), np.uint8), {"rowsperstrip": 300}, "pieces of 400 x 300 pixels"),
        (np.zeros((*SIZE, 3), np.uint8), {"extratags": [(274, 3, 1, 6, True)]}, "turned"),
    ],
)  # fmt: skip
def test_a_huge_tiff_that_cannot_be_read_in_parts_is_refused_with_what_to_do(
    pixels, options, message, tmp_path, small_limit
):
    path = tmp_path / "huge.tif"
    tifffile.imwrite(path, pixels, **{"rowsperstrip": 16, **options})
    with pytest.raises(ImageError, match=message) as caught:
        tile_models.model("object-detection").predict(path, tiles=TILES)
    assert "Save it" in caught.value.hint
    assert str(path) in str(caught.value)


def test_other_large_files_say_how_they_could_be_read(tmp_path, small_limit, monkeypatch):
    png, tiff = tmp_path / "large.png", tmp_path / "large.tif"
    Image.new("RGB", (400, 300)).save(png)
    tifffile.imwrite(tiff, np.zeros((*SIZE, 3), np.uint8), rowsperstrip=16)
    model = tile_models.model("object-detection")
    with pytest.raises(ImageError, match=r"TIFF in tiles, and run pip install \"pvzoo\[large\]\""):
        model.predict(png, tiles=TILES)
    assert len(model.predict(tiff, tiles=TILES)) == 0
    monkeypatch.setitem(sys.modules, "tifffile", None)
    with pytest.raises(ImageError, match=r"pvzoo\[large\]"):
        model.predict(tiff, tiles=TILES)


def test_a_tile_may_not_have_more_pixels_than_an_image(tmp_path, small_limit):
    path = tmp_path / "huge.tif"
    tifffile.imwrite(path, np.zeros((*SIZE, 3), np.uint8), tile=(64, 64))
    with pytest.raises(ImageError, match="Use smaller tiles"):
        tile_models.model("object-detection").predict(path, tiles=512)
    with pytest.raises(ImageError, match="larger than the 60,000 pixels allowed"):
        tile_models.model("object-detection").predict(path, tiles=(pvzoo.Tiles((290, 300))))


def test_a_damaged_piece_is_an_error_of_the_image(tmp_path, small_limit):
    path = tmp_path / "huge.tif"
    noise = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), np.uint8)
    tifffile.imwrite(path, noise, tile=(64, 64), compression="zlib")
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 20_000] = bytes(20_000)
    path.write_bytes(bytes(data))
    errors: list[ImageError] = []
    found = tile_models.model("object-detection").predict(
        [path], tiles=TILES, on_error=errors.append
    )
    assert found == []
    assert [error.index for error in errors] == [0]
    assert "damaged" in errors[0].what


def test_small_files_are_read_as_without_tiles(tmp_path):
    path = tmp_path / "small.tif"
    tifffile.imwrite(path, np.zeros((*SIZE, 3), np.uint8), tile=(64, 64))
    assert isinstance(open_source(ImageHandle.of(path)), MemorySource)


_PREDICT = """
import sys, tile_models, pvzoo
model = tile_models.model("object-detection")
found = model.predict(sys.argv[1], tiles=pvzoo.Tiles(1024, overlap=0.1))
status = open("/proc/self/status", encoding="utf-8").read().splitlines()
print(len(found), next(line.split()[1] for line in status if line.startswith("VmHWM")))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_memory_for_a_huge_tiff_does_not_grow_with_the_file(tmp_path):
    """Each piece of 1,024 pixels has one object."""
    piece = tile_models.canvas((1024, 1024))
    tile_models.box(piece, "red", 400, 300, 470, 380)
    peaks = []
    for pieces in (10, 29):
        path, side = tmp_path / f"{pieces}.tif", 1024 * pieces
        stored = {"shape": (side, side, 3), "dtype": np.uint8, "photometric": "rgb"}
        tifffile.imwrite(
            path, (piece for _ in range(pieces**2)), tile=(1024, 1024), compression="zlib", **stored
        )
        done = subprocess.run(
            [sys.executable, "-c", _PREDICT, str(path)],
            capture_output=True,
            text=True,
            cwd=Path(__file__).parent,
        )
        assert done.returncode == 0, done.stderr
        objects, peak = map(int, done.stdout.split())
        assert objects == pieces**2
        peaks.append(peak)
    assert peaks[1] < 1.3 * peaks[0]


def test_a_piece_that_holds_a_larger_image_than_it_states_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100_000)
    buffer = io.BytesIO()
    Image.new("RGB", (2000, 2000)).save(buffer, "JPEG")
    path = tmp_path / "bomb.tif"
    tifffile.imwrite(
        path,
        iter([buffer.getvalue()] * 16),
        shape=(1024, 1024, 3),
        dtype=np.uint8,
        tile=(256, 256),
        compression="jpeg",
        photometric="rgb",
    )
    with pytest.raises(ImageError, match="larger than it states"):
        open_source(ImageHandle.of(path)).read(Area(0, 0, 300, 300))
