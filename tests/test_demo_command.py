"""``pvzoo demo``, in processes of its own: it serves, it ends, and it says what is wrong."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import httpx
import pvzoo_shapes
import pytest
from forked import run_command
from gradio_client import Client, handle_file

import pvzoo


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def demo(folder, port):
    """The command, whose temporary files are in a folder, once its port answers."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "pvzoo",
            *f"demo shapes-detector --no-browser --port {port}".split(),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "TMPDIR": str(folder)},
        start_new_session=True,  # a signal for it is not one for the tests
    )
    try:
        end = time.monotonic() + 180
        while True:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end, "it does not answer"
            with socket.socket() as there:
                if there.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.2)
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize(
    "number",
    [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)],
    ids=lambda n: n.name,
)
def test_it_answers_until_it_is_told_to_end_and_leaves_no_files(tmp_path, number):
    image = tmp_path / "scene.png"
    pvzoo_shapes.scenes(count=1, size=96, seed=31)[0]["image"].save(image)
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    port = free_port()
    with demo(temporary, port) as process:
        client = Client(f"http://127.0.0.1:{port}", verbose=False, download_files=tmp_path)
        answer, _ = client.predict(handle_file(image), api_name="/predict")
        assert answer["predictions"] == pvzoo.load("shapes-detector").predict(image).rows()
        assert list(temporary.glob("pvzoo-demo-*"))
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert "Traceback" not in said
    assert process.returncode == 0
    assert not list(temporary.glob("pvzoo-demo-*"))


NO_REQUEST = {
    "a text for a number": ("run/predict", {"threshold": "high"}),
    "a list for a number": ("run/predict", {"max_detections": [1]}),
    "a number out of range": ("run/predict", {"threshold": 7}),
    "a number for a list": ("run/predict", {"classes": 3}),
    "a text for a switch": ("run/predict", {"class_agnostic": "yes"}),
    "no values": ("run/predict", []),
    "no image": ("run/predict", {"image": {"path": "/etc/passwd"}}),
    "a bad file": ("run/predict", {"image": "PAGE"}),
    "no such function": ("run/nothing", []),
    "no such number of a function": ("queue/join", {"fn_index": 999, "session_hash": "mine"}),
    "no such event": ("call/predict/mine", None),
    "no such session": ("queue/data?session_hash=mine", None),
}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
def test_what_a_client_makes_up_leaves_no_more_than_a_line_in_the_log(tmp_path):
    port = free_port()
    with demo(tmp_path, port) as process:
        api = f"http://127.0.0.1:{port}/gradio_api"
        scene = io.BytesIO()
        pvzoo_shapes.scenes(count=1, size=96, seed=31)[0]["image"].save(scene, "PNG")
        images = {"SCENE": scene.getvalue(), "PAGE": b"<html></html>"}
        for name, content in images.items():
            sent = httpx.post(f"{api}/upload", files={"files": (f"{name}.png", content)})
            images[name] = {"path": sent.json()[0], "meta": {"_type": "gradio.FileData"}}
        info = httpx.get(f"{api}/info").json()["named_endpoints"]["/predict"]
        defaults = {p["parameter_name"]: p["parameter_default"] for p in info["parameters"][1:]}
        defaults = {"image": "SCENE", **defaults}

        def ask(path, said):
            if said is None:
                return httpx.get(f"{api}/{path}", timeout=30)
            if path == "run/predict" and isinstance(said, dict):
                said = list({**defaults, **said}.values())
                said[0] = images.get(said[0], said[0]) if isinstance(said[0], str) else said[0]
            body = {"data": said} if isinstance(said, list) else {"data": [], **said}
            return httpx.post(f"{api}/{path}", json=body, timeout=30)

        assert ask("run/predict", {}).status_code == 200
        for what, (path, said) in NO_REQUEST.items():
            answer = ask(path, said)
            assert not answer.is_success or "404" in answer.text, what
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=60)
    assert "Traceback" not in log
    lines = [line for line in log.splitlines() if "request" in line]
    assert 0 < len(lines) <= len(NO_REQUEST)
    assert len(log.splitlines()) <= len(NO_REQUEST) + 5  # beside those of the start


def run(*args: str, before: str = "") -> subprocess.CompletedProcess[str]:
    """The command line, after some code."""
    code = f"import sys\n{before}\nfrom pvzoo.cli import main\nsys.argv = ['pvzoo', *{args!r}]\n"
    return subprocess.run(
        [sys.executable, "-c", code + "try:\n    main()\nfinally:\n    " + LOADED],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )


LOADED = "print('loaded', *sorted({'gradio', 'torch'} & {*sys.modules}), file=sys.stderr)"


def test_a_wrong_name_is_one_line_and_exit_code_1():
    done = run_command("demo", "shapes-detecter", "--no-browser")
    assert done.returncode == 1
    assert done.stdout == ""
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "'shapes-detector'" in errors[0]
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_one_line_and_exit_code_1(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = run_command("demo", "shapes-detector", "--no-browser", "--port", port)
    assert done.returncode == 1
    assert f"error: The page cannot be served at 127.0.0.1:{port}." in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [("demo", "shapes-detector"), ("space", "new")])
def test_without_gradio_it_says_what_to_install(command):
    done = run(*command, before="sys.modules['gradio'] = None")
    assert done.returncode == 1
    assert 'pip install "pvzoo[demo]"' in done.stderr
    assert "Traceback" not in done.stderr
    assert "loading" not in done.stderr, "nothing is loaded in vain"


@pytest.mark.parametrize("args", [("--help",), ("demo", "--help")])
def test_help_loads_neither_gradio_nor_torch(args):
    done = run(*args)
    assert "demo" in done.stdout
    assert done.stderr.splitlines()[-1] == "loaded"
