"""OpenVEX: what is read, and which statement counts for which finding."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from airgap.base.digest import Digest
from airgap.content.purl import Purl
from airgap.content.scan_finding import FindingKind, ScanFinding, Severity
from airgap.signatures.record import Refusal
from airgap.signatures.vex import CONTEXT, OPENVEX, VexDocument, read_vex
from airgap.signatures.vex_opinion import Opinion, ScannedImage, opinion

MANIFEST, INDEX = Digest.of(b"manifest"), Digest.of(b"index")
IMAGE = ScannedImage(MANIFEST, frozenset({MANIFEST, INDEX}), "docker.io/library/alpine", "3.17", "amd64")
LIBSSL = "pkg:apk/alpine/libssl3@3.0.8-r3?arch=x86_64&distro=3.17.3"
FOUND = ScanFinding(FindingKind.VULNERABILITY, "CVE-2023-3446", Severity.HIGH, purl=LIBSSL, aliases=("DSA-1-1",))


def statement(**fields: Any) -> dict[str, Any]:
    """A statement that lifts `FOUND`, with other `fields`; those that are `None` are left out."""
    made = {
        "vulnerability": {"name": "CVE-2023-3446"},
        "products": [{"@id": f"pkg:oci/alpine@{MANIFEST}".replace(":", "%3A").replace("pkg%3A", "pkg:")}],
        "status": "not_affected",
        "justification": "vulnerable_code_not_present",
    }
    return {name: value for name, value in (made | fields).items() if value is not None}


def document(*statements: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    """A document as vexctl writes it."""
    return {
        "@context": CONTEXT,
        "@id": "https://openvex.dev/docs/public/vex-d4e9020b",
        "author": "The vendor <security@vendor.example>",
        "timestamp": "2026-07-17T18:28:47.696004345-06:00",
        "version": 1,
        "statements": list(statements or (statement(),)),
    } | fields


def read(made: Mapping[str, Any]) -> VexDocument:
    """The document, read."""
    return read_vex(json.dumps(made).encode())


def attested(made: Mapping[str, Any], digest: Digest = MANIFEST, name: str = "registry/alpine") -> VexDocument:
    """The document, read from an attestation."""
    about = [{"name": name, "digest": {"sha256": digest.hex}}]
    outside = {"_type": "https://in-toto.io/Statement/v0.1", "predicateType": OPENVEX, "subject": about}
    return read({**outside, "predicate": made})


def about(*documents: VexDocument, finding: ScanFinding = FOUND, image: ScannedImage = IMAGE) -> Opinion | None:
    """What documents say about the finding."""
    return opinion(documents, finding, image)


def lifted(*statements: Mapping[str, Any], image: ScannedImage = IMAGE, finding: ScanFinding = FOUND) -> bool:
    """True if a document with these statements lifts the finding."""
    found = about(read(document(*statements)), image=image, finding=finding)
    return found is not None and found.lifts


@pytest.mark.parametrize(
    ("product", "good"),
    [
        ({"@id": f"pkg:oci/alpine@{INDEX}"}, True),
        ({"@id": f"pkg:oci/alpine@{MANIFEST}?arch=arm64"}, True),  # its digest says which it is
        ({"@id": f"pkg:oci/alpine@{INDEX}?arch=arm64"}, False),
        ({"@id": f"pkg:oci/alpine@{INDEX}?arch=amd64&tag=3.17"}, True),
        ({"@id": f"pkg:oci/alpine@{Digest.of(b'other')}"}, False),
        ({"@id": f"pkg:oci/busybox@{INDEX}"}, False),
        ({"@id": "pkg:oci/alpine"}, False),  # whose alpine?
        ({"@id": "pkg:oci/alpine?repository_url=index.docker.io/library/alpine"}, True),
        ({"@id": "pkg:oci/alpine?repository_url=docker.io/library"}, True),
        ({"@id": "pkg:oci/alpine?repository_url=docker.io/stranger/alpine"}, False),
        ({"@id": "pkg:oci/alpine?repository_url=docker.io/library/alpine&tag=3.18"}, False),
        ({"@id": "pkg:oci/alpine?repository_url=docker.io/library/alpine&os=linux"}, False),
        ({"hashes": {"sha-256": MANIFEST.hex}}, True),
        ({"hashes": {"sha-512": MANIFEST.hex}}, False),
        ({"@id": "https://vendor.example/alpine", "identifiers": {"purl": f"pkg:oci/alpine@{INDEX}"}}, True),
        ({"@id": "docker.io/library/alpine:3.17"}, False),
        ({"identifiers": {"cpe23": "cpe:2.3:o:alpine:alpine:3.17:*:*:*:*:*:*:*"}}, False),
        ({"@id": "pkg:apk/alpine/libssl3@3.0.8-r3"}, True),  # the package itself
        ({"@id": "pkg:apk/alpine/libssl3"}, True),
        ({"@id": "pkg:apk/alpine/libssl3@3.0.8-r3?arch=aarch64"}, False),
        ({"@id": "pkg:apk/alpine/libssl3@3.0.8-r4"}, False),
        ({"@id": "pkg:apk/alpine/libssl3@3.0.8-r3", "subcomponents": [{"@id": LIBSSL}]}, False),
        ({"@id": f"pkg:oci/alpine@{INDEX}", "subcomponents": [{"@id": "pkg:apk/alpine/libssl3@3.0.8-r3"}]}, True),
        ({"@id": f"pkg:oci/alpine@{INDEX}", "subcomponents": [{"@id": "pkg:apk/alpine/libcrypto3"}]}, False),
        ({"@id": f"pkg:oci/alpine@{INDEX}", "subcomponents": []}, True),
    ],
)
def test_product_is_matched_by_purl_digest_and_component(product: dict[str, Any], good: bool) -> None:
    """A product that is not surely this image, or this package, lifts nothing."""
    assert lifted(statement(products=[product])) is good


def test_finding_without_purl_is_in_no_component() -> None:
    """A component is matched by its purl only."""
    bare = ScanFinding(FindingKind.VULNERABILITY, "CVE-2023-3446", Severity.HIGH, package="libssl3")
    inner = {"@id": f"pkg:oci/alpine@{INDEX}", "subcomponents": [{"@id": LIBSSL}]}
    assert not lifted(statement(products=[inner]), finding=bare)
    assert lifted(finding=bare)


def test_alias_of_several_cves_is_not_enough() -> None:
    """An advisory of a distribution is an alias of each CVE in it."""
    other = {"name": "CVE-2023-2975", "aliases": ["DSA-1-1"]}
    assert not lifted(statement(vulnerability=other))
    assert lifted(statement(vulnerability={"name": "DSA-1-1"}))
    assert lifted(statement(vulnerability={"name": "GHSA-x", "aliases": ["CVE-2023-3446"]}))


@pytest.mark.parametrize("status", ["affected", "fixed", "under_investigation"])
def test_only_not_affected_lifts_and_the_last_statement_counts(status: str) -> None:
    """Later statements replace earlier ones, whatever the order in the document."""
    early, late = "2026-01-01T00:00:00Z", "2026-01-01T01:00:00.000000002+01:00"
    other = {"status": status, "justification": None}
    assert not lifted(statement(**other))
    assert not lifted(statement(timestamp=early), statement(timestamp=late, **other))
    assert not lifted(statement(timestamp=late, **other), statement(timestamp=early))
    assert lifted(statement(timestamp=early, **other), statement(timestamp=late))
    assert lifted(statement(timestamp=late), statement(timestamp=early, **other))
    # Without times, the order decides.
    assert not lifted(statement(), statement(**other))
    assert lifted(statement(**other), statement())


def test_between_documents_of_one_time_the_one_that_lifts_nothing_counts() -> None:
    """Nobody knows which was later."""
    yes = read(document())
    no = read(document(statement(status="affected", justification=None), **{"@id": "https://other.example/vex"}))
    for both in ((yes, no), (no, yes)):
        found = about(*both)
        assert found is not None
        assert not found.lifts


def test_new_version_of_a_document_replaces_it() -> None:
    """What the new version no longer says does not count."""
    old, new = read(document()), read(document(statement(vulnerability={"name": "CVE-2020-1"}), version=2))
    assert about(old) is not None
    assert about(old, new) is None


def test_attestation_is_about_its_subjects() -> None:
    """ATTESTING.md: statements without products are about the subjects; other products count for nothing."""
    bare, package = statement(products=None), statement(products=[{"@id": LIBSSL}])
    assert about(attested(document(bare))) is not None
    assert about(attested(document(bare), INDEX)) is not None
    assert about(attested(document(bare), Digest.of(b"other"))) is None
    assert about(attested(document(package))) is None
    assert about(attested(document(statement()))) is not None
    assert about(attested(document(statement(products=[{"@id": "registry/alpine"}])))) is not None
    assert about(attested(document(statement(products=[{"@id": "registry/alpine"}])), name="x")) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"@context": "https://openvex.dev/ns"}, "expected https://openvex.dev/ns/v0.2.0"),
        ({"version": "1"}, "version"),
        ({"timestamp": "2026-07-17"}, "timestamp"),
        ({"timestamp": "2026-07-17T18:28:47"}, "timestamp"),
        ({"scope": "everything"}, "unknown field 'scope'"),
        ({"statements": []}, "no statement"),
        ({"statements": [statement(justification=None)]}, "without a justification"),
        ({"statements": [statement(justification="trust_me")]}, "justification"),
        ({"statements": [statement(status="fixed")]}, "but the status is fixed"),
        ({"statements": [statement(products=None)]}, "names no product"),
        ({"statements": [statement(products=[{}])]}, "names nothing"),
        ({"statements": [statement(products=[{"@id": "pkg:oci"}])]}, "not a package URL"),
        ({"statements": [statement(products=[{"hashes": {"sha-256": "ABC"}}])]}, "64 lower-case"),
        ({"statements": [statement(vulnerability="CVE-2023-3446")]}, "vulnerability"),
        ({"statements": [statement(onlyIf="patched")]}, "unknown field 'onlyIf'"),
    ],
)
def test_incomplete_or_unknown_is_refused(change: dict[str, Any], words: str) -> None:
    """A document that says something else than this version knows is refused as a whole."""
    with pytest.raises(Refusal, match=words.replace("'", ".")):
        read(document() | change)


def test_impact_statement_is_one_line() -> None:
    """What the verdict repeats cannot act on a terminal."""
    made = read(document(statement(justification=None, impact_statement="patched\n\x1b[31m by  us")))
    assert made.statements[0].impact == "patched \ufffd[31m by us"


@pytest.mark.parametrize(
    ("general", "special", "good"),
    [
        ("pkg:npm/%40scope/name@1.0", "pkg:npm/%40scope/name@1.0?x=y", True),
        ("pkg:npm/@scope/name@1.0", "pkg:npm/%40scope/name@1.0", True),
        ("PKG:PyPI/My_Package@1", "pkg:pypi/my-package@1", True),
        ("pkg:golang/a/b@1#sub", "pkg:golang/a/b@1", False),
        ("pkg:deb/debian/curl@1?vers=x", "pkg:deb/debian/curl@1", False),
        ("pkg:maven/org.a/b@1", "pkg:maven/org.a/B@1", False),
    ],
)
def test_purl_covers(general: str, special: str, good: bool) -> None:
    """A purl without a version or qualifiers names what has them; never the reverse."""
    first, second = Purl.parse(general), Purl.parse(special)
    assert first is not None
    assert second is not None
    assert first.covers(second) is good


@pytest.mark.parametrize(
    "text", ["", "pkg:", "pkg:npm", "pkg:npm/", "npm/a@1", "pkg:npm/@scope/name", "pkg:a/b?x=1&x=2"]
)
def test_what_is_no_purl(text: str) -> None:
    """What can be read in two ways is read in none."""
    assert Purl.parse(text) is None
