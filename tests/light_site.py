"""An environment in which some packages are not installed: the others are links to those here."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

ROOT = Path(__file__).parents[1]
NETWORK = ("torch", "torchvision", "transformers", "timm", "accelerate")
"""The packages with networks."""
WAYS = (str(ROOT), *(str(path.parent) for path in ROOT.glob("plugins/*/pyproject.toml")))


class LightSite:
    """A folder of packages, and Python that sees no others.

    Args:
        folder: Where it is made.
        without: Names of the packages that are left out.
    """

    def __init__(self, folder: Path, without: Collection[str]) -> None:
        self.folder = folder
        folder.mkdir()
        for site in map(Path, sys.path):
            if site.name not in ("site-packages", "dist-packages"):
                continue
            for entry in site.iterdir():
                package = entry.name.partition("-")[0].partition(".")[0].lower()
                link = folder / entry.name
                if package not in without and entry.suffix != ".pth" and not link.exists():
                    link.symlink_to(entry)

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run Python there."""
        paths = os.pathsep.join([*WAYS, str(Path(__file__).parent), str(self.folder)])
        return subprocess.run(
            [sys.executable, "-S", *arguments],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": paths, **variables},
        )

    def pvzoo(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the command line there."""
        return self.run("-m", "pvzoo", *arguments, **variables)
