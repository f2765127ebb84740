"""Discovery: every format beside an image is found by its layers, and what is odd is noted, not raised."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from airgap.base.digest import Digest
from airgap.base.errors import NotFoundError
from airgap.content.graph import Descriptor
from airgap.content.item import Attached
from airgap.signatures.formats import read
from airgap.signatures.formats.read import read_attached, subjects, unsigned
from airgap.signatures.record import MAX_DETAIL, SignatureLayout, Signed, Status, Unread
from airgap.store import layout as store
from airgap.store.attached import find_attached
from airgap.store.locate import LayoutFinder, Located
from tests.parts import images
from tests.parts.fake_sigstore import FakeSigstore, How, attach, managed
from tests.parts.fake_sigstore.bundles import BUNDLE, SPDX
from tests.parts.fake_sigstore.legacy import SIMPLE_SIGNING, Layer

SIGSTORE = FakeSigstore()
HOW = How(datetime(2024, 5, 1, tzinfo=UTC), signer=managed("alice"), log="none")
Found = list[Signed | Unread]


class Shelf:
    """A layout with an image, and what we find beside it."""

    def __init__(self, folder: Path) -> None:
        self.made = images.Layout(folder / "made")
        self.image = self.made.tag("v1", self.made.image({"a": b"a"}))
        self.digest = str(self.image["digest"])

    @property
    def source(self) -> store.Layout:
        return store.Layout(self.made.folder)

    def attached(self) -> tuple[Attached, ...]:
        """As a lock would list it."""
        located = Located(self.source, _descriptor(self.image), LayoutFinder(self.source))
        return find_attached(located.finder, [Digest(self.digest)])

    def found(self) -> Found:
        return list(read_attached(self.source, _descriptor(self.image), self.attached()))

    def referrer(self, media_type: str, *blobs: bytes, **more: Any) -> None:
        """An artifact that refers to the image, listed without a name."""
        listed = [(media_type, blob) for blob in blobs]
        made = self.made.artifact("application/vnd.test", *listed, subject=self.image, **more)
        self.made.tag("", images.bare(made))

    def one(self) -> Unread:
        """The one thing beside the image, which is no signature that counts."""
        [found] = self.found()
        assert isinstance(found, Unread)
        assert found.subject == self.digest
        return found


def _descriptor(made: images.Descriptor) -> Descriptor:
    return Descriptor(str(made["mediaType"]), Digest(made["digest"]), int(made["size"]))


def _digests(found: list[Descriptor]) -> list[Digest]:
    return [one.digest for one in found]


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def _old(shelf: Shelf) -> Layer:
    return SIGSTORE.old_signature(shelf.digest, HOW)


def _bundle(shelf: Shelf) -> bytes:
    return SIGSTORE.sign_image(shelf.digest, HOW)


def _only_listed(shelf: Shelf) -> None:
    """A bundle that only the index of referrers connects with the image, and an entry that is not here."""
    made = attach.bundle_manifest(shelf.made, shelf.image, _bundle(shelf))
    manifest = json.loads(shelf.made.read(made["digest"]))
    shelf.made.path(made["digest"]).unlink()
    del manifest["subject"]
    listed = shelf.made.document(manifest, images.MANIFEST, artifactType=BUNDLE)
    shelf.made.fallback_tag(shelf.image, listed, made)


def _saved(shelf: Shelf, kind: str, layer: Layer) -> None:
    """As `cosign save` lays it out: no names, and a `kind` for each."""
    annotated = {"annotations": {"kind": "dev.cosignproject.cosign/image"}}
    shelf.made.tag("", {**images.bare(shelf.image), **annotated})
    annotated = {"annotations": {"kind": f"dev.cosignproject.cosign/{kind}"}}
    manifest = attach.layers_manifest(shelf.made, [layer])
    shelf.made.tag("", {**shelf.made.document(manifest, images.MANIFEST), **annotated})


READ: dict[str, tuple[Callable[[Shelf], object], SignatureLayout, bool]] = {
    "A": (lambda s: attach.tag(s.made, s.image, "sig", [_old(s)]), SignatureLayout.SIMPLE_SIGNING, False),
    "B": (
        lambda s: attach.tag(s.made, s.image, "att", [SIGSTORE.old_attestation(s.digest, SPDX, {}, HOW)]),
        SignatureLayout.ENVELOPE,
        True,
    ),
    "D": (lambda s: attach.referrer(s.made, s.image, _bundle(s)), SignatureLayout.BUNDLE, False),
    "D-attestation": (
        lambda s: attach.referrer(s.made, s.image, SIGSTORE.attest(s.digest, SPDX, {}, HOW)),
        SignatureLayout.BUNDLE,
        True,
    ),
    "D-fallback": (lambda s: attach.fallback(s.made, s.image, _bundle(s)), SignatureLayout.BUNDLE, False),
    "D-fallback-without-a-subject": (_only_listed, SignatureLayout.BUNDLE, False),
    "D-another-artifact-type": (lambda s: s.referrer(BUNDLE, _bundle(s)), SignatureLayout.BUNDLE, False),
    "E": (lambda s: attach.old_referrer(s.made, s.image, [_old(s)]), SignatureLayout.SIMPLE_SIGNING, False),
    "F-signature": (lambda s: _saved(s, "sigs", _old(s)), SignatureLayout.SIMPLE_SIGNING, False),
    "F-attestation": (
        lambda s: _saved(s, "atts", SIGSTORE.old_attestation(s.digest, SPDX, {}, HOW)),
        SignatureLayout.ENVELOPE,
        True,
    ),
}


@pytest.mark.parametrize("name", READ)
def test_each_signed_format_is_read(shelf: Shelf, name: str) -> None:
    make, layout, attestation = READ[name]
    make(shelf)
    [found] = shelf.found()
    assert isinstance(found, Signed)
    assert (found.layout, found.attestation, found.subject) == (layout, attestation, shelf.digest)
    assert found.where.startswith(("tag sha256-", "referrer sha256:"))


UNREAD: dict[str, tuple[Callable[[Shelf], object], SignatureLayout, Status, str]] = {
    "C": (
        lambda s: attach.sbom_tag(s.made, s.image, b"{}"),
        SignatureLayout.SBOM,
        Status.ABSENT,
        "unsigned",
    ),
    "C-referrer": (
        lambda s: s.referrer("text/spdx+json", b"{}"),
        SignatureLayout.SBOM,
        Status.ABSENT,
        "unsigned",
    ),
    "G": (
        lambda s: attach.notation(s.made, s.image),
        SignatureLayout.NOTATION,
        Status.UNSUPPORTED,
        "unsupported-format",
    ),
    "other": (lambda s: s.referrer("text/plain", b"a note"), SignatureLayout.OTHER, Status.ABSENT, "other"),
    "other-large": (
        lambda s: s.referrer("text/plain", *(b"%d" % n for n in range(1001))),
        SignatureLayout.OTHER,
        Status.ABSENT,
        "other",
    ),
    "two-bundles-in-one": (
        lambda s: s.referrer(BUNDLE, _bundle(s), SIGSTORE.attest(s.digest, SPDX, {}, HOW)),
        SignatureLayout.BUNDLE,
        Status.FAILED,
        "bad-bundle",
    ),
    "not-a-bundle": (
        lambda s: s.referrer(BUNDLE, b"x"),
        SignatureLayout.BUNDLE,
        Status.FAILED,
        "bad-bundle",
    ),
    "another-message": (
        lambda s: s.referrer(BUNDLE, SIGSTORE.sign_blob(b"x", HOW)),
        SignatureLayout.BUNDLE,
        Status.FAILED,
        "wrong-subject",
    ),
    "sig-without-annotations": (
        lambda s: s.made.signature_tag(s.image),
        SignatureLayout.SIMPLE_SIGNING,
        Status.FAILED,
        "bad-bundle",
    ),
    "sig-of-something-else": (
        lambda s: attach.tag(s.made, s.image, "sig", [Layer("text/plain", b"x", {})]),
        SignatureLayout.SIMPLE_SIGNING,
        Status.UNSUPPORTED,
        "unsupported-format",
    ),
    "att-is-an-index": (
        lambda s: s.made.tag(attach.tag_name(s.image, "att"), s.made.index(s.image)),
        SignatureLayout.ENVELOPE,
        Status.UNSUPPORTED,
        "unsupported-format",
    ),
    "too-large": (
        lambda s: s.referrer(BUNDLE, b" " * (read.MAX_BLOB + 1)),
        SignatureLayout.BUNDLE,
        Status.FAILED,
        "too-large",
    ),
}


@pytest.mark.parametrize("name", UNREAD)
def test_what_does_not_count_is_noted_with_its_reason(shelf: Shelf, name: str) -> None:
    make, layout, status, reason = UNREAD[name]
    make(shelf)
    for found in shelf.found():
        assert isinstance(found, Unread)
        assert (found.layout, found.status, found.reason) == (layout, status, reason)
        assert found.detail
    assert shelf.found()


def test_each_layer_is_a_signature_for_itself(shelf: Shelf) -> None:
    good, bad = _old(shelf), Layer(SIMPLE_SIGNING, b"{}", {})
    attach.tag(shelf.made, shelf.image, "sig", [good, bad, Layer("text/plain", b"x", {}), good])
    one, two, three, four = shelf.found()
    assert isinstance(one, Signed)
    assert isinstance(four, Signed)
    assert isinstance(two, Unread)
    assert isinstance(three, Unread)
    assert (two.reason, three.reason) == ("bad-bundle", "unsupported-format")
    assert one.where.endswith(".sig, layer 1")
    assert three.where.endswith(".sig, layer 3")


def test_a_bundle_beside_an_older_signature_hides_nothing(shelf: Shelf) -> None:
    attach.tag(shelf.made, shelf.image, "sig", [_old(shelf)])
    attach.referrer(shelf.made, shelf.image, SIGSTORE.attest(shelf.digest, SPDX, {}, HOW))
    assert [type(found) for found in shelf.found()] == [Signed, Signed]


def test_only_what_is_attached_to_the_subject_is_read(shelf: Shelf) -> None:
    attach.referrer(shelf.made, shelf.image, _bundle(shelf))
    other = Digest.of(b"another")
    assert list(read_attached(shelf.source, Descriptor(images.MANIFEST, other, 7), shelf.attached())) == []
    moved = [Attached(other, one.how, one.descriptor, one.tag) for one in shelf.attached()]
    [found] = read_attached(shelf.source, Descriptor(images.MANIFEST, other, 7), moved)
    assert isinstance(found, Unread)
    assert found.reason == "wrong-subject"


def test_a_manifest_may_leave_its_subject_out(shelf: Shelf) -> None:
    made = shelf.made.artifact("", (BUNDLE, _bundle(shelf)))
    [found] = read_attached(
        shelf.source,
        _descriptor(shelf.image),
        [Attached(Digest(shelf.digest), "referrer", _descriptor(made))],
    )
    assert isinstance(found, Signed)


def test_damage_is_noted_and_what_is_missing_is_raised(shelf: Shelf) -> None:
    attach.referrer(shelf.made, shelf.image, _bundle(shelf))
    [one] = shelf.attached()
    manifest = json.loads(shelf.made.read(one.descriptor.digest))
    layer = shelf.made.path(manifest["layers"][0]["digest"])
    data = layer.read_bytes()
    layer.write_bytes(data[:-1] + b" ")
    assert shelf.one().reason == "damaged"
    layer.write_bytes(data + b" ")
    assert shelf.one().reason == "damaged"
    layer.unlink()
    with pytest.raises(NotFoundError):
        shelf.found()
    whole = shelf.made.path(one.descriptor.digest)
    whole.write_bytes(whole.read_bytes()[:-1] + b" ")
    [found] = read_attached(shelf.source, _descriptor(shelf.image), [one])
    assert isinstance(found, Unread)
    assert (found.layout, found.reason) == (SignatureLayout.OTHER, "damaged")


def test_a_manifest_that_is_none_is_noted(shelf: Shelf) -> None:
    for data, reason in ((b"[]", "bad-manifest"), (b'{"a":1,"a":2}', "duplicate-key")):
        made = _descriptor(shelf.made.blob(data, images.MANIFEST))
        [found] = read_attached(
            shelf.source,
            _descriptor(shelf.image),
            [Attached(Digest(shelf.digest), "tag", made, "x.sig")],
        )
        assert isinstance(found, Unread)
        assert (found.layout, found.reason) == (SignatureLayout.SIMPLE_SIGNING, reason)


def _flood(shelf: Shelf, count: int) -> None:
    """A `.sig` tag with as many layers, all of them the same one."""
    layer = shelf.made.blob(b"{}", SIMPLE_SIGNING)
    manifest = {
        "schemaVersion": 2,
        "mediaType": images.MANIFEST,
        "config": shelf.made.blob(b"{}", images.CONFIG),
        "layers": [layer] * count,
    }
    name = attach.tag_name(shelf.image, "sig")
    shelf.made.tag(name, shelf.made.document(manifest, images.MANIFEST))


def test_a_flood_is_refused_before_it_is_read(shelf: Shelf) -> None:
    subject, made = Digest(shelf.digest), _descriptor(shelf.image)
    many = [Attached(subject, "referrer", made)] * (read.MAX_ATTACHED + 1)
    [found] = read_attached(shelf.source, made, many)
    assert isinstance(found, Unread)
    assert found.reason == "too-many"
    _flood(shelf, read.MAX_LAYERS + 1)
    assert shelf.one().reason == "too-many"
    _flood(shelf, read.MAX_LAYERS)
    assert len(shelf.found()) == read.MAX_LAYERS
    attach.referrer(shelf.made, shelf.image, _bundle(shelf))
    assert sum(isinstance(one, Unread) and one.reason == "too-many" for one in shelf.found()) == 1


def test_all_signatures_of_a_subject_have_a_limit_in_bytes(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "MAX_TOTAL", 10_000)
    layers = [_old(shelf), *[Layer(SIMPLE_SIGNING, b" " * 4000, {})] * 3]
    attach.tag(shelf.made, shelf.image, "sig", layers)
    first, *_, last = shelf.found()
    assert isinstance(first, Signed)
    assert isinstance(last, Unread)
    assert last.reason == "too-large"


def test_signatures_of_the_manifest_itself_count_its_bytes_each(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    own = shelf.made.read(shelf.digest)
    attach.referrer(shelf.made, shelf.image, SIGSTORE.sign_blob(own, HOW))
    attach.referrer(shelf.made, shelf.image, SIGSTORE.sign_blob(own, replace(HOW, signer=managed("bob"))))
    found = [one for one in shelf.found() if isinstance(one, Signed)]
    assert [(one.message, one.layout) for one in found] == [(own, SignatureLayout.BUNDLE)] * 2
    size = sum(len(SIGSTORE.sign_blob(own, replace(HOW, signer=managed(who)))) for who in ("alice", "bob"))
    monkeypatch.setattr(read, "MAX_TOTAL", size + 2 * len(own) - 1)
    assert [one.reason for one in shelf.found() if isinstance(one, Unread)] == ["too-large"]


@pytest.mark.parametrize("annotation", ["content", "predicateType"])
@pytest.mark.parametrize("value", [5, None, ["x"], {"a": 1}, "\x1b[31m"])
def test_annotations_of_any_type_are_an_answer(shelf: Shelf, annotation: str, value: Any) -> None:
    said = {f"dev.sigstore.bundle.{annotation}": value}
    shelf.referrer(BUNDLE, _bundle(shelf), annotations=said)
    assert shelf.one().reason in ("bad-bundle", "wrong-predicate-type")


def test_a_stranger_s_words_are_one_short_line(shelf: Shelf) -> None:
    manifest = {
        "schemaVersion": 2,
        "mediaType": images.MANIFEST,
        "artifactType": "\x1b[2J\u202e" + "x" * 10_000,
        "config": shelf.made.blob(b"{}", images.EMPTY),
        "layers": [shelf.made.blob(b"x", "text/plain")],
        "subject": images.bare(shelf.image),
    }
    shelf.made.tag("", shelf.made.document(manifest, images.MANIFEST))
    shelf.referrer(BUNDLE, json.dumps({"\x1b" * 5000: 1, "mediaType": 1}).encode())
    shelf.referrer(BUNDLE, json.dumps({"\u202e": "x", "mediaType": 1}).encode())
    for one in shelf.found():
        assert isinstance(one, Unread)
        assert one.detail.isprintable()
        assert len(one.detail) <= MAX_DETAIL


def test_whatever_goes_wrong_with_one_the_others_are_read(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> Signed:
        raise KeyError("a")

    monkeypatch.setattr(read, "read_simple_signing", broken)
    attach.tag(shelf.made, shelf.image, "sig", [_old(shelf)])
    attach.referrer(shelf.made, shelf.image, _bundle(shelf))
    kinds = {type(one): one for one in shelf.found()}
    assert set(kinds) == {Signed, Unread}
    assert getattr(kinds[Unread], "reason", "") == "verifier-error"


def test_one_manifest_that_names_a_thousand_signatures_hides_none(shelf: Shelf) -> None:
    _flood(shelf, read.MAX_LAYERS)
    for number in range(3):
        how = replace(HOW, signer=managed(str(number)))
        attach.referrer(shelf.made, shelf.image, SIGSTORE.sign_image(shelf.digest, how))
    assert sum(isinstance(one, Signed) for one in shelf.found()) == 3


def test_one_large_signature_at_a_time(shelf: Shelf) -> None:
    large = {"packages": ["x" * read.LARGE]}
    for name in ("a", "b"):
        made = SIGSTORE.attest(shelf.digest, SPDX, {**large, "name": name}, HOW)
        attach.referrer(shelf.made, shelf.image, made)
    attached = shelf.attached()
    alone: list[bool] = []

    def look(_: int) -> None:
        for one in read_attached(shelf.source, _descriptor(shelf.image), attached):
            assert isinstance(one, Signed)
            inside.append(1)
            alone.append(len(inside) == 1)
            inside.pop()

    inside: list[int] = []
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(look, range(8)))
    assert alone == [True] * 16


# --- what can be signed, and what BuildKit wrote -----------------------------------------------


def test_subjects_are_the_root_and_what_is_carried_below_it(shelf: Shelf) -> None:
    one = shelf.made.image({"a": b"1"}, platform="linux/amd64")
    two = shelf.made.image({"a": b"2"}, platform="linux/arm64")
    index = _descriptor(shelf.made.index(one, two))
    assert _digests(subjects(shelf.source, index, ())) == [index.digest, one["digest"], two["digest"]]
    assert _digests(subjects(shelf.source, index, ("linux/arm64",))) == [index.digest, two["digest"]]
    assert _digests(subjects(shelf.source, _descriptor(one), ())) == [one["digest"]]


def test_attestations_of_buildkit_are_unsigned(shelf: Shelf) -> None:
    index = _descriptor(attach.buildx(shelf.made, shelf.image, b"{}"))
    [found] = unsigned(shelf.source, index, ())
    assert (found.layout, found.status, found.reason) == (SignatureLayout.BUILDX, Status.ABSENT, "unsigned")
    assert found.subject == shelf.digest
    [narrowed] = unsigned(shelf.source, index, ("linux/arm64",))
    assert narrowed.subject == index.digest
    assert unsigned(shelf.source, _descriptor(shelf.image), ()) == []
