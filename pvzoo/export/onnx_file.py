"""Find what an ONNX file refers to outside itself, without opening it in a runtime.

Only the fields that matter are read from the protobuf messages. Their numbers are those of
onnx/onnx.proto. Tensors are skipped, so it takes milliseconds.
"""

from __future__ import annotations

import mmap
from collections.abc import Collection, Iterator
from pathlib import Path

from pvzoo.errors import WeightsError, error_message, short

_DOMAINS = {"", "ai.onnx", "ai.onnx.ml", "com.microsoft"}
"""The domains of operators that are part of ONNX Runtime; others would need another library."""
_DEPTH = 32
# message -> field number -> inner message; the search is for "location" and "domain"
_FIELDS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 8: "opset", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "opset": {1: "domain"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 9: "opset", 11: "attribute"},
    "node": {5: "attribute", 7: "domain"},
    "attribute": {
        **{5: "tensor", 6: "graph", 10: "tensor", 11: "graph"},
        **{22: "sparse", 23: "sparse"},
    },
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}


def references(file: Path) -> tuple[set[str], set[str]]:
    """Find the files with external data of an ONNX file, and the domains of its operators.

    Args:
        file: The ONNX file.

    Returns:
        (locations, as they are written in the file; domains, with "" for ONNX's own).

    Raises:
        ValueError: It is not an ONNX file, or it is damaged.
    """
    found: dict[str, set[str]] = {"location": set(), "domain": set()}
    with file.open("rb") as opened:
        if not file.stat().st_size:
            raise ValueError("it is empty")
        with mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
            view = memoryview(data)
            try:
                _walk(view, "model", found, 0)
            finally:
                view.release()
    return found["location"], found["domain"]


def check_graph(file: Path, listed: Collection[str]) -> None:
    """Refuse a graph that would make a runtime open files other than the listed ones beside it.

    Args:
        file: An ONNX file, or an ``.xml`` of OpenVINO, whose weights are in the ``.bin`` with the
            same name.
        listed: Names of files that were checked.

    Raises:
        WeightsError: It refers to another file, or to operators that are not part of a runtime.
    """
    locations, domains = {file.with_suffix(".bin").name}, set[str]()
    if file.suffix == ".onnx":
        try:
            locations, domains = references(file)
        except (OSError, ValueError) as error:
            raise WeightsError(
                f"{file} cannot be read ({error_message(error)}).",
                "Fetch it again, or export the model again.",
            ) from error
    for index in sorted(locations - set(listed)):
        raise WeightsError(
            f"{file} stores weights in {short(index)}, which is not among the files that its "
            "manifest lists; it was not opened.",
            "Fetch it again from a source that you trust.",
        )
    if foreign := sorted(domains - _DOMAINS):
        raise WeightsError(
            f"{file} needs operators of {short(foreign[0])}, which are in a separate library; it "
            "was not opened.",
            "Export the model without custom operators.",
        )


def _walk(data: memoryview, message: str, found: dict[str, set[str]], depth: int) -> None:
    if depth > _DEPTH:
        raise ValueError("its graphs are nested too deeply")
    known = _FIELDS[message]
    for number, value in _fields(data):
        inner = known.get(number)
        if inner is None or isinstance(value, int):
            continue
        if inner == "entry":
            pair = {n: bytes(v) for n, v in _fields(value) if not isinstance(v, int)}
            if pair.get(1) == b"location":
                found["location"].add(pair.get(2, b"").decode("utf-8"))
        elif inner == "domain":
            found["domain"].add(bytes(value).decode("utf-8"))
        else:
            _walk(value, inner, found, depth + 1)


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """The fields of a message: (number, the bytes of a field with a length, or else an int)."""
    index = 0
    while index < len(data):
        key, index = _varint(data, index)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, index = _varint(data, index)
            yield number, value
            continue
        size, index = _varint(data, index) if kind == 2 else ({1: 8, 5: 4}.get(kind, -1), index)
        if size < 0 or index + size > len(data):
            raise ValueError("it is not an ONNX file, or it was cut short")
        if kind == 2:
            yield number, data[index : index + size]
        index += size


def _varint(data: memoryview, index: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if index >= len(data):
            break
        byte = data[index]
        index += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, index
    raise ValueError("it is not an ONNX file, or it was cut short")
