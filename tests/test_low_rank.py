"""`fine_tune(lora=...)`: what is trained, what comes out, what is refused."""

from __future__ import annotations

import json
import sys

import checkpoints
import colour_model
import fine_tune_run
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

import pvzoo
from pvzoo.data import schema
from pvzoo.errors import MissingExtraError, UnsupportedModelError, UsageError
from pvzoo.training.identity import of_weights

pytestmark = pytest.mark.filterwarnings(
    "ignore:Nothing says which classes:pvzoo.errors.PvzooWarning",
    "ignore:Classes (do not|that) occur:pvzoo.errors.PvzooWarning",
)
RANK = 2


@pytest.mark.parametrize("kind", fine_tune_run.KINDS)
def test_linear_layers_change_at_low_rank_and_the_rest_but_the_head_not_at_all(kind, tmp_path):
    tuned = fine_tune_run.tune(kind, tmp_path, lora=RANK, epochs=1)
    adapter = tuned.network
    start = pvzoo.load(
        tmp_path / f"untrained-{kind}",
        task=fine_tune_run.KINDS[kind] if kind == "mask2former" else None,
        device="cpu",
    )
    before, after = start.network.module.state_dict(), adapter.module.state_dict()
    assert before.keys() == after.keys(), "something of LoRA was left in the network"
    shared = adapter.module.named_modules(remove_duplicate=False)
    linear = {f"{n}.weight" for n, m in shared if isinstance(m, nn.Linear)}
    changed = 0
    for name, value in after.items():
        if name in adapter.head:
            continue
        difference = value.double() - before[name].double()
        if name in linear:
            rank = torch.linalg.matrix_rank(difference, atol=1e-6)
            assert rank <= RANK, name
            changed += rank > 0
        else:
            assert not difference.any(), name
    assert changed > len(linear - set(adapter.head)) / 2
    assert adapter.head


@pytest.mark.parametrize("kind", ["classifier", pytest.param("detector", marks=pytest.mark.slow)])
def test_a_run_that_was_stopped_ends_with_the_same_weights(kind, tmp_path):
    fine_tune_run.stopped(tmp_path, 6, kind, lora=RANK)
    with safe_open(tmp_path / kind / "checkpoint-4" / "model.safetensors", "pt") as file:
        assert any(".lora_A." in name for name in file.keys())  # noqa: SIM118 (no mapping)
    found = fine_tune_run.tune(kind, tmp_path, lora=RANK)
    whole = fine_tune_run.tune(kind, tmp_path / "whole", lora=RANK)
    assert of_weights(found.network.module) == of_weights(whole.network.module)


def test_the_folder_opens_with_plain_transformers_and_the_same_call_gives_it_again(tmp_path):
    from transformers import AutoModelForImageClassification

    tuned = fine_tune_run.tune("classifier", tmp_path, lora=RANK)
    plain, said = AutoModelForImageClassification.from_pretrained(
        tmp_path / "classifier", output_loading_info=True
    )
    assert not said["missing_keys"]
    assert not said["unexpected_keys"]
    assert of_weights(plain) == of_weights(tuned.network.module)
    again = fine_tune_run.tune("classifier", tmp_path, lora=RANK)
    assert of_weights(again.network.module) == of_weights(plain)
    settings = json.loads((tmp_path / "classifier" / "report.json").read_text())["settings"]
    assert settings["lora"] == RANK
    assert settings["recipe"]["rate"] == pytest.approx(5e-3)  # ten times the recipe's


def test_arguments_of_peft_choose_the_layers(tmp_path):
    tuned = fine_tune_run.tune(
        "classifier", tmp_path, lora={"r": RANK, "target_modules": ["q_proj", "query"]}, epochs=1
    )
    start = pvzoo.load(tmp_path / "untrained-classifier", device="cpu").network
    before, after = start.module.state_dict(), tuned.network.module.state_dict()
    changed = {n for n in after if n not in tuned.network.head and (after[n] != before[n]).any()}
    assert changed
    assert all("q_proj" in name or "query" in name for name in changed)


def test_a_timm_transformer_is_trained_at_low_rank_with_its_backbone_frozen_or_not(tmp_path):
    checkpoints.timm_folder(tmp_path / "start", architecture="test_vit", num_classes=3)
    data = colour_model.dataset(schema.CLASSIFICATION, tmp_path / "images", 6)
    model = pvzoo.load(tmp_path / "start", device="cpu")
    for freeze, learns in ((None, True), ("backbone", False)):
        folder = tmp_path / f"run-{freeze}"
        if not learns:
            with pytest.raises(UnsupportedModelError, match="no linear layers except in its head"):
                model.fine_tune(data, epochs=1, lora=RANK, freeze=freeze, output_dir=folder)
            continue
        model.fine_tune(data, epochs=2, lora=RANK, freeze=freeze, output_dir=folder)
        before, after = (load_file(p / "model.safetensors") for p in (tmp_path / "start", folder))
        assert (before["blocks.0.attn.qkv.weight"] != after["blocks.0.attn.qkv.weight"]).any()
        assert torch.equal(before["norm.weight"], after["norm.weight"])


def test_impossible_values_are_refused(tmp_path, monkeypatch):
    checkpoints.timm_folder(tmp_path / "start", num_classes=3)
    data = colour_model.dataset(schema.CLASSIFICATION, tmp_path / "images", 6)
    model = pvzoo.load(tmp_path / "start", device="cpu")

    def tune(lora):
        model.fine_tune(data, epochs=1, lora=lora, output_dir=tmp_path / "run")

    with pytest.raises(UnsupportedModelError, match="no linear layers except in its head"):
        tune(RANK)
    with pytest.raises(UsageError, match="lora is 0"):
        tune(0)
    with pytest.raises(UsageError, match="PEFT refuses"):
        tune({"r": 4, "target_modules": ["nothing_of_this_name"]})
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingExtraError, match=r'pip install "pvzoo\[train\]"'):
        tune(RANK)
