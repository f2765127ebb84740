"""A key that is rotated between two deliveries, from the command line."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airgap.base.times import utc_text
from tests.parts import images
from tests.worlds.cli_site import airgap
from tests.worlds.site import GAP, HEAD, Site

pytestmark = pytest.mark.e2e
LONG = ("2026-01-01T00:00:00Z", "2036-01-01T00:00:00Z")


def trust(*keys: tuple[str, str, tuple[str, str]]) -> str:
    entries = "".join(
        f"  - {{name: {name}, role: {role}, publicKeyFile: {name}.pub, notBefore: '{begin}', notAfter: '{end}'}}\n"
        for name, role, (begin, end) in keys
    )
    spec = f"spec:\n  sovereign: bank\n  keys:\n{entries}  require: [pull, delivery]\n"
    return f"{HEAD}kind: Trust\nmetadata: {{name: bank}}\n{spec}"


SOVEREIGN = ("sovereign", "sovereign", LONG)
OFFICER = ("officer", "security-officer", LONG)
OLD = ("exporter", "exporter", LONG)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path)
    for name in ("officer", "exporter-2027"):
        made.run("keys", "generate", name)
    made.write("trust.yaml", trust(OLD, SOVEREIGN, OFFICER))
    images.make_image(tmp_path / "made", "v1")
    spec = "spec:\n  images:\n  - {ref: 'oci:made:v1', name: demo.local/app:v1}\n"
    made.write("r.request.yaml", f"{HEAD}kind: Request\nmetadata: {{name: r}}\n{spec}")
    spec = "spec:\n  stateDir: state\n  directory: inside\n"
    made.write("sovereign.yaml", f"{HEAD}kind: Sovereign\nmetadata: {{name: bank}}\n{spec}")
    made.run("lock", "r.request.yaml")
    return made


def deliver(site: Site, key: str, media: str) -> None:
    site.run("pull", "r.lock.json", "--store", "store", "--key", key)
    cut = ("bundle", "r.lock.json", "--store", "store", "--for", "bank")
    site.run(*cut, "--key", key, "--to", media)


def rotate(site: Site, *more: str, expect: int = 0) -> Any:
    return site.run("keys", "rotate", "trust.yaml", "next.yaml", *more, expect=expect)


def test_a_key_rotated_between_two_deliveries(site: Site) -> None:
    # 1. The old key signs, and what it signed comes in.
    deliver(site, "exporter.key", "one")
    site.run("import", "one", *GAP, "--key", "sovereign.key")
    # 2. The next resource: the new key beside the old one, which ends soon. The officer approves it.
    now = datetime.now(UTC)
    end = now + timedelta(seconds=6)
    year = (utc_text(now - timedelta(days=1)), utc_text(now + timedelta(days=364)))
    old = ("exporter", "exporter", (LONG[0], utc_text(end)))
    new = ("exporter-2027", "exporter", year)
    site.write("next.yaml", trust(new, old, SOVEREIGN, OFFICER))
    asked = rotate(site, expect=3)
    assert asked["approvedBy"] is None
    assert [(one["what"], one["key"]) for one in asked["changes"]] == [
        ("ends", "exporter"),
        ("added", "exporter-2027"),
    ]
    signed = site.run("sign", "next.yaml", "--key", "officer.key", "--trust", "trust.yaml")
    assert signed["subject"] == asked["digest"]
    approval = ("--approval", signed["signature"])
    assert rotate(site, *approval)["approvedBy"] == "officer"
    # 3. Nothing can be added behind the officer's back.
    site.write("next.yaml", trust(new, old, SOVEREIGN, OFFICER, ("stranger", "exporter", year)))
    assert rotate(site, *approval, expect=4)["code"] == "bad-rotation"
    site.write("next.yaml", trust(new, old, SOVEREIGN, OFFICER))
    (site.folder / "next.yaml").replace(site.folder / "trust.yaml")
    # 4. Both are good while they overlap. What was accepted then stays good for ever.
    site.run("verify", "one", "--trust", "trust.yaml")
    deliver(site, "exporter-2027.key", "two")
    site.run("import", "two", *GAP, "--key", "sovereign.key")
    # 5. The old key signs too late.
    time.sleep(max(0.0, (end - datetime.now(UTC)).total_seconds() + 1.1))
    assert site.run("verify", "one", "--trust", "trust.yaml", expect=4)["code"] == "key-expired"
    site.run("verify", "one", "--trust", "trust.yaml", "--at", utc_text(end))
    site.run("import", "one", *GAP, "--key", "sovereign.key", "--restore")
    deliver(site, "exporter.key", "late")
    assert site.run("import", "late", *GAP, expect=4)["code"] == "key-not-valid-then"
    late = ("keys", "check", "--key", "exporter.key", "--trust", "trust.yaml")
    assert site.run(*late, expect=2)["code"] == "wrong-key"


def test_a_key_that_is_taken_out_is_refused(site: Site) -> None:
    site.write("next.yaml", trust(SOVEREIGN, OFFICER))
    assert rotate(site, expect=4)["code"] == "bad-rotation"
    site.run("sign", "next.yaml", "--key", "stranger.key", "--out", "elsewhere")
    approval = "elsewhere/next.yaml.security-officer.sigstore.json"
    assert rotate(site, "--approval", approval, expect=4)["code"] == "unknown-key"


@pytest.mark.parametrize("new", ["the same file", "other comments and order"])
def test_where_nothing_changes_nothing_has_to_be_approved(site: Site, new: str) -> None:
    path = "trust.yaml"
    if new != "the same file":
        path = "next.yaml"
        site.write(path, "# Looked at again.\n" + trust(OFFICER, SOVEREIGN, OLD))
    said = airgap(site, "keys", "rotate", "trust.yaml", path)
    assert (said.code, said.out) == (
        0,
        f"no change: {path} has the same content as trust.yaml; no approval is needed\n",
    )
    asked = site.run("keys", "rotate", "trust.yaml", path)
    assert (asked["changes"], asked["approvedBy"]) == ([], None)


def test_keys_that_end_soon_are_told(site: Site) -> None:
    every = ("keys", "check", "--trust", "trust.yaml")
    good = site.run(*every)
    assert [one["state"] for one in good["keys"]] == ["valid"] * 3
    assert good["warnings"] == []
    soon = utc_text(datetime.now(UTC) + timedelta(days=20, hours=1))
    site.write("trust.yaml", trust(("exporter", "exporter", (LONG[0], soon)), SOVEREIGN))
    told = site.run(*every, expect=3)
    assert "exporter" in told["warnings"][0]
    assert told["keys"][0]["days"] == 20
    site.run(*every, "--within", "10")
    one = site.run("keys", "check", "--key", "exporter.key", "--trust", "trust.yaml")
    assert (one["role"], one["days"]) == ("exporter", 20)
    stranger = ("keys", "check", "--key", "stranger.key", "--trust", "trust.yaml")
    assert site.run(*stranger, expect=2)["code"] == "wrong-key"
