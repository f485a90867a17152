"""Images in tiles: nothing is found twice, nothing is cut, and errors say what to do."""

from __future__ import annotations

import json
from pathlib import Path

import datasets
import numpy as np
import pvzoo_shapes
import pytest
import tile_models
from PIL import Image, ImageDraw
from pycocotools import mask as coco
from tile_models import box, canvas, disc
from typer.testing import CliRunner

import pvzoo
from pvzoo.cli import app
from pvzoo.errors import ImageError, PvzooWarning, UnsupportedModelError, UsageError
from pvzoo.postprocess import semantic
from pvzoo.postprocess.frame import Frame
from pvzoo.results.masks import encode
from pvzoo.thresholds.values import Thresholds
from pvzoo.tiles.choose import from_record
from pvzoo.tiles.detections import merge
from pvzoo.tiles.geometry import Area, Grid
from pvzoo.tiles.semantic import allocate
from pvzoo.tiles.views import Views, touching

TILES = pvzoo.Tiles(96, overlap=0.25, whole=False)


@pytest.fixture(scope="module")
def finder():
    return tile_models.model("object-detection")


@pytest.fixture(scope="module")
def masker():
    return tile_models.model("instance-segmentation")


@pytest.fixture(scope="module")
def mapper():
    return tile_models.model("semantic-segmentation")


def iou(a, b) -> float:
    common = np.prod(np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0))
    return float(common / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - common))


def mask_iou(a, b) -> float:
    return float((a & b).sum() / (a | b).sum())


def scene(seed: int, size=(400, 600), count=40) -> np.ndarray:
    """Discs and rectangles of all sizes that do not touch."""
    rng, pixels = np.random.default_rng(seed), canvas(size)
    taken = np.zeros(size, bool)
    for _ in range(count):
        w, h = rng.integers(6, min(90, *size), 2)
        left, top = int(rng.integers(0, size[1] - w)), int(rng.integers(0, size[0] - h))
        room = (slice(max(0, top - 3), top + h + 3), slice(max(0, left - 3), left + w + 3))
        if taken[room].any():
            continue
        taken[room] = True
        name = str(rng.choice(tile_models.NAMES[1:]))
        if rng.random() < 0.5:
            box(pixels, name, left, top, left + w, top + h)
        else:
            r = min(w, h) / 2
            disc(pixels, name, left + r, top + r, r - 1)
    return pixels


# --- the grid ------------------------------------------------------------------------------------


def test_tiles_have_one_size_cover_the_image_and_overlap_by_at_least_the_share():
    rng = np.random.default_rng(0)
    for _ in range(300):
        size = tuple(int(n) for n in rng.integers(1, 900, 2))
        tiles = pvzoo.Tiles(
            tuple(int(n) for n in rng.integers(32, 300, 2)), overlap=float(rng.random() * 0.75)
        )
        grid = Grid.of(size, tiles)
        seen = np.zeros(size, int)
        for area in grid:
            assert area.size == grid.tile
            assert min(area.top, area.left) >= 0
            seen[area.top : area.bottom, area.left : area.right] += 1
        assert seen.min() == 1
        for starts, tile in ((grid.tops, grid.tile[0]), (grid.lefts, grid.tile[1])):
            common = tile - np.diff(starts)
            assert (common >= int(tile * tiles.overlap)).all()
            fewer = len(starts) - 1  # with one tile less, the overlap would be too small
            side = size[0] if starts is grid.tops else size[1]
            assert (
                fewer == 0
                or fewer * (tile - int(tile * tiles.overlap)) + int(tile * tiles.overlap) < side
            )


def test_an_object_that_fits_into_the_overlap_is_whole_in_a_tile():
    grid = Grid.of((500, 700), pvzoo.Tiles(128, overlap=0.3))
    height, width = grid.shared
    for top in range(0, 500 - height, 7):
        for left in range(0, 700 - width, 7):
            assert any(
                a.top <= top
                and a.left <= left
                and a.bottom >= top + height
                and a.right >= left + width
                for a in grid
            )


def test_pairs_of_boxes_are_the_same_as_by_comparing_all():
    rng = np.random.default_rng(1)
    start = rng.random((200, 2)) * 500 - 20
    boxes = np.concatenate(
        [start, start + rng.random((200, 2)) * rng.choice([20, 300], (200, 1))], 1
    )
    labels = rng.integers(0, 3, 200)
    found = set(zip(*(side.tolist() for side in touching(boxes, labels, 64)), strict=True))
    wanted = {
        (i, j)
        for i in range(200)
        for j in range(i + 1, 200)
        if labels[i] == labels[j]
        and (np.minimum(boxes[i, 2:], boxes[j, 2:]) > np.maximum(boxes[i, :2], boxes[j, :2])).all()
    }
    assert {(min(pair), max(pair)) for pair in found} == wanted
    assert len(found) == len(touching(boxes, labels, 64)[0])  # none twice


# --- boxes and masks at seams --------------------------------------------------------------------


@pytest.mark.parametrize("task", ["object-detection", "instance-segmentation"])
@pytest.mark.parametrize(("radius", "whole"), [(8, True), (40, False), (70, False), (70, True)])
def test_an_object_comes_out_once_and_whole_wherever_a_seam_cuts_it(task, radius, whole):
    """The largest is larger than a tile."""
    model = tile_models.model(task)
    for shift in range(50):
        pixels = canvas((200, 420))
        x = 90 + 2.5 * shift
        disc(pixels, "red", x, 97 + shift % 7, radius)
        image = Image.fromarray(pixels)
        (alone,) = model.predict(image)
        found = model.predict(image, tiles=pvzoo.Tiles(96, overlap=0.25, whole=whole))
        assert len(found) == 1, (shift, found)
        assert iou(found.boxes[0], alone.boxes[0]) > 0.9
        assert found.names == ("red",)
        if task == "instance-segmentation":
            assert mask_iou(found.masks[0], alone.masks[0]) > 0.9


def test_a_large_object_is_united_from_the_pieces_of_many_tiles(finder, masker):
    pixels = canvas((500, 700))
    disc(pixels, "green", 350, 250, 240)
    for model in (finder, masker):
        found = model.predict(Image.fromarray(pixels), tiles=TILES)
        assert len(found) == 1
        assert np.abs(found.boxes[0] - (110, 10, 591, 491)).max() <= 1
    assert mask_iou(found.masks[0], pixels[..., 1] > 0) == 1


def test_a_slanting_object_is_united_by_its_mask(masker):
    """Its boxes do not agree along the seams, but its masks do."""
    pixels = canvas((300, 300))
    ys, xs = np.mgrid[:300, :300]
    line = np.abs(ys - xs) < 12
    pixels[line] = tile_models.COLOURS["blue"]
    found = masker.predict(Image.fromarray(pixels), tiles=TILES)
    assert len(found) == 1
    assert mask_iou(found.masks[0], line) == 1


def test_neighbours_of_one_class_stay_two_on_a_seam(finder, masker):
    for shift in range(0, 100, 5):
        pixels = canvas((200, 400))
        box(pixels, "red", 100 + shift, 60, 130 + shift, 100)
        box(pixels, "red", 133 + shift, 60, 163 + shift, 100)
        box(pixels, "red", 100 + shift, 103, 163 + shift, 140)
        for model in (finder, masker):
            found = model.predict(Image.fromarray(pixels), tiles=TILES)
            assert len(found) == 3, shift


def test_a_small_object_in_a_large_one_of_its_class_is_not_merged_with_it(finder):
    for shift in range(0, 100, 5):
        pixels = canvas((200, 400))
        box(pixels, "red", 100 + shift, 60, 160 + shift, 130)
        box(pixels, "background", 115 + shift, 75, 145 + shift, 115)
        box(pixels, "red", 122 + shift, 82, 138 + shift, 108)
        found = finder.predict(Image.fromarray(pixels), tiles=TILES)
        assert sorted(np.ptp(found.boxes[:, ::2], axis=1).tolist()) == [16, 60], shift


@pytest.mark.parametrize("seed", range(3))
def test_a_scene_in_tiles_has_the_objects_of_one_pass(finder, masker, seed):
    image = Image.fromarray(scene(seed))
    for model in (finder, masker):
        alone, tiled = model.predict(image), model.predict(image, tiles=pvzoo.Tiles(96, 0.3))
        assert len(alone) == len(tiled)
        for i in range(len(alone)):
            same = [
                j
                for j in range(len(tiled))
                if tiled.labels[j] == alone.labels[i] and iou(tiled.boxes[j], alone.boxes[i]) > 0.95
            ]
            assert len(same) == 1
    matched = [
        max(mask_iou(a, b) for b in tiled.masks) for a in alone.masks
    ]  # panoptic quality: all are matched, so it is the mean IoU
    assert np.mean(matched) > 0.99


def test_an_image_no_larger_than_a_tile_gives_the_same_as_without_tiles(finder, masker, mapper):
    image = Image.fromarray(scene(3, (90, 120), 8))
    for model in (finder, masker, mapper):
        plain, tiled = model.predict(image), model.predict(image, tiles=128)
        assert plain.to_dict() == tiled.to_dict()


# --- maps ----------------------------------------------------------------------------------------


def test_maps_in_tiles_agree_with_one_pass_although_each_tile_is_wrong_at_its_edges(mapper):
    image = Image.fromarray(scene(0))
    alone = mapper.predict(image, scores=True)
    for size, overlap in ((96, 0.25), ((80, 130), 0.4), (64, 0.75)):
        tiled = mapper.predict(image, tiles=pvzoo.Tiles(size, overlap=overlap), scores=True)
        # the edges of the image itself are the same in both
        assert (tiled.map == alone.map).mean() > 0.99
        assert tiled.areas.sum() == tiled.map.size
        assert dict(zip(tiled.names, tiled.areas.tolist(), strict=True)) == {
            tile_models.NAMES[i]: int(n) for i, n in enumerate(np.bincount(tiled.map.ravel())) if n
        }
    cut = mapper.predict(image, tiles=pvzoo.Tiles(100, overlap=0.0))  # they do not overlap
    assert (cut.map == alone.map).mean() < 0.97  # without blending the seams are seen


def test_blended_scores_are_the_weighted_mean_of_all_tiles(mapper):
    """Compared with sums over the whole image, which the strips avoid."""
    image = Image.fromarray(scene(5, (230, 310)))
    tiles = pvzoo.Tiles((70, 90), overlap=0.6)
    grid = Grid.of((230, 310), tiles)
    sums, weights = np.zeros((4, 230, 310)), np.zeros((230, 310))
    for area in grid:
        part = image.crop((area.left, area.top, area.right, area.bottom))
        outputs, meta = mapper.adapter.preprocess(part)
        weight = np.ones(grid.tile)
        for axis, starts in ((0, grid.tops), (1, grid.lefts)):
            here, side = starts.index(area[axis]), grid.tile[axis]
            along = np.ones(side)
            if here:
                n = starts[here - 1] + side - starts[here]
                along[:n] *= (np.arange(n) + 0.5) / n
            if here + 1 < len(starts):
                n = starts[here] + side - starts[here + 1]
                along[side - n :] *= ((np.arange(n) + 0.5) / n)[::-1]
            weight *= along[:, None] if axis == 0 else along
        index = (slice(area.top, area.bottom), slice(area.left, area.right))
        sums[:, *index] += mapper.adapter.dense_scores(outputs, meta) * weight
        weights[index] += weight
    found = mapper.predict(image, tiles=tiles, scores=True)
    assert np.allclose(found.scores, (sums / weights).max(axis=0), atol=1e-5)
    assert (found.map == sums.argmax(axis=0)).mean() > 0.9999


def test_large_arrays_are_in_a_file_that_is_gone_with_them():
    small, large = allocate((10, 10), np.uint8, 100), allocate((10, 11), np.uint8, 100)
    assert not isinstance(small, np.memmap)
    assert isinstance(large, np.memmap)
    large[5] = 7
    assert large.sum() == 77


def test_a_map_beyond_the_pixels_of_an_image_is_memory_mapped(mapper, monkeypatch):
    image = Image.fromarray(scene(0))
    wanted = mapper.predict(image, tiles=TILES, scores=True)
    monkeypatch.setattr("pvzoo.tiles.semantic.most_pixels", lambda: 1000)
    monkeypatch.setattr("pvzoo.tiles.semantic.MOST_BYTES", 1000)
    found = mapper.predict(image, tiles=TILES, scores=True)
    assert isinstance(found.map.base, np.memmap)
    assert (found.map == wanted.map).all()
    assert (found.scores == wanted.scores).all()


# --- options, streams, errors --------------------------------------------------------------------


def test_tiles_are_batched_as_images_are():
    model = tile_models.model("object-detection")
    image = Image.fromarray(scene(0))
    model.predict(image, tiles=TILES, batch_size=4)
    count = len(Grid.of((400, 600), TILES))
    assert sum(shape[0] for shape in model.adapter.batches) == count
    assert max(shape[0] for shape in model.adapter.batches) == 4
    assert len(model.adapter.batches) == -(-count // 4)
    model.adapter.batches.clear()
    model.predict(image, tiles=pvzoo.Tiles(96, batch_size=2), batch_size=4)
    assert max(shape[0] for shape in model.adapter.batches) == 2


def test_a_stream_of_images_of_all_sizes_comes_in_order_with_the_objects_of_each(finder, tmp_path):
    images = [Image.fromarray(scene(i, (60 + 70 * (i % 4), 400 - 60 * (i % 5)))) for i in range(9)]
    alone = finder.predict(images)
    done = []
    found = list(
        finder.stream(iter(images), tiles=TILES, batch_size=3, progress=lambda *at: done.append(at))
    )
    assert [r.image.index for r in found] == list(range(9))
    assert [r.size for r in found] == [r.size for r in alone]
    assert [len(r) for r in found] == [len(r) for r in alone]
    assert [at[0] for at in done] == list(range(1, 10))
    found[0].save(tmp_path / "drawn.png")  # on the whole image, not on a tile
    assert Image.open(tmp_path / "drawn.png").size >= images[0].size


def test_an_image_that_cannot_be_read_is_skipped_or_raised_in_its_turn(finder):
    image = Image.fromarray(scene(0))
    images = [image, b"broken", image]
    errors: list[ImageError] = []
    found = finder.predict(images, tiles=TILES, on_error=errors.append)
    assert [r.image.index for r in found] == [0, 2]
    assert [error.index for error in errors] == [1]
    with pytest.warns(PvzooWarning, match="Skipped: image 1"):
        assert len(finder.predict(images, tiles=TILES, on_error="skip")) == 2
    results = finder.stream(images, tiles=TILES)
    assert next(results).image.index == 0
    with pytest.raises(ImageError, match="image 1") as caught:
        next(results)
    assert caught.value.index == 1


def test_a_network_that_fails_on_a_tile_loses_that_image_only(monkeypatch):
    model = tile_models.model("object-detection")
    good, bad = scene(0), scene(1)
    bad[200, 300] = (1, 2, 3)
    compute = model.adapter.compute

    def failing(inputs):
        if (inputs["pixels"] == (1, 2, 3)).all(axis=-1).any():
            raise ImageError("cannot be computed.", "Use another.")
        return compute(inputs)

    monkeypatch.setattr(model.adapter, "compute", failing)
    errors: list[ImageError] = []
    images = [Image.fromarray(pixels) for pixels in (good, bad, good)]
    found = model.predict(images, tiles=TILES, on_error=errors.append)
    assert [r.image.index for r in found] == [0, 2]
    assert [error.index for error in errors] == [1]


def test_a_box_that_takes_the_place_of_a_better_one_gets_its_score():
    """Otherwise a threshold that is applied later, as for tracks, would remove both."""
    areas = [Area(0, 0, 100, 100), Area(0, 80, 100, 180), Area(0, 0, 100, 180)]

    def merged(boxes, scores, labels, tiles):
        arrays = np.array(boxes, float), np.array(scores, np.float32), np.array(labels)
        found = merge(Views(*arrays, np.array(tiles), areas, (100, 180)))
        return [(group.members, round(float(group.score), 2)) for group in found]

    cut, whole, seen_by_all = [85, 10, 98, 40], [85, 10, 110, 40], [12, 12, 70, 90]
    assert merged([cut, whole], [0.6, 0.35], [0, 0], [0, 1]) == [((1,), 0.6)]
    assert [m for m, _ in merged([cut, whole], [0.6, 0.35], [0, 1], [0, 1])] == [(0,), (1,)]
    assert merged([[10, 10, 70, 90], seen_by_all], [0.46, 0.9], [0, 0], [0, 2]) == [((0,), 0.9)]


def test_pieces_of_a_mask_are_united_without_an_overlap(masker):
    tiles = pvzoo.Tiles(100, overlap=0, whole=False)
    pixels = canvas((100, 200))
    box(pixels, "red", 40, 20, 160, 70)
    assert len(masker.predict(pixels, tiles=tiles)) == len(masker.predict(pixels)) == 1


def test_paths_that_the_system_refuses_are_errors_of_their_image(finder):
    failed = []
    images = [scene(1), "x" * 300 + ".jpg"]
    assert len([*finder.stream(images, tiles=TILES, on_error=failed.append)]) == 1
    assert [error.index for error in failed] == [1]


def test_options_apply_to_the_merged_result(finder):
    image = Image.fromarray(scene(2))
    every = finder.predict(image, tiles=TILES)
    assert (np.diff(every.scores) <= 0).all()
    best = finder.predict(image, tiles=TILES, max_detections=3)
    assert len(best) == 3
    assert (best.scores == every.scores[:3]).all()
    red = finder.predict(image, tiles=TILES, classes=["red"])
    assert len(red) == every.names.count("red") > 0
    assert len(finder.predict(image, tiles=TILES, nms=0.0, class_agnostic=True)) <= len(every)
    none = finder.predict(Image.fromarray(canvas((300, 300))), tiles=TILES)
    assert len(none) == 0
    assert none.boxes.shape == (0, 4)
    assert json.loads(none.to_json())["predictions"] == []


def test_auto_cuts_only_images_that_are_larger_than_the_input(finder):
    """The adapter takes images as they are, and a square one of 640 stands for its input."""
    model = tile_models.model("object-detection")
    model.adapter.pixels = "pixels"
    seen = model.adapter.preprocess

    def scaled(image, **prompts):
        small = image.resize((64, 64), Image.Resampling.NEAREST)
        return {"pixels": np.asarray(small)[None].transpose(0, 3, 1, 2)}, {"size": image.size[::-1]}

    assert seen is not None
    model.adapter.preprocess = scaled
    model.adapter.postprocess = lambda outputs, meta, **controls: finder.adapter.postprocess(
        {"pixels": outputs["pixels"].transpose(0, 2, 3, 1)}, {"size": (64, 64)}, **controls
    )
    model.predict(Image.fromarray(scene(0, (90, 96), 4)), tiles="auto")
    assert sum(shape[0] for shape in model.adapter.batches) == 1
    model.adapter.batches.clear()
    model.predict(Image.fromarray(scene(0, (90, 97), 4)), tiles="auto")
    grid = Grid.of((90, 97), pvzoo.Tiles(64))
    assert sum(shape[0] for shape in model.adapter.batches) == len(grid) + 1  # and the whole


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (31, "size of tiles is 31"),
        (0, "size of tiles is 0"),
        (True, "tiles is True"),
        ("640", "tiles is '640'"),
        (2.5, "tiles is 2.5"),
        ((64, 64), "tiles is"),
    ],
)
def test_impossible_tiles_are_refused_with_what_is_possible(finder, value, message):
    with pytest.raises(UsageError, match=message):
        finder.predict(Image.fromarray(canvas((40, 40))), tiles=value)


def test_impossible_values_of_tiles_are_refused():
    for arguments in (
        {"size": (64, 64, 64)},
        {"size": 64, "overlap": 0.8},
        {"size": 64, "overlap": True},
        {"size": 64, "whole": 1},
        {"size": 64, "batch_size": 0},
        {"size": "64"},
    ):
        with pytest.raises(UsageError):
            pvzoo.Tiles(**arguments)


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        ("image-classification", "the answer is one for the whole image"),
        ("panoptic-segmentation", "no published method joins panoptic maps"),
    ],
)
def test_tasks_whose_results_cannot_be_merged_are_refused_with_the_reason(task, reason):
    import colour_model

    with pytest.raises(UsageError, match=reason):
        colour_model.model(task).predict(Image.fromarray(canvas((40, 40))), tiles=64)


def test_maps_without_the_scores_of_all_classes_are_refused():
    import colour_model

    model = colour_model.model("semantic-segmentation")
    with pytest.raises(UnsupportedModelError, match="does not give the scores of all classes"):
        model.predict(Image.fromarray(canvas((40, 40))), tiles=64)


# --- networks ------------------------------------------------------------------------------------

EXPORTS = Path(pvzoo_shapes.__file__).parent / "exports"


@pytest.fixture(scope="module")
def scenes():
    return pvzoo_shapes.scenes("instance-segmentation", count=24, size=128, seed=1000)


def grid_of(rows) -> Image.Image:
    image = Image.new("RGB", (6 * 128, 4 * 128))
    for index, row in enumerate(rows):
        image.paste(row["image"], (index % 6 * 128, index // 6 * 128))
    return image


def one_row(rows, task: str) -> datasets.Dataset:
    """The scenes as one image, with all their objects."""
    found = {key: [] for key in rows[0]["objects"]}
    for index, row in enumerate(rows):
        x, y = index % 6 * 128, index // 6 * 128
        for key, values in row["objects"].items():
            for value in values:
                if key == "bbox":
                    value = [value[0] + x, value[1] + y, *value[2:]]
                if key == "segmentation":
                    mask = coco.decode(value).astype(bool)
                    code = encode(mask, y, x, (512, 768)).decode()
                    value = {"size": [512, 768], "counts": code}
                found[key].append(value)
    found["id"] = list(range(1, len(found["id"]) + 1))
    head = {"image": grid_of(rows), "image_id": 0, "file_name": "all.png"}
    row = {**head, "width": 768, "height": 512, "objects": found}
    return datasets.Dataset.from_list([row], features=rows.features)


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("shapes-detector", "object-detection"),
        ("shapes-mask2former-instance", "instance-segmentation"),
    ],
)
def test_a_canvas_in_tiles_is_nearly_as_precise_as_its_scenes_alone(scenes, name, task):
    """One pass over the canvas finds next to nothing."""
    model = pvzoo.load(str(EXPORTS / name))
    alone = model.evaluate(scenes).metrics["map"]
    canvas = one_row(scenes, task)
    in_tiles = model.evaluate(canvas, tiles=pvzoo.Tiles(128, overlap=0.4)).metrics["map"]
    assert in_tiles > 0.9 * alone
    assert in_tiles > 3 * model.evaluate(canvas).metrics["map"]


@pytest.mark.parametrize(
    ("name", "radius"), [("shapes-detector", 16), ("shapes-mask2former-instance", 24)]
)
def test_a_network_finds_an_object_once_wherever_a_seam_cuts_it(name, radius):
    model = pvzoo.load(str(EXPORTS / name))

    def square(x: int, size: tuple[int, int]) -> Image.Image:
        image = Image.new("RGB", size, (200, 205, 210))
        corners = (x - radius, 64 - radius, x + radius, 64 + radius)
        ImageDraw.Draw(image).rectangle(corners, fill=(40, 80, 200))
        return image

    (alone,) = model.predict(square(64, (128, 128)))
    for shift in range(50):
        x = 50 + 2 * shift
        found = model.predict(square(x, (230, 128)), tiles=pvzoo.Tiles(128, overlap=0.4))
        assert len(found) == 1, (shift, found)
        assert iou(found.boxes[0] - (x - 64, 0, x - 64, 0), alone.boxes[0]) > 0.9


def test_an_exported_network_of_maps_is_the_same_in_one_tile_and_blended_in_many(scenes):
    model = pvzoo.load(str(EXPORTS / "shapes-mask2former-semantic"))
    image = scenes[0]["image"]
    plain = model.predict(image, scores=True)
    seen = model.adapter.preprocess(image)
    outputs = model.adapter.run(model.runtime, seen[0])
    dense = model.adapter.dense_scores(outputs, seen[1])
    assert dense.shape == (len(model.labels), 128, 128)
    assert dense.dtype == np.float32
    assert (dense.argmax(axis=0) == plain.map).all()
    assert np.allclose(dense.max(axis=0), plain.scores, atol=1e-5)
    # tiles that do not overlap are the scenes themselves
    tiled = model.predict(grid_of(scenes), tiles=pvzoo.Tiles(128, overlap=0))
    for index in range(24):
        part = tiled.map[index // 6 * 128 :, index % 6 * 128 :][:128, :128]
        assert (part == model.predict(scenes[index]["image"]).map).all()


@pytest.mark.parametrize("steps", ["bilinear", "aligned", "bicubic"])
@pytest.mark.parametrize("classes", [1, 5])
def test_the_scores_of_networks_of_pixels_have_the_class_of_the_map(steps, classes):
    logits = np.random.default_rng(0).normal(size=(classes, 12, 16)).astype(np.float32) * 4
    frame = Frame((96, 128), (90, 128), (133, 187))
    labels, best = semantic.from_pixels(logits, frame, steps, with_scores=True)
    dense = semantic.scores_from_pixels(logits, frame, steps)
    assert dense.shape == (max(2, classes), 133, 187)
    assert (dense.argmax(axis=0) == labels).all()
    assert np.allclose(dense.max(axis=0), best, atol=1e-5)


@pytest.mark.parametrize("size", [(60, 150), (150, 60)])
def test_the_scores_of_windows_have_the_class_of_the_map(size):
    rng = np.random.default_rng(1)
    classes = rng.normal(size=(3, 7, 6)).astype(np.float32) * 3
    masks = rng.normal(size=(3, 7, 8, 8)).astype(np.float32) * 4
    scaled = (32, 80) if size[0] < size[1] else (80, 32)
    where = ([(0, 32), (24, 56), (48, 80)], (32, 32), scaled, size)
    labels, best = semantic.from_windows(classes, masks, *where, with_scores=True)
    dense = semantic.scores_from_windows(classes, masks, *where)
    assert (dense.argmax(axis=0) == labels).all()
    assert np.allclose(dense.max(axis=0), best, atol=1e-5)


# --- thresholds and the command line -------------------------------------------------------------


def test_thresholds_remember_the_tiles_they_were_tuned_with(scenes):
    model = pvzoo.load(str(EXPORTS / "shapes-detector"))
    tuned = model.tune_thresholds(scenes, tiles=pvzoo.Tiles(96, overlap=0.3))
    assert tuned.thresholds.fitted_with["tiles"] == {
        "size": [96, 96],
        "overlap": 0.3,
        "whole": True,
    }
    assert model.thresholds is None
    image = scenes[0]["image"]
    with pytest.warns(PvzooWarning, match="were chosen with tiles"):
        tuned.predict(image)
    with pytest.warns(PvzooWarning, match="were chosen with tiles"):
        tuned.predict(image, tiles=96)
    tuned.predict(image, tiles=pvzoo.Tiles(96, overlap=0.3))
    tuned.predict(image, threshold=0.5)
    again = Thresholds.from_json(json.loads(json.dumps(tuned.thresholds.to_json())), "it")
    assert from_record(again.fitted_with["tiles"]) == pvzoo.Tiles((96, 96), overlap=0.3)


def test_the_command_line_predicts_and_evaluates_in_tiles(scenes, tmp_path):
    path = tmp_path / "all.png"
    grid_of(scenes).save(path)
    run = CliRunner().invoke
    model = str(EXPORTS / "shapes-detector")
    for text, tiles in (("128", 128), ("auto", "auto")):
        done = run(app, ["predict", str(path), "--model", model, "--tiles", text, "--json"])
        assert done.exit_code == 0, done.output
        found = json.loads(done.stdout.splitlines()[-1])["predictions"]
        assert found == pvzoo.load(model).predict(path, tiles=tiles).rows()
        assert len(found) > 80
    wrong = run(app, ["predict", str(path), "--model", model, "--tiles", "many"])
    assert isinstance(wrong.exception, UsageError) or "tiles is 'many'" in wrong.output
