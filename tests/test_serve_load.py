"""A server under load, with strangers among its clients, and what it costs."""

from __future__ import annotations

import base64
import io
import os
import re
import struct
import subprocess
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from serving import DETECTOR, command, png, scenes

import pvzoo

PATH = "/v1/models/shapes/predict"

needs_proc = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="memory and time are read from /proc"
)


def resident(process):
    """The memory of a process, in MB."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1024


def processor_seconds(process):
    fields = (
        Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    )
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def jpeg(image):
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def bomb(side):
    """The start of a PNG that says how large it is."""
    head = b"IHDR" + struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    checked = struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))
    return b"\x89PNG\r\n\x1a\n" + checked + struct.pack(">I", 9) + b"IDAT" + bytes(99)


def in_json(value):
    return {"json": {"image": value}}


def strangers(good):
    """Hostile requests: the status, words of the answer, and the request."""
    huge = os.urandom(50 * 2**20)
    url = {"url": "http://169.254.169.254/latest/meta-data/"}
    local = {"url": "http://127.0.0.1:22/a.png"}
    kind = {"content-type": "application/json"}
    return [
        (413, "2,500,000,000 pixels, more than", {"content": bomb(50_000)}),
        (413, "36,000,000 pixels, more than", {"content": bomb(6_000)}),
        (422, "is a web page", {"content": b"<html><script>alert(1)</script></html>"}),
        (415, "text/html", {"content": b"<html>", "headers": {"content-type": "text/html"}}),
        (422, "damaged", {"content": good[:2000]}),
        (400, "empty", {"content": b""}),
        (413, "larger than", {"content": huge}),
        (413, "larger than", {"files": {"image": huge}}),
        (400, "not base64", in_json("/etc/os-release.png")),
        (422, "not an image", in_json("/etc/passwdd")),
        (403, "takes none", in_json(url)),
        (403, "takes none", in_json(local)),
        (400, "not JSON", {"content": b'{"image":', "headers": kind}),
        (400, "not JSON", {"content": b'{"image":' * 9999, "headers": kind}),
        (422, "no option", {"content": good, "params": {"source": "/etc/passwd"}}),
        (422, "threshold is", {"content": good, "params": {"threshold": "inf"}}),
    ]


@needs_proc
@pytest.mark.parametrize(
    ("clients", "requests"),
    [(10, 60), pytest.param(50, 2000, marks=pytest.mark.slow)],
)
def test_all_clients_get_right_answers_and_the_hostile_ones_a_sentence(clients, requests):
    model = pvzoo.load(DETECTOR)
    images = scenes(12, seed=77)
    photo = np.kron(np.asarray(images[0]), np.ones((24, 24, 1), np.uint8))  # 9 megapixels
    good = [png(image) if i % 2 else jpeg(image) for i, image in enumerate(images)]
    good.append(jpeg(Image.fromarray(photo)))
    expected = [model.predict(data).rows() for data in good]
    hostile = strangers(png(images[0]))

    def is_right(answer, number):
        if answer.status_code != 200:
            return False
        rows = answer.json()["predictions"]
        return [row["name"] for row in rows] == [r["name"] for r in expected[number]] and all(
            row[key] == pytest.approx(wanted[key], abs=1e-3)
            for row, wanted in zip(rows, expected[number], strict=True)
            for key in ("score", "xmin", "ymin", "xmax", "ymax")
        )

    def work(number):
        """A client; a third of its requests is hostile."""
        random = np.random.default_rng(number)
        outcomes = []
        with httpx.Client(base_url=address, timeout=120) as client:
            for turn in range(requests // clients):
                if turn % 3 == 2:
                    status, words, request = hostile[random.integers(len(hostile))]
                    answer = client.post(PATH, **request)
                    message = answer.json().get("error", "")
                    fine = answer.status_code == status and words in message
                    fine = fine and "Traceback" not in message and message.endswith(".")
                    outcomes.append("refused" if fine else f"{status}, {words}: {answer.text}")
                    continue
                chosen = int(random.integers(len(good)))
                form = [
                    {"content": good[chosen]},
                    {"files": {"image": good[chosen]}},
                    in_json(base64.b64encode(good[chosen]).decode()),
                ][turn % 2 + turn % 4 // 3]
                answer = client.post(PATH, **form)
                outcomes.append("right" if is_right(answer, chosen) else f"{chosen}: {answer.text}")
        return outcomes

    with command(f"shapes={DETECTOR}", "--seconds", "100") as (process, address):
        with httpx.Client(base_url=address, timeout=60) as client:
            for data in good:  # what is loaded once is loaded now
                client.post(PATH, content=data)
        before, start = resident(process), time.monotonic()
        with ThreadPoolExecutor(clients) as pool:
            outcomes = [one for many in pool.map(work, range(clients)) for one in many]
        seconds = time.monotonic() - start
        wrong = sorted({one for one in outcomes if one not in ("right", "refused")})
        assert not wrong, "\n".join(wrong)
        assert len(outcomes) == clients * (requests // clients)
        assert outcomes.count("refused") >= len(outcomes) // 4
        for _ in range(30):  # what is free is given back every ten seconds
            after = resident(process)
            if after < before + 100:
                break
            time.sleep(1)
        print(f"{requests} requests in {seconds:.0f} s, memory {before:.0f} -> {after:.0f} MB")
        assert after < before + 100


@pytest.mark.slow
def test_clients_that_are_killed_do_not_cost_the_others():
    """A process of clients is killed in the middle of its requests, several times."""
    (scene,) = scenes(1)
    code = """
import sys, threading, httpx
data = sys.stdin.buffer.read()
def ask():
    while True:
        httpx.post(sys.argv[1], content=data, timeout=60)
for _ in range(8):
    threading.Thread(target=ask).start()
"""
    expected = pvzoo.load(DETECTOR).predict(scene).names
    with command(f"shapes={DETECTOR}") as (process, address):
        for _ in range(5):
            client = subprocess.Popen(
                [sys.executable, "-c", code, address + PATH],
                stdin=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            client.stdin.write(png(scene))
            client.stdin.close()
            for turn in range(30):
                answer = httpx.post(address + PATH, content=png(scene), timeout=60)
                names = [row["name"] for row in answer.json()["predictions"]]
                assert names == list(expected)
                if turn == 20:
                    client.kill()
            client.wait()
        assert process.poll() is None
        waiting = httpx.get(address + "/metrics").text
        assert "pvzoo_waiting_images 0.0" in waiting


@pytest.mark.slow
def test_idle_connections_do_not_keep_others_out():
    import http.client

    with command(f"shapes={DETECTOR}") as (_, address):
        port = int(address.rpartition(":")[2])
        idle = [http.client.HTTPConnection("127.0.0.1", port) for _ in range(100)]
        for connection in idle:
            connection.connect()
            start = f"POST {PATH} HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n"
            connection.send(start.encode())
        answer = httpx.post(address + PATH, content=png(scenes(1)[0]), timeout=60)
        assert answer.status_code == 200
        for connection in idle:
            connection.close()


@needs_proc
@pytest.mark.slow
def test_an_image_costs_at_most_a_fifth_more_processor_time_than_in_a_stream(photographs):
    names = ("coffee", "cat", "astronaut", "rocket", "china", "flower")
    photos = [Image.open(photographs[name]).convert("RGB") for name in names]
    bodies = [jpeg(photo.resize((1024, 768))) for photo in photos]
    count = 400
    code = """
import sys, time, pickle, pvzoo
model = pvzoo.load(sys.argv[1])
bodies = pickle.load(sys.stdin.buffer)
images = [bodies[i % len(bodies)] for i in range(int(sys.argv[2]))]
[result.to_json() for result in model.stream(images[:16])]
start = time.process_time()
for result in model.stream(images):
    result.to_json()
print(time.process_time() - start)
"""
    import pickle

    done = subprocess.run(
        [sys.executable, "-c", code, str(DETECTOR), str(count)],
        input=pickle.dumps(bodies),
        capture_output=True,
        check=True,
    )
    stream = float(done.stdout)
    with command(f"shapes={DETECTOR}") as (process, address), httpx.Client(timeout=60) as client:

        def ask(index):
            client.post(address + PATH, content=bodies[index % 6]).raise_for_status()

        with ThreadPoolExecutor(16) as pool:
            list(pool.map(ask, range(32)))
            before = processor_seconds(process)
            list(pool.map(ask, range(count)))
            server = processor_seconds(process) - before
    print(f"{1000 * server / count:.1f} ms, in a stream {1000 * stream / count:.1f} ms")
    assert server < 1.2 * stream
