"""An SBOM must be one, and of this artifact: what tools write passes, what stubs and strangers write is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from airgap.base.digest import Digest
from airgap.signatures.sbom import CYCLONEDX, MAX_DEPTH, SPDX, check_sbom, is_sbom

IMAGE, CHILD, OTHER = Digest.of(b"image"), Digest.of(b"child"), Digest.of(b"other")
Document = dict[str, Any]


def spdx(digest: Digest = IMAGE) -> Document:
    """As syft writes it of an image."""
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": "app",
        "documentNamespace": "https://example.org/app",
        "creationInfo": {"creators": ["Tool: syft"], "created": "2026-11-01T00:00:00Z"},
        "packages": [
            {"name": "musl", "SPDXID": "SPDXRef-Package-musl", "versionInfo": "1.2.5"},
            {
                "name": "app",
                "SPDXID": "SPDXRef-DocumentRoot-Image-app",
                "versionInfo": str(digest),
                "checksums": [{"algorithm": "SHA256", "checksumValue": digest.hex}],
                "externalRefs": [
                    {
                        "referenceCategory": "PACKAGE-MANAGER",
                        "referenceType": "purl",
                        "referenceLocator": f"pkg:oci/app@sha256%3A{digest.hex}?arch=amd64",
                    }
                ],
            },
        ],
        "relationships": [
            {
                "spdxElementId": "SPDXRef-DOCUMENT",
                "relatedSpdxElement": "SPDXRef-DocumentRoot-Image-app",
                "relationshipType": "DESCRIBES",
            }
        ],
    }


def spdx3(digest: Digest = IMAGE) -> Document:
    """SPDX 3.0.1 in its JSON-LD."""
    sums = [{"type": "Hash", "algorithm": "sha256", "hashValue": digest.hex}]
    return {
        "@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld",
        "@graph": [
            {"type": "SpdxDocument", "spdxId": "urn:doc", "rootElement": ["urn:sbom"]},
            {"type": "software_Sbom", "spdxId": "urn:sbom", "rootElement": ["urn:image"]},
            {
                "type": "software_Package",
                "spdxId": "urn:image",
                "name": "app",
                "verifiedUsing": sums,
            },
            {"type": "software_Package", "spdxId": "urn:musl", "name": "musl"},
        ],
    }


def cyclonedx(digest: Digest = IMAGE) -> Document:
    """As trivy writes it of an image."""
    purl = f"pkg:oci/app@sha256%3A{digest.hex}?repository_url=registry.example%2Fapp"
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "metadata": {"component": {"type": "container", "name": "app", "bom-ref": purl, "purl": purl}},
        "components": [{"type": "library", "name": "musl", "version": "1.2.5"}],
    }


MAKE: dict[str, tuple[str, Callable[[Digest], Document]]] = {
    "spdx": (SPDX, spdx),
    "spdx-versioned": (f"{SPDX}/v2.3", spdx),
    "spdx3": (SPDX, spdx3),
    "cyclonedx": (CYCLONEDX, cyclonedx),
}


def check(kind: str, predicate: Any, *also: Digest, subject: Digest = IMAGE, files: tuple[Digest, ...] = ()) -> str:
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {"sha256": subject.hex}}],
        "predicateType": kind,
        "predicate": predicate,
    }
    return check_sbom(kind, json.dumps(statement).encode(), subject, also, files)


@pytest.mark.parametrize("name", MAKE)
def test_what_tools_write_passes(name: str) -> None:
    kind, make = MAKE[name]
    assert is_sbom(kind)
    assert check(kind, make(IMAGE)) == ""


@pytest.mark.parametrize("name", MAKE)
def test_another_artifacts_sbom_is_named(name: str) -> None:
    kind, make = MAKE[name]
    said = check(kind, make(OTHER))
    assert "another artifact" in said
    assert str(OTHER) in said
    # Of an index generators describe a child; whoever asks knows the children.
    assert check(kind, make(CHILD), CHILD) == ""
    assert "another artifact" in check(kind, make(OTHER), CHILD)


def _without(document: Document, name: str) -> Document:
    return {key: value for key, value in document.items() if key != name}


STUBS: dict[str, tuple[str, Any, str]] = {
    "null": (SPDX, None, "empty"),
    "empty": (SPDX, {}, "empty"),
    "list": (SPDX, [], "empty"),
    "number": (CYCLONEDX, 1, "empty"),
    "tag-value": (SPDX, "SPDXVersion: SPDX-2.3\n", "not valid JSON"),
    "data-of-nothing": (SPDX, {"Data": "", "Timestamp": ""}, "not valid JSON"),
    "any-object": (SPDX, {"sbom": True}, "contains no SBOM"),
    "spdx-no-name": (SPDX, _without(spdx(), "name"), "lacks a name"),
    "spdx-no-creation": (SPDX, _without(spdx(), "creationInfo"), "creationInfo"),
    "spdx-no-packages": (SPDX, _without(spdx(), "packages"), "stub"),
    "spdx-image-alone": (SPDX, {**spdx(), "packages": spdx()["packages"][1:]}, "stub"),
    "spdx-nameless": (
        SPDX,
        {**spdx(), "packages": [{"SPDXID": "SPDXRef-a", "name": " "}]},
        "have no names",
    ),
    "spdx-packages-are-text": (SPDX, {**spdx(), "packages": ["musl"]}, "not a list of objects"),
    "spdx-packages-are-an-object": (
        SPDX,
        {**spdx(), "packages": {"musl": 1}},
        "not a list of objects",
    ),
    "spdx3-no-document": (
        SPDX,
        {"@graph": [{"type": "software_Package", "name": "a"}]},
        "SpdxDocument",
    ),
    "spdx3-empty": (SPDX, {"@graph": [{"type": "SpdxDocument", "rootElement": []}]}, "stub"),
    "cyclonedx-no-format": (CYCLONEDX, _without(cyclonedx(), "bomFormat"), "bomFormat"),
    "cyclonedx-no-version": (CYCLONEDX, _without(cyclonedx(), "specVersion"), "specVersion"),
    "cyclonedx-no-components": (CYCLONEDX, _without(cyclonedx(), "components"), "stub"),
    "cyclonedx-nameless": (
        CYCLONEDX,
        {**cyclonedx(), "components": [{"type": "library"}]},
        "have no names",
    ),
    "spdx-as-cyclonedx": (CYCLONEDX, spdx(), "not a CycloneDX"),
    "cyclonedx-as-spdx": (SPDX, cyclonedx(), "not an SPDX"),
    "other-type": ("https://slsa.dev/provenance/v1", spdx(), "is not an SBOM type"),
    "type-that-begins-alike": (SPDX + "ary", spdx(), "is not an SBOM type"),
}


@pytest.mark.parametrize("name", STUBS)
def test_a_stub_is_no_sbom(name: str) -> None:
    kind, predicate, said = STUBS[name]
    assert said in check(kind, predicate)


def test_an_sbom_without_a_digest_is_bound_by_its_statement() -> None:
    document = spdx()
    document["packages"][1] = {"name": "app", "SPDXID": "SPDXRef-DocumentRoot-Image-app"}
    assert check(SPDX, document) == ""
    assert check(CYCLONEDX, _without(cyclonedx(), "metadata")) == ""


def test_what_an_sbom_describes_is_said_in_several_ways() -> None:
    described = "SPDXRef-DocumentRoot-Image-app"
    backward = {
        "spdxElementId": described,
        "relatedSpdxElement": "SPDXRef-DOCUMENT",
        "relationshipType": "DESCRIBED_BY",
    }
    for document in (
        {**spdx(OTHER), "relationships": [], "documentDescribes": [described]},
        {**spdx(OTHER), "relationships": [backward]},
    ):
        assert "another artifact" in check(SPDX, document)
    # A digest of a package says nothing about the artifact.
    document = spdx()
    document["packages"][0]["checksums"] = [{"algorithm": "SHA256", "checksumValue": OTHER.hex}]
    assert check(SPDX, document) == ""


def test_files_are_content_too() -> None:
    files = [{"SPDXID": "SPDXRef-File", "fileName": "./app"}]
    document = {**spdx(), "packages": spdx()["packages"][1:], "files": files}
    assert check(SPDX, document) == ""


def test_early_cosign_wrapped_its_documents() -> None:
    for document in (json.dumps(spdx()), spdx()):
        assert check(SPDX, {"Data": document, "Timestamp": "2026-11-01T00:00:00Z"}) == ""
    assert "another artifact" in check(SPDX, {"Data": json.dumps(spdx(OTHER))})


def test_components_are_nested_within_bounds() -> None:
    inner: Document = {"name": "a"}
    for _ in range(MAX_DEPTH - 1):
        inner = {"name": "a", "components": [inner]}
    assert check(CYCLONEDX, {**cyclonedx(), "components": [inner]}) == ""
    deeper = {"name": "a", "components": [inner]}
    assert "levels" in check(CYCLONEDX, {**cyclonedx(), "components": [deeper]})


def test_a_payload_that_is_no_statement_is_named() -> None:
    assert check_sbom(SPDX, b"{}", IMAGE)


# --- charts, which contain no packages ------------------------------------------------------------

FILE = Digest.of(b"the packed chart")


def spdx_of_file(digest: Digest = FILE) -> Document:
    """What `syft file:bp-x-0.1.0.tgz -o spdx-json` (1.18) writes."""
    root = "SPDXRef-DocumentRoot-File-bp-x-0.1.0.tgz"
    described = {
        "name": "bp-x-0.1.0.tgz",
        "SPDXID": root,
        "versionInfo": str(digest),
        "filesAnalyzed": False,
        "checksums": [{"algorithm": "SHA256", "checksumValue": digest.hex}],
        "primaryPackagePurpose": "FILE",
    }
    describes = {"spdxElementId": "SPDXRef-DOCUMENT", "relatedSpdxElement": root, "relationshipType": "DESCRIBES"}
    return spdx() | {"name": "bp-x-0.1.0.tgz", "packages": [described], "relationships": [describes]}


def cyclonedx_of_file(digest: Digest = FILE) -> Document:
    """What `syft file:bp-x-0.1.0.tgz -o cyclonedx-json` (1.18) writes: there are no components."""
    component = {"bom-ref": "57b7", "type": "file", "name": "bp-x-0.1.0.tgz", "version": str(digest)}
    return {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "metadata": {"component": component}}


@pytest.mark.parametrize(("kind", "make"), [(SPDX, spdx_of_file), (CYCLONEDX, cyclonedx_of_file)])
def test_an_sbom_of_the_file_of_a_chart_is_one_of_the_chart(kind: str, make: Callable[..., Document]) -> None:
    assert check(kind, make(), files=(FILE,)) == ""
    assert check(kind, make(IMAGE), files=(FILE,)) == "", "of the manifest of a chart"
    assert "stub" in check(kind, make()), "of an image"
    assert "stub" in check(kind, make(OTHER), files=(FILE,)), "of another file"
    nothing: Document = {"packages": []} if kind == SPDX else {"metadata": {}}
    assert "stub" in check(kind, make() | nothing, files=(FILE,)), "of nothing"
