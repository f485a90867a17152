"""Small videos of known content, written with PyAV, and a model without weights that reads them.

Each frame shows its own number as black and white blocks, and squares of known colours that move.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from pvzoo.adapters.base import Adapter, Spec
from pvzoo.adapters.detection import detections
from pvzoo.model import Model
from pvzoo.results.instances import Instances
from pvzoo.results.masks import Masks
from pvzoo.results.semantic import SemanticMap

BLOCK = 8
BITS = 16
COLOURS = np.array(
    [(230, 30, 30), (30, 200, 30), (40, 60, 230), (220, 200, 30), (200, 40, 200), (30, 200, 200)],
    np.uint8,
)
"""The colours of squares."""


def numbered(number: int, size: tuple[int, int] = (96, 160)) -> np.ndarray:
    """A (height, width, 3) frame that shows its number; `number_of` reads it."""
    frame = np.full((*size, 3), 60, np.uint8)
    for bit in range(BITS):
        value = 235 if number >> bit & 1 else 16
        frame[:BLOCK, bit * BLOCK : (bit + 1) * BLOCK] = value
    return frame


def number_of(image: Image.Image) -> int:
    """The number that a frame shows."""
    pixels = np.asarray(image.convert("L"), float)
    middle = pixels[2 : BLOCK - 2, : BITS * BLOCK].mean(axis=0).reshape(BITS, BLOCK)
    bits = middle[:, 2:-2].mean(axis=1) > 127
    return int((bits * 2 ** np.arange(BITS)).sum())


@dataclass(frozen=True)
class Square:
    """A square that moves in a straight line from frame 0 on."""

    colour: int
    start: tuple[float, float]
    speed: tuple[float, float]
    side: int = 20

    def box(self, frame: int) -> tuple[float, float, float, float]:
        x, y = (s + v * frame for s, v in zip(self.start, self.speed, strict=True))
        return x, y, x + self.side, y + self.side


def scene(number: int, squares: Sequence[Square], size: tuple[int, int] = (96, 160)) -> np.ndarray:
    """A numbered frame with squares, each over those before it."""
    frame = numbered(number, size)
    for square in squares:
        left, top, right, bottom = (round(side) for side in square.box(number))
        frame[max(BLOCK, top) : max(0, bottom), max(0, left) : max(0, right)] = COLOURS[
            square.colour
        ]
    return frame


def write(
    path: Path,
    frames: Iterable[np.ndarray],
    *,
    rate: int = 25,
    times: Sequence[float] | None = None,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    rotation: int = 0,
    sound: float = 0.0,
    sound_codec: str = "aac",
    faststart: bool = False,
    **options: str,
) -> Path:
    """Write a video of (height, width, 3) frames.

    Args:
        path: Its suffix chooses the container.
        frames: All of one size.
        rate: Frames per second.
        times: The time of each frame in seconds, for a variable frame rate.
        codec: As FFmpeg calls it.
        pix_fmt: Likewise.
        rotation: Degrees, for the metadata.
        sound: Seconds of a tone; 0 for no sound.
        sound_codec: As FFmpeg calls it.
        faststart: Whether an MP4 has its index at the beginning, as a truncated one needs.
        options: Of the codec.
    """
    settings = {"movflags": "faststart"} if faststart else {}
    if codec == "libx264":
        options = {"preset": "ultrafast", "crf": "10", **options}
    with av.open(str(path), "w", options=settings) as out:
        stream = out.add_stream(codec, rate=rate, options=options)
        stream.pix_fmt = pix_fmt
        stream.thread_count = 1
        base = Fraction(1, 1000) if times else Fraction(1, rate)
        stream.codec_context.time_base = base
        if rotation:
            stream.set_display_rotation(rotation)
        tone = out.add_stream(sound_codec, rate=48000) if sound else None
        for number, pixels in enumerate(frames):
            if number == 0:
                stream.height, stream.width = pixels.shape[:2]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame.pts = round(times[number] / base) if times else number
            frame.time_base = base
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
        if tone is not None:
            for start in range(0, int(sound * 48000), 1024):
                wave = np.sin(np.arange(start, start + 1024) * 2 * np.pi * 440 / 48000)
                block = av.AudioFrame.from_ndarray(
                    (wave * 8000).astype(np.int16)[None], format="s16", layout="mono"
                )
                block.sample_rate, block.pts = 48000, start
                block.time_base = Fraction(1, 48000)
                out.mux(tone.encode(block))
            out.mux(tone.encode())
    return path


def sample(path: Path, count: int = 30, **options: Any) -> Path:
    """A video of `count` numbered frames."""
    return write(path, (numbered(i) for i in range(count)), **options)


class SquareAdapter(Adapter):
    """Finds the squares by their colours; the score is the share that is visible and sharp.

    All squares are of one class, so a tracker learns nothing from it. Another detection of a low
    score, for an object that is not there, is always added first.
    """

    tasks = ("object-detection", "instance-segmentation", "semantic-segmentation")

    @classmethod
    def matches(cls, config: Any) -> bool:
        return False

    def preprocess(self, image: Image.Image, **prompts: Any) -> Any:
        pixels = np.asarray(image)
        return {"pixels": pixels[None]}, {"size": pixels.shape[:2]}

    def compute(self, inputs: Any) -> Any:
        apart = np.abs(inputs["pixels"][..., None, :].astype(np.int16) - COLOURS).max(axis=-1)
        return {"seen": apart < 50}

    def postprocess(self, outputs: Any, meta: Any, **controls: Any) -> Any:
        seen = np.moveaxis(outputs["seen"][0], -1, 0)
        seen[:, :BLOCK] = False
        if self.task == "semantic-segmentation":
            return SemanticMap.of(seen.any(axis=0).astype(np.int64), self.labels)
        boxes, scores, masks = [(0, 0, 9, 9)], [0.12], [np.zeros(meta["size"], bool)]
        masks[0][:9, :9] = True
        for mask in seen:
            ys, xs = np.nonzero(mask)
            if len(xs) > 20:
                boxes.append((xs.min(), ys.min(), xs.max() + 1, ys.max() + 1))
                scores.append(min(0.95, len(xs) / 400))
                masks.append(mask)
        found = detections(
            np.array(boxes, np.float32),
            np.array(scores, np.float32),
            np.zeros(len(boxes), np.int64),
            self.labels,
            meta["size"],
            **controls,
        )
        if self.task == "object-detection":
            return found
        kept = [int(np.flatnonzero((np.array(boxes) == box).all(axis=1))[0]) for box in found.boxes]
        return Instances(
            size=found.size,
            boxes=found.boxes,
            scores=found.scores,
            labels=found.labels,
            names=found.names,
            masks=Masks.from_array(np.array([masks[i] for i in kept]).reshape(-1, *meta["size"])),
        )


def model(task: str = "object-detection") -> Model:
    """The model that finds squares."""
    labels = ("nothing", "square") if task == "semantic-segmentation" else ("square",)
    return Model("squares", SquareAdapter(Spec("squares", task, labels)))
