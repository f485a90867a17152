"""The demo: what its page asks and shows, what its endpoints answer, and what it refuses."""

import base64
import io
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import gradio as gr
import numpy as np
import pvzoo_shapes
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from huggingface_hub import constants
from PIL import Image

import pvzoo
from pvzoo.demo import EXAMPLES, Limits, build, launch
from pvzoo.demo.cards import titles
from pvzoo.demo.client_images import keep, read
from pvzoo.demo.controls import controls_of, options_of
from pvzoo.demo.opening import answers_at_once, own_examples
from pvzoo.demo.output_cache import Answers
from pvzoo.inputs import downloads
from pvzoo.plugins import registry
from pvzoo.web.client_images import fetch

MODELS = {
    "image-classification": "efficientnet-lite0-pip",
    "object-detection": "shapes-detector",
    "instance-segmentation": "shapes-mask2former-instance",
    "semantic-segmentation": "shapes-mask2former-semantic",
    "panoptic-segmentation": "shapes-mask2former-panoptic",
}


@pytest.fixture(scope="module")
def models():
    return {task: pvzoo.load(name, device="cpu") for task, name in MODELS.items()}


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    path = tmp_path_factory.mktemp("demo") / "scene.png"
    pvzoo_shapes.scenes(count=4, size=160, seed=31)[2]["image"].save(path)
    return path


@pytest.fixture(scope="module")
def client(models):
    """A client of a page that compares all five."""
    app = build(list(models.values()), limits=Limits(max_bytes=3 * 2**20, max_pixels=500_000))
    launch(app, prevent_thread_lock=True, quiet=True)
    yield Client(app.local_url, verbose=False)
    app.close()


def endpoint(model):
    return f"/predict_{model.name.replace('-', '_')}"


def given(path):
    """The image, as a client that uploaded it gives it to the demo."""
    return read({"path": keep(Path(path).read_bytes(), Path(path).name)}, Limits())


def refused(client, model, source, **options):
    """What the demo says instead of an answer."""
    with pytest.raises(AppError) as error:
        client.predict(source, api_name=endpoint(model), **options)
    said = str(error.value)
    assert "Traceback" not in said
    assert "/tmp" not in said  # noqa: S108
    assert "upstream" not in said, "Gradio's own words for an error nobody may see"
    return said


# --- answers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", MODELS)
def test_an_endpoint_answers_what_predict_returns(client, models, scene, task):
    model = models[task]
    answer, image = client.predict(handle_file(scene), api_name=endpoint(model))
    expected = model.predict(scene)
    assert answer["predictions"] == json.loads(expected.to_json())["predictions"]
    assert (answer["task"], answer["width"], answer["source"]) == (task, 160, "scene.png")
    drawn = np.asarray(Image.open(image).convert("RGB"))
    assert (drawn == np.asarray(expected.plot())).all()


def test_options_reach_the_model_under_their_own_names(client, models, scene):
    model = models["object-detection"]
    for options in ({"threshold": 0.1}, {"threshold": 0.05, "classes": ["star", "disc"]}):
        answer, _ = client.predict(handle_file(scene), api_name=endpoint(model), **options)
        expected = model.predict(scene, **options).rows()
        assert answer["predictions"] == expected
    assert len(expected) != len(model.predict(scene))


def test_the_switch_for_tiles_finds_small_objects(client, models, tmp_path):
    scenes = pvzoo_shapes.scenes("object-detection", count=12, size=128, seed=5)["image"]
    image = Image.new("RGB", (512, 384))
    for index, scene in enumerate(scenes):
        image.paste(scene, (index % 4 * 128, index // 4 * 128))
    image.save(tmp_path / "many.png")
    model, file = models["object-detection"], handle_file(tmp_path / "many.png")
    plain, _ = client.predict(file, api_name=endpoint(model))
    tiled, _ = client.predict(file, tiles=True, api_name=endpoint(model))
    assert tiled["predictions"] == model.predict(image, tiles="auto").rows()
    assert len(tiled["predictions"]) > 2 * len(plain["predictions"])


def test_endpoints_are_named_after_models_and_say_what_they_take(client):
    described = client.view_api(return_format="dict")["named_endpoints"]
    assert set(described) == {f"/predict_{n.replace('-', '_')}" for n in MODELS.values()}
    detector = described["/predict_shapes_detector"]
    parameters = {p["parameter_name"]: p for p in detector["parameters"]}
    assert list(parameters) == [
        "image",
        "threshold",
        "max_detections",
        "classes",
        "nms",
        "class_agnostic",
        "tiles",
    ]
    needed = [name for name, p in parameters.items() if not p["parameter_has_default"]]
    assert needed == ["image"]
    assert [r["label"] for r in detector["returns"]] == ["result", "annotated"]


def test_another_threshold_does_not_run_the_network_again(models, scene, monkeypatch):
    model, runs = models["object-detection"], []
    run = model.runtime
    monkeypatch.setattr(model, "runtime", lambda *x: runs.append(1) or run(*x))
    answers, task = Answers(Limits()), registry.get("tasks", model.task)
    counts = [
        len(answers.result(model, task, given(scene), {"threshold": threshold})[0])
        for threshold in (0.9, 0.5, 0.01)
    ]
    assert counts == [len(model.predict(scene, threshold=t)) for t in (0.9, 0.5, 0.01)]
    assert len(runs) == 1 + 3  # those of predict


def test_what_is_remembered_stays_within_its_bytes(models, scene, tmp_path):
    model = models["semantic-segmentation"]
    task = registry.get("tasks", model.task)
    one = model.outputs(scene).nbytes
    answers = Answers(Limits(outputs=int(2.5 * one)))
    for number in range(5):
        path = tmp_path / f"{number}.png"
        Image.open(scene).transpose(number).save(path)
        answers.result(model, task, given(path), {})
    kept = [outputs.nbytes for outputs, _ in answers._known.values()]
    assert len(kept) == 2
    assert sum(kept) <= 2.5 * one


def test_what_is_remembered_took_the_seconds_of_its_one_run(models, scene, monkeypatch):
    model = models["object-detection"]
    run = model.runtime
    monkeypatch.setattr(model, "runtime", lambda *x: time.sleep(0.3) or run(*x))
    answers, task = Answers(Limits()), registry.get("tasks", model.task)
    seconds = [
        answers.result(model, task, given(scene), {"threshold": threshold})[1]
        for threshold in (0.9, 0.5, 0.5)
    ]
    assert seconds[0] >= 0.3
    assert seconds == [seconds[0]] * 3


def test_waiting_for_others_is_no_part_of_the_seconds_of_a_run(
    models, scene, tmp_path, monkeypatch
):
    model = models["object-detection"]
    run = model.runtime
    monkeypatch.setattr(model, "runtime", lambda *x: time.sleep(0.5) or run(*x))
    answers, task = Answers(Limits()), registry.get("tasks", model.task)
    turned = tmp_path / "turned.png"
    Image.open(scene).rotate(90).save(turned)
    images = [given(scene), given(turned)]
    with ThreadPoolExecutor(2) as pool:
        start = time.perf_counter()
        pairs = list(pool.map(lambda p: answers.result(model, task, p, {}), images))
        both = time.perf_counter() - start
    assert sum(seconds for _, seconds in pairs) <= both


def test_outputs_give_the_results_of_predict(models, scene):
    for model in models.values():
        seen = model.outputs(scene)
        assert seen.nbytes > 0
        assert seen.result().to_json() == model.predict(scene).to_json()
    detector = models["object-detection"]
    with pytest.raises(pvzoo.PvzooError, match=r"result\(\.\.\.\)"):
        detector.outputs(scene, threshold=0.3)
    with pytest.raises(pvzoo.PvzooError, match="no option 'treshold'"):
        detector.outputs(scene).result(treshold=0.3)


def test_rows_can_be_shown_without_the_others(models, scene):
    for task, model in models.items():
        result = model.predict(scene)
        rows = result.rows()
        assert len(rows) > 1
        assert result[:].to_json() == result.to_json()
        assert result[1].rows() == [rows[1]]
        assert result[[]].rows() == []
        if task == "image-classification":
            continue  # its image stays as it is
        whole, part, none = (np.asarray(r.plot()) for r in (result, result[0], result[[]]))
        height, width = np.asarray(none).shape[0] * 3 // 4, none.shape[1]  # above a legend
        assert (whole[:height, :width] != none[:height, :width]).any()
        assert (part[:height, :width] != none[:height, :width]).any()


# --- the page -------------------------------------------------------------------------------------


def opens_answered(app):
    """Whether the page gives itself an image when it is opened."""
    return "first_example" in {fn.api_name for fn in app.fns.values()}


def test_a_page_opens_with_an_example_if_that_is_answered_without_a_prompt(models, tmp_path):
    assert opens_answered(build([models["object-detection"]]))
    assert opens_answered(build())
    assert not opens_answered(build([models["object-detection"]], examples=[]))
    assert answers_at_once(["object-detection", "image-classification"])
    for task in ("zero-shot-object-detection", "zero-shot-image-classification", "mask-generation"):
        assert not answers_at_once([task, "object-detection"])


def test_a_page_does_not_open_with_an_image_beyond_its_limits(models, tmp_path):
    mine = tmp_path / "mine.png"
    Image.new("RGB", (200, 100)).save(mine)
    model = models["object-detection"]
    assert opens_answered(build([model], examples=[mine]))
    assert not opens_answered(build([model], examples=[mine], limits=Limits(max_pixels=10_000)))
    assert not opens_answered(build([model], examples=[mine], limits=Limits(max_bytes=20)))


def test_a_page_loads_no_model_to_open_that_is_large_or_not_here(monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    here = pvzoo.info("efficientnet-lite0-pip")
    assert answers_at_once([here.task], here)
    assert not answers_at_once([here.task], replace(here, params=80_000_000))
    assert not answers_at_once([here.task], replace(here, params=None))
    assert not answers_at_once([here.task], pvzoo.info("resnet18"))  # on the Hub


def test_the_first_example_shows_something_that_the_model_knows(models):
    firsts = {task: own_examples([model])[0].stem for task, model in models.items()}
    assert firsts.pop("image-classification") == "coffee"
    assert set(firsts.values()) == {"scene"}
    faces = pvzoo.load("face-cascade")
    assert own_examples([faces])[0].stem == "astronaut"
    assert (
        sorted(own_examples([faces])) == sorted(own_examples([])) == sorted(EXAMPLES.glob("*.jpg"))
    )


def test_the_page_has_a_control_for_each_option_that_can_be_seen():
    with gr.Blocks():
        kinds = {
            task: {
                control.name: type(control.component).__name__
                for control in controls_of(registry.get("tasks", task), ("cat", "dog"))
            }
            for task in registry.names("tasks")
        }
    assert kinds["object-detection"] == {
        "threshold": "Slider",
        "max_detections": "Textbox",
        "classes": "Dropdown",
        "nms": "Textbox",
        "class_agnostic": "Checkbox",
        "tiles": "Checkbox",
    }
    assert kinds["image-classification"] == {"top_k": "Number", "threshold": "Slider"}
    assert kinds["semantic-segmentation"] == {"tiles": "Checkbox"}
    assert kinds["panoptic-segmentation"] == {"threshold": "Textbox", "overlap": "Textbox"}
    assert kinds["zero-shot-image-classification"]["prompts"] == "Textbox"
    assert kinds["mask-generation"]["points"] == "Textbox"
    assert "tiles" not in kinds["mask-generation"]  # points are places in the whole image


def test_controls_say_what_an_option_means_in_words_for_a_page():
    with gr.Blocks():
        controls = controls_of(registry.get("tasks", "object-detection"), ())
    said = {control.name: control.component.info for control in controls}
    assert said["threshold"] == "Objects with a lower score are not returned."
    assert said["classes"] == "Return only these classes, by name or id; empty for all."


def test_what_is_typed_becomes_the_options_of_predict():
    with gr.Blocks():
        text = controls_of(registry.get("tasks", "zero-shot-object-detection"), ())
        points = controls_of(registry.get("tasks", "mask-generation"), ())
    typed = {"prompts": " a cat,  remote control, ", "threshold": " 0.2", "nms": ""}
    typed["class_agnostic"] = False
    assert options_of(text, [typed.get(c.name) for c in text]) == {
        "prompts": ["a cat", "remote control"],
        "threshold": 0.2,
        "class_agnostic": False,
    }
    with pytest.raises(pvzoo.PvzooError, match="threshold is 'high', which is not a number"):
        options_of(text, ["high" if c.name == "threshold" else None for c in text])
    typed = {"points": "[[3, 4]]", "boxes": "", "threshold": 0.0}
    assert options_of(points, [typed.get(c.name) for c in points]) == {
        "points": [[3, 4]],
        "threshold": 0.0,
    }
    with pytest.raises(pvzoo.PvzooError, match="points is '3 4', which is not JSON"):
        options_of(points, ["3 4" if c.name == "points" else None for c in points])


def test_a_number_that_is_emptied_says_none_where_that_is_a_value():
    with gr.Blocks():
        controls = controls_of(registry.get("tasks", "image-classification"), ())
    assert options_of(controls, [None, 0.1]) == {"top_k": None, "threshold": 0.1}


def test_any_model_of_the_catalogue_can_be_picked(scene):
    app = build()
    launch(app, prevent_thread_lock=True, quiet=True)
    try:
        client = Client(app.local_url, verbose=False)
        answer, _ = client.predict(
            handle_file(scene), model="shapes-detector", api_name="/predict_object_detection"
        )
        assert answer["predictions"] == pvzoo.load("shapes-detector").predict(scene).rows()
        with pytest.raises(AppError, match=r"no model 'shapes-detecter'.*'shapes-detector'"):
            client.predict(
                handle_file(scene), model="shapes-detecter", api_name="/predict_object_detection"
            )
    finally:
        app.close()


def test_a_model_opens_its_own_demo(models):
    app = models["object-detection"].demo(prevent_thread_lock=True, quiet=True)
    try:
        described = Client(app.local_url, verbose=False).view_api(return_format="dict")
        assert list(described["named_endpoints"]) == ["/predict"]
    finally:
        app.close()


def test_two_runs_are_told_apart_by_as_little_of_their_folders_as_does_it(tmp_path):
    runs = [tmp_path / run for run in ("first/best", "second/best", "third/last")]
    for run in runs:
        run.mkdir(parents=True)
    names = [*map(str, runs), "shapes-detector"]
    assert list(titles(names).values()) == ["first/best", "second/best", "last", "shapes-detector"]


def test_the_same_model_twice_is_refused(models):
    with pytest.raises(pvzoo.PvzooError, match=r"The demo has .* twice"):
        build([models["object-detection"], models["object-detection"]])


def test_models_are_tools_for_agents(models, scene):
    """An MCP client lists the tools and calls one, over the protocol."""
    import asyncio

    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    model = models["object-detection"]
    app = model.demo(prevent_thread_lock=True, quiet=True, mcp_server=True)
    image = f"data:image/png;base64,{base64.b64encode(scene.read_bytes()).decode()}"

    async def talk():
        async with (
            streamablehttp_client(f"{app.local_url}gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            (tool,) = (await session.list_tools()).tools
            answer = await session.call_tool(tool.name, {"image": image, "threshold": 0.4})
            return tool, answer

    try:
        tool, answer = asyncio.run(talk())
    finally:
        app.close()
    assert tool.name.endswith("predict")
    assert "shapes-detector" in tool.description
    properties = tool.inputSchema["properties"]
    assert {"image", "threshold", "classes"} <= set(properties)
    assert "Objects with a lower score are not returned." in properties["threshold"]["description"]
    texts = [part.text for part in answer.content if part.type == "text"]
    found = [row["name"] for row in model.predict(scene, threshold=0.4).rows()]
    assert found
    assert all(name in texts[0] for name in found)


# --- what strangers send --------------------------------------------------------------------------


def test_an_image_with_too_many_pixels_is_refused(client, models, tmp_path):
    bomb = tmp_path / "bomb.png"
    Image.new("1", (30_000, 30_000)).save(bomb)
    assert bomb.stat().st_size < 500_000
    said = refused(client, models["object-detection"], handle_file(bomb))
    assert "bomb.png has 900,000,000 pixels, more than the 500,000 allowed" in said


def test_a_page_named_like_an_image_is_refused(client, models, tmp_path):
    page = tmp_path / "page.png"
    page.write_text("<html><script>alert(1)</script></html>")
    said = refused(client, models["object-detection"], handle_file(page))
    assert "page.png" in said


def test_a_damaged_image_is_refused(client, models, scene, tmp_path):
    half = tmp_path / "half.png"
    half.write_bytes(scene.read_bytes()[:3000])
    assert "damaged" in refused(client, models["object-detection"], handle_file(half))


def test_an_option_out_of_range_is_refused_with_its_name(client, models, scene):
    said = refused(client, models["object-detection"], handle_file(scene), nms=7)
    assert "nms is 7" in said


def test_no_image_is_refused(client, models):
    assert "has no image" in refused(client, models["object-detection"], None)


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:{port}/",
        "http://localhost:{port}/",
        "http://[::1]:{port}/",
        "http://[::ffff:127.0.0.1]:{port}/",
        "http://2130706433:{port}/",
        "http://10.0.0.1/a.png",
        "http://192.168.1.1/a.png",
        "http://169.254.169.254/latest/meta-data",
        "http://[fe80::1]/a.png",
        "http://[64:ff9b::7f00:1]/a.png",
        "http://0.0.0.0:{port}/",
    ],
)
def test_addresses_that_are_not_public_are_refused(client, models, private_server, address):
    url = address.format(port=private_server.port)
    said = refused(client, models["object-detection"], handle_file(url))
    assert "is not on the public internet" in said
    assert private_server.visits == 0


def test_a_name_and_a_redirect_to_a_private_address_are_refused(private_server, monkeypatch):
    """The public host is played by this machine: its address passes for public."""
    real = socket.getaddrinfo

    def resolve(host, port, *args, **kwargs):
        if host == "rebound.example":  # what a hostile name server says
            return real("127.0.0.1", port, *args, **kwargs)
        if host == "public.example":
            return real("127.0.0.2", port, *args, **kwargs)
        return real(host, port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    real_check = downloads.is_public
    monkeypatch.setattr(
        downloads, "is_public", lambda host: host == "127.0.0.2" or real_check(host)
    )
    limits, port = Limits(), private_server.port
    with pytest.raises(pvzoo.PvzooError, match="not on the public internet"):
        fetch(f"http://rebound.example:{port}/", limits)
    assert private_server.visits == 0
    with pytest.raises(pvzoo.PvzooError, match="not on the public internet"):
        fetch(f"http://public.example:{port}/redirect", limits)
    assert private_server.visits == 1, "the redirect itself was followed from the public host only"


def test_an_image_at_a_public_address_is_taken(private_server, monkeypatch):
    monkeypatch.setattr(downloads, "is_public", lambda host: True)
    image = fetch(f"http://127.0.0.1:{private_server.port}/a.png?size=1", Limits())
    assert image.handle.name == "a.png"
    assert image.handle.open().size == (9, 7)
    for address, reason in {
        f"http://127.0.0.1:{private_server.port}/drip": "did not arrive within 1 seconds",
        f"http://127.0.0.1:{private_server.port}/large": "more than the 3,000 allowed",
        "file:///etc/passwd": "is not a web address",
        "/etc/passwd": "is not a web address",
    }.items():
        with pytest.raises(pvzoo.PvzooError, match=reason):
            fetch(address, Limits(url_seconds=1, max_bytes=3000))


class Private(BaseHTTPRequestHandler):
    """A service that strangers must not reach."""

    def do_GET(self):
        self.server.visits += 1
        if self.path == "/redirect":
            self.send_response(302)
            self.send_header("Location", f"http://127.0.0.1:{self.server.port}/secret.png")
            self.end_headers()
            return
        buffer = io.BytesIO()
        Image.new("RGB", (9, 7), "red").save(buffer, "PNG")
        self.send_response(200)
        self.send_header("Content-Type", "image/png")
        self.end_headers()
        if self.path == "/drip":
            for _ in range(50):
                self.wfile.write(b".")
                time.sleep(0.1)
        self.wfile.write(buffer.getvalue() if self.path != "/large" else bytes(5000))

    def log_message(self, *args):
        pass


@pytest.fixture
def private_server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Private)
    server.visits, server.port = 0, server.server_port
    other = ThreadingHTTPServer(("127.0.0.2", server.port), Private)
    other.visits, other.port = 0, server.port
    both = type("Both", (), {"visits": property(lambda _: server.visits + other.visits)})()
    both.port = server.port
    for each in (server, other):
        threading.Thread(target=each.serve_forever, daemon=True).start()
    yield both
    for each in (server, other):
        each.shutdown()
        each.server_close()


def test_a_body_without_end_is_cut_off(client):
    import httpx

    base = client.src.rstrip("/")
    limit = 2 * 3 * 2**20
    long = httpx.post(f"{base}/gradio_api/queue/join", content=b"x" * (limit + 1))
    assert long.status_code == 413

    def endless():
        for _ in range(100):
            yield b"x" * 2**18

    try:
        answer = httpx.post(f"{base}/gradio_api/queue/join", content=endless(), timeout=30)
    except httpx.HTTPError:  # the connection was closed in the middle of it
        return
    assert answer.status_code == 413


def test_a_file_over_the_limit_is_refused(client, models, tmp_path):
    large = tmp_path / "large.png"
    large.write_bytes(bytes(4 * 2**20))
    with pytest.raises(Exception, match=r"size|413|allowed"):
        client.predict(handle_file(large), api_name=endpoint(models["object-detection"]))


def test_a_network_that_does_not_answer_in_time_is_given_up(models, scene, monkeypatch):
    model = models["object-detection"]
    run = model.runtime
    monkeypatch.setattr(model, "runtime", lambda *x: time.sleep(1) or run(*x))
    answers = Answers(Limits(seconds=0.1))
    with pytest.raises(pvzoo.PvzooError, match=r"did not answer within 0\.1 seconds"):
        answers.result(model, registry.get("tasks", model.task), given(scene), {})


def test_what_went_wrong_on_the_server_is_logged_and_not_told(models, scene, monkeypatch, caplog):
    model = models["object-detection"]
    monkeypatch.setattr(model, "runtime", lambda *x: {}["secret"])
    app = build([model])
    launch(app, prevent_thread_lock=True, quiet=True)
    try:
        client = Client(app.local_url, verbose=False)
        with pytest.raises(AppError) as error:
            client.predict(handle_file(scene), api_name="/predict")
    finally:
        app.close()
    assert str(error.value).startswith("Something went wrong on the server.")
    assert "secret" in caplog.text


def test_the_page_of_all_models_opens_with_a_task_of_pvzoos_own():
    parts = build().blocks.values()
    (task,) = (part for part in parts if getattr(part, "elem_id", None) == "task")
    assert task.value == "image-classification"
    assert ("depth estimation", "depth-estimation") in task.choices
