"""A check that exists only here: its class and its line in the table are all that the judge needs of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from airgap.base.digest import Digest
from airgap.base.progress import Silent
from airgap.bundling.evidence import Approved
from airgap.content.lock import Lock
from airgap.jobs.scan import Scanned, ScanOrder, scan_locks
from airgap.judgement.checks.base import DENIED, Answer, Case, Outcome
from airgap.judgement.checks.table import CHECKS
from airgap.report.verdict import passed, refused_lines
from airgap.resources.load import load_policy
from airgap.resources.waiver import Waiver
from airgap.statements.dsse import open_bundle
from airgap.statements.statement import Statement
from airgap.statements.verdict import CheckResult, Verdict, objection
from airgap.station.files import Records
from airgap.station.signatory import Signatory
from airgap.store.layout import Layout
from tests.worlds.policy import LOCKED, NAME, NOW, World, policy_text, waiver
from tests.worlds.trust import signer


@dataclass(frozen=True, slots=True)
class MoonCheck:
    """Objects to every image whose root it was given."""

    bad: frozenset[Digest] = frozenset()
    name: str = "moon"
    waivable: bool = False
    final: bool = False
    reason: str = "full-moon"
    outcome: Outcome = Outcome.FAILED

    def ask(self, case: Case) -> Iterator[Answer]:
        """See `Check.ask`."""
        for digest in case.digests():
            if digest in self.bad:
                yield Answer(self.name, self.outcome, digest, reason=self.reason, detail="the moon is full")
                return
        yield Answer(self.name, Outcome.PASSED, case.subject, detail="the moon is new")


class Station:
    """One image in a lock, a policy that lets it in by its digest, and a station that signs."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world = World(folder)
        self.records = Records(folder / "records")
        self.monkeypatch = monkeypatch

    @property
    def root(self) -> Digest:
        return Digest(self.world.digest)

    @property
    def child(self) -> Digest:
        return Digest(self.world.children[0]["digest"])

    def lock(self) -> Lock:
        return Lock.of("p", [self.world.locked(NAME, self.world.image)])

    def scan(self, check: MoonCheck, *waivers: Waiver) -> Scanned:
        self.monkeypatch.setattr("airgap.judgement.judge.CHECKS", (*CHECKS, check))
        policy = load_policy(policy_text(LOCKED, ""), base_dir=self.world.folder)
        order = ScanOrder((self.lock(),), policy, tuple(Approved(one, b"approval") for one in waivers), NOW)
        station = Signatory(signer(), "station", self.records.log(), lambda: NOW)
        (found,) = scan_locks(order, Layout(self.world.files.folder), self.records, station, Silent())
        return found


@pytest.fixture
def station(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Station:
    return Station(tmp_path, monkeypatch)


def signed(found: Scanned) -> Verdict:
    """The verdict as others read it."""
    assert found.path is not None
    body = Statement.parse(open_bundle(found.path.read_bytes(), "verdict").payload, "verdict").body
    assert isinstance(body, Verdict)
    return body


def moon(found: Scanned) -> CheckResult:
    """What the signed verdict says of the new check."""
    (check,) = (one for one in signed(found).items[NAME].checks if one.check == "moon")
    return check


def test_its_yes_is_named_in_the_signed_verdict(station: Station) -> None:
    found = station.scan(MoonCheck())
    assert [one.check for one in signed(found).items[NAME].checks] == ["digest-only", "moon"]
    assert (moon(found).outcome, moon(found).subject) == ("pass", station.root)
    assert objection(signed(found), station.lock().items[0], station.root) is None
    (way,) = passed(signed(found))
    assert way.endswith("moon")


def test_its_no_makes_the_verdict_fail(station: Station) -> None:
    found = station.scan(MoonCheck(frozenset({station.root})))
    assert signed(found).outcome == "fail"
    assert (moon(found).outcome, moon(found).reason) == ("fail", "full-moon: the moon is full")
    assert signed(found).items[NAME].reason == "full-moon: the moon is full"
    refusal = objection(signed(found), station.lock().items[0], station.root)
    assert refusal is not None
    assert refusal.code == "verdict-failed"
    assert any("moon" in line for line in refused_lines(signed(found)))


def test_a_no_about_a_child_says_which(station: Station) -> None:
    found = station.scan(MoonCheck(frozenset({station.child})))
    assert signed(found).items[NAME].reason == f"full-moon: its part {station.child}: the moon is full"
    assert moon(found).subject == station.child


def test_who_could_not_look_lets_nothing_in(station: Station) -> None:
    found = station.scan(
        MoonCheck(frozenset({station.root}), waivable=True, outcome=Outcome.NOT_RUN),
        waiver(station.world.digest, checks=("moon",)),
    )
    assert signed(found).items[NAME].outcome == "not-run"
    assert moon(found).outcome == "not-run"


def test_a_waiver_lifts_it_where_the_check_says_so(station: Station) -> None:
    mine = waiver(station.world.digest, checks=("moon",))
    found = station.scan(MoonCheck(frozenset({station.root}), waivable=True), mine)
    assert signed(found).outcome == "pass"
    assert (moon(found).outcome, moon(found).waiver) == ("waived", mine.digest)
    assert [one.digest for one in signed(found).waivers] == [mine.digest]
    # Not one of another check, and not one that has ended.
    for other in (
        waiver(station.world.digest),
        waiver(station.world.digest, checks=("moon",), days=-1),
    ):
        assert signed(station.scan(MoonCheck(frozenset({station.root}), waivable=True), other)).outcome == "fail"


@pytest.mark.parametrize("reason", ["full-moon", DENIED])
def test_no_waiver_lifts_it_otherwise(station: Station, reason: str) -> None:
    check = MoonCheck(frozenset({station.root}), waivable=reason == DENIED, reason=reason)
    found = station.scan(check, waiver(station.world.digest, checks=("moon",)))
    assert (signed(found).outcome, moon(found).outcome, signed(found).waivers) == ("fail", "fail", ())


def test_a_yes_of_it_lets_nothing_in_that_no_rule_lets_in(station: Station) -> None:
    """What admits is a signature or an approval; what other checks say can only stop it."""
    station.monkeypatch.setattr("airgap.judgement.judge.CHECKS", (*CHECKS, MoonCheck()))
    made = station.world.judge(LOCKED.replace("ghcr.io/acme", "ghcr.io/other"))
    assert (made.outcome, [one.check for one in made.answers]) == (Outcome.FAILED, ["rule"])
