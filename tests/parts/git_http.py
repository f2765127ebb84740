"""Git over HTTP by the real `git http-backend`, with an LFS server at the same address.

`git http-backend` is a CGI program without LFS, so this serves it and adds LFS's batch API with
basic transfers; objects are kept in a folder, each checked by its SHA-256 before it is visible.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any

from tests.parts.need import require_part
from tests.parts.web import PIECE, Handler, Server, send_file

LFS_TYPE = "application/vnd.git-lfs+json"


class GitServer:
    """Serves every bare repository of `root` at `url`/NAME.git, for fetching and pushing."""

    def __init__(self, root: Path, *, username: str = "", password: str = "") -> None:
        """Start it; with a user name it asks for Basic credentials."""
        require_part("git")
        found = subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=True)
        self.backend = Path(found.stdout.strip()) / "git-http-backend"
        self.root = root
        self.objects = root / "lfs-objects"
        self.objects.mkdir(parents=True)
        self.username, self.password = username, password
        self.requests: list[tuple[str, str]] = []
        self.lock = threading.Lock()
        self._server = Server(type("GitHandler", (_Handler,), {"git": self}))
        self.url, self.host = self._server.url, self._server.host

    def new_repo(self, name: str, branch: str = "main") -> str:
        """A new bare repository; gives its URL."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["git", "init", "--quiet", "--bare", f"--initial-branch={branch}", path], check=True)
        return f"{self.url}/{name}.git"

    def path(self, name: str) -> Path:
        """Where a repository is on disk."""
        return self.root / f"{name}.git"

    def object_path(self, oid: str) -> Path:
        """Where an LFS object is on disk."""
        return self.objects / oid

    def client_env(self) -> dict[str, str]:
        """Environment that gives Git and git-lfs the credentials for this server only."""
        if not self.username:
            return {"GIT_TERMINAL_PROMPT": "0"}
        value = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        return {
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"http.{self.url}/.extraHeader",
            "GIT_CONFIG_VALUE_0": f"Authorization: Basic {value}",
        }

    def stop(self) -> None:
        """Stop serving."""
        self._server.stop()


class _Handler(Handler):
    git: GitServer

    def do_GET(self) -> None:
        """Git's reads, and LFS downloads."""
        self._serve()

    def do_POST(self) -> None:
        """Git's packs, and LFS batches."""
        self._serve()

    def do_PUT(self) -> None:
        """LFS uploads."""
        self._serve()

    def _serve(self) -> None:
        with self.git.lock:
            self.git.requests.append((self.command, self.path))
        if self.git.username and self.basic() != (self.git.username, self.git.password):
            self._drain()
            self.answer(401, b"", {"WWW-Authenticate": 'Basic realm="git"'})
            return
        path = self.path.partition("?")[0]
        if "/info/lfs/" not in path:
            self._backend()
        elif path.endswith("/info/lfs/objects/batch") and self.command == "POST":
            self._batch(path.removesuffix("/batch"))
        elif "/info/lfs/objects/" in path and self.command in ("GET", "PUT"):
            self._object(path.rpartition("/")[2])
        else:  # locks: not implemented, which clients accept
            self._drain()
            self.answer(404, b'{"message":"not found"}', {"Content-Type": LFS_TYPE})

    def _drain(self) -> None:
        for _ in self.body():
            pass

    # --- git http-backend, by CGI --------------------------------------------------------------

    def _backend(self) -> None:
        with tempfile.TemporaryFile() as request:
            # A CGI program wants its input's length, which a chunked push does not tell.
            for piece in self.body():
                request.write(piece)
            size = request.tell()
            request.seek(0)
            with subprocess.Popen(
                [self.git.backend], stdin=request, stdout=subprocess.PIPE, env=self._cgi(size)
            ) as backend:
                assert backend.stdout is not None
                self._relay(backend.stdout)

    def _cgi(self, size: int) -> dict[str, str]:
        path, _, query = self.path.partition("?")
        env = {
            **os.environ,
            "GIT_PROJECT_ROOT": str(self.git.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GATEWAY_INTERFACE": "CGI/1.1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(size),
            "REMOTE_ADDR": self.client_address[0],
            # Somebody must be named, or pushing is off.
            "REMOTE_USER": self.git.username or "anonymous",
        }
        for header, name in (
            ("Content-Encoding", "HTTP_CONTENT_ENCODING"),
            ("Git-Protocol", "GIT_PROTOCOL"),
        ):
            if header in self.headers:
                env[name] = self.headers[header]
        return env

    def _relay(self, output: Any) -> None:
        status, headers = 200, []
        while line := output.readline().strip():
            name, _, value = line.decode().partition(": ")
            if name.lower() == "status":
                status = int(value.split()[0])
            else:
                headers.append((name, value))
        self.send_response(status)
        for name, value in headers:
            if name.lower() != "content-length":
                self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while piece := output.read(PIECE):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    # --- LFS -----------------------------------------------------------------------------------

    def _batch(self, path: str) -> None:
        asked = json.loads(b"".join(self.body()))
        objects = [self._describe(asked["operation"], each, path) for each in asked["objects"]]
        reply = {"transfer": "basic", "objects": objects, "hash_algo": "sha256"}
        self.answer(200, json.dumps(reply).encode(), {"Content-Type": LFS_TYPE})

    def _describe(self, operation: str, asked: dict[str, Any], path: str) -> dict[str, Any]:
        made: dict[str, Any] = {"oid": asked["oid"], "size": asked["size"]}
        here = self.git.object_path(asked["oid"]).is_file()
        action: dict[str, Any] = {"href": f"http://{self.headers['Host']}{path}/{asked['oid']}"}
        if self.git.username:
            action["header"] = {"Authorization": self.headers["Authorization"]}
        if operation == "download" and not here:
            made["error"] = {"code": 404, "message": "Object does not exist"}
        elif operation == "download" or not here:
            made["actions"] = {operation: action}
        return made

    def _object(self, oid: str) -> None:
        path = self.git.object_path(oid)
        if self.command == "PUT":
            self._take(oid, path)
        elif not path.is_file():
            self.answer(404)
        else:
            start = 0
            given = self.headers.get("Range", "")
            if given.startswith("bytes="):
                start = int(given.removeprefix("bytes=").partition("-")[0])
            size = path.stat().st_size
            self.send_response(206 if given else 200)
            self.send_header("Content-Length", str(size - start))
            if given:
                self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
            self.end_headers()
            send_file(self, path, start)

    def _take(self, oid: str, path: Path) -> None:
        hasher = hashlib.sha256()
        with tempfile.NamedTemporaryFile(dir=self.git.objects, delete=False) as sink:
            for piece in self.body():
                hasher.update(piece)
                sink.write(piece)
        if hasher.hexdigest() == oid:
            Path(sink.name).rename(path)
            self.answer(200)
            return
        with contextlib.suppress(FileNotFoundError):
            Path(sink.name).unlink()
        self.answer(422, b'{"message":"wrong content"}', {"Content-Type": LFS_TYPE})
