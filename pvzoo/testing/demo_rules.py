"""The rule on demos: any model opens in one."""

from __future__ import annotations

import importlib.util
import inspect
import json
import tempfile
from base64 import b64encode
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pvzoo.testing.compare import values_difference
from pvzoo.testing.rules import Broken, NotApplicable, must, rule, said
from pvzoo.testing.subject import Subject


@rule(
    "Let `postprocess` leave `outputs` and `meta` as they are (they are used again for another "
    "threshold), and give each option of a task of your own a type hint that a page can ask for: "
    "a number, a truth value, texts, or what JSON says."
)
def opens_in_demo(s: Subject) -> None:
    """It opens in the demo, whose endpoint answers what predict answers, and again the same."""
    if importlib.util.find_spec("gradio") is None:
        raise NotApplicable('Gradio is not installed: pip install "pvzoo[demo]".')
    from pvzoo.demo import build

    app = build([s.model], examples=[])
    (ask,) = [fn.fn for fn in app.fns.values() if fn.fn and fn.api_name == "predict"]
    taken = dict(list(inspect.signature(ask).parameters.items())[1:])  # the image is the first
    given = s.options()
    if hidden := given.keys() - taken.keys():
        raise NotApplicable(f"A page does not ask for {', '.join(sorted(hidden))}.")
    values = [
        _typed(given[name], name) if name in given else _unsaid(parameter)
        for name, parameter in taken.items()
    ]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "image.png"
        s.image.save(file)
        given_image = {"url": f"data:image/png;base64,{b64encode(file.read_bytes()).decode()}"}
        expected = s.predict(str(file))
        for time in ("first", "second"):
            answer, drawn = _answer(ask, given_image, values)
            found = values_difference(_said(expected), {**answer, "source": None})
            must(not found, f"Asked for the {time} time, its endpoint says something else{found}.")
            with Image.open(drawn) as image:
                size = image.size
            must(
                size == expected.plot().size,
                f"The image that comes with it has another size, {size}.",
            )


def _answer(ask: Any, *values: Any) -> Any:
    image, rest = values
    try:
        return ask(image, *rest)
    except Exception as error:  # strangers are not told what went wrong, whoever tests it is
        raise Broken(f"Its endpoint raised {said(error.__context__ or error)}.") from error


def _said(result: Any) -> dict[str, Any]:
    return {**json.loads(result.to_json()), "source": None}


def _unsaid(parameter: inspect.Parameter) -> Any:
    return "" if parameter.default is inspect.Parameter.empty else parameter.default


def _typed(value: Any, name: str) -> Any:
    """An option as it is typed on a page: texts with commas between, or JSON."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if value is None or isinstance(value, bool | int | float | str) or name == "classes":
        return value
    if all(isinstance(part, str) for part in value):
        if any("," in part for part in value):
            raise NotApplicable(f"On a page, the texts of {name} have no commas.")
        return ", ".join(value)
    return json.dumps(value, default=lambda part: np.asarray(part).tolist())


DEMO_RULES = (opens_in_demo,)
