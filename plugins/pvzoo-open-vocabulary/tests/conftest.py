"""Small random checkpoints, and a Hub to load them from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from checkpoints import made_once
from hub_server import hub  # noqa: F401 (a fixture)
from text_families import build


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a family's small random checkpoint."""
    return made_once(tmp_path_factory, build)
