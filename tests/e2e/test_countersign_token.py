"""The key that signs what an import admitted may be in a token: SoftHSM signs, real cosign verifies."""

from __future__ import annotations

import pytest

from tests.parts.hsm import PIN, Hsm
from tests.worlds.cli_site import airgap
from tests.worlds.countersign import SIDE, STATION, Inside, Start, attested, cut, ours, say, station
from tests.worlds.site import GAP

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.part("cosign", "skopeo", "distribution2", "distribution3", "softhsm2"),
]
KEY = "object=twice;id=%03"


def with_token(inside: Inside, hsm: Hsm, layout: str = "bundle", key: str = KEY) -> None:
    """The Sovereign signs by a key in the token, and its public half is `admitted.pub`."""
    inside.sovereign(f"{{repository: {SIDE}, layout: {layout}}}")
    path = inside.site.folder / "sovereign.yaml"
    uri = f"pkcs11:token=bank;{key}?module-path={hsm.module}"
    named = f"{{uri: '{uri}', passwordFile: pin}}"
    text = path.read_text().replace("{file: admitted.key, passwordFile: password}", named)
    assert uri in text
    inside.site.write("sovereign.yaml", text)
    inside.site.write("pin", PIN.decode() + "\n")
    (inside.site.folder / "admitted.key").unlink(missing_ok=True)
    inside.site.write("admitted.pub", hsm.open(KEY).public_key_pem.decode())


@pytest.mark.parametrize("layout", ["bundle", "legacy"])
def test_a_token_signs_and_attests_what_was_admitted(start: Start, hsm: Hsm, layout: str) -> None:
    inside = start()
    with_token(inside, hsm, layout)
    index, child, other = station(inside.site)
    say(inside.site, index)
    cut(inside.site, "judged")
    planned = ours(inside.take("--dry-run", media="judged"))
    assert [line["outcome"] for line in planned] == ["write"] * 4
    lines = ours(inside.take("--jobs", "8", media="judged"))
    assert [line["outcome"] for line in lines] == ["written"] * 4
    assert {line["signs"]["key"] for line in lines} == {hsm.open(KEY).key_id}
    for digest in (index, child, other):
        assert inside.verifies("admitted.pub", SIDE, digest)
    assert attested(inside, "admitted.pub", SIDE, index)
    assert {line["outcome"] for line in ours(inside.take("--deep", media="judged"))} == {"present"}


def test_a_token_that_cannot_sign_stops_the_import_before_anything(start: Start, hsm: Hsm) -> None:
    inside = start()
    with_token(inside, hsm, key="object=nobody")
    line = ("import", "media", *GAP, "--key", "sovereign.key")
    airgap(inside.site, *line).refused(2, "token-missing")
    airgap(inside.site, *line, "--dry-run").refused(2, "token-missing")
    with_token(inside, hsm)
    inside.site.write("pin", "0000\n")
    airgap(inside.site, *line).refused(2, "wrong-password")
    assert not (inside.site.folder / "state/accepted.json").exists()
    # A key that the Trust resource lists has its purpose already.
    inside.site.write("pin", PIN.decode() + "\n")
    inside.site.write("station.pub", hsm.open(KEY).public_key_pem.decode())
    trust, (listed, _, _) = inside.site.folder / "trust.yaml", STATION.partition("  require")
    inside.site.write("trust.yaml", trust.read_text().replace("  require", f"{listed}  require"))
    airgap(inside.site, *line).refused(2, "wrong-key")
