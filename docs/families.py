"""What pvzoo knows of each family of transformers, as a page.

python docs/families.py > docs/families.md
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pvzoo.families import FAMILIES, Family
from pvzoo.families.base import CLASSIFICATION, DETECTION, SEMANTIC
from pvzoo.families.recipes import CLASSIFIER, UPERNET

_HEAD = """# Families

What pvzoo knows of each family of networks of transformers, by the `model_type` of a config. The
records are in [`pvzoo/families/records.py`](../pvzoo/families/records.py), what each field means in
[`pvzoo/families/base.py`](../pvzoo/families/base.py), the numbers of each recipe in
[`pvzoo/families/recipes.py`](../pvzoo/families/recipes.py).
[differences.md](differences.md) says where this differs from transformers,
[preprocessing.md](preprocessing.md) whose images are prepared without PyTorch. A plugin brings
records of its own ([plugins.md](plugins.md)).

A detector that no record names is read by the `post_process_object_detection` of its own processor,
with a warning. A classifier or a network that scores pixels needs no record.

This page is made by `docs/families.py`."""

_SCALING = {
    "bilinear": "bilinear",
    "aligned": "bilinear, corners aligned",
    "bicubic": "bicubic, of probabilities",
}


def page() -> str:
    """The page, as Markdown."""
    families = sorted(FAMILIES.items())
    parts = [_HEAD]
    for title, text, columns, belongs in _SECTIONS:
        names = [n for n, family in families if belongs(family) and not family.refused]
        rows = [[f"`{n}`", *(cell(FAMILIES[n]) for cell in columns.values())] for n in names]
        parts += [f"## {title}", text, _table(("model type", *columns), rows)]
    classifiers = [n for n, family in families if CLASSIFICATION in family.heads]
    own = ", ".join(f"`{n}`" for n in classifiers if FAMILIES[n].recipe)
    recipe = CLASSIFIER.source
    parts += [
        "## Classifiers",
        f"{', '.join(f'`{n}`' for n in classifiers)}; and timm's.",
        f"They are trained by one recipe: {recipe}. Those with one of their own: {own}.",
        "## Refused",
        _table(
            ("model type", "why"),
            [[f"`{n}`", family.refused] for n, family in families if family.refused],
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    columns = list(columns)
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _boxes(family: Family) -> str:
    record = family.boxes
    if record is None:
        return "by its processor"
    if record.softmax:
        return "softmax"
    pairs = record.pairs or "as many as queries"
    return f"sigmoids, {pairs}{', in reading order' if record.reading_order else ''}"


def _tasks(family: Family) -> str:
    return ", ".join(task.partition("-")[0] for task in family.masks.tasks)


def _threshold(family: Family) -> str:
    if "panoptic-segmentation" not in family.masks.tasks:
        return ""
    others = [f"{score:g} for `{labels}`" for labels, score in family.masks.scores.items()]
    return "; ".join([f"{family.masks.score:g}", *others])


def _overlap(family: Family) -> str:
    if "panoptic-segmentation" not in family.masks.tasks:
        return ""
    return "none" if family.masks.competition == "queries" else f"{family.masks.overlap:g}"


def _detector_input(family: Family) -> str:
    notes = {"in float32 alone": family.float32, "no mask of padding": family.ignores_mask}
    return ", ".join(note for note, holds in notes.items() if holds)


def _map_input(family: Family) -> str:
    notes = {
        **{f"`{name}={value}`": True for name, value in family.options.items()},
        "no mask of padding": family.ignores_mask,
        "no centre crop": family.whole,
        "perhaps windows, for semantic maps": family.windows,
        f"padded to a multiple of {family.multiple}": family.multiple > 1,
        "the task as words": family.words,
    }
    return ", ".join(note for note, holds in notes.items() if holds)


def _recipe(family: Family) -> str:
    if family.untrained:
        return f"not trained: {family.untrained}"
    recipe = family.recipe or UPERNET
    return recipe.source + ("; not in windows" if family.windows else "")


_SECTIONS: tuple[
    tuple[str, str, dict[str, Callable[[Family], str]], Callable[[Family], bool]], ...
] = (
    (
        "Detectors",
        "Scores are a softmax, of which each query gives its best class, or sigmoids, of which the "
        "best pairs of a query and a class are taken.",
        {"boxes": _boxes, "input": _detector_input, "recipe": _recipe},
        lambda family: DETECTION in family.heads,
    ),
    (
        "Masks of queries",
        "`threshold` and `overlap` are the authors' for panoptic maps: the least class score of a "
        "query, and the least share of its own mask that it wins.",
        {
            "tasks": _tasks,
            "threshold": _threshold,
            "overlap": _overlap,
            "input": _map_input,
            "recipe": _recipe,
        },
        lambda family: family.masks is not None,
    ),
    (
        "Scores of pixels",
        "They are brought to the image by way of the network's input, with or without aligned "
        "corners, or as probabilities straight away by bicubic interpolation.",
        {
            "scaling": lambda family: _SCALING[family.pixels],
            "input": _map_input,
            "recipe": _recipe,
        },
        lambda family: SEMANTIC in family.heads,
    ),
)


if __name__ == "__main__":
    print(page(), end="")
