"""What a server answers to good requests and to bad ones."""

from __future__ import annotations

import base64
import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import bombs
import httpx
import numpy as np
import pytest
from PIL import Image
from serving import (
    DETECTOR,
    EXPORTS,
    Brightness,
    brightness,
    command,
    figure,
    grey,
    png,
    running,
    scenes,
    wait_for,
)

import pvzoo
from pvzoo.serve import Limits
from pvzoo.serve.models import names_of
from pvzoo.serve.request import Asked, images_of, options_of, read

PREDICT = "/v1/models/shapes/predict"
LIMITS = Limits(
    max_bytes=2**20,
    max_request=3 * 2**19,
    max_pixels=1_000_000,
    max_images=4,
    batch_wait=0.02,
)


@pytest.fixture(scope="module")
def model():
    return pvzoo.load(DETECTOR)


@pytest.fixture(scope="module")
def client(model):
    with running({"shapes": model}, limits=LIMITS) as client:
        yield client


def equal(answer, expected):
    """Whether an answer is that of `predict`; batches may change the last bits."""
    expected = json.loads(expected.to_json())
    assert {**answer, "source": ""}.keys() == expected.keys()
    assert len(answer["predictions"]) == len(expected["predictions"]) > 0
    for found, wanted in zip(answer["predictions"], expected["predictions"], strict=True):
        assert found["name"] == wanted["name"]
        for key in ("score", "xmin", "ymin", "xmax", "ymax"):
            assert found[key] == pytest.approx(wanted[key], abs=1e-3)
    return True


# --- good requests --------------------------------------------------------------------------------


def as_bytes(data):
    return {"content": data}


def as_form(data):
    return {"files": {"image": ("../../a scene.png", data)}}


def as_json(data):
    return {"json": {"image": base64.b64encode(data).decode()}}


def as_data_uri(data):
    return {"json": {"image": "data:image/png;base64," + base64.b64encode(data).decode()}}


def as_upload_of_curl(data):
    return {"content": data, "headers": {"content-type": "application/x-www-form-urlencoded"}}


@pytest.mark.parametrize("form", [as_bytes, as_form, as_json, as_data_uri, as_upload_of_curl])
def test_an_image_in_any_form_is_answered_as_predict_does(client, model, form):
    (scene,) = scenes(1)
    answer = client.post(PREDICT, **form(png(scene)))
    assert answer.status_code == 200, answer.text
    assert equal(answer.json(), model.predict(scene))
    assert answer.json()["source"] == ("a scene.png" if form is as_form else "image")


def test_options_are_parameters_of_the_address_or_json(client, model):
    (scene,) = scenes(1)
    data = base64.b64encode(png(scene)).decode()
    options = {"threshold": 0.2, "classes": ["heart", "ring"], "max_detections": 3}
    expected = model.predict(scene, **options)
    in_address = "?threshold=0.2&classes=heart,ring&max_detections=3"
    repeated = "?threshold=0.2&classes=heart&classes=ring&max_detections=3"
    for answer in (
        client.post(PREDICT + in_address, content=png(scene)),
        client.post(PREDICT + repeated, content=png(scene)),
        client.post(PREDICT, json={"image": data, "options": options}),
        client.post(PREDICT, files={"image": png(scene)}, data={"options": json.dumps(options)}),
        client.post(PREDICT + "?threshold=0.9", json={"image": data, "options": options}),
    ):
        assert equal(answer.json(), expected)
    one = client.post(PREDICT + "?classes=heart&nms=null", content=png(scene)).json()
    assert {row["name"] for row in one["predictions"]} == {"heart"}


def test_a_large_image_is_predicted_in_tiles(client, model):
    large = Image.new("RGB", (512, 256))
    for i, scene in enumerate(scenes(8)):
        large.paste(scene, (128 * (i % 4), 128 * (i // 4)))
    for tiles in ("160", "auto"):
        answer = client.post(f"{PREDICT}?tiles={tiles}", content=png(large))
        wanted = int(tiles) if tiles.isdecimal() else tiles
        assert equal(answer.json(), model.predict(large, tiles=wanted))
    named = {
        p["name"]
        for p in client.get("/openapi.json").json()["paths"][PREDICT]["post"]["parameters"]
    }
    assert "tiles" in named


def test_several_images_have_their_results_in_order(client, model):
    images = scenes(3, seed=7)
    expected = model.predict(images)
    coded = [base64.b64encode(png(image)).decode() for image in images]
    as_files = client.post(
        PREDICT, files=[("images", (f"{i}.png", png(x))) for i, x in enumerate(images)]
    )
    assert [r["source"] for r in as_files.json()["results"]] == ["0.png", "1.png", "2.png"]
    for answer in (as_files, client.post(PREDICT, json={"images": coded})):
        assert answer.status_code == 200
        assert all(map(equal, answer.json()["results"], expected))
    alone = client.post(PREDICT, json={"images": coded[:1]})
    assert len(alone.json()["results"]) == 1


def test_the_annotated_image_is_the_one_of_plot(client, model):
    import io

    (scene,) = scenes(1)
    answer = client.post(PREDICT + "?format=image", content=png(scene))
    assert answer.headers["content-type"] == "image/png"
    drawn = np.asarray(Image.open(io.BytesIO(answer.content)))
    assert np.array_equal(drawn, np.asarray(model.predict(scene).plot()))


def test_requests_share_batches_and_have_the_answers_of_predict(client, model):
    images = scenes(24, seed=11)
    before = figure(client, "pvzoo_batch_images_count"), figure(client, "pvzoo_images_total")
    with ThreadPoolExecutor(12) as pool:
        answers = [*pool.map(lambda x: client.post(PREDICT, content=png(x)).json(), images)]
    assert all(map(equal, answers, model.predict(images)))
    wait_for(client, "pvzoo_images_total", before[1] + 24)
    assert figure(client, "pvzoo_batch_images_count") - before[0] < 16


def test_the_models_say_what_they_are(client, model):
    (card,) = client.get("/v1/models").json()["models"]
    assert card == client.get("/v1/models/shapes").json()
    assert card["task"] == "object-detection"
    assert card["runtime"] == "onnxruntime"
    assert card["labels"] == list(model.labels)
    assert card["certificate"]["verdict"] == "certified"
    assert card["loaded"]
    assert "/" not in json.dumps({**card, "certificate": None}), "no paths of the server"


def test_health_needs_no_token_and_everything_else_does(model):
    with running({"shapes": model}, token="sesame") as client:
        assert client.get("/health/live").status_code == 200
        assert client.get("/health/ready").json() == {"ready": True}
        for path in ("/v1/models", "/metrics", "/openapi.json", "/nothing"):
            for headers in ({}, {"authorization": "Bearer sesam"}, {"authorization": "sesame"}):
                answer = client.get(path, headers=headers)
                assert answer.status_code == 401
                assert "Authorization: Bearer TOKEN" in answer.json()["error"]
        answer = client.post(PREDICT, content=bytes(2**24))
        assert answer.status_code == 401, "the answer is read though the body was not wanted"
        headers = {"authorization": "Bearer sesame"}
        answer = client.post(PREDICT, content=png(scenes(1)[0]), headers=headers)
        assert answer.status_code == 200


def test_the_routes_are_described_for_programs_and_for_people(client):
    told = client.get("/openapi.json").json()
    predict = told["paths"][PREDICT]["post"]
    options = {parameter["name"]: parameter for parameter in predict["parameters"]}
    assert {"format", "threshold", "classes", "max_detections"} <= options.keys()
    assert options["threshold"]["schema"] == {"type": ["number"], "default": 0.5}
    assert options["classes"]["schema"] == {"type": ["array", "null"], "default": None}
    for path, methods in told["paths"].items():
        for method in methods:
            assert client.request(method, path).status_code < 404, path
    for name, (status, *_) in BAD.items():
        assert str(status) in predict["responses"], name
    page = client.get("/").text
    assert "Objects with a lower score are not returned." in page
    assert all(path in page for path in told["paths"])
    assert "http" not in page.replace("<!doctype html>", ""), "it needs nothing from elsewhere"


# --- bad requests ---------------------------------------------------------------------------------


def coded(data):
    return base64.b64encode(data).decode()


SMALL = grey(7)
BAD = {
    "no bytes": (400, "The body is empty.", {"content": b""}),
    "a web page": (415, "of the type 'text/html'", {
        "content": b"<html>", "headers": {"content-type": "text/html; charset=utf-8"}}),
    "a web page as an image": (422, "image is a web page", {"content": b"<html></html>"}),
    "noise": (422, "image is not an image in a format", {"content": b"\x01\x02" * 500}),
    "half an image": (422, "is damaged or incomplete", {"content": png(scenes(1)[0])[:900]}),
    "a program": (422, "is PostScript", {
        "content": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"}),
    "a bomb of pixels": (413, "88,360,000 pixels, more than the 1,000,000", {
        "content": bombs.bmp()}),
    "too many bytes": (413, "has 1,100,000 bytes, more than 1,048,576", {
        "content": bytes(1_100_000)}),
    "50 MB": (413, "is larger than the 1,572,864 bytes allowed.", {"content": bytes(50_000_000)}),
    "50 MB of unknown length": (413, "The request is larger than", {
        "content": (bytes(1_000_000) for _ in range(50))}),
    "compressed": (415, "Compressed requests", {
        "content": SMALL, "headers": {"content-encoding": "gzip"}}),
    "broken JSON": (400, "The body is not JSON", {
        "content": b'{"image": ', "headers": {"content-type": "application/json"}}),
    "deep JSON": (400, "The body is not JSON", {
        "content": b"[" * 100_000, "headers": {"content-type": "application/json"}}),
    "JSON with NaN": (400, "NaN is not a number", {
        "content": b'{"image": "", "options": {"threshold": NaN}}',
        "headers": {"content-type": "application/json"}}),
    "a list as JSON": (400, 'neither "image" nor "images"', {"json": [1]}),
    "two kinds of images": (400, "or both", {"json": {"image": "", "images": []}}),
    "no images in a list": (400, '"images" is not a list', {"json": {"images": []}}),
    "unknown keys": (400, "unknown key 'threshold'", {
        "json": {"image": coded(SMALL), "threshold": 0.5}}),
    "options that are a list": (400, "options are not a JSON object", {
        "json": {"image": coded(SMALL), "options": [1]}}),
    "a path": (400, "image is not base64", {"json": {"image": "/etc/os-release.png"}}),
    "a path that is base64": (422, "image is not an image", {"json": {"image": "/etc/passwdd"}}),
    "a path as a file's address": (400, "image is not base64", {
        "json": {"image": "file:///etc/passwd"}}),
    "a number": (400, "images[1] is not a text", {"json": {"images": [coded(SMALL), 7]}}),
    "one bad image of two": (422, "images[1] is not an image", {
        "json": {"images": [coded(SMALL), coded(b"noise")]}}),
    "five images": (413, "has 5 images, more than 4", {"json": {"images": [coded(SMALL)] * 5}}),
    "six files": (400, "Too many files", {"files": [("images", SMALL)] * 6}),
    "a web address": (403, "image is a web address, and this server takes none", {
        "json": {"image": {"url": "http://127.0.0.1/x.png"}}}),
    "a form without a file": (400, "unknown field 'image', or one that is not a file", {
        "files": {"image": (None, "/etc/passwd")}}),
    "an unknown field": (400, "unknown field 'picture'", {"files": {"picture": SMALL}}),
    "a form without its boundary": (400, "The form cannot be read", {
        "content": b"--x\r\n", "headers": {"content-type": "multipart/form-data"}}),
    "a form in another charset": (415, "The charset of the form is 'punycode'. Send UTF-8.", {
        "content": b"--x\r\nContent-Disposition: form-data; name=options\r\n\r\na\r\n--x--\r\n",
        "headers": {"content-type": "multipart/form-data; boundary=x; charset=punycode"}}),
    "an unknown option": (422, "no option 'treshold'. Did you mean 'threshold'?", {
        "content": SMALL, "params": {"treshold": 1}}),
    "a very long class": (413, "more than 65,536 characters", {
        "json": {"image": coded(SMALL), "options": {"classes": ["a" * 100_000]}}}),
    "deep options": (422, "is not a class", {
        "content": b'{"image": "%s", "options": {"classes": %s1%s}}' % (
            coded(SMALL).encode(), b"[" * 300, b"]" * 300),
        "headers": {"content-type": "application/json"}}),
    "an option of Python only": (422, "no option 'on_error'", {
        "content": SMALL, "params": {"on_error": "skip"}}),
    "a wrong value": (422, "threshold is 7", {"content": SMALL, "params": {"threshold": 7}}),
    "too many tiles": (413, "needs 961 tiles, more than 100", {
        "content": png(Image.new("RGB", (800, 800))), "params": {"tiles": 32}}),
    "tiles of no size": (422, "The size of tiles is 0", {"content": SMALL, "params": {"tiles": 0}}),
    "tiles of no number": (422, "tiles is 'many'", {"content": SMALL, "params": {"tiles": "many"}}),
    "a wrong class": (422, "no class 'hart'", {"content": SMALL, "params": {"classes": "hart"}}),
    "an unknown format": (400, "no format 'pdf'", {"content": SMALL, "params": {"format": "pdf"}}),
    "one image for several": (400, "one image only", {
        "json": {"images": [coded(SMALL)]}, "params": {"format": "image"}}),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_request_is_answered_by_a_sentence(client, name):
    status, words, request = BAD[name]
    answer = client.post(PREDICT, **request)
    assert (answer.status_code, words in answer.text.replace('\\"', '"')) == (status, True), (
        answer.text
    )
    message = answer.json()["error"]
    assert message.endswith((".", "?"))
    assert "Traceback" not in message
    assert "Error" not in message


def test_what_is_not_there_is_answered_by_a_sentence(client):
    for method, path, status, words in (
        ("POST", "/v1/models/shape/predict", 404, "no model 'shape' here. Did you mean 'shapes'?"),
        ("GET", "/v1/models/..%2f..%2fetc", 404, "There is no"),
        ("GET", "/nothing", 404, "There is no such address."),
        ("GET", PREDICT, 405, "does not take this method"),
        ("DELETE", "/v1/models", 405, "does not take this method"),
    ):
        answer = client.request(method, path)
        assert (answer.status_code, words in answer.json()["error"]) == (status, True)


def test_with_addresses_allowed_private_ones_are_refused(model):
    limits = Limits(allow_urls=True, url_seconds=5)
    with running({"shapes": model}, limits=limits) as client:
        own = str(client.base_url)
        for url in (f"{own}/health/live", "http://169.254.169.254/x", "http://[::1]:80/x"):
            answer = client.post(PREDICT, json={"image": {"url": url}})
            assert answer.status_code == 422
            assert "is not on the public internet." in answer.json()["error"]
        answer = client.post(PREDICT, json={"image": {"url": "file:///etc/passwd"}})
        assert answer.status_code == 422
        assert "is not a web address" in answer.json()["error"]
        half = {"content": rb'{"image": {"url": "\ud800"}}'}
        answer = client.post(PREDICT, **half, headers={"content-type": "application/json"})
        assert answer.status_code == 422
        assert "? is not a web address" in answer.json()["error"]


@contextmanager
def slow_images(seconds):
    """The address of an image that arrives after so many seconds, and the list of its requests."""
    asked = []

    class Slow(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            time.sleep(seconds)
            with suppress(OSError):  # nobody waits any more
                self.send_response(200)
                self.end_headers()
                self.wfile.write(SMALL)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/a.png", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_slow_addresses_do_not_keep_other_requests_out(monkeypatch):
    monkeypatch.setattr("pvzoo.inputs.downloads.is_public", lambda host: True)
    limits = Limits(allow_urls=True, url_seconds=3, seconds=1)
    with (
        slow_images(2.5) as (url, asked),
        running({"brightness": brightness()}, limits=limits) as client,
        ThreadPoolExecutor(20) as pool,
    ):
        body = {"image": {"url": url}}
        slow = [pool.submit(client.post, DARK, json=body) for _ in range(8)]
        while len(asked) < 8:
            time.sleep(0.01)
        assert client.post(DARK, files={"image": grey(10)}).status_code == 200
        assert client.post(DARK, content=grey(10)).status_code == 200
        assert not any(answer.done() for answer in slow)
        assert {answer.result().status_code for answer in slow} == {504}
        assert client.post(DARK, json=body).status_code == 504
        assert len(asked) == 8, "a download that nobody waits for still keeps its place"


def test_the_addresses_of_a_request_share_one_limit_of_time(monkeypatch):
    monkeypatch.setattr("pvzoo.inputs.downloads.is_public", lambda host: True)
    with slow_images(0.4) as (url, _):
        one, many = (Asked([("image", url)] * count, True, {}) for count in (1, 4))
        limits = Limits(allow_urls=True, url_seconds=1)
        assert len(images_of(one, limits)) == 1
        with pytest.raises(pvzoo.PvzooError, match=r"did not arrive within [0-9.]+ seconds"):
            images_of(many, limits)


def test_too_many_prompts_are_refused():
    task = pvzoo.plugins.registry.get("tasks", "zero-shot-object-detection")()
    assert options_of(task, {"prompts": ["a", "b"]}, (), Limits())["prompts"] == ["a", "b"]
    with pytest.raises(pvzoo.PvzooError, match="The prompts have 101 values, more than 100") as e:
        options_of(task, {"prompts": [str(n) for n in range(101)]}, (), Limits())
    assert e.value.status == 413


def test_a_single_text_of_an_address_stays_a_text_where_the_option_takes_one():
    task = pvzoo.plugins.registry.get("tasks", "zero-shot-object-detection")()
    for query, expected in (
        ([("prompts", "a cat")], "a cat"),
        ([("prompts", "a cat, a dog")], ["a cat", "a dog"]),
        ([("prompts", "a cat"), ("prompts", "a dog, or so")], ["a cat", "a dog, or so"]),
    ):
        asked = read({}, query, SMALL, Limits())
        assert options_of(task, asked.options, (), Limits())["prompts"] == expected


def test_names_of_models_are_the_last_part_of_what_was_given():
    assert names_of(["runs/cells-onnx/", "facebook/detr-resnet-50", "mine=a/b=c"]) == {
        "cells-onnx": "runs/cells-onnx/",
        "detr-resnet-50": "facebook/detr-resnet-50",
        "mine": "a/b=c",
    }
    with pytest.raises(pvzoo.PvzooError, match="Two models are called 'x'"):
        names_of(["a/x", "b/x"])


# --- load -----------------------------------------------------------------------------------------

DARK = "/v1/models/brightness/predict"


@pytest.fixture
def held():
    """A client of a server whose network answers only after `Brightness.held.set()`."""
    limits = Limits(queue=2, batch_size=1, at_once=1, seconds=20, batch_wait=0)
    model = brightness()
    Brightness.held.clear()
    try:
        with running({"brightness": model}, limits=limits) as client:
            yield client
            Brightness.held.set()
    finally:
        Brightness.held.set()


def test_a_full_queue_is_answered_503_with_the_time_to_come_back(held):
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(held.post, DARK, content=grey(10))
        assert Brightness.asked.wait(10)
        others = [pool.submit(held.post, DARK, content=grey(250)) for _ in range(2)]
        wait_for(held, "pvzoo_waiting_images", 2)
        refused = held.post(DARK, content=grey(10))
        assert refused.status_code == 503
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert "busy: 2 images are waiting" in refused.json()["error"]
        assert held.get("/health/live").status_code == 200, "the server itself goes on answering"
        Brightness.held.set()
        names = [job.result().json()["predictions"][0]["name"] for job in (first, *others)]
    assert names == ["dark", "bright", "bright"]


def test_a_late_answer_is_504_and_what_waited_is_not_computed():
    limits = Limits(batch_size=1, at_once=1, seconds=0.5, batch_wait=0)
    model = brightness()
    Brightness.held.clear()
    with running({"brightness": model}, limits=limits) as client, ThreadPoolExecutor(2) as pool:
        try:
            answers = [pool.submit(client.post, DARK, content=grey(10)) for _ in range(2)]
            for answer in answers:
                assert answer.result().status_code == 504
                assert "no answer within 0.5 seconds" in answer.result().json()["error"]
        finally:
            Brightness.held.set()
        assert client.post(DARK, content=grey(10)).status_code == 200
        wait_for(client, "pvzoo_images_total", 2)  # the one that waited was dropped


def test_a_client_that_goes_does_not_cost_the_others(held):
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(held.post, DARK, content=grey(10))
        assert Brightness.asked.wait(10)
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{held.base_url}{DARK}", content=grey(10), timeout=0.3)
        wait_for(held, "pvzoo_waiting_images", 0)
        last = pool.submit(held.post, DARK, content=grey(250))
        wait_for(held, "pvzoo_waiting_images", 1)
        Brightness.held.set()
        assert first.result().json()["predictions"][0]["name"] == "dark"
        assert last.result().json()["predictions"][0]["name"] == "bright"
        wait_for(held, "pvzoo_images_total", 2)


def test_an_image_on_which_an_adapter_fails_does_not_cost_the_others(caplog):
    limits = Limits(batch_size=8, at_once=1, batch_wait=0.2)
    with (
        running({"brightness": brightness()}, limits=limits) as client,
        ThreadPoolExecutor(4) as pool,
    ):
        levels = (10, 255, 250, 20)
        answers = [*pool.map(lambda level: client.post(DARK, content=grey(level)), levels)]
        assert figure(client, "pvzoo_batch_images_count") < 4
    assert [answer.status_code for answer in answers] == [200, 500, 200, 200]
    assert answers[1].json() == {
        "error": "Something went wrong on the server. Its log has the details."
    }
    assert "pure white" in caplog.text, "those who run the server read it in its log"


@pytest.mark.filterwarnings("ignore:.*the certificate comes from")
def test_a_damaged_reference_stops_the_start_only_if_drift_is_watched(tmp_path):
    folder = shutil.copytree(DETECTOR, tmp_path / "damaged")
    manifest = folder / "pvzoo-export.json"
    told = json.loads(manifest.read_text(encoding="utf-8"))
    manifest.write_text(json.dumps({**told, "reference": {"images": "many"}}), encoding="utf-8")
    with running({"shapes": folder}, drift=False) as client:
        assert client.get("/health/ready").status_code == 200
    with pytest.raises(pvzoo.PvzooError, match="shapes: the reference for drift cannot be read"):
        running({"shapes": folder}).__enter__()


def test_models_share_a_budget_of_memory():
    names = {name: EXPORTS / f"shapes-{name}" for name in ("detector", "mask2former-semantic")}
    largest = max(pvzoo.load(folder).nbytes for folder in names.values())
    with running(names, limits=Limits(models=largest + 1000)) as client:
        for name in (*names, *names):
            answer = client.post(f"/v1/models/{name}/predict", content=png(scenes(1)[0]))
            assert answer.status_code == 200
            loaded = {c["name"]: c["loaded"] for c in client.get("/v1/models").json()["models"]}
            assert loaded == {other: other == name for other in names}
    with pytest.raises(pvzoo.PvzooError, match="more than the memory for models"):
        running(names, limits=Limits(models=1000)).__enter__()


def test_requests_in_flight_share_a_budget_of_bytes(held):
    with ThreadPoolExecutor(9) as pool:
        large = [pool.submit(held.post, DARK, content=bytes(30_000_000)) for _ in range(2)]
        assert {job.result().status_code for job in large} == {413}
    sent, finish = threading.Event(), threading.Event()

    def large():
        yield bytes(2**20 - 10)
        sent.set()
        finish.wait(10)

    limits = Limits(max_request=2**20, waiting_bytes=2**20)
    with running({"brightness": brightness()}, limits=limits) as client, ThreadPoolExecutor() as p:
        first = p.submit(client.post, DARK, content=large())
        assert sent.wait(10)
        time.sleep(0.1)
        assert client.post(DARK, content=grey(10)).status_code == 503
        finish.set()
        assert first.result().status_code == 422
        assert client.post(DARK, content=grey(10)).status_code == 200


def test_clients_that_only_announce_bytes_keep_nobody_out():
    limits = Limits(max_request=2**20, waiting_bytes=2**20)
    with running({"brightness": brightness()}, limits=limits) as client, ExitStack() as stack:
        host, port = client.base_url.host, client.base_url.port
        for length in (f"content-length: {2**20}", "transfer-encoding: chunked"):
            connection = stack.enter_context(socket.create_connection((host, port)))
            connection.sendall(f"POST {DARK} HTTP/1.1\r\nhost: a\r\n{length}\r\n\r\n".encode())
        time.sleep(0.1)
        assert client.post(DARK, content=grey(10)).status_code == 200


# --- the command ----------------------------------------------------------------------------------


def test_the_end_of_the_process_loses_no_accepted_request(tmp_path):
    """SIGTERM while requests wait: each is answered, and the process ends without an error."""
    images = scenes(16, seed=5)
    (tmp_path / "token").write_text("sesame\n")
    headers = {"authorization": "Bearer sesame"}
    arguments = [f"shapes={DETECTOR}", "--batch-size", "1", "--token-file", tmp_path / "token"]
    with command(*arguments) as (process, address), ThreadPoolExecutor(40) as pool:
        answers = [
            pool.submit(
                httpx.post, address + PREDICT, content=png(image), headers=headers, timeout=60
            )
            for image in images
        ]
        with httpx.Client(base_url=address, headers=headers) as client:
            while figure(client, "pvzoo_images_total") < 3:
                time.sleep(0.01)
            process.send_signal(signal.SIGTERM)
            while (ready := client.get("/health/ready")).status_code == 200:
                time.sleep(0.01)
            assert ready.status_code == 503, "a balancer is told to choose another server"
            assert ready.headers["connection"] == "close"
        assert {answer.result().status_code for answer in answers} == {200}
        assert process.wait(20) == 0
        with pytest.raises(httpx.ConnectError):
            httpx.get(address)


def test_a_port_that_is_taken_is_an_error_of_one_line():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "pvzoo", "serve", str(DETECTOR), "--port", str(port)],
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == 1
    error = done.stderr.splitlines()[-1]
    assert error.startswith(f"error: The server cannot listen at 127.0.0.1:{port}.")
