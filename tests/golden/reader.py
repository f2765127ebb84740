"""An independent reader of deliveries and receipts, written from docs/format.md alone: nothing of airgap is used here.

It needs the standard library and `cryptography`, and the public keys by role. What does not hold raises `ValueError`.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key

SIGNS = {"pull": ["exporter"], "delivery": ["exporter", "station"], "approval": ["security-officer"],
         "verdict": ["station"], "receipt": ["sovereign"], "audit": ["sovereign"],
         "accepted": ["sovereign"]}  # fmt: skip


def need(holds: bool, what: str) -> None:
    """Raises where something does not hold."""
    if not holds:
        raise ValueError(what)


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def parse(data: bytes) -> Any:
    """JSON without a key twice."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        need(len(dict(pairs)) == len(pairs), "a key occurs twice")
        return dict(pairs)

    return json.loads(data.decode(), object_pairs_hook=once)


def time(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def read_statement(bundle: bytes, keys: Mapping[str, bytes]) -> tuple[str, str, dict[str, Any]]:
    """The kind, subject and predicate of a statement that a key of the right role signed."""
    document = parse(bundle)
    need(document["mediaType"] == "application/vnd.dev.sigstore.bundle.v0.3+json", "media type")
    envelope = document["dsseEnvelope"]
    payload = base64.b64decode(envelope["payload"], validate=True)
    [signature] = envelope["signatures"]
    need(envelope["payloadType"] == "application/vnd.in-toto+json", "payload type")
    signed = b"DSSEv1 28 application/vnd.in-toto+json %d %s" % (len(payload), payload)
    statement = parse(payload)
    predicate = statement["predicate"]
    need(statement["_type"] == "https://in-toto.io/Statement/v1", "not a statement")
    [subject] = statement["subject"]
    kind = statement["predicateType"].removeprefix("https://airgap.openova.io/").removesuffix("/v1")
    need(predicate["role"] in SIGNS[kind], "this role may not say this")
    key = load_pem_public_key(keys[predicate["role"]])
    assert isinstance(key, ec.EllipticCurvePublicKey)
    try:
        key.verify(base64.b64decode(signature["sig"]), signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise ValueError("signature") from error
    return kind, "sha256:" + subject["digest"]["sha256"], predicate


class Delivery:
    """A delivery in one folder, every signature and every byte checked when it is made."""

    def __init__(self, folder: Path, keys: Mapping[str, bytes], sovereign: str, now: datetime) -> None:
        self.folder = folder
        # 1. and 2. The index as bytes, and who signed it.
        data = (folder / "AIRGAP.json").read_bytes()
        self.digest = digest(data)
        said = [read_statement(path.read_bytes(), keys) for path in (folder / "signatures").iterdir()]
        need(all(subject == self.digest for _, subject, _ in said), "signature of something else")
        self.signed = sorted(kind for kind, _, _ in said)
        need("delivery" in self.signed, "no delivery statement")
        # 3. and 4. What it says of itself.
        index = parse(data)
        need(index["apiVersion"] == "airgap.openova.io/v1alpha1", "another format")
        self.contents, self.journey = index["contents"], index["journey"]
        need(self.journey["sovereign"] == sovereign, "for another Sovereign")
        need(time(self.journey["created"]) <= now <= time(self.journey["expires"]), "not due")
        # 5. and 6. Locks, and statements about them.
        files = self.evidence = self._evidence()
        locks = {digest(data): data for name, data in files.items() if name.startswith("locks/")}
        need(set(locks) == set(self.contents["locks"]), "locks")
        self.locks = [parse(locks[name]) for name in self.contents["locks"]]
        bundles = {digest(data): data for name, data in files.items() if name.startswith("statements/")}
        need(set(bundles) == {one["digest"] for one in self.journey["evidence"]["list"]}, "statements")
        self.said = [read_statement(data, keys) for data in bundles.values()]
        # 7. Volumes, whole, then every blob.
        for volume in self.contents["volumes"]:
            self._file(volume)
        for one in self.contents["blobs"]:
            self.blob(one)

    def _file(self, entry: Mapping[str, Any]) -> bytes:
        data = Path(self.folder, entry["name"]).read_bytes()
        need((len(data), digest(data)) == (entry["size"], "sha256:" + entry["sha256"]), entry["name"])
        return data

    def _evidence(self) -> dict[str, bytes]:
        with tarfile.open(fileobj=io.BytesIO(self._file(self.journey["evidence"]))) as archive:
            members = {m.name: archive.extractfile(m) for m in archive}
            return {name: file.read() for name, file in members.items() if file is not None}

    def blob(self, name: str) -> bytes:
        """A blob, out of its extents."""
        volumes = [Path(self.folder, volume["name"]) for volume in self.contents["volumes"]]
        extents = self.contents["blobs"][name]
        data = b"".join(volumes[n - 1].read_bytes()[at : at + length] for n, at, length in extents)
        need(digest(data) == name, name)
        return data

    def items(self) -> Iterator[tuple[str, str, list[str]]]:
        """Kind, name and all blobs of each item. The roots are those of the locks, for Git of the pull statement."""
        pulled = {k: v for kind, _, p in self.said if kind == "pull" for k, v in p["items"].items()}
        entries = [item for lock in self.locks for item in lock["items"]]
        for item, root in zip(entries, self.contents["roots"], strict=True):
            need((item["name"], item["kind"]) == (root["item"], root["kind"]), "roots and locks differ")
            need(root["digest"] == pulled[item["name"]]["root"], "roots and pull statement differ")
            need(item.get("root", root)["digest"] == root["digest"], "roots and locks differ")
            found = list(self._walk(root["digest"], item.get("platforms")))
            for attached in item.get("attached", ()):
                found += self._walk(attached["digest"], None)
            yield item["kind"], item["name"], found

    def _walk(self, name: str, platforms: list[str] | None) -> Iterator[str]:
        yield name
        node = parse(self.blob(name))
        for child in node.get("manifests", ()):
            said = child.get("platform", {})
            platform = "/".join(said[key] for key in ("os", "architecture", "variant") if key in said)
            if platforms is None or any(f"{platform}/".startswith(f"{one}/") for one in platforms):
                yield from self._walk(child["digest"], platforms)
        for leaf in [node["config"], *node["layers"]] if "layers" in node else ():
            need(len(self.blob(leaf["digest"])) == leaf["size"], leaf["digest"])
            yield leaf["digest"]
