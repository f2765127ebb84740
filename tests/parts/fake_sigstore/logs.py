"""Transparency logs: Rekor v1 with its promises and Rekor v2 without, and what entries say."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import rfc8785
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from .keys import Signer, b64, elliptic, private_key, sign, spki

FILLERS = 5  # a log is never empty, so no index is zero
SHARD = 4_000_000
"""Rekor v1 counts over all its shards: an entry's index is not the one in its proof."""
Body = dict[str, Any]


def sha256(data: bytes) -> bytes:
    """The digest's bytes."""
    return hashlib.sha256(data).digest()


def hashed(data: bytes) -> dict[str, str]:
    """How Rekor v1 spells a digest."""
    return {"algorithm": "sha256", "value": sha256(data).hex()}


# --- what entries say --------------------------------------------------------------------------


def hashedrekord(message: bytes, signature: bytes, signer: Signer) -> Body:
    """hashedrekord 0.0.1: a signature over a digest."""
    name, digest = signer.digest(message)
    key = {"content": b64(signer.verifier)}
    spec = {
        "data": {"hash": {"algorithm": name.replace("SHA2_", "sha"), "value": digest.hex()}},
        "signature": {"content": b64(signature), "publicKey": key},
    }
    return {"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": spec}


def dsse(envelope: bytes, signer: Signer) -> Body:
    """dsse 0.0.1: the digests of an envelope and of its payload, and the signature."""
    read = json.loads(envelope)
    spec = {
        "envelopeHash": hashed(envelope),
        "payloadHash": hashed(_payload(read)),
        "signatures": [{"signature": read["signatures"][0]["sig"], "verifier": b64(signer.verifier)}],
    }
    return {"apiVersion": "0.0.1", "kind": "dsse", "spec": spec}


def intoto1(envelope: bytes, signer: Signer) -> Body:
    """intoto 0.0.1, the oldest: it does not hold the signature."""
    content = {"hash": hashed(envelope), "payloadHash": hashed(_payload(json.loads(envelope)))}
    spec = {"content": content, "publicKey": b64(signer.verifier)}
    return {"apiVersion": "0.0.1", "kind": "intoto", "spec": spec}


def intoto2(envelope: bytes, signer: Signer) -> Body:
    """intoto 0.0.2: the envelope without its payload; the signature is base64 twice over."""
    read = json.loads(envelope)
    signature = {
        "publicKey": b64(signer.verifier),
        "sig": b64(read["signatures"][0]["sig"].encode()),
    }
    content = {
        "envelope": {"payloadType": read["payloadType"], "signatures": [signature]},
        "hash": hashed(envelope),
        "payloadHash": hashed(_payload(read)),
    }
    return {"apiVersion": "0.0.2", "kind": "intoto", "spec": {"content": content}}


def hashedrekord2(message: bytes, signature: bytes, signer: Signer) -> Body:
    """hashedrekord 0.0.2 of Rekor v2; for an envelope the message is its encoding for signing."""
    spec = {
        "data": _hashed2(message, signer),
        "signature": {"content": b64(signature), "verifier": _verifier2(signer)},
    }
    return {"apiVersion": "0.0.2", "kind": "hashedrekord", "spec": {"hashedRekordV002": spec}}


def dsse2(envelope: bytes, signer: Signer) -> Body:
    """dsse 0.0.2, the other thing that Rekor v2 may keep of an envelope."""
    read = json.loads(envelope)
    signature = {"content": read["signatures"][0]["sig"], "verifier": _verifier2(signer)}
    spec = {"payloadHash": _hashed2(_payload(read), signer), "signatures": [signature]}
    return {"apiVersion": "0.0.2", "kind": "dsse", "spec": {"dsseV002": spec}}


def _hashed2(data: bytes, signer: Signer) -> dict[str, str]:
    name, digest = signer.digest(data)
    return {"algorithm": name, "digest": b64(digest)}


def _verifier2(signer: Signer) -> Body:
    material = "x509Certificate" if signer.certificate else "publicKey"
    return {material: {"rawBytes": b64(signer.der)}, "keyDetails": signer.details}


def _payload(envelope: Body) -> bytes:
    return base64.b64decode(envelope["payload"])


# --- logs --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry with everything that its log says about it."""

    body: bytes
    kind: str
    version: str
    log_id: bytes
    log_index: int
    integrated_time: int
    """Seconds; 0 where the log does not say."""
    promise: bytes
    proof: dict[str, Any]

    def in_bundle(self, *, promise: bool = True, proof: bool = True) -> dict[str, Any]:
        """As a bundle carries it; the two may be left out."""
        made: dict[str, Any] = {
            "logIndex": str(self.log_index),
            "logId": {"keyId": b64(self.log_id)},
            "kindVersion": {"kind": self.kind, "version": self.version},
        }
        if self.integrated_time:
            made["integratedTime"] = str(self.integrated_time)
        if promise and self.promise:
            made["inclusionPromise"] = {"signedEntryTimestamp": b64(self.promise)}
        if proof:
            made["inclusionProof"] = self.proof
        return {**made, "canonicalizedBody": b64(self.body)}

    def in_annotation(self) -> dict[str, Any]:
        """As cosign's older format carries it."""
        payload = {
            "body": b64(self.body),
            "integratedTime": self.integrated_time,
            "logIndex": self.log_index,
            "logID": self.log_id.hex(),
        }
        return {"SignedEntryTimestamp": b64(self.promise), "Payload": payload}


class _Tree:
    """A Merkle tree (RFC 6962 §2.1) that grows."""

    def __init__(self, seed: str) -> None:
        self.leaves = [leaf_hash(f"{seed}/{number}".encode()) for number in range(FILLERS)]

    def append(self, body: bytes) -> tuple[int, bytes, list[bytes]]:
        """The leaf's index, the root and the path to it. A later leaf is there at once."""
        index = len(self.leaves)
        self.leaves.append(leaf_hash(body))
        shown = [*self.leaves, leaf_hash(b"later")]
        return index, root_hash(shown), path_to(index, shown)


def leaf_hash(data: bytes) -> bytes:
    """Of one entry."""
    return sha256(b"\0" + data)


def root_hash(leaves: list[bytes]) -> bytes:
    """Of a tree, from its leaves' hashes."""
    if len(leaves) == 1:
        return leaves[0]
    left = _split(len(leaves))
    return sha256(b"\1" + root_hash(leaves[:left]) + root_hash(leaves[left:]))


def path_to(index: int, leaves: list[bytes]) -> list[bytes]:
    """The audit path of a leaf, from below."""
    if len(leaves) == 1:
        return []
    left = _split(len(leaves))
    if index < left:
        return [*path_to(index, leaves[:left]), root_hash(leaves[left:])]
    return [*path_to(index - left, leaves[left:]), root_hash(leaves[:left])]


def _split(size: int) -> int:
    return 1 << (size - 1).bit_length() - 1


class RekorV1:
    """A log that promises (signed entry timestamp) and proves, and whose time counts."""

    def __init__(self, seed: str, host: str) -> None:
        self.host = host
        self.key: ec.EllipticCurvePrivateKey = elliptic(f"{seed}/rekor")
        self.log_id = sha256(spki(self.key))
        self._origin = f"{host} - {int.from_bytes(self.log_id[8:15], 'big')}"
        self._tree = _Tree(seed)

    def add(self, body: Body, at: datetime) -> Entry:
        """Take an entry at that time."""
        raw = rfc8785.dumps(body)
        index, root, path = self._tree.append(raw)
        seconds, log_index = int(at.timestamp()), SHARD + index
        promised: Body = {
            "body": b64(raw),
            "integratedTime": seconds,
            "logID": self.log_id.hex(),
            "logIndex": log_index,
        }
        return Entry(
            body=raw,
            kind=body["kind"],
            version=body["apiVersion"],
            log_id=self.log_id,
            log_index=log_index,
            integrated_time=seconds,
            promise=sign(self.key, rfc8785.dumps(promised)),
            proof=proof_of(index, root, path, self.checkpoint(len(self._tree.leaves) + 1, root)),
        )

    def checkpoint(self, size: int, root: bytes) -> str:
        """The log's signed word on its size and root."""
        note = f"{self._origin}\n{size}\n{b64(root)}\n"
        return _note(note, self.host, self.log_id[:4] + sign(self.key, note.encode()))


class RekorV2:
    """A log that only proves. Its time does not count: a signature in it needs a time stamp."""

    def __init__(self, seed: str, host: str) -> None:
        self.host = host
        key = private_key(f"{seed}/rekor2", "ed25519")
        assert isinstance(key, ed25519.Ed25519PrivateKey)
        self.key = key
        raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        # The id of a key in signed notes (c2sp.org/signed-note), all of it.
        self.log_id = sha256(f"{host}\n".encode() + b"\1" + raw)
        self._tree = _Tree(f"{seed}/2")

    def add(self, body: Body) -> Entry:
        """Take an entry."""
        raw = rfc8785.dumps(body)
        index, root, path = self._tree.append(raw)
        return Entry(
            body=raw,
            kind=body["kind"],
            version=body["apiVersion"],
            log_id=self.log_id,
            log_index=index,
            integrated_time=0,
            promise=b"",
            proof=proof_of(index, root, path, self.checkpoint(len(self._tree.leaves) + 1, root)),
        )

    def checkpoint(self, size: int, root: bytes) -> str:
        """The log's signed word on its size and root (c2sp.org/tlog-checkpoint)."""
        note = f"{self.host}\n{size}\n{b64(root)}\n"
        return _note(note, self.host, self.log_id[:4] + self.key.sign(note.encode()))


def _note(text: str, signer: str, signature: bytes) -> str:
    return f"{text}\n— {signer} {b64(signature)}\n"


def proof_of(index: int, root: bytes, path: list[bytes], checkpoint: str) -> dict[str, Any]:
    """An inclusion proof as a bundle spells it."""
    return {
        "logIndex": str(index),
        "rootHash": b64(root),
        "treeSize": checkpoint.split("\n")[1],
        "hashes": [b64(each) for each in path],
        "checkpoint": {"envelope": checkpoint},
    }
