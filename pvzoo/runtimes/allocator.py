"""Keep the memory that a network frees for its next forward pass.

A forward pass frees many megabytes of activations, and the next one needs them again. glibc returns
freed memory at the end of its heap to the system. Then the system has to clear each page again. For
batches of eight, this took EfficientNet-Lite0 nearly as much time as computing.
"""

from __future__ import annotations

import ctypes
import os
import platform
from functools import cache

KEPT = 2**29
"""The most bytes that are kept at the end of the heap."""

_LARGEST = (2**28, 2**25)
"""Larger blocks, in bytes, come from the system. Older versions of glibc accept only the second."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of malloc.h
_VARIABLES = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


@cache
def keep_freed_memory() -> bool:
    """Tell glibc to keep up to `KEPT` bytes; returns whether it does.

    Nothing is done if the C library is not glibc, or if the user has set a variable of glibc for
    this.
    """
    if platform.libc_ver()[0] != "glibc" or any(name in os.environ for name in _VARIABLES):
        return False
    mallopt = ctypes.CDLL(None).mallopt
    larger = any(mallopt(_M_MMAP_THRESHOLD, size) for size in _LARGEST)
    return larger and bool(mallopt(_M_TRIM_THRESHOLD, KEPT))
