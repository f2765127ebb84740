"""`lock --partial`: one lost image does not stop a lock, and nobody overlooks that it is missing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from airgap.content.lock import Lock
from tests.parts.fake_sigstore import attach
from tests.parts.images import Layout, make_image
from tests.parts.registry import Registry
from tests.worlds.cli_site import airgap
from tests.worlds.commands import run_airgap
from tests.worlds.site import CHECKED, CUT, GAP, HEAD, Site

pytestmark = pytest.mark.e2e

OFFICER = (
    "  - {name: officer, role: security-officer, publicKeyFile: officer.pub, "
    "notBefore: 2026-01-01T00:00:00Z, notAfter: 2036-01-01T00:00:00Z}\n  require:"
)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A request for an image that is there, one that is not, and one whose name can be none."""
    made = Site(tmp_path)
    made.run("keys", "generate", "officer")
    made.write("trust.yaml", (tmp_path / "trust.yaml").read_text().replace("  require:", OFFICER))
    make_image(tmp_path / "made", "v1")
    spec = "  - {ref: 'oci:made:v1', name: demo.local/a:1}\n  - {ref: 'oci:gone:v1', name: demo.local/gone:1}\n"
    request = f"{HEAD}kind: Request\nmetadata: {{name: r}}\nspec:\n  images:\n{spec}  - ref: demo.local/UPPER:1\n"
    made.write("r.request.yaml", request)
    spec = "spec: {stateDir: state, directory: inside}\n"
    made.write("sovereign.yaml", f"{HEAD}kind: Sovereign\nmetadata: {{name: bank}}\n{spec}")
    return made


def test_what_is_gone_needs_a_waiver_and_is_shown_by_every_step(site: Site) -> None:
    assert airgap(site, "lock", "r.request.yaml").code == 2
    found = site.run("lock", "r.request.yaml", "--partial")["findings"]
    assert [(one["item"], one["code"]) for one in found] == [
        ("demo.local/UPPER:1", "bad-resource"),
        ("demo.local/gone:1", "no-such-path"),
    ]
    assert str(site.folder) not in json.dumps(found), "a folder of this machine"
    assert site.run("lock", "r.request.yaml", "--partial", "--check")["changes"] == []
    lock = Lock.decode((site.folder / "r.lock.json").read_bytes(), "the lock")
    assert [str(one.digest) for one in lock.findings] == [one["digest"] for one in found]
    # Every step says it, and nothing is cut.
    said = airgap(site, "pull", "r.lock.json", "--store", "store", "--key", "exporter.key")
    assert "lock 'r' has 2 findings" in said.err
    assert "demo.local/gone:1" in airgap(site, "show", "r.lock.json").out
    refused = airgap(site, *CUT, "media")
    assert (refused.code, "finding-not-waived" in refused.err, found[0]["digest"] in refused.err) == (3, True, True)
    assert "--trust" in airgap(site, *CUT, "media", "--waiver", "w.yaml").err
    # A waiver of one of two is not enough, and none counts without an approval.
    for digests, code in ((found[:1], 3), (found, 0)):
        named = ", ".join(f"'{one['digest']}'" for one in digests)
        spec = f"{{digests: [{named}], checks: [finding], approver: A, reason: gone, expires: 2035-01-01T00:00:00Z}}"
        (site.folder / "w.yaml.security-officer.sigstore.json").unlink(missing_ok=True)
        site.write("w.yaml", f"{HEAD}kind: Waiver\nmetadata: {{name: w}}\nspec: {spec}\n")
        cut = (*CUT, "media", "--waiver", "w.yaml", *CHECKED)
        assert "waiver-unapproved" in airgap(site, *cut).err
        site.run("sign", "w.yaml", "--key", "officer.key", "--role", "security-officer")
        assert airgap(site, *cut).code == code
    verified = site.run("verify", "media", *CHECKED)["judged"]
    assert (verified["findings"], verified["waivers"][0]["checks"]) == (found, ["finding"])
    assert "demo.local/gone:1" in airgap(site, "show", "media").out
    taken = airgap(site, "extract", "media", *CHECKED, "demo.local/a:1", "--to", "out", "--dry-run")
    assert (taken.code, "lock 'r' has 2 findings" in taken.err) == (0, True)
    assert site.run("import", "media", *GAP, "--key", "sovereign.key", "--receipt", "out.json")["findings"] == found
    receipt = site.run("show", "out.json")
    assert receipt["findings"] == [{key: one[key] for key in ("item", "code", "detail")} for one in found]


def test_a_station_judges_findings_and_its_waiver_goes_on(site: Site) -> None:
    site.run("keys", "generate", "station")
    trust = (site.folder / "trust.yaml").read_text()
    station = OFFICER.replace("officer", "station").replace("security-station", "station")
    site.write("trust.yaml", trust.replace("  require:", station).replace("[pull,", "[pull, verdict,"))
    site.write("dmz.yaml", trust.replace("sovereign: bank", "sovereign: dmz"))
    rule = "{approver: officer, reason: tests, local: true, expires: 2036-01-01T00:00:00Z}"
    spec = f'spec:\n  rules:\n  - match: ["**"]\n    digestOnly: {rule}\n'
    site.write("policy.yaml", f"{HEAD}kind: Policy\nmetadata: {{name: p}}\n{spec}")
    found = site.run("lock", "r.request.yaml", "--partial")["findings"]
    site.run("pull", "r.lock.json", "--store", "store", "--key", "exporter.key")
    site.run(*CUT[:-3], "--for", "dmz", "--to", "leg", "--unscanned")
    # A Sovereign would refuse it; the station takes it, and judges.
    assert site.run("verify", "leg", "--trust", "dmz.yaml", expect=3)["outcome"] == "fail"
    assert site.run("sign", "leg", "--key", "officer.key", "--trust", "dmz.yaml", "--dry-run")
    taken = site.run("import", "leg", "--store", "dmz", "--trust", "dmz.yaml")
    assert taken["findings"] == found
    [lock] = taken["locks"]
    scan = ("scan", lock, "--store", "dmz", "--policy", "policy.yaml", "--key", "station.key", *CHECKED)
    [judged] = site.run(*scan, expect=3)["locks"]
    assert (judged["outcome"], [one["outcome"] for one in judged["findings"]]) == ("fail", ["fail", "fail"])
    cut = ("bundle", lock, "--store", "dmz", "--key", "station.key", "--role", "station", "--for", "bank", "--to")
    assert site.run(*cut, "media", expect=3)["code"] == "verdict-failed"
    named = ", ".join(f"'{one['digest']}'" for one in found)
    spec = f"{{digests: [{named}], checks: [finding], approver: A, reason: gone, expires: 2035-01-01T00:00:00Z}}"
    site.write("w.yaml", f"{HEAD}kind: Waiver\nmetadata: {{name: w}}\nspec: {spec}\n")
    site.run("sign", "w.yaml", "--key", "officer.key", "--role", "security-officer")
    [judged] = site.run(*scan, "--waiver", "w.yaml")["locks"]
    assert (judged["outcome"], len(judged["waivers"])) == ("pass", 1)
    site.run(*cut, "media")
    assert site.run("verify", "media", *CHECKED)["outcome"] == "pass"
    assert site.run("import", "media", *GAP, "--key", "sovereign.key")["findings"] == found


def test_when_nothing_is_there_the_mistakes_are_shown_instead(site: Site) -> None:
    text = (site.folder / "r.request.yaml").read_text().replace("oci:made:v1", "oci:made:v2")
    site.write("r.request.yaml", text)
    said = airgap(site, "lock", "r.request.yaml", "--partial")
    assert (said.code, "nothing-to-lock" in said.err) == (2, True)
    assert not (site.folder / "r.lock.json").exists()


@pytest.mark.part("distribution3")
def test_a_host_that_does_not_resolve_is_a_finding_where_another_one_answers(
    tmp_path: Path, start_registry: Callable[[], Registry], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    registry, layout = start_registry(), Layout(tmp_path / "made")
    layout.tag("v1", layout.image({"a": b"a"}))
    attach.push(layout, registry.url, "team/app")
    head = f"{HEAD}kind: Request\nmetadata: {{name: r}}\nspec:\n  images:\n  - ref: nosuch.invalid/gone:1\n"
    (tmp_path / "r.request.yaml").write_text(head)
    line = ["lock", "r.request.yaml", "--partial", "--json"]
    assert "does not resolve" in run_airgap(line, tmp_path).refused(5, "unreachable").err
    (tmp_path / "r.request.yaml").write_text(f"{head}  - ref: {registry.host}/team/app:v1\n")
    said = run_airgap(line, tmp_path)
    assert said.code == 0, said
    assert [one["item"] for one in json.loads(said.out)["findings"]] == ["nosuch.invalid/gone:1"]
    (tmp_path / "r.lock.json").unlink()
    assert "add --partial" in run_airgap(["lock", "r.request.yaml"], tmp_path).err
