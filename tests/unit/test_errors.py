"""Errors: what they say does not change, and who reacts to one asks for its class."""

from __future__ import annotations

import ast
import socket
from copy import copy

import pytest

from airgap.base import errors
from airgap.base.digest import Digest
from airgap.base.errors import AbsentError, AirgapError, NotFoundError, UnreachableError, UpstreamError
from airgap.net.faults import NoConnectionError, TransportError
from airgap.net.http import Client, Retries
from airgap.net.origin import Zone, resolve_hop
from tests.worlds.source_codes import PACKAGE, trees

CLASSES = {
    "blocked-by-policy": "BlockedError",
    "changed-meanwhile": "RaceError",
    "child-missing": "ChildMissingError",
    "delivery-expired": "ExpiredError",
    "digest-mismatch": "DamageError",
    "digest-refused": "DigestRefusedError",
    "git-not-found": "RepositoryMissingError",
    "git-object-gone": "ObjectGoneError",
    "git-prerequisite": "PrerequisiteError",
    "key-not-valid-then": "UselessKeyError",
    "key-revoked": "UselessKeyError",
    "log-torn": "TornLogError",
    "oversized": "DamageError",
    "tag-differs": "RaceError",
    "too-large": "TooLargeError",
    "truncated": "DamageError",
    "unknown-key": "UnknownKeyError",
    "unreachable": "UnreachableError",
}
"""Codes that somebody reacts to, each with the class that every error with this code has."""
KNOWN = {
    one.__name__: one
    for one in (*vars(errors).values(), TransportError, NoConnectionError)
    if isinstance(one, type) and issubclass(one, AirgapError)
}
NOT_ERRORS = {"Refusal", "_Refusal", "Objection"}


def test_nobody_reacts_to_a_code() -> None:
    found = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare) and isinstance(node.left, ast.Attribute) and node.left.attr == "code"
    ]
    # An objection is a value in which the judge says no, and a finding says what a lock lacks: they are no errors.
    assert [one for one in found if not one.startswith(("bundling/gate.py", "content/lock_finding.py"))] == []


def test_a_code_that_somebody_reacts_to_has_its_class() -> None:
    wrong = []
    for path, tree in trees().items():
        for node in ast.walk(tree):
            parts = node.elts if isinstance(node, ast.Tuple) else []
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id not in NOT_ERRORS:
                parts = [node.func, *node.args]
            names = [part.id for part in parts if isinstance(part, ast.Name) and part.id in KNOWN]
            codes = [part.value for part in parts if isinstance(part, ast.Constant) and part.value in CLASSES]
            classes = {KNOWN[name] for name in names}
            wrong += [
                f"{path.relative_to(PACKAGE)}: {', '.join(names)} with {code!r}"
                for code in codes
                if classes and not any(issubclass(one, KNOWN[CLASSES[code]]) for one in classes)
            ]
    assert wrong == []


def test_what_an_error_says_does_not_change() -> None:
    error = NotFoundError("blob-missing", "not there", "look", 404)
    for name in ("code", "what", "hint"):
        with pytest.raises(AttributeError):
            setattr(error, name, "other")
    error.also = (UpstreamError("x", "y"),)
    placed = error.with_where("a").with_hint("run it again")
    assert type(placed) is NotFoundError
    assert (placed.code, placed.what, placed.hint) == ("blob-missing", "a: not there", "run it again")
    assert (placed.status, placed.also) == (404, error.also)
    assert (error.what, error.hint) == ("not there", "look")
    assert placed.__cause__ is not None
    assert placed.__cause__.__cause__ is error


def test_every_kind_of_error_gets_more_words() -> None:
    absent = AbsentError([Digest.of(b"x")]).with_where("disc 1")
    assert absent.what.startswith("disc 1: content is on a volume that is not attached")
    assert absent.digests == (Digest.of(b"x"),)
    lost = NoConnectionError("unreachable", "no connection", request_id="7").with_hint("check")
    assert (lost.sent, lost.request_id, lost.repeatable, lost.hint) == (False, "7", True, "check")
    assert isinstance(lost, errors.UnreachableError)
    assert copy(lost).hint == "check"
    assert TransportError("timeout", "no data").sent


@pytest.mark.parametrize(("zone", "side"), [("connected", "origin"), ("gap", "destination")])
def test_an_error_of_the_network_says_which_side_it_was(zone: Zone, side: str) -> None:
    client = Client(zone=zone, retries=Retries(attempts=1))
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # not listening
        with pytest.raises(UnreachableError) as caught:
            client.request("GET", f"http://127.0.0.1:{nobody.getsockname()[1]}/")
    assert caught.value.side == side
    assert caught.value.with_where("item").side == side
    with pytest.raises(UpstreamError) as refused:
        resolve_hop("https://h.example/", "http://h.example/", "redirect", zone=zone)
    assert refused.value.side == side
    assert client.side == side


@pytest.mark.parametrize("room", ["destinations", "kinds"])
def test_a_room_that_knows_its_side_says_it_in_each_error(room: str) -> None:
    classes = {name for name, one in vars(errors).items() if isinstance(one, type) and issubclass(one, UpstreamError)}
    silent = [
        f"{path.name}:{call.lineno}"
        for path, tree in trees().items()
        if path.is_relative_to(PACKAGE / room)
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and ast.unparse(call.func) in classes - {"AbsentError"}  # it is about a disc, and not about a side
        and ast.unparse(call.args[0]) != "'blob-missing'"  # a store, which may be on either side
        and not any(word.arg == "side" for word in call.keywords)
    ]
    assert silent == []
