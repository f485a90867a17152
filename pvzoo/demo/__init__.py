"""A Gradio app for any model of any task: upload an image, look, move the threshold.

    >>> import pvzoo
    >>> pvzoo.load("detr-resnet50").demo()

`build` makes the app. `launch` serves it, with limits that make it safe to expose. `serve` does
both, for a process that does nothing else. The task decides what a demo asks and shows: its options
become the controls, and its results become the table, the image and the downloads. So the tasks of
plugins have a demo too.

It needs the extra ``demo``: ``pip install "pvzoo[demo]"``.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pvzoo.extras import needs

if TYPE_CHECKING:
    from pvzoo.demo.app import build, launch, serve
    from pvzoo.demo.limits import Limits
    from pvzoo.demo.space import push_space, write_space

EXAMPLES = Path(__file__).with_name("examples")
"""Folder of example images; its README says where they are from."""

__all__ = ["EXAMPLES", "Limits", "build", "launch", "push_space", "serve", "write_space"]

_HOMES = {
    "Limits": "pvzoo.demo.limits",
    "build": "pvzoo.demo.app",
    "launch": "pvzoo.demo.app",
    "push_space": "pvzoo.demo.space",
    "serve": "pvzoo.demo.app",
    "write_space": "pvzoo.demo.space",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'pvzoo.demo' has no attribute {name!r}")
    needs("A demo", "gradio")
    return getattr(importlib.import_module(_HOMES[name]), name)
