"""cosign's older signatures and attestations: what is read is exact, what is odd is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from airgap.base.digest import Digest
from airgap.signatures.formats.envelope import read_envelope
from airgap.signatures.formats.simple_signing import read_simple_signing, signed_digest
from airgap.signatures.record import COSIGN_SIGN, Refusal, SignatureLayout
from airgap.statements.dsse import PAYLOAD_TYPE, pae
from tests.parts.fake_sigstore import FakeSigstore, How, managed
from tests.parts.fake_sigstore.bundles import SPDX

SIGSTORE = FakeSigstore()
AT = datetime(2024, 5, 1, tzinfo=UTC)
IMAGE = Digest.of(b"an image")
KEYLESS = How(AT, stamp=True)
KEYED = How(AT, signer=managed("alice"), log="none")
Change = Callable[[dict[str, Any]], object]


def refused(call: Callable[[], object]) -> str:
    """The reason of a refusal."""
    with pytest.raises(Refusal) as caught:
        call()
    assert caught.value.detail
    return caught.value.reason


def test_an_older_signature_is_read_whole() -> None:
    layer = SIGSTORE.old_signature(IMAGE, KEYLESS)
    found = read_simple_signing(IMAGE, "tag", layer.annotations, layer.blob)
    assert (found.layout, found.attestation) == (SignatureLayout.SIMPLE_SIGNING, False)
    assert found.payload == found.message == layer.blob
    assert found.stamped == found.signature
    assert found.certificate
    assert found.chain
    assert (len(found.entries), len(found.timestamps)) == (1, 1)
    assert found.entries[0].promise
    assert found.entries[0].proof is None
    bare = SIGSTORE.old_signature(IMAGE, KEYED)
    assert read_simple_signing(IMAGE, "tag", bare.annotations, bare.blob).certificate == b""


def test_an_older_attestation_is_stamped_as_a_whole() -> None:
    layer = SIGSTORE.old_attestation(IMAGE, SPDX, {"a": 1}, KEYLESS)
    found = read_envelope(IMAGE, "tag", layer.annotations, layer.blob)
    assert (found.layout, found.attestation, found.stamped) == (SignatureLayout.ENVELOPE, True, layer.blob)
    assert found.message == pae(found.payload, PAYLOAD_TYPE)


SIGNATURE = "dev.cosignproject.cosign/signature"
CERTIFICATE, CHAIN = "dev.sigstore.cosign/certificate", "dev.sigstore.cosign/chain"
RECORD, STAMP = "dev.sigstore.cosign/bundle", "dev.sigstore.cosign/rfc3161timestamp"


def _record(change: Change) -> Callable[[dict[str, str]], object]:
    def apply(annotations: dict[str, str]) -> None:
        document = json.loads(annotations[RECORD])
        change(document)
        annotations[RECORD] = json.dumps(document)

    return apply


@pytest.mark.parametrize(
    ("reason", "change"),
    [
        ("bad-bundle", lambda a: a.pop(SIGNATURE)),
        ("bad-bundle", lambda a: a.update({SIGNATURE: ""})),
        ("bad-bundle", lambda a: a.update({SIGNATURE: "?"})),
        ("bad-certificate", lambda a: a.update({CERTIFICATE: "no certificate"})),
        ("bad-certificate", lambda a: a.update({CERTIFICATE: "x" + a[CERTIFICATE]})),
        ("too-many", lambda a: a.update({CERTIFICATE: a[CERTIFICATE] * 2})),
        ("too-many", lambda a: a.update({CHAIN: a[CERTIFICATE] * 11})),
        ("bad-bundle", lambda a: a.pop(CERTIFICATE)),
        ("bad-bundle", lambda a: a.update({RECORD: "{}"})),
        ("bad-bundle", lambda a: a.update({RECORD: "\ud800"})),
        ("duplicate-key", lambda a: a.update({RECORD: '{"Payload":1,"Payload":1}'})),
        ("bad-bundle", _record(lambda d: d.update(more=1))),
        ("bad-bundle", _record(lambda d: d["Payload"].update(logID="ab"))),
        ("bad-bundle", _record(lambda d: d["Payload"].update(logID=d["Payload"]["logID"].upper()))),
        ("bad-bundle", _record(lambda d: d["Payload"].update(integratedTime=-1))),
        ("bad-bundle", _record(lambda d: d["Payload"].pop("body"))),
        ("bad-bundle", lambda a: a.update({STAMP: '{"SignedRFC3161Timestamp": "?"}'})),
    ],
)
def test_odd_annotations_are_refused(reason: str, change: Callable[[dict[str, str]], object]) -> None:
    layer = SIGSTORE.old_signature(IMAGE, KEYLESS)
    annotations = dict(layer.annotations)
    change(annotations)
    assert refused(lambda: read_simple_signing(IMAGE, "tag", annotations, layer.blob)) == reason


def test_an_older_attestation_repeats_itself_rightly() -> None:
    layer = SIGSTORE.old_attestation(IMAGE, SPDX, {}, KEYED)

    def changed(**more: str) -> str:
        annotations = {**layer.annotations, **more}
        return refused(lambda: read_envelope(IMAGE, "tag", annotations, layer.blob))

    assert changed(predicateType=COSIGN_SIGN) == "wrong-predicate-type"
    assert changed(**{SIGNATURE: "AAAA"}) == "bad-bundle"
    same = json.loads(layer.blob)["signatures"][0]["sig"]
    assert read_envelope(IMAGE, "tag", {SIGNATURE: same}, layer.blob).attestation


@pytest.mark.parametrize("line_break", ["\n", "\r\n"])
def test_a_signature_in_an_annotation_may_have_line_breaks(line_break: str) -> None:
    """`base64` writes them, and `cosign attach signature` copies them; nothing else may be there."""
    layer = SIGSTORE.old_signature(IMAGE, KEYED)
    whole = layer.annotations[SIGNATURE]
    wrapped = "".join(f"{whole[at : at + 76]}{line_break}" for at in range(0, len(whole), 76))
    good = read_simple_signing(IMAGE, "tag", layer.annotations, layer.blob)
    assert read_simple_signing(IMAGE, "tag", {SIGNATURE: wrapped}, layer.blob) == good
    for odd in (" ", "\t", "\v", "\x00", "-"):
        annotations = {SIGNATURE: wrapped.replace(line_break, odd)}
        assert refused(partial(read_simple_signing, IMAGE, "tag", annotations, layer.blob)) == "bad-bundle"
    older = SIGSTORE.old_attestation(IMAGE, SPDX, {}, KEYED)
    same = json.loads(older.blob)["signatures"][0]["sig"]
    assert read_envelope(IMAGE, "tag", {SIGNATURE: f"{same}{line_break}"}, older.blob).attestation


def _payload(**change: Any) -> bytes:
    critical = {
        "identity": {"docker-reference": "x"},
        "image": {"docker-manifest-digest": str(IMAGE)},
        "type": "cosign container image signature",
        **change,
    }
    kept = {key: value for key, value in critical.items() if value != "gone"}
    return json.dumps({"critical": kept, "optional": None}).encode()


@pytest.mark.parametrize(
    "change",
    [
        {"type": "atomic container signature"},
        {"type": "gone"},
        {"image": {"docker-manifest-digest": "sha512:ab"}},
        {"image": {"docker-manifest-digest": str(IMAGE).upper()}},
        {"image": {"docker-manifest-digest": str(IMAGE), "more": 1}},
        {"image": {}},
        {"identity": "gone"},
        {"more": 1},
    ],
)
def test_an_odd_payload_is_refused(change: dict[str, Any]) -> None:
    assert refused(lambda: signed_digest(_payload(**change))) == "bad-payload"


def test_a_payload_names_its_digest() -> None:
    assert signed_digest(_payload()) == IMAGE
    assert refused(lambda: signed_digest(b"not json")) == "bad-payload"
    twice = _payload().replace(b'{"critical"', b'{"critical":{},"critical"', 1)
    assert refused(lambda: signed_digest(twice)) == "duplicate-key"
