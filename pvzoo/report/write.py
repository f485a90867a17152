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
"""The largest number of rows in a CSV file, so that the folder stays small for large data."""
_MOST_SUSPECTS = 100
"""The largest number of suspicious labels on the page; the CSV file has more."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""A spreadsheet may compute a cell that begins with one of these characters."""


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
            "This evaluation comes from another process or a file, without its data and model.",
            "Call model.evaluate in this process, and call report on the evaluation it returns.",
        )
    if other is None or other.source is None:
        return
    if other.source.task.id != evaluation.source.task.id:
        raise UsageError(
            f"{evaluation.source.model} is for {evaluation.source.task.id}, but "
            f"{other.source.model} is for {other.source.task.id}.",
            "Compare two models of the same task.",
        )
    if (other.images, other.labels.data) != (evaluation.images, evaluation.labels.data):
        raise UsageError(
            "The two models were evaluated on different data.", "Evaluate both on the same split."
        )


def _file_names(evaluation: Evaluation, indices: Iterable[int]) -> dict[int, str]:
    """The file names of some images, by their indices."""
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
        "The 95 % interval is the range that a figure may have on other images of the same kind. "
        "It comes from a bootstrap over the images.",
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
    return [Section("Classes", "The classes of the data, in its order.", (Table(columns, rows),))]


def _suspects(suspects: Sequence[Suspect], names: Mapping[int, str]) -> Section:
    rows: list[Sequence[Cell]] = [
        (names[s.index], s.kind, s.label or "-", s.predicted or "-", float(s.suspicion))
        for s in suspects[:_MOST_SUSPECTS]
    ]
    return Section(
        "Labels that may be mistakes",
        "The model contradicts these labels with confidence, or finds no trace of the labelled "
        "object. Check them: the model may be wrong too. suspects.csv lists all of them with their "
        "boxes. The folders label-studio and cvat, if they exist, hold the model's predictions for "
        "these images; you can correct them in those tools.",
        (Table(("image", "what", "label", "prediction", "suspicion"), rows),),
    )


def _numbers(
    evaluation: Evaluation,
    worst: Sequence[ImageErrors],
    suspects: Sequence[Suspect],
    names: Mapping[int, str],
) -> dict[str, Any]:
    """All numbers of the report."""
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
    """Convert values to types that JSON has: nan to null, fractions to six decimals."""
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
    """The text of a cell; a text that a spreadsheet would compute as a formula gets a quote."""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return str(value)
