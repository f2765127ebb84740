"""The judge and what scanners answered: each rule turns the verdict, and what is unknown fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from airgap.base.digest import Digest
from airgap.content.scan_finding import FindingKind, ScanFinding, Severity
from airgap.content.scan_result import ScanResult
from airgap.content.scan_subject import SubjectForm
from airgap.judgement.checks.base import Answer, Outcome
from airgap.judgement.judge import Judgement
from airgap.judgement.worst import MOST
from airgap.resources.load import load_waiver
from airgap.resources.waiver import Waiver
from airgap.statements.scan_run import SubjectScans
from tests.worlds.policy import LOCKED, NOW, World
from tests.worlds.scans import CLAMAV, GivenRun, days, flaw, result, run_of, trivy

FRESH = trivy(NOW - days(2))
FAIL, PASS, NOT_RUN, WAIVED = Outcome.FAILED, Outcome.PASSED, Outcome.NOT_RUN, Outcome.WAIVED


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


def ask(
    world: World,
    *results: ScanResult,
    findings: str = "{}",
    waivers: tuple[Waiver, ...] = (),
    rules: str = LOCKED,
    run: GivenRun | None = None,
) -> Judgement:
    """The judgement of the image whose first child has these results."""
    subject = child(world)
    made = run or run_of(world.item(), (subject, results or (result(subject, FRESH),)))
    return world.judge(rules, more=f"  findings: {findings}", waivers=waivers, run=made)


def child(world: World, number: int = 0) -> Digest:
    return Digest(world.children[number]["digest"])


def about(judgement: Judgement, check: str) -> list[Answer]:
    return [one for one in judgement.answers if one.check == check]


def trivy_said(world: World, *found: ScanFinding) -> ScanResult:
    return result(child(world), FRESH, *found)


def test_what_was_scanned_and_is_clean_passes_and_says_in_numbers_what_was_found(world: World) -> None:
    made = ask(world, trivy_said(world, flaw("high"), flaw("low", "CVE-2"), flaw("low", "CVE-3")))
    assert made.outcome is PASS
    (scan,) = about(made, "scan")
    assert (scan.outcome, scan.subject, scan.rule) == (PASS, child(world), "findings")
    assert scan.detail == "trivy 0.74.0: 3 findings in 14 packages: 1 high, 2 low; 1 warns"
    assert made.detail.startswith("approved by its digest")


@pytest.mark.parametrize(
    ("finding", "findings", "passes"),
    [
        (flaw("critical"), "{}", False),
        (flaw("high"), "{}", True),
        (flaw("high"), "{rules: [{findings: [vulnerability], severity: {high: block}}]}", False),
        (flaw("critical"), "{rules: [{findings: [vulnerability], severity: {critical: warn}}]}", True),
        (flaw("critical"), "{rules: [{match: [x], findings: [vulnerability], effect: warn}]}", False),
        (flaw("critical"), "{rules: [{findings: [vulnerability], ignoreUnfixed: true}]}", True),
        (flaw("critical", fixed="2.12.6-r0"), "{rules: [{findings: [vulnerability], ignoreUnfixed: true}]}", False),
        (flaw("low", severities={"nvd": Severity.CRITICAL}), "{}", False),
        (flaw("low", severities={"nvd": Severity.CRITICAL}), "{severityFrom: [scanner]}", True),
        (flaw("critical", severities={"alpine": Severity.LOW}), "{severityFrom: [alpine, nvd]}", True),
        (ScanFinding(FindingKind.SECRET, "aws-access-key-id", Severity.LOW, path="/root/.aws"), "{}", False),
        (ScanFinding(FindingKind.MALWARE, "Eicar-Signature", Severity.UNKNOWN, path="/x"), "{}", False),
        (ScanFinding(FindingKind.MODEL, "pickle", Severity.HIGH, path="m.bin"), "{}", False),
        (ScanFinding(FindingKind.ARCHIVE, "bomb", Severity.HIGH, path="x"), "{}", False),
        (ScanFinding(FindingKind.ARCHIVE, "setuid", Severity.LOW, path="bin/su"), "{}", True),
        (ScanFinding(FindingKind.MISCONFIGURATION, "KSV001", Severity.CRITICAL, path="d.yaml"), "{}", False),
        (ScanFinding(FindingKind.COVERAGE, "unknown-os", Severity.UNKNOWN), "{}", False),
        (ScanFinding(FindingKind.COVERAGE, "unknown-os", Severity.UNKNOWN), "{coverage: warn}", True),
    ],
)
def test_each_rule_turns_the_answer(world: World, finding: ScanFinding, findings: str, passes: bool) -> None:
    made = ask(world, trivy_said(world, finding), findings=findings)
    assert made.outcome is (PASS if passes else FAIL)
    blocking = about(made, str(finding.kind))
    assert len(blocking) == (0 if passes else 1)
    if not passes:
        assert (made.reason, blocking[0].reason) == ("finding-blocks", "finding-blocks")
        assert blocking[0].named is not None
        assert blocking[0].named.id == finding.id
        assert made.detail.startswith(f"its part {child(world)}: {finding.id} is ")


def test_a_finding_says_what_a_person_needs(world: World) -> None:
    long = flaw("critical", fixed="2.12.6-r0", title="libfetch before 2021-07-26 mishandles numeric strings")
    unfixed = flaw("critical", "CVE-2", status="will_not_fix")
    first, second = about(ask(world, trivy_said(world, unfixed, long)), "vulnerability")
    assert first.detail == "CVE-2 is critical: apk-tools 2.12.5-r0, without a fix (will_not_fix)"
    assert second.detail == (
        "CVE-2021-36159 is critical: apk-tools 2.12.5-r0, fixed in 2.12.6-r0: libfetch before 2021-07-26 mishandles "
        "numeric strings"
    )
    assert first.rule == "findings default"


def test_one_finding_in_several_places_is_one_answer(world: World) -> None:
    places = [flaw("critical", path=f"app{number}.jar") for number in range(3)]
    (answer,) = about(ask(world, trivy_said(world, *places)), "vulnerability")
    assert answer.detail.endswith(", in 3 places")


def test_the_worst_come_first_and_the_rest_is_counted(world: World) -> None:
    found = [flaw("medium", f"CVE-1-{number:04}") for number in range(MOST)] + [flaw("critical", "CVE-9")]
    more = [ScanFinding(FindingKind.SECRET, "key", Severity.LOW, path=f"{number:04}") for number in range(MOST + 7)]
    rules = "{rules: [{findings: [vulnerability], effect: block}]}"
    made = ask(world, trivy_said(world, *found, *more), findings=rules)
    flaws, secrets = about(made, "vulnerability"), about(made, "secret")
    assert [len(flaws), len(secrets)] == [MOST + 1, MOST + 1]
    assert flaws[0].named is not None
    assert flaws[0].named.id == "CVE-9"
    assert (flaws[-1].named, flaws[-1].detail) == (None, "and 1 more finding of the kind vulnerability: fail")
    assert secrets[-1].detail == "and 7 more findings of the kind secret: fail"


def not_run(world: World, code: str = "scanner-timeout") -> ScanResult:
    return ScanResult.failed(child(world), CLAMAV, code, "it took longer than 30m; raise timeLimit")


def test_a_scanner_that_did_not_run_is_not_run_and_never_clean(world: World) -> None:
    made = ask(world, trivy_said(world), not_run(world))
    assert (made.outcome, made.reason) == (NOT_RUN, "scanner-timeout")
    trivy_answer, clamav = about(made, "scan")
    assert trivy_answer.good
    assert (clamav.outcome, clamav.detail) == (NOT_RUN, "clamav: it took longer than 30m; raise timeLimit")
    assert clamav.rule == "findings notRun"
    # With a finding that blocks, the item fails.
    assert ask(world, trivy_said(world, flaw()), not_run(world)).outcome is FAIL
    # A policy that only warns says so still, and what is required must have been looked for.
    warned = ask(world, trivy_said(world), not_run(world), findings="{notRun: warn}")
    assert warned.outcome is PASS
    assert about(warned, "scan")[1].reason == "scanner-timeout"
    one = replace(not_run(world), scanner=FRESH)
    assert ask(world, one, findings="{notRun: warn}").reason == "not-scanned"


def test_what_was_found_before_a_scanner_gave_up_counts(world: World) -> None:
    partly = replace(trivy_said(world, flaw()), not_run="scanner-crashed", detail="x")
    made = ask(world, partly, findings="{notRun: warn, required: {image: []}}")
    assert (made.outcome, made.reason) == (FAIL, "finding-blocks")


@pytest.mark.parametrize("age", [6.9, 7.1, -0.5])
def test_a_database_that_is_too_old_or_of_tomorrow_is_a_not_run(world: World, age: float) -> None:
    made = ask(world, result(child(world), trivy(NOW - days(age))))
    assert (made.outcome is PASS) == (age == 6.9)
    if age != 6.9:
        scan = about(made, "scan")[0]
        code, what = ("database-old", "the policy allows 7 days; pull") if age > 0 else ("database-in-future", "clock")
        assert (scan.outcome, scan.reason, scan.rule) == (NOT_RUN, code, "findings databaseMaxAge")
        assert "the database trivy-db is of 2026-1" in scan.detail
        assert what in scan.detail


def test_the_age_of_databases_is_the_policys(world: World) -> None:
    month = result(child(world), trivy(NOW - days(30)))
    assert ask(world, month, findings="{databaseMaxAge: 31d}").outcome is PASS
    assert ask(world, month, findings="{databaseMaxAges: {trivy-db: 31d}}").outcome is PASS
    assert ask(world, month, findings="{databaseMaxAges: {trivy-java-db: 31d}}").outcome is FAIL
    checks = replace(FRESH, databases=(replace(FRESH.databases[0], name="trivy-checks", updated=NOW - days(30)),))
    assert ask(world, result(child(world), checks)).outcome is PASS


def test_what_no_scanner_looked_for_is_not_clean(world: World) -> None:
    half = result(child(world), FRESH, looked_for=["vulnerability"])
    made = ask(world, half)
    (answer,) = about(made, "coverage")
    assert (made.outcome, made.reason, answer.rule) == (FAIL, "not-scanned", "findings required (image)")
    assert "looked for secret, which the policy requires for the kind image" in answer.detail
    # A Station without clamd does not satisfy a policy that demands malware.
    demand = "{required: {image: [vulnerability, secret, malware]}}"
    assert ask(world, findings=demand).reason == "not-scanned"
    clam = result(child(world), CLAMAV, looked_for=["malware"], packages=0)
    assert ask(world, trivy_said(world), clam, findings=demand).outcome is PASS
    # What did not run looked for nothing.
    assert ask(world, trivy_said(world), not_run(world), findings=demand).outcome is FAIL
    assert ask(world, half, findings="{required: {image: []}}").outcome is PASS


def test_an_artifact_in_an_image_counts_as_a_file(world: World) -> None:
    read = result(child(world), FRESH, looked_for=["secret"], packages=0, form=SubjectForm.FILES)
    assert ask(world, read).outcome is PASS
    assert ask(world, replace(read, form=SubjectForm.IMAGE)).outcome is FAIL
    assert ask(world, replace(read, form=None)).outcome is FAIL
    assert ask(world, read, findings="{required: {file: [malware]}}").reason == "not-scanned"
    # One scanner that read it as an image is enough to count as one.
    both = (read, result(child(world), CLAMAV, looked_for=["malware"], form=SubjectForm.IMAGE))
    assert ask(world, *both).reason == "not-scanned"


def test_a_scanner_of_vulnerabilities_names_its_database(world: World) -> None:
    made = ask(world, result(child(world), replace(FRESH, databases=())))
    assert about(made, "scan")[0].reason == "database-missing"


def test_no_package_is_not_the_same_as_clean(world: World) -> None:
    made = ask(world, result(child(world), FRESH, packages=0))
    (answer,) = about(made, "coverage")
    assert (made.outcome, answer.reason) == (FAIL, "finding-blocks")
    assert "does not mean that there are none" in answer.detail
    said = ScanFinding(FindingKind.COVERAGE, "unknown-os", Severity.UNKNOWN)
    (own,) = about(ask(world, result(child(world), FRESH, said, packages=0)), "coverage")
    assert own.named is not None
    assert own.named.id == "unknown-os"
    rule = "{rules: [{findings: [coverage], effect: warn}]}"
    assert ask(world, result(child(world), FRESH, packages=0), findings=rule).outcome is PASS


def test_a_result_of_another_run_or_about_something_else_is_none(world: World) -> None:
    good = trivy_said(world)
    scans = (SubjectScans(child(world), "app", (good,)),)
    newer = replace(FRESH, version="0.75.0")
    other = ask(world, run=GivenRun((newer,), {world.item().pin: scans}))
    assert (other.outcome, about(other, "scan")[0].reason) == (FAIL, "scan-of-other-run")
    elsewhere = (SubjectScans(child(world), "app", (result(child(world, 1), FRESH),)),)
    assert ask(world, run=GivenRun((FRESH,), {world.item().pin: elsewhere})).outcome is FAIL


def test_an_item_of_which_nothing_was_scanned_is_not_run(world: World) -> None:
    for run in (GivenRun((FRESH,), {}), GivenRun((FRESH,), {world.item().pin: ()})):
        made = ask(world, run=run)
        assert (made.outcome, made.reason) == (NOT_RUN, "not-scanned")
    empty = GivenRun((FRESH,), {world.item().pin: (SubjectScans(child(world), "app", ()),)})
    assert ask(world, run=empty, findings="{required: {image: [vulnerability]}}").reason == "not-scanned"
    # A policy without findings asks nothing.
    assert world.judge(LOCKED, run=GivenRun((), {})).outcome is PASS


def test_children_of_an_index_fail_together(world: World) -> None:
    bad = result(child(world, 1), FRESH, flaw())
    run = run_of(world.item(), (child(world), [trivy_said(world)]), (child(world, 1), [bad]))
    made = ask(world, run=run)
    assert made.outcome is FAIL
    assert [one.subject for one in made.answers if not one.good] == [child(world, 1)]


HEAD = "apiVersion: airgap.openova.io/v1alpha1\nkind: Waiver\nmetadata: {name: w}\n"


def waiver(spec: str, ends: str = "2026-12-01T00:00:00Z") -> Waiver:
    text = f"{HEAD}spec: {{{spec}, approver: Amina, reason: r, expires: {ends}}}\n"
    return load_waiver(text.encode(), label="w.yaml")


ID = "findings: [{id: CVE-2021-36159}]"


@pytest.mark.parametrize(
    ("spec", "lifts"),
    [
        (f"digests: ['CHILD'], {ID}", True),
        (f"digests: ['ROOT'], {ID}", True),
        (f"digests: ['OTHER'], {ID}", False),
        (f"match: [ghcr.io/acme/*], {ID}", True),
        (f"match: [ghcr.io/other/*], {ID}", False),
        (f"match: [ghcr.io/ACME/*], {ID}", False),
        ("match: ['**'], findings: [{id: CVE-2021-36160}]", False),
        ("match: ['**'], findings: [{id: CVE-2021-3615}]", False),
        ("match: ['**'], findings: [{id: CVE-2021-36159, package: apk-tools}]", True),
        ("match: ['**'], findings: [{id: CVE-2021-36159, package: zlib}]", False),
        ("match: ['**'], findings: [{id: CVE-2021-36159, path: etc/x}]", False),
        ("digests: ['CHILD'], checks: [scan, coverage, signature, attestation, finding]", False),
    ],
)
def test_a_waiver_lifts_what_it_names_and_nothing_else(world: World, spec: str, lifts: bool) -> None:
    spec = spec.replace("CHILD", str(child(world))).replace("ROOT", world.digest).replace("OTHER", str(Digest.of(b"")))
    made = ask(world, trivy_said(world, flaw()), waivers=(waiver(spec),))
    assert made.outcome is (PASS if lifts else FAIL)
    (answer,) = about(made, "vulnerability")
    assert answer.outcome is (WAIVED if lifts else FAIL)
    assert (answer.waiver is not None) == lifts
    if lifts:
        assert answer.detail.startswith("waived until 2026-12-01T00:00:00Z by Amina (w): CVE-2021-36159 is critical")
        assert made.detail.startswith("approved by its digest")
        assert "waived until" in made.detail


def test_a_waiver_of_one_finding_leaves_the_others(world: World) -> None:
    given = (waiver(f"match: ['**'], {ID}"),)
    made = ask(world, trivy_said(world, flaw(), flaw(id_="CVE-2")), waivers=given)
    assert (made.outcome, [one.outcome for one in about(made, "vulnerability")]) == (FAIL, [FAIL, WAIVED])


def test_an_alias_is_not_the_id(world: World) -> None:
    given = (waiver("match: ['**'], findings: [{id: GHSA-1}]"),)
    assert ask(world, trivy_said(world, flaw(aliases=("GHSA-1",))), waivers=given).outcome is FAIL


def test_a_waiver_that_ended_lifts_nothing_and_is_named(world: World) -> None:
    made = ask(world, trivy_said(world, flaw()), waivers=(waiver(f"match: ['**'], {ID}", "2026-10-31T00:00:00Z"),))
    assert made.outcome is FAIL
    assert "the waiver 'w' expired at 2026-10-31T00:00:00Z" in made.detail


def test_secrets_are_waived_by_their_path(world: World) -> None:
    one = ScanFinding(FindingKind.SECRET, "private-key", Severity.HIGH, path="test/a.key")
    found = (one, replace(one, path="b.key"))
    given = (waiver("match: ['**'], findings: [{id: private-key, path: test/a.key}]"),)
    outcomes = [item.outcome for item in about(ask(world, trivy_said(world, *found), waivers=given), "secret")]
    assert sorted(outcomes) == [FAIL, WAIVED]


@pytest.mark.parametrize(
    ("checks", "good"), [("scan", False), ("coverage", False), ("scan, coverage", True), ("signature", False)]
)
def test_not_run_is_waived_by_digest_and_by_its_checks(world: World, checks: str, good: bool) -> None:
    demand = "{required: {image: [vulnerability, secret, malware]}}"
    for digest in (child(world), world.digest):
        given = (waiver(f"digests: ['{digest}'], checks: [{checks}]"),)
        made = ask(world, trivy_said(world), not_run(world), findings=demand, waivers=given)
        assert (made.outcome is PASS) == good
    given = (waiver(f"digests: ['{Digest.of(b'x')}'], checks: [{checks}]"),)
    assert ask(world, trivy_said(world), not_run(world), findings=demand, waivers=given).outcome is FAIL


def test_coverage_is_waived_by_digest_or_by_what_is_missing(world: World) -> None:
    hole = ScanFinding(FindingKind.COVERAGE, "unknown-os", Severity.UNKNOWN)
    for spec in (f"digests: ['{child(world)}'], checks: [coverage]", "match: ['**'], findings: [{id: unknown-os}]"):
        assert ask(world, trivy_said(world, hole), waivers=(waiver(spec),)).outcome is PASS


def test_what_is_denied_stays_denied(world: World) -> None:
    given = (waiver(f"match: ['**'], {ID}"), waiver(f"digests: ['{world.digest}'], checks: [scan, coverage]"))
    made = ask(world, trivy_said(world, flaw()), waivers=given, rules="- {match: ['**'], deny: {reason: r}}")
    assert (made.outcome, made.reason) == (FAIL, "denied")


def test_every_waiver_that_is_needed_is_named_however_many_findings_it_lifts(world: World) -> None:
    found = [
        ScanFinding(FindingKind.SECRET, f"key-{number % 2}", Severity.LOW, path=f"{number:04}") for number in range(200)
    ]
    given = tuple(
        replace(waiver(f"match: ['**'], findings: [{{id: key-{number}}}]"), raw=bytes([number])) for number in range(2)
    )
    answers = about(ask(world, trivy_said(world, *found), waivers=given), "secret")
    assert len(answers) == 2 * (MOST + 1)
    assert {one.waiver.digest for one in answers if one.waiver} == {one.digest for one in given}
    assert [one.detail for one in answers if one.named is None] == [
        "and 50 more findings of the kind secret: waived"
    ] * 2


def test_a_waiver_by_name_says_findings_and_nothing_else() -> None:
    from airgap.base.errors import InputError

    digest = f"digests: ['{Digest.of(b'x')}']"
    bad: Sequence[tuple[str, str]] = (
        ("match: ['**'], checks: [scan]", "checks may be waived by digest only"),
        (digest, "got neither checks nor findings"),
        (f"{digest}, match: ['**'], {ID}", "got digests and match, expected only one of them"),
        (ID, "got none of digests and match"),
        (f"{digest}, findings: []", "expected a list of findings"),
        (f"{digest}, findings: [{{id: a, package: b, path: c}}]", "got package and path"),
        (f"{digest}, findings: [{{package: b}}]", "id: missing"),
        (f"match: ['ghcr.io/acme/app:1.0'], {ID}", "without scheme, tag and digest"),
    )
    for spec, said in bad:
        with pytest.raises(InputError) as caught:
            waiver(spec)
        assert said in caught.value.what
