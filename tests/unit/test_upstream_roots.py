"""Trust roots: pinned, read strictly, narrowed by time, and only ever added to."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airgap.base.digest import Digest
from airgap.base.errors import TrustError
from airgap.signatures.record import Refusal
from airgap.signatures.roots.instances import Window
from airgap.signatures.roots.trust_root import MAX_INSTANCES, MAX_ROOT, TrustRoot, merge
from tests.parts.fake_sigstore import START
from tests.parts.fake_sigstore import Window as Listed
from tests.worlds.keyless import AT, OTHER, ROOT, SIGSTORE

RAW = SIGSTORE.trusted_root()
YEAR = timedelta(days=365)
LISTS = ("tlogs", "certificateAuthorities", "ctlogs", "timestampAuthorities")


def document() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(RAW)
    return loaded


def dumped(root: dict[str, Any]) -> bytes:
    return json.dumps(root).encode()


def refused(data: bytes, pinned: Digest | None = None) -> TrustError:
    with pytest.raises(TrustError) as caught:
        TrustRoot.load("acme", data, pinned)
    return caught.value


def test_a_root_is_loaded_under_its_pin_and_knows_its_instances() -> None:
    root = TrustRoot.load("acme", RAW, Digest.of(RAW))
    assert (root.name, root.digest, root.raw) == ("acme", Digest.of(RAW), RAW)
    assert root.log(SIGSTORE.rekor.log_id)
    assert root.log(SIGSTORE.rekor2.log_id)
    assert not root.log(OTHER.rekor.log_id)
    assert root.ct_log(SIGSTORE.ct.log_id) is not None


def test_another_file_than_the_pinned_one_is_refused() -> None:
    error = refused(RAW + b"\n", Digest.of(RAW))
    assert error.code == "trust-root-changed"
    assert str(Digest.of(RAW)) in error.what


def test_lists_that_are_empty_may_be_left_out() -> None:
    root = TrustRoot.load("empty", dumped({"mediaType": document()["mediaType"]}), None)
    assert (root.logs, root.ct_logs, root.authorities, root.stampers) == ((), (), (), ())


def test_the_second_version_of_the_format_is_read_too() -> None:
    changed = document()
    changed["mediaType"] = "application/vnd.dev.sigstore.trustedroot.v0.2+json"
    changed["tlogs"][0]["operator"] = "acme"
    assert len(TrustRoot.load("acme", dumped(changed), None).logs) == 2


def edit(path: str, value: object) -> bytes:
    """The root with one value changed; `...` takes it away. A path is names and numbers with dots."""
    changed = document()
    *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    inner: Any = changed
    for part in way:
        inner = inner[part]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return dumped(changed)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        RAW[:-1],
        b'{"mediaType":"x",' + RAW[1:],
        RAW + b" " * MAX_ROOT,
        edit("mediaType", "application/json"),
        edit("mediaType", ...),
        edit("more", []),
        edit("tlogs", {}),
        edit("tlogs.0.more", 1),
        edit("tlogs.0.publicKey", ...),
        edit("tlogs.0.logId", ...),
        edit("tlogs.0.logId.keyId", "%%%"),
        edit("tlogs.0.publicKey.rawBytes", "AAAA"),
        edit("tlogs.0.publicKey.keyDetails", "PKIX_ED25519"),
        edit("tlogs.0.publicKey.keyDetails", "PKIX_ECDSA_P384_SHA_384"),
        edit("tlogs.0.publicKey.validFor.start", "yesterday"),
        edit("tlogs.0.publicKey.validFor.start", "2020-01-01T00:00:00"),
        edit("tlogs.0.publicKey.validFor.start", "0001-01-01T00:00:00+14:00"),
        edit("tlogs.0.publicKey.validFor.more", "2020-01-01T00:00:00Z"),
        edit("tlogs.1", document()["tlogs"][0]),
        edit("tlogs", document()["tlogs"][:1] * (MAX_INSTANCES + 1)),
        edit("certificateAuthorities.0.certChain", ...),
        edit("certificateAuthorities.0.certChain.certificates", []),
        edit("certificateAuthorities.0.certChain.certificates.0.rawBytes", "AAAA"),
        edit("timestampAuthorities.0.validFor.end", 5),
    ],
)
def test_what_cannot_be_read_strictly_is_refused(data: bytes) -> None:
    assert refused(data).code == "bad-trust-root"


def test_a_key_of_an_unknown_kind_is_kept_and_verifies_nothing() -> None:
    root = TrustRoot.load("acme", edit("tlogs.0.publicKey.keyDetails", "ML_DSA_65"), None)
    log = root.log(SIGSTORE.rekor.log_id)
    assert log is not None
    with pytest.raises(Refusal) as caught:
        log.verify(b"", b"")
    assert caught.value.reason == "unsupported-algorithm"
    assert SIGSTORE.rekor.log_id.hex() not in root.opened().decode()
    assert len(json.loads(root.opened())["tlogs"]) == 1


def test_a_window_holds_both_its_ends() -> None:
    second = timedelta(seconds=1)
    window = Window(AT, AT + YEAR)
    assert window.holds([AT, AT + YEAR])
    assert not window.holds([AT - second, AT])
    assert not window.holds([AT, AT + YEAR + second])
    assert not Window(AT).holds([AT - second])
    assert str(Window(AT)) == "2024-05-01T12:00:00Z to now"


def test_fractions_of_a_second_and_other_zones_are_read() -> None:
    data = edit("tlogs.0.publicKey.validFor.start", "2020-01-01T02:00:00.999+02:00")
    log = TrustRoot.load("acme", data, None).logs[0]
    assert log.window.start == datetime(2020, 1, 1, 0, 0, 0, 999000, tzinfo=UTC)


def test_narrowed_to_times_it_has_only_what_is_trusted_at_all_of_them() -> None:
    contents = SIGSTORE.contents(Listed(START, AT))
    root = TrustRoot.load("acme", SIGSTORE.trusted_root(contents), None)
    assert root.within([AT]) == root
    assert root.within([]) == root
    later = root.within([AT, AT + YEAR])
    assert (later.logs, later.ct_logs, later.authorities, later.stampers) == ((), (), (), ())
    assert later.digest == root.digest


def test_opened_for_a_library_it_has_the_same_instances_and_no_windows() -> None:
    opened = ROOT.opened()
    assert b'"end"' not in opened
    again = TrustRoot.load("opened", opened, None)
    for name in ("logs", "ct_logs"):
        assert [log.id for log in getattr(again, name)] == [log.id for log in getattr(ROOT, name)]
    assert [one.chain for one in again.authorities] == [one.chain for one in ROOT.authorities]
    assert [one.chain for one in again.stampers] == [one.chain for one in ROOT.stampers]
    assert again.within([datetime(1980, 1, 1, tzinfo=UTC)]) == again


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("left", [..., {}, {"end": "2030-01-01T00:00:00Z"}, {"start": None}, None])
def test_no_instance_is_trusted_without_a_start(name: str, left: object) -> None:
    holder = f"{name}.0.publicKey.validFor" if "logs" in name else f"{name}.0.validFor"
    error = refused(edit(holder, left))
    assert error.code == "bad-trust-root"
    assert f"{name}[0]" in error.what
    assert "start is missing" in error.what


def test_a_null_is_a_field_that_is_not_there() -> None:
    changed = document()
    for name in LISTS:
        one = changed[name][0]
        one["operator"] = None
        (one["publicKey"] if "logs" in name else one)["validFor"]["end"] = None
    assert TrustRoot.load("acme", dumped(changed), None).logs == ROOT.logs
    assert TrustRoot.load("acme", edit("tlogs", None), None).logs == ()
    assert refused(edit("tlogs.0", None)).code == "bad-trust-root"
    assert refused(edit("mediaType", None)).code == "bad-trust-root"
    # Written out or left out, they are the same root to a newer version of it.
    assert merge(RAW, dumped(changed)) == dumped(changed)


def test_it_describes_itself_as_json() -> None:
    shown = json.loads(json.dumps(ROOT.describe()))
    assert shown["sha256"] == ROOT.digest.hex
    assert shown["logs"][0] == {
        "id": SIGSTORE.rekor.log_id.hex(),
        "url": "https://rekor.fake.example",
        "key": "PKIX_ECDSA_P256_SHA_256",
        "from": "2020-01-01T00:00:00Z",
        "until": None,
    }
    authority = shown["certificateAuthorities"][0]
    assert authority["name"] == "CN=fake intermediate,O=fake.example"
    assert len(authority["certificates"]) == 2
    assert len(shown["ctLogs"]) == len(shown["timestampAuthorities"]) == 1


# --- newer versions ------------------------------------------------------------------------------


def test_a_newer_root_that_has_everything_stays_as_published() -> None:
    newer = document()
    newer["tlogs"].append(json.loads(OTHER.trusted_root())["tlogs"][0])
    assert merge(RAW, dumped(newer)) == dumped(newer)
    assert merge(RAW, RAW) == RAW


@pytest.mark.parametrize("name", LISTS)
def test_what_a_newer_root_leaves_out_is_kept(name: str) -> None:
    newer = document()
    dropped = newer[name].pop(0)
    made = json.loads(merge(RAW, dumped(newer)))
    assert dropped in made[name]
    assert len(made[name]) == len(document()[name])
    del newer[name]
    assert json.loads(merge(RAW, dumped(newer)))[name] == document()[name]


def test_an_end_that_comes_or_comes_earlier_stands() -> None:
    ended = edit("tlogs.0.publicKey.validFor.end", "2025-01-01T00:00:00Z")
    sooner = edit("tlogs.0.publicKey.validFor.end", "2024-01-01T00:00:00Z")
    assert merge(RAW, ended) == ended
    assert merge(ended, sooner) == sooner
    authority = edit("certificateAuthorities.0.validFor.end", "2024-01-01T00:00:00Z")
    assert merge(RAW, authority) == authority


def changed(old: bytes, new: bytes) -> str:
    with pytest.raises(TrustError) as caught:
        merge(old, new)
    return caught.value.code


def test_a_window_never_opens_again() -> None:
    ended = edit("tlogs.0.publicKey.validFor.end", "2025-01-01T00:00:00Z")
    later = edit("tlogs.0.publicKey.validFor.end", "2025-01-02T00:00:00Z")
    earlier = edit("tlogs.0.publicKey.validFor.start", "2019-01-01T00:00:00Z")
    assert changed(ended, RAW) == "trust-root-changed"
    assert changed(ended, later) == "trust-root-changed"
    assert changed(RAW, earlier) == "trust-root-changed"


def test_an_instance_is_not_widened_by_being_there_twice() -> None:
    ended = edit("certificateAuthorities.0.validFor.end", "2024-01-01T00:00:00Z")
    twice = document()
    twice["certificateAuthorities"].append(json.loads(ended)["certificateAuthorities"][0])
    assert changed(ended, dumped(twice)) == "trust-root-changed"


def test_a_log_keeps_its_key_and_an_instance_is_no_other_one() -> None:
    key = json.loads(OTHER.trusted_root())["tlogs"][0]["publicKey"]["rawBytes"]
    assert changed(RAW, edit("tlogs.0.publicKey.rawBytes", key)) == "trust-root-changed"
    assert changed(RAW, OTHER.trusted_root()) == "trust-root-changed"
    assert changed(RAW, b"{}") == "bad-trust-root"
