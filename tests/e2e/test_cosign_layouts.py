"""Images signed by real cosign in each layout that it writes, carried from registry to registry: cosign and we agree.

Two registries outside: one without the referrers API, where cosign writes fallback tags, and one with it. Everything
goes into two such registries inside.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from airgap.base.digest import Digest
from airgap.content.item import Item
from airgap.content.lock import Lock
from airgap.signatures.formats.read import read_attached, subjects
from airgap.signatures.record import SIGNATURE, Status, UpstreamKey
from airgap.signatures.sbom import SPDX, check_sbom
from airgap.signatures.verify import Demand, verify
from airgap.store.layout import Layout
from tests.parts import images
from tests.parts.fixtures import scratch
from tests.parts.harbor_double import HarborDouble
from tests.parts.need import require_part
from tests.parts.registry import start_registry as begin_registry
from tests.worlds.site import GAP, HEAD, Site

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.part("cosign", "skopeo", "distribution2", "distribution3"),
]
ALONE = ("--use-signing-config=false", "--tlog-upload=false")
OLD = "--new-bundle-format=false"
VULN = "https://cosign.sigstore.dev/attestation/vuln/v1"
CUSTOM = "https://cosign.sigstore.dev/attestation/v1"
TYPES = {"spdxjson": SPDX, "vuln": VULN, "custom": CUSTOM}


@dataclass(frozen=True)
class Case:
    """An image, how cosign signed it, and what it says of it."""

    name: str
    key: str = "p256"
    index: bool = False
    flags: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    sbom: bool = False
    unsupported: bool = False
    """True where cosign does not verify by default what it signed."""

    @property
    def experimental(self) -> bool:
        """True for older signatures as referrers."""
        return "--registry-referrers-mode=oci-1-1" in self.flags


CASES = [
    Case("new", index=True, types=tuple(TYPES)),
    Case("old", index=True, flags=(OLD,), types=tuple(TYPES), sbom=True),
    Case("old-referrer", flags=(OLD, "--registry-referrers-mode=oci-1-1")),
    Case("rsa-new", "rsa", types=("spdxjson",)),
    Case("rsa-old", "rsa", flags=(OLD,), types=("vuln",)),
    *(Case(f"{key}-new", key, unsupported=True) for key in ("p384", "p521", "ed25519")),
    *(Case(f"{key}-old", key, flags=(OLD,), unsupported=True) for key in ("p384", "ed25519")),
]


@dataclass
class World:
    """What was signed outside and arrived inside."""

    folder: Path
    outside: dict[str, str]
    """Name → host of the registries where cosign signed: without the API (`none`), and with it (`api`)."""
    inside: dict[str, str]
    digests: dict[str, list[str]]
    """Case → the root's digest and its children's."""

    def cosign(self, *args: str, experimental: bool = False) -> int:
        """Runs cosign without a way out; its exit code."""
        closed = "http://127.0.0.1:9"
        env = {
            "HOME": str(self.folder),
            "PATH": os.environ["PATH"],
            "COSIGN_PASSWORD": "for tests",
            "HTTPS_PROXY": closed,
        }
        if experimental:
            env["COSIGN_EXPERIMENTAL"] = "1"
        argv = [str(require_part("cosign")), *args]
        done = subprocess.run(argv, env=env, cwd=self.folder, capture_output=True, text=True, check=False)
        self.said = done.stderr
        return done.returncode

    def verifies(self, case: Case, where: str, kind: str = "", digest: str = "") -> bool:
        """What real cosign says of an image `where`, or of one of its children."""
        line = ["verify-attestation", "--type", kind] if kind else ["verify"]
        if case.experimental:
            line.append("--experimental-oci11")
        line += ["--key", f"{case.key}.pub", "--insecure-ignore-tlog=true", "--allow-http-registry"]
        reference = f"{where}/{case.name}@{digest or self.digests[case.name][0]}"
        return self.cosign(*line, reference, experimental=case.experimental) == 0

    def keys(self, name: str) -> tuple[UpstreamKey, ...]:
        """A key as a policy would have it."""
        return (UpstreamKey(name, (self.folder / f"{name}.pub").read_bytes()),)

    def places(self) -> Iterator[tuple[str, str, str]]:
        """Where an image was signed, and where it arrived: each way, as prefixes of references."""
        for start, host in self.outside.items():
            for inside in self.inside.values():
                yield start, f"{host}/lib", f"{inside}/{start}/lib"


def _make_keys(world: World) -> None:
    assert world.cosign("generate-key-pair", "--output-key-prefix", "p256") == 0, world.said
    curves = {"p384": "P-384", "p521": "P-521"}
    options = {name: ("EC", "-pkeyopt", f"ec_paramgen_curve:{curve}") for name, curve in curves.items()}
    kinds = {**options, "rsa": ("RSA", "-pkeyopt", "rsa_keygen_bits:2048"), "ed25519": ("ED25519",)}
    for name, kind in kinds.items():
        pem = f"{name}.pem"
        line = ["openssl", "genpkey", "-out", pem, "-algorithm", *kind]
        subprocess.run(line, cwd=world.folder, check=True, capture_output=True)
        made = world.cosign("import-key-pair", "--key", pem, "--output-key-prefix", name, "-y")
        assert made == 0, world.said


def _sbom(digest: str) -> str:
    """As syft writes it of an image."""
    image = {"SPDXID": "SPDXRef-Image", "name": "app", "versionInfo": digest}
    package = {"SPDXID": "SPDXRef-Package", "name": "musl", "versionInfo": "1.2.5"}
    says = {
        "spdxElementId": "SPDXRef-DOCUMENT",
        "relatedSpdxElement": "SPDXRef-Image",
        "relationshipType": "DESCRIBES",
    }
    document = {
        "spdxVersion": "SPDX-2.3",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": "app",
        "dataLicense": "CC0-1.0",
        "documentNamespace": "https://example.org/app",
        "creationInfo": {"creators": ["Tool: by hand"], "created": "2026-11-01T00:00:00Z"},
        "packages": [image, package],
        "relationships": [says],
    }
    return json.dumps(document)


def _sign(world: World, case: Case, host: str) -> None:
    """Pushes an image, and has cosign sign it, attest to it, and attach to it."""
    platforms = ("linux/amd64", "linux/arm64") if case.index else ("linux/amd64",)
    layers = ({"name.txt": case.name.encode()},)
    made = world.folder / "made" / case.name
    root = images.make_image(made, "v1", layers=layers, platforms=platforms)
    layout = images.Layout(made)
    index = json.loads(layout.read(root["digest"])) if case.index else {}
    world.digests[case.name] = [
        root["digest"],
        *(one["digest"] for one in index.get("manifests", ())),
    ]
    repository = f"{host}/lib/{case.name}"
    copy = ["skopeo", "copy", "--all", "--dest-tls-verify=false", f"oci:{made}:v1"]
    subprocess.run([*copy, f"docker://{repository}:v1"], check=True, capture_output=True)
    reference = f"{repository}@{root['digest']}"
    by = ["--yes", "--key", f"{case.key}.key", "--allow-http-registry", *ALONE, *case.flags]
    deep = ["--recursive"] if case.index else []
    signed = world.cosign("sign", *by, *deep, reference, experimental=case.experimental)
    assert signed == 0, world.said
    (world.folder / "spdxjson").write_text(_sbom(root["digest"]))
    (world.folder / "vuln").write_text('{"scanner": {"result": {}}}')
    (world.folder / "custom").write_text("anything")
    for kind in case.types:
        made_ = world.cosign("attest", *by, "--type", kind, "--predicate", kind, reference)
        assert made_ == 0, world.said
    if case.sbom:
        line = ("attach", "sbom", "--allow-http-registry", "--sbom", "spdxjson", reference)
        assert world.cosign(*line) == 0, world.said


def _spec(hosts: list[str], prefix: str) -> str:
    refs = "".join(f"  - ref: '{host}/{prefix}{case.name}:v1'\n" for host in hosts for case in CASES)
    return f"{HEAD}kind: Request\nmetadata: {{name: r}}\nspec:\n  images:\n{refs}"


def _reach(hosts: list[str]) -> str:
    plain = "".join(f"    '{host}': {{plainHTTP: true}}\n" for host in hosts)
    return f"{HEAD}kind: Upstreams\nmetadata: {{name: u}}\nspec:\n  hosts:\n{plain}"


def _carry(site: Site, world: World) -> None:
    """lock, pull, bundle, import; and what arrived is locked and pulled again, into stores of its own."""
    upstreams = ("--upstreams", "u.yaml")
    both = {**world.outside, **{f"in-{name}": host for name, host in world.inside.items()}}
    site.write("u.yaml", _reach(list(both.values())))
    site.write("out.request.yaml", _spec(list(world.outside.values()), "lib/"))
    site.run("lock", "out.request.yaml", *upstreams)
    key = ("--key", "exporter.key")
    site.run("pull", "out.lock.json", "--store", "out", *key, *upstreams)
    site.run("bundle", "out.lock.json", "--store", "out", "--to", "media", "--for", "bank", *key)
    projects = ", ".join(f"'{host}': {name}" for name, host in world.outside.items())
    registries = "".join(f"  - {{url: 'http://{host}', projects: {{{projects}}}}}\n" for host in world.inside.values())
    spec = f"spec:\n  stateDir: state\n  registries:\n{registries}"
    site.write("sovereign.yaml", f"{HEAD}kind: Sovereign\nmetadata: {{name: bank}}\n{spec}")
    site.run("import", "media", *GAP, "--key", "sovereign.key")
    for name, host in world.inside.items():
        site.write(f"in-{name}.request.yaml", _spec([f"{host}/none", f"{host}/api"], "lib/"))
        site.run("lock", f"in-{name}.request.yaml", *upstreams)
        site.run("pull", f"in-{name}.lock.json", "--store", f"in-{name}", *key, *upstreams)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Signed outside, carried, arrived."""
    for part in ("cosign", "skopeo", "distribution2", "distribution3"):
        require_part(part)
    with ExitStack() as stack:
        hosts = []
        for version in (2, 3):
            registry = begin_registry(scratch(stack, "registry"), version=version)
            stack.callback(registry.stop)
            harbor = HarborDouble()
            harbor.rights = lambda *_: True
            stack.callback(harbor.stop)
            for name in ("lib", "none", "api"):
                harbor.project(name)
            hosts.append({"none": registry.host, "api": harbor.host})
        made = World(tmp_path_factory.mktemp("layouts"), hosts[0], hosts[1], {})
        _make_keys(made)
        for host in made.outside.values():
            for case in CASES:
                _sign(made, case, host)
        _carry(Site(made.folder), made)
        yield made


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    assert isinstance(request.param, Case)
    return request.param


def test_cosign_says_inside_what_it_said_outside(world: World, case: Case) -> None:
    for start, outside, inside in world.places():
        for where in (outside, inside):
            for digest in world.digests[case.name]:
                said = world.verifies(case, where, digest=digest)
                assert said is not case.unsupported, (start, where, digest, world.said)
            for kind in case.types:
                assert world.verifies(case, where, kind), (start, where, kind, world.said)


def test_we_say_at_both_sides_what_cosign_says(world: World, case: Case) -> None:
    now = datetime(2026, 11, 27, tzinfo=UTC)
    keys = world.keys(case.key)
    for name in ("out", *(f"in-{inside}" for inside in world.inside)):
        store = Layout(world.folder / name)
        for item in _items(world, name, case):
            assert item.root is not None
            about = subjects(store, item.root, ())
            assert [one.digest for one in about] == world.digests[case.name]
            for subject in about:
                found = list(read_attached(store, subject, item.attached))
                said = [verify(one, Demand(SIGNATURE, keys=keys, now=now)) for one in found]
                wanted = Status.UNSUPPORTED if case.unsupported else Status.VERIFIED
                signatures = [one for one in said if one.reason not in ("not-a-signature", "unsigned")]
                assert [one.status for one in signatures] == [wanted], said
                reasons = {one.reason for one in signatures}
                assert reasons == ({"unsupported-algorithm"} if case.unsupported else {""})
            found = list(read_attached(store, item.root, item.attached))
            assert len(found) == 1 + len(case.types) + case.sbom
            for kind in case.types:
                demand = Demand(TYPES[kind], keys=keys, now=now)
                [good] = [one for one in (verify(each, demand) for each in found) if one.verified]
                assert good.predicate_type == TYPES[kind]
                if kind == "spdxjson":
                    assert check_sbom(SPDX, good.payload, item.root.digest) == ""
                    assert "another artifact" in check_sbom(SPDX, good.payload, Digest.of(b"other"))


def test_another_key_verifies_nothing(world: World, case: Case) -> None:
    store = Layout(world.folder / "out")
    other = world.keys("rsa" if case.key == "p256" else "p256")
    for item in _items(world, "out", case):
        assert item.root is not None
        for one in read_attached(store, item.root, item.attached):
            said = verify(one, Demand(SIGNATURE, keys=other, now=datetime.now(UTC)))
            assert said.reason in ("wrong-key", "bad-signature", "not-a-signature", "unsigned")


def _items(world: World, name: str, case: Case) -> list[Item]:
    data = (world.folder / f"{name}.lock.json").read_bytes()
    lock = Lock.decode(data, name)
    found = [item for item in lock.items if item.source.endswith(f"/{case.name}:v1")]
    assert len(found) == 2
    return found
