"""Rules about prediction, for every adapter."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from pvzoo.adapters.base import Spec
from pvzoo.errors import PluginError, PvzooError, UnsupportedModelError
from pvzoo.plugins import registry
from pvzoo.preprocess import compare
from pvzoo.preprocess.run import run
from pvzoo.results.base import ResultWithRows
from pvzoo.testing.compare import difference
from pvzoo.testing.rules import Broken, NotApplicable, error_line, must, rule
from pvzoo.testing.subject import Subject

if TYPE_CHECKING:
    from pvzoo.model import Model


@rule("See `Spec` and the attributes of `Adapter` in pvzoo/adapters/base.py.")
def loads(s: Subject) -> None:
    """The model loads, and its adapter has a task and the names of its classes."""
    adapter = s.adapter
    must(
        adapter.task in type(adapter).tasks,
        f"Its task is {adapter.task!r}, which is not in the class's tasks {type(adapter).tasks!r}.",
    )
    part = registry.part_of(type(adapter))
    must(
        part is None or adapter.spec.adapter in (part.name, f"{part.dist}:{part.name}"),
        f"Its spec names the adapter {adapter.spec.adapter!r}; its entry point is {part}.",
    )
    names = adapter.labels
    must(
        isinstance(names, tuple) and all(isinstance(n, str) for n in names),
        f"Its labels are {names!r:.80}, not a tuple of texts.",
    )


@rule("Return arrays with a leading axis of network inputs, usually `array[None]`.")
def leading_axis(s: Subject) -> None:
    """Inputs are numpy arrays, and the leading axis of inputs and outputs is the batch."""
    prompts, _ = s.sorted_options()
    inputs, _ = s.adapter.preprocess(s.image, **prompts)
    for name, value in inputs.items():
        must(
            isinstance(value, np.ndarray),
            f"The input {name!r} is a {type(value).__name__}, not a numpy array.",
        )
        must(value.ndim > 0, f"The input {name!r} has no axes.")
    counts = {len(value) for value in inputs.values()}
    must(
        len(counts) == 1 and 0 not in counts,
        f"The leading axes of the inputs have the lengths {sorted(counts)}.",
    )
    (count,) = counts
    for times in (1, 2):
        batch = {n: np.concatenate([v] * times) for n, v in inputs.items()}
        outputs = s.adapter.run(s.model.runtime, batch)
        must(
            isinstance(outputs, dict) and outputs,
            f"The outputs are {outputs!r:.80}, not a dict with entries.",
        )
        for name, value in outputs.items():
            must(
                hasattr(value, "shape") and value.shape[:1] == (count * times,),
                f"The output {name!r} has the shape {tuple(getattr(value, 'shape', ()))} for "
                f"{count * times} inputs.",
            )


@rule("Return the fields that the docstring of the task's result type lists, as numpy arrays.")
def result(s: Subject) -> None:
    """A prediction is a result of the task, with the image's size and possible values."""
    for image, found in zip(s.images, s.results, strict=True):
        wanted = s.task.result
        must(isinstance(found, wanted), f"It is a {type(found).__name__}, not a {wanted.__name__}.")
        size = image.size[::-1]
        must(
            tuple(found.size) == size,
            f"Its size is {found.size} for an image of {size} (height, width).",
        )
        for name, value in vars(found).items():
            must(
                not type(value).__module__.startswith("torch"),
                f"{name} is a tensor, not a numpy array.",
            )
        for row in found.rows():
            score = row.get("score")
            must(score is None or 0 <= score <= 1, f"A score is {score}, not from 0 to 1.")
            _check_name(s, row)


def _check_name(s: Subject, row: dict[str, Any]) -> None:
    label, name, known = row.get("label"), row.get("name"), s.model.labels
    if s.task.class_prompt is not None or not known or not isinstance(label, int):
        return
    must(0 <= label < len(known), f"A label is {label}, but there are {len(known)} classes.")
    must(name is None or name == known[label], f"Class {label} is {known[label]!r}, not {name!r}.")


@rule("Let `rows` return plain Python values (int(...), float(...)) under the keys of `columns`.")
def json(s: Subject) -> None:
    """A result can be turned into JSON and a table, and the JSON equals `to_dict`."""
    import json

    for found in s.results:
        _check_json(json.loads, found)


@rule("List in `per_row` every field with one entry per row; see `ResultWithRows`.")
def chosen_rows(s: Subject) -> None:
    """Selecting rows of a result gives a result with these rows."""
    if not issubclass(s.task.result, ResultWithRows):
        raise NotApplicable("Its results have no rows to choose from.")
    for found in s.results:
        rows = found.rows()
        must(len(found) == len(rows), f"Its length is {len(found)}, but it has {len(rows)} rows.")
        must(
            found[::-1].rows() == rows[::-1],
            "result[::-1] does not have the rows in reverse order.",
        )
        for index, (row, one) in enumerate(zip(rows, found, strict=True)):
            must(one.rows() == [row], f"result[{index}] has the rows {one.rows()}, not {[row]}.")
            must(isinstance(one, type(found)), f"result[{index}] is a {type(one).__name__}.")


def _check_json(loads: Any, found: Any) -> None:
    must(loads(found.to_json()) == found.to_dict(), "The parsed JSON differs from to_dict().")
    for row in found.rows():
        must(
            list(row) == list(found.columns),
            f"A row has the keys {list(row)}, but `columns` has {list(found.columns)}.",
        )
    table = found.to_pandas()
    must(list(table) == list(found.columns), f"The table has the columns {list(table)}.")


@rule("Let `draw` return a new RGB image; do not change the image that it gets.")
def drawable(s: Subject) -> None:
    """A result can be drawn and saved."""
    for image, found in zip(s.images, s.results, strict=True):
        _check_drawing(found, image)


def _check_drawing(found: Any, image: Image.Image) -> None:
    before = image.tobytes()
    drawing = found.draw(image)
    must(
        isinstance(drawing, Image.Image),
        f"draw returned a {type(drawing).__name__}, not a PIL image.",
    )
    must(drawing.mode == "RGB", f"The drawing has the mode {drawing.mode}, not RGB.")
    must(image.tobytes() == before, "draw changed the image that it got.")
    with (
        tempfile.TemporaryDirectory() as folder,
        Image.open(found.save(Path(folder) / "drawing.png")) as saved,
    ):
        must(
            saved.size == drawing.size,
            f"The saved image has the size {saved.size}, the drawing {drawing.size}.",
        )


@rule("Keep no state between images; put values for `postprocess` into `meta`.")
def one_and_list(s: Subject) -> None:
    """One image gives one result, a list gives a list, and a file the result of its pixels."""
    alone = s.results[0]
    must(s.predict([]) == [], "predict([]) does not return an empty list.")
    several = s.predict([s.image])
    must(isinstance(several, list) and len(several) == 1, f"A list gives {several!r:.80}.")
    _same(alone, several[0], "in a list")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "image.png"
        s.image.save(file)
        _same(alone, s.predict(str(file)), "from a file")


@rule("Keep no state between images; put values for `postprocess` into `meta`.")
def stream(s: Subject) -> None:
    """A stream gives the results of predict, in the order of the images."""
    expected = s.results
    found = list(s.model.stream(iter(s.images), batch_size=2, **s.options()))
    must(len(found) == len(expected), f"{len(expected)} images gave {len(found)} results.")
    for i, pair in enumerate(zip(expected, found, strict=True)):
        _same(*pair, f"as number {i} of a stream")


@rule("Never pad images together or take means over a batch; load in evaluation mode.")
def batch_invariance(s: Subject) -> None:
    """The result for an image does not depend on the other images in its batch."""
    if _batch_difference(s, s.model):
        # the batch size changes rounding; float64 tells whether the difference is rounding
        model = s.load(dtype="float64") if s.uses_torch else s.model
        if found := _batch_difference(s, model):
            raise Broken(found)


def _batch_difference(s: Subject, model: Model) -> str:
    predict, options = model.predict, s.options()
    alone = [predict(image, batch_size=1, **options) for image in s.images]
    order = (0, 1, 2, 1, 3)
    together = predict([s.images[i] for i in order], batch_size=len(order), **options)
    for index, (number, found) in enumerate(zip(order, together, strict=True)):
        if text := difference(alone[number], found):
            return f"Image {index} of a batch of {len(order)} has a different result: {text}."
    return ""


@rule("Load in evaluation mode (`module.eval()`), and use no random numbers.")
def repeatable(s: Subject) -> None:
    """Predicting an image twice gives the same result, and does not change the image."""
    before = s.image.tobytes()
    first = s.predict(s.image)
    s.predict(s.images[1])
    _same(first, s.predict(s.image), "the second time")
    must(s.image.tobytes() == before, "predict changed the image.")


@rule("In `preprocess` and `postprocess`, use local variables, not attributes of the adapter.")
def threads(s: Subject) -> None:
    """Threads that predict at the same time get the same results as one thread alone."""
    numbers = [*range(len(s.images))] * 2
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda number: s.predict(s.images[number]), numbers)
        for number, beside in zip(numbers, found, strict=True):
            _same(s.results[number], beside, "beside other threads")


@rule("In `postprocess`, leave out everything with a score below `threshold`.")
def threshold(s: Subject) -> None:
    """No score in a result is below the threshold."""
    if not s.has_control("threshold"):
        raise NotApplicable("Its task has no threshold.")
    for least in (0.0, 0.5, 1.0):
        for row in s.predict(s.image, threshold=least).rows():
            score = row.get("score")
            must(
                score is None or score >= least - 1e-6,
                f"With threshold={least} there is a score of {score}.",
            )


@rule("Return arrays of length 0 with their usual other axes, such as (0, 4) for boxes.")
def empty_result(s: Subject) -> None:
    """An empty result can also be turned into JSON, a table and an image."""
    import json

    high = {"threshold": 1.0} if s.has_control("threshold") else {}
    for image in reversed(s.images):
        found = s.predict(image, **high)
        if not found.rows():
            _check_json(json.loads, found)
            _check_drawing(found, image)
            return
    raise NotApplicable("None of the suite's images gives an empty result.")


@rule("In `preprocess`, raise ValueError for images the network cannot take; others must work.")
def odd_sizes(s: Subject) -> None:
    """An image of one pixel or a thin strip gives a result of its size, or a PvzooError."""
    predict = s.model.predict
    for size in ((1, 1), (3, 120), (120, 3)):
        image = s.image.resize(size)
        try:
            found = predict(image, **s.options())
        except PluginError as error:
            raise Broken(f"An image of {size[0]} x {size[1]}: {error.what}") from error
        except PvzooError:
            continue
        except Exception as error:
            raise Broken(
                f"An image of {size[0]} x {size[1]} raised {error_line(error)}."
            ) from error
        must(
            tuple(found.size) == size[::-1],
            f"The result for a (width, height) = {size} image has the size {found.size}.",
        )


@rule("Use only `outputs`, `meta` and `self.spec`; the spec must hold only values for JSON.")
def postprocessing_alone(s: Subject) -> None:
    """An adapter that is made only from its spec, read from JSON, gives the same results."""
    from json import dumps, loads

    if type(s.adapter).network is None:
        raise NotApplicable("The adapter has no network that another runtime could run.")
    prompts, controls = s.sorted_options()
    inputs, meta = s.adapter.preprocess(s.image, **prompts)
    outputs = s.adapter.run(s.model.runtime, inputs)
    alone = type(s.adapter)(Spec.from_json(loads(dumps(s.adapter.spec.to_json()))))
    expected = s.results[0]
    found = replace(alone.postprocess(outputs, meta, **controls), image=expected.image)
    _same(expected, found, "without its network")


@rule("Return in `Network.steps` exactly what `prepare` does, or do not define it.")
def steps(s: Subject) -> None:
    """The steps of a network, if it has any, prepare images as its own processor does."""
    network = s.model.network
    if network is None:
        raise NotApplicable("There is no network.")
    try:
        declared = network.steps()
    except UnsupportedModelError as error:
        raise NotApplicable(str(error)) from error
    floats = any(getattr(step, "arithmetic", "") == "float" for step in declared)
    found = compare.difference(
        lambda image: run(declared, image, s.adapter.pixels)[0],
        lambda image: network.prepare(image)[0],
        compare.THOROUGH[:6],
        tolerance=compare.ROUNDING if floats else 0.0,
    )
    must(found is None, f"The steps and the processor differ: {found}.")


def _same(one: Any, other: Any, when: str) -> None:
    if found := difference(one, other):
        raise Broken(f"The result differs {when}: {found}.")


PREDICT_RULES = (
    loads,
    leading_axis,
    result,
    json,
    chosen_rows,
    drawable,
    one_and_list,
    stream,
    batch_invariance,
    repeatable,
    threads,
    threshold,
    empty_result,
    odd_sizes,
    postprocessing_alone,
    steps,
)
