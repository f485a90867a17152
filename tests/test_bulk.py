"""Many images into Parquet files: what rows say, what is refused, where inputs come from."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
import tarfile
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as parquet
import pyarrow.fs
import pyarrow.parquet as pq
import pytest
import stand_in
from PIL import Image

import pvzoo
from pvzoo.errors import PvzooError, UsageError
from pvzoo.export.twins import shipped_folder
from pvzoo.jobs.storage import Place

SCRIPTS = ("straße", "улица", "街道", "شارع", "सड़क")


def export(name: str) -> Path:
    return shipped_folder(pvzoo.info(name))


@pytest.fixture(scope="module")
def detector() -> Path:
    """A small detector on ONNX Runtime."""
    return export("shapes-detector")


@pytest.fixture(scope="module")
def scene() -> Image.Image:
    samples = Path(pvzoo.__file__).parent / "demo" / "examples"
    return Image.open(samples / "scene.jpg").convert("RGB")


@pytest.fixture
def folder(tmp_path, scene) -> Path:
    """Three images in two folders, one of them damaged."""
    images = tmp_path / "images"
    (images / "more").mkdir(parents=True)
    scene.save(images / "a.png")
    scene.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(images / "more" / "b.png")
    (images / "more" / "c.jpg").write_bytes(b"not an image")
    return images


def encoded(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def run(source, out, model, **options):
    return pvzoo.bulk(str(source), str(out), model=str(model), workers=1, **options)


def rows(out) -> list[dict]:
    return parquet.dataset(str(out)).to_table().sort_by("id").to_pylist()


# --- what the rows say ----------------------------------------------------------------------------


def test_each_image_has_a_row_with_what_predict_says_and_a_damaged_one_an_error(
    folder, tmp_path, detector
):
    report = run(folder, tmp_path / "out", detector, threshold=0.3)
    assert (report.rows, report.errors, report.new) == (3, 1, 3)
    a, b, c = rows(tmp_path / "out")
    model = pvzoo.load(detector)
    for row in (a, b):
        expected = model.predict(row["path"], threshold=0.3).to_dict()
        assert row["predictions"] == expected["predictions"]
        assert row["predictions"]
        assert (row["width"], row["height"]) == (expected["width"], expected["height"])
        assert row["error"] is None
    assert c["path"] == str(folder / "more" / "c.jpg")
    assert c["predictions"] is None
    assert "is not an image" in c["error"]


def test_images_are_predicted_in_tiles_and_other_tiles_are_another_job(folder, tmp_path, detector):
    tiles = pvzoo.Tiles(96, overlap=0.4)
    run(folder, tmp_path / "out", detector, tiles=tiles)
    model = pvzoo.load(detector)
    for row in rows(tmp_path / "out")[:2]:
        expected = model.predict(row["path"], tiles=tiles).to_dict()
        assert row["predictions"] == expected["predictions"]
    with pytest.raises(PvzooError, match="tiles"):
        run(folder, tmp_path / "out", detector, tiles=96)


@pytest.mark.parametrize("task", ["instance", "semantic", "panoptic"])
def test_masks_are_coco_codes_that_pycocotools_reads(folder, tmp_path, task):
    from pycocotools import mask as coco

    model = export(f"shapes-mask2former-{task}")
    run(folder, tmp_path / "out", model)
    row = rows(tmp_path / "out")[0]
    result = pvzoo.load(model).predict(row["path"])
    assert row["predictions"] == result.to_dict()["predictions"]
    decoded = coco.decode(row["predictions"][0]["mask"])
    masks = result.masks if task == "instance" else result.masks()
    np.testing.assert_array_equal(decoded, masks[0])


def test_probabilities_and_an_option_of_the_command_line_are_in_the_rows(folder, tmp_path):
    plugin = stand_in.install(tmp_path / "plugin")
    model = stand_in.write_model(tmp_path / "model")
    command = ["bulk", str(folder), str(tmp_path / "out"), "-m", str(model), "--workers", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "pvzoo", *command, "-o", "top_k=2", "-o", "probabilities=true"],
        env=stand_in.environment(plugin),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 3, done.stderr
    assert "3 rows in 1 files, 1 with errors" in done.stdout
    row = rows(tmp_path / "out")[0]
    assert [found["score"] for found in row["predictions"]] == pytest.approx(
        sorted(row["probabilities"], reverse=True)[:2]
    )
    assert len(row["probabilities"]) == 3


def test_every_file_and_the_manifest_tell_which_model_made_them(folder, tmp_path, detector):
    run(folder, tmp_path / "out", detector, shard_size=2, threshold=0.4)
    manifest = json.loads((tmp_path / "out" / "_manifest.json").read_text())
    assert manifest["complete"]
    assert (manifest["rows"], manifest["errors"]) == (3, 1)
    assert [part["name"] for part in manifest["parts"]] == [
        "part-000000.parquet",
        "part-000001.parquet",
    ]
    for part in manifest["parts"]:
        file = pq.ParquetFile(tmp_path / "out" / part["name"])
        told = json.loads(file.schema_arrow.metadata[b"pvzoo"])
        assert told["model"]["model"] == str(detector)
        assert told["model"]["runtime"] == "onnxruntime"
        assert told["options"] == {"threshold": 0.4}
        assert told["pvzoo"] == pvzoo.__version__
        assert file.metadata.num_rows == part["rows"]


def test_progress_tells_rows_speed_and_errors(folder, tmp_path, detector):
    seen = []
    run(folder, tmp_path / "out", detector, shard_size=1, progress=seen.append)
    assert [(s.rows, s.total, s.errors) for s in seen] == [(1, 3, 0), (2, 3, 0), (3, 3, 1)]
    assert "of 3" in str(seen[0])
    assert "images/s" in str(seen[0])


# --- going on, and refusing -----------------------------------------------------------------------


def test_the_same_call_again_does_nothing_and_a_lost_part_is_made_again(folder, tmp_path, detector):
    out = tmp_path / "out"
    run(folder, out, detector, shard_size=1)
    before = rows(out)
    assert run(folder, out, detector, shard_size=1).new == 0
    (out / "part-000001.parquet").unlink()
    assert run(folder, out, detector).new == 1
    assert rows(out) == before


def test_a_part_that_was_cut_off_is_made_again(folder, tmp_path, detector):
    out = tmp_path / "out"
    run(folder, out, detector, shard_size=1)
    before = rows(out)
    part = out / "part-000000.parquet"
    part.write_bytes(part.read_bytes()[:-20])
    (out / "_manifest.json").unlink()  # as after a crash
    assert run(folder, out, detector).new == 1
    assert rows(out) == before


@pytest.mark.parametrize("cut", [lambda plan: plan[:-20], lambda plan: b"", lambda plan: b"x" * 99])
def test_a_damaged_plan_is_made_again_before_the_first_part_and_refused_after_it(
    folder, tmp_path, detector, cut
):
    out = tmp_path / "out"
    run(folder, out, detector)
    plan = out / "_inputs.parquet"
    plan.write_bytes(cut(plan.read_bytes()))
    with pytest.raises(PvzooError, match=r"_inputs\.parquet is damaged .* Choose a new folder"):
        run(folder, out, detector)
    (out / "part-000000.parquet").unlink()
    assert run(folder, out, detector).rows == 3


@pytest.mark.parametrize(
    "wrong", [{"rows": None}, {"rows": "many"}, {"errors": []}, {"drift": 3}, {"bytes": 1e999}]
)
def test_a_manifest_with_values_of_a_wrong_type_is_written_again(folder, tmp_path, detector, wrong):
    out = tmp_path / "out"
    run(folder, out, detector)
    good = (out / "_manifest.json").read_text()
    manifest = json.loads(good)
    manifest["parts"][0].update(wrong)
    (out / "_manifest.json").write_text(json.dumps(manifest))
    report = run(folder, out, detector)
    assert (report.rows, report.errors, report.new) == (3, 1, 0)
    assert (out / "_manifest.json").read_text() == good


def test_images_that_come_later_do_not_change_a_job(folder, tmp_path, detector, scene):
    out = tmp_path / "out"
    run(folder, out, detector)
    scene.save(folder / "0.png")
    assert run(folder, out, detector).rows == 3


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"threshold": 0.9}, "threshold"),
        ({"model": "shapes-mask2former-instance"}, "the model"),
        ({"source": "more"}, "the source"),
    ],
)
def test_another_job_in_the_same_folder_is_refused_by_name(
    folder, tmp_path, detector, change, named
):
    run(folder, tmp_path / "out", detector, threshold=0.5)
    source = folder / change.get("source", "")
    model = export(change["model"]) if "model" in change else detector
    with pytest.raises(PvzooError, match=f"was begun with .*{named}"):
        run(source, tmp_path / "out", model, threshold=change.get("threshold", 0.5))
    assert len(rows(tmp_path / "out")) == 3


@pytest.mark.filterwarnings("ignore::pvzoo.errors.PvzooWarning")  # of an export elsewhere
def test_other_weights_under_the_same_name_are_refused(folder, tmp_path, detector):
    model = shutil.copytree(detector, tmp_path / "model")
    run(folder, tmp_path / "out", model)
    manifest = json.loads((model / "pvzoo-export.json").read_text())
    labels = manifest["spec"]["labels"]
    manifest["spec"]["labels"] = [*labels[1:], labels[0]]
    (model / "pvzoo-export.json").write_text(json.dumps(manifest))
    with pytest.raises(PvzooError, match="the model's weights"):
        run(folder, tmp_path / "out", model)


@pytest.mark.filterwarnings("ignore::pvzoo.errors.PvzooWarning")  # of an export elsewhere
def test_a_damaged_reference_of_a_model_only_stops_a_job_that_watches_for_drift(
    folder, tmp_path, detector
):
    model = shutil.copytree(detector, tmp_path / "model")
    manifest = json.loads((model / "pvzoo-export.json").read_text())
    manifest["reference"] = {"images": "many"}
    (model / "pvzoo-export.json").write_text(json.dumps(manifest))
    with pytest.raises(PvzooError, match="the reference for drift cannot be read"):
        run(folder, tmp_path / "out", model)
    assert run(folder, tmp_path / "out", model, drift=False).rows == 3


def test_a_folder_with_other_files_is_refused(folder, tmp_path, detector):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.doc").write_text("do not touch")
    with pytest.raises(PvzooError, match=r"other files, such as thesis\.doc"):
        run(folder, tmp_path / "out", detector)


def test_too_many_errors_stop_a_job_and_a_larger_number_goes_on(tmp_path, detector, scene):
    images = tmp_path / "images"
    images.mkdir()
    for index in range(10):
        (images / f"{index}.png").write_bytes(b"" if index % 2 else encoded(scene))
    out = tmp_path / "out"
    with pytest.raises(PvzooError, match=r"More than 2 inputs have errors, such as: .*3|5"):
        run(images, out, detector, shard_size=2, max_errors=2)
    assert len(rows(out)) == 4  # the two shards that were done
    assert run(images, out, detector, max_errors=5).errors == 5


def test_an_option_that_the_task_does_not_have_is_refused_before_anything_is_written(
    folder, tmp_path, detector
):
    with pytest.raises(UsageError, match="colour"):
        run(folder, tmp_path / "out", detector, colour="red")
    assert not (tmp_path / "out").exists()


def test_videos_and_tracking_are_refused_with_a_sentence(folder, tmp_path, detector):
    (folder / "film.mp4").write_bytes(b"")
    with pytest.raises(PvzooError, match="is a video"):
        run(folder / "film.mp4", tmp_path / "out", detector)
    with pytest.raises(PvzooError, match="is a video"):
        run(folder / "*.mp4", tmp_path / "out", detector)
    with pytest.raises(UsageError, match="do not track"):
        run(folder, tmp_path / "out", detector, track=True)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("empty", "has no images"),
        ("nowhere", "nothing at"),
        ("*.png", "has no images"),
        ("", "empty"),
    ],
)
def test_a_source_without_images_is_a_sentence(tmp_path, monkeypatch, detector, source, said):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PvzooError, match=said):
        run(source, tmp_path / "out", detector)


@pytest.mark.slow
def test_more_workers_than_a_cluster_has_room_for_end_the_job_and_leave_no_worker(
    folder, tmp_path, detector
):
    script = """
import sys, time, ray, pvzoo
ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
source, out, model = sys.argv[1:]
options = {"model": model, "shard_size": 2, "workers": 2, "cpus_per_worker": 1}
assert pvzoo.bulk(source, out, progress=False, **options).rows == 3
until = time.monotonic() + 10
while ray.available_resources().get("CPU") != 1:
    assert time.monotonic() < until, ray.available_resources()
    time.sleep(0.05)
"""
    command = [sys.executable, "-c", script, str(folder), str(tmp_path / "out"), str(detector)]
    environment = {
        **os.environ,
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_prestart_worker_first_driver": "0",
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert len(rows(tmp_path / "out")) == 3


# --- sources --------------------------------------------------------------------------------------


def test_a_pattern_means_the_files_that_match(folder, tmp_path, detector):
    run(folder / "**" / "*.png", tmp_path / "out", detector)
    assert [Path(row["path"]).name for row in rows(tmp_path / "out")] == ["a.png", "b.png"]


def test_an_output_folder_in_the_source_is_not_a_source(folder, detector, monkeypatch):
    monkeypatch.chdir(folder)
    (folder.parent / "link").symlink_to(folder)
    for source in (".", "../link", "**/*"):
        out = folder / "0 found"
        run(source, out, detector, shard_size=1)
        (out / "part-000001.parquet").unlink()
        assert run(source, out, detector).new == 1
        assert len(rows(out)) == 3
        shutil.rmtree(out)


def test_images_whose_names_begin_with_an_underscore_are_read_and_unfinished_files_are_not(
    tmp_path, detector, scene
):
    names = ["_DSC0001.JPG", "_raw/b.png", "_temporary/c.png", "_writing/d.png", ".e.png"]
    for name in names:
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        scene.save(tmp_path / "in" / name)
    (tmp_path / "in" / "_metadata.parquet").write_bytes(b"")
    for index, source in enumerate((tmp_path / "in", tmp_path / "in" / "**" / "*")):
        run(source, tmp_path / f"out{index}", detector)
        found = [row["path"] for row in rows(tmp_path / f"out{index}")]
        assert found == [str(tmp_path / "in" / name) for name in names[:2]]


def test_a_list_may_name_the_same_image_twice_and_images_that_are_missing(
    folder, tmp_path, detector
):
    (folder / "list.txt").write_text(
        f"a.png\r\n\nmore/b.png\na.png\nmissing.png\nmore\n{folder}/a.png\nhttp://127.0.0.1:9/x.png"
    )
    run(folder / "list.txt", tmp_path / "out", detector)
    found = rows(tmp_path / "out")
    errors = [row["error"] for row in found]
    assert [row["path"] for row in found][:4] == ["a.png", "more/b.png", "a.png", "missing.png"]
    assert [error is None for error in errors] == [True, True, True, False, False, True, False]
    assert "does not exist" in errors[3]
    assert "is a folder" in errors[4]
    assert found[0]["predictions"] == found[2]["predictions"] == found[5]["predictions"]
    assert len({row["id"] for row in found}) == 7


def test_names_in_five_scripts_and_names_that_are_not_text_are_rows(tmp_path, detector, scene):
    images = tmp_path / "images"
    images.mkdir()
    for name in SCRIPTS:
        scene.save(images / f"{name}.png")
    (images / os.fsdecode(b"\xff.png")).write_bytes(encoded(scene))
    report = run(images, tmp_path / "out", detector)
    assert (report.rows, report.errors) == (6, 0)
    names = {Path(row["path"]).stem for row in rows(tmp_path / "out")}
    assert names == {*SCRIPTS, "?"}


def png_of_size(width: int, height: int) -> bytes:
    """A PNG that says it is as large as this, and has no pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def test_bombs_pipes_and_folders_named_like_images_do_not_stop_a_job(tmp_path, detector, scene):
    images = tmp_path / "images"
    (images / "folder.png").mkdir(parents=True)
    scene.save(images / "good.png")
    (images / "bomb.png").write_bytes(png_of_size(60_000, 60_000))
    (images / "empty.png").write_bytes(b"")
    os.mkfifo(images / "pipe.png")
    (images / "gone.png").symlink_to("nowhere.png")
    run(images, tmp_path / "out", detector)
    errors = {Path(row["path"]).name: row["error"] for row in rows(tmp_path / "out")}
    assert errors.pop("good.png") is None
    assert {"bomb.png", "empty.png", "pipe.png", "gone.png"} == set(errors)
    assert "pixels allowed" in errors["bomb.png"]
    assert "does not exist" in errors["gone.png"]


def test_a_table_of_images_is_read_by_row_groups(tmp_path, detector, scene):
    cells = [{"bytes": encoded(scene), "path": f"{n}.png"} for n in range(5)]
    cells[3] = {"bytes": b"no image", "path": None}
    cells[4] = None
    table = pa.table({"image": cells, "label": [0, 1, 2, 3, 4]})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=2)
    run(tmp_path / "t.parquet", tmp_path / "out", detector, shard_size=2)
    found = rows(tmp_path / "out")
    assert [row["path"] for row in found] == [f"{tmp_path}/t.parquet#{n}" for n in range(5)]
    assert [row["error"] is None for row in found] == [True, True, True, False, False]
    assert len(list((tmp_path / "out").glob("part-*"))) == 3


def test_paths_in_a_table_that_lead_out_of_its_folder_are_errors_unless_allowed(
    folder, tmp_path, detector, scene
):
    scene.save(tmp_path / "secret.png")
    paths = ["a.png", "../secret.png", str(tmp_path / "secret.png"), "s3://theirs/x.png", None]
    table = pa.table({"file": paths, "name": paths})
    pq.write_table(table, folder / "t.parquet")
    with pytest.raises(UsageError, match="file, name"):
        run(folder / "t.parquet", tmp_path / "out", detector)
    run(folder / "t.parquet", tmp_path / "out", detector, column="file")
    errors = [row["error"] for row in rows(tmp_path / "out")]
    assert errors[0] is None
    assert all("leads out" in error for error in errors[1:4])
    assert "has no path" in errors[4]
    pq.write_table(table.slice(0, 3), folder / "t.parquet")
    run(folder / "t.parquet", tmp_path / "all", detector, column="file", allow_outside=True)
    assert [row["error"] for row in rows(tmp_path / "all")] == [None, None, None]


def test_later_tables_without_the_column_are_named_before_anything_is_written(
    tmp_path, detector, scene
):
    good = {"image": [encoded(scene)], "name": ["a.png"]}
    for column, other in (("image", {"image": ["a"]}), ("name", {"file": ["a"]})):
        pq.write_table(pa.table(good), tmp_path / "1.parquet")
        pq.write_table(pa.table(other), tmp_path / "2.parquet")
        with pytest.raises(PvzooError, match=rf"2\.parquet has no column '{column}'"):
            run(tmp_path / "*.parquet", tmp_path / f"out-{column}", detector, column=column)


def test_paths_in_a_table_that_are_not_text_are_rows(tmp_path, detector, scene):
    latin = os.fsdecode(b"caf\xe9.png")
    scene.save(tmp_path / "a.png")
    shutil.copy(tmp_path / "a.png", tmp_path / latin)
    names = pa.array([b"a.png", b"caf\xe9.png", b"gone\xff.png", None])
    text = pa.StringArray.from_buffers(4, *names.buffers()[1:], names.buffers()[0])
    pq.write_table(pa.table({"file": text}), tmp_path / "paths.parquet")
    nothing = pa.nulls(4, pa.binary())
    structs = pa.StructArray.from_arrays([nothing, text], ["bytes", "path"])
    pq.write_table(pa.table({"image": structs}), tmp_path / "structs.parquet")
    for name in ("paths", "structs"):
        run(tmp_path / f"{name}.parquet", tmp_path / name, detector)
        errors = [row["error"] for row in rows(tmp_path / name)]
        assert errors[:2] == [None, None]
        assert "does not exist" in errors[2]
        assert errors[3] is not None
    kind = pa.struct({"bytes": pa.binary(), "path": pa.int64()})
    table = pa.table({"image": pa.array([{"bytes": None, "path": 7}], kind)})
    pq.write_table(table, tmp_path / "n.parquet")
    run(tmp_path / "n.parquet", tmp_path / "integer", detector)
    assert "not text" in rows(tmp_path / "integer")[0]["error"]


def test_each_row_in_a_damaged_part_of_a_table_is_an_error_and_the_others_are_read(
    tmp_path, detector, scene
):
    file = tmp_path / "t.parquet"
    table = pa.table({"image": [encoded(scene)] * 6})
    pq.write_table(table, file, row_group_size=2, use_dictionary=False)
    chunk = pq.read_metadata(file).row_group(1).column(0)
    content = bytearray(file.read_bytes())
    content[chunk.data_page_offset : chunk.data_page_offset + 40] = b"\xff" * 40
    file.write_bytes(content)
    run(file, tmp_path / "out", detector)
    found = rows(tmp_path / "out")
    assert [row["path"] for row in found] == [f"{file}#{n}" for n in range(6)]
    assert [row["error"] is None for row in found] == [True, True, False, False, True, True]
    assert f"{file}#2 is in a damaged part of the table" in found[2]["error"]


def test_a_damaged_table_of_paths_is_named(tmp_path, detector):
    file = tmp_path / "t.parquet"
    pq.write_table(pa.table({"file": ["a.png"] * 6}), file, use_dictionary=False)
    chunk = pq.read_metadata(file).row_group(0).column(0)
    content = bytearray(file.read_bytes())
    content[chunk.data_page_offset : chunk.data_page_offset + 20] = b"\xff" * 20
    file.write_bytes(content)
    with pytest.raises(PvzooError, match=r"t\.parquet is damaged"):
        run(file, tmp_path / "out", detector)


class Bomb:
    def __reduce__(self):
        return (os.mkdir, ("pickle-was-opened",))


def write_tar(file: Path, members: list[tuple[str, bytes | str]]) -> None:
    with tarfile.open(file, "w") as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            if isinstance(content, str):
                member.type, member.linkname = tarfile.SYMTYPE, content
                archive.addfile(member)
            else:
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))


def test_a_webdataset_gives_its_images_and_refuses_links_pickles_and_names_that_lead_out(
    tmp_path, monkeypatch, detector, scene
):
    monkeypatch.chdir(tmp_path)
    good = encoded(scene)
    write_tar(
        tmp_path / "d-000.tar",
        [
            ("x/1.png", good),
            ("x/1.cls", b"3"),
            ("x/2.png", "/etc/passwd"),
            ("../3.png", good),
            ("x/4.pickle", pickle.dumps(Bomb())),
            ("x/5.png", b"no image"),
            ("x/1.png", good),
        ],
    )
    write_tar(tmp_path / "d-001.tar", [("6.png", good)])
    (tmp_path / "d-002.tar").write_bytes((tmp_path / "d-000.tar").read_bytes()[: len(good) + 700])
    run(tmp_path / "d-{000..002}.tar", tmp_path / "out", detector)
    found = {
        (row["path"].partition("::")[0], row["id"][:6]): row["error"]
        for row in rows(tmp_path / "out")
    }
    assert len(rows(tmp_path / "out")) == 6 + 1 + 2
    assert found["tar://x/1.png", "000000"] is None
    assert "link" in found["tar://x/2.png", "000000"]
    assert "leads out" in found["tar://../3.png", "000000"]
    assert "pickle" in found["tar://x/4.pickle", "000000"]
    assert "is not an image" in found["tar://x/5.png", "000000"]
    assert found["tar://6.png", "000001"] is None
    assert found["tar://x/1.png", "000002"] is None
    assert "is damaged after 1 images" in found[f"{tmp_path}/d-002.tar", "000002"]
    assert not (tmp_path / "pickle-was-opened").exists()


def test_a_tar_file_with_a_damaged_header_loses_no_image_in_silence(tmp_path, detector, scene):
    good = encoded(scene)
    write_tar(tmp_path / "d.tar", [("1.png", good), ("2.png", good), ("3.png", good)])
    content = bytearray((tmp_path / "d.tar").read_bytes())
    second = content.index(b"2.png")
    content[second : second + 100] = b"\xff" * 100
    (tmp_path / "d.tar").write_bytes(content)
    report = run(tmp_path / "d.tar", tmp_path / "out", detector)
    assert (report.rows, report.errors) == (2, 1)


def test_a_tar_file_with_hundreds_of_long_names_in_a_row_is_an_error(tmp_path, detector, scene):
    write_tar(tmp_path / "d-0.tar", [("1.png", encoded(scene))])
    long = tarfile.TarInfo("././@LongLink")
    long.type, long.size = tarfile.GNUTYPE_LONGNAME, 4
    header = long.tobuf(tarfile.GNU_FORMAT) + b"abc\0".ljust(512, b"\0")
    (tmp_path / "d-1.tar").write_bytes(header * 2000 + bytes(1024))
    run(tmp_path / "*.tar", tmp_path / "out", detector)
    good, bad = rows(tmp_path / "out")
    assert good["error"] is None
    assert f"{tmp_path}/d-1.tar is damaged" in bad["error"]


def test_a_dataset_of_the_hub_is_read_at_the_commit_that_it_had_when_the_job_began(
    tmp_path, detector, scene, hub, own_cache
):
    table = pa.table({"image": [{"bytes": encoded(scene), "path": "1.png"}] * 3})
    pq.write_table(table, tmp_path / "train.parquet", row_group_size=1)
    content = (tmp_path / "train.parquet").read_bytes()
    first = hub.add_repo("datasets/me/scenes", {"data/train-0.parquet": content})
    run("me/scenes", tmp_path / "out", detector, shard_size=1)
    found = rows(tmp_path / "out")
    assert len(found) == 3
    assert all(row["predictions"] for row in found)
    assert found[0]["path"].startswith(f"hf://datasets/me/scenes@{first}/")
    (tmp_path / "out" / "part-000001.parquet").unlink()
    hub.commit("datasets/me/scenes", {"data/train-1.parquet": content})
    assert run("me/scenes", tmp_path / "out", detector).new == 1
    assert rows(tmp_path / "out") == found
    assert run("me/scenes", tmp_path / "new", detector).rows == 6


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("abfs://c@me.dfs.core.windows.net/a/b", "abfs://me.dfs.core.windows.net/c/a/b"),
        ("abfss://me.blob.core.windows.net/c/a/b", "abfss://me.blob.core.windows.net/c/a/b"),
        ("abfs://me.dfs.core.windows.net/c/a/b", "abfs://me.dfs.core.windows.net/c/a/b"),
        ("abfs://me:c2VjcmV0@c/a/b?enable_tls=true", "abfs://c/a/b"),
    ],
)
def test_an_address_of_azure_means_the_path_that_pyarrow_says(address, said):
    place = Place.of(address)
    files, path = pyarrow.fs.FileSystem.from_uri(address)
    assert place.path == path.lstrip("/") == "c/a/b"
    assert place.fs.equals(files)
    assert str(place) == said


def test_any_file_system_of_fsspec_is_source_and_sink(folder, detector):
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.put(str(folder), "/photos", recursive=True)
    run("memory://photos", "memory://out", detector, shard_size=2)
    parts = sorted(name for name in memory.ls("/out", detail=False) if "part-" in name)
    found = [row for part in parts for row in pq.read_table(memory.open(part)).to_pylist()]
    assert [row["path"] for row in found] == [
        "memory://photos/a.png",
        "memory://photos/more/b.png",
        "memory://photos/more/c.jpg",
    ]
    assert [row["error"] is None for row in found] == [True, True, False]
    memory.rm("/out", recursive=True)


def test_the_command_writes_the_same_rows_and_exits_with_3_if_some_failed(
    folder, tmp_path, detector
):
    from typer.testing import CliRunner

    from pvzoo.cli import app

    command = ["bulk", str(folder), str(tmp_path / "out"), "-m", str(detector)]
    told = CliRunner().invoke(app, [*command, "--threshold", "0.3", "--workers", "1", "--json"])
    assert told.exit_code == 3, told.output
    assert json.loads(told.stdout)["errors"] == 1
    run(folder, tmp_path / "again", detector, threshold=0.3)
    assert rows(tmp_path / "out") == rows(tmp_path / "again")
