"""Adapters that are each wrong in one way, made from the good one that `new-plugin` writes."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from safetensors.torch import load_file

import pvzoo.plugins.scaffold
from pvzoo.preprocess.run import run
from pvzoo.preprocess.steps import Rescale
from pvzoo.results.classification import Classification

sys.path.append(str(Path(pvzoo.plugins.scaffold.__file__).parent / "templates" / "adapter"))

from my_zoo.adapter import ExampleAdapter
from my_zoo.network import ExampleModule, ExampleNetwork

WEIGHTS = Path(sys.modules[ExampleAdapter.__module__].__file__).parent / "weights"


class GoodNetwork(ExampleNetwork):
    """The template's own, of the adapter that is called so."""

    adapter = "broken-zoo:Good"


class Good(ExampleAdapter):
    """The template's own; each subclass gets a network of its own, made of `made_of`."""

    network = "broken_adapters:GoodNetwork"
    made_of: ClassVar[type] = GoodNetwork

    def __init_subclass__(cls) -> None:
        name = f"{cls.__name__}Network"
        globals()[name] = type(name, (cls.made_of,), {"adapter": f"broken-zoo:{cls.__name__}"})
        cls.network = f"{__name__}:{name}"


def save_good(folder: Path) -> None:
    """The checkpoint that all of them load."""
    module = ExampleModule(3)
    module.load_state_dict(load_file(WEIGHTS / "colours.safetensors"))
    labels = ["red", "green", "blue"]
    config = {"model_type": "my-zoo", "labels": labels, "multi_label": False}
    GoodNetwork(module, config).save(folder)


class NamesInAList(Good):
    class made_of(GoodNetwork):
        def __init__(self, module: Any, config: Any) -> None:
            super().__init__(module, config)
            self.spec = replace(self.spec, labels=list(config["labels"]))


class OutputWithoutBatch(Good):
    class made_of(GoodNetwork):
        def forward(self, inputs):
            return {**super().forward(inputs), "count": torch.tensor(1.0)}


class WidthFirst(Good):
    class made_of(GoodNetwork):
        def prepare(self, image, **prompts):
            return super().prepare(image)[0], {"size": image.size}


class NumpyRows(Classification):
    def rows(self):
        return [{**row, "score": np.float32(row["score"])} for row in super().rows()]


class PaintedOver(Classification):
    def draw(self, image):
        image.paste("red", (0, 0, 9, 9))
        return image


class ForgetsNames(Classification):
    per_row = ("labels", "scores")


class _OtherResult(Good):
    kind: type[Classification]

    def postprocess(self, outputs, meta, **controls):
        return self.kind(**vars(super().postprocess(outputs, meta, **controls)))


class NotForJson(_OtherResult):
    kind = NumpyRows


class RowsThatDiffer(_OtherResult):
    kind = ForgetsNames


class DrawsOnTheInput(_OtherResult):
    kind = PaintedOver


class Remembers(Good):
    calls = 0

    def postprocess(self, outputs, meta, **controls):
        self.calls += 1
        return super().postprocess(outputs, meta, **{**controls, "top_k": self.calls % 3 + 1})


class MeanOverTheBatch(Good):
    class made_of(GoodNetwork):
        def forward(self, inputs):
            logits = super().forward(inputs)["logits"]
            return {"logits": logits - logits.mean(0)}


class DrawsLots(Good):
    class made_of(GoodNetwork):
        def forward(self, inputs):
            logits = super().forward(inputs)["logits"]
            return {"logits": logits + torch.randn_like(logits)}


class SharesItsSize(Good):
    def preprocess(self, image, **prompts):
        self.size = image.size[::-1]
        inputs, _ = super().preprocess(image)
        time.sleep(0.02)
        return inputs, {"size": self.size}


class NoThreshold(Good):
    def postprocess(self, outputs, meta, **controls):
        return super().postprocess(outputs, meta, **{**controls, "threshold": 0.0})


class NeedsOne(Good):
    def postprocess(self, outputs, meta, **controls):
        found = super().postprocess(outputs, meta, **controls)
        assert found.names[0]
        return found


class NoStrips(Good):
    def postprocess(self, outputs, meta, **controls):
        assert min(meta["size"]) > 3
        return super().postprocess(outputs, meta, **controls)


class AsksItsNetwork(Good):
    def postprocess(self, outputs, meta, **controls):
        network = self._prepare.__self__
        assert network.module.head.out_features == outputs["logits"].shape[1]
        return super().postprocess(outputs, meta, **controls)


class OtherSteps(Good):
    class made_of(GoodNetwork):
        def steps(self):
            return (*super().steps(), Rescale(2.0))

        def prepare(self, image, **prompts):
            return run(super().steps(), image)


class UsesUpItsOutputs(Good):
    def postprocess(self, outputs, meta, **controls):
        found = super().postprocess(outputs, meta, **controls)
        outputs["logits"][:] = 0
        return found


class RawErrors(Good):
    class made_of(GoodNetwork):
        @classmethod
        def load(cls, checkpoint, **options):
            load_file(checkpoint.weights)
            return super().load(checkpoint, **options)


class LoadsHalf(Good):
    class made_of(GoodNetwork):
        @classmethod
        def load(cls, checkpoint, **options):
            made = super().load(checkpoint=_Whole(checkpoint), **options)
            tensors = {k: v.to(made.module.stem.weight) for k, v in _read(checkpoint).items()}
            made.module.load_state_dict(tensors, strict=False)
            return made


def _read(checkpoint: Any) -> dict[str, torch.Tensor]:
    try:
        return load_file(checkpoint.weights)
    except Exception as error:
        raise pvzoo.PvzooError("Damaged.") from error


class _Whole:
    """A checkpoint whose weights are those of the template, whatever arrived."""

    def __init__(self, checkpoint: Any) -> None:
        self.config, self.name, self.rename = checkpoint.config, checkpoint.name, ()
        self.weights = WEIGHTS / "colours.safetensors"


class Float32Only(Good):
    class made_of(GoodNetwork):
        def forward(self, inputs):
            pixels = inputs["pixel_values"]
            return super().forward({"pixel_values": pixels @ torch.eye(32).to(pixels.device)})


class LeftBehind(Good):
    class made_of(GoodNetwork):
        def forward(self, inputs):
            logits = super().forward(inputs)["logits"]
            return {"logits": logits + torch.zeros(logits.shape, dtype=logits.dtype)}


class SavesOtherNames(Good):
    class made_of(GoodNetwork):
        def save(self, folder):
            super().save(folder)
            config = json.loads((folder / "config.json").read_text())
            config["labels"].reverse()
            (folder / "config.json").write_text(json.dumps(config))


class SharesItsStem(Good):
    class made_of(GoodNetwork):
        def retarget(self, classes, **options):
            new = super().retarget(classes, **options)
            new.module.stem = self.module.stem
            return new


class BackgroundFirst(Good):
    class made_of(GoodNetwork):
        def keep_classes(self, name, old, new, kept):
            for place, label in enumerate(kept[:-1]):
                new[place + 1] = old[label + 1 if label is not None and label < 2 else 0]


class NoSuchBackbone(Good):
    class made_of(GoodNetwork):
        backbone = ("body.",)


class LearnsNothing(Good):
    class made_of(GoodNetwork):
        def loss(self, module, batch):
            loss = super().loss(module, batch)
            return loss.detach() + 0 * loss


BROKEN = {
    "loads": (NamesInAList, "not a tuple of texts"),
    "leading-axis": (OutputWithoutBatch, "'count' has the shape ()"),
    "result": (WidthFirst, "(height, width)"),
    "json": (NotForJson, "float32 is not JSON serializable"),
    "chosen-rows": (RowsThatDiffer, "does not have the rows in reverse order"),
    "drawable": (DrawsOnTheInput, "changed the image"),
    "one-and-list": (Remembers, "differs in a list"),
    "stream": (Remembers, "of a stream"),
    "batch-invariance": (MeanOverTheBatch, "of a batch of 5"),
    "repeatable": (DrawsLots, "the second time"),
    "threads": (SharesItsSize, "beside other threads"),
    "threshold": (NoThreshold, "With threshold=0.5"),
    "empty-result": (NeedsOne, "IndexError"),
    "odd-sizes": (NoStrips, "AssertionError"),
    "postprocessing-alone": (AsksItsNetwork, "'NoneType' object has no attribute '__self__'"),
    "steps": (OtherSteps, "differs in"),
    "opens-in-demo": (UsesUpItsOutputs, "The second answer of its endpoint"),
    "damaged-weights": (RawErrors, "SafetensorError"),
    "missing-weight": (LoadsHalf, "was loaded without an error"),
    "dtype": (Float32Only, "bfloat16"),
    "device": (LeftBehind, "another device"),
    "save-and-load": (SavesOtherNames, "The names of its classes"),
    "retarget": (SharesItsStem, "shares memory"),
    "kept-classes": (BackgroundFirst, "Before there was {'name': "),
    "backbone": (NoSuchBackbone, "No parameter begins with"),
    "learns": (LearnsNothing, "The loss went from"),
}
