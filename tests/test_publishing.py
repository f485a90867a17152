"""`Model.save` and `Model.push_to_hub`: what they write opens everywhere."""

from __future__ import annotations

import base64
import importlib.util
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
import transformers
from checkpoints import timm_folder, transformers_folder
from hub_server import GOOD_TOKEN
from huggingface_hub import ModelCard, snapshot_download
from PIL import Image

import pvzoo
from pvzoo.errors import HubError, UsageError

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def vit(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vit")
    transformers_folder(folder, "vit")
    return pvzoo.load(folder, device="cpu")


def test_a_saved_model_opens_with_pvzoo_and_with_transformers(vit, tmp_path):
    folder = vit.save(tmp_path / "saved" / "mine")
    again = pvzoo.load(folder, device="cpu")
    assert np.array_equal(again.predict(NOISE).scores, vit.predict(NOISE).scores)
    assert again.labels == vit.labels
    plain = transformers.AutoModelForImageClassification.from_pretrained(folder)
    assert tuple(plain.config.id2label.values()) == vit.labels
    transformers.AutoImageProcessor.from_pretrained(folder)


def test_a_timm_model_opens_with_timm_and_with_transformers(tmp_path):
    timm_folder(tmp_path / "start", num_classes=3)
    model = pvzoo.load(tmp_path / "start", device="cpu")
    folder = model.save(tmp_path / "mine")
    again = pvzoo.load(folder, device="cpu")
    assert np.array_equal(again.predict(NOISE).scores, model.predict(NOISE).scores)
    card = ModelCard.load(folder / "README.md")
    assert card.data.library_name == "timm"
    code = card.content.split("```python\n")[2].partition("```")[0]
    exec(code.replace('"mine"', repr(str(folder))), {})
    transformers.AutoModelForImageClassification.from_pretrained(folder)


@pytest.mark.parametrize("masked", [0o022, 0o002, 0o077])
def test_what_is_saved_has_the_modes_that_new_files_get(vit, tmp_path, masked):
    before = os.umask(masked)
    try:
        folder = vit.save(tmp_path / "mine")
    finally:
        os.umask(before)
    assert folder.stat().st_mode & 0o777 == 0o777 & ~masked
    modes = {file.name: file.stat().st_mode & 0o777 for file in folder.iterdir()}
    assert modes == dict.fromkeys(modes, 0o666 & ~masked)
    assert "model.safetensors" in modes


def test_its_card_says_what_it_is_and_how_to_open_it(vit, tmp_path):
    folder = vit.save(tmp_path / "mine")
    card = ModelCard.load(folder / "README.md")
    assert card.data.pipeline_tag == "image-classification"
    assert card.data.library_name == "transformers"
    assert "ant, bee, cat" in card.content
    snippets = card.content.split("```python\n")[1:]
    assert len(snippets) == 2
    for snippet in snippets:
        code = snippet.partition("```")[0].replace('"mine"', repr(str(folder)))
        exec(code.replace('"photo.jpg"', "NOISE"), {"NOISE": NOISE})


def test_a_folder_with_something_in_it_is_left_alone(vit, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="not empty"):
        vit.save(tmp_path / "mine")
    assert [p.name for p in tmp_path.rglob("*")] == ["mine", "thesis.tex"]


def test_when_writing_fails_nothing_is_left(vit, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(vit.network._processor, "save_pretrained", full)
    with pytest.raises(UsageError, match="No space left"):
        vit.save(tmp_path / "mine")
    assert list(tmp_path.iterdir()) == []


def test_a_pushed_model_is_loaded_by_its_name_by_whoever_comes(vit, hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", GOOD_TOKEN)
    address = vit.push_to_hub("me/ants-and-bees", message="First ants")
    assert "me/ants-and-bees" in address
    again = pvzoo.load("me/ants-and-bees", device="cpu")
    assert np.array_equal(again.predict(NOISE).scores, vit.predict(NOISE).scores)
    vit.push_to_hub("me/ants-and-bees")  # once more, into the repo that is there now


def test_a_model_pushed_as_an_endpoint_answers_as_the_toolkit_of_hugging_face_asks(
    vit, hub, monkeypatch, tmp_path
):
    monkeypatch.setenv("HF_TOKEN", GOOD_TOKEN)
    vit.push_to_hub("me/endpoint", endpoint=True)
    folder = Path(snapshot_download("me/endpoint"))
    requirements = (folder / "requirements.txt").read_text().splitlines()
    assert requirements == [f"pvzoo[torch]=={pvzoo.__version__}"]
    spec = importlib.util.spec_from_file_location("handler", folder / "handler.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    handler = module.EndpointHandler(str(folder))
    expected = json.loads(vit.predict(NOISE, top_k=2).to_json())["predictions"]
    buffer = io.BytesIO()
    image = NOISE
    image.save(buffer, "PNG")
    text = base64.b64encode(buffer.getvalue()).decode()
    for sent in (image, buffer.getvalue(), text, f"data:image/png;base64,{text}"):
        answer = handler({"inputs": sent, "parameters": {"top_k": 2}})
        assert answer["predictions"] == expected
    image.save(tmp_path / "secret.png")
    for path in (str(tmp_path / "secret.png"), "http://127.0.0.1/x.png", None, 7):
        with pytest.raises(ValueError, match="inputs is not"):
            handler({"inputs": path})
    with pytest.raises(UsageError, match="no option 'topk'"):
        handler({"inputs": image, "parameters": {"topk": 1}})


def test_pushing_without_a_right_to_is_a_clear_error(vit, hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(HubError, match="HF_TOKEN"):
        vit.push_to_hub("me/ants-and-bees")


def test_a_hub_out_of_reach_is_said_with_what_to_do(vit, hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", GOOD_TOKEN)
    hub.stop()
    with pytest.raises(HubError, match=r"me/ants was not uploaded: the Hub .* model\.save"):
        vit.push_to_hub("me/ants")
