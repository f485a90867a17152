"""The files in demos/serve: the container, built in a folder and run, and the clients."""

from __future__ import annotations

import ast
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import pytest
import yaml
from PIL import Image
from serving import DETECTOR, command, png, scenes

import pvzoo

ROOT = Path(__file__).parents[1]
FILES = ROOT / "demos" / "serve"
USER = 65534
pytestmark = pytest.mark.skipif(os.name == "nt", reason="shell scripts")


def instructions():
    """The instructions of the last stage of the Dockerfile: (name, arguments)."""
    lines = (FILES / "Dockerfile").read_text().splitlines()
    found = [line.partition(" ")[::2] for line in lines if line and not line.startswith("#")]
    last = max(i for i, (name, _) in enumerate(found) if name == "FROM")
    return found[last:]


def argument(name):
    (value,) = [arguments for instruction, arguments in instructions() if instruction == name]
    return value


def python_for_all():
    """The folder of a Python that every user may run; else of this one."""
    fits = "import sys, ensurepip; sys.exit(sys.version_info < (3, 11))"
    if not subprocess.run(["/usr/bin/python3", "-c", fits], capture_output=True).returncode:
        return Path("/usr/bin")
    return Path(sys.executable).resolve().parent


@pytest.fixture(scope="module")
def image():
    """What the Dockerfile makes: a folder with /opt/pvzoo and /models that all users can read."""
    with tempfile.TemporaryDirectory(prefix="pvzoo-image-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        source = folder / "source"
        source.mkdir()
        for file in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / file, source)
        clean = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "pvzoo", source / "pvzoo", ignore=clean)
        pip = [sys.executable, "-m", "pip"]
        done = subprocess.run(
            [
                *pip,
                "wheel",
                "-q",
                "--no-deps",
                "--no-build-isolation",
                "-w",
                folder / "wheels",
                source,
            ],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        shutil.rmtree(source)
        assert "RUN sh /install.sh /opt/pvzoo /wheels" in (FILES / "Dockerfile").read_text()
        python = python_for_all()
        done = subprocess.run(
            ["sh", FILES / "install.sh", folder / "opt" / "pvzoo", folder / "wheels"],
            capture_output=True,
            text=True,
            env={
                **{k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")},
                "PATH": f"{python}:/usr/bin:/bin",
            },
        )
        if "Could not find a version" in done.stderr or "Connection" in done.stderr:
            pytest.skip(f"there is no package index: {done.stderr}")
        assert done.returncode == 0, done.stderr
        shutil.copytree(DETECTOR, folder / "models" / "detector")
        yield folder


def size(folder):
    """MB of the files, without what links lead to."""
    return sum(f.lstat().st_size for f in folder.rglob("*") if not f.is_dir()) / 1e6


@pytest.mark.slow
def test_the_image_is_small_and_has_nothing_heavy_or_under_the_gpl(image):
    environment = image / "opt" / "pvzoo"
    (packages,) = environment.glob("lib/python*/site-packages")
    megabytes = size(environment)
    print(f"{megabytes:.0f} MB beside Python")
    assert megabytes < 350, "python:3.11-slim has 130 MB, and the image shall have less than 500"
    heavy = ("torch", "transformers", "timm", "datasets", "pandas", "av", "gradio", "pip")
    assert [name for name in heavy if (packages / name).exists()] == []
    for file in packages.glob("*.dist-info/METADATA"):
        head = file.read_text(encoding="utf-8").partition("\n\n")[0]
        licences = re.findall(r"^(?:License|License-Expression|Classifier): .*$", head, re.M)
        gpl = [line for line in licences if re.search(r"\bA?GPL|General Public", line)]
        assert gpl == [], file.parent.name


@pytest.mark.slow
def test_the_image_runs_as_a_user_who_may_write_nothing(image):
    """The command of the Dockerfile, by its user and in its environment."""
    assert argument("USER") == f"{USER}:{USER}"
    entry = json.loads(argument("ENTRYPOINT")) + json.loads(argument("CMD"))
    variables = dict(pair.split("=", 1) for pair in argument("ENV").split())
    variables["PATH"] = variables["PATH"].replace("$PATH", "/usr/bin:/bin")
    moved = {k: v.replace("/opt/", f"{image}/opt/") for k, v in variables.items()}
    entry = [part.replace("/models/", f"{image}/models/") for part in entry]
    entry[0] = str(image / "opt" / "pvzoo" / "bin" / entry[0])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    other_user = os.geteuid() == 0 and python_for_all() == Path("/usr/bin")
    before = set(image.rglob("*"))
    process = subprocess.Popen(
        [*entry, "--port", str(port)],
        cwd="/",
        env={**moved, "TMPDIR": "/nonexistent"},
        stderr=subprocess.PIPE,
        text=True,
        **({"user": USER, "group": USER, "extra_groups": []} if other_user else {}),
    )
    try:
        address = f"http://127.0.0.1:{port}"
        for _ in range(300):
            assert process.poll() is None, process.stderr.read()
            try:
                if httpx.get(f"{address}/health/ready").status_code == 200:
                    break
            except httpx.HTTPError:
                time.sleep(0.1)
        (scene,) = scenes(1)
        path = f"{address}/v1/models/detector/predict"
        large = png(scene.resize((1500, 1500)))
        for form in ({"content": png(scene)}, {"files": {"image": large}}):
            answer = httpx.post(path, **form, timeout=60)
            assert answer.status_code == 200, answer.text
        expected = pvzoo.load(DETECTOR).predict(scene)
        answer = httpx.post(path, content=png(scene)).json()
        assert [row["name"] for row in answer["predictions"]] == list(expected.names)
        drawn = httpx.post(f"{path}?format=image", content=png(scene))
        assert Image.open(io.BytesIO(drawn.content)).size == expected.plot().size
    finally:
        process.terminate()
        assert process.wait(60) == 0
        process.stderr.close()
    assert set(image.rglob("*")) == before, "nothing was written"


def test_compose_and_kubernetes_name_what_there_is():
    compose = yaml.safe_load((FILES / "compose.yaml").read_text())["services"]["pvzoo"]
    deployment, service = yaml.safe_load_all((FILES / "kubernetes.yaml").read_text())
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    port = int(argument("EXPOSE"))
    assert [p["containerPort"] for p in container["ports"]] == [port]
    assert compose["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert service["spec"]["selector"] == deployment["spec"]["selector"]["matchLabels"]
    assert service["spec"]["selector"] == deployment["spec"]["template"]["metadata"]["labels"]
    probes = {container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "readiness")}
    probes.add(container["livenessProbe"]["httpGet"]["path"])
    assert f"http://127.0.0.1:{port}/health/ready" in compose["healthcheck"]["test"][-1]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert compose["read_only"]
    assert pod["securityContext"]["runAsUser"] == USER
    from pvzoo.serve.gate import OPEN

    assert probes < OPEN, "probes have no token"
    help = subprocess.run(
        [sys.executable, "-m", "pvzoo", "serve", "--help"], capture_output=True, text=True
    ).stdout
    options = {a.partition("=")[0] for a in [*container["args"], *compose["command"]]}
    for option in options:
        assert not option.startswith("--") or option in help
    grace = int(compose["stop_grace_period"].removesuffix("s"))
    assert grace == pod["terminationGracePeriodSeconds"] > 30 + 5


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_the_clients_get_predictions(tmp_path):
    (scene,) = scenes(1)
    scene.save(tmp_path / "scene.png")
    (tmp_path / "page.png").write_text("<html></html>")
    (tmp_path / "token").write_text("sesame")
    expected = list(pvzoo.load(DETECTOR).predict(scene).names)
    environment = {**os.environ, "PVZOO_SERVE_TOKEN": "sesame"}
    options = {"capture_output": True, "text": True, "cwd": tmp_path, "env": environment}
    with command(f"detector={DETECTOR}", "--token-file", tmp_path / "token") as (_, address):
        arguments = [address, "detector", "scene.png", "page.png", "--threshold", "0.5"]
        done = subprocess.run([sys.executable, FILES / "client.py", *arguments], **options)
        assert done.returncode == 0, done.stderr
        scene_found, page = map(json.loads, done.stdout.splitlines())
        assert [row["name"] for row in scene_found["predictions"]] == expected
        assert "is a web page" in page["error"]
        done = subprocess.run(
            ["sh", FILES / "client.sh", address, "detector", "scene.png"], **options
        )
    assert done.returncode == 0, done.stderr + done.stdout
    card, plain, optioned, several, from_json = map(json.loads, done.stdout.split("\n")[:5])
    assert card["task"] == "object-detection"
    for answer in (plain, optioned, *several["results"], from_json):
        assert [row["name"] for row in answer["predictions"]] == expected
    assert Image.open(tmp_path / "annotated.png").size == (384, 384)


def test_the_client_needs_only_httpx():
    tree = ast.parse((FILES / "client.py").read_text())
    modules = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
        )
    }
    assert modules - set(sys.stdlib_module_names) == {"httpx"}
