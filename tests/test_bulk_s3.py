"""An object store as source and sink of a bulk job, which fails now and then and is slow."""

from __future__ import annotations

import io
import logging
import random
import threading
import time
from collections.abc import Iterator

import pyarrow.dataset as parquet
import pyarrow.fs
import pyarrow.parquet as pq
import pytest
from PIL import Image

import pvzoo
from pvzoo.errors import PvzooError
from pvzoo.export.twins import shipped_folder
from pvzoo.jobs import storage

pytest.importorskip("moto.server", reason="moto is installed with the extra test")
import boto3
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

MODEL = str(shipped_folder(pvzoo.info("shapes-detector")))


logging.getLogger("werkzeug").setLevel(logging.ERROR)


class Store:
    """An S3 server on this machine that can be told to fail and to be slow.

    Attributes:
        failures: The share of requests that are answered with an error of the server.
        seconds: The longest time before an answer.
        requests: What was asked for: the method and the path.
        failed: How many requests were failed.
    """

    def __init__(self) -> None:
        self.failures = self.seconds = 0.0
        self.requests: list[tuple[str, str]] = []
        self.failed = 0
        self._drawn = random.Random(0)
        self._app = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def _answer(self, environ, start_response):
        self.requests.append((environ["REQUEST_METHOD"], environ["PATH_INFO"]))
        time.sleep(self._drawn.uniform(0, self.seconds))
        if self._drawn.random() < self.failures:
            self.failed += 1
            start_response("500 Internal Server Error", [("Content-Type", "application/xml")])
            return [b"<Error><Code>InternalError</Code><Message>Try again.</Message></Error>"]
        return self._app(environ, start_response)

    def address(self, path: str) -> str:
        return f"s3://{path}?endpoint_override=127.0.0.1:{self.port}&scheme=http&region=us-east-1"

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def store(monkeypatch) -> Iterator[Store]:
    """A store with a bucket of 12 images, of which one is damaged; retries do not wait long."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    monkeypatch.setattr(storage, "PAUSES", (0.01,) * 8)
    server = Store()
    client = boto3.client(
        "s3", endpoint_url=f"http://127.0.0.1:{server.port}", region_name="us-east-1"
    )
    client.create_bucket(Bucket="photos")
    buffer = io.BytesIO()
    Image.open(f"{pvzoo.__path__[0]}/demo/examples/scene.jpg").save(buffer, "PNG")
    for index in range(12):
        content = b"no image" if index == 7 else buffer.getvalue()
        client.put_object(
            Bucket="photos", Key=f"in/day {index // 6}/ü+{index:02d}.png", Body=content
        )
    yield server
    server.stop()


def rows(store: Store, folder: str) -> list[dict]:
    files, path = pyarrow.fs.FileSystem.from_uri(store.address(folder))
    return parquet.dataset(path, filesystem=files).to_table().sort_by("id").to_pylist()


def test_a_store_that_fails_and_is_slow_gives_the_same_rows_as_a_good_one(store):
    run = {"model": MODEL, "workers": 1, "shard_size": 4}
    report = pvzoo.bulk(store.address("photos/in"), store.address("photos/good"), **run)
    assert (report.rows, report.errors) == (12, 1)
    store.failures, store.seconds = 0.2, 0.1
    pvzoo.bulk(store.address("photos/in"), store.address("photos/bad"), **run)
    store.failures = store.seconds = 0
    assert store.failed > 5
    good = rows(store, "photos/good")
    assert rows(store, "photos/bad") == good
    assert [row["path"] for row in good[:2]] == [
        "s3://photos/in/day 0/ü+00.png",
        "s3://photos/in/day 0/ü+01.png",
    ]
    assert [row["error"] is None for row in good].count(False) == 1


@pytest.mark.slow
def test_a_store_that_is_down_stops_the_job_with_a_sentence_and_no_row_becomes_an_error(
    store, monkeypatch
):
    monkeypatch.setattr(storage, "PAUSES", (0.01,))  # Arrow itself tries some times each time
    out = store.address("photos/out")
    run = {"model": MODEL, "workers": 1, "shard_size": 4}
    seen = []

    def break_down(progress) -> None:
        seen.append(progress)
        store.failures = 1.0

    with pytest.raises(PvzooError, match="The same command goes on"):
        pvzoo.bulk(store.address("photos/in"), out, progress=break_down, **run)
    store.failures = 0
    assert [progress.rows for progress in seen] == [4]
    report = pvzoo.bulk(store.address("photos/in"), out, **run)
    assert (report.rows, report.errors, report.new) == (12, 1, 8)


def test_no_secret_of_an_address_is_written_down_or_said(store, capsys):
    source = store.address("photos/in").replace("s3://", "s3://testing:very-secret@")
    out = store.address("photos/out").replace("s3://", "s3://testing:very-secret@")
    report = pvzoo.bulk(source, out, model=MODEL, workers=1, progress=True)
    files, path = pyarrow.fs.FileSystem.from_uri(store.address("photos/out"))
    for info in files.get_file_info(pyarrow.fs.FileSelector(path)):
        assert b"very-secret" not in files.open_input_file(info.path).read()
        if info.path.endswith(".parquet"):
            told = pq.read_metadata(files.open_input_file(info.path)).metadata
            assert b"very-secret" not in b"".join(told.values())
    assert "secret" not in f"{report}{capsys.readouterr()}"


def test_an_object_that_is_missing_is_an_error_at_once(store, tmp_path):
    address = store.address("photos/in/day 0/ü+00.png").partition("?")
    (tmp_path / "list.txt").write_text(
        f"{''.join(address)}\n{address[0].replace('00', '99')}?{address[2]}\n", encoding="utf-8"
    )
    pvzoo.bulk(str(tmp_path / "list.txt"), str(tmp_path / "out"), model=MODEL, workers=1)
    good, missing = parquet.dataset(tmp_path / "out").to_table().sort_by("id").to_pylist()
    assert good["error"] is None
    assert "does not exist" in missing["error"]
    assert len([path for _, path in store.requests if "99" in path]) == 1


def test_a_path_that_no_store_can_have_is_an_error_at_once(store, monkeypatch):
    pauses = []
    monkeypatch.setattr(storage.time, "sleep", pauses.append)
    good = "day 0/ü+00.png"
    files, path = pyarrow.fs.FileSystem.from_uri(store.address("photos/in/list.txt"))
    with files.open_output_stream(path) as stream:
        stream.write(f"{good}\nday 0//x.png\nfoo://x.png\n{good}\n".encode())
    pvzoo.bulk(
        store.address("photos/in/list.txt"), store.address("photos/odd"), model=MODEL, workers=1
    )
    found = rows(store, "photos/odd")
    errors = [row["error"] for row in found]
    assert [error is None for error in errors] == [True, False, False, True]
    assert "day 0//x.png does not exist" in errors[1]
    assert "foo:// cannot be opened" in errors[2]
    for source in ("photos//in", "photos/in//*.png"):
        with pytest.raises(PvzooError, match=r"There is nothing|has no images"):
            pvzoo.bulk(store.address(source), store.address("photos/b"), model=MODEL, workers=1)
    assert not any(pauses)
