"""Copy the Markdown pages of the repository into a site, with links that are right there.

The pages stay readable where they are: their links go to files of the repository. A link to a file
that is a page of the site becomes a link to this page; any other becomes a link to the repository.
"""

from __future__ import annotations

import posixpath
import re
import shutil
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
_URLS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["urls"]
REPOSITORY: str = _URLS["Source"]
SITE: str = _URLS["Documentation"]
"""Links to pages that only the site has, such as those of models, begin with this."""

_FENCE = re.compile(r"^(`{3,}|~{3,})[^\n]*\n.*?^\1`*[ \t]*$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(!?\[(?:[^\[\]]|\[[^\]]*\])*\]\()([^()\s]+)(\))")
"""A link or image of Markdown: what is before the target, the target, what is after it."""


def pages() -> dict[str, str]:
    """The path of each page in the repository -> its path in the site."""
    found = {f"docs/{file.name}": file.name for file in sorted((ROOT / "docs").glob("*.md"))}
    for file in sorted((ROOT / "plugins").glob("*/README.md")):
        found[f"plugins/{file.parent.name}/README.md"] = f"plugins/{file.parent.name}.md"
    found |= {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md"}
    return found | {"CHANGELOG.md": "changelog.md"}


def copy(into: Path) -> None:
    """Write all pages and the images that they show into a folder."""
    mapped = pages()
    for source, target in mapped.items():
        if source != "README.md":  # the home page is docs/index.md
            text = (ROOT / source).read_text(encoding="utf-8")
            write(into / target, with_links(text, source, target, mapped, into))


def write(file: Path, text: str) -> None:
    """Write a text file, with its folder."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def with_links(text: str, source: str, target: str, mapped: Mapping[str, str], into: Path) -> str:
    """A page with its links as they must be in the site; copies the images that it shows."""

    def link(match: re.Match[str]) -> str:
        before, address, after = match.groups()
        start = posixpath.dirname(target) or "."
        if address.startswith(SITE):
            there = posixpath.relpath(address.removeprefix(SITE).strip("/"), start)
            return f"{before}{there}/index.md{after}"
        if "://" in address or address.startswith(("#", "mailto:")):
            return match[0]
        path, hash_mark, anchor = address.partition("#")
        inside = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        if before.startswith("!"):
            new = _image(inside, into)
        elif inside in mapped:
            new = mapped[inside]
        else:
            kind = "tree" if (ROOT / inside).is_dir() else "blob"
            return f"{before}{REPOSITORY}/{kind}/main/{inside}{hash_mark}{anchor}{after}"
        there = posixpath.relpath(new, start)
        return f"{before}{there}{hash_mark}{anchor}{after}"

    return outside_code(text, lambda part: LINK.sub(link, part))


def outside_code(text: str, change: Callable[[str], str]) -> str:
    """Change a text of Markdown, but not its blocks of code."""
    parts, end = [], 0
    for fence in _FENCE.finditer(text):
        parts += [change(text[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, change(text[end:])])


def _image(inside: str, into: Path) -> str:
    """Copy an image of the repository into the site, and return its path there."""
    name = inside.removeprefix("docs/") if inside.startswith("docs/") else f"images/{inside}"
    (into / name).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / inside, into / name)
    return name
