"""Sovereign: where things end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from airgap.net.config import HostConfig
from airgap.resources.fields import given, inline, one_of, spec, spec_map
from airgap.resources.parts import FOLDER, PLACE, RELATIVE, Access, S3Access
from airgap.resources.problems import quoted
from airgap.resources.references import git_complaint, url_complaint
from airgap.resources.resource import Resource
from airgap.resources.shapes import Choice, ListOf, MapOf, Place, Text, path

_EXAMPLE = """\
metadata:
  name: bankdhofar
spec:
  stateDir: /var/lib/airgap
  signingKey:
    file: admitted.key
    passwordFile: /run/secrets/admitted
  registries:
  - url: https://harbor.hnmp.bankdhofar.local
    projects:
      ghcr.io/openova-io: catalyst
      docker.io: dockerhub
    records: airgap/records
    signatures:
      repository: airgap/signatures
    credentials:
      username: robot$import
      passwordFile: /run/secrets/harbor
    caFile: corporate-ca.pem
    allowedHosts: []
  git:
    url: https://gitea.hnmp.bankdhofar.local
    organizations:
      github.com/openova-io: catalog
    credentials:
      username: import
      passwordFile: /run/secrets/gitea
  s3:
    endpoint: http://minio.storage.svc:9000
    buckets:
      models: ai-hub-models
      files: airgap-files
    credentials:
      profile: import
"""
_DIRECTORY = """\
metadata:
  name: demo
spec:
  directory: /srv/sovereign
"""

_REPOSITORY = "^[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)+$"
_BUCKET = Text(
    "a bucket's name: 3 to 63 lower-case letters, digits, '-' and '.'", pattern="^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"
)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The key that signs what was admitted: a path or a `pkcs11:` URI, and the file of its password or PIN."""

    key: str
    password_file: Path


@spec_map(
    "a map with the key that signs what was admitted",
    "A P-256 key of its own, which the Trust resource does not list: its signatures say that an image came in by "
    "an import. Needed where a registry has `signatures`.",
    one_of=one_of("file", "uri"),
)
class _SigningKey:
    file: Path | None = spec(
        path("the path of a private key"), f"As `airgap keys generate` or cosign write it. {RELATIVE}", default=None
    )
    uri: str = spec(
        Text("a key in a token, such as pkcs11:token=bank;object=admitted", pattern="^pkcs11:"),
        "RFC 7512; the PIN stands in `passwordFile`.",
        default="",
    )
    password_file: Path = spec(path("the path of a file with the key's password or the token's PIN"))

    def checked(self, at: Place) -> SigningKey:
        """The key, by whichever of the two names it has."""
        return SigningKey(self.uri or str(self.file), self.password_file)


@spec_map(
    "a map that says where the Sovereign's signatures go",
    "After an import every manifest and index that it admitted is signed by `signingKey`, once, as cosign does it, "
    "so that admission inside can ask for it: `cosign verify --key admitted.pub --insecure-ignore-tlog=true "
    "HARBOR/airgap/signatures@DIGEST`. Left out: nothing is signed in this registry.",
)
class SignaturesConfig:
    """Where a registry gets the Sovereign's own signatures of what was admitted, and in which shape."""

    repository: str = spec(
        Text("a repository in a project of its own, such as airgap/signatures", pattern=_REPOSITORY),
        "The side repository for `place: side`: the signatures refer to images that are elsewhere.",
        default="",
    )
    """The side repository; `""` where they lie beside each image."""
    place: str = spec(
        Choice(("side", "beside")),
        "`side`: all in one repository, so that nothing of upstream is hidden. `beside`: in each image's "
        "repository; a bundle beside an image that has only older signatures of upstream is refused, because "
        "cosign would not see those any more.",
        default="side",
    )
    """`side` or `beside`."""
    layout: str = spec(
        Choice(("bundle", "legacy")),
        "`bundle`: cosign v3, an OCI referrer. `legacy`: a tag `sha256-….sig`, for verifiers that know no bundles.",
        default="bundle",
    )
    """`bundle` (cosign v3) or `legacy` (a `.sig` tag)."""

    def checked(self, at: Place) -> SignaturesConfig:
        """The place, which is said once."""
        if self.place == "beside" and self.repository:
            at.bad("not used with 'place: beside'; leave one of them out", "repository")
        if self.place == "side" and not self.repository:
            at.bad("repository is missing, expected one such as airgap/signatures, or 'place: beside'")
        return self


@spec_map("a map with the registry's url and projects")
class RegistryConfig:
    """A Harbor or other registry. `projects` maps prefixes of original names to projects."""

    url: str = spec(
        Text("the registry's address, such as https://harbor.example.org", least=1), "`http://` speaks without TLS."
    )
    projects: Mapping[str, str] = spec(
        MapOf(
            PLACE,
            Text(
                "a project, in lower case, such as dockerhub",
                pattern="^[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*$",
            ),
            "a map from the beginning of an original name to a project",
            least=1,
        ),
        "Not those of Harbor's proxy caches, which refuse pushes.",
    )
    signatures: SignaturesConfig | None = spec(SignaturesConfig, default=None)
    records: str = spec(
        Text("a repository in a project of its own, such as airgap/records", pattern=_REPOSITORY),
        "The signed list of accepted deliveries is kept there, so that a state that was lost or rolled back "
        "is noticed, and can be rebuilt. No content may go to that project, and its tags must not be "
        "immutable. Left out: it is not kept in this registry.",
        default="",
    )
    """The repository in which the signed list of accepted deliveries is kept; `""`: it is not kept there."""
    host: HostConfig = inline(Access, default=HostConfig())

    def checked(self, at: Place) -> RegistryConfig:
        """With its address in one spelling. What is kept in the registry has projects of its own."""
        url = _base_url(at, "url")
        # Otherwise a delivery could bring an image that takes the list's place.
        self._own_project(at, self.records, "records")
        if self.signatures is not None:
            repository = self.signatures.repository
            if repository and repository == self.records:
                at.bad(f"{quoted(repository)} is the one of records, expected another", "signatures", "repository")
            self._own_project(at, repository, "signatures", "repository")
        at.once(url, "this registry", "url")
        return replace(self, url=url)

    def _own_project(self, at: Place, repository: str, *below: str) -> None:
        into = [one for one in self.projects.values() if f"{repository}/".startswith(f"{one}/")]
        if into:
            what = f"got {quoted(repository)}, expected a project of its own: content goes to {quoted(into[0])}"
            at.bad(what, *below)


@spec_map("a map with the Git server's url and organizations")
class GitConfig:
    """A Gitea (https or http URL) or a folder of bare repositories (absolute path)."""

    url: str = spec(
        Text("the Git server's address, such as https://gitea.example.org, or a folder", least=1),
        "A folder holds bare repositories, and needs no credentials.",
    )
    organizations: Mapping[str, str] = spec(
        MapOf(
            PLACE,
            Text("an organization, such as catalog", pattern="^[A-Za-z0-9]+([._-][A-Za-z0-9]+)*$"),
            "a map from the beginning of an original name to an organization",
            least=1,
        )
    )
    host: HostConfig = inline(Access, default=HostConfig())

    def checked(self, at: Place) -> GitConfig:
        """With its address or absolute path. A folder needs no credentials."""
        if "://" in self.url and not self.url.startswith("file://"):
            return replace(self, url=_base_url(at, "url", path=True))
        complaint = git_complaint(self.url)
        at.bad(complaint, "url")
        for name in ("credentials", "caFile", "allowedHosts"):
            if name in at.value:
                at.bad(f"{quoted(self.url)} is a folder, which needs none; leave it out", name)
        return self if complaint else replace(self, url=str(at.reader.path((*at.steps, "url"), self.url)))


@spec_map("a map with the buckets of models and files", least=1)
class _Buckets:
    models: str = spec(_BUCKET, default="")
    files: str = spec(_BUCKET, default="")

    def checked(self, at: Place) -> dict[str, str]:
        """The buckets that there are, by what goes there."""
        return dict(at.value)


@spec_map("a map with the store's endpoint and buckets")
class S3Config:
    """An S3 endpoint. `buckets` has a name for `models` and for `files`."""

    endpoint: str = spec(Text("the store's address, such as http://minio.storage.svc:9000", least=1))
    buckets: Mapping[str, str] = spec(_Buckets)
    region: str = spec(Text("a region's name", pattern="^[a-z0-9-]+$"), default="us-east-1")
    host: HostConfig = inline(S3Access, default=HostConfig())

    def checked(self, at: Place) -> S3Config:
        """With its address in one spelling."""
        return replace(self, endpoint=_base_url(at, "endpoint"))


@spec_map(
    "a map with the Sovereign's services, or a directory",
    one_of={"directory": ("directory",), "services (registries, git, s3)": ("registries", "git", "s3")},
)
class Sovereign:
    """Where things end. Either services or, with none at all, `directory`."""

    resource: ClassVar = Resource(
        doc="Where things end: the services of one Sovereign, or one directory in their place. `airgap import` "
        "and `airgap audit` take it with `--sovereign`. A key of `projects` and `organizations` is the "
        "beginning of an original name; the longest that fits gives way to its value, and what none fits is "
        "an error.",
        taken_by="`airgap import` and `airgap audit` take a Sovereign with --sovereign",
        examples=(_EXAMPLE, _DIRECTORY),
    )
    name: str = given("name")
    state_dir: Path | None = spec(
        FOLDER,
        "Accepted deliveries, journal and log. Never on the media. Left out: the user's state folder.",
        default=None,
    )
    registries: tuple[RegistryConfig, ...] = spec(
        ListOf(RegistryConfig, "a list of registries, one for each host cluster", least=1), default=()
    )
    signing_key: SigningKey | None = spec(_SigningKey, default=None)
    git: GitConfig | None = spec(GitConfig, default=None)
    s3: S3Config | None = spec(S3Config, default=None)
    directory: Path | None = spec(
        FOLDER,
        "No service at all: an OCI layout in `oci/`, bare repositories in `git/`, objects in `objects/`.",
        default=None,
    )

    def checked(self, at: Place) -> Sovereign:
        """The Sovereign, which has a signing key where, and only where, a registry wants signatures."""
        wanted = any(one.signatures for one in self.registries)
        if self.signing_key is not None and not wanted:
            at.bad("no registry has 'signatures'; leave it out", "signingKey")
        if at.sound and self.signing_key is None and wanted:
            at.bad("signingKey is missing, and 'signatures' of a registry need it")
        return self


def _base_url(at: Place, name: str, *, path: bool = False) -> str:
    """An address that requests are made from, without a slash at its end."""
    url: str = at.value[name]
    expected = f"got {quoted(url)}, expected {quoted('https://' + url)}"
    at.bad(url_complaint(url, path=path, query=False) if "://" in url else expected, name)
    return url.rstrip("/")
