"""cosign's key files: opened as cosign does, and told apart when they cannot be."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from airgap.base.errors import InputError
from airgap.statements.keys.cosign import STRENGTHS
from airgap.statements.keys.file import PublicKey, load_private, load_public

secret = pytest.importorskip("nacl.secret", reason="needs airgap[cosign-keys]")

PASSWORD = b"correct horse"
KEY = ec.generate_private_key(ec.SECP256R1())
Change = Callable[[dict[str, Any]], object]


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def box(content: bytes, password: bytes = PASSWORD, strength: int = 65536) -> dict[str, Any]:
    """The JSON that cosign writes."""
    salt, nonce = os.urandom(32), os.urandom(24)
    stretched = hashlib.scrypt(password, salt=salt, n=strength, r=8, p=1, dklen=32, maxmem=160 << 20)
    sealed = secret.SecretBox(stretched).encrypt(content, nonce).ciphertext
    return {
        "kdf": {"name": "scrypt", "params": {"N": strength, "r": 8, "p": 1}, "salt": b64(salt)},
        "cipher": {"name": "nacl/secretbox", "nonce": b64(nonce)},
        "ciphertext": b64(sealed),
    }


def pem(body: bytes, label: str = "SIGSTORE") -> bytes:
    name, text = f"ENCRYPTED {label} PRIVATE KEY", b64(body)
    lines = "\n".join(text[at : at + 64] for at in range(0, len(text), 64))
    return f"-----BEGIN {name}-----\n{lines}\n-----END {name}-----\n".encode()


def pkcs8(key: Any) -> bytes:
    made: bytes = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return made


GOOD = box(pkcs8(KEY))


@pytest.fixture
def put(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(data: bytes) -> Path:
        path = tmp_path / "cosign.key"
        path.write_bytes(data)
        path.chmod(0o600)
        return path

    return write


def refusal(path: Path, password: bytes = PASSWORD) -> InputError:
    with pytest.raises(InputError) as caught:
        load_private(path, password)
    assert caught.value.hint
    assert PASSWORD.decode() not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("label", ["SIGSTORE", "COSIGN"])
@pytest.mark.parametrize("strength", STRENGTHS)
def test_a_key_of_every_label_and_strength_opens(put: Callable[[bytes], Path], label: str, strength: int) -> None:
    path = put(pem(json.dumps(box(pkcs8(KEY), strength=strength)).encode(), label))
    signer = load_private(path, PASSWORD)
    assert load_public(signer.public_key_pem) == PublicKey(KEY.public_key())
    assert PublicKey(KEY.public_key()).verify(b"data", signer.sign(b"data"))


def test_a_file_that_others_can_read_is_refused(put: Callable[[bytes], Path]) -> None:
    path = put(pem(json.dumps(GOOD).encode()))
    path.chmod(0o644)
    assert refusal(path).code == "key-readable"


def test_a_wrong_password_and_a_flipped_seal_are_one_answer(put: Callable[[bytes], Path]) -> None:
    path = put(pem(json.dumps(GOOD).encode()))
    assert refusal(path, b"wrong").code == "wrong-password"
    sealed = bytearray(base64.b64decode(GOOD["ciphertext"]))
    sealed[-1] ^= 1
    path = put(pem(json.dumps({**GOOD, "ciphertext": b64(bytes(sealed))}).encode()))
    assert refusal(path).code == "wrong-password"


def test_an_empty_password_is_refused_though_cosign_allows_it(put: Callable[[bytes], Path]) -> None:
    path = put(pem(json.dumps(box(pkcs8(KEY), b"")).encode()))
    refused = refusal(path, b"")
    assert refused.code == "wrong-password"
    assert "cosign" in refused.hint


@pytest.mark.parametrize(
    "data",
    [
        pem(json.dumps(GOOD).encode())[:-20],
        pem(json.dumps(GOOD).encode()) * 2,
        pem(json.dumps(GOOD).encode()).replace(b"\n", b"!\n", 2),
        pem(b"not json"),
        pem(b'{"kdf": 1, "kdf": 2}'),
        pem(b"[]"),
        pem(b"{" * 20_000),
    ],
    ids=["cut", "twice", "not base64", "not json", "one name twice", "a list", "deep"],
)
def test_a_damaged_file_is_not_blamed_on_the_password(put: Callable[[bytes], Path], data: bytes) -> None:
    assert refusal(put(data)).code == "bad-key"


CHANGES: dict[str, tuple[Change, str]] = {
    "unknown field": (lambda box: box.update(more=1), "bad-key"),
    "no salt": (lambda box: box["kdf"].pop("salt"), "bad-key"),
    "short salt": (lambda box: box["kdf"].update(salt=b64(b"x")), "bad-key"),
    "short nonce": (lambda box: box["cipher"].update(nonce=b64(b"x")), "bad-key"),
    "empty box": (lambda box: box.update(ciphertext=""), "bad-key"),
    "base64 otherwise": (lambda box: box.update(ciphertext=box["ciphertext"] + "="), "bad-key"),
    "N is text": (lambda box: box["kdf"]["params"].update(N="65536"), "bad-key"),
    "other box": (lambda box: box["cipher"].update(name="aes"), "key-unsupported"),
    "other stretch": (lambda box: box["kdf"].update(name="pbkdf2"), "key-unsupported"),
    "N is huge": (lambda box: box["kdf"]["params"].update(N=2**40), "key-unsupported"),
    "N is 2^20": (lambda box: box["kdf"]["params"].update(N=2**20), "key-unsupported"),
    "N is small": (lambda box: box["kdf"]["params"].update(N=2), "key-unsupported"),
    "r is large": (lambda box: box["kdf"]["params"].update(r=1024), "key-unsupported"),
    "p is large": (lambda box: box["kdf"]["params"].update(p=2**30), "key-unsupported"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_box_is_refused_before_it_costs_anything(put: Callable[[bytes], Path], name: str) -> None:
    change, code = CHANGES[name]
    changed = json.loads(json.dumps(GOOD))
    change(changed)
    path = put(pem(json.dumps(changed).encode()))
    began = time.process_time()
    assert refusal(path).code == code
    assert time.process_time() - began < 0.05  # scrypt takes longer


@pytest.mark.parametrize(
    "key",
    [
        rsa.generate_private_key(65537, 2048),
        ec.generate_private_key(ec.SECP384R1()),
        ed25519.Ed25519PrivateKey.generate(),
    ],
    ids=["rsa", "p384", "ed25519"],
)
def test_other_algorithms_are_refused(put: Callable[[bytes], Path], key: Any) -> None:
    assert refusal(put(pem(json.dumps(box(pkcs8(key))).encode()))).code == "key-unsupported"


def test_a_box_without_a_key_is_told(put: Callable[[bytes], Path]) -> None:
    assert refusal(put(pem(json.dumps(box(b"no key")).encode()))).code == "bad-key"
