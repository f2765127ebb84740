"""The other half of the independent reader: what a scan station adds, what a Sovereign keeps, and what others signed.

Written from docs/format.md alone, like `reader`: nothing of airgap is used here. Waivers are YAML. What does not hold
raises `ValueError`. Of what others signed the signature itself is checked, by the key that came along or is given; who
that is, and what logs say, is what a verdict answers.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from tests.golden.reader import Delivery, digest, need, parse, time

COSIGN = "dev.cosignproject.cosign/signature"
EMPTY = digest(b"")

# verdicts and waivers


def check_verdicts(delivery: Delivery) -> dict[str, list[str]]:
    """Every lock has a verdict that lets each of its items in: `<check> <outcome>` of each check, by item."""
    roots = {one["item"]: one["digest"] for one in delivery.contents["roots"]}
    passed: dict[str, list[str]] = {}
    for lock in delivery.locks:
        [data] = [one for name, one in delivery.evidence.items() if name.startswith("locks/") and parse(one) == lock]
        about = [said for kind, subject, said in delivery.said if (kind, subject) == ("verdict", digest(data))]
        newest = [one for one in about if one["signedAt"] == max(other["signedAt"] for other in about)]
        need(bool(newest), "a lock without a verdict")
        for item in lock["items"]:
            for verdict in newest:
                _check_item(delivery, verdict, verdict["items"][item["name"]], roots[item["name"]])
                need(item["root"]["digest"] == roots[item["name"]], "another root in the lock")
                checks = verdict["items"][item["name"]]["checks"]
                passed[item["name"]] = [f"{one['check']} {one['outcome']}" for one in checks]
    return passed


def _check_item(delivery: Delivery, verdict: Any, judged: Any, root: str) -> None:
    need(judged["outcome"] == "pass" and judged["root"] == root and bool(judged["checks"]), "not let in")
    for check in judged["checks"]:
        need((check["outcome"] == "waived") == (check["waiver"] is not None), "a waiver goes with waived")
        if check["outcome"] != "pass":
            need(check["outcome"] == "waived", "a check says no")
            _check_waiver(delivery, verdict, check)


def _check_waiver(delivery: Delivery, verdict: Any, check: Any) -> None:
    name = check["waiver"]
    [listed] = [one for one in verdict["waivers"] if one["digest"] == name]
    data = delivery.evidence[f"waivers/{name.removeprefix('sha256:')}.yaml"]
    need(digest(data) == name, "another waiver")
    need(any((kind, subject) == ("approval", name) for kind, subject, _ in delivery.said), "nobody approved it")
    spec = yaml.load(data, yaml.BaseLoader)["spec"]  # times stay text
    need(check["check"] in spec["checks"] and check["subject"] in spec["digests"], "it waives something else")
    need(spec["expires"] == listed["expires"] and time(verdict["signedAt"]) < time(spec["expires"]), "it had ended")


def trust_roots(delivery: Delivery) -> dict[str, Any]:
    """The trusted_root.json files that travel, by name; those of a verdict are among them."""
    names = parse(delivery.evidence["roots/names.json"])
    files = {name: delivery.evidence[f"roots/{one.removeprefix('sha256:')}.json"] for name, one in names.items()}
    need(all(digest(files[name]) == one for name, one in names.items()), "another root")
    for _, _, said in delivery.said:
        for one in said.get("trustRoots", ()):
            need(names[one["name"]] == one["digest"], "a verdict rests on another root")
    return {name: parse(data) for name, data in files.items()}


def reports(delivery: Delivery) -> dict[str, Any]:
    """The scanner's reports that verdicts name, by the digest that each is about."""
    found: dict[str, Any] = {}
    for _, _, said in delivery.said:
        named = said.get("reports", ())
        need([one["subject"] for one in named] == sorted({one["subject"] for one in named}), "not in order")
        for one in named:
            data = delivery.evidence[f"reports/{one['digest'].removeprefix('sha256:')}.json"]
            need(digest(data) == one["digest"], "another report")
            found[one["subject"]] = parse(data)
    return found


# what a Sovereign keeps


def check_accepted(subject: str, said: Mapping[str, Any]) -> list[str]:
    """The digests of the deliveries in an accepted list, oldest first."""
    deliveries = said["deliveries"]
    need(subject == deliveries[-1]["digest"], "about another delivery")
    last: dict[str, int] = {}
    for one in deliveries:
        need(one["sequence"] > last.get(one["stream"], 0), "the sequence does not grow")
        last[one["stream"]] = one["sequence"]
    for key in ("id", "digest"):
        need(len({one[key] for one in deliveries}) == len(deliveries), f"one {key} twice")
    return [one["digest"] for one in deliveries]


def walk_log(data: bytes) -> dict[str, tuple[str, list[str]]]:
    """Action and subjects of each line of a log, by the digest of the line: a statement's `logHead`."""
    need(data.endswith(b"\n"), "torn")
    previous, found = EMPTY, {}
    for line in data.splitlines():
        entry = parse(line)
        need(entry["previous"] == previous, "the chain is broken")
        previous = digest(line)
        found[previous] = (entry["action"], entry["subjects"])
    return found


def trust_digest(keys: Sequence[Mapping[str, Any]], sovereign: str, require: Sequence[str]) -> str:
    """What an approval of a Trust resource is about; `keys` have name, role, pem, notBefore and notAfter."""
    said = [
        {
            **{name: key[name] for name in ("name", "role", "notBefore", "notAfter")},
            "spki": digest(_spki(key["pem"])),
            "revoked": None,
        }
        for key in sorted(keys, key=lambda key: str(key["name"]))
    ]
    document = {"apiVersion": "airgap.openova.io/v1alpha1", "kind": "Trust", "sovereign": sovereign,
                "keys": said, "require": sorted(require)}  # fmt: skip
    return digest(json.dumps(document, sort_keys=True, separators=(",", ":")).encode())


def _spki(pem: bytes) -> bytes:
    return load_pem_public_key(pem).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


# what others signed


def upstream(delivery: Delivery, item: Mapping[str, Any], key: bytes) -> Iterator[tuple[str, str, str]]:
    """Each thing attached to an item: format, what was said, and whose signature holds (`key`, `leaf`, or nobody's)."""
    for attached in item["attached"]:
        manifest = parse(delivery.blob(attached["digest"]))
        need(manifest.get("subject", attached).get("digest") in (attached["subject"], attached["digest"]), "subject")
        for layer in manifest["layers"]:
            blob = delivery.blob(layer["digest"])
            yield _one(layer, blob, attached, key)


def _one(layer: Any, blob: bytes, attached: Any, key: bytes) -> tuple[str, str, str]:
    kind, notes = layer["mediaType"], layer.get("annotations", {})
    leaf = notes.get("dev.sigstore.cosign/certificate", "").encode()
    if kind == "application/vnd.dev.cosign.simplesigning.v1+json":
        critical = parse(blob)["critical"]
        need(critical["image"]["docker-manifest-digest"] == attached["subject"], "of another image")
        need(critical["type"] == "cosign container image signature", "no image signature")
        return "simple signing", "signature", _who(blob, notes[COSIGN], leaf, key)
    envelope = parse(blob) if "json" in kind else {}
    name = "envelope"
    if kind.startswith("application/vnd.dev.sigstore.bundle"):
        need(envelope["mediaType"] == kind, "another version than the layer's")
        certificate = envelope["verificationMaterial"].get("certificate")
        leaf = b"" if certificate is None else _pem(base64.b64decode(certificate["rawBytes"]))
        name, envelope = "bundle", envelope["dsseEnvelope"]
    elif kind != "application/vnd.dsse.envelope.v1+json":
        return kind, "", ""
    payload = base64.b64decode(envelope["payload"])
    message = b"DSSEv1 28 application/vnd.in-toto+json %d %s" % (len(payload), payload)
    statement = parse(payload)
    said = [f"sha256:{one['digest'].get('sha256')}" for one in statement["subject"]]
    need(attached["subject"] in said, "about something else")
    [signature] = envelope["signatures"]
    signs = statement["predicateType"] == "https://sigstore.dev/cosign/sign/v1"
    what = "signature" if signs else statement["predicateType"]
    return name, what, _who(message, signature["sig"], leaf, key)


def _pem(der: bytes) -> bytes:
    return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)


def _who(message: bytes, signature: str, leaf: bytes, key: bytes) -> str:
    public = x509.load_pem_x509_certificate(leaf).public_key() if leaf else load_pem_public_key(key)
    assert isinstance(public, ec.EllipticCurvePublicKey)
    try:
        public.verify(base64.b64decode(signature), message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise ValueError("signature") from error
    return "leaf" if leaf else "key"
