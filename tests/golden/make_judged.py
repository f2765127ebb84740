"""Makes the golden delivery of a scan station, once: `python -m tests.golden.make_judged FOLDER`.

Two locks with a verdict each: images that others signed in every layout that is read, one image that only a waiver
lets in, a scanner's report, and a file that somebody answers for. With approvals of a lock, of the delivery, of the
waiver and of a Trust resource, trust roots, receipt, accepted list, audit and logs. As with `make_delivery`, the
result is checked in.
"""

from __future__ import annotations

import json
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

from airgap.base.digest import Digest
from airgap.base.progress import Silent
from airgap.bundling.bundle import Audience, BundleOrder, cut_delivery
from airgap.bundling.evidence import read_approval
from airgap.content.lock import Lock
from airgap.jobs.trust_roots import carried_roots
from airgap.statements.keys.file import load_private
from airgap.station.files import store_records
from airgap.station.signatory import Signatory
from airgap.store.layout import Layout as Store
from tests.golden.make_delivery import LIFE, NOW, SOVEREIGN, TRUST, VOLUME, airgap, run
from tests.parts.fake_sigstore import (
    ISSUER,
    SAN,
    FakeSigstore,
    How,
    attach,
    bundles,
    managed,
    public_pem,
)
from tests.parts.images import Descriptor, Layout

ID = "01a2174c-3500-7000-8000-00000000002a"
SIGNED = datetime(2026, 6, 1, tzinfo=UTC)
"""When upstream signed."""
OWNER = managed("golden-owner")
LOCKS = ("acme", "site")
REQUESTS = {
    "acme": """\
  images:
  - {ref: "oci:content:app", name: "ghcr.io/acme/app:1.0"}
  - {ref: "oci:content:app", name: "ghcr.io/acme/app:1.0-arm64", platforms: [linux/arm64]}
  - {ref: "oci:content:edge", name: "ghcr.io/acme/edge:1.0"}
  - {ref: "oci:content:older", name: "ghcr.io/acme/older:1.0"}
""",
    "site": """\
  images:
  - {ref: "oci:content:tool", name: "docker.io/library/tool:1.0"}
  files:
  - {file: content/manual.txt, name: manual, path: manuals/hello/manual.txt, sha256: "MANUAL"}
""",
}
POLICY = """\
apiVersion: airgap.openova.io/v1alpha1
kind: Policy
metadata: {name: golden}
spec:
  trustRoots: [{name: acme, file: acme.json, sha256: ROOT}]
  keys: [{name: owner, publicKeyFile: owner.pub}]
  rules:
  - match: ["ghcr.io/acme/app"]
    require:
      subjects: all
      trustRoot: acme
      identities: [{issuer: "ISSUER", identity: "SAN"}]
  - match: ["ghcr.io/acme/*"]
    require:
      keys: [owner]
      attestations: [{predicateType: "https://spdx.dev/Document", content: sbom}]
  - match: ["**"]
    kinds: [image]
    require: {keys: [owner]}
  - match: ["**"]
    kinds: [file]
    digestOnly: {approver: Amina, reason: As printed., expires: 2126-01-01T00:00:00Z, local: true}
"""
WAIVER = """\
apiVersion: airgap.openova.io/v1alpha1
kind: Waiver
metadata: {name: tool}
spec:
  digests: ["DIGEST"]
  checks: [signature]
  approver: Amina
  reason: Nobody signs it; compared by hand.
  expires: 2126-01-01T00:00:00Z
"""
REPORT = {
    "invocation": {"parameters": None, "uri": "", "event_id": "", "builder.id": ""},
    "scanner": {"uri": "pkg:github/acme/scanner@1", "version": "1", "db": {"uri": "", "version": ""}, "result": {}},
    "metadata": {"scanStartedOn": "2026-11-26T09:00:00Z", "scanFinishedOn": "2026-11-26T09:01:00Z"},
}
STATION = """\
  - name: station
    role: station
    publicKeyFile: ../keys/station.pub
    notBefore: 2026-01-01T00:00:00Z
    notAfter: 2126-01-01T00:00:00Z
"""


def sbom(root: Descriptor) -> dict[str, object]:
    """A list of packages of this image."""
    name = "SPDXRef-image"
    checksum = {"algorithm": "SHA256", "checksumValue": str(root["digest"]).removeprefix("sha256:")}
    return {
        "spdxVersion": "SPDX-2.3",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": "image",
        "creationInfo": {"created": "2026-06-01T00:00:00Z", "creators": ["Organization: acme"]},
        "packages": [
            {"SPDXID": name, "name": "image", "checksums": [checksum]},
            {"SPDXID": "SPDXRef-musl", "name": "musl", "versionInfo": "1.2.5"},
        ],
        "relationships": [
            {"spdxElementId": "SPDXRef-DOCUMENT", "relatedSpdxElement": name, "relationshipType": "DESCRIBES"}
        ],
    }


def make_content(folder: Path, sigstore: FakeSigstore) -> Descriptor:
    """Upstream, each layout once; returns the image that nobody signed."""
    layout = Layout(folder)
    named = How(SIGNED)
    keyed, logged = How(SIGNED, signer=OWNER, log="none"), How(SIGNED, signer=OWNER)
    # Bundles as referrers, of the index and of each child, from logs of both versions.
    children = [layout.image({"app": arch.encode()}, platform=f"linux/{arch}") for arch in ("amd64", "arm64")]
    app = layout.tag("app", layout.index(*children))
    for subject, how in zip((app, *children), (named, named, How(SIGNED, log="v2", stamp=True)), strict=True):
        attach.referrer(layout, subject, sigstore.sign_image(subject["digest"], how))
    # Bundles under the fallback tag, by a key; beside them one by a stranger, and cosign's experiment.
    edge = layout.tag("edge", layout.image({"edge": b"edge"}))
    digest = str(edge["digest"])
    stranger = FakeSigstore("other").sign_image(digest, named)
    listed = sigstore.attest(digest, bundles.SPDX, sbom(edge), keyed)
    attach.fallback(layout, edge, stranger, sigstore.sign_image(digest, keyed), listed)
    attach.old_referrer(layout, edge, [sigstore.old_signature(digest, named)])
    # cosign's older tags: signatures with a key alone and with a log, an attestation, an SBOM that nobody signed.
    older = layout.tag("older", layout.image({"older": b"older"}))
    digest = str(older["digest"])
    attach.tag(layout, older, "sig", [sigstore.old_signature(digest, how) for how in (named, keyed, logged)])
    attach.tag(layout, older, "att", [sigstore.old_attestation(digest, bundles.SPDX, sbom(older), logged)])
    attach.sbom_tag(layout, older, json.dumps(sbom(older)).encode())
    # What is no signature: BuildKit's attestations, and one of Notation's.
    child = layout.image({"tool": b"tool"})
    said = json.dumps({"_type": "https://in-toto.io/Statement/v0.1"}).encode()
    tool = attach.buildx(layout, child, said, "tool")
    attach.notation(layout, tool)
    (folder / "manual.txt").write_text("How to say hello.\n")
    return tool


def write_report(folder: Path) -> None:
    """What a scanner said of the first image of the first lock."""
    folder.mkdir()
    item = json.loads(Path("golden/acme.lock.json").read_bytes())["items"][0]
    hexed = item["root"]["digest"].removeprefix("sha256:")
    (folder / f"sha256-{hexed}.json").write_text(json.dumps(REPORT, indent=1))


def write_resources(golden: Path, tool: Descriptor, sigstore: FakeSigstore) -> None:
    """What the station and the Sovereign judge by."""
    root = sigstore.trusted_root()
    (golden / "acme.json").write_bytes(root)
    (golden / "owner.pub").write_bytes(public_pem(OWNER.key))
    said = {"ROOT": Digest.of(root).hex, "ISSUER": ISSUER, "SAN": SAN}
    policy = POLICY
    for word, value in said.items():
        policy = policy.replace(word, value)
    (golden / "policy.yaml").write_text(policy)
    (golden / "waiver.yaml").write_text(WAIVER.replace("DIGEST", str(tool["digest"])))
    trust = TRUST.replace("  require:", f"{STATION}  require:").replace("pull, ", "pull, verdict, ")
    (golden / "trust.yaml").write_text(trust)
    Path("other.json").write_bytes(FakeSigstore("other").trusted_root())
    Path("sovereign.yaml").write_text(SOVEREIGN)


def make_store() -> None:
    """Locks, pulls, approves and judges."""
    approve = ("--key", "keys/officer.key", "--log", "officer.jsonl", "--out", "golden/approvals")
    airgap("sign", "golden/waiver.yaml", *approve)
    airgap("sign", "golden/trust.yaml", *approve)
    manual = Digest.of(Path("content/manual.txt").read_bytes()).hex
    for name in LOCKS:
        head = "apiVersion: airgap.openova.io/v1alpha1\nkind: Request\n"
        spec = REQUESTS[name].replace("MANUAL", manual)
        Path(f"{name}.request.yaml").write_text(f"{head}metadata: {{name: {name}}}\nspec:\n{spec}")
        airgap("lock", f"{name}.request.yaml", "-o", f"golden/{name}.lock.json")
    locks = [f"golden/{name}.lock.json" for name in LOCKS]
    airgap("pull", *locks, "--store", "store", "--key", "keys/exporter.key")
    for lock in locks:
        airgap("sign", lock, *approve)
    write_report(Path("reports"))
    approval = "golden/approvals/waiver.yaml.security-officer.sigstore.json"
    waiver = ("--waiver", "golden/waiver.yaml", "--approval", approval)
    judge = ("--policy", "golden/policy.yaml", "--trust", "golden/trust.yaml", "--key", "keys/station.key")
    airgap("scan", *locks, "--store", "store", *judge, *waiver, "--reports", "reports")


def make_delivery() -> None:
    """Everything, in the current folder."""
    golden, store = Path("golden"), Path("store")
    sigstore = FakeSigstore()
    write_resources(golden, make_content(Path("content"), sigstore), sigstore)
    make_store()
    files = [golden / f"{name}.lock.json" for name in LOCKS]
    locks = tuple(Lock.decode(path.read_bytes(), path.name) for path in files)
    approvals = (f"golden/approvals/{path.name}.security-officer.sigstore.json" for path in files)
    records = store_records(store)
    signer = load_private(Path("keys/station.key"), Path("keys/password").read_bytes().strip())
    order = BundleOrder(
        locks, (Audience("golden"),), golden / "delivery", "main", VOLUME, LIFE,
        tuple(read_approval(Path(path), locks) for path in approvals),
        trust_roots=carried_roots([("other", Path("other.json"))]),
    )  # fmt: skip
    cut_delivery(order, Store(store), records, Signatory(signer, "station", records.log(), lambda: NOW), Silent())
    airgap("sign", "golden/delivery", "--key", "keys/officer.key", "--log", "officer.jsonl")
    gap = ("--sovereign", "sovereign.yaml", "--trust", "golden/trust.yaml", "--key", "keys/sovereign.key")
    airgap("import", "golden/delivery", *gap, "--receipt", "golden/receipt.json")
    airgap("audit", *gap, "--receipt", "golden/receipt.json", "--report", "golden/audit.json")
    shutil.copyfile("state/accepted.sigstore.json", golden / "accepted.sigstore.json")
    shutil.copyfile("state/log.jsonl", golden / "sovereign.jsonl")
    shutil.copyfile("store/airgap/log.jsonl", golden / "station.jsonl")


if __name__ == "__main__":
    run(Path(sys.argv[1]), make_delivery, ID)
