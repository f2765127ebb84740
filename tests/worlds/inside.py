"""What is inside an embedded Sovereign, and what its locks let be there: by our own reading of both, not the program's.

Only JSON, tar and hashlib read here, and git for refs.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.worlds.git_sources import git

Document = dict[str, Any]
LOCAL = ("oci:", "oci-archive:", "docker-daemon:")
SUFFIXES = (".sig", ".att", ".sbom")


class Inside:
    """The folder of an embedded Sovereign."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self) -> dict[str, str]:
        """Every name inside, with its digest, object id, or the ref that HEAD names."""
        return {**self._images(), **self._refs(), **self._objects()}

    def blob(self, digest: str) -> bytes:
        """A blob of the layout, whose bytes are hashed."""
        data = (self.folder / "oci/blobs" / digest.replace(":", "/")).read_bytes()
        assert _sha256(data) == digest
        return data

    def _images(self) -> dict[str, str]:
        path = self.folder / "oci/index.json"
        if not path.exists():
            return {}
        named = json.loads(path.read_bytes())["manifests"]
        return {f"oci {one['annotations']['org.opencontainers.image.ref.name']}": one["digest"] for one in named}

    def _refs(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for head in sorted((self.folder / "git").rglob("*.git/HEAD")):
            at = str(head.parent.relative_to(self.folder / "git")).removesuffix(".git")
            lines = git("for-each-ref", "--format=%(refname) %(objectname)", cwd=head.parent).splitlines()
            found |= {f"git {at} {line.split()[0]}": line.split()[1] for line in lines}
            if lines:
                found[f"git {at} HEAD"] = git("symbolic-ref", "HEAD", cwd=head.parent).strip()
        return found

    def _objects(self) -> dict[str, str]:
        top = self.folder / "objects"
        files = [path for path in sorted(top.rglob("*")) if path.is_file()]
        return {f"object {path.relative_to(top)}": _sha256(path.read_bytes()) for path in files}


def allowed(lock: Document, inside: Inside) -> dict[str, set[str]]:
    """What may be under each name, as the items of a lock say; manifests are read from what is inside."""
    found: dict[str, set[str]] = {}
    for item in lock["items"]:
        for name, value in _of(item, inside):
            found.setdefault(name, set()).add(value)
    return found


def check(lock: Document, inside: Inside) -> dict[str, str]:
    """Asserts that no name inside holds anything that the lock does not say; returns the names."""
    may, names = allowed(lock, inside), inside.names()
    wrong = {name: value for name, value in names.items() if value not in may.get(name, ())}
    assert wrong == {}
    return names


def _of(item: Document, inside: Inside) -> Iterator[tuple[str, str]]:
    name = item["name"]
    match item["kind"]:
        case "image" | "chart":
            yield from _graph(item, inside)
        case "git":
            place = re.sub(r"\Ahttps?://|\.git\Z", "", item["source"]) if "://" in item["source"] else name
            yield from ((f"git {place} {ref}", oid) for ref, oid in item["refs"].items())
            if item.get("head"):
                yield f"git {place} HEAD", item["head"]
        case "model":
            for file in item["files"]:
                yield f"object models/{name}/{item['revision']}/{file['path']}", file["digest"]
            yield f"object models/{name}/refs/main", _sha256(item["revision"].encode())
        case "file":
            yield f"object files/{item['path']}", item["files"][0]["digest"]


def _graph(item: Document, inside: Inside) -> Iterator[tuple[str, str]]:
    source = item["source"]
    full = item["name"] if source.startswith(LOCAL) and "://" not in source else source.removeprefix("oci://")
    repository = re.sub(r"(@.*|:[^/]*)\Z", "", full)
    named = (item["inside"] if "inside" in item else item["root"])["digest"]
    manifests = _manifests(item["root"]["digest"], item.get("platforms", ()), inside) | {named}
    if item["kind"] == "image" and item.get("platforms"):
        assert _narrowed(named, item, inside)
    if item["kind"] == "image" or f":{_version(named, inside)}" == full.removeprefix(repository):
        yield f"oci {full}", named
    waiting = list(item.get("attached", ()))
    while ready := [one for one in waiting if one["subject"] in manifests]:
        waiting = [one for one in waiting if one not in ready]
        for one in ready:
            manifests.add(one["digest"])
            if one["how"] == "referrer":
                yield f"oci {repository}@{one['digest']}", one["digest"]
            elif one["tag"] in [f"sha256-{one['subject'][7:]}{suffix}" for suffix in SUFFIXES]:
                yield f"oci {repository}:{one['tag']}", one["digest"]


def _manifests(root: str, platforms: list[str], inside: Inside) -> set[str]:
    """The manifests of an item as far as they are inside: of an index only the children for its platforms."""
    if not (inside.folder / "oci/blobs" / root.replace(":", "/")).exists():
        return set()
    found = {root}
    for child in json.loads(inside.blob(root)).get("manifests", ()):
        if not platforms or _platform(child) in platforms:
            found |= _manifests(child["digest"], [], inside)
    return found


def _narrowed(named: str, item: Document, inside: Inside) -> bool:
    """True if only what was asked for can be reached from a name."""
    if not (inside.folder / "oci/blobs" / named.replace(":", "/")).exists():
        return True
    document = json.loads(inside.blob(named))
    if "manifests" in document:
        return all(_platform(child) in item["platforms"] for child in document["manifests"])
    config = json.loads(inside.blob(document["config"]["digest"]))
    return _platform({"platform": config}) in item["platforms"]


def _platform(child: Document) -> str:
    said = child.get("platform", {})
    return "/".join(said[key] for key in ("os", "architecture", "variant") if said.get(key))


def _version(root: str, inside: Inside) -> str:
    """The version in the Chart.yaml of a chart."""
    if not (inside.folder / "oci/blobs" / root.replace(":", "/")).exists():
        return ""
    (layer,) = json.loads(inside.blob(root))["layers"]
    with tarfile.open(fileobj=io.BytesIO(inside.blob(layer["digest"]))) as archive:
        member = next(one for one in archive if one.name.endswith("/Chart.yaml"))
        file = archive.extractfile(member)
        assert file is not None
        text = file.read().decode()
    found = re.search(r"^version: (\S+)$", text, re.MULTILINE)
    return found.group(1) if found else ""


def _sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
