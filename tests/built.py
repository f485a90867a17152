"""What is in the wheels of a folder: all files of data, and no tests. `make build` calls it.

python tests/built.py dist
"""

from __future__ import annotations

import sys
import tomllib
import zipfile
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[1]
PROJECTS = [ROOT, *(file.parent for file in sorted(ROOT.glob("plugins/*/pyproject.toml")))]


def faults(dist: Path) -> list[str]:
    """What is wrong with the wheels and the sdists of a folder, a sentence each."""
    found = []
    for project in PROJECTS:
        about = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["project"]
        package = about["name"].replace("-", "_")
        if not list(dist.glob(f"{package}-*.tar.gz")):
            found.append(f"There is no sdist of {about['name']}.")
        wheels = list(dist.glob(f"{package}-*-py3-none-any.whl"))
        if len(wheels) != 1:
            found.append(f"There are {len(wheels)} wheels of {about['name']}, not one.")
        for wheel in wheels:
            with zipfile.ZipFile(wheel) as archive:
                names = set(archive.namelist())
            found += [f"{wheel.name} lacks {name}." for name in wanted(project, package) - names]
            if not any(name.endswith(".dist-info/licenses/LICENSE") for name in names):
                found.append(f"{wheel.name} lacks the licence.")
            found += [f"{wheel.name} has {name}." for name in names if unwanted(name, package)]
    return sorted(found)


def wanted(project: Path, package: str) -> set[str]:
    """The files of a package that its wheel must have: all but what Python compiled."""
    return {
        file.relative_to(project).as_posix()
        for file in (project / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts and file.suffix != ".pyc"
    }


def unwanted(name: str, package: str) -> bool:
    """Whether a file should not be in the wheel of a package."""
    first, *rest = PurePosixPath(name).parts
    if first != package:  # metadata of the distribution
        return not fnmatch(first, f"{package}-*.dist-info")
    template = rest[:2] == ["plugins", "scaffold"]  # templates of plugins have tests
    return not template and any(part in ("tests", "conftest.py") for part in rest)


def main() -> None:
    """Print what is wrong with the wheels, and fail if anything is."""
    wrong = faults(Path(sys.argv[1]))
    print("\n".join(wrong) or f"{len(PROJECTS)} wheels have all files of data and no tests")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
