"""Train the plugin's Mask2Former: semantic, instance and panoptic segmentation of drawn scenes.

    python segmenter.py FOLDER --detector FOLDER [--epochs 5] [--scenes 8000]

The backbone has the architecture of the plugin's detector and starts with its weights; the rest of
the network is made here with random weights. It is trained on panoptic labels by pvzoo's own
`fine_tune`. If you stop and restart the script, it continues.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pvzoo_shapes
import torch
from pvzoo_shapes.backgrounds import STUFF
from transformers import (
    AutoModelForObjectDetection,
    Mask2FormerConfig,
    Mask2FormerForUniversalSegmentation,
    Mask2FormerImageProcessor,
)

import pvzoo

SIZE = 128
SEED = 0
TASK = "panoptic-segmentation"


def untrained(folder: Path, detector: str) -> Path:
    """The network with the detector's backbone, in a folder that transformers can load."""
    trained = AutoModelForObjectDetection.from_pretrained(detector, dtype=torch.float32)
    backbone_config = trained.config.backbone_config
    backbone_config.out_features = ["stage1", "stage2", "stage3", "stage4"]
    names = dict(enumerate([*pvzoo_shapes.SHAPES, *STUFF]))
    torch.manual_seed(SEED)
    config = Mask2FormerConfig(
        backbone_config=backbone_config,
        feature_size=64,
        mask_feature_size=64,
        hidden_dim=64,
        encoder_feedforward_dim=128,
        encoder_layers=3,
        num_attention_heads=4,
        dim_feedforward=256,
        decoder_layers=4,  # transformers counts the output as a layer: three real layers
        num_queries=20,
        class_weight=4.0,  # shapes are harder to name than to outline
        train_num_points=512,  # a mask has 1024, at a quarter of 128 x 128 pixels
        id2label=names,
        label2id={name: i for i, name in names.items()},
    )
    network = Mask2FormerForUniversalSegmentation(config)
    encoder = network.model.pixel_level_module.encoder
    encoder.load_state_dict(trained.model.backbone.model.state_dict())
    print(f"{sum(p.numel() for p in network.parameters()) / 1e6:.2f}M parameters")
    network.save_pretrained(folder)
    Mask2FormerImageProcessor(
        size={"height": SIZE, "width": SIZE}, ignore_index=255
    ).save_pretrained(folder)
    return folder


def main() -> None:
    """Train the segmenter, and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--detector", required=True, help="folder of a run of detector.py")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--scenes", type=int, default=8000)
    arguments = parser.parse_args()
    start = arguments.folder / "untrained"
    if not start.exists():
        untrained(start, arguments.detector)
    tuned = pvzoo.load(start, task=TASK, device="cpu").fine_tune(
        pvzoo_shapes.scenes(TASK, count=arguments.scenes, size=SIZE, seed=SEED),
        pvzoo_shapes.scenes(TASK, count=500, size=SIZE, seed=SEED + 1),
        epochs=arguments.epochs,
        batch_size=8,
        learning_rate={"backbone": 4e-4, "rest": 6e-4},
        augment=False,
        seed=SEED,
        trainer_args={"lr_scheduler_type": "cosine"},
        output_dir=arguments.folder / "run",
    )
    print(tuned.report.metrics)


if __name__ == "__main__":
    main()
