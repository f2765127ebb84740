"""A Sovereign document as a value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airgap.resources.model import (
    GitConfig,
    RegistryConfig,
    S3Config,
    SignaturesConfig,
    SigningKey,
    Sovereign,
)
from airgap.resources.problems import Steps, quoted
from airgap.resources.reader import DocumentReader
from airgap.resources.references import git_complaint, url_complaint


def sovereign(reader: DocumentReader, name: str) -> Sovereign:
    """Reads a Sovereign; what is wrong ends up in `reader.problems`."""
    steps, spec = reader.spec()
    git_steps, git = reader.spec("git")
    s3_steps, s3 = reader.spec("s3")
    taken: dict[str, Steps] = {}
    registries = []
    for where, entry in reader.entries("registries"):
        registries.append(_registry(reader, where, entry))
        reader.unique(taken, (*where, "url"), registries[-1].url, "this registry")
    made_git = _git(reader, git_steps, git) if git is not None else None
    made_s3 = _s3(reader, s3_steps, s3) if s3 is not None else None
    sound = spec or {}
    wanted = any(one.signatures for one in registries)
    signing_key = _signing_key(reader, wanted=wanted, missing=spec is not None and "signingKey" not in spec)
    return Sovereign(
        name=name,
        state_dir=reader.optional_path(steps, sound, "stateDir"),
        registries=tuple(registries),
        git=made_git,
        s3=made_s3,
        directory=reader.optional_path(steps, sound, "directory"),
        signing_key=signing_key,
    )


def _registry(reader: DocumentReader, steps: Steps, entry: Mapping[str, Any]) -> RegistryConfig:
    url = _base_url(reader, (*steps, "url"), entry["url"])
    projects, records = dict(entry["projects"]), entry.get("records", "")
    # Otherwise a delivery could bring an image that takes the list's place.
    _own_project(reader, (*steps, "records"), records, entry)
    host = reader.host(steps, entry, plain_http=_plain(url))
    return RegistryConfig(url, projects, host, records, _signatures(reader, steps, entry))


def _own_project(reader: DocumentReader, steps: Steps, repository: str, entry: Mapping[str, Any]) -> None:
    into = [one for one in entry["projects"].values() if f"{repository}/".startswith(f"{one}/")]
    if into:
        what = f"got {quoted(repository)}, expected a project of its own: content goes to {quoted(into[0])}"
        reader.bad(steps, what)


def _signatures(reader: DocumentReader, steps: Steps, entry: Mapping[str, Any]) -> SignaturesConfig | None:
    if "signatures" not in entry:
        return None
    given, at = entry["signatures"], (*steps, "signatures")
    repository = given.get("repository", "")
    beside = given.get("place", "side") == "beside"
    if beside and repository:
        reader.bad((*at, "repository"), "not used with 'place: beside'; leave one of them out")
    if not beside and not repository:
        reader.bad(at, "repository is missing, expected one such as airgap/signatures, or 'place: beside'")
    if repository and repository == entry.get("records", ""):
        reader.bad((*at, "repository"), f"{quoted(repository)} is the one of records, expected another")
    _own_project(reader, (*at, "repository"), repository, entry)
    return SignaturesConfig(repository, given.get("layout", "bundle"))


def _signing_key(reader: DocumentReader, *, wanted: bool, missing: bool) -> SigningKey | None:
    at, given = reader.spec("signingKey")
    if given is None:
        if wanted and missing:
            reader.bad(("spec",), "signingKey is missing, and 'signatures' of a registry need it")
        return None
    if not wanted:
        reader.bad(at, "no registry has 'signatures'; leave it out")
    password = reader.path((*at, "passwordFile"), given["passwordFile"])
    return SigningKey(given.get("uri") or str(reader.path((*at, "file"), given["file"])), password)


def _git(reader: DocumentReader, steps: Steps, entry: Mapping[str, Any]) -> GitConfig:
    url = entry["url"]
    at = (*steps, "url")
    if "://" in url and not url.startswith("file://"):
        url = _base_url(reader, at, url, path=True)
    else:
        complaint = git_complaint(url)
        reader.bad(at, complaint)
        if not complaint:
            url = str(reader.path(at, url))
        for name in ("credentials", "caFile", "allowedHosts"):
            if name in entry:
                reader.bad((*steps, name), f"{quoted(entry['url'])} is a folder, which needs none; leave it out")
    return GitConfig(url, dict(entry["organizations"]), reader.host(steps, entry, plain_http=_plain(url)))


def _s3(reader: DocumentReader, steps: Steps, entry: Mapping[str, Any]) -> S3Config:
    url = _base_url(reader, (*steps, "endpoint"), entry["endpoint"])
    host = reader.host(steps, entry, plain_http=_plain(url))
    return S3Config(url, dict(entry["buckets"]), host, entry.get("region", "us-east-1"))


def _base_url(reader: DocumentReader, steps: Steps, url: str, *, path: bool = False) -> str:
    """An address that requests are made from, without a slash at its end."""
    if "://" not in url:
        reader.bad(steps, f"got {quoted(url)}, expected {quoted('https://' + url)}")
    else:
        reader.bad(steps, url_complaint(url, path=path, query=False))
    return url.rstrip("/")


def _plain(url: str) -> bool:
    return url.startswith("http://")
