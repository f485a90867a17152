"""Reading weights files: safetensors, or pickles of tensors and nothing else."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import torch
from safetensors.torch import load_file

from pvzoo.adapters.base import Checkpoint
from pvzoo.errors import UnsupportedModelError, WeightsError
from pvzoo.hub import shards


def read_state_dict(file: Path) -> dict[str, torch.Tensor]:
    """All tensors of a weights file, or of the shards that an index file names, on the CPU.

    Raises:
        WeightsError: The file is damaged, or is a pickle of more than tensors.
    """
    if file.name.endswith(".index.json"):
        return {k: v for shard in shards(file) for k, v in read_state_dict(shard).items()}
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        tensors = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{file} is damaged, or is a pickle that holds more than tensors, which could run any "
            "code; it was not opened.",
            "Fetch it again, or ask its author for safetensors.",
        ) from error
    except Exception as error:  # damaged files make torch.load raise many things
        raise WeightsError(f"{file} cannot be read ({error!r}).", "Fetch it again.") from error
    for key in ("state_dict", "model"):  # how training scripts wrap them
        if isinstance(tensors, dict) and isinstance(tensors.get(key), dict):
            tensors = tensors[key]
    if not isinstance(tensors, dict) or not all(map(torch.is_tensor, tensors.values())):
        raise WeightsError(
            f"{file} holds something else than named tensors.", "It must be a state dict."
        )
    return tensors


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
                    "Mend 'rename' in its card.",
                ) from error
            if count:
                used.add(number)
        if new in result:
            raise WeightsError(
                f"{checkpoint.name}: the rename rules give {name!r} and {result[new]!r} the same "
                f"name, {new!r}.",
                "Mend 'rename' in its card.",
            )
        result[new] = name
    unused = [rule[0] for number, rule in enumerate(checkpoint.rename) if number not in used]
    if unused:
        raise WeightsError(
            f"{checkpoint.name}: the rename rules {unused} match no tensor.",
            "Mend 'rename' in its card.",
        )
    return {new: tensors[name] for new, name in result.items()}


def check_channels(name: str, channels: int) -> None:
    """Refuse a network that takes images of other than three channels.

    Raises:
        UnsupportedModelError: It does.
    """
    if channels != 3:
        raise UnsupportedModelError(
            f"{name} takes images of {channels} channels; pvzoo gives it three, red, green and "
            "blue.",
            "Choose a checkpoint for colour images.",
        )
