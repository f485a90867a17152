"""The test server answers the real ``huggingface_hub`` client as the Hub would."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_server import (
    GOOD_TOKEN,
    NO_GRANT_TOKEN,
    HubServer,
    client_env,
    redirect_client,
    skip_waiting,
)
from huggingface_hub import HfApi, constants, hf_hub_download, model_info, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    IncompleteSnapshotError,
    LocalEntryNotFoundError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

try:
    import httpx2 as httpx
except ModuleNotFoundError:  # the client of huggingface-hub 1
    import httpx

WEIGHTS = bytes(range(256)) * 400
FILES = {
    "config.json": b'{"model_type": "toy"}',
    "model.safetensors": WEIGHTS,
    "nested/deep/vocab.txt": b"a\nb\n",
}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with HubServer() as server:
        redirect_client(monkeypatch, server, tmp_path / "home")
        yield server


def api(hub: HubServer, token: str | None = None) -> HfApi:
    return HfApi(endpoint=hub.url, token=token or False)


def content(path: str) -> bytes:
    return Path(path).read_bytes()


# -- Reading ---------------------------------------------------------------------------------


def test_a_snapshot_has_every_file_of_the_repo(hub: HubServer) -> None:
    sha = hub.add_repo("org/toy", FILES)
    folder = Path(snapshot_download("org/toy", endpoint=hub.url))
    assert folder.name == sha
    found = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert found == set(FILES)
    assert all((folder / path).read_bytes() == data for path, data in FILES.items())


def test_a_repo_can_be_made_from_a_folder(hub: HubServer, tmp_path: Path) -> None:
    (tmp_path / "source/sub").mkdir(parents=True)
    (tmp_path / "source/sub/a.txt").write_bytes(b"from a folder")
    hub.add_repo("org/toy", tmp_path / "source")
    assert content(hf_hub_download("org/toy", "sub/a.txt")) == b"from a folder"


def test_large_files_come_from_the_cdn_and_the_token_does_not_go_there(hub: HubServer) -> None:
    hub.add_repo("org/toy", FILES, private=True)
    path = hf_hub_download("org/toy", "model.safetensors", token=GOOD_TOKEN)
    assert content(path) == WEIGHTS
    assert [(r.host, r.method, r.status, r.token) for r in hub.requests] == [
        ("hub", "HEAD", 302, GOOD_TOKEN),
        ("cdn", "GET", 200, None),
    ]


def test_small_files_come_from_the_hub_under_their_git_id(hub: HubServer) -> None:
    hub.add_repo("org/toy", {"hello": b"hello\n"})
    path = Path(hf_hub_download("org/toy", "hello"))
    assert path.resolve().name == "ce013625030ba8dba906f756967f9e9ca394464a"  # git hash-object
    assert {r.host for r in hub.requests} == {"hub"}


def test_a_cached_commit_is_loaded_without_a_request(hub: HubServer) -> None:
    sha = hub.add_repo("org/toy", FILES)
    snapshot_download("org/toy")
    hub.requests.clear()
    hf_hub_download("org/toy", "model.safetensors", revision=sha)
    snapshot_download("org/toy", revision=sha)
    snapshot_download("org/toy", local_files_only=True)
    assert hub.requests == []


def test_a_repo_without_namespace_is_found(hub: HubServer) -> None:
    sha = hub.add_repo("toy", FILES)
    assert api(hub).model_info("toy").sha == sha
    assert content(hf_hub_download("toy", "config.json")) == FILES["config.json"]
    assert len(api(hub).list_repo_files("toy", revision=sha)) == len(FILES)


def test_the_model_info_says_what_is_known_of_the_repo(hub: HubServer) -> None:
    sha = hub.add_repo(
        "org/toy", FILES, gated=True, tags=["toy"], pipeline_tag="text-generation", downloads=7
    )
    info = model_info("org/toy", files_metadata=True)
    assert (info.id, info.author, info.sha) == ("org/toy", "org", sha)
    assert (info.private, info.gated, info.downloads) == (False, "manual", 7)
    assert (info.tags, info.pipeline_tag) == (["toy"], "text-generation")
    sizes = {s.rfilename: s.size for s in info.siblings or []}
    assert sizes == {path: len(data) for path, data in FILES.items()}
    assert [s.rfilename for s in info.siblings or [] if s.lfs] == ["model.safetensors"]


def test_the_model_info_is_limited_to_what_was_asked(hub: HubServer) -> None:
    sha = hub.add_repo("org/toy", FILES)
    info = api(hub).model_info("org/toy", expand=["sha"])
    assert (info.sha, info.siblings) == (sha, None)


def test_a_folder_is_listed_with_or_without_what_is_below_it(hub: HubServer) -> None:
    hub.add_repo("org/toy", FILES)

    def listed(path: str | None, recursive: bool) -> set[str]:
        return {e.path for e in api(hub).list_repo_tree("org/toy", path, recursive=recursive)}

    assert listed(None, False) == {"config.json", "model.safetensors", "nested"}
    assert listed(None, True) == set(FILES) | {"nested", "nested/deep"}
    assert listed("nested", False) == {"nested/deep"}
    assert listed("nested/deep", False) == {"nested/deep/vocab.txt"}
    with pytest.raises(RemoteEntryNotFoundError):
        listed("absent", False)


def test_a_long_listing_comes_in_pages(hub: HubServer) -> None:
    hub.page_size = 3
    names = {f"file-{i}" for i in range(8)}
    hub.add_repo("org/toy", dict.fromkeys(names, b"x"))
    assert set(api(hub).list_repo_files("org/toy")) == names
    assert len(hub.requests_for("/tree/")) == 3


def test_information_about_some_paths_is_given(hub: HubServer) -> None:
    hub.add_repo("org/toy", FILES)
    paths = ["model.safetensors", "nested", "absent"]
    weights, folder = api(hub).get_paths_info("org/toy", paths)
    assert (weights.path, weights.size, folder.path) == (
        "model.safetensors",
        len(WEIGHTS),
        "nested",
    )


def test_part_of_a_file_can_be_read(hub: HubServer) -> None:
    hub.add_repo("org/toy", FILES)
    for name, status in (("model.safetensors", 206), ("config.json", 206)):
        url = f"{hub.url}/org/toy/resolve/main/{name}"
        for asked, expected in (
            ("bytes=2-5", FILES[name][2:6]),
            ("bytes=9-", FILES[name][9:]),
            ("bytes=-4", FILES[name][-4:]),
        ):
            answer = httpx.get(url, headers={"Range": asked}, follow_redirects=True)
            assert (answer.status_code, answer.content) == (status, expected)
        beyond = httpx.get(url, headers={"Range": "bytes=999999-"}, follow_redirects=True)
        assert beyond.status_code == 416


# -- Revisions and names ---------------------------------------------------------------------


def test_a_commit_moves_its_branch_and_leaves_the_others(hub: HubServer) -> None:
    first = hub.add_repo("org/toy", FILES)
    hub.tag("org/toy", "v1")
    hub.branch("org/toy", "feature/x")
    second = hub.commit("org/toy", {"config.json": b"{}"}, delete=["nested/deep/vocab.txt"])
    sha = {r: api(hub).model_info("org/toy", revision=r).sha for r in ("main", "v1", "feature/x")}
    assert sha == {"main": second, "v1": first, "feature/x": first}
    assert content(hf_hub_download("org/toy", "config.json")) == b"{}"
    for revision in ("v1", "feature/x", first):
        path = hf_hub_download("org/toy", "config.json", revision=revision)
        assert content(path) == FILES["config.json"]
    assert set(api(hub).list_repo_files("org/toy")) == {"config.json", "model.safetensors"}
    refs = api(hub).list_repo_refs("org/toy")
    assert {b.name for b in refs.branches} == {"main", "feature/x"}
    assert [(t.name, t.target_commit) for t in refs.tags] == [("v1", first)]


def test_a_renamed_repo_is_found_under_its_old_name(hub: HubServer) -> None:
    sha = hub.add_repo("org/old", FILES)
    hub.rename("org/old", "team/new")
    assert api(hub).model_info("org/old").id == "team/new"
    folder = Path(snapshot_download("org/old"))
    assert folder.name == sha
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert 307 in {r.status for r in hub.requests_for("org/old/resolve")}


# -- Refusals --------------------------------------------------------------------------------


@pytest.mark.parametrize(("token", "status"), [(None, 401), (NO_GRANT_TOKEN, 404)])
@pytest.mark.parametrize("repo_id", ["org/private", "org/absent", "absent"])
def test_an_absent_repo_and_a_private_one_are_told_apart_by_nobody(
    hub: HubServer, token: str | None, status: int, repo_id: str
) -> None:
    hub.add_repo("org/private", FILES, private=True)
    for ask in (
        lambda: api(hub, token).model_info(repo_id),
        lambda: hf_hub_download(repo_id, "config.json", token=token),
        lambda: snapshot_download(repo_id, token=token),
    ):
        with pytest.raises(RepositoryNotFoundError) as caught:
            ask()
        assert type(caught.value) is RepositoryNotFoundError
        assert caught.value.response.status_code == status


def test_a_private_repo_is_read_with_the_right_token(hub: HubServer) -> None:
    hub.add_repo("org/private", FILES, private=True)
    folder = Path(snapshot_download("org/private", token=GOOD_TOKEN))
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS


def test_a_wrong_token_is_an_error_even_for_a_public_repo(hub: HubServer) -> None:
    hub.add_repo("org/toy", FILES)
    for ask in (
        lambda: api(hub, "hf_wrong").model_info("org/toy"),
        lambda: hf_hub_download("org/toy", "config.json", token="hf_wrong"),
        lambda: snapshot_download("org/toy", token="hf_wrong"),
        lambda: api(hub).whoami(token="hf_wrong"),
    ):
        with pytest.raises(HfHubHTTPError) as caught:
            ask()
        assert type(caught.value) is HfHubHTTPError
        assert caught.value.response.status_code == 401
        assert "Invalid" in str(caught.value)


@pytest.mark.parametrize(("token", "status"), [(None, 401), (NO_GRANT_TOKEN, 403)])
def test_the_files_of_a_gated_repo_are_refused_but_not_its_description(
    hub: HubServer, token: str | None, status: int
) -> None:
    hub.add_repo("org/gated", FILES, gated=True)
    assert api(hub, token).model_info("org/gated").gated == "manual"
    for ask in (
        lambda: hf_hub_download("org/gated", "config.json", token=token),
        lambda: snapshot_download("org/gated", token=token),
        lambda: api(hub, token).auth_check("org/gated"),
    ):
        with pytest.raises(GatedRepoError) as caught:
            ask()
        assert caught.value.response.status_code == status
    assert hf_hub_download("org/gated", "config.json", token=GOOD_TOKEN)


def test_a_missing_file_and_a_missing_revision_are_told_apart(hub: HubServer) -> None:
    hub.add_repo("org/toy", FILES)
    with pytest.raises(RemoteEntryNotFoundError):
        hf_hub_download("org/toy", "absent.json")
    with pytest.raises(RevisionNotFoundError):
        hf_hub_download("org/toy", "config.json", revision="absent")
    with pytest.raises(RevisionNotFoundError):
        snapshot_download("org/toy", revision="0" * 40)
    assert not api(hub).file_exists("org/toy", "absent.json")
    assert not api(hub).revision_exists("org/toy", "absent")


def test_a_token_has_an_owner(hub: HubServer) -> None:
    assert api(hub).whoami(token=GOOD_TOKEN)["name"] == "tester"
    assert api(hub).whoami(token=NO_GRANT_TOKEN)["name"] == "stranger"


# -- Faults ----------------------------------------------------------------------------------


def test_an_interrupted_download_resumes_where_it_stopped(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    skip_waiting(monkeypatch)
    # The client keeps whole chunks only: with its own size, 10 MB, it would start all over again.
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 400)
    hub.add_repo("org/toy", FILES)
    hub.truncate_next(1000)
    assert content(hf_hub_download("org/toy", "model.safetensors")) == WEIGHTS
    downloads = [(r.status, r.range) for r in hub.requests if r.host == "cdn"]
    assert downloads == [(200, None), (206, "bytes=800-")]


def test_a_download_that_never_gets_further_is_given_up(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    skip_waiting(monkeypatch)
    hub.add_repo("org/toy", FILES)
    hub.truncate_next(0, times=100)
    with pytest.raises(httpx.RemoteProtocolError):
        hf_hub_download("org/toy", "model.safetensors")
    hub.clear_faults()
    assert content(hf_hub_download("org/toy", "model.safetensors")) == WEIGHTS


def test_a_hub_that_is_down_is_asked_again_then_given_up(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    skip_waiting(monkeypatch)
    hub.add_repo("org/toy", FILES)
    hub.fail_next(2)
    assert hf_hub_download("org/toy", "config.json")
    assert [r.status for r in hub.requests] == [503, 503, 200, 200]
    hub.fail_next(100)
    with pytest.raises(LocalEntryNotFoundError):
        hf_hub_download("org/toy", "model.safetensors")
    with pytest.raises(HfHubHTTPError, match="503"):
        api(hub).model_info("org/toy")
    hub.clear_faults()
    assert api(hub).model_info("org/toy").sha


def test_what_is_cached_is_used_while_the_hub_is_down(hub: HubServer) -> None:
    hub.add_repo("org/toy", FILES)
    path = hf_hub_download("org/toy", "config.json")
    hub.fail_next(1)
    assert hf_hub_download("org/toy", "config.json") == path


def test_a_failure_of_the_cdn_is_not_hidden(hub: HubServer) -> None:
    hub.add_repo("org/toy", FILES)
    url = f"{hub.url}/org/toy/resolve/main/model.safetensors"
    location = httpx.head(url).headers["Location"]
    hub.fail_next(1, status=500)
    assert httpx.get(location).status_code == 500
    assert httpx.get(location).content == WEIGHTS


def test_a_slow_answer_exceeds_the_timeout(hub: HubServer) -> None:
    hub.add_repo("org/toy", FILES)
    hub.delay_next(1, seconds=0.5)
    with pytest.raises(httpx.ReadTimeout):
        api(hub).model_info("org/toy", timeout=0.1)


def test_a_stopped_server_cannot_be_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    skip_waiting(monkeypatch)
    with HubServer() as hub:
        redirect_client(monkeypatch, hub, tmp_path / "home")
        hub.add_repo("org/toy", FILES)
        path = hf_hub_download("org/toy", "config.json")
    assert hf_hub_download("org/toy", "config.json") == path
    with pytest.raises(LocalEntryNotFoundError):
        hf_hub_download("org/toy", "model.safetensors")
    with pytest.raises(LocalEntryNotFoundError):
        snapshot_download("org/other")
    with pytest.raises(httpx.ConnectError):
        model_info("org/toy")


def test_an_incomplete_snapshot_is_not_served_offline(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add_repo("org/toy", FILES)
    snapshot_download("org/toy", allow_patterns="*.json")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert snapshot_download("org/toy", allow_patterns="*.json")
    with pytest.raises(IncompleteSnapshotError):
        snapshot_download("org/toy")
    with pytest.raises(LocalEntryNotFoundError):
        hf_hub_download("org/toy", "model.safetensors")


# -- Writing ---------------------------------------------------------------------------------


def test_a_pushed_folder_can_be_downloaded(hub: HubServer, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "README.md").write_text("---\nlicense: mit\n---\n# Toy\n")
    (source / "sub/model.safetensors").write_bytes(WEIGHTS)
    client = api(hub, GOOD_TOKEN)
    created = client.create_repo("tester/pushed", private=True)
    assert created.repo_id == "tester/pushed"
    commit = client.upload_folder(repo_id="tester/pushed", folder_path=source)
    assert commit.oid == client.model_info("tester/pushed").sha
    folder = Path(snapshot_download("tester/pushed", token=GOOD_TOKEN))
    assert folder.name == commit.oid
    assert (folder / "sub/model.safetensors").read_bytes() == WEIGHTS
    assert (folder / "README.md").read_text() == (source / "README.md").read_text()
    (uploaded,) = (r for r in hub.requests if r.method == "PUT")
    assert (uploaded.host, uploaded.status) == ("cdn", 200)
    with pytest.raises(RepositoryNotFoundError):
        model_info("tester/pushed", token=False)


def test_a_second_push_uploads_only_what_changed(hub: HubServer) -> None:
    hub.add_repo("tester/toy", FILES)
    client = api(hub, GOOD_TOKEN)
    same = client.upload_file(
        path_or_fileobj=WEIGHTS, path_in_repo="model.safetensors", repo_id="tester/toy"
    )
    assert same.oid == client.model_info("tester/toy").sha
    hub.requests.clear()
    client.upload_file(path_or_fileobj=b"{}", path_in_repo="config.json", repo_id="tester/toy")
    assert not [r for r in hub.requests if r.host == "cdn"]
    client.delete_file("config.json", "tester/toy")
    client.delete_folder("nested", "tester/toy")
    assert client.list_repo_files("tester/toy") == ["model.safetensors"]


def test_a_push_can_go_to_a_new_branch(hub: HubServer) -> None:
    first = hub.add_repo("tester/toy", FILES)
    client = api(hub, GOOD_TOKEN)
    client.create_branch("tester/toy", branch="next")
    client.create_branch("tester/toy", branch="next", exist_ok=True)
    client.create_tag("tester/toy", tag="v1")
    commit = client.upload_file(
        path_or_fileobj=b"new", path_in_repo="new.bin", repo_id="tester/toy", revision="next"
    )
    assert content(hf_hub_download("tester/toy", "new.bin", revision="next")) == b"new"
    shas = [client.model_info("tester/toy", revision=r).sha for r in ("main", "v1", "next")]
    assert shas == [first, first, commit.oid]


def test_a_repo_is_created_once(hub: HubServer) -> None:
    client = api(hub, GOOD_TOKEN)
    assert client.create_repo("toy").repo_id == "tester/toy"
    assert client.create_repo("toy", exist_ok=True).repo_id == "tester/toy"
    with pytest.raises(HfHubHTTPError, match="already created"):
        client.create_repo("toy")


def test_only_the_trusted_user_may_write(hub: HubServer) -> None:
    hub.add_repo("tester/toy", FILES)
    for token, status in ((None, 401), (NO_GRANT_TOKEN, 403)):
        for write in (
            lambda client: client.create_repo("org/new"),
            lambda client: client.upload_file(
                path_or_fileobj=b"x", path_in_repo="x", repo_id="tester/toy"
            ),
        ):
            with pytest.raises(HfHubHTTPError) as caught:
                write(api(hub, token))
            assert caught.value.response.status_code == status


# -- Pointing clients at the server ----------------------------------------------------------


def test_transformers_loads_from_the_server(hub: HubServer) -> None:
    transformers = pytest.importorskip("transformers")
    hub.add_repo("org/bert", {"config.json": b'{"model_type": "bert", "hidden_size": 12}'})
    assert transformers.AutoConfig.from_pretrained("org/bert").hidden_size == 12
    assert transformers.utils.hub.hf_api().endpoint == hub.url
    assert Path(constants.HF_HUB_CACHE, "models--org--bert").is_dir()


def test_a_new_process_is_pointed_at_the_server_by_its_environment(
    hub: HubServer, tmp_path: Path
) -> None:
    hub.add_repo("org/private", FILES, private=True)
    code = "import huggingface_hub as h; print(h.snapshot_download('org/private'))"
    env = client_env(hub, tmp_path / "other", GOOD_TOKEN)
    run = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    folder = Path(run.stdout.strip())
    assert folder.is_relative_to(tmp_path / "other")
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
