"""A stand-in of the Hugging Face hub on loopback: what its HTTP API answers about repositories, and its bad days."""

from __future__ import annotations

import json
import threading
from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_of_the_tests"
READING_TOKEN = "hf_that_may_read"
OWNER = "me"


@dataclass
class Repo:
    """A repository: revision → commit → its files.

    Attributes:
        revisions: Branch → commit.
        commits: Commit → path → content.
        needs_token: It is gated.
        is_private: Only who has the token sees it.
        messages: Those of the commits that were sent here, in order.
    """

    revisions: dict[str, str] = field(default_factory=dict)
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    needs_token: bool = False
    is_private: bool = False
    messages: list[str] = field(default_factory=list)

    def commit(self, files: Mapping[str, bytes], *, branch: str = "main") -> str:
        """Adds a commit that the branch stands for from now on."""
        digest = sha1(repr((branch, sorted((path, sha1(data).hexdigest()) for path, data in files.items()))).encode())
        self.commits[digest.hexdigest()] = dict(files)
        self.revisions[branch] = digest.hexdigest()
        return digest.hexdigest()

    def resolved(self, revision: str) -> str | None:
        """The commit of a branch or of itself."""
        commit = self.revisions.get(revision, revision)
        return commit if commit in self.commits else None


@dataclass
class Hub:
    """The stand-in and what went through it.

    Attributes:
        repos: ``("datasets", "me/numbers")`` or ``("models", …)`` → repository.
        url: Its address, for ``HF_ENDPOINT``.
        asked: Method and path of every request, in order.
        sent: Path of a file → bytes of it that were sent.
        cut_after: Path of a file → how many bytes of it are sent, once, before the connection is dropped.
        stall_after: Path of a file → how many bytes of it are sent, once, before nothing more comes.
        stalled: Set once that is so.
        busy: How many more requests are answered with 429; negative: all.
        down: Every request is answered with 503.
        down_after: Path of a file of which a part is sent, once, before everything is down.
        large: Digest → large file that was sent here.
        refuses_commits: Status with which every commit is refused; 0: none is.
    """

    repos: dict[tuple[str, str], Repo] = field(default_factory=dict)
    url: str = ""
    asked: list[str] = field(default_factory=list)
    sent: dict[str, int] = field(default_factory=dict)
    cut_after: dict[str, int] = field(default_factory=dict)
    stall_after: dict[str, int] = field(default_factory=dict)
    stalled: threading.Event = field(default_factory=threading.Event)
    busy: int = 0
    down: bool = False
    down_after: str = ""
    large: dict[str, bytes] = field(default_factory=dict)
    refuses_commits: int = 0

    def repo(self, kind: str, name: str) -> Repo:
        """A repository, empty at first."""
        return self.repos.setdefault((kind, name), Repo())


@contextmanager
def serve() -> Iterator[Hub]:
    """The stand-in, answering on a free port of loopback."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Answers", (_Answers,), {"hub": hub}))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


class _Answers(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        pass

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    @property
    def _token(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    def _answer(self) -> None:
        body = self._body()
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(f"{self.command} {path}")
        if self.hub.down:
            return self._refuse(503, "")
        if self.hub.busy:
            self.hub.busy -= 1
            return self._refuse(429, "", more={"Retry-After": "0"})
        if self.command in ("POST", "PUT") and self._taken(path, body):
            return None
        found = self._repo(path)
        if found is not None and found[2].is_private and self._token not in (TOKEN, READING_TOKEN):
            found = None
        if found is None:
            # As the hub does: without a token, nobody is told whether a private repository of this name exists.
            status = 404 if self.headers.get("Authorization") else 401
            return self._refuse(status, "RepoNotFound", "Repository not found")
        kind, name, repo, rest = found
        action, _, rest = rest.partition("/")
        if path.startswith("/api/"):
            return self._api(kind, name, repo, action, rest, body)
        if repo.needs_token and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._refuse(401, "GatedRepo", f"Access to {kind} {name} is restricted. Please log in.")
        revision, rest = self._revision(repo, rest)
        commit = repo.resolved(revision)
        if commit is None:
            return self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        if rest not in repo.commits[commit]:
            return self._refuse(404, "EntryNotFound", "Entry not found", more={"X-Repo-Commit": commit})
        return self._file(rest, repo.commits[commit][rest], commit)

    def _repo(self, path: str) -> tuple[str, str, Repo, str] | None:
        rest = path.removeprefix("/api").lstrip("/")
        kind = "datasets" if rest.startswith("datasets/") else "models"
        rest = rest.removeprefix("datasets/").removeprefix("models/")
        for (its_kind, name), repo in self.hub.repos.items():
            if its_kind == kind and f"{rest}/".startswith(f"{name}/"):
                return kind, name, repo, rest[len(name) + 1 :]
        return None

    def _revision(self, repo: Repo, rest: str) -> tuple[str, str]:
        """What of the rest of a path is the revision (a branch may have slashes), and what comes after it."""
        known = [one for one in (*repo.revisions, *repo.commits) if f"{rest}/".startswith(f"{one}/")]
        revision = max(known, key=len) if known else rest.partition("/")[0]
        return revision, rest[len(revision) + 1 :]

    def _api(self, kind: str, name: str, repo: Repo, action: str, rest: str, body: bytes) -> None:
        if action == "discussions":
            return self._json({"discussions": [], "count": 0, "start": 0})
        if action == "refs":
            branches = [{"name": one, "ref": one, "targetCommit": sha} for one, sha in repo.revisions.items()]
            return self._json({"branches": branches, "converts": [], "tags": []})
        revision, rest = self._revision(repo, rest) if rest else ("main", "")
        commit = repo.resolved(revision)
        if commit is None:
            return self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        files = repo.commits[commit]
        if action in ("", "revision"):
            siblings = [{"rfilename": path} for path in sorted(files)]
            gated = "auto" if repo.needs_token else False
            known = {
                "id": name,
                "sha": commit,
                "private": repo.is_private,
                "gated": gated,
                "tags": [],
                "siblings": siblings,
            }
            return self._json({**known, "downloads": 0, "likes": 0, "disabled": False})
        if action == "tree":
            below = [path for path in sorted(files) if path.startswith(f"{rest}/" if rest else "")]
            if not below:
                return self._refuse(404, "EntryNotFound", "Entry not found")
            is_deep = "recursive=" in self.path and "recursive=false" not in self.path.lower()
            return self._json(_tree(files, below, rest, is_deep=is_deep))
        if action == "paths-info":
            wanted = json.loads(body)["paths"] if body.startswith(b"{") else _form(body)
            return self._json([entry for path in wanted for entry in _entry(files, path)])
        return self._refuse(404, "EntryNotFound", "no such call")

    def _taken(self, path: str, body: bytes) -> bool:
        """Answers what is part of sending files here; False where a request is something else."""
        if path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif path == "/api/repos/create":
            self._create(json.loads(body))
        elif path.startswith("/large/"):
            self.hub.large[path.removeprefix("/large/")] = body
            self._send(200, b"", {})
        elif path.endswith(".git/info/lfs/objects/batch"):
            self._json({"transfer": "basic", "objects": [self._upload(one) for one in json.loads(body)["objects"]]})
        elif "/preupload/" in path:
            if not self._refuse_writing():
                self._json({"files": [_mode(one["path"]) for one in json.loads(body)["files"]]})
        elif "/commit/" in path:
            if not self._refuse_writing():
                self._commit(path, body)
        else:
            return False
        return True

    def _upload(self, one: Mapping[str, Any]) -> dict[str, Any]:
        """How a large file is to be sent."""
        href = f"{self.hub.url}/large/{one['oid']}"
        return {"oid": one["oid"], "size": one["size"], "actions": {"upload": {"href": href}}}

    def _refuse_writing(self, owner: str = OWNER) -> bool:
        """Whether who asks may not write to an owner's repositories; then it was told so."""
        if self._token not in (TOKEN, READING_TOKEN):
            self._refuse(401, "", "Invalid username or password.")
        elif self._token == READING_TOKEN or owner != OWNER:
            self._refuse(403, "", "You don't have the rights to create a model under this namespace")
        else:
            return False
        return True

    def _create(self, wanted: Mapping[str, Any]) -> None:
        name = f"{wanted['organization']}/{wanted['name']}"
        if self._refuse_writing(wanted["organization"]):
            return None
        if ("models", name) in self.hub.repos:
            return self._refuse(409, "", "You already created this model repo")
        repo = self.hub.repo("models", name)
        repo.is_private = wanted.get("visibility") == "private" or wanted.get("private") is True
        repo.commit({".gitattributes": b""})
        return self._json({"url": f"{self.hub.url}/{name}"})

    def _commit(self, path: str, body: bytes) -> None:
        if self.hub.refuses_commits:
            return self._refuse(self.hub.refuses_commits, "")
        name = path.removeprefix("/api/models/").partition("/commit/")[0]
        repo = self.hub.repo("models", name)
        files = dict(repo.commits[repo.revisions["main"]])
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "header":
                repo.messages.append(value["summary"])
            elif line["key"] == "file":
                files[value["path"]] = b64decode(value["content"])
            else:
                files[value["path"]] = self.hub.large[value["oid"]]
        commit = repo.commit(files)
        return self._json({"commitUrl": f"{self.hub.url}/{name}/commit/{commit}", "commitOid": commit})

    def _file(self, path: str, data: bytes, commit: str) -> None:
        span = self.headers.get("Range", "").removeprefix("bytes=")
        first, _, last = span.partition("-")
        start = int(first or 0)
        part = data[start : int(last) + 1 if last else None]
        if span and start >= len(data):
            return self._refuse(416, "", more={"Content-Range": f"bytes */{len(data)}"})
        self.send_response(206 if span else 200)
        self.send_header("ETag", f'"{sha1(data).hexdigest()}"')
        self.send_header("X-Repo-Commit", commit)
        self.send_header("X-Linked-Size", str(len(data)))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(part)))
        if span:
            self.send_header("Content-Range", f"bytes {start}-{start + len(part) - 1}/{len(data)}")
        self.end_headers()
        if self.command == "HEAD":
            return None
        stall = self.hub.stall_after.pop(path, None)
        if stall is not None:
            self.wfile.write(part[:stall])
            self.wfile.flush()
            self.hub.stalled.set()
            self.connection.recv(1)  # until who asked is gone
            self.close_connection = True
            return None
        if path == self.hub.down_after:
            self.hub.down, self.hub.down_after = True, ""
            self.hub.cut_after[path] = 100
        cut = self.hub.cut_after.pop(path, None)
        self.wfile.write(part[:cut])
        self.hub.sent[path] = self.hub.sent.get(path, 0) + len(part[:cut])
        if cut is not None:
            self.wfile.flush()
            self.close_connection = True
            self.connection.close()
        return None

    def _json(self, value: Any) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _refuse(self, status: int, code: str, message: str = "", *, more: Mapping[str, str] | None = None) -> None:
        told = {"X-Error-Code": code, "X-Error-Message": message} if code else {}
        self._send(status, json.dumps({"error": message}).encode(), {**told, **(more or {})})

    def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _tree(files: Mapping[str, bytes], below: list[str], under: str, *, is_deep: bool) -> list[dict[str, Any]]:
    start = len(under) + 1 if under else 0
    folders = {path[:k] for path in below for k in range(start, len(path)) if path[k] == "/"}
    paths = [*sorted(folders), *below]
    return [entry for path in paths if is_deep or "/" not in path[start:] for entry in _entry(files, path)]


def _entry(files: Mapping[str, bytes], path: str) -> list[dict[str, Any]]:
    if path in files:
        oid = sha1(files[path]).hexdigest()
        return [{"type": "file", "oid": oid, "size": len(files[path]), "path": path}]
    if any(other.startswith(f"{path}/") for other in files):
        return [{"type": "directory", "oid": sha1(path.encode()).hexdigest(), "size": 0, "path": path}]
    return []


def _mode(path: str) -> dict[str, Any]:
    is_large = path.endswith((".safetensors", ".npz"))
    return {"path": path, "uploadMode": "lfs" if is_large else "regular", "shouldIgnore": False}


def _form(body: bytes) -> list[str]:
    from urllib.parse import parse_qs

    return parse_qs(body.decode()).get("paths", [])
