"""Count what crosses a line and what is in a zone, with the zones of the package supervision.

    python demos/count_in_zone.py
    python demos/count_in_zone.py street.mp4 --model rtdetr-r18

Needs the extra `video`. The line is in the middle of the frame, the zone is its left half. Without
arguments, a camera moves over a drawn scene.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import supervision as sv
from video import moving_camera

import pvzoo


def main() -> None:
    """Print the number of objects in the zone when it changes, and all crossings at the end."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("video", nargs="?", help="a file, or an address such as rtsp://")
    parser.add_argument("--model", default="shapes-detector", help="name, repo or folder")
    args = parser.parse_args()
    source = args.video or moving_camera(Path("scene.mp4"))
    line: sv.LineZone | None = None
    in_zone = None
    for result in pvzoo.load(args.model).stream(source, track=True):
        if line is None:
            height, width = result.size
            middle = sv.Point(width // 2, 0), sv.Point(width // 2, height)
            line = sv.LineZone(*middle, triggering_anchors=[sv.Position.CENTER])
            left = [(0, 0), (width // 2, 0), (width // 2, height), (0, height)]
            zone = sv.PolygonZone(np.array(left), triggering_anchors=[sv.Position.CENTER])
        found = result.to_supervision()
        found = found[found.tracker_id >= 0]  # only confirmed tracks
        line.trigger(found)
        count = int(zone.trigger(found).sum())
        if count != in_zone:
            in_zone = count
            print(f"{result.time:6.2f} s: {count} in the left half")
    if line is not None:
        print(f"crossed the middle: {line.in_count + line.out_count}")


if __name__ == "__main__":
    main()
