"""The syntax of names in resources: image and chart references, Git URLs and refs, other URLs, times.

Each check returns its complaint, or `""` if the text is valid. Nothing here uses the network or the disk.
Source: OCI distribution-spec v1.1, "Pulling manifests"; git-check-ref-format(1); RFC 3986; RFC 3339, 5.6.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import urlsplit

from airgap.base.digest import is_digest
from airgap.base.errors import InputError
from airgap.content.lock import check_path
from airgap.content.names import repository_name, url_name
from airgap.content.ref_name import pattern_fault
from airgap.content.reference import (
    CHART_SCHEME,
    DOCKER_HUB,
    HUB_ALIASES,
    is_host,
    is_referrers_tag,
    is_repository,
    is_tag,
    looks_like_host,
    plain_host,
    split_reference,
)
from airgap.resources.problems import quoted

_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})?\Z"
)
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "i386": "386", "i686": "386", "armv7l": "arm/v7"}


def image_complaint(ref: str) -> str:
    """Checks a full registry reference: host, repository, and a tag or a digest or both."""
    if "://" in ref:
        return f"got {quoted(ref)}, expected {quoted(ref.partition('://')[2])}: an image reference has no scheme"
    host, repository, tag, digest = split_reference(ref)
    slash = "/" in ref
    if not slash or not looks_like_host(host):
        full = f"docker.io/{'' if slash else 'library/'}{ref}"
        return f"{quoted(ref)} has no registry host, did you mean {quoted(full)}?"
    if host in HUB_ALIASES:
        return f"got {quoted(ref)}, expected {quoted('docker.io' + ref[len(host) :])}: the one name of this registry"
    if plain_host(host) == DOCKER_HUB and "/" not in repository:
        return f"got {quoted(ref)}, expected {quoted('docker.io/library' + ref[len(host) :])}"
    if not tag and not digest:
        return f"{quoted(ref)} has neither a tag nor a digest; write ':latest' if you mean that tag"
    return _reference_complaint(ref, (host, repository, tag, digest))


def chart_complaint(ref: str) -> str:
    """Checks a chart reference, `oci://host/repository:version`."""
    if not ref.startswith(CHART_SCHEME):
        if ref.startswith(("http://", "https://")):
            return f"got {quoted(ref)}, expected oci://…: only charts in OCI registries are supported"
        return f"got {quoted(ref)}, expected {quoted('oci://' + ref)}"
    host, repository, tag, digest = split_reference(ref.removeprefix(CHART_SCHEME))
    if not tag and not digest:
        return f"{quoted(ref)} has no version, expected ':VERSION' at the end"
    if "+" in tag:
        return f"got {quoted(ref)}, expected {quoted(ref.replace('+', '_'))}: registries write + as _"
    return _reference_complaint(ref, (host, repository, tag, digest))


def _reference_complaint(ref: str, parts: tuple[str, str, str, str]) -> str:
    host, repository, tag, digest = parts
    if not is_host(host) or "_" in host:
        return f"{quoted(ref)}: {quoted(host)} is not a registry host"
    if not is_repository(repository, host):
        lower = "; use lower case" if repository != repository.lower() else ""
        return f"{quoted(ref)}: {quoted(repository)} is not a repository name{lower}"
    if tag and not is_tag(tag):
        return f"{quoted(ref)}: {quoted(tag)} is not a tag"
    if is_referrers_tag(tag):
        what = "is the tag of an index of referrers, which registries and their clients write themselves"
        return f"{quoted(ref)}: {quoted(tag)} {what}; name the artifact to which they belong"
    if digest and not is_digest(digest):
        return f"{quoted(ref)}: {quoted(digest)} is not a digest, expected 'sha256:' and 64 lower-case hex digits"
    return ""


def path_complaint(text: str) -> str:
    """Checks a path inside a bucket: relative, without `.` and `..`."""
    try:
        check_path(text, "")
    except InputError as error:
        return f"got {quoted(text)}, expected a plain relative path: {error.hint}"
    return ""


def plain_path_complaint(path: str) -> str:
    """Checks the path of a local source: not empty, and without control characters."""
    good = path and not any(ord(char) < 32 or ord(char) == 127 for char in path)
    return "" if good else f"got {quoted(path)}, expected a path without control characters"


def platform_complaint(platform: str) -> str:
    """Checks that the architecture of an `os/architecture[/variant]` has the name that images use."""
    system, architecture, *_ = platform.split("/")
    known = _ARCHITECTURES.get(architecture)
    return f"got {quoted(platform)}, did you mean {quoted(f'{system}/{known}')}?" if known else ""


def url_complaint(url: str, *, path: bool = True, query: bool = True) -> str:
    """Checks an http or https URL without a user and a fragment.

    A complaint shows neither the user nor the query: both may be secret.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "not a URL, expected https://host[:port]/…"
    if "@" in parts.netloc:
        return "the URL contains a user or a password; put them in 'credentials'"
    url, asked, _ = url.partition("?")
    if parts.scheme not in ("http", "https") or not host or port == 0:
        return f"got {quoted(url)}, expected a URL that begins with https://"
    if re.search(r"\s", url):
        return f"got {quoted(url)}, expected a URL without spaces"
    if parts.fragment or (asked and not query):
        return f"got {quoted(url)}, expected a URL without '?' and '#'"
    if parts.path.strip("/") and not path:
        return f"got {quoted(url)}, expected {quoted(f'{parts.scheme}://{parts.netloc}')}: only scheme, host and port"
    return _named(url_name, url)


def _named(name_of: Callable[[str], str], url: str) -> str:
    """The complaint about a URL that has no single reading: neither a rule nor a destination could name it."""
    try:
        name_of(url)
    except InputError as error:
        return error.what
    return ""


def git_complaint(url: str) -> str:
    """Checks the URL or the path of a Git repository."""
    if url.startswith("file://"):
        return f"got {quoted(url)}, expected the path alone: {quoted(url.removeprefix('file://') or '/')}"
    if re.match(r"(?:ssh|git\+ssh|ssh\+git)://|[^/:\s]+:(?!/)", url):
        return "ssh is not supported, because airgap has no ssh keys; use https, with a tokenFile in the credentials"
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", url):
        return url_complaint(url, query=False) or _named(repository_name, url)
    if "://" in url or plain_path_complaint(url):
        return plain_path_complaint(url) or f"got {quoted(url)}, expected a URL that begins with https://, or a path"
    first, slash, _ = url.partition("/")
    if slash and re.match(r"[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2,}\Z", first) and not first.endswith(".git"):
        return f"{quoted(url)} can be a URL or a folder; write {quoted('https://' + url)} or {quoted('./' + url)}"
    return ""


def ref_complaint(ref: str) -> str:
    """Checks `HEAD`, a full ref name, or a pattern with `*`; after a `^`, what is left out."""
    mark, plain = ("^", ref[1:]) if ref.startswith("^") else ("", ref)
    if not plain.startswith("refs/") and ref != "HEAD":
        likely = f"refs/tags/{plain}" if re.match(r"v?[0-9*]", plain) else f"refs/heads/{plain}"
        return f"got {quoted(ref)}, expected a full ref name, did you mean {quoted(mark + likely)}?"
    if pattern_fault(ref):
        return f"got {quoted(ref)}, expected a full ref name, such as refs/heads/main or refs/tags/v*"
    return ""


def parse_time(text: str) -> datetime | str:
    """Reads an RFC 3339 time. Returns it in UTC, or the complaint."""
    match = _TIME.match(text)
    if not match:
        day = re.match(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z", text)
        meant = f", did you mean {text}T00:00:00Z?" if day else ", expected a time such as 2026-01-01T00:00:00Z"
        return f"got {quoted(text)}{meant}"
    date, clock, fraction, zone = match.groups()
    if zone is None:
        return f"got {quoted(text)}, expected a time zone at the end: Z, or an offset such as +04:00"
    try:
        made = datetime.fromisoformat(f"{date}T{clock}{(fraction or '')[:7]}{zone.upper()}")
        return made.astimezone(UTC)
    except (ValueError, OverflowError):
        return f"got {quoted(text)}, expected a date and time that exist"
