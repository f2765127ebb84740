"""Key files: how they are made, and which are refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from airgap.base.errors import AirgapError, InputError, TrustError
from airgap.statements.keys.file import PublicKey, generate, load_private, load_public

PASSWORD = b"correct horse"


def put(path: Path, data: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(data)
    path.chmod(mode)
    return path


def pkcs8(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, password: bytes | None) -> bytes:
    how = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how)


def test_a_pair_is_made_with_its_modes_and_signs(tmp_path: Path) -> None:
    mask = os.umask(0o077)
    try:
        private, public = generate(tmp_path / "exporter", PASSWORD)
    finally:
        os.umask(mask)
    assert (private.name, public.name) == ("exporter.key", "exporter.pub")
    assert private.stat().st_mode & 0o777 == 0o600
    assert public.stat().st_mode & 0o777 == 0o644
    assert b"BEGIN ENCRYPTED PRIVATE KEY" in private.read_bytes()
    signer, key = load_private(private, PASSWORD), load_public(public.read_bytes())
    assert signer.public_key_pem == public.read_bytes() == key.pem
    assert signer.key_id == key.key_id
    signature = signer.sign(b"data")
    assert key.verify(b"data", signature)
    assert not key.verify(b"date", signature)
    assert not key.verify(b"data", b"")


@pytest.mark.parametrize("suffix", ["key", "pub"])
@pytest.mark.parametrize("how", ["file", "dangling link"])
def test_nothing_is_overwritten(tmp_path: Path, suffix: str, how: str) -> None:
    there = tmp_path / f"mine.{suffix}"
    if how == "file":
        there.write_text("precious")
    else:
        there.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError) as caught:
        generate(tmp_path / "mine", PASSWORD)
    assert caught.value.code == "key-exists"
    assert [entry.name for entry in tmp_path.iterdir()] == [there.name]
    assert how == "dangling link" or there.read_text() == "precious"


def test_no_key_without_a_password(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        generate(tmp_path / "mine", b"")
    assert caught.value.code == "no-password"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_an_error_of_the_disk(tmp_path: Path) -> None:
    with pytest.raises(AirgapError) as caught:
        generate(tmp_path / "none" / "mine", PASSWORD)
    assert caught.value.code == "disk-error"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o644])
def test_a_key_that_others_can_use_is_refused(tmp_path: Path, mode: int) -> None:
    private, _ = generate(tmp_path / "mine", PASSWORD)
    private.chmod(mode)
    with pytest.raises(InputError) as caught:
        load_private(private, PASSWORD)
    assert caught.value.code == "key-readable"
    assert "chmod 600" in caught.value.hint


def test_a_link_is_followed_and_the_mode_behind_it_counts(tmp_path: Path) -> None:
    private, _ = generate(tmp_path / "mine", PASSWORD)
    link = tmp_path / "mounted"
    link.symlink_to(private)
    assert load_private(link, PASSWORD).key_id
    private.chmod(0o644)
    with pytest.raises(InputError) as caught:
        load_private(link, PASSWORD)
    assert caught.value.code == "key-readable"


def test_what_is_not_a_file_is_refused_without_waiting(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    link = tmp_path / "link"
    link.symlink_to("nowhere")
    for path, code in [
        (tmp_path, "key-not-file"),
        (pipe, "key-not-file"),
        (link, "key-missing"),
        (tmp_path / "none", "key-missing"),
    ]:
        with pytest.raises(InputError) as caught:
            load_private(path, PASSWORD)
        assert caught.value.code == code


KEY = ec.generate_private_key(ec.SECP256R1())
OLD = KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(PASSWORD))


@pytest.mark.parametrize(
    ("data", "password", "code"),
    [
        (pkcs8(KEY, PASSWORD), b"wrong", "wrong-password"),
        (pkcs8(KEY, PASSWORD), b"", "wrong-password"),
        (pkcs8(KEY, PASSWORD)[:200], PASSWORD, "wrong-password"),
        (pkcs8(KEY, None), PASSWORD, "key-not-encrypted"),
        (OLD, PASSWORD, "key-not-encrypted"),
        (b"", PASSWORD, "bad-key"),
        (os.urandom(300), PASSWORD, "bad-key"),
        (pkcs8(rsa.generate_private_key(65537, 2048), PASSWORD), PASSWORD, "key-unsupported"),
        (pkcs8(ec.generate_private_key(ec.SECP384R1()), PASSWORD), PASSWORD, "key-unsupported"),
    ],
)
def test_other_private_keys_are_refused(tmp_path: Path, data: bytes, password: bytes, code: str) -> None:
    with pytest.raises(InputError) as caught:
        load_private(put(tmp_path / "key", data), password)
    assert caught.value.code == code
    assert caught.value.hint
    assert PASSWORD.decode() not in str(caught.value)


PUBLIC = (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    ("pem", "reason"),
    [
        (b"", "not a public key"),
        (pkcs8(KEY, None), "private"),
        (rsa.generate_private_key(65537, 2048).public_key().public_bytes(*PUBLIC), "RSA"),
        (dsa.generate_private_key(2048).public_key().public_bytes(*PUBLIC), "DSA"),
        (ed25519.Ed25519PrivateKey.generate().public_key().public_bytes(*PUBLIC), "Ed25519"),
        (ec.generate_private_key(ec.SECP384R1()).public_key().public_bytes(*PUBLIC), "secp384r1"),
        (ec.generate_private_key(ec.SECP256K1()).public_key().public_bytes(*PUBLIC), "secp256k1"),
        (b"x" * (1 << 17), "bytes"),
    ],
)
def test_other_public_keys_are_refused_with_the_reason(pem: bytes, reason: str) -> None:
    with pytest.raises(TrustError, match=reason) as caught:
        load_public(pem)
    assert caught.value.code == "bad-public-key"


def test_a_key_is_its_spki_whatever_its_pem_looked_like() -> None:
    pem = PublicKey(KEY.public_key()).pem
    assert load_public(b"a comment\n" + pem) == load_public(pem)
    assert load_public(pem) != PublicKey(ec.generate_private_key(ec.SECP256R1()).public_key())


def test_secrets_are_not_in_reprs(tmp_path: Path) -> None:
    private, _ = generate(tmp_path / "mine", PASSWORD)
    signer = load_private(private, PASSWORD)
    assert repr(signer) == f"FileSigner({load_public(signer.public_key_pem).digest.short})"
