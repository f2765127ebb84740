"""An approval counts only as one of the kind of thing, and in the context, that it names."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airgap.base.errors import TrustError
from airgap.statements.approval import Approvable, Approval, Approves
from tests.worlds.trust import SOVEREIGN, World

DELIVERY = Approves(Approvable.DELIVERY, SOVEREIGN, "main", 42)
TRUST = Approves(Approvable.TRUST, SOVEREIGN)
ALL = [
    DELIVERY,
    replace(DELIVERY, sequence=43),
    replace(DELIVERY, stream="other"),
    replace(DELIVERY, sovereign="other"),
    TRUST,
    replace(TRUST, sovereign="other"),
    *(Approves(kind) for kind in (Approvable.LOCK, Approvable.TRUST_ROOT, Approvable.WAIVER)),
]


@pytest.mark.parametrize("needed", ALL, ids=str)
@pytest.mark.parametrize("said", [*ALL, None], ids=str)
def test_every_pair(said: Approves | None, needed: Approves) -> None:
    def check() -> None:
        Approval(said).check(needed, "here")

    if said == needed or (said is None and needed.kind in (Approvable.DELIVERY, Approvable.LOCK)):
        check()
        return
    with pytest.raises(TrustError) as caught:
        check()
    assert caught.value.code == ("approval-without-kind" if said is None else "approval-of-other-kind")
    assert caught.value.hint


@pytest.mark.parametrize("subject", ["delivery", "lock"])
@pytest.mark.parametrize("said", [*ALL, None], ids=str)
def test_what_a_required_approval_says_decides_whether_it_counts(said: Approves | None, subject: str) -> None:
    world = World()
    world.trust = replace(world.trust, require=("pull", "delivery", "approval"))
    if subject == "delivery":
        world.bundles["officer"] = world.approve_as(said, world.digest)
    else:
        world.evidence["approval"] = world.approve_as(said, world.lock.digest)
    if said in (None, DELIVERY if subject == "delivery" else Approves(Approvable.LOCK)):
        world.accept()
        return
    with pytest.raises(TrustError) as caught:
        world.accept()
    assert caught.value.code == "approval-of-other-kind"


def test_a_wrong_approval_beside_a_good_one_is_noted_and_harms_nothing() -> None:
    world = World()
    world.trust = replace(world.trust, require=("pull", "delivery", "approval"))
    world.bundles["officer"] = world.approve(world.digest)
    world.bundles["second"] = world.approve_as(Approves(Approvable.WAIVER), world.digest)
    admitted = world.accept()
    assert [one.statement.kind for one in admitted.statements].count("approval") == 1
    assert "approval-of-other-kind" in " ".join(admitted.notes)
