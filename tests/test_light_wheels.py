"""Exported models in environments of wheels that have what an extra brings, and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pvzoo_shapes
import pytest
from exports import write_classifier
from gradio_client import Client, handle_file
from packaging.requirements import Requirement
from plugin_venv import PluginVenv
from test_wheels import fresh, wheel  # noqa: F401 (the first is a fixture)

import pvzoo

pytest.importorskip("onnx", reason="the extra export is not installed")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="needs symbolic links"),
]

SHIPPED = Path(pvzoo_shapes.__file__).parent / "exports"
HEAVY = ("torch", "transformers", "timm", "datasets", "pandas", "matplotlib", "supervision")


def brought_by(requirement: str) -> set[str]:
    """The names of the distributions that pip installs for a requirement."""
    found: dict[str, set[str]] = {}
    waiting = [Requirement(requirement)]
    while waiting:
        wanted = waiting.pop()
        name = wanted.name.lower().replace("_", "-")
        extras = found.setdefault(name, set())
        new = {"", *wanted.extras} - extras
        extras |= new
        for line in distribution(name).requires or () if new else ():
            needed = Requirement(line)
            marker = needed.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in new):
                waiting.append(needed)
    return set(found)


class Environment(PluginVenv):
    """Python with what a requirement brings, linked from here, and wheels of this repository."""

    def __init__(self, folder: Path, requirement: str, *wheels: Path) -> None:
        folder.mkdir()
        super().__init__(folder)
        (self.site_packages / "parent.pth").unlink()
        self.size = 0
        for name in brought_by(requirement) - {"pvzoo"}:
            files = distribution(name).files or ()
            for top in {file.parts[0] for file in files} - {"..", "__pycache__"}:
                link = self.site_packages / top
                if not link.exists():
                    link.symlink_to(distribution(name).locate_file(top))
            self.size += sum(
                file.locate().stat().st_size
                for file in files
                if "__pycache__" not in file.parts and file.locate().is_file()
            )
        for file in wheels:
            with zipfile.ZipFile(file) as archive:
                archive.extractall(self.site_packages)
                self.size += sum(entry.file_size for entry in archive.infolist())

    def has(self, *names: str) -> list[str]:
        """Those of these modules that can be imported there."""
        return self.evaluate(
            f"import importlib.util as u; answer = [n for n in {names!r} if u.find_spec(n)]"
        )


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An exported folder of each task, by the task."""
    made = tmp_path_factory.mktemp("exports")
    write_classifier(made / "original")
    pvzoo.load(made / "original", device="cpu").export(made / "image-classification")
    for folder in SHIPPED.iterdir():
        task = json.loads((folder / "pvzoo-export.json").read_text())["spec"]["task"]
        shutil.copytree(folder, made / task)
    return {folder.name: folder for folder in made.iterdir() if folder.name != "original"}


@pytest.fixture(scope="module")
def light(fresh, tmp_path_factory) -> Environment:  # noqa: F811
    return Environment(
        tmp_path_factory.mktemp("light") / "venv", "pvzoo[onnx]", wheel(fresh, "pvzoo")
    )


@pytest.fixture(scope="module")
def scene(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("scene") / "scene.png"
    pvzoo_shapes.scenes(count=1, seed=4)[0]["image"].save(file)
    return file


def test_the_light_half_with_onnx_runtime_is_small_and_has_nothing_heavy(light):
    assert light.has(*HEAVY) == []
    print(f"pvzoo[onnx]: {light.size / 1e6:.0f} MB")
    assert light.size < 500e6


def test_exported_models_of_all_five_tasks_do_all_that_predicting_is(light, exports, scene):
    assert len(exports) == 5
    for task, folder in exports.items():
        code = f"""
import warnings, pvzoo
warnings.simplefilter("ignore", pvzoo.errors.PvzooWarning)
model = pvzoo.load({str(folder)!r})
found = model.predict({str(scene)!r})
(streamed,) = model.stream([{str(scene)!r}])
seen = model.outputs({str(scene)!r}).result()
saved = found.save({str(light.folder / f"{task}.png")!r})
assert found.to_json() == streamed.to_json() == seen.to_json()
answer = [model.task, found.to_dict(), saved.is_file()]
"""
        told, found, saved = light.evaluate(code)
        assert told == task
        assert saved
        here = pvzoo.load(folder).predict(scene).to_dict()
        assert json.loads(json.dumps(here)) == found
        done = light.pvzoo("info", str(folder))
        assert done.returncode == 0, done.stderr
        assert "certified" in done.stdout
        done = light.pvzoo("predict", str(scene), "-m", str(folder), "--json")
        assert done.returncode == 0, done.stderr
        done = light.pvzoo("verify", str(folder))
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("certified")


def test_exported_models_are_evaluated_without_a_network_library(
    fresh,  # noqa: F811
    exports,
    tmp_path,
):
    wheels = (wheel(fresh, "pvzoo"), wheel(fresh, "pvzoo-shapes"))
    environment = Environment(tmp_path / "venv", "pvzoo[onnx,data]", *wheels)
    assert environment.has("torch", "transformers", "timm") == []
    names = pvzoo.load(exports["image-classification"]).labels[:3]
    random = np.random.default_rng(0)
    from PIL import Image

    for name in names:
        (tmp_path / "data" / name).mkdir(parents=True)
        pixels = random.integers(0, 256, (64, 80, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "data" / name / "a.png")
    for task, folder in exports.items():
        data = f"pvzoo_shapes.scenes({task!r}, count=6, seed=2000)"
        if task == "image-classification":
            data = repr(str(tmp_path / "data"))
        figures = environment.evaluate(f"""
import warnings, pvzoo, pvzoo_shapes
warnings.simplefilter("ignore", pvzoo.errors.PvzooWarning)
answer = dict(pvzoo.load({str(folder)!r}).evaluate({data}, progress=False))
""")
        main = {"image-classification": "top1", "panoptic-segmentation": "pq"}.get(task)
        main = main or ("miou" if "semantic" in task else "map")
        assert figures[main] >= (0 if task == "image-classification" else 0.3), (task, figures)


def test_the_demo_of_exported_models_needs_gradio_alone(fresh, exports, scene, tmp_path):  # noqa: F811
    environment = Environment(tmp_path / "venv", "pvzoo[onnx,demo]", wheel(fresh, "pvzoo"))
    assert environment.has("torch", "transformers", "timm", "datasets", "supervision") == []
    print(f"pvzoo[onnx,demo]: {environment.size / 1e6:.0f} MB")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path / "log"
    command = ["-m", "pvzoo", "demo", str(exports["object-detection"]), "--no-browser"]
    with log.open("w") as file:
        process = subprocess.Popen(
            [str(environment.python), *command, "--port", str(port)],
            cwd=tmp_path,
            env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
            stdout=file,
            stderr=file,
        )
    try:
        for _ in range(600):
            time.sleep(0.2)
            assert process.poll() is None, log.read_text()
            if f":{port}" in log.read_text():
                break
        client = Client(f"http://127.0.0.1:{port}", verbose=False)
        answer, _ = client.predict(handle_file(scene), api_name="/predict")
        assert [row["name"] for row in answer["predictions"]]
    finally:
        process.terminate()
        process.wait(timeout=60)
