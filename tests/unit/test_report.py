"""`airgap report` on the records of a store: what is in the report, what it says is missing, what it may overwrite."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft4Validator, Draft7Validator, Draft202012Validator
from referencing import Registry, Resource

from airgap.base.known_files import identified
from airgap.content.lock import Lock
from airgap.content.scan_finding import Severity
from airgap.report.scans.build import build
from airgap.report.scans.declared import object_schema
from airgap.report.scans.formats import FORMATS, form_of, written
from airgap.report.scans.model import FindingEffect, ReportFinding, ScanReport
from airgap.statements.verdict import Verdict
from airgap.station.files import store_records
from tests.parts.need import require_part
from tests.worlds.commands import Said, run_airgap
from tests.worlds.scanned import HOSTILE, OFFICER, ScannedWorld, usual, vulnerability
from tests.worlds.surroundings import quiet
from tests.worlds.trust import signed

CHECKED = ("--trust", "trust.yaml", "--at", "2026-11-23T12:00:00Z", "--lock", "platform.lock.json")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that no test changes."""
    folder = tmp_path_factory.mktemp("report")
    usual().write(folder)
    return folder


def made(folder: Path, *more: str, expect: int = 0) -> Any:
    said = run_airgap(["report", "store", *CHECKED, "--format", "json", *more], folder)
    assert said.code == expect, said.err
    return json.loads(said.out)


def test_the_verdict_comes_first_and_each_finding_has_its_effect(shared: Path) -> None:
    report = made(shared)
    assert list(report)[:6] == ["apiVersion", "kind", "airgap", "madeAt", "outcome", "summary"]
    assert report["outcome"] == "fail"
    assert report["summary"] == (
        "1 of 3 items must not enter. What stops them: 1 vulnerability, 1 secret, 1 scan without an answer."
    )
    effects = {(one["item"], one["id"], one["decision"], one["rule"]) for one in report["findings"]}
    rule = "findings: default"
    assert effects == {
        ("postgres:16", "aws-access-key-id", "blocks", rule),
        ("postgres:16", "CVE-2026-00001", "blocks", rule),
        ("demo:1", "CVE-2026-00004", "waived", rule),
        ("demo:1", "CVE-2026-00005", "not-affected", rule),
        ("alpine:3.20", "CVE-2026-00003", "warns", rule),
        ("alpine:3.20", "CVE-2026-00002", "warns", rule),  # low says Debian, high says NVD: the highest counts
        ("alpine:3.20", "CVE-2026-00006", "warns", rule),
    }
    assert [one["decision"] for one in report["findings"]][:4] == ["blocks", "blocks", "waived", "not-affected"]
    lifted = next(one for one in report["findings"] if one["decision"] == "not-affected")
    assert (lifted["waivedBy"], lifted["reason"][:25]) == ("key 'vendor'", "vulnerable_code_not_in_ex")
    assert lifted["vex"] == [one["digest"] for one in report["vex"]]


def test_who_answers_for_what_is_in_it(shared: Path) -> None:
    report = made(shared)
    [verdict] = report["verdicts"]
    assert (verdict["lockName"], verdict["policyName"], verdict["items"], verdict["refused"]) == (
        "platform",
        "bank",
        3,
        1,
    )
    assert [(one["statement"], one["key"], one["verified"]) for one in report["signers"]] == [
        ("verdict", "station-2026", True)
    ]
    [waiver] = report["waivers"]
    assert (waiver["approver"], waiver["reason"], waiver["uses"]) == ("Amina al-Harthy", "patched by hand", 1)
    scanners = {one["name"]: (one["subjects"], one["notRun"]) for one in report["scanners"]}
    assert scanners == {"clamav": (3, 1), "trivy": (3, 0)}
    [trivy] = [one for one in report["scanners"] if one["name"] == "trivy"]
    assert trivy["databases"][0]["updated"] == "2026-11-22T12:00:00Z"
    assert [(one["item"], one["code"], one["decision"]) for one in report["notScanned"]] == [
        ("postgres:16", "clamd-unreachable", "blocks")
    ]


def test_without_lock_and_trust_it_says_so(shared: Path) -> None:
    said = run_airgap(["report", "store", "--json"], shared)
    assert said.code == 0
    document = json.loads(said.out)
    assert (document["outcome"], document["verified"], document["complete"]) == ("fail", False, True)
    text = run_airgap(["report", "store"], shared).out
    assert text.startswith("fail, says an unchecked signature: 1 of 3 items must not enter.")
    assert "  postgres:16: clamav: clamd-unreachable\n" in text


def test_a_verdict_finds_the_records_that_it_lies_in_or_that_are_named(shared: Path, tmp_path: Path) -> None:
    [verdict] = (shared / "store/airgap/statements").iterdir()
    inside = run_airgap(["report", str(verdict), "--format", "jsonl"], shared)
    assert (inside.code, inside.out.count("\n")) == (0, 8)
    copy = tmp_path / "verdict.sigstore.json"
    copy.write_bytes(verdict.read_bytes())
    for path in (shared / "store/airgap/scans").iterdir():
        (tmp_path / f"{path.name.split('.')[2]}.json.zst").write_bytes(path.read_bytes())  # as evidence has them
    for place in ("store", str(tmp_path)):
        named = run_airgap(["report", str(copy), "--results", place, "--format", "jsonl"], shared)
        assert named.out.count("\n") == 8
    alone = run_airgap(["report", str(copy), "--json"], shared)
    assert (alone.code, json.loads(alone.out)["complete"]) == (4, False)
    assert "[scan-missing]" in alone.err


def test_what_is_missing_or_differs_is_said_and_the_rest_is_shown(tmp_path: Path) -> None:
    usual().write(tmp_path)
    first, second, *_ = sorted((tmp_path / "store/airgap/scans").iterdir())
    first.unlink()
    second.write_bytes(b"not zstd")
    report = made(tmp_path, expect=4)
    assert sorted(one["code"] for one in report["problems"]) == ["bad-scan-result", "scan-missing"]
    assert [one["code"] for one in report["notScanned"]].count("scan-missing") == 2
    (tmp_path / "r.html").write_bytes(b"")
    said = run_airgap(["report", "store", *CHECKED, "-o", "r.html"], tmp_path)
    assert said.code == 4
    assert "This report is not complete." in (tmp_path / "r.html").read_text()


def test_a_result_under_the_name_of_another_is_no_result(tmp_path: Path) -> None:
    usual().write(tmp_path)
    first, second, *_ = sorted((tmp_path / "store/airgap/scans").iterdir())
    first.write_bytes(second.read_bytes())
    assert [one["code"] for one in made(tmp_path, expect=4)["problems"]] == ["scan-mismatch"]


def test_a_signature_that_does_not_count_makes_no_report(shared: Path, tmp_path: Path) -> None:
    world = usual()
    path = world.write(tmp_path)
    for name in ("trust.yaml", *(key.name for key in shared.glob("*.pub"))):
        (tmp_path / name).write_bytes((shared / name).read_bytes())
    said = run_airgap(["report", "store", *CHECKED, "-o", "r.html"], tmp_path)
    said.refused(4, "unknown-key" if "unknown-key" in said.err else "bad-signature", path.name)
    assert not (tmp_path / "r.html").exists()


@pytest.mark.parametrize("name", ["r.html", "r.sarif", "r.cdx.json", "r.json", "r.jsonl"])
def test_it_replaces_a_report_and_nothing_else(shared: Path, tmp_path: Path, name: str) -> None:
    to = tmp_path / name
    line = ["report", "store", *CHECKED, "-o", str(to)]
    assert run_airgap(line, shared).code == 0
    assert identified(to.read_bytes()) == "a report"
    assert run_airgap(line, shared).code == 0
    to.write_text("what we talked about")
    run_airgap(line, shared).refused(2, "other-file", "another file")
    assert to.read_text() == "what we talked about"


@pytest.mark.parametrize(
    ("line", "word"),
    [
        (["report", "store", "-o", "r.txt"], "the name says no format"),
        (["report", "store", "-o", "-"], "the name says no format"),
        (["report", "store", "--format", "json", "--json"], "--json"),
        (["report", "store", "--unverified"], "--unverified"),
        (["report", "store", "--results", "store"], "--results"),
        (["report", "store", "--at", "2999-01-01T00:00:00Z"], "in the future"),
        (["report", "platform.lock.json"], "a lock, not a signed verdict"),
        (["report", "trust.yaml"], "a Trust resource, not a signed verdict"),
        (["report", "nothing"], "no such file"),
    ],
)
def test_mistakes_are_told_with_the_next_step(shared: Path, line: list[str], word: str) -> None:
    said: Said = run_airgap(line, shared)
    assert said.code == 2
    assert word in said.err
    assert "next:" in said.err


def test_the_ending_of_a_name_says_the_format() -> None:
    asked = {name: form_of(name) for name in ("a.HTML", "b/c.cdx.json", "d.sarif.json", "e.ndjson", "f.json", "g")}
    assert list(asked.values()) == ["html", "cyclonedx", "sarif", "jsonl", "json", ""]


class Tags(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_a_name_that_tries_to_be_markup_stays_text(shared: Path, tmp_path: Path) -> None:
    run_airgap(["report", "store", *CHECKED, "-o", str(tmp_path / "r.html")], shared)
    page = Tags()
    page.feed((tmp_path / "r.html").read_text())
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert not {"img", "link", "iframe", "object", "base"} & {tag for tag, _ in page.tags}
    assert any(HOSTILE in one for one in page.text)
    links = [values.get("href") or "" for tag, values in page.tags if tag == "a"]
    assert links
    assert all(one.startswith(("#", "https://example.org/")) for one in links)
    assert not any(name == "style" or name.startswith("on") for _, values in page.tags for name in values)
    [policy] = [values["content"] for tag, values in page.tags if values.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")


def report_of(world: ScannedWorld, folder: Path) -> ScanReport:
    from airgap.jobs.report import ReportOptions, gather

    world.write(folder)
    outside = quiet(folder)
    gathered = gather(ReportOptions(folder / "store", locks=(folder / "platform.lock.json",)), outside)
    return build(gathered, outside.clock(), most=100)


def validators() -> Iterator[tuple[str, Any]]:
    sarif = require_part("sarif-schema") / "node_modules/@microsoft/jest-sarif/lib/schemas/sarif-2.1.0-rtm.5.json"
    yield "sarif", Draft4Validator(json.loads(sarif.read_bytes()))
    folder = require_part("cyclonedx-schema")
    others = [json.loads((folder / f"{name}.SNAPSHOT.schema.json").read_bytes()) for name in ("spdx", "jsf-0.82")]
    registry = Registry[Any]().with_resources((one["$id"], Resource.from_contents(one)) for one in others)
    bom = json.loads((folder / "bom-1.6.SNAPSHOT.schema.json").read_bytes())
    yield "cyclonedx", Draft7Validator(bom, registry=registry)


@pytest.mark.part("sarif-schema", "cyclonedx-schema")
def test_sarif_and_cyclonedx_are_as_their_schemas_say(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    reports = [report_of(usual(), tmp_path), report_of(ScannedWorld(), tmp_path / "none")]
    for name, validator in validators():
        for report in reports:
            assert [one.message for one in validator.iter_errors(json.loads(written(report, name)))] == []
    sarif = json.loads(written(reports[0], "sarif"))
    own, clamav, trivy = sarif["runs"]
    assert [one["descriptor"]["id"] for one in own["invocations"][0]["toolExecutionNotifications"]] == [
        "clamd-unreachable"
    ]
    assert not clamav["invocations"][0]["executionSuccessful"]
    assert [len(one.get("suppressions", [])) for one in trivy["results"]].count(1) == 2
    bom = json.loads(written(reports[0], "cyclonedx"))
    states = {one["id"]: one["analysis"]["state"] for one in bom["vulnerabilities"] if "analysis" in one}
    assert states["CVE-2026-00005"] == "not_affected"
    assert states["CVE-2026-00001"] == "exploitable"


def test_json_and_lines_are_as_declared(tmp_path: Path) -> None:
    report = report_of(usual(), tmp_path)
    whole, line = Draft202012Validator(object_schema(ScanReport)), Draft202012Validator(object_schema(ReportFinding))
    assert list(whole.iter_errors(json.loads(written(report, "json")))) == []
    lines = written(report, "jsonl").splitlines()
    assert len(lines) == len(report.findings) + 1 == 8
    # Who reads only lines must not take a scan without an answer for a clean one.
    first = json.loads(lines[0])
    assert (first["item"], first["kind"], first["id"], first["decision"], first["scanner"]) == (
        *("postgres:16", "coverage", "clamd-unreachable", "blocks", "clamav"),
    )
    assert [error for one in lines for error in line.iter_errors(json.loads(one))] == []


def test_of_many_that_stop_an_item_the_verdict_lists_the_worst_and_the_report_all(tmp_path: Path) -> None:
    found = tuple(vulnerability(number, Severity.CRITICAL) for number in range(10, 20))
    world = ScannedWorld(findings={"demo:1": found}, listed=3)
    effects = {one.decision for one in report_of(world, tmp_path).findings}
    assert effects == {FindingEffect.BLOCKS}
    (tmp_path / "waived").mkdir()
    world = ScannedWorld(findings={"demo:1": found}, waived=found, listed=3)
    report = report_of(world, tmp_path / "waived")
    assert {(one.decision, one.waived_by, one.reason) for one in report.findings} == {
        (FindingEffect.WAIVED, OFFICER, "patched by hand")
    }


def test_of_two_verdicts_of_one_second_the_stricter_counts_and_else_the_newest(tmp_path: Path) -> None:
    from airgap.jobs.report import ReportOptions, gather

    usual().write(tmp_path)
    outside = quiet(tmp_path)
    material = gather(ReportOptions(tmp_path / "store"), outside)
    [bad] = material.statements
    assert isinstance(bad.statement.body, Verdict)
    items = {name: one for name, one in bad.statement.body.items.items() if not one.why_not()}
    good = replace(bad, statement=replace(bad.statement, body=replace(bad.statement.body, items=items)))
    earlier = replace(good, statement=replace(good.statement, signed_at=good.statement.signed_at - timedelta(days=1)))
    for statements in ((bad, good), (good, bad), (bad, earlier)):
        report = build(replace(material, statements=statements), outside.clock())
        assert (report.outcome, report.verdicts[0].signed_at) == ("fail", bad.statement.signed_at)


def test_an_item_of_two_locks_counts_once_and_by_the_stricter_verdict(tmp_path: Path) -> None:
    from airgap.jobs.report import ReportOptions, gather

    world = usual()
    world.write(tmp_path)
    other = Lock.of("other", world.lock.items)
    verdict = signed(world.trust.signers["station"], other.digest, world.verdict(), "station")
    store_records(tmp_path / "store").save_statement("verdict", other.digest, verdict)
    outside = quiet(tmp_path)
    report = build(gather(ReportOptions(tmp_path / "store"), outside), outside.clock())
    assert (len(report.verdicts), len(report.items), len(report.findings)) == (2, 3, 7)


def test_what_nobody_looked_for_is_not_scanned(tmp_path: Path) -> None:
    said = "not-scanned: no scanner that came to its end looked for the kind secret"
    none = "finding-blocks: no-packages is unknown: no package was found in it"
    report = report_of(ScannedWorld(coverage={"demo:1": said, "alpine:3.20": none}), tmp_path)
    assert [(one.item, one.code, one.detail, one.decision) for one in report.not_scanned] == [
        ("alpine:3.20", "finding-blocks", none.partition(": ")[2], FindingEffect.BLOCKS),
        ("demo:1", "not-scanned", said.partition(": ")[2], FindingEffect.BLOCKS),
    ]
    assert report.summary == "2 of 3 items must not enter. What stops them: 1 thing that nobody could read."


def test_more_findings_than_a_report_lists_are_counted(tmp_path: Path) -> None:
    world = ScannedWorld(findings={"demo:1": tuple(vulnerability(n, Severity.LOW) for n in range(10, 160))})
    report = report_of(world, tmp_path)
    assert (len(report.findings), report.more) == (100, 50)
    assert sum(one.findings for one in report.counts) == 150
    assert "worst 100 of 150 findings" in " ".join(written(report, "html").decode().split())


def test_fingerprints_stay_and_differ(tmp_path: Path) -> None:
    report = report_of(usual(), tmp_path)
    assert len({one.fingerprint for one in report.findings}) == len(report.findings)
    (tmp_path / "again").mkdir()
    again = report_of(usual(), tmp_path / "again")
    assert [one.fingerprint for one in again.findings] == [one.fingerprint for one in report.findings]


def test_a_verdict_that_nobody_checked_is_not_shown_as_good(tmp_path: Path) -> None:
    ScannedWorld().write(tmp_path)
    pages = {}
    for name, flags in (("checked", CHECKED), ("unchecked", ())):
        assert run_airgap(["report", "store", *flags, "-o", f"{name}.html"], tmp_path).code == 0
        pages[name] = (tmp_path / f"{name}.html").read_text()
    assert 'class="verdict pass"' in pages["checked"]
    assert 'class="verdict none"' in pages["unchecked"]
    assert "May enter, says an unchecked signature</h1>" in pages["unchecked"]


def test_deliveries_of_earlier_versions_have_a_report() -> None:
    golden = Path(__file__).parents[1] / "golden"
    line = ["report", "--unverified", "--format", "json"]
    judged = json.loads(run_airgap([*line, "delivery-judged/delivery"], golden).out)
    assert (judged["outcome"], len(judged["items"]), judged["verdicts"][0]["gate"]) == ("pass", 6, None)
    assert "No scanner looked into it" in judged["summary"]
    plain = json.loads(run_airgap([*line, "delivery-v1alpha1/delivery"], golden).out)
    assert (plain["outcome"], plain["summary"]) == ("none", "No verdict says what may enter.")
    assert {one["outcome"] for one in plain["items"]} == {"none"}
    for name in ("delivery-judged", "delivery-v1alpha1"):
        page = run_airgap(["report", "--unverified", "--format", "html", f"{name}/delivery"], golden)
        assert page.out.endswith("</html>\n")


def test_every_format_is_written(tmp_path: Path) -> None:
    report = report_of(usual(), tmp_path)
    assert all(identified(written(report, one)) == "a report" for one in FORMATS)
