"""How to reach a Git server, from people's input: address, credentials, certificate, proxies."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from airgap.base.errors import InputError, Side
from airgap.net.config import Credentials, HostConfig
from airgap.net.credentials import Login, login_of
from airgap.net.origin import Origin, redact
from airgap.net.plain import check_secret
from airgap.tools.git import Remote


def check_url(url: str, where: str) -> str:
    """Checks for an http or https URL without user, password, query and fragment; returns it without a trailing slash.

    Raises `InputError` (`bad-url`, `secret-in-url`).
    """
    Origin.of(url)
    parts = urlsplit(url)
    if "@" in parts.netloc:
        raise InputError(
            "secret-in-url",
            f"{where}: {redact(url)}: the URL must not contain a user or password",
            "write them to files, and name the files as the host's credentials",
        )
    path = parts.path.strip("/")
    plain = path and all(part not in ("", ".", "..") and part.isprintable() for part in path.split("/"))
    if parts.query or parts.fragment or not plain or any(char in path for char in "\\ "):
        raise InputError("bad-url", f"{where}: {redact(url)!r} is not a repository URL")
    return url.rstrip("/")


def git_remote(
    url: str,
    host: HostConfig,
    authorization: str,
    proxies: Mapping[str, str] | None = None,
    *,
    redirects: bool = False,
    side: Side,
) -> Remote:
    """The `Remote` for a URL that `check_url` accepted. `proxies` as for `airgap.net.http.Client`.

    Raises `InputError` (`plain-http`) if `authorization` would be sent without TLS, and `host` does not allow it.
    """
    if authorization:
        check_secret(Origin.of(url), host)
    return Remote(url, authorization, host.ca_file, proxies or {}, redirects, side)


def authorization(credentials: Credentials | None) -> str:
    """The value of the Authorization header, `""` without credentials. Reads the secret now. Raises `InputError`.

    A token is sent as a Basic password, which every forge accepts with any user name. Gitea also has a scheme `token`,
    but with it, its LFS server does not know the account, and fails on objects that another repository has (1.23.8).
    """
    login = login_of(credentials)
    if login is None:
        return ""
    return (login if login.username else Login("oauth2", login.password)).header
