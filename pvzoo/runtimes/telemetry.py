"""OpenVINO and NNCF without their reports to their makers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_PACKAGE = "openvino_telemetry"


@contextmanager
def no_telemetry() -> Iterator[None]:
    """Keep OpenVINO and NNCF from reporting what they are used for.

    Both send it to Google Analytics without asking, OpenVINO as soon as it is imported. They leave
    it where the package ``openvino_telemetry`` is not installed, and so it is within this. What the
    program imported before pvzoo did goes on as it was.
    """
    missing = object()
    before: Any = sys.modules.get(_PACKAGE, missing)
    sys.modules[_PACKAGE] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if before is missing:
            sys.modules.pop(_PACKAGE, None)
        else:
            sys.modules[_PACKAGE] = before
