"""Make the links of READMEs absolute, in place: a package index shows them without the repository.

    python docs/site/absolute_links.py FOLDER

`make build` calls it with a copy of the repository.
"""

from __future__ import annotations

import posixpath
import re
import sys
from pathlib import Path

from pages import LINK, REPOSITORY, ROOT, outside_code

RAW = REPOSITORY.replace("https://github.com", "https://raw.githubusercontent.com")


def absolute(text: str, source: str) -> str:
    """A page of the repository, at the path `source`, with absolute links and images."""

    def link(match: re.Match[str]) -> str:
        before, address, after = match.groups()
        if "://" in address or address.startswith(("#", "mailto:")):
            return match[0]
        path, *anchor = re.split("(?=#)", address, maxsplit=1)
        inside = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        if before.startswith("!"):
            return f"{before}{RAW}/main/{inside}{after}"
        kind = "tree" if (ROOT / inside).is_dir() else "blob"
        return f"{before}{REPOSITORY}/{kind}/main/{inside}{''.join(anchor)}{after}"

    return outside_code(text, lambda part: LINK.sub(link, part))


def main() -> None:
    """Change the READMEs of pvzoo and of its plugins in a folder."""
    folder = Path(sys.argv[1])
    for file in [folder / "README.md", *folder.glob("plugins/*/README.md")]:
        source = file.relative_to(folder).as_posix()
        file.write_text(absolute(file.read_text("utf-8"), source), encoding="utf-8")


if __name__ == "__main__":
    main()
