"""Follow the objects of a video: an annotated video with trails, and the tracks as a file.

    python demos/video.py
    python demos/video.py street.mp4 --model rtdetr-r18 --output annotated.mp4

Needs the extra `video`. Without arguments, a camera moves over a drawn scene.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import av
import numpy as np

import pvzoo
from pvzoo.video import AnnotatedVideo


def moving_camera(path: Path, frames: int = 100) -> Path:
    """Write a video of a window that moves over a wide drawn scene; returns its path."""
    from pvzoo_shapes.drawing import draw

    parts = [draw(7, i, size=(160, 160), most=4).image for i in range(4)]
    wide = np.concatenate(parts, axis=1)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"crf": "12"})
        stream.width, stream.height, stream.pix_fmt = 160, 160, "yuv420p"
        for number in range(frames):
            left = round(number * (wide.shape[1] - 160) / (frames - 1))
            window = np.ascontiguousarray(wide[:, left : left + 160])
            out.mux(stream.encode(av.VideoFrame.from_ndarray(window, format="rgb24")))
        out.mux(stream.encode())
    return path


def main() -> None:
    """Write both files, and print how many tracks there are."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("video", nargs="?", help="a file, or an address such as rtsp://")
    parser.add_argument("--model", default="shapes-detector", help="name, repo or folder")
    parser.add_argument("--output", type=Path, default=Path("annotated.mp4"))
    parser.add_argument("--tracks", type=Path, default=Path("tracks.txt"), help="MOTChallenge file")
    args = parser.parse_args()
    source = args.video or moving_camera(Path("scene.mp4"))
    names: dict[int, str] = {}
    with AnnotatedVideo(args.output) as video, args.tracks.open("w") as lines:
        for result in pvzoo.load(args.model).stream(source, track=True):
            video.add(result)
            lines.write(result.to_mot())
            for track, name in zip(result.track_id, result.names, strict=True):
                if track is not None:
                    names.setdefault(track, name)
    print(f"{len(names)} tracks in {args.tracks}, drawn in {args.output}")
    for track, name in names.items():
        print(f"  #{track} {name}")


if __name__ == "__main__":
    main()
