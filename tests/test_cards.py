"""The catalogue: its schema, its search, the user's own files, and pvzoo's own 191 cards."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time
import zipfile
from collections import Counter
from pathlib import Path

import platformdirs
import pytest
from plugin_venv import Dist

import pvzoo
from pvzoo.catalog import cards, schema
from pvzoo.catalog.cards import WeightsSource
from pvzoo.catalog.catalogue import catalogue, info, refresh
from pvzoo.catalog.files import CatalogFile, read_catalog
from pvzoo.catalog.search import list_models
from pvzoo.errors import CatalogError, ModelNotFoundError, NameClashError, PvzooWarning, UsageError

CARD = """
[[models]]
name = "mine"
task = "image-classification"
adapter = "timm"
source = { hub = "me/mine" }
"""


@pytest.fixture(autouse=True)
def _fresh():
    """No catalogue of one test is seen by another."""
    refresh()
    yield
    refresh()


@pytest.fixture
def user_catalog(tmp_path, monkeypatch):
    """Writes the user's own catalogue and makes pvzoo see it."""

    def write(text: str) -> Path:
        file = tmp_path / "mine.toml"
        file.write_text(text)
        monkeypatch.setenv("PVZOO_CATALOG", str(file))
        refresh()
        return file

    return write


def read(tmp_path: Path, text: str, dist: str = "zoo") -> CatalogFile:
    file = tmp_path / "catalog.toml"
    file.write_text(text)
    return read_catalog(file, dist)


# --- schema ---------------------------------------------------------------------------------------

PACKAGED = 'source = {{ package = "{}", file = "{}", sha256 = "{}" }}'
SHA = "ab" * 32


@pytest.mark.parametrize(
    ("change", "place", "says"),
    [
        (("adapter", "adaptor"), "model 'mine'", "unknown key 'adaptor'. Did you mean 'adapter'"),
        (("[[models]]", "[extra]"), "catalog.toml", "unknown key 'extra'"),
        (("hub =", "repo ="), "model 'mine', source", "unknown key 'repo'"),
        (('task = "image-classification"\n', ""), "model 'mine'", "does not have the key 'task'"),
        (('name = "mine"\n', ""), "model 'number 1'", "does not have the key 'name'"),
        (('"mine"', '"My Model"'), "model 'My Model'", "key 'name' must be lower-case letters"),
        (('"timm"', '" "'), "model 'mine'", "key 'adapter' must be a text that is not empty"),
        (
            ('"timm"', "5"),
            "model 'mine'",
            "key 'adapter' must be a text that is not empty; it is 5",
        ),
        (("me/mine", "mine"), "model 'mine', source", "key 'hub' must be a Hub repo id"),
        (('hub = "me/mine"', ""), "model 'mine', source", "exactly one of the keys"),
        (("hub =", 'path = "here", hub ='), "model 'mine', source", "exactly one of the keys"),
        (('{ hub = "me/mine" }', '"me/mine"'), "model 'mine'", "key 'source' must be a table"),
        (("hub =", "package ="), "model 'mine', source", "key 'package' must be the import name"),
        (
            ('hub = "me/mine"', 'package = "me"'),
            "model 'mine', source",
            "needs 'file' and 'sha256'",
        ),
    ],
)
def test_a_fault_names_the_file_the_model_and_the_key(tmp_path, change, place, says):
    with pytest.raises(CatalogError) as caught:
        read(tmp_path, CARD.replace(*change))
    message = str(caught.value)
    assert message.startswith(str(tmp_path / "catalog.toml"))
    assert place in message
    assert says in message


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("params = 0", "key 'params' must be a whole number above 0; it is 0"),
        ("params = 1.5", "key 'params' must be a whole number"),
        ("params = true", "key 'params' must be a whole number"),
        ('input_size = "224"', "key 'input_size' must be a whole number"),
        ('aliases = "other"', "key 'aliases' must be a list"),
        ('aliases = ["Other"]', "key 'aliases' must be lower-case"),
        ('aliases = ["mine"]', "'mine' names both 'mine' and 'mine'"),
        ('license = ""', "key 'license' must be a text"),
        ('dist = "pvzoo"', "unknown key 'dist'"),
        ('config = "x"', "key 'config' must be a table"),
        ("metrics = [1]", "metric 1 must be a table, not 1"),
        ('metrics = [{ name = "AP" }]', "metric 1 does not have the key 'value'"),
        ('metrics = [{ name = "AP", value = nan }]', "metric 1: the key 'value' must be a finite"),
        ('metrics = [{ name = "AP", value = 1, by = "me" }]', "metric 1 has the unknown key 'by'"),
    ],
)
def test_a_fault_in_what_a_card_may_say_is_named(tmp_path, line, says):
    with pytest.raises(CatalogError) as caught:
        read(tmp_path, CARD + line)
    assert f"{tmp_path / 'catalog.toml'}: " in str(caught.value)
    assert "'mine'" in str(caught.value)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("source", "key"),
    [
        (PACKAGED.format("me", "../w.bin", SHA), "file"),
        (PACKAGED.format("me", "a/../../w.bin", SHA), "file"),
        (PACKAGED.format("me", "/etc/w.bin", SHA), "file"),
        (PACKAGED.format("me", "C:/w.bin", SHA), "file"),
        (PACKAGED.format("me", r"a\\w.bin", SHA), "file"),
        (PACKAGED.format("me.inner", "w.bin", SHA), "package"),
        (PACKAGED.format("me", "w.bin", SHA.upper()), "sha256"),
        (PACKAGED.format("me", "w.bin", "abc"), "sha256"),
        ('source = { hub = "me/mine", rename = [["a"]] }', "rename"),
        ('source = { hub = "me/mine", rename = [["(", "b"]] }', "rename"),
        ('source = { hub = "me/mine", rename = [["a{99999999999}", "b"]] }', "rename"),
    ],
)
def test_a_source_that_leaves_its_package_or_cannot_work_is_refused(tmp_path, source, key):
    with pytest.raises(CatalogError, match=f"model 'mine', source: the key '{key}'"):
        read(tmp_path, CARD.replace('source = { hub = "me/mine" }', source))


@pytest.mark.parametrize("text", ["= 1", "[[models", "a = " + "[" * 5000, "a = " + "9" * 5000])
def test_a_file_that_is_not_toml_is_named(tmp_path, text):
    with pytest.raises(CatalogError, match=r"catalog\.toml cannot be read"):
        read(tmp_path, text)


def test_a_file_that_is_missing_or_not_text_is_named(tmp_path):
    file = tmp_path / "catalog.toml"
    with pytest.raises(CatalogError, match=r"catalog\.toml cannot be read"):
        read_catalog(file)
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CatalogError, match=r"catalog\.toml cannot be read"):
        read_catalog(file)


def test_models_that_are_no_list_of_tables_are_refused(tmp_path):
    with pytest.raises(CatalogError, match="key 'models' must be a list"):
        read(tmp_path, "models = 3")
    with pytest.raises(CatalogError, match="model 'number 1' must be a table, not 3"):
        read(tmp_path, "models = [3]")


def test_a_name_or_alias_may_occur_once_in_a_file(tmp_path):
    other = CARD.replace('"mine"', '"other"') + 'aliases = ["mine"]'
    with pytest.raises(CatalogError, match="'mine' names both 'mine' and 'other'"):
        read(tmp_path, CARD + other)


def test_a_default_must_be_a_model_of_the_same_plugin(tmp_path):
    with pytest.raises(CatalogError, match="'nobody', which is not a model"):
        read(tmp_path, '[defaults]\nimage-classification = "nobody"\n' + CARD)
    with pytest.raises(CatalogError, match="key 'defaults' must be a table of texts"):
        read(tmp_path, "[defaults]\nimage-classification = 3\n" + CARD)


def test_the_schema_and_the_card_have_the_same_keys():
    def names(cls):
        return {f.name for f in dataclasses.fields(cls)}

    assert set(schema._CARD) == names(cards.Card) - {"dist"}
    assert set(schema._METRIC) == names(cards.CardMetric)
    assert set(schema._SOURCE) == names(WeightsSource)
    assert set(schema._FILE) == names(CatalogFile) - {"cards"} | {"contract", "models"}


def test_what_a_file_leaves_out_stays_unknown(tmp_path):
    (card,) = read(tmp_path, CARD).cards
    for name in ("family", "params", "license", "license_upstream", "dataset", "input_size"):
        assert getattr(card, name) is None
    assert card.metrics == ()
    assert card.license_text == "unknown"
    assert not card.permissive
    assert hash(card)


def test_every_key_arrives_on_the_card(tmp_path):
    (card,) = read(
        tmp_path,
        """
[[models]]
name = "full"
task = "object-detection"
adapter = "my-zoo:net"
source = { hub = "me/full", revision = "v2", file = "a/b.bin", rename = [['^a\\.', 'b.']] }
aliases = ["whole"]
family = "net"
params = 1_000_000
license = "other"
license_upstream = "mit"
license_note = "see there"
dataset = "coco-2017"
input_size = 640
metrics = [{ name = "AP", value = 40, dataset = "coco-2017", source = "a paper" }]
summary = "A net"
facts = "a page"
config = { architecture = "net" }
""",
    ).cards
    assert card.source == WeightsSource(
        hub="me/full", revision="v2", file="a/b.bin", rename=((r"^a\.", "b."),)
    )
    assert card.metrics == (cards.CardMetric("AP", 40.0, "coco-2017", "a paper"),)
    assert (card.aliases, card.params, card.input_size) == (("whole",), 1_000_000, 640)
    assert card.license_text == "other (upstream: mit)"
    assert card.config == {"architecture": "net"}
    assert card.qualified_name == "zoo:full"
    assert str(card.source) == "Hub repo me/full at v2"


def test_a_folder_is_relative_to_the_catalogue_that_names_it(tmp_path):
    (card,) = read(tmp_path, CARD.replace('hub = "me/mine"', 'path = "weights"')).cards
    assert card.source.path == tmp_path / "weights"
    (card,) = read(tmp_path, CARD.replace('hub = "me/mine"', 'path = "~/weights"')).cards
    assert card.source.path == Path.home() / "weights"


# --- finding --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "detr-resnet50",
        "detr-resnet-50",
        "DETR-ResNet50",
        "detr_resnet_50",
        "pvzoo:detr-resnet50",
        "PVZOO:Detr_ResNet-50",
        "facebook/detr-resnet-50",
    ],
)
def test_the_names_people_type_mean_one_card(name):
    assert info(name).qualified_name == "pvzoo:detr-resnet50"


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("detr-resnet5O", "detr-resnet50"),
        ("maskformer-swin-bse-coco", "maskformer-swin-base-coco"),
        ("RTDETR_r5Ovd", "rtdetr-r50vd"),
        ("pvzoo:detr-resnet51", "detr-resnet50"),
    ],
)
def test_a_wrong_name_gets_the_nearest(wrong, right):
    with pytest.raises(ModelNotFoundError, match=f"Did you mean.*'{right}'") as caught:
        info(wrong)
    assert repr(wrong) in str(caught.value)
    assert isinstance(caught.value, LookupError)


def test_a_name_unlike_any_still_says_where_to_look():
    with pytest.raises(ModelNotFoundError, match="pvzoo list shows the catalogue"):
        info("qqqqqqqq")
    with pytest.raises(ModelNotFoundError, match="No installed plugin 'nobody'"):
        info("nobody:detr-resnet50")
    with pytest.raises(ModelNotFoundError, match="owner/name"):
        info("no-such-owner/no-such-repo")


# --- search ---------------------------------------------------------------------------------------

SEARCHED = "".join(
    CARD.replace("mine", name) + facts + "\n"
    for name, facts in {
        "zz-bare": "",
        "zz-open": 'family = "zz"\nparams = 50_000_000\nlicense = "mit"\nsummary = "Some Birds"',
        "zz-both": 'family = "zz"\nlicense = "mit"\nlicense_upstream = "apache-2.0"',
        "zz-shut": 'family = "zz"\nlicense = "apache-2.0"\nlicense_upstream = "cc-by-nc-4.0"',
        "zz-told": 'family = "zz"\nparams = 1\nlicense_upstream = "mit"',
        "zz-poor": 'family = "zz"\nmetrics = [{ name = "zz-loss", value = -2 }]',
        "zz-rich": 'family = "zz"\nmetrics = [{ name = "zz-loss", value = -3 }, '
        '{ name = "zz-loss", value = 1 }]',
    }.items()
)


def found(*text: str, **conditions: object) -> set[str]:
    return {c.name for c in list_models(*text, **conditions) if c.name.startswith("zz-")}


def test_an_unknown_fact_passes_no_condition(user_catalog):
    user_catalog(SEARCHED)
    assert len(found()) == 7
    assert "zz-bare" in found("zz", task="image-classification")
    assert "zz-bare" not in found(family="zz")
    assert found(max_params=50e6) == {"zz-open", "zz-told"}
    assert found(max_params=49e6) == {"zz-told"}
    assert found(metric="zz-loss") == {"zz-poor", "zz-rich"}


def test_permissive_goes_by_the_tag_and_by_upstream(user_catalog):
    user_catalog(SEARCHED)
    assert found(license="permissive") == {"zz-open", "zz-both"}
    assert found(license="unknown") == {"zz-bare", "zz-poor", "zz-rich"}
    assert found(license="mit") == {"zz-open", "zz-told"}
    assert found(license="Apache 2.0") == set()


def test_a_metric_sorts_best_first_and_bounds(user_catalog):
    user_catalog(SEARCHED)
    assert [c.name for c in list_models(metric="zz_loss")] == ["zz-rich", "zz-poor"]
    assert found(metric="zz-loss", min_metric=-2) == {"zz-poor", "zz-rich"}
    assert found(metric="zz-loss", min_metric=0) == {"zz-rich"}
    values = [max(m.value for m in c.metrics if m.name == "AP") for c in list_models(metric="ap")]
    assert values == sorted(values, reverse=True)


def test_every_word_must_occur_somewhere_whatever_its_capitals(user_catalog):
    user_catalog(SEARCHED)
    assert found("BIRDS zz-open") == {"zz-open"}
    assert found("birds absent") == set()
    assert {c.name for c in list_models("facebook/detr-resnet-101-dc5")} == {"detr-resnet101-dc5"}


def test_conditions_add_up():
    small = list_models(task="object-detection", max_params=50e6, license="apache-2.0")
    assert "detr-resnet50" in {c.name for c in small}
    assert all(
        c.task == "object-detection" and c.params <= 50e6 and c.license == "apache-2.0"
        for c in small
    )
    assert [c.name for c in small] == sorted(c.name for c in small)


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        ({"task": "object-detecton"}, "Did you mean 'object-detection'"),
        ({"family": "mask2fromer"}, "Did you mean 'mask2former'"),
        ({"license": "apache-2"}, "'apache-2.0'"),
        ({"metric": "bleu"}, "Known: AP, "),
        ({"min_metric": 40.0}, "min_metric needs metric"),
    ],
)
def test_a_condition_that_no_card_could_meet_is_an_error(condition, says):
    with pytest.raises(UsageError, match=says):
        list_models(**condition)


def test_search_forgives_capitals_hyphens_and_spaces():
    assert list_models(task="Object Detection") == list_models(task="object-detection")
    assert list_models(family="RT-DETR") == list_models(family="rt_detr")


# --- the user's own catalogue ---------------------------------------------------------------------


def test_the_users_catalogue_is_read_from_the_environment(user_catalog):
    user_catalog(CARD)
    assert info("mine").source.hub == "me/mine"
    assert info("user:mine") == info("mine")
    assert "mine" in {c.name for c in list_models()}


def test_the_users_catalogue_is_read_from_the_standard_place(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))  # where it counts on other systems
    folder = platformdirs.user_config_path("pvzoo", appauthor=False)
    assert tmp_path in folder.parents
    folder.mkdir(parents=True)
    (folder / "catalog.toml").write_text(CARD)
    refresh()
    assert info("mine").dist == "user"


def test_of_two_catalogues_of_the_user_the_first_counts(tmp_path, monkeypatch):
    files = []
    for name in ("first", "second"):
        file = tmp_path / f"{name}.toml"
        file.write_text(CARD.replace("me/mine", f"me/{name}"))
        files.append(str(file))
    monkeypatch.setenv("PVZOO_CATALOG", os.pathsep.join(files))
    refresh()
    assert info("mine").source.hub == "me/first"
    assert [c.source.hub for c in list_models("mine") if c.name == "mine"] == ["me/first"]


def test_a_relative_catalogue_keeps_its_folders_when_the_working_directory_changes(
    tmp_path, monkeypatch
):
    (tmp_path / "mine.toml").write_text(CARD.replace('hub = "me/mine"', 'path = "weights"'))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PVZOO_CATALOG", "mine.toml")
    refresh()
    assert info("mine").source.path == tmp_path / "weights"


def test_a_fault_in_the_users_own_catalogue_is_told_at_once(user_catalog, monkeypatch):
    file = user_catalog(CARD + "licence = 'mit'")
    with pytest.raises(CatalogError, match="unknown key 'licence'") as caught:
        list_models()
    assert str(file) in str(caught.value)
    monkeypatch.setenv("PVZOO_CATALOG", str(file.with_name("absent.toml")))
    refresh()
    with pytest.raises(CatalogError, match=r"PVZOO_CATALOG names .*absent\.toml"):
        list_models()


def test_a_catalogue_is_read_again_after_refresh(user_catalog):
    user_catalog(CARD)
    assert info("mine").family is None
    user_catalog(CARD + 'family = "net"')
    assert info("mine").family == "net"


def test_a_user_cannot_take_a_name_from_pvzoo(user_catalog):
    user_catalog(CARD.replace('"mine"', '"resnet50"'))
    with pytest.warns(PvzooWarning, match="user also uses this name. Write 'user:resnet50'"):
        assert info("resnet50").dist == "pvzoo"
    assert info("user:resnet50").source.hub == "me/mine"


# --- defaults -------------------------------------------------------------------------------------


@pytest.fixture
def plugins(tmp_path, monkeypatch):
    """Installs a plugin with one model, its default for some-task, in a folder on sys.path."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(name: str, model: str) -> None:
        defaults = f'contract = 2\n[defaults]\nsome-task = "{model}"\n'
        files = {f"{name}/catalog.toml": defaults + CARD.replace('"mine"', f'"{model}"')}
        wheel = Dist(name, files, {"pvzoo.catalogs": {name: name}}).wheel(tmp_path)
        zipfile.ZipFile(wheel).extractall(tmp_path)
        refresh()

    return install


def test_the_users_default_may_be_anybodys_model(user_catalog):
    user_catalog(
        '[defaults]\nimage-classification = "ResNet50"\nobject-detection = "detr-resnet-50"'
    )
    assert catalogue().default("image-classification").qualified_name == "pvzoo:resnet50"
    assert catalogue().default("object-detection").qualified_name == "pvzoo:detr-resnet50"


def test_a_default_of_the_user_that_names_nothing_gets_the_nearest(user_catalog):
    user_catalog('[defaults]\nimage-classification = "resnet51"')
    with pytest.raises(ModelNotFoundError, match="'resnet50'"):
        catalogue().default("image-classification")


def test_without_a_default_the_error_says_so():
    with pytest.raises(ModelNotFoundError, match="no installed catalogue has a default"):
        catalogue().default("some-task")


def test_one_plugins_default_counts_and_two_are_an_error_naming_both(plugins, user_catalog):
    plugins("zoo_a", "net-a")
    assert catalogue().default("some-task").qualified_name == "zoo-a:net-a"
    plugins("zoo_b", "net-b")
    with pytest.raises(NameClashError, match="zoo-a and zoo-b each have a default for some-task"):
        catalogue().default("some-task")
    user_catalog('[defaults]\nsome-task = "zoo-b:net-b"')
    assert catalogue().default("some-task").qualified_name == "zoo-b:net-b"


def test_a_plugins_default_is_its_own_model_though_another_has_the_name(plugins):
    plugins("zoo_a", "resnet50")
    assert catalogue().default("some-task").qualified_name == "zoo-a:resnet50"


# --- pvzoo's own cards ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def own() -> dict[str, cards.Card]:
    file = Path(pvzoo.__file__).with_name("catalog.toml")
    return {card.name: card for card in read_catalog(file, "pvzoo").cards}


def test_every_task_has_its_cards(own):
    assert Counter(card.task for card in own.values()) == {
        "image-classification": 67,
        "object-detection": 59,
        "semantic-segmentation": 33,
        "panoptic-segmentation": 22,
        "instance-segmentation": 10,
    }


def test_every_card_has_one_hub_repo_that_no_other_has(own):
    assert len({card.source.hub for card in own.values()}) == len(own) == 191
    assert all(card.source.hub for card in own.values())


def test_every_adapter_serves_the_tasks_it_is_named_for(own):
    assert Counter((card.adapter, card.task.split("-")[-1]) for card in own.values()) == {
        ("timm", "classification"): 53,
        ("transformers-classification", "classification"): 14,
        ("transformers-detection", "detection"): 59,
        ("transformers-segmentation", "segmentation"): 65,
    }
    timm = {name for name, card in own.items() if card.source.hub.startswith("timm/")}
    assert timm == {name for name, card in own.items() if card.adapter == "timm"}


def test_every_figure_has_its_source_and_every_card_its_facts(own):
    metrics = [metric for card in own.values() for metric in card.metrics]
    assert Counter(metric.name for metric in metrics) == {
        "top1": 61,
        "AP": 49,
        "mIoU": 25,
        "PQ": 22,
        "mask AP": 10,
        "mAP@0.5": 1,
    }
    assert all(metric.source and metric.dataset for metric in metrics)
    assert all(0 < metric.value < 100 for metric in metrics)
    assert all(card.facts and card.family for card in own.values())


@pytest.mark.parametrize(
    ("name", "repo", "params", "figure"),
    [
        ("resnet50", "timm/resnet50.a1_in1k", 25_560_000, 80.382),
        ("detr-resnet50", "facebook/detr-resnet-50", 41_000_000, 42.0),
        ("yolos-tiny", "hustvl/yolos-tiny", 6_500_000, 28.7),
        ("dab-detr-resnet50", "IDEA-Research/dab-detr-resnet-50", 44_000_000, 42.2),
        ("eomt-large-ade-semantic", "tue-mps/ade20k_semantic_eomt_large_512", None, 58.4),
        ("rf-detr-seg-nano", "Roboflow/rf-detr-seg-nano", 33_600_000, 40.3),
        ("detr-resnet50-panoptic", "facebook/detr-resnet-50-panoptic", 43_000_000, 43.4),
    ],
)
def test_a_card_says_what_was_looked_up(own, name, repo, params, figure):
    card = own[name]
    assert (card.source.hub, card.params, card.metrics[0].value) == (repo, params, figure)


def test_a_licence_nobody_saw_is_shown_as_unknown(own):
    assert sum(card.license is None for card in own.values()) == 37
    for name in ("resnet50-hf", "eomt-small-coco-panoptic", "rf-detr-seg-nano", "pp-doclayout-v2"):
        assert own[name].license_text == "unknown"
    assert own["deimv2-hgnetv2-n"].license is None
    assert "research only" in own["deimv2-hgnetv2-n"].license_note


def test_a_card_shows_the_tag_and_what_upstream_says_where_they_differ(own):
    stated: dict[str, set[str | None]] = {}
    for card in own.values():
        stated.setdefault(card.family, set()).add(card.license_upstream)
    assert stated["mask2former"] == stated["maskformer"] == {"cc-by-nc-4.0"}
    assert stated["segformer"] == {"nvidia-non-commercial"}
    assert stated["convnextv2"] == {"cc-by-nc-4.0"}
    assert own["convnextv2-tiny"].license_text == "apache-2.0 (upstream: cc-by-nc-4.0)"
    assert own["fastvit-t8"].license_text == "fastvit-license"
    assert own["mobileone-s0"].license_text == "mobileone-license"
    assert {own[f"rf-detr-{size}"].license for size in ("nano", "small", "large")} == {"apache-2.0"}


def test_permissive_lets_no_restricted_and_no_unknown_licence_through(own):
    permissive = {card.name for card in own.values() if card.permissive}
    families = {own[name].family for name in permissive}
    assert not families & {"mask2former", "maskformer", "segformer", "convnextv2", "fastvit"}
    assert {own[name].license for name in permissive} == {"apache-2.0", "mit", "bsd-3-clause"}
    assert permissive == {c.name for c in list_models(license="permissive") if c.dist == "pvzoo"}


def test_the_last_part_of_a_repo_id_is_a_name_too(own):
    """`detr-resnet-50` for facebook/detr-resnet-50; not where the name says which of two it is."""
    for repo in ("facebook/detr-resnet-101-dc5", "timm/resnet50.a1_in1k", "hustvl/yolos-tiny"):
        assert info(repo.partition("/")[2]) == info(repo)


# --- light ----------------------------------------------------------------------------------------


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done


def best_seconds(*arguments: str, runs: int) -> float:
    """The least time of some runs: what else this machine does can only make one slower."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        python(*arguments)
        times.append(time.perf_counter() - start)
    return min(times)


@pytest.fixture(scope="module")
def transformers_seconds() -> float:
    return best_seconds("-c", "import transformers.pipelines", runs=2)


LISTING = {
    "the library": ["-c", "import pvzoo; pvzoo.list_models()"],
    "plugins": ["-c", "import pvzoo; pvzoo.list_plugins(); pvzoo.info('detr-resnet50')"],
    "--help": ["-m", "pvzoo", "--help"],
    "list": ["-m", "pvzoo", "list", "--task", "object-detection", "--max-params", "50M"],
    "info": ["-m", "pvzoo", "info", "detr-resnet50"],
}


@pytest.mark.parametrize("arguments", LISTING.values(), ids=LISTING)
def test_listing_imports_no_heavy_package(arguments):
    done = python("-X", "importtime", *arguments)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "pvzoo" in imported
    heavy = {"torch", "torchvision", "timm", "transformers", "datasets", "gradio", "numpy", "PIL"}
    assert imported & heavy == set()


@pytest.mark.parametrize("what", ["the library", "--help", "list"])
def test_listing_takes_less_than_a_fifth_of_importing_transformers_pipelines(
    what, transformers_seconds
):
    assert best_seconds(*LISTING[what], runs=3) < transformers_seconds / 5
