"""Read a request: its images and options, within the limits.

An image comes as the body itself, as files of a form, or as base64 in JSON. A text is never taken
for the path of a file.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any

from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from pvzoo.errors import short
from pvzoo.serve.errors import RefusedError
from pvzoo.serve.limits import Limits
from pvzoo.tasks.base import Task
from pvzoo.tasks.options import kinds, of_predict
from pvzoo.web.client_images import ClientImage, checked, fetch, too_large

_FORMATS = ("json", "image")
_MOST_OPTIONS = 2**16

Source = tuple[str, bytes | str]
"""The name of an image, and its bytes or its web address."""


@dataclass(frozen=True)
class Asked:
    """What a client asks for.

    Attributes:
        sources: Of each image its name, and its bytes or its web address; at least one.
        several: Whether the answer is a list, also for one image.
        options: Options of `predict`.
    """

    sources: Sequence[Source]
    several: bool
    options: Mapping[str, Any]

    @property
    def has_addresses(self) -> bool:
        """Whether an image is named by its web address."""
        return any(isinstance(source, str) for _, source in self.sources)


class _Form(MultiPartParser):
    """Keeps files in memory: the file system of a container may be read-only."""

    spool_max_size = 2**62


def read(
    headers: Mapping[str, str], query: Sequence[tuple[str, str]], body: bytes, limits: Limits
) -> Asked:
    """Read a request, without its images.

    Args:
        headers: Of the request, with names in lower case.
        query: The parameters of the address; all but "format" are options.
        body: Of the request.
        limits: How much it may contain.

    Raises:
        RefusedError: It is not in one of the forms (400, 415), or has too many images (413).
    """
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if headers.get("content-encoding", "identity") != "identity":
        raise RefusedError(415, "Compressed requests are not read.", "Send it as it is.")
    options: dict[str, Any] = {}
    if kind == "application/json":
        sources, several, options = _of_json(body)
    elif kind == "multipart/form-data":
        sources, several, options = _of_form(headers, body, limits)
    elif kind.startswith("text/"):
        raise RefusedError(
            415, f"The body is of the type {short(kind)}, not an image.", "Send an image."
        )
    else:
        if not body:
            raise RefusedError(400, "The body is empty.", "Send the bytes of an image.")
        sources, several = [("image", body)], False
    if len(sources) > limits.max_images:
        raise RefusedError(
            413,
            f"The request has {len(sources)} images, more than {limits.max_images}.",
            "Send several requests.",
        )
    return Asked(sources, several, {**_of_query(query), **options})


def images_of(asked: Asked, limits: Limits) -> list[ClientImage]:
    """The images of a request. Those that it names by their web addresses are downloaded.

    Raises:
        RefusedError: The server takes no web addresses (403), the images are too large together
            (413), or their downloads take too long together (422).
        ImageError: An image is too large, or cannot be downloaded.
    """
    images: list[ClientImage] = []
    size = 0
    end = time.monotonic() + limits.url_seconds
    for name, source in asked.sources:
        images.append(_image(name, source, limits, end))
        size += len(images[-1].handle.data)
        if size > limits.max_request:  # downloads
            raise RefusedError(
                413,
                f"The images have more than {limits.max_request:,} bytes together.",
                "Send several requests.",
            )
    return images


def format_of(query: Mapping[str, str]) -> str:
    """The format of the answer that the address asks for: "json" or "image".

    Raises:
        RefusedError: It is another one (400).
    """
    format = query.get("format", "json")
    if format not in _FORMATS:
        raise RefusedError(400, f"There is no format {short(format)}.", "It is json or image.")
    return format


def options_of(
    task: Task, given: Mapping[str, Any], labels: Sequence[str], limits: Limits
) -> dict[str, Any]:
    """The options of a request as arguments of `predict`; texts of the address are converted.

    Raises:
        UsageError: The task does not have an option, or a value is not allowed.
        RefusedError: The options are too long, or there are too many prompts (413).
    """
    if len(repr(given)) > _MOST_OPTIONS:  # names would be compared with all known ones
        raise RefusedError(
            413,
            f"The options have more than {_MOST_OPTIONS:,} characters.",
            "Send fewer or shorter.",
        )
    options = {
        name: _converted(value, _types(type(task), name)) if isinstance(value, _Text) else value
        for name, value in given.items()
    }
    tiles = {"tiles": options.pop("tiles")} if "tiles" in options else {}
    prompts, _ = task.options(options, labels)
    count = sum(map(_leaves, prompts.values()))
    if count > limits.max_prompts:
        raise RefusedError(
            413,
            f"The prompts have {count} values, more than {limits.max_prompts}.",
            "Send several requests.",
        )
    return {**options, **tiles}


# --- the three forms ------------------------------------------------------------------------------


def _of_json(body: bytes) -> tuple[list[Source], bool, dict[str, Any]]:
    found = plain_json(body, "The body")
    example = 'Send {"image": "<base64>", "options": {}} or {"images": ["<base64>", ...]}.'
    if not isinstance(found, dict) or ("image" in found) == ("images" in found):
        raise RefusedError(400, 'The JSON has neither "image" nor "images", or both.', example)
    if unknown := set(found) - {"image", "images", "options"}:
        raise RefusedError(400, f"The JSON has an unknown key {short(min(unknown))}.", example)
    options = found.get("options", {})
    if not isinstance(options, dict):
        raise RefusedError(400, "The options are not a JSON object.", example)
    several = "images" in found
    values = found["images"] if several else [found["image"]]
    if not isinstance(values, list) or not values:
        raise RefusedError(400, '"images" is not a list with an image in it.', example)
    names = [f"images[{index}]" if several else "image" for index in range(len(values))]
    return list(map(_of_value, names, values)), several, options


def _of_value(name: str, value: Any) -> Source:
    if isinstance(value, dict) and set(value) == {"url"} and isinstance(value["url"], str):
        return name, value["url"]
    if not isinstance(value, str):
        raise RefusedError(400, f"{name} is not a text.", 'Send base64, or {"url": "https://..."}.')
    if value[:5].lower() == "data:":
        value = value.partition(",")[2]
    try:
        return name, base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise RefusedError(
            400,
            f"{name} is not base64.",
            'Send the bytes of the image in base64, or {"url": "https://..."}.',
        ) from None


def _of_form(
    headers: Mapping[str, str], body: bytes, limits: Limits
) -> tuple[list[Source], bool, dict[str, Any]]:
    async def stream() -> AsyncIterator[bytes]:
        yield body

    try:
        _, parameters = parse_options_header(headers["content-type"])
        charset = parameters.get(b"charset", b"utf-8").decode("latin-1")
        if charset.lower() not in ("utf-8", "utf8"):  # some of Python's are slow or unsafe
            raise RefusedError(415, f"The charset of the form is {short(charset)}.", "Send UTF-8.")
        parser = _Form(
            Headers(headers),
            stream(),  # type: ignore[arg-type]
            max_files=limits.max_images + 1,
            max_fields=10,
        )
        form = asyncio.run(parser.parse())
    except MultiPartException as error:
        raise RefusedError(400, f"The form cannot be read: {error.message}") from None
    except (KeyError, ValueError, RuntimeError):
        raise RefusedError(400, "The form cannot be read.", "Send multipart/form-data.") from None
    sources: list[Source] = []
    options: dict[str, Any] = {}
    several = False
    for field, value in form.multi_items():
        if field == "options" and isinstance(value, str):
            options = plain_json(value.encode(), "The field options")
            if not isinstance(options, dict):
                raise RefusedError(400, "The field options is not a JSON object.")
        elif field in ("image", "images") and isinstance(value, UploadFile):
            several = several or field == "images"
            name = PurePosixPath((value.filename or "").replace("\\", "/")).name[-80:]
            sources.append((name or "image", value.file.read()))
        else:
            raise RefusedError(
                400,
                f"The form has an unknown field {short(field)}, or one that is not a file.",
                "Send files as image or images, and options as JSON.",
            )
    if not sources:
        raise RefusedError(400, "The form has no image.", "Send files as image or images.")
    return sources, several or len(sources) > 1, options


def plain_json(data: bytes, what: str) -> Any:
    """JSON without NaN and infinities; `what` is its name in messages.

    Raises:
        RefusedError: It is not JSON (400).
    """

    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is not a number")

    try:
        return json.loads(data, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        reason = short(" ".join(str(error).split()), 100)[1:-1]
        raise RefusedError(400, f"{what} is not JSON: {reason}.", "Correct it.") from None


# --- images and options ---------------------------------------------------------------------------


def _image(name: str, source: bytes | str, limits: Limits, end: float) -> ClientImage:
    if isinstance(source, str):
        if not limits.allow_urls:
            raise RefusedError(
                403, f"{name} is a web address, and this server takes none.", "Send the image."
            )
        left = round(end - time.monotonic(), 1)
        if left <= 0:
            raise RefusedError(
                422,
                f"The images did not arrive within {limits.url_seconds:g} seconds together.",
                "Name fewer addresses, or send the images.",
            )
        return fetch(source, replace(limits, url_seconds=left))
    if len(source) > limits.max_bytes:
        raise too_large(name, len(source), limits)
    return checked(source, name, limits)


class _Text(str):
    """The value of an option in an address, which may stand for a number or a list."""

    parts: list[str]


def _of_query(query: Sequence[tuple[str, str]]) -> dict[str, _Text]:
    found: dict[str, _Text] = {}
    for name, value in query:
        if name == "format":
            continue
        if name not in found:
            found[name] = _Text(value)
            found[name].parts = []
        found[name].parts.append(value)
    return found


@lru_cache
def _types(task: type[Task], name: str) -> frozenset[Any]:
    """The types that an option may have; none if there is no such option."""
    found = (kinds(option.type) for option in of_predict(task) if option.name == name)
    return frozenset(next(found, set()))


def _converted(text: _Text, types: frozenset[Any]) -> Any:
    """The value of an option: JSON, a list of texts with commas, or one text."""
    if len(text.parts) > 1:
        return [_plain(part) for part in text.parts]
    value = _plain(text)
    if Sequence in types and not isinstance(value, list) and value is not None:
        if isinstance(value, str):
            texts = [part.strip() for part in value.split(",") if part.strip()]
            return texts if str not in types or len(texts) > 1 else value
        return [value]
    return value


def _plain(text: str) -> Any:
    try:
        return plain_json(text.encode("utf-8", "replace"), "")
    except RefusedError:
        return str(text)


def _leaves(value: Any) -> int:
    if isinstance(value, Mapping):
        return sum(map(_leaves, value.values()))
    if isinstance(value, list | tuple):
        return sum(map(_leaves, value))
    return 1
