"""Attack stories about deliveries and keys, from the command line; the gap side has no route. docs/threat-model.md."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airgap.base.digest import Digest
from airgap.delivery.index import Index
from airgap.statements.accepted import AcceptedList
from airgap.statements.dsse import open_bundle
from airgap.statements.predicates import Delivery, Pull, PulledItem
from airgap.statements.statement import Statement
from tests.parts.system import NetworkNamespace
from tests.worlds.attacks import NAME, Files, World, make_world
from tests.worlds.site import GAP

pytestmark = [pytest.mark.e2e, pytest.mark.part("iproute2", "faketime")]
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Pulled and cut once: `media1`, `media2` of the same lock."""
    with ExitStack() as stack:
        netns = NetworkNamespace()
        stack.callback(netns.remove)
        world = make_world(tmp_path_factory.mktemp("attacks") / "base", netns)
        world.lock()
        world.cut("media1")
        world.cut("media2")
        yield world


@pytest.fixture
def world(base: World, tmp_path: Path) -> World:
    """A copy of it, so that stories do not meet."""
    return base.copy(tmp_path / "world")


def _lock(world: World, name: str = "r.lock.json") -> tuple[Digest, Any]:
    data = (world.folder / name).read_bytes()
    return Digest.of(data), json.loads(data)


# what crosses again, late, or elsewhere


def test_a_stream_whose_receipt_could_not_be_kept(world: World) -> None:
    world.forge("media1", "long", index=lambda made: replace(made, journey=replace(made.journey, stream="s" * 400)))
    assert world.refused("long") == "bad-index"


def test_a_replayed_delivery(world: World) -> None:
    world.take("media1")
    world.take("media2")
    assert world.refused("media1") == "delivery-replayed"
    # Under another name, and from other media, it is the same delivery.
    shutil.copytree(world.folder / "media1", world.folder / "found")
    assert world.refused("found") == "delivery-replayed"


def test_an_older_sequence(world: World) -> None:
    world.take("media2")
    assert world.refused("media1") == "older-sequence"


def test_a_delivery_for_another_sovereign(world: World) -> None:
    world.cut("other", to="another-bank")
    assert world.refused("other") == "wrong-sovereign"
    # Readdressed by someone who has no key, it is no longer what was signed.
    index = world.folder / "other/AIRGAP.json"
    index.write_text(index.read_text().replace('"another-bank"', '"bank"'))
    assert world.refused("other") == "index-mismatch"


def test_an_expired_delivery(world: World) -> None:
    assert world.refused("media1", clock="+61d") == "delivery-expired"
    # Its life is under the signature too.
    index = world.folder / "media1/AIRGAP.json"
    index.write_text(re.sub('"expires": "20[0-9]{2}', '"expires": "2099', index.read_text()))
    assert world.refused("media1", clock="+61d") == "index-mismatch"


def test_a_local_clock_that_is_years_behind(world: World) -> None:
    assert world.refused("media1", clock="-3y") == "signed-in-future"
    world.take("media1")
    assert world.refused("media2", clock="-3y") == "clock-behind"
    world.take("media2")


def test_a_state_that_was_rolled_back_or_deleted(world: World) -> None:
    """What was accepted is written down in the destination too, signed: a state that forgot does not decide."""
    world.take("media1")
    state = world.folder / "state"
    shutil.copytree(state, world.folder / "backup")
    world.take("media2")
    world.cut("media3")
    for code in ("state-rolled-back", "state-lost"):
        shutil.rmtree(state)
        if code == "state-rolled-back":
            shutil.copytree(world.folder / "backup", state)
        assert [world.refused(media) for media in ("media1", "media2", "media3")] == [code] * 3
    # A list that somebody else signed counts for nothing, and without a state that is no yes either.
    shutil.rmtree(state, ignore_errors=True)
    kept = world.folder / "inside/records/accepted-bank.sigstore.json"
    good = kept.read_bytes()
    said = Statement.parse(open_bundle(good, "list").payload, "list")
    assert isinstance(said.body, AcceptedList)
    short = AcceptedList("bank", said.body.deliveries[:1])
    kept.write_bytes(world.statement(short.newest, short, "station", role="sovereign"))
    assert world.refused("media2") == "list-not-believed"
    kept.write_bytes(good)
    world.take("media2", more=("--restore",))
    assert world.refused("media1") == "delivery-replayed"
    world.take("media3")


# keys


def test_the_exporter_signs_for_the_station_as_well(world: World) -> None:
    """One hand, two roles: neither by claiming the other's role nor by being listed twice."""
    world.trust(require="pull, delivery", second="station")
    shutil.copyfile(world.folder / "exporter.pub", world.folder / "second.pub")
    twice = world.inside("import", "media1", *GAP, expect=2)
    assert twice["code"] == "bad-resource"
    assert "is used twice" in twice["error"]
    world.trust()
    forged = world.forge("media1", "forged", who="exporter")
    data = (world.folder / forged / "AIRGAP.json").read_bytes()
    claims = world.statement(Digest.of(data), Delivery(), "exporter", role="station")
    (world.folder / forged / "signatures/station.sigstore.json").write_bytes(claims)
    assert world.refused(forged) == "wrong-role"


def test_a_role_signs_what_it_may_not(world: World) -> None:
    """The station's key under a pull statement, the sovereign's under a delivery."""
    lock, document = _lock(world)
    items = {
        item["name"]: PulledItem(Digest(item["root"]["digest"]), "pass", item["bytes"]) for item in document["items"]
    }
    pulled = world.statement(lock, Pull(items), "station")

    def swapped(files: Files) -> Files:
        kept = {name: data for name, data in files.items() if not name.startswith("statements/")}
        return {**kept, f"statements/{Digest.of(pulled).hex}.sigstore.json": pulled}

    assert world.refused(world.forge("media1", "one", evidence=swapped)) == "role-may-not"
    assert world.refused(world.forge("media1", "two", who="sovereign")) == "role-may-not"


def test_a_key_that_was_not_valid_when_it_signed(world: World) -> None:
    now = datetime.now(UTC)
    ended = f"notBefore: 2026-01-01T00:00:00Z, notAfter: {now - DAY:%Y-%m-%dT%H:%M:%SZ}"
    world.trust(station=ended)
    assert world.refused("media1") == "key-not-valid-then"


def test_a_revoked_key(world: World) -> None:
    now = datetime.now(UTC)
    revoked = f"revoked: {{at: {now - DAY:%Y-%m-%dT%H:%M:%SZ}}}"
    world.trust(station=revoked)
    assert world.refused("media1") == "key-revoked"
    # What was checked by hand is let in by name, and nothing else.
    digest = Digest.of((world.folder / "media1/AIRGAP.json").read_bytes())
    world.trust(station=f"{revoked[:-1]}, accept: ['{digest}']}}")
    world.take("media1")
    assert world.refused("media2") == "key-revoked"


def test_a_backdated_statement(world: World) -> None:
    """Whoever has the key writes a time before the last accepted delivery."""
    world.take("media1")
    early = datetime.now(UTC) - 2 * DAY

    def older(index: Index) -> Index:
        return replace(index, journey=replace(index.journey, created=early))

    forged = world.forge("media2", "forged", index=older, at=early)
    assert world.refused(forged) == "signed-too-early"


def test_an_unknown_key_counts_for_nothing(world: World) -> None:
    assert world.refused(world.forge("media1", "forged", who="thief")) == "unknown-key"


# what is in it


def test_a_signature_that_was_stripped_on_the_way(world: World) -> None:
    """Of the image, and of one child manifest: the lock lists each, and the volume is looked into."""
    [item] = _lock(world)[1]["items"]
    by_subject: dict[str, list[str]] = {}
    for one in item["attached"]:
        by_subject.setdefault(one["subject"], []).append(one["digest"])
    root = item["root"]["digest"]
    child = next(subject for subject in by_subject if subject != root)
    for number, subject in enumerate((root, child)):
        lost = Digest(by_subject[subject][0])

        def without(index: Index, lost: Digest = lost) -> Index:
            blobs = {key: value for key, value in index.contents.blobs.items() if key != lost}
            return replace(index, contents=replace(index.contents, blobs=blobs))

        # Even whoever cuts deliveries cannot leave it out: the lock that was signed says that it belongs there.
        assert world.refused(world.forge("media1", f"forged{number}", index=without)) == "not-in-delivery"
        # Whoever has only the medium can only damage it.
        copy = world.folder / f"copy{number}"
        shutil.copytree(world.folder / "media1", copy)
        _wipe(copy, lost)
        answer = world.take(copy.name, expect=4)
        assert lost.hex in json.dumps(answer)
        assert not (world.folder / "inside/oci/index.json").exists() or NAME not in json.dumps(
            json.loads((world.folder / "inside/oci/index.json").read_bytes())
        )
        shutil.rmtree(world.folder / "state")
        shutil.rmtree(world.folder / "inside", ignore_errors=True)


def _wipe(media: Path, digest: Digest) -> None:
    """Zeros in place of a blob."""
    index = Index.decode((media / "AIRGAP.json").read_bytes())
    for extent in index.contents.blobs[digest]:
        volume = media / index.contents.volumes[extent.volume - 1].name
        with volume.open("r+b") as file:
            file.seek(extent.offset)
            file.write(bytes(extent.length))


def test_a_lock_that_was_approved_once_is_cut_again(world: World) -> None:
    """Its approval never ends, so whoever has an exporter's key could let names move back to it for ever."""
    line = ("sign", "r.lock.json", "--key", "officer.key", "--role", "security-officer", "--out", "approvals")
    world.run(*line)
    [approval] = (world.folder / "approvals").iterdir()
    world.cut("again", "--approval", str(approval))
    world.trust(require="pull, delivery, delivery-approval")
    assert world.refused("again") == "statement-missing"
    world.run("sign", "again", "--key", "officer.key", "--trust", "trust.yaml")
    world.take("again")


def test_an_approved_lock_is_swapped_for_another_with_the_same_names(world: World) -> None:
    world.trust(require="pull, delivery, approval")
    world.run("sign", "r.lock.json", "--key", "officer.key", "--role", "security-officer", "--out", "approvals")
    [approval] = (world.folder / "approvals").iterdir()
    world.cut("approved", "--approval", str(approval))
    layout = world.layout()
    layout.tag("v1", layout.image({"evil": b"evil"}))
    world.lock("evil")
    # The cutter says no, and a cutter who says yes is not believed.
    refused = world.run(
        *("bundle", "evil.lock.json", "--store", "store", "--to", "evil", "--for", "bank"),
        *("--key", "station.key", "--role", "station", "--unscanned", "--approval", str(approval)),
        expect=2,
    )
    assert refused["code"] == "bad-approval"
    world.cut("evil", lock="evil.lock.json")
    bundle = approval.read_bytes()

    def with_approval(files: Files) -> Files:
        return {**files, f"statements/{Digest.of(bundle).hex}.sigstore.json": bundle}

    assert world.refused(world.forge("evil", "forged", evidence=with_approval)) == "statement-missing"

    # The evidence of the approved delivery under the other's index.
    def old_evidence(files: Files) -> Files:
        from airgap.delivery import tar as tape

        return tape.read_archive((world.folder / "approved/evidence.tar").read_bytes(), 1 << 20)

    assert world.refused(world.forge("evil", "mixed", evidence=old_evidence)) == "locks-mismatch"
    world.take("approved")


def test_a_signature_tag_inside_is_not_overwritten_by_a_delivery(world: World) -> None:
    """An image signed inside keeps its signature, whatever a delivery brings under the same tag."""
    world.take("media1")
    index = world.folder / "inside/oci/index.json"
    names = {entry["digest"]: entry.get("annotations", {}) for entry in json.loads(index.read_bytes())["manifests"]}
    tag, digest = next(
        (name, digest) for digest, each in names.items() for name in each.values() if str(name).endswith(".sig")
    )
    # Somebody inside signs, and the tag holds their signature from then on.
    own = next(other for other in names if other != digest)
    index.write_text(index.read_text().replace(digest, own))
    shutil.rmtree(world.folder / "state/receipts")
    done = world.take("media2", expect=3)
    assert [each["name"] for each in done["changes"] if each["outcome"] == "refused"] == [tag.rpartition(":")[2]]
    assert digest not in [
        entry["digest"]
        for entry in json.loads(index.read_bytes())["manifests"]
        if tag in entry.get("annotations", {}).values()
    ]


# the good stories beside them


def test_an_approval_is_added_on_behalf_of_a_read_only_disc(world: World) -> None:
    world.trust(require="pull, delivery, approval")
    disc = world.folder / "media1"
    for path in sorted(disc.rglob("*"), reverse=True):
        path.chmod(0o444 if path.is_file() else 0o555)
    disc.chmod(0o555)
    assert world.refused("media1") == "statement-missing"
    world.run("sign", "media1", "--key", "officer.key", "--role", "security-officer", "--out", "approvals")
    world.take("media1", "approvals")


def test_a_key_is_rotated_between_two_deliveries(world: World) -> None:
    """Both are listed for a while; afterwards the old one signs nothing any more, and what it signed is still good."""
    world.run("keys", "generate", "next")
    now = datetime.now(UTC)
    ends = f"notBefore: 2026-01-01T00:00:00Z, notAfter: {now + 30 * DAY:%Y-%m-%dT%H:%M:%SZ}"
    year = f"notBefore: {now - DAY:%Y-%m-%dT%H:%M:%SZ}, notAfter: {now + 364 * DAY:%Y-%m-%dT%H:%M:%SZ}"
    shutil.copyfile(world.folder / "trust.yaml", world.folder / "old.yaml")
    world.trust(station=ends, next=f"station {year}")
    # The next Trust resource counts with the approval of the officer whom the old one lists.
    sign = ("sign", "trust.yaml", "--role", "security-officer")
    approval = "trust.yaml.security-officer.sigstore.json"
    rotate = ("keys", "rotate", "old.yaml", "trust.yaml", "--approval")
    world.run(*sign, "--key", "thief.key", "--out", "stolen")
    assert world.inside(*rotate, f"stolen/{approval}", expect=4)["code"] == "unknown-key"
    world.run(*sign, "--key", "officer.key")
    world.inside(*rotate, approval)
    world.take("media1")
    cut = ("bundle", "r.lock.json", "--store", "store", "--for", "bank", "--role", "station", "--unscanned")
    world.run(*cut, "--to", "media3", "--key", "next.key")
    world.take("media3")
    late = world.run(*cut, "--to", "late", "--key", "station.key", clock="+40d")
    assert late["sequence"] == 4
    assert world.refused("late", clock="+41d") == "key-not-valid-then"
    # An old one, signed in time, is a resume or a restore as ever.
    world.take("media1", more=("--restore",), clock="+41d")


def test_a_delivery_that_was_eight_weeks_in_the_post(world: World) -> None:
    """Its key expired on the way. Nothing proves that it was signed before that, so the Trust resource names it."""
    now = datetime.now(UTC)
    ends = f"notBefore: 2026-01-01T00:00:00Z, notAfter: {now + 7 * DAY:%Y-%m-%dT%H:%M:%SZ}"
    world.trust(station=ends)
    assert world.refused("media1", clock="+56d") == "key-expired"
    digest = Digest.of((world.folder / "media1/AIRGAP.json").read_bytes())
    world.trust(station=f"{ends}, accept: ['{digest}']")
    world.take("media1", clock="+56d")


def test_a_harbor_is_rebuilt_from_old_media(world: World) -> None:
    layout = world.layout()
    layout.tag("v1", layout.image({"new": b"new"}))
    world.lock("n")
    world.cut("media3", lock="n.lock.json")
    for media in ("media1", "media2", "media3"):
        world.take(media)
    names = _names(world)
    shutil.rmtree(world.folder / "inside")
    world.take("media3")
    world.take("media1", more=("--restore",), expect=3)  # the name that moved on is not moved back, and that is said
    assert _names(world) == names


def _names(world: World) -> dict[str, str]:
    return {item["name"]: item["digest"] for item in world.run("ls", "inside/oci")["items"] if item["name"] == NAME}
