"""Use OpenVINO and NNCF without their telemetry."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_PACKAGE = "openvino_telemetry"


@contextmanager
def no_telemetry() -> Iterator[None]:
    """Keep OpenVINO and NNCF from reporting how they are used, within a ``with``.

    Both report to Google Analytics without asking; OpenVINO does so as soon as it is imported.
    They do not report if the package ``openvino_telemetry`` is not installed, so this hides the
    package. Modules that the program imported earlier are not changed.
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
