"""`signature`: does each subject have a signature by a signer that the rule allows?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from airgap.judgement.checks.base import Answer, Case, Outcome
from airgap.kinds.table import kind_of
from airgap.signatures.explain import signer_text
from airgap.signatures.record import SIGNATURE, Status

_OTHER = ("unsigned", "wrong-predicate-type")
"""Reasons of artifacts that are clearly not signatures."""


@dataclass(frozen=True, slots=True)
class SignatureCheck:
    """A `Check`. It answers if the rule has `require`, for the item's root or for every carried manifest."""

    name: str = SIGNATURE
    waivable: bool = True
    final: bool = False

    def ask(self, case: Case) -> Iterator[Answer]:
        """See `Check.ask`. One verified finding is enough; otherwise the one that explains most gives the reason."""
        if case.rule is None or case.rule.require is None:
            return
        kind = kind_of(case.item)
        if not kind.signed or case.root is None:
            what = f"items of kind {kind.name} have no registry signatures; allow them with a digestOnly rule"
            yield Answer(self.name, Outcome.FAILED, case.subject, reason="absent", detail=what)
        for one in case.examination.signatures:
            best, subject = one.best, one.subject
            if best is not None and best.verified:
                yield Answer(self.name, Outcome.PASSED, subject, detail=signer_text(best), finding=best)
            elif best is None or best.reason in _OTHER or best.status is Status.ABSENT:
                what = "no signature is attached"
                yield Answer(self.name, Outcome.FAILED, subject, reason="absent", detail=what)
            else:
                yield Answer(self.name, Outcome.FAILED, subject, reason=best.reason, detail=best.detail, finding=best)
