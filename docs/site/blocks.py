"""The blocks of code in the pages: which there are, and why some are not run.

`tests/test_docs_code.py` runs them. A block that it cannot run has a comment right above it that
says why: ``<!-- not run: needs the Hub -->``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pages import ROOT

CODE = ("python", "console", "toml", "yaml")
"""Languages that are code. Other blocks show output, or the layout of folders."""

_BLOCK = re.compile(
    r"(?:^<!-- not run: (?P<reason>[^\n]*?) -->\n+)?"
    r"^(?P<indent> *)```(?P<language>\w*)\n(?P<code>.*?)^(?P=indent)```[ ]*$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A block of a page. `line` is that of its first line of code; `reason` is "" if it is run."""

    page: Path
    line: int
    language: str
    code: str
    reason: str


def pages() -> list[Path]:
    """The pages whose code is run: README.md, docs/ and the READMEs of the plugins."""
    docs, plugins = (ROOT / "docs").glob("*.md"), (ROOT / "plugins").glob("*/README.md")
    return [ROOT / "README.md", *sorted(docs), *sorted(plugins)]


def blocks(page: Path) -> list[Block]:
    """All blocks of a page, those that show output too."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            page,
            text.count("\n", 0, match.start("code")) + 1,
            match["language"],
            match["code"],
            match["reason"] or "",
        )
        for match in _BLOCK.finditer(text)
    ]


def count(found: Iterable[Block]) -> str:
    """How many blocks of code are run and how many are not, as text: a line for each reason."""
    reasons = Counter(block.reason for block in found if block.language in CODE)
    run = reasons.pop("", 0)
    lines = [f"{run} blocks of code are run by the tests, {reasons.total()} are not:"]
    return "\n".join([*lines, *(f"  {n:3}  {reason}" for reason, n in reasons.most_common())])
