"""The fake Sigstore instance is like a real one: real verifiers accept what it signs, and no more."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import requests

from tests.parts.fake_sigstore import FakeSigstore, How, Leaf, attach
from tests.parts.fake_sigstore.bundles import SPDX, cosign_statement
from tests.parts.fake_sigstore.ca import TIME_STAMPING
from tests.parts.fake_sigstore.goods import AT, OWNER, PREDICATE, SUBJECT, Good, goods
from tests.parts.fake_sigstore.judges import Case, Cosign, Library, javascript
from tests.parts.fake_sigstore.mutations import VERIFIED, Mutation, mutations
from tests.parts.harbor_double import HarborDouble
from tests.parts.images import REF_NAME, Descriptor, Layout
from tests.parts.need import run
from tests.parts.registry import Registry

pytestmark = pytest.mark.e2e

DATA = b"hello\n"
KEY = How(AT, signer=OWNER, log="none")
# name → how it is signed; the first has each shape that a bundle may have.
BUNDLES: dict[str, How] = {
    "v1": How(AT),
    "v1-stamped": How(AT, stamp=True),
    "v2": How(AT, log="v2", stamp=True),
    "v2-dsse": How(AT, log="v2", stamp=True, kind2="dsse"),
    "stamped-only": How(AT, log="none", stamp=True),
    "0.2": How(AT, version="0.2"),
    "0.1-promise-only": How(AT, version="0.1", proof=False),
    "p384": How(AT, leaf=Leaf(AT, key="p384")),
    "rsa": How(AT, leaf=Leaf(AT, key="rsa")),
    "key": KEY,
    "key-logged": replace(KEY, log="v1"),
}
SIGNATURES: dict[str, How] = {
    "set": How(AT),
    "stamped": How(AT, log="none", stamp=True),
    "both": How(AT, stamp=True),
    "key": KEY,
    "key-logged": replace(KEY, log="v1"),
}
ATTESTATIONS = {
    **SIGNATURES,
    "intoto1": How(AT, kind="intoto1"),
    "intoto2": How(AT, kind="intoto2"),
}
# What cosign does not look at. (It makes Rekor v2's entry anew and does not look at that at all.)
COSIGN_IGNORES = re.compile(
    r"kindVersion\.|treeSize changed|checkpoint\.envelope>name|Timestamps doubled"
    r"|annotation: (predicateType|\S+chain) changed|Payload unknown member"
    r"|annotation: \S+bundle duplicate key|annotation: \S+cosign/signature removed"
)


@dataclass(frozen=True)
class World:
    """The instance, a second one that nobody knows, and the judges with the first one's root."""

    fs: FakeSigstore
    other: FakeSigstore
    cosign: Cosign
    library: Library


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    fs, folder = FakeSigstore(), tmp_path_factory.mktemp("judges")
    root = fs.trusted_root()
    return World(fs, FakeSigstore("other"), Cosign(folder, root), Library(folder, root))


def case(how: How, bundle: bytes, data: bytes | None = None) -> Case:
    return Case(bundle, how.signer is not None, how.log != "none", how.stamp, data)


def both_kinds(fs: FakeSigstore, how: How) -> Iterator[Case]:
    """A file's signature, and an image's."""
    yield case(how, fs.sign_blob(DATA, how), DATA)
    yield case(how, fs.sign_image(SUBJECT, how))


# --- what is good ------------------------------------------------------------------------------


@pytest.mark.part("cosign")
@pytest.mark.parametrize("name", BUNDLES)
def test_cosign_verifies_bundles(world: World, name: str) -> None:
    message, envelope = both_kinds(world.fs, BUNDLES[name])
    assert world.cosign.blob(message) == ""
    answer = world.cosign.blob(envelope, subject=SUBJECT)
    # cosign knows only the other of the two entries that Rekor v2 may keep of an envelope.
    assert bool(answer) == (name == "v2-dsse"), answer


@pytest.mark.parametrize("name", ["v1", "v1-stamped", "v2", "0.2"])
def test_sigstores_library_verifies_bundles(world: World, name: str) -> None:
    for each in both_kinds(world.fs, BUNDLES[name]):
        assert world.library.verify(each) == ""


@pytest.mark.part("node", "sigstore-verify")
def test_sigstores_javascript_verifies_bundles(world: World) -> None:
    cases = {
        f"{name} {kind}": each
        for name, how in BUNDLES.items()
        for kind, each in zip(("message", "envelope"), both_kinds(world.fs, how), strict=True)
    }
    answers = javascript(world.fs.trusted_root(), list(cases.values()))
    refused = {name for name, answer in zip(cases, answers, strict=True) if answer}
    # It knows only the other of Rekor v2's two, and takes SHA-256 for every envelope.
    assert refused == {"v2 envelope", "p384 envelope"}


def image(folder: Path) -> tuple[Layout, Descriptor]:
    layout = Layout(folder)
    return layout, layout.tag("v1", layout.image({"hello.txt": b"hello\n"}))


@dataclass(frozen=True)
class Repository:
    """A repository in a real registry, with an image in it to which things can be attached."""

    layout: Layout
    subject: Descriptor
    registry: Registry
    name: str

    def push(self) -> str:
        """Gives the reference for cosign."""
        attach.push(self.layout, self.registry.url, self.name)
        return f"{self.registry.host}/{self.name}@{self.subject['digest']}"


@pytest.fixture
def repository(distribution3: Registry, tmp_path: Path, request: pytest.FixtureRequest) -> Repository:
    name = re.sub("[^a-z0-9]+", "-", request.node.name.lower()).strip("-")
    return Repository(*image(tmp_path / "layout"), distribution3, f"fake-sigstore/{name}")


@pytest.mark.part("cosign", "distribution3")
@pytest.mark.parametrize("name", SIGNATURES)
def test_cosign_verifies_old_signatures(world: World, repository: Repository, name: str) -> None:
    how = SIGNATURES[name]
    layer = world.fs.old_signature(repository.subject["digest"], how)
    attach.tag(repository.layout, repository.subject, "sig", [layer])
    assert world.cosign.image(case(how, b""), repository.push()) == ""


@pytest.mark.part("cosign", "distribution3")
@pytest.mark.parametrize("name", ATTESTATIONS)
def test_cosign_verifies_old_attestations(world: World, repository: Repository, name: str) -> None:
    how = ATTESTATIONS[name]
    layer = world.fs.old_attestation(repository.subject["digest"], SPDX, PREDICATE, how)
    attach.tag(repository.layout, repository.subject, "att", [layer])
    answer = world.cosign.image(case(how, b""), repository.push(), predicate_type=SPDX)
    assert answer == ""


@pytest.mark.part("cosign", "distribution3")
@pytest.mark.parametrize("name", ["v1", "v1-stamped", "v2", "key", "key-logged"])
def test_cosign_verifies_bundles_of_images(world: World, repository: Repository, name: str) -> None:
    how, digest = BUNDLES[name], str(repository.subject["digest"])
    made = [world.fs.sign_image(digest, how), world.fs.attest(digest, SPDX, PREDICATE, how)]
    attach.fallback(repository.layout, repository.subject, *made)
    reference = repository.push()
    assert world.cosign.image(case(how, b""), reference) == ""
    assert world.cosign.image(case(how, b""), reference, predicate_type=SPDX) == ""


@pytest.fixture
def with_referrers(tmp_path: Path) -> Iterator[Callable[[Layout, str], str]]:
    """Copies a layout's v1 and all that refers to it to a registry with a referrers API."""
    harbor = HarborDouble(users={"nobody": ""})
    harbor.project("acme")
    harbor.rights = lambda user, project, action: True

    def copy(layout: Layout, name: str) -> str:
        target = f"{harbor.host}/acme/{name}"
        source = f"{layout.folder}:v1"
        run("oras", "cp", "-r", "--from-oci-layout", source, "--to-plain-http", f"{target}:v1")
        return target

    yield copy
    harbor.stop()


@pytest.mark.part("cosign", "oras")
def test_cosign_finds_what_refers_to_an_image(
    world: World, with_referrers: Callable[[Layout, str], str], tmp_path: Path
) -> None:
    how, asked = How(AT), case(How(AT), b"")

    def said(name: str, put: Callable[[Layout, Descriptor], object], *, experiment: bool = False) -> str:
        layout, subject = image(tmp_path / name)
        put(layout, subject)
        reference = f"{with_referrers(layout, name)}@{subject['digest']}"
        return world.cosign.image(asked, reference, experiment=experiment)

    fs = world.fs

    def bundle(layout: Layout, subject: Descriptor) -> None:
        attach.referrer(layout, subject, fs.sign_image(subject["digest"], how))

    def old(layout: Layout, subject: Descriptor) -> None:
        attach.old_referrer(layout, subject, [fs.old_signature(subject["digest"], how)])

    assert said("bundle", bundle) == ""
    assert said("old", old, experiment=True) == ""
    assert "no signatures found" in said("nothing-that-it-knows", attach.notation)


@pytest.mark.part("distribution3")
def test_every_layout_goes_into_a_registry_byte_for_byte(world: World, repository: Repository) -> None:
    layout, subject, how = repository.layout, repository.subject, How(AT)
    digest = str(subject["digest"])
    attach.tag(layout, subject, "sig", [world.fs.old_signature(digest, how)])
    attach.tag(layout, subject, "att", [world.fs.old_attestation(digest, SPDX, PREDICATE, how)])
    attach.sbom_tag(layout, subject, b"{}")
    attach.referrer(layout, subject, world.fs.sign_image(digest, how))
    attach.fallback(layout, subject, world.fs.sign_image(digest, how))
    attach.old_referrer(layout, subject, [world.fs.old_signature(digest, how)])
    attach.notation(layout, subject)
    attach.buildx(layout, subject, cosign_statement(digest), "built")
    repository.push()
    base = f"{repository.registry.url}/v2/{repository.name}/manifests"
    entries = layout.entries()
    assert len(entries) == 9
    for entry in entries:
        name = entry.get("annotations", {}).get(REF_NAME, entry["digest"])
        got = requests.get(f"{base}/{name}", headers={"Accept": entry["mediaType"]}, timeout=10)
        assert got.content == layout.read(entry["digest"])


# --- what is not -------------------------------------------------------------------------------


@pytest.mark.part("cosign", "node", "sigstore-verify")
def test_nobody_verifies_what_another_instance_signed(world: World) -> None:
    for how in (How(AT), How(AT, log="v2", stamp=True)):
        (made,) = [each for each in both_kinds(world.other, how) if each.data is not None]
        assert world.cosign.blob(made)
        assert world.library.verify(made)
        assert javascript(world.fs.trusted_root(), [made])[0]
        assert javascript(world.other.trusted_root(), [made]) == [""]


@pytest.mark.part("cosign")
def test_cosign_refuses_what_is_wrong_though_well_signed(world: World) -> None:
    fs, other, late = world.fs, world.other, Leaf(AT).lives * 2
    wrong = {
        "no timestamp of the log": How(AT, leaf=Leaf(AT, sct=False)),
        "another log of certificates": How(AT, signer=fs.authority.signer(Leaf(AT), ct=other.ct)),
        "no code signing": How(AT, leaf=Leaf(AT, usages=(TIME_STAMPING,))),
        "too late": How(AT, logged=late),
        "too late by the stamp": How(AT, stamp=True, stamped=late),
        "another identity": How(AT, leaf=Leaf(AT, san="https://code.example/evil")),
        "an e-mail address": How(AT, leaf=Leaf(AT, san="alice@code.example")),
        "another issuer": How(AT, leaf=Leaf(AT, issuer="https://evil.example")),
        "another log": How(AT, rekor=other.rekor),
        "another time stamper": How(AT, log="v2", stamp=True, tsa=other.tsa),
        "no promise": How(AT, promise=False),
        "no stamp": replace(How(AT, log="v2", stamp=False)),
    }
    for name, how in wrong.items():
        for made in both_kinds(fs, how):
            assert world.cosign.blob(made, subject=SUBJECT), name


def sample() -> list[Mutation]:
    """One good signature's mutations all of them, of other bundles some."""
    found: list[Mutation] = []
    for good in goods(FakeSigstore()):
        if good.name in {"bundle-v1", "bundle-key"}:
            found += mutations(good)
        elif good.name == "bundle-v2":
            found += [each for each in mutations(good) if "timestamp" in each.name.lower()]
    return found


def judged(good: Good) -> Case:
    return Case(
        good.bundle,
        good.keyed,
        logged=good.name not in {"bundle-key", "old-signature-key", "old-attestation-key"},
        stamped="stamped" in good.name or "both" in good.name or "v2" in good.name,
    )


@pytest.mark.part("cosign")
def test_cosign_refuses_mutated_bundles(world: World) -> None:
    wanted = [each for each in sample() if not COSIGN_IGNORES.search(each.name)]
    assert len(wanted) > 130
    accepted = []
    for each in wanted:
        made = replace(judged(each.good), bundle=each.bundle)
        if bool(world.cosign.blob(made, subject=SUBJECT)) != (each.expected != VERIFIED):
            accepted.append(each.name)
    assert accepted == []


@pytest.mark.part("cosign", "distribution3")
@pytest.mark.parametrize("name", ["old-signature", "old-attestation-intoto2"])
def test_cosign_refuses_mutated_old_signatures(
    world: World, distribution3: Registry, tmp_path: Path, name: str
) -> None:
    """cosign does not ask for the image itself, so there is none."""
    (good,) = [each for each in goods(world.fs) if each.name == name]
    accepted = []
    wanted = [each for each in mutations(good) if not COSIGN_IGNORES.search(each.name)]
    for number, each in enumerate(wanted[::4]):
        assert each.layer
        where = Repository(
            Layout(tmp_path / f"{number}"),
            {"digest": SUBJECT},
            distribution3,
            f"fake-sigstore/{name}-{number}",
        )
        attach.tag(where.layout, where.subject, "att" if good.predicate_type else "sig", [each.layer])
        answer = world.cosign.image(judged(good), where.push(), predicate_type=good.predicate_type)
        if bool(answer) != (each.expected != VERIFIED):
            accepted.append(each.name)
    assert accepted == []


def test_mutations_are_many_and_each_has_its_own_name(world: World) -> None:
    found = [each for good in goods(world.fs) for each in mutations(good)]
    assert len(found) > 1000
    assert len({each.name for each in found}) == len(found)


def test_the_same_calls_give_the_same_bytes() -> None:
    assert list(goods(FakeSigstore("twice"))) == list(goods(FakeSigstore("twice")))
