"""Keys that real cosign made: we sign with them, and cosign verifies it with their public halves."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from airgap.base.digest import Digest
from airgap.base.errors import InputError
from airgap.statements.keys.file import load_private, load_public
from airgap.statements.predicates import Delivery
from airgap.statements.statement import predicate_type
from tests.parts import need
from tests.worlds.trust import signed

pytestmark = [pytest.mark.e2e, pytest.mark.part("cosign", "openssl")]
pytest.importorskip("nacl", reason="needs airgap[cosign-keys]")
PASSWORD = b"correct horse"


def cosign(folder: Path, *line: str | Path, password: bytes = PASSWORD) -> int:
    """Runs cosign in `folder`, any way to a network closed; returns its exit code."""
    closed = "http://127.0.0.1:9"
    done = subprocess.run(
        [str(need.require_part("cosign")), *map(str, line)],
        env={
            "HOME": str(folder),
            "PATH": os.environ["PATH"],
            "COSIGN_PASSWORD": password.decode(),
            "HTTPS_PROXY": closed,
            "HTTP_PROXY": closed,
        },
        cwd=folder,
        capture_output=True,
        check=False,
    )
    return done.returncode


def cosign_believes(folder: Path, private: Path, public: Path) -> bool:
    """Whether cosign verifies a statement that we sign with the key."""
    signer = load_private(private, PASSWORD)
    assert load_public(public.read_bytes()).key_id == signer.key_id
    subject, bundle = folder / "AIRGAP.json", folder / "bundle.json"
    subject.write_bytes(b"{}")
    bundle.write_bytes(signed(signer, Digest.of(b"{}"), Delivery(), "exporter"))
    key = ("--key", public, "--insecure-ignore-tlog=true")
    kind = ("--type", predicate_type("delivery"))
    return not cosign(folder, "verify-blob-attestation", *key, *kind, "--bundle", bundle, subject)


def test_a_key_that_cosign_generated(tmp_path: Path) -> None:
    assert cosign(tmp_path, "generate-key-pair") == 0
    private = tmp_path / "cosign.key"
    assert b"ENCRYPTED SIGSTORE PRIVATE KEY" in private.read_bytes()
    assert cosign_believes(tmp_path, private, tmp_path / "cosign.pub")
    old = tmp_path / "old.key"
    old.write_bytes(private.read_bytes().replace(b"SIGSTORE", b"COSIGN"))
    old.chmod(0o600)
    assert cosign_believes(tmp_path, old, tmp_path / "cosign.pub")
    with pytest.raises(InputError) as caught:
        load_private(private, b"wrong")
    assert caught.value.code == "wrong-password"


@pytest.mark.parametrize(("curve", "taken"), [("P-256", True), ("P-384", False)])
def test_a_key_that_cosign_imported(tmp_path: Path, curve: str, taken: bool) -> None:
    plain = tmp_path / "plain.pem"
    kind = ("-algorithm", "EC", "-pkeyopt", f"ec_paramgen_curve:{curve}")
    need.run("openssl", "genpkey", *kind, "-out", plain)
    assert cosign(tmp_path, "import-key-pair", "--key", plain) == 0
    private = tmp_path / "import-cosign.key"
    if taken:
        assert cosign_believes(tmp_path, private, tmp_path / "import-cosign.pub")
        return
    with pytest.raises(InputError) as caught:
        load_private(private, PASSWORD)
    assert caught.value.code == "key-unsupported"


def test_a_key_without_a_password_is_refused(tmp_path: Path) -> None:
    assert cosign(tmp_path, "generate-key-pair", password=b"") == 0
    with pytest.raises(InputError) as caught:
        load_private(tmp_path / "cosign.key", b"")
    assert caught.value.code == "wrong-password"
