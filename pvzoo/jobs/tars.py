"""Tar files as sources: the images of a WebDataset.

Tar files come from strangers. They are read from their beginning to their end and never unpacked.
A link, a device, a pickle, or a name that leads out of the archive is refused: its row has an
error. Labels and other texts beside the images are left out.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator

from pvzoo.errors import ImageError, error_message
from pvzoo.inputs import limits
from pvzoo.inputs.names import readable
from pvzoo.inputs.sources import SUFFIXES
from pvzoo.jobs.entries import suffix
from pvzoo.jobs.storage import Place, StorageError

PICKLES = frozenset({".pkl", ".pickle", ".pyd", ".pth", ".pt"})


def images(place: Place) -> Iterator[tuple[str, bytes | ImageError]]:
    """(name, bytes) of the images in a tar file, or an error instead of the bytes."""
    count = 0
    try:
        with place.open_stream() as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                found = _member(archive, member)
                if found is not None:
                    count += 1
                    yield f"tar://{readable(member.name)}::{place}", found
                archive.members = []  # type: ignore[attr-defined] # it would keep all of them
            _check_end(archive)
    except FileNotFoundError:
        yield str(place), ImageError(f"{place} does not exist.", "Check the path.")
    except StorageError:
        raise
    except (tarfile.TarError, ValueError, EOFError, OverflowError, RecursionError) as error:
        # RecursionError: hundreds of headers with long names, one after the other
        after = f" after {count} images" if count else ""
        yield (
            str(place),
            ImageError(
                f"{place} is damaged{after} ({error_message(error)}).",
                "Copy it again. Only plain tar files are read, not compressed ones.",
            ),
        )


def _check_end(archive: tarfile.TarFile) -> None:
    """Refuse an archive with more after its end: `tarfile` takes a damaged header for the end."""
    while chunk := archive.fileobj.read(2**20):
        if chunk.strip(b"\0"):
            raise tarfile.ReadError("there is data after its end, or a header is damaged")


def _member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes | ImageError | None:
    """The content of an image, an error for what is refused, None for what is left out."""
    name = readable(member.name)
    kind = suffix(name)
    hidden = name.rpartition("/")[2].startswith(".")
    if member.isdir() or (hidden and member.isreg()):
        return None
    if not member.isreg():
        return _refused(name, "is a link or a device, which are not followed.")
    if kind in PICKLES:
        return _refused(name, "is a pickle, which can run code and is not opened.")
    if kind not in SUFFIXES:
        return None
    if name.startswith("/") or ".." in name.replace("\\", "/").split("/"):
        return _refused(name, "leads out of the archive.")
    if member.size > limits.MAX_BYTES:
        what, hint = limits.too_many_bytes(f"{member.size:,} bytes", limits.MAX_BYTES)
        return ImageError(f"{name} {what}", hint)
    file = archive.extractfile(member)
    data = file.read() if file else b""
    if len(data) < member.size:
        raise tarfile.ReadError(f"{name} is cut off")
    return data


def _refused(name: str, what: str) -> ImageError:
    return ImageError(f"{name} {what}", "Do not trust this archive; make a new one.")
