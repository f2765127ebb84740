"""Real signatures of the public and the staging Sigstore instance: those in the sdist of pypi-attestations 0.0.30."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from airgap.base.digest import Digest
from airgap.signatures.engines.keyless import verify_keyless
from airgap.signatures.record import Identity, Proof, Refusal, Signed
from airgap.signatures.roots.trust_root import TrustRoot
from airgap.signatures.verify import Demand, verify
from tests.parts.need import require_part
from tests.worlds.keyless import BUNDLE_TYPE, NOW, read

pytestmark = [pytest.mark.e2e, pytest.mark.part("attestations")]

PUBLISH = "/attestations/publish/v1"
"""How the predicate type of an index's own attestations ends: the host before it is that index'."""
SLSA = "https://slsa.dev/provenance/v1"
PINNED = {
    "sigstore": Digest("sha256:6494e21ea73fa7ee769f85f57d5a3e6a08725eae1e38c755fc3517c9e6bc0b66"),
    "sigstage": Digest("sha256:81f5af777952d2c3955062ad56924c05ca916b5d49f3a0bce945faa475a8b1cc"),
}
GITHUB = "https://token.actions.githubusercontent.com"
RELEASE = "/.github/workflows/release.yml@refs/tags/"
CIRCLE = "https://circleci.com/api/v2/projects/fdd9283f-e619-46af-8f9c-851f7d3e8b2b/pipeline-definitions/"
STAGED = ("sigstage", "william@yossarian.net", "https://github.com/login/oauth")
SIGNERS = {
    "pypi_attestations-0.0.19": (
        "sigstore",
        f"https://github.com/trailofbits/pypi-attestations{RELEASE}v0.0.19",
        GITHUB,
    ),
    "pypi_attestation_models-0.0.4a2": (
        "sigstore",
        f"https://github.com/trailofbits/pypi-attestation-models{RELEASE}v0.0.4a2",
        GITHUB,
    ),
    "gitlab_oidc_project-0.0.3": (
        "sigstore",
        "https://gitlab.com/facutuesca/gitlab-oidc-project//.gitlab-ci.yml@refs/heads/main",
        "https://gitlab.com",
    ),
    "gcb_attestation_test-0.0.0": (
        "sigstore",
        "919436158236-compute@developer.gserviceaccount.com",
        "https://accounts.google.com",
    ),
    "circleci_sign_publish_example-0.0.1": (
        "sigstore",
        f"{CIRCLE}8e4f8ab2-8d7c-4827-9f15-de076d6d647f",
        "https://oidc.circleci.com",
    ),
    "rfc8785-0.1.2": STAGED,
    "spt3g-1.0": STAGED,
}
"""Which instance, identity and issuer signed what begins with this name."""


def trust(name: str) -> TrustRoot:
    """The instance's root as sigstore-python ships it, by its hash."""
    folder = f"https%3A%2F%2Ftuf-repo-cdn.{name}.dev"
    data = resources.files("sigstore._store").joinpath(folder, "trusted_root.json").read_bytes()
    return TrustRoot.load(name, data, PINNED[name])


def as_bundle(attestation: dict[str, Any]) -> bytes:
    """PyPI's form of an attestation (PEP 740) as the bundle that it was made of."""
    material, envelope = attestation["verification_material"], attestation["envelope"]
    return json.dumps(
        {
            "mediaType": BUNDLE_TYPE,
            "verificationMaterial": {
                "certificate": {"rawBytes": material["certificate"]},
                "tlogEntries": material["transparency_entries"],
            },
            "dsseEnvelope": {
                "payload": envelope["statement"],
                "payloadType": "application/vnd.in-toto+json",
                "signatures": [{"sig": envelope["signature"]}],
            },
        }
    ).encode()


def bundles(path: Path) -> Iterator[bytes]:
    """The bundles in one of the three kinds of files."""
    if path.suffix == ".sigstore":
        yield path.read_bytes()
        return
    document = json.loads(path.read_bytes())
    groups = document.get("attestation_bundles", [{"attestations": [document]}])
    for group in groups:
        yield from map(as_bundle, group["attestations"])


def signatures() -> Iterator[tuple[str, Signed]]:
    """Each file's name with its signature, read as one about the digest that its statement names."""
    for path in sorted(require_part("attestations").iterdir()):
        if path.suffix in {".attestation", ".provenance", ".sigstore"}:
            for blob in bundles(path):
                statement = json.loads(read(blob).payload)
                yield (
                    path.name,
                    read(blob, Digest("sha256:" + statement["subject"][0]["digest"]["sha256"])),
                )


def signer_of(name: str) -> tuple[str, str, str]:
    return next(signer for prefix, signer in SIGNERS.items() if name.startswith(prefix))


def test_all_of_them_verify_under_their_own_root_for_their_own_signer() -> None:
    proofs: dict[bytes, Proof] = {}
    files = list(signatures())
    for name, signed in files:
        instance, identity, issuer = signer_of(name)
        wanted = str(json.loads(signed.payload)["predicateType"])
        assert wanted == SLSA if ".slsa." in name else wanted.endswith(PUBLISH)
        demand = Demand(wanted, identities=(Identity(issuer, identity),), root=trust(instance), now=NOW)
        finding = verify(signed, demand)
        assert (finding.reason, finding.detail) == ("", ""), name
        assert finding.proof is not None
        assert (finding.proof.identity, finding.proof.issuer) == (identity, issuer)
        assert finding.trust_root_digest == PINNED[instance]
        proofs[signed.signature] = finding.proof
    assert len(files) == 13
    assert len(proofs) == 8
    assert {source for proof in proofs.values() for source, _ in proof.times} == {"log"}


def test_each_root_refuses_what_the_other_instance_signed() -> None:
    for name, signed in signatures():
        instance, identity, issuer = signer_of(name)
        other = next(one for one in PINNED if one != instance)
        with pytest.raises(Refusal) as caught:
            verify_keyless(signed, trust(other), [Identity(issuer, identity)], NOW)
        assert caught.value.reason == "unknown-log", name
        assert "another Sigstore instance" in caught.value.detail


def test_another_identity_or_issuer_of_the_same_instance_is_refused() -> None:
    for name, signed in signatures():
        instance, identity, issuer = signer_of(name)
        for wrong in (Identity(issuer, identity + "x"), Identity(issuer + "/", identity)):
            with pytest.raises(Refusal) as caught:
                verify_keyless(signed, trust(instance), [wrong], NOW)
            assert caught.value.reason == "wrong-identity", name


def test_the_published_root_describes_itself() -> None:
    shown = trust("sigstore").describe()
    assert shown["sha256"] == PINNED["sigstore"].hex
    assert [log["url"] for log in shown["logs"]] == [
        "https://rekor.sigstore.dev",
        "https://log2025-1.rekor.sigstore.dev",
    ]
    assert shown["certificateAuthorities"][0]["until"] == "2022-12-31T23:59:59Z"
    assert shown["timestampAuthorities"][0]["from"] == "2025-07-04T00:00:00Z"
