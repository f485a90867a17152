"""The first batch as a picture: the pixels that the network gets, with its targets on them."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from datasets import Dataset
from datasets import Features as Columns

from pvzoo.adapters.base import Adapter
from pvzoo.data.contact_sheet import sheet_of
from pvzoo.errors import PvzooError
from pvzoo.networks.base import Network
from pvzoo.preprocess.steps import Step
from pvzoo.preprocess.undo import picture_of
from pvzoo.training.samples import Samples
from pvzoo.training.trainer import EpochSampler, collated


def steps_of(network: Network) -> tuple[Step, ...] | None:
    """How it prepares pictures: for their colours, steps that differ in rounding do as well."""
    try:
        return network.steps()
    except PvzooError:
        return None


def draw_first_batch(
    network: Network,
    adapter: Adapter,
    samples: Samples,
    columns: Columns,
    *,
    batch_size: int,
    seed: int,
    path: Path,
) -> None:
    """Write a contact sheet of the first batch of a run, each picture with the name of its file.

    Args:
        network: Makes the batch.
        adapter: Its other half.
        samples: What it is trained on.
        columns: Of the data that these are of.
        batch_size: Of the run.
        seed: Of the run.
        path: Where to write it.
    """
    chosen = [samples[place] for place in islice(EpochSampler(len(samples), seed), batch_size)]
    batch = collated(network, samples, chosen)
    targets = network.targets_of(batch)
    if targets is None:
        shown = [(picture, target) for picture, target, _ in chosen]
    else:
        inputs = batch[adapter.pixels].numpy()
        pictures = [picture_of(planes, steps_of(network)) for planes in inputs]
        shown = list(zip(pictures, targets, strict=True))
    rows = [
        {
            "image": picture,
            "image_id": i,
            "file_name": f"{samples.name_of(i)}, {picture.width} x {picture.height}",
            **samples.training.row(target, picture.size, len(samples.names)),
        }
        for (picture, target), (_, _, (_, i)) in zip(shown, chosen, strict=True)
    ]
    dataset = Dataset.from_list(rows, features=columns)
    sheet_of([(dataset, "", i) for i in range(len(rows))], path)
