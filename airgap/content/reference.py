"""The grammar of references: full names in registries, tags, digests, and local sources.

Source: OCI distribution-spec v1.1, "Pulling manifests" (names and tags); the grammar of Distribution's reference
package, without its guesses: `alpine` is not a name here, `docker.io/library/alpine:3.20` is.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from airgap.base.digest import Digest
from airgap.base.errors import AirgapError, InputError

MAX_PORT = 65535
MAX_NAME = 255
"""Characters of host and repository together: Distribution and Harbor refuse more."""
MAX_REFERENCE = 512
"""Characters of a reference: host, repository, tag and digest have at most 456 together."""
DOCKER_HUB = "docker.io"
DOCKER_HUB_ENDPOINT = "registry-1.docker.io"
"""The host of Docker Hub's API; `docker.io` itself answers with a web page."""

HUB_ALIASES = ("index.docker.io", DOCKER_HUB_ENDPOINT)
"""Other names of `docker.io`. A registry has only one name in a lock."""
CHART_SCHEME = "oci://"
"""The scheme of charts in a registry. Not to be confused with `oci:` of a layout."""
LAYOUT_SCHEMES = ("oci", "oci-archive")
ENGINE_SCHEME = "docker-daemon"
SIGNATURE_SUFFIXES = (".sig", ".att", ".sbom")
"""The suffixes of cosign's tags for an image; the part before is the referrers tag of the image."""

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*\Z")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}\Z")
_REFERRERS = re.compile(r"sha256-[0-9a-f]{64}\Z")
_HOST = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::([0-9]{1,5}))?\Z")
_NUMBER = re.compile(r"[0-9]+\Z|0[xX][0-9a-fA-F]*\Z")
"""The last part of a host that programs take for an IPv4 address, however short: `127.1`, `0x7f000001`."""


@dataclass(frozen=True, slots=True)
class Reference:
    """`host/repository[:tag][@digest]`. If both are present, the digest selects the content; the tag is a label."""

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
        """What to request from the registry: the digest, else the tag."""
        return str(self.digest) if self.digest is not None else self.tag

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.name}{tag}" + (f"@{self.digest}" if self.digest is not None else "")


def parse_reference(text: str, where: str = "") -> Reference:
    """Parses a full reference. Raises `InputError` (`bad-reference`) that suggests what was probably meant.

    The message begins with `where` (`file:line:column`). A scheme (`oci://` of charts) is removed.
    """
    place = f"{where}: " if where else ""
    if len(text) > MAX_REFERENCE:
        what = f"{place}{text[:80]!r}…: got {len(text)} characters, expected at most {MAX_REFERENCE}"
        raise InputError("bad-reference", what, "write host, repository and tag or digest, and nothing else")

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
    if not is_host(host) or "_" in host:
        raise bad(f"{host!r} is not a host name")
    repository, colon, tag = path.partition(":")
    if colon:
        check_tag(tag, f"{place}{text!r}")
    if plain_host(host) == DOCKER_HUB and "/" not in path:
        raise bad("Docker Hub's official images are under library/", f"write {_suggest(path, digest)}")
    if not tag and digest is None:
        raise bad("has neither tag nor digest", f"add a tag or digest, for example {text}:latest")
    return Reference(plain_host(host), check_repository(repository, f"{place}{text!r}", host), tag, digest)


def full_name(name: str, source: str) -> str:
    """The full reference by which an item called `name` may be known elsewhere; `""` if it has none.

    It is the name itself, or for a short name its source, provided that the source ends with that name: never another.
    """
    try:
        return str(parse_reference(name))
    except InputError:
        pass
    try:
        reference = parse_reference(source)
    except InputError:
        return ""
    path = f"/{reference.repository}"
    return str(reference) if any(f"{path}{tag}".endswith(f"/{name}") for tag in ("", f":{reference.tag}")) else ""


def split_reference(text: str) -> tuple[str, str, str, str]:
    """Splits `host/repository[:tag][@digest]` into its four parts, unchecked, `""` for a missing part.

    If a tag or digest is empty, its part is only its sign: `:` or `@`. Without a `/` there is no repository.
    """
    rest, at, digest = text.partition("@")
    head, slash, last = rest.rpartition("/")
    last, colon, tag = last.partition(":")
    host, _, repository = (head + slash + last).partition("/")
    return host, repository, tag or colon, digest or at


def is_host(text: str) -> bool:
    """True for a host with or without a port. Registries have no `_` in their hosts; those of URLs may have one.

    False for what two programs may read as two hosts: a final dot, short IPv4 addresses such as `127.1`, any letter
    that is not ASCII (a name in another script is written as `xn--…`).
    """
    found = _HOST.match(text)
    if found is None or (found[2] and not 0 < int(found[2]) <= MAX_PORT):
        return False
    try:
        if text.startswith("["):
            ipaddress.IPv6Address(found[1][1:-1])
        elif _NUMBER.match(found[1].rpartition(".")[2]):
            ipaddress.IPv4Address(found[1])
    except ValueError:
        return False
    return ".." not in found[1]


def plain_host(text: str, port: int = 443) -> str:
    """A host, with or without a port, in its one spelling; checks nothing, so that it also serves for patterns.

    That is lower case, without `port` (the scheme's default) and leading zeros, the short form of an IPv6 address, and
    `docker.io` for its aliases.
    """
    host, _, number = text.lower().rpartition(":") if re.search(r":[0-9]+\Z", text) else (text.lower(), "", "")
    host = host.removesuffix(".")
    if host.startswith("[") and is_host(host):
        host = f"[{ipaddress.IPv6Address(host[1:-1]).compressed}]"
    number = number.lstrip("0")
    if number and number != str(port):
        return f"{host}:{number}"
    return DOCKER_HUB if host in HUB_ALIASES else host


def known_as(host: str) -> tuple[str, ...]:
    """The names by which people may have configured a registry: its own one first."""
    return (host, *HUB_ALIASES) if host == DOCKER_HUB else (host,)


def looks_like_host(text: str) -> bool:
    """True if the first part of a name looks like a host and not like a repository of Docker Hub."""
    return "." in text or ":" in text or text == "localhost"


def is_repository(repository: str, host: str = "") -> bool:
    """True for a repository name that registries accept, including its length."""
    return _REPOSITORY.match(repository) is not None and len(host) + 1 + len(repository) <= MAX_NAME


def is_tag(text: str) -> bool:
    """True for a valid tag."""
    return _TAG.match(text) is not None


def local_scheme(ref: str) -> str:
    """The scheme of a reference to a local source (`oci`, `oci-archive`, `docker-daemon`); `""` for a registry."""
    scheme, colon, _ = ref.partition(":")
    here = colon and scheme in (*LAYOUT_SCHEMES, ENGINE_SCHEME) and not ref.startswith(CHART_SCHEME)
    return scheme if here else ""


def check_repository(repository: str, where: str, host: str = "") -> str:
    """Checks a repository name and returns it. Raises `InputError` (`bad-reference`)."""
    if not _REPOSITORY.match(repository):
        hint = "use lower case" if _REPOSITORY.match(repository.lower()) else ""
        raise InputError("bad-reference", f"{where}: {repository!r} is not a repository name", hint)
    if len(host) + 1 + len(repository) > MAX_NAME:
        raise InputError("bad-reference", f"{where}: the name has more than {MAX_NAME} characters")
    return repository


def check_tag(tag: str, where: str) -> str:
    """Checks a tag and returns it. Raises `InputError` (`bad-reference`)."""
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


_LOCAL_DIGEST = re.compile(r"(.+)@(sha256:[0-9a-f]{64})\Z")


def split_local_digest(rest: str) -> tuple[str, Digest | None]:
    """`PATH[:NAME][@DIGEST]` without the digest, and the digest: it chooses a root of a layout that has several."""
    found = _LOCAL_DIGEST.match(rest)
    return (found[1], Digest(found[2])) if found else (rest, None)


def local_digest(ref: str) -> Digest | None:
    """The digest in a reference to a layout or an archive, `None` if it has none."""
    return split_local_digest(ref.partition(":")[2])[1] if local_scheme(ref) in LAYOUT_SCHEMES else None


def own_tag(digest: Digest) -> str:
    """The tag that an image or chart gets in a registry if upstream names it by digest alone.

    Without one, a registry's clean-up of untagged content takes it. It has the whole digest, so it never moves, and
    no client takes it for a tag of signatures or referrers (`sha256-…`).
    """
    return f"airgap-{referrers_tag(digest)}"


def referrers_tag(digest: Digest) -> str:
    """The fallback tag for a subject's referrers. Source: distribution-spec v1.1, "Referrers tag schema"."""
    return digest.replace(":", "-")


def signature_tags(digest: Digest) -> tuple[str, ...]:
    """The tags under which cosign looks for signatures, attestations and SBOMs of a subject.

    The referrers tag itself is none of them: it names an index that a registry and its clients keep and merge.
    """
    return tuple(referrers_tag(digest) + suffix for suffix in SIGNATURE_SUFFIXES)


def is_referrers_tag(tag: str) -> bool:
    """True for a tag that `referrers_tag` can return."""
    return _REFERRERS.match(tag) is not None


def subject_of(tag: str) -> Digest:
    """The digest for which `referrers_tag` returns this tag. Raises `IntegrityError` (`bad-digest`) for others."""
    return Digest(tag.replace("-", ":", 1))


def is_signature_tag(tag: str) -> bool:
    """True for a cosign tag that belongs to an image: its signature, attestation or SBOM."""
    stem, dot, suffix = tag.partition(".")
    return is_referrers_tag(stem) and dot + suffix in SIGNATURE_SUFFIXES
