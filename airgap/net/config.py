"""How a host is reached: credentials, CA, mirror, and the other hosts that it may lead to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Credentials:
    """How to log in. Secrets are named by file, and read only when they are used.

    Either `username` and `password_file`, or `password_file` alone (a robot account's JSON with `name` and `secret`, as
    Harbor lets people download it), or `token_file`, or (S3) `profile` or the two key files.
    """

    username: str = ""
    password_file: Path | None = None
    token_file: Path | None = None
    profile: str = ""
    access_key_file: Path | None = None
    secret_key_file: Path | None = None


@dataclass(frozen=True, slots=True)
class HostConfig:
    """How to reach one host. `allowed_hosts` are other origins (`host[:port]`) that redirects, upload Locations,
    token realms and LFS hrefs may lead to, besides the same origin."""

    credentials: Credentials | None = None
    ca_file: Path | None = None
    plain_http: bool = False
    mirror: str = ""
    """A base URL that is asked in place of the host (`https://mirror.example.org/v2/hub`)."""
    allowed_hosts: tuple[str, ...] = ()
