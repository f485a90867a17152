"""The fast test suite on each Python that is found here, and with the lowest versions.

nox -s tests     each of PYTHONS with the newest versions of everything
nox -s lowest    the oldest of PYTHONS with the lowest versions that pyproject.toml allows
"""

from pathlib import Path

import nox

PYTHONS = ["3.11", "3.12", "3.13"]
PLUGINS = [argument for folder in sorted(Path("plugins").iterdir()) for argument in ("-e", folder)]
SUITE = ("-m", "pytest", "-n", "2", "--dist", "loadfile", "--no-loadscope-reorder")

nox.options.default_venv_backend = "uv"
nox.options.error_on_missing_interpreters = False
nox.options.reuse_venv = "yes"


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the fast suite on one Python."""
    session.install("pip", "-e", ".[test]", *map(str, PLUGINS))
    _suite(session)


@nox.session(python=PYTHONS[0])
def lowest(session: nox.Session) -> None:
    """Run the fast suite with the lowest versions, without `export`, whose bounds are higher."""
    session.install(
        "--resolution", "lowest-direct", "pip>=24", "-e", ".[test-base]", *map(str, PLUGINS)
    )
    _suite(session)


def _suite(session: nox.Session) -> None:
    session.run("python", *SUITE, *session.posargs, env={"OMP_NUM_THREADS": "1"})
