"""Deliveries whose verdict says what a test wants."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from airgap.base.digest import Digest
from airgap.base.errors import TrustError
from airgap.base.times import utc_text
from airgap.content.lock import Lock
from airgap.statements.verdict import CheckResult, JudgedItem, Named, UsedWaiver, Verdict
from tests.worlds.trust import DAY, HOUR, NOW, World, signed

NAME = "alpine:3.20"
ROOT = Digest.of(NAME.encode())
PASSED = CheckResult("signature", "pass", ROOT, "rule 1")
EXPIRES = NOW + 30 * DAY


def verdict(*checks: CheckResult, name: str = NAME, root: Digest = ROOT, outcome: str = "pass") -> Verdict:
    """A verdict about one item, with the waivers that its checks name."""
    used = sorted({check.waiver for check in checks if check.waiver})
    return Verdict(
        policy=Named("bank", Digest.of(b"policy")),
        trust_roots=(),
        waivers=tuple(UsedWaiver(one, EXPIRES) for one in used),
        items={name: JudgedItem(root, outcome, None, checks or (PASSED,))},
    )


def waiver(subject: Digest = ROOT, expires: datetime = EXPIRES, check: str = "signature") -> bytes:
    """A waiver's file."""
    head = "apiVersion: airgap.openova.io/v1alpha1\nkind: Waiver\nmetadata: {name: alpine}\n"
    spec = f"spec: {{digests: ['{subject}'], checks: [{check}], approver: A, reason: b, expires: {utc_text(expires)}}}"
    return f"{head}{spec}\n".encode()


def world(body: Verdict | None = None, *, require: tuple[str, ...] = ("pull", "verdict", "delivery")) -> World:
    """A delivery whose verdict is `body`."""
    made = World()
    made.trust = replace(made.trust, require=require)
    say(made, body or verdict())
    return made


def say(
    made: World, body: Verdict, *, at: datetime = NOW - HOUR, name: str = "verdict", lock: Lock | None = None
) -> None:
    """The station says so, in the evidence."""
    subject = (lock or made.lock).digest
    made.evidence[name] = signed(made.signers["station"], subject, body, "station", at=at)


def refused(made: World, *, now: datetime = NOW) -> TrustError:
    """Why it is not let in."""
    with pytest.raises(TrustError) as caught:
        made.accept(now=now)
    assert caught.value.hint
    return caught.value
