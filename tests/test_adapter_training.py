"""What adapters bring to fine-tuning: a new head, batches, losses, saving; for every family.

One family of each kind is tested at every run; the others are marked slow.
"""

from __future__ import annotations

import inspect
import math
import re
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import colour_model
import detection_families
import numpy as np
import pytest
import segmentation_families
import timm
import torch
import transformers
from checkpoints import FAMILIES as CLASSIFIERS
from checkpoints import timm_folder, transformers_folder
from PIL import Image
from torchvision.tv_tensors import BoundingBoxes, Mask

import pvzoo
from pvzoo.errors import UnsupportedModelError
from pvzoo.networks.base import Network, TargetClasses
from pvzoo.plugins import registry
from pvzoo.preprocess.undo import image_of
from pvzoo.training.sample_grid import steps_of
from pvzoo.training.samples import Samples
from pvzoo.training.targets.base import training_of

# the small checkpoints say nothing of stuff
pytestmark = pytest.mark.filterwarnings(
    "ignore:Nothing says which classes:pvzoo.errors.PvzooWarning"
)

SIZE = (96, 128)  # height and width of the images
NEVER = (  # kind, family, why it is not trained
    ("detection", "pp_doclayout_v2", "no loss"),
    ("detection", "pp_doclayout_v3", "no loss"),
    ("detection", "pp_doclayout_v4", "no loss"),
    ("segmentation", "oneformer", "texts"),
    ("segmentation", "eomt_semantic", "windows"),
    ("segmentation", "eomt_dinov3_semantic", "windows"),
)
ALL = [
    *(("timm", name) for name in ("test_resnet", "test_vit", "test_convnext", "test_efficientnet")),
    *(("classification", name) for name in CLASSIFIERS),
    *(("detection", name) for name in detection_families.FAMILIES),
    *(("segmentation", name) for name in segmentation_families.FAMILIES),
]
TRAINABLE = [case for case in ALL if case not in {refused[:2] for refused in NEVER}]
FAST = {
    ("timm", "test_resnet"),
    ("classification", "vit"),
    ("detection", "detr_resnet"),
    ("detection", "rt_detr_v2"),
    ("segmentation", "maskformer"),
    ("segmentation", "segformer"),
}


def params(cases: list[tuple[str, str]]) -> list[Any]:
    return [
        pytest.param(case, id="-".join(case), marks=() if case in FAST else pytest.mark.slow)
        for case in cases
    ]


every_family = pytest.mark.parametrize("case", params(TRAINABLE))


def detectors(*names: str) -> Any:
    return pytest.mark.parametrize("case", params([("detection", name) for name in names]))


@pytest.fixture(scope="module")
def adapters(tmp_path_factory) -> Any:
    """A function: the adapter of a family's small random checkpoint, loaded once."""
    loaded: dict[Any, Network] = {}
    home = tmp_path_factory.mktemp("families")

    def adapter_of(case: tuple[str, str], task: str | None = None) -> Network:
        kind, name = case
        folder = home / "-".join(case)
        if not folder.exists():
            folder.mkdir()
            _write(kind, name, folder)
        if (case, task) not in loaded:
            own = task
            if own is None and kind == "segmentation":
                own = segmentation_families.FAMILIES[name].tasks[-1]
            loaded[case, task] = pvzoo.load(folder, task=own, device="cpu").network
        return loaded[case, task]

    return adapter_of


def _write(kind: str, name: str, folder: Path) -> None:
    if kind == "timm":
        timm_folder(folder, name, num_classes=7)
    elif kind == "classification":
        transformers_folder(folder, name, labels=("ant", "bee", "cat", "dog", "elk", "fox"))
    elif kind == "detection":
        detection_families.build(name, folder)
    else:
        segmentation_families.build(name, folder)


@pytest.fixture(scope="module")
def samples(tmp_path_factory) -> Any:
    """A function: four images and their targets for a task, drawn once."""
    drawn: dict[str, Any] = {}
    home = tmp_path_factory.mktemp("images")

    def samples_of(task: str) -> tuple[tuple[Image.Image, ...], tuple[Any, ...]]:
        if task not in drawn:
            rows = Samples(colour_model.dataset(task, home / task, 4, size=SIZE), None, 0)
            images, targets, _ = zip(*(rows[0, i] for i in range(4)), strict=True)
            drawn[task] = images, targets
        return drawn[task]

    return samples_of


def four_classes(adapter: Network) -> TargetClasses:
    """Two of the network's own classes and two new ones."""
    first, *_, last = (i for i, name in enumerate(adapter.spec.labels) if name)
    names = ("background", adapter.spec.labels[last], "green", adapter.spec.labels[first])
    return TargetClasses(names, (None, last, None, first), stuff=("background",))


def retargeted(adapter: Network, **options: Any) -> Network:
    return adapter.retarget(four_classes(adapter), **{"image_size": None, "seed": 0, **options})


def steps(adapter: Network, batch: dict[str, Any], count: int) -> list[float]:
    """Losses of AdamW at 1e-3 on one batch."""
    module = adapter.module.train()
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3)
    losses = []
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for _ in range(count):
            loss = adapter.loss(module, batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    module.eval()
    return losses


def outputs(adapter: Network, image: Image.Image) -> dict[str, torch.Tensor]:
    inputs, _ = adapter.prepare(image)
    with torch.inference_mode():
        return adapter.forward({name: torch.from_numpy(a) for name, a in inputs.items()})


# -- the new network -------------------------------------------------------------------------------

SIGMOIDS = {
    *("conditional_detr", "dab_detr", "rt_detr", "rt_detr_v2", "d_fine", "deimv2", "deimv2_dinov3"),
    *("lw_detr", "rf_detr", "deformable_detr_single_scale", "deformable_detr_box_refine"),
    "deformable_detr_two_stage",
}


@every_family
def test_a_new_head_keeps_the_rows_of_classes_that_stay(adapters, case):
    old = adapters(case)
    before = {name: value.clone() for name, value in old.module.state_dict().items()}
    labels = old.spec.labels
    count = len(old.spec.labels)
    new = retargeted(old)
    kept = four_classes(old).kept
    assert new.spec.labels == four_classes(old).names
    state = new.module.state_dict()
    assert set(state) == set(before)
    heads = 0
    for name, value in state.items():
        if value.shape == before[name].shape:
            assert torch.equal(value, before[name]), name
            continue
        heads += 1
        (axis,) = [
            d
            for d, sizes in enumerate(zip(value.shape, before[name].shape, strict=True))
            if sizes[0] != sizes[1]
        ]
        now, then = value.movedim(axis, 0), before[name].movedim(axis, 0)
        if case[1] == "deformable_detr_two_stage" and "class_embed.2" in name:
            # row 0 of the head of the encoder ranks proposals: it is no class's own
            assert torch.equal(now[0], then[0]), name
            continue
        assert len(now) - 4 == len(then) - count, name
        for row, old_row in enumerate(kept):
            if old_row is not None:
                assert torch.equal(now[row], then[old_row]), name
        assert torch.equal(now[4:], then[count:]), name  # "no object", or padding
        if name.endswith("bias") and case[1] in SIGMOIDS:
            torch.testing.assert_close(now[[0, 2]], torch.full((2,), -math.log(99)))
    assert heads >= 1
    # the old network is as it was, and shares nothing with the new one
    assert old.spec.labels == labels
    assert all(torch.equal(v, before[k]) for k, v in old.module.state_dict().items())
    theirs = {v.data_ptr() for v in old.module.state_dict().values() if v.numel()}
    assert theirs.isdisjoint(v.data_ptr() for v in state.values())


@every_family
def test_a_network_with_the_same_classes_gives_the_same(adapters, samples, case):
    old = adapters(case)
    count = len(old.spec.labels)
    same = TargetClasses(old.spec.labels, tuple(range(count)))
    image = samples(old.spec.task)[0][0]
    torch.testing.assert_close(
        outputs(old.retarget(same, image_size=None, seed=0), image),
        outputs(old, image),
        rtol=1e-4,
        atol=1e-4,
    )


@every_family
def test_new_weights_follow_from_the_seed_alone(adapters, case):
    old = adapters(case)
    torch.manual_seed(1)
    one = retargeted(old, seed=5).module.state_dict()
    state = torch.get_rng_state()
    two = retargeted(old, seed=5).module.state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    other = retargeted(old, seed=6).module.state_dict()
    assert all(torch.equal(one[k], two[k]) for k in one)
    assert any(not torch.equal(one[k], other[k]) for k in one)


DECODING = re.compile(r"\b(decoder|query_|queries|input_proj|projector|fpn|neck|bbox|class)")


@every_family
def test_the_backbone_sees_the_pixels_and_knows_no_classes(adapters, case):
    old = adapters(case)
    new = retargeted(old)
    shapes = {name: p.shape for name, p in old.module.named_parameters()}
    named = dict(new.module.named_parameters())
    backbone = {name for name in named if name.startswith(new.backbone)}
    heads = {name for name, p in named.items() if p.shape != shapes[name]}
    assert backbone
    assert heads
    assert backbone.isdisjoint(heads)
    pixels = [name for name, p in named.items() if p.ndim == 4 and p.shape[1] == 3]
    # DEIMv2's adapter of details looks at the image too, beside DINOv3
    pixels = [name for name in pixels if "spatial_tuning_adapter" not in name]
    if case[1] != "eomt_dinov3_panoptic":
        assert pixels
    assert backbone.issuperset(pixels)
    if case[0] in ("detection", "segmentation"):
        assert not [name for name in backbone if DECODING.search(name)]
        assert len(backbone) < len(named) - len(heads)
    else:
        assert backbone == set(named) - heads


@pytest.mark.parametrize(("kind", "name", "why"), NEVER)
@pytest.mark.slow
def test_families_that_cannot_be_trained_say_so(adapters, kind, name, why):
    with pytest.raises(UnsupportedModelError, match=why):
        retargeted(adapters((kind, name)))


# -- training --------------------------------------------------------------------------------------


@dataclass
class Trained:
    adapter: Network
    losses: list[float]


def as_its_authors_begin(adapter: Network) -> Network:
    """A copy of a transformers network with the weights of its own initialisation."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        fresh = type(adapter.module)(deepcopy(adapter.module.config)).eval()
    return type(adapter)(fresh, adapter._processor)


@pytest.fixture(scope="module")
def trained(adapters, samples) -> Any:
    """A function: a family's network after 20 steps, made once."""
    done: dict[Any, Trained] = {}

    def trained_of(case: tuple[str, str]) -> Trained:
        if case not in done:
            start = adapters(case)
            if case[1] == "deformable_detr_two_stage":
                # Nothing teaches its proposals (transformers' loss leaves them out), and those of
                # weights drawn to find many boxes move about from step to step.
                start = as_its_authors_begin(start)
            adapter = retargeted(start)
            batch = adapter.batch(*samples(adapter.spec.task))
            done[case] = Trained(adapter, steps(adapter, batch, 20))
        return done[case]

    return trained_of


@every_family
def test_twenty_steps_on_one_batch_lower_the_loss(trained, case):
    losses = trained(case).losses
    assert np.isfinite(losses).all()
    assert losses[-1] <= 0.95 * losses[0], losses


@every_family
def test_a_saved_network_is_loaded_to_the_bit(trained, samples, tmp_path, case):
    adapter = trained(case).adapter
    adapter.save(tmp_path)
    loaded = pvzoo.load(tmp_path, device="cpu")
    assert (loaded.task, loaded.labels) == (adapter.spec.task, adapter.spec.labels)
    ours, theirs = adapter.module.state_dict(), loaded.network.module.state_dict()
    assert set(ours) == set(theirs)
    assert [k for k in ours if not torch.equal(ours[k], theirs[k])] == []
    image = samples(adapter.spec.task)[0][0]
    inputs, again = adapter.prepare(image)[0], loaded.network.prepare(image)[0]
    for name, value in inputs.items():
        np.testing.assert_array_equal(again[name], value)
    torch.testing.assert_close(
        outputs(loaded.network, image), outputs(adapter, image), rtol=1e-4, atol=1e-5
    )
    assert len(loaded.predict([image])) == 1


# -- losses of batches without objects -------------------------------------------------------------


def empty(target: Any) -> Any:
    """The target of an image without objects, or of void alone."""
    nothing = dict(target)
    for name in ("boxes", "categories", "masks"):
        if name in nothing:
            nothing[name] = nothing[name][:0]
    if "map" in nothing:
        nothing["map"] = torch.full_like(nothing["map"], -1)
    return nothing


@pytest.mark.parametrize("every", [False, True], ids=["one", "all"])
@pytest.mark.parametrize(
    "case", params([c for c in TRAINABLE if c[0] in ("detection", "segmentation")])
)
def test_images_without_objects_give_a_finite_loss(adapters, samples, case, every):
    adapter = retargeted(adapters(case))
    images, targets = samples(adapter.spec.task)
    targets = [empty(t) if every or i == 1 else t for i, t in enumerate(targets)]
    module = adapter.module.train()
    loss = adapter.loss(module, adapter.batch(images, targets))
    assert loss.shape == ()
    assert loss.isfinite()
    loss.backward()
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    assert gradients
    assert all(g.isfinite().all() for g in gradients)


def test_void_pixels_of_a_semantic_map_do_not_matter_to_the_loss(adapters, samples):
    adapter = retargeted(adapters(("segmentation", "segformer")))
    images, targets = samples(adapter.spec.task)
    half = [{"map": t["map"].clone()} for t in targets]
    for target in half:
        target["map"][:48] = -1
    batch = adapter.batch(images, half)
    with torch.inference_mode():
        loss = adapter.loss(adapter.module, batch)
        logits = adapter.module(pixel_values=batch["pixel_values"]).logits
    logits = torch.nn.functional.interpolate(
        logits, batch["labels"].shape[-2:], mode="bilinear", align_corners=False
    )
    rows = slice(batch["labels"].shape[1] // 2, None)  # the processor scales to 64 x 64
    expected = torch.nn.functional.cross_entropy(logits[:, :, rows], batch["labels"][:, rows])
    torch.testing.assert_close(loss, expected)


# -- targets ---------------------------------------------------------------------------------------


def random_boxes(rng: np.random.Generator, size: tuple[int, int], count: int) -> dict[str, Any]:
    """A target of boxes within an image of (height, width) `size`."""
    corners = np.sort(rng.uniform(0, 1, (count, 2, 2)), axis=1) * size[::-1]
    boxes = BoundingBoxes(
        torch.tensor(corners.reshape(count, 4), dtype=torch.float32),
        format="XYXY",
        canvas_size=size,
    )
    return {"boxes": boxes, "categories": torch.tensor(rng.integers(0, 4, count))}


@detectors("detr_resnet", "conditional_detr", "deformable_detr_box_refine", "yolos", "rt_detr_v2")
def test_boxes_of_one_image_are_encoded_as_by_its_processor(adapters, case):
    adapter = retargeted(adapters(case))
    rng = np.random.default_rng(0)
    for height, width in ((90, 120), (150, 100), (96, 96)):
        image = Image.fromarray(rng.integers(0, 255, (height, width, 3), dtype=np.uint8))
        target = random_boxes(rng, (height, width), 5)
        batch = adapter.batch([image], [target])
        left, top, right, bottom = target["boxes"].as_subclass(torch.Tensor).T.double().tolist()
        annotations = [
            {
                "bbox": [x, y, x2 - x, y2 - y],
                "category_id": int(c),
                "area": (x2 - x) * (y2 - y),
                "iscrowd": 0,
            }
            for x, y, x2, y2, c in zip(left, top, right, bottom, target["categories"], strict=True)
        ]
        theirs = adapter._processor(
            images=image,
            annotations={"image_id": 0, "annotations": annotations},
            return_tensors="pt",
        )
        torch.testing.assert_close(batch["pixel_values"], theirs["pixel_values"])
        (own,), (expected,) = batch["labels"], theirs["labels"]
        assert own["class_labels"].tolist() == expected["class_labels"].tolist()
        torch.testing.assert_close(own["boxes"], expected["boxes"], rtol=0, atol=1e-5)


@detectors("detr_resnet", "conditional_detr", "dab_detr", "table_transformer", "yolos")
def test_boxes_are_where_the_objects_are_in_a_padded_batch(adapters, case):
    """Objects are white; their boxes are found again in the pixels the network is given."""
    adapter = retargeted(adapters(case))
    images, targets = [], []
    for height, width in ((96, 96), (96, 150), (150, 90)):
        pixels = np.zeros((height, width, 3), np.uint8)
        pixels[24:72, 12:60] = 255
        images.append(Image.fromarray(pixels))
        boxes = torch.tensor([[12.0, 24.0, 60.0, 72.0]])
        boxes = BoundingBoxes(boxes, format="XYXY", canvas_size=(height, width))
        targets.append({"boxes": boxes, "categories": torch.tensor([1])})
    batch = adapter.batch(images, targets)
    height, width = batch["pixel_values"].shape[-2:]
    looks = "pixel_mask" in inspect.signature(adapter.module.forward).parameters
    for i in range(3):
        # padding is 0, between the black and the white of normalised pixels
        rows, columns = np.nonzero(batch["pixel_values"][i, 0].numpy() > 1)
        found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        frame = (width, height)
        if looks:  # then boxes are relative to what the mask says is image
            mask = batch["pixel_mask"][i]
            frame = (int(mask.any(0).sum()), int(mask.any(1).sum()))
        x, y, w, h = batch["labels"][i]["boxes"][0].tolist()
        box = [x - w / 2, y - h / 2, x + w / 2, y + h / 2]
        np.testing.assert_allclose(np.multiply(box, [*frame, *frame]), found, atol=1.5)
        alone = adapter.batch([images[i]], [targets[i]])
        if looks:  # and padding changes nothing
            torch.testing.assert_close(alone["labels"][0], batch["labels"][i])


def nearest(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(..., h, w) scaled to `size`: each new pixel is the old one under its centre."""
    rows = ((np.arange(size[0]) + 0.5) * values.shape[-2] / size[0]).astype(int)
    columns = ((np.arange(size[1]) + 0.5) * values.shape[-1] / size[1]).astype(int)
    return values[..., rows[:, None], columns]


@pytest.mark.parametrize(
    "case",
    params([("segmentation", n) for n in ("segformer", "beit", "dpt", "mobilenet_v2", "sapiens2")]),
)
def test_semantic_maps_are_scaled_with_the_image(adapters, case):
    adapter = retargeted(adapters(case))
    rng = np.random.default_rng(0)
    images, maps = [], []
    for height, width in ((51, 71), (64, 64), (131, 97)):  # where no centre is on an edge
        maps.append(rng.integers(-1, 4, (height, width)).astype(np.int32))
        images.append(Image.fromarray(np.zeros((height, width, 3), np.uint8)))
    batch = adapter.batch(images, [{"map": Mask(torch.from_numpy(m))} for m in maps])
    size = tuple(batch["pixel_values"].shape[-2:])
    for own, given in zip(batch["labels"], maps, strict=True):
        expected = nearest(given, size)
        np.testing.assert_array_equal(own, np.where(expected < 0, 255, expected))


@pytest.mark.parametrize("task", ["semantic", "instance", "panoptic"])
def test_segments_are_scaled_and_padded_with_the_image(adapters, samples, task):
    adapter = retargeted(adapters(("segmentation", "mask2former_swin"), task))
    images, targets = samples(adapter.spec.task)
    wide = images[0].resize((200, 60))  # so that the others are padded
    first = {k: v if k == "categories" else resized(v, (60, 200)) for k, v in targets[0].items()}
    first.pop("boxes", None)
    images, targets = (wide, *images[1:]), (first, *targets[1:])
    batch = adapter.batch(images, targets)
    padded = batch["pixel_values"].shape[-2:]
    frames = [adapter.prepare(image)[1]["valid"] for image in images]
    assert any(valid != tuple(padded) for valid in frames)
    for i, (valid, target) in enumerate(zip(frames, targets, strict=True)):
        if "masks" in target:
            found = list(zip(target["categories"].tolist(), target["masks"].numpy(), strict=True))
        else:
            values = target["map"].numpy()
            ids = [v for v in np.unique(values) if v >= 0]
            names = target["categories"].tolist() if "categories" in target else range(4)
            found = [(names[v], values == v) for v in ids]
        masks, classes = batch["mask_labels"][i], batch["class_labels"][i]
        assert classes.tolist() == [c for c, _ in found]
        for own, (_, mask) in zip(masks.numpy(), found, strict=True):
            expected = np.zeros(padded, np.float32)
            expected[: valid[0], : valid[1]] = nearest(mask, valid)
            np.testing.assert_array_equal(own, expected)


def resized(values: Any, size: tuple[int, int]) -> Any:
    """A map or masks at another size."""
    return Mask(torch.from_numpy(nearest(values.numpy(), size)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["detr", "rf_detr"])
def test_boxes_of_instances_are_those_of_their_masks(adapters, samples, name):
    adapter = retargeted(adapters(("segmentation", name), "instance"))
    images, targets = samples(adapter.spec.task)
    batch = adapter.batch(images, targets)
    for label, target in zip(batch["labels"], targets, strict=True):
        assert label["class_labels"].tolist() == target["categories"].tolist()
        left, top, right, bottom = target["boxes"].as_subclass(torch.Tensor).unbind(-1)
        expected = torch.stack(
            [(left + right) / 256, (top + bottom) / 192, (right - left) / 128, (bottom - top) / 96],
            dim=-1,
        )
        torch.testing.assert_close(label["boxes"], expected, rtol=0, atol=0.03)


@every_family
def test_the_targets_of_a_batch_lie_on_the_pixels_of_its_images(adapters, case):
    """Images of two sizes, black but for a white rectangle that is an object of class 1."""
    network = retargeted(adapters(case))
    training = training_of(registry.get("tasks", network.spec.task)())
    pixels = registry.get("adapters", network.spec.adapter).pixels
    boxes = {(128, 96): (20, 30, 70, 60), (80, 120): (10, 64, 50, 104)}
    images, given = [], []
    for size, box in boxes.items():
        image = Image.new("RGB", size)
        image.paste("white", box)
        images.append(image)
        given.append(training.example(image, [(1, box)]))
    batch = network.batch(images, given)
    targets = network.targets_of(batch)
    for planes, target, told in zip(batch[pixels], targets, given, strict=True):
        shown = image_of(planes.numpy(), steps_of(network))
        assert shown.size == planes.shape[:0:-1]
        assert shown.getextrema() == ((0, 255),) * 3
        if "label" in told:
            assert target == told
            continue
        if "boxes" in told:
            (found,), label = target["boxes"].tolist(), int(target["categories"][0])
        if "masks" in told:
            assert found == pytest.approx(extent(target["masks"][0].numpy()), abs=1e-3)
        if "map" in told:
            index = 1 if "categories" not in told else target["categories"].tolist().index(1)
            found, label = extent(target["map"].numpy() == index), 1
        assert label == 1
        white = np.asarray(shown).min(axis=2) > 127
        assert found == pytest.approx(extent(white), abs=1.5)


def extent(marked: np.ndarray) -> list[int]:
    """Left, top, right and bottom of what is true."""
    ys, xs = np.nonzero(marked)
    return [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]


def test_targets_of_classes_are_ids_or_flags(adapters, samples):
    adapter = retargeted(adapters(("timm", "test_resnet")))
    images, targets = samples(adapter.spec.task)
    batch = adapter.batch(images, targets)
    assert batch["labels"].tolist() == [t["label"] for t in targets]
    with torch.inference_mode():
        scores = adapter.module(batch["x"]).log_softmax(-1)
        loss = adapter.loss(adapter.module, batch)
    expected = -np.mean([scores[i, t["label"]] for i, t in enumerate(targets)])
    assert loss.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    "case", [("timm", "test_resnet"), ("classification", "vit")], ids=["timm", "transformers"]
)
def test_several_classes_of_an_image_are_learned_apart(adapters, samples, tmp_path, case):
    old = adapters(case)
    adapter = old.retarget(replace(four_classes(old), multi_label=True), image_size=None, seed=0)
    images = samples(adapter.spec.task)[0]
    flags = torch.tensor([[1, 0, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 0, 0]]).float()
    batch = adapter.batch(images, [{"labels": row} for row in flags])
    logits = torch.cat([outputs(adapter, image)["logits"] for image in images]).double()
    chances = logits.sigmoid()
    expected = -(flags * chances.log() + (1 - flags) * (1 - chances).log()).mean()
    with torch.inference_mode():
        loss = adapter.loss(adapter.module, batch)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)
    adapter.save(tmp_path)
    result = pvzoo.load(tmp_path, device="cpu").predict(images[0], probabilities=True)
    assert result.multi_label
    np.testing.assert_allclose(result.probabilities, chances[0], atol=1e-5)


# -- another size ----------------------------------------------------------------------------------

OWN_SIZE_ONLY = {
    # position embeddings, or grids, of one size
    *(("classification", name) for name in ("vit", "deit")),
    *(("segmentation", name) for name in ("eomt_panoptic", "eomt_dinov3_panoptic")),
    ("segmentation", "data2vec_vision"),
    ("detection", "rf_detr"),  # windows of patches of 14 pixels
    ("detection", "lw_detr"),  # 36 patches for 50 queries
}


@every_family
def test_images_are_scaled_to_the_size_asked_for(adapters, samples, tmp_path, case):
    old = adapters(case)
    if case in OWN_SIZE_ONLY:
        with pytest.raises(UnsupportedModelError, match="96 x 96"):
            retargeted(old, image_size=96)
        return
    adapter = retargeted(old, image_size=96)
    images, targets = samples(adapter.spec.task)
    inputs = adapter.prepare(images[0])[0]
    pixels = inputs["x" if case[0] == "timm" else "pixel_values"]
    assert pixels.shape == (1, 3, 96, 96)
    batch = adapter.batch(images, targets)
    assert adapter.loss(adapter.module, batch).isfinite()
    adapter.save(tmp_path)
    model = pvzoo.load(tmp_path, device="cpu")
    for name, value in model.network.prepare(images[0])[0].items():
        np.testing.assert_array_equal(value, inputs[name])
    assert len(model.predict(list(images))) == 4


# -- timm ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("image_size", [None, 96])
@pytest.mark.parametrize(
    "name",
    ["lite0", "test_vit", *(pytest.param(n, marks=pytest.mark.slow) for n in (
        "test_resnet", "test_convnext", "test_efficientnet", "test_maxvit", "test_nfnet"))],
)  # fmt: skip
def test_timm_and_transformers_read_what_is_saved(request, tmp_path, photographs, name, image_size):
    if name == "lite0":  # from a card, with tensors renamed
        old = request.getfixturevalue("lite0").network
    else:
        timm_folder(tmp_path / "old", name, num_classes=7)
        old = pvzoo.load(tmp_path / "old", device="cpu").network
    adapter = old.retarget(
        TargetClasses(("red fox", "kit fox", "own"), (2, 0, None)), image_size=image_size, seed=0
    )
    folder = tmp_path / "new"
    adapter.save(folder)
    image = Image.open(photographs["cat"]).convert("RGB")
    pixels = torch.from_numpy(adapter.prepare(image)[0]["x"])
    expected = outputs(adapter, image)["logits"]
    size = image_size or (224 if name == "lite0" else 160)
    assert pixels.shape == (1, 3, size, size)

    theirs = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    transform = timm.data.create_transform(
        **timm.data.resolve_model_data_config(theirs), is_training=False
    )
    assert theirs.pretrained_cfg["label_names"] == list(adapter.spec.labels)
    torch.testing.assert_close(transform(image)[None], pixels, rtol=0, atol=0)
    wrapped, found = transformers.AutoModelForImageClassification.from_pretrained(
        folder, output_loading_info=True
    )
    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    assert not any(found.values())
    assert wrapped.config.id2label == dict(enumerate(adapter.spec.labels))
    torch.testing.assert_close(processor(image)["pixel_values"], pixels, rtol=0, atol=0)
    loaded = pvzoo.load(folder, device="cpu")
    assert loaded.labels == adapter.spec.labels
    state = adapter.module.state_dict()
    for other in (theirs, wrapped.timm_model, loaded.network.module):
        assert set(other.state_dict()) == set(state)
        assert all(torch.equal(v, state[k]) for k, v in other.state_dict().items())
        with torch.inference_mode():
            torch.testing.assert_close(other.eval()(pixels), expected, rtol=1e-5, atol=1e-5)
    # what was tuned can be tuned again
    again = loaded.network.retarget(TargetClasses(("own",), (2,)), image_size=None, seed=0)
    torch.testing.assert_close(
        outputs(again, image)["logits"], expected[:, 2:], rtol=1e-5, atol=1e-5
    )
