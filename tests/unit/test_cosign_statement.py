"""Our signatures in cosign's shapes: what counts as ours, and what the Sovereign resource says about them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airgap.digest import Digest
from airgap.errors import TrustError
from airgap.graph import OCI_MANIFEST, Descriptor, parse_node
from airgap.resources.load import load_sovereign
from airgap.resources.model import SignaturesConfig, SigningKey
from airgap.trust import cosign_statement as cosign
from airgap.trust.dsse import sign_payload
from airgap.trust.keys import load_public
from airgap.trust.predicates import Delivery
from tests.trust_world import NOW, signed, signer

SUBJECT = Descriptor.of(OCI_MANIFEST, b"image")
KEY = signer()
PUBLIC = load_public(KEY.public_key_pem)


def test_a_bundle_of_ours_is_known_again() -> None:
    bundle = cosign.sign_bundle(SUBJECT.digest, KEY)
    assert cosign.is_signed_by(bundle, SUBJECT.digest, PUBLIC)
    assert not cosign.is_signed_by(bundle, Digest.of(b"other"), PUBLIC)
    assert not cosign.is_signed_by(bundle, SUBJECT.digest, load_public(signer().public_key_pem))


def other_predicate() -> bytes:
    statement = json.loads(cosign.statement(SUBJECT.digest))
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
        cosign.sign_bundle(SUBJECT.digest, KEY).replace(b'"sig":"M', b'"sig":"N'),
    ],
    ids=["empty", "no bundle", "deep", "large", "an attestation", "a statement", "damaged"],
)
def test_anything_else_is_somebody_elses(bundle: bytes) -> None:
    assert not cosign.is_signed_by(bundle, SUBJECT.digest, PUBLIC)


def test_a_referrer_is_a_node_with_its_subject() -> None:
    bundle = cosign.sign_bundle(SUBJECT.digest, KEY)
    made = cosign.referrer(SUBJECT, bundle, NOW)
    node = parse_node(made.manifest, made.data)
    assert node.subject == SUBJECT
    assert node.artifact_type == "application/vnd.dev.sigstore.bundle.v0.3+json"
    assert {one.digest for one in node.children} == {one.digest for one, _ in made.blobs}
    assert all(Digest.of(data) == one.digest for one, data in made.blobs)


def test_the_older_layout_keeps_those_that_signed_before() -> None:
    payload = cosign.simple_payload(SUBJECT.digest, "registry.example/airgap/signatures")
    first = cosign.simple(payload, KEY)
    other = signer()
    second = cosign.simple(payload, other, cosign.simple_layers(first.data))
    layers = cosign.simple_layers(second.data)
    assert layers[0] == cosign.simple_layers(first.data)[0]
    for one, layer in zip((KEY, other), layers, strict=True):
        assert cosign.simple_signature(layer, load_public(one.public_key_pem), payload)
    assert not cosign.simple_signature(layers[0], load_public(other.public_key_pem), payload)
    elsewhere = cosign.simple_payload(Digest.of(b"other"), "registry.example/airgap/signatures")
    assert not cosign.simple_signature(layers[0], PUBLIC, elsewhere)
    with pytest.raises(TrustError):
        cosign.simple(payload, KEY, layers * cosign.MAX_LAYERS)


@pytest.mark.parametrize(
    "change",
    [
        {"annotations": None},
        {"annotations": {}},
        {"annotations": {cosign.SIGNATURE: 1}},
        {"annotations": {cosign.SIGNATURE: "?"}},
        {"annotations": {cosign.SIGNATURE: "AAAA"}},
        {"digest": 1},
        {"digest": "sha256:" + 64 * "0"},
    ],
)
def test_a_layer_that_is_not_ours_is_not(change: dict[str, Any]) -> None:
    payload = cosign.simple_payload(SUBJECT.digest, "r")
    (layer,) = cosign.simple_layers(cosign.simple(payload, KEY).data)
    assert cosign.simple_signature(layer, PUBLIC, payload)
    assert not cosign.simple_signature({**layer, **change}, PUBLIC, payload)


@pytest.mark.parametrize("manifest", [b"", b"[]", b"{}", b'{"layers": {}}', b'{"layers": [1]}'])
def test_what_is_no_older_manifest_has_no_layers(manifest: bytes) -> None:
    assert cosign.simple_layers(manifest) == []


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
        SignaturesConfig("airgap/signatures", "bundle"),
        None,
    ]
    uri = "pkcs11:token=bank;object=admitted"
    beside = "{place: beside, layout: legacy}"
    made = sovereign(f"{{uri: '{uri}', passwordFile: /run/pin}}", beside, tmp_path)
    assert made.signing_key == SigningKey(uri, Path("/run/pin"))
    assert made.registries[0].signatures == SignaturesConfig("", "legacy")
