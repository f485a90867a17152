"""Processes of a test's own, forked from one that has imported what takes seconds to import."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any
from unittest import mock

# installed packages alone: Python 3.11's fork server does not see the path that pytest adds to
SLOW_TO_IMPORT = (
    *("torch", "torchvision.transforms.v2", "timm", "transformers.modeling_utils"),
    *("transformers.trainer", "datasets", "pandas", "matplotlib.figure", "supervision"),
    "pvzoo.training.run",
)
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(list(SLOW_TO_IMPORT))


def start(target: Callable[..., None], *args: Any) -> BaseProcess:
    """The function in a process of its own, which has the environment of this one."""
    return _start(target, args, dict(os.environ), None)


def run_command(*args: object, **env: str) -> subprocess.CompletedProcess[str]:
    """``pvzoo`` with these arguments, no Hub, and what it wrote on its two streams."""
    told = {**os.environ, "HF_HUB_OFFLINE": "1", **env}
    words = ["pvzoo", *map(str, args)]
    with tempfile.TemporaryDirectory() as folder:
        streams = [Path(folder) / name for name in ("out", "err")]
        process = _start(_command, (words,), told, streams)
        process.join(timeout=120)
        if process.is_alive():
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(words, 120)
        texts = [stream.read_text(encoding="utf-8") for stream in streams]
    return subprocess.CompletedProcess(words, process.exitcode, *texts)


def _start(
    target: Callable[..., None], args: Any, env: dict[str, str], streams: list[Path] | None
) -> BaseProcess:
    process = _CONTEXT.Process(target=_run, args=(target, args, env, streams))
    # huggingface_hub reads it when it is imported
    with mock.patch.dict(os.environ, HF_HUB_OFFLINE="1"):
        process.start()
    return process


def _run(
    target: Callable[..., None], args: Any, env: dict[str, str], streams: list[Path] | None
) -> None:
    os.environ.clear()
    os.environ.update(env)
    for number, stream in enumerate(streams or (), 1):
        os.dup2(os.open(stream, os.O_WRONLY | os.O_CREAT), number)
    target(*args)


def _command(words: list[str]) -> None:
    from pvzoo.cli import main

    sys.argv = words
    main()
