"""Time stamps: by an authority of the root, over these bytes, while it was trusted."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from airgap.base.errors import InputError
from airgap.signatures.engines.stamp_order import sorted_certificates
from airgap.signatures.engines.timestamps import MAX_STAMP, MAX_STAMPS, verify_timestamps
from airgap.signatures.record import Refusal
from airgap.signatures.roots.trust_root import TrustRoot
from tests.parts.fake_sigstore import START, Stamp, TimeStamper, Window, der
from tests.parts.fake_sigstore.ca import CODE_SIGNING, rekeyed
from tests.parts.fake_sigstore.keys import elliptic
from tests.worlds.keyless import AT, OTHER, ROOT, SIGSTORE, root

DATA = b"a signature"
TSA = SIGSTORE.tsa


def said(*responses: bytes, trust: TrustRoot = ROOT, data: bytes = DATA) -> str | list[datetime]:
    try:
        return list(verify_timestamps(responses, data, trust))
    except Refusal as refusal:
        return refusal.reason


def test_each_stamp_says_its_time() -> None:
    later = AT + timedelta(days=30)
    assert said() == []
    assert said(TSA.stamp(DATA, AT), TSA.stamp(DATA, later)) == [AT, later]


@pytest.mark.parametrize("stamp", [Stamp(AT, certificate=False), Stamp(AT, nonce=7), Stamp(AT, sha512=True)])
def test_what_stamps_may_have_or_leave_out(stamp: Stamp) -> None:
    assert said(TSA.respond(DATA, stamp)) == [AT]


def test_a_stamp_over_something_else_or_refused_or_damaged() -> None:
    good = TSA.stamp(DATA, AT)
    assert said(good, data=DATA + b" ") == "bad-timestamp"
    assert said(TSA.respond(DATA, Stamp(AT, status=2))) == "bad-timestamp"
    assert said(good[:-1]) == "bad-timestamp"
    assert said(good + b"\0") == "bad-timestamp"
    assert said(b"") == "bad-timestamp"


def test_a_changed_byte_never_makes_another_time() -> None:
    good = TSA.stamp(DATA, AT)
    changed = (good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :] for at in range(len(good)))
    answers = [said(one) for one in changed]
    # Outside of what is signed stand the version of the container and a list of hashes, which nobody needs.
    assert [one for one in answers if not isinstance(one, str)].count([AT]) <= 12
    refused = {"bad-timestamp", "unknown-tsa", "certificate-expired"}
    assert {str(one) for one in answers} == {*refused, str([AT])}


def test_one_that_cannot_be_checked_is_refused_beside_one_that_can() -> None:
    good, foreign = TSA.stamp(DATA, AT), OTHER.tsa.stamp(DATA, AT)
    assert said(good, foreign) == "unknown-tsa"
    assert said(good, trust=root(stampers=[])) == "unknown-tsa"
    assert said(good, b"x") == "bad-timestamp"


def test_an_authority_that_is_not_one_for_time_stamps() -> None:
    wrong = TimeStamper("wrong", START, usages=(CODE_SIGNING,))
    trust = root(stampers=[(wrong, Window(START))])
    assert said(wrong.stamp(DATA, AT), trust=trust) == "bad-timestamp"


def test_an_authority_of_the_same_name_and_number_in_another_instance_is_unknown() -> None:
    """The stamp names its signer by hash, too, with the certificate or without."""
    foreign = TimeStamper("foreign", START)
    foreign.key = elliptic("another key")
    foreign.chain = (rekeyed(TSA.chain[0], foreign.key), *foreign.chain[1:])
    for certificate in (True, False):
        assert said(foreign.respond(DATA, Stamp(AT, certificate=certificate))) == "unknown-tsa"


def test_certificates_in_a_stamp_may_be_in_any_order_and_of_anybody() -> None:
    """OpenSSL does not sort them; and who stamps may add those of a root above the known one."""
    for order in (TSA.chain, TSA.chain[::-1], (*OTHER.tsa.chain, *TSA.chain), TSA.chain[:1]):
        stamp = with_certificates(TSA.stamp(DATA, AT), order)
        assert said(stamp) == [AT]
    assert said(with_certificates(TSA.stamp(DATA, AT), OTHER.tsa.chain)) == "bad-timestamp"
    good = TSA.stamp(DATA, AT)
    for size in range(len(good)):
        assert sorted_certificates(good[:size]) == good[:size]
    assert sorted_certificates(good) == good


def with_certificates(stamp: bytes, chain: tuple[x509.Certificate, ...]) -> bytes:
    """The stamp with these certificates in place of its one, unsorted."""
    old = TSA.chain[0].public_bytes(Encoding.DER)
    new = b"".join(one.public_bytes(Encoding.DER) for one in chain)

    def rewrap(data: bytes) -> bytes:
        parts, at = [], 0
        while at < len(data):
            size = 2 if data[at + 1] < 0x80 else 2 + (data[at + 1] & 0x7F)
            length = data[at + 1] if size == 2 else int.from_bytes(data[at + 2 : at + size], "big")
            tag, content = data[at], data[at + size : at + size + length]
            whole = data[at : at + size + length]
            inner = whole == old or old not in whole
            parts.append((new if whole == old else whole) if inner else der.tlv(tag, rewrap(content)))
            at += size + length
        return b"".join(parts)

    return rewrap(stamp)


def test_the_name_and_number_of_a_known_authority_without_its_key() -> None:
    forger = TimeStamper("forger", START)
    forger.chain = TSA.chain
    assert said(forger.stamp(DATA, AT)) == "bad-timestamp"
    assert said(forger.respond(DATA, Stamp(AT, certificate=False))) == "bad-timestamp"


def test_an_authority_given_twice_counts_while_one_of_its_windows_is_open() -> None:
    before, after = (TSA, Window(START, AT - timedelta(days=1))), (TSA, Window(AT))
    assert said(TSA.stamp(DATA, AT), trust=root(stampers=[before])) == "outside-window"
    for both in ([before, after], [after, before]):
        assert said(TSA.stamp(DATA, AT), trust=root(stampers=both)) == [AT]


def test_both_ends_of_the_window_count() -> None:
    second = timedelta(seconds=1)
    trust = root(stampers=[(TSA, Window(AT, AT + second))])
    assert said(TSA.stamp(DATA, AT), TSA.stamp(DATA, AT + second), trust=trust) == [AT, AT + second]
    assert said(TSA.stamp(DATA, AT - second), trust=trust) == "outside-window"
    assert said(TSA.stamp(DATA, AT + 2 * second), trust=trust) == "outside-window"


def test_a_stamp_made_when_the_authority_s_certificate_was_not_valid() -> None:
    assert said(TSA.stamp(DATA, datetime(2035, 1, 1, tzinfo=UTC))) == "certificate-expired"
    assert said(TSA.stamp(DATA, START - timedelta(days=1))) == "certificate-expired"


def test_limits() -> None:
    good = TSA.stamp(DATA, AT)
    assert said(good, good) == "bad-timestamp"
    assert said(*[b"x"] * (MAX_STAMPS + 1)) == "too-many"
    assert said(good + b"\0" * MAX_STAMP) == "too-large"


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rfc3161_client", None)
    assert said() == []
    with pytest.raises(InputError) as caught:
        said(TSA.stamp(DATA, AT))
    assert caught.value.code == "missing-extra"
    assert "keyless" in caught.value.hint


@pytest.mark.parametrize("count", [1, 2])
def test_a_chain_that_does_not_reach_its_root_is_said_so(count: int) -> None:
    """cosign takes no such trust root at all."""
    made = TimeStamper("short", START)
    made.chain = (made.chain[0],) * count
    trust = root(stampers=[(made, Window(START))])
    with pytest.raises(Refusal, match="root certificate") as caught:
        verify_timestamps([made.stamp(DATA, AT)], DATA, trust)
    assert caught.value.reason == "unsupported-format"
