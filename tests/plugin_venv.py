"""Plugins in a virtual environment of their own, installed by pip, beside this environment's.

The environment is made without pip and sees the packages of the one the tests run in (torch is
not installed twice), its own first. Most plugins are wheels put together here, which costs
nothing; `Dist.project` is the source tree of one, for pip and setuptools to build.
"""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
import venv
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MARK = "import os, pathlib; pathlib.Path(os.environ['PVZOO_TEST_MARKS'], __name__).touch()\n"
"""First line of a module: leaves a file behind when the module is imported."""


@dataclass(frozen=True)
class Dist:
    """A small distribution: files by their path under site-packages, entry points by group."""

    name: str
    files: Mapping[str, str] = field(default_factory=dict)
    entry_points: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    requires: tuple[str, ...] = ()

    def wheel(self, folder: Path) -> Path:
        """The distribution as a wheel in `folder`."""
        stem = f"{self.name.replace('-', '_')}-1.0"
        sections = (
            f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in points.items())
            for group, points in self.entry_points.items()
        )
        info = {
            "METADATA": f"Metadata-Version: 2.1\nName: {self.name}\nVersion: 1.0\n"
            + "".join(f"Requires-Dist: {requirement}\n" for requirement in self.requires),
            "WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            "entry_points.txt": "\n".join(sections),
        }
        files = {**self.files, **{f"{stem}.dist-info/{k}": v for k, v in info.items()}}
        record = f"{stem}.dist-info/RECORD"
        files[record] = "".join(f"{path},,\n" for path in (*files, record))
        file = folder / f"{stem}-py3-none-any.whl"
        with zipfile.ZipFile(file, "w") as archive:
            for path, text in files.items():
                archive.writestr(path, text)
        return file

    def project(self, folder: Path, *, src: bool) -> Path:
        """The distribution's source tree, in the src or the flat layout, for setuptools."""
        root = folder / self.name
        packages = sorted({path.partition("/")[0] for path in self.files})
        lines = [
            '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"',
            f'[project]\nname = "{self.name}"\nversion = "1.0"',
            *(
                f'[project.entry-points."{group}"]\n'
                + "\n".join(f'{name} = "{value}"' for name, value in points.items())
                for group, points in self.entry_points.items()
            ),
            f"[tool.setuptools]\npackages = {json.dumps(packages)}",
            'package-data = { "*" = ["catalog.toml"] }',
            'package-dir = { "" = "src" }' if src else "",
        ]
        root.mkdir()
        (root / "pyproject.toml").write_text("\n".join(lines))
        for path, text in self.files.items():
            file = root / ("src" if src else "") / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return root


class PluginVenv:
    """A virtual environment in `folder` that has what this one has, and what is installed in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._marks = folder / "marks"
        venv.create(folder / "venv", with_pip=False, symlinks=os.name != "nt")
        bin_, exe = ("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")
        self.python = folder / "venv" / bin_ / exe
        self._marks.mkdir()
        scheme = {"base": str(folder / "venv"), "platbase": str(folder / "venv")}
        self.site_packages = Path(sysconfig.get_path("purelib", "venv", scheme))
        # addsitedir, not a bare path: so the .pth files of editable installs there count too
        parents = dict.fromkeys(sysconfig.get_path(kind) for kind in ("purelib", "platlib"))
        adds = "; ".join(f"site.addsitedir({path!r})" for path in parents)
        (self.site_packages / "parent.pth").write_text(f"import site; {adds}\n")

    def install(self, *arguments: str | Path) -> None:
        """pip install, without dependencies, build isolation or the network."""
        switches = "--quiet --no-deps --no-build-isolation --no-index --disable-pip-version-check"
        done = self.call("-m", "pip", "install", *switches.split(), *map(str, arguments))
        assert done.returncode == 0, done.stdout + done.stderr

    def pvzoo(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the command line."""
        return self.call("-m", "pvzoo", *arguments, **environment)

    def evaluate(self, code: str, **environment: str) -> Any:
        """Run code that sets ``answer`` to something JSON can say, and return that."""
        tail = "\nimport json, sys; sys.stdout.write(json.dumps(answer))"
        done = self.call("-c", code + tail, **environment)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def imported(self) -> set[str]:
        """The modules that left their `MARK` since the last call."""
        marks = list(self._marks.iterdir())
        for mark in marks:
            mark.unlink()
        return {mark.name for mark in marks}

    def call(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run Python there."""
        environment = {"PVZOO_TEST_MARKS": str(self._marks), "NO_COLOR": "1", **environment}
        inherited = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        return subprocess.run(
            [str(self.python), *arguments],
            cwd=self.folder,
            env={**inherited, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
        )
