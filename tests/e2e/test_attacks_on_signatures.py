"""Attack stories about what upstream signed, from the command line. docs/threat-model.md has the table.

Upstream is a folder; its signatures are by a Sigstore instance of our own, which real cosign believes.
"""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airgap.base.canonical import canonical
from airgap.base.digest import Digest
from tests.parts.fake_sigstore import (
    ISSUER,
    SAN,
    FakeSigstore,
    How,
    Leaf,
    attach,
    bundles,
    managed,
    public_pem,
)
from tests.parts.fake_sigstore.ca import YEARS, Authority, rekeyed
from tests.parts.fake_sigstore.keys import elliptic
from tests.parts.fake_sigstore.trusted_root import Window
from tests.parts.images import Descriptor, Layout, bare
from tests.parts.system import NetworkNamespace
from tests.worlds.attacks import NAME, World, make_world
from tests.worlds.site import HEAD

pytestmark = [pytest.mark.e2e, pytest.mark.part("iproute2")]
AT = datetime(2026, 6, 1, tzinfo=UTC)
OWNER, THIEF = managed("owner"), managed("thief")
BY_KEY = "keys: [owner]"
BY_NAME = f"trustRoot: acme, identities: [{{issuer: '{ISSUER}', identity: '{SAN}'}}]"
REQUEST = f"""{HEAD}kind: Request
metadata: {{name: r}}
spec: {{images: [{{ref: 'oci:made:v1', name: '{NAME}'}}]}}
"""
SCAN = ("scan", "r.lock.json", "--store", "store", "--key", "station.key", "--policy", "policy.yaml")


@pytest.fixture(scope="module")
def acme() -> FakeSigstore:
    return FakeSigstore()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, acme: FakeSigstore) -> Iterator[World]:
    """Keys and trust; nothing upstream is signed by anybody who counts."""
    with ExitStack() as stack:
        netns = NetworkNamespace()
        stack.callback(netns.remove)
        world = make_world(tmp_path_factory.mktemp("signatures") / "base", netns)
        world.trust(require="pull, verdict, delivery")
        (world.folder / "acme.json").write_bytes(acme.trusted_root())
        (world.folder / "owner.pub").write_bytes(public_pem(OWNER.key))
        shutil.rmtree(world.folder / "made")
        yield world


@pytest.fixture
def world(base: World, tmp_path: Path) -> World:
    made = base.copy(tmp_path / "world")
    layout = made.layout()
    children = [layout.image({"a": arch.encode()}, platform=f"linux/{arch}") for arch in ("amd64", "arm64")]
    layout.tag("v1", layout.index(*children))
    return made


def image(layout: Layout) -> Descriptor:
    return layout.entries()[0]


def children(layout: Layout) -> list[Descriptor]:
    return list(json.loads(layout.read(image(layout)["digest"]))["manifests"])


def policy(world: World, require: str, *more: str) -> None:
    """One rule for everything, which wants this."""
    pin = Digest.of((world.folder / "acme.json").read_bytes())
    lines = "".join(f"  {line}\n" for line in more)
    world.write(
        "policy.yaml",
        f"{HEAD}kind: Policy\nmetadata: {{name: bank}}\nspec:\n"
        f"  trustRoots: [{{name: acme, file: acme.json, sha256: {pin.hex}}}]\n"
        f"  keys: [{{name: owner, publicKeyFile: owner.pub}}]\n{lines}"
        f"  rules:\n  - match: ['**']\n    require: {{{require}}}\n",
    )


def scan(world: World, *, expect: int = 0) -> Any:
    """Locks, pulls and judges what is upstream now; returns its one item."""
    world.lock()
    return world.run(*SCAN, expect=expect)["locks"][0]["items"][0]


def refused(world: World) -> str:
    """The reason of a judgement that says no; and nothing of it can be cut."""
    item = scan(world, expect=3)
    assert item["outcome"] == "fail"
    cut = ("bundle", "r.lock.json", "--store", "store", "--to", "media", "--for", "bank")
    role = ("--key", "station.key", "--role", "station")
    assert world.run(*cut, *role, expect=3)["code"] == "verdict-failed"
    return str(item["reason"])


def test_the_good_story(world: World, acme: FakeSigstore) -> None:
    """Signed by a certificate, judged at the station, let in without a route."""
    layout = world.layout()
    for subject in (image(layout), *children(layout)):
        attach.referrer(layout, subject, acme.sign_image(subject["digest"], How(AT)))
    policy(world, f"subjects: all, {BY_NAME}")
    assert scan(world)["outcome"] == "pass"
    world.cut("media")
    world.take("media")


def test_the_signature_of_a_child_manifest_was_stripped_upstream(world: World, acme: FakeSigstore) -> None:
    layout = world.layout()
    first, _ = children(layout)
    for subject in (image(layout), first):
        attach.referrer(layout, subject, acme.sign_image(subject["digest"], How(AT)))
    policy(world, f"subjects: all, {BY_NAME}")
    assert refused(world) == "absent"
    policy(world, BY_NAME)
    assert world.run(*SCAN)["locks"][0]["outcome"] == "pass"


def test_a_child_manifest_that_stands_first_as_a_layer(world: World, acme: FakeSigstore) -> None:
    """`subjects: all` does not overlook it: the signed child has the unsigned one for a layer, of an opaque type."""
    layout = world.layout()
    signed, hidden = children(layout)
    manifest = json.loads(layout.read(str(signed["digest"])))
    manifest["layers"].append({**bare(hidden), "mediaType": "application/octet-stream"})
    outer = layout.document(manifest, str(signed["mediaType"]), platform=signed["platform"])
    root = layout.tag("v1", layout.index(outer, hidden))
    made = [
        (subject, attach.referrer(layout, subject, acme.sign_image(subject["digest"], How(AT))))
        for subject in (root, outer)
    ]
    policy(world, f"subjects: all, {BY_NAME}")
    world.write("r.request.yaml", REQUEST)
    said = world.run("lock", "r.request.yaml", expect=4)
    assert (said["code"], hidden["digest"] in said["error"]) == ("bad-manifest", True)
    # Nor in a lock that somebody else wrote, over a store that somebody else filled.
    attached = [
        {**bare(one), "artifactType": one["artifactType"], "subject": subject["digest"], "how": "referrer"}
        for subject, one in sorted(made, key=lambda pair: str(pair[0]["digest"]))
    ]
    item = {"name": NAME, "kind": "image", "source": "oci:made:v1", "phase": "registry", "bytes": 1}
    item |= {"root": bare(root), "attached": sorted(attached, key=lambda one: str(one["subject"]))}
    head = {"apiVersion": "airgap.openova.io/v1alpha1", "kind": "Lock", "metadata": {"name": "r"}}
    (world.folder / "r.lock.json").write_bytes(canonical({**head, "items": [item]}) + b"\n")
    shutil.copytree(world.folder / "made", world.folder / "store")
    said = world.run(*SCAN, expect=4)
    assert (said["code"], "rebuild" in said["hint"]) == ("bad-manifest", True)


def test_a_foreign_bundle_is_added_to_hide_a_signature(world: World, acme: FakeSigstore) -> None:
    """To cosign a bundle by anybody hides the older layout; here everything that is attached is looked at."""
    layout = world.layout()
    root = image(layout)
    digest = str(root["digest"])
    old = acme.old_signature(digest, How(AT, signer=OWNER, log="none"))
    attach.tag(layout, root, "sig", [old])
    attach.referrer(layout, root, FakeSigstore("other").sign_image(digest, How(AT)))
    attach.referrer(layout, root, acme.sign_image(digest, How(AT, signer=THIEF, log="none")))
    policy(world, BY_KEY)
    assert scan(world)["outcome"] == "pass"
    world.cut("media")
    world.take("media")
    # All three are there inside, and the one that counts still does.
    said = world.inside("verify-image", f"oci:inside/oci:{NAME}", "--policy", "policy.yaml")
    assert sorted((one["layout"], one["status"]) for one in said["findings"]) == [
        ("bundle", "failed"),
        ("bundle", "failed"),
        ("simple-signing", "verified"),
    ]


def test_an_attestation_is_offered_as_a_signature(world: World, acme: FakeSigstore) -> None:
    """An SBOM by the right key says what is in it. It does not say that it may go out."""
    layout = world.layout()
    root = image(layout)
    how = How(AT, signer=OWNER, log="none")
    attach.referrer(layout, root, acme.attest(root["digest"], bundles.SPDX, {"spdxVersion": "SPDX-2.3"}, how))
    policy(world, BY_KEY)
    assert refused(world) == "not-a-signature"


def test_a_key_is_offered_to_an_identity_and_the_other_way_round(world: World, acme: FakeSigstore) -> None:
    layout = world.layout()
    root = image(layout)
    attach.referrer(layout, root, acme.sign_image(root["digest"], How(AT, signer=OWNER, log="none")))
    policy(world, BY_NAME)
    assert refused(world) == "key-for-identity"
    shutil.rmtree(world.folder / "made")
    layout = world.layout()
    root = layout.tag("v1", layout.image({"b": b"b"}))
    attach.referrer(layout, root, acme.sign_image(root["digest"], How(AT)))
    policy(world, BY_KEY)
    assert refused(world) == "identity-for-key"


def test_a_log_entry_of_another_artifact(world: World, acme: FakeSigstore) -> None:
    """A good entry of the same signer's, about another image: in a bundle and in the older layout."""
    layout = world.layout()
    root = image(layout)
    other = children(layout)[0]
    mine, theirs = (json.loads(acme.sign_image(each["digest"], How(AT))) for each in (root, other))
    mine["verificationMaterial"]["tlogEntries"] = theirs["verificationMaterial"]["tlogEntries"]
    attach.referrer(layout, root, json.dumps(mine).encode())
    policy(world, BY_NAME)
    assert refused(world) == "entry-mismatch"
    shutil.rmtree(world.folder / "made")
    layout = world.layout()
    root = layout.tag("v1", layout.image({"b": b"b"}))
    own, foreign = (acme.old_signature(str(each["digest"]), How(AT)) for each in (root, other))
    key = "dev.sigstore.cosign/bundle"
    mixed = replace(own, annotations={**own.annotations, key: foreign.annotations[key]})
    attach.tag(layout, root, "sig", [mixed])
    assert refused(world) == "entry-mismatch"


def test_an_identity_that_is_almost_the_right_one(world: World, acme: FakeSigstore) -> None:
    layout = world.layout()
    root = image(layout)
    attach.referrer(layout, root, acme.sign_image(root["digest"], How(AT, leaf=Leaf(AT, san=SAN + ".evil"))))
    policy(world, BY_NAME)
    assert refused(world) == "wrong-identity"
    # A pattern that would have let it in is refused where it is written, with its place.
    loose = SAN.replace(".", "\\\\.")
    for pattern in (loose, f"^{loose}", f"{loose}$", f"^{loose}$|.*"):
        issuer = f"trustRoot: acme, identities: [{{issuer: '{ISSUER}', identityPattern: \"{pattern}\"}}]"
        policy(world, issuer)
        answer = world.run(*SCAN, expect=2)
        assert answer["code"] == "bad-resource"
        assert "policy.yaml:" in answer["error"]


def test_the_tag_moves_between_scan_and_bundle(world: World, acme: FakeSigstore) -> None:
    """What was judged is what crosses; what the tag names now was judged by nobody."""
    layout = world.layout()
    root = image(layout)
    attach.referrer(layout, root, acme.sign_image(root["digest"], How(AT)))
    policy(world, BY_NAME)
    scan(world)
    evil = layout.tag("v1", layout.image({"evil": b"evil"}))
    world.cut("media")
    world.take("media")
    names = {item["name"]: item["digest"] for item in world.run("ls", "inside/oci")["items"]}
    assert names[NAME] == root["digest"]
    assert evil["digest"] not in names.values()
    world.lock("again")
    cut = ("bundle", "again.lock.json", "--store", "store", "--to", "evil", "--for", "bank")
    answer = world.run(*cut, "--key", "station.key", "--role", "station", expect=3)
    assert answer["code"] == "not-scanned"


def test_the_trust_root_is_older_than_the_log(world: World, acme: FakeSigstore) -> None:
    """Not invalid: it cannot be told with this root, and the words say what to bring."""
    layout = world.layout()
    root = image(layout)
    attach.referrer(layout, root, acme.sign_image(root["digest"], How(AT, log="v2", stamp=True)))
    contents = acme.contents()
    old = acme.trusted_root(replace(contents, logs=contents.logs[:1]))
    (world.folder / "acme.json").write_bytes(old)
    policy(world, BY_NAME)
    item = scan(world, expect=3)
    assert item["reason"] == "unknown-log"
    assert "the trust root is too old" in json.dumps(item)
    # The pin holds: another file under the same name is no trust root at all.
    (world.folder / "acme.json").write_bytes(acme.trusted_root())
    assert world.run(*SCAN, expect=4)["code"] == "trust-root-changed"


def test_a_trust_root_without_a_start_counts_at_no_time(world: World, acme: FakeSigstore) -> None:
    """Otherwise an old key of a log could sign for the time before it was one."""
    layout = world.layout()
    root = image(layout)
    attach.referrer(layout, root, acme.sign_image(root["digest"], How(AT, stamp=True)))
    policy(world, BY_NAME)
    assert scan(world)["outcome"] == "pass"
    whole = json.loads(acme.trusted_root())
    for name in ("tlogs", "ctlogs", "certificateAuthorities", "timestampAuthorities"):
        made = json.loads(acme.trusted_root())
        one = made[name][0]
        (one["publicKey"] if "logs" in name else one)["validFor"] = {"end": None}
        (world.folder / "acme.json").write_text(json.dumps(made))
        policy(world, BY_NAME)
        said = world.run(*SCAN, expect=4)
        assert said["code"] == "bad-trust-root"
        assert f"{name}[0]" in said["error"]
        (whole[name][0]["publicKey"] if "logs" in name else whole[name][0])["validFor"]["end"] = None
    # An end that is null is none: some tools write it so.
    (world.folder / "acme.json").write_text(json.dumps(whole))
    policy(world, BY_NAME)
    assert world.run(*SCAN)["locks"][0]["outcome"] == "pass"


def test_another_instance_with_the_same_names(world: World, acme: FakeSigstore) -> None:
    """It is not said that something was altered: this trust root does not have who signed."""
    twin = FakeSigstore(acme.seed)
    twin.authority.seed = "twin"
    twin.authority.intermediate = rekeyed(acme.authority.intermediate, elliptic("twin/intermediate"))
    twin.tsa.key = elliptic("twin/tsa")
    twin.tsa.chain = (rekeyed(acme.tsa.chain[0], twin.tsa.key), acme.tsa.chain[1])
    policy(world, BY_NAME)
    for number, (reason, how) in enumerate(
        {
            "unknown-ca": How(AT, signer=twin.authority.signer(Leaf(AT))),
            "unknown-tsa": How(AT, stamp=True, tsa=twin.tsa),
        }.items()
    ):
        shutil.rmtree(world.folder / "made")
        layout = world.layout()
        root = layout.tag("v1", layout.image({"b": b"%d" % number}))
        attach.referrer(layout, root, acme.sign_image(root["digest"], how))
        assert refused(world) == reason


def test_a_trust_root_with_the_expired_certificates_of_a_renewed_authority(world: World, acme: FakeSigstore) -> None:
    """`cosign trusted-root create` gives no window an end unless it is told: what is listed first must not decide."""
    contents = acme.contents()
    expired = Authority(acme.authority.seed, AT - YEARS - timedelta(days=1), acme.ct)
    ended = Window(acme.start, AT - timedelta(days=1))
    both = replace(
        contents,
        authorities=[(expired, Window(acme.start)), *contents.authorities],
        stampers=[(acme.tsa, ended), *contents.stampers],
    )
    layout = world.layout()
    root = image(layout)
    attach.referrer(layout, root, acme.sign_image(root["digest"], How(AT, stamp=True)))
    (world.folder / "acme.json").write_bytes(acme.trusted_root(both))
    policy(world, BY_NAME)
    assert scan(world)["outcome"] == "pass"


def test_a_key_that_was_stolen_is_denied(world: World, acme: FakeSigstore) -> None:
    """By its own digest: a hint or a name could be anybody's."""
    layout = world.layout()
    root = image(layout)
    attach.referrer(layout, root, acme.sign_image(root["digest"], How(AT, signer=OWNER, log="none")))
    policy(world, BY_KEY)
    assert scan(world)["outcome"] == "pass"
    pem = public_pem(OWNER.key).decode().split("-----")[2]
    spki = Digest.of(base64.b64decode("".join(pem.split())))
    policy(world, BY_KEY, f"deny: {{keys: ['{spki}']}}")
    assert world.run(*SCAN, expect=3)["locks"][0]["items"][0]["reason"] == "denied"
    policy(world, BY_KEY, f"deny: {{digests: ['{root['digest']}']}}")
    assert world.run(*SCAN, expect=3)["locks"][0]["items"][0]["reason"] == "denied"


def test_the_log_of_the_station_is_cut(world: World, acme: FakeSigstore) -> None:
    """Lines at the end are missing, and every line that is left fits: statements that were signed remember them."""
    layout = world.layout()
    root = image(layout)
    attach.referrer(layout, root, acme.sign_image(root["digest"], How(AT)))
    policy(world, BY_NAME)
    scan(world)
    world.run("log", "verify", "--store", "store")
    log = world.folder / "store/airgap/log.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:-1]))
    assert world.run("log", "verify", "--store", "store", expect=4)["code"] == "log-cut"
    log.write_bytes(b"".join([lines[0].replace(b"exporter", b"somebody"), *lines[1:]]))
    assert world.run("log", "verify", "--store", "store", expect=4)["code"] == "log-broken"
    log.unlink()
    assert world.run("log", "verify", "--store", "store", expect=4)["code"] == "log-cut"
