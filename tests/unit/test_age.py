"""age files, compared with pyrage: what it writes is read at any place, and what was changed is refused."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap.base.errors import DamageError, InputError
from airgap.delivery.sealing import bech32
from airgap.delivery.sealing.encrypt import encrypt_bytes
from airgap.delivery.sealing.identities import load_identities, new_identity
from airgap.delivery.sealing.keys import AgeIdentity, X25519Identity
from airgap.delivery.sealing.recipients import Recipients, read_recipients
from airgap.delivery.sealing.stream import PIECE, SEALED_PIECE, TAG, AgeFile, open_bytes, plain_size, sealed_size

pyrage = pytest.importorskip("pyrage")

SECRET, RECIPIENT = new_identity()
IDENTITY = X25519Identity.parse(SECRET)
TO = read_recipients([RECIPIENT])
SEALED = encrypt_bytes(b"x" * 100, TO)
SIZES = [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 3 * PIECE + 7]


def opened(data: bytes, identity: AgeIdentity = IDENTITY) -> AgeFile:
    return AgeFile(lambda size, at: data[at : at + size], len(data), "a.age", [identity])


@pytest.mark.parametrize("size", SIZES)
def test_what_pyrage_writes_is_read_at_any_place(size: int) -> None:
    plain = bytes(at * 7 % 251 for at in range(size))
    sealed = encrypt_bytes(plain, TO)
    file = opened(sealed)
    assert (file.size, file.read_all()) == (size, plain)
    assert len(sealed) == sealed_size(size, len(file.head) - 16)
    assert pyrage.decrypt(sealed, [pyrage.x25519.Identity.from_str(SECRET)]) == plain
    for offset in {0, 1, PIECE - 1, PIECE, size // 2, max(0, size - 1), size}:
        for length in (1, 100, PIECE, 5 * PIECE):
            into = bytearray(length)
            done = file.readinto(memoryview(into), offset)
            assert into[:done] == plain[offset : offset + done]
            assert done or offset >= size


def parts(sealed: bytes) -> list[bytes]:
    """The header with its nonce, and the chunks."""
    head = opened(sealed).head
    return [head, *(sealed[at : at + SEALED_PIECE] for at in range(len(head), len(sealed), SEALED_PIECE))]


def test_chunks_that_were_moved_removed_or_added() -> None:
    head, *chunks = parts(encrypt_bytes(bytes(3 * PIECE + 5), TO))
    other = parts(encrypt_bytes(bytes(3 * PIECE + 5), TO))
    for changed in (
        [head, *chunks[:-1]],
        [head, *chunks[1:]],
        [head, chunks[1], chunks[0], *chunks[2:]],
        [head, *chunks, chunks[-1]],
        [head, *chunks, b"x"],
        [head, *chunks[:-1], chunks[-1][:-1]],
        [head, *chunks[:-1], chunks[0][:TAG]],
        [head, other[1], *chunks[1:]],
        [other[0], *chunks],
        [head],
        [head[:-1]],
        [head[:100]],
    ):
        with pytest.raises(DamageError, match="bad-seal"):
            open_bytes(b"".join(changed), "a.age", [IDENTITY])
    with pytest.raises(DamageError, match="bad-seal"):  # a whole last chunk that is empty
        open_bytes(b"".join([*parts(encrypt_bytes(bytes(PIECE), TO)), bytes(TAG)]), "a.age", [IDENTITY])


@given(st.data())
def test_a_flipped_bit_is_found_wherever_it_is(data: st.DataObject) -> None:
    sealed = bytearray(SEALED)
    at = data.draw(st.integers(0, len(sealed) - 1))
    sealed[at] ^= 1 << data.draw(st.integers(0, 7))
    # The kind of a stanza, flipped, is one for somebody else.
    with pytest.raises((DamageError, InputError), match=r"bad-seal|wrong-identity"):
        open_bytes(bytes(sealed), "a.age", [IDENTITY])


@pytest.mark.parametrize(("name", "more"), [("ed25519", []), ("rsa", ["-b", "2048"]), ("ed25519", ["-N", "phrase"])])
def test_keys_of_ssh(tmp_path: Path, name: str, more: list[str]) -> None:
    path = tmp_path / "key"
    command: list[str | Path] = ["ssh-keygen", "-q", "-t", name, "-C", "a comment", "-N", "", *more, "-f", path]
    try:
        subprocess.run(command, check=True)
    except FileNotFoundError:
        pytest.skip("needs ssh-keygen: apt-get install openssh-client")
    to = read_recipients([RECIPIENT, str(tmp_path / "key.pub")])
    (identity,) = load_identities([path], lambda _path: b"phrase")
    assert identity.recipient in to.keys
    assert open_bytes(encrypt_bytes(b"secret", to), "a.age", [identity]) == b"secret"
    assert open_bytes(encrypt_bytes(b"secret", to), "a.age", [IDENTITY]) == b"secret"
    with pytest.raises(InputError, match="wrong-identity"):
        open_bytes(encrypt_bytes(b"secret", TO), "a.age", [identity])
    shown = repr(identity) + repr(IDENTITY)
    assert SECRET not in shown
    assert str(IDENTITY.secret) not in shown
    if "phrase" in more:
        with pytest.raises(InputError, match="wrong-password"):
            load_identities([path], lambda _path: b"other")


@given(size=st.integers(0, 1 << 40), header=st.integers(100, 64 << 10))
def test_what_fits_into_a_volume_fits_when_it_is_encrypted(size: int, header: int) -> None:
    plain = plain_size(size, header)
    assert plain == 0 or sealed_size(plain, header) <= size
    assert sealed_size(plain + TAG + 1, header) > size


@given(st.binary(max_size=80), st.sampled_from(["age", "age-secret-key-"]))
def test_bech32_goes_there_and_back(data: bytes, prefix: str) -> None:
    text = bech32.encode(prefix, data)
    assert bech32.decode(text) == bech32.decode(text.upper()) == (prefix, data)
    if data:
        with pytest.raises(ValueError, match="checksum"):
            bech32.decode(text[:-1] + ("q" if text[-1] != "q" else "p"))


def test_recipients_are_those_that_age_takes(tmp_path: Path) -> None:
    small = base64.b64encode(b"\x00\x00\x00\x07ssh-rsa\x00\x00\x00\x03\x01\x00\x01\x00\x00\x00\x41\x00" + b"\xf1" * 64)
    for text in ("age1", RECIPIENT.upper(), f"{RECIPIENT}x", f"ssh-rsa {small.decode()}", "ssh-dss AAAA", "age1pq1qq"):
        with pytest.raises(InputError, match="bad-recipient"):
            read_recipients([text])
    many = [new_identity()[1] for _ in range(33)]
    with pytest.raises(InputError, match="bad-recipient"):
        read_recipients(many)
    (tmp_path / "to").write_text("\n".join([*many[:32], many[0]]))
    to = read_recipients([str(tmp_path / "to")])
    assert isinstance(to, Recipients)
    assert len(to.keys) == 32
    assert len(opened(encrypt_bytes(b"", read_recipients([*many[:31], RECIPIENT]))).head) < to.header
