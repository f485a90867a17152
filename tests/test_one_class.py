"""Networks for one class, and data of one class: read, measured and trained as one, or refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import colour_model
import datasets
import detection_families
import numpy as np
import pytest
import segmentation_families
import torch
from checkpoints import timm_folder, transformers_folder
from PIL import Image
from torch.nn import functional as nnf

import pvzoo
from pvzoo.data import schema
from pvzoo.errors import DataError, WeightsError
from pvzoo.networks import _training
from pvzoo.networks.base import TargetClasses

# the small checkpoints say nothing of stuff
pytestmark = pytest.mark.filterwarnings(
    "ignore:Nothing says which classes:pvzoo.errors.PvzooWarning",
    "ignore:TargetClasses (do not|that) occur:pvzoo.errors.PvzooWarning",
)

IMAGE = segmentation_families.example_image()
PIXELS = [
    pytest.param(name, marks=() if name in ("segformer", "dpt") else pytest.mark.slow)
    for name, family in segmentation_families.FAMILIES.items()
    # the random MobileViTV2 hardly looks at the image
    if family.auto == "AutoModelForSemanticSegmentation" and name != "mobilevitv2"
]


def edit(folder: Path, **changes: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


# -- semantic networks with one channel ------------------------------------------------------------


@pytest.fixture
def sigmoid(tmp_path):
    """A function: the folder of a family's checkpoint with one channel, called "crack"."""

    def folder(family: str) -> Path:
        (tmp_path / "many").mkdir()
        segmentation_families.build(family, tmp_path / "many")
        adapter = pvzoo.load(tmp_path / "many", device="cpu").network
        logits = outputs(adapter)["logits"][0].flatten(1)
        best = int(logits.std(1).argmax())
        module = _training.retargeted(adapter.module, TargetClasses(("crack",), (best,)), seed=0)
        sizes = ("out_channels", "out_features")
        last = [m for m in module.modules() if 1 in [getattr(m, size, 0) for size in sizes]][-1]
        with torch.no_grad():  # about half of the image is foreground
            bias = (0 if last.bias is None else last.bias) - logits[best].median()[None]
            last.bias = torch.nn.Parameter(bias / logits[best].std())
            last.weight /= logits[best].std()
        module.save_pretrained(tmp_path / "one")
        adapter._processor.save_pretrained(tmp_path / "one")
        return tmp_path / "one"

    return folder


def outputs(adapter: Any) -> dict[str, torch.Tensor]:
    inputs, _ = adapter.prepare(IMAGE)
    with torch.inference_mode():
        return adapter.forward({name: torch.from_numpy(a) for name, a in inputs.items()})


def foreground(model: pvzoo.Model, family: str) -> torch.Tensor:
    """(height, width) logits, or probabilities less one half, of the image's pixels."""
    adapter = model.network
    _, meta = adapter.prepare(IMAGE)
    logits = outputs(adapter)["logits"]
    assert logits.shape[:2] == (1, 1)
    if family == "dpt":
        return nnf.interpolate(logits.sigmoid(), meta["size"], mode="bicubic")[0, 0] - 0.5
    aligned = family.startswith("mobile")
    scaled = nnf.interpolate(logits, meta["padded"], mode="bilinear", align_corners=aligned)
    scaled = scaled[..., : meta["valid"][0], : meta["valid"][1]]
    return nnf.interpolate(scaled, meta["size"], mode="bilinear")[0, 0]


@pytest.mark.parametrize("family", PIXELS)
def test_one_channel_is_a_sigmoid_foreground_and_background(sigmoid, family):
    model = pvzoo.load(sigmoid(family), device="cpu")
    assert model.labels == ("background", "crack")
    result = model.predict(IMAGE, scores=True)
    expected = foreground(model, family)
    sure = expected.abs().numpy() > 1e-4
    assert sure.mean() > 0.99
    np.testing.assert_array_equal(result.map[sure], (expected > 0).numpy()[sure])
    assert 0.1 < result.mask(1).mean() < 0.9
    assert set(result.names) == {"background", "crack"}
    score = expected.abs() + (0.5 if family == "dpt" else 0)  # of the answer given
    np.testing.assert_allclose(result.scores, score, atol=1e-4)


def test_transformers_gives_every_pixel_the_class_of_one_channel(sigmoid):
    from transformers import AutoImageProcessor, AutoModelForSemanticSegmentation

    folder = sigmoid("segformer")
    module = AutoModelForSemanticSegmentation.from_pretrained(folder).eval()
    processor = AutoImageProcessor.from_pretrained(folder)
    with torch.inference_mode():
        outputs = module(**processor(images=IMAGE, return_tensors="pt"))
    (theirs,) = processor.post_process_semantic_segmentation(outputs, [IMAGE.size[::-1]])
    assert not theirs.any()
    assert len(pvzoo.load(folder, device="cpu").predict(IMAGE)) == 2


def test_the_probability_of_the_label_one_is_what_transformers_trains_one_channel_to(sigmoid):
    from transformers import AutoModelForSemanticSegmentation

    module = AutoModelForSemanticSegmentation.from_pretrained(sigmoid("segformer")).eval()
    labels = torch.randint(0, 2, (1, 32, 32))
    with torch.inference_mode():
        found = module(torch.rand(1, 3, 128, 128), labels=labels)
    expected = nnf.binary_cross_entropy_with_logits(found.logits[:, 0], labels.float())
    torch.testing.assert_close(found.loss, expected)


@pytest.mark.parametrize(
    ("name", "labels"),
    [("LABEL_0", ("background", "LABEL_0")), ("Background", ("background", "foreground"))],
)
def test_the_one_name_is_the_foregrounds_unless_it_says_otherwise(sigmoid, name, labels):
    folder = sigmoid("segformer")
    edit(folder, id2label={"0": name}, label2id={name: 0})
    assert pvzoo.load(folder, device="cpu").labels == labels


def maps(folder: Path, names: tuple[str, ...]) -> datasets.Dataset:
    """Four images, half of each foreground; where one class is named the rest is void."""
    rows = []
    for i in range(4):
        image = segmentation_families.example_image(seed=i)
        labels = np.full(image.size[::-1], 0 if len(names) == 2 else 255, np.uint8)
        labels[:, : image.width // 2] = 1
        folder.mkdir(parents=True, exist_ok=True)
        image.save(folder / f"{i}.png")
        Image.fromarray(labels).save(folder / f"{i}-map.png")
        ids = [0, 1] if len(names) == 2 else [1]
        rows.append(
            {
                "image": str(folder / f"{i}.png"),
                "image_id": i,
                "file_name": f"{i}.png",
                "annotation": str(folder / f"{i}-map.png"),
                "segments": {"id": ids, "category": list(range(len(names)))},
            }
        )
    return datasets.Dataset.from_list(rows, features=schema.features(schema.SEMANTIC, names))


def test_one_channel_is_measured_on_background_and_foreground(sigmoid, tmp_path):
    model = pvzoo.load(sigmoid("segformer"), device="cpu")
    data = maps(tmp_path / "data", ("background", "crack"))
    figures = model.evaluate(data)
    hits = np.zeros((2, 2), np.int64)
    for row in data:
        found, truth = model.predict(row["image"]).map, np.asarray(row["annotation"])
        np.add.at(hits, (truth, found), 1)
    union = hits.sum(0) + hits.sum(1) - np.diagonal(hits)
    assert figures["miou"] == pytest.approx((np.diagonal(hits) / union).mean())
    assert set(figures.per_class) == {"background", "crack"}


@pytest.mark.parametrize("family", PIXELS)
def test_one_channel_trains_on_as_two_classes_that_begin_with_the_same_answers(
    sigmoid, tmp_path, family
):
    model = pvzoo.load(sigmoid(family), device="cpu")
    same = TargetClasses(("background", "crack"), (0, 1))
    tuned = model.network.retarget(same, image_size=None, seed=0)
    logits = outputs(tuned)["logits"]
    torch.testing.assert_close(logits[:, 1:] - logits[:, :1], outputs(model.network)["logits"])
    trained = model.fine_tune(
        maps(tmp_path / "data", ("background", "crack")),
        epochs=1,
        batch_size=2,
        output_dir=tmp_path / "run",
    )
    again = pvzoo.load(tmp_path / "run", device="cpu")
    assert trained.labels == again.labels == ("background", "crack")
    np.testing.assert_array_equal(again.predict(IMAGE).map, trained.predict(IMAGE).map)


def test_one_channel_keeps_what_it_knows_of_its_class_among_others(sigmoid):
    model = pvzoo.load(sigmoid("segformer"), device="cpu")
    more = TargetClasses(("dent", "crack", "background"), (None, 1, 0))
    logits = outputs(model.network.retarget(more, image_size=None, seed=0))["logits"]
    expected = outputs(model.network)["logits"]
    torch.testing.assert_close(logits[:, 1:2], expected)
    assert not logits[:, 2].any()


# -- data of one class -----------------------------------------------------------------------------


def one_colour(task: str, folder: Path) -> datasets.Dataset:
    """Scenes whose objects are all of one class; in panoptic maps the rest is void."""
    data = colour_model.dataset(task, folder, 4, size=(64, 64))
    rows = data.cast_column("image", datasets.Image(decode=False)).to_list()
    for row in rows:
        row["image"] = row["image"]["path"]
        if "objects" in row:
            row["objects"]["category"] = [0] * len(row["objects"]["category"])
        else:
            row["annotation"] = str(folder / f"{task}-{row['image_id']}.png")
            ids = np.array(Image.open(row["annotation"]))
            Image.fromarray(ids * np.uint8([1, 0, 0])).save(row["annotation"])
            kept = [i for i, c in enumerate(row["segments"]["category"]) if c]
            row["segments"] = {k: [v[i] for i in kept] for k, v in row["segments"].items()}
            row["segments"]["category"] = [0] * len(kept)
    return datasets.Dataset.from_list(rows, features=schema.features(task, ("thing",)))


CASES = [
    *(("detection", name) for name in detection_families.FAMILIES if "doclayout" not in name),
    *(
        ("segmentation", name)
        for name, family in segmentation_families.FAMILIES.items()
        if name != "oneformer" and set(family.tasks) & {"panoptic", "instance"}
    ),
]
FAST = {
    *(("detection", "rt_detr_v2"), ("detection", "detr_resnet")),
    *(("segmentation", "mask2former_resnet"), ("segmentation", "rf_detr")),
}


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id="-".join(case), marks=() if case in FAST else pytest.mark.slow)
        for case in CASES
    ],
)
@pytest.mark.parametrize("lora", [None, 2], ids=["whole", "lora"])
def test_objects_of_one_class_are_learned_and_the_network_opens_again(tmp_path, case, lora):
    kind, family = case
    (tmp_path / "start").mkdir()
    task = None
    if kind == "detection":
        detection_families.build(family, tmp_path / "start")
    else:
        segmentation_families.build(family, tmp_path / "start")
        task = f"{segmentation_families.FAMILIES[family].tasks[-1]}-segmentation"
    model = pvzoo.load(tmp_path / "start", task=task, device="cpu")
    data = one_colour(model.task, tmp_path / "data")
    train, held_out = data.select(range(3)), data.select([3])
    options = {"epochs": 1, "batch_size": 2, "lora": lora}
    tuned = model.fine_tune(train, held_out, output_dir=tmp_path / "run", **options)
    again = pvzoo.load(tmp_path / "run", device="cpu")
    assert tuned.labels == again.labels == ("thing",)
    assert again.predict(IMAGE).to_dict() == tuned.predict(IMAGE).to_dict()
    if kind == "detection":  # new classes begin at one in a hundred
        assert set(again.predict(IMAGE, threshold=0).names) == {"thing"}


def images(folder: Path, *names: str) -> Path:
    for split in ("train", "val"):
        for number, name in enumerate(names):
            (folder / split / name).mkdir(parents=True)
            for i in range(3):
                shade = (i * 50 + 9 * (split == "val"), 90 * number, 0)
                Image.new("RGB", (40, 40), shade).save(folder / split / name / f"{i}.png")
    return folder


@pytest.mark.parametrize("write", [timm_folder, transformers_folder])
@pytest.mark.parametrize("options", [{}, {"lora": 2}, {"freeze": "backbone", "augment": False}])
def test_a_classifier_of_one_class_is_refused_before_anything_is_trained(tmp_path, write, options):
    write(tmp_path / "start")
    model = pvzoo.load(tmp_path / "start", device="cpu")
    with pytest.raises(DataError, match="one class, 'cat'"):
        model.fine_tune(
            images(tmp_path / "data", "cat"), epochs=1, output_dir=tmp_path / "run", **options
        )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("write", [timm_folder, transformers_folder])
def test_one_label_that_an_image_has_or_has_not_is_learned(tmp_path, write):
    write(tmp_path / "start")
    files = sorted(images(tmp_path / "data", "yes", "no").rglob("*.png"))
    rows = [
        {
            "image": str(file),
            "image_id": i,
            "file_name": str(file),
            "labels": [0] if file.parent.name == "yes" else [],
        }
        for i, file in enumerate(files)
    ]
    features = schema.features(schema.CLASSIFICATION, ("cat",), multi_label=True)
    data = datasets.Dataset.from_list(rows, features=features)
    model = pvzoo.load(tmp_path / "start", device="cpu")
    train, held_out = data.select(range(6)), data.select(range(6, 12))
    tuned = model.fine_tune(train, held_out, epochs=1, batch_size=4, output_dir=tmp_path / "run")
    again = pvzoo.load(tmp_path / "run", device="cpu")
    ours, theirs = tuned.predict(IMAGE), again.predict(IMAGE)
    assert ours.names == theirs.names == ("cat",)
    assert theirs.multi_label
    assert 0 < theirs.scores[0] < 1
    np.testing.assert_allclose(theirs.scores, ours.scores)


@pytest.mark.parametrize("family", ["segformer", "mask2former_resnet"])
def test_maps_of_one_class_and_void_are_refused_before_anything_is_trained(tmp_path, family):
    (tmp_path / "start").mkdir()
    segmentation_families.build(family, tmp_path / "start")
    model = pvzoo.load(tmp_path / "start", task="semantic", device="cpu")
    with pytest.raises(DataError, match=r"one class, 'crack', and all other pixels are void"):
        model.fine_tune(maps(tmp_path / "data", ("crack",)), epochs=1, output_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("write", ["timm", "transformers"])
def test_a_classifier_with_one_output_says_how_sure_it_is(tmp_path, write):
    if write == "timm":
        timm_folder(tmp_path, num_classes=1)
    else:
        transformers_folder(tmp_path, labels=("cat",))
    model = pvzoo.load(tmp_path, device="cpu")
    inputs, _ = model.network.prepare(IMAGE)
    with torch.inference_mode():
        logit = model.network.forward({k: torch.from_numpy(v) for k, v in inputs.items()})
    result = model.predict(IMAGE)
    assert result.multi_label
    np.testing.assert_allclose(result.scores, logit["logits"][0].sigmoid(), rtol=1e-6)


# -- names counted from 1 --------------------------------------------------------------------------


@pytest.mark.parametrize("write", ["classifier", "segmenter", "detector"])
def test_classes_counted_from_one_name_the_outputs_in_their_order(tmp_path, write):
    if write == "classifier":
        transformers_folder(tmp_path)
    elif write == "segmenter":
        segmentation_families.build("segformer", tmp_path)
    else:
        detection_families.build("rt_detr_v2", tmp_path)
    right = pvzoo.load(tmp_path, device="cpu")
    expected = right.predict(IMAGE).to_dict()
    edit(tmp_path, id2label={str(i + 1): name for i, name in enumerate(right.labels)})
    shifted = pvzoo.load(tmp_path, device="cpu")
    assert shifted.labels == right.labels
    assert shifted.predict(IMAGE).to_dict() == expected


@pytest.mark.parametrize(
    "ids", [(0, 2, 3), (2, 3, 4), (-1, 0, 1), (1, 2, 900)], ids=lambda ids: "-".join(map(str, ids))
)
@pytest.mark.parametrize("family", ["vit", "rt_detr_v2"])
def test_names_that_belong_to_no_output_are_refused(tmp_path, ids, family):
    if family == "vit":
        transformers_folder(tmp_path)
    else:
        detection_families.build(family, tmp_path)
    count = len(pvzoo.load(tmp_path, device="cpu").labels)
    numbers = [*ids, *range(901, 898 + count)]
    edit(tmp_path, id2label={str(i): f"name {i}" for i in numbers})
    with pytest.raises(WeightsError, match=r"id2label of .* from 0"):
        pvzoo.load(tmp_path, device="cpu")
