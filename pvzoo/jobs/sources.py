"""What a job is about: a text that names a source -> its inputs, one after the other.

A folder or a pattern has image files, tar files (WebDataset) or Parquet files; a list file has a
path in each line; a Parquet table has a column of paths or of images; a dataset of the Hub is a
folder there.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterator
from itertools import chain

from pvzoo.errors import PvzooError, UsageError
from pvzoo.inputs.sources import SUFFIXES
from pvzoo.jobs import identity
from pvzoo.jobs.entries import Entry, Source, suffix
from pvzoo.jobs.storage import WRITING, Place
from pvzoo.jobs.tables import table

VIDEOS = frozenset({".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv"})
LISTS = frozenset({".txt", ".lst", ".list"})
_BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}")
_MAGIC = re.compile(r"[*?\[]|\{\d+\.\.\d+\}")
_NOT_DATA = (WRITING, "_temporary", "_delta_log")  # folders that pvzoo, Spark and Delta write
_HUB = re.compile(r"[\w.-]+/[\w.-]+")


def source_of(text: str, column: str | None, out: Place) -> Source:
    """The inputs that a text names; only what is needed to know their kind is listed.

    Args:
        text: A folder, a pattern, a list file, a Parquet file, a tar file, the address of one of
            these, or the name of a dataset on the Hub.
        column: The column of a table that has the paths or images.
        out: The output folder of the job; what is in it is not a source. If a job there has begun
            with the same dataset of the Hub, it goes on with the same commit.

    Raises:
        PvzooError: There is nothing, or it has no images, or it has videos.
    """
    if not text.strip():
        raise UsageError("The name of the source is empty.", "Pass '.' for the current folder.")
    place = Place.of(text)
    kind = place.kind()
    if not kind and place.local and _HUB.fullmatch(text) and not text.startswith("."):
        place, kind = _on_hub(text, out), "folder"
    if out.local:
        out = out.at(os.path.realpath(out.path))
    if kind == "folder":
        return _of_files(str(place), place, _walk(place, out), column)
    if kind == "file":
        return _of_one_file(place, column)
    if _MAGIC.search(text if place.local else place.path):  # an address may have ?settings
        return _of_files(str(place), _fixed_part(place), _matches(place, out), column)
    where = f" (the current folder is {os.getcwd()})" if place.local else ""
    raise PvzooError(f"There is nothing at {place}.", f"Check the path{where}.")


def _of_one_file(place: Place, column: str | None) -> Source:
    kind = suffix(place.name)
    if kind in LISTS:
        return Source(str(place), "listed", place.parent, _lines(place))
    if kind in (".tar", ".parquet"):
        return _of_files(str(place), place.parent, iter([place.path]), column)
    if kind in VIDEOS:
        raise _video(place)
    if kind in SUFFIXES:
        raise UsageError(f"{place} is one image.", "Use pvzoo predict, or pass a folder.")
    raise UsageError(
        f"{place} is not a source of images.",
        "Pass a folder, a pattern, a list (.txt), a table (.parquet) or a WebDataset (.tar).",
    )


def _of_files(text: str, base: Place, paths: Iterator[str], column: str | None) -> Source:
    """The source whose kind is that of its first file."""
    first = next(paths, None)
    if first is None:
        raise PvzooError(
            f"{text} has no images, tar files or Parquet files.",
            f"Images have the suffixes {', '.join(sorted(SUFFIXES))}.",
        )
    kind = suffix(first)
    every = _of_one_kind(text, kind, chain([first], paths))
    if kind == ".parquet":
        return table(text, base, every, column)
    if column is not None:
        raise UsageError(f"{text} is not a table, so it has no column {column!r}.", "Leave it out.")
    if kind == ".tar":
        return Source(text, "tars", base, (Entry(path, count=None) for path in every))
    return Source(text, "files", base, map(Entry, every))


def _of_one_kind(text: str, kind: str, paths: Iterator[str]) -> Iterator[str]:
    """The paths, all of images, all of tar files or all of tables."""
    packed = (".tar", ".parquet")
    for path in paths:
        other = suffix(path)
        if other != kind and (other in packed or kind in packed):
            raise PvzooError(
                f"{text} has files of two kinds: {kind} and {other}.",
                f"Name one kind with a pattern, such as '{text}/**/*{kind}'.",
            )
        yield path


def _video(place: Place) -> PvzooError:
    return PvzooError(
        f"{place} is a video, and bulk jobs take only images: the frames of a video must be seen "
        "in order, by one worker.",
        "Use model.stream for a video, or cut it into images first.",
    )


# --- folders and patterns -------------------------------------------------------------------------


def _walk(folder: Place, out: Place) -> Iterator[str]:
    """Files with a known suffix, in the order of names, without hidden ones; folder by folder."""
    known = SUFFIXES | {".tar", ".parquet"}
    videos: list[str] = []
    found = False
    for path in _all_files(folder, out):
        if suffix(path) in known:
            found = True
            yield path
        elif suffix(path) in VIDEOS and len(videos) < 1:
            videos.append(path)
    if videos and not found:
        raise _video(folder.at(videos[0]))


def _all_files(folder: Place, out: Place) -> Iterator[str]:
    for name, is_folder in folder.entries():
        if name.startswith("."):
            continue
        if is_folder:
            if name not in _NOT_DATA and not _is_same(folder / name, out):
                yield from _all_files(folder / name, out)
        elif not name.startswith("_") or suffix(name) in SUFFIXES:
            # "_" marks files that are not data, such as _metadata.parquet; cameras write _DSC1.JPG
            yield (folder / name).path


def _is_same(folder: Place, out: Place) -> bool:
    if folder.name != out.name:
        return False
    if folder.local and out.local:
        return os.path.realpath(folder.path) == out.path
    return str(folder) == str(out)


def _fixed_part(pattern: Place) -> Place:
    """The folder that all matches of a pattern are in."""
    found = _MAGIC.search(pattern.path)
    assert found is not None
    return pattern.at(pattern.path[: found.start()].rpartition("/")[0] or "/")


def _matches(pattern: Place, out: Place) -> Iterator[str]:
    matches = re.compile(_regular(pattern.path), re.DOTALL).fullmatch
    videos = None
    found = False
    for path in _all_files(_fixed_part(pattern), out):
        if not matches(path):
            continue
        if suffix(path) in VIDEOS:
            videos = videos or path
            continue
        found = True
        yield path
    if videos and not found:
        raise _video(pattern.at(videos))


def _regular(pattern: str) -> str:
    """A regular expression for a pattern with ``*``, ``**``, ``?``, ``[abc]`` and ``{00..31}``."""
    found = _BRACES.search(pattern)
    if found:
        first, last = found.groups()
        numbers = range(int(first), int(last) + 1)
        width = len(first) if first.startswith("0") else 0
        either = "|".join(f"{number:0{width}d}" for number in numbers)
        before, after = pattern[: found.start()], pattern[found.end() :]
        return f"{_regular(before)}(?:{either}){_regular(after)}"
    result = ""
    for part in re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]/]+\])", pattern):
        if part.startswith("["):
            result += re.sub(r"^\(\?s:|\)\\Z$", "", fnmatch.translate(part))
        else:
            fixed = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
            result += fixed.get(part) or re.escape(part)
    return result


# --- lists and datasets ---------------------------------------------------------------------------


def _lines(place: Place) -> Iterator[Entry]:
    """The lines of a list file: paths, relative to its folder, or addresses."""
    rest = b""
    any_line = False
    with place.open_stream() as file:
        while chunk := file.read(2**20):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in filter(None, map(_line, lines)):
                any_line = True
                yield Entry(line)
        if line := _line(rest):
            any_line = True
            yield Entry(line)
    if not any_line:
        raise PvzooError(f"{place} lists no images.", "Write one path or address in each line.")


def _line(line: bytes) -> str:
    return os.fsdecode(line.removesuffix(b"\r")).strip(" \t")


def _on_hub(name: str, out: Place) -> Place:
    """A dataset of the Hub at the commit it has now, so that it cannot change during the job.

    A job that goes on has the commit with which it began.
    """
    before = identity.source_before(out) or ""
    if re.fullmatch(rf"hf://datasets/{re.escape(name)}@[0-9a-f]+", before):
        return Place.of(before)
    from huggingface_hub import HfApi

    from pvzoo.hub.errors import explained

    with explained(name, None):
        commit = HfApi().dataset_info(name).sha
    return Place.of(f"hf://datasets/{name}@{commit}")
