"""Versions of trust roots: added after one another, never replaced, never taken away."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airgap.base.digest import Digest
from airgap.base.errors import IntegrityError, TrustError
from airgap.signatures.roots.trust_root import TrustRoot
from airgap.signatures.roots.versions import Offer, RootStore, Weighed, compare, names
from tests.parts.fake_sigstore import FakeSigstore

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
END = "2026-06-01T00:00:00Z"
LISTS = ("tlogs", "certificateAuthorities", "ctlogs", "timestampAuthorities")
Document = dict[str, Any]


def document(*seeds: str) -> Document:
    """A trust root with the instances of these fake ones."""
    made = [json.loads(FakeSigstore(seed).trusted_root()) for seed in seeds]
    return {**made[0], **{name: [one for root in made for one in root[name]] for name in LISTS}}


def root(made: Document) -> TrustRoot:
    return TrustRoot.load("sigstore", json.dumps(made).encode(), None)


def window(entry: Document) -> Document:
    """The window of a log (at its key) or of an authority."""
    holder = entry.get("publicKey", entry)
    return holder["validFor"]  # type: ignore[no-any-return]


OLD = document("one")
NEW = document("one", "two")


@pytest.fixture
def store(tmp_path: Path) -> RootStore:
    made = RootStore(tmp_path, "sigstore")
    add(made, OLD)
    return made


def add(store: RootStore, made: Document, *, retire: bool = False, **evidence: bytes) -> Weighed:
    named = {name.replace("_", "."): data for name, data in evidence.items()}
    return store.add(Offer(root(made), "file", named, retire), NOW)


def refused(store: RootStore, made: Document, code: str, *, retire: bool = False) -> str:
    """The store does not take it, and is as it was."""
    before = contents(store)
    with pytest.raises(TrustError) as caught:
        add(store, made, retire=retire)
    assert caught.value.code == code
    assert caught.value.hint
    assert contents(store) == before
    return caught.value.what


def contents(store: RootStore) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in store.folder.iterdir()}


def test_a_new_version_stands_beside_the_old_one(store: RootStore) -> None:
    weighed = add(store, NEW, tuf_tar=b"why")
    one, two = store.versions()
    assert (weighed.version, weighed.present) == (two, False)
    assert one.path.name == f"0001-{root(OLD).digest.hex}.json"
    assert two.path.name == f"0002-{root(NEW).digest.hex}.json"
    assert (store.read(one), store.read(two)) == (root(OLD).raw, root(NEW).raw)
    assert (two.origin, two.added, two.evidence) == ("file", NOW, (Digest.of(b"why"),))
    assert two.path.with_suffix(".tuf.tar").read_bytes() == b"why"
    assert len(weighed.changes.added) == 5
    assert not weighed.changes.less


def test_weighing_writes_nothing(tmp_path: Path) -> None:
    store = RootStore(tmp_path, "sigstore")
    weighed = store.weigh(Offer(root(OLD), "file"), NOW)
    assert (weighed.version.number, weighed.present) == (1, False)
    assert not list(tmp_path.iterdir())


def test_the_newest_again_changes_nothing(store: RootStore) -> None:
    before = contents(store)
    weighed = add(store, OLD)
    assert (weighed.version.number, weighed.present, weighed.changes.lines()) == (1, True, [])
    assert contents(store) == before


def test_an_older_version_is_no_new_one(store: RootStore) -> None:
    add(store, NEW)
    assert "version 1; the newest is 2" in refused(store, OLD, "root-older")


@pytest.mark.parametrize("name", LISTS)
def test_nothing_may_be_missing(store: RootStore, name: str) -> None:
    made = {**NEW, name: NEW[name][len(OLD[name]) :]}
    assert refused(store, made, "root-shrinks").count("missing: ") == len(OLD[name])
    refused(store, made, "root-shrinks", retire=True)


def test_another_instance_is_no_new_version(store: RootStore) -> None:
    refused(store, document("two"), "root-shrinks")


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("end", ["start", "end"])
def test_a_window_gets_narrower_only_when_that_is_said(store: RootStore, name: str, end: str) -> None:
    made = json.loads(json.dumps(NEW))
    window(made[name][0])[end] = END
    assert END in refused(store, made, "root-shrinks")
    weighed = add(store, made, retire=True)
    assert len(weighed.changes.narrowed) == 1


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize(
    "widen", [lambda span: span.pop("end"), lambda span: span.update(start="2000-01-01T00:00:00Z")]
)
def test_what_was_revoked_does_not_come_back(tmp_path: Path, name: str, widen: Callable[[Document], None]) -> None:
    retired = json.loads(json.dumps(OLD))
    window(retired[name][0])["end"] = END
    store = RootStore(tmp_path, "sigstore")
    add(store, retired)
    widen(window(retired[name][0]))
    refused(store, retired, "trust-root-changed", retire=True)


def test_a_log_whose_key_means_something_else_is_another_log(store: RootStore) -> None:
    made = json.loads(json.dumps(NEW))
    made["tlogs"][0]["publicKey"]["keyDetails"] = "PKIX_ECDSA_P256_HMAC_SHA_256"
    refused(store, made, "root-shrinks")


def test_a_window_that_is_kept_by_one_of_two_entries_is_kept(store: RootStore) -> None:
    twice = json.loads(json.dumps(OLD))
    entry = json.loads(json.dumps(twice["certificateAuthorities"][0]))
    window(entry)["end"] = END
    twice["certificateAuthorities"].insert(0, entry)
    assert compare(root(OLD), root(twice)).less == []


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(b"{}"), Path.unlink])
def test_a_version_that_is_not_as_it_was_is_noticed(store: RootStore, damage: Callable[[Path], None]) -> None:
    damage(store.versions()[0].path)
    for use in (store.versions, lambda: add(store, NEW)):
        with pytest.raises(IntegrityError) as caught:
            use()
        assert (caught.value.code, bool(caught.value.hint)) == ("root-damaged", True)


def test_a_record_that_was_changed_is_noticed(store: RootStore) -> None:
    add(store, NEW)
    log = store.folder / "versions.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(lines[1])
    with pytest.raises(IntegrityError, match="log-broken"):
        store.versions()


def test_what_the_record_does_not_name_counts_for_nothing(store: RootStore) -> None:
    stray = store.folder / f"0002-{root(NEW).digest.hex}.json"
    stray.write_bytes(root(NEW).raw)
    assert [one.number for one in store.versions()] == [1]
    assert store.unlisted() == [stray.name]
    # It is what an interruption leaves behind: the same command again makes it a version.
    assert add(store, NEW).version.path == stray
    assert store.unlisted() == []


def test_two_at_once_make_one_version(tmp_path: Path) -> None:
    store = RootStore(tmp_path, "sigstore")
    threads = [threading.Thread(target=add, args=(store, OLD)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.versions()) == 1


def test_names_are_those_that_have_versions(tmp_path: Path) -> None:
    for name in ("sigstore", "bank.internal"):
        add(RootStore(tmp_path, name), OLD)
    (tmp_path / "empty").mkdir()
    (tmp_path / ".tuf").mkdir()
    (tmp_path / ".tuf" / "versions.jsonl").write_text("")
    assert names(tmp_path) == ["bank.internal", "sigstore"]
    assert names(tmp_path / "nowhere") == []


def test_times_of_the_record_are_those_of_adding(store: RootStore) -> None:
    later = NOW + timedelta(days=1)
    store.add(Offer(root(NEW), "delivery sha256:…"), later)
    assert [one.added for one in store.versions()] == [NOW, later]
