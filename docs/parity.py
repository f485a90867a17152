"""Which families give the same answers when they are exported, as a page.

    python docs/parity.py [NAME ...]

Exports the tiny networks of ``tests/trained_models.py`` (all, or those named) for every task and
runtime, keeps what came of it in ``docs/parity.json``, and writes ``docs/parity.md`` from that.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

DOCS = Path(__file__).parent
TESTS = DOCS.parent / "tests"
RESULTS = DOCS / "parity.json"
PAGE = DOCS / "parity.md"
RUNTIMES = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}

_HEAD = """# Parity of exports

Does an exported network give the results of the original? pvzoo proves it at every export
([export.md](export.md)), so your own model is proven with its own weights. This page says what to
expect: for each family, task and runtime, whether a tiny network of the family passed that proof.

The networks are in `tests/trained`; `tests/trained_models.py` makes them. They were trained for 80
or 160 steps on drawn shapes, so that their scores differ as a trained network's do. They do not
detect well. Those marked "random weights" are not trained at all.

After "certified" stands the largest difference of a raw output, as a share of its range; 1e-3 is
allowed. Boxes, masks, maps, classes and scores were compared too. "sizes" says whether the exported
network takes inputs of any size or of one.

This page is made by `docs/parity.py`."""


def prove(name: str) -> dict[str, dict[str, Any]]:
    """Export a network for all its tasks and both runtimes: the rows of the page.

    Returns:
        By "name, task, runtime": the family, whether it was trained, and the verdict.
    """
    from trained_models import CHECKPOINTS

    found = {}
    with _graphs_written_once():
        for task in CHECKPOINTS[name].tasks:
            for runtime in RUNTIMES:
                found[f"{name}, {task}, {runtime}"] = prove_one(name, task, runtime)
    return found


def prove_one(name: str, task: str, runtime: str) -> dict[str, Any]:
    """Export a network for a task and a runtime: a row of the page."""
    from trained_models import CHECKPOINTS, opened

    from pvzoo.errors import PvzooError

    row = {
        "name": name,
        "task": task,
        "runtime": runtime,
        "trained": bool(CHECKPOINTS[name].rate),
    }
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        model = opened(name, task)
        row["family"] = model.network.spec.family
        try:
            certificate = model.export(Path(folder) / "export", runtime=runtime)
        except PvzooError as error:
            return {**row, "verdict": "refused", "why": model.network.unexported or str(error)}
    return {
        **row,
        "verdict": certificate.verdict,
        "apart": max(certificate.outputs.values()),
        "sizes": len(certificate.sizes),
        "compared": certificate.tally.rows,
    }


@contextmanager
def _graphs_written_once() -> Iterator[None]:
    """Within it the ONNX files of one network are written once, whatever task they are for.

    They are the same for each, and take most of the time.
    """
    from pvzoo.export import onnx

    write, kept = onnx.write_graphs, {}
    with tempfile.TemporaryDirectory() as whole:

        def once(network: Any, found: Any, folder: Path) -> Any:
            if not kept:
                kept.update(write(network, found, Path(whole)))
            for file in Path(whole).iterdir():
                shutil.copy(file, folder)
            return dict(kept)

        with patch.object(onnx, "write_graphs", once):
            yield


def rows_wanted() -> set[tuple[str, str]]:
    """Each family of the records with each of its tasks."""
    from pvzoo.data import schema
    from pvzoo.families import FAMILIES
    from pvzoo.families.base import CLASSIFICATION, DETECTION, SEMANTIC

    heads = {
        CLASSIFICATION: schema.CLASSIFICATION,
        DETECTION: schema.DETECTION,
        SEMANTIC: schema.SEMANTIC,
    }
    found = set()
    for name, family in FAMILIES.items():
        if not family.refused:
            found |= {(name, heads[head]) for head in family.heads if head in heads}
            found |= {(name, task) for task in (family.masks.tasks if family.masks else ())}
    return found


def page(results: dict[str, dict[str, Any]]) -> str:
    """The page, as Markdown."""
    parts = [_HEAD]
    tasks = sorted({row["task"] for row in results.values()})
    for task in tasks:
        title = task.replace("-", " ").capitalize()
        rows = [row for row in results.values() if row["task"] == task]
        parts += [f"## {title}", _table(rows)]
    tried = {(row["family"], row["task"]) for row in results.values()}
    left = sorted(rows_wanted() - tried)
    if left:
        names = ", ".join(f"`{name}` ({task})" for name, task in left)
        parts += ["## Not tried", f"Nothing is known of these yet: {names}."]
    return "\n\n".join(parts) + "\n"


def _table(rows: Sequence[dict[str, Any]]) -> str:
    lines = [("model type", "network", *RUNTIMES.values(), "sizes"), ("---",) * (3 + len(RUNTIMES))]
    for name in sorted({row["name"] for row in rows}, key=lambda n: (_family(rows, n), n)):
        mine = {row["runtime"]: row for row in rows if row["name"] == name}
        first = next(iter(mine.values()))
        network = name if first["trained"] else f"{name}, random weights"
        sizes = {row.get("sizes") for row in mine.values()} - {None}
        said = "" if not sizes else "any" if max(sizes) > 1 else "one"
        told = (_cell(mine[runtime]) if runtime in mine else "" for runtime in RUNTIMES)
        lines.append((f"`{_family(rows, name)}`", network, *told, said))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _family(rows: Sequence[dict[str, Any]], name: str) -> str:
    return next(row["family"] or "timm" for row in rows if row["name"] == name)


def _cell(row: dict[str, Any]) -> str:
    if row["verdict"] == "refused":
        return f"refused: {row['why']}"
    return f"{row['verdict']}, {row['apart']:.0e}"


def main(names: Sequence[str]) -> None:
    """Prove what is named, or all, and write the page."""
    sys.path.insert(0, str(TESTS))
    from trained_models import CHECKPOINTS

    for name in names or CHECKPOINTS:
        found = prove(name)
        kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        kept = {key: row for key, row in kept.items() if row["name"] in CHECKPOINTS} | found
        RESULTS.write_text(json.dumps(dict(sorted(kept.items())), indent=1) + "\n")
        PAGE.write_text(page(kept), encoding="utf-8")
        for key, row in found.items():
            print(f"{key}: {_cell(row)}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
