"""`airgap log show` and `airgap log verify`, at each station: logs that are whole, cut, rewritten, torn and gone."""

from __future__ import annotations

import json
import shutil
import tarfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airgap.base.digest import Digest
from airgap.statements.audited import Audit
from airgap.statements.dsse import open_bundle, sign_payload
from airgap.statements.keys.open import open_key
from airgap.statements.statement import Statement
from tests.parts.need import require_part
from tests.worlds.cli_site import airgap, make_site
from tests.worlds.site import CUT, GAP, Site

pytestmark = pytest.mark.e2e
STORE = ("--store", "store")
INSIDE = ("--sovereign", "sovereign.yaml")
STATE_HOME = "home"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site where each station did something that it logs."""
    site = make_site(tmp_path_factory.mktemp("logs"))
    site.run("audit", *GAP, "--receipt", "receipt.json", "--key", "sovereign.key", "--report", "audit.json")
    site.run("keys", "generate", "officer")
    signed = ("sign", "r.lock.json", "--key", "officer.key", "--out", "approvals")
    assert airgap(site, *signed, XDG_STATE_HOME=STATE_HOME).code == 0
    return site.folder


@pytest.fixture
def site(made: Path, tmp_path: Path) -> Site:
    """A copy of the site, for one test."""
    shutil.copytree(made, tmp_path / "site", symlinks=True)
    copy = Site.__new__(Site)
    copy.folder = tmp_path / "site"
    return copy


def keep(path: Path, lines: int) -> None:
    """Cuts a log to its first lines."""
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:lines]))


def test_what_each_station_did_is_shown(site: Site) -> None:
    def did(*which: str) -> list[str]:
        said = airgap(site, "log", "show", *which, "--json", XDG_STATE_HOME=STATE_HOME)
        assert said.code == 0, said.err
        return [json.loads(line)["action"] for line in said.out.splitlines()]

    assert did(*STORE) == ["pull", "delivery"]
    assert did(*INSIDE) == ["accept", "accepted", "receipt", "resume", "accepted", "receipt", "audit"]
    assert did(*INSIDE, "--last", "2") == ["receipt", "audit"]
    assert did() == ["approval"]
    assert did("--log", "home/airgap/log.jsonl") == ["approval"]
    text = airgap(site, "log", "show", *STORE, "--last", "1").out
    [heading, line] = text.splitlines()
    assert heading.split() == ["TIME", "ACTOR", "ACTION", "SUBJECTS"]
    assert "exporter " in line
    assert "delivery  sha256:" in line


def test_whole_logs_have_the_heads_that_their_stations_signed(site: Site) -> None:
    found = site.run("log", "verify", *STORE, "--trust", "trust.yaml")
    assert (found["lines"], found["statements"], found["heads"]) == (2, 2, 2)
    assert found["signaturesChecked"]
    assert found["head"].startswith("sha256:")
    signature = "media/signatures/exporter.sigstore.json"
    found = site.run("log", "verify", *STORE, "--statement", signature)
    assert (found["statements"], found["heads"], found["signaturesChecked"]) == (3, 2, False)
    found = site.run("log", "verify", *INSIDE, "--trust", "trust.yaml", "--statement", "receipt.json")
    assert (found["lines"], found["statements"]) == (7, 5)
    said = airgap(site, "log", "verify", XDG_STATE_HOME=STATE_HOME)
    assert (said.code, "1 line, an unbroken chain" in said.out, "were not checked" in said.err) == (0, True, True)


@pytest.mark.parametrize(("which", "log"), [(STORE, "store/airgap/log.jsonl"), (INSIDE, "state/log.jsonl")])
def test_a_log_that_was_cut_at_a_lines_end_or_taken_away_shows_by_kept_statements(
    site: Site, which: tuple[str, ...], log: str
) -> None:
    path = site.folder / log
    count = len(path.read_bytes().splitlines())
    for left in range(count - 1, -1, -1):
        keep(path, left)
        for more in ((), ("--trust", "trust.yaml")):
            said = airgap(site, "log", "verify", *which, *more).refused(4, "log-cut", f"({left} line")
            assert "statement), is not in the log" in said.err
    path.unlink()
    airgap(site, "log", "verify", *which, "--quiet").refused(4, "log-cut")
    airgap(site, "log", "show", *which).refused(2, "no-log")


def test_a_log_that_was_cut_with_all_that_its_station_kept_shows_by_what_others_hold(site: Site) -> None:
    path = site.folder / "store/airgap/log.jsonl"
    keep(path, 1)
    for kept in (site.folder / "store/airgap/statements").iterdir():
        kept.unlink()
    airgap(site, "log", "verify", *STORE).refused(4, "statement-gone", "a pull of ")
    handed = ("--statement", "media/signatures/exporter.sigstore.json")
    airgap(site, "log", "verify", *STORE, *handed).refused(4, "log-cut", "exporter.sigstore.json")
    path.unlink()
    airgap(site, "log", "verify", *STORE).refused(2, "no-log")
    airgap(site, "log", "verify", *STORE, *handed).refused(4, "log-cut")


def test_every_statement_that_the_log_names_is_kept_or_missed(site: Site) -> None:
    trust = ("--trust", "trust.yaml")
    paths = [path for path in (site.folder / "state").rglob("*.sigstore.json") if path.parent.name != "received"]
    places = {path: path.read_bytes() for path in paths}
    assert len(places) == 4  # two receipts, the audit, the newest of two accepted lists
    for path, data in places.items():
        path.unlink()
        if path.parent.name == "statements":  # the last of all: it is kept from before its line is written
            site.run("log", "verify", *INSIDE, *trust)
            (site.folder / "state/.last-signed").unlink()
        kind = "an a" if "receipts" not in str(path) else "a receipt"
        airgap(site, "log", "verify", *INSIDE, *trust).refused(4, "statement-gone", kind)
        (site.folder / "copy.json").write_bytes(data)
        site.run("log", "verify", *INSIDE, *trust, "--statement", "copy.json")
        path.write_bytes(data)
    [receipt] = (site.folder / "state/receipts").glob("*.0001.*")
    receipt.unlink()
    said = airgap(site, "log", "verify", *INSIDE, *trust, "--json")
    [missing] = json.loads(said.out)["missing"]
    assert missing["action"] == "receipt"
    airgap(site, "log", "lost", *INSIDE, str(Digest.of(b""))).refused(2, "not-missing")
    site.run("log", "lost", *INSIDE, missing["digest"])
    said = airgap(site, "log", "verify", *INSIDE, *trust)
    assert (said.code, "1 statement that the log names: lost, as the log records" in said.err) == (0, True)
    airgap(site, "log", "lost", *INSIDE, missing["digest"]).refused(2, "not-missing")


def test_a_statement_that_the_log_does_not_name_is_told(site: Site) -> None:
    path = site.folder / "state/log.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    # Signed as this station about something else than the line of the log says.
    key = open_key(str(site.folder / "sovereign.key"), lambda: b"for tests", "")
    [kept] = (site.folder / "state/statements").iterdir()
    audit = Statement.parse(open_bundle(kept.read_bytes(), "").payload, "")
    body = Audit("pass", deep=True, checked=7)
    forged = Statement.of(audit.subject, body, signed_at=audit.signed_at, log_head=audit.log_head, role=audit.role)
    (site.folder / "state/statements/audit-forged.sigstore.json").write_bytes(sign_payload(forged.payload, key))
    airgap(site, "log", "verify", *INSIDE, "--trust", "trust.yaml").refused(4, "statement-not-logged")
    assert path.read_bytes().splitlines(keepends=True) == lines


def test_a_log_that_was_rewritten_damaged_or_torn(site: Site) -> None:
    path = site.folder / "state/log.jsonl"
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    changed = [lines[0].replace(b'"accept"', b'"nothing"'), *lines[1:]]
    for data, code in (
        (b"".join(changed), "log-broken"),
        (b"".join(lines[1:]), "log-broken"),
        (whole + b"junk\n", "log-damaged"),
        (whole + b'{"time"', "log-torn"),
    ):
        path.write_bytes(data)
        airgap(site, "log", "verify", *INSIDE).refused(4, code)
        airgap(site, "log", "show", *INSIDE).refused(4, code)
    said = airgap(site, "log", "show", *INSIDE)
    assert said.out.count("\n") == len(lines) + 1  # what is whole is shown all the same
    # The next command mends what a crash left, and says so.
    site.run("import", "media", *GAP, "--key", "sovereign.key")
    site.run("log", "verify", *INSIDE, "--trust", "trust.yaml")
    assert "log-repaired" in airgap(site, "log", "show", *INSIDE).out


def test_statements_of_strangers_count_for_nothing_and_forged_ones_stop(site: Site) -> None:
    cut = ("bundle", "r.lock.json", "--store", "other", "--for", "bank", "--to", "strange", "--key", "stranger.key")
    shutil.copytree(site.folder / "store", site.folder / "other")
    site.run(*cut)
    strange = ("--statement", "strange/signatures/exporter.sigstore.json")
    said = airgap(site, "log", "verify", *STORE, *strange, "--trust", "trust.yaml")
    assert (said.code, "ignored: " in said.err, "unknown-key" in said.err) == (0, True, True)
    airgap(site, "log", "verify", *STORE, *strange).refused(4, "log-cut")  # taken at its word
    [kept] = (site.folder / "store/airgap/statements").glob("delivery-*")
    good = kept.read_bytes()
    at = good.index(b'"payload":"') + 50
    kept.write_bytes(good[:at] + (b"A" if good[at : at + 1] != b"A" else b"B") + good[at + 1 :])
    airgap(site, "log", "verify", *STORE, "--trust", "trust.yaml").refused(4, "bad-signature")
    kept.write_bytes(b"junk")
    airgap(site, "log", "verify", *STORE).refused(4, "bad-bundle")


def test_mistakes_are_told(site: Site) -> None:
    airgap(site, "log", "verify", *STORE, *INSIDE).refused(2, "usage", "cannot be combined with")
    airgap(site, "log", "show", "--last", "0").refused(2, "usage", "expected a number of at least 1")
    airgap(site, "log", "show", "--log", "nowhere").refused(2, "no-log", "nowhere")
    airgap(site, "log", "verify", *STORE, "--statement", "nowhere").refused(2, "usage", "nowhere")
    airgap(site, "log", "show", "--log", "store").refused(5, "log-not-file")


def test_an_import_without_a_key_is_in_the_log_too(site: Site) -> None:
    site.run(*CUT, "next")
    site.run("import", "next", *GAP)
    last = airgap(site, "log", "show", *INSIDE, "--last", "1").out.splitlines()[1].split()
    assert last[1:3] == ["sovereign", "accept"]
    site.run("log", "verify", *INSIDE)


@pytest.mark.part("faketime")
def test_an_auditor_a_year_later_has_the_medium_the_trust_and_a_copy_of_a_log(site: Site) -> None:
    text = (site.folder / "trust.yaml").read_text()
    ended = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    site.write("trust.yaml", text.replace("notAfter: 2036-01-01T00:00:00Z", f"notAfter: {ended}"))
    past = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    year = (str(require_part("faketime")), "-f", "+400 days")
    verify = ("verify", "media", "--trust", "trust.yaml")
    # 1. The delivery, as of then: every byte, though it and all keys have expired.
    airgap(site, *verify, before=year).refused(4, "key-expired", "--at TIME")
    said = airgap(site, *verify, "--at", past, before=year)
    assert (said.code, f"judged as of {past}" in said.err, "every byte" in said.out) == (0, True, True)
    # 2. The pull statement's head, in a copy of the exporter's log; the Sovereign's log does not have it.
    (site.folder / "evidence").mkdir()
    with tarfile.open(site.folder / "media/evidence.tar") as tar:
        tar.extractall(site.folder / "evidence", filter="data")
    [pull] = (site.folder / "evidence/statements").iterdir()
    shutil.copy(site.folder / "store/airgap/log.jsonl", site.folder / "copy.jsonl")
    line = ("--trust", "trust.yaml", "--statement", str(pull))
    said = airgap(site, "log", "verify", "--log", "copy.jsonl", *line, before=year)
    assert (said.code, "1 head of 1 signed statement" in said.out) == (0, True)
    other = airgap(site, "log", "verify", "--log", "state/log.jsonl", *line, before=year)
    other.refused(4, "log-cut", "a pull statement", "from another station")
    keep(site.folder / "copy.jsonl", 0)
    airgap(site, "log", "verify", "--log", "copy.jsonl", *line, before=year).refused(4, "log-cut")


def test_a_delivery_is_judged_as_of_no_time_that_is_still_to_come_or_before_it_was_cut(site: Site) -> None:
    line = ("verify", "media", "--trust", "trust.yaml", "--at")
    airgap(site, *line, "2036-01-01T00:00:00Z").refused(2, "usage", "is in the future")
    airgap(site, *line, "yesterday").refused(2, "usage", "expected a time like")
    airgap(site, *line, "2026-01-02T00:00:00Z").refused(4, "signed-in-future")
