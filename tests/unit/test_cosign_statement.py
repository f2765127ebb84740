"""Our signatures in cosign's shapes: what counts as ours, and what the Sovereign resource says about them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airgap.base.canonical import canonical
from airgap.base.digest import Digest
from airgap.base.errors import TrustError
from airgap.content.graph import OCI_MANIFEST, Descriptor, parse_node
from airgap.resources.load import load_sovereign
from airgap.resources.sovereign import SignaturesConfig, SigningKey
from airgap.signatures import write as cosign
from airgap.signatures.formats.simple_signing import SIGNATURE
from airgap.signatures.scanner_report import Report
from airgap.statements.dsse import sign_payload
from airgap.statements.keys.file import Signer, load_public
from airgap.statements.predicates import Delivery
from tests.worlds.reports import report
from tests.worlds.trust import NOW, signed, signer

SUBJECT = Descriptor.of(OCI_MANIFEST, b"image")
KEY = signer()
PUBLIC = load_public(KEY.public_key_pem)
CLAIM = cosign.signature(SUBJECT.digest)


def attestation(subject: Digest = SUBJECT.digest, **scanner: Any) -> cosign.Claim:
    data = json.dumps(report(**scanner), indent=2).encode() + b"\n"
    return cosign.vulnerabilities(Report(subject, data))


@pytest.mark.parametrize("claim", [CLAIM, attestation()], ids=["signature", "attestation"])
def test_a_bundle_of_ours_is_known_again(claim: cosign.Claim) -> None:
    bundle = cosign.sign_bundle(claim, KEY)
    assert cosign.is_signed_by(bundle, claim, PUBLIC)
    assert not cosign.is_signed_by(bundle, cosign.signature(Digest.of(b"other")), PUBLIC)
    assert not cosign.is_signed_by(bundle, attestation(version="0.60.0"), PUBLIC)
    assert not cosign.is_signed_by(bundle, claim, load_public(signer().public_key_pem))


def test_a_report_stands_in_its_statement_as_it_is() -> None:
    claim = attestation()
    assert json.loads(claim.statement) == {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {"sha256": SUBJECT.digest.hex}}],
        "predicateType": "https://cosign.sigstore.dev/attestation/vuln/v1",
        "predicate": report(),
    }
    assert json.dumps(report(), indent=2).encode() in claim.statement
    assert CLAIM.statement == canonical(json.loads(CLAIM.statement))


def test_an_envelope_of_ours_is_known_again() -> None:
    claim = attestation()
    data = cosign.envelope(claim, KEY)
    assert cosign.is_enveloped_by(data, claim, PUBLIC)
    assert not cosign.is_enveloped_by(data, attestation(version="0.60.0"), PUBLIC)
    assert not cosign.is_enveloped_by(data, claim, load_public(signer().public_key_pem))
    document = json.loads(data)
    strange = (b"", b"{}", data[:-1], data.replace(b'"sig"', b'"keyid":"","sig"'), b"x" * (65 << 20))
    for other in (*strange, json.dumps({**document, "signatures": []}).encode()):
        assert not cosign.is_enveloped_by(other, claim, PUBLIC)
    layer = cosign.envelope_layer(claim, data)
    blob = cosign.envelope_blob(layer, claim)
    assert blob is not None
    assert (blob.digest, blob.size) == (Digest.of(data), len(data))
    changes: list[dict[str, Any]] = [{"annotations": None}, {"annotations": {}}, {"digest": "no"}, {"mediaType": ""}]
    for change in (*changes, {"size": 65 << 20}):
        assert cosign.envelope_blob({**layer, **change}, claim) is None


def other_predicate() -> bytes:
    statement = json.loads(CLAIM.statement)
    statement["predicateType"] = "https://cosign.sigstore.dev/attestation/vuln/v1"
    return sign_payload(json.dumps(statement).encode(), KEY)


@pytest.mark.parametrize(
    "bundle",
    [
        b"",
        b"{}",
        b"{" * 10_000,
        b"x" * (2 << 20),
        other_predicate(),
        signed(KEY, SUBJECT.digest, Delivery(), "exporter"),
        cosign.sign_bundle(CLAIM, KEY).replace(b'"sig":"M', b'"sig":"N'),
    ],
    ids=["empty", "no bundle", "deep", "large", "an attestation", "a statement", "damaged"],
)
def test_anything_else_is_somebody_elses(bundle: bytes) -> None:
    assert not cosign.is_signed_by(bundle, CLAIM, PUBLIC)


def test_a_referrer_is_a_node_with_its_subject() -> None:
    bundle = cosign.sign_bundle(CLAIM, KEY)
    made = cosign.referrer(SUBJECT, CLAIM, bundle, NOW)
    node = parse_node(made.manifest, made.data)
    assert node.subject == SUBJECT
    assert node.artifact_type == "application/vnd.dev.sigstore.bundle.v0.3+json"
    blobs = (cosign.EMPTY, *made.blobs)
    assert {one.digest for one in node.children} == {one.digest for one, _ in blobs}
    assert all(Digest.of(data) == one.digest for one, data in blobs)


def older(payload: bytes, key: Signer, *before: dict[str, Any]) -> cosign.Artifact:
    return cosign.older(cosign.simple_layer(payload, key), payload, before)


def test_the_older_layout_keeps_those_that_signed_before() -> None:
    payload = cosign.simple_payload(SUBJECT.digest, "registry.example/airgap/signatures")
    first = older(payload, KEY)
    other = signer()
    second = older(payload, other, *cosign.older_layers(first.data))
    layers = cosign.older_layers(second.data)
    assert layers[0] == cosign.older_layers(first.data)[0]
    for one, layer in zip((KEY, other), layers, strict=True):
        assert cosign.simple_signature(layer, load_public(one.public_key_pem), payload)
    assert not cosign.simple_signature(layers[0], load_public(other.public_key_pem), payload)
    elsewhere = cosign.simple_payload(Digest.of(b"other"), "registry.example/airgap/signatures")
    assert not cosign.simple_signature(layers[0], PUBLIC, elsewhere)
    with pytest.raises(TrustError):
        older(payload, KEY, *layers * cosign.MAX_LAYERS)


@pytest.mark.parametrize(
    "change",
    [
        {"annotations": None},
        {"annotations": {}},
        {"annotations": {SIGNATURE: 1}},
        {"annotations": {SIGNATURE: "?"}},
        {"annotations": {SIGNATURE: "AAAA"}},
        {"digest": 1},
        {"digest": "sha256:" + 64 * "0"},
    ],
)
def test_a_layer_that_is_not_ours_is_not(change: dict[str, Any]) -> None:
    payload = cosign.simple_payload(SUBJECT.digest, "r")
    (layer,) = cosign.older_layers(older(payload, KEY).data)
    assert cosign.simple_signature(layer, PUBLIC, payload)
    assert not cosign.simple_signature({**layer, **change}, PUBLIC, payload)


@pytest.mark.parametrize("manifest", [b"", b"[]", b"{}", b'{"layers": {}}', b'{"layers": [1]}', b'{"layers": [{}]}'])
def test_what_is_no_older_manifest_has_no_layers(manifest: bytes) -> None:
    assert cosign.older_layers(manifest) == []


def sovereign(key: str, signatures: str, folder: Path) -> Any:
    text = f"""\
apiVersion: airgap.openova.io/v1alpha1
kind: Sovereign
metadata: {{name: bank}}
spec:
  signingKey: {key}
  registries:
  - {{url: https://a.example.org, projects: {{docker.io: hub}}, signatures: {signatures}}}
  - {{url: https://b.example.org, projects: {{docker.io: hub}}}}
"""
    return load_sovereign(text.encode(), base_dir=folder)


def test_the_resource_says_where_and_by_which_key(tmp_path: Path) -> None:
    made = sovereign("{file: a.key, passwordFile: pw}", "{repository: airgap/signatures}", tmp_path)
    assert made.signing_key == SigningKey(str(tmp_path / "a.key"), tmp_path / "pw")
    assert [one.signatures for one in made.registries] == [
        SignaturesConfig(repository="airgap/signatures", layout=""),
        None,
    ]
    uri = "pkcs11:token=bank;object=admitted"
    beside = "{place: beside, layout: legacy}"
    made = sovereign(f"{{uri: '{uri}', passwordFile: /run/pin}}", beside, tmp_path)
    assert made.signing_key == SigningKey(uri, Path("/run/pin"))
    assert made.registries[0].signatures == SignaturesConfig(repository="", place="beside", layout="legacy")
