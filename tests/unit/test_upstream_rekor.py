"""Log entries: trees, promises, checkpoints, and bodies that are about something else although the log has them."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from airgap.signatures.engines.rekor import root_of, verify_entries, verify_entry
from airgap.signatures.record import LogEntry, Refusal, SignatureLayout, Signed
from airgap.signatures.roots.trust_root import TrustRoot
from tests.parts.fake_sigstore import START, How, Window, logs, managed
from tests.parts.fake_sigstore.changes import in_json
from tests.parts.fake_sigstore.keys import b64, spki
from tests.parts.fake_sigstore.logs import RekorV1, RekorV2
from tests.worlds.keyless import (
    AT,
    OTHER,
    ROOT,
    SIGSTORE,
    SUBJECT,
    answer,
    attestation,
    bundle,
    old,
    read,
    root,
)

NOTE = "\u2014 witness.example aGVsbG8gd29ybGQ=\n"


def asked(signed: Signed, entry: LogEntry, trust: TrustRoot = ROOT, material: bytes = b"") -> str | datetime | None:
    """What `verify_entry` answers about this entry in place of the signature's own: its time, or the reason."""
    try:
        there = replace(signed, entries=(entry,))
        return verify_entry(entry, there, trust, material or signed.certificate)
    except Refusal as refusal:
        return refusal.reason


def logged(body: dict[str, Any], log: RekorV1 | RekorV2 = SIGSTORE.rekor) -> LogEntry:
    """This body, as the log really took it: promised and proven."""
    made = log.add(body, AT) if isinstance(log, RekorV1) else log.add(body)
    return LogEntry(
        body=made.body,
        log_id=made.log_id,
        log_index=made.log_index,
        integrated_time=made.integrated_time,
        promise=made.promise,
        proof=made.proof,
    )


# --- what an entry says --------------------------------------------------------------------------


def body_of(signed: Signed) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(signed.entries[0].body)
    return loaded


def older(signed: Signed) -> dict[str, Any]:
    """The same entry as Rekor's first kind had it."""
    body = body_of(signed)
    body["kind"] = "rekord"
    body["spec"]["signature"]["format"] = "x509"
    return body


def whole(signed: Signed) -> tuple[Signed, dict[str, Any], RekorV1]:
    """The same entry with the payload of the envelope, as some logs of others keep it."""
    body = body_of(signed)
    body["spec"]["content"]["envelope"]["payload"] = b64(base64.b64encode(signed.payload))
    return signed, body, SIGSTORE.rekor


KINDS: dict[str, tuple[Signed, dict[str, Any], RekorV1 | RekorV2]] = {}
for name, made, log in (
    ("hashedrekord", old(How(AT)), SIGSTORE.rekor),
    ("dsse", attestation(How(AT)), SIGSTORE.rekor),
    ("dsse in a bundle", bundle(How(AT)), SIGSTORE.rekor),
    ("intoto 0.0.1", attestation(How(AT, kind="intoto1")), SIGSTORE.rekor),
    ("intoto 0.0.2", attestation(How(AT, kind="intoto2")), SIGSTORE.rekor),
    ("intoto 0.0.2 in a bundle", bundle(How(AT, kind="intoto2")), SIGSTORE.rekor),
    ("hashedrekord 0.0.2", bundle(How(AT, log="v2", stamp=True)), SIGSTORE.rekor2),
):
    KINDS[name] = made, body_of(made), log
WHOLE = "intoto 0.0.2 with its payload, in a bundle"
KINDS[WHOLE] = whole(KINDS["intoto 0.0.2 in a bundle"][0])
KINDS["rekord"] = KINDS["hashedrekord"][0], older(KINDS["hashedrekord"][0]), SIGSTORE.rekor


def harmless(kind: str, what: str) -> bool:
    """Changes that no reader of this signature can see, or that change nothing."""
    respelled = "in a bundle" in kind and ("envelopeHash" in what or ".content.hash" in what)
    if kind == WHOLE and what.endswith("envelope.payload removed"):
        return True
    optional = what.endswith(("signature.format removed", "content.payloadHash removed"))
    return (respelled and not what.endswith(("envelopeHash removed", "hash removed"))) or (
        optional and kind in ("rekord", "intoto 0.0.1")
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_body_with_one_change_is_about_something_else(kind: str) -> None:
    signed, body, log = KINDS[kind]
    signed = replace(signed, entries=())
    when = asked(signed, logged(body, log))
    assert when == (AT if log is SIGSTORE.rekor else None)
    named = [(what, new) for what, new in in_json(body) if {"kind", "apiVersion"} <= set(new)]
    answers = {what: asked(signed, logged(new, log)) for what, new in named}
    passed = {what for what, said in answers.items() if said == when}
    assert passed == {what for what in answers if harmless(kind, what)}
    refused = {said for what, said in answers.items() if what not in passed}
    assert refused <= {"entry-mismatch", "unsupported-format", "too-many"}


def test_an_entry_of_another_signature_of_the_same_signer_is_refused() -> None:
    first, second = old(How(AT)), read(SIGSTORE.old_signature("sha256:" + "11" * 32, How(AT)))
    assert asked(first, first.entries[0]) == AT.replace(second=5)
    assert asked(first, second.entries[0]) == "entry-mismatch"


def test_kinds_of_entries_do_not_stand_for_each_other() -> None:
    signature, envelope, made = (KINDS[one][0] for one in ("hashedrekord", "dsse", "dsse in a bundle"))
    assert asked(signature, envelope.entries[0]) == "unsupported-format"
    assert asked(envelope, signature.entries[0]) == "unsupported-format"
    oldest = KINDS["intoto 0.0.1"][1]
    assert asked(made, logged(oldest)) == "unsupported-format"
    assert asked(signature, logged({"apiVersion": "0.0.1", "kind": "rpm", "spec": {}})) == ("unsupported-format")


def test_a_bundle_says_the_kind_that_the_entry_has() -> None:
    signed = bundle(How(AT))
    entry = signed.entries[0]
    assert asked(signed, replace(entry, kind="intoto")) == "entry-mismatch"
    assert asked(signed, replace(entry, version="0.0.2")) == "entry-mismatch"


@pytest.mark.parametrize("kind", ["p256", "rsa", "ed25519"])
@pytest.mark.parametrize("log", ["v1", "v2"])
def test_a_key_in_place_of_a_certificate(kind: Any, log: Any) -> None:
    owner, another = managed("owner", kind), managed("another", kind)
    signed = bundle(How(AT, signer=owner, log=log, stamp=log == "v2"))
    found = asked(signed, signed.entries[0], material=spki(owner.key))
    assert found == (AT.replace(second=5) if log == "v1" else None)
    assert asked(signed, signed.entries[0], material=spki(another.key)) == "entry-mismatch"


def test_a_body_of_more_than_the_limit_is_not_read() -> None:
    signed = old(How(AT))
    assert asked(signed, logged({**body_of(signed), "more": "x" * (300 << 10)})) == "too-large"


# --- the log -------------------------------------------------------------------------------------


def test_a_log_that_the_root_does_not_name() -> None:
    signed = old(How(AT, rekor=OTHER.rekor))
    with pytest.raises(Refusal) as caught:
        verify_entry(signed.entries[0], signed, ROOT, signed.certificate)
    assert caught.value.reason == "unknown-log"
    said = f"it does not list log id {OTHER.rekor.log_id.hex()}"
    assert said in caught.value.detail


def test_a_log_does_not_speak_for_another_one_of_the_root() -> None:
    signed = bundle(How(AT))
    entry = replace(signed.entries[0], log_id=SIGSTORE.rekor2.log_id)
    assert asked(signed, entry) == "bad-promise"
    assert asked(signed, replace(entry, promise=b"", integrated_time=0)) == "bad-proof"


@pytest.mark.parametrize(
    "changes",
    [
        {"promise": b""},
        {"integrated_time": 0},
        {"integrated_time": 2**62},
        {"log_index": 2**60},
        {"promise": b"\x30\x00"},
        {"promise": b"x" * 100_000},
    ],
)
def test_a_promise_is_over_all_that_the_log_said(changes: dict[str, Any]) -> None:
    signed = old(How(AT))
    assert asked(signed, replace(signed.entries[0], **changes)) == "bad-promise"


def test_an_entry_with_neither_promise_nor_proof_is_nothing() -> None:
    signed = old(How(AT))
    bare = replace(signed.entries[0], promise=b"", integrated_time=0)
    assert asked(signed, bare) == "bad-proof"


def test_a_log_has_one_entry_of_a_signature() -> None:
    signed = bundle(How(AT))
    twice = replace(signed, entries=signed.entries * 2)
    with pytest.raises(Refusal) as caught:
        verify_entries(twice, ROOT, twice.certificate)
    assert caught.value.reason == "too-many"


def test_entries_of_several_logs_must_all_hold() -> None:
    """A signing configuration may name several logs: then a bundle has an entry of each, and cosign takes it."""
    signed = bundle(How(AT))
    second = logged(body_of(signed), OTHER.rekor)
    both = replace(signed, entries=(*signed.entries, second))
    contents = SIGSTORE.contents()
    trust = root(logs=[*contents.logs, (OTHER.rekor, Window(START))])
    assert verify_entries(both, trust, both.certificate) == [AT.replace(second=5), AT]
    assert (answer(both, trust), answer(both)) == ("verified", "unknown-log")
    broken = replace(second, promise=second.promise[:-1])
    assert answer(replace(both, entries=(*signed.entries, broken)), trust) == "bad-promise"


def test_only_the_first_version_of_bundles_does_without_a_proof() -> None:
    for version, said in (
        ("0.1", AT.replace(second=5)),
        ("0.2", "bad-proof"),
        ("0.3", "bad-proof"),
    ):
        signed = bundle(How(AT, version=version, proof=False))  # type: ignore[arg-type]
        assert asked(signed, signed.entries[0]) == said


def test_a_promised_entry_still_has_to_prove_what_it_proves() -> None:
    signed, other = bundle(How(AT)), bundle(How(AT.replace(hour=13)))
    mixed = replace(signed.entries[0], proof=other.entries[0].proof)
    assert asked(signed, mixed) == "bad-proof"


# --- trees and checkpoints -----------------------------------------------------------------------


def test_every_place_in_small_trees_leads_to_the_root_and_no_other_does() -> None:
    bodies = [f"entry {number}".encode() for number in range(18)]
    for size in range(1, len(bodies) + 1):
        leaves = [hashlib.sha256(b"\0" + body).digest() for body in bodies[:size]]
        top = logs.root_hash(leaves)
        for index in range(size):
            path = logs.path_to(index, leaves)
            assert root_of(bodies[index], index, size, path) == top
            for wrong in (index + 1, index - 1, size):
                if wrong != index and wrong >= 0:
                    assert root_of(bodies[index], wrong, size, path) != top
            assert root_of(bodies[index], index, size, [*path, top]) != top
            if path:
                assert root_of(bodies[index], index, size, path[:-1]) != top


Note = Callable[[str], str]


def notes() -> Iterator[tuple[Note, str | None]]:
    """Checkpoints that differ from the good one, and the answer where they are refused."""
    yield lambda note: note, None
    yield lambda note: note + NOTE, None
    yield lambda note: note.replace("\n\n", f"\n\n{NOTE}"), None
    yield lambda note: note + "not a signature\n", "bad-proof"
    yield lambda note: note.rstrip("\n"), "bad-proof"
    yield lambda note: note + NOTE * 5000, "too-large"
    yield lambda note: note.replace("\n\n", "\n"), "bad-proof"
    yield lambda note: note.partition("\n\n")[0] + "\n\n" + NOTE, "bad-proof"
    yield lambda note: note.replace("\u2014", "-"), "bad-proof"
    yield lambda note: "", "bad-proof"
    yield lambda note: "x\n\n" + NOTE, "bad-proof"


@pytest.mark.parametrize(("change", "said"), list(notes()))
def test_a_checkpoint_is_the_log_s_own_and_witnesses_may_add_to_it(change: Note, said: str | None) -> None:
    signed = bundle(How(AT, log="v2", stamp=True))
    entry = signed.entries[0]
    assert entry.proof is not None
    envelope = change(entry.proof["checkpoint"]["envelope"])
    proof = {**entry.proof, "checkpoint": {"envelope": envelope}}
    assert asked(signed, replace(entry, proof=proof)) == said


def test_a_checkpoint_of_another_size_of_the_same_log_is_refused() -> None:
    first, second = (bundle(How(AT, log="v2", stamp=True)).entries[0] for _ in range(2))
    assert first.proof is not None
    assert second.proof is not None
    signed = bundle(How(AT, log="v2", stamp=True))
    for name in ("checkpoint", "treeSize", "rootHash"):
        proof = {**first.proof, name: second.proof[name]}
        assert asked(signed, replace(first, proof=proof)) == "bad-proof"


def test_records_of_other_layouts_are_held_to_the_same() -> None:
    signed = KINDS["dsse"][0]
    assert signed.layout is SignatureLayout.ENVELOPE
    assert signed.blob != signed.payload
    assert asked(signed, signed.entries[0]) == AT.replace(second=5)
    assert asked(replace(signed, blob=signed.blob + b" "), signed.entries[0]) == "entry-mismatch"
    certificate = SIGSTORE.authority.intermediate.public_bytes(Encoding.DER)
    assert asked(signed, signed.entries[0], material=certificate) == "entry-mismatch"
    assert signed.subject == SUBJECT
