"""A server in a thread, and a model whose network can be held."""

from __future__ import annotations

import io
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pvzoo_shapes
import uvicorn
from PIL import Image

from pvzoo.adapters.base import Adapter, Spec
from pvzoo.model import Model
from pvzoo.results.classification import Classification
from pvzoo.serve import build

EXPORTS = Path(pvzoo_shapes.__file__).parent / "exports"
DETECTOR = EXPORTS / "shapes-detector"


@contextmanager
def running(models: Mapping[str, Any], **options: Any) -> Iterator[httpx.Client]:
    """A client of a server that runs in this process."""
    app = build(models, **options)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(60)
        assert not thread.is_alive()


def scenes(count: int, seed: int = 4) -> list[Image.Image]:
    """Drawn scenes that the models of shapes know."""
    return [row["image"] for row in pvzoo_shapes.scenes(count=count, seed=seed)]


def wait_for(client: httpx.Client, name: str, value: float) -> None:
    """Wait until a metric has a value: a batch is counted just after it was answered."""
    for _ in range(500):
        if figure(client, name) == value:
            return
        time.sleep(0.01)
    raise AssertionError(f"{name} is {figure(client, name)}, not {value}")


def png(image: Image.Image) -> bytes:
    """A PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def figure(client: httpx.Client, name: str) -> float:
    """A metric, by its name with labels; or the sum over its labels, by its name alone."""
    lines = client.get("/metrics").text.splitlines()
    own = [line for line in lines if line.startswith((f"{name}{{", f"{name} "))]
    return sum(float(line.rpartition(" ")[2]) for line in own)


class Brightness(Adapter):
    """Says whether an image is dark or bright, once it is let go."""

    tasks = ("image-classification",)
    held = threading.Event()  # set: the network answers
    asked = threading.Event()  # set: the network was asked

    @classmethod
    def matches(cls, config: Any) -> bool:
        return False

    def preprocess(self, image: Image.Image, **prompts: Any) -> Any:
        return {"pixels": np.asarray(image.resize((4, 4)), np.float32)[None]}, {
            "size": image.size[::-1]
        }

    def compute(self, inputs: Any) -> Any:
        self.asked.set()
        assert self.held.wait(60)
        bright = inputs["pixels"].mean(axis=(1, 2, 3)) / 255
        return {"scores": np.stack([1 - bright, bright], axis=1)}

    def postprocess(self, outputs: Any, meta: Any, **controls: Any) -> Classification:
        if outputs["scores"][0, 1] == 1:
            raise IndexError("pure white")  # an error in the code of an adapter
        order = np.argsort(-outputs["scores"][0], kind="stable")
        return Classification(
            size=meta["size"],
            labels=order,
            scores=outputs["scores"][0][order],
            names=tuple(self.labels[i] for i in order),
        )


def brightness() -> Model[Classification]:
    """A new model of `Brightness`, which is not held."""
    Brightness.held.set()
    Brightness.asked.clear()
    return Model("brightness", Brightness(Spec("", "image-classification", ("dark", "bright"))))


def grey(level: int, size: tuple[int, int] = (8, 8)) -> bytes:
    """A PNG file of one colour."""
    return png(Image.new("RGB", size, (level, level, level)))


@contextmanager
def command(*arguments: Any) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process of ``pvzoo serve`` and its address; the process is ended if it still runs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "pvzoo", "serve", *map(str, arguments), "--port", str(port)],
        stderr=subprocess.PIPE,
        text=True,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            assert process.poll() is None, process.stderr and process.stderr.read()
            try:
                if httpx.get(f"{address}/health/ready").status_code == 200:
                    break
            except httpx.HTTPError:
                time.sleep(0.05)
        yield process, address
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(60)
        if process.stderr:
            process.stderr.close()
