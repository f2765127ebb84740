"""Signing certificates: who they name, which authority of the root issued them, and which log saw them."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from airgap.signatures.engines.certificates import (
    check_fits,
    check_signature,
    read_leaf,
    verify_chain,
    verify_sct,
)
from airgap.signatures.record import Refusal, Status
from airgap.signatures.roots.instances import MAX_CERTIFICATE
from airgap.signatures.roots.trust_root import TrustRoot
from tests.parts.fake_sigstore import ISSUER, SAN, START, Authority, FakeSigstore, How, Leaf, Window
from tests.parts.fake_sigstore.ca import ISSUER_V1, ISSUER_V2, YEARS, rekeyed
from tests.parts.fake_sigstore.keys import elliptic
from tests.worlds.keyless import AT, OTHER, ROOT, SIGSTORE, answer, bundle, old, root

SOON = AT + timedelta(minutes=1)
KEY = elliptic("certificates")


def der(certificate: x509.Certificate | None) -> bytes:
    assert certificate is not None
    return certificate.public_bytes(Encoding.DER)


def issued(sigstore: FakeSigstore = SIGSTORE, /, **leaf: Any) -> bytes:
    return der(sigstore.authority.signer(Leaf(AT, **leaf)).certificate)


def reason(data: bytes) -> str:
    with pytest.raises(Refusal) as caught:
        read_leaf(data)
    return caught.value.reason


def made(*extensions: tuple[x509.ExtensionType, bool], names: Any = None) -> bytes:
    """A certificate with these extensions beside the usages that every signer's has."""
    usages = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])
    usage = x509.KeyUsage(True, *[False] * 8)  # noqa: FBT003
    builder = (
        x509.CertificateBuilder(x509.Name([]), x509.Name([]), KEY.public_key(), 5, AT, SOON)
        .add_extension(usage, critical=True)
        .add_extension(usages, critical=False)
    )
    if names is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return der(builder.sign(KEY, hashes.SHA256()))


def unsigned_by_name(authority: x509.Certificate) -> x509.Certificate:
    """A leaf with an authority's name as its issuer, that does not say which key issued it."""
    leaf = x509.load_der_x509_certificate(issued())
    builder = x509.CertificateBuilder(authority.subject, leaf.subject, leaf.public_key(), 5, AT, SOON)
    for extension in leaf.extensions:
        if not isinstance(extension.value, x509.AuthorityKeyIdentifier):
            builder = builder.add_extension(extension.value, extension.critical)
    return builder.sign(KEY, hashes.SHA256())


def old_issuer(text: bytes) -> tuple[x509.ExtensionType, bool]:
    return x509.UnrecognizedExtension(ISSUER_V1, text), False


def new_issuer(value: bytes) -> tuple[x509.ExtensionType, bool]:
    return x509.UnrecognizedExtension(ISSUER_V2, value), False


URI = [x509.UniformResourceIdentifier(SAN)]

# --- what a certificate says ---------------------------------------------------------------------


def test_a_certificate_names_one_signer_and_who_vouched() -> None:
    leaf = read_leaf(issued())
    assert (leaf.identity, leaf.issuer) == (SAN, ISSUER)
    assert read_leaf(issued(san="a@b.example")).identity == "a@b.example"


@pytest.mark.parametrize("length", [1, 127, 128, 200, 255, 256, 3000])
def test_both_ways_to_name_the_issuer_and_all_lengths(length: int) -> None:
    issuer = "https://" + "x" * length
    for one in ({"issuer_v1": False}, {"issuer_v2": False}, {}):
        assert read_leaf(issued(issuer=issuer, **one)).issuer == issuer


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (issued(issuer_v1=False, issuer_v2=False), "bad-certificate"),
        (issued(old_issuer="https://evil.example"), "bad-certificate"),
        (issued(old_issuer=""), "bad-certificate"),
        (issued(issuer=""), "bad-certificate"),
        (issued(usages=()), "bad-certificate"),
        (issued(usages=(ExtendedKeyUsageOID.TIME_STAMPING,)), "bad-certificate"),
        (issued(digital_signature=False), "bad-certificate"),
        (issued(is_ca=True), "bad-certificate"),
        (issued()[:-1], "bad-certificate"),
        (issued() + b"\0", "bad-certificate"),
        (b"", "bad-certificate"),
        (b"\x30" * (MAX_CERTIFICATE + 1), "bad-certificate"),
        (made(old_issuer(b"https://x"), names=[]), "wrong-identity"),
        (made(old_issuer(b"https://x")), "wrong-identity"),
        (made(old_issuer(b"https://x"), names=URI * 2), "wrong-identity"),
        (
            made(old_issuer(b"x"), names=[*URI, x509.RFC822Name("a@b.example")]),
            "wrong-identity",
        ),
        (made(old_issuer(b"https://x"), names=[x509.DNSName("b.example")]), "unsupported-format"),
        (
            made(
                old_issuer(b"x"),
                names=[x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.7"), b"\x0c\x01x")],
            ),
            "unsupported-format",
        ),
        (made(old_issuer(b"\xff"), names=URI), "bad-certificate"),
        (made(new_issuer(b"https://x"), names=URI), "bad-certificate"),
        (made(new_issuer(b"\x0c\x05x"), names=URI), "bad-certificate"),
        (made(new_issuer(b"\x0c\x81\x01x"), names=URI), "bad-certificate"),
        (made(new_issuer(b"\x0c\x01xy"), names=URI), "bad-certificate"),
        (made(new_issuer(b""), names=URI), "bad-certificate"),
    ],
)
def test_what_is_no_signer_s_certificate(data: bytes, said: str) -> None:
    assert reason(data) == said


@pytest.mark.parametrize("kind", ["p384", "rsa", "ed25519"])
def test_keys_but_p256_are_unsupported_and_not_invalid(kind: Any) -> None:
    with pytest.raises(Refusal) as caught:
        read_leaf(issued(key=kind))
    assert (caught.value.reason, caught.value.status) == (
        "unsupported-algorithm",
        Status.UNSUPPORTED,
    )


def test_no_changed_bit_of_a_certificate_passes_or_raises_something_else() -> None:
    signed = old(How(AT, stamp=True))
    data = signed.certificate
    answers = Counter(
        answer(replace(signed, certificate=data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]))
        for at in range(len(data))
    )
    assert "verified" not in answers
    assert set(answers) <= {
        "bad-certificate",
        "entry-mismatch",
        "wrong-identity",
        "unsupported-algorithm",
        "unsupported-format",
    }


def test_the_signature_is_over_the_message_by_the_leaf_s_key() -> None:
    leaf = read_leaf(made(old_issuer(b"https://x"), names=URI))
    signature = KEY.sign(b"message", ec.ECDSA(hashes.SHA256()))
    check_signature(leaf, signature, b"message")
    for wrong in ((signature, b"massage"), (signature + b"\0", b"message"), (b"", b"message")):
        with pytest.raises(Refusal) as caught:
            check_signature(leaf, *wrong)
        assert caught.value.reason == "bad-signature"


# --- who issued it -------------------------------------------------------------------------------


def chain(data: bytes, trust: TrustRoot = ROOT, *times: datetime) -> str:
    try:
        authority, _ = verify_chain(read_leaf(data), trust, times or (SOON,))
        return authority.name
    except Refusal as refusal:
        return refusal.reason


def test_the_authority_is_one_of_the_root_s() -> None:
    both = root(authorities=[*OTHER.contents().authorities, *SIGSTORE.contents().authorities])
    assert chain(issued()) == chain(issued(), both) == "CN=fake intermediate,O=fake.example"
    assert chain(issued(OTHER), both) == "CN=other intermediate,O=fake.example"
    assert chain(issued(OTHER)) == "unknown-ca"
    assert chain(issued(), root(authorities=[])) == "unknown-ca"


def test_an_authority_of_the_same_name_with_another_key_is_unknown() -> None:
    """Two instances may call their authorities alike; a certificate says by which key it was issued."""
    forger = FakeSigstore()
    forger.authority.intermediate = SIGSTORE.authority.intermediate
    forger.authority.seed = "forger"
    # It says that ours issued it.
    assert chain(issued(forger)) == "bad-certificate"
    other = Authority("fake", START, SIGSTORE.ct)
    other.intermediate = rekeyed(other.intermediate, elliptic("another key"))
    foreign = root(authorities=[(other, Window(START))])
    assert chain(issued(), foreign) == "unknown-ca"
    bare = der(unsigned_by_name(SIGSTORE.authority.intermediate))
    assert chain(bare) == "unknown-ca"
    both = root(authorities=[(other, Window(START)), *SIGSTORE.contents().authorities])
    assert chain(issued(), both).startswith("CN=")


def test_a_root_that_issues_leaves_itself_and_one_that_names_only_the_intermediate() -> None:
    class Short(Authority):
        @property
        def chain(self) -> tuple[x509.Certificate, ...]:
            return (self.intermediate,)

    short = Short("fake", START, SIGSTORE.ct)
    trust = root(authorities=[(short, Window(START))])
    assert chain(issued(), trust) == "CN=fake intermediate,O=fake.example"


def test_any_authority_of_a_chain_may_have_issued_it() -> None:
    """sigstore_trustroot.proto says only that the last one is the anchor."""

    class Long(Authority):
        @property
        def chain(self) -> tuple[x509.Certificate, ...]:
            return (self.root, self.intermediate, self.root)

    other = Long("fake", START, SIGSTORE.ct)
    trust = root(authorities=[(other, Window(START))])
    assert chain(issued(), trust) == "CN=fake root,O=fake.example"
    assert answer(bundle(How(AT)), trust) == "verified"


def test_every_time_is_within_the_window_and_all_validities() -> None:
    last = AT + timedelta(minutes=10)
    assert chain(issued(), ROOT, AT, last).startswith("CN=")
    assert chain(issued(), ROOT, AT, last + timedelta(seconds=1)) == "certificate-expired"
    assert chain(issued(), ROOT, AT - timedelta(seconds=1), last) == "certificate-expired"
    whole = root(authorities=[(SIGSTORE.authority, Window(AT, last))])
    assert chain(issued(), whole, AT, last).startswith("CN=")
    ended = root(authorities=[(SIGSTORE.authority, Window(START, AT))])
    assert chain(issued(), ended, AT).startswith("CN=")
    assert chain(issued(), ended, AT, SOON) == "outside-window"


def test_a_leaf_that_outlives_its_authority_counts_no_longer_than_it() -> None:
    end = SIGSTORE.authority.intermediate.not_valid_after_utc
    begin = end - timedelta(minutes=5)
    data = der(SIGSTORE.authority.signer(Leaf(begin)).certificate)
    assert chain(data, ROOT, begin, end).startswith("CN=")
    assert chain(data, ROOT, end + timedelta(minutes=1)) == "certificate-expired"


def test_an_authority_given_twice_counts_while_one_of_its_windows_is_open() -> None:
    two = [
        (SIGSTORE.authority, Window(START, AT - timedelta(days=1))),
        (SIGSTORE.authority, Window(AT)),
    ]
    assert chain(issued(), root(authorities=two)).startswith("CN=")


def test_an_authority_whose_certificate_was_renewed_counts_by_either() -> None:
    """`cosign trusted-root create` writes no end unless it is told one, so both windows are open."""
    expired = Authority("fake", AT - YEARS - timedelta(days=1), SIGSTORE.ct)
    before, after = (expired, Window(START)), (SIGSTORE.authority, Window(START))
    assert chain(issued(), root(authorities=[before])) == "certificate-expired"
    for both in ([before, after], [after, before]):
        assert chain(issued(), root(authorities=both)).startswith("CN=")
        assert answer(bundle(How(AT)), root(authorities=both)) == "verified"


# --- what came along -----------------------------------------------------------------------------


def fits(*included: bytes) -> str:
    try:
        check_fits(read_leaf(issued()), included)
    except Refusal as refusal:
        return refusal.reason
    return ""


def test_a_chain_beside_the_certificate_may_have_any_shape_that_is_not_damaged() -> None:
    """In any order, with the leaf or without, and with certificates that have nothing to do with it."""
    intermediate, top = map(der, SIGSTORE.authority.chain)
    others = tuple(map(der, OTHER.authority.chain))
    for good in ((), (intermediate, top), (top, intermediate), (top,), (issued(), intermediate), others):
        assert fits(*good) == ""
    assert fits(*others, intermediate, *others, top) == ""
    changed = top[:-1] + bytes([top[-1] ^ 1])
    another = der(rekeyed(SIGSTORE.authority.intermediate, elliptic("another key")))
    for wrong in ((intermediate, changed), (another,), (b"x",)):
        assert fits(*wrong) == "bad-certificate"
    # An authority that was given a new key is in bundles of certificates twice.
    assert fits(another, intermediate) == ""


def test_a_root_in_a_bundle_is_ignored() -> None:
    """Signers must not put one there any more, but npm did."""
    intermediate, top = map(der, SIGSTORE.authority.chain)
    signed = replace(bundle(How(AT, version="0.2")), chain=(intermediate, top))
    assert answer(signed) == "verified"
    # It is no root for that: what it issued counts only if the trust root has it.
    theirs = replace(signed, chain=tuple(map(der, OTHER.authority.chain)))
    assert answer(theirs, root(authorities=OTHER.contents().authorities)) == "unknown-ca"


def test_a_chain_beside_the_certificate_is_no_root() -> None:
    signed = old(How(AT, signer=OTHER.authority.signer(Leaf(AT))))
    assert len(signed.chain) == 2
    assert answer(signed) == "unknown-ca"


# --- the log that saw it -------------------------------------------------------------------------


def seen(data: bytes, trust: TrustRoot = ROOT, issuer: x509.Certificate | None = None) -> str:
    try:
        leaf = read_leaf(data)
        _, moment = verify_sct(leaf, issuer or SIGSTORE.authority.intermediate, trust)
        return moment.isoformat()
    except Refusal as refusal:
        return refusal.reason


def test_a_log_of_the_root_saw_it() -> None:
    assert seen(issued()) == AT.isoformat()
    assert seen(issued(sct=False)) == "no-sct"
    foreign = SIGSTORE.authority.signer(Leaf(AT), ct=OTHER.ct).certificate
    assert seen(der(foreign)) == "unknown-ct-log"
    assert seen(der(foreign), root(ct_logs=OTHER.contents().ct_logs)) == AT.isoformat()
    assert seen(issued(), issuer=OTHER.authority.intermediate) == "bad-sct"


def test_it_saw_it_while_it_was_trusted() -> None:
    assert seen(issued(), root(ct_logs=[(SIGSTORE.ct, Window(START, AT))])) == AT.isoformat()
    late = root(ct_logs=[(SIGSTORE.ct, Window(AT + timedelta(seconds=1)))])
    assert seen(issued(), late) == "outside-window"
    assert answer(bundle(How(AT)), root(ct_logs=[(SIGSTORE.ct, Window(START, AT))])) == ("outside-window")


def test_times_are_exact_to_the_millisecond() -> None:
    at = datetime(2024, 5, 1, 12, 0, 0, 123000, tzinfo=UTC)
    signer = SIGSTORE.authority.signer(Leaf(at))
    assert seen(der(signer.certificate)) == at.isoformat()


def test_a_number_that_is_not_positive_is_refused_and_nothing_is_printed() -> None:
    data = issued()
    at = data.index(b"\x02\x10") + 2  # the serial number: 16 bytes
    data = data[:at] + b"\x80" + data[at + 1 :]
    assert reason(data) == "bad-certificate"
    program = f"""if True:
        from airgap.cli.process import prepare
        from airgap.signatures.engines.certificates import Refusal, read_leaf
        prepare("scan")
        try:
            read_leaf({data!r})
        except Refusal as refusal:
            print(refusal.reason)
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"bad-certificate\n", b"")
