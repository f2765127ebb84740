"""A Sovereign document as a value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airgap.resources.model import GitConfig, RegistryConfig, S3Config, Sovereign
from airgap.resources.problems import Steps, quoted
from airgap.resources.reader import Reader
from airgap.resources.references import git_complaint, url_complaint


def sovereign(reader: Reader, name: str) -> Sovereign:
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
    return Sovereign(
        name=name,
        state_dir=reader.optional_path(steps, sound, "stateDir"),
        registries=tuple(registries),
        git=made_git,
        s3=made_s3,
        directory=reader.optional_path(steps, sound, "directory"),
    )


def _registry(reader: Reader, steps: Steps, entry: Mapping[str, Any]) -> RegistryConfig:
    url = _base_url(reader, (*steps, "url"), entry["url"])
    projects, records = dict(entry["projects"]), entry.get("records", "")
    # Otherwise a delivery could bring an image that takes the list's place.
    into = [project for project in projects.values() if f"{records}/".startswith(f"{project}/")]
    if into:
        what = f"got {quoted(records)}, expected a project of its own: content goes to {quoted(into[0])}"
        reader.bad((*steps, "records"), what)
    return RegistryConfig(url, projects, reader.host(steps, entry, plain_http=_plain(url)), records)


def _git(reader: Reader, steps: Steps, entry: Mapping[str, Any]) -> GitConfig:
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


def _s3(reader: Reader, steps: Steps, entry: Mapping[str, Any]) -> S3Config:
    url = _base_url(reader, (*steps, "endpoint"), entry["endpoint"])
    host = reader.host(steps, entry, plain_http=_plain(url))
    return S3Config(url, dict(entry["buckets"]), host, entry.get("region", "us-east-1"))


def _base_url(reader: Reader, steps: Steps, url: str, *, path: bool = False) -> str:
    """An address that requests are made from, without a slash at its end."""
    if "://" not in url:
        reader.bad(steps, f"got {quoted(url)}, expected {quoted('https://' + url)}")
    else:
        reader.bad(steps, url_complaint(url, path=path, query=False))
    return url.rstrip("/")


def _plain(url: str) -> bool:
    return url.startswith("http://")
