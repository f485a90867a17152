"""Memory does not grow with the length of a video."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import videos
from videos import Square


def measured(folder: Path, count: int, first: int) -> tuple[float, float]:
    """Megabytes after `first` frames and after all `count`; squares come and go all the time."""

    def frames():
        for number in range(count):
            squares = [
                Square(colour, ((number * (1 + colour)) % 220 - 40, 12 + 14 * colour), (0, 0))
                for colour in range(6)
            ]
            frame = videos.numbered(number)
            for square in squares:
                left, top, right, bottom = map(int, square.box(0))
                frame[top:bottom, max(0, left) : max(0, right)] = videos.COLOURS[square.colour]
            yield frame

    path = videos.write(folder / "long.mp4", frames())
    script = Path(__file__).with_name("video_memory.py")
    done = subprocess.run(
        [sys.executable, str(script), str(path), str(first)],
        capture_output=True,
        text=True,
        check=True,
    )
    early, late, seen = map(float, done.stdout.split())
    assert seen == count
    return early, late


def test_memory_is_flat_over_the_frames_of_a_video(tmp_path):
    early, late = measured(tmp_path, 700, 200)
    assert late < 1.05 * early


@pytest.mark.slow
def test_memory_is_flat_over_ten_thousand_frames(tmp_path):
    early, late = measured(tmp_path, 10_000, 1_000)
    assert late < 1.05 * early
