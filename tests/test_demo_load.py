"""A demo under load, with strangers among its clients."""

import http.client
import io
import os
import re
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pvzoo_shapes
import pytest
from gradio_client import Client, handle_file
from PIL import Image

import pvzoo

CLIENTS, REQUESTS = 40, 400
pytestmark = pytest.mark.slow


@pytest.fixture
def server(tmp_path):
    """The process of ``pvzoo demo shapes-detector``, its address and what it wrote."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path / "log"
    command = [sys.executable, "-m", "pvzoo", "demo", "shapes-detector", "--no-browser"]
    with log.open("w") as file:
        process = subprocess.Popen([*command, "--port", str(port)], stdout=file, stderr=file)
    try:
        for _ in range(600):
            time.sleep(0.2)
            assert process.poll() is None, log.read_text()
            try:
                if httpx.get(f"http://127.0.0.1:{port}/config").status_code == 200:
                    break
            except httpx.HTTPError:
                continue
        yield process, f"http://127.0.0.1:{port}", log
    finally:
        process.terminate()
        process.wait(timeout=120)


def resident(process):
    """The process's memory, in MB."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1024


def encoded(image, kind="PNG"):
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_forty_clients_get_right_answers_and_the_hostile_ones_a_sentence(server, tmp_path):
    process, address, log = server
    scenes = pvzoo_shapes.scenes(count=12, size=128, seed=77)
    photo = np.kron(np.asarray(scenes[0]["image"]), np.ones((24, 24, 1), np.uint8))  # 9 megapixels
    good = {}
    for number in range(12):
        kind = "JPEG" if number % 2 else "PNG"
        image = Image.fromarray(photo) if number == 5 else scenes[number]["image"]
        good[f"{number}.{kind.lower()}"] = encoded(image.convert("RGB"), kind)
    hostile = {
        "bomb.png": (encoded(Image.new("1", (50_000, 50_000))), "more than the"),
        "large.png": (encoded(Image.new("L", (6000, 6000))), "more than the"),
        "page.png": (b"<html><script>alert(1)</script></html>", "not an image"),
        "half.png": (good["0.png"][:2000], "damaged"),
        "empty.png": (b"", "empty|no image"),
        "fat.png": (os.urandom(50 * 2**20), "allowed"),
    }
    for name, data in {**good, **{n: d for n, (d, _) in hostile.items()}}.items():
        (tmp_path / name).write_bytes(data)
    urls = {
        "http://127.0.0.1:22/a.png": "not on the public internet",
        "http://169.254.169.254/latest/meta-data/": "not on the public internet",
        "http://localhost/a.png": "not on the public internet",
    }
    model = pvzoo.load("shapes-detector", device="cpu")
    expected = {name: model.predict(data).rows() for name, data in good.items()}

    def ask(client, what, **options):
        if Path(what).name == "fat.png":  # the client itself would not send it
            sent = httpx.post(f"{address}/gradio_api/upload", files={"files": what.open("rb")})
            assert sent.status_code == 413
            raise ValueError(sent.text)
        return client.predict(handle_file(str(what)), api_name="/predict", **options)

    def work(number):
        """A client that asks ten times: seven good images, three that are none."""
        client = Client(address, verbose=False)
        random = np.random.default_rng(number)
        outcomes = []
        for turn in range(REQUESTS // CLIENTS):
            if turn % 10 in (2, 5, 8):
                bad = [*hostile, *urls]
                name = bad[random.integers(len(bad))]
                what = name if name in urls else tmp_path / name
                wanted = urls[name] if name in urls else hostile[name][1]
                try:
                    ask(client, what)
                    outcomes.append(f"{name} was answered")
                except Exception as error:
                    said = str(error)
                    fine = re.search(wanted, said, re.IGNORECASE) and "Traceback" not in said
                    outcomes.append("refused" if fine else f"{name}: {said[:300]}")
                continue
            name = list(good)[random.integers(len(good))]
            try:
                answer, _ = ask(client, tmp_path / name)
            except Exception as error:
                outcomes.append(f"{name} was refused: {error}")
                continue
            right = answer["predictions"] == expected[name] and answer["source"] == name
            outcomes.append("right" if right else f"{name} was answered wrongly")
        return outcomes

    for name in good:  # what is loaded once is loaded now
        ask(Client(address, verbose=False), tmp_path / name)
    before = resident(process)
    start = time.monotonic()
    with ThreadPoolExecutor(CLIENTS) as pool:
        outcomes = [one for many in pool.map(work, range(CLIENTS)) for one in many]
    seconds = time.monotonic() - start
    wrong = sorted({one for one in outcomes if one not in ("right", "refused")})
    assert not wrong, "\n".join(wrong)
    assert outcomes.count("right") == 0.7 * REQUESTS
    assert outcomes.count("refused") == 0.3 * REQUESTS
    for _ in range(90):  # what is free is given back once a minute
        time.sleep(1)
        if resident(process) < before + 100:
            break
    after = resident(process)
    print(f"{REQUESTS} requests in {seconds:.0f} s, memory {before:.0f} -> {after:.0f} MB")
    assert after < before + 150
    written = log.read_text()
    assert "Traceback" not in written
    assert process.poll() is None


def test_connections_that_say_nothing_do_not_keep_others_out(server, tmp_path):
    _, address, _ = server
    port = int(address.rpartition(":")[2])
    idle = [http.client.HTTPConnection("127.0.0.1", port) for _ in range(200)]
    for connection in idle:
        connection.connect()
        connection.send(
            b"POST /gradio_api/upload HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n"
        )
    path = tmp_path / "scene.png"
    pvzoo_shapes.scenes(count=1, size=128, seed=77)[0]["image"].save(path)
    client = Client(address, verbose=False)
    answer, _ = client.predict(handle_file(path), api_name="/predict")
    assert answer["predictions"] == pvzoo.load("shapes-detector").predict(path).rows()
    for connection in idle:
        connection.close()
