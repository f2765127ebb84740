"""A delivery of an earlier scan station: still let in, still judged the same, and read by others by docs/format.md."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from airgap.base.digest import Digest
from airgap.resources.load import load_trust
from airgap.statements.dsse import open_bundle
from airgap.statements.rotation import trust_digest as trust_digest_of
from airgap.statements.statement import Statement
from tests.golden.judged_reader import (
    check_accepted,
    check_verdicts,
    reports,
    trust_digest,
    trust_roots,
    upstream,
    walk_log,
)
from tests.golden.reader import Delivery, read_statement
from tests.golden.site import FOLDER, KEYS, Site, make_site, same_contents, unpacked, untar

GOLDEN = FOLDER / "delivery-judged"
DELIVERY = GOLDEN / "delivery"
MADE = datetime(2026, 11, 26, 10, tzinfo=UTC)
TRUST = str(GOLDEN / "trust.yaml")
GAP = ("--sovereign", "sovereign.yaml", "--trust", TRUST)
LOCKS = (str(GOLDEN / "acme.lock.json"), str(GOLDEN / "site.lock.json"))
WAIVER = "waiver.yaml.security-officer.sigstore.json"
SPDX = "https://spdx.dev/Document"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return make_site(tmp_path)


def read() -> Delivery:
    return Delivery(DELIVERY, KEYS, "golden", MADE)


def say(name: str) -> tuple[str, str, dict[str, Any]]:
    """One of the statements beside the delivery."""
    return read_statement((GOLDEN / name).read_bytes(), KEYS)


def rebuilt(site: Site) -> None:
    """The station's store, with its records, made of the delivery."""
    unpacked(DELIVERY, site.folder / "store")
    untar(DELIVERY / "evidence.tar", site.folder / "evidence")
    records = site.folder / "store/airgap"
    (records / "statements").mkdir(parents=True)
    for path in (site.folder / "evidence/statements").iterdir():
        kind, subject, _ = read_statement(path.read_bytes(), KEYS)
        shutil.copyfile(path, records / f"statements/{kind}-{subject[7:]}.sigstore.json")
    for name in ("waivers", "reports"):
        shutil.copytree(site.folder / "evidence" / name, records / name)


# airgap still reads it


def test_it_is_verified(site: Site) -> None:
    found = site.run("verify", str(DELIVERY), "--trust", TRUST)
    assert found["outcome"] == "pass"
    said = sorted((one["kind"], one["role"]) for one in found["signedBy"])
    assert said == [
        *[("approval", "security-officer")] * 4, ("delivery", "station"),
        *[("pull", "exporter")] * 2, *[("verdict", "station")] * 2,
    ]  # fmt: skip


def test_it_is_imported_and_what_is_there_then_is_what_was_there(site: Site) -> None:
    done = site.run("import", str(DELIVERY), *GAP, "--key", "keys/sovereign.key", "--receipt", "receipt.json")
    placed = [item for place in say("receipt.json")[2]["destinations"] for item in place["items"]]
    lines = {(one["item"], one["at"], one["name"], one["digest"]) for one in placed}
    assert lines <= {(c["item"], c["at"], c["name"], c["digest"]) for c in done["changes"]}
    site.run("audit", *GAP, "--receipt", "receipt.json", "--deep")
    # The list of what was accepted then remembers what a lost state forgets.
    kept = site.folder / "inside/records/accepted-golden.sigstore.json"
    shutil.copyfile(GOLDEN / "accepted.sigstore.json", kept)
    (site.folder / "state/accepted.json").unlink()
    again = ("import", str(DELIVERY), *GAP, "--key", "keys/sovereign.key")
    assert site.run(*again, expect=4)["code"] == "state-lost"
    site.run(*again, "--restore")


def test_it_is_judged_again_the_same(site: Site) -> None:
    rebuilt(site)
    judge = ("--policy", str(GOLDEN / "policy.yaml"), "--trust", TRUST, "--key", "keys/station.key")
    waiver = ("--waiver", str(GOLDEN / "waiver.yaml"), "--approval", WAIVER)
    # The approval of then does not say that it is one of a waiver: it must be made again.
    then = str(GOLDEN / f"approvals/{WAIVER}")
    refused = site.run("scan", *LOCKS, "--store", "store", *judge, *waiver[:3], then, expect=4)
    assert refused["code"] == "approval-without-kind"
    site.run("sign", str(GOLDEN / "waiver.yaml"), "--key", "keys/officer.key", "--out", ".", "--log", "officer.jsonl")
    [(about, report)] = reports(read()).items()
    (site.folder / "reports").mkdir()
    (site.folder / f"reports/{about.replace(':', '-')}.json").write_text(json.dumps(report, indent=1))
    done = site.run("scan", *LOCKS, "--store", "store", *judge, *waiver, "--reports", "reports")
    before = {subject: said for kind, subject, said in read().said if kind == "verdict"}
    for lock in done["locks"]:
        _, subject, now = read_statement((site.folder / lock["verdict"]).read_bytes(), KEYS)
        assert judged(now) == judged(before[subject])


def judged(said: dict[str, Any]) -> dict[str, Any]:
    """A verdict without its time, and of reasons the codes: their words may become better."""
    for item in said["items"].values():
        for part in (item, *item["checks"]):
            part["reason"] = part["reason"] and part["reason"].partition(":")[0]
    return {key: value for key, value in said.items() if key not in ("signedAt", "logHead")}


def test_cut_again_it_has_the_same_contents_and_volumes(site: Site) -> None:
    rebuilt(site)
    cut = ("bundle", *LOCKS, "--store", "store", "--to", "again", "--for", "golden", "--role", "station")
    site.run(*cut, "--key", "keys/station.key", "--volume-size", "64KiB")
    same_contents(DELIVERY, site.folder / "again")
    delivery = Delivery(site.folder / "again", KEYS, "golden", datetime.now(UTC))
    assert check_verdicts(delivery) == check_verdicts(read())


def test_its_trust_root_is_taken_in(site: Site) -> None:
    site.run("trust", "pin", str(DELIVERY), "--name", "acme", "--roots", "roots", "--trust", TRUST)
    data = (GOLDEN / "acme.json").read_bytes()
    assert (site.folder / f"roots/acme/0001-{Digest.of(data).hex}.json").read_bytes() == data


@pytest.mark.parametrize(
    ("log", "statements"),
    [
        ("sovereign.jsonl", ("receipt.json", "audit.json", "accepted.sigstore.json")),
        ("station.jsonl", ("delivery/signatures/station.sigstore.json",)),
    ],
)
def test_its_logs_hold(site: Site, log: str, statements: tuple[str, ...]) -> None:
    named = [part for one in statements for part in ("--statement", str(GOLDEN / one))]
    found = site.run("log", "verify", "--log", str(GOLDEN / log), "--trust", TRUST, *named)
    assert found["statements"] == len(statements)


# so does a reader that shares no code with airgap


def test_the_independent_reader_judges_the_verdicts() -> None:
    delivery = read()
    assert delivery.signed == ["approval", "delivery"]
    assert check_verdicts(delivery) == {
        "ghcr.io/acme/app:1.0": ["signature pass"] * 3,
        "ghcr.io/acme/app:1.0-arm64": ["signature pass"] * 2,
        "ghcr.io/acme/edge:1.0": ["signature pass", "attestation pass"],
        "ghcr.io/acme/older:1.0": ["signature pass", "attestation pass"],
        "manual": ["digest-only pass"],
        "docker.io/library/tool:1.0": ["signature waived"],
    }
    assert {blob for _, _, blobs in delivery.items() for blob in blobs} == set(delivery.contents["blobs"])
    assert sorted(trust_roots(delivery)) == ["acme", "other"]
    [(about, report)] = reports(delivery).items()
    assert (about, report["scanner"]["version"]) == (delivery.contents["roots"][0]["digest"], "1")


def _no_waiver(delivery: Delivery) -> None:
    delivery.evidence = {name: data for name, data in delivery.evidence.items() if "waivers/" not in name}


def _no_approval(delivery: Delivery) -> None:
    delivery.said = [one for one in delivery.said if one[0] != "approval"]


def _no_verdict(delivery: Delivery) -> None:
    delivery.said = [one for one in delivery.said if one[0] != "verdict"]


def _late(delivery: Delivery) -> None:
    for kind, _, said in delivery.said:
        if kind == "verdict":
            said["signedAt"] = "2126-01-01T00:00:00Z"


def _new_check(delivery: Delivery) -> None:
    for kind, _, said in delivery.said:
        for item in said["items"].values() if kind == "verdict" else ():
            item["checks"].append({**item["checks"][0], "check": "vulnerabilities", "outcome": "fail", "waiver": None})


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (_no_waiver, "waivers/"),
        (_no_approval, "nobody approved it"),
        (_no_verdict, "without a verdict"),
        (_late, "it had ended"),
        (_new_check, "a check says no"),
    ],
)
def test_the_independent_reader_lets_nothing_else_in(change: Callable[[Delivery], None], why: str) -> None:
    delivery = read()
    change(delivery)
    with pytest.raises((ValueError, KeyError), match=why):
        check_verdicts(delivery)


def test_the_independent_reader_finds_what_others_signed() -> None:
    delivery = read()
    key = (GOLDEN / "owner.pub").read_bytes()
    items = {item["name"]: item for lock in delivery.locks for item in lock["items"]}
    found = {name: sorted(upstream(delivery, item, key)) for name, item in items.items() if "attached" in item}
    assert found == {
        "ghcr.io/acme/app:1.0": [("bundle", "signature", "leaf")] * 3,
        "ghcr.io/acme/app:1.0-arm64": [("bundle", "signature", "leaf")] * 2,
        "ghcr.io/acme/edge:1.0": [
            ("bundle", SPDX, "key"), ("bundle", "signature", "key"), ("bundle", "signature", "leaf"),
            ("simple signing", "signature", "leaf"),
        ],
        "ghcr.io/acme/older:1.0": [
            ("envelope", SPDX, "key"), ("simple signing", "signature", "key"),
            ("simple signing", "signature", "key"), ("simple signing", "signature", "leaf"),
            ("text/spdx+json", "", ""),
        ],
        "docker.io/library/tool:1.0": [("application/jose+json", "", "")],
    }  # fmt: skip


def test_the_independent_reader_reads_what_a_sovereign_keeps() -> None:
    delivery = read().digest
    kind, subject, said = say("accepted.sigstore.json")
    assert (kind, said["sovereign"], check_accepted(subject, said)) == ("accepted", "golden", [delivery])
    assert say("audit.json")[:2] == ("audit", delivery)
    # Each names the line of the log that says what was signed.
    lines = walk_log((GOLDEN / "sovereign.jsonl").read_bytes())
    for name in ("accepted.sigstore.json", "receipt.json", "audit.json"):
        kind, subject, said = say(name)
        assert lines[said["logHead"]] == (kind, [subject])
    lines = walk_log((GOLDEN / "station.jsonl").read_bytes())
    for kind, subject, said in read().said:
        assert kind == "approval" or lines[said["logHead"]] == (kind, [subject])


def test_the_independent_reader_knows_what_an_approval_of_trust_is_about(site: Site) -> None:
    spec = yaml.load((GOLDEN / "trust.yaml").read_bytes(), yaml.BaseLoader)["spec"]
    keys = [{**key, "pem": (GOLDEN / key["publicKeyFile"]).read_bytes()} for key in spec["keys"]]
    kind, subject, _ = say("approvals/trust.yaml.security-officer.sigstore.json")
    assert (kind, subject) == ("approval", trust_digest(keys, spec["sovereign"], spec["require"]))
    approval = str(GOLDEN / "approvals/trust.yaml.security-officer.sigstore.json")
    # It does not say that a Trust resource was approved, so today it does not count, and is made again.
    rotate = ("keys", "rotate", TRUST, TRUST, "--approval")
    assert site.run(*rotate, approval, expect=4)["code"] == "approval-without-kind"
    site.run("sign", TRUST, "--key", "keys/officer.key", "--out", ".", "--log", "officer.jsonl", "--trust", TRUST)
    site.run(*rotate, "trust.yaml.security-officer.sigstore.json")


def test_the_independent_reader_knows_what_approvals_of_today_approve() -> None:
    """`approvals/` of the golden folder was signed once by the first version that names kinds."""
    found = {}
    for path in sorted((FOLDER / "approvals").iterdir()):
        kind, subject, said = read_statement(path.read_bytes(), KEYS)
        approves = Statement.parse(open_bundle(path.read_bytes(), path.name).payload, path.name).as_dict()["approves"]
        assert (kind, approves) == ("approval", said["approves"])
        found[path.name.partition(".")[0]] = (subject, approves)
    delivery = {"kind": "delivery", "sovereign": "golden", "stream": "main", "sequence": 1}
    assert found == {
        "acme": (str(Digest.of((GOLDEN / "acme.json").read_bytes())), {"kind": "trust-root"}),
        "delivery": (str(read().digest), delivery),
        "site": (str(Digest.of(Path(LOCKS[1]).read_bytes())), {"kind": "lock"}),
        "trust": (str(trust_digest_of(load_trust(Path(TRUST)))), {"kind": "trust-resource", "sovereign": "golden"}),
        "waiver": (str(Digest.of((GOLDEN / "waiver.yaml").read_bytes())), {"kind": "waiver"}),
    }


def test_a_waiver_and_a_policy_are_named_by_their_bytes() -> None:
    [verdict] = [said for kind, _, said in read().said if kind == "verdict" and said["waivers"]]
    files = ("waiver.yaml", "policy.yaml", "acme.json")
    digests = {name: str(Digest.of((GOLDEN / name).read_bytes())) for name in files}
    assert verdict["policy"] == {"name": "golden", "digest": digests["policy.yaml"]}
    assert verdict["trustRoots"] == [{"name": "acme", "digest": digests["acme.json"]}]
    assert [one["digest"] for one in verdict["waivers"]] == [digests["waiver.yaml"]]
    assert json.dumps(verdict).count(digests["waiver.yaml"]) == 2
