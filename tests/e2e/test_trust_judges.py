"""Others judge what we sign: openssl, real cosign, @sigstore/verify, sigstore's own parser; and we read what cosign
signs."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from airgap.base.digest import Digest
from airgap.signatures.scanner_report import Report
from airgap.signatures.write import sign_bundle, signature, vulnerabilities
from airgap.statements.accepted import AcceptedList
from airgap.statements.accepted_state import Accepted
from airgap.statements.approval import Approvable, Approval, Approves
from airgap.statements.audited import Audit
from airgap.statements.dsse import open_bundle, pae
from airgap.statements.keys.file import FileSigner, generate, load_private, load_public
from airgap.statements.predicates import Delivery, Predicate, Pull, PulledItem, Receipt
from airgap.statements.prune import Prune
from airgap.statements.rollback import Rollback
from airgap.statements.statement import BODIES as KINDS
from airgap.statements.statement import predicate_type
from airgap.statements.trust import verify_bundle
from airgap.statements.verdict import CheckResult, JudgedItem, Named, Verdict
from airgap.statements.want import Want, WantedBlob
from tests.parts.fake_sigstore import FakeSigstore
from tests.parts.fake_sigstore.judges import Case, javascript
from tests.worlds.cosign import PASSWORD, cosign
from tests.worlds.trust import HOUR, NOW, World, signed, statement

pytestmark = pytest.mark.e2e

ID = "0193570e-0000-7000-8000-000000000042"
ROOT = Digest.of(b"root")
REPORT = Report(ROOT, b'{"scanner": {"uri": "pkg:trivy"}}')
YES = JudgedItem(ROOT, "pass", None, (CheckResult("signature", "pass", ROOT, "1"),))
BODIES: list[Predicate] = [
    Pull({"docker.io/library/alpine:3.20": PulledItem(ROOT, "pass", 3623807)}),
    Verdict(Named("platform", Digest.of(b"policy")), (), (), {"docker.io/library/alpine:3.20": YES}),
    Delivery(),
    Approval(None),
    Approval(Approves(Approvable.DELIVERY, "bank", "main", 42)),
    Receipt(ID, "main", 42, ()),
    AcceptedList("bank", (Accepted("main", 42, ID, ROOT, NOW - HOUR, NOW),)),
    Audit("pass", deep=True, checked=0),
    Rollback(ID, "main", 42, (ROOT,), ()),
    Prune("bank", ROOT, ()),
    Want("bank", ID, "main", 42, ("docker.io/library/alpine:3.20",), (WantedBlob(ROOT, 7),), ROOT),
]


@dataclass(frozen=True)
class Signed:
    """A file, our statement about it, and the public key."""

    file: Path
    bundle: Path
    public: Path
    signer: FileSigner


@pytest.fixture(scope="module")
def key_pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[FileSigner, Path]:
    private, public = generate(tmp_path_factory.mktemp("keys") / "exporter", PASSWORD)
    return load_private(private, PASSWORD), public


@pytest.fixture
def sign(key_pair: tuple[FileSigner, Path], tmp_path: Path) -> Callable[[Predicate], Signed]:
    """Signs a statement about a file, as it stands in a delivery."""

    def make(body: Predicate) -> Signed:
        signer, public = key_pair
        file, bundle = tmp_path / "AIRGAP.json", tmp_path / "exporter.sigstore.json"
        file.write_bytes(b'{"kind": "Delivery"}\n')
        bundle.write_bytes(signed(signer, Digest.of(file.read_bytes()), body, "exporter"))
        return Signed(file, bundle, public, signer)

    return make


def cosign_verify(made: Signed, kind: str, *, key: Path | None = None) -> int:
    """The exit code of the command that docs/format.md gives to readers."""
    done = cosign(
        "verify-blob-attestation",
        "--key",
        key or made.public,
        "--insecure-ignore-tlog=true",
        "--type",
        predicate_type(kind),
        "--bundle",
        made.bundle,
        made.file,
        home=made.file.parent,
    )
    return done.returncode


def test_every_kind_of_statement_is_judged_here() -> None:
    assert {body.kind for body in BODIES} == set(KINDS)


@pytest.mark.part("cosign")
@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.kind)
def test_cosign_verifies_what_we_sign(sign: Callable[[Predicate], Signed], body: Predicate) -> None:
    assert cosign_verify(sign(body), body.kind) == 0


@pytest.mark.part("cosign")
def test_cosign_refuses_what_we_refuse(sign: Callable[[Predicate], Signed], tmp_path: Path) -> None:
    made = sign(Delivery())
    _, other = generate(tmp_path / "other", PASSWORD)
    good = made.bundle.read_bytes()
    assert cosign_verify(made, "delivery") == 0
    assert cosign_verify(made, "delivery", key=other) != 0
    assert cosign_verify(made, "approval") != 0
    envelope = json.loads(good)
    body = base64.b64decode(envelope["dsseEnvelope"]["payload"]).replace(b"exporter", b"sovereig")
    envelope["dsseEnvelope"]["payload"] = base64.b64encode(body).decode()
    made.bundle.write_text(json.dumps(envelope))
    assert cosign_verify(made, "delivery") != 0
    made.bundle.write_bytes(good)
    made.file.write_bytes(b"another")
    assert cosign_verify(made, "delivery") != 0


@pytest.mark.part("node", "sigstore-verify")
def test_sigstores_javascript_verifies_what_we_sign(sign: Callable[[Predicate], Signed]) -> None:
    """In one process: every kind of statement, and what a Sovereign signs of images; each with a flaw, too."""
    made = [sign(body).bundle.read_bytes() for body in BODIES]
    signer = sign(Delivery()).signer
    made += [sign_bundle(claim, signer) for claim in (signature(ROOT), vulnerabilities(REPORT))]
    root = FakeSigstore().trusted_root()

    def judged(bundles: list[bytes], key: bytes) -> list[str]:
        cases = [Case(each, keyed=True, logged=False, key=key) for each in bundles]
        return javascript(root, cases)

    assert judged(made, signer.public_key_pem) == [""] * len(made)
    other = FileSigner(ec.generate_private_key(ec.SECP256R1()))
    assert all(judged(made, other.public_key_pem))
    assert all(judged([_spoiled(each) for each in made], signer.public_key_pem))


def _spoiled(bundle: bytes) -> bytes:
    """The same with a space more in the statement."""
    document = json.loads(bundle)
    envelope = document["dsseEnvelope"]
    envelope["payload"] = base64.b64encode(base64.b64decode(envelope["payload"]) + b" ").decode()
    return json.dumps(document).encode()


def openssl(*args: str | Path) -> int:
    done = subprocess.run(["openssl", *map(str, args)], capture_output=True, check=False)
    return done.returncode


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.kind)
def test_openssl_verifies_the_signature_over_the_pae(
    sign: Callable[[Predicate], Signed], tmp_path: Path, body: Predicate
) -> None:
    made = sign(body)
    envelope = open_bundle(made.bundle.read_bytes(), "x")
    message, signature = tmp_path / "pae", tmp_path / "sig"
    message.write_bytes(pae(envelope.payload))
    signature.write_bytes(envelope.signature)
    check: list[str | Path] = ["dgst", "-sha256", "-verify", made.public]
    check += ["-signature", signature, message]
    assert openssl(*check) == 0
    message.write_bytes(pae(envelope.payload + b" "))
    assert openssl(*check) != 0


def test_openssl_opens_our_keys_and_we_open_openssls(tmp_path: Path) -> None:
    private, public = generate(tmp_path / "mine", PASSWORD)
    password = tmp_path / "password"
    password.write_bytes(PASSWORD)
    source = f"file:{password}"
    derived = tmp_path / "derived.pub"
    made: list[str | Path] = ["pkey", "-in", private, "-passin", source, "-pubout", "-out", derived]
    assert openssl(*made) == 0
    assert load_public(derived.read_bytes()) == load_public(public.read_bytes())
    plain, sealed = tmp_path / "plain", tmp_path / "sealed"
    curve = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
    assert openssl("genpkey", *curve, "-out", plain) == 0
    seal: list[str | Path] = ["-topk8", "-v2", "aes-256-cbc", "-in", plain]
    seal += ["-passout", source, "-out", sealed]
    assert openssl("pkcs8", *seal) == 0
    sealed.chmod(0o600)
    assert load_private(sealed, PASSWORD).sign(b"data")


def test_sigstores_models_read_our_bundles(sign: Callable[[Predicate], Signed]) -> None:
    """The protobuf shape, not the signature: sigstore's verifier does not take bundles with keys.

    Its models ask for an empty `tlogEntries` too, which proto3 JSON leaves out, and so do cosign and we.
    """
    models = pytest.importorskip("sigstore_models.bundle.v1", reason="needs sigstore")
    made = sign(Delivery())
    document = json.loads(made.bundle.read_bytes())
    document["verificationMaterial"]["tlogEntries"] = []
    bundle = models.Bundle.from_json(json.dumps(document))
    assert bundle.media_type == "application/vnd.dev.sigstore.bundle.v0.3+json"
    assert bundle.verification_material.public_key.hint == made.signer.key_id
    assert len(bundle.dsse_envelope.signatures) == 1


@pytest.mark.part("cosign")
def test_we_believe_a_statement_that_cosign_signed(tmp_path: Path) -> None:
    """A security-officer may sign with cosign: the statement is ours, the hand is another's."""
    assert cosign("generate-key-pair", home=tmp_path).returncode == 0
    subject = tmp_path / "AIRGAP.json"
    subject.write_bytes(b"{}")
    wanted = statement(Digest.of(b"{}"), Delivery(), "exporter", at=NOW - HOUR)
    words, bundle = tmp_path / "statement.json", tmp_path / "bundle.json"
    words.write_bytes(wanted.payload)
    done = cosign(
        "attest-blob",
        "-y",
        "--key",
        tmp_path / "cosign.key",
        "--use-signing-config=false",
        "--tlog-upload=false",
        "--statement",
        words,
        "--bundle",
        bundle,
        home=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    public = (tmp_path / "cosign.pub").read_bytes()
    world = World()
    world.change_key("exporter", public_key_pem=public)
    verified = verify_bundle(bundle.read_bytes(), world.trust, "cosign's", now=NOW)
    assert verified.statement.subject == wanted.subject
    assert verified.statement.payload == wanted.payload
