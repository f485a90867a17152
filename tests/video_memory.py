"""Streams a video with tracking; prints the memory in megabytes after some frames and at the end.

Arguments: the video, and the number of frames after which to look first.
"""

from __future__ import annotations

import sys
from pathlib import Path

import videos


def megabytes() -> float:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return next(int(x.split()[1]) / 1024 for x in status.splitlines() if x.startswith("VmRSS"))


def main(path: str, first: int) -> None:
    count = 0
    for result in videos.model().stream(path, track=True):
        count += 1
        assert result.frame == count - 1
        if count == first:
            print(megabytes())
    print(megabytes())
    print(count)


main(sys.argv[1], int(sys.argv[2]))
