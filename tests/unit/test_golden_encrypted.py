"""An encrypted delivery of an earlier version: written once, read for ever."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from airgap.delivery.index import Index
from airgap.delivery.sealing.identities import load_identities
from airgap.delivery.sealing.stream import open_bytes
from tests.golden.site import FOLDER, make_site

GOLDEN = FOLDER / "delivery-encrypted"
TRUST = ("--trust", str(FOLDER / "delivery-v1alpha1/trust.yaml"))


@pytest.mark.parametrize("name", ["golden.identity", "golden.ssh"])
def test_it_is_verified_by_either_identity(tmp_path: Path, name: str) -> None:
    site = make_site(tmp_path)
    identity = Path(shutil.copy(GOLDEN / name, tmp_path))
    identity.chmod(0o600)
    delivery = GOLDEN / "delivery"
    found = site.run("verify", str(delivery), *TRUST, "--identity", name)
    assert (found["outcome"], found["opened"]) == ("pass", True)
    inner = open_bytes(
        (delivery / "AIRGAP.json.age").read_bytes(), "AIRGAP.json.age", load_identities([identity], lambda _path: b"")
    )
    plain = Index.decode((FOLDER / "delivery-v1alpha1/delivery/AIRGAP.json").read_bytes())
    assert Index.decode(inner).contents.roots == plain.contents.roots
