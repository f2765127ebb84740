"""Logins: from the files that resources name, else from docker's configuration and its credential helpers.

Source: docker-login(1), "Credential stores" and "Credential helpers"; docker-credential-helpers, "Protocol".
"""

from __future__ import annotations

import base64
import binascii
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airgap.base.errors import AirgapError, InputError
from airgap.base.secrets import read_secret
from airgap.base.strict_json import decode_json, parse_json
from airgap.net.config import Credentials

MAX_CONFIG = 4 << 20
"""Bytes of a docker config.json."""
HELPER_SECONDS = 30
"""A helper without a prompt answers at once; one that opens a dialogue must not block a job."""
DOCKER_HUB_KEY = "https://index.docker.io/v1/"
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")


@dataclass(frozen=True, slots=True)
class Login:
    """A user name and password; if the user name is empty, `password` is a bearer token."""

    username: str
    password: str = field(repr=False)

    @property
    def header(self) -> str:
        """The `Authorization` header: Basic, or Bearer for a token."""
        if not self.username:
            return f"Bearer {self.password}"
        pair = f"{self.username}:{self.password}".encode()
        return "Basic " + base64.b64encode(pair).decode()


def login_of(credentials: Credentials | None) -> Login | None:
    """The login that a resource names; `None` if it names none.

    A password file may also be Harbor's download for a robot account: JSON with `name` and `secret`. Raises
    `InputError`.
    """
    if credentials is None:
        return None
    if credentials.token_file is not None:
        return Login("", read_secret(credentials.token_file))
    if credentials.password_file is None:
        return None
    secret = read_secret(credentials.password_file, may_be_json=True)
    robot = _robot(secret)
    if robot is not None and credentials.username in ("", robot.username):
        return robot
    if not credentials.username:
        raise InputError("bad-credentials", f"{credentials.password_file}: the credentials have no username")
    return Login(credentials.username, secret)


def _robot(secret: str) -> Login | None:
    if not secret.lstrip().startswith("{"):
        return None
    try:
        value = decode_json(secret.encode())
        name, password = value["name"], value["secret"]
    except (ValueError, KeyError, TypeError):
        return None
    return Login(name, password) if isinstance(name, str) and isinstance(password, str) else None


def docker_login(config: Path | None, host: str) -> Login | None:
    """The login for a registry (`host[:port]`, `docker.io`) from docker's config.json or its helpers; else `None`.

    Raises `InputError` (`bad-docker-config`).
    """
    if config is None or not config.exists():
        return None
    document = _read_config(config)
    if not any(document.get(key) for key in ("auths", "credHelpers", "credsStore")):
        return None
    store = _DockerStore.of(document)
    keys = [DOCKER_HUB_KEY, "index.docker.io", "registry-1.docker.io"] if host == "docker.io" else []
    for key in (host, *keys, f"https://{host}", f"https://{host}/v1/", f"https://{host}/v2/"):
        found = store.find(key)
        if found:
            return _decode(found, config, host)
    return None


def _read_config(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            document = parse_json(file.read(MAX_CONFIG), str(path))
    except (OSError, AirgapError) as error:
        what = error.what if isinstance(error, AirgapError) else f"{path}: {error.strerror}"
        raise InputError("bad-docker-config", what) from error
    maps = [document.get(key) or {} for key in ("auths", "credHelpers")] if isinstance(document, dict) else [None]
    if not all(isinstance(value, dict) for value in maps):
        raise InputError("bad-docker-config", f"{path}: not a docker configuration")
    return dict(document)


@dataclass(frozen=True, slots=True)
class _DockerStore:
    """A docker configuration: entries and helpers by registry, and the helper for all other registries."""

    entries: Mapping[str, Mapping[str, Any]]
    helpers: Mapping[str, Any]
    helper: Any

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> _DockerStore:
        entries = (document.get("auths") or {}).items()
        return cls(
            {key: value for key, value in entries if isinstance(value, dict)},
            document.get("credHelpers") or {},
            document.get("credsStore"),
        )

    def find(self, key: str) -> str | None:
        """base64 of `user:password` under exactly this key. Raises `InputError`."""
        # The default helper is asked only by the plain name, and by Docker Hub's key: starting a program is slow.
        spelled = key.startswith("https://") and key != DOCKER_HUB_KEY
        if spelled and key not in self.entries and key not in self.helpers:
            return None
        found = _inline(self.entries.get(key, {}))
        for suffix in filter(None, (self.helpers.get(key), self.helper)):
            found = found or _ask_helper(suffix, key)
        return found


def _inline(entry: Mapping[str, Any]) -> str | None:
    """The entry in the file itself; some tools write `username` and `password` instead of `auth`."""
    if entry.get("auth"):
        return str(entry["auth"])
    if entry.get("username") and entry.get("password"):
        pair = f"{entry['username']}:{entry['password']}"
        return base64.b64encode(pair.encode()).decode()
    return None


def _ask_helper(suffix: str, hostname: str) -> str | None:
    """base64 of `user:password` from `docker-credential-<suffix>`; `None` if it has no entry for the host."""
    program = f"docker-credential-{suffix}"
    if not _HELPER.match(str(suffix)):
        raise InputError("bad-docker-config", f"credential helper {suffix!r}: not a program name")
    try:
        done = subprocess.run(
            [program, "get"],
            input=hostname.encode(),
            capture_output=True,
            timeout=HELPER_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            return None  # "credentials not found" is exit 1; the output may contain secrets
        answer = decode_json(done.stdout)
        pair = f"{answer['Username']}:{answer['Secret']}"
    except (OSError, subprocess.TimeoutExpired) as error:
        why = error.strerror if isinstance(error, OSError) else f"no answer in {HELPER_SECONDS} s"
        raise InputError(
            "credential-helper",
            f"{program}: {why}",
            "install it, or set a passwordFile for this host",
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError("credential-helper", f"{program}: the answer is not a credential") from error
    return base64.b64encode(pair.encode()).decode()


def _decode(auth: str, config: Path, host: str) -> Login:
    try:
        username, colon, password = base64.b64decode(auth, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise InputError("bad-docker-config", f"{config}: auth of {host} is not base64") from error
    if not colon or not username or username == "<token>":
        raise InputError(
            "bad-docker-config",
            f"{config}: {host}: not a user name and password (identity tokens are not supported)",
            "log in with a user name and a password or access token",
        )
    return Login(username, password.rstrip("\0"))
