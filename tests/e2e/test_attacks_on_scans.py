"""Attack stories about scans: results of others and of other runs, and verdicts that say more than their scans."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airgap.base.digest import Digest
from airgap.base.zstd import packed, unpacked
from airgap.content.scan_finding import FindingKind, ScanFinding, Severity
from airgap.content.scan_result import MAX_RESULT, ScanResult
from airgap.statements.dsse import open_bundle
from airgap.statements.statement import Statement
from airgap.statements.verdict import CheckResult, JudgedItem, Verdict
from airgap.station.scans import ScanRecords
from tests.parts.system import NetworkNamespace
from tests.worlds.attacks import MAX_EVIDENCE, NAME, Files, World, make_world
from tests.worlds.site import GAP, HEAD

pytestmark = [pytest.mark.e2e]

RULE = "digestOnly: {approver: officer, reason: tests, local: true, expires: 2036-01-01T00:00:00Z}"
SCAN = ("--store", "store", "--key", "station.key", "--policy", "policy.yaml", "--station", "station.yaml")
BAD = ScanFinding(FindingKind.COVERAGE, "artifact", Severity.UNKNOWN, title="planted by a test")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> World:
    """An image for two platforms that was scanned, judged and cut."""
    made = make_world(tmp_path_factory.mktemp("scans") / "world", None)
    made.trust(require="pull, verdict, delivery")
    made.write("station.yaml", f"{HEAD}kind: Station\nmetadata: {{name: dmz}}\nspec: {{parallel: 2}}\n")
    policy(made, "{required: {image: [], file: []}}")
    made.lock()
    made.run("scan", "r.lock.json", *SCAN)
    cut(made, "media")
    return made


@pytest.fixture
def world(base: World, tmp_path: Path) -> World:
    """A copy of it."""
    return base.copy(tmp_path / "world")


def policy(world: World, findings: str) -> None:
    rules = f'rules: [{{match: ["**"], {RULE}}}]'
    world.write("policy.yaml", f"{HEAD}kind: Policy\nmetadata: {{name: p}}\nspec: {{{rules}, findings: {findings}}}\n")


def limits(world: World, spec: str) -> None:
    """The Sovereign limits verdicts."""
    world.trust(require="pull, verdict, delivery")
    text = (world.folder / "trust.yaml").read_text()
    world.write("trust.yaml", f"{text}  verdicts: {spec}\n")


def cut(world: World, media: str) -> str:
    line = ("--store", "store", "--to", media, "--for", "bank", "--role", "station", "--key", "station.key")
    world.run("bundle", "r.lock.json", *line)
    return media


def refused(world: World, media: str) -> str:
    """The code with which the gap refuses it. Nothing became visible, and no state was written."""
    before = world.seen()
    answer = world.run("import", media, *GAP, "--key", "sovereign.key", expect=4)
    assert world.seen() == before
    return str(answer["code"])


def verdict(world: World) -> Statement:
    """What the station signed."""
    (path,) = (world.folder / "store/airgap/statements").glob("verdict-*.sigstore.json")
    return Statement.parse(open_bundle(path.read_bytes(), "verdict", MAX_EVIDENCE).payload, "verdict")


def say(world: World, change: Callable[[Verdict], Verdict], files: Files, *, at: datetime | None = None) -> Files:
    """The evidence with another verdict, signed with the station's key."""
    was = verdict(world)
    assert isinstance(was.body, Verdict)
    made = world.statement(was.subject, change(was.body), "station", at=at)
    kept = {name: data for name, data in files.items() if b"verdict" not in payload(name, data)}
    return kept | {f"statements/{Digest.of(made).hex}.sigstore.json": made}


def payload(name: str, data: bytes) -> bytes:
    return open_bundle(data, name, MAX_EVIDENCE).payload if name.startswith("statements/") else b""


def judged(body: Verdict, **more: Any) -> Verdict:
    (item,) = body.items.values()
    return replace(body, items={NAME: replace(item, **more)})


def results(files: Files) -> dict[str, ScanResult]:
    """The scan results in the evidence, by the names of their files."""
    found = {name: data for name, data in files.items() if name.startswith("scans/")}
    return {name: ScanResult.decode(unpacked(data, MAX_RESULT), name) for name, data in found.items()}


def swapped(body: Verdict, files: Files, change: Callable[[ScanResult], ScanResult]) -> tuple[Verdict, Files]:
    """The verdict names other results, which are in the evidence in the place of its own."""
    made = {Digest(f"sha256:{name[6:70]}"): change(one) for name, one in results(files).items()}
    scans = tuple(replace(scan, result=made[scan.result].digest) for scan in body.scans)
    there = {f"scans/{one.digest.hex}.json.zst": packed(one.encode()) for one in made.values()}
    kept = {name: data for name, data in files.items() if not name.startswith("scans/")}
    return replace(body, scans=scans), kept | there


@pytest.mark.parametrize(
    "change",
    [
        lambda one: replace(one, findings=(BAD,)),
        lambda one: ScanResult.failed(one.subject, one.scanner, "scanner-timeout", "too slow"),
    ],
    ids=["finding", "not-run"],
)
def test_a_verdict_that_says_more_than_its_scans(world: World, change: Callable[[ScanResult], ScanResult]) -> None:
    """Whoever has the station's key signs that everything passed, and carries results that say otherwise."""

    def evidence(files: Files) -> Files:
        body = verdict(world).body
        assert isinstance(body, Verdict)
        other, there = swapped(body, files, change)
        return say(world, lambda _: other, there)

    assert refused(world, world.forge("media", "forged", evidence=evidence)) == "verdict-contradicted"


def test_a_verdict_that_left_out_an_image_of_an_index(world: World) -> None:
    """The scans of one platform are not named, and neither is the platform."""

    def without(body: Verdict) -> Verdict:
        (item,) = body.items.values()
        left = max(check.subject for check in item.checks if check.check == "scan" and check.subject)
        checks = tuple(check for check in item.checks if check.subject != left)
        return replace(judged(body, checks=checks), scans=tuple(one for one in body.scans if one.subject != left))

    forged = world.forge("media", "forged", evidence=lambda files: say(world, without, files))
    assert refused(world, forged) == "verdict-contradicted"


def test_a_verdict_with_results_of_another_run(world: World) -> None:
    """Clean results of another scanner, or about another image, stand in the place of the real ones."""
    for name, other in (
        ("older", lambda one: replace(one, scanner=replace(one.scanner, version="0"))),
        ("elsewhere", lambda one: replace(one, subject=Digest.of(one.subject.hex.encode()))),
    ):

        def evidence(files: Files, change: Callable[[ScanResult], ScanResult] = other) -> Files:
            body = verdict(world).body
            assert isinstance(body, Verdict)
            made, there = swapped(body, files, change)
            return say(world, lambda _: made, there)

        assert refused(world, world.forge("media", name, evidence=evidence)) == "scan-mismatch"


def test_results_that_were_removed_or_damaged_on_the_way(world: World) -> None:
    def removed(files: Files) -> Files:
        return {name: data for name, data in files.items() if not name.startswith("scans/")}

    def damaged(files: Files) -> Files:
        return {name: data[:-1] if name.startswith("scans/") else data for name, data in files.items()}

    assert refused(world, world.forge("media", "removed", evidence=removed)) == "scan-missing"
    assert refused(world, world.forge("media", "damaged", evidence=damaged)) == "scan-mismatch"


def test_an_older_verdict_in_the_place_of_a_newer_one(world: World, netns: NetworkNamespace) -> None:
    """A verdict about the same lock that knows less than the one that was accepted is cut into the next delivery."""
    world = replace(world, netns=netns)
    world.take("media")
    cut(world, "next")
    before = datetime.now(UTC) - timedelta(minutes=30)
    older = world.forge("next", "older", evidence=lambda files: say(world, lambda body: body, files, at=before))
    assert refused(world, older) == "verdict-replaced"
    unscanned = world.forge("next", "unscanned", evidence=lambda files: say(world, bare, files))
    assert world.refused(unscanned) == "verdict-replaced"


def bare(body: Verdict) -> Verdict:
    """A verdict as a station without scanners signs it."""
    (item,) = body.items.values()
    checks = (CheckResult("digest-only", "pass", item.root, "rule 1"),)
    return replace(body, items={NAME: JudgedItem(item.root, "pass", None, checks)}, scanners=(), scans=(), gate=None)


def test_a_verdict_that_is_less_than_the_sovereign_asks(world: World) -> None:
    """A station with a lax policy, an old verdict, and one without scans."""
    limits(world, "{required: {image: [vulnerability]}}")
    assert refused(world, "media") == "not-scanned"
    line = ("--store", "store", "--to", "never", "--for", "bank", "--role", "station", "--key", "station.key")
    assert world.run("bundle", "r.lock.json", *line, "--trust", "trust.yaml", expect=4)["code"] == "not-scanned"
    assert not (world.folder / "never").exists()
    limits(world, "{blocks: {coverage: unknown}}")
    bare_one = world.forge("media", "bare", evidence=lambda files: say(world, bare, files))
    assert refused(world, bare_one) == "not-scanned"
    limits(world, "{maxAge: 1s}")
    time.sleep(2.1)  # ages are in whole seconds
    assert refused(world, "media") == "verdict-old"
    limits(world, "{maxAge: 1d}")
    world.run("verify", "media", "--trust", "trust.yaml")


def test_a_waiver_of_another_finding_and_one_that_was_removed(world: World) -> None:
    """What blocks is waived by its id, for items by name. A waiver of another id lifts nothing, and is listed."""
    layout = world.layout()
    layout.tag("v1", layout.artifact("application/vnd.acme.thing", ("application/vnd.acme.blob", b"\0 not an image")))
    world.lock()
    world.trust(require="pull, verdict, delivery")
    line = ("scan", "r.lock.json", *SCAN, "--trust", "trust.yaml")
    for name, id_ in (("other", "unknown-os"), ("waiver", "artifact")):
        spec = (
            f"match: [demo.local/*], findings: [{{id: {id_}}}], approver: A, reason: r, expires: 2035-01-01T00:00:00Z"
        )
        world.write(f"{name}.yaml", f"{HEAD}kind: Waiver\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n")
        world.run("sign", f"{name}.yaml", "--key", "officer.key", "--role", "security-officer")
    other = world.run(*line, "--waiver", "other.yaml", expect=3)
    assert ([one["name"] for one in other["unusedWaivers"]], other["locks"][0]["outcome"]) == (["other"], "fail")
    judged = world.run(*line, "--waiver", "waiver.yaml")
    (waived,) = [one for one in judged["locks"][0]["items"][0]["checks"] if one["outcome"] == "waived"]
    assert (waived["check"], waived["finding"]["id"], waived["waiver"]) == ("coverage", "artifact", "waiver")
    cut(world, "waived")
    without = world.forge(
        "waived", "without", evidence=lambda files: {n: d for n, d in files.items() if "waivers/" not in n}
    )
    assert refused(world, without) == "waiver-missing"
    world.run("import", "waived", *GAP, "--key", "sovereign.key")
    # What only the Sovereign blocks may be waived, too: the verdict names that waiver.
    policy(world, "{required: {image: [], file: []}, coverage: inform}")
    limits(world, "{blocks: {coverage: unknown}}")
    world.run(*line)
    assert refused(world, cut(world, "lax")) == "finding-blocks"
    assert world.run(*line, "--waiver", "waiver.yaml")["unusedWaivers"] == []
    world.run("verify", cut(world, "lax-waived"), "--trust", "trust.yaml")


def test_results_that_another_account_planted_in_a_shared_store(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that two zones share: a clean result waits there for content that is not clean."""
    layout = world.layout()
    layout.tag("v1", layout.artifact("application/vnd.acme.thing", ("application/vnd.acme.blob", b"\0 not an image")))
    world.lock()
    refused = world.run("scan", "r.lock.json", *SCAN, expect=3)
    assert refused["locks"][0]["items"][0]["reason"] == "finding-blocks"
    folder = world.folder / "store/airgap"
    (true,) = [one for one in folder.glob("scans/*") if b"artifact" in unpacked(one.read_bytes(), MAX_RESULT)]
    found = ScanResult.decode(unpacked(true.read_bytes(), MAX_RESULT), "result")
    true.unlink()
    ScanRecords(folder).save(replace(found, findings=()))
    # What this account has written counts; what another one has written does not.
    assert world.run("scan", "r.lock.json", *SCAN)["locks"][0]["outcome"] == "pass"
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    assert ScanRecords(folder).answer(found.subject, found.scanner) is None
