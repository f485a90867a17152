"""Whatever is killed while a bulk job runs, every input has exactly one row in the end."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.dataset as parquet
import pytest
import stand_in
from PIL import Image

IMAGES = 160
SECONDS = 0.01
"""What the stand-in takes for an image, so that there is something to interrupt."""


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A plugin, its model, and images of which two are damaged."""
    home = tmp_path_factory.mktemp("kills")
    stand_in.install(home / "plugin")
    stand_in.write_model(home / "model", SECONDS)
    (home / "images").mkdir()
    drawn = np.random.default_rng(0)
    for index in range(IMAGES):
        pixels = drawn.integers(0, 255, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(home / "images" / f"{index:04d}.png")
    for index in (7, 140):
        (home / "images" / f"{index:04d}.png").write_bytes(b"not an image")
    return home


@pytest.fixture(scope="module")
def undisturbed(made) -> list[dict]:
    assert Job(made, made / "undisturbed").wait() == 3
    return rows(made / "undisturbed")


class Job:
    """``pvzoo bulk`` in a process of its own, with all processes that it starts."""

    def __init__(self, made: Path, out: Path, workers: int = 1) -> None:
        self.out = out
        command = ["bulk", str(made / "images"), str(out), "--model", str(made / "model")]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pvzoo", *command, "--workers", str(workers)],
            env=stand_in.environment(made / "plugin"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def wait(self) -> int:
        return self.process.wait(timeout=120)

    def wait_for_parts(self, count: int) -> None:
        self._wait_for(lambda: len(list(self.out.glob("part-*"))) >= count)

    def wait_until_a_part_is_half_written(self) -> None:
        def is_writing() -> bool:
            return any(size_of(file) for file in self.out.glob("_writing/part-*"))

        self._wait_for(is_writing, pause=0)

    def _wait_for(self, happened: Callable[[], bool], pause: float = 0.01) -> None:
        end = time.monotonic() + 90
        while not happened() and self.process.poll() is None:
            assert time.monotonic() < end, "the job makes no progress"
            time.sleep(pause)

    def kill_driver(self) -> None:
        started = descendants(self.process.pid)
        self.process.kill()
        self.process.wait()
        end = time.monotonic() + 30
        while any(map(can_write, started)) and time.monotonic() < end:  # Ray ends by itself
            time.sleep(0.1)
        assert not any(map(can_write, started))
        for process in filter(is_alive, started):  # Ray leaves two agents behind
            os.kill(process, signal.SIGKILL)

    def kill_worker(self) -> None:
        workers = [p for p in descendants(self.process.pid) if b"ray::RayWorker" in command_of(p)]
        if workers:
            os.kill(random.choice(workers), signal.SIGKILL)

    def kill_all(self) -> None:
        for process in [*descendants(self.process.pid), self.process.pid]:
            if is_alive(process):
                os.kill(process, signal.SIGKILL)
        self.process.wait()


def descendants(process: int) -> list[int]:
    """The processes that a process has started, and those have started, and so on."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int(
                (folder / "stat").read_text().rpartition(")")[2].split()[1]
            )
        except OSError:  # it has ended
            continue
    found = [process]
    for parent in found:
        found += [child for child, of in parents.items() if of == parent]
    return found[1:]


def command_of(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""


def is_alive(process: int) -> bool:
    return bool(command_of(process))  # that of a zombie is empty


def can_write(process: int) -> bool:
    return is_alive(process) and b"Agent" not in command_of(process)


def size_of(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:  # it was renamed
        return 0


def rows(out: Path) -> list[dict]:
    """The rows as every reader of Parquet sees them."""
    return parquet.dataset(out).to_table().sort_by("id").to_pylist()


def test_an_undisturbed_job_has_one_row_for_each_image(made, undisturbed):
    names = sorted(str(file) for file in (made / "images").iterdir())
    assert [row["path"] for row in undisturbed] == names
    assert [row["path"][-8:] for row in undisturbed if row["error"]] == ["0007.png", "0140.png"]


def test_a_job_that_is_killed_three_times_goes_on_and_ends_like_an_undisturbed_one(
    made, undisturbed, tmp_path
):
    out = tmp_path / "out"
    for parts in (1, 3):
        job = Job(made, out)
        job.wait_for_parts(parts)
        job.kill_driver()
    job = Job(made, out)
    job.wait_until_a_part_is_half_written()
    job.kill_driver()
    assert not (out / "_manifest.json").exists()
    assert Job(made, out).wait() == 3
    assert rows(out) == undisturbed
    assert not (out / "_writing").exists()


def test_workers_on_ray_and_then_all_processes_are_killed_and_one_process_ends_the_job(
    made, undisturbed, tmp_path
):
    out = tmp_path / "out"
    job = Job(made, out, workers=2)
    job.wait_for_parts(1)
    job.kill_worker()
    job.wait_for_parts(4)  # another worker took over
    assert job.process.poll() is None
    job.kill_all()
    assert Job(made, out).wait() == 3
    assert rows(out) == undisturbed


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(30))
def test_any_kill_at_any_time_leaves_no_row_lost_or_doubled(made, undisturbed, tmp_path, seed):
    drawn = random.Random(seed)
    out = tmp_path / "out"
    on_ray = seed % 3 == 0
    kill = drawn.choice(
        [Job.kill_worker, Job.kill_driver, Job.kill_all] if on_ray else [Job.kill_driver]
    )
    job = Job(made, out, workers=2 if on_ray else 1)
    if drawn.random() < 0.3:
        job.wait_until_a_part_is_half_written()
    else:
        job.wait_for_parts(drawn.randrange(1, 8))
        time.sleep(drawn.uniform(0, 0.3))
    kill(job)
    if kill is not Job.kill_worker:
        job = Job(made, out)
    assert job.wait() == 3
    assert rows(out) == undisturbed
