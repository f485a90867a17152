"""Describe an image processor of transformers, or timm's evaluation transform, as steps.

Only attributes are read, so these libraries are not imported. `pvzoo.preprocess.compare` checks
whether the steps give the same inputs as the processor, to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pvzoo.errors import UnsupportedModelError
from pvzoo.preprocess.sizes import Rounding
from pvzoo.preprocess.steps import (
    CenterCrop,
    Channels,
    Filter,
    Normalize,
    Pad,
    Rescale,
    Resize,
    Step,
    Windows,
)

_FILTERS: dict[int, Filter] = {  # PIL.Image.Resampling
    0: "nearest",
    1: "lanczos",
    2: "bilinear",
    3: "bicubic",
}


def steps_of(processor: Any, **options: Any) -> tuple[Step, ...]:
    """The steps of an image processor of transformers.

    Args:
        processor: An image processor that uses torchvision.
        **options: Options of its call, which replace its attributes.

    Raises:
        UnsupportedModelError: No steps describe the processor; the message names it.
    """
    name = type(processor).__name__
    derive = _PROCESSORS.get(name)
    if derive is None:
        raise undescribed(name, _REFUSED.get(name, "pvzoo does not know it"))
    return tuple(derive(_Settings(processor, options)))


def undescribed(name: str, why: str) -> UnsupportedModelError:
    """The error for a processor that steps cannot describe."""
    return UnsupportedModelError(
        f"The preprocessing of {name} cannot be described in steps: {why}.",
        "The model needs PyTorch and transformers to run, and cannot be exported.",
    )


class _Settings:
    """A processor's attributes; the options of a call replace them."""

    def __init__(self, processor: Any, options: Mapping[str, Any]) -> None:
        self.name = type(processor).__name__
        self._processor = processor
        self._options = options

    def __getattr__(self, name: str) -> Any:
        if name in self._options:
            return self._options[name]
        return getattr(self._processor, name, None)

    @property
    def lengths(self) -> dict[str, int]:
        """The keys of ``size`` that have a value."""
        return _lengths(self.size)

    @property
    def filter(self) -> Filter:
        if self.resample is None:
            return "bilinear"
        found = _FILTERS.get(int(getattr(self.resample, "value", self.resample)))
        if found is None:
            raise undescribed(self.name, f"it scales with the filter {self.resample!r}")
        return found

    def refuse(self, why: str) -> UnsupportedModelError:
        return undescribed(self.name, why)


def _lengths(size: Any) -> dict[str, int]:
    return {k: int(v) for k, v in dict(size or {}).items() if v}


# --- parts of processors --------------------------------------------------------------------------


def _resize(
    s: _Settings,
    *,
    lengths: Mapping[str, int] | None = None,
    multiple: int = 1,
    rounding: Rounding = "up",
    **kind: Any,
) -> list[Step]:
    """`TorchvisionBackend.resize`; the keys of ``size`` choose the rule."""
    if not s.do_resize:
        return []
    lengths = s.lengths if lengths is None else lengths
    for rule, keys in (
        ("bounded", ("shortest_edge", "longest_edge")),
        ("shorter", ("shortest_edge",)),
        ("within", ("max_height", "max_width")),
        ("exact", ("height", "width")),
    ):
        if all(key in lengths for key in keys):
            size = tuple(lengths[key] for key in keys)
            return [Resize(kind.pop("rule", rule), size, s.filter, multiple, rounding, **kind)]
    raise s.refuse(f"its size is {dict(lengths)}")


def _crop(s: _Settings) -> list[Step]:
    if not s.do_center_crop:
        return []
    lengths = _lengths(s.crop_size)
    if not {"height", "width"} <= set(lengths):
        raise s.refuse(f"its crop_size is {lengths}")
    return [CenterCrop((lengths["height"], lengths["width"]))]


def _scale(s: _Settings) -> list[Step]:
    """`rescale_and_normalize`, which combines both in one step."""
    if s.do_normalize:
        mean, std = _triple(s.image_mean), _triple(s.image_std)
        if s.do_rescale:
            by = np.float32(1.0 / s.rescale_factor)
            mean, std = (tuple(float(np.float32(v) * by) for v in values) for values in (mean, std))
        return [Normalize(mean, std)]
    return [Rescale(float(s.rescale_factor))] if s.do_rescale else []


def _triple(values: Any) -> tuple[float, ...]:
    return tuple(values) if isinstance(values, (list, tuple)) else (float(values),) * 3


def _pad(s: _Settings, mask: str | None = None) -> list[Step]:
    """`pad` to ``pad_size``; without ``pad_size``, a single image is not padded."""
    lengths = _lengths(s.pad_size)
    size = (lengths["height"], lengths["width"]) if lengths else None
    return [Pad(size, mask=mask)] if size or mask else []


# --- processors -----------------------------------------------------------------------------------


def _plain(s: _Settings) -> list[Step]:
    """`TorchvisionBackend._preprocess`, and processors that do not change it."""
    return [*_resize(s), *_crop(s), *_scale(s), *(_pad(s) if s.do_pad else [])]


def _no_crop(s: _Settings) -> list[Step]:
    return [*_resize(s), *_scale(s)]


def _convnext(s: _Settings) -> list[Step]:
    side = s.lengths["shortest_edge"]
    if side >= 384 or not s.do_resize:
        resized = _resize(s, lengths={"height": side, "width": side})
    else:
        resized = _resize(s, lengths={"shortest_edge": int(side / s.crop_pct)})
        resized.append(CenterCrop((side, side)))
    return [*resized, *_crop(s), *_scale(s)]


def _poolformer(s: _Settings) -> list[Step]:
    lengths = s.lengths
    if s.crop_pct is not None:
        if "shortest_edge" in lengths:
            lengths = {"shortest_edge": int(lengths["shortest_edge"] / s.crop_pct)}
        elif lengths["height"] == lengths["width"]:
            lengths = {"shortest_edge": int(lengths["height"] / s.crop_pct)}
        else:
            lengths = {key: int(value / s.crop_pct) for key, value in lengths.items()}
    pad = _pad(s) if s.do_pad else []
    return [*_resize(s, lengths=lengths), *_crop(s), *_scale(s), *pad]


def _levit(s: _Settings) -> list[Step]:
    lengths = s.lengths
    if "shortest_edge" in lengths:
        lengths = {"shortest_edge": int((256 / 224) * lengths["shortest_edge"])}
    return [*_resize(s, lengths=lengths), *_crop(s), *_scale(s)]


def _efficientnet(s: _Settings) -> list[Step]:
    scale = _scale(s)
    if s.do_rescale and s.rescale_offset:
        scale = [Rescale(float(s.rescale_factor), offset=-1.0)]
        if s.do_normalize:
            scale.append(Normalize(_triple(s.image_mean), _triple(s.image_std)))
    if s.include_top:
        scale.append(Normalize((0.0, 0.0, 0.0), _triple(s.image_std)))
    return [*_resize(s), *_crop(s), *scale]


def _mobilevit(s: _Settings) -> list[Step]:
    scale = [Rescale(float(s.rescale_factor))] if s.do_rescale else []
    flip = [Channels((2, 1, 0))] if s.do_flip_channel_order else []
    return [*_resize(s), *_crop(s), *scale, *flip]


def _dpt(s: _Settings) -> list[Step]:
    kept: dict[str, Any] = {"rule": "closest"} if s.keep_aspect_ratio else {}
    resized = _resize(s, multiple=s.ensure_multiple_of or 1, rounding="nearest", **kept)
    pad = [Pad(multiple=s.size_divisor, place="middle")] if s.do_pad else []
    return [*resized, *_crop(s), *_scale(s), *pad]


def _textnet(s: _Settings) -> list[Step]:
    lengths = {"shortest_edge": s.lengths["shortest_edge"]}
    return [*_resize(s, lengths=lengths, multiple=s.size_divisor), *_crop(s), *_scale(s)]


def _pplcnet(s: _Settings) -> list[Step]:
    if s.resize_short is None:
        resized = _resize(s)
    else:
        lengths = {"shortest_edge": s.resize_short}
        multiple = s.size_divisor or 1
        resized = _resize(s, lengths=lengths, multiple=multiple, rule="shorter-rounded")
    return [*resized, *_crop(s), *_scale(s), Channels((2, 1, 0))]


def _detr(s: _Settings) -> list[Step]:
    return [*_resize(s), *_scale(s), *(_pad(s, mask="pixel_mask") if s.do_pad else [])]


def _yolos(s: _Settings) -> list[Step]:
    if "shortest_edge" in s.lengths:
        resized = _resize(s, multiple=16, rounding="down", rule="bounded-yolos")
    else:
        resized = _resize(s)
    return [*resized, *_scale(s), *(_pad(s, mask="pixel_mask") if s.do_pad else [])]


def _rf_detr(s: _Settings) -> list[Step]:
    rescale = [Rescale(float(s.rescale_factor))] if s.do_rescale else []
    resize = _resize(s, arithmetic="float", antialias=False)
    if s.filter != "bilinear":
        raise s.refuse(f"it scales floats with the filter {s.filter!r}")
    normalize = []
    if s.do_normalize:
        normalize = [Normalize(_triple(s.image_mean), _triple(s.image_std))]
    return [*rescale, *resize, *normalize, *(_pad(s, mask="pixel_mask") if s.do_pad else [])]


def _layout(s: _Settings) -> list[Step]:
    return [*_resize(s, antialias=False), *_crop(s), *_scale(s), *(_pad(s) if s.do_pad else [])]


def _sapiens(s: _Settings) -> list[Step]:
    if s.do_pad:
        raise s.refuse("it scales images into a frame and pads them on all sides")
    return [*_resize(s), *_crop(s), *_scale(s)]


def _maskformer(s: _Settings) -> list[Step]:
    resized = _resize(s, multiple=s.size_divisor or 1)
    return [*resized, *_scale(s), *_pad(s, mask="pixel_mask")]


def _sam(s: _Settings) -> list[Step]:
    if s.do_resize and set(s.lengths) != {"longest_edge"}:
        raise s.refuse(f"its size is {s.lengths}")
    resized = [Resize("longest", (s.lengths["longest_edge"],), s.filter)] if s.do_resize else []
    return [*resized, *_crop(s), *_scale(s), *(_pad(s) if s.do_pad else [])]


def _eomt(s: _Settings) -> list[Step]:
    lengths = s.lengths
    windows = [Windows(lengths["shortest_edge"])] if s.do_split_image else []
    side = lengths["shortest_edge"]
    pad = [Pad((side, lengths.get("longest_edge", side)))] if s.do_pad else []
    return [*_resize(s), *windows, *pad, *_scale(s)]


_PROCESSORS: dict[str, Callable[[_Settings], list[Step]]] = {
    **dict.fromkeys(
        (
            *("ViTImageProcessor", "BitImageProcessor", "CLIPImageProcessor", "DeiTImageProcessor"),
            *("MobileNetV1ImageProcessor", "MobileNetV2ImageProcessor", "PvtImageProcessor"),
            *("SiglipImageProcessor", "BeitImageProcessor", "Tipsv2DptImageProcessor"),
            "OwlViTImageProcessor",
        ),
        _plain,
    ),
    "SegformerImageProcessor": _no_crop,
    "ConvNextImageProcessor": _convnext,
    "PoolFormerImageProcessor": _poolformer,
    "LevitImageProcessor": _levit,
    "EfficientNetImageProcessor": _efficientnet,
    "MobileViTImageProcessor": _mobilevit,
    "DPTImageProcessor": _dpt,
    "TextNetImageProcessor": _textnet,
    "PPLCNetImageProcessor": _pplcnet,
    "DetrImageProcessor": _detr,
    "ConditionalDetrImageProcessor": _detr,
    "DeformableDetrImageProcessor": _detr,
    "RTDetrImageProcessor": _detr,
    "YolosImageProcessor": _yolos,
    "RfDetrImageProcessor": _rf_detr,
    "PPDocLayoutV2ImageProcessor": _layout,
    "PPDocLayoutV3ImageProcessor": _layout,
    "Mask2FormerImageProcessor": _maskformer,
    "MaskFormerImageProcessor": _maskformer,
    "OneFormerImageProcessor": _no_crop,
    "EomtImageProcessor": _eomt,
    "SamImageProcessor": _sam,
    "Sam2ImageProcessor": _no_crop,
    "Sapiens2ImageProcessor": _sapiens,
}

_REFUSED = {
    "DonutImageProcessor": "it shrinks and pads images in steps of its own",
    "Gemma3ImageProcessor": "it cuts images into parts for a language model",
    "ImageGPTImageProcessor": "it gives each pixel the number of a colour",
    "Owlv2ImageProcessor": "it blurs images before it shrinks them",
    "PerceiverImageProcessor": "it cuts out a share of the image before it scales it",
    "PPDocLayoutV4ImageProcessor": "it scales floats by bicubic interpolation",
    "PPOCRV5ServerDetImageProcessor": "its networks find lines of text, for which there is no task",
    "Siglip2ImageProcessor": "it cuts images into patches, and their number varies",
}
"""Known processors that steps cannot describe, and why."""


# --- timm -----------------------------------------------------------------------------------------


def timm_steps(config: Mapping[str, Any]) -> tuple[Step, ...]:
    """The evaluation transform that timm makes from the result of `resolve_data_config`.

    ``transforms_imagenet_eval`` in ``timm/data/transforms_factory.py``.

    Raises:
        UnsupportedModelError: No steps describe the transform.
    """
    name = "timm's evaluation transform"
    height, width = config["input_size"][1:]
    crop = config.get("crop_pct") or 0.875
    mode = config.get("crop_mode") or "center"
    called = config.get("interpolation") or "bilinear"
    filter = next((known for known in _FILTERS.values() if known == called), None)
    if filter is None:
        raise undescribed(name, f"it scales with the filter {called!r}")
    scaled = (math.floor(height / crop), math.floor(width / crop))
    if mode == "squash":
        resize = Resize("exact", scaled, filter, arithmetic="pillow")
    elif mode == "center" and scaled[0] == scaled[1]:
        resize = Resize("shorter", scaled[:1], filter, arithmetic="pillow")
    else:
        raise undescribed(name, f"its crop_mode is {mode!r} at {height} x {width} pixels")
    cut = CenterCrop((height, width), rounding="even")
    scale = [Rescale(255.0, divide=True), Normalize(tuple(config["mean"]), tuple(config["std"]))]
    return (resize, cut, *scale)
