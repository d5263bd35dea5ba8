"""A small Hugging Face Hub on loopback, for tests: it speaks the part of the Hub's HTTP API that `huggingface_hub` uses to
create, upload, commit, list and download, keeps everything in memory, and fails on demand.

    with LocalHub() as hub:                      # HF_ENDPOINT=hub.url has to be set before huggingface_hub is imported
        hub.fail("PUT", "/lfs/", "cut")          # the next such request dies half-way; or a status: 401, 403, 409, 500

    process = HubProcess(folder)                 # a process of its own, whose Hub this is
    process.run("print(hub.requests)")
"""
import base64
import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
import traceback
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

TOKENS = {"hf_writer": ("me", "write"), "hf_reader": ("me", "read")}  # token: (user, role)
LFS = (".safetensors", ".parquet", ".png", ".bin")                    # what goes to large file storage
REPO = r"(?P<kind>models|datasets)/(?P<repo_id>[\w.-]+/[\w.-]+)"
FILES = r"(?P<kind>datasets)?/?(?P<repo_id>[\w.-]+/[\w.-]+)"
REVISION = r"(?P<revision>refs/convert/parquet|[^/]+)"                # a branch of the Hub's own, or any
REVISION = r"(?P<revision>refs/convert/parquet|[^/]+)"                # a branch of the Hub's own, or any


@dataclass
class Repo:
    "A repository: its files, and how often it was committed to."
    private: bool = False
    files: dict[str, bytes] = field(default_factory=lambda: {".gitattributes": b"*.safetensors filter=lfs\n"})
    commits: list[str] = field(default_factory=list)  # messages

    @property
    def sha(self) -> str:
        return hashlib.sha1(repr((self.commits, sorted(self.files))).encode()).hexdigest()


class HubError(Exception):
    "An answer that is no success: status, message, and the code by which the client tells a missing repository from a missing file."
    def __init__(self, status: int, message: str, code: str = ""):
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


class LocalHub:
    "The server, in a thread from `with` to its end."

    def __init__(self):
        self.repos: dict[tuple[str, str], Repo] = {}      # (models or datasets, owner/name)
        self.objects: dict[str, bytes] = {}               # sha256: content uploaded to large file storage
        self.requests: list[tuple[str, str, int | str]] = []  # method, path, status answered or "cut"
        self._faults: list[list] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    def fail(self, method: str, part: str, how: int | str, times: int = 1) -> None:
        "Answer the next requests whose path holds `part` with a status, or cut the connection."
        self._faults.append([method, part, how, times])

    def take_fault(self, method: str, path: str) -> int | str | None:
        for fault in self._faults:
            if fault[0] == method and fault[1] in path and fault[3] > 0:
                fault[3] -= 1
                return fault[2]
        return None

    def add(self, kind: str, repo_id: str, files: dict[str, bytes], private: bool = False) -> Repo:
        "Put a repository there, as if somebody had pushed it before."
        repo = self.repos[kind, repo_id] = Repo(private)
        repo.files |= files
        repo.commits.append("initial commit")
        return repo


def _oid(path: str, content: bytes) -> str:
    "What the Hub calls the content of a file: sha256 in large file storage, else git's blob id."
    if path.endswith(LFS):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: LocalHub

    # === HTTP ===
    def log_message(self, *_):
        pass

    def handle_any(self):
        self.query, self.path = urlsplit(self.path).query, unquote(urlsplit(self.path).path)
        fault = self.hub.take_fault(self.command, self.path)
        length = int(self.headers.get("Content-Length") or 0)
        if fault == "cut":
            self.rfile.read(length // 2)
            self.hub.requests.append((self.command, self.path, "cut"))
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.body = self.rfile.read(length)
        try:
            if fault:
                raise HubError(fault, "asked to fail")
            for method, pattern, answer in ROUTES:
                if method == self.command.replace("HEAD", "GET") and (found := re.fullmatch(pattern, self.path)):
                    return answer(self, **found.groupdict())
            raise HubError(404, f"no such route: {self.command} {self.path}")
        except HubError as error:
            self.reply(error.status, {"error": error.message}, {"X-Error-Code": error.code, "X-Error-Message": error.message})

    do_GET = do_HEAD = do_POST = do_PUT = handle_any

    def reply(self, status: int, body: object, headers: dict[str, str] = {}):
        self.hub.requests.append((self.command, self.path, status))
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(content)), **headers}.items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    # === Who may do what ===
    def user(self, needed: bool = True) -> tuple[str | None, str]:
        header = self.headers.get("Authorization", "")
        if not header and not needed:
            return None, "read"
        if header.removeprefix("Bearer ") not in TOKENS:
            raise HubError(401, "Invalid credentials in Authorization header" if header else "Invalid username or password.")
        return TOKENS[header.removeprefix("Bearer ")]

    def may_write(self, owner: str) -> None:
        name, role = self.user()
        if role != "write" or name != owner:
            raise HubError(403, f"You don't have the rights to write under the namespace \"{owner}\"")

    def repo(self, kind: str | None, repo_id: str) -> Repo:
        found = self.hub.repos.get((kind or "models", repo_id))
        name, _ = self.user(needed=False)
        if found is None or found.private and name != repo_id.split("/")[0]:
            raise HubError(401 if name is None else 404, "Repository not found", "RepoNotFound")
        return found

    # === The API ===
    def whoami(self):
        name, role = self.user()
        self.reply(200, {"type": "user", "name": name, "orgs": [], "auth": {"accessToken": {"displayName": "test", "role": role}}})

    def create(self):
        wanted = json.loads(self.body)
        owner = wanted.get("organization") or self.user()[0]
        self.may_write(owner)
        key = (wanted.get("type") or "model") + "s", f"{owner}/{wanted['name']}"
        url = f"{self.hub.url}/{key[1]}"
        if key in self.hub.repos:
            return self.reply(409, {"error": "You already created this model repo", "url": url})
        self.hub.repos[key] = Repo(private=wanted.get("private") or wanted.get("visibility") == "private")
        self.reply(200, {"url": url, "name": key[1], "id": key[1]})

    def validate_yaml(self):
        content = json.loads(self.body)["content"]
        errors = [name for name, pattern in {"license": r"^license: [a-z0-9.-]+$", "language": r"^language: ko$",
                                             "pipeline_tag": r"^pipeline_tag: [a-z-]+$"}.items()
                  if not re.search(pattern, content.split("\n---\n")[0], re.MULTILINE)]
        self.reply(400 if errors else 200, {"errors": [{"message": f"{name} is not as it should be"} for name in errors], "warnings": []})

    def info(self, kind, repo_id, revision=None):
        repo = self.repo(kind, repo_id)
        head = repo.files.get("README.md", b"").decode().split("\n---\n")[0]
        tags = re.search(r"^tags:\n((?:- .*\n?)*)", head, re.MULTILINE)
        self.reply(200, {"id": repo_id, "sha": repo.sha, "private": repo.private, "downloads": 0, "likes": 0,
                         "tags": re.findall(r"- (.*)", tags[1]) if tags else [],
                         "siblings": [{"rfilename": path} for path in sorted(repo.files)]})

    def entry(self, path: str, content: bytes) -> dict:
        oid = _oid(path, content)
        lfs = {"lfs": {"oid": oid, "size": len(content), "pointerSize": 130}} if path.endswith(LFS) else {}
        return {"type": "file", "path": path, "oid": oid, "size": len(content), **lfs}

    def tree(self, kind, repo_id, revision, folder=None):
        base = f"{folder}/" if folder else ""
        files = {path: content for path, content in self.repo(kind, repo_id).files.items() if path.startswith(base)}
        if folder and not files:
            raise HubError(404, f"{folder} does not exist", "EntryNotFound")
        folders = {str(parent) for path in files for parent in PurePosixPath(path).parents if str(parent).startswith(base) and str(parent) != "."}
        entries = [{"type": "directory", "path": path, "oid": "0" * 40, "size": 0} for path in folders] + [self.entry(*item) for item in files.items()]
        everything = "recursive=true" in self.query.lower()
        self.reply(200, sorted((e for e in entries if everything or "/" not in e["path"].removeprefix(base)), key=lambda e: e["path"]))

    def paths_info(self, kind, repo_id, revision):
        repo = self.repo(kind, repo_id)
        fields = json.loads(self.body) if self.headers.get("Content-Type", "").startswith("application/json") else {
            "paths": [unquote(value.replace("+", " ")) for value in re.findall(r"paths=([^&]*)", self.body.decode())]}
        folders = {str(parent) for path in repo.files for parent in PurePosixPath(path).parents}
        self.reply(200, [self.entry(path, repo.files[path]) if path in repo.files else {"type": "directory", "path": path, "oid": "0" * 40}
                         for path in fields["paths"] if path in repo.files or path in folders])

    def preupload(self, kind, repo_id, revision):
        self.may_write(repo_id.split("/")[0])
        there = self.repo(kind, repo_id).files
        self.reply(200, {"files": [{"path": path, "uploadMode": "lfs" if path.endswith(LFS) else "regular", "shouldIgnore": False,
                                    "oid": _oid(path, there[path]) if path in there else None}
                                   for path in (file["path"] for file in json.loads(self.body)["files"])]})

    def lfs_batch(self, kind, repo_id):
        self.may_write(repo_id.split("/")[0])
        wanted = json.loads(self.body)["objects"]
        self.reply(200, {"transfer": "basic", "objects": [
            file if file["oid"] in self.hub.objects else file | {"actions": {"upload": {"href": f"{self.hub.url}/lfs/{file['oid']}"}}}
            for file in wanted]}, {"Content-Type": "application/vnd.git-lfs+json"})

    def lfs_put(self, oid):
        if hashlib.sha256(self.body).hexdigest() != oid:
            raise HubError(400, "content does not match its oid")
        self.hub.objects[oid] = self.body
        self.reply(200, b"")

    def commit(self, kind, repo_id, revision):
        self.may_write(repo_id.split("/")[0])
        repo, files, gone, summary = self.repo(kind, repo_id), {}, set(), ""
        for line in self.body.splitlines():
            key, value = (item := json.loads(line))["key"], item["value"]
            if key == "header":
                summary = value["summary"]
            elif key == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif key == "lfsFile":
                if value["oid"] not in self.hub.objects:
                    raise HubError(400, f"{value['path']} was not uploaded")
                files[value["path"]] = self.hub.objects[value["oid"]]
            elif key == "deletedFile":
                if value["path"] not in repo.files:
                    raise HubError(400, f"{value['path']} does not exist")
                gone.add(value["path"])
        kept = {path: content for path, content in repo.files.items() if path not in gone}
        repo.files = kept | files                          # all of it or nothing
        repo.commits.append(summary)
        self.reply(200, {"commitUrl": f"{self.hub.url}/{repo_id}/commit/{repo.sha}", "commitOid": repo.sha, "pullRequestUrl": None})

    def resolve(self, kind, repo_id, revision, path):
        repo = self.repo(kind, repo_id)
        headers = {"X-Repo-Commit": repo.sha, "Content-Type": "application/octet-stream", "Accept-Ranges": "none"}
        if path not in repo.files:
            raise HubError(404, f"{path} does not exist", "EntryNotFound")
        self.reply(200, repo.files[path], headers | {"ETag": f'"{_oid(path, repo.files[path])}"'})


ROUTES = [
    ("GET", "/api/whoami-v2", _Handler.whoami),
    ("POST", "/api/repos/create", _Handler.create),
    ("POST", "/api/validate-yaml", _Handler.validate_yaml),
    ("GET", f"/api/{REPO}(/revision/{REVISION})?", _Handler.info),
    ("GET", f"/api/{REPO}/tree/{REVISION}(/(?P<folder>.+))?", _Handler.tree),
    ("POST", f"/api/{REPO}/paths-info/{REVISION}", _Handler.paths_info),
    ("POST", f"/api/{REPO}/preupload/{REVISION}", _Handler.preupload),
    ("POST", f"/{FILES}\\.git/info/lfs/objects/batch", _Handler.lfs_batch),
    ("PUT", "/lfs/(?P<oid>[0-9a-f]{64})", _Handler.lfs_put),
    ("POST", f"/api/{REPO}/commit/{REVISION}", _Handler.commit),
    ("GET", f"/{FILES}/resolve/{REVISION}/(?P<path>.+)", _Handler.resolve),
]


# === A process whose Hub this is ===
class HubProcess:
    """Runs code in a process of its own, in which `hub` is a `LocalHub` and `huggingface_hub` talks to it. The process sees
    neither the login, the cache nor the settings of whoever starts it; `variables` are added to its environment."""

    def __init__(self, home: str | Path, **variables: str):
        home = Path(home)
        home.mkdir(parents=True, exist_ok=True)
        cleared = {name: value for name, value in os.environ.items()
                   if not name.startswith(("HF_", "HUGGING", "TRANSFORMERS_"))}
        own = {"HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1",
               "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "PYTHONIOENCODING": "utf-8"}
        self._log = home / "printed.txt"
        with self._log.open("w") as log:
            self._process = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                             stderr=log, text=True, env=cleared | own | variables)

    @property
    def printed(self) -> str:
        "All that was printed so far."
        return self._log.read_text(encoding="utf-8", errors="replace")

    def run(self, code: str) -> None:
        "Run code after what was run before; AssertionError with its traceback where it fails."
        self._process.stdin.write(json.dumps(code) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        failure = json.loads(answer) if answer else f"the process ended\n{self.printed}"
        assert failure is None, failure

    def close(self) -> None:
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


def _serve() -> None:
    "Run the pieces of code that come in, one a line as JSON; answer each with its traceback, or null."
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the code prints goes where errors go
    with LocalHub() as hub:
        os.environ["HF_ENDPOINT"] = hub.url
        names = {"__name__": "__main__", "hub": hub, "os": os}
        for line in sys.stdin:
            failure = None
            try:
                exec(compile(json.loads(line), "<cell>", "exec"), names)
            except Exception:
                failure = traceback.format_exc()
            sys.stdout.flush()
            print(json.dumps(failure), file=answers, flush=True)


if __name__ == "__main__":
    _serve()
