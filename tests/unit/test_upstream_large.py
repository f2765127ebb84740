"""Attestations as large images have them: they are judged by many threads, in memory that does not grow with these."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from airgap.signatures.formats.strict import MAX_VALUES
from tests.parts import images
from tests.parts.fake_sigstore import ISSUER, SAN, How, attach
from tests.worlds.keyless import AT, SIGSTORE, SPDX, answer, read

MIB = 1 << 20
JUDGE = """
import json
from datetime import UTC, datetime
from pathlib import Path
from airgap.base.digest import Digest
from airgap.content.graph import Descriptor
from airgap.content.lock import Item
from airgap.base.parallel import parallel
from airgap.cli.process import prepare
from airgap.judgement.items import open_policy
from airgap.store.layout import Layout
from airgap.store.attached import find_attached
from airgap.store.locate import LayoutFinder
from airgap.judgement.judge import judge

prepare("scan")
policy, roots = open_policy(Path("policy.yaml"))
store = Layout(Path("store"))
finder, items = LayoutFinder(store), []
for media_type, digest, size in json.loads(Path("images.json").read_text()):
    root = Descriptor(media_type, Digest(digest), size)
    attached = find_attached(finder, [root.digest])
    items.append(Item("r.example/a:1", "image", "r.example/a:1", root=root, attached=attached))
now = datetime.now(UTC)
made = parallel(8, lambda item: judge(item, store, policy, roots, now), items, "judge")
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print([str(one.outcome) for one in made], int(status["VmHWM"].split()[0]) >> 10)
"""
POLICY = """
apiVersion: airgap.openova.io/v1alpha1
kind: Policy
metadata: {{name: p}}
spec:
  trustRoots: [{{name: r, file: root.json, sha256: {digest}}}]
  rules:
  - match: ["**"]
    require:
      trustRoot: r
      identities: [{{issuer: "{issuer}", identity: "{identity}"}}]
      attestations: [{{predicateType: "https://spdx.dev/Document", content: sbom}}]
"""


def spdx(mib: float) -> dict[str, Any]:
    """About as a scanner writes it: packages, their files, and what belongs to what."""
    packages: list[Any] = []
    files: list[Any] = []
    between: list[Any] = []
    for number in range(int(mib * 220)):
        name = f"SPDXRef-Package-deb-libexample-{number}-{number * 7919:016x}"
        packages.append(
            {
                "name": f"libexample-{number}",
                "SPDXID": name,
                "versionInfo": f"1.{number}.0-1+deb12u1",
                "supplier": "Person: Maintainers (maintainers@lists.example.org)",
                "downloadLocation": "NOASSERTION",
                "sourceInfo": f"acquired from /usr/share/doc/libexample-{number}/copyright " * 4,
                "licenseDeclared": "GPL-2.0-or-later",
                "externalRefs": [
                    {
                        "referenceCategory": "PACKAGE-MANAGER",
                        "referenceType": "purl",
                        "referenceLocator": f"pkg:deb/debian/libexample-{number}@1.{number}.0",
                    }
                ],
            }
        )
        for place in range(8):
            file = f"SPDXRef-File-{number}-{place}-{number * 104729:016x}"
            sum_ = {"algorithm": "SHA1", "checksumValue": f"{number * place:040x}"}
            files.append({"fileName": f"/usr/{number}/{place}", "SPDXID": file, "checksums": [sum_]})
            between.append(
                {
                    "spdxElementId": name,
                    "relatedSpdxElement": file,
                    "relationshipType": "CONTAINS",
                    "comment": f"found by the package's own list of files, number {place}" * 2,
                }
            )
    return {
        "spdxVersion": "SPDX-2.3",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": "app",
        "creationInfo": {"creators": ["Tool: t"], "created": "2024-05-01T00:00:00Z"},
        "packages": packages,
        "files": files,
        "relationships": between,
    }


@pytest.mark.slow
def test_sboms_of_twenty_mib_are_judged_by_eight_threads_in_little_memory(tmp_path: Path) -> None:
    sbom = spdx(20)
    assert 18 * MIB < len(json.dumps(sbom)) < 24 * MIB
    store = images.Layout(tmp_path / "store")
    made = []
    for number in range(2):
        image = store.tag(f"v{number}", store.image({"a": b"%d" % number}))
        digest = image["digest"]
        attach.referrer(store, image, SIGSTORE.sign_image(digest, How(AT)))
        attach.referrer(store, image, SIGSTORE.attest(digest, SPDX, sbom, How(AT)))
        attach.tag(store, image, "att", [SIGSTORE.old_attestation(digest, SPDX, sbom, How(AT))])
        made.append((image["mediaType"], digest, image["size"]))
    (tmp_path / "images.json").write_text(json.dumps(made))
    root = SIGSTORE.trusted_root()
    (tmp_path / "root.json").write_bytes(root)
    digest = hashlib.sha256(root).hexdigest()
    policy = POLICY.format(digest=digest, issuer=ISSUER, identity=SAN)
    (tmp_path / "policy.yaml").write_text(policy)
    argv = [sys.executable, "-c", JUDGE]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=True)
    outcomes, mib = done.stdout.rsplit(maxsplit=1)
    assert outcomes == str(["pass"] * 2)
    assert int(mib) < 240  # 199 where this was written, 70 of it before the first large one


def test_what_grows_in_memory_is_refused_before_it_is_read() -> None:
    bomb = b"[" + b"[]," * MAX_VALUES + b"[]]"
    payload = b'{"_type":"https://in-toto.io/Statement/v1","predicateType":"x","predicate":%s}' % bomb
    with pytest.raises(Exception, match="more than 2000000 values"):
        read(SIGSTORE.sign_statement(payload, How(AT)))


def test_large_payloads_are_held_to_all_rules_of_ours() -> None:
    """sigstore-python is not asked about them."""
    signed = read(SIGSTORE.attest("sha256:" + "5a" * 32, SPDX, {"a": "x" * 2 * MIB}, How(AT)))
    assert answer(signed) == "verified"
