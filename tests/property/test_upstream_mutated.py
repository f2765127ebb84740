"""Whatever bytes are changed in a good signature: it verifies as what it was, or not at all, and nothing is raised."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from airgap.base.errors import IntegrityError
from airgap.base.json_fields import unbase64
from airgap.base.strict_json import parse_json
from airgap.signatures.formats.strict import outline
from airgap.signatures.record import SIGNATURE, Refusal, UpstreamKey, VerificationResult
from airgap.signatures.verify import Demand, verify
from tests.parts.fake_sigstore import public_pem
from tests.parts.fake_sigstore.goods import OWNER, Good, goods
from tests.worlds.effort import cases
from tests.worlds.keyless import BUNDLE_TYPE, NOW, SIGNER, SIGSTORE, read, root

ROOT, UNLOGGED = root(), root(logs=[])
KEYS = (UpstreamKey("owner", public_pem(OWNER.key)),)
GOODS = {good.name: good for good in goods(SIGSTORE)}
OLDER = "application/vnd.dev.sigstore.bundle+json;version=0.2"


def answer(good: Good) -> VerificationResult | None:
    """`None` where it cannot even be read."""
    unlogged = good.name == "old-signature-stamped"
    demand = Demand(
        good.predicate_type or SIGNATURE,
        identities=() if good.keyed else (SIGNER,),
        keys=KEYS if good.keyed else (),
        root=UNLOGGED if unlogged else ROOT,
        now=NOW,
    )
    kind = OLDER if good.name == "bundle-0.2" else BUNDLE_TYPE
    try:
        return verify(read(good.layer or good.bundle, bundle_type=kind), demand)
    except Refusal:
        return None


ANSWERS = {name: answer(good) for name, good in GOODS.items()}


@st.composite
def changed(draw: st.DrawFn, data: bytes) -> bytes:
    """A few bytes changed, removed, added or doubled."""
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.integers(0, 40)))
        new = draw(st.sampled_from([b"", data[at:end] * 2]) | st.binary(max_size=4))
        data = data[:at] + new + data[end:]
    return data


def inner(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], bytes]]:
    """The base64 values in a JSON value, by their places."""
    if isinstance(value, dict | list):
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from inner(one, (*path, key))
    elif isinstance(value, str) and len(value) > 40:
        try:
            yield path, unbase64(value)
        except ValueError:
            return


def with_inner(document: Any, path: tuple[Any, ...], data: bytes) -> bytes:
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = base64.b64encode(data).decode()
    return json.dumps(document, separators=(",", ":")).encode()


@st.composite
def changed_text(draw: st.DrawFn, text: bytes) -> bytes:
    """Changed as it stands, or in one of the values in it, which are then rightly encoded."""
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    places = list(inner(document))
    if not places or draw(st.booleans()):
        return draw(changed(text))
    path, data = draw(st.sampled_from(places))
    return with_inner(document, path, draw(changed(data)))


@st.composite
def mutated(draw: st.DrawFn) -> Good:
    good = GOODS[draw(st.sampled_from(sorted(GOODS)))]
    layer = good.layer
    if layer is None:
        return replace(good, bundle=draw(changed_text(good.bundle)))
    where = draw(st.sampled_from(["blob", *layer.annotations]))
    if where == "blob":
        return replace(good, layer=replace(layer, blob=draw(changed_text(layer.blob))))
    text = draw(changed_text(layer.annotations[where].encode())).decode("utf-8", "surrogateescape")
    return replace(good, layer=replace(layer, annotations={**layer.annotations, where: text}))


def test_each_is_good_to_begin_with() -> None:
    assert all(found is not None and found.verified for found in ANSWERS.values())


@settings(max_examples=cases(100, 4000))
@given(mutated())
def test_a_changed_signature_is_what_it_was_or_nothing(made: Good) -> None:
    found, good = answer(made), ANSWERS[made.name]
    assert found is None or found.reason != "verifier-error" or "sigstore-python" in found.detail
    if found is not None and found.verified:
        assert good is not None
        assert found.proof is not None
        assert good.proof is not None
        assert found.payload == good.payload
        # What was taken away (an entry beside a key, a stamp beside an entry) proves nothing any more.
        assert set(found.proof.times) <= set(good.proof.times)
        assert set(found.proof.log_entries) <= set(good.proof.log_entries)
        assert replace(found.proof, times=(), log_entries=()) == replace(good.proof, times=(), log_entries=())


DOCUMENTS = [
    b'{"a": 1, "predicate" : {"b":[{"c":null}]} ,"z":"\\u00e9"}',
    b" {}",
    b'{"predicate":"x"}\n',
]


@settings(max_examples=cases(100, 4000))
@given(st.sampled_from(DOCUMENTS).flatmap(changed) | st.sampled_from(DOCUMENTS))
def test_an_outline_is_as_strict_as_all_of_it(data: bytes) -> None:
    """It is of objects only, and has no number that is none elsewhere; there is none in these documents."""
    try:
        whole = parse_json(data, "x")
    except IntegrityError:
        whole = None
    try:
        made = outline(data, "x", "bad-payload", "predicate")
    except Refusal:
        assert not isinstance(whole, dict)
    else:
        assert isinstance(whole, dict)
        if isinstance(whole.get("predicate"), dict):
            whole["predicate"] = {}
        if not isinstance(whole.get("predicate"), list):
            assert made == whole
