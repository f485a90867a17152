"""What a demo shows of texts by others: a page loads nothing because of them."""

import html
import random
import re
import time
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt

import pvzoo
from pvzoo.demo import build
from pvzoo.demo.cards import about_model
from pvzoo.demo.markdown import harmless, plain

FOREIGN = "http://elsewhere.example/a.png"
LOADING = [
    f"![an image]({FOREIGN})",
    f'![an image]({FOREIGN} "with a title")',
    f"![an image](<{FOREIGN}>)",
    f"[![a badge]({FOREIGN})](https://example.com)",
    f"![by reference][one]\n\n[one]: {FOREIGN}",
    f"![one][]\n\n[one]: <{FOREIGN}> 'title'",
    f"![one]\n\n[one]: {FOREIGN}",
    f"![[nested] ![twice]({FOREIGN})]({FOREIGN})",
    f"# ![in a heading]({FOREIGN})",
    f"| a | b |\n| - | :-: |\n| ![in a table]({FOREIGN}) | b |",
    f"> * ![in a list]({FOREIGN})",
    f"![on two\nlines]({FOREIGN})",
    f'<img src="{FOREIGN}">',
    f"<IMG\nSRC='{FOREIGN}' onerror=alert(1)>",
    f'text <img srcset="{FOREIGN} 2x" src=""> text',
    f'<p align="center"><img src="{FOREIGN}"/></p>',
    f'<picture><source srcset="{FOREIGN}"><img src="{FOREIGN}"></picture>',
    f'<video src="{FOREIGN}" poster="{FOREIGN}" autoplay></video>',
    f'<audio autoplay><source src="{FOREIGN}"></audio>',
    f'<iframe src="{FOREIGN}" srcdoc="<img src={FOREIGN}>"></iframe>',
    f'<svg><image href="{FOREIGN}"/><use xlink:href="{FOREIGN}#a"/></svg>',
    f'<object data="{FOREIGN}"><embed src="{FOREIGN}"></object>',
    f'<link rel="stylesheet" href="{FOREIGN}"><link rel=preload as=image href={FOREIGN}>',
    f"<style>body {{ background: url({FOREIGN}); }} @import '{FOREIGN}';</style>",
    f'text <span style="background-image: url({FOREIGN})">text</span>',
    f'<div style="background: url({FOREIGN})">\n\n![inside]({FOREIGN})\n\n</div>',
    f'<table background="{FOREIGN}"><tr><td background="{FOREIGN}">x</td></tr></table>',
    f'<base href="{FOREIGN}">\n\n![relative](a.png)',
    f'<meta http-equiv="refresh" content="0; url={FOREIGN}">',
    f'<input type="image" src="{FOREIGN}"><body background="{FOREIGN}">',
    f"<script>fetch('{FOREIGN}')</script><noscript><img src='{FOREIGN}'></noscript>",
    f"<!-- <img src='{FOREIGN}'> -->",
    f"```mermaid\nflowchart TD\n\n    A@{{ img: '{FOREIGN}' }}\n```",
    f"```html\n<img src='{FOREIGN}'>\n\n![in code]({FOREIGN})\n```",
    f"    <img src='{FOREIGN}'>\n\n    ![in code]({FOREIGN})\n",
    f"`<img src='{FOREIGN}'>` and `![in code]({FOREIGN})`",
    f"text\n<b>\n\\!\\[escaped\\]\\({FOREIGN}\\)",
    f"&lt;img src='{FOREIGN}'&gt;\n<b>\n&#33;&#91;a&#93;({FOREIGN})",
    f"$$\\includegraphics{{{FOREIGN}}}$$ $\\href{{{FOREIGN}}}{{a}}$",
    f"[a link](javascript:fetch('{FOREIGN}')) [b](data:text/html,<img src='{FOREIGN}'>)",
    f"<![CDATA[<img src='{FOREIGN}'>]]>",
    f"<img src='{FOREIGN}",
    f"<!-- --!><img src='{FOREIGN}'>",
]
"""Markdown that a browser would load something for, in the hands of a careless page."""

TAGS = {
    *("a", "blockquote", "br", "code", "div", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li"),
    *("ol", "p", "pre", "s", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul"),
}


class Seen(HTMLParser):
    """Every tag with its attributes."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def handle_comment(self, data):
        raise AssertionError(data)

    handle_decl = handle_pi = unknown_decl = handle_comment


def check_loads_nothing(shown):
    for tag, attributes in Seen(shown).tags:
        assert tag in TAGS, shown
        for name, value in attributes.items():
            if name == "href":
                assert not re.match(r"\s*(javascript|data|vbscript|file):", value, re.I), shown
            elif name == "style":
                assert re.fullmatch("text-align:(left|right|center)", value), shown
            else:
                assert name in ("start", "title"), shown
    # Gradio takes it for Markdown once more: a block of HTML, which ends at an empty line
    assert shown.startswith("<div>")
    assert "\n" not in shown
    again = MarkdownIt("commonmark").render(shown)
    assert again.strip() == shown.strip()


def test_a_page_loads_nothing_because_of_a_text():
    for text in LOADING:
        check_loads_nothing(harmless(text))


@pytest.mark.parametrize("seed", range(3))
def test_nor_because_of_texts_put_together(seed):
    draw = random.Random(seed)
    glue = [
        "\n\n",
        "\n",
        " ",
        "",
        "\n\n> ",
        "\n* ",
        "</div>",
        "<b>",
        "\t",
        "\r\n",
        "\x0c\n",
        "`",
        "[",
    ]
    for _ in range(150):
        parts = [draw.choice(LOADING) for _ in range(draw.randrange(1, 5))]
        cut = [
            part[draw.choice([0, 0, 1, 5]) : draw.choice([None, None, -1, -4])] for part in parts
        ]
        check_loads_nothing(harmless("".join(p + draw.choice(glue) for p in cut)))


def test_images_become_links_and_the_rest_of_a_model_card_stays():
    shown = harmless(
        f"# Cells\n\n![curve]({FOREIGN}) [![badge]({FOREIGN})](https://example.com) "
        "![local](a.png)\n\n"
        "<!-- made by a trainer -->\n<p align='center'>In the <b>middle</b> & more</p>\n\n"
        "| a | b |\n| - | -: |\n| 1 | 2 |\n\n```python\nx = 1\n\ny < 2\n```\n\nBig <br> *end*.\n"
    )
    assert f'<a href="{FOREIGN}">curve</a>' in shown
    assert '<a href="https://example.com">badge</a> local' in shown
    assert "<p>In the middle &amp; more</p>" in shown
    assert '<td style="text-align:right">2</td>' in shown
    assert "<pre><code>x = 1&#10;&#10;y &lt; 2&#10;</code></pre>" in shown
    assert "<em>end</em>" in shown
    assert "made by a trainer" not in shown


def test_other_texts_are_shown_as_they_are():
    for text in (*LOADING, "3 found, 0.12 s", "a_b_c 1. # *x* ~y~ https://example.com <b> &amp; |"):
        text = " ".join(text.split())
        shown = MarkdownIt("commonmark", {"html": True}).enable("table").render(plain(text))
        assert shown == f"<p>{html.escape(text)}</p>\n".replace("&#x27;", "'")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return pvzoo.load("shapes-detector").save(tmp_path_factory.mktemp("runs") / "cells")


def card_of(folder, data):
    (folder / "README.md").write_bytes(data)
    return about_model(pvzoo.load(folder, device="cpu"))


def test_the_page_of_a_folder_has_a_model_card_that_loads_nothing(saved):
    (saved / "README.md").write_text("\n\n".join(LOADING), encoding="utf-8")
    app = build([pvzoo.load(saved, device="cpu")])
    texts = [
        component["props"].get("value")
        for component in app.config["components"]
        if component["type"] == "markdown"
    ]
    (shown,) = (text for text in texts if text and "elsewhere.example" in text)
    check_loads_nothing(shown)


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (
            b"---\nlicense: mit\n---\n# Cells\n\nA --- b\n\n---\n\nc",
            "# Cells\n\nA --- b\n\n---\n\nc",
        ),
        (b"---\r\nlicense: mit\r\n---\r\n# Cells", "# Cells"),
        (b"\xef\xbb\xbf---\nlicense: mit\n---\n# Cells", "# Cells"),
        (b"---\n---\n# Cells", "# Cells"),
        ("# Zell\u00e9".encode("latin-1"), "# Zell\ufffd"),
        (b"# Cells", "# Cells"),
    ],
)
def test_a_model_card_is_shown_without_its_front_matter(saved, data, shown):
    assert card_of(saved, data) == shown


@pytest.mark.parametrize(
    "data", [b"", b"---\nlicense: mit\n---\n", b"---\nlicense: mit\n---", b"---\n---", b" \n"]
)
def test_a_model_card_without_text_is_as_good_as_none(saved, data):
    assert card_of(saved, data).startswith("**cells**: object-detection, 8 classes")


@pytest.mark.parametrize("part", ["<!--", "![", "![a](http://a) ", "[", "*a ", "|a", "`` ` "])
def test_a_model_card_made_to_take_long_is_shown_soon(saved, part):
    start = time.perf_counter()
    check_loads_nothing(harmless(card_of(saved, part.encode() * 100_000)))
    assert time.perf_counter() - start < 10


def test_a_model_card_in_any_encoding_or_of_any_size_is_shown(saved):
    for data in ("# \u7ec6\u80de".encode("utf-16"), bytes(range(256)) * 100, b"# x\n" * 10**6):
        check_loads_nothing(harmless(card_of(saved, data)))
