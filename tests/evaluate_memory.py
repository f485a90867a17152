"""Prints how far memory rises (in MB) while `count` images are evaluated; see test_evaluate.py."""

import resource
import sys
from pathlib import Path

import colour_model


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(folder: str, task: str, count: str) -> None:
    size = (240, 320)
    few = colour_model.dataset(task, Path(folder), 50, size=size)
    many = colour_model.dataset(task, Path(folder), int(count), size=size, images=50)
    model = colour_model.model(task)
    model.evaluate(few)  # what is loaded once
    before = peak()
    model.evaluate(many)
    print(before, peak())


main(*sys.argv[1:])
