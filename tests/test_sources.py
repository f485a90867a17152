"""What `Model.stream` takes: folders, patterns, datasets, columns and other iterables."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pvzoo.errors import ImageError, UsageError
from pvzoo.inputs.images import ImageHandle, open_image
from pvzoo.inputs.sources import SUFFIXES, images_of

RNG = np.random.default_rng(0)
IMAGES = [RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8) for _ in range(3)]


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def opened(source) -> list[np.ndarray]:
    return [np.asarray(open_image(image)) for image in images_of(source)]


def same(source, images=IMAGES) -> bool:
    found = opened(source)
    return len(found) == len(images) and all(
        (a == b).all() for a, b in zip(found, images, strict=True)
    )


def refused(source, *words: str) -> None:
    with pytest.raises(UsageError) as caught:
        images_of(source)
    assert caught.value.hint
    assert len(str(caught.value)) < 1000
    assert all(word in str(caught.value) for word in words), str(caught.value)


# --- folders and patterns -------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three images, in the order of their names, among other things."""
    root = tmp_path / "my [photos]"
    for name, pixels in zip(["a.png", "b/c.PNG", "d.jpeg"], IMAGES, strict=True):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(png(pixels))
    (root / "notes.txt").write_text("not an image")
    (root / "e.png").mkdir()
    return root


def test_a_folder_gives_its_images_and_those_of_its_subfolders_by_name(folder: Path) -> None:
    assert same(folder)
    assert same(str(folder))
    assert [p.name for p in images_of(folder)] == ["a.png", "c.PNG", "d.jpeg"]


def test_images_come_as_their_paths_are_sorted(tmp_path: Path) -> None:
    for name in ("b", "a/z", "a-b", "a.b", "a/b/c", "a/b-c", "a b", "A", "a/B"):
        file = tmp_path / f"{name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    (tmp_path / "linked").symlink_to(tmp_path / "a")
    assert list(images_of(tmp_path)) == sorted(p for p in tmp_path.rglob("*.png"))


def test_a_large_folder_is_not_read_whole_before_its_first_image(tmp_path: Path) -> None:
    for part in ("a", "b"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "1.png").touch()
    found = iter(images_of(tmp_path))
    assert next(found) == tmp_path / "a" / "1.png"
    (tmp_path / "b" / "2.png").touch()
    assert list(found) == [tmp_path / "b" / "1.png", tmp_path / "b" / "2.png"]


def test_hidden_files_and_folders_are_left_out(folder: Path) -> None:
    (folder / "._a.png").write_bytes(b"what macOS leaves behind")
    (folder / ".ipynb_checkpoints").mkdir()
    (folder / ".ipynb_checkpoints/a-checkpoint.png").write_bytes(png(IMAGES[0]))
    assert same(folder)


def test_a_folder_below_a_hidden_one_can_be_read(folder: Path, tmp_path: Path) -> None:
    hidden = tmp_path / ".cache"
    hidden.mkdir()
    assert same(folder.rename(hidden / "photos"))


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_every_suffix_of_a_folder_can_be_opened(suffix: str, tmp_path: Path) -> None:
    Image.fromarray(IMAGES[0]).save(tmp_path / f"x{suffix.upper()}")
    assert len(opened(tmp_path)) == 1


def test_a_pattern_gives_every_file_it_matches_by_name(folder: Path) -> None:
    plain = folder.rename(folder.with_name("photos"))
    assert same(f"{plain}/*.*g", [IMAGES[0], IMAGES[2]])
    assert same(f"{plain}/**/*.[pPj]*")
    assert same(f"{plain}/?.png", [IMAGES[0]])


def test_a_tilde_is_the_home_folder(folder: Path, monkeypatch) -> None:
    folder = folder.rename(folder.with_name("photos"))
    monkeypatch.setenv("HOME", str(folder))
    assert same("~")
    assert same(Path("~"))
    assert same("~/?.png", [IMAGES[0]])


def test_a_folder_whose_name_begins_with_a_tilde_is_read(folder: Path, monkeypatch) -> None:
    monkeypatch.chdir(folder.rename(folder.with_name("~old-photos")).parent)
    assert same("~old-photos")
    assert same(Path("~old-photos"))


def test_what_is_no_folder_or_pattern_is_refused(folder: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    refused("gone", "gone is not a folder", str(tmp_path))
    refused(Path("gone"), "gone is not a folder")
    refused("*.tiff", "No file matches '*.tiff'")
    refused(folder / "a.png", "is a file", "model.predict")
    (tmp_path / "empty").mkdir()
    refused("empty", "empty has no image files", ".jpg")
    refused("", "empty")
    refused("a\0b", "a\\x00b", "null")
    refused("A" * 100_000, "AAAA")
    refused("https://example.org/a.png", "https://example.org/a.png", "model.predict")
    refused("data:image/png;base64," + "A" * 100_000, "model.predict")


# --- iterables ------------------------------------------------------------------------------------


def test_any_iterable_of_images_is_taken_as_it_is() -> None:
    assert same(IMAGES)
    assert same(tuple(IMAGES))
    assert same(iter(IMAGES))
    assert same(p for p in IMAGES)
    assert same(np.stack(IMAGES))  # a batch


def test_an_endless_iterator_is_not_read_ahead() -> None:
    def endless() -> Iterator[np.ndarray]:
        while True:
            yield IMAGES[0]

    assert next(iter(images_of(endless()))) is IMAGES[0]


def test_a_batch_tensor_gives_its_images() -> None:
    torch = pytest.importorskip("torch")
    batch = torch.from_numpy(np.stack(IMAGES)).permute(0, 3, 1, 2)
    assert same(batch)
    refused(batch[0], "single Tensor", "model.predict")
    refused(batch[0, 0], "single Tensor")


def test_one_image_is_not_taken_apart_into_rows_or_lines(tmp_path: Path) -> None:
    data = png(IMAGES[0])
    for image in (IMAGES[0], IMAGES[0][..., 0], data, bytearray(data), memoryview(data)):
        refused(image, "single", "model.predict")
    refused(io.BytesIO(data), "single BytesIO", "model.predict")
    refused(Image.fromarray(IMAGES[0]), "single Image", "model.predict")
    refused({"bytes": data, "path": None}, "single dict", "model.predict")
    refused(None, "NoneType")
    refused(3.0, "float")
    refused(True, "bool")


# --- datasets -------------------------------------------------------------------------------------

datasets = pytest.importorskip("datasets")


@pytest.fixture
def table():
    columns = {
        "label": [0, 1, 2],
        "image": [{"bytes": png(p), "path": f"{i}.png"} for i, p in enumerate(IMAGES)],
    }
    return datasets.Dataset.from_dict(columns).cast_column("image", datasets.Image())


def test_a_dataset_gives_its_image_column(table) -> None:
    assert same(table)
    assert same(table["image"])
    assert same(table[:]["image"])
    assert same([row["image"] for row in table])
    assert same(table.select([2, 0]), [IMAGES[2], IMAGES[0]])
    assert table.features["image"].decode  # it was not changed


def test_an_iterable_dataset_gives_its_image_column(table) -> None:
    stream = table.to_iterable_dataset()
    assert same(stream)
    assert same(stream["image"])
    assert same(stream.shuffle(seed=0, buffer_size=1))


def test_images_come_with_the_names_their_dataset_has_for_them(table) -> None:
    handles = [ImageHandle.of(image) for image in images_of(table)]
    assert [handle.name for handle in handles] == ["0.png", "1.png", "2.png"]


def test_a_dataset_whose_images_are_not_decoded_is_read(table) -> None:
    raw = table.cast_column("image", datasets.Image(decode=False))
    assert same(raw)
    assert same(raw["image"])
    assert same(row["image"] for row in raw)


@pytest.mark.parametrize("format", ["numpy", "torch", "arrow", "pandas"])
def test_the_format_of_a_dataset_does_not_matter(table, format: str) -> None:
    assert same(table.with_format(format))
    if format != "arrow":  # whose columns are pyarrow's own
        assert same(table.with_format(format)["image"])
    assert same(table.with_format(format).to_iterable_dataset())


def test_a_transform_of_the_user_is_applied(table) -> None:
    def upside_down(rows: dict) -> dict:
        return {"image": [np.asarray(image)[::-1] for image in rows["image"]]}

    turned = table.with_transform(upside_down)
    assert same(turned, [p[::-1] for p in IMAGES])
    assert same(turned["image"], [p[::-1] for p in IMAGES])


def test_a_mapped_stream_is_read_by_its_column(table) -> None:
    def upside_down(row: dict) -> dict:
        return {"image": Image.fromarray(np.asarray(row["image"])[::-1])}

    mapped = table.to_iterable_dataset().map(upside_down)
    assert mapped.features is None  # so which column is the image is not known
    refused(mapped, "none", "dataset['image']")
    assert same(mapped["image"], [p[::-1] for p in IMAGES])
    assert same(table.map(upside_down), [p[::-1] for p in IMAGES])


def test_a_photo_in_a_dataset_comes_out_upright(table) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.fromarray(IMAGES[0]).save(file, "PNG", exif=exif)
    columns = {"image": [{"bytes": file.getvalue(), "path": None}]}
    turned = datasets.Dataset.from_dict(columns).cast_column("image", datasets.Image())
    for source in (turned, turned["image"], [turned[0]["image"]]):
        assert same(source, [np.rot90(IMAGES[0], -1)])


@pytest.mark.parametrize("streaming", [False, True])
def test_a_damaged_image_in_a_dataset_is_an_error_in_its_place(streaming: bool) -> None:
    rows = [{"bytes": png(IMAGES[0]), "path": None}, {"bytes": b"broken", "path": "bad.jpg"}]
    table = datasets.Dataset.from_dict({"image": rows}).cast_column("image", datasets.Image())
    table = table.to_iterable_dataset() if streaming else table
    for source in (table, table["image"]):
        first, second = images_of(source)
        assert (np.asarray(open_image(first)) == IMAGES[0]).all()
        with pytest.raises(ImageError, match=r"^bad\.jpg is not an image"):
            open_image(second)


def test_a_missing_image_in_a_dataset_is_an_error_in_its_place() -> None:
    rows = [{"bytes": None, "path": "/gone.png"}, None]
    table = datasets.Dataset.from_dict({"image": rows}).cast_column("image", datasets.Image())
    first, second = images_of(table)
    with pytest.raises(ImageError, match=r"^/gone\.png does not exist"):
        open_image(first)
    with pytest.raises(ImageError, match=r"^image 0 "):
        open_image(second)


def test_an_image_folder_is_read_also_as_a_stream(folder: Path, tmp_path: Path) -> None:
    plain = folder.rename(folder.with_name("photos"))
    files = sorted(str(p) for p in plain.rglob("*") if p.suffix in (".png", ".PNG") and p.is_file())
    for streaming in (False, True):
        loaded = datasets.load_dataset(
            "imagefolder",
            data_files={"train": files},
            split="train",
            streaming=streaming,
            cache_dir=str(tmp_path / "cache"),
        )
        assert same(loaded, IMAGES[:2])


def test_images_inside_a_streamed_archive_are_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.writestr("a.png", png(IMAGES[0]))
    path = f"zip://a.png::{tmp_path}/photos.zip"
    column = {"image": [{"bytes": None, "path": path}]}
    table = datasets.Dataset.from_dict(column).cast_column("image", datasets.Image())
    assert same(table.to_iterable_dataset(), IMAGES[:1])


def test_a_dataset_without_exactly_one_image_column_is_refused(table) -> None:
    refused(table.remove_columns("image"), "0 image columns", "dataset['image']")
    two = table.add_column(
        "mask", table.cast_column("image", datasets.Image(decode=False))["image"]
    )
    two = two.cast_column("mask", datasets.Image())
    refused(two, "2 image columns (image, mask)", "dataset['image']")
    assert same(two["mask"])


def test_splits_are_refused_with_their_names(table) -> None:
    splits = datasets.DatasetDict(train=table, test=table)
    refused(splits, "DatasetDict", "'train', 'test'")
    assert same(splits["test"])
