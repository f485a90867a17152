"""Preprocessing as data: a list of steps, a closed set, to JSON and back.

A step says what is done, `pvzoo.preprocess.run` does it. Pictures begin as bytes, (height, width,
channels) uint8, and become float32 planes with the first `Rescale` or `Normalize`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from pvzoo.errors import UsageError
from pvzoo.preprocess.sizes import Rounding, Rule

Filter = Literal["nearest", "bilinear", "bicubic", "lanczos"]


@dataclass(frozen=True)
class Step:
    """Something that is done to a picture."""


@dataclass(frozen=True)
class Resize(Step):
    """Scale the picture.

    Attributes:
        rule: How the new size follows from the picture's; see `pvzoo.preprocess.sizes`.
        size: What the rule needs, in pixels: (height, width) for "exact" and "within", (side,) for
            "shorter" and "shorter-rounded", (side, longest) for "bounded".
        filter: As Pillow names it.
        multiple: What both sides are brought to a multiple of, by `rounding`.
        arithmetic: Whose results are to be had: Pillow's, torchvision's of uint8, or torch's of
            float32.
        antialias: Whether the filter grows where the picture shrinks; Pillow's always does.
    """

    rule: Rule
    size: tuple[int, ...]
    filter: Filter = "bilinear"
    multiple: int = 1
    rounding: Rounding = "down"
    arithmetic: Literal["pillow", "torchvision-uint8", "float"] = "torchvision-uint8"
    antialias: bool = True


@dataclass(frozen=True)
class CenterCrop(Step):
    """Cut (height, width) out of the middle; what is smaller is padded with zeros.

    Attributes:
        rounding: Of half a pixel: "down", or "even" as Python's `round`.
    """

    size: tuple[int, int]
    rounding: Literal["down", "even"] = "down"


@dataclass(frozen=True)
class Pad(Step):
    """Add zeros, to (height, width) or up to a multiple of a number of pixels.

    Attributes:
        place: Whether the picture stays in the upper left corner or comes to the middle.
        mask: The name of an input that is 1 where the picture is and 0 elsewhere, or None.
    """

    size: tuple[int, int] | None = None
    multiple: int = 1
    place: Literal["corner", "middle"] = "corner"
    mask: str | None = None


@dataclass(frozen=True)
class Channels(Step):
    """Put the channels in another order: (2, 1, 0) for BGR."""

    order: tuple[int, ...]


@dataclass(frozen=True)
class Rescale(Step):
    """Multiply by `factor`, or divide by it, then add `offset`; all in float32."""

    factor: float
    divide: bool = False
    offset: float = 0.0


@dataclass(frozen=True)
class Normalize(Step):
    """Subtract `mean` and divide by `std`, one number for each channel, in float32."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class Windows(Step):
    """Cut the picture into squares along its longer side, which overlap evenly (EoMT)."""

    size: int


@dataclass(frozen=True)
class Constant(Step):
    """Another input of the network, the same for every picture.

    Attributes:
        name: Of the input.
        value: Its numbers, as nested lists without the axis of pictures.
        dtype: Of numpy.
    """

    name: str
    value: Any
    dtype: str = "int64"


_KINDS: dict[str, type[Step]] = {
    kind.__name__: kind
    for kind in (Resize, CenterCrop, Pad, Channels, Rescale, Normalize, Windows, Constant)
}


def to_json(steps: Sequence[Step]) -> list[dict[str, Any]]:
    """Steps as JSON: for each its name and its attributes."""
    return [{"step": type(step).__name__, **asdict(step)} for step in steps]


def from_json(found: Sequence[Mapping[str, Any]]) -> tuple[Step, ...]:
    """What `to_json` wrote.

    Raises:
        UsageError: It is something else, or of a later version.
    """
    steps = []
    for one in found:
        kind = _KINDS.get(str(one.get("step")))
        names = {field.name for field in fields(kind)} if kind else set()
        given = {key: value for key, value in one.items() if key != "step"}
        if kind is None or set(given) - names:
            raise UsageError(
                f"{one!r} is no step of preprocessing that this pvzoo knows.",
                f"Known: {', '.join(_KINDS)}. A newer pvzoo may know it.",
            )
        plain = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
        if kind is Constant:
            plain = given
        try:
            steps.append(kind(**plain))
        except TypeError as error:
            raise UsageError(f"{one!r} is no whole step ({error}).", "Export it again.") from error
    return tuple(steps)
