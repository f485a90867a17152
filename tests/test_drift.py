"""Whether images that differ from those of validation are noticed, and only those."""

from __future__ import annotations

import copy
import dataclasses
import json
import logging
import shutil
import warnings

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from scipy.stats import ks_2samp
from serving import DETECTOR, brightness, figure, png, running, scenes, wait_for

import pvzoo
from pvzoo.drift import Reference, Seen, Watch, figures_of
from pvzoo.drift.reference import distance
from pvzoo.export.drift_reference import drift_reference
from pvzoo.export.manifest import Manifest
from pvzoo.export.reference import Side
from pvzoo.tasks.fixed import task_of


def reference_of(model, images):
    side = Side(model.adapter, model.runtime)
    return drift_reference(
        side, task_of(model.adapter.spec), images, None, name=model.name, thresholds=None
    )


def greys(count, seed, darker=1.0):
    """Images of one grey level each, around 150."""
    levels = np.random.default_rng(seed).normal(150, 30, count).clip(1, 250) * darker
    return [Image.new("RGB", (8, 8), (int(level),) * 3) for level in levels]


@pytest.fixture(scope="module")
def detector():
    return pvzoo.load(DETECTOR)


@pytest.fixture(scope="module")
def reference(detector):
    return reference_of(detector, scenes(60, seed=100))


def test_the_reference_is_of_the_images_and_of_what_the_model_finds_in_them(detector, reference):
    images = scenes(60, seed=100)
    results = detector.predict(images)
    # scenes have 128 x 128 pixels, of which every second is looked at
    grey = [np.asarray(image.convert("L"), float)[1::2, 1::2] for image in images]
    expected = {
        "brightness": sorted(pixels.mean() for pixels in grey),
        "contrast": sorted(pixels.std() for pixels in grey),
        "score": sorted(max(r.scores, default=0.0) for r in results),
        "count": sorted(len(r) for r in results),
    }
    assert reference["images"] == 60
    assert reference["values"].keys() == expected.keys()
    for name, values in expected.items():
        assert reference["values"][name] == pytest.approx(values, abs=2e-3), name


def test_darkened_images_are_noticed_and_other_images_of_the_same_kind_are_not(detector, reference):
    reports = []
    watch = Watch(Reference.from_json(reference, "x"), reports.append, window=60)

    def see(images):
        reports.clear()
        for result in detector.stream(map(Seen.of, images), batch_size=8):
            watch.see(figures_of(result.image, result))
        return {shift.figure for (*shifts,) in reports for shift in shifts if shift.is_drift}

    images = scenes(60, seed=500)
    assert see(images) == set()
    assert len(reports) == 1
    assert "brightness" in see([ImageEnhance.Brightness(image).enhance(0.3) for image in images])
    blank = [Image.new("RGB", image.size, (128, 128, 128)) for image in images]
    assert {"contrast", "count", "score"} <= see(blank)


def test_false_alarms_are_rare():
    """1,000 windows of the same distribution, with references of the smallest size too."""
    random = np.random.default_rng(0)
    alarms = []
    for images in (30, 100, 2000):
        for _ in range(333):
            reference = Reference.of({"brightness": value} for value in random.normal(size=images))
            watch = Watch(
                reference, lambda s: alarms.extend(x for x in s if x.is_drift), window=256
            )
            for value in random.normal(size=256):
                watch.see({"brightness": value})
    assert len(alarms) <= 2


def test_the_distance_is_that_of_scipy():
    random = np.random.default_rng(1)
    for _ in range(20):
        first, second = random.poisson(3, 50), random.poisson(random.integers(1, 9), 70)
        ours = distance(np.sort(first), np.sort(second))
        assert ours == pytest.approx(ks_2samp(first, second).statistic)


def test_large_references_are_kept_as_quantiles():
    values = np.random.default_rng(2).normal(100, 20, 5000)
    kept = Reference.of({"brightness": value} for value in values).to_json()
    assert kept["images"] == 5000
    assert len(kept["values"]["brightness"]) == 256
    assert len(json.dumps(kept)) < 4000
    again = Reference.from_json(kept, "x").values["brightness"]
    assert distance(again, np.sort(values)) < 0.01


def test_less_than_30_images_are_not_a_reference(detector):
    assert reference_of(detector, scenes(8)) is None
    assert reference_of(detector, None) is None


DAMAGE = {
    "images": lambda found: found.update(images="many"),
    "no images": lambda found: found.pop("images"),
    "a negative number": lambda found: found.update(images=-1),
    "text": lambda found: found["values"].update(score=["high"]),
    "too many values": lambda found: found["values"].update(score=[0.0] * 300),
    "not a number": lambda found: found["values"].update(score=[float("nan")]),
    "no values": lambda found: found.update(values=None),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_reference_is_refused_when_the_server_starts(damage, reference, tmp_path):
    found = copy.deepcopy(reference)
    DAMAGE[damage](found)
    shutil.copytree(DETECTOR, tmp_path / "export")
    file = tmp_path / "export" / "pvzoo-export.json"
    told = json.loads(file.read_text())
    told["reference"] = found
    file.write_text(json.dumps(told))
    with (
        pytest.warns(pvzoo.errors.PvzooWarning, match="the certificate"),
        pytest.raises(pvzoo.PvzooError, match="x: the reference for drift cannot be read"),
        running({"x": tmp_path / "export"}),
    ):
        pass


def watched():
    """A model of grey levels with a reference of 200 images."""
    model = brightness()
    found = reference_of(model, greys(200, seed=0))
    spec = model.adapter.spec
    model.manifest = Manifest(spec, "numpy", "fp32", {}, {}, {}, "here", reference=found)
    return model


@pytest.mark.parametrize(("darker", "drift"), [(1.0, False), (0.4, True)])
def test_a_server_reports_drift_in_its_metrics_and_its_log(darker, drift, caplog):
    path = "/v1/models/brightness/predict"
    with running({"brightness": watched()}) as client:
        images = greys(256, seed=1, darker=darker)
        for start in range(0, 256, 16):
            files = [("images", png(image)) for image in images[start : start + 16]]
            assert client.post(path, files=files).status_code == 200
        wait_for(client, "pvzoo_images_total", 256)
        assert figure(client, 'pvzoo_drift{figure="brightness",model="brightness"}') == drift
        moved = figure(client, 'pvzoo_drift_distance{figure="brightness",model="brightness"}')
        assert (moved > 0.5) == drift
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warnings) == drift
    if drift:
        assert warnings[0].startswith("brightness sees other images than it was validated on: ")
        assert "brightness has a median of " in warnings[0]


def test_other_options_do_not_count_as_drift_and_a_switch_turns_the_watch_off():
    path = "/v1/models/brightness/predict"
    files = [("images", png(image)) for image in greys(16, seed=1)]
    with running({"brightness": watched()}) as client:
        for _ in range(16):
            assert client.post(f"{path}?top_k=1", files=files).status_code == 200
        wait_for(client, "pvzoo_images_total", 256)
        text = client.get("/metrics").text
        assert 'pvzoo_drift{figure="brightness"' in text
        assert 'pvzoo_drift{figure="count"' not in text
    with running({"brightness": watched()}, drift=False) as client:
        for _ in range(16):
            assert client.post(path, files=files).status_code == 200
        wait_for(client, "pvzoo_images_total", 256)
        assert "pvzoo_drift{" not in client.get("/metrics").text


def test_a_manifest_keeps_its_reference(detector, reference, tmp_path):
    from pvzoo.export import manifest

    made = dataclasses.replace(detector.manifest, reference=reference)
    manifest.write(made, tmp_path)
    assert manifest.read(tmp_path, "x").reference == reference


def test_the_rest_of_a_run_is_compared_at_its_end_if_it_is_enough():
    reference = Reference.of({"brightness": float(n)} for n in range(100))
    reports = []
    watch = Watch(reference, reports.append, window=80)
    for count, expected in ((19, 0), (20, 1), (100, 2)):
        reports.clear()
        for _ in range(count):
            watch.see({"brightness": 500.0})
        watch.finish()
        assert len(reports) == expected
        assert all(shift.is_drift for (shift,) in reports)


def test_a_bulk_job_reports_darkened_images_and_no_others(reference, tmp_path):
    pytest.importorskip("pyarrow")
    export = shutil.copytree(DETECTOR, tmp_path / "export")
    told = json.loads((export / "pvzoo-export.json").read_text(encoding="utf-8"))
    text = json.dumps({**told, "reference": reference})
    (export / "pvzoo-export.json").write_text(text, encoding="utf-8")
    for name, share in (("usual", 1.0), ("dark", 0.3)):
        (tmp_path / name).mkdir()
        for i, image in enumerate(scenes(70, seed=500)):
            darkened = ImageEnhance.Brightness(image).enhance(share)
            darkened.save(tmp_path / name / f"{i}.png")

    def run(name, **options):
        out = tmp_path / f"{name}-{len(options)}"
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            report = pvzoo.bulk(
                tmp_path / name, out, model=export, workers=1, shard_size=70, **options
            )
        said = [str(w.message) for w in caught if "validated on" in str(w.message)]
        return report.drift, said

    assert run("usual") == (0, [])
    assert run("dark", drift=False) == (0, [])
    parts, (said,) = run("dark")
    assert parts == 1
    assert said.startswith("part-000000.parquet has other images than the model was validated on")
    manifest = json.loads((tmp_path / "dark-0" / "_manifest.json").read_text(encoding="utf-8"))
    assert any(text.startswith("brightness") for text in manifest["parts"][0]["drift"])
    assert run("dark")[0] == 1, "a finished job says it too"
