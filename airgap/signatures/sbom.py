"""Checks that a signed SBOM is one, and that it is about this artifact: SPDX 2 and 3 and CycloneDX, in JSON.

A signature proves who wrote an SBOM, not that it has any content. This looks for what stubs lack, and for the digest
that an SBOM claims to describe. Sources: SPDX 2.3 (JSON schema), SPDX 3.0.1 (JSON-LD), CycloneDX 1.6.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from airgap.base.digest import Digest
from airgap.base.strict_json import unique
from airgap.signatures.formats.strict import parse
from airgap.signatures.record import Refusal

SPDX = "https://spdx.dev/Document"
CYCLONEDX = "https://cyclonedx.org/bom"
MAX_DEPTH = 32
"""Levels of nested components: real SBOMs have three."""
_SHA256 = re.compile(r"sha256:([0-9a-fA-F]{64})")
_ENDS = {"DESCRIBES": "relatedSpdxElement", "DESCRIBED_BY": "spdxElementId"}
_LOOKED_AT = frozenset(
    {
        *("predicate", "Data", "Timestamp"),
        # SPDX 2
        *("spdxVersion", "name", "creationInfo", "packages", "files", "relationships"),
        *("documentDescribes", "SPDXID", "fileName", "versionInfo", "checksums", "algorithm"),
        *("checksumValue", "externalRefs", "referenceLocator"),
        *("relationshipType", *_ENDS.values()),
        # SPDX 3
        *("@graph", "type", "rootElement", "spdxId", "verifiedUsing", "hashValue"),
        *("software_packageVersion", "software_packageUrl"),
        # CycloneDX
        *("bomFormat", "specVersion", "components", "metadata", "component", "hashes"),
        *("alg", "content", "version", "purl", "bom-ref"),
    }
)
_Object = Mapping[str, Any]
_NOTHING: _Object = {}


class _NoSbom(Exception):  # noqa: N818  (no error of the program: an answer)
    """The reason, in words."""


def check_sbom(
    predicate_type: str,
    payload: bytes,
    subject: Digest,
    also: Collection[Digest] = (),
    content: Collection[Digest] = (),
) -> str:
    """Returns `""`, or the reason why a statement's predicate is not an SBOM of `subject`, in words.

    `payload` is the verified statement. 1. The predicate type is that of an SBOM. 2. The predicate is a document of
    that format. 3. It lists at least one package or component besides the artifact itself, each with a name.
    4. If the artifact that it describes has digests in it, one of them is `subject`, or in `also` or `content`: further
    digests of the same artifact, because generators describe an index by one of its children, and a chart by its file.
    An SBOM that contains no digest is bound by its statement alone.

    `content` has the digests of files that are the artifact itself, for artifacts that contain no packages (a chart).
    For these, an SBOM that describes one of the digests may list nothing else.
    """
    try:
        listed, described = _reader(predicate_type)(_predicate(payload))
        if not content or not described & {subject, *content}:
            _check_listed(listed)
        _check_described(described, {subject, *also, *content})
    except _NoSbom as answer:
        return str(answer)
    except Refusal as refusal:
        return refusal.detail
    return ""


def is_sbom(predicate_type: str) -> bool:
    """True for the predicate types that `check_sbom` knows."""
    kinds = (SPDX, CYCLONEDX)
    return any(predicate_type == one or predicate_type.startswith(one + "/") for one in kinds)


_Read = tuple[list[str], set[str]]
"""The names of everything listed besides the artifact, and the digests that the document gives the artifact."""


def _reader(predicate_type: str) -> Callable[[_Object], _Read]:
    # 1.
    if not is_sbom(predicate_type):
        raise _NoSbom(f"{predicate_type[:200]} is not an SBOM type, expected {SPDX} or {CYCLONEDX}")
    return _cyclonedx if predicate_type.startswith(CYCLONEDX) else _spdx


def _predicate(payload: bytes) -> _Object:
    """The document. Early cosign put it into `Data`, as text. A text that is not JSON is not read as a document."""
    statement = parse(payload, "statement", "bad-payload", _needed)
    predicate = statement.get("predicate") if isinstance(statement, dict) else None
    if isinstance(predicate, dict) and set(predicate) <= {"Data", "Timestamp"} and predicate:
        predicate = predicate.get("Data")
    if isinstance(predicate, str):
        text = predicate.encode("utf-8", "replace")
        predicate = parse(text, "the SBOM's text", "bad-payload", _needed)
    if not isinstance(predicate, dict) or not predicate:
        raise _NoSbom("the predicate is empty or contains no SBOM")
    return predicate


def _needed(items: list[tuple[str, Any]]) -> _Object:
    """Keeps only the members that are checked here, so that the rest of a large SBOM need not be in memory."""
    made = unique(items)
    kind = made.get("relationshipType")
    if isinstance(kind, str) and kind not in _ENDS:
        return _NOTHING
    return {name: made[name] for name in made.keys() & _LOOKED_AT}


def _check_listed(listed: list[str]) -> None:
    # 3.
    if not listed:
        raise _NoSbom("it is a stub: it lists no package or component except the artifact itself")
    if not all(name.strip() for name in listed):
        raise _NoSbom("it is a stub: its packages or components have no names")


def _check_described(described: set[str], wanted: Collection[str]) -> None:
    # 4.
    if described and not described & set(wanted):
        raise _NoSbom(f"it describes another artifact: {', '.join(sorted(described)[:3])}")


def _spdx(document: _Object) -> _Read:
    # 2.
    if "@graph" in document:
        return _spdx3(document)
    version = document.get("spdxVersion")
    if not isinstance(version, str) or not version.startswith("SPDX-2."):
        raise _NoSbom("not an SPDX document: spdxVersion is missing, or not SPDX-2.x")
    if not _text(document, "name") or not isinstance(document.get("creationInfo"), dict):
        raise _NoSbom("not an SPDX document: it lacks a name or creationInfo")
    packages = _objects(document, "packages")
    named = _described_in(document)
    roots = [one for one in packages if _text(one, "SPDXID") in named]
    listed = [_text(one, "name") for one in packages if _text(one, "SPDXID") not in named]
    listed += [_text(one, "fileName") for one in _objects(document, "files")]
    described = set[str]()
    for one in roots:
        described |= _sums(_objects(one, "checksums"), "algorithm", "checksumValue")
        described |= _digests(_text(one, "versionInfo"), _text(one, "name"))
        described |= _digests(*(_text(ref, "referenceLocator") for ref in _objects(one, "externalRefs")))
    return listed, described


def _described_in(document: _Object) -> set[str]:
    """The ids that an SPDX 2 document declares as described, in each of the three ways to declare them."""
    found = set(_texts(document.get("documentDescribes")))
    for one in _objects(document, "relationships"):
        if (kind := _text(one, "relationshipType")) in _ENDS:
            found.add(_text(one, _ENDS[kind]))
    return found


def _spdx3(document: _Object) -> _Read:
    graph = _objects(document, "@graph")
    holders = [one for one in graph if _text(one, "type") in ("SpdxDocument", "software_Sbom", "Bom")]
    if not any(_text(one, "type") == "SpdxDocument" for one in holders):
        raise _NoSbom("not an SPDX 3 document: its graph has no SpdxDocument")
    named = {name for one in holders for name in _texts(one.get("rootElement"))}
    things = [one for one in graph if _text(one, "type") in ("software_Package", "software_File")]
    listed = [_text(one, "name") for one in things if _text(one, "spdxId") not in named]
    described = set[str]()
    for one in things:
        if _text(one, "spdxId") in named:
            described |= _sums(_objects(one, "verifiedUsing"), "algorithm", "hashValue")
            described |= _digests(
                *(_text(one, key) for key in ("name", "software_packageVersion", "software_packageUrl"))
            )
    return listed, described


def _cyclonedx(document: _Object) -> _Read:
    # 2.
    if document.get("bomFormat") != "CycloneDX" or not _text(document, "specVersion"):
        raise _NoSbom("not a CycloneDX document: bomFormat or specVersion is missing")
    listed = [_text(one, "name") for one in _components(_objects(document, "components"), 0)]
    metadata = document.get("metadata")
    root = metadata.get("component") if isinstance(metadata, dict) else None
    if not isinstance(root, dict):
        return listed, set()
    described = _sums(_objects(root, "hashes"), "alg", "content")
    described |= _digests(*(_text(root, key) for key in ("name", "version", "purl", "bom-ref")))
    return listed, described


def _components(found: Iterable[_Object], depth: int) -> Iterator[_Object]:
    for one in found:
        if depth >= MAX_DEPTH:
            raise _NoSbom(f"components nested more than {MAX_DEPTH} levels deep")
        yield one
        yield from _components(_objects(one, "components"), depth + 1)


def _objects(holder: _Object, name: str) -> list[_Object]:
    """A list of objects, empty if it is missing. An SBOM must not contain anything else there."""
    value = holder.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise _NoSbom(f"{name}: not a list of objects")
    return value


def _text(holder: _Object, name: str) -> str:
    value = holder.get(name)
    return value if isinstance(value, str) else ""


def _texts(value: Any) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _sums(checksums: Iterable[_Object], algorithm: str, content: str) -> set[str]:
    """The sha256 sums among checksums, as digests; the formats spell the algorithm `SHA256`, `sha256` and `SHA-256`."""
    return {
        f"sha256:{_text(one, content).lower()}"
        for one in checksums
        if _text(one, algorithm).replace("-", "").lower() == "sha256"
    }


def _digests(*texts: str) -> set[str]:
    """Digests in names, versions and package URLs, where `:` may be escaped."""
    return {f"sha256:{hit.lower()}" for text in texts for hit in _SHA256.findall(unquote(text))}
