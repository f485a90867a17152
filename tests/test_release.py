"""What a release needs: files for other tools, targets that exist, and wheels that are whole."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import built
import pytest
import yaml

import pvzoo

ROOT = Path(__file__).parents[1]
YAML = ["CITATION.cff", ".pre-commit-config.yaml", *sorted(ROOT.glob(".github/**/*.yml"))]


@pytest.mark.parametrize("file", YAML, ids=lambda file: Path(file).name)
def test_files_for_other_tools_can_be_read(file):
    assert isinstance(yaml.safe_load((ROOT / file).read_text("utf-8")), dict)


def test_the_workflow_calls_targets_of_the_makefile():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text("utf-8"))
    steps = [step.get("run", "") for job in workflow["jobs"].values() for step in job["steps"]]
    called = {target for step in steps for target in re.findall(r"^make ([\w-]+)", step)}
    assert {"lint", "test", "test-lowest", "docs", "build"} <= called <= targets


def test_nothing_is_published_before_everything_passed():
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text("utf-8"))["jobs"]
    assert set(jobs["publish"]["needs"]) == jobs.keys() - {"publish", "pages"}
    assert jobs["publish"]["if"] == "startsWith(github.ref, 'refs/tags/v')"


def test_the_version_is_in_one_file_alone():
    version = re.escape(pvzoo.__version__)
    for name in ("pyproject.toml", "CITATION.cff", "Makefile", "pvzoo/cli/app.py"):
        assert not re.search(rf"(?m)^version.*{version}", (ROOT / name).read_text("utf-8")), name


@pytest.fixture
def dist(tmp_path) -> Path:
    """Wheels and sdists like those of `make build`, with the files of the packages as they are."""
    for project in built.PROJECTS:
        name = project.name.replace("-", "_") if project != ROOT else "pvzoo"
        (tmp_path / f"{name}-1.0.tar.gz").write_bytes(b"")
        with zipfile.ZipFile(tmp_path / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
            for file in built.wanted(project, name):
                wheel.writestr(file, "")
            wheel.writestr(f"{name}-1.0.dist-info/licenses/LICENSE", "")
    return tmp_path


def test_whole_wheels_have_no_faults(dist):
    assert built.faults(dist) == []


def test_missing_data_and_tests_in_a_wheel_are_found(dist):
    whole = built.wanted(ROOT, "pvzoo")
    assert {"pvzoo/catalog.toml", "pvzoo/py.typed", "pvzoo/report/page.css"} <= whole
    with zipfile.ZipFile(dist / "pvzoo-1.0-py3-none-any.whl", "w") as wheel:
        for file in [*(whole - {"pvzoo/catalog.toml"}), "tests/test_cli.py", "pvzoo/tests/a.py"]:
            wheel.writestr(file, "")
    (dist / "pvzoo_depth-1.0.tar.gz").unlink()
    assert built.faults(dist) == [
        "There is no sdist of pvzoo-depth.",
        "pvzoo-1.0-py3-none-any.whl has pvzoo/tests/a.py.",
        "pvzoo-1.0-py3-none-any.whl has tests/test_cli.py.",
        "pvzoo-1.0-py3-none-any.whl lacks pvzoo/catalog.toml.",
        "pvzoo-1.0-py3-none-any.whl lacks the licence.",
    ]
