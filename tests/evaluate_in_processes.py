"""What each process of the tests of distributed evaluation runs; see test_evaluate.py.

Arguments: the folder to work in, and as JSON the cases: [name, task, number of images, image to
break or -1]. Process r writes ``<r>.json``: what `evaluate` gave or raised in each case.
"""

import json
import os
import sys
from pathlib import Path

import colour_model
from accelerate import PartialState

from pvzoo.errors import PvzooError


def analysed(found):
    """What an evaluation says of errors, as JSON has it."""
    curves = {
        name: [curve.best, *curve.at(curve.best).values()] for name, curve in found.curves.items()
    }
    worst = [[one.index, one.loss, list(one.kinds), one.about] for one in found.worst()]
    errors = {kind: dict(row) for kind, row in found.errors.items()}
    return {"curves": curves, "worst": worst, "errors": errors}


def main(folder: str, cases: str) -> None:
    rank = os.environ["RANK"]
    answers = {}
    for name, task, count, broken in json.loads(cases):
        images = Path(folder) / rank / name
        data = colour_model.dataset(task, images, count)
        if broken >= 0:
            (images / f"{broken}.png").write_bytes(b"no image")
        try:
            found = colour_model.model(task).evaluate(data, batch_size=3)
            answers[name] = {**found.to_dict(), **analysed(found)}
        except PvzooError as error:
            answers[name] = {"error": str(error)}
    answers["processes"] = PartialState().num_processes
    Path(folder, f"{rank}.json").write_text(json.dumps(answers), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
