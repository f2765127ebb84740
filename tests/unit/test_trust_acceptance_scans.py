"""Acceptance of verdicts that stand on scans: judged again by what is carried, and by the Sovereign's own limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from airgap.acceptance.scans import Demands, Stands, check_scans
from airgap.base.digest import Digest
from airgap.base.errors import TrustError
from airgap.base.zstd import packed
from airgap.content.scan_finding import FindingKind, ScanFinding, Severity
from airgap.content.scan_result import ScanResult
from airgap.resources.load import load_waiver
from airgap.resources.trust_verdicts import VerdictLimits
from airgap.resources.waiver import Waiver
from airgap.statements.accepted_state import AcceptedState
from airgap.statements.gate import Gate
from airgap.statements.scans import FindingName
from airgap.statements.verdict import CheckResult, CountedVex, JudgedItem, PassedBy, Verdict
from tests.worlds.scans import CLAMAV, GivenRun, carried, days, flaw, gate_of, result, run_of, trivy, verdict_of
from tests.worlds.trust import DAY, HOUR, NOW, SOVEREIGN, World, accepted, signed
from tests.worlds.verdicts import refused, say

SIGNED = NOW - HOUR
FRESH = trivy(SIGNED - days(2))
ID = "findings: [{id: CVE-2021-36159}]"


class Scanned:
    """A delivery whose verdict stands on these results about its image."""

    def __init__(
        self,
        *results: ScanResult,
        gate: Gate | None = None,
        waivers: Sequence[Waiver] = (),
        limits: VerdictLimits | None = None,
    ) -> None:
        self.world = World()
        require = ("pull", "verdict", "delivery")
        self.world.trust = replace(self.world.trust, require=require, verdicts=limits)
        self.item = self.world.lock.items[0]
        assert self.item.root is not None
        self.subject = self.item.root.digest
        self.run = run_of(self.item, (self.subject, results or (result(self.subject, FRESH),)))
        self.world.scans = carried(self.run)
        for one in waivers:
            self.world.waivers.append(one.raw)
            self.world.evidence[f"approval-{one.digest.hex}"] = self.world.approve(one.digest)
        self.verdict = verdict_of(self.item, self.run, gate or gate_of(), waivers)
        self.say(self.verdict)

    def say(self, verdict: Verdict, *, at: datetime = SIGNED) -> None:
        self.verdict = verdict
        say(self.world, verdict, at=at)

    def change(self, **more: Any) -> None:
        """The station says something else of the item."""
        judged = replace(self.verdict.items[self.item.name], **more)
        self.say(replace(self.verdict, items={self.item.name: judged}))

    def claim(self) -> None:
        """The station says that everything passed."""
        checks = self.verdict.items[self.item.name].checks
        good = tuple(replace(one, outcome="pass") for one in checks if one.check == "scan")
        self.change(outcome="pass", reason=None, checks=good)

    def refused(self, **more: Any) -> str:
        return refused(self.world, **more).code


ROOT = World().lock.items[0].root
assert ROOT is not None
SUBJECT = ROOT.digest


def clean(**more: Any) -> ScanResult:
    return result(SUBJECT, FRESH, **more)


def found(*findings: ScanFinding) -> ScanResult:
    return result(SUBJECT, FRESH, *findings)


def waiver(spec: str, ends: str = "2026-12-01T00:00:00Z") -> Waiver:
    head = "apiVersion: airgap.openova.io/v1alpha1\nkind: Waiver\nmetadata: {name: w}\n"
    return load_waiver(f"{head}spec: {{{spec}, approver: A, reason: r, expires: {ends}}}\n".encode())


# what stands on its scans


def test_a_verdict_that_stands_on_its_scans_is_let_in() -> None:
    Scanned().world.accept()
    Scanned(found(flaw("high"), flaw("low", "CVE-2"))).world.accept()


def test_a_verdict_without_scans_counts_as_before() -> None:
    one = Scanned()
    one.say(replace(one.verdict, scanners=(), scans=(), gate=None))
    one.world.accept()


@pytest.mark.parametrize("finding", [
    flaw("critical"),
    flaw("low", severities={"nvd": Severity.CRITICAL}),
    ScanFinding(FindingKind.SECRET, "key", Severity.LOW, path="a"),
    ScanFinding(FindingKind.COVERAGE, "unknown-os", Severity.UNKNOWN),
])  # fmt: skip
def test_results_that_say_otherwise_than_the_checks_refuse(finding: ScanFinding) -> None:
    one = Scanned(found(finding))
    assert one.refused() == "verdict-failed"  # it says so
    one.claim()
    error = refused(one.world)
    assert error.code == "verdict-contradicted"
    assert f"image 'alpine:3.20': the verdict lets it pass, but its scan results say: {finding.kind}" in error.what


def test_a_not_run_that_is_told_as_clean_refuses() -> None:
    one = Scanned(clean(), ScanResult.failed(SUBJECT, CLAMAV, "scanner-timeout", "too slow"))
    one.claim()
    error = refused(one.world)
    assert error.code == "verdict-contradicted"
    assert "scan of sha256:" in error.what
    assert "not-run: scanner-timeout: clamav: too slow" in error.what
    one = Scanned(ScanResult.failed(SUBJECT, FRESH, "scanner-timeout", "too slow"), gate=gate_of("{notRun: warn}"))
    one.claim()
    assert one.refused() == "verdict-contradicted"  # nobody looked for what is required


def test_what_nobody_looked_for_refuses() -> None:
    one = Scanned(clean(), gate=gate_of("{required: {image: [malware]}}"))
    one.claim()
    assert one.refused() == "verdict-contradicted"


def test_an_item_without_a_scan_refuses() -> None:
    one = Scanned()
    one.change(checks=(CheckResult("signature", "pass", SUBJECT, "rule 1"),))
    error = refused(one.world)
    assert (error.code, "nothing of" in error.what) == ("verdict-contradicted", True)
    other = Digest.of(b"other")
    one.change(checks=(CheckResult("scan", "pass", other, "rule 1"),))
    assert one.refused() == "verdict-contradicted"


def test_scans_that_the_verdict_does_not_list_refuse() -> None:
    one = Scanned()
    one.say(replace(one.verdict, scans=()))
    assert one.refused() == "verdict-contradicted"


def test_a_result_that_is_missing_or_changed_refuses() -> None:
    one = Scanned()
    ((name, data),) = one.world.scans.items()
    one.world.scans = {}
    assert one.refused() == "scan-missing"
    plain = clean(packages=15).encode()
    for wrong in (b"", data[:-1], data + b"x", packed(plain), packed(b"{}"), clean().encode()):
        one.world.scans = {name: wrong}
        assert one.refused() == "scan-mismatch"


def named(made: ScanResult, one: Scanned) -> None:
    """The verdict names another result for the same scan."""
    scans = tuple(replace(scan, result=made.digest) for scan in one.verdict.scans)
    one.say(replace(one.verdict, scans=scans))
    one.world.scans = {f"scans/{made.digest.hex}.json.zst": packed(made.encode())}


def test_a_result_of_another_run_or_about_something_else_refuses() -> None:
    one = Scanned(found(flaw()))
    one.claim()
    named(result(SUBJECT, trivy(SIGNED - days(9))), one)
    assert one.refused() == "scan-mismatch"
    named(result(Digest.of(b"other"), FRESH), one)
    assert one.refused() == "scan-mismatch"
    named(clean(), one)
    one.world.accept()  # that one is about it, by this scanner


def test_a_bomb_is_not_unpacked() -> None:
    from airgap.content.scan_result import MAX_RESULT

    one = Scanned()
    name = next(iter(one.world.scans))
    one.world.scans = {name: packed(b" " * (MAX_RESULT + 1))}
    error = refused(one.world)
    assert (error.code, "expected at most" in error.what) == ("scan-mismatch", True)


# waivers


@pytest.mark.parametrize("spec", [f"digests: ['{SUBJECT}'], {ID}", f"match: ['docker.io/library/alpine'], {ID}"])
def test_a_waiver_of_a_finding_is_judged_again(spec: str) -> None:
    one = Scanned(found(flaw()), waivers=[waiver(spec)])
    one.world.accept()
    name = next(name for name in one.world.evidence if name.startswith("approval"))
    approval = one.world.evidence.pop(name)
    assert one.refused() == "waiver-unapproved"
    one.world.evidence[name] = approval
    one.world.waivers.clear()
    assert one.refused() == "waiver-missing"


def test_a_waiver_that_ended_before_the_verdict_refuses() -> None:
    one = Scanned(found(flaw()), waivers=[waiver(f"digests: ['{SUBJECT}'], {ID}", "2026-11-23T00:00:00Z")])
    assert one.refused() == "waiver-expired"


def test_a_waiver_that_does_not_cover_what_it_is_named_for_refuses() -> None:
    good = waiver(f"match: ['docker.io/library/alpine'], {ID}")
    one = Scanned(found(flaw()), waivers=[good])
    checks = one.verdict.items[one.item.name].checks
    one.change(checks=tuple(replace(c, finding=FindingName("CVE-2", "x")) if c.finding else c for c in checks))
    assert one.refused() == "waiver-mismatch"
    one.change(checks=tuple(replace(c, check="signature", finding=None) if c.finding else c for c in checks))
    assert one.refused() == "waiver-mismatch"


def test_a_waiver_of_one_finding_lifts_no_other() -> None:
    one = Scanned(found(flaw(), flaw(id_="CVE-2")), waivers=[waiver(f"match: ['**'], {ID}")])
    checks = one.verdict.items[one.item.name].checks
    one.change(outcome="pass", reason=None, checks=tuple(c for c in checks if c.outcome != "fail"))
    assert one.refused() == "verdict-contradicted"


def test_a_not_run_that_is_waived_is_let_in() -> None:
    given = waiver(f"digests: ['{SUBJECT}'], checks: [scan, coverage]")
    one = Scanned(ScanResult.failed(SUBJECT, FRESH, "scanner-timeout", "too slow"), waivers=[given])
    one.world.accept()


def test_what_the_verdict_says_a_vex_document_lifted_is_let_in() -> None:
    one = Scanned(found(flaw()))
    checks = one.verdict.items[one.item.name].checks
    vendor, vex = PassedBy(key="vendor"), Digest.of(b"vex")
    lifted = tuple(replace(c, outcome="pass", by=vendor, vex=(vex,)) if c.finding else c for c in checks)
    judged = JudgedItem(SUBJECT, "pass", None, lifted)
    one.say(replace(one.verdict, items={one.item.name: judged}, vex=(CountedVex(vex, vendor),)))
    assert one.refused() == "vex-missing"
    one.world.reports = [b"vex"]
    one.world.accept()
    judged = replace(judged, checks=tuple(replace(c, vex=()) for c in lifted))
    one.say(replace(one.verdict, items={one.item.name: judged}, vex=()))
    assert one.refused() == "verdict-contradicted"


# the Sovereign's own limits


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        ({"max_age": HOUR + HOUR}, ""),
        ({"max_age": HOUR / 2}, "verdict-old"),
        ({"database_max_age": 3 * DAY}, ""),
        ({"database_max_age": DAY}, "database-old"),
        ({"database_max_age": DAY, "database_max_ages": {"trivy-db": 3 * DAY}}, ""),
        ({"database_max_ages": {"trivy-db": DAY}}, "database-old"),
        ({"database_max_ages": {"trivy-java-db": DAY}}, ""),
        ({"required": {"image": ("vulnerability", "secret")}}, ""),
        ({"required": {"image": ("malware",)}}, "not-scanned"),
        ({"required": {"git": ("malware",)}}, ""),
        ({"blocks": {"vulnerability": "critical"}}, ""),
        ({"blocks": {"vulnerability": "high"}}, "finding-blocks"),
        ({"blocks": {"vulnerability": "unknown"}}, "finding-blocks"),
        ({"blocks": {"vulnerability": "high"}, "ignore_unfixed": True}, ""),
        ({"blocks": {"secret": "unknown"}}, ""),
    ],
)
def test_each_limit_of_the_trust_resource_turns_the_answer(limits: dict[str, Any], code: str) -> None:
    one = Scanned(found(flaw("high")), limits=VerdictLimits(**limits))
    if not code:
        one.world.accept()
        return
    error = refused(one.world)
    assert error.code == code
    assert "Trust resource" in error.what
    # What was accepted before stays accepted.
    before = accepted(42, digest=one.world.digest, id=one.world.journey.id)
    one.world.accept(AcceptedState(SOVEREIGN, (before,)))


def test_what_the_sovereign_blocks_may_be_waived() -> None:
    given = waiver(f"match: ['**'], {ID}")
    strict = gate_of("{rules: [{findings: [vulnerability], severity: {high: block}}]}")
    limits = VerdictLimits(blocks={"vulnerability": "high"})
    Scanned(found(flaw("high")), gate=strict, waivers=[given], limits=limits).world.accept()


def test_a_verdict_without_scans_is_not_enough_where_they_are_required() -> None:
    for limits in (
        {"required": {"image": ("secret",)}},
        {"blocks": {"secret": "low"}},
        {"database_max_ages": {"a": DAY}},
    ):
        one = Scanned(limits=VerdictLimits(**limits))
        one.say(replace(one.verdict, scanners=(), scans=(), gate=None))
        assert one.refused() == "not-scanned"
    one = Scanned(limits=VerdictLimits(max_age=DAY))
    one.say(replace(one.verdict, scanners=(), scans=(), gate=None))
    one.world.accept()


# another verdict in the place of a newer one


def earlier(one: Scanned, run: GivenRun, at: datetime) -> None:
    """A verdict about the same lock was accepted before."""
    body = verdict_of(one.item, run, gate_of())
    one.world.earlier = [signed(one.world.signers["station"], one.world.lock.digest, body, "station", at=at)]


def test_a_verdict_with_an_older_database_does_not_replace_one_with_a_newer_one() -> None:
    one = Scanned()
    for made, at, good in (
        (2.0, SIGNED - DAY, True),
        (3.0, SIGNED - DAY, True),
        (1.5, SIGNED - DAY, False),
        (2.0, SIGNED + HOUR, False),
    ):
        run = run_of(one.item, (SUBJECT, [result(SUBJECT, trivy(SIGNED - days(made)))]))
        earlier(one, run, at)
        if good:
            one.world.accept()
            continue
        error = refused(one.world)
        assert error.code == "verdict-replaced"
        assert "one about this lock was accepted before" in error.what
    # With --restore, older deliveries come in again; they move no name back.
    one.world.accept(restore=True)


def test_a_promoted_lock_does_not_replace_a_later_one_of_the_same_full_lock() -> None:
    one, full = Scanned(), Digest.of(b"full")
    lock, later = replace(one.world.lock, promoted_from=full), Digest.of(b"later")
    other = signed(one.world.signers["station"], later, one.verdict, "station", at=SIGNED + HOUR)
    demands = Demands(SIGNED + HOUR, earlier=lambda asked: [other] if asked == full else [])
    with pytest.raises(TrustError, match="of the same full lock") as caught:
        check_scans(Stands(lock, one.verdict, SIGNED, (), one.world.scans, lock.items), demands)
    assert caught.value.code == "verdict-replaced"
    check_scans(Stands(one.world.lock, one.verdict, SIGNED, (), one.world.scans, one.world.lock.items), demands)


def test_a_verdict_without_scans_does_not_replace_one_with_scans() -> None:
    one = Scanned()
    earlier(one, one.run, SIGNED - DAY)
    one.say(replace(one.verdict, scanners=(), scans=(), gate=None))
    error = refused(one.world)
    assert (error.code, "this one names none" in error.what) == ("verdict-replaced", True)
    one.world.earlier = [
        signed(one.world.signers["station"], one.world.lock.digest, one.verdict, "station", at=SIGNED + HOUR)
    ]
    one.world.accept()  # what had no scans limits nothing
