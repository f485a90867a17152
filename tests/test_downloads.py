"""Images at web addresses: what arrives in time and whole, or a clear error."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from image_inputs import RGB, encoded, pixels, refused

from pvzoo.inputs import limits
from pvzoo.inputs.images import ImageHandle

IMAGE = encoded(RGB, "PNG")


class Web(BaseHTTPRequestHandler):
    """A small web site with everything that can go wrong."""

    def log_message(self, *args) -> None:
        pass

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        headers.setdefault("Content_Length", str(len(body)))
        for name, value in headers.items():
            if value:
                self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        page = self.path.strip("/").split("?")[0].split("/")[0]
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the client had enough
            getattr(self, f"get_{page}")()

    def get_ok(self) -> None:
        self.answer(200, IMAGE, Content_Type="image/png")

    def get_plain(self) -> None:
        self.answer(200, IMAGE, Content_Type="text/plain")

    def get_endless_connection(self) -> None:
        self.answer(200, IMAGE)
        time.sleep(2)  # does not close, though all has been said

    def get_chunked(self) -> None:
        self.answer(200, b"", Transfer_Encoding="chunked", Content_Length="")
        for start in range(0, len(IMAGE), 10):
            piece = IMAGE[start : start + 10]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def get_moved(self) -> None:
        self.answer(302, b"", Location="/ok")

    def get_loop(self) -> None:
        self.answer(302, b"", Location="/loop")

    def get_to_file(self) -> None:
        self.answer(302, b"", Location="file:///etc/passwd")

    def get_to_ftp(self) -> None:
        self.answer(302, b"", Location="ftp://127.0.0.1/a.png")

    def get_page(self) -> None:
        self.answer(200, b"<html>log in first</html>", Content_Type="text/html; charset=utf-8")

    def get_gone(self) -> None:
        self.answer(404, b"<html>gone</html>", Content_Type="text/html")

    def get_broken(self) -> None:
        self.answer(500, b"")

    def get_empty(self) -> None:
        self.answer(200, b"", Content_Type="image/png")

    def get_short(self) -> None:
        self.answer(200, IMAGE[:50], Content_Length=str(len(IMAGE)))

    def get_says_much(self) -> None:
        self.answer(200, b"", Content_Length="99999999999")

    def get_sends_much(self) -> None:
        self.answer(200, bytes(1 << 20), Content_Length="")

    def get_nonsense(self) -> None:
        self.wfile.write(b"what?\r\n\r\n")

    def get_silent(self) -> None:
        time.sleep(2)

    def get_slow_body(self) -> None:
        self.answer(200, b"", Content_Length="100000")
        for _ in range(40):
            self.wfile.write(b"x")
            time.sleep(0.05)

    def get_slow_head(self) -> None:
        for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 40:
            self.wfile.write(bytes([byte]))
            time.sleep(0.05)


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Web)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("page", ["ok", "plain", "chunked", "moved", "ok?a=1&b=%20", "ok/ü 图.png"])
def test_a_web_address_is_downloaded(web: str, page: str) -> None:
    handle = ImageHandle.of(f"{web}/{page}")
    assert (np.asarray(handle.open()) == RGB).all()
    assert handle.name == f"{web}/{page}"


def test_the_scheme_of_an_address_may_be_in_capitals(web: str) -> None:
    assert (pixels(web.replace("http", "HTTP") + "/ok") == RGB).all()


def test_a_download_is_done_when_all_has_arrived(web: str) -> None:
    start = time.perf_counter()
    assert (pixels(f"{web}/endless_connection") == RGB).all()
    assert time.perf_counter() - start < 1.5


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("gone", ["answered 404", "Check the address"]),
        ("broken", ["answered 500"]),
        ("page", ["web page", "text/html", "image itself"]),
        ("loop", ["answered 302", "infinite loop"]),
        ("to_file", ["file:///etc/passwd", "not allowed"]),
        ("to_ftp", ["ftp://127.0.0.1/a.png", "not a web address"]),
        ("empty", ["empty"]),
        ("short", ["broke off after 50 of", "Try again"]),
        ("says_much", ["99,999,999,999 bytes", "MAX_BYTES"]),
        ("nonsense", ["could not be downloaded"]),
    ],
)
def test_an_address_without_an_image_is_refused(web: str, page: str, words) -> None:
    refused(f"{web}/{page}", *words, name=f"{web}/{page}")


def test_a_download_stops_at_the_byte_limit(web: str, monkeypatch) -> None:
    monkeypatch.setattr(limits, "MAX_BYTES", 100_000)
    refused(f"{web}/sends_much", "100,000 allowed", "MAX_BYTES", name=web)


@pytest.mark.parametrize("page", ["silent", "slow_body", "slow_head"])
def test_a_slow_download_stops_at_the_time_limit(web: str, page: str, monkeypatch) -> None:
    monkeypatch.setattr(limits, "URL_SECONDS", 0.3)
    start = time.perf_counter()
    refused(f"{web}/{page}", "0.3 seconds", "Try again", name=f"{web}/{page}")
    assert time.perf_counter() - start < 1.5


def test_a_server_that_is_not_there_is_refused() -> None:
    url = "http://127.0.0.1:1/a.png"
    refused(url, "could not be downloaded", "refused", name=url)


@pytest.mark.parametrize("url", ["http://", "http://h:port/a.png", "http://[::1/a.png"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    refused(url, "could not be downloaded", "Check the address", name=url)
