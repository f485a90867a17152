"""The options of a model's task, as type checkers, `help` and notebooks see them."""

from __future__ import annotations

import copy
import inspect
import os
import pickle
import pydoc
import subprocess
import sys
import typing
from dataclasses import dataclass, field
from pathlib import Path

import colour_model
import numpy as np
import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell

import pvzoo
from pvzoo import loading
from pvzoo.adapters.base import Spec
from pvzoo.errors import PvzooWarning, UsageError
from pvzoo.plugins import registry
from pvzoo.results.several import Results
from pvzoo.tasks import image_classification as classification
from pvzoo.tasks import object_detection as detection
from pvzoo.tasks import panoptic_segmentation as panoptic
from pvzoo.tasks import semantic_segmentation as semantic
from pvzoo.tasks.base import CommonOptions

ROOT = Path(__file__).parents[1]
TYPED = [
    (classification.ClassificationControls, classification.ClassificationOptions),
    (detection.DetectionControls, detection.DetectionOptions),
    (semantic.SemanticControls, semantic.SemanticOptions),
    (panoptic.PanopticControls, panoptic.PanopticOptions),
]
OBJECTS = {
    "threshold": 0.5,
    "max_detections": None,
    "classes": None,
    "nms": None,
    "class_agnostic": False,
}
OPTIONS = {
    "image-classification": {"top_k": 5, "threshold": 0.0, "probabilities": False},
    "object-detection": OBJECTS,
    "instance-segmentation": OBJECTS,
    "semantic-segmentation": {"scores": False},
    "panoptic-segmentation": {"threshold": None, "overlap": None},
    # of plugins
    "depth-estimation": {},
    "zero-shot-object-detection": {
        "prompts": (),
        "threshold": None,
        "max_detections": None,
        "nms": None,
        "class_agnostic": False,
    },
    "mask-generation": {"points": None, "point_labels": None, "boxes": None, "threshold": 0.0},
}
"""Options of each task with their defaults, as its docstrings and docs have them."""
COMMON = ["tiles", "batch_size", "on_error", "progress"]
VIDEO = ["every", "start", "stop", "track"]
IMAGE = np.zeros((24, 32, 3), np.uint8)


def model_of(task: str) -> pvzoo.Model:
    """A model of any task; one of pvzoo's own predicts too."""
    return pvzoo.Model("any", colour_model.ColourAdapter(Spec("colours", task, colour_model.NAMES)))


def added(method, common) -> dict[str, inspect.Parameter]:
    """The parameters of a bound method, without the first and those of every task."""
    _, *others = inspect.signature(method).parameters.values()
    assert [p.name for p in others[: len(common)]] == common
    return {p.name: p for p in others[len(common) :]}


def test_type_checkers_know_the_results_and_the_options_of_every_task():
    """`mypy --strict` on typed_models.py, which has right calls and wrong ones."""
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--cache-dir", ".mypy_cache", "tests/typed_models.py"],
        cwd=ROOT,
        env={**os.environ, "MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize(("controls", "options"), TYPED)
def test_the_options_for_type_checkers_are_those_of_the_task(controls, options):
    own = typing.get_type_hints(options)
    for name in typing.get_type_hints(CommonOptions):
        del own[name]
    assert own == typing.get_type_hints(controls)
    assert not options.__required_keys__


@pytest.mark.parametrize("task", OPTIONS)
def test_predict_and_stream_show_the_options_of_the_models_task(task):
    model = model_of(task)
    kind = registry.get("tasks", task)
    types = {**typing.get_type_hints(kind.prompts), **typing.get_type_hints(kind.controls)}
    for method, own in ((model.predict, []), (model.stream, VIDEO)):
        found = added(method, [*COMMON, *own])
        assert {name: p.default for name, p in found.items()} == OPTIONS[task]
        assert {name: p.annotation for name, p in found.items()} == types
        assert all(p.kind is p.KEYWORD_ONLY for p in found.values())
    returned = inspect.signature(model.predict).return_annotation
    assert returned == kind.result | Results[kind.result]


@pytest.mark.parametrize("task", OPTIONS)
def test_evaluate_shows_the_defaults_that_the_figures_are_defined_with(task):
    found = added(model_of(task).evaluate, ["split", "tiles", "batch_size", "progress"])
    evaluation = registry.get("tasks", task).evaluation
    assert {name: p.default for name, p in found.items()} == {**OPTIONS[task], **evaluation}


def test_outputs_shows_what_the_network_sees():
    segmenter, detector = model_of("mask-generation"), model_of("object-detection")
    assert [*added(segmenter.outputs, [])] == ["points", "point_labels", "boxes"]
    assert added(detector.outputs, []) == {}


def test_help_says_what_each_option_does():
    text = " ".join(pydoc.render_doc(model_of("object-detection").predict).split())
    assert "nms: float | None = None" in text
    assert "batch_size: Most network inputs in one forward pass." in text
    assert (
        "nms: Suppress boxes that overlap a better box by more than this IoU; None for no "
        "suppression. One-to-one models such as DETR do not need it. class_agnostic: Whether"
        in text
    )
    assert "Raises: ImageError:" in text
    assert "**options" not in text
    of_points = " ".join(pydoc.render_doc(model_of("mask-generation").stream).split())
    assert "points: (objects, 2), a point on each object: x, y." in of_points
    assert "threshold: Masks with a lower score" in of_points


def test_every_option_that_is_shown_is_explained():
    """Of every task that is installed."""
    silent = {
        (task, name)
        for task in registry.names("tasks")
        for name in added(model_of(task).predict, COMMON)
        if f"    {name}: An option of" in str(model_of(task).predict.__doc__)
        or f"    {name}: " not in str(model_of(task).predict.__doc__)
    }
    assert silent == set()


@pytest.mark.parametrize("jedi", [True, False])
def test_a_notebook_completes_the_options(jedi):
    shell = InteractiveShell()
    shell.Completer.use_jedi = jedi
    shell.user_ns["model"] = model_of("panoptic-segmentation")
    shell.user_ns["depth"] = model_of("depth-estimation")

    def completed(line):
        with provisionalcompleter():
            return {found.text for found in shell.Completer.completions(line, len(line))}

    for line in ("model.predict('a.jpg', ", "model.stream('a/', ", "model.evaluate('coco/', "):
        assert {"overlap=", "threshold=", "batch_size="} <= completed(line), line
        assert "nms=" not in completed(line)
    assert completed("model.predict('a.jpg', ov") == {"overlap="}
    assert "on_error=" in completed("depth.predict('a.jpg', ")
    assert "threshold=" not in completed("depth.predict('a.jpg', ")


def test_two_models_show_their_own_options_and_the_class_all():
    classifier, detector = model_of("image-classification"), model_of("object-detection")
    assert "top_k" in inspect.signature(classifier.predict).parameters
    assert "top_k" not in inspect.signature(detector.predict).parameters
    assert [*inspect.signature(pvzoo.Model.predict).parameters][-1] == "options"
    assert pvzoo.Model.predict(detector, IMAGE).to_dict() == detector.predict(IMAGE).to_dict()
    assert "| predict(" in " ".join(pydoc.plaintext.document(pvzoo.Model).split())


def test_a_copy_of_a_model_and_of_its_method_predict_alike():
    model = model_of("object-detection")
    expected = model.predict(IMAGE).to_dict()
    for other in (copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert other.predict(IMAGE).to_dict() == expected
        assert "nms" in inspect.signature(other.predict).parameters
    assert pickle.loads(pickle.dumps(model.predict))(IMAGE).to_dict() == expected
    assert model.predict == model.predict
    assert model.predict.__self__ is model


def test_a_plugin_with_options_out_of_the_ordinary_predicts_and_shows_what_it_can(monkeypatch):
    @dataclass(frozen=True)
    class Odd:
        """Without a word on them; the last has the name of a common one."""

        shape: Nowhere = None  # noqa: F821 (as if imported for type checkers only)
        sizes: list[int] = field(default_factory=lambda: [1, 2])
        progress: bool = False

    class OddTask(registry.get("tasks", "object-detection")):
        prompts = Odd

    get = registry.get
    monkeypatch.setattr(
        registry, "get", lambda group, name: OddTask if group == "tasks" else get(group, name)
    )
    model = model_of("object-detection")
    found = added(model.predict, COMMON)
    assert found["shape"].annotation == "Nowhere"
    assert found["sizes"].default == [1, 2]
    assert "shape: An option of object-detection." in model.predict.__doc__
    assert model.predict(IMAGE, sizes=[3]).to_dict()["task"] == "object-detection"


@pytest.mark.parametrize("overload", typing.get_overloads(pvzoo.load)[:-1])
def test_load_types_a_model_by_the_words_that_name_its_task(overload):
    hints = {**vars(loading), **{c.__name__: c for c in _results()}, "Model": pvzoo.Model}
    words = typing.get_args(eval(overload.__annotations__["task"], hints))
    (result,) = typing.get_args(eval(overload.__annotations__["return"], hints))
    assert len(words) == 2
    for word in words:
        assert registry.get("tasks", registry.task_id(word)).result is result


def test_every_own_task_has_an_overload_of_load():
    words = {
        word
        for overload in typing.get_overloads(pvzoo.load)[:-1]
        for word in typing.get_args(eval(overload.__annotations__["task"], vars(loading)))
    }
    assert {*colour_model.TASKS} <= words


def test_the_overloads_of_load_have_its_arguments():
    (how,) = typing.get_args(
        eval(typing.get_overloads(pvzoo.load)[0].__annotations__["how"], vars(loading))
    )
    arguments = typing.get_type_hints(pvzoo.load, {**vars(loading), "Model": pvzoo.Model})
    kept = {k: v for k, v in arguments.items() if k not in ("name", "task", "return")}
    assert typing.get_type_hints(how) == kept


def test_predict_leaves_out_of_a_list_what_is_skipped():
    model = model_of("object-detection")
    with pytest.warns(PvzooWarning, match="nowhere"):
        found = model.predict([IMAGE, "nowhere.jpg", IMAGE], on_error="skip")
    assert [result.image.index for result in found] == [0, 2]
    with pytest.raises(UsageError, match="a single image cannot be skipped"):
        model.predict("nowhere.jpg", on_error="skip")


def test_evaluate_leaves_no_image_out(tmp_path):
    """Results would be compared with the labels of other images."""
    data = colour_model.dataset("object-detection", tmp_path, 2)
    with pytest.raises(UsageError, match="does not take on_error"):
        model_of("object-detection").evaluate(data, on_error="skip")


def _results() -> list[type]:
    return [registry.get("tasks", task).result for task in colour_model.TASKS]
