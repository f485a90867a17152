"""Write a report: the page, its images, its numbers as JSON and CSV, suspects for label tools."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pvzoo.errors import UsageError
from pvzoo.hub.publish import new_folder
from pvzoo.report.compare import comparison
from pvzoo.report.gallery import chosen, write_images
from pvzoo.report.page import page
from pvzoo.report.parts import Cell, Section, Table
from pvzoo.report.review import write_review

if TYPE_CHECKING:
    from pvzoo.metrics.analysis import ImageErrors, Suspect
    from pvzoo.metrics.base import Evaluation

_MOST_ROWS = 10_000
"""Most rows of a CSV file, so that a folder stays small however many images there are."""
_MOST_SUSPECTS = 100
"""How many suspicious labels the page lists; the CSV file has more."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a cell begins with that a spreadsheet would compute."""


def write(evaluation: Evaluation, folder: Path, other: Evaluation | None) -> Path:
    """See `Evaluation.report`."""
    _check(evaluation, other)
    source = evaluation.source
    assert source is not None
    worst, suspects = evaluation.analysis.images(), evaluation.analysis.suspects()
    named = [*(one.index for one in worst), *(one.index for one in suspects)]
    names = _file_names(evaluation, named)
    with new_folder(folder) as part:
        indices = chosen(worst, suspects, evaluation.images)
        compared = comparison(evaluation, other) if other is not None else None
        if compared is not None:
            indices = list(dict.fromkeys([*compared.indices, *indices]))[:200]
            names |= _file_names(evaluation, compared.indices)
        shown = write_images(evaluation, other, indices, worst, part)
        sections = [_headline(evaluation)]
        if compared is not None:
            sections += compared.sections(names)
        sections += [*evaluation.analysis.sections(), *_per_class(evaluation)]
        if suspects:
            sections.append(_suspects(suspects, names))
            write_review(evaluation, suspects, part)
        title = f"{source.model} on {evaluation.images:,} images"
        about = [
            f"Task: {source.task.id}.",
            *filter(None, [evaluation.note, str(evaluation.labels)]),
        ]
        (part / "index.html").write_text(page(title, about, sections, shown), encoding="utf-8")
        _write_csv(
            part / "images.csv",
            ("file_name", "loss", "kinds", "classes"),
            [(names[o.index], o.loss, "; ".join(o.kinds), "; ".join(o.classes)) for o in worst],
        )
        _write_csv(
            part / "suspects.csv",
            (
                "file_name",
                "suspicion",
                "kind",
                "label",
                "predicted",
                "score",
                "left",
                "top",
                "width",
                "height",
            ),
            [
                (names[s.index], s.suspicion, s.kind, s.label, s.predicted, s.score, *(s.box or ()))
                for s in suspects
            ],
        )
        _write_csv(part / "per_class.csv", *_class_table(evaluation))
        numbers = _numbers(evaluation, worst, suspects, names)
        if compared is not None:
            numbers["comparison"] = compared.to_json(names)
        text = json.dumps(_plain(numbers), ensure_ascii=False, allow_nan=False, indent=1)
        (part / "report.json").write_text(text.replace("<", "\\u003c") + "\n", encoding="utf-8")
    return folder / "index.html"


def _check(evaluation: Evaluation, other: Evaluation | None) -> None:
    if evaluation.source is None or (other is not None and other.source is None):
        raise UsageError(
            "This evaluation came from another process or a file, without its data and model.",
            "Call model.evaluate here, and report on what it returns.",
        )
    if other is None or other.source is None:
        return
    if other.source.task.id != evaluation.source.task.id:
        raise UsageError(
            f"{evaluation.source.model} serves {evaluation.source.task.id}, and "
            f"{other.source.model} serves {other.source.task.id}.",
            "Compare two models of one task.",
        )
    if (other.images, other.labels.data) != (evaluation.images, evaluation.labels.data):
        raise UsageError(
            "The two models were evaluated on different data.", "Evaluate both on the same split."
        )


def _file_names(evaluation: Evaluation, indices: Iterable[int]) -> dict[int, str]:
    """The names of the files of some images."""
    assert evaluation.source is not None
    wanted = sorted(set(indices))
    if not wanted:
        return {}
    column = evaluation.source.dataset.select(wanted).with_format(None)["file_name"]
    return {index: str(name) for index, name in zip(wanted, column, strict=True)}


def _headline(evaluation: Evaluation) -> Section:
    rows: list[Sequence[Cell]] = []
    for name, value in evaluation.items():
        between = evaluation.intervals.get(name)
        known = between is not None and between.low == between.low
        text = f"{between.low:.3f} to {between.high:.3f}" if known and between else "-"
        rows.append((name, float(value), text))
    return Section(
        "Figures",
        "The 95 % interval says where a figure may lie for other images of the same kind, by the "
        "bootstrap over the images.",
        (Table(("figure", "value", "95 % interval"), rows),),
    )


def _class_table(evaluation: Evaluation) -> tuple[Sequence[str], list[Sequence[Cell]]]:
    columns = list(next(iter(evaluation.per_class.values()), {}))
    counts = ("support", "objects", "pixels", "segments")
    return ("class", *columns), [
        (name, *(int(row[c]) if c in counts else float(row[c]) for c in columns))
        for name, row in evaluation.per_class.items()
    ]


def _per_class(evaluation: Evaluation) -> list[Section]:
    columns, rows = _class_table(evaluation)
    if not rows:
        return []
    return [Section("Classes", "In the order of the data.", (Table(columns, rows),))]


def _suspects(suspects: Sequence[Suspect], names: Mapping[int, str]) -> Section:
    rows: list[Sequence[Cell]] = [
        (names[s.index], s.kind, s.label or "-", s.predicted or "-", float(s.suspicion))
        for s in suspects[:_MOST_SUSPECTS]
    ]
    return Section(
        "Labels that may be mistakes",
        "The model contradicts these labels with confidence, or finds no trace of what they say. "
        "Look at them: the model may be wrong as well. suspects.csv has all of them with their "
        "boxes; the folders label-studio and cvat, if they are there, hold what the model "
        "predicts for these images, to be corrected in those tools.",
        (Table(("image", "what", "label", "prediction", "suspicion"), rows),),
    )


def _numbers(
    evaluation: Evaluation,
    worst: Sequence[ImageErrors],
    suspects: Sequence[Suspect],
    names: Mapping[int, str],
) -> dict[str, Any]:
    """Every number of the report."""
    analysis = evaluation.analysis
    found = evaluation.to_dict()
    found["intervals"] = {n: [i.low, i.high] for n, i in evaluation.intervals.items()}
    found["errors"] = {kind: dict(row) for kind, row in analysis.errors.items()}
    found["curves"] = {
        name or "all classes": {
            "best": curve.best,
            "precision": curve.precision.tolist(),
            "recall": curve.recall.tolist(),
            "f1": curve.f1.tolist(),
        }
        for name, curve in analysis.curves.items()
    }
    if (scores := analysis.calibration) is not None:
        found["calibration"] = {
            "error": scores.error,
            "confidence": scores.confidence.tolist(),
            "accuracy": scores.accuracy.tolist(),
            "count": scores.count.tolist(),
        }
    found["worst"] = [_image(one, names) for one in worst[:200]]
    found["suspects"] = [{**vars(one), "file_name": names[one.index]} for one in suspects[:1000]]
    return found


def _image(one: ImageErrors, names: Mapping[int, str]) -> dict[str, Any]:
    return {**vars(one), "file_name": names[one.index]}


def _plain(value: Any) -> Any:
    """Values that JSON has: nan as null, fractions with six decimals."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float | np.floating):
        return None if math.isnan(value) else round(float(value), 6)
    return int(value) if isinstance(value, np.integer) else value


def _write_csv(file: Path, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    with file.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow([_cell(name) for name in columns])
        for row in rows[:_MOST_ROWS]:
            writer.writerow([_cell(value) for value in row])


def _cell(value: Cell) -> str:
    """A text that no spreadsheet takes for a formula; a number as it is."""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return str(value)
