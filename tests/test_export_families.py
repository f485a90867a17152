"""Every family that is exported answers as before, in ONNX Runtime: tiny networks, untrained."""

from __future__ import annotations

import detection_families
import pytest
import segmentation_families
from checkpoints import transformers_folder

import pvzoo

DETECTORS = (
    *("detr_timm", "detr_resnet", "conditional_detr", "dab_detr", "table_transformer", "yolos"),
    *("deformable_detr_single_scale", "deformable_detr_box_refine", "deformable_detr_two_stage"),
    *("rt_detr", "rt_detr_v2", "d_fine", "deimv2", "lw_detr", "rf_detr"),
)
SEGMENTERS = (
    ("eomt_semantic", "semantic"),
    ("eomt_panoptic", "panoptic"),
    ("eomt_dinov3_semantic", "semantic"),
    ("eomt_dinov3_panoptic", "panoptic"),
    ("segformer", "semantic"),
    ("rf_detr", "instance"),
    ("mask2former_resnet", "semantic"),
    ("mask2former_resnet", "instance"),
    ("mask2former_resnet", "panoptic"),
)
QUICK = ("yolos", "lw_detr", "eomt_panoptic", "segformer", "vit")
"""Those that are tried in every run, one for each kind of reading."""


def cases(names):
    return [
        pytest.param(*one, marks=() if one[0] in QUICK else pytest.mark.slow)
        for one in (name if isinstance(name, tuple) else (name,) for name in names)
    ]


@pytest.mark.parametrize("family", cases(DETECTORS))
def test_a_detector_is_exported(family, tmp_path):
    detection_families.build(family, tmp_path / "original")
    found = pvzoo.load(tmp_path / "original", device="cpu").export(tmp_path / "export")
    assert found.verdict == "certified"
    assert found.tally.rows > 300


@pytest.mark.filterwarnings("ignore:Nothing says which classes:pvzoo.errors.PvzooWarning")
@pytest.mark.parametrize(("family", "task"), cases(SEGMENTERS))
def test_a_segmenter_is_exported(family, task, tmp_path):
    segmentation_families.build(family, tmp_path / "original")
    model = pvzoo.load(tmp_path / "original", task=task, device="cpu")
    found = model.export(tmp_path / "export")
    assert found.verdict == "certified"
    assert found.tally.worst


@pytest.mark.parametrize("family", cases(("vit", "convnext", "resnet")))
def test_a_classifier_is_exported(family, tmp_path):
    transformers_folder(tmp_path / "original", family)
    found = pvzoo.load(tmp_path / "original", device="cpu").export(tmp_path / "export")
    assert found.verdict == "certified"
