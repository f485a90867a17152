"""Make texts of other authors safe for a page, which then loads nothing from elsewhere.

Otherwise the browser of each visitor would fetch the images of a model card, and so tell the server
of these images who looks at the page.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token


def harmless(markdown: str) -> str:
    """Markdown -> HTML that a page shows without loading anything.

    Images become links. HTML in the Markdown is dropped, its text stays. Gradio reads the result as
    Markdown with HTML in it; as it is one line, Gradio finds no Markdown in it.
    """
    return f"<div>{_RENDERER.render(markdown)}</div>".replace("\n", " ")


def plain(text: str) -> str:
    """Any text -> Markdown that shows the text as it is."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", " ".join(text.split()))


def _image(self: Any, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    token = tokens[index]
    text = html.escape(self.renderInlineAsText(token.children or [], options, env) or "image")
    address = str(token.attrs["src"])
    in_link = sum(other.nesting for other in tokens[:index] if other.type.startswith("link_"))
    if in_link or not address.startswith(("http://", "https://")):
        return text
    return f'<a href="{html.escape(address)}">{text}</a>'


def _code(self: Any, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    """Code without its language: for some a page draws a diagram, which may load images."""
    text = html.escape(tokens[index].content).replace("\n", "&#10;")
    return f"<pre><code>{text}</code></pre>"


def _nothing(self: Any, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    return ""


def _text_of(self: Any, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    reader = _Text()
    reader.feed(tokens[index].content)
    reader.close()
    text = " ".join("".join(reader.parts).split())
    return f"<p>{html.escape(text)}</p>" if text else ""


class _Text(HTMLParser):
    """Collects the text that a reader of the HTML sees."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._hidden = False

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self._hidden = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._hidden = False

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(data)


_RENDERER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
for _kind, _rule in {
    "image": _image,
    "code_block": _code,
    "fence": _code,
    "html_block": _text_of,
    "html_inline": _nothing,
}.items():
    _RENDERER.add_render_rule(_kind, _rule)
