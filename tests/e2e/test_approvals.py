"""Approvals of a lock: they go into the delivery's evidence, and a Sovereign that requires one lets it in."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.parts import images
from tests.worlds.cli_site import airgap
from tests.worlds.root_site import OFFICER
from tests.worlds.site import CUT, GAP, TRUST, Site

pytestmark = pytest.mark.e2e
SIGN = ("sign", "r.lock.json", "--key", "officer.key", "--role", "security-officer")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path)
    made.run("keys", "generate", "officer")
    made.write("trust.yaml", TRUST.replace("  require: [pull, delivery]\n", OFFICER))
    images.make_image(tmp_path / "made", "v1")
    head = "apiVersion: airgap.openova.io/v1alpha1\n"
    spec = "spec:\n  images:\n  - {ref: 'oci:made:v1', name: demo.local/app:v1}\n"
    made.write("r.request.yaml", f"{head}kind: Request\nmetadata: {{name: r}}\n{spec}")
    made.write(
        "sovereign.yaml",
        f"{head}kind: Sovereign\nmetadata: {{name: bank}}\nspec:\n  stateDir: state\n  directory: inside\n",
    )
    made.run("lock", "r.request.yaml")
    made.run("pull", "r.lock.json", "--store", "store", "--key", "exporter.key")
    return made


def test_an_approval_beside_the_lock_goes_along(site: Site) -> None:
    site.run(*CUT, "without")
    assert site.run("import", "without", *GAP, expect=4)["code"] == "statement-missing"
    site.run(*SIGN)
    site.run(*CUT, "media")
    site.run("verify", "media", "--trust", "trust.yaml")
    site.run("import", "media", *GAP, "--key", "sovereign.key")


def test_an_approval_from_elsewhere_is_named(site: Site) -> None:
    site.run(*SIGN, "--out", "approvals")
    file = "approvals/r.lock.json.security-officer.sigstore.json"
    site.run(*CUT, "media", "--approval", file)
    site.run("import", "media", *GAP, "--key", "sovereign.key")


def test_an_approval_by_a_key_that_may_not_counts_for_nothing(site: Site) -> None:
    stranger = ["stranger.key" if word == "officer.key" else word for word in SIGN]
    # Where the far side's Trust is at hand, it is not even made.
    assert site.run(*stranger, "--trust", "trust.yaml", expect=2)["code"] == "wrong-key"
    site.run(*stranger)
    site.run(*CUT, "media")
    assert site.run("import", "media", *GAP, expect=4)["code"] == "statement-missing"


@pytest.mark.parametrize("file", ["r.lock.json", "nowhere", "store", "exporter.pub"])
def test_what_is_no_approval_is_refused_before_anything_is_cut(site: Site, file: str) -> None:
    assert site.run(*CUT, "media", "--approval", file, expect=2)["code"] == "bad-approval"
    assert not (site.folder / "media").exists()


def test_an_approval_of_an_older_lock_is_refused(site: Site) -> None:
    site.run(*SIGN)
    images.make_image(site.folder / "made", "v1", layers=({"new.txt": b"new\n"},))
    site.run("lock", "r.request.yaml", "--update")
    site.run("pull", "r.lock.json", "--store", "store", "--key", "exporter.key")
    refused = site.run(*CUT, "media", expect=2)
    assert refused["code"] == "bad-approval"
    assert "airgap sign LOCK" in refused["hint"]


def test_a_key_of_another_role_signs_nothing_where_the_trust_of_the_far_side_is_known(site: Site) -> None:
    pull = ("pull", "r.lock.json", "--store", "store", "--trust", "trust.yaml", "--key")
    assert site.run(*pull, "officer.key", expect=2)["code"] == "wrong-key"
    site.run(*pull, "exporter.key")
    cut = (*CUT, "media", "--trust", "trust.yaml")
    refused = site.run(*cut, "--role", "station", expect=2)
    assert (refused["code"], "has role exporter, expected station" in refused["error"]) == ("wrong-key", True)
    site.write("other.yaml", (site.folder / "trust.yaml").read_text().replace("sovereign: bank", "sovereign: other"))
    assert site.run(*cut[:-1], "other.yaml", expect=4)["code"] == "wrong-trust"
    assert not (site.folder / "media").exists()
    site.run(*cut)


def test_without_it_a_note_says_that_nobody_checked_and_what_the_log_knows_of_the_key(site: Site) -> None:
    said = airgap(site, *CUT, "media")
    assert (said.code, "note: signing as exporter: " in said.err) == (0, True)
    assert "the key's role was not checked" in said.err
    said = airgap(site, *CUT, "again", "--role", "station", "--unscanned")
    assert (said.code, "this key signed as exporter before, and a key has one role" in said.err) == (0, True)
    assert "note: signing" not in airgap(site, *CUT, "third", "--trust", "trust.yaml").err
