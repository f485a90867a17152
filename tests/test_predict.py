"""predict and stream: order, batches, memory, errors. With the real EfficientNet-Lite0."""

from __future__ import annotations

import re
import sys
import threading
import warnings

import colour_model
import numpy as np
import pytest
from PIL import Image

from pvzoo.adapters.base import Spec
from pvzoo.errors import ImageError, PvzooError, PvzooWarning, UsageError
from pvzoo.model import Model
from pvzoo.pipeline import batches as pipeline


def test_coffee_is_espresso_and_the_cat_is_a_cat(lite0, photographs):
    coffee, cat = lite0.predict([photographs["coffee"], photographs["cat"]])
    assert coffee.names[0] == "espresso"
    assert coffee.scores[0] == pytest.approx(0.95, abs=0.01)
    assert cat.names[0] in {"tabby, tabby cat", "tiger cat", "Egyptian cat"}


def test_one_image_gives_one_result_and_a_list_of_one_gives_a_list(lite0, photographs):
    one = lite0.predict(photographs["coffee"])
    listed = lite0.predict([photographs["coffee"]])
    assert one.names == listed[0].names
    assert isinstance(listed, list)
    assert len(listed) == 1


def test_an_empty_list_gives_an_empty_list(lite0):
    assert lite0.predict([]) == []


def test_results_keep_the_order_of_the_images(lite0, photographs):
    names = ["cat", "coffee", "china", "camera", "coffee", "motorcycle"]
    results = lite0.predict([photographs[n] for n in names], batch_size=4)
    assert [r.source for r in results] == [str(photographs[n]) for n in names]
    alone = [lite0.predict(photographs[n]).names[0] for n in names]
    assert [r.names[0] for r in results] == alone


@pytest.mark.parametrize("batch_size", [1, 2, 3, 8])
def test_a_prediction_does_not_depend_on_its_companions(lite0, photographs, batch_size):
    images = list(photographs.values())
    together = lite0.predict(images, batch_size=batch_size, probabilities=True)
    for image, result in zip(images, together, strict=True):
        alone = lite0.predict(image, probabilities=True)
        np.testing.assert_allclose(result.probabilities, alone.probabilities, atol=1e-5)


def test_predict_refuses_an_iterator_and_names_stream(lite0, photographs):
    with pytest.raises(UsageError, match=r"model\.stream"):
        lite0.predict(iter([photographs["coffee"]]))


def test_an_unknown_option_gets_the_nearest_one(lite0, photographs):
    with pytest.raises(UsageError, match="'top_k'"):
        lite0.predict(photographs["coffee"], topk=3)


@pytest.mark.parametrize("batch_size", [0, -1, 2.5, "8"])
def test_an_impossible_batch_size_is_refused(lite0, photographs, batch_size):
    with pytest.raises(UsageError, match="batch_size"):
        lite0.predict(photographs["coffee"], batch_size=batch_size)


def test_options_of_stream_are_checked_before_the_first_image(lite0):
    def images():
        raise AssertionError("an image was asked for")
        yield

    with pytest.raises(UsageError):
        lite0.stream(images(), nonsense=1)
    with pytest.raises(UsageError, match="on_error"):
        lite0.stream(images(), on_error="ignore")


# --- bad images -----------------------------------------------------------------------------------


def test_a_bad_image_raises_in_its_place_after_the_results_before_it(lite0, photographs):
    stream = lite0.stream([photographs["coffee"], "missing.jpg", photographs["cat"]])
    assert next(stream).names[0] == "espresso"
    with pytest.raises(ImageError, match=r"missing\.jpg") as caught:
        next(stream)
    assert caught.value.index == 1


def test_a_skipped_image_is_warned_of_and_the_others_are_answered(lite0, photographs):
    images = [photographs["coffee"], "missing.jpg", photographs["cat"]]
    with pytest.warns(PvzooWarning, match=r"missing\.jpg"):
        results = list(lite0.stream(images, on_error="skip"))
    assert [r.source for r in results] == [str(images[0]), str(images[2])]


def test_every_bad_image_reaches_the_handler_once(lite0, photographs):
    images = ["a.jpg", photographs["coffee"], "b.jpg", "c.jpg"]
    failed: list[ImageError] = []
    results = list(lite0.stream(images, on_error=failed.append))
    assert len(results) == 1
    assert [(e.index, e.source) for e in failed] == [(0, "a.jpg"), (2, "b.jpg"), (3, "c.jpg")]


def test_an_exception_of_the_images_iterator_is_the_callers_own(lite0, photographs):
    def images():
        yield photographs["coffee"]
        raise RuntimeError("the camera was unplugged")

    with pytest.raises(RuntimeError, match="unplugged"):
        list(lite0.stream(images()))


# --- the pipeline itself, with a network that is a function ---------------------------------------


def _image(value: int, side: int) -> np.ndarray:
    return np.full((side, side, 3), value, np.uint8)


def _run(images, *, batch_size=4, forward=None, preprocess=None, seen=None, on_error="raise"):
    """The pipeline around a "network" that gives the mean of each input."""
    from dataclasses import dataclass
    from typing import Any

    @dataclass(frozen=True)
    class Mean:
        value: float
        side: int
        image: Any = None

    def pixels(opened: Image.Image):
        return {"x": np.asarray(opened)[None].astype(np.float32)}, {"side": opened.width}

    def mean(inputs):
        if seen is not None:
            seen.append(inputs["x"].shape)
        return {"mean": inputs["x"].mean((1, 2, 3))}

    def postprocess(outputs, meta):
        return Mean(float(outputs["mean"][0]), meta["side"])

    return pipeline.run(
        images,
        preprocess=preprocess or pixels,
        forward=forward or mean,
        postprocess=postprocess,
        check=lambda: None,
        batch_size=batch_size,
        on_error=on_error,
    )


def test_batches_hold_equal_shapes_only_and_are_never_too_large():
    rng = np.random.default_rng(0)
    sides = rng.choice([8, 16, 24], 101)
    seen: list[tuple[int, ...]] = []
    images = [_image(i % 256, s) for i, s in enumerate(sides)]
    results = list(_run(images, batch_size=4, seen=seen))
    assert [(r.value, r.side) for r in results] == [(i % 256, s) for i, s in enumerate(sides)]
    assert max(shape[0] for shape in seen) == 4
    assert len(seen) < 45  # most batches were full


def test_a_rare_shape_does_not_hold_up_the_stream():
    taken = 0

    def images():
        nonlocal taken
        yield _image(1, 64)
        for _ in range(1000):
            taken += 1
            yield _image(2, 8)

    first = next(_run(images(), batch_size=4))
    assert first.side == 64
    assert taken < 60


def test_a_stream_reads_a_bounded_number_of_images_ahead():
    taken = 0

    def images():
        nonlocal taken
        while True:
            taken += 1
            yield _image(taken % 256, 8)

    stream = _run(images(), batch_size=4)
    for _ in range(50):
        next(stream)
    assert taken < 50 + 40
    stream.close()


def test_a_stream_that_is_dropped_leaves_no_threads():
    before = threading.active_count()
    stream = _run((_image(i % 256, 8) for i in range(10_000)), batch_size=4)
    next(stream)
    stream.close()
    assert threading.active_count() == before


def test_reading_goes_on_while_the_network_runs():
    """The first forward pass waits until images of the next batches have been prepared."""
    prepared = threading.Semaphore(0)
    first = iter([True])

    def preprocess(image: Image.Image):
        prepared.release()
        return {"x": np.asarray(image)[None].astype(np.float32)}, {"side": image.width}

    def forward(inputs):
        if next(first, False):
            for _ in range(2 + 3):  # its own batch, and three more
                assert prepared.acquire(timeout=10)
        return {"mean": inputs["x"].mean((1, 2, 3))}

    images = [_image(i, 8) for i in range(8)]
    assert len(list(_run(images, batch_size=2, forward=forward, preprocess=preprocess))) == 8


def test_an_image_may_become_several_inputs():
    """As when a network looks at an image in crops."""
    from dataclasses import dataclass
    from typing import Any

    @dataclass(frozen=True)
    class Crops:
        values: list[float]
        image: Any = None

    def preprocess(opened: Image.Image):
        pixels = np.asarray(opened).astype(np.float32)
        crops = np.stack([pixels[i : i + 8, :8] for i in range(0, opened.height, 8)])
        return {"x": crops}, {}

    def postprocess(outputs, meta):
        return Crops(outputs["mean"].tolist())

    images = []
    for count in (1, 3, 2, 6, 1):
        stripes = [_image(10 * k, 8) for k in range(count)]
        images.append(np.concatenate(stripes))
    results = list(
        pipeline.run(
            images,
            preprocess=preprocess,
            forward=lambda inputs: {"mean": inputs["x"].mean((1, 2, 3))},
            postprocess=postprocess,
            check=lambda: None,
            batch_size=4,
            on_error="raise",
        )
    )
    assert [r.values for r in results] == [[10.0 * k for k in range(n)] for n in (1, 3, 2, 6, 1)]


def test_an_image_the_network_cannot_take_is_an_image_error():
    def images():
        yield _image(1, 8)

    def preprocess(image: Image.Image):
        raise ValueError("height must be at least 32")

    stream = pipeline.run(
        images(),
        preprocess=preprocess,
        forward=dict,
        postprocess=lambda outputs, meta: None,
        check=lambda: None,
        batch_size=1,
        on_error="raise",
    )
    with pytest.raises(ImageError, match=r"8 x 8 pixels.*at least 32"):
        list(stream)


def _refusing(inputs):
    """A network that gives no numbers for the images of the values 13 and 17."""
    values = inputs["x"].mean((1, 2, 3))
    if set(values) & {13, 17}:
        raise PvzooError("The network gave numbers that are not finite.", "Use float32.")
    return {"mean": values}


@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_an_image_on_which_the_network_fails_costs_no_other(batch_size):
    errors: list[ImageError] = []
    images = [_image(k, 8) for k in range(20)]
    results = _run(images, batch_size=batch_size, forward=_refusing, on_error=errors.append)
    assert [r.value for r in results] == [k for k in range(20) if k not in (13, 17)]
    assert [error.index for error in errors] == [13, 17]
    assert re.match(r"image 13 \(.*\): The network gave numbers that are not", str(errors[0]))


def test_a_warning_of_a_skipped_image_points_at_the_loop():
    class Refusing(colour_model.ColourAdapter):
        def compute(self, inputs):
            if 13 in inputs["pixels"]:
                raise PvzooError("The network gave numbers that are not finite.")
            return inputs

    model = Model("m", Refusing(Spec("colours", "object-detection", colour_model.NAMES)))
    images = [_image(13, 8), b"no image", _image(1, 8)]
    with pytest.warns(PvzooWarning, match="Skipped: image") as seen:
        for _ in model.stream(images, on_error="skip"):
            pass
    assert [warning.filename for warning in seen] == [__file__] * 2
    assert len({warning.lineno for warning in seen}) == 1


@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_what_comes_before_an_image_on_which_the_network_fails_is_handed_out(batch_size):
    images = [_image(k, 8) for k in range(20)]
    results = _run(images, batch_size=batch_size, forward=_refusing)
    assert [next(results).value for _ in range(13)] == list(range(13))
    with pytest.raises(ImageError, match=r"image 13 \(.*\): .* not finite"):
        next(results)


def test_skipping_keeps_nothing_of_what_was_skipped(lite0, tmp_path):
    def kept() -> int:
        modules = list(sys.modules.values())
        return sum(len(vars(m).get("__warningregistry__", ())) for m in modules)

    images = [tmp_path / f"{k}.jpg" for k in range(20)]
    with warnings.catch_warnings():
        warnings.simplefilter("default", PvzooWarning)
        before = kept()
        assert list(lite0.stream(images, on_error="skip")) == []
        assert kept() <= before


def test_two_threads_may_predict_with_one_model(lite0, photographs):
    expected = {n: lite0.predict(p).scores for n, p in photographs.items()}
    wrong: list[str] = []

    def work() -> None:
        for name, path in photographs.items():
            if not np.allclose(lite0.predict(path).scores, expected[name], atol=1e-5):
                wrong.append(name)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_results_of_files_do_not_hold_their_pixels(lite0, photographs):
    result = lite0.predict(photographs["coffee"])
    assert result.image.data == photographs["coffee"]


def test_predicting_warns_of_nothing(lite0, photographs):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lite0.predict(list(photographs.values()))


def test_a_loop_that_reuses_one_buffer_gets_a_result_for_every_frame(lite0, photographs):
    """As video readers do: the array of a frame is overwritten by the next."""
    images = [Image.open(photographs[n]).convert("RGB").resize((96, 96)) for n in photographs]
    expected = [lite0.predict(p).names for p in images]

    def frames():
        buffer = np.zeros((96, 96, 3), np.uint8)
        for image in images:
            buffer[:] = np.asarray(image)
            yield buffer

    def painted():
        canvas = Image.new("RGB", (96, 96))
        for image in images:
            canvas.paste(image)
            yield canvas

    assert [r.names for r in lite0.stream(frames(), batch_size=3)] == expected
    results = list(lite0.stream(painted(), batch_size=3))
    assert [r.names for r in results] == expected
    assert np.array_equal(np.asarray(results[0].image.open()), np.asarray(images[0]))
