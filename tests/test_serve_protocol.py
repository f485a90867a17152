"""The Open Inference Protocol: the raw network over HTTP."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from serving import DETECTOR, brightness, running, scenes

import pvzoo
from pvzoo.serve import Limits
from pvzoo.serve.inference_protocol import infer

INFER = "/v2/models/shapes/infer"


@pytest.fixture(scope="module")
def model():
    return pvzoo.load(DETECTOR)


@pytest.fixture(scope="module")
def client(model):
    with running({"shapes": model, "brightness": brightness()}) as client:
        yield client


@pytest.fixture(scope="module")
def arrays(model):
    """The inputs of the network for two scenes."""
    prepared = [model.adapter.preprocess(scene)[0] for scene in scenes(2)]
    return {name: np.concatenate([p[name] for p in prepared]) for name in prepared[0]}


def tensor(name, array, changes=None):
    entry = {"name": name, "datatype": "FP32", "shape": list(array.shape), "data": array.tolist()}
    return {**entry, **(changes or {})}


def test_the_network_answers_with_its_own_outputs(client, model, arrays):
    told = client.get("/v2/models/shapes").json()
    assert told["platform"] == "onnxruntime"
    assert {entry["name"] for entry in told["inputs"]} == arrays.keys()
    inputs = [tensor(name, array) for name, array in arrays.items()]
    answer = client.post(INFER, json={"id": "7", "inputs": inputs})
    assert answer.status_code == 200, answer.text
    assert (answer.json()["id"], answer.json()["model_name"]) == ("7", "shapes")
    expected = model.runtime("model", arrays)
    found = {entry["name"]: entry for entry in answer.json()["outputs"]}
    assert found.keys() == expected.keys() == {entry["name"] for entry in told["outputs"]}
    for name, array in expected.items():
        values = np.array(found[name]["data"], np.float32).reshape(found[name]["shape"])
        assert np.allclose(values, array, atol=1e-5)


def test_outputs_can_be_chosen_and_data_may_be_flat(client, arrays):
    inputs = [
        tensor(name, array, {"data": array.ravel().tolist()}) for name, array in arrays.items()
    ]
    request = {"inputs": inputs, "outputs": [{"name": "logits"}]}
    (output,) = client.post(INFER, json=request).json()["outputs"]
    assert output["name"] == "logits"


def test_a_request_of_unknown_length_is_answered(client, arrays):
    inputs = [tensor(name, array) for name, array in arrays.items()]
    body = json.dumps({"inputs": inputs, "outputs": [{"name": "logits"}]}).encode()
    assert client.post(INFER, content=iter([body[:1000], body[1000:]])).status_code == 200
    endless = client.post(INFER, content=(bytes(2**20) for _ in range(17)))
    assert endless.status_code == 413
    assert "more than 16,777,216 bytes" in endless.json()["error"]


def test_the_server_and_its_models_are_ready(client):
    assert client.get("/v2").json()["name"] == "pvzoo"
    for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/shapes/ready"):
        assert client.get(path).status_code == 200


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"name": "pixels"}, 422, "no input 'pixels'. It has: pixel_values"),
        ({"datatype": "FP16"}, 422, "is 'FP16'. The network takes FP32."),
        ({"shape": [1, 3, 128]}, 422, "The network takes ["),
        ({"shape": [1, 3, -1, 128]}, 400, "Send positive numbers."),
        ({"shape": "large"}, 400, "Send positive numbers."),
        ({"shape": [9, 3, 128, 128]}, 413, "a batch of 9, more than 8"),
        ({"data": [1, 2, 3]}, 400, "has 3 values, but its shape"),
        ({"data": ["a"]}, 400, "is not an array of FP32"),
        ({"data": [[1], [1, 2]]}, 400, "is not an array of FP32"),
        ({"data": None}, 400, "values, but its shape"),
    ],
)
def test_a_wrong_array_is_answered_by_a_sentence(client, arrays, changes, status, words):
    (name,) = arrays
    answer = client.post(INFER, json={"inputs": [tensor(name, arrays[name], changes)]})
    assert (answer.status_code, words in answer.json()["error"]) == (status, True), answer.text


@pytest.mark.parametrize(
    ("path", "request_", "status", "words"),
    [
        (INFER, {"json": {}}, 400, 'no list "inputs"'),
        (INFER, {"json": {"inputs": [7]}}, 400, "lacks name, datatype"),
        (INFER, {"json": {"inputs": []}}, 422, "'pixel_values' is missing"),
        (INFER, {"content": b"[[["}, 400, "The body is not JSON"),
        (INFER, {"content": bytes(2**25)}, 413, "more than 16,777,216 bytes"),
        ("/v2/models/other/infer", {"json": {}}, 404, "no model 'other'"),
        ("/v2/models/brightness/infer", {"json": {}}, 404, "not an exported model"),
    ],
)
def test_a_wrong_request_is_answered_by_a_sentence(client, path, request_, status, words):
    answer = client.post(path, **request_)
    assert (answer.status_code, words in answer.json()["error"]) == (status, True), answer.text


@pytest.mark.parametrize("value", ["null", "1e999", "-1e39"])
def test_data_that_is_not_finite_is_refused(client, value):
    body = (
        '{"inputs": [{"name": "pixel_values", "datatype": "FP32", "shape": [1, 3, 128, 128], '
        f'"data": [{value}{", 0" * (3 * 128 * 128 - 1)}]}}]}}'
    )
    answer = client.post(INFER, content=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"] == (
        "The data of pixel_values has null or a number too large for FP32. Correct it."
    )


def test_an_output_that_is_not_finite_is_an_error(model, arrays):
    """A runtime of a plugin may give such outputs; those of pvzoo raise an error themselves."""

    def runtime(graph, inputs):
        return {name: np.full((1, 2), np.nan) for name in model.manifest.graphs[graph].outputs}

    other = SimpleNamespace(manifest=model.manifest, runtime=runtime)
    body = json.dumps({"inputs": [tensor(name, array) for name, array in arrays.items()]})
    with pytest.raises(pvzoo.PvzooError, match="An output of the network is not finite") as error:
        infer(body.encode(), other, "shapes", Limits())
    assert error.value.status == 422


def test_an_unknown_output_is_refused(client, arrays):
    inputs = [tensor(name, array) for name, array in arrays.items()]
    answer = client.post(INFER, json={"inputs": inputs, "outputs": [{"name": "masks"}]})
    assert answer.status_code == 422
    assert "no output 'masks'. It has: " in answer.json()["error"]
