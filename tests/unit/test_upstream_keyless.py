"""Signatures with certificates as a whole: every layout, every source of time, and every way that they fail."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airgap.base.digest import Digest
from airgap.base.errors import InputError
from airgap.base.times import CLOCK_SKEW
from airgap.signatures.engines.keyless import _ask_sigstore, verify_keyless
from airgap.signatures.record import Identity, LogEntry, Refusal, SignatureLayout, Signed, Status
from airgap.signatures.roots.trust_root import TrustRoot
from airgap.statements.dsse import pae
from tests.parts.fake_sigstore import ISSUER, SAN, START, FakeSigstore, How, Leaf, Window, managed
from tests.parts.fake_sigstore.keys import spki
from tests.worlds.keyless import (
    AT,
    NOW,
    OTHER,
    ROOT,
    SIGNER,
    SIGSTORE,
    answer,
    attestation,
    bundle,
    old,
    root,
)

LOGGED, STAMPED = AT.replace(second=5), AT.replace(second=3)
LAYOUTS = {"bundle": bundle, "old": old, "attestation": attestation}
UNLOGGED = root(logs=[])
MONTH = timedelta(days=30)


def proof(signed: Signed, trust: TrustRoot = ROOT) -> tuple[tuple[str, datetime], ...]:
    return verify_keyless(signed, trust, [SIGNER], NOW).times


# --- what verifies -------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_log_s_promise_and_a_time_stamp_each_say_when(layout: str) -> None:
    make = LAYOUTS[layout]
    assert proof(make(How(AT))) == (("log", LOGGED),)
    assert proof(make(How(AT, stamp=True))) == (("log", LOGGED), ("tsa", STAMPED))


@pytest.mark.parametrize(
    "how",
    [
        How(AT, version="0.1"),
        How(AT, version="0.1", proof=False),
        How(AT, version="0.2"),
        How(AT, version="0.3-alt"),
        How(AT, kind="intoto2"),
        How(AT, log="v2", stamp=True),
        How(AT, leaf=Leaf(AT, issuer_v1=False)),
        How(AT, leaf=Leaf(AT, issuer_v2=False)),
    ],
)
def test_every_kind_of_bundle(how: How) -> None:
    assert answer(bundle(how)) == "verified"


@pytest.mark.parametrize("kind", ["dsse", "intoto1", "intoto2"])
def test_every_kind_of_entry_of_older_attestations(kind: Any) -> None:
    assert answer(attestation(How(AT, kind=kind))) == "verified"


def test_the_proof_says_who_and_by_which_key_and_entry() -> None:
    how = How(AT)
    signed = bundle(how)
    found = verify_keyless(signed, ROOT, [Identity("https://x", SAN), SIGNER], NOW)
    assert (found.identity, found.issuer, found.key_name) == (SAN, ISSUER, "")
    assert found.key == Digest.of(spki(SIGSTORE.signer(how).key))
    assert found.log_entries == ((SIGSTORE.rekor.log_id.hex(), signed.entries[0].log_index),)


def test_a_signature_without_an_envelope_in_a_bundle() -> None:
    data = b"a file"
    how = How(AT)
    signer = SIGSTORE.signer(how)
    signature = signer.sign(data)
    made = SIGSTORE.logged(how, data, signature, signer)
    assert made is not None
    entry = LogEntry(
        body=made.body,
        log_id=made.log_id,
        log_index=made.log_index,
        integrated_time=made.integrated_time,
        promise=made.promise,
        proof=made.proof,
        kind=made.kind,
        version=made.version,
    )
    signed = replace(
        bundle(how),
        payload=data,
        payload_type="",
        message=data,
        signature=signature,
        entries=(entry,),
    )
    assert answer(signed) == "verified"
    assert answer(replace(signed, message=b"another file")) == "bad-signature"


def test_many_threads_share_a_root() -> None:
    made = [bundle(How(AT + MONTH * number, stamp=number % 2 == 0)) for number in range(24)]
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(answer, made)) == {"verified"}


# --- what does not -------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("how", "said"),
    [
        (How(AT, log="none"), "not-logged"),
        (How(AT, log="none", stamp=True), "not-logged"),
        (How(AT, logged=timedelta(hours=1)), "certificate-expired"),
        (How(AT, stamp=True, stamped=timedelta(hours=1)), "certificate-expired"),
        (How(AT, rekor=OTHER.rekor), "unknown-log"),
        (How(AT, stamp=True, tsa=OTHER.tsa), "unknown-tsa"),
        (How(AT, signer=OTHER.authority.signer(Leaf(AT))), "unknown-ca"),
        (How(AT, signer=SIGSTORE.authority.signer(Leaf(AT), ct=OTHER.ct)), "unknown-ct-log"),
        (How(AT, signer=managed("somebody")), "key-for-identity"),
        (How(AT, leaf=Leaf(AT, sct=False)), "no-sct"),
        (How(AT, leaf=Leaf(AT, usages=())), "bad-certificate"),
        (How(AT, leaf=Leaf(AT, old_issuer="https://evil.example")), "bad-certificate"),
        (How(AT, leaf=Leaf(AT, san="a@b.example")), "wrong-identity"),
        (How(AT, leaf=Leaf(AT, issuer="https://evil.example")), "wrong-identity"),
        (How(AT, leaf=Leaf(AT, key="p384")), "unsupported-algorithm"),
    ],
)
def test_what_is_refused_whatever_the_layout(layout: str, how: How, said: str) -> None:
    assert answer(LAYOUTS[layout](how)) == said


def test_what_only_bundles_get_wrong() -> None:
    assert answer(bundle(How(AT, log="v2"))) == "no-time"
    assert answer(bundle(How(AT, proof=False))) == "bad-proof"
    assert answer(bundle(How(AT, promise=False))) == "bad-promise"
    assert answer(bundle(How(AT, promise=False, stamp=True))) == "bad-promise"


def test_a_kind_that_the_log_cannot_have_for_it_is_unsupported() -> None:
    with pytest.raises(Refusal) as caught:
        verify_keyless(bundle(How(AT, kind="intoto1")), ROOT, [SIGNER], NOW)
    assert (caught.value.reason, caught.value.status) == ("unsupported-format", Status.UNSUPPORTED)


def test_without_an_identity_to_look_for_nobody_is_the_right_one() -> None:
    with pytest.raises(Refusal) as caught:
        verify_keyless(bundle(How(AT)), ROOT, [], NOW)
    assert caught.value.reason == "wrong-identity"
    assert SAN in caught.value.detail


@pytest.mark.parametrize("layout", LAYOUTS)
def test_another_instance_altogether(layout: str) -> None:
    make = LAYOUTS[layout]
    assert answer(make(How(AT), OTHER)) == "unknown-log"
    assert answer(make(How(AT), OTHER), root(OTHER)) == "verified"
    mixed = root(logs=[*SIGSTORE.contents().logs, *OTHER.contents().logs])
    assert answer(make(How(AT), OTHER), mixed) == "unknown-ca"


# --- roots without logs --------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_root_that_names_no_log_asks_for_a_time_stamp_instead(layout: str) -> None:
    make = LAYOUTS[layout]
    assert proof(make(How(AT, log="none", stamp=True)), UNLOGGED) == (("tsa", STAMPED),)
    assert answer(make(How(AT, log="none")), UNLOGGED) == "no-time"
    assert answer(make(How(AT, stamp=True)), UNLOGGED) == "unknown-log"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_rule_may_do_without_a_log_or_insist_on_one(layout: str) -> None:
    make = LAYOUTS[layout]

    def times(how: How, trust: TrustRoot, *, logged: bool) -> Any:
        try:
            return verify_keyless(make(how), trust, [SIGNER], NOW, logged=logged).times
        except Refusal as refusal:
            return refusal.reason

    stamped, bare = How(AT, log="none", stamp=True), How(AT, log="none")
    assert times(stamped, ROOT, logged=False) == (("tsa", STAMPED),)
    assert times(How(AT), ROOT, logged=False) == (("log", LOGGED),)
    assert times(bare, ROOT, logged=False) == "no-time"
    # What came along must hold all the same.
    assert times(How(AT, stamp=True, rekor=OTHER.rekor), ROOT, logged=False) == "unknown-log"
    assert times(stamped, ROOT, logged=True) == "not-logged"
    assert times(stamped, UNLOGGED, logged=True) == "not-logged"


# --- time ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("lists", ["authorities", "logs", "ct_logs", "stampers"])
def test_each_instance_is_trusted_in_its_window_alone(layout: str, lists: str) -> None:
    signed = LAYOUTS[layout](How(AT, stamp=True))
    listed = [one for one, _ in getattr(SIGSTORE.contents(), lists)]

    def within(start: datetime, end: datetime | None = None) -> str:
        return answer(signed, root(**{lists: [(one, Window(start, end)) for one in listed]}))

    assert within(START) == within(AT, LOGGED) == "verified"
    assert within(START, AT - timedelta(seconds=1)) == "outside-window"
    assert within(AT + timedelta(seconds=6)) == "outside-window"


def test_a_log_without_times_of_its_own_has_a_window_too() -> None:
    signed = bundle(How(AT, log="v2", stamp=True))
    assert answer(signed, root(logs=[(SIGSTORE.rekor2, Window(AT, STAMPED))])) == "verified"
    assert answer(signed, root(logs=[(SIGSTORE.rekor2, Window(START, AT))])) == "outside-window"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_was_signed_in_the_future_is_refused_and_nothing_is_too_old(layout: str) -> None:
    signed = LAYOUTS[layout](How(AT))
    assert answer(signed, now=LOGGED - CLOCK_SKEW) == "verified"
    assert answer(signed, now=LOGGED - CLOCK_SKEW - timedelta(seconds=1)) == "signed-in-future"
    assert answer(signed, now=datetime(2090, 1, 1, tzinfo=UTC)) == "verified"


def test_the_local_clock_of_the_machine_is_not_asked() -> None:
    """Instances that begin long after the time on this machine count, if the caller knows better what time it is."""
    begin = datetime(2093, 1, 1, tzinfo=UTC)
    later = FakeSigstore("later", start=begin)
    at, now = begin + MONTH, begin + 2 * MONTH
    for log in ("v1", "v2"):
        signed = bundle(How(at, log=log, stamp=True), later)
        assert answer(signed, root(later), now) == "verified"


# --- the second opinion --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"signature": b"x"},
        {"payload": b"{}", "message": pae(b"{}")},
        {"payload_type": "text/plain"},
        {"certificate": old(How(AT.replace(hour=13))).certificate},
        {"certificate": b"x"},
        {"entries": ()},
        {"entries": bundle(How(AT.replace(hour=13))).entries},
        {"timestamps": (b"x",)},
    ],
)
def test_sigstore_judges_the_same_record(changes: dict[str, Any]) -> None:
    signed = bundle(How(AT))
    _ask_sigstore(signed, ROOT)
    with pytest.raises(Refusal) as caught:
        _ask_sigstore(replace(signed, **changes), ROOT)
    assert caught.value.reason == "verifier-error"


@pytest.mark.parametrize("log", ["v1", "v2"])
def test_sigstore_judges_with_what_the_root_still_trusts(log: Any) -> None:
    signed = bundle(How(AT, log=log, stamp=True))
    assert signed.layout is SignatureLayout.BUNDLE
    for name in ("authorities", "logs", "ct_logs", "stampers"):
        ended = [(one, Window(START, AT)) for one, _ in getattr(SIGSTORE.contents(), name)]
        narrowed = root(**{name: ended}).within([LOGGED])
        if name == "stampers" and log == "v1":
            continue  # to sigstore the promise is time enough, and our own rule is the stricter one
        with pytest.raises(Refusal) as caught:
            _ask_sigstore(signed, narrowed)
        assert caught.value.reason == "verifier-error"


def test_without_sigstore_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sigstore", None)
    with pytest.raises(InputError) as caught:
        verify_keyless(old(How(AT)), ROOT, [SIGNER], NOW)
    assert caught.value.code == "missing-extra"
