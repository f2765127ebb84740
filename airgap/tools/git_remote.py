"""How a Git server is reached, from what people wrote: address, credentials, certificate, proxies."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from airgap.errors import InputError
from airgap.net.origin import Origin, redact
from airgap.resources.model import Credentials, HostConfig
from airgap.tools.git import Remote

MAX_SECRET = 64 << 10
"""Bytes of a password or token file: more is a wrong file."""


def check_url(url: str, where: str) -> str:
    """An http or https URL without user, password, query and fragment; returned without a trailing slash.

    Raises `InputError` (`bad-url`, `secret-in-url`).
    """
    Origin.of(url)
    parts = urlsplit(url)
    if "@" in parts.netloc:
        raise InputError(
            "secret-in-url",
            f"{where}: {redact(url)}: a URL must not carry a user or password",
            "name them as credentials of the host, in files",
        )
    path = parts.path.strip("/")
    plain = path and all(
        part not in ("", ".", "..") and part.isprintable() for part in path.split("/")
    )
    if parts.query or parts.fragment or not plain or any(char in path for char in "\\ %"):
        raise InputError("bad-url", f"{where}: {redact(url)!r} is not the address of a repository")
    return url.rstrip("/")


def git_remote(
    url: str, host: HostConfig, authorization: str, proxies: Mapping[str, str]
) -> Remote:
    """The `Remote` for a URL that `check_url` passed."""
    return Remote(url, authorization, host.ca_file, proxies, redirects=not authorization)


def authorization(credentials: Credentials | None, token_scheme: str = "") -> str:
    """The value of the Authorization header, `""` without credentials. Reads the secret now.

    A token goes as `token_scheme` (Gitea: `token`) or, by default and where there is a user name, as the password of
    Basic, which every forge takes. Raises `InputError` (`no-secret`).
    """
    if credentials is None:
        return ""
    file = credentials.token_file or credentials.password_file
    if file is None:
        raise InputError(
            "no-secret",
            "credentials for Git name neither passwordFile nor tokenFile",
            "add username and passwordFile, or tokenFile",
        )
    secret = _read_secret(file)
    if credentials.token_file is not None and token_scheme and not credentials.username:
        return f"{token_scheme} {secret}"
    pair = f"{credentials.username or 'oauth2'}:{secret}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


def _read_secret(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_SECRET + 1)
        secret = data.decode().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise InputError("no-secret", f"{file}: can't be read: {reason}") from error
    if not secret or not secret.isprintable() or len(data) > MAX_SECRET:
        raise InputError("no-secret", f"{file}: one line with the secret is expected")
    return secret
