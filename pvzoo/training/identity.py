"""What a run is of: the content of its data and weights, not their names or places."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import torch
from datasets import Dataset
from datasets import Image as ImageColumn

from pvzoo.images import ImageHandle


def of_data(dataset: Dataset) -> str:
    """A digest of the labels and of the encoded pictures, the same wherever they lie."""
    digest = hashlib.sha256(repr(dataset.features).encode())
    pictures = [n for n, f in dataset.features.items() if isinstance(f, ImageColumn)]
    for name in pictures:
        dataset = dataset.cast_column(name, ImageColumn(decode=False))
    for row in dataset.with_format(None):
        for name in pictures:
            data = ImageHandle.of(row.pop(name)).data
            digest.update(data if isinstance(data, bytes) else data.read_bytes())
        digest.update(json.dumps(row, sort_keys=True).encode())
    return digest.hexdigest()


def of_weights(module: Any) -> str:
    """A digest of a network's weights."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
