"""A small Hugging Face Hub that runs inside the test process.

``HubServer`` answers, on two local ports, the part of the Hub's HTTP API that ``huggingface_hub``
uses to look up, download and upload repositories. One port plays the Hub itself, the other
plays the file store (CDN) to which the Hub redirects for large files. Tests fill it with
repositories, point the real client at ``HubServer.url``, and read ``HubServer.requests`` to see
what was asked of it. It can also be told to fail: see ``fail_next``, ``delay_next`` and
``truncate_next``.

Models, datasets and Spaces (which do not run) are served; there are no pull
requests. Files are never announced as stored on Xet, so that clients with ``hf_xet`` installed
download over plain HTTP. Such clients upload over Xet without asking, however: ``redirect_client``
and ``client_env`` turn Xet off.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socketserver
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any, Literal
from urllib.parse import parse_qs, quote, unquote, urlsplit

import pytest

GOOD_TOKEN = "hf_good"
"""Token of user ``tester``, who can read every repository and write to it."""
NO_GRANT_TOKEN = "hf_nogrant"
"""Token of user ``stranger``, who was let into no private or gated repository."""

TOKENS: Mapping[str, str] = {GOOD_TOKEN: "tester", NO_GRANT_TOKEN: "stranger"}
TRUSTED_USER = "tester"
LFS_SUFFIXES = (".parquet", ".safetensors", ".bin")
A_DATE = "2024-01-01T00:00:00.000Z"

Headers = Mapping[str, str]


@dataclass(frozen=True)
class Request:
    """One request, as it was answered."""

    host: Literal["hub", "cdn"]
    method: str
    path: str
    status: int
    range: str | None = None
    token: str | None = None


@dataclass(frozen=True)
class File:
    """The content of one file at one commit."""

    data: bytes
    lfs: bool

    @property
    def size(self) -> int:
        return len(self.data)

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @cached_property
    def pointer(self) -> bytes:
        """What git stores instead of a large file."""
        version = "version https://git-lfs.github.com/spec/v1"
        return f"{version}\noid sha256:{self.sha256}\nsize {self.size}\n".encode()

    @cached_property
    def blob_id(self) -> str:
        stored = self.pointer if self.lfs else self.data
        return hashlib.sha1(b"blob %d\0" % len(stored) + stored).hexdigest()

    @property
    def etag(self) -> str:
        """The id under which clients cache the content."""
        return self.sha256 if self.lfs else self.blob_id


@dataclass
class Repo:
    """A repository: commits, and names for some of them.

    The id of a dataset begins with ``datasets/``, that of a Space with ``spaces/``, as on the Hub's
    own pages.
    """

    repo_id: str
    private: bool = False
    gated: str | Literal[False] = False
    lfs_suffixes: tuple[str, ...] = LFS_SUFFIXES
    info: dict[str, Any] = field(default_factory=dict)
    commits: dict[str, dict[str, File]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def sha(self, revision: str) -> str:
        """The commit that a branch, a tag or a commit id designates."""
        sha = self.branches.get(revision) or self.tags.get(revision)
        if sha is None and revision not in self.commits:
            raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return sha or revision

    def stores_as_lfs(self, path: str) -> bool:
        return path.endswith(self.lfs_suffixes)

    def add_commit(self, branch: str, files: dict[str, File]) -> str:
        parent = self.branches.get(branch, "")
        # Derived from the content and the history, so that a test sees the same ids at every run.
        listing = "".join(f"{path} {file.blob_id}\n" for path, file in sorted(files.items()))
        sha = hashlib.sha1(f"{self.repo_id} {parent}\n{listing}".encode()).hexdigest()
        self.commits[sha] = files
        self.branches[branch] = sha
        return sha


class HubError(Exception):
    """An error answer, in the form in which the Hub gives it."""

    def __init__(
        self, status: int, message: str, code: str | None = None, headers: Headers | None = None
    ) -> None:
        super().__init__(message)
        self.reply = Reply.json({"error": message}, status)
        self.reply.headers |= {"X-Error-Message": message, **(headers or {})}
        if code is not None:
            self.reply.headers["X-Error-Code"] = code


@dataclass
class Reply:
    """What to send back to the client."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, content: Any, status: int = 200) -> Reply:
        body = json.dumps(content).encode()
        return cls(status, body, {"Content-Type": "application/json; charset=utf-8"})


@dataclass(frozen=True)
class Call:
    """What the client asked, with the parts of the address already decoded."""

    method: str
    path: str
    query: dict[str, list[str]]
    range: str | None
    user: str | None
    body: bytes
    parts: dict[str, str]

    def json(self) -> Any:
        return json.loads(self.body or b"{}")

    def flag(self, name: str) -> bool:
        return self.query.get(name, ["false"])[0].lower() in ("true", "1")


class HubServer:
    """The server; a context manager, listening from ``__enter__`` to ``__exit__``.

    ``url`` is the address to give to the client as its endpoint, ``requests`` what was asked so
    far, and ``page_size`` the number of files in one page of a listing.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.page_size = 1000
        self.repos: dict[str, Repo] = {}
        self.lock = threading.RLock()
        self._objects: dict[str, bytes] = {}
        self._renamed: dict[str, str] = {}
        self._failures: list[int] = []
        self._delays: list[float] = []
        self._truncations: list[int] = []
        # The file store needs an origin of its own: the client follows redirects that stay on the
        # Hub when it looks for metadata, and keeps its token to itself when they do not.
        self._hub = _Listener(self, "hub")
        self._cdn = _Listener(self, "cdn")

    @property
    def url(self) -> str:
        return self._hub.url

    @property
    def cdn_url(self) -> str:
        return self._cdn.url

    def __enter__(self) -> HubServer:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        self._hub.start()
        self._cdn.start()

    def stop(self) -> None:
        """Stop listening: from then on connections are refused."""
        self._hub.stop()
        self._cdn.stop()

    # -- Filling the server --------------------------------------------------------------------

    def add_repo(
        self,
        repo_id: str,
        files: Mapping[str, bytes] | Path,
        *,
        private: bool = False,
        gated: bool | Literal["auto", "manual"] = False,
        lfs_suffixes: Collection[str] = LFS_SUFFIXES,
        tags: Sequence[str] = (),
        pipeline_tag: str | None = None,
        library_name: str | None = None,
        **info: Any,
    ) -> str:
        """Create a repository with one commit on ``main`` and return the id of the commit.

        ``files`` is either the content of each path or a folder to read. ``info`` is added to the
        answer to ``model_info``, under the names that the Hub's JSON has. A ``repo_id`` such as
        ``datasets/owner/name`` makes a dataset, ``spaces/owner/name`` a Space.
        """
        described = {"pipeline_tag": pipeline_tag, "library_name": library_name}
        known = {name: value for name, value in described.items() if value is not None}
        with self.lock:
            self.repos[repo_id] = Repo(
                repo_id,
                private=private,
                gated="manual" if gated is True else gated,
                lfs_suffixes=tuple(lfs_suffixes),
                info={"tags": list(tags), **known, **info},
            )
            self._renamed.pop(repo_id, None)
            return self.commit(repo_id, files)

    def commit(
        self,
        repo_id: str,
        files: Mapping[str, bytes] | Path,
        revision: str = "main",
        *,
        delete: Collection[str] = (),
    ) -> str:
        """Add, replace and delete files of a branch; return the id of the new commit."""
        contents = _read_folder(files) if isinstance(files, Path) else files
        with self.lock:
            repo = self.repos[repo_id]
            parent = repo.commits.get(repo.branches.get(revision, ""), {})
            tree = {path: file for path, file in parent.items() if path not in delete}
            for path, data in contents.items():
                tree[path] = File(data, repo.stores_as_lfs(path))
            return self._commit_tree(repo, revision, tree)

    def branch(self, repo_id: str, name: str, revision: str = "main") -> str:
        """Create a branch at ``revision``, or move it there."""
        return self._name_commit(repo_id, "branches", name, revision)

    def tag(self, repo_id: str, name: str, revision: str = "main") -> str:
        """Create a tag at ``revision``, or move it there."""
        return self._name_commit(repo_id, "tags", name, revision)

    def rename(self, old: str, new: str) -> None:
        """Rename a repository; its old name redirects to the new one."""
        with self.lock:
            repo = self.repos.pop(old)
            repo.repo_id = new
            self.repos[new] = repo
            self._renamed[old] = new
            self._renamed.pop(new, None)

    def _name_commit(
        self, repo_id: str, kind: Literal["branches", "tags"], name: str, revision: str
    ) -> str:
        with self.lock:
            repo = self.repos[repo_id]
            sha = repo.sha(revision)
            getattr(repo, kind)[name] = sha
            return sha

    def _commit_tree(self, repo: Repo, branch: str, tree: dict[str, File]) -> str:
        self._objects |= {file.sha256: file.data for file in tree.values() if file.lfs}
        return repo.add_commit(branch, tree)

    # -- Going wrong on purpose, and looking at what happened ----------------------------------

    def fail_next(self, n: int = 1, status: int = 503) -> None:
        """Answer ``status`` to the next ``n`` requests, on either port."""
        with self.lock:
            self._failures += [status] * n

    def delay_next(self, n: int = 1, seconds: float = 1.0) -> None:
        """Wait before answering each of the next ``n`` requests, on either port."""
        with self.lock:
            self._delays += [seconds] * n

    def truncate_next(self, nbytes: int, times: int = 1) -> None:
        """Close the connection after ``nbytes`` of the body in the next ``times`` CDN downloads.

        ``huggingface_hub`` resumes from the last whole chunk of ``constants.DOWNLOAD_CHUNK_SIZE``
        (10 MB): of a file smaller than that it asks the beginning again, without a Range.
        """
        with self.lock:
            self._truncations += [nbytes] * times

    def clear_faults(self) -> None:
        """Forget the faults that were asked for and did not happen yet."""
        with self.lock:
            for faults in (self._failures, self._delays, self._truncations):
                faults.clear()

    def requests_for(self, text: str) -> list[Request]:
        """The requests so far whose path contains ``text``."""
        return [request for request in list(self.requests) if text in request.path]

    # -- Answering -----------------------------------------------------------------------------

    def answer(self, handler: _Handler) -> None:
        """Answer one HTTP request: the entry point of the handlers."""
        body = handler.read_body()
        with self.lock:
            delay = self._delays.pop(0) if self._delays else 0.0
            failure = self._failures.pop(0) if self._failures else None
        time.sleep(delay)
        with self.lock:
            try:
                if failure is not None:
                    raise HubError(failure, f"Failure {failure} asked for by the test")
                reply = self._route(handler, body)
            except HubError as error:
                reply = error.reply
            limit = self._truncation(handler, reply)
            # Logged before it is sent: whoever has the answer also finds it in the log.
            self.requests.append(handler.describe(reply.status))
        handler.send(reply, limit)

    def _truncation(self, handler: _Handler, reply: Reply) -> int | None:
        is_download = handler.host == "cdn" and handler.command == "GET" and reply.status < 300
        return self._truncations.pop(0) if is_download and self._truncations else None

    def _route(self, handler: _Handler, body: bytes) -> Reply:
        # A file store knows nothing of the Hub's tokens: its addresses are secret instead.
        user = _user_of(handler.token()) if handler.host == "hub" else None
        address = urlsplit(handler.path)
        method = "GET" if handler.command == "HEAD" else handler.command
        for host, route_method, pattern, answer in _ROUTES:
            found = pattern.fullmatch(address.path)
            if found is None or (host, route_method) != (handler.host, method):
                continue
            parts = {name: unquote(text) for name, text in found.groupdict("").items()}
            query = parse_qs(address.query)
            range_ = handler.headers.get("Range")
            return answer(self, Call(method, handler.path, query, range_, user, body, parts))
        raise HubError(404, f"Nothing is served at {handler.command} {handler.path}")

    def _repo(self, call: Call, *, write: bool = False) -> Repo:
        """The repository that the call is about, if the caller is allowed to know of it."""
        repo_id = call.parts.get("kind", "") + call.parts["repo"]
        new_id = self._renamed.get(repo_id)
        repo = self.repos.get(new_id or repo_id)
        if repo is None or (repo.private and call.user != TRUSTED_USER):
            # The Hub does not tell a missing repository from one that the caller may not see.
            if call.user is None:
                raise HubError(401, "Invalid username or password.", "RepoNotFound")
            raise HubError(404, "Repository not found", "RepoNotFound")
        if new_id is not None:
            location = call.path.replace(quote(repo_id), quote(new_id), 1)
            message = f"Temporary Redirect. Redirecting to {location}"
            raise HubError(307, message, headers={"Location": location})
        if write:
            _require_trusted(call.user)
        return repo

    # -- Reading -------------------------------------------------------------------------------

    def _resolve(self, call: Call) -> Reply:
        repo = self._repo(call)
        if repo.gated and call.user != TRUSTED_USER:
            raise _gated_error(repo.repo_id, call.user)
        sha = repo.sha(call.parts["revision"])
        commit = {"X-Repo-Commit": sha}
        file = repo.commits[sha].get(call.parts["path"])
        if file is None:
            raise HubError(404, "Entry not found", "EntryNotFound", commit)
        if not file.lfs:
            return _file_reply(file.data, call.range, {"ETag": f'"{file.etag}"', **commit})
        linked = {"X-Linked-ETag": f'"{file.etag}"', "X-Linked-Size": str(file.size)}
        location = {"Location": f"{self.cdn_url}/{file.sha256}"}
        return Reply(302, b"", {"ETag": f'"{file.blob_id}"', **commit, **linked, **location})

    def _download_object(self, call: Call) -> Reply:
        data = self._objects.get(call.parts["oid"])
        if data is None:
            raise HubError(403, "Access denied")
        return _file_reply(data, call.range, {"ETag": f'"{call.parts["oid"]}"'})

    def _model_info(self, call: Call) -> Reply:
        repo = self._repo(call)
        sha = repo.sha(call.parts.get("revision") or "main")
        files = repo.commits[sha]
        name = repo.repo_id.removeprefix(call.parts.get("kind", ""))
        info: dict[str, Any] = {
            "id": name,
            "modelId": name,
            "sha": sha,
            "private": repo.private,
            "gated": repo.gated,
            "disabled": False,
            "downloads": 0,
            "likes": 0,
            "createdAt": A_DATE,
            "lastModified": A_DATE,
            "siblings": [_sibling(p, files[p], call.flag("blobs")) for p in sorted(files)],
            **repo.info,
        }
        if "/" in info["id"]:
            info["author"] = info["id"].split("/")[0]
        if expand := call.query.get("expand"):
            info = {name: info[name] for name in ("id", *expand) if name in info}
        return Reply.json(info)

    def _tree(self, call: Call) -> Reply:
        repo = self._repo(call)
        sha = repo.sha(call.parts["revision"])
        folder = call.parts["path"].strip("/")
        entries = _entries(repo.commits[sha], folder, recursive=call.flag("recursive"))
        if folder and not entries:
            message = f"{folder} does not exist on {call.parts['revision']}"
            raise HubError(404, message, "EntryNotFound", {"X-Repo-Commit": sha})
        start = int(call.query.get("cursor", ["0"])[0])
        end = start + self.page_size
        reply = Reply.json(entries[start:end])
        if end < len(entries):
            page = f"{self.url}{urlsplit(call.path).path}?cursor={end}"
            page += "&recursive=true" if call.flag("recursive") else ""
            reply.headers["Link"] = f'<{page}>; rel="next"'
        return reply

    def _paths_info(self, call: Call) -> Reply:
        repo = self._repo(call)
        files = repo.commits[repo.sha(call.parts["revision"])]
        wanted = {path.strip("/") for path in parse_qs(call.body.decode()).get("paths", [])}
        entries = _entries(files, "", recursive=True)
        return Reply.json([entry for entry in entries if entry["path"] in wanted])

    def _refs(self, call: Call) -> Reply:
        repo = self._repo(call)

        def listed(names: dict[str, str], kind: str) -> list[dict[str, str]]:
            return [
                {"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": sha}
                for name, sha in sorted(names.items())
            ]

        branches, tags = listed(repo.branches, "heads"), listed(repo.tags, "tags")
        return Reply.json({"branches": branches, "tags": tags, "converts": [], "pullRequests": []})

    def _auth_check(self, call: Call) -> Reply:
        repo = self._repo(call)
        if repo.gated and call.user != TRUSTED_USER:
            raise _gated_error(repo.repo_id, call.user)
        return Reply.json({})

    def _whoami(self, call: Call) -> Reply:
        if call.user is None:
            raise HubError(401, "Invalid username or password.")
        role = "write" if call.user == TRUSTED_USER else "read"
        token = {"displayName": "tests", "role": role, "createdAt": A_DATE}
        user = {"type": "user", "id": call.user, "name": call.user, "fullname": call.user}
        rights = {"auth": {"type": "access_token", "accessToken": token}}
        return Reply.json({**user, "isPro": False, "orgs": [], **rights})

    # -- Writing -------------------------------------------------------------------------------

    def _create_repo(self, call: Call) -> Reply:
        _require_trusted(call.user)
        asked = call.json()
        kind = asked.get("type", "model")
        if kind == "space" and not asked.get("sdk"):
            raise HubError(400, "A Space needs an SDK")
        repo_id = f"{asked.get('organization') or call.user}/{asked['name']}"
        repo_id = repo_id if kind == "model" else f"{kind}s/{repo_id}"
        created = {"name": repo_id, "url": f"{self.url}/{repo_id}"}
        if repo_id in self.repos:
            message = f"You already created this {kind} repo"
            return Reply.json({"error": message, **created}, 409)
        private = bool(asked.get("private")) or asked.get("visibility") == "private"
        attributes = "".join(f"*{suffix} filter=lfs\n" for suffix in LFS_SUFFIXES)
        described = {"sdk": asked["sdk"]} if kind == "space" else {}
        self.add_repo(
            repo_id, {".gitattributes": attributes.encode()}, private=private, **described
        )
        return Reply.json(created)

    def _create_branch(self, call: Call) -> Reply:
        repo = self._repo(call, write=True)
        name = call.parts["revision"]
        if name in repo.branches:
            raise HubError(409, f"Reference already exists: {name}")
        self.branch(repo.repo_id, name, call.json().get("startingPoint", "main"))
        return Reply.json({})

    def _create_tag(self, call: Call) -> Reply:
        repo = self._repo(call, write=True)
        name = call.json()["tag"]
        if name in repo.tags:
            raise HubError(409, f"Tag already exists: {name}")
        self.tag(repo.repo_id, name, call.parts["revision"])
        return Reply.json({})

    def _validate_yaml(self, call: Call) -> Reply:
        return Reply.json({"errors": [], "warnings": []})

    def _preupload(self, call: Call) -> Reply:
        """Tell the client which of its files are to be uploaded to the file store."""
        repo = self._repo(call, write=True)
        sha = repo.sha(call.parts["revision"])
        files = []
        for asked in call.json()["files"]:
            path = asked["path"]
            mode = "lfs" if repo.stores_as_lfs(path) else "regular"
            present = repo.commits[sha].get(path)
            oid = present.etag if present else None
            files.append({"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        return Reply.json({"files": files, "commitOid": sha})

    def _lfs_batch(self, call: Call) -> Reply:
        self._repo(call, write=True)
        objects = []
        for asked in call.json()["objects"]:
            entry: dict[str, Any] = {"oid": asked["oid"], "size": asked["size"]}
            # An object without actions is one that needs no upload.
            if asked["oid"] not in self._objects:
                repo_id = call.parts.get("kind", "") + call.parts["repo"]
                verify = f"{self.url}/{repo_id}.git/info/lfs/objects/verify"
                upload = {"href": f"{self.cdn_url}/{asked['oid']}"}
                entry["actions"] = {"upload": upload, "verify": {"href": verify}}
            objects.append(entry)
        return Reply.json({"transfer": "basic", "objects": objects})

    def _upload_object(self, call: Call) -> Reply:
        if hashlib.sha256(call.body).hexdigest() != call.parts["oid"]:
            raise HubError(400, "The content does not have the announced sha256")
        self._objects[call.parts["oid"]] = call.body
        return Reply()

    def _lfs_verify(self, call: Call) -> Reply:
        self._repo(call, write=True)
        self._uploaded(call.json()["oid"])
        return Reply.json({})

    def _uploaded(self, oid: str) -> bytes:
        if oid not in self._objects:
            raise HubError(400, f"LFS object {oid} was not uploaded")
        return self._objects[oid]

    def _commit(self, call: Call) -> Reply:
        repo = self._repo(call, write=True)
        if call.flag("create_pr"):
            raise HubError(501, "This server has no pull requests")
        branch = call.parts["revision"]
        parent = repo.sha(branch)
        if branch not in repo.branches:
            raise HubError(400, f"Cannot commit to {branch}: it is not a branch")
        tree = dict(repo.commits[parent])
        for line in call.body.splitlines():
            operation = json.loads(line)
            value = operation["value"]
            if value.get("parentCommit", parent) != parent:
                raise HubError(412, "A commit has happened since. Please refresh and try again.")
            self._apply(tree, operation["key"], value)
        sha = self._commit_tree(repo, branch, tree)
        address = f"{self.url}/{repo.repo_id}/commit/{sha}"
        return Reply.json({"success": True, "commitOid": sha, "commitUrl": address})

    def _apply(self, tree: dict[str, File], key: str, value: dict[str, Any]) -> None:
        """Make one change of a commit."""
        path = value.get("path", "")
        if key == "file":
            tree[path] = File(base64.b64decode(value["content"]), lfs=False)
        elif key == "lfsFile":
            tree[path] = File(self._uploaded(value["oid"]), lfs=True)
        elif key == "deletedFile":
            if tree.pop(path, None) is None:
                message = f"A file with this name doesn't exist: {path}"
                raise HubError(404, message, "EntryNotFound")
        elif key == "deletedFolder":
            for inside in [p for p in tree if p.startswith(f"{path.rstrip('/')}/")]:
                del tree[inside]


# The names of repositories have one part or two, and revisions come with their slashes encoded.
_REPO = r"(?P<repo>[^/]+(?:/[^/]+)?)"
_DATASET = r"(?P<kind>datasets/)(?P<repo>[^/]+/[^/]+)"
_SPACE = r"(?P<kind>spaces/)(?P<repo>[^/]+/[^/]+)"
_REVISION = r"(?P<revision>[^/]+)"
_MODEL = f"/api/models/{_REPO}"
_DATA = f"/api/{_DATASET}"
_DEMO = f"/api/{_SPACE}"
_OBJECTS = r"\.git/info/lfs/objects"
_LFS = f"/{_REPO}{_OBJECTS}"
_OID = r"/(?P<oid>[0-9a-f]{64})"

_ROUTES: list[tuple[str, str, re.Pattern[str], Callable[[HubServer, Call], Reply]]] = [
    (host, method, re.compile(pattern), answer)
    for host, method, pattern, answer in [
        ("cdn", "GET", _OID, HubServer._download_object),
        ("cdn", "PUT", _OID, HubServer._upload_object),
        ("hub", "GET", "/api/whoami-v2", HubServer._whoami),
        ("hub", "POST", "/api/repos/create", HubServer._create_repo),
        ("hub", "POST", "/api/validate-yaml", HubServer._validate_yaml),
        ("hub", "GET", f"{_MODEL}/revision/{_REVISION}", HubServer._model_info),
        ("hub", "GET", f"{_MODEL}/tree/{_REVISION}(?P<path>/.*)?", HubServer._tree),
        ("hub", "POST", f"{_MODEL}/paths-info/{_REVISION}", HubServer._paths_info),
        ("hub", "GET", f"{_MODEL}/refs", HubServer._refs),
        ("hub", "GET", f"{_MODEL}/auth-check", HubServer._auth_check),
        ("hub", "POST", f"{_MODEL}/branch/{_REVISION}", HubServer._create_branch),
        ("hub", "POST", f"{_MODEL}/tag/{_REVISION}", HubServer._create_tag),
        ("hub", "POST", f"{_MODEL}/preupload/{_REVISION}", HubServer._preupload),
        ("hub", "POST", f"{_MODEL}/commit/{_REVISION}", HubServer._commit),
        ("hub", "GET", _MODEL, HubServer._model_info),
        ("hub", "GET", f"{_DATA}/revision/{_REVISION}", HubServer._model_info),
        ("hub", "GET", f"{_DATA}/tree/{_REVISION}(?P<path>/.*)?", HubServer._tree),
        ("hub", "POST", f"{_DATA}/paths-info/{_REVISION}", HubServer._paths_info),
        ("hub", "GET", f"{_DATA}/refs", HubServer._refs),
        ("hub", "POST", f"{_DATA}/preupload/{_REVISION}", HubServer._preupload),
        ("hub", "POST", f"{_DATA}/commit/{_REVISION}", HubServer._commit),
        ("hub", "GET", _DATA, HubServer._model_info),
        ("hub", "GET", _DEMO, HubServer._model_info),
        ("hub", "POST", f"{_DEMO}/preupload/{_REVISION}", HubServer._preupload),
        ("hub", "POST", f"{_DEMO}/commit/{_REVISION}", HubServer._commit),
        ("hub", "POST", f"{_LFS}/batch", HubServer._lfs_batch),
        ("hub", "POST", f"{_LFS}/verify", HubServer._lfs_verify),
        ("hub", "POST", f"/{_DATASET}{_OBJECTS}/batch", HubServer._lfs_batch),
        ("hub", "POST", f"/{_DATASET}{_OBJECTS}/verify", HubServer._lfs_verify),
        ("hub", "POST", f"/{_SPACE}{_OBJECTS}/batch", HubServer._lfs_batch),
        ("hub", "POST", f"/{_SPACE}{_OBJECTS}/verify", HubServer._lfs_verify),
        ("hub", "GET", f"/{_DATASET}/resolve/{_REVISION}/(?P<path>.+)", HubServer._resolve),
        ("hub", "GET", f"/{_SPACE}/resolve/{_REVISION}/(?P<path>.+)", HubServer._resolve),
        ("hub", "GET", f"/{_REPO}/resolve/{_REVISION}/(?P<path>.+)", HubServer._resolve),
    ]
]


def _read_folder(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def _user_of(token: str | None) -> str | None:
    if token is not None and token not in TOKENS:
        # Without an error code, as on the Hub: the client tells this case by the message.
        raise HubError(401, "Invalid credentials in Authorization header")
    return TOKENS[token] if token is not None else None


def _require_trusted(user: str | None) -> None:
    if user is None:
        raise HubError(401, "Invalid username or password.")
    if user != TRUSTED_USER:
        raise HubError(403, "You don't have the rights to write here")


def _gated_error(repo_id: str, user: str | None) -> HubError:
    message = f"Access to model {repo_id} is restricted"
    if user is None:
        message += ". You must have access to it and be authenticated to access it. Please log in."
        return HubError(401, message, "GatedRepo")
    message += " and you are not in the authorized list."
    return HubError(403, message, "GatedRepo")


def _file_reply(data: bytes, range_: str | None, headers: Headers) -> Reply:
    """The content of a file, or the part of it that was asked for."""
    common = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes", **headers}
    asked = re.fullmatch(r"bytes=(\d*)-(\d*)", range_ or "")
    if asked is None or not any(asked.groups()):
        return Reply(200, data, common)
    first, last = asked.groups()
    size = len(data)
    start = int(first) if first else max(size - int(last), 0)
    end = min(int(last) + 1, size) if first and last else size
    if start >= end:
        raise HubError(416, "Range Not Satisfiable", headers={"Content-Range": f"bytes */{size}"})
    common["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    return Reply(206, data[start:end], common)


def _sibling(path: str, file: File, detailed: bool) -> dict[str, Any]:
    """A file in the answer to ``model_info``."""
    if not detailed:
        return {"rfilename": path}
    sibling: dict[str, Any] = {"rfilename": path, "size": file.size, "blobId": file.blob_id}
    if file.lfs:
        pointer = len(file.pointer)
        sibling["lfs"] = {"sha256": file.sha256, "size": file.size, "pointerSize": pointer}
    return sibling


def _entries(files: dict[str, File], folder: str, *, recursive: bool) -> list[dict[str, Any]]:
    """The files and folders under ``folder``, as the tree of a repository lists them."""
    prefix = f"{folder}/" if folder else ""
    entries: dict[str, dict[str, Any]] = {}
    for path, file in files.items():
        if not path.startswith(prefix):
            continue
        names = path.removeprefix(prefix).split("/")
        for depth in range(1, len(names)):
            parent = prefix + "/".join(names[:depth])
            oid = hashlib.sha1(parent.encode()).hexdigest()
            entries[parent] = {"type": "directory", "path": parent, "oid": oid, "size": 0}
        entries[path] = {"type": "file", "path": path, "oid": file.blob_id, "size": file.size}
        if file.lfs:
            lfs = {"oid": file.sha256, "size": file.size, "pointerSize": len(file.pointer)}
            entries[path]["lfs"] = lfs
    depth = prefix.count("/")
    return [entries[p] for p in sorted(entries) if recursive or p.count("/") == depth]


class _Listener(ThreadingHTTPServer):
    """One of the two ports, served from a background thread."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, server: HubServer, host: Literal["hub", "cdn"]) -> None:
        self.hub_server = server
        self.host = host
        super().__init__(("127.0.0.1", 0), _Handler)

    def server_bind(self) -> None:
        # Passes over the method of HTTPServer, which asks the name service who we are.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that hangs up, after its timeout for one, is no error of ours.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    def start(self) -> None:
        # The interval is how long ``stop`` may have to wait.
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    """Reads one request and writes the answer.

    Speaks HTTP/1.0, the default of the base class: as no connection outlives its answer, a server
    that was stopped cannot be reached by a connection that the client had kept open.
    """

    server: _Listener

    @property
    def host(self) -> Literal["hub", "cdn"]:
        return self.server.host

    def answer(self) -> None:
        self.server.hub_server.answer(self)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer

    def token(self) -> str | None:
        kind, _, token = self.headers.get("Authorization", "").partition(" ")
        return token if kind == "Bearer" else None

    def read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def describe(self, status: int) -> Request:
        path = unquote(urlsplit(self.path).path)
        range_ = self.headers.get("Range")
        return Request(self.host, self.command, path, status, range_, self.token())

    def send(self, reply: Reply, limit: int | None) -> None:
        """Send the answer, announcing its whole length but stopping after ``limit`` bytes."""
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body[:limit])

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent: the tests have ``HubServer.requests`` to look at."""


# -- Pointing clients at the server ------------------------------------------------------------


def client_env(server: HubServer, home: Path, token: str | None = None) -> dict[str, str]:
    """Environment variables that make a new process use the server and keep its files in ``home``.

    They are read when ``huggingface_hub`` is imported, so they have no effect on a process that has
    already done so: there, use ``redirect_client``.
    """
    return {
        "HF_ENDPOINT": server.url,
        "HF_HOME": str(home),
        "HF_HUB_CACHE": str(home / "hub"),
        "HF_TOKEN_PATH": str(home / "token"),
        "HF_TOKEN": token or "",
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "DISABLE_SAFETENSORS_CONVERSION": "1",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }


def redirect_client(
    monkeypatch: pytest.MonkeyPatch, server: HubServer, home: Path, token: str | None = None
) -> None:
    """Make this process, and those it starts, use the server for what names no endpoint.

    Works whether or not the libraries were imported before: they look up the constants at each
    call, except in the shared ``HfApi`` objects, which keep the endpoint they were created with.
    Everything is as before once ``monkeypatch`` is undone.
    """
    from huggingface_hub import constants, hf_api
    from huggingface_hub.utils import _http

    for name, value in client_env(server, home, token).items():
        monkeypatch.setenv(name, value)
    template = f"{server.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    settings = {
        "ENDPOINT": server.url,
        "HUGGINGFACE_CO_URL_TEMPLATE": template,
        "HF_HOME": str(home),
        "HF_HUB_CACHE": str(home / "hub"),
        "HF_TOKEN_PATH": str(home / "token"),
        "HF_STORED_TOKENS_PATH": str(home / "stored_tokens"),
        "HF_HUB_OFFLINE": False,
        "HF_HUB_DISABLE_IMPLICIT_TOKEN": False,
        "HF_HUB_DISABLE_XET": True,
        "HF_HUB_DISABLE_TELEMETRY": True,
    }
    for name, value in settings.items():
        monkeypatch.setattr(constants, name, value)
    monkeypatch.setattr(hf_api.api, "endpoint", server.url)
    try:
        from transformers.utils import hub as transformers_hub
    except ImportError:
        pass
    else:
        # Created anew at the next call. Imported here, because an object that is created first
        # while we are in charge would outlive us.
        monkeypatch.setattr(transformers_hub, "_hf_api", None)
    datasets = sys.modules.get("datasets")
    if datasets is not None:
        address = f"{server.url}/datasets/{{repo_id}}/resolve/{{revision}}/{{path}}"
        monkeypatch.setattr(datasets.config, "HF_ENDPOINT", server.url)
        monkeypatch.setattr(datasets.config, "HUB_DATASETS_URL", address)
        monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", home / "datasets")
    # The client that is open may have been made with other proxy settings.
    _http.close_session()


def skip_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the retries of ``huggingface_hub`` immediate: it would wait up to half a minute."""
    from huggingface_hub import file_download
    from huggingface_hub.utils import _http

    impatient = SimpleNamespace(**{**vars(time), "sleep": lambda seconds: None})
    for module in (file_download, _http):
        monkeypatch.setattr(module, "time", impatient)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    """An empty Hub on this machine that every download of the test goes to."""
    with HubServer() as server:
        redirect_client(monkeypatch, server, tmp_path / "hf-home")
        skip_waiting(monkeypatch)
        yield server
