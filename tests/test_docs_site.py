"""The pages: their links lead somewhere, all are in the site, and the site builds strictly."""

from __future__ import annotations

import posixpath
import re
import shutil
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
SITE = ROOT / "docs" / "site"
sys.path.insert(0, str(SITE))
import absolute_links  # noqa: E402
import models  # noqa: E402
import pages  # noqa: E402

import pvzoo  # noqa: E402
from pvzoo import data  # noqa: E402
from pvzoo.cli.app import app  # noqa: E402
from pvzoo.demo import EXAMPLES  # noqa: E402

SOURCES = [
    ROOT / name for name in (*pages.pages(), "SECURITY.md", "demos/README.md", "CODE_OF_CONDUCT.md")
]


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def links(page: Path) -> list[str]:
    """The targets of all links and images of a page, outside code."""
    found: list[str] = []

    def note(text: str) -> str:
        plain = re.sub(r"`[^`\n]*`", "", text)
        found.extend(match[2] for match in pages.LINK.finditer(plain))
        return text

    pages.outside_code(page.read_text("utf-8"), note)
    return found


def anchors(page: Path) -> set[str]:
    """The anchors of the headings of a page, as GitHub and the site make them."""
    headings: list[str] = []
    pages.outside_code(
        page.read_text("utf-8"),
        lambda text: headings.extend(re.findall(r"^#+ (.+)$", text, re.MULTILINE)) or text,
    )
    bare = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.strip().replace(" ", "-") for heading in bare}


def faults(page: Path) -> list[str]:
    """The links of a page that lead nowhere."""
    found = []
    for link in links(page):
        if "://" in link or link.startswith("mailto:"):
            if link.startswith(pages.SITE):
                found += [link] * (link.removeprefix(pages.SITE).strip("/") not in only_in_site())
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (
            anchor and target.suffix == ".md" and anchor not in anchors(target)
        ):
            found.append(link)
    return found


def only_in_site() -> set[str]:
    """The pages that the site has and the repository has not, and those that it has from it."""
    made = {f"models/{card.name}" for card in models.cards()} | {"models", "cli", "api", ""}
    return made | {target.removesuffix(".md") for target in pages.pages().values()}


@pytest.mark.parametrize("page", SOURCES, ids=name)
def test_the_links_of_a_page_lead_somewhere(page):
    assert not faults(page)


def test_links_to_pages_and_headings_that_do_not_exist_are_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# One thing\n[a](gone.md) [b](#one-thing) [c](#another) ![d](gone.png)\n"
        f"[e]({pages.SITE}/models/detr-resnet50/) [f]({pages.SITE}/models/no-such-model/)\n"
        "```\n[code](gone.md)\n```\n",
        encoding="utf-8",
    )
    bad = ["gone.md", "#another", "gone.png", f"{pages.SITE}/models/no-such-model/"]
    assert faults(page) == bad


def nav(entries: list) -> list[str]:
    """All pages of a navigation."""
    found: list[str] = []
    for entry in entries:
        for value in entry.values():
            found += [value] if isinstance(value, str) else nav(value)
    return found


def test_all_pages_are_in_the_navigation_and_all_its_pages_exist():
    config = yaml.safe_load((SITE / "mkdocs.yml").read_text("utf-8"))
    listed = nav(config["nav"])
    plugins = {target for target in pages.pages().values() if target.startswith("plugins/")}
    made = {"models/index.md", "cli.md", *(f"api/{f.name}" for f in (SITE / "api").glob("*.md"))}
    wanted = {*pages.pages().values(), *made} - plugins
    assert set(listed) == wanted, "the navigation is in docs/site/mkdocs.yml"
    assert len(listed) == len(set(listed))


def test_all_public_functions_are_in_the_reference():
    text = "".join(file.read_text("utf-8") for file in (SITE / "api").glob("*.md"))
    listed = set(re.findall(r"^::: ([\w.]+)$", text, re.MULTILINE))
    elsewhere = {"pvzoo.Model", "pvzoo.PvzooError", "pvzoo.PvzooWarning"}  # by their own modules
    assert {f"pvzoo.{name}" for name in pvzoo.__all__} - elsewhere <= listed
    assert {f"pvzoo.data.{name}" for name in data.__all__} <= listed
    assert {"pvzoo.model.Model", "pvzoo.errors"} <= listed


def test_the_site_asks_no_other_server_for_anything():
    config = (SITE / "mkdocs.yml").read_text("utf-8")
    assert yaml.safe_load(config)["theme"]["font"] is False
    for file in (SITE / "theme").iterdir():
        text = file.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "//" not in re.sub(r"^\s*// .*$", "", text, flags=re.MULTILINE), file.name


def test_links_become_those_of_the_site(tmp_path):
    text = (
        "[a](docs/export.md#the-proof) [b](pvzoo/model.py) [c](plugins/pvzoo-depth)\n"
        f"[d]({pages.SITE}/models/detr-resnet50/) ![e](docs/images/demo.jpg)\n"
        "```\n[f](docs/export.md)\n```\n"
    )
    made = pages.with_links(text, "README.md", "deep/page.md", pages.pages(), tmp_path)
    assert made.splitlines() == [
        f"[a](../export.md#the-proof) [b]({pages.REPOSITORY}/blob/main/pvzoo/model.py) "
        f"[c]({pages.REPOSITORY}/tree/main/plugins/pvzoo-depth)",
        "[d](../models/detr-resnet50/index.md) ![e](../images/demo.jpg)",
        "```",
        "[f](docs/export.md)",
        "```",
    ]
    assert (tmp_path / "images" / "demo.jpg").is_file()


def test_a_readme_for_a_package_index_has_absolute_links():
    text = (
        "![a](docs/scenes.jpg) [b](../../README.md#more) [c](https://pypi.org) [d](../pvzoo-depth)"
    )
    made = absolute_links.absolute(text, "plugins/pvzoo-shapes/README.md")
    raw = "https://raw.githubusercontent.com/pvzoo/pvzoo/main"
    assert made == (
        f"![a]({raw}/plugins/pvzoo-shapes/docs/scenes.jpg) "
        f"[b]({pages.REPOSITORY}/blob/main/README.md#more) [c](https://pypi.org) "
        f"[d]({pages.REPOSITORY}/tree/main/plugins/pvzoo-depth)"
    )


@pytest.mark.parametrize("name", ["detr-resnet50", "pp-doclayout-v3", "face-cascade", "resnet50"])
def test_the_page_of_a_model_has_the_facts_of_its_card(name):
    (card,) = [card for card in models.cards() if card.name == name]
    page = models.page(card)
    assert page.startswith(f"# {name}\n")
    assert f"| licence | {card.license_text} |" in page
    assert f'pvzoo.load("{name}")' in page
    for metric in card.metrics:
        assert f"| {metric.name} | {metric.value:g} | {metric.dataset} | {metric.source} |" in page


def test_the_page_of_a_model_says_what_it_cannot_do():
    found = {card.name: models.page(card) for card in models.cards()}
    assert "fine_tune" in found["detr-resnet50"]
    assert "It cannot be fine-tuned: transformers has no loss for it." in found["pp-doclayout-v3"]
    assert "It cannot be exported: it sorts equal values" in found["pp-doclayout-v2"]
    assert "certified for ONNX Runtime and OpenVINO" in found["detr-resnet50"]
    assert "This kind of model cannot be fine-tuned." in found["face-cascade"]


def test_the_code_of_every_page_of_a_model_can_be_read():
    for card in models.cards():
        for block in re.findall(r"^```python\n(.*?)^```$", models.page(card), re.M | re.S):
            compile(block, card.name, "exec")


def test_the_table_of_models_has_a_row_for_each():
    found = models.cards()
    rows = re.findall(r'<tr data-words=.*?<a href="(.*?)\.md">', models.table(found))
    assert rows == [card.name for card in found]


def test_addresses_are_those_of_pyproject():
    """The address of the repository is also where pyproject.toml cannot be read."""
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["urls"]
    for file in ("CITATION.cff", "SECURITY.md", ".github/ISSUE_TEMPLATE/config.yml"):
        assert urls["Source"] in (ROOT / file).read_text("utf-8")
    for project in (ROOT / "plugins").glob("*/pyproject.toml"):
        plugin = tomllib.loads(project.read_text("utf-8"))["project"]["urls"]
        assert plugin["Source"] == f"{urls['Source']}/tree/main/plugins/{project.parent.name}"
        assert posixpath.dirname(plugin["Documentation"].rstrip("/")) == (
            f"{urls['Documentation']}/plugins"
        )


@pytest.fixture(scope="module")
def site() -> Path:
    """The folder of the built site, which prints how many blocks of code are run."""
    pytest.importorskip("zensical")
    done = subprocess.run(
        [sys.executable, str(SITE)], capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\d+ blocks of code are run by the tests, \d+ are not", done.stdout)
    return ROOT / "build" / "site" / "site"


OFFLINE = ["shapes-detector", "shapes-mask2former-instance", "shapes-mask2former-semantic"]


@pytest.mark.parametrize(
    "name", [*OFFLINE, "shapes-mask2former-panoptic", "efficientnet-lite0-pip"]
)
def test_the_code_to_predict_of_a_model_runs(name, tmp_path, monkeypatch):
    (card,) = [card for card in models.cards() if card.name == name]
    block = re.search(r"## Predict\n\n```python\n(.*?)^```$", models.page(card), re.M | re.S)
    shutil.copy(EXAMPLES / "scene.jpg", tmp_path / "street.jpg")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(block[1], names)
    assert names["result"].source == "street.jpg"


@pytest.mark.slow
def test_the_site_builds_strictly_and_has_every_page_and_command(site):
    for card in models.cards():
        assert (site / "models" / card.name / "index.html").is_file()
    commands = (site / "cli" / "index.html").read_text("utf-8")
    for command in app.registered_commands:
        called = command.name or command.callback.__name__.replace("_", "-")
        assert f"pvzoo {called}" in commands


@pytest.fixture(scope="module")
def address(site) -> Iterator[str]:
    """Where a server on this machine shows the site."""
    handler = partial(SilentHandler, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class SilentHandler(SimpleHTTPRequestHandler):
    """Writes no line for each request."""

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("there is no Chromium on this machine")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_pages_fit_the_screen_and_ask_no_other_server(browser, address, site, width):
    page = browser.new_page(viewport={"width": width, "height": 900})
    asked, errors = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(error))
    for file in [*sorted(site.glob("*/index.html")), site / "models/resnet50/index.html"]:
        page.goto(f"{address}/{file.parent.relative_to(site).as_posix()}/")
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{file.parent.name} is {wide} pixels wide"
    page.close()
    assert not errors
    assert asked
    assert not [url for url in asked if not url.startswith((address, "data:", "blob:"))]


@pytest.mark.slow
def test_the_table_of_models_is_searched_filtered_and_sorted(browser, address):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(f"{address}/models/")
    rows = page.locator(".catalogue tbody tr:visible")
    found = models.cards()
    assert rows.count() == len(found)
    page.get_by_label("Task").select_option("panoptic-segmentation")
    assert rows.count() == sum(card.task == "panoptic-segmentation" for card in found)
    page.get_by_label("Search the models").fill("swin tiny")
    assert 0 < rows.count() < 10
    assert "swin" in rows.first.inner_text()
    page.get_by_label("Search the models").fill("")
    page.get_by_label("Task").select_option("")
    page.get_by_label("permissive licence").check()
    assert rows.count() == sum(card.permissive for card in found)
    page.get_by_role("button", name="Size").click()
    page.get_by_role("button", name="Size").click()  # the largest first
    first = rows.first.locator("td").first.inner_text()
    largest = max((card for card in found if card.permissive), key=lambda card: card.params or 0)
    assert first == largest.name
    page.close()
