"""Reading weights files: safetensors, or pickles of tensors and nothing else."""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from pvzoo.adapters.base import Checkpoint
from pvzoo.errors import WeightsError


def read_state_dict(file: Path) -> dict[str, torch.Tensor]:
    """All tensors of a weights file, or of the shards that an index file names, on the CPU.

    Raises:
        WeightsError: The file is damaged, or is a pickle of more than tensors.
    """
    if file.name.endswith(".index.json"):
        shards = sorted(set(json.loads(file.read_text())["weight_map"].values()))
        return {k: v for shard in shards for k, v in read_state_dict(file.parent / shard).items()}
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        tensors = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, SafetensorError) as error:
        raise WeightsError(f"{file} cannot be read ({error}).", "Fetch it again.") from error
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{file} is a pickle that holds more than tensors, which could run any code; it was "
            "not opened.",
            "Ask its author for safetensors.",
        ) from error
    for key in ("state_dict", "model"):  # how training scripts wrap them
        if isinstance(tensors.get(key), dict):
            tensors = tensors[key]
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
            new, count = re.subn(pattern, replacement, new)
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
