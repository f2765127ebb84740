"""One change anywhere in a signature: refused with the code that the table of mutations names, or harmless."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from airgap.signatures.record import SIGNATURE, Refusal, UpstreamKey
from airgap.signatures.verify import Demand, verify
from tests.parts.fake_sigstore import Layer, public_pem
from tests.parts.fake_sigstore.goods import OWNER, Good, goods
from tests.parts.fake_sigstore.mutations import VERIFIED, mutations
from tests.worlds.keyless import NOW, ROOT, SIGNER, SIGSTORE, read, root

pytestmark = pytest.mark.e2e

GOODS = {good.name: good for good in goods(SIGSTORE)}
UNLOGGED = root(logs=[])
"""A root that names no log asks for none: signatures that have only a time stamp are for such an instance."""


def said(good: Good, made: bytes | Layer) -> str:
    """The answer about `made`, which is the good signature or a changed one, to who trusts the good one's signer."""
    demand = Demand(
        good.predicate_type or SIGNATURE,
        identities=() if good.keyed else (SIGNER,),
        keys=(UpstreamKey("owner", public_pem(OWNER.key)),) if good.keyed else (),
        root=UNLOGGED if good.name == "old-signature-stamped" else ROOT,
        now=NOW,
    )
    layer_type = json.loads(good.bundle)["mediaType"] if good.bundle else ""
    try:
        signed = read(made, bundle_type=layer_type)
    except Refusal as refusal:
        return refusal.reason
    finding = verify(signed, demand)
    return VERIFIED if finding.verified else finding.reason


@pytest.mark.parametrize("name", GOODS)
def test_a_good_signature_verifies_and_each_change_has_its_answer(name: str) -> None:
    good = GOODS[name]
    assert said(good, good.layer or good.bundle) == VERIFIED
    changed = list(mutations(good))
    answers = {one.name: said(good, one.layer or one.bundle) for one in changed}
    wrong = {one.name: (answers[one.name], one.expected) for one in changed if answers[one.name] != one.expected}
    assert wrong == {}  # got, expected


def test_there_are_enough_changes_and_nearly_all_of_them_matter() -> None:
    every = [one for good in GOODS.values() for one in mutations(good)]
    codes = Counter(one.expected for one in every)
    assert len(every) >= 1500
    assert codes[VERIFIED] / len(every) < 0.04
    assert len(codes) >= 15
