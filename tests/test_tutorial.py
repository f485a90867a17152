"""The tutorial does what it says: its blocks run in order and print what is shown beneath them."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

TUTORIAL = Path(__file__).parents[1] / "docs" / "tutorial.md"
IMAGE = TUTORIAL.parent / "images" / "tutorial.jpg"
NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")


def steps(text: str) -> Iterator[tuple[str, str, str]]:
    """Each command or block of Python, its language, and the output shown for it."""
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)
    for index, (language, block) in enumerate(blocks):
        if language == "console":
            for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
                command, *rest = re.split(r"(?<!\\)\n", part, maxsplit=1)
                yield "console", command, "".join(rest)
        elif language == "python":
            following = blocks[index + 1] if index + 1 < len(blocks) else ("", "")
            yield "python", block, following[1] if following[0] == "text" else ""


def outputs(text: str, folder: Path) -> Iterator[tuple[str, str, str]]:
    """Each step, what it shows and what it prints when it is run, in `folder`."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    session: dict[str, object] = {}
    for language, step, shown in steps(text):
        if language == "console":
            done = subprocess.run(
                step,
                shell=True,
                capture_output=True,
                text=True,
                cwd=folder,
                env={**os.environ, "PATH": path, "COLUMNS": "100"},
            )
            assert done.returncode == 0, f"{step}\n{done.stderr}"
            yield step, shown, done.stdout
        else:
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                exec(compile(step, str(TUTORIAL), "exec"), session)
            yield step, shown, printed.getvalue()


def same(shown: str, printed: str) -> bool:
    """Whether the words are the same, and the numbers nearly: others round and train otherwise."""
    words = [NUMBER.sub("#", text).split() for text in (shown, printed)]
    numbers = [
        [float(n.replace(",", "")) for n in NUMBER.findall(text)] for text in (shown, printed)
    ]
    return words[0] == words[1] and numbers[1] == pytest.approx(numbers[0], abs=0.08, rel=0.01)


@pytest.mark.slow
def test_the_tutorial_runs_as_written_and_prints_what_it_shows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    compared = 0
    for step, shown, printed in outputs(TUTORIAL.read_text("utf-8"), tmp_path):
        if shown:
            compared += 1
            assert same(shown, printed), f"{step}\n--- shown\n{shown}\n--- printed\n{printed}"
    assert compared >= 8
    with Image.open("predicted.jpg") as made, Image.open(IMAGE) as shown:
        assert made.size == shown.size


def test_numbers_may_differ_in_their_last_digits_and_words_may_not():
    assert same("mAP 0.500, 900 images", "mAP  0.512, 904 images")
    assert not same("mAP 0.500", "mAP 0.700")
    assert not same("disc 0.5", "ring 0.5")
