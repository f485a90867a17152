"""Read weights files: safetensors, or pickles that contain only tensors."""

from __future__ import annotations

import pickle
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from pvzoo.adapters.base import Checkpoint
from pvzoo.errors import UnsupportedModelError, WeightsError, error_message
from pvzoo.hub.download import shards

# Keys under which training scripts save the weights. The moving average comes first, as in timm's
# `load_state_dict`: authors measure with it.
_NESTED = ("state_dict_ema", "model_ema", "state_dict", "model", "module")
# Prefixes that torch's DataParallel and torch.compile add to every name.
_WRAPPERS = ("module.", "_orig_mod.")


def read_state_dict(file: Path) -> dict[str, torch.Tensor]:
    """All tensors of a weights file, or of the shards that an index file names, on the CPU.

    They have the names that the network uses: the keys and prefixes of a training script,
    DataParallel or torch.compile are removed. If the file has the weights and their moving average,
    the result is the average.

    Raises:
        WeightsError: The file is damaged, or is a pickle that contains more than tensors.
    """
    tensors = {k: v for shard in shards(file) for k, v in _read(shard, "cpu").items()}
    prefix = _wrapper(tensors)
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}


def is_wrapped(file: Path) -> bool:
    """Whether `read_state_dict` removes keys or prefixes, so that other readers would fail.

    Raises:
        WeightsError: The file is damaged, or is a pickle that contains more than tensors.
    """
    parts = shards(file)
    if parts[0].suffix == ".safetensors":
        names = [name for part in parts for name in _names(part)]
        return bool(_wrapper(names))
    tensors = [_opened(part, "meta") for part in parts]
    return any(_inner(part) is not part for part in tensors) or bool(
        _wrapper([str(name) for part in tensors for name in part])
    )


def _wrapper(names: Collection[str]) -> str:
    """The prefix of all names that is not from the network, such as "module."; mostly ""."""
    prefix = ""
    while names:
        longer = (prefix + wrapper for wrapper in _WRAPPERS)
        found = next((p for p in longer if all(name.startswith(p) for name in names)), None)
        if found is None:
            break
        prefix = found
    return prefix


def _names(file: Path) -> list[str]:
    """The names of the tensors in a safetensors file."""
    try:
        with safe_open(file, framework="pt") as opened:
            return list(opened.keys())
    except (OSError, SafetensorError) as error:
        raise WeightsError(
            f"{file} cannot be read ({error_message(error)}).", "Fetch it again."
        ) from error


def _inner(tensors: dict[str, Any]) -> dict[str, Any]:
    """The weights among the content that a training script saved."""
    return next((tensors[k] for k in _NESTED if isinstance(tensors.get(k), dict)), tensors)


def _read(file: Path, device: str) -> dict[str, torch.Tensor]:
    """The tensors of one file, without the other content that a training script saved."""
    tensors = _inner(_opened(file, device))
    if not all(map(torch.is_tensor, tensors.values())) or not all(
        isinstance(name, str) for name in tensors
    ):
        raise WeightsError(
            f"{file} contains something other than named tensors.", "It must be a state dict."
        )
    return tensors


def _opened(file: Path, device: str) -> dict[str, Any]:
    """The content of one file; on the device "meta", tensors have shapes but no values."""
    try:
        if file.suffix == ".safetensors":
            return load_file(file, device)
        content = torch.load(file, map_location=device, weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{file} is damaged, or is a pickle that contains more than tensors, which could run "
            "any code; it was not opened.",
            "Fetch it again, or ask its author for safetensors.",
        ) from error
    except MemoryError:
        raise
    except Exception as error:  # torch.load raises many types for damaged files
        raise WeightsError(
            f"{file} cannot be read ({error_message(error)}).", "Fetch it again."
        ) from error
    if not isinstance(content, dict):
        raise WeightsError(
            f"{file} contains something other than named tensors.", "It must be a state dict."
        )
    return content


def renamed(tensors: dict[str, torch.Tensor], checkpoint: Checkpoint) -> dict[str, torch.Tensor]:
    """The tensors under the names that a card's ``rename`` rules give them.

    Raises:
        WeightsError: A rule matches nothing, or two tensors get one name.
    """
    result: dict[str, str] = {}
    used = set()
    for name in tensors:
        new = name
        for number, (pattern, replacement) in enumerate(checkpoint.rename):
            try:
                new, count = re.subn(pattern, replacement, new)
            except (re.error, IndexError) as error:
                raise WeightsError(
                    f"{checkpoint.name}: the rename rule {pattern!r} -> {replacement!r} fails "
                    f"({error}).",
                    "Fix 'rename' in its card.",
                ) from error
            if count:
                used.add(number)
        if new in result:
            raise WeightsError(
                f"{checkpoint.name}: the rename rules give {name!r} and {result[new]!r} the same "
                f"name, {new!r}.",
                "Fix 'rename' in its card.",
            )
        result[new] = name
    unused = [rule[0] for number, rule in enumerate(checkpoint.rename) if number not in used]
    if unused:
        raise WeightsError(
            f"{checkpoint.name}: the rename rules {unused} match no tensor.",
            "Fix 'rename' in its card.",
        )
    return {new: tensors[name] for new, name in result.items()}


def check_channels(name: str, channels: int) -> None:
    """Refuse a network that does not take images of three channels.

    Raises:
        UnsupportedModelError: The number of channels is not 3.
    """
    if channels != 3:
        raise UnsupportedModelError(
            f"{name} takes images of {channels} channels, but pvzoo's images have three: red, "
            "green and blue.",
            "Choose a checkpoint for colour images.",
        )
