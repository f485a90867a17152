"""What a client of the demo names as a file: only what the demo itself keeps is ever opened.

All over HTTP, as anybody could: the API, the queue, private endpoints, agents' tools.
"""

import base64
import io
import json
import os
import time
import tracemalloc
import urllib.parse
import uuid
from pathlib import Path

import gradio as gr
import httpx
import numpy as np
import pvzoo_shapes
import pytest
from bombs import overlapping_tags
from demo_page import META, Page, counting_server, encoded
from PIL import Image

import pvzoo
from pvzoo.demo import Limits, build, launch, serve
from pvzoo.demo.client_images import keep, read
from pvzoo.demo.output_cache import Answers
from pvzoo.errors import ImageError
from pvzoo.plugins import registry

SAID = "This image is not on the server: it keeps uploaded images only for a while."
pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no pipes among its files")
LIMITS = Limits(max_bytes=3 * 2**20, max_pixels=500_000)
LAUNCH = {"prevent_thread_lock": True, "quiet": True, "mcp_server": True}


@pytest.fixture(scope="module")
def detector():
    return pvzoo.load("shapes-detector", device="cpu")


@pytest.fixture(scope="module", params=["launch", "serve"])
def page(request, detector, tmp_path_factory):
    """A demo served as ``model.demo()`` does it, and as ``pvzoo demo`` does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gr.mcp, "DEFAULT_TEMP_DIR", gr.mcp.DEFAULT_TEMP_DIR)  # set back at the end
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("gradio")))
        if request.param == "launch":
            app = launch(build([detector], limits=LIMITS), **LAUNCH)
        else:
            app = serve([detector], limits=LIMITS, **LAUNCH)
        yield Page(app)
        app.close()


@pytest.fixture(scope="module")
def scene():
    return pvzoo_shapes.scenes(count=4, size=160, seed=31)[2]["image"]


@pytest.fixture(scope="module")
def places(page, scene, tmp_path_factory):
    """Paths that are none of a client's business, by what is there."""
    outside = tmp_path_factory.mktemp("outside")
    data = encoded(scene)
    (outside / "secret.png").write_bytes(data)
    other = tmp_path_factory.mktemp("another-app") / ("0" * 64)
    other.mkdir()
    (other / "theirs.png").write_bytes(data)
    folder = Path(os.environ["GRADIO_TEMP_DIR"])
    trap = folder / ("f" * 64)
    trap.mkdir(exist_ok=True)
    made = {"link.png": outside / "secret.png", "links": outside, "loop.png": trap / "loop.png"}
    for name, target in made.items():
        if not (trap / name).is_symlink():
            (trap / name).symlink_to(target)
    if not (trap / "fifo.png").exists():
        os.mkfifo(trap / "fifo.png")
    up = "/".join([".."] * 40)
    return {
        "an image elsewhere": outside / "secret.png",
        "nothing elsewhere": outside / "none.png",
        "a folder elsewhere": outside,
        "a text of the system": "/etc/passwd",
        "what a process knows": "/proc/self/environ",
        "a device": "/dev/zero",
        "an image of another app": other / "theirs.png",
        "nothing in the folder": trap / "none.png",
        "the folder": folder,
        "a folder in the folder": trap,
        "a link": trap / "link.png",
        "a folder that is a link": trap / "links" / "secret.png",
        "a link to itself": trap / "loop.png",
        "a pipe": trap / "fifo.png",
        "up and away": f"{folder}/../{outside.name}/secret.png",
        "up to the root": f"{trap}/{up}{outside}/secret.png",
        "a relative path": os.path.relpath(outside / "secret.png"),
        "a name": "secret.png",
        "a long path": f"{trap}/{'x' * 5000}",
        "a longer path": f"{trap}/{'y/' * 5000}a.png",
        "NUL": f"{trap}/a\0.png",
        "an address of a file": f"file://{outside}/secret.png",
        "home": "~/secret.png",
    }


def some(places):
    """One of each kind, for ways that take longer."""
    return [places[k] for k in ("an image elsewhere", "nothing elsewhere", "a link", "a pipe")]


def check_refused(came, sentence=SAID):
    event, data = came
    assert event == "error", data
    assert data["error"].startswith(sentence), data
    check_silent(data)


def check_silent(data):
    said = json.dumps(data)
    for told in ("Traceback", "/tmp", "site-packages", "/proc", "Errno"):  # noqa: S108
        assert told not in said, said


def without_marks(markdown):
    return markdown.replace("\\", "")


@pytest.mark.parametrize("way", ["call", "run", "queue"])
def test_a_path_gets_one_sentence_whatever_is_there(page, places, way):
    for place in places.values() if way == "run" else some(places):
        file = {"path": str(place)}
        for image in (
            file,
            {**file, "meta": META},
            {**file, "meta": META, "is_stream": True, "orig_name": "../../a.svg", "size": 1},
            {**file, "meta": META, "url": f"{page.api}/file={place}"},
            {**file, "url": "data:image/png;base64,AAAA", "mime_type": "image/svg+xml"},
        ):
            check_refused(getattr(page, way)(image))


@pytest.mark.parametrize("way", ["call", "run", "queue"])
def test_what_is_no_path_at_all_gets_the_same_sentence(page, way):
    for image in (
        *(
            {"path": value}
            for value in (7, True, ["/etc/passwd"], {"path": "/etc/passwd"}, "", None)
        ),
        *("/etc/passwd", ["/etc/passwd"], 7, {}, [], {"meta": META}, {"path": "", "meta": "x"}),
        *([{"path": "/etc/passwd", "meta": META}], {"a": {"path": "/etc/passwd", "meta": META}}),
        {"path": "/etc/passwd", "meta": "gradio.FileData"},
    ):
        check_refused(getattr(page, way)(image))


def test_the_page_says_it_too(page, places):
    """Its endpoints are private, which Gradio's clients respect and others need not."""
    for name in ("_show", "_show_some"):
        for place in some(places):
            event, data = page.show({"path": str(place)}, name)
            assert event == "complete"
            assert without_marks(data[0]).startswith(SAID)
            assert data[1] is None
            check_silent(data)


def test_an_event_that_changes_the_image_opens_no_way(page, places, scene):
    """Gradio makes a component of a session anew when one of its functions says how it changes."""
    session = uuid.uuid4().hex
    event, (example,) = page.join("load_example", [0], session=session)
    assert event == "complete"
    assert Path(example["value"]["path"]).suffix == ".jpg"
    assert page.join("take", [""], session=session)[0] == "complete"
    for place in some(places):
        check_refused(page.queue({"path": str(place)}, session=session))
    bomb = page.upload(encoded(Image.new("1", (9000, 9000))), "bomb.png")
    check_refused(
        page.queue({"path": bomb, "meta": META}, session=session), "bomb.png has 81,000,000 pixels"
    )
    good = page.upload(encoded(scene), "good.png")
    assert page.queue({"path": good, "meta": META}, session=session)[0] == "complete"


def test_a_file_over_the_limit_is_not_read(page):
    home = Path(os.environ["GRADIO_TEMP_DIR"]) / ("e" * 64)
    home.mkdir(exist_ok=True)
    with (home / "huge.png").open("wb") as file:
        file.truncate(20 * 2**30)  # takes no room on the disk
    start = time.monotonic()
    check_refused(page.call({"path": str(home / "huge.png")}), "huge.png has 21,474,836,480 bytes")
    assert time.monotonic() - start < 5, "to read it takes longer"
    (home / "huge.png").unlink()


def test_an_image_whose_tags_claim_more_than_it_has_fills_no_memory():
    data = overlapping_tags(2_000, 200_000)
    said = {"url": f"data:image/tiff;base64,{base64.b64encode(data).decode()}"}
    tracemalloc.start()
    try:
        image = read(said, Limits())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20e6
    with pytest.raises(ImageError, match="tags that claim more bytes than the file has"):
        image.handle.open()


def test_other_inputs_are_no_files(page, places, private_server):
    """Gradio would look for files in them, and download what has an address."""
    image = {"path": page.upload(b"any", "any.png"), "meta": META}
    address = f"http://127.0.0.1:{private_server.server_port}/a.png"
    for place in (*some(places), address, image["path"]):
        for file in ({"path": str(place)}, {"path": str(place), "meta": META, "url": str(place)}):
            for came in (
                page.call(image, classes=[file]),
                page.queue(image, threshold=file),
                page.run(image, nms=[[{"deeper": file}]]),
                page.join("take", [file]),
                page.join("load_example", [file]),
            ):
                check_refused(came, "Only the image or the video may be a file.")
    assert private_server.visits == []


@pytest.fixture(scope="module")
def any_model():
    """A demo in which any model of the catalogue can be picked: it has all tasks."""
    app = launch(build(limits=LIMITS), **LAUNCH)
    yield app
    app.close()


def test_what_comes_with_a_click_is_no_file(any_model, places):
    page = Page(any_model, endpoint="/predict_mask_generation")
    click = {"index": [30, 40], "value": None, "selected": True}
    assert page.join("_add_point", [""], event_data=click) == ("complete", ["[[30, 40]]"])
    for place in some(places):
        for more in ({"path": str(place)}, {"value": [{"path": str(place), "meta": META}]}):
            came = page.join("_add_point", [""], event_data={**click, **more})
            check_refused(came, "Only the image or the video may be a file.")


@pytest.fixture
def private_server():
    with counting_server() as server:
        yield server


def test_tools_of_agents_open_no_path(page, places):
    """A tool reads what it is given for the agent, on the server: only addresses and data pass."""
    answers = []
    for place in map(str, some(places)):
        told = set()
        for image in (
            place,
            f"file://{place}",
            {"path": place},
            {"path": place, "meta": META},
            [{"path": place, "meta": META}],
        ):
            failed, text = page.tool(image=image)
            assert failed
            told.add(text.replace(place, "PLACE"))
        failed, text = page.tool(
            image="data:image/png;base64,AAAA", classes=[{"path": place, "meta": META}]
        )
        assert failed
        told.add(text.replace(place, "PLACE"))
        check_silent(sorted(told))
        answers.append(told)
    assert all(told == answers[0] for told in answers), "whatever is there"


def test_tools_of_agents_take_no_objects_for_any_task(any_model):
    """Files in objects would be opened on the server by Gradio's own client."""
    schema = httpx.get(f"{any_model.local_url}gradio_api/mcp/schema").json()
    assert len(schema) >= 5
    plain = {"string", "number", "integer", "boolean"}
    for tool in schema:
        for name, value in tool["inputSchema"]["properties"].items():
            kind = value["items"]["type"] if value.get("type") == "array" else value.get("type")
            assert kind in plain, (tool["name"], name, value)


def test_downloads_are_of_the_demo_only(page, places, scene, private_server, monkeypatch, tmp_path):
    cached = Path(".gradio/cached_examples/1/image")  # of another app that ran in this folder
    monkeypatch.chdir(tmp_path)
    cached.mkdir(parents=True)
    (cached / "theirs.png").write_bytes(encoded(scene))
    mine = page.upload(encoded(scene), "mine.png")
    assert httpx.get(f"{page.api}/file={mine}").content == encoded(scene)
    for what, place in {**places, "cached": (cached / "theirs.png").absolute()}.items():
        if what == "a pipe":
            continue
        for prefix in ("/gradio_api/file=", "/gradio_api/file/", "/file=", "/file/"):
            answer = httpx.get(f"{page.base}{prefix}{urllib.parse.quote(str(place))}")
            assert answer.status_code in (403, 404), (prefix, place)
    texts = set()
    for what in ("an image elsewhere", "nothing elsewhere", "nothing in the folder", "a link"):
        answer = httpx.get(f"{page.api}/file={places[what]}")
        texts.add((answer.status_code, answer.text.replace(str(places[what]), "PLACE")))
    assert len(texts) == 1, texts
    pipe = httpx.get(f"{page.api}/file={places['a pipe']}", timeout=10)
    assert pipe.status_code >= 400
    check_silent(pipe.text)
    for address in (f"http://127.0.0.1:{private_server.server_port}/", "https://example.com/a.png"):
        assert httpx.get(f"{page.api}/file={address}").status_code in (403, 404)
        assert httpx.get(f"{page.api}/proxy={address}").status_code in (400, 404)
    assert private_server.visits == []


def test_routes_that_a_demo_has_no_use_for_are_closed(page):
    """Gradio would convert videos, keep states and run functions of components for anybody."""
    for method, route in (
        ("POST", "process_recording"),
        ("POST", "component_server"),
        ("GET", "deep_link?session_hash=a"),
        ("GET", "vibe-code"),
        ("GET", "custom_component/1/client/component/a.js"),
        ("GET", "file=https://example.com/a.png"),
        ("GET", "proxy=https://example.com/a.png"),
        ("POST", "stream/1"),
        ("GET", "runs"),
    ):
        answer = httpx.request(method, f"{page.api}/{route}")
        assert (answer.status_code, answer.text) == (404, "Not Found"), route
    for route in ("info", "openapi.json", "queue/status", "startup-events", "theme.css"):
        assert httpx.get(f"{page.api}/{route}").status_code == 200, route


def test_what_was_uploaded_is_answered(page, scene, detector):
    expected, pixels = detector.predict(scene).rows(), np.asarray(detector.predict(scene).plot())
    mine = page.upload(encoded(scene), "mine.png")
    here = Path(mine)
    for image in (
        {"path": mine, "meta": META},
        {"path": mine},
        {"path": f"{here.parent}/../{here.parent.name}/{here.name}"},
        {"url": f"data:image/png;base64,{_base64(scene)}"},
    ):
        for way in (page.call, page.run, page.queue):
            event, (answer, drawn) = way(image)
            assert event == "complete"
            assert answer["predictions"] == expected
            assert answer["source"] == ("mine.png" if "path" in image else "image.png")
            seen = Image.open(io.BytesIO(httpx.get(drawn["url"]).content)).convert("RGB")
            assert (np.asarray(seen) == pixels).all()
    failed, text = page.tool(image=f"data:image/png;base64,{_base64(scene)}")
    assert not failed
    assert all(row["name"] in text for row in expected)


def test_the_same_image_under_another_name_is_answered_under_that(page, scene):
    """The name of a file is that person's alone."""
    for name in ("mine.png", "yours.png"):
        path = page.upload(encoded(scene), name)
        event, (answer, drawn) = page.call({"path": path, "meta": META})
        assert (event, answer["source"]) == ("complete", name)
        assert Path(drawn["path"]).name.startswith(Path(name).stem)


def test_what_agents_send_is_kept_where_it_is_deleted_later(page):
    folder = Path(os.environ["GRADIO_TEMP_DIR"])
    if not folder.name.startswith("pvzoo-demo-"):
        pytest.skip("Gradio's own folder was chosen when it was imported")
    pixel = encoded(Image.new("RGB", (20, 10), (9, 8, 7)))
    page.tool(image=f"data:image/png;base64,{base64.b64encode(pixel).decode()}")
    assert pixel in [file.read_bytes() for file in folder.glob("*/file.png")]


def test_requests_that_make_no_sense_are_told_nothing(page):
    join = f"{page.api}/queue/join"
    for url, body in (
        (join, {"fn_index": 999, "data": [], "session_hash": "a"}),
        (join, {"fn_index": "/etc/passwd", "data": [], "session_hash": "a"}),
        (join, {"fn_index": 0, "data": [], "session_hash": ["a"]}),
        (join, {"fn_index": 0, "data": {"path": "/etc/passwd"}, "session_hash": "../../a"}),
        (join, ["/etc/passwd"]),
        (f"{page.api}/call/predict", {"data": None}),
        (f"{page.api}/call/nothing", {"data": []}),
        (f"{page.api}/run/predict", {"data": []}),
        (f"{page.api}/run/predict", {"data": [{"path": "/etc/passwd"}] * 20}),
        (f"{page.api}/run/predict", {"data": [None, *page.defaults.values()]}),
        (f"{page.api}/run/predict", {"data": [None, "a", {}, [], 1, 2]}),
        (f"{page.api}/upload", {"files": "/etc/passwd"}),
    ):
        answer = httpx.post(url, json=body)
        assert answer.status_code >= 400, body
        check_silent(answer.text)


def test_names_of_uploads_stay_in_the_folder(page, scene):
    folder = Path(os.environ["GRADIO_TEMP_DIR"]).resolve()
    for name in ("../../up.png", "/etc/abs.png", "..", ".", "a/b.png", "x" * 400 + ".png", "ü.png"):
        sent = httpx.post(f"{page.api}/upload", files={"files": (name, encoded(scene))})
        if sent.is_success:
            assert Path(sent.json()[0]).resolve().is_relative_to(folder)
        else:
            check_silent(sent.text)


def _base64(image):
    return base64.b64encode(encoded(image)).decode()


def test_an_answer_that_does_not_come_names_no_folder(detector, tmp_path, scene, monkeypatch):
    model = pvzoo.load(detector.save(tmp_path / "runs" / "best"), device="cpu")
    run = model.runtime
    monkeypatch.setattr(model, "runtime", lambda *x: time.sleep(1) or run(*x))
    image = read({"path": keep(encoded(scene), "a.png")}, Limits())
    with pytest.raises(pvzoo.PvzooError, match=r"^best did not answer within 0\.1 seconds"):
        Answers(Limits(seconds=0.1)).result(model, registry.get("tasks", model.task), image, {})
