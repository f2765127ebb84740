"""CNCF distribution 2.8 and 3.1, started with the storage and the login that a test wants."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import bcrypt
import yaml

from tests.parts import tls
from tests.parts.need import require_part
from tests.parts.process import (
    LOOPBACK,
    NotReadyError,
    Process,
    answers_http,
    free_ports,
    listens,
    retry_on_race,
)
from tests.parts.tokens import ISSUER, SERVICE, TokenServer

Auth = Literal["basic", "token"]
Storage = Literal["filesystem", "inmemory"]

USERNAME = "robot$import"
PASSWORD = "correct horse: battery"
# The cheapest that the library allows; these passwords guard nothing.
BCRYPT_ROUNDS = 4


class Registry:
    """A running registry.

    `host` is "127.0.0.1:PORT", `url` has the scheme; `username` and `password` are empty without a
    login, `ca_file` is None without TLS, `root` is the storage folder (None in memory), `tokens`
    is the token server of auth="token".
    """

    def __init__(
        self,
        folder: Path,
        *,
        version: int = 3,
        auth: Auth | None = None,
        tls_on: bool = False,
        storage: Storage = "filesystem",
        config: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        """Start it in an own folder; `config` may change the registry's configuration first."""
        self.version = version
        self.folder = folder
        self.root = folder / "storage" if storage == "filesystem" else None
        self.username, self.password = (USERNAME, PASSWORD) if auth else ("", "")
        self.ca_file: Path | None = None
        self.tokens: TokenServer | None = None
        self.host = self.url = ""
        self._config = self._base_config()
        self._certificate = self._make_certificate() if tls_on else None
        if auth == "basic":
            self._use_basic()
        elif auth == "token":
            self._use_tokens()
        if config:
            config(self._config)
        retry_on_race(lambda: self._start(free_ports(1)[0]))

    def log(self) -> str:
        """The end of the registry's log."""
        return self._process.log()

    def stop(self) -> None:
        """Stop the registry and its token server."""
        self._process.stop()
        if self.tokens:
            self.tokens.stop()

    def restart(self) -> None:
        """Stop and start again on the same port, with the same storage."""
        self._process.stop()
        self._start(int(self.host.rpartition(":")[2]))

    def clean_up(self) -> None:
        """Collect garbage as an administrator does it: everything without a tag goes."""
        program = require_part(f"distribution{self.version}")
        line = [str(program), "garbage-collect", "--delete-untagged=true", str(self.folder / "config.yml")]
        environ = {**os.environ, "OTEL_TRACES_EXPORTER": "none"}
        subprocess.run(line, check=True, capture_output=True, env=environ)
        self.restart()

    def kill(self) -> None:
        """Stop only the registry itself, as a crash would look to clients; restart() follows."""
        self._process.stop()

    def docker_config(self) -> Path:
        """A folder with a config.json that signs in here: DOCKER_CONFIG for the real clients."""
        folder = self.folder / "docker"
        folder.mkdir(exist_ok=True)
        value = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        auths = {self.host: {"auth": value}} if self.username else {}
        (folder / "config.json").write_text(json.dumps({"auths": auths}))
        return folder

    def client_env(self) -> dict[str, str]:
        """Environment for crane, oras, helm and the like: the login and the authority."""
        env = {"DOCKER_CONFIG": str(self.docker_config())}
        if self.ca_file:
            env["SSL_CERT_FILE"] = str(self.ca_file)
        return env

    def _base_config(self) -> dict[str, Any]:
        storage: dict[str, Any] = {"delete": {"enabled": True}}
        if self.root:
            storage["filesystem"] = {"rootdirectory": str(self.root)}
        else:
            storage["inmemory"] = {}
        return {
            "version": "0.1",
            "log": {"level": "info", "accesslog": {"disabled": False}},
            "storage": storage,
            "http": {"secret": "not a secret"},
        }

    def _make_certificate(self) -> tls.Certificate:
        authority = tls.make_authority(self.folder)
        self.ca_file = authority.cert_file
        certificate = tls.issue(self.folder, authority)
        self._config["http"]["tls"] = {
            "certificate": str(certificate.cert_file),
            "key": str(certificate.key_file),
        }
        return certificate

    def _use_basic(self) -> None:
        hashed = bcrypt.hashpw(self.password.encode(), bcrypt.gensalt(BCRYPT_ROUNDS)).decode()
        path = self.folder / "htpasswd"
        path.write_text(f"{self.username}:{hashed}\n")
        self._config["auth"] = {"htpasswd": {"realm": "test", "path": str(path)}}

    def _use_tokens(self) -> None:
        folder = self.folder / "tokens"
        folder.mkdir()
        signer = tls.make_authority(folder, "test tokens")
        self.tokens = TokenServer(signer, {self.username: self.password}, self._certificate)
        self._config["auth"] = {
            "token": {
                "realm": self.tokens.realm,
                "service": SERVICE,
                "issuer": ISSUER,
                "rootcertbundle": str(signer.cert_file),
            }
        }

    def _start(self, port: int) -> None:
        self.host = f"{LOOPBACK}:{port}"
        self.url = f"{'https' if self._certificate else 'http'}://{self.host}"
        self._config["http"]["addr"] = self.host
        path = self.folder / "config.yml"
        path.write_text(yaml.safe_dump(self._config))
        program = require_part(f"distribution{self.version}")
        # Without this, 3.1 keeps trying to reach a collector of traces.
        env = {"OTEL_TRACES_EXPORTER": "none"}
        self._process = Process([program, "serve", path], log=self.folder / "registry.log", env=env)
        self._process.wait_ready(lambda: self._answers(port))

    def _answers(self, port: int) -> bool:
        if self._certificate:
            return listens(port)
        return answers_http(f"http://{LOOPBACK}:{port}/v2/", 200, 401)


def start_registry(
    folder: Path | None = None,
    *,
    version: int = 3,
    auth: Auth | None = None,
    tls: bool = False,
    storage: Storage = "filesystem",
    config: Callable[[dict[str, Any]], None] | None = None,
) -> Registry:
    """Start a registry; the caller stops it. Tests use the fixture of this name, which does."""
    where = folder or Path(tempfile.mkdtemp(prefix="airgap-registry-"))
    require_part(f"distribution{version}")
    return Registry(where, version=version, auth=auth, tls_on=tls, storage=storage, config=config)


__all__ = ["NotReadyError", "Registry", "start_registry"]
