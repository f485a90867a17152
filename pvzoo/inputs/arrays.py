"""Convert numpy arrays and torch tensors to 8-bit arrays; `pvzoo.inputs.images` has the rules."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from pvzoo.errors import ImageError
from pvzoo.inputs.limits import check_pixels
from pvzoo.inputs.names import Refuse, shown
from pvzoo.inputs.pixels import to_uint8

_CHANNELS = (1, 3, 4)


def of_array(array: np.ndarray, refuse: Refuse) -> np.ndarray:
    """A uint8 copy of an array, RGB or grey; a copy, because loops may reuse one buffer.

    Raises:
        ImageError: Made by `refuse`: the array does not have the shape or numbers of an image.
    """
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in _CHANNELS):
        if array.ndim == 3 and array.shape[0] in _CHANNELS:
            raise refuse(
                f"has the shape {array.shape}, channels first.",
                "numpy images are (height, width, channels): use array.transpose(1, 2, 0).",
            )
        raise refuse(*_wrong_rank("numpy array", array.shape, "(height, width, channels)"))
    return _eight_bit(array.shape, array.dtype, array.__getitem__, refuse)


def is_tensor(source: Any) -> bool:
    """Whether it is a torch tensor; does not import torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(source, torch.Tensor)


def of_tensor(tensor: Any, refuse: Refuse) -> np.ndarray:
    """A torch tensor (C, H, W) or (H, W) as an array, like `of_array`.

    Raises:
        ImageError: As for `of_array`.
    """
    shape = tuple(tensor.shape)
    if tensor.ndim == 3 and shape[0] in _CHANNELS:
        tensor = tensor.permute(1, 2, 0)
    elif tensor.ndim == 3 and shape[2] in _CHANNELS:
        raise refuse(
            f"is a torch tensor of shape {shape}, channels last.",
            "Tensors are (channels, height, width): use tensor.permute(2, 0, 1).",
        )
    elif tensor.ndim != 2:
        raise refuse(*_wrong_rank("torch tensor", shape, "(channels, height, width)"))
    small = tensor.is_floating_point() and tensor.element_size() < 4  # numpy has no bfloat16

    def rows(index: slice) -> np.ndarray:
        part = tensor.detach()[index]
        pixels: np.ndarray = (part.float() if small else part).cpu().numpy()
        return pixels

    try:
        dtype = rows(slice(0, 0)).dtype
        return _eight_bit(tuple(tensor.shape), dtype, rows, refuse)
    except (TypeError, RuntimeError, NotImplementedError) as error:  # sparse, meta, complex views
        raise refuse(
            f"is a torch tensor that numpy cannot read ({shown(str(error))}).",
            "Make it a plain dense tensor of uint8 or float32.",
        ) from error


def _wrong_rank(kind: str, shape: tuple[int, ...], wanted: str) -> tuple[str, str]:
    hint = "For a batch, pass a list of images: list(batch)." if len(shape) == 4 else ""
    return (
        f"is a {kind} of shape {tuple(shape)}; an image has the shape {wanted} or (height, width), "
        f"with 1, 3 or 4 channels.",
        hint or "Reshape it.",
    )


def _eight_bit(
    shape: tuple[int, ...], dtype: np.dtype, rows: Callable[[slice], np.ndarray], refuse: Refuse
) -> np.ndarray:
    """The array to keep, in a form that `PIL.Image.fromarray` accepts."""
    try:
        check_pixels((shape[1], shape[0]))
        pixels = to_uint8(shape, dtype, rows)
    except ImageError as error:
        raise refuse(error.what, error.hint) from None
    return pixels[:, :, 0] if pixels.shape[2:] == (1,) else pixels
