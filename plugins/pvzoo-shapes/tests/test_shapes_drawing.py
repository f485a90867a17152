"""What a drawn scene promises: which shapes, how large, how much of each hidden, on what."""

from __future__ import annotations

import colorsys
from collections import Counter

import numpy as np
import pytest
from matplotlib.path import Path as Outline
from pvzoo_shapes import MORE_SHAPES, SHAPES, STUFF
from pvzoo_shapes.drawing import Scene, draw
from pvzoo_shapes.forms import FORMS
from scipy.ndimage import binary_erosion, uniform_filter

SIZES = [(128, 128), (64, 64), (97, 131), (200, 65), (33, 32), (150, 512), (512, 512)]


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    """Many of the usual size, some of others."""
    rng = np.random.default_rng(1)
    counts = [100, 30, 15, 15, 40, 2, 1]
    return [
        draw(int(rng.integers(2**40)), int(rng.integers(2**40)), size=size, shapes=tuple(FORMS))
        for size, count in zip(SIZES, counts, strict=True)
        for _ in range(count)
    ]


@pytest.fixture(scope="module")
def small() -> list[Scene]:
    """Very many, for counting."""
    return [draw(2, index, size=(32, 32)) for index in range(300)]


def extent(mask: np.ndarray) -> float:
    """The longer side of the box as a share of the frame's shorter side."""
    ys, xs = mask.nonzero()
    return max(np.ptp(ys) + 1, np.ptp(xs) + 1) / min(mask.shape)


# --- size, number and hiding ----------------------------------------------------------------------


def test_a_scene_has_the_size_that_was_asked_for(scenes):
    assert {s.image.shape[:2] for s in scenes} == set(SIZES)
    for s in scenes:
        assert s.image.dtype == np.uint8
        assert s.image.shape == (*s.visible.shape, 3) == (*s.stuff.shape, 3)


def test_a_shape_has_a_tenth_to_45_hundredths_of_the_frame_also_what_is_seen_of_it(scenes):
    whole = [extent(t.mask) for s in scenes for t in s.things]
    seen = [extent(s.visible == k + 1) for s in scenes for k in range(len(s.things))]
    assert min(whole) >= 0.1
    assert min(seen) >= 0.1
    assert max(whole) <= 0.45
    assert min(whole) < 0.12  # the whole range is used
    assert max(whole) > 0.43


def test_a_shape_lies_over_those_before_it_and_at_most_40_percent_of_one_are_hidden(scenes):
    hidden = []
    for s in scenes:
        visible = np.zeros_like(s.visible)
        for number, thing in enumerate(s.things, 1):
            visible[thing.mask] = number
        assert (visible == s.visible).all()
        for number, thing in enumerate(s.things, 1):
            hidden.append(1 - (visible == number).sum() / thing.mask.sum())
    assert max(hidden) <= 0.4
    assert max(hidden) > 0.35
    assert np.mean(np.array(hidden) > 0.05) > 0.15  # hiding is usual


def test_there_are_one_to_eight_shapes_each_number_about_as_often(small):
    counts = Counter(len(s.things) for s in small)
    assert set(counts) == set(range(1, 9))
    assert min(counts.values()) > 0.6 * len(small) / 8


# --- shapes ---------------------------------------------------------------------------------------


def regular(corners: int, first: float = 0) -> np.ndarray:
    angles = np.radians(first) + 2 * np.pi * np.arange(corners) / corners
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def contains(name: str, points: np.ndarray) -> np.ndarray:
    """Whether (n, 2) points lie in a shape, which is written anew here."""
    x, y = points.T
    if name == "disc":
        return np.hypot(x, y) < 1
    if name == "ring":
        return (np.hypot(x, y) < 1) & (np.hypot(x, y) > 0.55)
    if name == "crescent":
        return (np.hypot(x, y) < 1) & (np.hypot(x - 0.5, y) > 0.85)
    if name == "square":
        return np.maximum(abs(x), abs(y)) < np.sqrt(0.5)
    if name == "triangle":
        return Outline(regular(3)).contains_points(points)
    if name == "star":
        inner = 0.42 * regular(5, 36)
        outline = np.stack([regular(5), inner], axis=1).reshape(-1, 2)
        return Outline(outline).contains_points(points)
    if name == "cross":
        low, high = np.sort(np.abs(points), axis=1).T
        return (low < 0.32) & (high < 1)
    if name == "heart":
        side = np.sqrt(0.5) / 2
        lobes = np.hypot(abs(x) - side, y + side) < 0.5
        return lobes | (abs(x) + abs(y) < np.sqrt(0.5))
    if name == "arrow":
        head = (x > 0.1) & (abs(y) < 0.75 * (1 - x) / 0.9)
        return head | ((x > -1) & (x < 0.2) & (abs(y) < 0.24))
    assert name == "hourglass"
    return (abs(y) < 1) & (abs(x) < 0.16 + 0.54 * abs(y))


@pytest.mark.parametrize("name", FORMS)
def test_the_distance_to_a_shape_says_which_points_are_in_it_and_how_far(name):
    rng = np.random.default_rng(3)
    points = rng.uniform(-1.3, 1.3, (4000, 2))
    distance = FORMS[name].distance(*points.T)
    assert ((distance < 0) == contains(name, points)).all()
    # a step as long as the distance crosses the outline, and no shorter one does
    near = (abs(distance) < 0.1) & (abs(distance) > 1e-3)
    points, distance = points[near], distance[near]
    for share in (0.999, 1.02):
        steps = points[:, None] + share * abs(distance)[:, None, None] * regular(100)
        inside = contains(name, steps.reshape(-1, 2)).reshape(len(points), -1)
        crossed = (inside != (distance < 0)[:, None]).any(1)
        if share < 1:
            assert not crossed.any()
        else:  # at the corners of unions and differences the distance is only a lower bound
            assert crossed.mean() > 0.9


@pytest.mark.parametrize("name", FORMS)
def test_the_box_of_a_turned_shape_is_tight(name):
    points = np.random.default_rng(5).uniform(-1.3, 1.3, (60_000, 2))
    inside = points[contains(name, points)]
    for rotation in np.random.default_rng(4).uniform(0, 2 * np.pi, 20):
        cos, sin = np.cos(rotation), np.sin(rotation)
        x, y = inside @ [cos, -sin], inside @ [sin, cos]
        found = np.array([x.min(), y.min(), x.max(), y.max()])
        gap = (FORMS[name].box(rotation) - found) * [-1, -1, 1, 1]
        assert (gap > -1e-4).all()
        assert (gap < 0.12).all()  # few random points come near a sharp corner


def test_a_mask_has_the_pixels_whose_centres_the_turned_shape_covers(scenes):
    seen = Counter()
    for s in scenes:
        for thing in s.things:
            turn = np.radians(thing.rotation)
            own = FORMS[thing.shape].box(turn)
            scale = (thing.box[2] - thing.box[0]) / (own[2] - own[0])
            y, x = np.indices(thing.mask.shape) + 0.5
            x, y = (x - thing.box[0]) / scale + own[0], (y - thing.box[1]) / scale + own[1]
            near = (abs(x) < 1.5) & (abs(y) < 1.5)
            x, y = x[near], y[near]
            back = [np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x]
            assert (contains(thing.shape, np.stack(back, axis=1)) == thing.mask[near]).all()
            assert not thing.mask[~near].any()
            seen[thing.shape] += 1
    assert set(seen) == set(FORMS)


def test_every_shape_is_drawn_about_as_often_in_every_rotation(small):
    things = [t for s in small for t in s.things]
    counts = Counter(t.shape for t in things)
    assert set(counts) == set(SHAPES)
    assert min(counts.values()) > 0.75 * len(things) / len(SHAPES)
    for name in SHAPES:
        turns = [t.rotation for t in things if t.shape == name]
        mean = len(turns) / 6
        counts = np.histogram(turns, bins=6, range=(0, 360))[0]
        assert abs(counts - mean).max() < 4.5 * np.sqrt(mean)


def test_the_further_shapes_come_only_when_asked_for(small):
    assert len(SHAPES) >= 6
    assert len(MORE_SHAPES) >= 2
    assert not set(SHAPES) & set(MORE_SHAPES)
    assert not set(MORE_SHAPES) & {t.shape for s in small for t in s.things}
    asked = [draw(6, i, size=(32, 32), shapes=MORE_SHAPES) for i in range(20)]
    assert {t.shape for s in asked for t in s.things} == set(MORE_SHAPES)


# --- colours and textures -------------------------------------------------------------------------


def test_a_visible_part_has_the_colour_of_its_shape(scenes):
    for s in scenes:
        for number, thing in enumerate(s.things, 1):
            inner = binary_erosion(s.visible == number, iterations=2)
            if inner.sum() > 20:
                seen = s.image[inner].mean(0) / 255
                assert abs(seen - thing.colour).max() < 0.2


def test_shapes_stand_out_against_what_is_beside_them(scenes):
    far = []
    for s in scenes:
        smooth = uniform_filter(s.image.astype(float), (3, 3, 1)) / 255
        for number, thing in enumerate(s.things, 1):
            if (s.visible[thing.mask] == number).all():  # the front ones
                outside = binary_erosion(~thing.mask, iterations=2)
                ring = outside & ~binary_erosion(outside, iterations=2)
                away = np.linalg.norm(smooth[ring] - thing.colour, axis=1)
                far.append((away > 0.2).mean())
    # of colours taken without a look at what is beneath, one in ten would be below
    assert np.mean(np.array(far) < 0.6) < 0.04
    assert len(far) > 200


def test_a_colour_does_not_give_away_the_shape(small):
    things = [t for s in small for t in s.things]
    colours = np.stack([t.colour for t in things])
    names = np.array([t.shape for t in things])
    for name in SHAPES:
        mine = colours[names == name]
        error = colours.std(0) / np.sqrt(len(mine))
        assert (abs(mine.mean(0) - colours.mean(0)) < 4 * error).all(), name
    hues = [colorsys.rgb_to_hsv(*c)[0] for c in colours.tolist()]
    assert np.histogram(hues, bins=12, range=(0, 1))[0].min() > len(hues) / 24
    assert colours.min() < 0.05
    assert colours.max() > 0.95


@pytest.mark.parametrize(
    ("hue", "low", "high"), [((200, 280), 200, 280), ((330, 390), -30, 30), ((50, 50), 50, 50)]
)
def test_shapes_have_colours_of_the_ranges_asked_for(hue, low, high):
    ranges = (hue, (0.5, 0.9), (0.6, 0.8))
    things = [t for i in range(40) for t in draw(7, i, size=(32, 32), colours=ranges).things]
    for thing in things:
        h, s, v = colorsys.rgb_to_hsv(*thing.colour.tolist())
        h = 360 * h if 360 * h <= high + 1 else 360 * h - 360
        assert low - 0.1 <= h <= high + 0.1
        assert 0.499 <= s <= 0.901
        assert 0.599 <= v <= 0.801


def test_backgrounds_are_textured_and_every_image_is_noisy(scenes):
    textured = []
    for s in scenes:
        empty = binary_erosion(s.visible == 0, iterations=2)
        fine = s.image - uniform_filter(s.image.astype(float), (3, 3, 1))
        assert fine[empty].std() > 1.5
        coarse = uniform_filter(s.image.astype(float), (5, 5, 1))
        regions = [coarse[empty & (s.stuff == k)].std(0).max() for k in np.unique(s.stuff[empty])]
        textured.append(max(regions) > 3.5)  # noise alone leaves at most 10 / 5
    assert np.mean(textured) > 0.95


def test_a_background_is_a_backdrop_or_sky_over_water_and_ground(scenes):
    regions = Counter()
    for s in scenes:
        order = [STUFF[k] for k in dict.fromkeys(s.stuff.T.reshape(-1).tolist())]
        regions[tuple(order)] += 1
        for name in order:
            assert (s.stuff == STUFF.index(name)).mean() > 0.03
        # a column goes through its regions once each, from top to bottom
        rank = np.argsort([STUFF.index(n) for n in ("backdrop", "sky", "water", "ground")])
        assert (np.diff(rank[s.stuff], axis=0) >= 0).all()
    assert set(regions) == {
        ("backdrop",),
        ("sky", "ground"),
        ("sky", "water"),
        ("sky", "water", "ground"),
    }
    assert 0.35 < regions["backdrop",] / len(scenes) < 0.65


# --- seeds ----------------------------------------------------------------------------------------


def test_a_scene_is_its_seed_and_number_and_no_other_has_its_image():
    images = {draw(s, i, size=(40, 40)).image.tobytes() for s in range(6) for i in range(10)}
    assert len(images) == 60
    np.random.seed(0)
    first = draw(8, 5)
    np.random.seed(1)
    second = draw(8, 5)
    assert first.image.tobytes() == second.image.tobytes()
    assert (first.visible == second.visible).all()
    assert (first.stuff == second.stuff).all()
