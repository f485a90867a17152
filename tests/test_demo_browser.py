"""The demo in a real browser: Debian's Chromium, driven by Playwright."""

import json
import re
import shutil
import time
from pathlib import Path

import pvzoo_shapes
import pytest
from demo_page import counting_server
from test_demo_cards import FOREIGN, LOADING

import pvzoo
from pvzoo.demo import EXAMPLES, build, launch
from pvzoo.results.detections import Detections

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    path = tmp_path_factory.mktemp("browser") / "scene.png"
    pvzoo_shapes.scenes(count=4, size=160, seed=31)[2]["image"].save(path)
    return path


@pytest.fixture(scope="module")
def address():
    """Of the page on which any model of the catalogue can be picked."""
    app = build()
    launch(app, prevent_thread_lock=True, quiet=True)
    yield app.local_url
    app.close()


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, address):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(60_000)
    page.goto(address)
    wait_for_status(page, "^5 found, ")  # the example that it opens with
    yield page
    page.close()


def upload(page, file):
    """Instead of the image that is there."""
    page.get_by_label("Remove Image").locator("visible=true").first.click()
    wait_for_status(page, r"^Choose an image")
    page.locator("#image input[type=file]").set_input_files(file)


def shown(page, label):
    """The visible component with that label: each task has its own."""
    return page.get_by_label(label, exact=True).locator("visible=true").first


def wait_for_status(page, pattern):
    found = page.get_by_text(re.compile(pattern)).locator("visible=true").first
    found.wait_for()
    return found.inner_text()


def test_the_page_opens_with_an_example_and_its_answer(page):
    assert page.get_by_text("espresso", exact=True).locator("visible=true").count() > 0
    assert page.locator("#image img").count() == 1
    seconds = wait_for_status(page, "^5 found, ")
    page.reload()
    assert wait_for_status(page, "^5 found, ") == seconds  # of the one run, which is remembered


def test_the_page_of_one_model_opens_with_an_example_of_what_it_knows(browser):
    app = build(["shapes-detector"])
    launch(app, prevent_thread_lock=True, quiet=True)
    try:
        page = browser.new_page()
        page.set_default_timeout(60_000)
        page.goto(app.local_url)
        count = len(pvzoo.load("shapes-detector").predict(EXAMPLES / "scene.jpg"))
        wait_for_status(page, rf"^{count} found, ")
        page.get_by_role("checkbox", name=re.compile("heart")).wait_for()
        page.close()
    finally:
        app.close()


def test_a_late_answer_does_not_take_the_place_of_that_to_a_later_image(
    browser, scene, monkeypatch
):
    plot = Detections.plot

    def slow(result, *args, **options):
        if result.size == (256, 256):  # the example that the page opens with
            time.sleep(3)
        return plot(result, *args, **options)

    monkeypatch.setattr(Detections, "plot", slow)
    model = pvzoo.load("shapes-detector")
    count = len(model.predict(scene))
    assert count != len(model.predict(EXAMPLES / "scene.jpg"))
    app = build([model])
    launch(app, prevent_thread_lock=True, quiet=True)
    try:
        page = browser.new_page()
        page.set_default_timeout(60_000)
        page.goto(app.local_url)
        page.get_by_label("Remove Image").first.click()
        page.locator("#image input[type=file]").set_input_files(scene)
        wait_for_status(page, rf"^{count} found, ")
        page.wait_for_timeout(4000)
        assert page.get_by_text(re.compile(rf"^{count} found, ")).count() == 1
        page.close()
    finally:
        app.close()


def test_a_person_uploads_moves_the_threshold_switches_the_model_and_downloads(page, scene):
    page.get_by_role("radio", name="object detection", exact=True).check()
    upload(page, scene)
    model = pvzoo.load("shapes-detector")
    count = len(model.predict(scene))
    wait_for_status(page, rf"^{count} found, ")

    more = len(model.predict(scene, threshold=0.02))
    assert more > count
    slider = page.get_by_role("spinbutton").locator("visible=true").first
    slider.fill("0.02")
    slider.press("Enter")
    wait_for_status(page, rf"^{more} found, ")

    with page.expect_download() as download:
        page.get_by_role("button", name="JSON").locator("visible=true").click()
    answer = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
    assert answer["predictions"] == model.predict(scene, threshold=0.02).rows()
    assert download.value.suggested_filename == "scene-object-detection.json"
    with page.expect_download() as download:
        page.get_by_role("button", name="COCO").locator("visible=true").click()
    assert len(json.loads(Path(download.value.path()).read_text(encoding="utf-8"))) == more

    chosen = shown(page, "model")
    chosen.fill("face-cascade")
    chosen.press("Enter")
    other = len(pvzoo.load("face-cascade").predict(scene, threshold=0.02))
    assert other != more
    wait_for_status(page, rf"^{other} found, ")


def test_ticking_an_object_off_takes_it_out_of_image_and_downloads(page, scene):
    page.get_by_role("radio", name="panoptic segmentation", exact=True).check()
    upload(page, scene)
    rows = pvzoo.load("shapes-mask2former-panoptic").predict(scene).rows()
    wait_for_status(page, rf"^{len(rows)} found, ")
    first = f"1 {rows[0]['name']} {rows[0]['score']:.2f}"
    page.get_by_role("checkbox", name=first, exact=True).click()
    wait_for_status(page, rf"^{len(rows) - 1} of {len(rows)} found shown$")
    with page.expect_download() as download:
        page.get_by_role("button", name="JSON").locator("visible=true").click()
    answer = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
    assert [row["id"] for row in answer["predictions"]] == [row["id"] for row in rows[1:]]


def test_an_example_is_answered_and_another_image_after_it(page, scene):
    page.get_by_role("radio", name="object detection", exact=True).check()
    page.locator(".gallery-item").last.click()
    shown = len(pvzoo.load("shapes-detector").predict(EXAMPLES / "scene.jpg"))
    wait_for_status(page, rf"^{shown} found, ")
    upload(page, scene)
    wait_for_status(page, rf"^{len(pvzoo.load('shapes-detector').predict(scene))} found, ")


def test_what_is_wrong_is_said_on_the_page(page, tmp_path):
    web = tmp_path / "web.png"
    web.write_text("<html><body>not an image</body></html>")
    upload(page, web)
    said = wait_for_status(page, "web.png")
    assert "Traceback" not in said
    address = page.get_by_label("or the address of an image")
    address.fill("http://127.0.0.1:1/a.png")
    address.press("Enter")
    wait_for_status(page, "is not on the public internet")


@pytest.fixture
def elsewhere():
    with counting_server() as server:
        yield server


def test_a_model_card_loads_nothing_from_elsewhere(browser, elsewhere, tmp_path):
    foreign = f"http://127.0.0.1:{elsewhere.server_port}/a.png"
    texts = [text.replace(FOREIGN, foreign) for text in LOADING]
    folder = pvzoo.load("shapes-detector").save(tmp_path / "cells")
    code = "the code:\n\n```mermaid\nflowchart TD\n\n    A --> B\n```"
    (folder / "README.md").write_text("\n\n".join([code, *texts, "the end"]), encoding="utf-8")
    app = build([pvzoo.load(folder, device="cpu")])
    launch(app, prevent_thread_lock=True, quiet=True)
    try:
        page = browser.new_page()
        page.set_default_timeout(60_000)
        page.goto(app.local_url)
        page.get_by_text("About the model").click()
        page.get_by_text("the end").wait_for()
        link = page.get_by_role("link", name="by reference")
        assert link.get_attribute("href") == foreign
        assert page.locator("pre").first.inner_text() == "flowchart TD\n\n    A --> B\n"
        assert page.locator("[src*='127.0.0.1:'][src*='a.png']").count() == 0
        page.wait_for_timeout(1000)
        page.close()
    finally:
        app.close()
    assert elsewhere.visits == []


def test_a_video_is_shown_annotated(browser, tmp_path):
    pytest.importorskip("av")
    import videos

    squares = [videos.Square(0, (5, 20), (2.0, 0.3))]
    frames = [videos.scene(i, squares) for i in range(12)]
    clip = videos.write(tmp_path / "clip.mp4", frames)
    app = build([videos.model()])
    launch(app, prevent_thread_lock=True, quiet=True)
    try:
        page = browser.new_page()
        page.set_default_timeout(60_000)
        page.goto(app.local_url)
        page.get_by_role("tab", name="video").click()
        page.locator("#video input[type=file]").set_input_files(clip)
        page.locator("#video video").wait_for()
        page.get_by_role("button", name="Predict").click()
        wait_for_status(page, r"^12 frames, ")
        with page.expect_download() as download:
            page.get_by_role("button", name="JSON").locator("visible=true").click()
        assert len(Path(download.value.path()).read_text(encoding="utf-8").splitlines()) == 12
        assert page.locator("video[src*='annotated']").count() == 1
        page.close()
    finally:
        app.close()


def test_the_page_fits_a_phone(browser, address):
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.set_default_timeout(60_000)
    page.goto(address)
    wait_for_status(page, "^5 found, ")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.close()
