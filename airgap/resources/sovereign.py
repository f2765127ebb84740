"""Sovereign: where the content of deliveries goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from airgap.net.config import HostConfig
from airgap.resources.fields import given, inline, one_of, spec, spec_map
from airgap.resources.parts import FOLDER, PLACE, RELATIVE, RESOURCE_NAME, Access, S3Access
from airgap.resources.patterns import name_matches
from airgap.resources.policy_names import declared_complaint
from airgap.resources.problems import quoted
from airgap.resources.references import git_complaint, url_complaint
from airgap.resources.resource import Resource
from airgap.resources.shapes import Choice, Flag, ListOf, MapOf, Place, Text, path

_EXAMPLE = """\
metadata:
  name: bankdhofar
spec:
  stateDir: /var/lib/airgap
  streams: [main]
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
  declared:
  - match: [harbor.hnmp.bankdhofar.local/dockerhub/tools/**]
    reason: built inside by the platform team
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
    """The key that signs admitted content: a path or a `pkcs11:` URI, and the file with its password or PIN."""

    key: str
    password_file: Path


@spec_map(
    "a map with the key that signs admitted content",
    "A separate P-256 key that the Trust resource does not list. Its signatures say that an image came in by an "
    "import. Required if a registry has `signatures`.",
    one_of=one_of("file", "uri"),
)
class _SigningKey:
    file: Path | None = spec(
        path("the path of a private key"),
        f"In the format of `airgap keys generate` or cosign. {RELATIVE}",
        default=None,
    )
    uri: str = spec(
        Text("a key in a token, such as pkcs11:token=bank;object=admitted", pattern="^pkcs11:"),
        "RFC 7512. The PIN is in `passwordFile`.",
        default="",
    )
    password_file: Path = spec(path("the path of a file with the key's password or the token's PIN"))

    def checked(self, at: Place) -> SigningKey:
        """The key, with its path or its URI."""
        return SigningKey(self.uri or str(self.file), self.password_file)


@spec_map(
    "a map that says where the Sovereign's signatures go",
    "After an import, airgap signs every admitted manifest and index once with `signingKey`, in the formats of cosign, "
    "so that admission control in the Sovereign can require it: `cosign verify --key admitted.pub "
    "--insecure-ignore-tlog=true HARBOR/airgap/signatures@DIGEST`. By default nothing is signed in this registry.",
)
class SignaturesConfig:
    """Where a registry keeps the Sovereign's signatures of admitted content, and in which format."""

    repository: str = spec(
        Text("a repository in a separate project, such as airgap/signatures", pattern=_REPOSITORY),
        "The separate repository for `place: side`. Its signatures refer to images in other repositories.",
        default="",
    )
    """The separate repository; `""` if each signature is in the repository of its image."""
    place: str = spec(
        Choice(("side", "beside")),
        "`side`: all signatures in one repository, so that no upstream signature is touched. `beside`: in the "
        "repository of each image, in the layout that upstream used for it (without upstream signatures: a bundle).",
        default="side",
    )
    """`side` or `beside`."""
    layout: str = spec(
        Choice(("bundle", "legacy")),
        "Left out: `bundle`; with `place: beside`, that of upstream. `bundle`: cosign v3, an OCI referrer. `legacy`: a "
        "tag `sha256-….sig`, for verifiers without support for bundles; beside upstream's signatures, one more layer "
        "in their manifest. With `place: beside`, a layout other than upstream's is refused for that image, because "
        "cosign looks at bundles alone where there is one.",
        default="",
    )
    """`bundle` (cosign v3) or `legacy` (a `.sig` tag); `""` if it was left out."""

    @property
    def follows(self) -> bool:
        """True if each signature is in the layout of those that upstream made."""
        return self.place == "beside" and not self.layout

    def checked(self, at: Place) -> SignaturesConfig:
        """The configuration. Checks that `repository` and `place` agree."""
        if self.place == "beside" and self.repository:
            at.bad("not used with 'place: beside'; remove one of them", "repository")
        if self.place == "side" and not self.repository:
            at.bad("repository is missing, expected one such as airgap/signatures, or 'place: beside'")
        return self


@spec_map(
    "a map with the names of content that airgap does not bring, and the reason for it",
    "An audit counts what matches, and does not report it as `extra`. It never hides what a delivery brought.",
)
class Declaration:
    """Content that is meant to be inside although no delivery brought it."""

    match: tuple[str, ...] = spec(
        ListOf(
            Text("a name inside, such as harbor.example.org/dockerhub/tools/**", least=1, complaint=declared_complaint),
            "a list of names inside, such as [harbor.example.org/dockerhub/tools/**]",
            least=1,
            unique=True,
        ),
        "The host of the service, and the repository or the bucket and key there; after a repository possibly `:` and "
        "a tag or ref. `*` matches within a segment, `**` everything. In folders, names begin with `oci/`, `git/` or "
        "`objects/` in place of a host.",
    )
    reason: str = spec(Text("the reason why it is there", pattern=r"\S", most=2000))

    def matches(self, *names: str) -> bool:
        """True if one of the names of a thing is declared."""
        return any(name_matches(pattern, name) for pattern in self.match for name in names)


@spec_map("a map with the registry's url and projects")
class RegistryConfig:
    """A Harbor or other registry. `projects` maps prefixes of original names to projects."""

    url: str = spec(Text("the registry's URL, such as https://harbor.example.org", least=1), "`http://` means no TLS.")
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
        "Do not use projects that are proxy caches of Harbor: they refuse pushes.",
    )
    signatures: SignaturesConfig | None = spec(SignaturesConfig, default=None)
    records: str = spec(
        Text("a repository in a separate project, such as airgap/records", pattern=_REPOSITORY),
        "airgap keeps the signed list of accepted deliveries there. With it, airgap notices that the state folder was "
        "lost or rolled back, and can rebuild it. No content may go to that project, and its tags must not be "
        "immutable. By default the list is not kept in this registry.",
        default="",
    )
    """The repository with the signed list of accepted deliveries; `""`: the list is not kept in this registry."""
    host: HostConfig = inline(Access, default=HostConfig())

    @property
    def places(self) -> Sequence[str]:
        """The projects and repositories that airgap fills, each once: content, records and signatures."""
        signatures = self.signatures.repository if self.signatures is not None else ""
        every = (*self.projects.values(), self.records, signatures)
        return [place for place in dict.fromkeys(every) if place]

    def checked(self, at: Place) -> RegistryConfig:
        """The configuration with a normalized URL. Checks that the records and signatures have separate projects."""
        url = _base_url(at, "url")
        # Otherwise a delivery could contain an image that replaces the list.
        self._own_project(at, self.records, "records")
        if self.signatures is not None:
            repository = self.signatures.repository
            if repository and repository == self.records:
                at.bad(
                    f"{quoted(repository)} is the repository of 'records', expected a different one",
                    "signatures",
                    "repository",
                )
            self._own_project(at, repository, "signatures", "repository")
        at.once(url, "this registry", "url")
        return replace(self, url=url)

    def _own_project(self, at: Place, repository: str, *below: str) -> None:
        into = [one for one in self.projects.values() if f"{repository}/".startswith(f"{one}/")]
        if into:
            what = f"got {quoted(repository)}, expected a separate project: content goes to {quoted(into[0])}"
            at.bad(what, *below)


@spec_map("a map with the Git server's url and organizations")
class GitConfig:
    """A Gitea (https or http URL) or a folder of bare repositories (absolute path)."""

    url: str = spec(
        Text("the Git server's URL, such as https://gitea.example.org, or a folder", least=1),
        "A folder contains bare repositories, and needs no credentials.",
    )
    organizations: Mapping[str, str] = spec(
        MapOf(
            PLACE,
            Text(
                "an organization, such as catalog, or organization/name",
                pattern="^[A-Za-z0-9]+([._-][A-Za-z0-9]+)*(/[A-Za-z0-9._-]+)?$",
            ),
            "a map from the beginning of an original name to an organization",
            least=1,
        ),
        "An organization must exist, unless `create` is true. For one repository, its whole original name is mapped to "
        "`organization/name`, where it needs another name: `git.example.org/team/c++: catalog/cpp`.",
    )
    create: bool = spec(
        Flag(),
        "true: an import creates organizations that are missing; the account needs the right to do so. By default a "
        "missing organization is an error, because its name may be misspelt. airgap never creates projects of a "
        "registry, nor buckets.",
        default=False,
    )
    host: HostConfig = inline(Access, default=HostConfig())

    @property
    def organization_names(self) -> frozenset[str]:
        """The organizations that airgap fills."""
        return frozenset(value.partition("/")[0] for value in self.organizations.values())

    def checked(self, at: Place) -> GitConfig:
        """The configuration with a normalized URL or an absolute path. A folder needs no credentials."""
        if "://" in self.url and not self.url.startswith("file://"):
            return replace(self, url=_base_url(at, "url", path=True))
        complaint = git_complaint(self.url)
        at.bad(complaint, "url")
        for name in ("credentials", "caFile", "allowedHosts", "plainHTTP", "create"):
            if name in at.value:
                at.bad(f"{quoted(self.url)} is a folder, which does not use this field; remove it", name)
        return self if complaint else replace(self, url=str(at.reader.path((*at.steps, "url"), self.url)))


@spec_map("a map with the buckets of models and files", least=1)
class _Buckets:
    models: str = spec(_BUCKET, default="")
    files: str = spec(_BUCKET, default="")

    def checked(self, at: Place) -> dict[str, str]:
        """The configured buckets: `models` and `files`, with their names."""
        return dict(at.value)


@spec_map("a map with the store's endpoint and buckets")
class S3Config:
    """An S3 endpoint. `buckets` maps `models` and `files` to names of buckets."""

    endpoint: str = spec(Text("the store's URL, such as http://minio.storage.svc:9000", least=1))
    buckets: Mapping[str, str] = spec(_Buckets)
    region: str = spec(Text("a region's name", pattern="^[a-z0-9-]+$"), default="us-east-1")
    host: HostConfig = inline(S3Access, default=HostConfig())

    def checked(self, at: Place) -> S3Config:
        """The configuration with a normalized URL."""
        return replace(self, endpoint=_base_url(at, "endpoint"))


@spec_map(
    "a map with the Sovereign's services, or a directory",
    one_of={"directory": ("directory",), "services (registries, git, s3)": ("registries", "git", "s3")},
)
class Sovereign:
    """Where the content of deliveries goes: services, or one `directory` in place of all services."""

    resource: ClassVar = Resource(
        doc="Where the content of deliveries goes: the services of one Sovereign, or one directory in their place. "
        "`airgap import` and `airgap audit` take it with `--sovereign`. A key of `projects` and `organizations` is "
        "the beginning of an original name. The longest key that matches is replaced by its value; a name that no key "
        "matches is an error.",
        taken_by="`airgap import` and `airgap audit` take a Sovereign with --sovereign",
        examples=(_EXAMPLE, _DIRECTORY),
    )
    name: str = given("name")
    state_dir: Path | None = spec(
        FOLDER,
        "The folder for accepted deliveries, the journal and the log. Never put it on the media. "
        "Default: the user's state folder.",
        default=None,
    )
    streams: tuple[str, ...] = spec(
        ListOf(RESOURCE_NAME, "a list of streams, such as [main]", least=1, unique=True),
        "The streams of deliveries that this Sovereign accepts. A delivery of another stream needs the approval of a "
        "security-officer (`airgap sign DELIVERY`). Default: the stream of the first delivery that was accepted "
        "here, and each that was opened by such an approval.",
        default=(),
    )
    registries: tuple[RegistryConfig, ...] = spec(
        ListOf(RegistryConfig, "a list of registries, one per host cluster", least=1), default=()
    )
    signing_key: SigningKey | None = spec(_SigningKey, default=None)
    git: GitConfig | None = spec(GitConfig, default=None)
    s3: S3Config | None = spec(S3Config, default=None)
    directory: Path | None = spec(
        FOLDER,
        "A folder in place of services: an OCI layout in `oci/`, bare repositories in `git/`, objects in `objects/`.",
        default=None,
    )

    declared: tuple[Declaration, ...] = spec(
        ListOf(Declaration, "a list of declarations", least=1),
        "What is inside on purpose although no delivery brought it. By default, an audit reports that as `extra`.",
        default=(),
    )

    def checked(self, at: Place) -> Sovereign:
        """The Sovereign. Checks that it has a signing key if, and only if, a registry has `signatures`."""
        wanted = any(one.signatures for one in self.registries)
        if self.signing_key is not None and not wanted:
            at.bad("no registry has 'signatures'; remove this field", "signingKey")
        if at.sound and self.signing_key is None and wanted:
            at.bad("signingKey is missing, but the 'signatures' of a registry require it")
        return self


def _base_url(at: Place, name: str, *, path: bool = False) -> str:
    """The base URL for requests, without a final slash."""
    url: str = at.value[name]
    expected = f"got {quoted(url)}, expected {quoted('https://' + url)}"
    at.bad(url_complaint(url, path=path, query=False) if "://" in url else expected, name)
    return url.rstrip("/")
