"""``pvzoo-export.json``: the description of an exported network and the list of its files.

A manifest may come from anybody. Its contents are checked before any file that it names is opened:
names must be plain, files regular, sizes and digests as stated, numbers within bounds.
"""

from __future__ import annotations

import hashlib
import json
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pvzoo.adapters.base import Spec
from pvzoo.errors import PvzooError, WeightsError, short

NAME = "pvzoo-export.json"
VERSION = 1
MOST_BYTES = 1 << 24
"""The largest size of the manifest itself."""

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")
_MOST_SIDE = 65_536
_DTYPES = ("float32", "float16", "float64", "int64", "int32", "uint8", "int8", "bool")


@dataclass(frozen=True)
class Graph:
    """A graph in a file.

    Attributes:
        file: The name of the file that a runtime opens.
        inputs: (dtype, shape) of each input by its name. A free axis stands in the shape as a
            text, its name.
        outputs: The names of the outputs, in the order of the file.
    """

    file: str
    inputs: Mapping[str, tuple[str, tuple[int | str, ...]]]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Manifest:
    """The contents of ``pvzoo-export.json``.

    Attributes:
        spec: The meaning of the outputs and the preparation of images.
        runtime: The id of the runtime that the files are for.
        precision: The precision of the weights, such as "fp32".
        graphs: The graphs, by the names that `Adapter.run` uses.
        ranges: (smallest length, largest length, divisor) of each free axis, by its name.
        files: The number of bytes and the SHA-256 of each file, by its name.
        source: The name of the model that was exported.
        license: The licence of the weights; "" if it is not known.
        versions: The versions of the packages that made the export.
        thresholds: From `pvzoo.thresholds.values.Thresholds.to_json`; may be empty.
        certificate: See `pvzoo.export.certificate`; None if there is none.
        reference: How the images look that the export was validated on, from
            `pvzoo.drift.Reference.to_json`; None if it was exported without data.
    """

    spec: Spec
    runtime: str
    precision: str
    graphs: Mapping[str, Graph]
    ranges: Mapping[str, tuple[int, int, int]]
    files: Mapping[str, Mapping[str, Any]]
    source: str
    license: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    thresholds: Mapping[str, Any] = field(default_factory=dict)
    certificate: Mapping[str, Any] | None = None
    reference: Mapping[str, Any] | None = None

    @property
    def inputs(self) -> frozenset[str]:
        """The names of the inputs of all graphs."""
        return frozenset(name for graph in self.graphs.values() for name in graph.inputs)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        graphs = {
            name: {
                "file": graph.file,
                "inputs": {
                    key: {"dtype": dtype, "shape": list(shape)}
                    for key, (dtype, shape) in graph.inputs.items()
                },
                "outputs": list(graph.outputs),
            }
            for name, graph in self.graphs.items()
        }
        return {
            "pvzoo_export": VERSION,
            "spec": self.spec.to_json(),
            "runtime": self.runtime,
            "precision": self.precision,
            "graphs": graphs,
            "ranges": {axis: list(bounds) for axis, bounds in self.ranges.items()},
            "files": {name: dict(stated) for name, stated in self.files.items()},
            "source": self.source,
            "license": self.license,
            "versions": dict(self.versions),
            "thresholds": dict(self.thresholds),
            "certificate": None if self.certificate is None else dict(self.certificate),
            "reference": None if self.reference is None else dict(self.reference),
        }


def is_in(folder: Path) -> bool:
    """Whether a folder holds an export."""
    return (folder / NAME).is_file()


def write(manifest: Manifest, folder: Path) -> None:
    """Write a manifest into its folder."""
    text = json.dumps(manifest.to_json(), indent=1, ensure_ascii=False)
    (folder / NAME).write_text(text + "\n", encoding="utf-8")


def read(folder: Path, name: str) -> Manifest:
    """Read the manifest in a folder; no other file is opened.

    Args:
        folder: The folder of the export.
        name: The name of the model in messages.

    Raises:
        WeightsError: It is damaged, or it has values that an export cannot have.
    """
    file = folder / NAME
    try:
        if file.stat().st_size > MOST_BYTES:
            raise ValueError(f"it has more than {MOST_BYTES >> 20} MB")
        found = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(found, dict) or "pvzoo_export" not in found:
            raise ValueError("it is not the manifest of an export")
        if found["pvzoo_export"] != VERSION:
            raise WeightsError(
                f"{name}: {file} has version {short(found['pvzoo_export'])} of the format, but "
                f"this version of pvzoo reads version {VERSION}.",
                "Install the version of pvzoo that wrote it, or export the model again.",
            )
        return _manifest(found)
    except WeightsError:
        raise
    except PvzooError as error:  # an unknown step, or one with values out of bounds
        raise WeightsError(f"{name}: {file}: {error.what}", error.hint) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        told = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise WeightsError(
            f"{name}: {file} cannot be read ({short(told)[1:-1]}).",
            "Fetch it again, or export the model again.",
        ) from error


def _manifest(found: Mapping[str, Any]) -> Manifest:
    files = {str(name): dict(stated) for name, stated in found["files"].items()}
    for name, stated in files.items():
        _check_name(name)
        _whole(stated["bytes"], f"the bytes of {name}", 1 << 50)
        if not re.fullmatch("[0-9a-f]{64}", stated["sha256"]):
            raise ValueError(f"the digest of {name} is not a SHA-256")
    graphs = {str(name): _graph(graph, files) for name, graph in found["graphs"].items()}
    if not graphs:
        raise ValueError("it has no graph")
    ranges = {str(axis): _range(bounds) for axis, bounds in found["ranges"].items()}
    spec = Spec.from_json(found["spec"])
    if not all(isinstance(label, str) for label in spec.labels):
        raise ValueError("a label is not a text")
    for text in ("runtime", "precision", "source", "license"):
        if not isinstance(found[text], str):
            raise TypeError(f"{text} is not a text")
    return Manifest(
        spec,
        found["runtime"],
        found["precision"],
        graphs,
        ranges,
        files,
        found["source"],
        found["license"],
        dict(found["versions"]),
        dict(found["thresholds"]),
        None if found["certificate"] is None else dict(found["certificate"]),
        None if found.get("reference") is None else dict(found["reference"]),
    )


def _graph(found: Mapping[str, Any], files: Mapping[str, Any]) -> Graph:
    if found["file"] not in files:
        raise ValueError(f"the file {short(found['file'])} of a graph is not among its files")
    inputs = {}
    for name, stated in found["inputs"].items():
        if stated["dtype"] not in _DTYPES:
            raise ValueError(
                f"the input {short(name)} has the unknown dtype {short(stated['dtype'])}"
            )
        shape = [
            axis if isinstance(axis, str) else _whole(axis, "an axis", _MOST_SIDE)
            for axis in stated["shape"]
        ]
        inputs[str(name)] = (stated["dtype"], tuple(shape))
    outputs = tuple(map(str, found["outputs"]))
    if not inputs or not outputs:
        raise ValueError("a graph has no inputs or no outputs")
    return Graph(found["file"], inputs, outputs)


def _range(bounds: Any) -> tuple[int, int, int]:
    least, most, multiple = (_whole(bound, "a range", _MOST_SIDE) for bound in bounds)
    return least, most, multiple


def _whole(value: Any, what: str, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise ValueError(f"{what} is {short(value)}")
    return value


def _check_name(name: str) -> None:
    if not _PLAIN.fullmatch(name) or name == NAME:
        raise ValueError(f"{short(name)} is not the plain name of a file beside it")


def stated(folder: Path, names: list[str]) -> dict[str, dict[str, Any]]:
    """The manifest's entries for files: their sizes and digests."""
    return {
        name: {"bytes": (folder / name).stat().st_size, "sha256": _digest(folder / name)}
        for name in sorted(names)
    }


def check_files(manifest: Manifest, folder: Path, name: str) -> None:
    """Refuse files that are not the ones that the manifest describes.

    Links are refused, except those of the Hub's cache that point to the store of the same repo.

    Args:
        manifest: From `read`.
        folder: The folder with the files.
        name: The name of the model in messages.

    Raises:
        WeightsError: A file is missing, or it is not the exported one.
    """
    for file_name, wanted in manifest.files.items():
        file = folder / file_name
        try:
            mode = file.lstat().st_mode
            if stat.S_ISLNK(mode) and _is_cached(file):
                mode = file.stat().st_mode
        except OSError as error:
            raise WeightsError(
                f"{name}: {file} is missing ({error.strerror}).",
                "Fetch it again, or export the model again.",
            ) from error
        if not stat.S_ISREG(mode):
            raise WeightsError(
                f"{name}: {file} is a link or is not a file; it was not opened.",
                "Copy the file itself into the folder.",
            )
        size = file.stat().st_size
        if size != wanted["bytes"]:
            raise WeightsError(
                f"{name}: {file} has {size:,} bytes, but the exported file has "
                f"{wanted['bytes']:,}.",
                "It is another file, or it was cut short. Fetch it again, or export the model "
                "again.",
            )
        if (digest := _digest(file)) != wanted["sha256"]:
            raise WeightsError(
                f"{name}: {file} is not the file that was exported (SHA-256 {digest}, expected "
                f"{wanted['sha256']}).",
                "Fetch it again, or export the model again.",
            )


def _is_cached(link: Path) -> bool:
    """Whether a link is one of the Hub's cache: ``snapshots/commit/x`` -> ``blobs/digest``."""
    repo = link.parent.parent.parent
    return (
        link.parent.parent.name == "snapshots"
        and link.resolve().parent == (repo / "blobs").resolve()
    )


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
