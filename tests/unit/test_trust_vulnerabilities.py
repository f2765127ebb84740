"""Scanners' reports: what is one, how a verdict names them, and that a delivery without one of them is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airgap.base.digest import Digest
from airgap.base.errors import InputError, TrustError
from airgap.judgement.report_folder import read_reports
from airgap.signatures.scanner_report import MAX_REPORT, Report
from airgap.statements.statement import Statement
from airgap.statements.verdict import Reported
from airgap.station.files import Records
from tests.worlds.reports import report
from tests.worlds.trust import HOUR, NOW, World, statement
from tests.worlds.verdicts import ROOT, refused, say, verdict, world

OTHER = Digest.of(b"other")


DATA = json.dumps(report(), indent=2).encode()


def changed(change: Callable[[Any], object]) -> bytes:
    document = report()
    change(document)
    return json.dumps(document).encode()


def carrying(*reports: Reported) -> World:
    """A delivery whose verdict names reports."""
    return world(replace(verdict(), reports=reports))


def named(subject: Digest = ROOT, data: bytes = DATA) -> Reported:
    return Reported(subject, Digest.of(data))


def test_what_trivy_writes_is_a_report() -> None:
    assert Report.read(ROOT, DATA, "it").digest == Digest.of(DATA)
    later = changed(lambda document: document["scanner"]["db"].update(lastUpdate="2026-11-27"))
    assert Report.read(ROOT, later, "it").data == later


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"[" * 100_000,
        b"\xef\xbb\xbf" + DATA,
        DATA + b"{}",
        DATA.replace(b'"version": "0.59.1"', b'"version": "0.59.1", "version": "0.59.1"'),
        b" " * MAX_REPORT + DATA,
        json.dumps(report()["scanner"]["result"]).encode(),
        changed(lambda document: document.pop("invocation")),
        changed(lambda document: document["scanner"].pop("result")),
        changed(lambda document: document["scanner"].update(result=[])),
        changed(lambda document: document["scanner"].update(uri="")),
        changed(lambda document: document["scanner"].update(db="none")),
        changed(lambda document: document["metadata"].pop("scanStartedOn")),
        changed(lambda document: document["metadata"].update(scanStartedOn="2026-11-27")),
        changed(lambda document: document["metadata"].update(scanFinishedOn="2026-13-27T01:10:13Z")),
        changed(lambda document: document.update(metadata=None)),
    ],
    ids=[
        "empty", "list", "deep", "mark", "behind", "twice", "large", "plain", "invocation", "result", "list of results",
        "nobody", "text", "no time", "a day", "no such month", "null",
    ],
)  # fmt: skip
def test_anything_else_is_none(data: bytes) -> None:
    with pytest.raises(TrustError) as caught:
        Report.read(ROOT, data, "it")
    assert caught.value.code == "bad-report"


def test_a_verdict_names_reports_and_can_be_read_again() -> None:
    both = sorted((named(), named(OTHER)), key=lambda one: one.subject)
    body = replace(verdict(), reports=tuple(both))
    assert statement(ROOT, body, "station").body == body
    assert "reports" not in verdict().as_dict()


@pytest.mark.parametrize(
    "reports",
    [
        [],
        None,
        [named().as_dict(), named().as_dict()],
        [one.as_dict() for one in sorted((named(), named(OTHER)), key=lambda one: one.subject)][::-1],
        [named().as_dict() | {"passed": True}],
        [{"subject": str(ROOT)}],
        [{"subject": ROOT.hex, "digest": str(OTHER)}],
    ],
    ids=["empty", "null", "twice", "order", "more", "less", "no digest"],
)
def test_a_list_of_reports_is_read_strictly(reports: Any) -> None:
    document = json.loads(statement(ROOT, verdict(), "station").payload)
    document["predicate"]["reports"] = reports
    with pytest.raises(TrustError) as caught:
        Statement.parse(json.dumps(document).encode(), "it")
    assert caught.value.code == "bad-statement"


def test_what_a_verdict_names_comes_in_with_it() -> None:
    made = carrying(named())
    made.reports = [b"nobody names this one", DATA]
    assert made.accept().reports == {ROOT: Report(ROOT, DATA)}


def test_one_that_is_not_there_refuses_the_delivery() -> None:
    made = carrying(named())
    made.reports = [DATA + b" "]
    assert refused(made).code == "report-missing"


def test_one_that_is_no_report_refuses_the_delivery() -> None:
    made = carrying(named(data=b"{}"))
    made.reports = [b"{}"]
    assert refused(made).code == "bad-report"


def test_an_older_verdicts_reports_are_not_asked_for() -> None:
    made = carrying(named())
    say(made, verdict(), at=NOW - 2 * HOUR, name="older")
    assert refused(made).code == "report-missing"
    say(made, verdict(), at=NOW - HOUR / 2, name="newer")
    assert made.accept().reports == {}


def test_records_keep_them_by_digest(tmp_path: Path) -> None:
    records = Records(tmp_path)
    assert records.report(Digest.of(DATA)) is None
    records.save_report(DATA)
    assert records.report(Digest.of(DATA)) == DATA
    (tmp_path / "reports" / f"{Digest.of(DATA).hex}.json").write_bytes(b"{}")
    assert records.report(Digest.of(DATA)) is None


def test_a_folder_holds_reports_alone(tmp_path: Path) -> None:
    (tmp_path / f"sha256-{ROOT.hex}.json").write_bytes(DATA)
    (tmp_path / ".hidden").write_bytes(b"")
    assert read_reports(tmp_path) == (Report(ROOT, DATA),)
    for name, data in (
        ("README", b""),
        (f"sha256-{OTHER.hex}.json", b"{}"),
        (f"sha256-{ROOT.hex.upper()}.json", DATA),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError) as caught:
            read_reports(tmp_path)
        assert (caught.value.code, bool(caught.value.hint)) == ("bad-report", True)
        (tmp_path / name).unlink()
    for path in (tmp_path / "nothing", tmp_path / f"sha256-{ROOT.hex}.json"):
        with pytest.raises(InputError, match="is not a folder"):
            read_reports(path)
