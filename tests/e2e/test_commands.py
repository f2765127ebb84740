"""What the commands and flags beside the main way do, as README and runbooks promise it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from airgap.statements.statement import predicate_type
from airgap.version import VERSION
from tests.worlds.commands import PASSWORD, Said, run_airgap
from tests.worlds.cosign import cosign
from tests.worlds.row import KEY, Row
from tests.worlds.site import GAP, HEAD

pytestmark = pytest.mark.e2e
ONE, TWO = "demo.local/one:v1", "demo.local/two:v1"
LOCK = "r1.lock.json"
REPORT = ("--deep", *KEY, "--report", "audit.json")


@pytest.fixture
def row(tmp_path: Path) -> Row:
    """A row with two images of one byte each, `one` and `two`."""
    row = Row(tmp_path)
    for tag in ("one", "two"):
        row.layout.tag(tag, row.layout.image({tag: b"1"}))
    return row


def deliver(row: Row) -> str:
    return row.deliver(1, {ONE: "one", TWO: "two"})


def move(row: Row, *tags: str) -> None:
    """Upstream moves its tags."""
    for tag in tags:
        row.layout.tag(tag, row.layout.image({tag: b"2"}))


def pins(row: Row, lock: str = LOCK) -> dict[str, str]:
    items = json.loads((row.folder / lock).read_bytes())["items"]
    return {item["name"]: item["root"]["digest"] for item in items}


def typed(row: Row, *arguments: str, **environ: str) -> Said:
    """A command as people type it, without `--json`."""
    return run_airgap(arguments, row.folder, {**PASSWORD, **environ})


# --- lock and diff -----------------------------------------------------------------------------


def test_a_check_tells_whether_upstream_moved_and_writes_nothing(row: Row) -> None:
    deliver(row)
    before = (row.folder / LOCK).read_bytes()
    assert row.site.run("lock", "r1.request.yaml", "--check")["changes"] == []
    move(row, "two")
    found = row.site.run("lock", "r1.request.yaml", "--check", expect=3)
    assert [(change["change"], change["name"]) for change in found["changes"]] == [("changed", TWO)]
    assert (row.folder / LOCK).read_bytes() == before
    (row.folder / LOCK).unlink()
    row.site.run("lock", "r1.request.yaml", "--check", expect=3)
    assert not (row.folder / LOCK).exists()


def test_a_lock_keeps_its_pins_until_one_is_named(row: Row) -> None:
    deliver(row)
    first = pins(row)
    move(row, "one", "two")
    row.site.run("lock", "r1.request.yaml")
    assert pins(row) == first
    row.site.run("lock", "r1.request.yaml", "--update", TWO)
    second = pins(row)
    assert second[ONE] == first[ONE]
    assert second[TWO] != first[TWO]
    row.site.run("lock", "r1.request.yaml", "--update")
    assert pins(row)[ONE] != first[ONE]
    row.site.run("lock", "r1.request.yaml", "--update", "demo.local/nobody:v1", expect=2)


def test_a_diff_says_what_came_went_and_changed(row: Row) -> None:
    deliver(row)
    row.site.run("lock", "r1.request.yaml", "-o", "old.lock.json")
    move(row, "two")
    row.layout.tag("three", row.layout.image({"three": b"1"}))
    row.deliver(2, {TWO: "two", "demo.local/three:v1": "three"})
    found = row.site.run("diff", "old.lock.json", "r2.lock.json")["changes"]
    assert sorted((one["change"], one["name"]) for one in found) == [
        ("added", "demo.local/three:v1"),
        ("changed", TWO),
        ("removed", ONE),
    ]
    assert row.site.run("diff", LOCK, "old.lock.json")["changes"] == []


# --- looking -----------------------------------------------------------------------------------


def test_show_explains_each_thing_of_ours(row: Row) -> None:
    media = deliver(row)
    row.take(media)
    row.site.run("audit", *GAP, "--receipt", "media1.receipt", *REPORT)
    row.site.run("keys", "generate", "officer")
    signed = row.site.run("sign", LOCK, "--key", "officer.key", "--out", "approvals", "--log", "log")["signature"]
    shown = {thing: row.site.run("show", thing) for thing in ("media1.receipt", "audit.json", signed)}
    assert [one["kind"] for one in shown.values()] == ["receipt", "audit", "approval"]
    assert {item["name"] for item in row.site.run("show", LOCK)["items"]} == {ONE, TWO}
    assert row.site.run("show", media)["kind"] == "Delivery"
    assert {item["name"] for item in row.site.run("show", "store")["items"]} == {ONE, TWO}
    for thing in (LOCK, media, "store", *shown):
        assert typed(row, "show", thing).out
    for strange in ("exporter.pub", "exporter.key", "made/oci-layout"):
        row.site.run("show", strange, expect=2)


def test_ls_lists_the_same_items_of_a_lock_a_store_and_a_delivery(row: Row) -> None:
    media = deliver(row)
    for thing in (LOCK, "store", media):
        items = row.site.run("ls", thing)["items"]
        assert {item["name"]: item["digest"] for item in items} == pins(row)
        assert all(name in typed(row, "ls", thing).out for name in pins(row))


def test_an_index_alone_is_verified_without_its_volumes(row: Row) -> None:
    media = deliver(row)
    [volume] = (row.folder / media).glob("vol-*")
    volume.unlink()
    line = ("verify", media, "--trust", "trust.yaml")
    assert row.site.run(*line, "--index-only")["files"] == []
    row.site.run(*line, expect=4)
    for name, code in (("evidence.tar", {"damaged-file"}), ("AIRGAP.json", {"index-mismatch", "bad-signature"})):
        path = row.folder / media / name
        data = path.read_bytes()
        path.write_bytes(data[:-2] + bytes([data[-2] ^ 1]) + data[-1:])
        assert row.site.run(*line, "--index-only", expect=4)["code"] in code
        path.write_bytes(data)
    row.site.run(*line, "--index-only")


# --- audit -------------------------------------------------------------------------------------


@pytest.mark.part("cosign")
@pytest.mark.parametrize("by", ["receipt", "lock"])
def test_a_report_is_a_statement_that_cosign_verifies(row: Row, by: str) -> None:
    media = deliver(row)
    row.take(media)
    said = {"receipt": ("--receipt", "media1.receipt"), "lock": ("--lock", LOCK)}[by]
    about = {"receipt": f"{media}/AIRGAP.json", "lock": LOCK}[by]
    row.site.run("audit", *GAP, *said, *REPORT)
    body = row.site.run("show", "audit.json")
    assert (body["outcome"], body["deep"], body["checked"]) == ("pass", True, 2)
    assert _cosign(row, about) == 0
    assert _cosign(row, "trust.yaml") != 0
    # Drift is signed as well.
    for path in (row.folder / "inside/oci/blobs/sha256").glob("[0-9a-f]*"):
        path.unlink()
    row.site.run("audit", *GAP, *said, *REPORT, expect=3)
    assert row.site.run("show", "audit.json")["outcome"] == "fail"
    assert _cosign(row, about) == 0


def _cosign(row: Row, about: str) -> int:
    kind = ("--type", predicate_type("audit"), "--key", "sovereign.pub", "--bundle", "audit.json")
    return cosign("verify-blob-attestation", "--insecure-ignore-tlog=true", *kind, about, home=row.folder).returncode


@pytest.mark.part("distribution3")
def test_a_deep_audit_reads_a_shared_blob_in_each_repository(row: Row, start_registry: Any, fault_proxy: Any) -> None:
    proxy = fault_proxy(start_registry().url)
    row.inside(f"  registries:\n  - {{url: '{proxy.url}', projects: {{demo.local: in}}}}\n")
    shared = {"shared": b"s" * 1000}
    for tag in ("one", "two"):
        row.layout.tag(tag, row.layout.image(shared, {tag: b"1"}))
    row.take(deliver(row))
    [digest] = set.intersection(*(_layers(row, root) for root in pins(row).values()))
    counts = []
    for more in ((), ("--deep",)):
        proxy.clear()
        row.site.run("audit", *GAP, "--receipt", "media1.receipt", *more)
        counts.append(proxy.count("GET", f"/blobs/{digest}"))
    assert counts == [1, 2]


@pytest.mark.part("distribution3")
def test_an_audit_waits_once_for_a_registry_that_is_gone(row: Row, start_registry: Any) -> None:
    registry = start_registry()
    row.inside(f"  registries:\n  - {{url: '{registry.url}', projects: {{demo.local: in}}}}\n")
    named = {f"demo.local/app{number}:v1": "one" for number in range(12)}
    row.take(row.deliver(1, named))
    registry.stop()
    log = ("--log-file", "audit.log")
    found = row.site.run("audit", *GAP, "--receipt", "media1.receipt", *log, expect=3)["findings"]
    assert {finding["state"] for finding in found} == {"unknown"}
    assert {finding["item"] for finding in found if finding["item"]} == set(named)
    assert (row.folder / "audit.log").read_text().count("trying again") <= 6


def _layers(row: Row, root: str) -> set[str]:
    return {layer["digest"] for layer in json.loads(row.layout.read(root))["layers"]}


# --- flags and variables that every command has ------------------------------------------------


def test_variables_stand_for_flags_and_flags_win(row: Row) -> None:
    deliver(row)
    said = {"AIRGAP_STORE": "second", "AIRGAP_KEY": "exporter.key"}
    assert typed(row, "pull", LOCK).code == 2
    assert typed(row, "pull", LOCK, **said).code == 0
    assert row.site.run("ls", "second")["items"]
    assert typed(row, "pull", LOCK, "--store", "third", **said).code == 0
    assert row.site.run("ls", "third")["items"]
    cut = ("bundle", LOCK, "--for", "bank", "--to")
    assert typed(row, *cut, "cut1", **said).code == 0
    row.site.run("verify", "cut1", "--trust", "trust.yaml")
    # The flag's key is not trusted, the variable's is.
    assert typed(row, *cut, "cut2", "--key", "stranger.key", **said).code == 0
    assert row.site.run("verify", "cut2", "--trust", "trust.yaml", expect=4)["code"] == "unknown-key"
    assert typed(row, *cut, "cut3", AIRGAP_STORE="second").code == 2
    assert not (row.folder / "cut3").exists()


def test_quiet_leaves_stderr_to_errors(row: Row) -> None:
    media = row.deliver(1, {ONE: "one"}, ", phase: seed")
    line = ("import", media, *GAP, "--dry-run")
    assert "note:" in typed(row, *line).err
    quiet = typed(row, *line, "--quiet")
    assert quiet.err == ""
    assert ONE.rpartition(":")[0] in quiet.out
    (row.folder / "sovereign.yaml").unlink()
    assert "airgap:" in typed(row, *line, "--quiet").err


def test_a_log_file_gains_what_happened_and_keeps_what_it_had(row: Row) -> None:
    media = deliver(row)
    log = row.folder / "airgap.log"
    log.write_text("2026-11-30T10:00:00Z kept\n")
    before = typed(row, "import", media, *GAP, *KEY, "--quiet", "--log-file", "airgap.log")
    assert (before.code, before.err) == (0, "")
    first = log.read_text()
    assert first.startswith("2026-11-30T10:00:00Z kept\n")
    assert ONE in first
    begin, *_, about, end = first.splitlines()[1:]
    assert f"airgap {VERSION}: import {media} --sovereign" in begin
    index = json.loads((row.folder / media / "AIRGAP.json").read_bytes())
    assert f"delivery {index['journey']['id']}, sha256:" in about
    assert re.search(r"Z exit 0 after [0-9]+\.[0-9] s\Z", end)
    assert typed(row, "audit", "--sovereign", "none.yaml", "--lock", LOCK, "--log-file", "airgap.log").code == 2
    second = log.read_text()
    assert second.startswith(first)
    assert "error" in second[len(first) :]
    assert "Z exit 2 after " in second[len(first) :]
    assert "for tests" not in second  # the password


def test_sign_approves_a_delivery_and_touches_nothing_else(row: Row) -> None:
    media = deliver(row)
    row.site.run("keys", "generate", "officer")
    trust = (row.folder / "trust.yaml").read_text()
    officer = "  - name: officer\n    role: security-officer\n    publicKeyFile: officer.pub\n"
    dates = "    notBefore: 2026-01-01T00:00:00Z\n    notAfter: 2036-01-01T00:00:00Z\n"
    trust = trust.replace("  require: [pull, delivery]", f"{officer}{dates}  require: [pull, delivery, approval]")
    row.site.write("trust.yaml", trust)
    refused = row.take(media, expect=4)
    assert refused["code"] == "statement-missing"
    before = _files(row, media)
    sign = ("sign", media, "--log", "officer.log", "--key")
    row.site.run(*sign, "exporter.key")  # by a key that may not
    assert row.take(media, expect=4)["code"] in ("statement-missing", "wrong-role", "role-may-not")
    (row.folder / media / "signatures/security-officer.sigstore.json").unlink()
    row.site.run(*sign, "officer.key")
    after = _files(row, media)
    assert {name: data for name, data in after.items() if name in before} == before
    assert set(after) - set(before) == {"signatures/security-officer.sigstore.json"}
    row.site.run(*sign, "officer.key", expect=2)
    row.take(media)


def _files(row: Row, folder: str) -> dict[str, bytes]:
    root = row.folder / folder
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_sign_of_a_lock_is_refused_where_the_lock_is_not_one(row: Row) -> None:
    row.site.write("no.lock.json", f"{HEAD}kind: Request\n")
    row.site.run("sign", "no.lock.json", "--key", "exporter.key", "--log", "log", expect=2)
    assert not (row.folder / "log").exists()
