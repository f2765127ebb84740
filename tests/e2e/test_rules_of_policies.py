"""What a rule of a Policy can ask, from the command line: attestations alone, an SBOM of a chart, particular signers,
and registries that do not say what is attached."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from airgap.kinds.chart import CHART, CONFIG
from tests.parts import images
from tests.parts.fake_sigstore import FakeSigstore, How, attach, bundles, managed, public_pem
from tests.parts.fixtures import MakeProxy
from tests.parts.registry import Registry
from tests.parts.system import NetworkNamespace
from tests.worlds.attacks import NAME, World, make_world
from tests.worlds.commands import run_airgap
from tests.worlds.site import HEAD

pytestmark = pytest.mark.e2e

ACME = How(datetime(2024, 5, 1, tzinfo=UTC), signer=managed("acme"), log="none")
PROVENANCE = "https://slsa.dev/provenance/v1"
SCAN = ("scan", "r.lock.json", "--store", "store", "--key", "station.key", "--policy", "policy.yaml")


def policy(world: World, rule: str) -> None:
    """The Policy, with one rule for everything."""
    (world.folder / "acme.pub").write_bytes(public_pem(managed("acme").key))
    keys = "  keys: [{name: acme, publicKeyFile: acme.pub}]\n"
    rules = f"  rules:\n  - match: ['**']\n    require: {rule}\n"
    world.write("policy.yaml", f"{HEAD}kind: Policy\nmetadata: {{name: p}}\nspec:\n{keys}{rules}")


def scanned(world: World, expect: int = 0) -> Any:
    """The answer about the one item."""
    return world.run(*SCAN, expect=expect)["locks"][0]["items"][0]


@pytest.fixture(scope="module")
def netns() -> Iterator[NetworkNamespace]:
    with ExitStack() as stack:
        made = NetworkNamespace()
        stack.callback(made.remove)
        yield made


@pytest.mark.part("iproute2")
def test_attestations_alone_are_enough_where_the_rule_says_so(tmp_path: Path, netns: NetworkNamespace) -> None:
    world = make_world(tmp_path / "w", netns)
    world.trust(require="pull, verdict, delivery")
    layout = world.layout()
    image = layout.tag("attested", layout.image({"a": b"a"}))
    predicate: dict[str, Any] = {"buildDefinition": {}, "runDetails": {}}
    attach.referrer(layout, image, FakeSigstore().attest(image["digest"], PROVENANCE, predicate, ACME))
    world.lock(**{NAME: "attested"})
    wanted = f"keys: [acme], attestations: [{{predicateType: '{PROVENANCE}'}}]"
    policy(world, f"{{{wanted}}}")
    assert scanned(world, expect=3)["reason"] == "not-a-signature"
    policy(world, f"{{signature: none, {wanted}}}")
    assert [check["check"] for check in scanned(world)["checks"]] == ["attestation"]
    bundle = ("bundle", "r.lock.json", "--store", "store", "--to", "media", "--for", "bank")
    world.run(*bundle, "--key", "station.key", "--role", "station")
    world.take("media")
    # The attestation is still asked for: another type, or another signer, is none.
    policy(world, "{signature: none, keys: [acme], attestations: [{predicateType: 'https://spdx.dev/Document'}]}")
    assert scanned(world, expect=3)["reason"] == "absent"
    policy(world, "{signature: none, keys: [acme]}")
    assert "no attestation is required either" in world.run(*SCAN, expect=2)["error"]


def chart(layout: images.Layout) -> tuple[images.Descriptor, str]:
    """A chart `app:1.0.0`, and the digest of its packed file."""
    about = {"apiVersion": "v2", "name": "app", "version": "1.0.0"}
    packed = gzip.compress(images.tar_layer({"app/Chart.yaml": json.dumps(about).encode()}), mtime=0)
    file = layout.blob(packed, CHART)
    manifest = {
        "schemaVersion": 2,
        "mediaType": images.MANIFEST,
        "config": layout.document(about, CONFIG),
        "layers": [file],
    }
    return layout.tag("chart", layout.document(manifest, images.MANIFEST)), file["digest"]


def spdx_of(digest: str) -> dict[str, Any]:
    """What `syft file:app-1.0.0.tgz -o spdx-json` writes, as far as it matters."""
    root = "SPDXRef-DocumentRoot-File-app-1.0.0.tgz"
    sums = [{"algorithm": "SHA256", "checksumValue": digest.removeprefix("sha256:")}]
    return {
        "spdxVersion": "SPDX-2.3",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": "app-1.0.0.tgz",
        "creationInfo": {"created": "2026-01-01T00:00:00Z", "creators": ["Tool: syft"]},
        "packages": [{"name": "app-1.0.0.tgz", "SPDXID": root, "versionInfo": digest, "checksums": sums}],
        "relationships": [
            {"spdxElementId": "SPDXRef-DOCUMENT", "relatedSpdxElement": root, "relationshipType": "DESCRIBES"}
        ],
    }


@pytest.mark.part("iproute2")
def test_an_sbom_of_the_packed_chart_is_an_sbom_of_the_chart(tmp_path: Path, netns: NetworkNamespace) -> None:
    world = make_world(tmp_path / "w", netns)
    layout = world.layout()
    made, file = chart(layout)
    fake = FakeSigstore()
    attach.referrer(layout, made, fake.sign_image(made["digest"], ACME))
    attach.referrer(layout, made, fake.attest(made["digest"], bundles.SPDX, spdx_of(file), ACME))
    lines = "  charts: [{ref: 'oci:made:chart', name: 'demo.local/app:1.0.0'}]\n"
    request = f"{HEAD}kind: Request\nmetadata: {{name: r}}\nspec:\n"
    world.write("r.request.yaml", request + lines)
    policy(world, f"{{keys: [acme], attestations: [{{predicateType: '{bundles.SPDX}', content: sbom}}]}}")
    for line in (("lock", "r.request.yaml"), ("pull", "r.lock.json", "--store", "store", "--key", "exporter.key")):
        world.run(*line)
    assert [check["outcome"] for check in scanned(world)["checks"]] == ["pass", "pass"]
    # Such a document about an image, which does contain packages, is a stub.
    image = layout.tag("image", layout.image({"a": b"a"}))
    attach.referrer(layout, image, fake.sign_image(image["digest"], ACME))
    attach.referrer(layout, image, fake.attest(image["digest"], bundles.SPDX, spdx_of(image["digest"]), ACME))
    world.write("r.request.yaml", request + lines.replace("charts", "images").replace("made:chart", "made:image"))
    for line in (("lock", "r.request.yaml"), ("pull", "r.lock.json", "--store", "store", "--key", "exporter.key")):
        world.run(*line)
    assert scanned(world, expect=3)["reason"] == "bad-sbom"


@pytest.mark.parametrize(
    ("pattern", "complaint"),
    [
        (r"^https://github\.com/.*$", "write the account"),
        (r"^https://github\.com/(?:[a-z0-9-]){1,39}/.*$", "write the account"),
        (r"^.+@gmail\.com$", "list the addresses"),
        (r"^(?:[a-z0-9.]){1,64}@gmail\.com$", "list the addresses"),
        (r"^https://github.com/acme/.*$", "for a dot"),
    ],
)
def test_a_pattern_that_means_everybody_at_a_host_is_refused(tmp_path: Path, pattern: str, complaint: str) -> None:
    (tmp_path / "root.json").write_text("{}")
    pin = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    rules = f"trustRoot: s, identities: [{{issuer: https://i, identityPattern: '{pattern}'}}]"
    (tmp_path / "policy.yaml").write_text(
        f"{HEAD}kind: Policy\nmetadata: {{name: p}}\nspec:\n"
        f"  trustRoots: [{{name: s, file: root.json, sha256: {pin}}}]\n"
        f"  rules: [{{match: ['**'], require: {{{rules}}}}}]\n"
    )
    said = run_airgap(["verify-image", "oci:nowhere:v1", "--policy", "policy.yaml", "--json"], tmp_path)
    assert said.code == 2
    answer = json.loads(said.out)
    assert answer["code"] == "bad-resource"
    assert "identityPattern" in answer["error"]
    assert complaint in answer["error"]


# --- registries that do not say what is attached ----------------------------------------------------


@pytest.mark.part("distribution3")
@pytest.mark.parametrize(
    ("path", "status"),
    [(r"/referrers/", status) for status in (401, 403, 406, 410, 415, 500)]
    + [(r"sha256-[0-9a-f]+\.sig", status) for status in (400, 403)],
)
def test_a_registry_that_refuses_to_say_what_is_attached(
    tmp_path: Path, distribution3: Registry, fault_proxy: MakeProxy, path: str, status: int
) -> None:
    layout = images.Layout(tmp_path / "made")
    image = layout.tag("v1", layout.image({"a": b"a"}))
    layout.signature_tag(image)
    attach.push(layout, distribution3.url, "refusing/app")
    proxy = fault_proxy(distribution3.url)
    proxy.fault("GET|HEAD", path, status=status, body=b'{"errors":[{"code":"DENIED","message":"no"}]}')
    request = (
        f"{HEAD}kind: Request\nmetadata: {{name: r}}\nspec:\n  images: [{{ref: '{proxy.host}/refusing/app:v1'}}]\n"
    )
    (tmp_path / "r.request.yaml").write_text(request)

    def lock(more: str, expect: int) -> Any:
        hosts = f"  hosts:\n    '{proxy.host}': {{plainHTTP: true{more}}}\n"
        (tmp_path / "u.yaml").write_text(f"{HEAD}kind: Upstreams\nmetadata: {{name: u}}\nspec:\n{hosts}")
        said = run_airgap(["lock", "r.request.yaml", "--upstreams", "u.yaml", "--json"], tmp_path)
        assert said.code == expect, said
        return json.loads(said.out)

    answer = lock("", 5)
    assert f"{proxy.host} does not say" in answer["error"]
    assert "referrers: tags" in answer["hint"]
    if "sig" not in path:
        (item,) = lock(", referrers: tags", 0)["items"]
        assert (item["asked"], len(item["attached"])) == ({"referrers": "tags"}, 1)
    (item,) = lock(", referrers: none", 0)["items"]
    assert (item["asked"], item.get("attached")) == ({"referrers": "none"}, None)
    # Whoever takes it out again gets what is attached, and not the old pin.
    proxy.clear()
    (item,) = lock("", 0)["items"]
    assert ("asked" in item, len(item["attached"])) == (False, 1)


@pytest.mark.part("distribution3")
def test_a_list_of_what_is_attached_that_never_ends(
    tmp_path: Path, distribution3: Registry, fault_proxy: MakeProxy
) -> None:
    """Each page is empty, and links to a next one: with a limit on pages alone, that took minutes for each manifest."""
    layout = images.Layout(tmp_path / "made")
    layout.tag("v1", layout.image({"a": b"a"}))
    attach.push(layout, distribution3.url, "endless/app")
    proxy = fault_proxy(distribution3.url)
    page = {"schemaVersion": 2, "mediaType": images.INDEX, "manifests": []}
    headers = {"Content-Type": images.INDEX, "Link": '<?last=x>; rel="next"'}
    proxy.fault("GET", "/referrers/", status=200, body=json.dumps(page).encode(), headers=headers)
    hosts = f"spec:\n  hosts:\n    '{proxy.host}': {{plainHTTP: true}}\n"
    (tmp_path / "u.yaml").write_text(f"{HEAD}kind: Upstreams\nmetadata: {{name: u}}\n{hosts}")
    request = f"{HEAD}kind: Request\nmetadata: {{name: r}}\nspec:\n  images: [{{ref: '{proxy.host}/endless/app:v1'}}]\n"
    (tmp_path / "r.request.yaml").write_text(request)
    said = run_airgap(["lock", "r.request.yaml", "--upstreams", "u.yaml", "--json"], tmp_path)
    assert (said.code, json.loads(said.out)["code"]) == (5, "endless-list")
    assert proxy.count("GET", "/referrers/") <= 12
