"""Write and find checkpoints that are either complete or not there.

A checkpoint is first written to a temporary folder, with a manifest of its files. The folder is
synced to the disk and then renamed. A folder without a manifest, or with files that differ from its
manifest, is not a checkpoint.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path

from pvzoo.errors import PvzooWarning

MANIFEST = "manifest.json"
REQUIRED = ("model.safetensors", "optimizer.pt", "scheduler.pt", "trainer_state.json")
"""A run needs these files, and the RNG state of each process, to continue exactly."""

_NAME = re.compile(r"checkpoint-(\d+)")


def path_of(output_dir: Path, step: int) -> Path:
    """Where the checkpoint of a step is."""
    return output_dir / f"checkpoint-{step}"


def part(output_dir: Path, step: int) -> Path:
    """Where a checkpoint is while it is being written. `steps` does not find this name."""
    return output_dir / f".checkpoint-{step}.part"


def seal(output_dir: Path, step: int) -> Path:
    """Turn the written `part` into the checkpoint of a step, in one rename: all or nothing.

    Raises:
        OSError: The disk is full or cannot be reached.
    """
    written, final = part(output_dir, step), path_of(output_dir, step)
    files = {file.name: _stamp(file) for file in sorted(written.iterdir())}
    (written / MANIFEST).write_text(json.dumps(files, indent=1))
    for file in (*written.iterdir(), written):
        _sync(file)
    discard(final)
    written.rename(final)
    _sync(output_dir)
    return final


def discard(folder: Path) -> None:
    """Remove a checkpoint. If the process is killed meanwhile, the rest is not a checkpoint."""
    if folder.exists():
        doomed = folder.with_name(f".{folder.name}.deleted")
        shutil.rmtree(doomed, ignore_errors=True)
        folder.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)


def sweep(output_dir: Path) -> None:
    """Remove half-written and half-deleted checkpoints of runs that were killed."""
    for pattern in (".checkpoint-*.part", ".checkpoint-*.deleted"):
        for folder in output_dir.glob(pattern):
            shutil.rmtree(folder, ignore_errors=True)


def steps(output_dir: Path) -> list[int]:
    """The steps that have a checkpoint folder, complete or not, in ascending order."""
    found = (_NAME.fullmatch(p.name) for p in output_dir.glob("checkpoint-*"))
    return sorted(int(match[1]) for match in found if match)


def latest(output_dir: Path, processes: int) -> Path | None:
    """The newest complete checkpoint; a `PvzooWarning` names newer ones that are damaged.

    Args:
        output_dir: Where the run writes.
        processes: How many processes the run has; each needs its own RNG state.
    """
    for step in reversed(steps(output_dir)):
        folder = path_of(output_dir, step)
        problem = next(_problems(folder, processes), None)
        if problem is None:
            return folder
        warnings.warn(
            f"{folder} is not a complete checkpoint ({problem}); pvzoo uses the one before it.",
            PvzooWarning,
            stacklevel=2,
        )
    return None


def _problems(folder: Path, processes: int) -> Iterator[str]:
    """What is wrong with a checkpoint; nothing if it is complete."""
    try:
        files = json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError, RecursionError) as error:
        yield f"its manifest cannot be read: {error}"
        return
    if not isinstance(files, dict):
        yield "its manifest lists no files"
        return
    rng = [f"rng_state_{i}.pth" for i in range(processes)] if processes > 1 else ["rng_state.pth"]
    for name in (*REQUIRED, *rng):
        if name not in files:
            yield f"the file {name} is missing"
    for name, stamp in files.items():
        try:
            if _stamp(folder / name) != stamp:
                yield f"{name} has changed since it was written"
        except OSError as error:
            yield f"{name} cannot be read: {error}"


def _stamp(file: Path) -> dict[str, int | str]:
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    return {"bytes": file.stat().st_size, "sha256": digest}


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
