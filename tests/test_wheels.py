"""pvzoo and its plugins as wheels, in a new environment that has neither."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Collection
from pathlib import Path

import pytest
from gradio_client import Client, handle_file
from light_site import NETWORK
from plugin_venv import PluginVenv

ROOT = Path(__file__).parents[1]
PLUGINS = sorted(file.parent for file in ROOT.glob("plugins/*/pyproject.toml"))
PREDICTS = {
    "pvzoo-efficientnet-lite": ("efficientnet-lite0-pip", "coffee", "espresso"),
    "pvzoo-face-cascade": ("face-cascade", "astronaut", "face"),
    "pvzoo-shapes": ("shapes-mask2former-panoptic", "coffee", "coffee"),
}
"""Models that can be tried without a network, a photograph, and what is then said."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="needs symbolic links"),
]


def third_party(folder: Path, without: Collection[str] = ()) -> Path:
    """A folder with what this environment has installed, but for pvzoo, its plugins and some."""
    for site in map(Path, sys.path):
        if site.name not in ("site-packages", "dist-packages"):
            continue
        for entry in site.iterdir():
            link = folder / entry.name
            ours = entry.name.startswith(("pvzoo", "__editable__", "__pycache__", *without))
            if not ours and entry.suffix != ".pth" and not link.exists():
                link.symlink_to(entry)
    return folder


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> PluginVenv:
    """An environment with everything but pvzoo, and the wheels of this repository."""
    folder = tmp_path_factory.mktemp("wheels")
    made = PluginVenv(folder)
    (made.site_packages / "parent.pth").unlink()
    third_party(made.site_packages)
    sources = folder / "sources"
    (sources / "pvzoo").mkdir(parents=True)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, sources / "pvzoo")
    clean = shutil.ignore_patterns("build", "*.egg-info", "__pycache__", "runs")
    shutil.copytree(ROOT / "pvzoo", sources / "pvzoo" / "pvzoo", ignore=clean)
    for project in PLUGINS:
        shutil.copytree(project, sources / project.name, ignore=clean)
    switches = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    for source in sources.iterdir():
        done = made.call("-m", "pip", "wheel", *switches, "-w", str(folder), str(source))
        assert done.returncode == 0, done.stdout + done.stderr
    return made


def wheel(made: PluginVenv, name: str) -> Path:
    (found,) = made.folder.glob(f"{name.replace('-', '_')}-*.whl")
    return found


def plugins(made: PluginVenv, *switches: str) -> dict[str, dict]:
    done = made.pvzoo("plugins", "--json", *switches)
    assert done.returncode == 0, done.stderr
    return {plugin["name"]: plugin for plugin in map(json.loads, done.stdout.splitlines())}


def test_pvzoo_lists_and_plugins_come_and_go(fresh, photographs):
    assert fresh.call("-c", "import pvzoo").returncode != 0
    fresh.install(wheel(fresh, "pvzoo"))
    assert set(plugins(fresh)) == {"pvzoo"}
    done = fresh.pvzoo("list")
    assert "detr-resnet50" in done.stdout, done.stderr
    assert PLUGINS
    for project in PLUGINS:
        name = project.name
        fresh.install(wheel(fresh, name))
        found = plugins(fresh, "--check")
        assert set(found) == {"pvzoo", name}
        assert found[name]["state"] == "ready", found[name]["errors"]
        assert found[name]["provides"]
        if name in PREDICTS:
            model, photograph, said = PREDICTS[name]
            done = fresh.pvzoo("predict", str(photographs[photograph]), "-m", model)
            assert done.returncode == 0, done.stderr
            assert said in done.stdout
        done = fresh.call("-m", "pip", "uninstall", "--quiet", "-y", name)
        assert done.returncode == 0, done.stderr
        assert set(plugins(fresh)) == {"pvzoo"}


def test_without_extras_a_model_of_numpy_predicts_and_others_name_the_extra(
    fresh, photographs, tmp_path
):
    light = PluginVenv(tmp_path)
    (light.site_packages / "parent.pth").unlink()
    third_party(light.site_packages, (*NETWORK, "datasets", "gradio", "supervision", "pandas"))
    for name in ("pvzoo", "pvzoo-face-cascade", "pvzoo-shapes"):
        light.install(wheel(fresh, name))
    photograph = str(photographs["astronaut"])
    done = light.pvzoo("predict", photograph, "-m", "face-cascade")
    assert done.returncode == 0, done.stderr
    assert "face" in done.stdout
    for command, extra in (
        (("predict", photograph, "-m", "shapes-detector"), "torch"),
        (("check", str(tmp_path)), "data"),
        (("demo", "face-cascade"), "demo"),
    ):
        done = light.pvzoo(*command)
        assert done.returncode == 1, done.stdout
        assert done.stderr.count("\n") == 1, done.stderr
        assert f'pip install "pvzoo[{extra}]"' in done.stderr


def test_the_wheel_of_pvzoo_can_write_a_plugin(fresh):
    fresh.install(wheel(fresh, "pvzoo"))
    done = fresh.pvzoo("new-plugin", "wheel-zoo", "--kind", "adapter")
    assert done.returncode == 0, done.stderr
    folder = fresh.folder / "wheel-zoo"
    assert (folder / ".github" / "workflows" / "test.yml").is_file()
    assert (folder / "tests" / "test_wheel_zoo.py").is_file()
    assert (folder / "wheel_zoo" / "weights" / "colours.safetensors").is_file()
    assert subprocess.run([sys.executable, "-m", "compileall", "-q", str(folder)]).returncode == 0


def test_the_hosted_space_runs_in_an_environment_of_its_own_requirements(fresh, tmp_path):
    """As it stands in demos/space, with the wheels beside it, since pvzoo is on no index."""
    space = tmp_path / "space"
    shutil.copytree(ROOT / "demos" / "space", space)
    switches = ["--quiet", "--no-index", "--find-links", str(fresh.folder)]
    requirements = str(space / "requirements.txt")
    done = fresh.call("-m", "pip", "install", *switches, "-r", requirements)
    assert done.returncode == 0, done.stderr
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path / "log"
    settings = {"GRADIO_SERVER_PORT": str(port), "HF_HUB_OFFLINE": "1"}
    with log.open("w") as file:
        process = subprocess.Popen(
            [str(fresh.python), "app.py"],
            cwd=space,
            env={**{k: v for k, v in os.environ.items() if k != "PYTHONPATH"}, **settings},
            stdout=file,
            stderr=file,
        )
    try:
        for _ in range(600):
            time.sleep(0.2)
            assert process.poll() is None, log.read_text()
            if "Running on" in log.read_text():
                break
        client = Client(f"http://127.0.0.1:{port}", verbose=False)
        image = fresh.folder / "scene.jpg"
        shutil.copy(ROOT / "pvzoo" / "demo" / "examples" / "scene.jpg", image)
        for task, found in {
            "image_classification": None,
            "object_detection": "heart",
            "panoptic_segmentation": "water",
        }.items():
            answer, _ = client.predict(handle_file(image), api_name=f"/predict_{task}")
            names = [row["name"] for row in answer["predictions"]]
            assert names
            assert found is None or found in names
    finally:
        process.terminate()
        process.wait(timeout=60)
