"""What only the receiving side refused is refused where it can be corrected, if its Trust resource is at hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.parts import images
from tests.worlds.commands import PASSWORD, run_airgap
from tests.worlds.site import GAP, HEAD, TRUST, Site

pytestmark = pytest.mark.e2e

PULL = ("pull", "r.lock.json", "--store", "store")
CUT = ("bundle", "r.lock.json", "--store", "store", "--key", "exporter.key", "--for", "bank")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path)
    layout = images.Layout(tmp_path / "made")
    layout.tag("v1", layout.image({"a": b"a" * 1000}))
    made.write(
        "r.request.yaml",
        f"{HEAD}kind: Request\nmetadata: {{name: r}}\nspec:\n  images:\n  - {{ref: 'oci:made:v1', name: d.l/a:1}}\n",
    )
    made.write(
        "sovereign.yaml",
        f"{HEAD}kind: Sovereign\nmetadata: {{name: bank}}\nspec: {{stateDir: state, directory: inside}}\n",
    )
    made.run("lock", "r.request.yaml")
    return made


def _requires(site: Site, *kinds: str) -> None:
    site.write("trust.yaml", TRUST.replace("[pull, delivery]", f"[{', '.join(kinds)}]"))


def test_a_pull_statement_that_is_required_is_missing(site: Site) -> None:
    assert site.run(*PULL, "--trust", "trust.yaml", expect=2)["code"] == "no-key"
    site.run(*PULL)
    for more in (("--to", "media"), ("--dry-run",)):
        refused = site.run(*CUT, *more, "--trust", "trust.yaml", expect=4)
        assert (refused["code"], "airgap pull" in refused["hint"]) == ("statement-missing", True)
    assert not (site.folder / "media").exists()
    site.run(*CUT, "--to", "media")
    assert site.run("import", "media", *GAP, expect=4)["code"] == "statement-missing"
    site.run(*PULL, "--key", "exporter.key", "--trust", "trust.yaml")
    site.run(*CUT, "--to", "good", "--trust", "trust.yaml")
    site.run("import", "good", *GAP)


@pytest.mark.parametrize(
    ("key", "kinds", "code"),
    [
        ("stranger", ("pull", "delivery"), "statement-missing"),
        ("sovereign", ("delivery",), "wrong-role"),
        ("exporter", ("pull", "verdict", "delivery"), "statement-missing"),
    ],
)
def test_both_sides_refuse_alike(site: Site, key: str, kinds: tuple[str, ...], code: str) -> None:
    _requires(site, *kinds)
    site.run(*PULL, "--key", f"{key}.key")
    assert site.run(*CUT, "--to", "media", "--trust", "trust.yaml", expect=4)["code"] == code
    site.run(*CUT, "--to", "media")
    assert site.run("import", "media", *GAP, expect=4)["code"] == code


def test_a_key_that_was_revoked_since_the_pull(site: Site) -> None:
    site.run("keys", "generate", "newer")
    site.run(*PULL, "--key", "exporter.key")
    entry = TRUST.split("  - name: exporter")[1].split("  - name: sovereign")[0]
    ended = f"{entry}    revoked: {{at: 2026-02-01T00:00:00Z}}\n"
    newer = f"  - name: newer{entry}".replace("exporter.pub", "newer.pub")
    site.write("trust.yaml", TRUST.replace(entry, f"{ended}{newer}"))
    cut = [one.replace("exporter.key", "newer.key") for one in CUT]
    assert site.run(*cut, "--to", "media", "--trust", "trust.yaml", expect=4)["code"] == "key-revoked"


def test_the_store_says_for_whom_it_cuts(site: Site) -> None:
    folder = site.folder / "store/airgap/trust"
    folder.mkdir(parents=True)
    for name in ("trust.yaml", "exporter.pub", "sovereign.pub"):
        (folder / name).write_bytes((site.folder / name).read_bytes())
    assert site.run(*PULL, expect=2)["code"] == "no-key"
    site.run(*PULL, "--key", "exporter.key")
    wrong = site.run(*CUT[:-1], "bnak", "--to", "media", expect=4)
    assert (wrong["code"], "'bank'" in wrong["error"]) == ("wrong-trust", True)
    site.run(*CUT, "--to", "media")


def _notes(site: Site, *line: str) -> str:
    said = run_airgap(line, site.folder, PASSWORD)
    assert said.code == 0, said
    return said.err


def test_what_nobody_could_check_is_said_in_a_line(site: Site) -> None:
    site.run(*PULL, "--key", "exporter.key")
    assert "the name of the Sovereign" in _notes(site, *CUT, "--to", "one")
    assert "earlier ones were for bank" in _notes(site, *CUT[:-1], "bnak", "--to", "two")
    assert "first delivery of stream 'x'" in _notes(site, *CUT, "--stream", "x", "--to", "three")
    _requires(site, "pull", "delivery", "delivery-approval")
    site.write("trust.yaml", (site.folder / "trust.yaml").read_text().replace("2036-01-01", "2027-01-01"))
    said = _notes(site, *CUT, "--to", "four", "--trust", "trust.yaml", "--expires-in", "365")
    assert "airgap sign DELIVERY" in said
    assert "key 'exporter' ends at 2027-01-01" in said
    assert "not checked" not in said


def test_a_receipt_says_which_number_is_next(site: Site) -> None:
    site.run(*PULL, "--key", "exporter.key")
    site.run(*CUT, "--to", "one")
    site.run("import", "one", *GAP, "--key", "sovereign.key", "--receipt", "receipt.json")
    assert site.run(*CUT, "--receipt", "receipt.json", "--to", "two", expect=2)["code"] == "no-trust"
    cut = (*CUT, "--receipt", "receipt.json", "--trust", "trust.yaml")
    site.run(*cut, "--to", "two")
    [counter] = (site.folder / "store/airgap/streams").glob("*.json")
    document: Mapping[str, object] = json.loads(counter.read_text())
    for number, code in ((0, "sequence-taken"), (2000, "sequence-jump")):
        counter.write_text(json.dumps({**document, "sequence": number}))
        assert site.run(*cut, "--to", "three", expect=4)["code"] == code
    site.run(*cut, "--to", "three", "--stream", "other")
