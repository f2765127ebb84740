"""The SBOM of an image, as CycloneDX 1.6, out of Trivy's report: what `trivy convert --format cyclonedx` would write.

Written here, because a start of Trivy takes as long as a hundred of these, and each image would need a second one. A
test compares it with what two versions of Trivy write: the same components, properties and dependencies, with licenses
as the older one names them. `trivy sbom` reads the properties to find the same vulnerabilities again.
Source: CycloneDX 1.6, ECMA-424.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

from airgap.content.purl import Purl
from airgap.tools.trivy import garbage

SPEC = "1.6"
_PREFIX = "aquasecurity:trivy:"
_AGGREGATED = frozenset({"python-pkg", "conda-pkg", "gemspec", "node-pkg", "jar"})
"""Types of results that put together what lies about in an image, so that no file stands between."""
_ALGORITHMS = {"md5": "MD5", "sha1": "SHA-1", "sha256": "SHA-256", "sha512": "SHA-512"}
_GROUPED = ("maven", "npm")
"""Types of purls whose namespace is the group of a component."""
_PROPERTIES = ("FilePath", "SrcName", "SrcVersion", "SrcRelease", "Modularitylabel")
"""Fields of a package that become properties of the same name."""
_Object = Mapping[str, Any]


def cyclonedx(report: _Object, version: str, now: datetime) -> dict[str, Any]:
    """The document for a report by that version of Trivy. Raises `ToolError` (`scanner-garbage`)."""
    made = _Bom(report)
    tools = [
        {"type": "application", "group": "aquasecurity", "name": "trivy", "version": version},
        {"type": "application", "name": "airgap"},
    ]
    return {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPEC}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPEC,
        "serialNumber": f"urn:uuid:{uuid4()}",
        "version": 1,
        "metadata": {
            "timestamp": now.isoformat(timespec="seconds"),
            "tools": {"components": tools},
            "component": made.root,
        },
        "components": sorted(made.components, key=_ref),
        "dependencies": [{"ref": ref, "dependsOn": sorted(made.needs[ref])} for ref in sorted(made.needs)],
        "vulnerabilities": [],
    }


class _Bom:
    """The components of a report, and which needs which."""

    def __init__(self, report: _Object) -> None:
        self._purls = dict[str, int]()
        """How often each purl occurs: one that is not unique is no reference."""
        self.components = list[dict[str, Any]]()
        self.needs = dict[str, list[str]]()
        self.root = self._root(report)
        results: Sequence[_Object] = report.get("Results") or ()
        for one in results:
            for package in one.get("Packages") or ():
                purl = _text(_inner(package, "Identifier"), "PURL")
                self._purls[purl] = self._purls.get(purl, 0) + 1
        self.needs[self.root["bom-ref"]] = []
        for one in results:
            self._result(one, _inner(_inner(report, "Metadata"), "OS"))

    def _root(self, report: _Object) -> dict[str, Any]:
        metadata = _inner(report, "Metadata")
        pairs = [("SchemaVersion", str(report.get("SchemaVersion"))), ("ImageID", _text(metadata, "ImageID"))]
        pairs += [
            ("Size", str(metadata.get("Size") or "")),
            *(("DiffID", one) for one in metadata.get("DiffIDs") or ()),
        ]
        return {
            "bom-ref": str(uuid4()),
            "type": "container",
            "name": _text(report, "ArtifactName"),
            "properties": _properties(pairs),
        }

    def _result(self, result: _Object, system: _Object) -> None:
        """The packages of one result, below the system, the file, or the image itself."""
        kind, group = _text(result, "Type"), _text(result, "Class")
        above = self.root["bom-ref"]
        if kind not in _AGGREGATED and group in ("os-pkgs", "lang-pkgs"):
            above = self._parent(result, kind, group, system)
        packages: list[_Object] = result.get("Packages") or []
        refs = [self._package(one, kind) for one in packages]
        by_id = {_id(one): ref for one, ref in zip(packages, refs, strict=True)}
        needed = {other for one in packages for other in _texts(one, "DependsOn")}
        has_root = any(one.get("Relationship") == "root" for one in packages)
        for one, ref in zip(packages, refs, strict=True):
            direct = one.get("Relationship") == "direct"
            if not has_root if direct else _id(one) not in needed:
                self.needs[above].append(ref)
            self.needs[ref] = [by_id[other] for other in _texts(one, "DependsOn") if other in by_id]

    def _parent(self, result: _Object, kind: str, group: str, system: _Object) -> str:
        made: dict[str, Any] = {"bom-ref": str(uuid4())}
        if group == "os-pkgs":
            name = _text(system, "Family") or _text(result, "Target")
            made |= {"type": "operating-system", "name": name, "version": _text(system, "Name")}
        else:
            made |= {"type": "application", "name": _text(result, "Target")}
        self.components.append(_without_empty(made | {"properties": _properties([("Class", group), ("Type", kind)])}))
        self.needs[self.root["bom-ref"]].append(made["bom-ref"])
        self.needs[made["bom-ref"]] = []
        return str(made["bom-ref"])

    def _package(self, package: _Object, kind: str) -> str:
        written = _text(_inner(package, "Identifier"), "PURL")
        purl = Purl.parse(written)
        grouped = purl is not None and purl.type in _GROUPED
        supplier = _text(package, "Maintainer")
        ref = written if self._purls[written] == 1 and written else str(uuid4())
        made = {
            "bom-ref": ref,
            "type": "library",
            "supplier": {"name": supplier} if supplier else None,
            "group": purl.namespace if purl is not None and grouped else "",
            "name": purl.name if purl is not None and grouped else _text(package, "Name"),
            "version": _version(package) if purl is None else _version_of(purl),
            "hashes": list(_hashes(_text(package, "Digest"))),
            "licenses": [{"license": {"name": one}} for one in _texts(package, "Licenses") if one],
            "purl": written,
            "properties": _properties(_said(package, kind)),
        }
        self.components.append(_without_empty(made))
        return ref


def _said(package: _Object, kind: str) -> Iterator[tuple[str, str]]:
    yield "PkgType", kind
    yield "PkgID", _text(package, "ID")
    for name in _PROPERTIES:
        yield name, _text(package, name)
    yield "SrcEpoch", str(package.get("SrcEpoch") or "")
    layer = _inner(package, "Layer")
    yield "LayerDigest", _text(layer, "Digest")
    yield "LayerDiffID", _text(layer, "DiffID")


def _id(package: _Object) -> str:
    return _text(package, "ID") or f"{_text(package, 'Name')}@{_text(package, 'Version')}"


def _version_of(purl: Purl) -> str:
    epoch = purl.qualifiers.get("epoch", "0")
    return purl.version if epoch == "0" else f"{epoch}:{purl.version}"


def _version(package: _Object) -> str:
    version, release, epoch = _text(package, "Version"), _text(package, "Release"), package.get("Epoch")
    return (f"{epoch}:" if epoch else "") + version + (f"-{release}" if release else "")


def _hashes(digest: str) -> Iterator[dict[str, str]]:
    name, _, value = digest.partition(":")
    if name in _ALGORITHMS:
        yield {"alg": _ALGORITHMS[name], "content": value}


def _properties(pairs: Sequence[tuple[str, str]] | Iterator[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"name": _PREFIX + name, "value": value} for name, value in sorted(pairs) if value]


def _without_empty(component: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in component.items() if value or name == "name"}


def _ref(component: _Object) -> str:
    return str(component["bom-ref"])


def _text(one: _Object, name: str) -> str:
    found = one.get(name)
    if found is None:
        return ""
    if not isinstance(found, str):
        raise garbage("report", f"{name}: got {found!r:.100}, expected a text")
    return found


def _texts(one: _Object, name: str) -> list[str]:
    found = one.get(name) or []
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise garbage("report", f"{name}: got {found!r:.100}, expected a list of texts")
    return found


def _inner(one: _Object, name: str) -> _Object:
    found = one.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise garbage("report", f"{name}: got {found!r:.100}, expected an object")
    return found
