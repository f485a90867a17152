"""The code of the pages runs: each page in a new folder, from top to bottom, as a reader would.

A block that cannot be run says why in a comment above it (`docs/site/blocks.py`).
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from test_tutorial import same
from typer.testing import CliRunner

from pvzoo.cli.app import app

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "docs" / "site"))
import blocks  # noqa: E402

EXAMPLES = ROOT / "pvzoo" / "demo" / "examples"
ELSEWHERE = {"docs/tutorial.md": "test_tutorial.py", "docs/plugins.md": "test_plugin_docs.py"}
"""Pages whose Python and commands other tests run."""
SLOW = {
    "README.md": "checks 2,500 images",
    "docs/choosing.md": "measures speed",
    "docs/data.md": "reads, fixes and writes data several times",
    "docs/export.md": "exports",
    "docs/fine-tuning.md": "trains",
    "docs/install.md": "checks all plugins",
    "docs/report.md": "evaluates 500 images",
    "docs/tour.md": "exports",
    "plugins/pvzoo-shapes/README.md": "draws 2,000 scenes",
}
"""Pages that take too long to run for every change, and why."""


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def code(page: Path) -> list[blocks.Block]:
    return [block for block in blocks.blocks(page) if block.language in blocks.CODE]


PAGES = [
    pytest.param(page, marks=[pytest.mark.slow] if name(page) in SLOW else [], id=name(page))
    for page in blocks.pages()
    if any(not block.reason for block in code(page)) and name(page) not in ELSEWHERE
]


@pytest.fixture
def reader(tmp_path, monkeypatch) -> Path:
    """A new working folder, and a shell that finds pvzoo."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv(
        "PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    )
    return tmp_path


def write_own_files(text: str) -> None:
    """What the reader of a page has: photographs, and a COCO folder with three splits."""
    for file, image in {"photo": "coffee", "group": "astronaut", "scene": "scene"}.items():
        shutil.copy(EXAMPLES / f"{image}.jpg", f"{file}.jpg")
    if "pvzoo sample photos" not in text:
        shutil.copytree(EXAMPLES, "photos", ignore=shutil.ignore_patterns("*.md"))
    if not re.search(r"\bcells\b", text):
        return
    import datasets
    import pvzoo_shapes

    from pvzoo import data

    sizes = {"train": 16, "validation": 8, "test": 8}
    splits = {
        split: pvzoo_shapes.scenes(count=count, seed=count + len(split))
        for split, count in sizes.items()
    }
    data.write(datasets.DatasetDict(splits), "cells", "coco")


def run_pvzoo(arguments: str) -> tuple[int, str]:
    """The exit code and the standard output of a pvzoo command, without a new process."""
    done = CliRunner().invoke(app, shlex.split(arguments, comments=True), catch_exceptions=False)
    return done.exit_code, done.stdout


def run_command(command: str) -> tuple[int, str]:
    """The same for a line of a shell."""
    plain = re.fullmatch(
        r"pvzoo (?P<arguments>[^|&;<>*`$]*?)(?: > (?P<file>[\w./-]+))?\s*", command
    )
    if plain is None:
        done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout
    exit_code, output = run_pvzoo(plain["arguments"])
    if plain["file"]:
        Path(plain["file"]).write_text(output, encoding="utf-8")
        output = ""
    return exit_code, output


def commands(block: str) -> Iterator[tuple[str, str]]:
    """Each command of a console block, and the output that is shown for it."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, *shown = re.split(r"(?<!\\)\n", part, maxsplit=1)
        # comments may go on in a line of their own
        yield command.replace("\\\n", " "), re.sub(r"^ +#.*\n", "", "".join(shown), flags=re.M)


def run_console(block: blocks.Block) -> None:
    for command, shown in commands(block.code):
        bare = re.split(r"\s{2,}#", command)[0]
        expected = 1 if re.search(r"^error:", shown, re.MULTILINE) else 0
        exit_code, printed = run_command(bare)
        assert exit_code == expected, f"{name(block.page)}, line {block.line}: {bare}\n{printed}"
        head, *rest = shown.split("...\n", maxsplit=1)  # "..." is for what is left out
        lines = len(head.splitlines())
        compared = "\n".join(printed.splitlines()[:lines]) if rest else printed
        assert not head or same(head, compared), (
            f"{bare}\n--- shown\n{head}\n--- printed\n{printed}"
        )


def run_python(block: blocks.Block, names: dict[str, object]) -> None:
    # empty lines before the code, so that a traceback has the line of the page
    source = "\n" * (block.line - 1) + block.code
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        exec(compile(source, str(block.page), "exec"), names)


@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page_runs_as_written(page, reader, own_cache):
    run = [block for block in code(page) if not block.reason]
    write_own_files("".join(block.code for block in run))
    names: dict[str, object] = {"__name__": "__main__"}
    for block in run:
        if block.language == "python":
            run_python(block, names)
        elif block.language == "console":
            run_console(block)


@pytest.mark.parametrize("page", blocks.pages(), ids=name)
def test_blocks_of_data_can_be_read(page):
    for block in code(page):
        if not block.reason and block.language == "toml":
            assert tomllib.loads(block.code), f"{name(page)}, line {block.line}"
        if not block.reason and block.language == "yaml":
            assert yaml.safe_load(block.code), f"{name(page)}, line {block.line}"


def test_a_block_is_run_or_says_why_not():
    found = [block for page in blocks.pages() for block in code(page)]
    run = [block for block in found if not block.reason]
    print(blocks.count(found))
    assert len(run) > len(found) / 2
    short = [f"{name(b.page)}, line {b.line}" for b in found if b.reason and len(b.reason) < 8]
    assert not short, "a reason should say what the block needs"
    assert ELSEWHERE.keys() <= {name(page) for page in blocks.pages()}


def test_every_fence_of_a_page_is_found():
    for page in blocks.pages():
        fences = re.findall(r"^ *```\w*[ ]*$", page.read_text("utf-8"), flags=re.MULTILINE)
        assert len(fences) == 2 * len(blocks.blocks(page)), name(page)


def test_code_that_fails_is_noticed(reader):
    page = ROOT / "README.md"
    with pytest.raises(NameError):
        run_python(blocks.Block(page, 1, "python", "no_such_name", ""), {})
    with pytest.raises(AssertionError, match="no-such-model"):
        run_console(
            blocks.Block(
                page, 1, "console", "$ pvzoo info no-such-model | cat\n$ false no-such-model\n", ""
            )
        )
    with pytest.raises(AssertionError, match="shown"):
        run_console(blocks.Block(page, 1, "console", "$ echo 1 shape\n2 shapes\n", ""))


def test_a_reason_is_read_from_the_comment_above_a_block(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- not run: needs the Hub -->\n```python\na\n```\n\n```console\n$ b\n```\n", "utf-8"
    )
    assert [(b.line, b.code, b.reason) for b in blocks.blocks(page)] == [
        (3, "a\n", "needs the Hub"),
        (7, "$ b\n", ""),
    ]
    assert blocks.count(blocks.blocks(page)).splitlines()[0].startswith("1 blocks of code are run")
