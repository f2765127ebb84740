"""Entries of transparency logs: the root lists the log, the log promised or proves the entry, and the entry matches.

Sources: Rekor's openapi.yaml (signed entry timestamps); RFC 9162 §2.1 (Merkle trees); c2sp.org/tlog-checkpoint and
c2sp.org/signed-note (checkpoints). In Rekor v1 only the promise has a time; Rekor v2 has no promises.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime

from airgap.base.canonical import canonical
from airgap.base.times import utc_text
from airgap.signatures.engines.bodies import compare
from airgap.signatures.formats.strict import fields, refusing, sequence, unbase64, whole
from airgap.signatures.record import LogEntry, Refusal, SignatureLayout, Signed
from airgap.signatures.roots.instances import TransparencyLog
from airgap.signatures.roots.trust_root import TrustRoot

MAX_CHECKPOINT = 64 << 10
"""Bytes of a checkpoint: each witness adds a line."""
MAX_HASHES = 64
"""Hashes of a proof: a tree of 2^63 leaves needs 63."""
_BAD_PROOF = "bad-proof"
_BAD_PROMISE = "bad-promise"
_NOTE_SIGNATURE = re.compile("\u2014 ([^\\s]+) ([A-Za-z0-9+/=]+)\\Z")
_SIZE = re.compile(r"(?:0|[1-9][0-9]{0,18})\Z")


def verify_entries(signed: Signed, root: TrustRoot, material: bytes) -> list[datetime]:
    """When logs of `root` recorded the entries of this signature; entries without a time are left out.

    `material` is the certificate or the key that signed, DER. Every included entry must verify, each from a different
    log: a signer that uses several logs claims that each has it. Raises `Refusal`: `too-many`, and as `verify_entry`.
    """
    if len({entry.log_id for entry in signed.entries}) != len(signed.entries):
        raise Refusal("too-many", "one log has two entries for this signature")
    found = (verify_entry(entry, signed, root, material) for entry in signed.entries)
    return [moment for moment in found if moment is not None]


def verify_entry(entry: LogEntry, signed: Signed, root: TrustRoot, material: bytes) -> datetime | None:
    """When a log of `root` recorded one entry; None if it proves the entry without a time.

    1. The root names the log. 2. The log promised the entry, or proves it, or both; each one present must verify.
    3. The log is trusted at that time. 4. The entry is about this signature. Raises `Refusal`: `unknown-log`,
    `bad-promise`, `bad-proof`, `outside-window`, `entry-mismatch`, `unsupported-format`, `unsupported-algorithm`.
    """
    # 1.
    log = known_log(entry, root)
    # 2.
    moment = _check_promise(entry, log)
    if entry.proof is not None:
        _check_proof(entry, log)
    elif moment is None or _needs_proof(signed):
        raise Refusal(_BAD_PROOF, "the log entry has no proof")
    # 3.
    if moment is not None and not log.window.holds([moment]):
        raise Refusal(
            "outside-window",
            f"logged {utc_text(moment)}; the log {log.id.hex()} is trusted from {log.window}",
        )
    # 4.
    compare(entry, signed, material)
    return moment


def known_log(entry: LogEntry, root: TrustRoot) -> TransparencyLog:
    """The log that the entry names. Raises `Refusal` (`unknown-log`)."""
    log = root.log(entry.log_id)
    if log is None:
        raise Refusal(
            "unknown-log",
            "the trust root is too old or belongs to another Sigstore instance: it does not list log id "
            f"{entry.log_id.hex()} (trust root {root.name})",
        )
    return log


def _needs_proof(signed: Signed) -> bool:
    """True for bundles except version 0.1, as sigstore_bundle.proto requires; older formats cannot carry a proof."""
    return signed.layout is SignatureLayout.BUNDLE and signed.version != "0.1"


def _check_promise(entry: LogEntry, log: TransparencyLog) -> datetime | None:
    """The signed entry timestamp, over all that the log states about the entry. A time without it proves nothing."""
    if not entry.promise and not entry.integrated_time:
        return None
    if not entry.promise or not entry.integrated_time:
        missing = "promise" if not entry.promise else "time"
        raise Refusal(_BAD_PROMISE, f"the log entry has no {missing}")
    try:
        signed = canonical(
            {
                "body": base64.b64encode(entry.body).decode(),
                "integratedTime": entry.integrated_time,
                "logID": entry.log_id.hex(),
                "logIndex": entry.log_index,
            }
        )
        moment = datetime.fromtimestamp(entry.integrated_time, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise Refusal(_BAD_PROMISE, "the log entry's index is not valid") from error
    if not log.verify(entry.promise, signed):
        raise Refusal(_BAD_PROMISE, "the log's signed promise (SET) does not match this entry")
    return moment


def _check_proof(entry: LogEntry, log: TransparencyLog) -> None:
    """The inclusion proof leads from the entry to a root that the log signed."""
    with refusing():
        names = {"rootHash", "treeSize", "checkpoint"}
        maybe = frozenset({"logIndex", "hashes"})
        proof = fields(entry.proof, names, "inclusion proof", _BAD_PROOF, maybe)
        at = proof.at("checkpoint")
        note = fields(proof.values["checkpoint"], {"envelope"}, at, _BAD_PROOF).text("envelope")
        index, size = whole(proof, "logIndex"), whole(proof, "treeSize")
        path = [unbase64(str(one), proof.at("hashes"), _BAD_PROOF) for one in sequence(proof, "hashes", MAX_HASHES)]
        top = proof.binary("rootHash")
    # A log with several trees (Rekor v1) gives both numbers; the promise covers the other one.
    if not entry.promise and index != entry.log_index:
        raise Refusal(_BAD_PROOF, f"the inclusion proof is for entry {index}, but the log entry is {entry.log_index}")
    if root_of(entry.body, index, size, path) != top:
        raise Refusal(_BAD_PROOF, "the inclusion proof does not lead to its root")
    if _checkpoint(note, log) != (size, top):
        raise Refusal(_BAD_PROOF, "the log's checkpoint is for a different tree than the inclusion proof")


def root_of(body: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """The root of the tree to which the path leads from an entry, None if it leads nowhere (RFC 9162 §2.1.3.2)."""
    if index >= size:
        return None
    place, last = index, size - 1
    node = hashlib.sha256(b"\0" + body).digest()
    for step in path:
        if last == 0:
            return None
        if place & 1 or place == last:
            node = hashlib.sha256(b"\1" + step + node).digest()
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            node = hashlib.sha256(b"\1" + node + step).digest()
        place, last = place >> 1, last >> 1
    return node if last == 0 else None


def _checkpoint(note: str, log: TransparencyLog) -> tuple[int, bytes]:
    """The size and root that the log signed. Witnesses may have signed too; airgap need not know them."""
    if len(note) > MAX_CHECKPOINT:
        raise Refusal("too-large", f"the checkpoint has {len(note)} characters")
    text, separator, rest = note.partition("\n\n")
    lines = text.split("\n")
    if not separator or not rest.endswith("\n") or len(lines) < 3 or not _SIZE.match(lines[1]):
        raise Refusal(_BAD_PROOF, "the checkpoint cannot be read")
    found = [_NOTE_SIGNATURE.match(line) for line in rest[:-1].split("\n")]
    # Rekor v1 adds its tree's number to the name in the first line.
    name, signed = lines[0].split(" - ")[0], f"{text}\n".encode()
    ours = False
    for one in found:
        if one is None:
            raise Refusal(_BAD_PROOF, "the checkpoint has a signature line that cannot be read")
        signature = unbase64(one[2], "checkpoint", _BAD_PROOF)
        if one[1] == name and signature[:4] == log.id[:4]:
            ours = ours or log.verify(signature[4:], signed)
    if not ours:
        raise Refusal(_BAD_PROOF, "the log did not sign the checkpoint")
    return int(lines[1]), unbase64(lines[2], "checkpoint", _BAD_PROOF)
