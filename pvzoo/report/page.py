"""The page of a report: one file that needs no network access and runs only its own script."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources

from pvzoo.report.charts import html_of
from pvzoo.report.parts import Section


@dataclass(frozen=True)
class Shown:
    """An image of the gallery.

    Attributes:
        file: The path of the larger file, relative to the page.
        small: The path of the smaller file.
        width: The width of the smaller file's image in pixels.
        height: The height of the smaller file's image in pixels.
        title: The name of the image in the data.
        about: The errors in the image, as text.
        kinds: The kinds of errors in the image.
        classes: The classes that have an error in the image.
    """

    file: str
    small: str
    width: int
    height: int
    title: str
    about: str
    kinds: Sequence[str]
    classes: Sequence[str]


def page(
    title: str, about: Sequence[str], sections: Sequence[Section], gallery: Sequence[Shown]
) -> str:
    """The HTML of a whole page.

    Args:
        title: The heading of the page.
        about: Paragraphs below the heading.
        sections: The sections, in order.
        gallery: The images at the end of the page, worst first.
    """
    here = resources.files("pvzoo.report")
    style, script = (here.joinpath(n).read_text(encoding="utf-8") for n in ("page.css", "page.js"))
    policy = (
        "default-src 'none'; img-src 'self' file:; base-uri 'none'; form-action 'none'; "
        f"style-src {_digest(style)}; script-src {_digest(script)}"
    )
    links = [(f"s{n}", section.title) for n, section in enumerate(sections)]
    if gallery:
        links.append(("images", "Images"))
    return "".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n',
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
            '<meta name="referrer" content="no-referrer">\n',
            f"<title>{escape(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n",
            f"<h1>{escape(title)}</h1>\n",
            *(f'<p class="soft">{escape(text)}</p>\n' for text in about),
            '<nav aria-label="Sections">',
            *(f'<a href="#{id}">{escape(text)}</a> ' for id, text in links),
            "</nav>\n<main>\n",
            *(_section(f"s{n}", section) for n, section in enumerate(sections)),
            _gallery(gallery) if gallery else "",
            f"</main>\n<script>{script}</script>\n</body>\n</html>\n",
        ]
    )


def _digest(text: str) -> str:
    """The digest of a text, in the form of a content-security policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _section(id: str, section: Section) -> str:
    parts = "".join(map(html_of, section.parts))
    more = "".join(f"<h3>{escape(name)}</h3>{html_of(part)}" for name, part in section.more)
    folded = f"<details><summary>Each class</summary>{more}</details>" if more else ""
    return (
        f'<section id="{id}"><h2>{escape(section.title)}</h2>\n<p>{escape(section.about)}</p>\n'
        f'<div class="row">{parts}</div>{folded}</section>\n'
    )


def _gallery(shown: Sequence[Shown]) -> str:
    kinds = list(dict.fromkeys(kind for one in shown for kind in one.kinds))
    classes = sorted({name for one in shown for name in one.classes})
    return (
        '<section id="images"><h2>Images</h2>\n<p>Worst first. Click an image to enlarge it.</p>'
        f"\n<form hidden>{_select('kind', 'Kind of error', kinds)}"
        f"{_select('class', 'Class', classes)}"
        f'<span role="status"><span id="count">{len(shown)}</span> of {len(shown)}</span></form>\n'
        f'<div class="gallery">{"".join(_figure(one, kinds, classes) for one in shown)}</div>'
        "</section>\n"
    )


def _select(id: str, label: str, values: Sequence[str]) -> str:
    options = "".join(
        f'<option value="{number}">{escape(value)}</option>' for number, value in enumerate(values)
    )
    return (
        f'<label for="{id}">{escape(label)}</label>'
        f'<select id="{id}"><option value="">all</option>{options}</select>'
    )


def _figure(one: Shown, kinds: Sequence[str], classes: Sequence[str]) -> str:
    of_kind = " ".join(str(kinds.index(kind)) for kind in one.kinds)
    of_class = " ".join(str(classes.index(name)) for name in one.classes)
    title, about = escape(one.title), escape(one.about)
    return (
        f'<figure data-kinds="{of_kind}" data-classes="{of_class}"><a href="{escape(one.file)}">'
        f'<img src="{escape(one.small)}" width="{one.width}" height="{one.height}" loading="lazy" '
        f'alt="Label and prediction of {title}"></a>'
        f"<figcaption><b>{title}</b><br>{about}</figcaption></figure>\n"
    )
