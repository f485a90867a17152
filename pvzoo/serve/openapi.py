"""The description of the routes: OpenAPI for programs, and a page for people.

The page is one file without anything from elsewhere: servers inside a company often have no way to
the internet, which the usual pages for OpenAPI need.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import pvzoo
from pvzoo.serve.limits import Limits
from pvzoo.serve.models import Offer
from pvzoo.tasks.options import Option, kinds, of_predict
from pvzoo.tiles.choose import have_tiles

_TYPES = {float: "number", int: "integer", bool: "boolean", str: "string"}
_ERRORS = {
    400: "The request is not in one of the forms.",
    401: "The token is missing or wrong.",
    403: "The request names a web address, and this server takes none.",
    404: "There is no such model.",
    413: "The request, an image or the prompts are too large.",
    415: "The body is not of a type that can be an image.",
    422: "An image cannot be read, or an option is wrong.",
    500: "The server failed; its log tells why.",
    503: "The server is busy; the header Retry-After has the seconds to wait.",
    504: "There was no answer in time.",
}


def describe(offers: Iterable[Offer], limits: Limits, *, token: bool) -> dict[str, Any]:
    """The routes as OpenAPI 3.1.

    Args:
        offers: The models.
        limits: What requests may contain.
        token: Whether they need a token.
    """
    paths: dict[str, Any] = {
        "/v1/models": {"get": _get("The models", "Their tasks, classes and certificates.")},
        "/health/live": {"get": _get("Whether the process runs", "")},
        "/health/ready": {"get": _get("Whether the server takes requests", "503 if not.")},
        "/metrics": {"get": _get("Figures for Prometheus", "", kind="text/plain")},
    }
    for offer in offers:
        paths[f"/v1/models/{offer.name}"] = {"get": _get(f"About {offer.name}", "")}
        paths[f"/v1/models/{offer.name}/predict"] = {"post": _predict(offer, limits)}
    found: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "pvzoo", "version": pvzoo.__version__},
        "paths": paths,
    }
    if token:
        found["components"] = {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}}
        found["security"] = [{"token": []}]
    return found


def page(description: Mapping[str, Any]) -> str:
    """A description as a page of HTML."""
    parts = [
        f"<h2><code>{method.upper()} {escape(path)}</code></h2><p>{escape(about['summary'])}. "
        f"{escape(about.get('description', ''))}</p>{_table(about.get('parameters', ()))}"
        for path, methods in description["paths"].items()
        for method, about in methods.items()
    ]
    style = (
        "body{font:16px/1.5 system-ui;max-width:60rem;margin:2rem auto;padding:0 1rem}"
        "h2{font-size:1.1rem;margin-top:2rem}td{padding:.2rem 1rem .2rem 0;vertical-align:top}"
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>pvzoo</title>'
        f"<style>{style}</style><h1>pvzoo {escape(description['info']['version'])}</h1>"
        '<p><a href="/openapi.json">OpenAPI</a>, <a href="/v1/models">models</a>, '
        f'<a href="/metrics">metrics</a></p>{"".join(parts)}</html>'
    )


def _table(parameters: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        f"<tr><td><code>{escape(p['name'])}</code></td><td>{escape(p['description'])}</td></tr>"
        for p in parameters
    ]
    return f"<table>{''.join(rows)}</table>" if rows else ""


def _get(summary: str, about: str, *, kind: str = "application/json") -> dict[str, Any]:
    answers = {"200": {"description": "Success.", "content": {kind: {}}}}
    return {"summary": summary, "description": about, "responses": answers}


def _predict(offer: Offer, limits: Limits) -> dict[str, Any]:
    image: dict[str, Any] = {
        "type": "string",
        "contentEncoding": "base64",
        "description": "base64 or data URI",
    }
    if limits.allow_urls:
        url = {"type": "object", "properties": {"url": {"type": "string"}}, "required": ["url"]}
        image = {"anyOf": [image, url]}
    options = _options(offer)
    several = {"type": "array", "items": image, "minItems": 1, "maxItems": limits.max_images}
    own = {"type": "object", "properties": {o.name: _schema(o) for o in options}}
    file = {"type": "string", "contentMediaType": "application/octet-stream"}
    content = {
        "application/octet-stream": {"schema": file},
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {
                    "image": file,
                    "images": {"type": "array", "items": file},
                    "options": {"type": "string", "contentMediaType": "application/json"},
                },
            }
        },
        "application/json": {
            "schema": {
                "type": "object",
                "properties": {"image": image, "images": several, "options": own},
                "additionalProperties": False,
            }
        },
    }
    format = {
        "name": "format",
        "in": "query",
        "description": "json for the result, image for a PNG of it.",
        "schema": {"type": "string", "enum": ["json", "image"], "default": "json"},
    }
    return {
        "summary": f"Predict with {offer.name}: {offer.task.id}",
        "description": (
            "Send the bytes of an image as the body, or files as image or images in a form, or "
            f"base64 in JSON. An image may have {limits.max_bytes:,} bytes and "
            f"{limits.max_pixels:,} pixels."
        ),
        "parameters": [format, *map(_parameter, options)],
        "requestBody": {"required": True, "content": content},
        "responses": {
            "200": {
                "description": 'The result; for several images {"results": [...]}.',
                "content": {"application/json": {}, "image/png": {}},
            },
            **{str(code): _error(about) for code, about in _ERRORS.items()},
        },
    }


def _error(about: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"error": {"type": "string"}}}
    return {"description": about, "content": {"application/json": {"schema": schema}}}


_TILES = Option(
    "tiles",
    int | str | None,
    None,
    'Cut a large image into tiles with sides of this many pixels, or "auto".',
)


def _options(offer: Offer) -> list[Option]:
    found = [o for o in of_predict(type(offer.task)) if o.name not in offer.fixed]
    return [*found, _TILES] if have_tiles(type(offer.task)) else found


def _parameter(option: Option) -> dict[str, Any]:
    return {
        "name": option.name,
        "in": "query",
        "required": option.default is inspect.Parameter.empty,
        "description": option.about or f"An option of the task, {option.name}.",
        "schema": _schema(option),
    }


def _schema(option: Option) -> dict[str, Any]:
    alternatives = kinds(option.type)
    types = [name for kind, name in _TYPES.items() if kind in alternatives]
    if "number" in types and "integer" in types:
        types.remove("integer")
    if any(issubclass(kind, Sequence) for kind in alternatives - {str} if isinstance(kind, type)):
        types.append("array")
    if type(None) in alternatives:
        types.append("null")
    schema: dict[str, Any] = {"type": types} if types else {}
    if option.default is None or isinstance(option.default, bool | int | float | str):
        schema["default"] = option.default
    return schema
