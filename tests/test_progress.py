"""How far a long job is, and who is told: on a terminal, in a log, by a function."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import colour_model
import numpy as np
import pytest

from pvzoo.data import schema
from pvzoo.errors import UsageError
from pvzoo.progress import showing

TESTS = Path(__file__).parent
MODEL = colour_model.model(schema.DETECTION)


def arrays(count: int) -> list[np.ndarray]:
    return [np.full((8, 8, 3), i, np.uint8) for i in range(count)]


def told_by(source: Any, verb: str = "stream", **options: Any) -> list[tuple[int, int | None]]:
    """What a function is told by a verb."""
    told: list[tuple[int, int | None]] = []
    list(getattr(MODEL, verb)(source, progress=lambda *now: told.append(now), **options))
    return told


# --- functions ------------------------------------------------------------------------------------


def test_a_function_is_told_of_every_image_of_a_list() -> None:
    expected = [(i, 5) for i in range(1, 6)]
    assert told_by(arrays(5)) == told_by(arrays(5), "predict", batch_size=2) == expected


def test_a_stream_of_unknown_length_is_counted() -> None:
    assert told_by(iter(arrays(3))) == [(1, None), (2, None), (3, None)]


def test_what_is_skipped_counts_as_done() -> None:
    images = [b"no image", *arrays(2), b"no image", *arrays(1), b"no image"]
    told = told_by(images, on_error=lambda error: None)
    assert told == [(2, 6), (3, 6), (5, 6), (6, 6)]


def test_the_length_of_a_dataset_and_of_a_pattern_is_known(tmp_path: Path) -> None:
    data = colour_model.dataset(schema.DETECTION, tmp_path, 4)
    for source in (data, data["image"], str(tmp_path / "*.png")):
        assert told_by(source) == [(i, 4) for i in range(1, 5)]
    assert told_by(tmp_path) == [(i, None) for i in range(1, 5)], "a folder is read as it goes"


def test_an_evaluation_tells_of_its_own_images_only(tmp_path: Path) -> None:
    data = colour_model.dataset(schema.DETECTION, tmp_path, 4)
    told: list[tuple[int, int | None]] = []
    MODEL.evaluate(data, progress=lambda *now: told.append(now))
    assert told == [(i, 4) for i in range(1, 5)]


@pytest.mark.parametrize("progress", ["yes", 1, 0.5])
def test_what_is_neither_a_switch_nor_a_function_is_refused(progress: Any) -> None:
    with pytest.raises(UsageError, match="progress is"):
        MODEL.predict(arrays(1), progress=progress)


# --- a terminal -----------------------------------------------------------------------------------

PROGRAM = """
import sys, time
sys.path.insert(0, {tests!r})
import colour_model, numpy as np
import pvzoo.progress
pvzoo.progress.SOON = {soon}
model = colour_model.model("object-detection")
images = [np.full((8, 8, 3), i, np.uint8) for i in range(30)]
def slowly():
    for image in images:
        time.sleep(0.02)
        yield image
class Sized:
    __len__ = lambda self: len(images)
    __iter__ = lambda self: slowly()
source = Sized() if {sized} else slowly()
for place, result in enumerate(model.stream(source, batch_size=1, progress={progress})):
    print("result", place, flush=True)
print("rich" in sys.modules)
"""


def run(
    *, progress: bool | None, terminal: bool, sized: bool = True, soon: float = 0.1
) -> tuple[str, str]:
    """What a program prints, to a file, and what it shows on standard error."""
    program = PROGRAM.format(tests=str(TESTS), progress=progress, sized=sized, soon=soon)
    command = [sys.executable, "-c", program]
    if not terminal:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return done.stdout, done.stderr
    ours, theirs = pty.openpty()
    seen: list[bytes] = []

    def read() -> None:
        try:
            while piece := os.read(ours, 4096):
                seen.append(piece)
        except OSError:  # the program has ended
            pass

    reader = threading.Thread(target=read)
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=theirs, text=True, env=environment
    ) as process:
        os.close(theirs)
        reader.start()
        printed = process.communicate()[0]
    reader.join()
    os.close(ours)
    assert process.returncode == 0, b"".join(seen).decode()
    return printed, b"".join(seen).decode()


RESULTS = "".join(f"result {i}\n" for i in range(30))


def test_a_long_job_shows_a_bar_on_a_terminal_and_a_file_gets_what_is_printed() -> None:
    printed, seen = run(progress=None, terminal=True)
    assert printed == f"{RESULTS}True\n"
    assert "images" in seen
    assert "/30" in seen
    assert "result" not in seen


def test_a_job_of_unknown_length_shows_a_count() -> None:
    _, seen = run(progress=None, terminal=True, sized=False)
    assert "/?" in seen


def test_a_short_job_shows_nothing_unless_it_is_told_to() -> None:
    assert run(progress=None, terminal=True, soon=60) == (f"{RESULTS}False\n", "")
    assert "/30" in run(progress=True, terminal=True, soon=60)[1]


def test_false_shows_nothing() -> None:
    assert run(progress=False, terminal=True) == (f"{RESULTS}False\n", "")


@pytest.mark.slow
def test_nothing_is_shown_where_no_one_looks_unless_it_is_told_to() -> None:
    assert run(progress=None, terminal=False) == (f"{RESULTS}False\n", "")
    printed, log = run(progress=True, terminal=False)
    assert printed == f"{RESULTS}False\n"
    first, last = log.splitlines()
    assert first.startswith("images: 1 of 30, 0 s, ")
    assert first.endswith(" left")
    assert last.startswith("images: 30 of 30, ")
    assert (
        run(progress=True, terminal=False, sized=False)[1]
        .splitlines()[-1]
        .startswith("images: 30, ")
    )


def test_a_job_that_fails_leaves_its_last_line(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with showing(True, "steps") as show:
            show(1, 7200)
            show(2, 7200)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [line[:20] for line in capsys.readouterr().err.splitlines()] == [
        "steps: 1 of 7,200, 0",
        "steps: 2 of 7,200, 0",
    ]
