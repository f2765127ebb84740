"""How to reach a host: credentials, CA, mirror, and the other hosts that it may refer to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Credentials:
    """How to log in. Secrets are given as file paths, and read only when they are used.

    One of: `username` and `password_file`; `password_file` alone (a robot account's JSON with `name` and `secret`, as
    downloaded from Harbor); `token_file`; (S3) `profile`, or the two key files.
    """

    username: str = ""
    password_file: Path | None = None
    token_file: Path | None = None
    profile: str = ""
    access_key_file: Path | None = None
    secret_key_file: Path | None = None


@dataclass(frozen=True, slots=True)
class HostConfig:
    """How to reach one host. `allowed_hosts` (`host[:port]`) are other origins that its answers may refer to.

    They apply to redirects, upload Locations, token realms and LFS hrefs. The same origin is always allowed.
    """

    credentials: Credentials | None = None
    ca_file: Path | None = None
    plain_http: bool = False
    mirror: str = ""
    """A base URL to use instead of the host (`https://mirror.example.org/v2/hub`)."""
    allowed_hosts: tuple[str, ...] = ()
    referrers: str = ""
    """For a registry: `tags` if its referrers API must not be asked, `none` if it keeps nothing that is attached."""
