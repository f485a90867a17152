"""Make the documentation site in build/site/site; needs the extra ``docs``.

    python docs/site

Copies the pages, makes those of the catalogue and of the command line, and builds strictly: a link
to a page or a heading that does not exist is an error. Nothing is fetched.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import blocks
import models
import pages

BUILD = pages.ROOT / "build" / "site"
HERE = Path(__file__).parent


def assemble(folder: Path) -> int:
    """Write all that Zensical needs into a new folder, and return the number of models."""
    into = folder / "pages"
    pages.copy(into)
    found = models.make(into)
    pages.write(into / "cli.md", command_line())
    shutil.copytree(HERE / "api", into / "api")
    for name in ("site.css", "catalogue.js"):
        shutil.copy(HERE / "theme" / name, into)
    shutil.copy(HERE / "theme" / "logo.svg", into / "images")
    shutil.copy(HERE / "mkdocs.yml", folder)
    return found


def command_line() -> str:
    """The page of the commands, by typer itself."""
    call = [sys.executable, "-m", "typer", "pvzoo.cli", "utils", "docs", "--name", "pvzoo"]
    done = subprocess.run(
        [*call, "--title", "The command line"],
        check=True,
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=pages.ROOT,
    )
    # the list of commands has their first sentence, which typer cuts; each section has it whole
    whole = dict(re.findall(r"^## `pvzoo (.+?)`\n\n(.+)$", done.stdout, re.MULTILINE))
    return re.sub(
        r"^\* `(\w[\w-]*)`: .*$",
        lambda match: f"* [`{match[1]}`](#pvzoo-{match[1]}): {whole[match[1]]}",
        done.stdout,
        flags=re.MULTILINE,
    )


def main() -> None:
    """Build the site and print what is in it."""
    shutil.rmtree(BUILD, ignore_errors=True)
    found = assemble(BUILD)
    subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict", "--clean"], check=True, cwd=BUILD
    )
    print(f"{found} models; the site is in {BUILD / 'site'}")
    print(blocks.count(block for page in blocks.pages() for block in blocks.blocks(page)))


if __name__ == "__main__":
    main()
