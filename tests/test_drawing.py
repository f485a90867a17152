"""Drawn results: what can be read, where it is, and that nothing else changes."""

from __future__ import annotations

import time
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from skimage.color import deltaE_ciede2000, rgb2lab

from pvzoo.results.detections import Detections
from pvzoo.results.drawing import class_colour, shorten, text_font, text_size
from pvzoo.results.instances import Instances
from pvzoo.results.masks import Masks, encode
from pvzoo.results.panoptic import Panoptic, PanopticSegment
from pvzoo.results.semantic import SemanticMap

WHITE = Image.new("RGB", (640, 480), "white")


def found(
    size: tuple[int, int],
    boxes: Any,
    labels: Any = None,
    names: Any = None,
    scores: Any = None,
    masks: Masks | None = None,
) -> Detections:
    """Detections on an image of (width, height) `size`; all of class 3 if nothing else is said."""
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    count = len(boxes)
    values = {
        "size": size[::-1],
        "boxes": boxes,
        "scores": np.full(count, 0.9, np.float32) if scores is None else np.float32(scores),
        "labels": np.full(count, 3) if labels is None else np.asarray(labels),
        "names": tuple(names or ["traffic light"] * count),
    }
    return Detections(**values) if masks is None else Instances(masks=masks, **values)


def is_colour(image: Image.Image, label: int = 3) -> np.ndarray:
    """(height, width) bool: pixels in exactly the colour of a class."""
    return (np.asarray(image) == class_colour(label)).all(-1)


def blocks(flags: np.ndarray, least: int = 8) -> list[tuple[int, int, int, int]]:
    """The filled patches (left, top, right, bottom) of flagged pixels at least 8 high and wide.

    Lines, such as the sides of boxes, are thinner; letters only make holes in a patch.
    """
    # closing fills the letters; opening removes lines
    whole = ndimage.grey_closing(np.pad(flags.astype(np.uint8), 20), (15, 15))
    solid = ndimage.grey_opening(whole, (least, least))[20:-20, 20:-20]
    return [
        (x.start, y.start, x.stop, y.stop) for y, x in ndimage.find_objects(ndimage.label(solid)[0])
    ]


def label_width(image_size: tuple[int, int], text: str) -> float:
    size = text_size(*image_size)
    return text_font(size, text).getlength(text)


# --- colours --------------------------------------------------------------------------------------


def test_the_first_twenty_colours_are_far_apart() -> None:
    lab = rgb2lab(np.array([class_colour(i) for i in range(20)])[None] / 255)[0]
    for a, b in combinations(range(20), 2):
        assert deltaE_ciede2000(lab[a][None], lab[b][None])[0] > 15, (a, b)


def test_the_classes_of_large_data_sets_have_colours_of_their_own() -> None:
    for count in (80, 133, 150):  # COCO's objects, COCO panoptic, ADE20K
        assert len({class_colour(i) for i in range(count)}) == count
    lab = rgb2lab(np.array([class_colour(i) for i in range(150)])[None] / 255)[0]
    for a in range(150):
        others = np.delete(lab, a, axis=0)
        assert deltaE_ciede2000(others, np.broadcast_to(lab[a], others.shape)).min() > 5


def test_every_class_id_has_a_colour_that_stays() -> None:
    for label in (0, 155, 156, 1203, np.int64(70_000)):
        colour = class_colour(label)
        assert colour == class_colour(int(label))
        assert len(colour) == 3
        assert all(type(c) is int and 0 <= c <= 255 for c in colour)


def test_letters_can_be_read_on_every_colour() -> None:
    def luminance(colour: Any) -> float:
        c = np.asarray(colour) / 255
        linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    for label in range(156):
        drawn = found((640, 480), [[200, 200, 300, 300]], [label]).draw(WHITE)
        patch = np.asarray(drawn)[170:198, 204:260]
        inks = {tuple(p) for p in patch.reshape(-1, 3)} & {(0, 0, 0), (255, 255, 255)}
        inside = np.asarray(drawn.crop((203, 183, 290, 198))).reshape(-1, 3)
        black, white = ((inside == ink).all(1).sum() for ink in (0, 255))
        assert inks
        ink = luminance((0, 0, 0) if black > white else (255, 255, 255))
        light, dark = sorted((ink, luminance(class_colour(label))), reverse=True)
        assert (light + 0.05) / (dark + 0.05) > 4.4, label  # WCAG asks for 4.5


def test_a_class_has_its_colour_whatever_else_is_in_the_image() -> None:
    box = [200, 200, 400, 300]
    alone = found((640, 480), [box], [7]).draw(WHITE)
    others = found((640, 480), [[10, 350, 50, 400], box, [500, 20, 600, 90]], [2, 7, 0]).draw(WHITE)
    part = (190, 150, 410, 310)
    assert alone.crop(part) == others.crop(part)
    assert is_colour(alone, 7)[200:300, 200].all()


# --- boxes ----------------------------------------------------------------------------------------


def test_a_box_is_drawn_on_its_sides_and_nowhere_else() -> None:
    drawn = np.asarray(found((640, 480), [[200, 100, 400, 300]]).draw(WHITE))
    line = is_colour(Image.fromarray(drawn))
    assert line[100:301, [200, 400]].all()
    assert line[[100, 300], 200:401].all()
    assert (drawn[105:295, 205:395] == 255).all()
    assert (drawn[302:] == 255).all()
    assert (drawn[:, :199] == 255).all()
    assert (drawn[:, 402:] == 255).all()


def test_a_box_around_the_whole_frame_is_seen_on_all_sides() -> None:
    line = is_colour(found((640, 480), [[0, 0, 640, 480]], names=["x"]).draw(WHITE))
    assert line[100:, [0, 1, -2, -1]].all()
    assert line[[-2, -1]].all()


PLACES = {
    "upper left": (-40, -20, 90, 80),
    "upper right": (600, 2, 700, 90),
    "lower right": (630, 430, 700, 520),
    "lower left": (-10, 470, 30, 490),
    "left": (-50, 200, 10, 300),
    "right": (635, 200, 700, 300),
    "top": (200, -30, 300, 5),
    "bottom": (200, 475, 300, 500),
    "the whole frame": (0, 0, 640, 480),
    "outside on the left": (-90, 100, -20, 200),
    "outside below": (100, 600, 200, 700),
    "far outside": (1e6, -1e6, 2e6, -5e5),
    "infinitely wide": (-np.inf, 100, np.inf, 200),
    "a point": (300, 300, 300, 300),
    "a line": (300, 200, 300, 400),
}


@pytest.mark.parametrize("place", PLACES)
def test_the_whole_label_is_in_the_frame(place: str) -> None:
    drawn = found((640, 480), [PLACES[place]]).draw(WHITE)
    assert drawn.size == WHITE.size
    (patch,) = blocks(is_colour(drawn))
    left, top, right, bottom = patch
    assert right - left >= label_width(drawn.size, "traffic light 0.90")
    assert bottom - top >= text_size(640, 480)


def test_a_label_is_on_top_of_its_box_where_there_is_room() -> None:
    drawn = found((640, 480), [[200, 100, 400, 300]]).draw(WHITE)
    ((left, _, _, bottom),) = blocks(is_colour(drawn))
    assert left == 200
    assert bottom in (100, 101, 102)  # with the upper side of the box


def test_labels_do_not_cover_one_another() -> None:
    boxes = [[10 + 45 * i, 200, 50 + 45 * i, 300] for i in range(10)]
    drawn = found((640, 480), boxes, range(10), [f"class {i}" for i in range(10)]).draw(WHITE)
    for i in range(10):
        ((left, _, right, _),) = blocks(is_colour(drawn, i))
        assert right - left >= label_width(drawn.size, f"class {i} 0.90")


def test_where_there_is_no_room_the_best_objects_have_labels() -> None:
    boxes = [[200, 200, 203, 203]] * 300
    scores = np.random.default_rng(0).permutation(np.linspace(0.5, 0.99, 300))
    labels = np.argsort(np.argsort(-scores)) % 150
    drawn = found((640, 480), boxes, labels, scores=scores).draw(WHITE)
    drawn = drawn.crop((40, 150, 360, 250))
    named = [i for i in range(150) if blocks(is_colour(drawn, i))]
    assert 2 <= len(named) <= 8
    assert named == list(range(len(named)))


def test_300_objects_are_drawn_in_good_time_and_leave_labels_whole() -> None:
    rng = np.random.default_rng(1)
    corners = rng.uniform(0, 600, (300, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(0, 100, (300, 2))], 1)
    start = time.perf_counter()
    drawn = found((640, 480), boxes, np.arange(300) % 150).draw(WHITE)
    assert time.perf_counter() - start < 5
    assert drawn.size == WHITE.size


@pytest.mark.parametrize(
    "name",
    ["W" * 10_000, "", " ", "two\nlines", "tab\there", "Körbchen „für“ Katzen", "图 猫", "🙂"],
    ids=range(8),
)
def test_any_name_gives_a_label_within_the_frame_that_ends_in_the_score(name: str) -> None:
    box = [[300, 200, 400, 300]]
    drawn = found((640, 480), box, names=[name]).draw(WHITE)
    ((left, _, right, _),) = blocks(is_colour(drawn))
    assert 0 <= left < right <= 640
    assert right - left > label_width(drawn.size, "0.90")
    if len(name) > 200:
        other = found((640, 480), box, names=[name], scores=[0.51]).draw(WHITE)
        differs = np.flatnonzero((np.asarray(drawn) != np.asarray(other)).any((0, 2)))
        assert differs.min() > 640 - label_width(drawn.size, "00.9000")


def test_names_are_cut_to_the_room_there_is() -> None:
    font = text_font(16, "")
    for text in ("short", "W" * 500, "a  b\nc", ""):
        for room in (5, 50, 500):
            cut = shorten(text, room, font)
            assert font.getlength(cut) <= max(room, font.getlength("…"))
            assert cut == " ".join(text.split()) or cut.endswith("…")


def test_the_image_given_is_not_changed() -> None:
    image = Image.effect_noise((640, 480), 60).convert("RGB")
    for result in (
        found(image.size, [[10, 10, 200, 200]]),
        found(image.size, [[0, 0, 9, 9]], masks=Masks.from_array(np.ones((1, 480, 640)))),
        found(image.size, []),
        SemanticMap.of(np.zeros((480, 640), int), ("sky",)),
        segments_of(np.ones((480, 640), np.int32), [(1, 2, "sky")]),
    ):
        before = image.tobytes()
        drawn = result.draw(image)
        assert image.tobytes() == before
        assert drawn is not image
        drawn.paste("red", (0, 0, 640, 480))
        assert image.tobytes() == before


def test_without_objects_the_image_stays_as_it_is() -> None:
    for masks in (None, Masks((480, 640))):
        image = Image.effect_noise((640, 480), 60).convert("RGB")
        assert found(image.size, [], masks=masks).draw(image) == image


# --- sizes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "zoom"), [((16, 16), 30), ((120, 80), 4), ((1, 1), 480), ((80, 300), 1)], ids=str
)
def test_a_small_image_is_enlarged_in_whole_steps_with_its_objects(size: Any, zoom: int) -> None:
    image = Image.new("RGB", size, "white")
    width, height = size
    box = [width // 4, height // 2, width // 2, height]
    drawn = found(size, [box], names=["x"]).draw(image)
    assert drawn.size == (width * zoom, height * zoom)
    line = is_colour(drawn)
    assert line[box[1] * zoom : box[3] * zoom - 2, box[0] * zoom].all()
    assert len(blocks(line)) == 1


@pytest.mark.parametrize("size", [(3840, 2160), (2160, 3840), (4000, 3000)], ids=str)
def test_letters_and_lines_grow_with_the_image(size: tuple[int, int]) -> None:
    width, height = size
    box = [width // 4, height // 4, width // 2, height // 2]
    drawn = found(size, [box]).draw(Image.new("RGB", size, "white"))
    line = is_colour(drawn)
    row = line[int(height * 0.4)]
    assert min(size) / 400 < row.sum() / 2 < min(size) / 100
    columns, rows = np.flatnonzero(line.any(0)), np.flatnonzero(line.any(1))
    tall = box[1] - rows.min()
    assert min(size) / 50 < tall < min(size) / 12
    assert columns.max() <= width


@pytest.mark.parametrize("size", [(4000, 30), (30, 4000), (1, 500), (500, 1)], ids=str)
def test_very_long_images_can_be_drawn_on(size: tuple[int, int]) -> None:
    image = Image.new("RGB", size, "white")
    ones = np.ones(size[::-1], np.int32)
    box = [0, 0, *size]
    masks = Masks.from_array(ones[None])
    assert found(size, [box]).draw(image).size == size
    assert found(size, [box], masks=masks).draw(image).size == size
    assert segments_of(ones, [(1, 2, "sky")]).draw(image).size == size
    legend = SemanticMap.of(ones, ("sky", "grass")).draw(image)
    assert legend.width == max(240, size[0])
    assert legend.height > size[1]


# --- masks ----------------------------------------------------------------------------------------


def blend(image: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    return image / 2 + np.array(colour) / 2


def test_masks_are_laid_over_the_image_half_transparent() -> None:
    image = Image.effect_noise((640, 480), 60).convert("RGB")
    rng = np.random.default_rng(2)
    mask = rng.random((480, 640)) < 0.5
    mask[:60] = False
    masks = Masks.from_array(mask[None])
    drawn = found(image.size, [[600, 5, 630, 30]], masks=masks).draw(image)
    old, new = np.asarray(image), np.asarray(drawn)
    below = np.s_[100:]
    assert (np.abs(new - blend(old, class_colour(3)))[below][mask[below]] <= 1).all()
    assert (new[below][~mask[below]] == old[below][~mask[below]]).all()


def test_a_small_mask_is_seen_on_top_of_a_large_one_of_a_better_score() -> None:
    large, small = np.zeros((2, 480, 640), bool)
    large[100:400, 100:500] = True
    small[200:250, 200:250] = True
    for order in ([0, 1], [1, 0]):
        masks = Masks.from_array(np.stack([large, small])[order])
        labels = np.array([2, 5])[order]
        drawn = found((640, 480), [[0, 0, 5, 5]] * 2, labels, scores=[0.9, 0.6], masks=masks).draw(
            WHITE
        )
        white = np.full(3, 255)
        assert np.abs(np.asarray(drawn)[225, 225] - blend(white, class_colour(5))).max() <= 1
        assert np.abs(np.asarray(drawn)[300, 300] - blend(white, class_colour(2))).max() <= 1


def test_an_empty_mask_and_masks_at_the_edges_are_drawn() -> None:
    masks = np.zeros((4, 480, 640), bool)
    masks[1, -1, -1] = masks[2, 0, :] = masks[3] = True
    boxes = Masks.from_array(masks).boxes
    drawn = found((640, 480), boxes, range(4), masks=Masks.from_array(masks)).draw(WHITE)
    assert np.abs(np.asarray(drawn)[240, 320] - blend(np.full(3, 255), class_colour(3))).max() <= 1


def test_50_instances_at_12_megapixels_are_drawn_in_good_time() -> None:
    size = (3000, 4000)
    y, x = np.mgrid[-300:300, -400:400]
    blob = (y / 300) ** 2 + (x / 400) ** 2 < 1
    rng = np.random.default_rng(3)
    corners = [(int(t), int(k)) for t, k in rng.integers(0, 2400, (50, 2))]
    masks = Masks(size, tuple(encode(blob, t, k, size) for t, k in corners))
    result = found(size[::-1], masks.boxes, rng.integers(0, 80, 50), masks=masks)
    image = Image.new("RGB", size[::-1], "white")
    start = time.perf_counter()
    result.draw(image)
    assert time.perf_counter() - start < 10  # 1 s on a quiet machine


# --- semantic maps --------------------------------------------------------------------------------


def test_every_pixel_of_a_semantic_map_is_tinted_in_the_colour_of_its_class() -> None:
    image = Image.effect_noise((640, 480), 60).convert("RGB")
    label_map = np.random.default_rng(4).integers(0, 150, (480, 640))
    drawn = SemanticMap.of(label_map, tuple(map(str, range(150)))).draw(image)
    table = np.array([class_colour(i) for i in range(150)])
    expected = np.asarray(image) / 2 + table[label_map] / 2
    assert (np.abs(np.asarray(drawn)[:480] - expected) <= 1).all()


def test_the_legend_shows_the_colours_of_the_largest_classes_and_only_those() -> None:
    areas = np.repeat(np.arange(20), np.arange(1, 21) * 40)
    label_map = np.resize(areas, (480, 640))
    drawn = SemanticMap.of(label_map, tuple(f"class {i}" for i in range(20))).draw(WHITE)
    legend = drawn.crop((0, 480, *drawn.size))
    assert legend.width == 640
    shown = [i for i in range(20) if blocks(is_colour(legend, i))]
    assert shown == list(range(8, 20))


def test_the_legend_names_each_class() -> None:
    label_map = np.indices((480, 640))[0] // 240
    draw = [SemanticMap.of(label_map, names).draw(WHITE) for names in (("a", "b"), ("a", "other"))]
    assert draw[0].crop((0, 0, 640, 480)) == draw[1].crop((0, 0, 640, 480))
    ink = [(np.asarray(d)[480:] < 128).all(-1).sum() for d in draw]
    assert 0 < ink[0] < ink[1]


def test_legends_with_long_or_odd_names_stay_in_the_frame() -> None:
    for names in (("W" * 1000, "b"), ("two\nlines", ""), ("图 猫", "Körbchen")):
        for size in ((640, 480), (90, 700), (16, 16)):
            label_map = np.indices(size[::-1])[0] * 2 // size[1]
            drawn = SemanticMap.of(label_map, names).draw(Image.new("RGB", size, "white"))
            panel = np.asarray(drawn)[-20:]
            assert (panel[:, -2:] == 255).all()
            assert (panel[-1:] == 255).all()


# --- panoptic -------------------------------------------------------------------------------------


def segments_of(ids: np.ndarray, segments: list[tuple[int, int, str]]) -> Panoptic:
    return Panoptic(
        size=ids.shape,
        map=ids,
        segments=tuple(
            PanopticSegment(
                id=i, label=k, name=n, is_thing=True, score=0.9, area=int((ids == i).sum())
            )
            for i, k, n in segments
        ),
    )


def two_things() -> Panoptic:
    ids = np.zeros((480, 640), np.int32)
    ids[100:300, 100:320], ids[100:300, 320:540] = 7, 8
    return segments_of(ids, [(7, 2, "car"), (8, 2, "car")])


def test_segments_are_tinted_and_void_stays_as_it_is() -> None:
    image = Image.effect_noise((640, 480), 60).convert("RGB")
    old, new = np.asarray(image), np.asarray(two_things().draw(image))
    assert (new[:98] == old[:98]).all()
    assert (new[:, 545:] == old[:, 545:]).all()
    assert np.abs(new[110:150, 110:310] - blend(old, class_colour(2))[110:150, 110:310]).max() <= 1


def test_segments_of_one_class_are_told_apart_by_a_white_line() -> None:
    new = np.asarray(two_things().draw(Image.new("RGB", (640, 480))))
    assert (new[105:180, 320] == 255).all()
    assert (new[105:180, 310] != 255).any(-1).all()


def test_each_segment_has_its_label_in_it() -> None:
    drawn = two_things().draw(WHITE)
    patches = sorted(blocks(is_colour(drawn, 2)))
    assert len(patches) == 2
    for (left, top, right, bottom), (start, end) in zip(
        patches, ((100, 320), (320, 540)), strict=True
    ):
        assert start <= left < right <= end
        assert 100 <= top < bottom <= 300
        assert right - left >= label_width((640, 480), "car")


def test_the_label_of_a_ring_is_on_the_ring() -> None:
    y, x = np.indices((480, 640))
    distance = np.hypot(y - 240, x - 320)
    ids = ((distance > 120) & (distance < 220)).astype(np.int32)
    drawn = segments_of(ids, [(1, 4, "o")]).draw(WHITE)
    ((left, top, right, bottom),) = blocks(is_colour(drawn, 4))
    assert ids[(top + bottom) // 2, (left + right) // 2] == 1


def test_a_label_is_on_the_widest_part_of_its_segment() -> None:
    ids = np.zeros((480, 640), np.int32)
    ids[100:300, 20:30] = ids[150:250, 300:600] = 1
    drawn = segments_of(ids, [(1, 4, "kite")]).draw(WHITE)
    ((left, _, right, _),) = blocks(is_colour(drawn, 4))
    assert 300 <= left < right <= 600


def test_a_map_of_void_alone_leaves_the_image_as_it_is() -> None:
    image = Image.effect_noise((640, 480), 60).convert("RGB")
    assert segments_of(np.zeros((480, 640), np.int32), []).draw(image) == image


def test_the_labels_of_the_largest_segments_are_kept_where_many_crowd() -> None:
    ids = np.arange(1, 1201, dtype=np.int32).reshape(30, 40).repeat(16, 0).repeat(16, 1)
    ids[:200] = 1
    segments = [(int(i), int(i) % 150, f"class {i}") for i in np.unique(ids)]
    drawn = segments_of(ids, segments).draw(WHITE)
    assert len(blocks(is_colour(drawn, 1))) >= 1


def test_a_small_panoptic_image_is_enlarged() -> None:
    ids = np.ones((40, 60), np.int32)
    ids[:, 30:] = 2
    drawn = segments_of(ids, [(1, 2, "car"), (2, 5, "bus")]).draw(Image.new("RGB", (60, 40)))
    assert drawn.size == (480, 320)
    for label, start, end in ((2, 0, 240), (5, 240, 480)):
        ((left, top, right, bottom),) = blocks(is_colour(drawn, label))
        assert start < left < right < end
        assert 120 < top < bottom < 200
