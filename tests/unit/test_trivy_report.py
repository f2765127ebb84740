"""Reports of Trivy: what is read of them, and that everything odd is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap.base.digest import Digest
from airgap.base.errors import AirgapError
from airgap.content.scan_finding import FindingKind, Severity
from airgap.content.scan_result import ScannerIdentity, ScanResult, ordered
from airgap.scanning.trivy.report import Expected, findings, read_report

LAYER, DIFF = Digest.of(b"layer"), Digest.of(b"diff")
CONFIG = Digest.of(b"config")
EXPECTED = Expected("container_image", "x@sha256:1", CONFIG, (DIFF,))


def document(**results: Any) -> dict[str, Any]:
    """A report of one image."""
    return {
        "SchemaVersion": 2,
        "ArtifactName": EXPECTED.name,
        "ArtifactType": EXPECTED.type,
        "Metadata": {"ImageID": CONFIG, "DiffIDs": [DIFF], "OS": {"Family": "debian", "Name": "12.5"}},
        "Results": [{"Target": "x", "Class": "os-pkgs", **results}],
    }


def vulnerability(**fields: Any) -> dict[str, Any]:
    return {
        "VulnerabilityID": "CVE-2023-0464",
        "PkgName": "openssl",
        "PkgIdentifier": {"PURL": "pkg:deb/debian/openssl@3.0.8"},
        "InstalledVersion": "3.0.8",
        "Severity": "MEDIUM",
        "SeveritySource": "debian",
        "VendorSeverity": {"debian": 2, "nvd": 3},
        "VendorIDs": ["DSA-5417-1"],
        "Layer": {"DiffID": DIFF},
        **fields,
    }


def read(made: Any) -> Any:
    return findings(read_report(json.dumps(made).encode(), EXPECTED), {DIFF: LAYER}, lambda path: path)


def test_every_severity_by_its_source() -> None:
    (found,) = read(document(Vulnerabilities=[vulnerability()]))
    assert (found.severity, found.source) == (Severity.MEDIUM, "debian")
    assert found.severities == {"debian": Severity.MEDIUM, "nvd": Severity.HIGH}
    assert (found.aliases, found.layer) == (("DSA-5417-1",), LAYER)


def test_one_package_at_two_places_is_one_finding_with_the_worse_severity() -> None:
    places = [vulnerability(PkgPath="b", Severity="LOW"), vulnerability(PkgPath="a"), vulnerability(PkgPath="a")]
    (found,) = read(document(Vulnerabilities=places))
    assert (found.path, found.severity) == ("a", Severity.MEDIUM)


def test_a_secret_is_not_in_its_finding() -> None:
    secret = {
        "RuleID": "github-pat",
        "Severity": "CRITICAL",
        "Title": "GitHub",
        "StartLine": 3,
        "Match": "ghp_x",
        "Code": {},
    }
    (found,) = read(document(Secrets=[secret | {"Layer": {"DiffID": DIFF}}]))
    assert (found.kind, found.line) == (FindingKind.SECRET, 3)
    assert "ghp_x" not in repr(found)


def test_text_of_strangers_cannot_act_and_is_bounded() -> None:
    odd = vulnerability(Title="a\n\x1b[2J" + "x" * 9999, PkgName="<script>\u202e")
    (found,) = read(document(Vulnerabilities=[odd]))
    assert found.title.isprintable()
    assert found.package == "<script>\\u202e"
    result = ScanResult(LAYER, ScannerIdentity("trivy", "1", CONFIG), ordered([found]))
    assert ScanResult.decode(result.encode(), "it") == result


@pytest.mark.parametrize(
    "data",
    [b"", b"\n", b"null", b"[]", b"{}", b"Trivy 1.0", json.dumps(document()).encode()[:-20], b'{"SchemaVersion": 3}'],
)
def test_what_is_no_report_is_garbage(data: bytes) -> None:
    with pytest.raises(AirgapError) as raised:
        read_report(data, EXPECTED)
    assert raised.value.code == "scanner-garbage"


@pytest.mark.parametrize(
    "results",
    [
        {"Vulnerabilities": {}},
        {"Vulnerabilities": ["CVE-1"]},
        {"Vulnerabilities": [vulnerability(VulnerabilityID="")]},
        {"Vulnerabilities": [vulnerability(Severity="TERRIBLE")]},
        {"Vulnerabilities": [vulnerability(VendorSeverity={"nvd": 9})]},
        {"Vulnerabilities": [vulnerability(Layer={"DiffID": CONFIG})]},
        {"Vulnerabilities": [vulnerability(PkgName=3)]},
        {"Secrets": [{"RuleID": "a b"}]},
        {"Packages": "none"},
    ],
)
def test_an_odd_finding_is_garbage(results: dict[str, Any]) -> None:
    with pytest.raises(AirgapError) as raised:
        read(document(**results))
    assert raised.value.code == "scanner-garbage"


@pytest.mark.parametrize(
    "other",
    [
        {"ArtifactName": "y@sha256:2"},
        {"ArtifactType": "filesystem"},
        {"Metadata": {"ImageID": DIFF, "DiffIDs": [DIFF]}},
        {"Metadata": {"ImageID": CONFIG, "DiffIDs": []}},
        {"Metadata": None},
    ],
)
def test_an_answer_about_something_else(other: dict[str, Any]) -> None:
    with pytest.raises(AirgapError) as raised:
        read(document() | other)
    assert raised.value.code == "scanner-mismatch"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)


@given(name=st.sampled_from(sorted(vulnerability())), value=JSON)
def test_any_field_may_be_anything(name: str, value: Any) -> None:
    try:
        found = read(document(Vulnerabilities=[vulnerability(**{name: value})]))
    except AirgapError as error:
        assert error.code == "scanner-garbage"  # noqa: PT017  (either is right)
    else:
        result = ScanResult(LAYER, ScannerIdentity("trivy", "1", CONFIG), ordered(found))
        assert ScanResult.decode(result.encode(), "it") == result
