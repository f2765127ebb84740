"""What we verify, real cosign verifies: odd but well signed bundles, and random changes that we find harmless.

The other way round is not asked: cosign takes what we refuse (tests/e2e/test_fake_sigstore.py).
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airgap.base.digest import Digest
from airgap.base.errors import TrustError
from airgap.signatures.record import SIGNATURE, Refusal, UpstreamKey
from airgap.signatures.roots.trust_root import TrustRoot
from airgap.signatures.verify import Demand, verify
from tests.parts.fake_sigstore import START, How, Leaf, Window, bundles, public_pem
from tests.parts.fake_sigstore.ca import listed
from tests.parts.fake_sigstore.changes import in_json
from tests.parts.fake_sigstore.goods import AT, OWNER, SUBJECT, goods
from tests.parts.fake_sigstore.judges import Case, Cosign
from tests.worlds.keyless import MANIFEST, NOW, OTHER, SIGNER, SIGSTORE, read

pytestmark = [pytest.mark.e2e, pytest.mark.part("cosign")]
HEX = SUBJECT.removeprefix("sha256:")
MINE: dict[str, Any] = {"digest": {"sha256": HEX}}
CONTENTS = SIGSTORE.contents()
TWO = replace(
    CONTENTS,
    logs=[*CONTENTS.logs, (OTHER.rekor, Window(START))],
    stampers=[*CONTENTS.stampers, (OTHER.tsa, Window(START))],
)
"""A trust root with two logs of the first kind and two time stamp authorities."""
STATEMENTS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "v0.1": {"_type": "https://in-toto.io/Statement/v0.1"},
    "v2": {"_type": "https://in-toto.io/Statement/v2"},
    "a second subject": {"subject": [{"digest": {"sha256": "00" * 32}}, MINE]},
    "1024 subjects": {"subject": [MINE] * 1024},
    "1025 subjects": {"subject": [MINE] * 1025},
    "no subject": {"subject": []},
    "another algorithm": {"subject": [{"digest": {"sha256": HEX, "sha512": "ab" * 64}}]},
    "an algorithm alone": {"subject": [{"digest": {"sha512": "ab" * 64}}]},
    "no hex": {"subject": [{"digest": {"sha256": HEX, "sha512": "junk"}}]},
    "unknown algorithm": {"subject": [{"digest": {"sha256": HEX, "gitCommit": "abcd"}}]},
    "unknown and no hex": {"subject": [{"digest": {"sha256": HEX, "gitCommit": "x"}}]},
    "an empty digest": {"subject": [{"digest": {"sha256": HEX, "sha512": ""}}]},
    "upper case": {"subject": [{"digest": {"sha256": HEX.upper()}}]},
    "a rich subject": {"subject": [{**MINE, "name": "x", "uri": "x:y", "mediaType": "a/b"}]},
    "content": {"subject": [{**MINE, "content": "eA==", "downloadLocation": "x"}]},
    "content no base64": {"subject": [{**MINE, "content": "x"}]},
    "annotations": {"subject": [{**MINE, "annotations": {"a": {"b": [1, None]}}}]},
    "annotations no object": {"subject": [{**MINE, "annotations": [1]}]},
    "name no text": {"subject": [{**MINE, "uri": 5}]},
    "predicate null": {"predicate": None},
    "predicate number": {"predicate": 5},
    "predicate text": {"predicate": "x"},
    "predicate list": {"predicate": []},
    "predicate deep": {"predicate": {"a": [[{"b": [1e300, -0.0, "\u0000\U0001f600"]}]]}},
    "predicate huge number": {"predicate": {"a": 10**400}},
    "another predicate type": {"predicateType": "https://example.org/x"},
    "unknown member": {"more": 1},
}


def _statements() -> Iterator[tuple[str, bytes]]:
    for name, change in STATEMENTS.items():
        made = json.loads(bundles.cosign_statement(SUBJECT)) | change
        yield f"statement: {name}", SIGSTORE.sign_statement(json.dumps(made).encode(), How(AT))
    bare = {"_type": "https://in-toto.io/Statement/v1", "predicateType": bundles.COSIGN_SIGN}
    payload = json.dumps({**bare, "subject": [MINE]}).encode()
    yield "statement: no predicate", SIGSTORE.sign_statement(payload, How(AT))
    yield "statement: spaces", SIGSTORE.sign_statement(b" \r\n" + payload + b"\t", How(AT))
    mark = b"\xef\xbb\xbf" + payload
    yield "statement: byte order mark", SIGSTORE.sign_statement(mark, How(AT))


def _leaves() -> Iterator[tuple[str, bytes]]:
    leaves: dict[str, dict[str, Any]] = {
        "issuer of the old kind alone": {"issuer_v2": False},
        "issuer of the new kind alone": {"issuer_v1": False},
        "two issuers": {"old_issuer": "https://x.example"},
        "no usage": {"usages": ()},
        "no signing": {"digital_signature": False},
        "an authority": {"is_ca": True},
        "no sct": {"sct": False},
        "P-384": {"key": "p384"},
        "RSA": {"key": "rsa"},
        "somebody else": {"san": "a@b.example"},
    }
    for name, leaf in leaves.items():
        yield f"leaf: {name}", SIGSTORE.sign_image(SUBJECT, How(AT, leaf=Leaf(AT, **leaf)))


def _several() -> Iterator[tuple[str, bytes]]:
    """Entries of two logs and stamps of two authorities: both good, one unknown, one twice."""
    how = How(AT, stamp=True)
    payload, signer = bundles.cosign_statement(SUBJECT), SIGSTORE.signer(how)
    message = bundles.pae(payload, how.payload_type)
    signature = signer.sign(message)
    wrapped = bundles.envelope(payload, signature, how.payload_type)
    raw = bundles.dumps(wrapped)

    def made(*logs: How, stamps: list[bytes]) -> bytes:
        entries = [SIGSTORE.logged_envelope(one, raw, (message, signature), signer) for one in logs]
        shown = [one.in_bundle(promise=True, proof=True) for one in entries if one is not None]
        content = {"dsseEnvelope": wrapped}
        return bundles.bundle(signer, content, entries=shown, stamps=stamps, version="0.3")

    mine = SIGSTORE.tsa.stamp(signature, AT.replace(second=3))
    theirs = OTHER.tsa.stamp(signature, AT.replace(second=4))
    other = How(AT, rekor=OTHER.rekor)
    yield "several: two logs", made(how, other, stamps=[])
    yield "several: both kinds of log", made(how, How(AT, log="v2"), stamps=[mine])
    yield "several: one log twice", made(how, how, stamps=[])
    yield "several: two stamps", made(how, stamps=[mine, theirs])
    yield "several: one stamp twice", made(how, stamps=[mine, mine])
    yield "several: no log", made(stamps=[mine])


def _chains() -> Iterator[tuple[str, bytes]]:
    """What a signer may include beside the leaf, and where."""
    mine, others = SIGSTORE.authority.chain, OTHER.authority.chain
    for version in ("0.1", "0.2"):
        made = json.loads(SIGSTORE.sign_image(SUBJECT, How(AT, version="0.2")))
        made["mediaType"] = bundles.MEDIA_TYPES[version]
        leaf = made["verificationMaterial"]["x509CertificateChain"]["certificates"][0]
        shapes = {
            "intermediate": [leaf, *listed(mine[:1])["certificates"]],
            "somebody else's": [leaf, *listed((others[0], mine[0]))["certificates"]],
            "twice": [leaf, leaf],
            "a root": [leaf, *listed(mine)["certificates"]],
        }
        for name, shape in shapes.items():
            made["verificationMaterial"]["x509CertificateChain"] = {"certificates": shape}
            yield f"chain: {name}, {version}", bundles.dumps(made)
        del made["verificationMaterial"]["x509CertificateChain"]
        made["verificationMaterial"]["certificate"] = leaf
        yield f"chain: the leaf alone, {version}", bundles.dumps(made)


def _messages() -> Iterator[tuple[str, bytes]]:
    """Bundles that sign the manifest's file: whole ones, and each with one change."""
    ways = {
        "certificate": How(AT),
        "older": How(AT, version="0.1"),
        "stamped": How(AT, log="v2", stamp=True),
        "key": How(AT, signer=OWNER, log="none"),
        "key in a log": How(AT, signer=OWNER),
    }
    for name, how in ways.items():
        made = SIGSTORE.sign_blob(MANIFEST, how)
        yield f"message: {name}", made
        for what, changed in in_json(json.loads(made)):
            yield f"message: {name}, {what}", bundles.dumps(changed)


def _random(count: int) -> Iterator[tuple[str, bytes]]:
    """Goods with a few bytes changed, the same ones in every run."""
    chance = random.Random(4)
    mine = [good for good in goods(SIGSTORE) if good.bundle and not good.predicate_type]
    for number in range(count):
        good = chance.choice(mine)
        data = bytearray(good.bundle)
        for _ in range(chance.choice((1, 1, 2))):
            at = chance.randrange(len(data))
            data[at : at + chance.randrange(2)] = bytes(chance.choices(b' "{}[],:0aA=\\\n', k=1))
        yield f"random {number} of {good.name}", bytes(data)


def _accepted(trust: TrustRoot, made: bytes, subject: Digest) -> tuple[bool, bool]:
    """Whether we verify it, and whether by OWNER's key."""
    keys = (UpstreamKey("owner", public_pem(OWNER.key)),)
    demand = Demand(SIGNATURE, identities=(SIGNER,), keys=keys, root=trust, now=NOW)
    try:
        finding = verify(read(made, subject), demand)
    except (Refusal, ValueError, KeyError, TypeError):  # the last three are of the test's reader
        return False, False
    proof = finding.proof
    return finding.verified, proof is not None and bool(proof.key_name)


def test_cosign_verifies_all_that_we_verify(tmp_path: Path) -> None:
    root = SIGSTORE.trusted_root(TWO)
    cosign, trust = Cosign(tmp_path, root), TrustRoot.load("two", root, None)
    ours, wrong = set(), []
    for name, made in [*_statements(), *_leaves(), *_several(), *_chains(), *_messages(), *_random(4000)]:
        message = name.startswith("message")
        accepted, keyed = _accepted(trust, made, Digest.of(MANIFEST) if message else Digest(SUBJECT))
        if accepted:
            ours.add(name)
            logged = b'"tlogEntries":[]' not in made and b'"tlogEntries":[{' in made
            data = MANIFEST if message else None
            case = Case(made, keyed=keyed, logged=logged, stamped=b"signedTimestamp" in made, data=data)
            said = cosign.blob(case, subject=SUBJECT)
            wrong += [f"{name}: {said.strip()[-200:]!r}"] if said else []
    assert not wrong, "\n".join(wrong)
    # It is not so because we verify nothing.
    assert {"several: two logs", "several: two stamps", "statement: a second subject"} <= ours
    assert sum(name.startswith("random") for name in ours) > 10
    assert {f"chain: {one}, 0.2" for one in ("intermediate", "a root", "twice", "the leaf alone")} <= ours
    assert {"message: certificate", "message: older", "message: stamped", "message: key"} <= ours


def test_cosign_reads_the_trust_roots_that_we_read(tmp_path: Path) -> None:
    """And knows no more than we what has no start."""
    made = SIGSTORE.sign_image(SUBJECT, How(AT, stamp=True))
    whole = json.loads(SIGSTORE.trusted_root())
    intermediate, top = whole["certificateAuthorities"][0]["certChain"]["certificates"]
    for name, shape, good in (
        ("as it is", [intermediate, top], True),
        ("the anchor is not self-signed", [intermediate], True),
        ("another one first", [top, intermediate, top], True),
        ("only the one above", [top], False),
    ):
        whole["certificateAuthorities"][0]["certChain"]["certificates"] = shape
        raw = json.dumps(whole).encode()
        (tmp_path / name).mkdir()
        said = Cosign(tmp_path / name, raw).blob(Case(made, stamped=True), subject=SUBJECT)
        accepted, _ = _accepted(TrustRoot.load("shape", raw, None), made, Digest(SUBJECT))
        assert (said == "", accepted) == (good, good), (name, said)
    for name in ("tlogs", "ctlogs"):
        endless = json.loads(SIGSTORE.trusted_root())
        endless[name][0]["publicKey"]["validFor"] = {}
        raw = json.dumps(endless).encode()
        assert "start" in Cosign(tmp_path, raw).blob(Case(made), subject=SUBJECT)
        with pytest.raises(TrustError, match="start"):
            TrustRoot.load("endless", raw, None)
