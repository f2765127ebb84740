"""A stream and codes of an earlier version: still read, and as docs/format.md says, without airgap's code."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import struct
import zlib
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from airgap.base.digest import Digest
from airgap.diode.beats import Beat
from airgap.diode.codes import everything_code, is_receipt, read_code, receipt_code, resend_code, wanted
from airgap.diode.frames import FrameKind, FrameReader
from airgap.diode.keys import read_shared_key
from airgap.diode.outgoing import open_outgoing
from tests.golden.site import FOLDER
from tests.worlds.diode import DELIVERY, INDEX

GOLDEN = FOLDER / "roads"
STREAM = (GOLDEN / "evidence.ags").read_bytes()
CODES = json.loads((GOLDEN / "codes.json").read_text())
KEY = (GOLDEN / "shared.key").read_bytes().rstrip()
DIGEST = Digest.of(INDEX)
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def hkdf(key: bytes, salt: bytes, info: bytes) -> bytes:
    """RFC 5869, one block."""
    found = hmac.digest(salt or bytes(32), key, "sha256")
    return hmac.digest(found, info + b"\1", "sha256")


def test_the_stream_is_read_as_the_format_says() -> None:
    at, numbers, evidence = 0, [], b""
    while at < len(STREAM):
        header = STREAM[at : at + 56]
        magic, kind, zero, file, session, number, offset, size, length, crc = struct.unpack("!4sBBH16sQQQII", header)
        assert (magic, zero, crc) == (b"AGS1", 0, zlib.crc32(header[:52]))
        body, tag = STREAM[at : at + 56 + length], STREAM[at + 56 + length : at + 72 + length]
        cipher = AESGCM(hkdf(KEY, session, b"airgap-stream-1"))
        assert cipher.encrypt(struct.pack("!QI", number, 0), b"", body) == tag
        numbers.append(number)
        if kind == 3:
            assert (file, size, offset) == (2, 9728, len(evidence))
            evidence += body[56:]
        at += 72 + length
    assert numbers == list(range(len(numbers)))
    assert evidence == (DELIVERY / "evidence.tar").read_bytes()


def test_airgap_reads_it() -> None:
    frames = list(FrameReader(KEY).feed(b"noise AGS" + STREAM[:-1]))
    kinds = [frame.kind for frame in FrameReader(KEY).feed(STREAM)]
    assert kinds == [frame.kind for frame in frames] + [FrameKind.BEAT]
    assert kinds[0] is FrameKind.HELLO
    (beat,) = [Beat.decode(f.payload) for f in FrameReader(KEY).feed(STREAM) if f.kind is FrameKind.BEAT]
    assert (beat.every, beat.sent[0].delivery) == (30, DIGEST)


def test_codes_are_what_they_were() -> None:
    files = open_outgoing([DELIVERY]).files
    assert everything_code(DIGEST) == CODES["everything"]
    assert resend_code(DIGEST, files, {2: [(0, 9728)]}) == CODES["evidence"]
    assert wanted(read_code(CODES["evidence"]), files) == {2: [(0, 9728)]}
    assert resend_code(DIGEST, files, {0: [(40000, 65536)]}) == CODES["second half of volume 1"]
    assert receipt_code(KEY, DIGEST) == CODES["receipt"]
    assert is_receipt(read_code(CODES["receipt without a key"]), b"", DIGEST)
    assert CODES["everything"] in (Path(__file__).parents[2] / "docs/format.md").read_text()


def test_a_receipt_code_is_as_the_format_says() -> None:
    symbols = [ALPHABET.index(one) for group in CODES["receipt"].split("-") for one in group[:4]]
    assert symbols[0] == 2
    assert sum(symbol << 5 * (4 - at) for at, symbol in enumerate(symbols[1:6])) == int(DIGEST.hex[:8], 16) >> 7
    mark = hmac.digest(hkdf(KEY, b"", b"airgap-receipt-1"), bytes.fromhex(DIGEST.hex), "sha256")
    assert sum(symbol << 5 * (9 - at) for at, symbol in enumerate(symbols[6:16])) == int.from_bytes(mark[:8]) >> 14
    total = hashlib.sha256(b"airgap-code-1" + bytes(symbols[:16])).digest()
    assert sum(symbol << 5 * (3 - at) for at, symbol in enumerate(symbols[16:])) == int.from_bytes(total[:3]) >> 4
    assert re.fullmatch(r"([0-9A-Z]{5}-){4}[0-9A-Z]{5}", CODES["receipt"])


def test_the_key_of_the_golden_files_is_read(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(KEY + b"\n")
    (tmp_path / "key").chmod(0o600)
    assert read_shared_key(tmp_path / "key") == KEY
