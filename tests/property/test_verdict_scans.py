"""What a verdict says about scans: what is written is read again, and what contradicts itself is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap.base.canonical import canonical
from airgap.base.digest import Digest
from airgap.base.errors import TrustError
from airgap.content.names import RuleNames
from airgap.content.scan_finding import WITHOUT_FIX, FindingKind, ScanFinding, Severity
from airgap.content.scan_result import ScannerIdentity
from airgap.statements.gate import Effect, Gate, GateRule
from airgap.statements.scans import FindingName, Scan, sort_scans
from airgap.statements.statement import Statement
from airgap.statements.verdict import CheckResult, CountedVex, JudgedItem, Named, PassedBy, Verdict
from tests.worlds.scan_strategies import DIGESTS, FINDINGS, IDENTITIES, NAMES, TEXTS
from tests.worlds.trust import statement

EFFECTS = st.sampled_from(Effect)
EVERY = st.fixed_dictionaries(dict.fromkeys(Severity, EFFECTS))
RULES = st.builds(
    GateRule,
    label=NAMES,
    match=st.lists(st.sampled_from(["**", "ghcr.io/acme/*", "GHCR.io/**", "hub/**"]), min_size=1, max_size=2).map(
        tuple
    ),
    kinds=st.sampled_from([(), ("image",), ("git", "model")]),
    findings=st.frozensets(st.sampled_from(FindingKind), min_size=1),
    severity=EVERY,
    ignore_unfixed=st.booleans(),
)
GATES = st.builds(
    Gate,
    rules=st.lists(RULES, max_size=3).map(tuple),
    severity_from=st.lists(NAMES, min_size=1, max_size=2).map(tuple),
    not_run=EFFECTS,
    database_max_age=st.integers(0, 10**8).map(lambda seconds: timedelta(seconds=seconds)),
    database_max_ages=st.dictionaries(NAMES, st.integers(0, 10**8).map(lambda seconds: timedelta(seconds=seconds))),
    required=st.dictionaries(NAMES, st.frozensets(st.sampled_from(FindingKind)), max_size=2),
)
SCANNERS = st.lists(IDENTITIES, min_size=1, max_size=3, unique_by=lambda one: one.name)
NAMED = st.builds(FindingName, NAMES, TEXTS, TEXTS)


@st.composite
def verdicts(draw: st.DrawFn) -> Verdict:
    scanners = tuple(sorted(draw(SCANNERS), key=lambda one: one.name))
    subjects = draw(st.lists(DIGESTS, min_size=1, max_size=3, unique=True))
    scans = [Scan(one, scanner.own_digest, draw(DIGESTS)) for one in subjects for scanner in scanners]
    root = subjects[0]
    checks = [
        CheckResult("vulnerability", "fail", root, "rule", finding=one) for one in draw(st.lists(NAMED, max_size=2))
    ]
    vex = {one.digest: one for one in draw(st.lists(st.builds(CountedVex, DIGESTS, st.just(PassedBy(key="vendor")))))}
    return Verdict(
        policy=Named("bank", root),
        trust_roots=(),
        waivers=(),
        items={"app": JudgedItem(root, "fail", "CVE-1", tuple(checks))},
        scanners=scanners,
        scans=sort_scans(scans, scanners),
        vex=tuple(vex[digest] for digest in sorted(vex)),
        gate=draw(GATES),
    )


@given(verdicts())
def test_a_verdict_is_read_as_it_was_written(verdict: Verdict) -> None:
    made = statement(Digest.of(b"lock"), verdict, "station")
    body = Statement.parse(made.payload, "here").body
    assert isinstance(body, Verdict)
    assert body == verdict
    assert (body.items, body.gate) == (verdict.items, verdict.gate)
    assert statement(Digest.of(b"lock"), body, "station").payload == made.payload


ONE = ScannerIdentity("clamav", "1", Digest.of(b"clamd"))
TWO = ScannerIdentity("trivy", "1", Digest.of(b"trivy"))
ROOT = Digest.of(b"root")
ALL = dict.fromkeys(Severity, Effect.INFORM)
RULE = GateRule("rule", ("**",), (), frozenset(FindingKind), ALL)
VERDICT = Verdict(
    policy=Named("bank", ROOT),
    trust_roots=(),
    waivers=(),
    items={
        "app": JudgedItem(ROOT, "pass", None, (CheckResult("scan", "pass", ROOT, "", finding=FindingName("CVE-1")),))
    },
    scanners=(ONE, TWO),
    scans=sort_scans([Scan(ROOT, one.own_digest, ROOT) for one in (TWO, ONE)], (ONE, TWO)),
    vex=(CountedVex(ROOT, PassedBy(key="vendor")),),
    gate=Gate((RULE,)),
)


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p["scanners"].reverse(),
        lambda p: p["scanners"].append(p["scanners"][0] | {"version": "2"}),
        lambda p: p["scanners"].clear(),
        lambda p: p.pop("scanners"),
        lambda p: p["scanners"].pop(),
        lambda p: p["scanners"][0].update(clean=True),
        lambda p: p["scans"].reverse(),
        lambda p: p["scans"].append(p["scans"][0]),
        lambda p: p["scans"].clear(),
        lambda p: p["scans"][0].pop("result"),
        lambda p: p["vex"].append(p["vex"][0]),
        lambda p: p["vex"].clear(),
        lambda p: p["gate"].update(lenient=True),
        lambda p: p["gate"].update(notRun="ignore"),
        lambda p: p["gate"].update(databaseMaxAge=2**53 - 1),
        lambda p: p["gate"].update(required={"image": ["viruses"]}),
        lambda p: p["gate"].update(required=[]),
        lambda p: p["gate"]["rules"][0]["severity"].pop("critical"),
        lambda p: p["gate"]["rules"][0]["severity"].update(worst="block"),
        lambda p: p["gate"]["rules"][0].update(findings=["viruses"]),
        lambda p: p["items"]["app"]["checks"][0].update(finding={"id": ""}),
        lambda p: p["items"]["app"]["checks"][0]["finding"].update(severity="low"),
    ],
)
def test_what_contradicts_itself_or_is_unknown_is_refused(change: Any) -> None:
    document = json.loads(statement(ROOT, VERDICT, "station").payload)
    assert Statement.parse(canonical(document), "here").body == VERDICT
    change(document["predicate"])
    with pytest.raises(TrustError) as caught:
        Statement.parse(canonical(document), "here")
    assert caught.value.code == "bad-statement"


def names(*deciding: str) -> RuleNames:
    return RuleNames("", (deciding,))


@given(GATES, FINDINGS, st.sampled_from(["image", "git"]))
def test_a_rule_that_is_stricter_never_makes_a_decision_better(gate: Gate, finding: ScanFinding, kind: str) -> None:
    there = gate.decide(kind, names("ghcr.io/acme/app"), finding)
    strict = [
        replace(rule, severity=dict.fromkeys(Severity, Effect.BLOCK), ignore_unfixed=False) for rule in gate.rules
    ]
    also = replace(gate, rules=tuple(strict)).decide(kind, names("ghcr.io/acme/app"), finding)
    assert also.effect is Effect.BLOCK
    assert there.severity is also.severity
    # More names never make it better, nor does another spelling of one.
    more = gate.decide(kind, names("ghcr.io/acme/app", "hub/app"), finding)
    assert more.effect.rank <= there.effect.rank


@given(GATES, FINDINGS)
def test_a_silent_source_makes_no_severity_better(gate: Gate, finding: ScanFinding) -> None:
    worst = min([finding.severity, *finding.severities.values()], key=lambda one: one.rank)
    said = [finding.severities[one] for one in gate.severity_from if one in finding.severities]
    expected = next((one for one in said if one is not Severity.UNKNOWN), worst)
    assert gate.severity_of(finding) is expected


@pytest.mark.parametrize("status", ["affected", "will_not_fix", "fix_deferred", "fixed", "end_of_life", "", "unknown"])
@pytest.mark.parametrize("fixed", ["", "1.2"])
def test_only_what_the_vendor_says_has_no_fix_is_ignored(status: str, fixed: str) -> None:
    rule = replace(RULE, severity=dict.fromkeys(Severity, Effect.BLOCK), ignore_unfixed=True)
    finding = ScanFinding(FindingKind.VULNERABILITY, "CVE-1", Severity.CRITICAL, fixed=fixed, status=status)
    ignored = status in WITHOUT_FIX and not fixed
    assert (Gate((rule,)).decide("image", names("app"), finding).effect is Effect.INFORM) == ignored


def test_a_rule_in_other_letters_decides_with_the_next_one() -> None:
    lax = replace(RULE, match=("ghcr.io/ACME/*",))
    strict = replace(RULE, match=("**",), severity=dict.fromkeys(Severity, Effect.BLOCK))
    finding = ScanFinding(FindingKind.SECRET, "key", Severity.LOW)
    for order, effect in (((lax, strict), Effect.BLOCK), ((strict, lax), Effect.BLOCK)):
        assert Gate(order).decide("image", names("ghcr.io/acme/app"), finding).effect is effect
    assert Gate((lax, strict)).decide("image", names("ghcr.io/ACME/app"), finding).effect is Effect.INFORM
    assert Gate(()).decide("image", names("app"), finding).effect is Effect.BLOCK
