"""Draw the first batch: the pixels that the network gets, with the targets on them."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from datasets import Dataset
from datasets import Features as Columns

from pvzoo.adapters.base import Adapter
from pvzoo.data.contact_sheet import sheet_of
from pvzoo.errors import PvzooError
from pvzoo.networks.base import Network
from pvzoo.plugins.calls import calling
from pvzoo.preprocess.steps import Step
from pvzoo.preprocess.undo import image_of
from pvzoo.training.samples import Samples
from pvzoo.training.trainer import EpochSampler, collated


def steps_of(network: Network) -> tuple[Step, ...] | None:
    """The network's preprocessing steps. Differences in rounding do not matter for drawing."""
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
    """Write a contact sheet of the first batch of a run, each image with the name of its file.

    Args:
        network: The network that makes the batch.
        adapter: The adapter of the network.
        samples: The training samples.
        columns: The columns of the training data.
        batch_size: The batch size of the run.
        seed: The seed of the run.
        path: The file to write.
    """
    chosen = [samples[index] for index in islice(EpochSampler(len(samples), seed), batch_size)]
    batch = collated(network, samples, chosen)
    with calling(network, "targets_of"):
        targets = network.targets_of(batch)
    if targets is None:
        shown = [(image, target) for image, target, _ in chosen]
    else:
        inputs = batch[adapter.pixels].numpy()
        images = [image_of(planes, steps_of(network)) for planes in inputs]
        shown = list(zip(images, targets, strict=True))
    with calling(samples.training, "row"):
        rows = [
            {
                "image": image,
                "image_id": i,
                "file_name": f"{samples.name_of(i)}, {image.width} x {image.height}",
                **samples.training.row(target, image.size, len(samples.names)),
            }
            for (image, target), (_, _, (_, i)) in zip(shown, chosen, strict=True)
        ]
        dataset = Dataset.from_list(rows, features=columns)
    sheet_of([(dataset, "", i) for i in range(len(rows))], path)
