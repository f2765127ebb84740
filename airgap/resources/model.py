"""The resources as values. Paths are absolute: relative ones in a file were resolved against that file's folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from airgap.net.config import HostConfig


@dataclass(frozen=True, slots=True)
class Upstreams:
    """Connected zone: `hosts` maps `host[:port]` to how it is reached."""

    hosts: Mapping[str, HostConfig] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """`ref` is a registry reference, `oci:DIR[:NAME]`, `oci-archive:FILE[:NAME]` or `docker-daemon:REF`."""

    ref: str
    name: str
    platforms: tuple[str, ...] = ()
    phase: str = "registry"
    where: str = ""
    """`file:line:column`, for errors."""


@dataclass(frozen=True, slots=True)
class ChartRequest:
    """`ref` is `oci://registry/repository:version`."""

    ref: str
    name: str
    phase: str = "registry"
    where: str = ""


@dataclass(frozen=True, slots=True)
class GitRequest:
    """`url` is https (or http) or a path; `refs` are full names or patterns with `*`."""

    url: str
    name: str
    refs: tuple[str, ...] = ("refs/heads/*", "refs/tags/*")
    lfs: bool = False
    where: str = ""


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """A Hugging Face repository at a revision, or a directory. `include` are fnmatch patterns; empty means all."""

    name: str
    repo: str = ""
    directory: Path | None = None
    revision: str = "main"
    include: tuple[str, ...] = ()
    where: str = ""


@dataclass(frozen=True, slots=True)
class FileRequest:
    """A file by https URL or local path. `sha256` is 64 hex digits; `path` is where it goes in the bucket."""

    name: str
    sha256: str
    path: str
    url: str = ""
    file: Path | None = None
    where: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """What shall be carried, by name."""

    name: str
    images: tuple[ImageRequest, ...] = ()
    charts: tuple[ChartRequest, ...] = ()
    git: tuple[GitRequest, ...] = ()
    models: tuple[ModelRequest, ...] = ()
    files: tuple[FileRequest, ...] = ()


@dataclass(frozen=True, slots=True)
class SignaturesConfig:
    """Where a registry gets the Sovereign's own signatures of what was admitted, and in which shape."""

    repository: str = ""
    """The side repository; `""` where they lie beside each image."""
    layout: str = "bundle"
    """`bundle` (cosign v3) or `legacy` (a `.sig` tag)."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The key that signs what was admitted: a path or a `pkcs11:` URI, and the file of its password or PIN."""

    key: str
    password_file: Path


@dataclass(frozen=True, slots=True)
class RegistryConfig:
    """A Harbor or other registry. `projects` maps prefixes of original names to projects."""

    url: str
    projects: Mapping[str, str]
    host: HostConfig = field(default_factory=HostConfig)
    records: str = ""
    """The repository in which the signed list of accepted deliveries is kept; `""`: it is not kept there."""
    signatures: SignaturesConfig | None = None


@dataclass(frozen=True, slots=True)
class GitConfig:
    """A Gitea (https or http URL) or a folder of bare repositories (absolute path)."""

    url: str
    organizations: Mapping[str, str]
    host: HostConfig = field(default_factory=HostConfig)


@dataclass(frozen=True, slots=True)
class S3Config:
    """An S3 endpoint. `buckets` has a name for `models` and for `files`."""

    endpoint: str
    buckets: Mapping[str, str]
    host: HostConfig = field(default_factory=HostConfig)
    region: str = "us-east-1"


@dataclass(frozen=True, slots=True)
class Sovereign:
    """Where things end. Either services or, with none at all, `directory`."""

    name: str
    state_dir: Path | None = None
    registries: tuple[RegistryConfig, ...] = ()
    git: GitConfig | None = None
    s3: S3Config | None = None
    directory: Path | None = None
    signing_key: SigningKey | None = None


ROLES = ("exporter", "station", "security-officer", "sovereign")


@dataclass(frozen=True, slots=True)
class Revocation:
    """The key is not believed from `at` on, but for what `accept` names by digest."""

    at: datetime
    accept: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A public key, what it may sign and when. Times have a zone; `public_key_pem` is the file's content."""

    name: str
    role: str
    public_key_pem: bytes
    not_before: datetime
    not_after: datetime
    revoked: Revocation | None = None


@dataclass(frozen=True, slots=True)
class Trust:
    """Who may sign what for one Sovereign. `require` names the statements that a delivery must bring."""

    sovereign: str
    keys: tuple[TrustedKey, ...]
    require: tuple[str, ...] = ("delivery",)
    raw: bytes = b""
    """The file's bytes, kept as evidence."""
