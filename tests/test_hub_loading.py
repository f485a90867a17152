"""`pvzoo.load` from the Hub, through the real client: names, revisions, the cache and refusals."""

from __future__ import annotations

import io
import json
import os
import pickle
import subprocess
import sys
import threading
import time
from pathlib import Path

import colour_model
import numpy as np
import pytest
import torch
from checkpoints import as_pickle, files, timm_folder, transformers_folder
from hub_server import GOOD_TOKEN, NO_GRANT_TOKEN, HubServer, client_env, redirect_client
from huggingface_hub import constants
from PIL import Image

import pvzoo
from pvzoo.data import schema
from pvzoo.errors import (
    HubError,
    ModelNotFoundError,
    PvzooError,
    UnsupportedModelError,
    UsageError,
    WeightsError,
)

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a transformers checkpoint."""
    folder = tmp_path_factory.mktemp("vit")
    transformers_folder(folder, "vit")
    return files(folder)


@pytest.fixture(scope="module")
def vit_bin(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The same, with its weights as a pickle."""
    folder = tmp_path_factory.mktemp("vit-bin")
    transformers_folder(folder, "vit")
    as_pickle(folder)
    return files(folder)


@pytest.fixture(scope="module")
def resnet(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a timm checkpoint, written by timm."""
    folder = tmp_path_factory.mktemp("resnet")
    timm_folder(folder, "test_resnet")
    return files(folder)


def other_weights(checkpoint: dict[str, bytes], folder: Path) -> dict[str, bytes]:
    """The checkpoint's files with other weights."""
    from safetensors.torch import load, save

    tensors = {k: v * 1.5 for k, v in load(checkpoint["model.safetensors"]).items()}
    return {**checkpoint, "model.safetensors": save(tensors, {"format": "pt"})}


def scores(name: str, **options) -> np.ndarray:
    return (
        pvzoo.load(name, device="cpu", **options).predict(NOISE, probabilities=True).probabilities
    )


def downloads(hub: HubServer) -> list[str]:
    """What came from the file store: weights, and nothing else."""
    return [r.path for r in hub.requests if r.host == "cdn" and r.method == "GET"]


def asked_for(hub: HubServer, text: str) -> list[str]:
    return [r.path for r in hub.requests_for(text) if r.method == "GET"]


# -- names and adapters ----------------------------------------------------------------------------


def test_the_adapter_follows_the_config_and_not_the_name(hub, vit, resnet):
    hub.add_repo("timm/not-of-timm", vit)
    hub.add_repo("google/vit-lookalike", resnet)
    assert pvzoo.load("timm/not-of-timm").labels == ("ant", "bee", "cat")
    assert len(pvzoo.load("google/vit-lookalike").labels) == 1000


@pytest.mark.parametrize("name", ["test_resnet.r160_in1k", "test_vit.r160_in1k"])
def test_a_timm_checkpoint_equals_timm_opening_the_same_repo(hub, tmp_path, name):
    import timm

    timm_folder(tmp_path / "m", name.partition(".")[0])
    hub.add_repo(f"timm/{name}", files(tmp_path / "m"))
    theirs = timm.create_model(f"hf-hub:timm/{name}", pretrained=True).eval()
    transform = timm.data.create_transform(
        **timm.data.resolve_model_data_config(theirs), is_training=False
    )
    with torch.inference_mode():
        expected = theirs(transform(NOISE)[None]).softmax(-1)[0].numpy()
    np.testing.assert_allclose(scores(f"timm/{name}"), expected, rtol=0, atol=1e-6)


def test_a_timm_name_served_elsewhere_is_found_through_timms_table(hub, tmp_path):
    import timm

    timm_folder(tmp_path / "m", "cspnext_tiny", safe=False)
    weights = (tmp_path / "m" / "pytorch_model.bin").read_bytes()
    hub.add_repo("munehiro-k/cspnext_tiny.rsb_a1_in1k", {"pytorch_model.bin": weights})
    theirs = timm.create_model("cspnext_tiny.rsb_a1_in1k", pretrained=True).eval()
    transform = timm.data.create_transform(
        **timm.data.resolve_model_data_config(theirs), is_training=False
    )
    with torch.inference_mode():
        expected = theirs(transform(NOISE)[None]).softmax(-1)[0].numpy()
    np.testing.assert_allclose(scores("timm/cspnext_tiny.rsb_a1_in1k"), expected, rtol=0, atol=1e-6)
    assert not asked_for(hub, "timm/cspnext")


def test_a_timm_name_without_a_repo_says_where_timm_has_it(hub):
    with pytest.raises(UnsupportedModelError, match=r"gcvit_base\.in1k at https?://"):
        pvzoo.load("timm/gcvit_base.in1k")


def test_a_catalogue_name_takes_its_weights_from_the_hub(hub, tmp_path):
    timm_folder(tmp_path / "m", "resnet18")
    hub.add_repo("timm/resnet18.a1_in1k", files(tmp_path / "m"))
    model = pvzoo.load("ResNet18")
    assert (model.name, model.card.source.hub) == ("resnet18", "timm/resnet18.a1_in1k")


def test_a_model_is_listed_as_loading_offline_once_all_of_it_is_in_the_cache(
    hub, tmp_path, monkeypatch
):
    def offline() -> list[str]:
        return [card.name for card in pvzoo.list_models("resnet18", offline=True)]

    timm_folder(tmp_path / "m", "resnet18")
    hub.add_repo("timm/resnet18.a1_in1k", files(tmp_path / "m"))
    assert offline() == []
    pvzoo.load("resnet18")
    seen = len(hub.requests)
    assert offline() == ["resnet18"]
    assert len(hub.requests) == seen
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert pvzoo.load("resnet18").name == "resnet18"
    next((tmp_path / "hf-home/hub").rglob("snapshots/*/model.safetensors")).unlink()
    assert offline() == []
    with pytest.raises(HubError, match="not in the cache"):
        pvzoo.load("resnet18")


def test_a_deit_repo_of_the_model_type_vit_loads(hub, vit):
    assert json.loads(vit["config.json"])["model_type"] == "vit"
    hub.add_repo("facebook/deit-tiny-patch16-224", vit)
    assert pvzoo.load("facebook/deit-tiny-patch16-224").labels == ("ant", "bee", "cat")


def test_a_renamed_repo_loads_by_its_old_name(hub, vit):
    hub.add_repo("old/name", vit)
    hub.rename("old/name", "new/name")
    assert pvzoo.load("old/name").name == "old/name"


# -- revisions and the cache -----------------------------------------------------------------------


def test_a_revision_is_a_branch_a_tag_or_a_commit(hub, vit, tmp_path):
    first = hub.add_repo("org/m", vit)
    hub.tag("org/m", "v1")
    hub.branch("org/m", "other/branch")
    hub.commit("org/m", other_weights(vit, tmp_path), "other/branch")
    hub.commit("org/m", other_weights(vit, tmp_path))
    old, new = scores("org/m", revision="v1"), scores("org/m")
    assert abs(old - new).max() > 1e-3
    np.testing.assert_array_equal(scores("org/m", revision=first), old)
    np.testing.assert_array_equal(scores("org/m", revision="other/branch"), new)
    hub.stop()
    np.testing.assert_array_equal(scores("org/m", revision="v1"), old)
    np.testing.assert_array_equal(scores("org/m", revision=first), old)
    np.testing.assert_array_equal(scores("org/m", revision="other/branch"), new)
    np.testing.assert_array_equal(scores("org/m"), new)


def test_a_new_commit_is_seen_and_the_second_load_downloads_nothing(hub, vit, tmp_path):
    hub.add_repo("org/m", vit)
    before = scores("org/m")
    assert len(downloads(hub)) == 1
    np.testing.assert_array_equal(scores("org/m"), before)
    assert len(downloads(hub)) == 1
    hub.commit("org/m", other_weights(vit, tmp_path))
    assert abs(scores("org/m") - before).max() > 1e-3
    assert len(downloads(hub)) == 2


def test_everything_is_in_huggingface_hubs_cache(hub, vit, tmp_path):
    hub.add_repo("org/m", vit)
    pvzoo.load("org/m")
    assert {p.name for p in tmp_path.iterdir()} == {"hf-home"}
    assert {p.name for p in (tmp_path / "hf-home").iterdir()} <= {"hub", "modules"}
    assert (tmp_path / "hf-home/hub/models--org--m/refs/main").is_file()


def test_weights_that_other_tools_cached_are_not_downloaded_again(hub, vit):
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    hub.add_repo("org/m", vit)
    AutoModelForImageClassification.from_pretrained("org/m")
    AutoImageProcessor.from_pretrained("org/m")
    count = len(downloads(hub))
    pvzoo.load("org/m")
    assert len(downloads(hub)) == count
    hub.stop()
    pvzoo.load("org/m")


@pytest.mark.parametrize("kind", ["offline", "down", "503", "429", "slow"])
def test_without_the_hub_the_cache_is_enough_and_its_lack_is_told_at_once(
    hub, vit, monkeypatch, kind
):
    hub.add_repo("org/m", vit)
    sha = hub.add_repo("org/other", vit)
    expected = scores("org/m")
    seen = len(hub.requests)
    if kind == "offline":
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    elif kind == "down":
        hub.stop()
    elif kind == "slow":
        monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 0.1)
        hub.delay_next(100, seconds=0.4)
    else:
        hub.fail_next(100, int(kind))
    start = time.perf_counter()
    np.testing.assert_allclose(scores("org/m"), expected, rtol=0, atol=1e-6)
    for revision in (None, sha, "main"):
        with pytest.raises(HubError, match=r"org/other.* is not in the cache") as caught:
            pvzoo.load("org/other", revision=revision)
        assert caught.value.hint
    assert time.perf_counter() - start < 5
    if kind == "offline":
        assert len(hub.requests) == seen


def test_half_a_cached_checkpoint_is_not_taken_for_a_whole_one(hub, tmp_path, monkeypatch):
    transformers_folder(tmp_path / "m", "vit", max_shard_size="10KB")
    hub.add_repo("org/m", files(tmp_path / "m"))
    pvzoo.load("org/m")
    snapshot = next((tmp_path / "hf-home/hub/models--org--m/snapshots").iterdir())
    shards = sorted(snapshot.glob("*.safetensors"))
    assert len(shards) > 2
    shards[1].unlink()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match="org/m is not in the cache"):
        pvzoo.load("org/m")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    assert pvzoo.load("org/m").labels == ("ant", "bee", "cat")  # fixes itself


def test_a_cut_download_is_taken_up_again(hub, vit):
    hub.add_repo("org/m", vit)
    hub.truncate_next(1000, times=1)
    assert pvzoo.load("org/m").labels == ("ant", "bee", "cat")


def test_a_download_cut_for_good_is_an_error_and_the_next_try_succeeds(hub, vit):
    hub.add_repo("org/m", vit)
    hub.truncate_next(1000, times=50)
    with pytest.raises(HubError, match="org/m") as caught:
        pvzoo.load("org/m")
    assert caught.value.hint
    hub.clear_faults()
    assert pvzoo.load("org/m").labels == ("ant", "bee", "cat")


def test_a_hub_that_fails_after_the_config_is_an_error_of_the_hub(hub, vit):
    from pvzoo.hub import download as weights

    hub.add_repo("org/m", vit)
    found = weights.find(weights.WeightsSource(hub="org/m"), "org/m", {}, trust_remote_code=False)
    hub.fail_next(100)
    with pytest.raises(HubError, match=r"download of org/m stopped.*again"):
        found.fetch()
    hub.clear_faults()
    assert found.fetch().weights.name == "model.safetensors"


def test_a_cache_that_cannot_be_written_is_an_error_that_names_it(hub, vit, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    hub.add_repo("org/m", vit)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "file" / "hub"))
    with pytest.raises(HubError, match=r"org/m cannot be downloaded into the cache .*file"):
        pvzoo.load("org/m")


def test_a_download_shows_its_progress_on_stderr(hub, vit, tmp_path):
    hub.add_repo("org/m", vit)
    code = (
        "from pvzoo.hub import download as hub; "
        "found = hub.find(hub.WeightsSource(hub='org/m'), 'org/m', {}, trust_remote_code=False); "
        "print(found.fetch().weights.name)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **client_env(hub, tmp_path / "fresh")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "model.safetensors\n"
    assert "100%|" in done.stderr


# -- which files -----------------------------------------------------------------------------------


def test_of_a_pickle_and_safetensors_only_the_safetensors_come(hub, vit, vit_bin):
    hub.add_repo("org/both", {**vit, **vit_bin, "tf_model.h5": b"h5", "onnx/model.onnx": b"onnx"})
    pvzoo.load("org/both")
    assert len(downloads(hub)) == 1
    assert not asked_for(hub, ".bin")
    assert not asked_for(hub, ".h5")
    assert not asked_for(hub, ".onnx")


@pytest.mark.parametrize("sharded", [False, True])
def test_a_pickle_alone_loads_and_starts_no_conversion(hub, vit_bin, monkeypatch, sharded):
    monkeypatch.delenv("DISABLE_SAFETENSORS_CONVERSION", raising=False)
    started = []
    original = threading.Thread.start
    monkeypatch.setattr(
        threading.Thread, "start", lambda self: (started.append(self.name), original(self))[1]
    )
    checkpoint = dict(vit_bin)
    if sharded:
        data = torch.load(io.BytesIO(checkpoint.pop("pytorch_model.bin")))
        parts = {}
        for number, (name, tensor) in enumerate(data.items()):
            parts.setdefault(f"pytorch_model-0000{number % 2 + 1}-of-00002.bin", {})[name] = tensor
        index = {name: shard for shard, part in parts.items() for name in part}
        checkpoint["pytorch_model.bin.index.json"] = json.dumps(
            {"metadata": {}, "weight_map": index}
        ).encode()
        for shard, part in parts.items():
            buffer = io.BytesIO()
            torch.save(part, buffer)
            checkpoint[shard] = buffer.getvalue()
    hub.add_repo("org/bin", checkpoint)
    expected = scores("org/bin")
    assert len(downloads(hub)) == 1 + sharded
    assert not [name for name in started if "conversion" in name]
    assert not [r for r in hub.requests if "discussions" in r.path or r.method == "POST"]
    assert expected.shape == (3,)


def test_shards_are_all_fetched_and_one_missing_on_the_hub_is_named(hub, vit, tmp_path):
    transformers_folder(tmp_path / "m", "vit", max_shard_size="10KB")
    sharded = files(tmp_path / "m")
    hub.add_repo("org/sharded", sharded)
    hub.add_repo("org/whole", vit)
    np.testing.assert_array_equal(scores("org/sharded"), scores("org/whole"))
    lost = next(name for name in sharded if "00002-of" in name)
    hub.add_repo("org/lost", {k: v for k, v in sharded.items() if k != lost})
    with pytest.raises(WeightsError, match=lost):
        pvzoo.load("org/lost")


class _Attack:
    def __reduce__(self):
        return os.system, (f"touch {_Attack.target}",)


@pytest.mark.parametrize("kind", ["transformers", "timm"])
def test_a_pickle_with_code_in_it_is_refused_and_the_code_not_run(
    hub, vit_bin, resnet, tmp_path, kind
):
    _Attack.target = tmp_path / "attacked"
    config = vit_bin if kind == "transformers" else {"config.json": resnet["config.json"]}
    hub.add_repo("org/bad", {**config, "pytorch_model.bin": pickle.dumps({"x": _Attack()}, 2)})
    with pytest.raises(WeightsError, match="pickle that contains more than tensors"):
        pvzoo.load("org/bad")
    torch.save({"x": _Attack()}, tmp_path / "zip.bin")
    hub.commit("org/bad", {"pytorch_model.bin": (tmp_path / "zip.bin").read_bytes()})
    with pytest.raises(WeightsError, match="pickle that contains more than tensors"):
        pvzoo.load("org/bad")
    assert not _Attack.target.exists()


CODE = b"""
import pathlib
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import ImageClassifierOutput
from torch import nn
from .helper import WIDTH
pathlib.Path("%s").touch()


class ToyConfig(PreTrainedConfig):
    model_type = "toy-remote"


class ToyModel(PreTrainedModel):
    config_class = ToyConfig

    def __init__(self, config):
        super().__init__(config)
        self.head = nn.Linear(WIDTH, config.num_labels)
        self.post_init()

    def forward(self, pixel_values):
        return ImageClassifierOutput(logits=self.head(pixel_values.mean((2, 3))))
"""


@pytest.mark.filterwarnings("ignore:Classes do not occur")  # no image is of background
def test_code_that_comes_with_a_repo_runs_only_if_trusted(hub, vit, tmp_path, monkeypatch):
    from safetensors.torch import save
    from transformers import dynamic_module_utils

    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    auto_map = {
        "AutoConfig": "toy.ToyConfig",
        "AutoModelForImageClassification": "toy.ToyModel",
    }
    config = {"model_type": "toy-remote", "architectures": ["ToyModel"], "auto_map": auto_map}
    config["id2label"] = {0: "no", 1: "yes"}
    weights = {"head.weight": torch.eye(2, 3), "head.bias": torch.zeros(2)}
    hub.add_repo(
        "org/toy",
        {
            "config.json": json.dumps(config).encode(),
            "preprocessor_config.json": vit["preprocessor_config.json"],
            "model.safetensors": save(weights, {"format": "pt"}),
            "toy.py": CODE % str(tmp_path / "ran").encode(),
            "helper.py": b"WIDTH = 3",
        },
    )
    with pytest.raises(UnsupportedModelError, match=r"its own Python code.*trust_remote_code=True"):
        pvzoo.load("org/toy")
    assert not asked_for(hub, ".py")
    assert not downloads(hub)
    assert not (tmp_path / "ran").exists()
    model = pvzoo.load("org/toy", trust_remote_code=True)
    assert (tmp_path / "ran").exists()
    assert model.labels == ("no", "yes")
    assert model.predict(NOISE).scores.sum() == pytest.approx(1)
    # once trusted it is trained too, and its best weights are loaded in the end
    data = colour_model.dataset(schema.CLASSIFICATION, tmp_path / "images", 30)
    options = {"epochs": 2, "output_dir": tmp_path / "run"}
    tuned = model.fine_tune(data.select(range(20)), data.select(range(20, 30)), **options)
    again = pvzoo.load(tmp_path / "run", trust_remote_code=True)
    assert again.labels == tuned.labels
    assert np.array_equal(again.predict(NOISE).scores, tuned.predict(NOISE).scores)


def test_a_config_of_a_known_kind_needs_no_trust_for_code_beside_it(hub, vit):
    config = json.loads(vit["config.json"]) | {"auto_map": {"AutoConfig": "x.C"}}
    hub.add_repo("org/m", {**vit, "config.json": json.dumps(config).encode(), "x.py": b"1 / 0"})
    assert pvzoo.load("org/m").labels == ("ant", "bee", "cat")


# -- refusals --------------------------------------------------------------------------------------


def refused(error: type[PvzooError], match: str, name: str, **options) -> PvzooError:
    """The error of a load: of the class itself, naming the model, with a way out."""
    with pytest.raises(error, match=match) as caught:
        pvzoo.load(name, **options)
    assert name in str(caught.value)
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize(
    ("family", "head"), [("vit", "Model"), ("bert", "ForSequenceClassification"), ("bert", "Model")]
)
def test_a_repo_without_a_vision_head_is_refused_before_its_weights_come(hub, vit, family, head):
    named = {"vit": "ViT", "bert": "Bert"}[family] + head
    config = json.dumps({"model_type": family, "architectures": [named]}).encode()
    hub.add_repo("org/m", {**vit, "config.json": config})
    refused(UnsupportedModelError, named, "org/m")
    assert not downloads(hub)


@pytest.mark.parametrize(
    "name", ["vit_small_patch14_dinov2.lvd142m", "vit_base_patch16_clip_224.openai"]
)
def test_a_timm_backbone_without_classes_is_refused_before_its_weights_come(hub, name):
    import timm

    architecture, _, tag = name.partition(".")
    cfg = timm.models.get_pretrained_cfg(name).to_dict() | {"tag": tag}
    config = {
        "architecture": architecture,
        "pretrained_cfg": cfg,
        "num_classes": cfg["num_classes"],
    }
    hub.add_repo(
        f"timm/{name}", {"config.json": json.dumps(config).encode(), "model.safetensors": b"0"}
    )
    refused(UnsupportedModelError, architecture, f"timm/{name}")
    assert not downloads(hub)


def test_weights_that_lack_the_head_are_refused_rather_than_made_up(hub, vit):
    from safetensors.torch import load, save

    tensors = load(vit["model.safetensors"])
    kept = {k: v for k, v in tensors.items() if not k.startswith("classifier")}
    hub.add_repo("org/m", {**vit, "model.safetensors": save(kept, {"format": "pt"})})
    refused(WeightsError, r"classifier\.", "org/m")


def test_weights_of_another_shape_are_refused(hub, vit):
    config = json.loads(vit["config.json"])
    config["id2label"] = {str(i): f"c{i}" for i in range(5)}
    hub.add_repo("org/m", {**vit, "config.json": json.dumps(config).encode()})
    refused(WeightsError, "classifier", "org/m")


def test_damaged_weights_are_refused(hub, vit, vit_bin, resnet):
    for number, checkpoint in enumerate((vit, vit_bin, resnet)):
        cut = {
            k: v[:500] if k.startswith(("model", "pytorch")) else v for k, v in checkpoint.items()
        }
        hub.add_repo(f"org/m{number}", cut)
        with pytest.raises(WeightsError, match=r"Fetch it again|damaged"):
            pvzoo.load(f"org/m{number}")


@pytest.mark.parametrize("text", [b"{", b"[]", b"\xff", b""])
def test_a_damaged_config_is_refused(hub, vit, text):
    hub.add_repo("org/m", {**vit, "config.json": text})
    with pytest.raises(WeightsError, match=r"config\.json"):
        pvzoo.load("org/m")


def test_a_missing_processor_is_refused(hub, vit):
    hub.add_repo("org/m", {k: v for k, v in vit.items() if k != "preprocessor_config.json"})
    refused(WeightsError, "preprocessor_config.json", "org/m")


def test_a_repo_without_config_or_weights_is_refused(hub, vit):
    hub.add_repo("org/nothing", {"README.md": b"hello"})
    refused(UnsupportedModelError, "no config.json", "org/nothing")
    hub.add_repo("org/tf", {"config.json": vit["config.json"], "tf_model.h5": b"h5"})
    refused(WeightsError, "no weights that PyTorch can read", "org/tf")


@pytest.mark.parametrize("name", ["runs/nope", "runs/deep/nope"])
@pytest.mark.parametrize("kind", ["answers", "offline", "down"])
def test_the_error_for_a_name_like_a_missing_folder_begins_with_the_folder(
    hub, tmp_path, monkeypatch, name, kind
):
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / f"{name}2").mkdir()
    monkeypatch.chdir(tmp_path)
    if kind == "offline":
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    elif kind == "down":
        hub.fail_next(100, 503)
    with pytest.raises(PvzooError) as caught:
        pvzoo.load(name)
    assert caught.value.what.startswith(f"There is no folder {name} (here is {tmp_path}). ")
    assert caught.value.hint.startswith(f"Did you mean '{name}2'?")
    hub_says = {"answers": "no repo", "offline": "HF_HUB_OFFLINE is on", "down": "is not working"}
    assert ("not a Hub repo id" if "deep" in name else hub_says[kind]) in caught.value.what


def test_unknown_private_and_gated_repos_say_what_to_do(hub, vit, monkeypatch, tmp_path):
    hub.add_repo("org/private", vit, private=True)
    hub.add_repo("org/gated", vit, gated=True)
    for token in (None, NO_GRANT_TOKEN):
        redirect_client(monkeypatch, hub, tmp_path / "hf-home", token)
        refused(ModelNotFoundError, "no repo.*HF_TOKEN", "org/absent")
        refused(ModelNotFoundError, "private.*HF_TOKEN", "org/private")
        refused(HubError, "gated.*Ask for access", "org/gated")
    assert not downloads(hub)
    redirect_client(monkeypatch, hub, tmp_path / "hf-home", GOOD_TOKEN)
    assert pvzoo.load("org/private").labels == pvzoo.load("org/gated").labels


def test_a_wrong_token_is_told_from_a_missing_repo(hub, vit, monkeypatch, tmp_path):
    hub.add_repo("org/m", vit)
    redirect_client(monkeypatch, hub, tmp_path / "hf-home", "hf_wrong")
    refused(HubError, "refused the access token.*HF_TOKEN", "org/m")


def test_a_missing_revision_is_named(hub, vit):
    hub.add_repo("org/m", vit)
    pvzoo.load("org/m")
    refused(ModelNotFoundError, "no revision 'v9'", "org/m", revision="v9")
    refused(ModelNotFoundError, "no revision", "org/m", revision="0" * 40)


def test_a_misspelt_name_is_answered_with_the_nearest(hub):
    refused(ModelNotFoundError, "Did you mean.*'resnet50'", "resnet5O")
    assert not hub.requests


@pytest.mark.parametrize("offline", [False, True])
@pytest.mark.parametrize("name", ["a/b/c", "https://huggingface.co/a/b", "hf-hub:timm/x", "org/"])
def test_what_is_no_repo_id_is_refused(hub, monkeypatch, name, offline):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    refused(ModelNotFoundError, "repo id", name)
    assert not hub.requests


def test_bad_arguments_are_refused_before_anything_is_downloaded(hub, vit):
    hub.add_repo("org/m", vit)
    for options in ({"dtype": "float31"}, {"dtype": "int8"}, {"task": "image-clasification"}):
        with pytest.raises(UsageError):
            pvzoo.load("org/m", **options)
    assert not hub.requests
    with pytest.raises(UsageError, match=r"runtime 'torhc'.*'torch'"):
        pvzoo.load("org/m", runtime="torhc")
    assert not downloads(hub)
