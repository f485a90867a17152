"""torchvision's Faster R-CNN as a plugin, written as `docs/plugins.md` says; small enough to test.

Its head has the background first, and four entries for the box of each class.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.ops import MultiScaleRoIAlign

from pvzoo.adapters.base import Adapter
from pvzoo.adapters.detection import detections
from pvzoo.networks.from_torch import TorchNetwork
from pvzoo.preprocess.steps import Rescale

MOST = 20
CONFIG = {"model_type": "frcnn", "labels": ["red", "green", "blue"]}


class FasterRcnn(Adapter):
    tasks = ("object-detection",)
    network = "torchvision_detector:FasterRcnnNetwork"

    @classmethod
    def matches(cls, config):
        return config.get("model_type") == "frcnn"

    def postprocess(self, outputs, meta, **controls):
        boxes, scores, labels = (outputs[name][0] for name in ("boxes", "scores", "labels"))
        return detections(boxes, scores, labels, self.labels, meta["size"], **controls)


class FasterRcnnNetwork(TorchNetwork):
    adapter = "frcnn-zoo:frcnn"
    task = "object-detection"
    background_first = True
    backbone = ("backbone.",)

    @classmethod
    def build(cls, config):
        return FasterRCNN(
            _backbone(),
            min_size=96,
            max_size=192,
            rpn_anchor_generator=AnchorGenerator(((16, 32, 64),), ((1.0,),)),
            box_roi_pool=MultiScaleRoIAlign(["0"], 3, 2),
            box_head=TwoMLPHead(16 * 9, 32),
            box_predictor=FastRCNNPredictor(32, len(config["labels"]) + 1),
            box_score_thresh=0.0,
            box_detections_per_img=MOST,
            rpn_pre_nms_top_n_test=100,
            rpn_post_nms_top_n_test=30,
        )

    def steps(self):
        return (Rescale(255.0, divide=True),)

    def forward(self, inputs):
        pixels = inputs["pixel_values"]
        count = len(pixels)
        boxes, scores = pixels.new_zeros(count, MOST, 4), pixels.new_zeros(count, MOST)
        labels = torch.zeros(count, MOST, dtype=torch.int64, device=pixels.device)
        for i, found in enumerate(self.module(list(pixels))):
            many = len(found["scores"])
            boxes[i, :many] = found["boxes"]
            scores[i, :many] = found["scores"]
            labels[i, :many] = found["labels"] - 1
        return {"boxes": boxes, "scores": scores, "labels": labels}

    def batch(self, images, targets):
        pixels = [torch.from_numpy(self.prepare(one)[0]["pixel_values"][0]) for one in images]
        own = [{"boxes": one["boxes"], "labels": one["categories"] + 1} for one in targets]
        return {"pixels": pixels, "targets": own}

    def loss(self, module, batch):
        return sum(module(batch["pixels"], batch["targets"]).values())


class OnlyItsScores(FasterRcnnNetwork):
    """Keeps one entry for each class in every layer, also in that of the boxes."""

    def keep_classes(self, name, old, new, kept):
        new[0] = old[0]
        for place, label in enumerate(kept):
            if label is not None:
                new[place + 1] = old[label + 1]


class SaysNothing(FasterRcnnNetwork):
    """Does not say that the background is first."""

    background_first: ClassVar[bool] = False


def network(kind: type[FasterRcnnNetwork] = FasterRcnnNetwork) -> Any:
    """One with random weights, the same in every call."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = kind.build(CONFIG).eval()
        for name, weight in module.named_parameters():
            if "box_predictor" in name:  # so that classes differ by more than rounding
                nn.init.normal_(weight, std=0.1)
    return kind(module, CONFIG)


def _backbone() -> nn.Module:
    layers = [nn.Conv2d(3, 8, 3, 4, 1), nn.ReLU(), nn.Conv2d(8, 16, 3, 4, 1), nn.ReLU()]
    backbone = nn.Sequential(*layers)
    backbone.out_channels = 16
    return backbone
