"""Measure a server: images per second, and its processor time per image beside `stream`'s.

    python benchmarks/serve.py [MODEL] [--images 400] [--clients 8]

MODEL is an exported folder, by default the detector of pvzoo-shapes. The images are photographs of
scikit-learn and scikit-image as JPEG files. The clients run in a process of their own, whose
processor time is not counted. Linux only.
"""

from __future__ import annotations

import argparse
import io
import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pvzoo_shapes
from PIL import Image

DETECTOR = Path(pvzoo_shapes.__file__).parent / "exports" / "shapes-detector"
STREAM = """
import sys, time, warnings
import pvzoo
warnings.simplefilter("ignore")
model = pvzoo.load(sys.argv[1])
files = [open(file, "rb").read() for file in sys.argv[3:]]
images = [files[i % len(files)] for i in range(int(sys.argv[2]))]
[result.to_json() for result in model.stream(images[:16])]
start, wall = time.process_time(), time.perf_counter()
for result in model.stream(images):
    result.to_json()
print(time.process_time() - start, time.perf_counter() - wall)
"""


def photographs(folder: Path) -> list[Path]:
    """Photographs as JPEG files of about 640 x 480 pixels."""
    import skimage
    import sklearn

    sources = [
        *(Path(sklearn.__file__).parent / "datasets" / "images").glob("*.jpg"),
        *(Path(skimage.__file__).parent / "data").glob("[cr]o*.*g"),
    ]
    made = []
    for source in sources:
        file = folder / f"{source.stem}.jpg"
        Image.open(source).convert("RGB").resize((640, 480)).save(file, quality=90)
        made.append(file)
    return made


def processor_seconds(pid: int) -> float:
    """The processor time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def served(model: str, files: list[Path], images: int, clients: int) -> tuple[float, float]:
    """Processor seconds and seconds of a server for `images` requests."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "pvzoo", "serve", f"m={model}", "--port", str(port)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    bodies = [file.read_bytes() for file in files]
    limits = httpx.Limits(max_connections=clients)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", limits=limits, timeout=60) as client:

            def ask(index: int) -> None:
                body = io.BytesIO(bodies[index % len(bodies)]).getvalue()
                client.post("/v1/models/m/predict", content=body).raise_for_status()

            while True:
                try:
                    client.get("/health/ready").raise_for_status()
                    break
                except httpx.HTTPError:
                    time.sleep(0.1)
            with ThreadPoolExecutor(clients) as pool:
                list(pool.map(ask, range(16)))
                before, start = processor_seconds(process.pid), time.perf_counter()
                list(pool.map(ask, range(images)))
                seconds = time.perf_counter() - start
                return processor_seconds(process.pid) - before, seconds
    finally:
        process.terminate()
        process.wait(60)


def main() -> None:
    """Print both."""
    import tempfile

    parser = argparse.ArgumentParser()
    parser.add_argument("model", nargs="?", default=str(DETECTOR))
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--clients", type=int, default=8)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = photographs(Path(folder))
        arguments = [given.model, str(given.images), *map(str, files)]
        done = subprocess.run(
            [sys.executable, "-c", STREAM, *arguments], capture_output=True, text=True, check=True
        )
        stream, stream_seconds = map(float, done.stdout.split())
        server, seconds = served(given.model, files, given.images, given.clients)
    for name, used, wall in (("stream", stream, stream_seconds), ("server", server, seconds)):
        print(
            f"{name}: {given.images / wall:.0f} images/s, "
            f"{1000 * used / given.images:.2f} ms of processor time per image"
        )
    print(f"server / stream: {server / stream:.2f}")


if __name__ == "__main__":
    main()
