"""The models of a server: within a budget, and without a word on where they lie."""

import pytest

import pvzoo
from pvzoo.catalog import catalogue
from pvzoo.web.model_cache import Shelf


def test_the_models_used_least_recently_are_dropped(monkeypatch):
    names = ["shapes-detector", "shapes-mask2former-semantic", "shapes-mask2former-panoptic"]
    sizes = {name: pvzoo.load(name).nbytes for name in names}
    dropped = []
    budget = sizes[names[0]] + sizes[names[1]] + 1000
    shelf = Shelf((), names, budget=budget, dropped=dropped.append)
    first = shelf.get(names[0])
    assert shelf.get(names[0]) is first
    shelf.get(names[1])
    shelf.get(names[0])
    shelf.get(names[2])
    assert dropped == [names[1]]
    assert [shelf.is_loaded(name) for name in names] == [True, False, True]


def test_a_model_larger_than_the_budget_is_refused_before_it_is_fetched():
    shelf = Shelf((), ["detr-resnet50"], budget=10_000_000)
    with pytest.raises(pvzoo.PvzooError, match=r"detr-resnet50 needs 0\.2 GB, more than"):
        shelf.get("detr-resnet50")


def test_a_model_that_cannot_be_fetched_says_so_without_the_paths_of_the_server(monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(pvzoo.PvzooError) as error:
        Shelf((), ["detr-resnet50"], budget=10**10).get("detr-resnet50")
    assert str(error.value).startswith("detr-resnet50 cannot be fetched from the Hub now.")
    assert "/" not in str(error.value)


@pytest.fixture
def user_catalog(tmp_path, monkeypatch):
    """Writes the user's own catalogue and makes pvzoo see it."""

    def write(text):
        (tmp_path / "mine.toml").write_text(text)
        monkeypatch.setenv("PVZOO_CATALOG", str(tmp_path / "mine.toml"))
        catalogue.refresh()

    yield write
    monkeypatch.undo()
    catalogue.refresh()


def test_a_model_that_cannot_be_loaded_does_not_say_where_it_lies(tmp_path, user_catalog, caplog):
    folder = pvzoo.load("shapes-detector").save(tmp_path / "best")
    (folder / "model.safetensors").unlink()
    user_catalog(
        f"""contract = 2
[[models]]
name = "mine"
task = "object-detection"
adapter = "transformers-detection"
source = {{ path = "{folder}" }}
"""
    )
    with pytest.raises(pvzoo.PvzooError) as error:
        Shelf((), ["mine"], budget=10**10).get("mine")
    message = "mine cannot be loaded now. Try again later, or choose another model."
    assert str(error.value) == message
    assert str(folder) in caplog.text, "those who run the server read it in its log"
