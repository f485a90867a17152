"""The rule about demos: every model opens in one."""

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
from pvzoo.testing.rules import Broken, NotApplicable, error_line, must, rule
from pvzoo.testing.subject import Subject


@rule(
    "Do not change `outputs` and `meta` in `postprocess` (they are used again for another "
    "threshold). If the task is your own, give each option a type hint that a page can show: a "
    "number, a bool, texts, or a value for JSON."
)
def opens_in_demo(s: Subject) -> None:
    """It opens in the demo, and two calls of its endpoint both give the result of predict."""
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
        _typed(given[name], name) if name in given else _default(parameter)
        for name, parameter in taken.items()
    ]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "image.png"
        s.image.save(file)
        given_image = {"url": f"data:image/png;base64,{b64encode(file.read_bytes()).decode()}"}
        expected = s.predict(str(file))
        for time in ("first", "second"):
            answer, drawn = _answer(ask, given_image, values)
            found = values_difference(_as_json(expected), {**answer, "source": None})
            must(
                not found,
                f"The {time} answer of its endpoint differs from the result of predict: "
                f"answer{found}.",
            )
            with Image.open(drawn) as image:
                size = image.size
            must(
                size == expected.plot().size,
                f"The annotated image has the size {size}, not {expected.plot().size}.",
            )


def _answer(ask: Any, *values: Any) -> Any:
    image, rest = values
    try:
        return ask(image, *rest)
    except Exception as error:  # visitors of a demo do not see the cause; the test does
        raise Broken(f"Its endpoint raised {error_line(error.__context__ or error)}.") from error


def _as_json(result: Any) -> dict[str, Any]:
    return {**json.loads(result.to_json()), "source": None}


def _default(parameter: inspect.Parameter) -> Any:
    return "" if parameter.default is inspect.Parameter.empty else parameter.default


def _typed(value: Any, name: str) -> Any:
    """An option as a user types it on a page: texts separated by commas, or JSON."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if value is None or isinstance(value, bool | int | float | str) or name == "classes":
        return value
    if all(isinstance(part, str) for part in value):
        if any("," in part for part in value):
            raise NotApplicable(f"A page cannot take texts with commas for {name}.")
        return ", ".join(value)
    return json.dumps(value, default=lambda part: np.asarray(part).tolist())


DEMO_RULES = (opens_in_demo,)
