"""Properties of what strangers wrote: readers answer or refuse, and no change makes something else verified."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from hypothesis import given
from hypothesis import strategies as st

from airgap.base.digest import Digest
from airgap.signatures.formats.bundle import read_bundle
from airgap.signatures.formats.envelope import read_envelope
from airgap.signatures.formats.intoto import parse_statement
from airgap.signatures.formats.simple_signing import read_simple_signing
from airgap.signatures.formats.strict import pem_certificates
from airgap.signatures.record import SIGNATURE, Refusal, Signed, UpstreamKey
from airgap.signatures.sbom import CYCLONEDX, SPDX, check_sbom
from airgap.signatures.verify import Demand, verify
from airgap.statements.dsse import PAYLOAD_TYPE
from tests.parts.fake_sigstore import FakeSigstore, How, managed, public_pem
from tests.parts.fake_sigstore.bundles import BUNDLE

SIGSTORE = FakeSigstore()
AT = datetime(2024, 5, 1, tzinfo=UTC)
IMAGE = Digest.of(b"an image")
HOW = How(AT, signer=managed("alice"), log="none")
RECORD, STAMP = "dev.sigstore.cosign/bundle", "dev.sigstore.cosign/rfc3161timestamp"
KEYS = (UpstreamKey("alice", public_pem(managed("alice").key)),)
NEW = SIGSTORE.sign_image(IMAGE, HOW)
FULL = SIGSTORE.sign_image(IMAGE, How(AT, stamp=True))
OLD = SIGSTORE.old_signature(IMAGE, HOW)
ATTESTED = SIGSTORE.old_attestation(IMAGE, SPDX, {}, HOW)
BY_KEY = Demand(SIGNATURE, keys=KEYS, now=AT)

T = TypeVar("T")
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def answered(call: Callable[[], T]) -> T | None:
    """What a reader gives, `None` where it refuses. Anything else that it raises fails the test."""
    try:
        return call()
    except Refusal:
        return None


def read(blob: bytes) -> Signed | None:
    return answered(lambda: read_bundle(IMAGE, "x", BUNDLE, {}, blob, lambda: b""))


def _paths(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where anything is in a document."""
    inner: Any = ()
    if isinstance(document, dict):
        inner = document.items()
    elif isinstance(document, list):
        inner = enumerate(document)
    return [path, *(found for key, value in inner for found in _paths(value, (*path, key)))]


def _put(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    copy = dict(document) if isinstance(document, dict) else list(document)
    copy[path[0]] = _put(copy[path[0]], path[1:], value)
    return copy


PATHS = _paths(json.loads(FULL))


@given(st.binary(max_size=200))
def test_any_bytes_are_answered(data: bytes) -> None:
    assert read(data) is None
    assert answered(lambda: read_envelope(IMAGE, "x", {}, data)) is None
    assert answered(lambda: read_simple_signing(IMAGE, "x", OLD.annotations, data)) is None
    assert answered(lambda: parse_statement(data, PAYLOAD_TYPE)) is None


@given(st.sampled_from(PATHS), values)
def test_any_value_anywhere_is_answered(path: tuple[Any, ...], value: Any) -> None:
    changed = json.dumps(_put(json.loads(FULL), path, value)).encode()
    found = read(changed)
    if found is not None:
        assert found.payload
        assert found.signature


@given(
    st.dictionaries(
        st.sampled_from([*OLD.annotations, RECORD, STAMP]),
        st.text(max_size=40),
    )
)
def test_any_annotations_are_answered(annotations: dict[str, str]) -> None:
    old = answered(lambda: read_simple_signing(IMAGE, "x", annotations, OLD.blob))
    attested = answered(lambda: read_envelope(IMAGE, "x", annotations, ATTESTED.blob))
    assert all(found is None or found.signature for found in (old, attested))


@given(st.integers(0, len(NEW) - 1), st.integers(1, 255))
def test_a_flip_in_a_bundle_never_makes_something_else_verified(at: int, change: int) -> None:
    found = read(NEW[:at] + bytes([NEW[at] ^ change]) + NEW[at + 1 :])
    if found is not None and verify(found, BY_KEY).verified:
        good = read(NEW)
        assert good is not None
        # Nobody signed the hint: that, and how JSON is spelled, may differ.
        assert (found.payload, found.message, found.signature) == (
            good.payload,
            good.message,
            good.signature,
        )


@given(st.integers(0, len(OLD.blob) - 1), st.integers(1, 255))
def test_a_flip_in_an_older_payload_never_verifies(at: int, change: int) -> None:
    blob = OLD.blob[:at] + bytes([OLD.blob[at] ^ change]) + OLD.blob[at + 1 :]
    found = answered(lambda: read_simple_signing(IMAGE, "x", OLD.annotations, blob))
    assert found is None or not verify(found, BY_KEY).verified


@given(st.binary(max_size=80))
def test_any_signature_is_answered(signature: bytes) -> None:
    good = read(NEW)
    assert good is not None
    kinds = [managed("alice", kind).key for kind in ("p256", "p384", "rsa", "ed25519")]
    keys = tuple(UpstreamKey("k", public_pem(key)) for key in kinds)
    found = verify(replace(good, signature=signature), Demand(SIGNATURE, keys=keys, now=AT))
    assert not found.verified
    assert found.reason in ("bad-signature", "unsupported-algorithm", "wrong-key")


@given(values, st.sampled_from([SPDX, CYCLONEDX]))
def test_any_predicate_is_answered(predicate: Any, kind: str) -> None:
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {"sha256": IMAGE.hex}}],
        "predicateType": kind,
        "predicate": predicate,
    }
    assert check_sbom(kind, json.dumps(statement).encode(), IMAGE)


@given(st.text(max_size=200))
def test_any_pem_is_answered(text: str) -> None:
    assert len(answered(lambda: pem_certificates(text, "x", 3)) or ()) <= 3
