"""The scenes as datasets: columns, labels that fit each other, seeds, cache, arguments."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from importlib.metadata import entry_points

import datasets
import numpy as np
import pvzoo_shapes
import pytest
from pvzoo_shapes import MORE_SHAPES, SHAPES, STUFF, Shapes, builder, scenes
from pvzoo_shapes.builder import TASKS
from pycocotools import mask as coco

from pvzoo.data import schema
from pvzoo.errors import PvzooError, UsageError

MAPS = (schema.SEMANTIC, schema.PANOPTIC)


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("datasets")
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", folder)
        yield folder


@pytest.fixture(scope="module")
def worlds(cache) -> dict[str, datasets.Dataset]:
    """The same 30 scenes for each task."""
    return {task: scenes(task, count=30, size=(72, 96), seed=11) for task in TASKS}


def values(annotation) -> np.ndarray:
    """A panoptic map's ids."""
    return np.asarray(annotation).astype(np.int64) @ [1, 256, 256**2]


def images(dataset: datasets.Dataset) -> list[bytes]:
    return [
        row["bytes"] for row in dataset.cast_column("image", datasets.Image(decode=False))["image"]
    ]


# --- columns --------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
def test_the_columns_are_those_of_the_task(worlds, task):
    dataset = worlds[task]
    names = (*SHAPES, *STUFF) if task in MAPS else SHAPES
    assert dataset.features == schema.features(task, names)
    assert schema.task_of(dataset.features) == task
    assert schema.class_names(dataset.features) == names
    assert dataset["image_id"] == list(range(30))
    assert dataset[4]["file_name"] == "000004.png"
    assert dataset[4]["image"].size == (96, 72)
    assert dataset[4]["image"].format == "PNG"


def test_labels_of_all_tasks_are_of_the_same_scenes(worlds):
    four = [images(worlds[task]) for task in TASKS if task != schema.CLASSIFICATION]
    assert all(mine == four[0] for mine in four)
    assert len(set(four[0])) == 30
    labelled = [worlds[t] for t in (schema.DETECTION, schema.INSTANCE, *MAPS)]
    for detected, instances, semantic, panoptic in zip(*labelled, strict=True):
        objects, ids = detected["objects"], values(panoptic["annotation"])
        same = {k: v for k, v in instances["objects"].items() if k != "segmentation"}
        assert same == objects
        things = sum(panoptic["segments"]["isthing"])
        assert things == len(objects["id"]) > 0
        for k in range(things):
            code = instances["objects"]["segmentation"][k]
            mask = coco.decode(code).astype(bool)
            assert code["size"] == [72, 96]
            assert (mask == (ids == panoptic["segments"]["id"][k])).all()
            assert objects["area"][k] == mask.sum() > 0
            ys, xs = mask.nonzero()
            box = [xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1]
            assert objects["bbox"][k] == box
            assert objects["category"][k] == panoptic["segments"]["category"][k] < len(SHAPES)
        by_id = dict(zip(*(panoptic["segments"][c] for c in ("id", "category")), strict=True))
        assert set(by_id) == set(np.unique(ids).tolist())  # nothing is void
        assert 0 not in by_id
        classes = np.vectorize(by_id.get)(ids)
        assert (np.asarray(semantic["annotation"]) == classes).all()
        everything = list(range(len(SHAPES) + len(STUFF)))
        assert semantic["segments"] == {"id": everything, "category": everything}
        stuff = panoptic["segments"]["category"][things:]
        assert min(stuff) >= len(SHAPES)
        assert not any(panoptic["segments"]["isthing"][things:])
        assert not any(objects["iscrowd"] + objects["ignore"] + panoptic["segments"]["iscrowd"])
        assert (detected["width"], detected["height"]) == (96, 72)


def test_ids_of_objects_are_unique_and_never_zero(worlds):
    ids = [i for row in worlds[schema.DETECTION]["objects"] for i in row["id"]]
    assert len(set(ids)) == len(ids) > 60
    assert min(ids) > 0


def test_every_class_occurs(worlds):
    seen = {c for row in worlds[schema.PANOPTIC]["segments"] for c in row["category"]}
    assert seen == set(range(len(SHAPES) + len(STUFF)))


def test_an_image_to_classify_shows_one_shape_its_label(worlds):
    dataset = worlds[schema.CLASSIFICATION]
    for index, row in enumerate(dataset):
        scene = builder.draw(11, index, size=(72, 96), most=1)
        assert (np.asarray(row["image"]) == scene.image).all()
        assert [t.shape for t in scene.things] == [SHAPES[row["label"]]]
        assert set(np.unique(scene.visible)) == {0, 1}
    assert len(set(dataset["label"])) > 5


# --- seeds, sizes, worlds -------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
def test_a_scene_does_not_depend_on_how_many_there_are(worlds, task):
    fewer = scenes(task, count=7, size=(72, 96), seed=11)
    assert len(fewer) == 7
    assert images(fewer) == images(worlds[task])[:7]
    plain = [c for c in fewer.column_names if c not in ("image", "annotation")]
    assert fewer.select_columns(plain).to_list() == worlds[task].select_columns(plain).to_list()[:7]


def test_another_seed_gives_other_scenes(worlds):
    others = scenes("object-detection", count=30, size=(72, 96), seed=12)
    assert not set(images(others)) & set(images(worlds[schema.DETECTION]))


def test_every_process_draws_the_same(worlds, tmp_path):
    code = """
import hashlib, pvzoo_shapes
for task in ("instance-segmentation", "panoptic-segmentation"):
    dataset = pvzoo_shapes.scenes(task, count=8, size=(72, 96), seed=11)
    print(hashlib.sha256(repr(dataset.data.to_pylist()).encode()).hexdigest())
"""
    env = {**os.environ, "PYTHONHASHSEED": "7", "HF_DATASETS_CACHE": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    here = [
        hashlib.sha256(repr(worlds[task].data.slice(0, 8).to_pylist()).encode()).hexdigest()
        for task in (schema.INSTANCE, schema.PANOPTIC)
    ]
    assert run.stdout.split() == here


@pytest.mark.parametrize(
    ("size", "expected"), [(64, (64, 64)), ((33, 200), (200, 33)), ([512, 101], (101, 512))]
)
def test_images_and_maps_have_any_size(size, expected):
    for row in scenes("panoptic-segmentation", count=2, size=size):
        assert row["image"].size == row["annotation"].size == expected


def test_a_changed_world_has_the_classes_and_colours_asked_for():
    shapes = ("star", *MORE_SHAPES)
    dataset = scenes(
        "semantic-segmentation",
        count=20,
        size=48,
        shapes=shapes,
        colours=((100, 140), (0.9, 1), (0.9, 1)),
    )
    assert schema.class_names(dataset.features) == (*shapes, *STUFF)
    seen = set()
    for row in dataset:
        classes = np.asarray(row["annotation"])
        seen |= set(np.unique(classes).tolist())
        red, green, blue = np.asarray(row["image"])[classes < len(shapes)].mean(0)
        assert green > 1.5 * max(red, blue)
    assert set(range(len(shapes))) <= seen


# --- cache ----------------------------------------------------------------------------------------


def test_scenes_are_drawn_once_for_each_set_of_arguments(monkeypatch, cache):
    drawn = []
    draw = builder.draw
    monkeypatch.setattr(builder, "draw", lambda *a, **k: drawn.append(a) or draw(*a, **k))
    first = scenes("object-detection", count=3, size=40, seed=21)
    assert drawn == [(21, 0), (21, 1), (21, 2)]
    again = scenes("object-detection", count=3, size=(40, 40), seed=21, shapes=list(SHAPES))
    assert len(drawn) == 3
    assert images(first) == images(again)
    assert first.cache_files[0]["filename"].startswith(str(cache))  # memory-mapped from there
    for change in (
        {"count": 2},
        {"size": 41},
        {"seed": 22},
        {"shapes": SHAPES[::-1]},
        {"colours": ((0, 360), (0, 1), (0.5, 1))},
        {"task": "instance-segmentation"},
    ):
        before = len(drawn)
        scenes(**({"task": "object-detection", "count": 3, "size": 40, "seed": 21} | change))
        assert len(drawn) > before, change
    monkeypatch.setattr(builder, "_code", lambda: "changed")
    before = len(drawn)
    scenes("object-detection", count=3, size=40, seed=21)
    assert len(drawn) == before + 3


def test_the_builder_also_streams_without_a_file(worlds, cache):
    before = sorted(cache.rglob("*.arrow"))
    stream = Shapes(task=schema.DETECTION, count=5, size=(72, 96), seed=11).as_streaming_dataset()
    rows = list(stream["train"])
    assert [r["objects"] for r in rows] == worlds[schema.DETECTION][:5]["objects"]
    assert sorted(cache.rglob("*.arrow")) == before


# --- pvzoo's "shapes" -----------------------------------------------------------------------------


def test_pvzoo_finds_the_dataset_by_an_entry_point(monkeypatch):
    (point,) = entry_points(group="pvzoo.datasets", name="shapes")
    load = point.load()
    assert {k: v[1] for k, v in builder.SPLITS.items()} == {"train": 2000, "validation": 500}
    few = {name: (seed, count // 250) for name, (seed, count) in builder.SPLITS.items()}
    monkeypatch.setattr(builder, "SPLITS", few)
    splits = load()
    assert {name: len(split) for name, split in splits.items()} == {"train": 8, "validation": 2}
    assert schema.task_of(splits["train"].features) == schema.DETECTION
    assert not set(images(splits["train"])) & set(images(splits["validation"]))
    maps = load("panoptic-segmentation", "validation")
    assert schema.task_of(maps.features) == schema.PANOPTIC
    assert images(maps) == images(splits["validation"])
    with pytest.raises(UsageError, match=r"no split 'test'.*train and validation"):
        load("object-detection", "test")


def test_importing_the_plugin_imports_neither_datasets_nor_torch():
    code = "import sys, pvzoo_shapes; print({'datasets', 'torch', 'pandas'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
    assert set(pvzoo_shapes.__all__) <= set(dir(pvzoo_shapes))
    with pytest.raises(AttributeError, match="nothing"):
        pvzoo_shapes.nothing  # noqa: B018


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"task": "pose"}, "'pose'.*object-detection"),
        ({"count": 0}, "count is 0"),
        ({"count": 2.5}, "count is 2.5"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": None}, "seed is None"),
        ({"size": 31}, "height is 31.*32"),
        ({"size": (64, 8)}, "width is 8.*32"),
        ({"size": (64, 64, 3)}, r"size is \(64, 64, 3\).*height, width"),
        ({"size": "64"}, "size is '64'"),
        ({"size": 64.5}, "height is 64.5"),
        ({"shapes": "disc"}, r"text 'disc'.*\['disc'\]"),
        ({"shapes": ["hart"]}, "'hart'.*'heart'"),
        ({"shapes": []}, "at least one"),
        ({"shapes": ["disc", "disc"]}, "each once"),
        ({"shapes": 3}, "shapes is 3"),
        ({"shapes": [["disc"]]}, "no shape"),
        ({"colours": "red"}, "colours is 'red'.*degrees"),
        ({"colours": ((0, 360), (0, 1))}, "three"),
        ({"colours": ((0, 360), (0, 1), (0.5, 1.5))}, "colours"),
        ({"colours": ((0, 360), (0.8, 0.2), (0, 1))}, "colours"),
        ({"colours": ((0, float("nan")), (0, 1), (0, 1))}, "colours"),
        ({"colours": ((0, float("inf")), (0, 1), (0, 1))}, "colours"),
    ],
)
def test_wrong_arguments_are_refused_with_a_clear_message(arguments, said):
    with pytest.raises(UsageError, match=said) as caught:
        scenes(**({"count": 2} | arguments))
    assert isinstance(caught.value, PvzooError)
    assert caught.value.hint
