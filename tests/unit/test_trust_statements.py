"""Bundles and statements: the exact JSON, and what is refused."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from airgap.base.canonical import canonical
from airgap.base.digest import Digest
from airgap.base.errors import TrustError
from airgap.content.finding import Finding, State
from airgap.content.forms import Change, ChangeOutcome
from airgap.statements.approval import Approvable, Approval, Approves
from airgap.statements.audited import Audit
from airgap.statements.dsse import MAX_BUNDLE, open_bundle, pae, sign_payload, verify
from airgap.statements.keys.file import load_public
from airgap.statements.log import EMPTY_HEAD
from airgap.statements.predicates import (
    Delivery,
    Placed,
    Predicate,
    Pull,
    PulledItem,
    Receipt,
)
from airgap.statements.statement import Statement, predicate_type
from tests.worlds.trust import NOW, signer, statement

KEY = signer()
SUBJECT = Digest.of(b"AIRGAP.json")
OTHER = Digest.of(b"other")


def edited(change: Callable[[Any], object]) -> bytes:
    """A good bundle whose JSON was changed."""
    document = json.loads(sign_payload(b"{}", KEY))
    change(document)
    return canonical(document)


def test_the_bundle_is_the_one_that_cosign_reads() -> None:
    payload = statement(SUBJECT, Delivery(), "exporter").payload
    bundle = json.loads(sign_payload(payload, KEY))
    key = load_public(KEY.public_key_pem)
    spki = base64.b64decode("".join(KEY.public_key_pem.decode().splitlines()[1:-1]))
    signature = bundle["dsseEnvelope"]["signatures"][0]["sig"]
    assert bundle == {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"publicKey": {"hint": base64.b64encode(hashlib.sha256(spki).digest()).decode()}},
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": "application/vnd.in-toto+json",
            "signatures": [{"sig": signature}],
        },
    }
    assert key.verify(
        b"DSSEv1 28 application/vnd.in-toto+json %d %s" % (len(payload), payload),
        base64.b64decode(signature),
    )


def test_pae_counts_bytes() -> None:
    assert pae("é".encode(), "t") == b"DSSEv1 1 t 2 \xc3\xa9"


def test_an_opened_bundle_keeps_every_byte() -> None:
    data = sign_payload(b' {"any": "payload"}\n', KEY)
    envelope = open_bundle(data, "here")
    assert (envelope.payload, envelope.raw) == (b' {"any": "payload"}\n', data)
    assert verify(envelope, load_public(KEY.public_key_pem))
    assert not verify(envelope, load_public(signer().public_key_pem))


def test_a_hint_may_be_left_out() -> None:
    data = edited(lambda b: b["verificationMaterial"].update(publicKey={}))
    assert open_bundle(data, "here").hint == ""


TWO = {"sig": "AA=="}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"null",
        b'{"mediaType": 1',
        "\ufeff{}".encode(),
        "{}".encode("utf-16"),
        b" " * (MAX_BUNDLE + 1),
        edited(lambda b: b.update(mediaType="application/vnd.dev.sigstore.bundle.v0.2+json")),
        edited(lambda b: b.update(mediaType="application/vnd.dev.sigstore.bundle+json;version=0.3")),
        edited(lambda b: b.update(extra=1)),
        edited(lambda b: b.pop("verificationMaterial")),
        edited(lambda b: b["verificationMaterial"].update(certificate={})),
        edited(lambda b: b["verificationMaterial"].update(tlogEntries=[])),
        edited(lambda b: b["verificationMaterial"]["publicKey"].update(hint=None)),
        edited(lambda b: b["verificationMaterial"]["publicKey"].update(rawBytes="")),
        edited(lambda b: b.update(messageSignature=b.pop("dsseEnvelope"))),
        edited(lambda b: b["dsseEnvelope"].update(payloadType="application/json")),
        edited(lambda b: b["dsseEnvelope"].update(payload=5)),
        edited(lambda b: b["dsseEnvelope"].update(payload="e30")),
        edited(lambda b: b["dsseEnvelope"].update(payload="e31=")),  # stray bits
        edited(lambda b: b["dsseEnvelope"].update(payload="e3 0=")),
        edited(lambda b: b["dsseEnvelope"].update(payload="é30=")),
        edited(lambda b: b["dsseEnvelope"].update(signatures=[])),
        edited(lambda b: b["dsseEnvelope"].update(signatures={})),
        edited(lambda b: b["dsseEnvelope"]["signatures"].append(TWO)),
        edited(lambda b: b["dsseEnvelope"]["signatures"][0].update(keyid="")),
        sign_payload(b"{}", KEY).replace(b'{"payload"', b'{"payload":"e30=","payload"'),
    ],
)
def test_other_bundles_are_refused(data: bytes) -> None:
    with pytest.raises(TrustError) as caught:
        open_bundle(data, "here")
    assert caught.value.code == "bad-bundle"
    assert caught.value.hint


APPROVED: list[Predicate] = [
    Approval(Approves(Approvable.DELIVERY, "bankdhofar", "main", 42)),
    Approval(Approves(Approvable.TRUST, "bankdhofar")),
    *(Approval(Approves(kind)) for kind in (Approvable.LOCK, Approvable.TRUST_ROOT, Approvable.WAIVER)),
]
BODIES: list[Predicate] = [
    Pull(
        {
            "docker.io/library/alpine:3.20": PulledItem(OTHER, "pass", 3623807),
            "ünïcode": PulledItem(None, "fail", 0, "gone upstream"),
        }
    ),
    Pull({}),
    Delivery(),
    Approval(None),
    Receipt(
        "0193570e",
        "main",
        42,
        (
            Placed(
                "https://harbor.example.org",
                "graph",
                (Change("alpine", "dockerhub/library/alpine", "3.20", OTHER, outcome=ChangeOutcome.WRITTEN),),
            ),
            Placed(
                "https://gitea.example.org",
                "refs",
                (Change("o", "catalog/o", "refs/heads/main", "a" * 40, "b" * 40, ChangeOutcome.PRESENT),),
            ),
            Placed("https://s3.example.org", "tree", ()),
        ),
    ),
    Audit("fail", deep=True, checked=7, findings=(Finding("i", "a", "n", State.MISSING, OTHER, destination="u"),)),
]


@pytest.mark.parametrize("body", [*BODIES, *APPROVED], ids=lambda body: body.kind)
def test_a_statement_is_read_as_it_was_made(body: Predicate) -> None:
    made = statement(SUBJECT, body, "exporter")
    again = Statement.parse(made.payload, "here")
    assert again == made
    assert (again.body, again.subject, again.kind) == (body, SUBJECT, body.kind)
    assert (again.signed_at.isoformat(), again.role) == ("2026-11-23T11:00:00+00:00", "exporter")
    document = json.loads(made.payload)
    assert document["_type"] == "https://in-toto.io/Statement/v1"
    assert document["subject"] == [{"digest": {"sha256": SUBJECT.hex}}]
    assert document["predicateType"] == f"https://airgap.openova.io/{body.kind}/v1"
    assert document["predicate"]["signedAt"] == "2026-11-23T11:00:00Z"


def test_the_shapes_are_those_of_the_format() -> None:
    pull = json.loads(statement(SUBJECT, BODIES[0], "exporter").payload)["predicate"]
    assert pull["items"]["docker.io/library/alpine:3.20"] == {
        "root": str(OTHER),
        "outcome": "pass",
        "reason": None,
        "bytes": 3623807,
    }
    receipt = json.loads(statement(SUBJECT, BODIES[4], "sovereign").payload)["predicate"]
    assert (receipt["delivery"], receipt["stream"], receipt["sequence"]) == ("0193570e", "main", 42)
    assert receipt["destinations"][0]["items"][0] == {
        "item": "alpine",
        "at": "dockerhub/library/alpine",
        "name": "3.20",
        "digest": str(OTHER),
        "previous": None,
        "outcome": "written",
        "reason": None,
    }


def changed(change: Callable[[Any], object], body: Predicate | None = None) -> bytes:
    """A good payload whose JSON was changed."""
    document = json.loads(statement(SUBJECT, body or BODIES[0], "exporter").payload)
    change(document)
    return json.dumps(document).encode()


def item(document: Any) -> Any:
    return document["predicate"]["items"]["docker.io/library/alpine:3.20"]


def placed(document: Any) -> Any:
    return document["predicate"]["destinations"][0]["items"][0]


RECEIPT = BODIES[4]


@pytest.mark.parametrize(
    "payload",
    [
        b"{}",
        b"not json",
        changed(lambda s: s.update(_type="https://in-toto.io/Statement/v0.1")),
        changed(lambda s: s.update(more=1)),
        changed(lambda s: s.update(subject=[])),
        changed(lambda s: s["subject"].append(s["subject"][0])),
        changed(lambda s: s["subject"][0].update(name="AIRGAP.json")),
        changed(lambda s: s["subject"][0]["digest"].update(sha512="")),
        changed(lambda s: s["subject"][0].update(digest={"sha256": SUBJECT.hex.upper()})),
        changed(lambda s: s["predicate"].update(more=1)),
        changed(lambda s: s["predicate"].pop("logHead")),
        changed(lambda s: s["predicate"].update(logHead="sha256:00")),
        changed(lambda s: s["predicate"].update(signedAt="2026-11-23T11:00:00+00:00")),
        changed(lambda s: s["predicate"].update(signedAt="2026-11-23T11:00:00.5Z")),
        changed(lambda s: s["predicate"].update(signedAt=1764000000)),
        changed(lambda s: s["predicate"].update(role=None)),
        changed(lambda s: s["predicate"].update(role="\ud800")),
        changed(lambda s: s["predicate"].update(items=[])),
        changed(lambda s: s["predicate"].update(items={"\ud800": item(s)})),
        changed(lambda s: item(s).update(outcome="passed")),
        changed(lambda s: item(s).update(bytes=-1)),
        changed(lambda s: item(s).update(bytes=True)),
        changed(lambda s: item(s).update(bytes=1.0)),
        changed(lambda s: item(s).update(bytes=2**53)),
        changed(lambda s: item(s).pop("reason")),
        changed(lambda s: item(s).update(root="main")),
        changed(lambda s: placed(s).update(outcome="overwritten"), RECEIPT),
        changed(lambda s: placed(s).update(digest="main"), RECEIPT),
        changed(lambda s: placed(s).update(previous="main"), RECEIPT),
        changed(lambda s: s["predicate"]["destinations"][0].update(form="pile"), RECEIPT),
        changed(lambda s: s["predicate"].update(sequence="42"), RECEIPT),
        changed(lambda s: s["predicate"].update(deep=0), BODIES[5]),
    ],
)
def test_other_statements_are_refused(payload: bytes) -> None:
    with pytest.raises(TrustError) as caught:
        Statement.parse(payload, "here")
    assert caught.value.code == "bad-statement"
    assert "here" in caught.value.what


@pytest.mark.parametrize("uri", [predicate_type("verdict") + "x", "", "https://slsa.dev/provenance/v1"])
def test_unknown_kinds_are_refused_and_say_so(uri: str) -> None:
    with pytest.raises(TrustError) as caught:
        Statement.parse(changed(lambda s: s.update(predicateType=uri)), "here")
    assert caught.value.code == "unknown-statement"


def test_a_time_without_a_zone_is_a_bug() -> None:
    with pytest.raises(ValueError, match="zone"):
        Statement.of(
            SUBJECT,
            Delivery(),
            signed_at=NOW.replace(tzinfo=None),
            log_head=EMPTY_HEAD,
            role="exporter",
        )
