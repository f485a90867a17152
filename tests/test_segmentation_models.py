"""Segmentation models of every family against their authors' inference on the raw outputs.

The raw outputs are those of transformers' own model and processor, run on one image alone; what
their authors make of them is in `reference_segmentation`.
"""

from __future__ import annotations

import json
import math
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference_segmentation as reference
import torch
import transformers
from PIL import Image
from segmentation_families import FAMILIES, LABELS, QUERIES, STUFF, build
from torch import nn
from torch.nn import functional as nnf

import pvzoo
from pvzoo.catalog import catalogue
from pvzoo.errors import PvzooError, PvzooWarning, UnsupportedModelError, UsageError
from pvzoo.families.stuff_classes import stuff_of
from pvzoo.results.instances import Instances
from pvzoo.results.panoptic import Panoptic
from pvzoo.results.semantic import SemanticMap

STUFF_NAMES = [f"class {i}" for i in sorted(STUFF)]
THINGS = frozenset(range(LABELS)) - STUFF
UNIVERSAL = ("mask2former", "maskformer", "oneformer", "eomt", "detr")

# MaskFormer's authors publish no instances; pvzoo makes them as those of Mask2Former do.
PAIRS = [
    *((family, task) for family, kind in FAMILIES.items() for task in kind.tasks),
    ("maskformer", "instance"),
]


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a family's small checkpoint, whose config says which classes are stuff."""
    root = tmp_path_factory.mktemp("segmenters")

    def folder(family: str) -> Path:
        if not (root / family).is_dir():
            build(family, root / family)
            if family.startswith(UNIVERSAL):
                state(root / family, stuff=STUFF_NAMES)
        return root / family

    return folder


@pytest.fixture(scope="session")
def segmenter(checkpoint: Callable[[str], Path]) -> Callable[..., pvzoo.Model]:
    """A family's model for a task as pvzoo loads it, for tests that do not change it."""
    loaded: dict[tuple[Any, ...], pvzoo.Model] = {}

    def load(family: str, task: str, dtype: Any = torch.float32) -> pvzoo.Model:
        key = (family, task, dtype)
        if key not in loaded:
            loaded[key] = pvzoo.load(checkpoint(family), task=task, dtype=dtype, device="cpu")
        return loaded[key]

    return load


@pytest.fixture(scope="session")
def image_set(photographs: dict[str, Path]) -> dict[str, Image.Image]:
    """Photographs of two aspect ratios and odd sizes."""
    coffee = Image.open(photographs["coffee"]).convert("RGB")
    astronaut = Image.open(photographs["astronaut"]).convert("RGB")
    return {
        "landscape": coffee.resize((301, 200)),
        "portrait": astronaut.crop((40, 0, 360, 500)).resize((150, 233)),
    }


def state(folder: Path, **entries: Any) -> None:
    """Write the config's entry for pvzoo."""
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"pvzoo": entries}))


@pytest.fixture
def copy(checkpoint: Callable[[str], Path], tmp_path: Path) -> Callable[..., Path]:
    """A checkpoint of one's own, with this entry for pvzoo."""

    def make(family: str, **entries: Any) -> Path:
        folder = tmp_path / family
        shutil.copytree(checkpoint(family), folder, dirs_exist_ok=True)
        state(folder, **entries)
        return folder

    return make


# --- the other side -------------------------------------------------------------------------------


@dataclass
class Raw:
    """What transformers' network gives for one image, and where the image lies in its input."""

    outputs: Any
    padded: tuple[int, int]
    valid: tuple[int, int]
    image: tuple[int, int]
    windows: list[tuple[int, int]]

    @property
    def sizes(self) -> dict[str, tuple[int, int]]:
        return {"padded_size": self.padded, "valid_size": self.valid, "image_size": self.image}

    @property
    def classes(self) -> torch.Tensor:
        return self.outputs.class_queries_logits[0]

    @property
    def masks(self) -> torch.Tensor:
        return self.outputs.masks_queries_logits[0]


@cache
def opened(folder: Path, family: str) -> tuple[Any, Any]:
    """Model and image processor as transformers alone opens them."""
    module = getattr(transformers, FAMILIES[family].auto).from_pretrained(folder).eval()
    # without the class list that OneFormer's processor would fetch
    options = {"class_info_file": None} if family == "oneformer" else {}
    return module, transformers.AutoImageProcessor.from_pretrained(folder, **options)


def raw_outputs(folder: Path, family: str, task: str, photograph: Image.Image) -> Raw:
    module, processor = opened(folder, family)
    image = photograph.size[::-1]
    if family == "oneformer":
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        words = transformers.OneFormerProcessor(processor, tokenizer)
        found = words(images=photograph, task_inputs=[task], return_tensors="pt")
        height, width = found["pixel_values"].shape[-2:]
        margins = (0, -width % 32, 0, -height % 32)
        inputs = {
            "pixel_values": nnf.pad(found["pixel_values"], margins),
            "task_inputs": found["task_inputs"],
        }
    elif family.startswith("mobile"):
        size = {side: processor.crop_size[side] for side in ("height", "width")}
        found = processor(images=photograph, do_center_crop=False, size=size, return_tensors="pt")
        inputs = {"pixel_values": found["pixel_values"]}
    else:
        found = processor(images=photograph, return_tensors="pt")
        inputs = {n: v for n, v in found.items() if n in ("pixel_values", "pixel_mask")}
    padded = tuple(inputs["pixel_values"].shape[-2:])
    valid = tuple(found["pixel_values"].shape[-2:])
    if family.startswith("eomt"):
        plain = processor(
            images=photograph, do_pad=False, do_split_image=False, return_tensors="pt"
        )
        valid = tuple(plain["pixel_values"].shape[-2:])
    windows = [(int(start), int(end)) for _, start, end in found.get("patch_offsets", [])]
    with torch.inference_mode():
        return Raw(module(**inputs), padded, valid, image, windows)


def reference_semantic(family: str, raw: Raw, resize_first: bool = False) -> np.ndarray:
    if family.startswith(("mask2former", "maskformer")):
        return reference.mask2former_semantic(
            raw.classes, raw.masks, resize_first=resize_first, **raw.sizes
        )
    if family == "oneformer":
        return reference.oneformer_semantic(raw.classes, raw.masks, **raw.sizes)
    if family.startswith("eomt"):
        return reference.eomt_semantic(
            raw.outputs.class_queries_logits,
            raw.outputs.masks_queries_logits,
            windows=raw.windows,
            network_size=raw.padded,
            scaled_size=raw.valid,
            image_size=raw.image,
        )
    logits = raw.outputs.logits[0]
    if family == "dpt":
        return reference.dpt_semantic(logits, image_size=raw.image)
    if family.startswith("mobile"):  # their authors end at the network's input
        aligned = reference.bilinear(logits, raw.padded, align_corners=True)
        return reference.label_of_pixels(reference.bilinear(aligned, raw.image))
    return reference.mmseg_semantic(logits, **raw.sizes)


def reference_instances(
    family: str, raw: Raw, threshold: float, things: frozenset[int] = THINGS
) -> list[reference.Instance]:
    if family in ("detr", "rf_detr"):
        logits = raw.outputs.logits[0]
        boxes = raw.outputs.pred_boxes[0]
        masks = raw.outputs.pred_masks[0].reshape(QUERIES, *raw.outputs.pred_masks.shape[-2:])
        if family == "detr":
            found = reference.detr_instance(logits, masks, boxes, **raw.sizes)
        else:
            found = reference.rf_detr_instance(
                logits, masks, boxes, image_size=raw.image, top_k=QUERIES, score_threshold=None
            )
    elif family.startswith("eomt"):
        found = reference.eomt_instance(raw.classes, raw.masks, **raw.sizes)
    elif family == "oneformer":
        found = reference.oneformer_instance(
            raw.classes, raw.masks, things=things, top_k=QUERIES, **raw.sizes
        )
    else:
        found = reference.mask2former_instance(raw.classes, raw.masks, things=things, **raw.sizes)
    return [i for i in found if i.label in things and i.score > threshold]


def reference_panoptic(family: str, raw: Raw, **options: Any) -> reference.Panoptic:
    if family == "detr":
        masks = raw.outputs.pred_masks[0].reshape(QUERIES, *raw.outputs.pred_masks.shape[-2:])
        return reference.detr_panoptic(raw.outputs.logits[0], masks, **options, **raw.sizes)
    function = getattr(reference, f"{family.partition('_')[0]}_panoptic")
    return function(raw.classes, raw.masks, **options, **raw.sizes)


# --- equal ----------------------------------------------------------------------------------------


def same_but_for_rounding(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Equal but for at most one pixel in 10,000."""
    assert ours.shape == theirs.shape
    assert np.count_nonzero(ours != theirs) <= math.ceil(ours.size * 1e-4)


def check_instances(ours: Instances, expected: list[reference.Instance]) -> None:
    assert ours.labels.tolist() == [i.label for i in expected]
    np.testing.assert_allclose(ours.scores, [i.score for i in expected], rtol=0, atol=1e-5)
    boxes = np.array([i.box for i in expected], dtype=np.float32).reshape(-1, 4)
    np.testing.assert_allclose(ours.boxes, boxes, rtol=0, atol=1.0)
    for i, instance in enumerate(expected):
        same_but_for_rounding(ours.masks[i], instance.mask)


def check_panoptic(ours: Panoptic, expected: reference.Panoptic) -> None:
    same_but_for_rounding(ours.map, expected.ids + 1)
    assert [s.id for s in ours.segments] == [s.id + 1 for s in expected.segments]
    assert [s.label for s in ours.segments] == [s.label for s in expected.segments]
    assert [s.is_thing for s in ours.segments] == [s.isthing for s in expected.segments]
    for mine, theirs in zip(ours.segments, expected.segments, strict=True):
        assert mine.score == pytest.approx(theirs.score, abs=1e-5)
        assert mine.area == np.count_nonzero(ours.map == mine.id)


@pytest.mark.parametrize("ratio", ["landscape", "portrait"])
@pytest.mark.parametrize(("family", "task"), PAIRS)
def test_predictions_are_the_authors(checkpoint, segmenter, image_set, family, task, ratio):
    model, image = segmenter(family, task), image_set[ratio]
    raw = raw_outputs(checkpoint(family), family, task, image)
    ours = model.predict(image)
    assert model.task == ours.task == f"{task}-segmentation"
    assert ours.size == image.size[::-1]
    if task == "semantic":
        same_but_for_rounding(ours.map, reference_semantic(family, raw))
        assert len(ours) >= 3
    elif task == "panoptic":
        check_panoptic(ours, reference_panoptic(family, raw, stuff=STUFF))
        assert len(ours) >= 3
        assert {s.is_thing for s in ours.segments} == {True, False}
        assert all(s.name == f"class {s.label}" for s in ours.segments)
    else:
        things = THINGS if family.startswith(UNIVERSAL) else frozenset(range(LABELS))
        check_instances(ours, reference_instances(family, raw, 0.5, things))
        lower = model.predict(image, threshold=0.1)
        check_instances(lower, reference_instances(family, raw, 0.1, things))
        assert len(lower) >= 5


@pytest.mark.parametrize("family", ["mask2former_swin", "oneformer", "segformer", "mobilevit"])
def test_scores_of_pixels_are_those_of_their_class(checkpoint, segmenter, image_set, family):
    image = image_set["landscape"]
    model = segmenter(family, "semantic")
    raw = raw_outputs(checkpoint(family), family, "semantic", image)
    if family == "oneformer":
        masks = reference.network_to_image(raw.masks, raw.padded, raw.valid, raw.image)
        scores = reference.class_scores_of_pixels(raw.classes, masks)
    elif family == "mask2former_swin":
        masks = reference.bilinear(raw.masks, raw.padded)
        scores = reference.class_scores_of_pixels(raw.classes, masks)
        scores = reference.crop_and_resize(scores, raw.valid, raw.image)
    else:
        aligned = family == "mobilevit"
        scores = reference.bilinear(raw.outputs.logits[0], raw.padded, align_corners=aligned)
        scores = reference.bilinear(scores, raw.image)
    ours = model.predict(image, scores=True)
    assert ours.scores.dtype == np.float32
    np.testing.assert_allclose(ours.scores, scores.amax(dim=0).numpy(), rtol=0, atol=2e-5)
    same_but_for_rounding(ours.map, model.predict(image).map)
    assert model.predict(image).scores is None


@pytest.mark.parametrize("family", ["mask2former_swin", "maskformer"])
def test_masks_are_scaled_first_unless_the_checkpoint_is_for_semantic_maps_alone(
    checkpoint, copy, image_set, family
):
    image = image_set["landscape"]
    raw = raw_outputs(checkpoint(family), family, "semantic", image)
    maps = {}
    for own in ("panoptic", "instance", "semantic"):
        folder = copy(family, task=f"{own}-segmentation", stuff=STUFF_NAMES)
        maps[own] = pvzoo.load(folder, task="semantic", device="cpu").predict(image).map
    for own, ours in maps.items():
        first = own != "semantic"
        same_but_for_rounding(ours, reference_semantic(family, raw, resize_first=first))
    np.testing.assert_array_equal(maps["panoptic"], maps["instance"])
    assert np.count_nonzero(maps["panoptic"] != maps["semantic"]) > maps["semantic"].size * 1e-3


# --- batches --------------------------------------------------------------------------------------


def check_near(ours: Any, theirs: Any) -> None:
    if isinstance(ours, SemanticMap):
        same_but_for_rounding(ours.map, theirs.map)
    elif isinstance(ours, Panoptic):
        same_but_for_rounding(ours.map, theirs.map)
        assert [(s.id, s.label) for s in ours.segments] == [
            (s.id, s.label) for s in theirs.segments
        ]
        scores = [[s.score for s in found.segments] for found in (ours, theirs)]
        np.testing.assert_allclose(*scores, rtol=0, atol=1e-5)
    else:
        np.testing.assert_array_equal(ours.labels, theirs.labels)
        np.testing.assert_allclose(ours.scores, theirs.scores, rtol=0, atol=1e-5)
        np.testing.assert_allclose(ours.boxes, theirs.boxes, rtol=0, atol=1.0)
        for mine, other in zip(ours.masks, theirs.masks, strict=True):
            same_but_for_rounding(mine, other)


@pytest.mark.parametrize(("family", "task"), PAIRS)
def test_predictions_do_not_depend_on_companions_or_batch_size(
    segmenter, image_set, photographs, family, task
):
    # Small random networks magnify the rounding of float32, which a batch of another size changes;
    # in float64 nothing is left of it.
    model = segmenter(family, task, torch.float64)
    image = image_set["landscape"]
    companions = [
        image.transpose(Image.Transpose.ROTATE_180),  # of the same size, so in the same batch
        image_set["portrait"],
        image.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        Image.open(photographs["cat"]).resize((90, 60)),
    ]
    alone = model.predict(image)
    assert len(alone)
    for batch_size, index in ((1, 0), (2, 1), (5, 3)):
        images = [*companions[:index], image, *companions[index:]]
        check_near(model.predict(images, batch_size=batch_size)[index], alone)


# --- options and empty results --------------------------------------------------------------------


@pytest.mark.parametrize(("family", "task"), PAIRS)
def test_masks_that_stay_on_an_accelerator_give_the_same(segmenter, image_set, family, task):
    model = segmenter(family, task)
    seen = model.outputs(image_set["portrait"])
    there = {
        name: torch.from_numpy(value) if name in model.adapter.on_device else value
        for name, value in seen._outputs.items()
    }
    assert any(isinstance(value, torch.Tensor) for value in there.values())
    ours, theirs = seen.result(), replace(seen, _outputs=there).result()
    if task == "instance":
        np.testing.assert_allclose(theirs.scores, ours.scores, rtol=0, atol=1e-5)
        assert theirs.labels.tolist() == ours.labels.tolist()
        ours, theirs = ours.masks.to_array(), theirs.masks.to_array()
    else:
        ours, theirs = ours.map, theirs.map
    assert ours.dtype == theirs.dtype
    assert ours.size == 0 or (ours != theirs).mean() <= 1e-4


@pytest.mark.parametrize("family", ["mask2former_swin", "maskformer", "eomt_panoptic", "detr"])
def test_panoptic_options_reach_the_contest(checkpoint, segmenter, image_set, family):
    image = image_set["landscape"]
    model = segmenter(family, "panoptic")
    raw = raw_outputs(checkpoint(family), family, "panoptic", image)
    maps = []
    for threshold, overlap in ((0.0, 0.8), (0.5, 0.0), (0.9, 0.5), (0.99, 0.8)):
        options = {"score_threshold": threshold, "overlap_threshold": overlap}
        if family == "detr":  # it knows no overlap
            del options["overlap_threshold"]
        ours = model.predict(image, threshold=threshold, overlap=overlap)
        check_panoptic(ours, reference_panoptic(family, raw, stuff=STUFF, **options))
        maps.append(ours.map)
    assert len({found.tobytes() for found in maps}) > 1


@pytest.mark.parametrize("family", ["mask2former_swin", "rf_detr", "detr"])
def test_instances_are_chosen_by_class_and_number(segmenter, image_set, family):
    model, image = segmenter(family, "instance"), image_set["landscape"]
    every = model.predict(image, threshold=0.05)
    one, other = list(dict.fromkeys(every.labels.tolist()))[:2]
    ours = model.predict(image, threshold=0.05, classes=[f"CLASS {one}", other])
    keep = np.flatnonzero(np.isin(every.labels, [one, other]))
    np.testing.assert_array_equal(ours.scores, every.scores[keep])
    np.testing.assert_array_equal(ours.masks.to_array(), every.masks.to_array()[keep])
    ours = model.predict(image, threshold=0.05, max_detections=3)
    best = np.sort(np.argsort(-every.scores, kind="stable")[:3])
    np.testing.assert_array_equal(ours.scores, every.scores[best])
    np.testing.assert_array_equal(ours.masks.to_array(), every.masks.to_array()[best])
    fewer = model.predict(image, threshold=0.05, nms=0.3, class_agnostic=True)
    assert 0 < len(fewer) < len(every)
    assert len(fewer.masks) == len(fewer.boxes) == len(fewer.names) == len(fewer)


def test_stuff_is_no_instance_even_if_asked_for(segmenter, image_set):
    model = segmenter("mask2former_swin", "instance")
    found = model.predict(image_set["landscape"], threshold=0.0)
    assert set(found.labels.tolist()) <= THINGS
    assert len(model.predict(image_set["landscape"], threshold=0.0, classes=STUFF_NAMES)) == 0


@pytest.mark.parametrize(
    ("task", "options"),
    [
        ("panoptic", {"threshold": 2}),
        ("panoptic", {"overlap": -1}),
        ("panoptic", {"classes": ["class 1"]}),
        ("semantic", {"scores": 1}),
        ("semantic", {"threshold": 0.5}),
        ("instance", {"classes": ["class 9"]}),
        ("instance", {"max_detections": 0}),
    ],
)
def test_impossible_options_are_refused(segmenter, image_set, task, options):
    with pytest.raises(UsageError):
        segmenter("mask2former_swin", task).predict(image_set["landscape"], **options)


@pytest.mark.parametrize(("family", "task"), [p for p in PAIRS if p[1] != "semantic"])
def test_nothing_found_is_an_empty_result(segmenter, image_set, family, task):
    found = segmenter(family, task).predict(image_set["landscape"], threshold=1.0)
    assert len(found) == 0
    assert found.rows() == []
    assert found.to_dict()["predictions"] == []
    assert list(found.to_pandas().columns) == list(found.columns)
    if task == "panoptic":
        assert not found.map.any()
        assert found.to_coco()["segments_info"] == []
    else:
        assert found.boxes.shape == (0, 4)
        assert found.masks.to_array().shape == (0, *found.size)
        assert found.to_coco() == []
    assert found.plot().size >= image_set["landscape"].size


def test_an_image_of_one_class_is_a_semantic_map_of_one(copy, image_set):
    folder = copy("segformer")
    module = transformers.AutoModelForSemanticSegmentation.from_pretrained(folder)
    with torch.no_grad():
        module.decode_head.classifier.bias[3] += 1000
    module.save_pretrained(folder)
    found = pvzoo.load(folder, device="cpu").predict(image_set["portrait"])
    assert found.names == ("class 3",)
    assert (found.map == 3).all()


@pytest.mark.parametrize(("family", "task"), PAIRS)
def test_images_of_extreme_shape_are_predicted_or_refused_with_a_reason(
    segmenter, image_set, family, task
):
    model = segmenter(family, task)
    for size in ((600, 40), (40, 600), (33, 35), (7, 5), (1, 1), (300, 1)):
        image = image_set["landscape"].resize(size)
        if min(size) < 20:  # only what is hardly an image may be refused
            with suppress(PvzooError):
                model.predict(image)
        else:
            assert model.predict(image).size == size[::-1]


# --- which classes are stuff ----------------------------------------------------------------------

KNOWN = json.loads((Path(pvzoo.__file__).parent / "families" / "things_and_stuff.json").read_text())


def named(label_set: str) -> list[str]:
    return [entry["name"] for entry in KNOWN[label_set]]


@pytest.mark.parametrize(
    ("label_set", "stuff"),
    [
        ("coco-panoptic-133", reference.COCO_PANOPTIC_STUFF),
        ("ade20k-150", reference.ADE20K_STUFF),
        ("cityscapes-19", reference.CITYSCAPES_STUFF),
        ("mapillary-vistas", None),
    ],
)
def test_published_label_sets_are_recognised(label_set, stuff):
    names = named(label_set)
    found = stuff_of({}, names)
    assert found.label_set == label_set
    if stuff is not None:
        assert found.ids == stuff
    assert found.ids == {i for i, e in enumerate(KNOWN[label_set]) if not e["isthing"]}
    # as configs spell them: other case, trailing blanks, one synonym of several
    assert stuff_of({}, [f"{n.upper()} " for n in names]) == found
    assert stuff_of({}, [n.partition(",")[0] for n in names]) == found
    assert stuff_of({}, [f"{n}, something else" for n in names]) == found


def test_labels_of_ade20k_are_recognised_as_published_configs_spell_them():
    names = named("ade20k-150")
    published = {
        0: "wall",
        6: "road, route",
        8: "window ",
        11: "sidewalk, pavement",
        13: "earth, ground",
    }
    for index, name in published.items():
        assert {w.strip() for w in names[index].split(",")} & {w.strip() for w in name.split(",")}
        names[index] = name
    assert stuff_of({}, names).ids == reference.ADE20K_STUFF


@pytest.mark.parametrize("label_set", KNOWN)
def test_one_wrong_name_makes_a_label_set_unknown(label_set):
    names = named(label_set)
    names[len(names) // 2] = "something else"
    assert stuff_of({}, names) is None
    assert stuff_of({}, names[:-1]) is None


def test_detrs_250_classes_are_things_up_to_90():
    found = stuff_of({"model_type": "detr"}, [f"LABEL_{i}" for i in range(250)])
    assert found.ids == set(range(91, 250))
    assert found.ids >= reference.DETR_COCO_STUFF
    assert stuff_of({"model_type": "detr"}, ["a"] * 249) is None
    assert stuff_of({"model_type": "mask2former"}, ["a"] * 250) is None


def test_what_the_config_states_goes_before_what_is_recognised():
    names = named("cityscapes-19")
    stated = stuff_of({"pvzoo": {"stuff": ["car"]}}, names)
    assert stated.ids == {names.index("car")}
    assert stated.label_set == "cityscapes-19"
    assert stuff_of({"pvzoo": {"stuff": []}}, names).ids == frozenset()
    metadata = {"thing_ids": list(range(18))}
    assert stuff_of({}, names, metadata).ids == {18}
    assert stuff_of({"pvzoo": {"stuff": ["car"]}}, names, metadata) == stated


def test_oneformers_metadata_say_what_is_stuff(copy, image_set):
    model = pvzoo.load(copy("oneformer"), task="panoptic", device="cpu")
    segments = model.predict(image_set["landscape"], threshold=0.5).segments
    assert {s.is_thing for s in segments} == {True, False}
    assert all(s.is_thing == (s.label not in STUFF) for s in segments)


def test_unknown_stuff_is_warned_of_and_counts_as_things(checkpoint, copy, image_set):
    folder = copy("mask2former_swin")
    with pytest.warns(PvzooWarning, match="stuff"):
        model = pvzoo.load(folder, task="panoptic", device="cpu")
    image = image_set["landscape"]
    found = model.predict(image)
    assert all(s.is_thing for s in found.segments)
    raw = raw_outputs(folder, "mask2former_swin", "panoptic", image)
    check_panoptic(
        found, reference.mask2former_panoptic(raw.classes, raw.masks, stuff=(), **raw.sizes)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the other tasks need not know
        pvzoo.load(folder, task="semantic", device="cpu")
        pvzoo.load(folder, task="instance", device="cpu")


def relabel(folder: Path, layer: str, names: list[str]) -> None:
    """Give a checkpoint other classes: the first rows of its class layer over and over."""
    module = transformers.AutoModelForUniversalSegmentation.from_pretrained(folder)
    old = module.get_submodule(layer)
    rows = torch.tensor([*(i % LABELS for i in range(len(names))), LABELS])
    new = nn.Linear(old.in_features, len(rows))
    with torch.no_grad():
        # ever fainter copies, so that scores of all heights occur
        faint = torch.tensor([*(0.6 / (1 + i // LABELS) for i in range(len(names))), 0.6])
        new.weight.copy_(old.weight[rows] * faint[:, None])
        new.bias.copy_(old.bias[rows] * faint)
    module.set_submodule(layer, new)
    module.criterion.empty_weight = torch.ones(len(rows))  # of the loss, but saved too
    module.config.id2label = dict(enumerate(names))
    module.config.label2id = {}
    module.save_pretrained(folder)


@pytest.mark.parametrize(
    ("family", "layer", "label_set", "score"),
    [
        ("mask2former_swin", "class_predictor", "mapillary-vistas", 0.0),
        ("mask2former_swin", "class_predictor", "cityscapes-19", 0.8),
        (
            "oneformer",
            "model.transformer_module.decoder.class_embed",
            "ade20k-150",
            0.5,
        ),
    ],
)
def test_the_authors_bound_for_a_label_set_is_the_default(
    copy, image_set, family, layer, label_set, score
):
    folder = copy(family)
    relabel(folder, layer, named(label_set))
    state(folder)
    model = pvzoo.load(folder, task="panoptic", device="cpu")
    image = image_set["landscape"]
    ours = model.predict(image, overlap=0.0)
    for other in (0.0, 0.5, 0.8):
        theirs = model.predict(image, threshold=other, overlap=0.0)
        assert np.array_equal(ours.map, theirs.map) == (other == score)


# --- which task -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "tasks"),
    [
        ("mask2former_swin", ("semantic", "instance", "panoptic")),
        ("maskformer", ("semantic", "instance", "panoptic")),
        ("oneformer", ("semantic", "instance", "panoptic")),
        ("eomt_panoptic", ("instance", "panoptic")),
        ("detr", ("instance", "panoptic")),
    ],
)
def test_a_checkpoint_of_several_tasks_must_be_told_which(checkpoint, family, tasks):
    with pytest.raises(UnsupportedModelError, match="several tasks") as caught:
        pvzoo.load(checkpoint(family))
    for task in tasks:
        assert f"'{task}-segmentation'" in str(caught.value)


@pytest.mark.parametrize("family", [f for f, kind in FAMILIES.items() if len(kind.tasks) == 1])
def test_a_checkpoint_of_one_task_needs_not_be_told(checkpoint, family):
    (task,) = FAMILIES[family].tasks
    assert pvzoo.load(checkpoint(family), device="cpu").task == f"{task}-segmentation"


@pytest.mark.parametrize(
    ("family", "task"),
    [
        ("segformer", "panoptic"),
        ("detr", "semantic"),
        ("rf_detr", "panoptic"),
        ("eomt_semantic", "instance"),
        ("mask2former_swin", "object-detection"),
    ],
)
def test_a_task_that_a_checkpoint_cannot_serve_is_refused(checkpoint, family, task):
    with pytest.raises(UnsupportedModelError, match=task):
        pvzoo.load(checkpoint(family), task=task)


def test_the_task_in_the_config_is_taken_unless_another_is_asked_for(copy):
    folder = copy("mask2former_swin", task="panoptic-segmentation", stuff=STUFF_NAMES)
    assert pvzoo.load(folder, device="cpu").task == "panoptic-segmentation"
    assert pvzoo.load(folder, task="instance", device="cpu").task == "instance-segmentation"


@pytest.fixture
def user_catalogue(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], None]]:
    """Makes a file the user's own catalogue for this test."""

    def use(file: Path) -> None:
        monkeypatch.setenv("PVZOO_CATALOG", str(file))
        catalogue.refresh()

    yield use
    monkeypatch.delenv("PVZOO_CATALOG", raising=False)
    catalogue.refresh()


def test_a_card_says_the_task_and_the_stuff(copy, image_set, user_catalogue, tmp_path):
    folder = copy("mask2former_swin")
    (tmp_path / "catalog.toml").write_text(
        f"""
contract = 2

[[models]]
name = "mine"
task = "panoptic-segmentation"
adapter = "transformers-segmentation"
source = {{ path = "{folder}" }}
stuff = {json.dumps(STUFF_NAMES)}

[[models]]
name = "mine-semantic"
task = "semantic-segmentation"
adapter = "transformers-segmentation"
source = {{ path = "{folder}" }}
"""
    )
    user_catalogue(tmp_path / "catalog.toml")
    image = image_set["landscape"]
    raw = raw_outputs(folder, "mask2former_swin", "panoptic", image)
    model = pvzoo.load("mine", device="cpu")
    check_panoptic(model.predict(image), reference_panoptic("mask2former", raw, stuff=STUFF))
    # a card of a semantic model makes it one for semantic maps alone
    for name, first in (("mine", True), ("mine-semantic", False)):
        ours = pvzoo.load(name, task="semantic", device="cpu").predict(image)
        expected = reference_semantic("mask2former_swin", raw, resize_first=first)
        same_but_for_rounding(ours.map, expected)


# --- single families ------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["eomt_panoptic", "eomt_dinov3_panoptic"])
def test_masked_attention_of_training_is_switched_off(copy, segmenter, image_set, family):
    folder = copy(family, stuff=STUFF_NAMES)
    module = transformers.AutoModelForUniversalSegmentation.from_pretrained(folder)
    module.attn_mask_probs.fill_(0.5)
    module.save_pretrained(folder)
    model = pvzoo.load(folder, task="panoptic", device="cpu")
    expected = segmenter(family, "panoptic").predict(image_set["landscape"])
    for _ in range(2):
        ours = model.predict(image_set["landscape"])
        np.testing.assert_array_equal(ours.map, expected.map)


@pytest.mark.parametrize("family", ["mask2former_swin", "oneformer", "eomt_semantic", "segformer"])
def test_half_precision_works(checkpoint, image_set, family):
    model = pvzoo.load(checkpoint(family), task="semantic", dtype="bfloat16", device="cpu")
    found = model.predict(image_set["landscape"], scores=True)
    assert np.isfinite(found.scores).all()
    assert len(found) >= 3


def test_a_checkpoint_that_is_told_no_task_is_refused_before_its_weights_are_fetched(
    hub, checkpoint
):
    """They may be gigabytes, and it would be refused after them all the same."""
    files = {f.name: f.read_bytes() for f in checkpoint("mask2former_swin").iterdir()}
    hub.add_repo("me/several", files)
    with pytest.raises(UnsupportedModelError, match="panoptic-segmentation"):
        pvzoo.load("me/several")
    assert not hub.requests_for("model.safetensors")
