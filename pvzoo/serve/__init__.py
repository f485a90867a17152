"""Answer over HTTP: exported or other models, without PyTorch where they do not need it.

`build` makes an ASGI application, and `serve` runs it. docs/serving.md describes the routes.

It needs the extra ``serve``: ``pip install "pvzoo[serve,onnx]"``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from pvzoo.extras import needs

if TYPE_CHECKING:
    from pvzoo.serve.app import build
    from pvzoo.serve.limits import Limits
    from pvzoo.serve.run import serve

__all__ = ["Limits", "build", "serve"]

_HOMES = {
    "Limits": "pvzoo.serve.limits",
    "build": "pvzoo.serve.app",
    "serve": "pvzoo.serve.run",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'pvzoo.serve' has no attribute {name!r}")
    needs("The server", "starlette", "uvicorn", "prometheus_client", "python_multipart")
    return getattr(importlib.import_module(_HOMES[name]), name)
