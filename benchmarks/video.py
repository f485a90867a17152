"""What streaming a video costs beside decoding its frames and running the network.

The plain loop decodes each frame with PyAV, prepares it, runs the network and interprets the
outputs, one after the other. Both use the same model and batches of one.
Prints seconds of the processor (of all threads) per frame, the median of several runs in turns.

    python benchmarks/video.py [--frames 300] [--runs 5] [--model shapes-detector]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
from PIL import Image

import pvzoo


def video(path: Path, count: int, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    height, width = size
    canvas = np.kron(rng.integers(0, 255, (height // 8, 2 * width // 8, 3)), np.ones((8, 8, 1)))
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"preset": "veryfast", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(count):
            left = number % width
            part = np.ascontiguousarray(canvas[:, left : left + width].astype(np.uint8))
            out.mux(stream.encode(av.VideoFrame.from_ndarray(part, "rgb24")))
        out.mux(stream.encode())


def plain(model: pvzoo.Model, path: Path) -> int:
    _, controls = model._task.options({}, model.labels)
    count = 0
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        for frame in container.decode(video=0):
            image = Image.fromarray(frame.to_ndarray(format="rgb24"))
            inputs, meta = model.adapter.preprocess(image)
            outputs = model.adapter.run(model.runtime, inputs)
            model.adapter.postprocess(outputs, meta, **controls)
            count += 1
    return count


def streamed(model: pvzoo.Model, path: Path, **options: object) -> int:
    results = model.stream(path, batch_size=1, progress=False, **options)
    return sum(1 for _ in results)


def seconds(run: Callable[[], int]) -> float:
    start = time.process_time()
    count = run()
    return (time.process_time() - start) / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--model", default="shapes-detector")
    parser.add_argument("--size", default="480x640", help="height x width")
    asked = parser.parse_args()
    height, width = map(int, asked.size.split("x"))
    model = pvzoo.load(asked.model)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        video(path, asked.frames, (height, width))
        ways = {
            "plain loop": lambda: plain(model, path),
            "stream": lambda: streamed(model, path),
            "stream, every second frame": lambda: streamed(model, path, every=2),
            "stream, track": lambda: streamed(model, path, track=True),
        }
        for run in ways.values():
            run()  # what is loaded once
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(asked.runs):
            for name, run in ways.items():
                times[name].append(seconds(run))
    base = statistics.median(times["plain loop"])
    for name, found in times.items():
        middle = statistics.median(found)
        print(f"{name:28} {1000 * middle:7.2f} ms a frame  {middle / base:5.3f}")


if __name__ == "__main__":
    main()
