"""`pvzoo space`: the folder that is written, and what arrives at the Hub."""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import gradio
import pytest
import text_families
from checkpoints import transformers_folder
from hub_server import GOOD_TOKEN
from huggingface_hub import HfApi, RepoCard, SpaceCardData
from PIL import Image

import pvzoo
from pvzoo.catalog.catalogue import catalogue
from pvzoo.demo import push_space, write_space
from pvzoo.errors import HubError, ModelNotFoundError, PvzooError, UsageError

FIRST_PARTY = [
    "pvzoo-depth",
    "pvzoo-efficientnet-lite",
    "pvzoo-face-cascade",
    "pvzoo-open-vocabulary",
    "pvzoo-promptable",
    "pvzoo-shapes",
]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A model as `Model.save` leaves it, with a file of the user's beside it."""
    start = tmp_path_factory.mktemp("start")
    transformers_folder(start, "vit")
    folder = pvzoo.load(start, device="cpu").save(tmp_path_factory.mktemp("runs") / "ants")
    (folder / "notes").mkdir()
    (folder / "notes" / "log.txt").write_text("lr 0.1")
    return folder


@pytest.fixture
def user_catalogue(tmp_path, monkeypatch):
    """A function: the cards of a file of the user's own."""

    def use(text: str) -> None:
        file = tmp_path / "mine.toml"
        file.write_text(text)
        monkeypatch.setenv("PVZOO_CATALOG", str(file))
        catalogue.cache_clear()

    yield use
    monkeypatch.undo()
    catalogue.cache_clear()


def asked(folder):
    """What app.py serves: (models, examples)."""
    app = runpy.run_path(str(folder / "app.py"))
    return app["MODELS"], app["EXAMPLES"]


def plugins(folder):
    """The lines of requirements.txt below pvzoo's own, without their versions."""
    first, *others = (folder / "requirements.txt").read_text().splitlines()
    assert first == f"pvzoo[demo,torch]=={pvzoo.__version__}"
    return [line.partition("==")[0] for line in others]


def contents(folder):
    return {
        f.relative_to(folder).as_posix(): f.read_bytes() for f in folder.rglob("*") if f.is_file()
    }


# --- what is written ------------------------------------------------------------------------------


def test_a_space_of_a_catalogue_model_names_it_and_the_plugin_it_needs(tmp_path):
    folder = write_space(tmp_path / "new" / "space", ["shapes-detector"])
    assert sorted(contents(folder)) == ["README.md", "app.py", "requirements.txt"]
    assert asked(folder) == (["shapes-detector"], None)
    assert plugins(folder) == ["pvzoo-shapes"]


@pytest.mark.parametrize(
    ("name", "written", "needed"),
    [
        ("detr-resnet50", "detr-resnet50", []),
        ("DETR_ResNet_50", "detr-resnet50", []),  # an alias
        ("facebook/detr-resnet-50", "facebook/detr-resnet-50", []),
        ("efficientnet-lite0-pip", "efficientnet-lite0-pip", ["pvzoo-efficientnet-lite"]),
        (
            "pvzoo-efficientnet-lite:efficientnet-lite0-pip",
            "pvzoo-efficientnet-lite:efficientnet-lite0-pip",
            ["pvzoo-efficientnet-lite"],
        ),
        ("clip-vit-base-patch32", "clip-vit-base-patch32", ["pvzoo-open-vocabulary"]),
    ],
)
def test_a_name_means_on_the_space_what_it_means_here(tmp_path, name, written, needed):
    folder = write_space(tmp_path / "space", [name])
    assert asked(folder) == ([written], None)
    assert plugins(folder) == needed


def test_a_saved_folder_is_copied_whole_and_named_relative_to_the_app(saved, tmp_path):
    folder = write_space(tmp_path / "space", [saved])
    moved = (tmp_path / "space").rename(tmp_path / "elsewhere")
    assert contents(moved / "models" / "ants") == contents(saved)
    assert asked(moved) == ([moved / "models" / "ants"], None)
    assert str(saved.parent) not in (moved / "app.py").read_text()
    assert plugins(moved) == []
    assert not folder.exists()


def test_links_in_a_folder_that_lead_back_are_not_copied(saved, tmp_path):
    source = shutil.copytree(saved, tmp_path / "ants")
    for name in ("x", "y"):
        (source / "notes" / name).symlink_to(source)
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "log.txt").write_text("lr 0.2")
    (source / "more").symlink_to(tmp_path / "more")
    folder = write_space(tmp_path / "space", [source])
    copied = folder / "models" / "ants"
    assert sorted(p.name for p in (copied / "notes").iterdir()) == ["log.txt"]
    assert (copied / "more" / "log.txt").read_text() == "lr 0.2"


def test_a_folder_of_a_plugins_family_needs_the_plugin(tmp_path):
    text_families.build("clip", tmp_path / "clip")
    folder = write_space(tmp_path / "space", [tmp_path / "clip", "face-cascade"])
    assert asked(folder)[0] == [folder / "models" / "clip", "face-cascade"]
    assert plugins(folder) == ["pvzoo-face-cascade", "pvzoo-open-vocabulary"]


def test_folders_of_one_name_get_names_of_their_own(saved, tmp_path):
    other = pvzoo.load(saved, device="cpu").save(tmp_path / "ants")
    folder = write_space(tmp_path / "space", [saved, str(other)])
    assert asked(folder)[0] == [folder / "models" / "ants", folder / "models" / "ants-2"]
    assert contents(folder / "models" / "ants-2") == contents(other)


def test_names_with_quotes_are_names_still(saved, tmp_path):
    odd = pvzoo.load(saved, device="cpu").save(tmp_path / """it's "mine" \\o {x}""")
    folder = write_space(tmp_path / "space", [odd])
    (found,) = asked(folder)[0]
    assert contents(found) == contents(odd)


def test_images_to_begin_with_are_copied(tmp_path):
    files = []
    for number, place in enumerate(("a/it's.png", "b/it's.png")):
        files.append(tmp_path / place)
        files[-1].parent.mkdir()
        Image.new("RGB", (8 + number, 9)).save(files[-1])
    folder = write_space(tmp_path / "space", ["shapes-detector"], examples=files)
    copied = asked(folder)[1]
    assert [file.name for file in copied] == ["it's.png", "it's-2.png"]
    assert [file.read_bytes() for file in copied] == [file.read_bytes() for file in files]


def test_the_front_matter_is_what_the_hub_reads(tmp_path):
    folder = write_space(
        tmp_path / "space", ["detr-resnet50", "shapes-detector"], title="Mine: # 'and' yours"
    )
    card = RepoCard.load(folder / "README.md", ignore_metadata_errors=False)
    data = SpaceCardData(**card.data.to_dict())
    assert (data.sdk, data.app_file) == ("gradio", "app.py")
    assert data.sdk_version == gradio.__version__
    assert data.title == "Mine: # 'and' yours"
    assert data.models == ["facebook/detr-resnet-50"]
    untitled = write_space(tmp_path / "other", ["detr-resnet50", "shapes-detector"])
    assert RepoCard.load(untitled / "README.md").data.title == "detr-resnet50, shapes-detector"


def test_the_space_in_this_repository_is_what_is_written_without_a_model(tmp_path):
    written = write_space(tmp_path / "space")
    kept = Path(__file__).parents[1] / "demos" / "space"
    assert contents(kept) == contents(written)
    assert plugins(kept) == FIRST_PARTY


# --- cards of the user's own ----------------------------------------------------------------------


def test_a_card_of_the_users_own_is_written_as_what_it_stands_for(
    saved, tmp_path, user_catalogue, hub
):
    hub.add_repo("me/ants", saved)
    user_catalogue(
        '[[models]]\nname = "here"\ntask = "image-classification"\n'
        'adapter = "transformers-classification"\n'
        f'source = {{ path = "{saved}" }}\n'
        '[[models]]\nname = "there"\ntask = "image-classification"\n'
        'adapter = "transformers-classification"\nsource = { hub = "me/ants" }\n'
    )
    folder = write_space(tmp_path / "space", ["here", "user:there", "me/ants"])
    assert asked(folder)[0] == [folder / "models" / "ants", "me/ants", "me/ants"]
    assert contents(folder / "models" / "ants") == contents(saved)
    assert plugins(folder) == []
    assert not hub.requests_for("model.safetensors"), "a repo need not be downloaded"


@pytest.mark.parametrize(
    ("key", "source", "more"),
    [
        ("revision", '{ hub = "me/ants", revision = "v1" }', ""),
        ("rename", '{ hub = "me/ants", rename = [["^a", "b"]] }', ""),
        ("package", '{ package = "pvzoo_shapes", file = "x", sha256 = "%s" }' % ("0" * 64), ""),
        ("stuff", '{ hub = "me/ants" }', 'stuff = ["sky"]'),
    ],
)
def test_a_card_that_says_more_than_its_weights_is_refused_with_what_to_do(
    saved, tmp_path, user_catalogue, hub, key, source, more
):
    hub.add_repo("me/ants", saved)
    hub.tag("me/ants", "v1")
    user_catalogue(
        '[[models]]\nname = "mine"\ntask = "image-classification"\n'
        f'adapter = "transformers-classification"\nsource = {source}\n{more}\n'
    )
    with pytest.raises(UsageError, match=rf"'{key}'.*load\('mine'\)\.save"):
        write_space(tmp_path / "space", ["mine"])
    assert not (tmp_path / "space").exists()


# --- repos ----------------------------------------------------------------------------------------


def test_a_repo_that_is_in_no_catalogue_is_named_and_linked(saved, tmp_path, hub):
    hub.add_repo("me/ants", saved)
    folder = write_space(tmp_path / "space", ["me/ants"])
    assert asked(folder)[0] == ["me/ants"]
    assert RepoCard.load(folder / "README.md").data.models == ["me/ants"]


def test_a_repo_whose_family_a_plugin_brings_needs_the_plugin(tmp_path, hub):
    config = b'{"model_type": "clip", "architectures": ["CLIPModel"]}'
    hub.add_repo("me/clip", {"config.json": config, "model.safetensors": b"x"})
    assert plugins(write_space(tmp_path / "space", ["me/clip"])) == ["pvzoo-open-vocabulary"]


# --- what is refused ------------------------------------------------------------------------------


def test_what_does_not_exist_is_refused_and_nothing_is_written(tmp_path, hub):
    hub.add_repo("me/words", {"config.json": b'{"model_type": "gpt2"}'})
    (tmp_path / "empty").mkdir()
    for name, said in {
        "shapes-detecter": "'shapes-detector'",
        "me/nothing": "no repo me/nothing",
        "me/words": "No installed adapter can run me/words",
        "./nowhere": "no folder nowhere",
        str(tmp_path / "empty"): "config.json",
    }.items():
        with pytest.raises(PvzooError, match=said):
            write_space(tmp_path / "space", ["shapes-detector", name])
    with pytest.raises(PvzooError, match=r"no\.png"):
        write_space(tmp_path / "space", examples=[tmp_path / "no.png"])
    assert not (tmp_path / "space").exists()


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    for folder in (tmp_path, tmp_path / "thesis.tex"):
        with pytest.raises(UsageError, match="not empty"):
            write_space(folder)
    with pytest.raises(UsageError, match="cannot be written"):
        write_space(tmp_path / "thesis.tex" / "space")
    assert [f.name for f in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_space_inside_the_folder_that_it_copies_is_refused(saved):
    with pytest.raises(UsageError, match="is copied"):
        write_space(saved / "space", [saved])
    assert not (saved / "space").exists()


# --- the Hub --------------------------------------------------------------------------------------


def test_a_pushed_space_has_the_files_as_written_and_runs_gradio(saved, tmp_path, hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", GOOD_TOKEN)
    folder = write_space(tmp_path / "space", [saved])
    assert push_space(folder, "me/ants") == f"{hub.url}/spaces/me/ants"
    assert HfApi().space_info("me/ants").sdk == "gradio"
    arrived = there(hub, "me/ants")
    assert arrived == contents(folder)
    assert "models/ants/model.safetensors" in arrived


def test_a_second_push_updates_the_space(tmp_path, hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", GOOD_TOKEN)
    folder = write_space(tmp_path / "space", title="First")
    push_space(folder, "me/zoo")
    second = write_space(tmp_path / "second", title="Second")
    push_space(second, "me/zoo")
    assert there(hub, "me/zoo") == contents(second)
    assert len(hub.repos["spaces/me/zoo"].commits) == 3  # with the one that made it


def test_a_space_is_private_if_asked_and_the_owner_may_be_left_out(tmp_path, hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", GOOD_TOKEN)
    folder = write_space(tmp_path / "space")
    assert push_space(folder, "zoo", private=True).endswith("/spaces/tester/zoo")
    assert hub.repos["spaces/tester/zoo"].private
    assert there(hub, "tester/zoo") == contents(folder)


def test_a_push_that_fails_is_said_in_a_sentence_and_leaves_the_folder(tmp_path, hub, monkeypatch):
    folder = write_space(tmp_path / "space")
    before = contents(folder)
    for token in ("hf_wrong", "hf_nogrant"):
        monkeypatch.setenv("HF_TOKEN", token)
        with pytest.raises(HubError, match=r"refused the access token .* me/zoo .*HF_TOKEN"):
            push_space(folder, "me/zoo")
    monkeypatch.setenv("HF_TOKEN", GOOD_TOKEN)
    with pytest.raises(ModelNotFoundError, match="owner/name"):
        push_space(folder, "my zoo")
    with pytest.raises(UsageError, match="no folder"):
        push_space(tmp_path / "nowhere", "me/zoo")
    assert hub.repos == {}
    hub.stop()
    with pytest.raises(HubError, match=r"me/zoo was not uploaded: the Hub .* stays as it is"):
        push_space(folder, "me/zoo")
    assert contents(folder) == before


@pytest.mark.slow
def test_the_command_writes_and_pushes(tmp_path, hub):
    def run(*args, token):
        return subprocess.run(
            [sys.executable, "-m", "pvzoo", "space", *map(str, args)],
            capture_output=True,
            text=True,
            timeout=120,
            env={**os.environ, "HF_TOKEN": token},
        )

    folder = tmp_path / "space"
    options = ("--model", "shapes-detector", "--title", "Shapes", "--push", "me/shapes")
    done = run(folder, *options, token=GOOD_TOKEN)
    assert done.returncode == 0, done.stderr
    assert f"{hub.url}/spaces/me/shapes" in done.stderr
    assert there(hub, "me/shapes") == contents(folder)
    done = run(folder, *options, token=GOOD_TOKEN)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "is not empty" in done.stderr
    done = run(tmp_path / "other", *options, token="hf_wrong")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "error: The Hub refused the access token" in done.stderr
    assert asked(tmp_path / "other")[0] == ["shapes-detector"]


def there(hub, name):
    """The files of a Space, without what the Hub adds itself."""
    repo = hub.repos[f"spaces/{name}"]
    files = repo.commits[repo.sha("main")]
    return {path: file.data for path, file in files.items() if path != ".gitattributes"}
