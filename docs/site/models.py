"""The pages of the catalogue: a table of all models, and a page for each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from pages import ROOT, write

from pvzoo.catalog.cards import Card
from pvzoo.catalog.catalogue import catalogue
from pvzoo.families import FAMILIES

_RUNTIMES = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}
_TRAINED = (
    "image-classification",
    "object-detection",
    "semantic-segmentation",
    "instance-segmentation",
    "panoptic-segmentation",
)
_PREDICT = {
    "image-classification": "result = model.predict(image, top_k=5)\nresult.names, result.scores",
    "object-detection": "result = model.predict(image)\nresult.boxes, result.scores, result.names",
    "instance-segmentation": "result = model.predict(image)\nresult.masks, result.scores",
    "semantic-segmentation": "result = model.predict(image)\nresult.map, result.names",
    "panoptic-segmentation": "result = model.predict(image)\nresult.map, result.segments",
    "depth-estimation": "result = model.predict(image)\nresult.depth",
    "mask-generation": "result = model.predict(image, points=[[500, 375]])\nresult.masks",
    "zero-shot-object-detection": (
        'result = model.predict(image, prompts=["a cat", "remote control"])\n'
        "result.boxes, result.names"
    ),
    "zero-shot-image-classification": (
        'result = model.predict(image, prompts=["a cat", "a dog"])\nresult.names, result.scores'
    ),
}


def cards() -> list[Card]:
    """The cards of pvzoo and its first-party plugins, by name."""
    ours = {"pvzoo"} | {f.parent.name for f in (ROOT / "plugins").glob("*/pyproject.toml")}
    return sorted((c for c in catalogue().cards if c.dist in ours), key=lambda card: card.name)


def make(into: Path) -> int:
    """Write the pages of the catalogue, and return the number of models."""
    found = cards()
    write(into / "models" / "index.md", table(found))
    for card in found:
        write(into / "models" / f"{card.name}.md", page(card))
    return len(found)


def table(found: Sequence[Card]) -> str:
    """The table of all models; `theme/catalogue.js` filters and sorts it."""
    headings = ("Model", "Task", "Size", "Licence", "Reported")
    rows = []
    for card in found:
        size = f'<td data-value="{card.params or 0}">{card.size_text}</td>'
        cells = (card.task, card.license_text, card.reported or "unknown")
        task, licence, reported = (f"<td>{escape(cell)}</td>" for cell in cells)
        words = escape(" ".join([card.name, *card.aliases, card.family or "", str(card.source)]))
        rows.append(
            f'<tr data-words="{words}" data-task="{card.task}" '
            f'data-permissive="{"yes" if card.permissive else "no"}">'
            f'<td><a href="{card.name}.md">{card.name}</a></td>{task}{size}{licence}{reported}</tr>'
        )
    tasks = "".join(f"<option>{task}</option>" for task in sorted({c.task for c in found}))
    head = "".join(f"<th>{heading}</th>" for heading in headings)
    return f"""---
hide: [toc]
---

# All models

The {len(found)} models of pvzoo and its first-party plugins. Reported figures are the authors' own;
the page of a model names their source. Unknown facts are shown as unknown. `pvzoo list` and
`pvzoo.list_models` search the same cards: [the catalogue](../catalog.md).

<div class="catalogue-search" hidden>
<input type="search" placeholder="Name, family or repo" aria-label="Search the models">
<select aria-label="Task"><option value="">any task</option>{tasks}</select>
<label><input type="checkbox"> permissive licence</label>
<output></output>
</div>

<div class="catalogue">
<table>
<thead><tr>{head}</tr></thead>
<tbody>
{chr(10).join(rows)}
</tbody>
</table>
</div>
"""


def page(card: Card) -> str:
    """The page of a model."""
    facts = "\n".join(f"| {heading} | {_cell(value)} |" for heading, value in _facts(card))
    figures = "\n".join(
        f"| {m.name} | {m.value:g} | {_cell(m.dataset)} | {_cell(m.source)} |" for m in card.metrics
    )
    parts = [
        f"# {card.name}",
        f"{(card.summary or _kind(card)).rstrip('.')}. Back to [all models](index.md).",
        f"| fact | value |\n| --- | --- |\n{facts}",
        "## Reported figures",
        f"| metric | value | data | source |\n| --- | --- | --- | --- |\n{figures}"
        if figures
        else "None were found.",
        "## Predict",
        f'```python\nimport pvzoo\n\nmodel = pvzoo.load("{card.name}")\n'
        f"{_PREDICT[card.task].replace('image', chr(34) + 'street.jpg' + chr(34), 1)}\n```",
        _install(card),
        "## Fine-tune",
        _fine_tune(card),
        "## Export",
        _export(card),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _kind(card: Card) -> str:
    return f"A model for {card.task.replace('-', ' ')}."


def _facts(card: Card) -> list[tuple[str, str]]:
    headings = {"name", "what", "reported"}
    facts = [(h, v) for h, v in card.lines if h not in headings and v]
    if card.source.hub:
        link = f"[{card.source.hub}](https://huggingface.co/{card.source.hub})"
        facts = [(h, link if h == "weights" else v) for h, v in facts]
    return facts


def _cell(text: str | None) -> str:
    return (text or "unknown").replace("|", "\\|").replace("\n", " ")


def _install(card: Card) -> str:
    extra = "" if card.adapter.endswith(":cascade") else "[torch]"
    plugin = "" if card.dist == "pvzoo" else f" {card.dist}"
    return f'It needs `pip install "pvzoo{extra}"{plugin}`.'


def _fine_tune(card: Card) -> str:
    if why := _untrained(card):
        return why
    return (
        f'```python\ntuned = pvzoo.load("{card.name}").fine_tune(\n'
        '    "my-data/", epochs=20, output_dir="runs/mine"\n)\n```\n\n'
        "[Fine-tune](../fine-tuning.md) says what happens, and which settings there are."
    )


def _untrained(card: Card) -> str:
    """Why a model cannot be fine-tuned, as a sentence; "" if it can."""
    if card.dist == "pvzoo-depth":
        trained = card.family in ("depth_anything", "dpt", "glpn")
        return "" if trained else "Models of this family cannot be fine-tuned yet."
    family = FAMILIES.get(card.family or "")
    if card.task not in _TRAINED or card.adapter.endswith(":cascade"):
        return "This kind of model cannot be fine-tuned."
    if family and family.untrained:
        return f"It cannot be fine-tuned: {family.untrained}."
    return ""


def _export(card: Card) -> str:
    rows = _proofs(card)
    if rows and all(row["verdict"] == "refused" for row in rows):
        return f"It cannot be exported: {rows[0]['why']}."
    if card.adapter.endswith(":cascade"):
        return "It is not a neural network and runs without PyTorch: there is nothing to export."
    code = (
        f'```python\npvzoo.load("{card.name}").export("{card.name}-onnx")\n```\n\n'
        "The export is compared with the original on real images before you get it "
        "([export](../export.md))."
    )
    proven = [row for row in rows if row["verdict"] == "certified"]
    if not proven:
        return f"{code} No network of this family was tried for this page."
    names = " and ".join(sorted({_RUNTIMES[row["runtime"]] for row in proven}))
    what = "a tiny network of timm" if card.adapter == "timm" else "a tiny network of this family"
    return f"{code} In the [list of families](../parity.md), {what} is certified for {names}."


def _proofs(card: Card) -> list[dict[str, Any]]:
    """The rows of docs/parity.json about the family of a model and its task."""
    rows = json.loads((ROOT / "docs" / "parity.json").read_text(encoding="utf-8")).values()
    if card.adapter == "timm":
        return [row for row in rows if row["family"] is None and row["task"] == card.task]
    return [row for row in rows if row["family"] == card.family and row["task"] == card.task]
