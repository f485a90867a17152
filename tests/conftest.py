"""What many tests share: photographs, a loaded model, the Hub to test against."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hub_server import hub  # noqa: F401 (a fixture)
from old_versions import reason_to_skip

# The user's own catalogue and tokens must not decide a test.
os.environ.pop("PVZOO_CATALOG", None)
os.environ["XDG_CONFIG_HOME"] = os.devnull
os.environ["PVZOO_CACHE"] = os.devnull  # and nothing is kept of one
# Exports of the user, and what is known of others, must not decide one either.
_home = tempfile.TemporaryDirectory()
os.environ["XDG_DATA_HOME"] = os.environ["XDG_STATE_HOME"] = _home.name
# Gradio's pages delete each other's files of the same content, also those of other processes.
_gradio_files = tempfile.TemporaryDirectory()
os.environ["GRADIO_TEMP_DIR"] = _gradio_files.name
# Threads that wait should not spin: on two busy cores that costs the tests a factor of ten.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if reason := reason_to_skip(item.nodeid):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def photographs() -> dict[str, Path]:
    """Real photographs by what they show."""
    import skimage
    import sklearn

    samples = Path(skimage.__file__).parent / "data"
    images = Path(sklearn.__file__).parent / "datasets" / "images"
    return {
        "coffee": samples / "coffee.png",
        "cat": samples / "chelsea.png",
        "camera": samples / "camera.png",
        "motorcycle": samples / "motorcycle_left.png",
        "astronaut": samples / "astronaut.png",
        "rocket": samples / "rocket.jpg",
        "china": images / "china.jpg",
        "flower": images / "flower.jpg",
    }


@pytest.fixture(scope="session")
def lite0():
    """EfficientNet-Lite0 with its real ImageNet weights."""
    import pvzoo

    return pvzoo.load("efficientnet-lite0-pip", device="cpu")


@pytest.fixture
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What datasets cache stays in this folder of the test's own."""
    import datasets

    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", folder)
    return folder
