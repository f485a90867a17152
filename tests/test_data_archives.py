"""Data in zip and tar files, in Parquet files and in UTF-16."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest
from datasets import Dataset, DatasetDict, Features, Value
from datasets import Image as ImageColumn
from test_data_tools import META, cvat, cvat_yolo, image_file, put, region, task

from pvzoo import data
from pvzoo.data import archives
from pvzoo.data.schema import class_names, task_of
from pvzoo.errors import DataError


def zipped(folder: Path, file: Path) -> Path:
    with zipfile.ZipFile(file, "w") as packed:
        for path in sorted(folder.rglob("*")):
            packed.write(path, path.relative_to(folder))
    return file


def tarred(folder: Path, file: Path, mode: str = "w:gz") -> Path:
    with tarfile.open(file, mode) as archive:
        archive.add(folder, arcname=".")
    return file


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_an_archive_is_read_as_what_is_in_it(tmp_path, own_cache, pack):
    cvat(tmp_path / "in")
    file = pack(tmp_path / "in", tmp_path / ("x.zip" if pack is zipped else "x.tar.gz"))
    found = data.load(file)
    assert found.to_list() == data.load(file).to_list()
    assert found[0]["file_name"] == "images/a.jpg"
    assert not data.check(found).errors
    assert len([*(own_cache / "pvzoo/unpacked").iterdir()]) == 1
    (tmp_path / "in/images/b.jpg").unlink()
    os.utime(pack(tmp_path / "in", file), ns=(1, 1))
    assert not Path(data.load(file).data["image"].to_pylist()[1]["path"]).exists()


def test_the_data_of_an_archive_may_be_in_a_folder_of_its_own(tmp_path, own_cache):
    cvat_yolo(tmp_path / "in/my-data")
    assert list(data.load(zipped(tmp_path / "in", tmp_path / "x.zip"))) == ["train", "validation"]


@pytest.mark.parametrize(
    "name",
    ["../out.txt", "/tmp/pvzoo-out.txt", "a/../../out.txt", "..\\out.txt", "C:/out.txt"],  # noqa: S108
)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_no_path_leads_out_of_an_archive(tmp_path, own_cache, name, kind):
    file = tmp_path / f"x.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(file, "w") as packed:
            packed.writestr(name, "x")
    else:
        with tarfile.open(file, "w") as archive:
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(DataError, match="leads out of its folder"):
        data.load(file)
    assert not [*own_cache.rglob("out.txt"), *own_cache.rglob("*.part")]
    assert not Path("/tmp/pvzoo-out.txt").exists()  # noqa: S108


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path, own_cache, kind):
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        member = tarfile.TarInfo("a.jpg")
        member.type, member.linkname = kind, "/etc/passwd"
        archive.addfile(member)
    with pytest.raises(DataError, match="is a link or another special file"):
        data.load(tmp_path / "x.tar")


def test_links_in_a_zip_are_refused(tmp_path, own_cache):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as packed:
        member = zipfile.ZipInfo("a.jpg")
        member.external_attr = 0o120777 << 16
        packed.writestr(member, "/etc/passwd")
    with pytest.raises(DataError, match="is a link or another special file"):
        data.load(tmp_path / "x.zip")


def test_what_is_packed_too_well_or_in_too_many_files_is_refused(tmp_path, own_cache, monkeypatch):
    monkeypatch.setattr(archives, "LITTLE", 1000)
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a.txt", b"0" * 10**6)
    with pytest.raises(DataError, match="200 times its own size"):
        data.load(tmp_path / "x.zip")
    monkeypatch.setattr(archives, "MOST_MEMBERS", 3)
    for i in range(4):
        put(tmp_path / f"in/{i}.txt", "x")
    with pytest.raises(DataError, match="more than 3 files"):
        data.load(zipped(tmp_path / "in", tmp_path / "x.zip"))
    assert not [*(own_cache / "pvzoo/unpacked").iterdir()]


def test_an_archive_that_is_damaged_says_so(tmp_path, own_cache):
    put(tmp_path / "x.zip", "no archive")
    put(tmp_path / "x.tar.gz", "no archive")
    for name in ("x.zip", "x.tar.gz"):
        with pytest.raises(DataError, match=r"cannot be (unpacked|read)"):
            data.load(tmp_path / name)


# --- Parquet --------------------------------------------------------------------------------------


def rows(*names: str) -> Dataset:
    cells = [{"path": None, "bytes": _png(name)} for name in names]
    columns = Features({"image": ImageColumn(), "label": Value("string")})
    return Dataset.from_dict({"image": cells, "label": [*names]}, columns)


def _png(name: str) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (8, 8), (len(name), 0, 0)).save(file, "PNG")
    return file.getvalue()


def test_a_folder_of_parquet_files_has_the_splits_of_their_names(tmp_path, own_cache):
    for name, names in (("train-00000-of-00002", "ab"), ("train-00001-of-00002", "c")):
        (tmp_path / "data").mkdir(exist_ok=True)
        rows(*names).to_parquet(tmp_path / f"data/{name}.parquet")
    rows("a").to_parquet(tmp_path / "data/validation-00000-of-00001.parquet")
    found = data.load(tmp_path)
    assert {name: len(part) for name, part in found.items()} == {"train": 3, "validation": 1}
    assert class_names(found["train"].features) == ("a", "b", "c")
    assert found["train"][0]["image"].size == (8, 8)


def test_parquet_files_without_splits_and_of_several_configurations(tmp_path, own_cache):
    rows("a", "b").to_parquet(tmp_path / "some.parquet")
    for found in (data.load(tmp_path), data.load(tmp_path / "some.parquet")):
        assert not isinstance(found, DatasetDict)
        assert len(found) == 2
    for name in ("one", "two"):
        (tmp_path / f"both/{name}").mkdir(parents=True)
        rows("a").to_parquet(tmp_path / f"both/{name}/train.parquet")
    with pytest.raises(DataError, match="several configurations: one, two"):
        data.load(tmp_path / "both")
    put(tmp_path / "bad/x.parquet", "PAR1")
    with pytest.raises(DataError, match="Parquet files that datasets cannot read"):
        data.load(tmp_path / "bad")


def test_images_with_a_metadata_parquet(tmp_path, own_cache):
    image_file(tmp_path / "a.png")
    image_file(tmp_path / "b.png")
    table = {"file_name": ["a.png", "b.png"], "label": ["x", "y"]}
    Dataset.from_dict(table).to_parquet(tmp_path / "metadata.parquet")
    found = data.load(tmp_path)
    found = found["train"] if isinstance(found, dict) else found
    assert class_names(found.features) == ("x", "y")


# --- UTF-16 ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["utf-16-le", "utf-16-be"])
def test_label_files_may_be_utf_16_with_a_byte_order_mark(tmp_path, own_cache, kind):
    import json

    def written(file: Path, text: str) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(("\ufeff" + text).encode(kind))

    cvat_yolo(tmp_path / "yolo")
    for file in (tmp_path / "yolo").rglob("*"):
        if file.suffix in (".txt", ".names", ".data"):
            written(file, file.read_text())
    assert data.load(tmp_path / "yolo")["train"][0]["objects"]["category"] == [1]
    image = {"id": 1, "file_name": "a.jpg", "width": 20, "height": 10}
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 3, 3], "area": 9, "iscrowd": 0}
    coco = {"images": [image], "annotations": [box], "categories": [{"id": 1, "name": "kø"}]}
    written(tmp_path / "coco/a.json", json.dumps(coco, ensure_ascii=False))
    written(tmp_path / "studio/a.json", json.dumps([task([region("rectanglelabels", _BOX)])]))
    cvat_text = META.format(kind="task", images="").replace("utf-8", "utf-16")
    written(tmp_path / "cvat/annotations.xml", cvat_text.replace("dog", "kø"))
    assert class_names(data.load(tmp_path / "coco").features) == ("kø",)
    assert task_of(data.load(tmp_path / "studio").features) == "object-detection"
    with pytest.raises(DataError, match="no images"):
        data.load(tmp_path / "cvat")


_BOX = {"x": 10, "y": 20, "width": 50, "height": 30.0, "rotation": 0}
