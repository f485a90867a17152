"""Memory that a network frees is kept for its next forward pass, where the C library gives it back.

A forward pass frees many megabytes of activations, and the next one needs them again. glibc gives
what is freed at the end of its heap back to the system; then each page is asked for and cleared
anew. That took EfficientNet-Lite0, eight images at a time, as long as half of its computing.
"""

from __future__ import annotations

import ctypes
import os
import platform
from functools import cache

KEPT = 2**29
"""Most bytes at the end of the heap that are kept."""

_LARGEST = (2**28, 2**25)
"""Bytes: larger blocks are the system's own, each by itself. glibc before 2.36 takes the second."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of malloc.h
_VARIABLES = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


@cache
def keep_freed_memory() -> bool:
    """Keep up to `KEPT` bytes in this process, and say whether that was done.

    Not where the C library is not glibc, which alone needs it, or where the user has set one of
    glibc's variables for it.
    """
    if platform.libc_ver()[0] != "glibc" or any(name in os.environ for name in _VARIABLES):
        return False
    mallopt = ctypes.CDLL(None).mallopt
    larger = any(mallopt(_M_MMAP_THRESHOLD, size) for size in _LARGEST)
    return larger and bool(mallopt(_M_TRIM_THRESHOLD, KEPT))
