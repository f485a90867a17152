"""Masks of objects in every form that files have them in, and those that are none."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from labelled_files import decoded
from PIL import Image
from pycocotools import mask as pycoco

from pvzoo.data import check, contact_sheet
from pvzoo.data.load import load
from pvzoo.data.rle import MOST_OUTLINE, compressed, empty_code, is_whole, polygon_code
from pvzoo.errors import DataError

SIZE = (40, 60)


def polygons(seed: int) -> list[list[float]]:
    rng = np.random.default_rng(seed)
    return [
        (rng.random((int(rng.integers(3, 9)), 2)) * SIZE[::-1]).round(2).flatten().tolist()
        for _ in range(int(rng.integers(1, 4)))
    ]


def points(polygon: list[float]) -> list[list[float]]:
    return np.reshape(polygon, (-1, 2)).tolist()


def objects(polygon: list[float]) -> list[dict[str, float]]:
    return [{"x": x, "y": y} for x, y in points(polygon)]


FORMS = {
    "COCO's": lambda p: p,
    "points": lambda p: [points(one) for one in p],
    "points with names": lambda p: [objects(one) for one in p],
    "one level deeper": lambda p: [p],
    "points, one level deeper": lambda p: [[points(one)] for one in p],
    "each in a list": lambda p: [[one] for one in p],
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("seed", range(5))
def test_polygons_are_read_in_every_form(form, seed):
    given = polygons(seed)
    wanted = pycoco.decode(pycoco.merge(pycoco.frPyObjects(given, *SIZE)))
    code = compressed(FORMS[form](given), SIZE, "it")
    assert np.array_equal(decoded(code), wanted)
    assert is_whole(code)


@pytest.mark.parametrize("form", ["numbers", "points", "points with names"])
def test_a_single_polygon_needs_no_list_around_it(form):
    for seed in range(5):
        polygon = polygons(seed)[0]
        given = {"numbers": polygon, "points": points(polygon), "points with names": None}[form]
        code = compressed(given or objects(polygon), SIZE, "it")
        assert np.array_equal(
            decoded(code), pycoco.decode(pycoco.frPyObjects([polygon], *SIZE))[..., 0]
        )


@pytest.mark.parametrize(
    "given",
    [
        "text",
        3,
        True,
        {"x": 1, "y": 2},
        [[1, 2, 3, 4, 5, 6, 7]],
        [["1", "2", "3", "4", "5", "6"]],
        [[1, 2, 3, 4, 5, None]],
        [[1, 2, 3, 4, 5, float("nan")]],
        [[1, 2, 3, 4, 5, 10**400]],
        [[1, 2], [3, 4], [5]],
        [[1, 2], [3, "4"], [5, 6]],
        [[0, 0], [3, 0, 3, 3, 1, 2], 7],
        [{"x": 1, "y": 2}, {"x": 1}],
        [[[[[1, 2, 3, 4, 5, 6]]]]],
        [{"size": [4, 4], "counts": [16]}],
    ],
)
def test_what_is_no_mask_is_an_error_that_names_the_object(given):
    with pytest.raises(DataError, match=r"^the object 7 has a (polygon|segmentation) that is"):
        compressed(given, SIZE, "the object 7")


@pytest.mark.parametrize("given", [[[1, 2]], [[1, 2, 3, 4]], [[1, 2], [3, 4]], [[]], []])
def test_a_polygon_of_less_than_three_points_has_no_area(given):
    assert not decoded(compressed(given, SIZE, "it")).any()


@pytest.mark.parametrize(
    "size",
    [
        *([-1, 5], [5, -1], [100_000, 100_000], [2**31, 1], [2**40, 2**40], [10**30, 1]),
        *([5], [5, 5, 5], ["5", 5], [None, 5], [0.5, 5], [True, 5], "5x5", None, {}, 25),
    ],
)
@pytest.mark.parametrize("counts", ["0", "PP1", [25], []])
def test_run_lengths_of_an_impossible_size_are_an_error(size, counts):
    with pytest.raises(DataError, match=r"^it has a mask of the size "):
        compressed({"size": size, "counts": counts}, SIZE, "it")


@pytest.mark.parametrize(
    "counts",
    [
        *([24], [26], [-1, 26], [2**62, 2**62, 2**62, 2**62, 25], [2**63, 25], ["25"], [25.5]),
        *(
            "",
            "I",
            "oooooooooo0",
            "o" * 1_000,
            "\0",
            "é",
            "\ud800",
            "PP1PP1",
            25,
            None,
            {},
            [None],
            [[25]],
        ),
    ],
)
def test_run_lengths_that_do_not_fill_the_mask_are_an_error(counts):
    with pytest.raises(DataError, match=r"^it has run lengths that do not fill a mask of 5 x 5"):
        compressed({"size": [5, 5], "counts": counts}, SIZE, "it")


@pytest.mark.parametrize("counts", ["000", [0, 0, 0], []])
def test_a_mask_of_an_image_without_pixels_has_no_box(counts):
    code = compressed({"size": [0, 5], "counts": counts}, SIZE, "it")
    assert pycoco.toBbox(code).tolist() == [0, 0, 0, 0]


def test_codes_at_random_are_told_as_pycocotools_reads_them():
    rng = np.random.default_rng(0)
    sound = 0
    for _ in range(300):
        counts = bytes((48 + rng.choice(32, int(rng.integers(1, 6)))).tolist()).decode()
        for width in range(1, 40):
            code = {"size": [1, width], "counts": counts}
            if is_whole(code):
                sound += 1
                assert pycoco.area(code) == pycoco.decode(code).sum()
    assert sound > 10


def test_a_polygon_far_out_of_the_image_needs_no_more_memory():
    code = compressed([[2, 2, 1e9, 2, 1e9, 1e9, 2, 1e9], [0, 0, 1, 1]], (8, 10), "it")
    assert decoded(code).sum() == 8 * 6


def test_a_polygon_that_would_fill_the_memory_is_an_error():
    corners = np.tile([0, 0, 3_000, 3_000, 3_000, 0], 5_000)
    with pytest.raises(DataError, match=rf"15000 points.* longer than {MOST_OUTLINE:,} pixels"):
        polygon_code([corners], (3_000, 3_000), "it")


def test_a_mask_in_an_image_of_impossible_size_is_an_error():
    for make in (lambda s: empty_code(s, "it"), lambda s: polygon_code([[0] * 6], s, "it")):
        with pytest.raises(DataError, match=r"it is in an image of 100000 x"):
            make((100_000, 100_000))


def test_several_polygons_in_an_image_of_a_wrong_size_do_not_crash_the_process():
    code = """
import resource
from pvzoo.data.rle import MOST_PIXELS, polygon_code
used = next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith("VmSize"))
resource.setrlimit(resource.RLIMIT_AS, (used * 1024 + 2 * 2**30,) * 2)
two = [[0, 0, 5, 0, 5, 5], [1, 1, 9, 1, 9, 9]]
polygon_code(two, (16, MOST_PIXELS // 16), "it")
polygon_code(two, (24, 32_000_000), "it")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1, done
    assert "DataError: it is in an image of 32000000 x 24 pixels" in done.stderr


def saved(folder: Path, **annotation: object) -> Path:
    Image.new("RGB", (10, 8)).save(folder / "a.png")
    entry = {"id": 7, "image_id": 1, "category_id": 1, "bbox": [1, 1, 4, 4], **annotation}
    content = {
        "images": [{"id": 1, "file_name": "a.png", "width": 10, "height": 8}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [entry],
    }
    (folder / "x.json").write_text(json.dumps(content))
    return folder


def test_a_file_with_points_is_read_and_nothing_is_wrong_with_it(tmp_path, own_cache):
    source = saved(tmp_path, segmentation=[[1, 1], [5, 1], [5, 5], [1, 5]])
    (row,) = load(source).remove_columns("image")
    assert decoded(row["objects"]["segmentation"][0]).sum() == 16
    assert not check(source).findings


def test_a_mask_of_another_size_than_its_image_is_found_and_drawn_without_decoding_it(
    tmp_path, own_cache
):
    huge = {"size": [16_000, 16_000], "counts": [16_000 * 16_000 - 1, 1]}
    source = saved(tmp_path, segmentation=huge)
    load(source)
    tracemalloc.start()
    report = check(source)
    contact_sheet(source, report=report)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "mask-size" in {finding.rule for finding in report.findings}
    assert peak < 50 * 2**20
