"""`airgap trust show` and `pin`: roots of others' signatures, by hand and out of deliveries."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airgap.base.digest import Digest
from airgap.base.times import utc_text
from tests.parts.need import require_part
from tests.parts.system import NetworkNamespace
from tests.worlds.cli_site import airgap
from tests.worlds.root_site import (
    CUT,
    NAME,
    SHA1,
    SHA2,
    SIGN,
    TRUSTED,
    V1,
    V2,
    copied,
    make_site,
    started,
    trusted_root,
    versions,
)
from tests.worlds.site import HEAD, Site

POLICY = f"""\
{HEAD}kind: Policy
metadata: {{name: catalyst}}
spec:
  trustRoots:
  LINE
  keys:
  - {{name: bank-ci, publicKeyFile: exporter.pub, notBefore: 2026-01-01T00:00:00Z}}
  rules:
  - match: ["demo.local/**"]
    require: {{trustRoot: sigstore, identities: [{{issuer: "https://issuer.example", identity: "me@example"}}]}}
"""

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("made"))


@pytest.fixture
def site(made: Site, tmp_path: Path) -> Site:
    return copied(made, tmp_path / "site")


# --- show ----------------------------------------------------------------------------------------


def test_a_root_is_told_in_words(made: Site) -> None:
    said = started(made, "trust", "show", "v2.json").out
    assert SHA2.hex in said
    for words in (
        "certificate authority CN=",
        "log https://",
        "CT log https://",
        "time stamping authority CN=",
    ):
        assert said.count(f"  {words}") >= 2, words
    assert "newest log since 20" in said
    document = made.run("trust", "show", "v2.json")
    assert document["sha256"] == SHA2.hex
    assert document["newestLog"].endswith("Z")
    assert {log["id"] for log in document["logs"]} == {
        log["id"] for name in ("one", "two") for log in shown(made, trusted_root(name))["logs"]
    }


def shown(site: Site, data: bytes) -> Any:
    (site.folder / "shown.json").write_bytes(data)
    return site.run("trust", "show", "shown.json")


def test_a_policy_names_the_version_as_pin_says(site: Site) -> None:
    said = started(site, "trust", "pin", "v1.json", *NAME, "roots").out
    line = next(line for line in said.splitlines() if "sha256:" in line).strip()
    site.write("policy.yaml", POLICY.replace("LINE", line))
    document = site.run("trust", "show", "policy.yaml")["policy"]
    assert [root["sha256"] for root in document["trustRoots"]] == [SHA1.hex]
    assert [(key["name"], key["until"]) for key in document["keys"]] == [("bank-ci", None)]
    assert [(key["hashAlgorithm"], key["rsaPadding"]) for key in document["keys"]] == [("sha256", None)]
    words = started(site, "trust", "show", "policy.yaml").out
    assert ", signs with sha256\n" in words
    assert "policy 'catalyst'" in words
    assert "newest log since" in words


def test_a_trust_resource_is_told_in_words(made: Site) -> None:
    said = started(made, "trust", "show", "trust.yaml").out
    assert "trust for 'bank', requires pull, delivery" in said
    assert "key 'officer' (security-officer) sha256:" in said
    keys = made.run("trust", "show", "trust.yaml")["trust"]["keys"]
    assert [key["role"] for key in keys] == ["exporter", "sovereign", "security-officer"]


# --- pin, by hand --------------------------------------------------------------------------------


def test_versions_are_added_and_the_difference_is_shown(site: Site) -> None:
    site.run("trust", "pin", "v1.json", *NAME, "roots")
    dry = site.run("trust", "pin", "v2.json", *NAME, "roots", "--dry-run")
    assert (dry["version"], dry["dryRun"], len(dry["changes"]["added"])) == (2, True, 5)
    assert [one["version"] for one in versions(site, "roots")] == [1]
    said = started(site, "trust", "pin", "v2.json", *NAME, "roots")
    assert "version 2 added, from file" in said.out
    assert said.out.count("\n  + ") == 5
    assert "added without approval" in said.err
    assert site.run("trust", "pin", "v2.json", *NAME, "roots")["present"]
    assert [one["digest"] for one in versions(site, "roots")] == [SHA1, SHA2]
    airgap(site, "trust", "pin", "v1.json", *NAME, "roots").refused(4, "root-older")


def test_less_than_before_is_refused(site: Site) -> None:
    site.run("trust", "pin", "v2.json", *NAME, "roots")
    airgap(site, "trust", "pin", "v1.json", *NAME, "roots").refused(4, "root-shrinks", "missing: log https://")
    retired = json.loads(V2)
    retired["tlogs"][0]["publicKey"]["validFor"]["end"] = "2026-06-01T00:00:00Z"
    (site.folder / "v3.json").write_text(json.dumps(retired))
    airgap(site, "trust", "pin", "v3.json", *NAME, "roots").refused(4, "root-shrinks", "--retire", "now")
    assert site.run("trust", "pin", "v3.json", *NAME, "roots", "--retire")["version"] == 2
    # Once retired, it stays so.
    retired["tlogs"][0]["publicKey"]["validFor"]["end"] = "2026-07-01T00:00:00Z"
    (site.folder / "v4.json").write_text(json.dumps(retired))
    airgap(site, "trust", "pin", "v4.json", *NAME, "roots", "--retire").refused(4, "trust-root-changed")


def test_a_version_that_was_changed_here_is_noticed(site: Site) -> None:
    file = site.folder / site.run("trust", "pin", "v1.json", *NAME, "roots")["file"]
    file.write_bytes(V2)
    airgap(site, "trust", "show", "roots").refused(4, "root-damaged")
    airgap(site, "trust", "pin", "v2.json", *NAME, "roots").refused(4, "root-damaged")


# --- pin, with an approval -----------------------------------------------------------------------


def test_with_a_trust_resource_an_officer_must_have_approved_the_file(site: Site) -> None:
    pin = ("trust", "pin", "v1.json", *NAME, "roots", *TRUSTED)
    airgap(site, *pin).refused(4, "root-not-approved", "airgap sign")
    assert not (site.folder / "roots").exists()
    site.run("sign", "v2.json", *SIGN, "--out", "approvals")
    other = "approvals/v2.json.security-officer.sigstore.json"
    airgap(site, *pin, "--approval", other).refused(2, "bad-approval", SHA1)
    site.run("sign", "v1.json", "--key", "stranger.key", "--out", "strangers")
    strange = "strangers/v1.json.security-officer.sigstore.json"
    airgap(site, *pin, "--approval", strange).refused(4, "unknown-key")
    site.run("sign", "v1.json", "--key", "exporter.key", "--out", "exporters")
    wrong = "exporters/v1.json.security-officer.sigstore.json"
    airgap(site, *pin, "--approval", wrong).refused(4, "wrong-role")
    site.run("sign", "v1.json", *SIGN, *TRUSTED)
    document = site.run(*pin)
    approval = (site.folder / document["file"]).with_suffix(".approval.sigstore.json")
    assert document["evidence"] == [Digest.of(approval.read_bytes())]


def test_an_approval_from_elsewhere_is_named(site: Site) -> None:
    said = started(site, "sign", "v1.json", *SIGN, "--out", "approvals").out
    assert "airgap trust pin v1.json" in said
    approval = "approvals/v1.json.security-officer.sigstore.json"
    site.run("trust", "pin", "v1.json", *NAME, "roots", *TRUSTED, "--approval", approval)


# --- in a delivery -------------------------------------------------------------------------------


def test_a_root_travels_and_is_added_after_approval(site: Site, netns: NetworkNamespace) -> None:
    inside = tuple(netns.argv())
    site.run(*CUT, "media", "--trust-root", "sigstore=v1.json", "--trust-root", "staging=v2.json")
    site.run("verify", "media", *TRUSTED)
    pin = ("trust", "pin", "media", *NAME, "inside", *TRUSTED)
    airgap(site, *pin, before=inside).refused(4, "root-not-approved", "airgap sign DELIVERY")
    assert not (site.folder / "inside").exists()
    site.run("sign", "media", *SIGN)
    started(site, *pin, before=inside)
    found = versions(site, "inside")
    assert [one["digest"] for one in found] == [SHA1]
    assert found[0]["origin"].startswith("delivery sha256:")
    assert (site.folder / found[0]["file"]).read_bytes() == V1
    # The next one is added; the first again, out of its old delivery, is none.
    site.run(*CUT, "media2", "--trust-root", "sigstore=v2.json")
    site.run("sign", "media2", *SIGN, "--out", "carry")
    newer = ("trust", "pin", "media2", "carry", *NAME, "inside", *TRUSTED)
    assert "version 2 added" in started(site, *newer, before=inside).out
    airgap(site, *pin, before=inside).refused(4, "root-older")
    assert [one["digest"] for one in versions(site, "inside")] == [SHA1, SHA2]


def test_an_approval_of_the_root_lets_it_out_of_a_delivery(site: Site) -> None:
    site.run(*CUT, "media", "--trust-root", "sigstore=v1.json")
    pin = ("trust", "pin", "media", *NAME, "inside", *TRUSTED, "--approval")
    for name in ("v2", "v1"):
        site.run("sign", f"{name}.json", *SIGN, "--out", "approvals")
    airgap(site, *pin, "approvals/v2.json.security-officer.sigstore.json").refused(2, "bad-approval")
    site.run(*pin, "approvals/v1.json.security-officer.sigstore.json")


@pytest.mark.part("faketime")
def test_an_approval_by_a_key_that_ended_adds_nothing(site: Site) -> None:
    """It may be of today, or made in a week by whoever has the key. Neither the file's nor the delivery's counts."""
    site.run(*CUT, "media", "--trust-root", "sigstore=v1.json")
    for thing in ("media", "v1.json"):
        site.run("sign", thing, *SIGN)
    trust = (site.folder / "trust.yaml").read_text()
    life, moment = "    notAfter: 2036-01-01T00:00:00Z\n", utc_text(datetime.now(UTC) + timedelta(days=1))
    later = (str(require_part("faketime")), "-f", "+5d")
    for code, ends in (
        ("key-expired", f"    notAfter: {moment}\n    accept: ['{SHA2}']\n"),
        ("key-revoked", f"{life}    revoked: {{at: {moment}}}\n"),
    ):
        before, _, after = trust.rpartition(life)  # the officer's, which is the last one
        site.write("trust.yaml", before + ends + after)
        for thing, said in (("v1.json", code), ("media", "root-not-approved")):
            pin = ("trust", "pin", thing, *NAME, "file", *TRUSTED)
            airgap(site, *pin, before=later).refused(4, said, code)
    # The Trust resource names this very file.
    site.write("trust.yaml", (site.folder / "trust.yaml").read_text().replace(moment, f"{moment}, accept: ['{SHA1}']"))
    started(site, "trust", "pin", "v1.json", *NAME, "file", *TRUSTED, before=later)


def test_the_roots_of_a_verdict_go_along(site: Site) -> None:
    site.run("keys", "generate", "station")
    station = "  - {name: station, role: station, publicKeyFile: station.pub, notBefore: WHEN, notAfter: END}\n"
    station = station.replace("WHEN", "2026-01-01T00:00:00Z").replace("END", "2036-01-01T00:00:00Z")
    trust = (site.folder / "trust.yaml").read_text()
    site.write("trust.yaml", trust.replace("  keys:\n", f"  keys:\n{station}"))
    site.write(
        "policy.yaml",
        f"{HEAD}kind: Policy\nmetadata: {{name: p}}\nspec:\n  trustRoots:\n"
        f"  - {{name: sigstore, file: v1.json, sha256: {SHA1.hex}}}\n  rules:\n"
        '  - match: ["**"]\n'
        "    digestOnly: {approver: me, reason: a test, local: true, expires: 2036-01-01T00:00:00Z}\n",
    )
    site.run("scan", "r.lock.json", "--store", "store", "--policy", "policy.yaml", "--key", "station.key")
    site.run(*CUT, "media")
    site.run("sign", "media", *SIGN)
    pin = ("trust", "pin", "media", *NAME, "inside", *TRUSTED)
    assert site.run(*pin)["sha256"] == SHA1.hex
    # What is asked for by hand goes before it.
    site.run(*CUT, "media2", "--trust-root", "sigstore=v2.json")
    site.run("sign", "media2", *SIGN)
    assert site.run("trust", "pin", "media2", *pin[3:])["sha256"] == SHA2.hex


def test_what_a_delivery_does_not_carry_cannot_be_pinned(site: Site) -> None:
    site.run(*CUT, "media")
    site.run("sign", "media", *SIGN)
    pin = ("trust", "pin", "media", *NAME, "inside", *TRUSTED)
    airgap(site, *pin).refused(2, "root-not-carried", "carries: none")
    site.run(*CUT, "media2", "--trust-root", "staging=v1.json")
    airgap(site, "trust", "pin", "media2", *pin[3:]).refused(2, "root-not-carried", "carries: staging")


def test_a_root_out_of_a_delivery_that_is_not_believed_is_not_pinned(site: Site) -> None:
    site.run(*CUT, "media", "--trust-root", "sigstore=v1.json")
    site.run("sign", "media", *SIGN)
    pin = ("trust", "pin", "media", *NAME, "inside", *TRUSTED)
    evidence = site.folder / "media" / "evidence.tar"
    data = evidence.read_bytes()
    # The root is swapped in the evidence: its sha256 is in the signed index.
    evidence.write_bytes(data.replace(b'"baseUrl"', b'"BaseUrl"'))
    airgap(site, *pin).refused(4, "damaged-file")
    evidence.write_bytes(data)
    (site.folder / "media/signatures/exporter.sigstore.json").unlink()
    airgap(site, *pin).refused(4, "no-signature")
    site.write(
        "theirs.yaml",
        (site.folder / "trust.yaml").read_text().replace("sovereign: bank", "sovereign: other"),
    )
    site.run(*CUT, "media2", "--trust-root", "sigstore=v1.json")
    airgap(site, "trust", "pin", "media2", *NAME, "inside", "--trust", "theirs.yaml").refused(4, "wrong-sovereign")
    assert not (site.folder / "inside").exists()
