"""`airgap verify-image` as it is typed: of images that real cosign signed, and with certificates of a fake Sigstore."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.parts import images, need
from tests.parts.fake_sigstore import ISSUER, SAN, FakeSigstore, How, attach
from tests.parts.fixtures import scratch
from tests.parts.registry import Registry
from tests.parts.registry import start_registry as begin_registry
from tests.worlds.commands import Said, run_airgap
from tests.worlds.site import HEAD

pytestmark = pytest.mark.e2e
ALONE = ("-y", "--use-signing-config=false", "--tlog-upload=false", "--allow-insecure-registry")
OLD = "--new-bundle-format=false"
SBOM = {
    "spdxVersion": "SPDX-2.3",
    "SPDXID": "SPDXRef-DOCUMENT",
    "name": "app",
    "dataLicense": "CC0-1.0",
    "documentNamespace": "https://acme.example/app",
    "creationInfo": {"created": "2026-01-01T00:00:00Z", "creators": ["Tool: test"]},
    "packages": [{"name": "zlib", "SPDXID": "SPDXRef-zlib", "downloadLocation": "NOASSERTION"}],
    "relationships": [],
}


@dataclass
class World:
    """A folder with a policy, and a registry with TLS in which images were signed."""

    folder: Path
    registry: Registry

    def ref(self, name: str) -> str:
        return f"{self.registry.host}/acme/{name}:1.0"

    def cosign(self, *line: str) -> None:
        closed = "http://127.0.0.1:9"
        env = {"HOME": str(self.folder), "PATH": os.environ["PATH"], "COSIGN_PASSWORD": "x"}
        subprocess.run(
            [str(need.require_part("cosign")), *line],
            cwd=self.folder,
            env={**env, "HTTPS_PROXY": closed, "HTTP_PROXY": closed},
            check=True,
            capture_output=True,
        )

    def push(self, name: str) -> str:
        """An image of two platforms; returns the reference with its digest."""
        made = images.make_image(
            self.folder / name,
            "1.0",
            platforms=("linux/amd64", "linux/arm64"),
            layers=({"n": name.encode()},),
        )
        there = f"docker://{self.ref(name)}"
        need.run(
            "skopeo",
            "copy",
            "--all",
            "--dest-tls-verify=false",
            f"oci:{self.folder / name}:1.0",
            there,
        )
        return f"{self.registry.host}/acme/{name}@{made['digest']}"

    def write(self, name: str, kind: str, spec: str) -> None:
        (self.folder / name).write_text(f"{HEAD}kind: {kind}\nmetadata: {{name: platform}}\nspec:\n{spec}")


def ask(folder: Path, *line: str, command: str = "verify-image") -> Said:
    said = run_airgap([command, *line], folder)
    assert "Traceback" not in said.err, said.err
    return said


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """`app`: signed by the publisher in the older way, with an SBOM, and by somebody else; `bare`: not signed."""
    with ExitStack() as stack:
        registry = begin_registry(scratch(stack, "registry"), tls=True)
        stack.callback(registry.stop)
        made = World(scratch(stack, "verify"), registry)
        for name in ("acme", "evil"):
            made.cosign("generate-key-pair", "--output-key-prefix", name)
        app = made.push("app")
        made.push("bare")
        (made.folder / "sbom.json").write_text(json.dumps(SBOM))
        made.cosign("sign", *ALONE, "--key", "acme.key", OLD, app)
        made.cosign("sign", *ALONE, "--key", "evil.key", app)
        predicate = ("--type", "spdxjson", "--predicate", "sbom.json")
        made.cosign("attest", *ALONE, "--key", "acme.key", *predicate, app)
        require = "attestations: [{predicateType: https://spdx.dev/Document, content: sbom}]"
        rules = f"  - match: ['127.0.0.1:*/acme/*', ghcr.io/acme/*]\n    require: {{keys: [acme], {require}}}\n"
        made.write(
            "policy.yaml",
            "Policy",
            f"  keys: [{{name: acme, publicKeyFile: acme.pub}}]\n  rules:\n{rules}",
        )
        spec = f"  hosts: {{'{registry.host}': {{caFile: '{registry.ca_file}'}}}}\n"
        made.write("u.yaml", "Upstreams", spec)
        yield made


ANSWER = """\
HOST/acme/app:1.0
  image sha256:H
found:
  N. Sigstore bundle, referrer sha256:H
     does not count: signed by a key that the rule does not list (acme) [wrong-key]
  N. attestation https://spdx.dev/Document (Sigstore bundle), referrer sha256:H
     valid: signed by key 'acme' (sha256:H)
  N. signature (cosign's older signature), tag sha256-H.sig
     valid: signed by key 'acme' (sha256:H)
asked: policy 'platform' (sha256:H), rule 1 (127.0.0.1:*/acme/* and 1 more)
  signature by key 'acme': yes (N)
  attestation https://spdx.dev/Document, with packages listed, by key 'acme': yes (N)
answer: yes, the policy lets it in
"""
"""What was found stands in the order of digests, which are others in each run."""


@pytest.mark.part("cosign", "skopeo", "distribution3")
def test_a_signed_image_and_why_it_may_come_in(world: World) -> None:
    said = ask(world.folder, world.ref("app"), "--policy", "policy.yaml", "--upstreams", "u.yaml")
    assert said.code == 0, said
    text = re.sub(r"[0-9a-f]{64}", "H", said.out.replace(world.registry.host, "HOST"))
    text = re.sub(r"(?<=  )[1-3](?=\. )|(?<=yes \()[1-3]", "N", text)
    assert sorted(text.splitlines()) == sorted(ANSWER.splitlines())


@pytest.mark.part("cosign", "skopeo", "distribution3")
def test_the_same_for_machines(world: World) -> None:
    line = (world.ref("app"), "--policy", "policy.yaml", "--upstreams", "u.yaml", "--json")
    document = json.loads(ask(world.folder, *line).out)
    assert (document["outcome"], document["reason"]) == ("pass", "")
    assert document["policy"]["digest"] == "sha256:" + _sum(world.folder / "policy.yaml")
    assert sorted(one["status"] for one in document["findings"]) == [
        "failed",
        "verified",
        "verified",
    ]
    assert [one["check"] for one in document["checks"]] == ["signature", "attestation"]


@pytest.mark.part("cosign", "skopeo", "distribution3")
def test_an_image_that_nobody_signed(world: World) -> None:
    said = ask(world.folder, world.ref("bare"), "--policy", "policy.yaml", "--upstreams", "u.yaml")
    assert said.code == 3
    assert "found: nothing attached" in said.out
    assert "  signature by key 'acme': no [absent]" in said.out
    assert "answer: NO: no signature is attached [absent]\n  next: ask the publisher" in said.out


@pytest.mark.part("cosign", "skopeo", "distribution3")
def test_a_copy_inside_is_judged_by_the_name_that_it_had_outside(world: World) -> None:
    line = (world.ref("app"), "--policy", "policy.yaml", "--upstreams", "u.yaml", "--as")
    assert ask(world.folder, *line, "ghcr.io/acme/app:1.0").out.startswith("ghcr.io/acme/app:1.0\n")
    other = ask(world.folder, *line, "quay.io/other/app:1.0")
    assert other.code == 3
    assert "found: 3 things attached, not examined" in other.out
    assert "no rule matches image quay.io/other/app, so it may not come in [no-rule]" in other.out
    # Rules have no tags, so a name needs none; a nickname is the name of nothing.
    assert "no rule matches image quay.io/other/app," in ask(world.folder, *line, "quay.io/other/app").out
    ask(world.folder, *line, "app").refused(2, "bad-reference", "'app'", "pass --as NAME")


@pytest.mark.part("cosign", "skopeo", "distribution3")
def test_an_item_of_a_lock_is_read_from_the_store_alone(world: World) -> None:
    ref = world.ref("app")
    files = f"{{file: sbom.json, path: sbom.json, sha256: {_sum(world.folder / 'sbom.json')}}}"
    world.write("r.request.yaml", "Request", f"  images: [{{ref: '{ref}'}}]\n  files: [{files}]\n")
    assert ask(world.folder, "r.request.yaml", "--upstreams", "u.yaml", command="lock").code == 0
    pull = ("r.lock.json", "--store", "store", "--upstreams", "u.yaml")
    assert ask(world.folder, *pull, command="pull").code == 0
    line = ("--policy", "policy.yaml", "--lock", "r.lock.json", "--store", "store")
    assert ask(world.folder, ref, *line).code == 0
    said = ask(world.folder, ref.replace("app", "apq"), *line)
    assert (said.code, f"did you mean {ref!r}?" in said.err) == (2, True)
    said = ask(world.folder, "sbom.json", *line)
    assert (said.code, "[not-an-image]" in said.err) == (2, True)


@pytest.mark.part("cosign", "skopeo", "distribution3")
def test_a_registry_that_is_not_believed_is_no_answer(world: World) -> None:
    said = ask(world.folder, world.ref("app"), "--policy", "policy.yaml")
    assert (said.code, said.out) == (5, "")


def _sum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


AT = datetime(2024, 5, 1, tzinfo=UTC)


@pytest.fixture
def local(tmp_path: Path) -> Path:
    """A layout with one image, signed with a certificate, and a policy that demands it."""
    pytest.importorskip("sigstore", reason="needs airgap[keyless]")
    fake = FakeSigstore()
    layout = images.Layout(tmp_path / "layout")
    image = layout.tag("ghcr.io/acme/app:1.0", layout.image({"a": b"1"}))
    attach.referrer(layout, image, fake.sign_image(image["digest"], How(AT)))
    attach.notation(layout, image)
    for blob in json.loads(layout.read(image["digest"]))["layers"]:
        layout.path(blob["digest"]).unlink()  # what is not read need not be there
    (tmp_path / "root.json").write_bytes(fake.trusted_root())
    policy(tmp_path, SAN)
    return tmp_path


def policy(folder: Path, identity: str) -> None:
    (folder / "p.yaml").write_text(
        f"{HEAD}kind: Policy\nmetadata: {{name: platform}}\nspec:\n"
        f"  trustRoots: [{{name: sigstore, file: root.json, sha256: {_sum(folder / 'root.json')}}}]\n"
        "  rules:\n  - match: [ghcr.io/acme/*]\n    require:\n      trustRoot: sigstore\n"
        f"      identities: [{{issuer: {ISSUER}, identity: '{identity}'}}]\n"
    )


def test_a_certificate_and_the_root_that_vouches_for_it(local: Path) -> None:
    said = ask(local, "oci:layout:ghcr.io/acme/app:1.0", "--policy", "p.yaml")
    assert said.code == 0, said
    assert f"valid: signed by {SAN} (issuer {ISSUER}) at 2024-05-01T00:00:05Z (transparency log)" in said.out
    assert f"  trust root 'sigstore' (sha256:{_sum(local / 'root.json')})" in said.out
    assert "does not count: a Notation signature, which this version does not verify" in said.out
    assert said.out.endswith("answer: yes, the policy lets it in\n")


def test_no_program_is_started_for_a_signature(local: Path) -> None:
    """The interpreter tells of each program that it starts, and of each copy of itself."""
    watched = """
import os, sys
STARTS = ("subprocess.Popen", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system")
sys.addaudithook(lambda event, _: os._exit(99) if event in STARTS else None)
from airgap.cli.main import entry
entry()
"""
    line = [sys.executable, "-c", watched, "verify-image", "oci:layout:ghcr.io/acme/app:1.0", "--policy", "p.yaml"]
    done = subprocess.run(line, cwd=local, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("answer: yes, the policy lets it in\n")


def test_another_identity_is_named_with_what_can_be_done(local: Path) -> None:
    policy(local, "https://code.example/acme/app/.github/workflows/other.yml@refs/tags/v1.0")
    said = ask(local, "oci:layout:ghcr.io/acme/app:1.0", "--policy", "p.yaml")
    assert said.code == 3
    *_, answer, step = said.out.splitlines()
    assert answer.startswith(f"answer: NO: signed by {SAN}")
    assert answer.endswith("[wrong-identity]")
    assert "if this identity is the publisher, add it to the rule" in step


def test_who_answers_for_a_digest_and_for_which(local: Path) -> None:
    text = (
        f"{HEAD}kind: Policy\nmetadata: {{name: platform}}\nspec:\n  rules:\n  - match: ['**']\n"
        "    digestOnly: {approver: Amina, reason: compared, expires: 2126-01-01T00:00:00Z}\n"
    )
    (local / "p.yaml").write_text(text)
    said = ask(local, "oci:layout:ghcr.io/acme/app:1.0", "--policy", "p.yaml")
    assert said.code == 3
    assert "it comes from a local source ('oci:layout:ghcr.io/acme/app:1.0')" in said.out
    assert "add `local: true` to the rule" in said.out
    (local / "p.yaml").write_text(text.replace("reason", "local: true, reason"))
    said = ask(local, "oci:layout:ghcr.io/acme/app:1.0", "--policy", "p.yaml")
    assert said.code == 0
    assert "  approved by its digest: Amina, until 2126-01-01T00:00:00Z: compared\n" in said.out


def test_a_trust_root_that_is_not_the_pinned_one_is_no_answer(local: Path) -> None:
    (local / "root.json").write_bytes((local / "root.json").read_bytes() + b"\n")
    said = ask(local, "oci:layout:ghcr.io/acme/app:1.0", "--policy", "p.yaml")
    assert (said.code, said.out) == (4, "")
    assert "[trust-root-changed]" in said.err


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (("oci:layout", "--policy", "p.yaml", "--store", "s"), "--store requires --lock"),
        (
            ("x", "--policy", "p.yaml", "--lock", "l", "--as", "y"),
            "--as cannot be combined with --lock",
        ),
        (("oci:layout", "--policy", "nowhere.yaml"), "nowhere.yaml"),
        (("alpine:3", "--policy", "p.yaml"), "docker.io/library/alpine:3"),
        (("oci:nowhere:x", "--policy", "p.yaml"), "no such file or folder"),
    ],
)
def test_mistakes(local: Path, line: tuple[str, ...], words: str) -> None:
    said = ask(local, *line)
    assert (said.code, said.out) == (2, "")
    assert words in said.err
