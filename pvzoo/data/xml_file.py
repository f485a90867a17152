"""XML files of strangers: read by `defusedxml`, which refuses entities."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pvzoo.errors import DataError
from pvzoo.extras import needs

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element


def read_xml(file: Path) -> Element:
    """The root of an XML file.

    Raises:
        DataError: It cannot be read, is no XML, or has entities.
    """
    needs("XML", "defusedxml")
    from defusedxml import ElementTree

    with _explained(file):
        return ElementTree.fromstring(file.read_bytes())


def xml_elements(file: Path, tags: frozenset[str]) -> Iterator[Element]:
    """The elements of some names that are not in each other, each forgotten after it was used.

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


@contextmanager
def _explained(file: Path) -> Iterator[None]:
    """Turn what the parser raises into a `DataError`."""
    from defusedxml import ElementTree

    try:
        yield
    except (OSError, ElementTree.ParseError, ValueError, LookupError, RecursionError) as error:
        said = str(error)[:200]
        raise DataError(f"{file} is not XML ({said}).", "Mend or export it again.") from error
