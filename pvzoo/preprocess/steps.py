"""Preprocessing as data: a list of steps that can be written to JSON and read back.

There is a fixed set of steps. A step describes an operation, and `pvzoo.preprocess.run` runs it.
Images begin as bytes, (height, width, channels) uint8, and become float32 planes with the first
`Rescale` or `Normalize`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from pvzoo.errors import UsageError, short
from pvzoo.preprocess.sizes import Rounding, Rule

_MOST_SIDE = 16_384
"""The longest side of the images that steps make, in pixels."""
_MOST_NUMBERS = 1_000_000

Filter = Literal["nearest", "bilinear", "bicubic", "lanczos"]


@dataclass(frozen=True)
class Step:
    """An operation on an image."""


@dataclass(frozen=True)
class Resize(Step):
    """Scale the image.

    Attributes:
        rule: How to compute the new size; see `pvzoo.preprocess.sizes`.
        size: The numbers for the rule, in pixels: (height, width) for "exact", "within" and
            "closest", (side,) for "shorter", "shorter-rounded" and "longest", (side, longest) for
            "bounded".
        filter: The name of the filter in Pillow.
        multiple: Both sides are rounded to a multiple of this, by `rounding`.
        arithmetic: Which library's results to reproduce: Pillow's, torchvision's for uint8, or
            torch's for float32.
        antialias: Whether the filter becomes wider when the image shrinks; Pillow's always does.
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
    """Cut (height, width) out of the middle; a smaller image is padded with zeros.

    Attributes:
        rounding: How to round half a pixel: "down", or "even" as Python's `round`.
    """

    size: tuple[int, int]
    rounding: Literal["down", "even"] = "down"


@dataclass(frozen=True)
class Pad(Step):
    """Pad with zeros to (height, width), or to a multiple of a number of pixels.

    Attributes:
        place: Whether the image stays in the upper left corner or is moved to the middle.
        mask: The name of an input that is 1 where the image is and 0 elsewhere, or None.
    """

    size: tuple[int, int] | None = None
    multiple: int = 1
    place: Literal["corner", "middle"] = "corner"
    mask: str | None = None


@dataclass(frozen=True)
class Channels(Step):
    """Reorder the channels: (2, 1, 0) for BGR."""

    order: tuple[int, ...]


@dataclass(frozen=True)
class Rescale(Step):
    """Multiply or divide by `factor`, then add `offset`; all in float32."""

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
    """Cut the image into evenly overlapping squares along its longer side (EoMT)."""

    size: int


@dataclass(frozen=True)
class Constant(Step):
    """Another input of the network, which is the same for every image.

    Attributes:
        name: The name of the input.
        value: Its numbers, as nested lists without the batch axis.
        dtype: Its numpy dtype.
    """

    name: str
    value: Any
    dtype: str = "int64"


_KINDS: dict[str, type[Step]] = {
    kind.__name__: kind
    for kind in (Resize, CenterCrop, Pad, Channels, Rescale, Normalize, Windows, Constant)
}


def to_json(steps: Sequence[Step]) -> list[dict[str, Any]]:
    """Steps as values for JSON: for each step its name and its attributes."""
    return [{"step": type(step).__name__, **asdict(step)} for step in steps]


def from_json(found: Sequence[Mapping[str, Any]]) -> tuple[Step, ...]:
    """The steps that `to_json` wrote.

    Raises:
        UsageError: The values are not steps, or come from a later version.
    """
    steps = []
    for one in found:
        kind = _KINDS.get(str(one.get("step")))
        names = {field.name for field in fields(kind)} if kind else set()
        given = {key: value for key, value in one.items() if key != "step"}
        if kind is None or set(given) - names:
            raise UsageError(
                f"{one!r} is not a preprocessing step that this version of pvzoo knows.",
                f"Known: {', '.join(_KINDS)}. A newer version of pvzoo may know it.",
            )
        plain = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
        if kind is Constant:
            plain = dict(given)
        kinds = get_type_hints(kind)
        wrong = next((k for k, v in plain.items() if not _is_of(v, kinds[k])), None)
        if wrong is not None:
            raise UsageError(
                f"{wrong} of the step {kind.__name__} is {short(plain[wrong])}.",
                "Export the model again.",
            )
        try:
            steps.append(kind(**plain))
        except TypeError as error:
            raise UsageError(
                f"{one!r} is not a complete step ({error}).", "Export the model again."
            ) from error
    return tuple(steps)


def _is_of(value: Any, kind: Any) -> bool:
    """Whether a value from a file has the type of the step's attribute and is within its bounds."""
    if kind is Any:  # a constant input: nested lists of numbers
        return _numbers(value) <= _MOST_NUMBERS
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return value in inner
    if origin is tuple:
        kinds = inner[:1] * len(value) if inner[-1] is Ellipsis else inner
        return (
            isinstance(value, tuple)
            and 0 < len(value) <= 8
            and len(kinds) == len(value)
            and all(_is_of(v, k) for v, k in zip(value, kinds, strict=True))
        )
    if inner:  # a union of types
        return any(_is_of(value, k) for k in inner)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_SIDE
    if kind is float:
        return isinstance(value, int | float) and abs(value) < 1e9
    if kind is str:
        return isinstance(value, str) and len(value) <= 100
    return isinstance(value, kind)


def _numbers(value: Any, depth: int = 0) -> int:
    """The count of numbers in nested lists; over the limit if they hold anything else."""
    if isinstance(value, list) and depth < 6:
        return sum(_numbers(inner, depth + 1) for inner in value)
    return 1 if isinstance(value, int | float) else _MOST_NUMBERS + 1
