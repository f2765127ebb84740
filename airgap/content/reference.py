"""The grammar of references: names in registries, written in full, tags, digests, and what lies on this machine.

Source: OCI distribution-spec v1.1, "Pulling manifests" (names and tags); the grammar of Distribution's reference
package, without its guesses: `alpine` is not a name here, `docker.io/library/alpine:3.20` is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from airgap.base.digest import Digest
from airgap.base.errors import AirgapError, InputError

MAX_NAME = 255
"""Characters of host and repository together: Distribution and Harbor refuse more."""
DOCKER_HUB = "docker.io"
DOCKER_HUB_ENDPOINT = "registry-1.docker.io"
"""Where Docker Hub's API is; `docker.io` itself answers with a web page."""

HUB_ALIASES = ("index.docker.io", DOCKER_HUB_ENDPOINT)
"""Other names of `docker.io`: one registry has one name in a lock."""
CHART_SCHEME = "oci://"
"""How charts of a registry are written. It is no `oci:` of a layout."""
LAYOUT_SCHEMES = ("oci", "oci-archive")
ENGINE_SCHEME = "docker-daemon"
SIGNATURE_SUFFIXES = (".sig", ".att", ".sbom")
"""cosign's tags beside an image are the tag of its referrers and one of these."""

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*\Z")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}\Z")
_REFERRERS = re.compile(r"sha256-[0-9a-f]{64}\Z")
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?\Z")


@dataclass(frozen=True, slots=True)
class Reference:
    """`host/repository[:tag][@digest]`. Where both are there, the digest says what, and the tag is only a label."""

    host: str
    repository: str
    tag: str = ""
    digest: Digest | None = None

    @property
    def name(self) -> str:
        """`host/repository`."""
        return f"{self.host}/{self.repository}"

    @property
    def wanted(self) -> str:
        """What to ask the registry for: the digest, else the tag."""
        return str(self.digest) if self.digest is not None else self.tag

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.name}{tag}" + (f"@{self.digest}" if self.digest is not None else "")


def parse_reference(text: str, where: str = "") -> Reference:
    """Reads a full reference. Raises `InputError` (`bad-reference`) with what was probably meant.

    `where` (`file:line:column`) begins the message. A scheme (`oci://` of charts) is taken off.
    """
    place = f"{where}: " if where else ""

    def bad(why: str, hint: str = "") -> InputError:
        return InputError("bad-reference", f"{place}{text!r}: {why}", hint)

    rest, at, digest_text = text.removeprefix(CHART_SCHEME).partition("@")
    digest = None
    if at:
        try:
            digest = Digest(digest_text)
        except AirgapError as error:
            raise bad(f"{digest_text[:80]!r} is not a digest", "expected @sha256: and 64 hex digits") from error
    host, slash, path = rest.partition("/")
    if not slash or not looks_like_host(host):
        raise bad("has no registry host", f"write it in full: {_suggest(rest, digest)}")
    if not is_host(host):
        raise bad(f"{host!r} is not a host name")
    repository, colon, tag = path.partition(":")
    if colon:
        check_tag(tag, f"{place}{text!r}")
    if host == DOCKER_HUB and "/" not in path:
        raise bad("Docker Hub's official images are under library/", f"write {_suggest(path, digest)}")
    if not tag and digest is None:
        raise bad("has neither tag nor digest", f"add a tag or digest, for example {text}:latest")
    return Reference(host.lower(), check_repository(repository, f"{place}{text!r}", host), tag, digest)


def split_reference(text: str) -> tuple[str, str, str, str]:
    """`host/repository[:tag][@digest]` in its four parts, none of them checked, `""` for what is not there.

    Of a tag or digest that is empty the sign in front of it stands: `:`, `@`. Without a `/` there is no repository.
    """
    rest, at, digest = text.partition("@")
    head, slash, last = rest.rpartition("/")
    last, colon, tag = last.partition(":")
    host, _, repository = (head + slash + last).partition("/")
    return host, repository, tag or colon, digest or at


def is_host(text: str) -> bool:
    """A registry's host, perhaps with a port."""
    return _HOST.match(text) is not None


def looks_like_host(text: str) -> bool:
    """Whether people mean a host by the first part of a name, and not a repository of Docker Hub."""
    return "." in text or ":" in text or text == "localhost"


def is_repository(repository: str, host: str = "") -> bool:
    """A repository's name that registries take, also in its length."""
    return _REPOSITORY.match(repository) is not None and len(host) + 1 + len(repository) <= MAX_NAME


def is_tag(text: str) -> bool:
    """A tag."""
    return _TAG.match(text) is not None


def local_scheme(ref: str) -> str:
    """The scheme of a reference to what lies here (`oci`, `oci-archive`, `docker-daemon`); `""` for a registry's."""
    scheme, colon, _ = ref.partition(":")
    here = colon and scheme in (*LAYOUT_SCHEMES, ENGINE_SCHEME) and not ref.startswith(CHART_SCHEME)
    return scheme if here else ""


def check_repository(repository: str, where: str, host: str = "") -> str:
    """A repository's name, as it is. Raises `InputError` (`bad-reference`)."""
    if not _REPOSITORY.match(repository):
        hint = "use lower case" if _REPOSITORY.match(repository.lower()) else ""
        raise InputError("bad-reference", f"{where}: {repository!r} is not a repository name", hint)
    if len(host) + 1 + len(repository) > MAX_NAME:
        raise InputError("bad-reference", f"{where}: the name has more than {MAX_NAME} characters")
    return repository


def check_tag(tag: str, where: str) -> str:
    """A tag, as it is. Raises `InputError` (`bad-reference`)."""
    if not is_tag(tag):
        raise InputError(
            "bad-reference",
            f"{where}: {tag[:140]!r} is not a tag",
            "a tag has up to 128 letters, digits, `_`, `.` and `-`, and does not begin with `.` or `-`",
        )
    return tag


def _suggest(rest: str, digest: Digest | None) -> str:
    name, _, tag = rest.partition(":")
    full = f"{DOCKER_HUB}/{name}" if "/" in name else f"{DOCKER_HUB}/library/{name}"
    return f"{full}@{digest.short}…" if digest is not None else f"{full}:{tag or 'latest'}"


def referrers_tag(digest: Digest) -> str:
    """The fallback tag of a subject's referrers. Source: distribution-spec v1.1, "Referrers tag schema"."""
    return digest.replace(":", "-")


def is_referrers_tag(tag: str) -> bool:
    """True for a tag that `referrers_tag` makes of some digest."""
    return _REFERRERS.match(tag) is not None


def subject_of(tag: str) -> Digest:
    """The digest of which `referrers_tag` makes this tag. Raises `IntegrityError` (`bad-digest`) for any other."""
    return Digest(tag.replace("-", ":", 1))


def is_signature_tag(tag: str) -> bool:
    """True for cosign's tags beside an image: its signature, attestation or SBOM."""
    stem, dot, suffix = tag.partition(".")
    return is_referrers_tag(stem) and dot + suffix in SIGNATURE_SUFFIXES
