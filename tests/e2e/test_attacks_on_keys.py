"""Attack stories about keys that ended, streams and numbers, from the command line; the gap side has no route."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airgap.base.digest import Digest
from airgap.base.times import utc_text
from airgap.delivery.index import Index
from airgap.statements.approval import Approval
from tests.parts.system import NetworkNamespace
from tests.worlds.attacks import World, make_world
from tests.worlds.site import GAP, HEAD

pytestmark = [pytest.mark.e2e, pytest.mark.part("iproute2", "faketime")]
DAY = timedelta(days=1)
OFFICER = ("--key", "officer.key", "--role", "security-officer")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Pulled and cut: `media1` and `media2` of a stream, `side` of another."""
    with ExitStack() as stack:
        netns = NetworkNamespace()
        stack.callback(netns.remove)
        world = make_world(tmp_path_factory.mktemp("keys") / "base", netns)
        world.lock()
        world.cut("media1")
        world.cut("media2")
        world.cut("side", "--stream", "side")
        yield world


@pytest.fixture
def world(base: World, tmp_path: Path) -> World:
    """A copy of it, so that stories do not meet."""
    return base.copy(tmp_path / "world")


def digest_of(world: World, media: str) -> Digest:
    """What an `accept` list names."""
    return Digest.of((world.folder / media / "AIRGAP.json").read_bytes())


def ends(how: str, *accept: Digest) -> str:
    """What the Trust resource says of a key that ends tomorrow."""
    moment = utc_text(datetime.now(UTC) + DAY)
    named = ", ".join(f"'{digest}'" for digest in accept)
    if how == "key-revoked":
        return f"revoked: {{at: {moment}, accept: [{named}]}}"
    return f"notBefore: 2026-01-01T00:00:00Z, notAfter: {moment}, accept: [{named}]"


def declare(world: World, *streams: str) -> None:
    """The Sovereign accepts these streams."""
    spec = f"spec:\n  stateDir: state\n  directory: inside\n  streams: [{', '.join(streams)}]\n"
    world.write("sovereign.yaml", f"{HEAD}kind: Sovereign\nmetadata: {{name: bank}}\n{spec}")


def numbered(world: World, media: str, sequence: int, to: str) -> str:
    """The same delivery with another number, by a station that may sign it."""

    def changed(index: Index) -> Index:
        return replace(index, journey=replace(index.journey, sequence=sequence))

    return world.forge(media, to, index=changed)


# keys that ended; nobody can tell a signature of today from one that a thief makes in a week with the date of today


@pytest.mark.parametrize("how", ["key-revoked", "key-expired"])
def test_a_key_that_ended_makes_nothing_new_count(world: World, how: str) -> None:
    world.trust(station=ends(how))
    # At a first import, in a stream that runs, and in one that begins.
    assert world.refused("media1", clock="+5d") == how
    world.take("media1")
    assert world.refused("media2", clock="+5d") == how
    declare(world, "main", "side")
    assert world.refused("side", clock="+5d") == how
    # What was accepted before comes in again.
    world.take("media1", clock="+5d")


@pytest.mark.parametrize("how", ["key-revoked", "key-expired"])
def test_what_an_ended_key_signed_is_let_in_by_name(world: World, how: str) -> None:
    """One digest is enough for all that the key signed in a delivery: here two keys ended, for two statements."""
    name = digest_of(world, "media1")
    world.trust(station=ends(how, name), exporter=ends(how))
    assert world.refused("media1", clock="+5d") == how
    world.trust(station=ends(how, name), exporter=ends(how, name))
    assert world.refused("media2", clock="+5d") == how
    world.take("media1", clock="+5d")


def test_an_archived_delivery_is_verified_as_of_its_time(world: World) -> None:
    world.trust(station=ends("key-expired"))
    late = ("verify", "media1", "--index-only", "--trust", "trust.yaml")
    refused = world.inside(*late, clock="+5d", expect=4)
    assert (refused["code"], "--at TIME" in refused["hint"]) == ("key-expired", True)
    world.inside(*late, "--at", utc_text(datetime.now(UTC) + DAY / 2), clock="+5d")


@pytest.mark.parametrize("how", ["key-revoked", "key-expired"])
def test_receipts_and_lists_of_a_sovereign_whose_key_ended(world: World, how: str) -> None:
    """An expired key is good for a receipt of what was accepted, and for a list that stops imports; not for more."""
    world.take("media1")
    world.trust(sovereign=ends(how))
    audit = ("audit", *GAP, "--receipt", "media1.receipt")
    if how == "key-expired":
        world.inside(*audit, clock="+5d")
    else:
        assert world.inside(*audit, clock="+5d", expect=4)["code"] == how
    # Without the state: the list may be of today, or made in a week with anything in it.
    shutil.rmtree(world.folder / "state")
    assert world.inside(*audit, clock="+5d", expect=4)["code"] == how
    late = world.inside("import", "media2", *GAP, clock="+5d", expect=4)
    assert late["code"] == ("state-lost" if how == "key-expired" else "list-not-believed")
    restore = ("import", "media1", *GAP, "--restore")
    refused = world.inside(*restore, clock="+5d", expect=4)
    assert refused["code"] == "list-not-believed"
    # People read the list, and name it.
    name = digest_of(world, "media1")
    assert str(name) in refused["hint"]
    world.trust(sovereign=ends(how, name))
    world.inside(*restore, clock="+5d")


def test_an_officer_whose_key_ended_approves_nothing_new(world: World) -> None:
    """Neither a delivery nor a lock; a waiver and a trust root are in test_scan.py and test_trust_roots.py."""
    world.trust(require="pull, delivery, approval", officer=ends("key-expired"))
    world.run("sign", "media1", *OFFICER)
    assert world.refused("media1", clock="+5d") == "key-expired"
    world.run("sign", "r.lock.json", *OFFICER)
    world.cut("approved")
    assert world.refused("approved", clock="+5d") == "key-expired"
    world.take("approved")


# times that cannot be true


def test_a_statement_that_is_older_than_what_it_speaks_of(world: World) -> None:
    """The key is good, and gains nothing; but no clock of an honest signer can have said so."""
    early = datetime.now(UTC) - 3 * timedelta(hours=1)
    assert world.refused(world.forge("media1", "signed", at=early)) == "signed-too-early"

    def cut_early(index: Index) -> Index:
        return replace(index, journey=replace(index.journey, created=early.replace(microsecond=0)))

    assert world.refused(world.forge("media1", "cut", index=cut_early)) == "signed-too-early"
    (approval := world.folder / "early/signatures").mkdir(parents=True)
    bundle = world.statement(digest_of(world, "media1"), Approval(None), "officer", at=early)
    (approval / "security-officer.sigstore.json").write_bytes(bundle)
    assert world.refused("media1", "early") == "signed-too-early"


# streams and numbers


def test_a_stream_that_nobody_declared(world: World) -> None:
    world.take("media1")
    assert world.refused("side") == "stream-not-declared"
    declare(world, "main")
    assert world.refused("side") == "stream-not-declared"
    # Only a security-officer opens it: the approval of that very delivery.
    world.run("sign", "side", "--key", "thief.key", "--role", "security-officer", "--out", "thief")
    assert world.refused("side", "thief") == "stream-not-declared"
    world.run("sign", "side", *OFFICER, "--out", "approval")
    world.take("side", "approval")


def test_a_number_that_would_end_a_stream(world: World) -> None:
    largest = numbered(world, "media2", 2**53 - 1, "largest")
    assert world.refused(largest) == "sequence-jump"
    world.take("media1")
    assert world.refused(largest) == "sequence-jump"
    assert world.refused(numbered(world, "media2", 1002, "jump")) == "sequence-jump"
    # The way out of a stream that was ended: another one takes its place.
    world.run("sign", largest, *OFFICER, "--out", "approval")
    world.take(largest, "approval")
    world.cut("media3")
    assert world.refused("media3") == "older-sequence"
    assert world.refused("side") == "stream-not-declared"
    declare(world, "side")
    world.take("side")
