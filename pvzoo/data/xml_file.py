"""Read XML files of strangers with `defusedxml`, which refuses entities."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pvzoo.data.files import quoted
from pvzoo.errors import DataError
from pvzoo.extras import needs

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element


def read_xml(file: Path) -> Element:
    """The root of an XML file.

    Raises:
        DataError: The file cannot be read, is not XML, or has entities.
    """
    needs("XML", "defusedxml")
    from defusedxml import ElementTree

    with _explained(file):
        return ElementTree.fromstring(file.read_bytes())


def xml_elements(file: Path, tags: frozenset[str]) -> Iterator[Element]:
    """The outermost elements with these tags; each is freed after it was used.

    Raises:
        DataError: As `read_xml`.
    """
    needs("XML", "defusedxml")
    from defusedxml import ElementTree

    with _explained(file), file.open("rb") as opened:
        inside: list[Element] = []
        root = None
        for event, element in ElementTree.iterparse(opened, ("start", "end")):
            root = element if root is None else root
            if element.tag in tags or inside:
                if event == "start":
                    inside.append(element)
                    continue
                inside.pop()
                if not inside:
                    yield element
                    root.clear()


_NO_XML = re.compile("[^\\t\\n\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")
"""Characters that an XML file cannot hold (www.w3.org/TR/xml, 2.2), or that change when read."""


def check_text(text: str, what: str) -> None:
    """Raise a `DataError` if a text cannot be written to XML; `what` begins the message."""
    if _NO_XML.search(text):
        raise DataError(f"{what} {quoted(text)} cannot be written to an XML file.", "Rename it.")


@contextmanager
def _explained(file: Path) -> Iterator[None]:
    """Turn what the parser raises into a `DataError`."""
    from defusedxml import ElementTree

    try:
        yield
    except (OSError, ElementTree.ParseError, ValueError, LookupError, RecursionError) as error:
        reason = str(error)[:200]
        raise DataError(f"{file} is not XML ({reason}).", "Fix it or export it again.") from error
