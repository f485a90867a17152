"""What a bulk job costs beside `stream`, how it scales, and what each stage takes.

    python benchmarks/bulk.py overhead   CPU time per image of bulk and of stream, on 2,000 JPEGs
    python benchmarks/bulk.py stages     read, decode, preprocess, forward, postprocess, write
    python benchmarks/bulk.py scaling    rows per second of a network that sleeps, 1 to 8 workers
    python benchmarks/bulk.py million    one million rows through a network that costs nothing

The figures in docs/bulk.md come from here.
"""

from __future__ import annotations

import argparse
import io
import os
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as parquet
import pyarrow.parquet as pq
from PIL import Image

import pvzoo
from pvzoo.export.twins import shipped_folder

sys.path.append(str(Path(__file__).parents[1] / "tests"))
import stand_in


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["overhead", "stages", "scaling", "million"])
    parser.add_argument("--count", type=int, help="images, or rows")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = {"overhead": overhead, "stages": stages, "scaling": scaling, "million": million}
        run[arguments.what](Path(folder), arguments.count)


def photographs(folder: Path, count: int) -> Path:
    """JPEGs of the size of a camera's small setting, each with other pixels."""
    source = Image.open(Path(pvzoo.__file__).parent / "demo" / "examples" / "coffee.jpg")
    source = source.convert("RGB").resize((1280, 853))
    folder.mkdir()
    for index in range(count):
        source.rotate(index * 360 / count).save(folder / f"{index:05d}.jpg", quality=85)
    return folder


def detector() -> str:
    return str(shipped_folder(pvzoo.info("shapes-detector")))


def overhead(home: Path, count: int | None) -> None:
    images = photographs(home / "images", count or 2000)
    model = pvzoo.load(detector())
    list(model.stream(sorted(images.iterdir())[:20]))

    def stream() -> list:
        return [result.to_dict() for result in model.stream(images, progress=False)]

    def bulk(out: Path) -> None:
        pvzoo.bulk(str(images), str(out), model=detector(), workers=1, progress=False)

    ratios = []
    for turn in range(2):  # in turns, so that what else the machine does hits both
        start = time.process_time()
        plain = stream()
        by_stream = time.process_time() - start
        start = time.process_time()
        bulk(home / f"out{turn}")
        by_bulk = time.process_time() - start
        ratios.append(by_bulk / by_stream)
        per = 1000 / len(plain)
        print(f"stream {by_stream * per:.2f} ms, bulk {by_bulk * per:.2f} ms, {ratios[-1]:.3f}x")
    rows = parquet.dataset(str(home / "out0")).to_table().sort_by("id").to_pylist()
    worst = 0.0
    for row, expected in zip(rows, plain, strict=True):
        assert row["path"] == expected["source"]
        assert len(row["predictions"]) == len(expected["predictions"])
        for one, other in zip(row["predictions"], expected["predictions"], strict=True):
            assert one["name"] == other["name"]
            keys = ("score", "xmin", "ymin", "xmax", "ymax")
            worst = max(worst, *(abs(one[key] - other[key]) for key in keys))
    print(f"median {np.median(ratios):.3f}x; {len(rows)} rows, largest difference {worst:.1e}")


def stages(home: Path, count: int | None) -> None:
    images = sorted(photographs(home / "images", count or 200).iterdir())
    model = pvzoo.load(detector())
    prompts, controls = pvzoo.plugins.registry.get("tasks", model.task)().options({}, model.labels)
    spent = dict.fromkeys(("read", "decode", "preprocess", "forward", "postprocess", "write"), 0.0)

    def timed(stage: str, call: Callable[[], Any]) -> Any:
        start = time.process_time()
        value = call()
        spent[stage] += time.process_time() - start
        return value

    rows = []
    for file in images:
        data = timed("read", file.read_bytes)
        image = timed("decode", lambda data=data: pvzoo.open_image(data))
        inputs, meta = timed(
            "preprocess", lambda image=image: model.adapter.preprocess(image, **prompts)
        )
        outputs = timed("forward", lambda inputs=inputs: model.adapter.run(model.runtime, inputs))
        result = timed(
            "postprocess",
            lambda outputs=outputs, meta=meta: model.adapter.postprocess(outputs, meta, **controls),
        )
        rows.append(result)

    def write() -> None:
        from pvzoo.jobs.parts import PartWriter
        from pvzoo.jobs.rows import of_result, schema

        with (home / "part").open("wb") as file, PartWriter(file, schema(type(rows[0])), {}) as to:
            for index, result in enumerate(rows):
                to.add(of_result(result, str(index), str(images[index])))

    timed("write", write)
    for stage, seconds in spent.items():
        print(f"{stage:12} {seconds / len(images) * 1000:8.3f} ms of CPU time per image")
    print(f"bytes per row {(home / 'part').stat().st_size / len(rows):.0f}")


def table_of(home: Path, count: int, group: int) -> Path:
    """A table of small PNGs, each another colour, in row groups of this many rows."""
    cells = []
    for index in range(256):
        buffer = io.BytesIO()
        Image.new("RGB", (8, 8), (index, 255 - index, 128)).save(buffer, "PNG")
        cells.append(buffer.getvalue())
    file = home / f"{count}.parquet"
    with pq.ParquetWriter(file, pa.schema([("image", pa.binary())])) as writer:
        for start in range(0, count, group):
            part = [cells[n % 256] for n in range(start, min(start + group, count))]
            writer.write_table(pa.table({"image": part}, schema=writer.schema))
    return file


def plugin(home: Path, seconds: float) -> str:
    """A stand-in of this process and of those that it starts."""
    folder = str(stand_in.install(home / "plugin"))
    sys.path.append(folder)
    os.environ["PYTHONPATH"] = folder
    return str(stand_in.write_model(home / "model", seconds))


def scaling(home: Path, count: int | None) -> None:
    """The speed without the start of Ray and of the workers.

    Work begins one shard before the first part is there.
    """
    seconds, shard = 0.2, 50
    model = plugin(home, seconds)
    base = None
    for workers in (1, 2, 4, 8):
        images = table_of(home, (count or 150) * workers, shard)
        seen: list[tuple[float, int]] = []
        pvzoo.bulk(
            str(images),
            str(home / f"out{workers}"),
            model=model,
            workers=workers,
            cpus_per_worker=0.25,
            shard_size=shard,
            progress=lambda s, seen=seen: seen.append((time.monotonic(), s.rows)),
        )
        begin, (end, rows) = seen[0][0] - shard * seconds, seen[-1]
        speed = rows / (end - begin)
        base = base or speed
        print(f"{workers} workers: {speed:.2f} rows/s, {speed / base:.2f}x", flush=True)


def million(home: Path, count: int | None) -> None:
    model = plugin(home, 0)
    images = table_of(home, count or 1_000_000, 1000)
    samples: list[int] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(1):
            pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
            samples.append(pages * resource.getpagesize())

    watcher = threading.Thread(target=watch)
    watcher.start()
    report = pvzoo.bulk(str(images), str(home / "out"), model=model, workers=1, progress=True)
    done.set()
    watcher.join()
    fifth = len(samples) // 5 or 1
    early, late = np.median(samples[fifth : 2 * fifth]), np.median(samples[-fifth:])
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(f"{report.rows:,} rows in {report.seconds:.0f} s, {report.rows / report.seconds:,.0f}/s")
    print(f"CPU {1e3 * (used.ru_utime + used.ru_stime) / report.rows:.3f} ms per row")
    print(f"memory {early / 2**20:.0f} MB early, {late / 2**20:.0f} MB late")
    manifest = home / "out" / "_manifest.json"
    print(f"{report.parts} parts, manifest {manifest.stat().st_size / report.parts:.0f} bytes each")
    listed = home / "out" / "_inputs.parquet"
    print(f"list of inputs {listed.stat().st_size / report.parts:.0f} bytes per shard")


if __name__ == "__main__":
    main()
