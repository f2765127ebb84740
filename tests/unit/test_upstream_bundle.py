"""Readers of formats: bundles and statements. What is read is exact, what is odd is refused."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from airgap.base.digest import Digest
from airgap.signatures.formats.bundle import MAX_ENTRIES, MAX_TIMESTAMPS, read_bundle
from airgap.signatures.formats.envelope import read_envelope
from airgap.signatures.formats.intoto import MAX_SUBJECTS, parse_statement
from airgap.signatures.record import COSIGN_SIGN, Refusal, SignatureLayout, Signed
from airgap.statements.dsse import PAYLOAD_TYPE, pae
from tests.parts.fake_sigstore import FakeSigstore, How, managed
from tests.parts.fake_sigstore.bundles import BUNDLE, MEDIA_TYPES, SPDX, BundleVersion

SIGSTORE = FakeSigstore()
AT = datetime(2024, 5, 1, tzinfo=UTC)
MANIFEST = b"an image"
IMAGE = Digest.of(MANIFEST)
KEYLESS = How(AT, stamp=True)
KEYED = How(AT, signer=managed("alice"), log="none")
Change = Callable[[dict[str, Any]], object]


def read(blob: bytes, media_type: str = BUNDLE, annotations: Mapping[str, str] | None = None) -> Signed:
    return read_bundle(IMAGE, "referrer", media_type, annotations or {}, blob, lambda: MANIFEST)


def refused(call: Callable[[], object]) -> str:
    """The reason of a refusal."""
    with pytest.raises(Refusal) as caught:
        call()
    assert caught.value.detail
    return caught.value.reason


def test_a_bundle_with_a_certificate_is_read_whole() -> None:
    blob = SIGSTORE.sign_image(IMAGE, KEYLESS)
    found = read(blob)
    document = json.loads(blob)
    entry = document["verificationMaterial"]["tlogEntries"][0]
    assert (found.layout, found.attestation, found.version) == (SignatureLayout.BUNDLE, False, "0.3")
    assert found.payload == base64.b64decode(document["dsseEnvelope"]["payload"])
    assert found.message == pae(found.payload, PAYLOAD_TYPE)
    assert found.stamped == found.signature
    assert found.certificate
    assert not found.hint
    assert not found.chain
    assert len(found.timestamps) == 1
    [read_entry] = found.entries
    assert read_entry.body == base64.b64decode(entry["canonicalizedBody"])
    assert str(read_entry.log_index) == str(entry["logIndex"])
    assert str(read_entry.integrated_time) == str(entry["integratedTime"])
    assert read_entry.promise
    assert read_entry.proof is not None
    assert (read_entry.kind, read_entry.version) == ("dsse", "0.0.1")


def test_a_bundle_with_a_key_has_a_hint_and_needs_nothing_else() -> None:
    blob = SIGSTORE.attest(IMAGE, SPDX, {"a": 1}, KEYED)
    found = read(blob)
    assert found.attestation
    assert found.hint
    assert (found.certificate, found.entries, found.timestamps) == (b"", (), ())
    bare = json.loads(blob)
    bare["verificationMaterial"] = {"publicKey": {}, "tlogEntries": None}
    assert read(json.dumps(bare).encode()).hint == ""


@pytest.mark.parametrize("version", MEDIA_TYPES)
def test_each_version_is_read(version: BundleVersion) -> None:
    blob = SIGSTORE.sign_image(IMAGE, How(AT, version=version))
    found = read(blob, MEDIA_TYPES[version])
    assert found.certificate
    assert not found.chain


def test_a_chain_of_an_earlier_version_begins_with_the_leaf() -> None:
    document = json.loads(SIGSTORE.sign_image(IMAGE, How(AT, version="0.1")))
    chain = document["verificationMaterial"]["x509CertificateChain"]["certificates"]
    chain.append({"rawBytes": "AAAA"})
    found = read(json.dumps(document).encode(), MEDIA_TYPES["0.1"])
    assert (found.certificate, found.chain) == (
        base64.b64decode(chain[0]["rawBytes"]),
        (b"\0\0\0",),
    )


def test_zero_values_may_be_left_out() -> None:
    document = json.loads(SIGSTORE.sign_image(IMAGE, KEYLESS))
    entry = document["verificationMaterial"]["tlogEntries"][0]
    for name in ("logIndex", "integratedTime", "inclusionPromise"):
        del entry[name]
    for name in ("logIndex", "hashes"):
        del entry["inclusionProof"][name]
    [found] = read(json.dumps(document).encode()).entries
    assert (found.log_index, found.integrated_time, found.promise) == (0, 0, b"")
    assert found.proof is not None
    assert (found.proof["logIndex"], found.proof["hashes"]) == ("0", [])


def _material(document: dict[str, Any]) -> dict[str, Any]:
    found = document["verificationMaterial"]
    assert isinstance(found, dict)
    return found


def _entry(document: dict[str, Any]) -> dict[str, Any]:
    found = _material(document)["tlogEntries"][0]
    assert isinstance(found, dict)
    return found


def _again(document: dict[str, Any], name: str, count: int) -> None:
    material = _material(document)
    if name == "tlogEntries":
        material[name] = material[name] * count
    else:
        stamps = material["timestampVerificationData"]
        stamps["rfc3161Timestamps"] = stamps["rfc3161Timestamps"] * count


ODD: dict[str, tuple[str, Change]] = {
    "another-type": ("unsupported-format", lambda d: d.update(mediaType="application/json")),
    "another-version": ("bad-bundle", lambda d: d.update(mediaType=MEDIA_TYPES["0.1"])),
    "no-type": ("bad-bundle", lambda d: d.pop("mediaType")),
    "unknown-field": ("bad-bundle", lambda d: d.update(more=1)),
    "no-content": ("bad-bundle", lambda d: d.pop("dsseEnvelope")),
    "two-contents": ("bad-bundle", lambda d: d.update(messageSignature={})),
    "no-material": ("bad-bundle", lambda d: d.update(verificationMaterial={})),
    "key-and-certificate": ("bad-bundle", lambda d: _material(d).update(publicKey={"hint": ""})),
    "empty-certificate": (
        "bad-certificate",
        lambda d: _material(d).update(certificate={"rawBytes": ""}),
    ),
    "chain-in-0.3": (
        "bad-bundle",
        lambda d: _material(d).update(x509CertificateChain={"certificates": [_material(d).pop("certificate")]}),
    ),
    "two-signatures": (
        "too-many",
        lambda d: d["dsseEnvelope"].update(signatures=[{"sig": "AA=="}] * 2),
    ),
    "no-signature": ("bad-bundle", lambda d: d["dsseEnvelope"].update(signatures=[])),
    "empty-signature": ("bad-bundle", lambda d: d["dsseEnvelope"].update(signatures=[{"sig": ""}])),
    "long-key-id": (
        "too-large",
        lambda d: d["dsseEnvelope"]["signatures"][0].update(keyid="x" * 5000),
    ),
    "payload-type": (
        "wrong-payload-type",
        lambda d: d["dsseEnvelope"].update(payloadType="text/plain"),
    ),
    "payload-not-json": ("bad-payload", lambda d: d["dsseEnvelope"].update(payload="AAAA")),
    "payload-url-safe": ("bad-bundle", lambda d: d["dsseEnvelope"].update(payload="-_==")),
    "payload-unpadded": ("bad-bundle", lambda d: d["dsseEnvelope"].update(payload="eyJ")),
    "snake-case": ("bad-bundle", lambda d: _entry(d).update(log_index=_entry(d).pop("logIndex"))),
    "negative-index": ("bad-bundle", lambda d: _entry(d).update(logIndex="-1")),
    "huge-index": ("bad-bundle", lambda d: _entry(d).update(logIndex=str(2**63))),
    "padded-index": ("bad-bundle", lambda d: _entry(d).update(logIndex="01")),
    "index-is-a-float": ("bad-bundle", lambda d: _entry(d).update(logIndex=1.0)),
    "index-is-true": ("bad-bundle", lambda d: _entry(d).update(logIndex=True)),
    "no-body": ("bad-bundle", lambda d: _entry(d).pop("canonicalizedBody")),
    "no-log": ("bad-bundle", lambda d: _entry(d).pop("logId")),
    "no-kind": ("bad-bundle", lambda d: _entry(d).update(kindVersion={"kind": "dsse"})),
    "no-checkpoint": ("bad-bundle", lambda d: _entry(d)["inclusionProof"].pop("checkpoint")),
    "hash-not-base64": ("bad-bundle", lambda d: _entry(d)["inclusionProof"].update(hashes=["?"])),
    "hash-is-a-number": ("bad-bundle", lambda d: _entry(d)["inclusionProof"].update(hashes=[1])),
    "many-hashes": ("too-many", lambda d: _entry(d)["inclusionProof"].update(hashes=["AA=="] * 65)),
    "many-entries": ("too-many", lambda d: _again(d, "tlogEntries", MAX_ENTRIES + 1)),
    "many-stamps": ("too-many", lambda d: _again(d, "stamps", MAX_TIMESTAMPS + 1)),
    "entries-no-list": ("bad-bundle", lambda d: _material(d).update(tlogEntries={})),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_bundle_is_refused_with_its_reason(name: str) -> None:
    reason, change = ODD[name]
    document = json.loads(SIGSTORE.sign_image(IMAGE, KEYLESS))
    change(document)
    assert refused(lambda: read(json.dumps(document).encode())) == reason


def test_what_is_no_json_or_has_a_key_twice_is_refused() -> None:
    good = SIGSTORE.sign_image(IMAGE, KEYED)
    assert refused(lambda: read(b"")) == "bad-bundle"
    assert refused(lambda: read(good + b"{}")) == "bad-bundle"
    assert refused(lambda: read(b"[" * 100_000)) == "bad-bundle"
    assert refused(lambda: read(b"[]")) == "bad-bundle"
    assert refused(lambda: read(good.decode().encode("utf-16"))) == "bad-bundle"
    twice = good.replace(b'{"mediaType"', b'{"mediaType":"","mediaType"', 1)
    assert refused(lambda: read(twice)) == "duplicate-key"


def test_a_bundle_may_sign_the_manifest_itself() -> None:
    """What `cosign sign-blob --bundle` makes of the manifest's file."""
    blob = SIGSTORE.sign_blob(MANIFEST, KEYLESS)
    found = read(blob)
    assert (found.layout, found.attestation, found.payload_type) == (SignatureLayout.BUNDLE, False, "")
    assert (found.message, found.payload, found.statement) == (MANIFEST, MANIFEST, None)
    assert found.stamped == found.signature
    annotations = {"dev.sigstore.bundle.content": "message-signature"}
    assert read(blob, annotations=annotations) == found
    assert refused(lambda: read(blob, annotations={"dev.sigstore.bundle.content": "dsse-envelope"})) == "bad-bundle"


MESSAGES: dict[str, tuple[str, Change]] = {
    "another": ("wrong-subject", lambda m: m["messageDigest"].update(digest=base64.b64encode(b"x" * 32).decode())),
    "another-hash": ("wrong-subject", lambda m: m["messageDigest"].update(algorithm="SHA2_512")),
    "unknown-hash": ("bad-bundle", lambda m: m["messageDigest"].update(algorithm="SHA1")),
    "no-hash": ("bad-bundle", lambda m: m["messageDigest"].pop("algorithm")),
    "not-base64": ("bad-bundle", lambda m: m["messageDigest"].update(digest="%")),
    "unknown-field": ("bad-bundle", lambda m: m.update(more=1)),
    "no-signature": ("bad-bundle", lambda m: m.pop("signature")),
    "empty-signature": ("bad-bundle", lambda m: m.update(signature="")),
    "two-contents": ("bad-bundle", lambda m: m.update(dsseEnvelope={})),
    "nothing-to-compare": ("bad-bundle", lambda m: m.pop("messageDigest")),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_what_a_bundle_says_about_its_message_must_be_right(name: str) -> None:
    reason, change = MESSAGES[name]
    document = json.loads(SIGSTORE.sign_blob(MANIFEST, KEYED))
    change(document if name == "two-contents" else document["messageSignature"])
    blob = json.dumps(document).encode()
    assert refused(lambda: read(blob)) == reason


def test_the_leaf_alone_may_be_in_a_bundle_of_any_version() -> None:
    """The specification demands a chain in the earlier ones only of Sigstore's public instance."""
    document = json.loads(SIGSTORE.sign_image(IMAGE, KEYLESS))
    for version in ("0.1", "0.2"):
        document["mediaType"] = MEDIA_TYPES[version]
        found = read(json.dumps(document).encode(), MEDIA_TYPES[version])
        assert found.certificate
        assert not found.chain


def test_the_layer_and_the_bundle_say_the_same_version() -> None:
    blob = SIGSTORE.sign_image(IMAGE, KEYED)
    assert read(blob, MEDIA_TYPES["0.3-alt"]).hint
    assert refused(lambda: read(blob, MEDIA_TYPES["0.1"])) == "bad-bundle"
    assert refused(lambda: read(blob, "application/vnd.dev.sigstore.bundle.v0.4+json")) == "unsupported-format"


def test_annotations_may_be_missing_but_not_wrong() -> None:
    blob = SIGSTORE.attest(IMAGE, SPDX, {}, KEYED)
    kind, content = "dev.sigstore.bundle.predicateType", "dev.sigstore.bundle.content"
    assert read(blob, annotations={kind: SPDX, content: "dsse-envelope", "other": "x"}).attestation
    assert refused(lambda: read(blob, annotations={kind: COSIGN_SIGN})) == "wrong-predicate-type"
    assert refused(lambda: read(blob, annotations={content: "message-signature"})) == "bad-bundle"


# --- statements --------------------------------------------------------------------------------


def _statement(**change: Any) -> bytes:
    made = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {"sha256": IMAGE.hex}}],
        "predicateType": SPDX,
        "predicate": {},
        **change,
    }
    return json.dumps({key: value for key, value in made.items() if value != "gone"}).encode()


def test_a_statement_may_have_several_subjects_and_other_algorithms() -> None:
    others = [{"name": "x", "digest": {"gitCommit": "abcd", "sha256": "0" * 64}}]
    mine = [{"digest": {"sha512": "ab", "sha256": IMAGE.hex}, "annotations": {"k": "v"}}]
    found = parse_statement(_statement(subject=others + mine), PAYLOAD_TYPE)
    assert found.names(IMAGE)
    assert found.attests
    assert not found.names(Digest.of(b"another"))
    old = parse_statement(_statement(_type="https://in-toto.io/Statement/v0.1"), PAYLOAD_TYPE)
    assert old.names(IMAGE)
    assert not parse_statement(_statement(predicateType=COSIGN_SIGN), PAYLOAD_TYPE).attests
    for predicate in ("gone", None, {}, {"a": [{"b": 1}]}):
        assert parse_statement(_statement(predicate=predicate), PAYLOAD_TYPE).names(IMAGE)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"_type": "https://in-toto.io/Statement/v2"}, "bad-payload"),
        ({"_type": "gone"}, "bad-payload"),
        ({"predicateType": ""}, "bad-payload"),
        ({"predicateType": 1}, "bad-payload"),
        ({"predicateType": "\ud800"}, "bad-payload"),
        ({"subject": []}, "bad-payload"),
        ({"subject": {}}, "bad-payload"),
        ({"subject": [{"name": "x"}]}, "bad-payload"),
        ({"subject": [{"digest": {}}]}, "bad-payload"),
        ({"subject": [{"digest": {"sha256": 1}}]}, "bad-payload"),
        ({"subject": [{"digest": {"sha256": IMAGE.hex.upper()}}]}, "bad-payload"),
        ({"subject": [{"digest": {"sha256": str(IMAGE)}}]}, "bad-payload"),
        ({"subject": [{"digest": {"sha256": IMAGE.hex}, "more": 1}]}, "bad-payload"),
        ({"subject": [{"digest": {"sha256": IMAGE.hex}, "name": 1}]}, "bad-payload"),
        ({"subject": [{"digest": {f"a{n}": "b" for n in range(33)}}]}, "bad-payload"),
        ({"subject": [{"digest": {"sha256": IMAGE.hex, "sha512": "x"}}]}, "bad-payload"),
        ({"predicate": 5}, "bad-payload"),
        ({"predicate": [{}]}, "bad-payload"),
        ({"subject": [{"digest": {"sha256": IMAGE.hex}}] * (MAX_SUBJECTS + 1)}, "too-many"),
        ({"more": 1}, "bad-payload"),
    ],
)
def test_an_odd_statement_is_refused(change: dict[str, Any], reason: str) -> None:
    assert refused(lambda: parse_statement(_statement(**change), PAYLOAD_TYPE)) == reason


def test_a_predicate_that_is_a_text_is_of_older_attestations_alone() -> None:
    payload = _statement(predicate="SPDXVersion: SPDX-2.3")
    assert parse_statement(payload, PAYLOAD_TYPE).text
    assert refused(lambda: read(SIGSTORE.sign_statement(payload, KEYED))) == "bad-payload"
    layer = SIGSTORE.old_statement(payload, KEYED)
    assert read_envelope(IMAGE, "tag", layer.annotations, layer.blob).attestation
