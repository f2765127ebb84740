"""`attestation`: does each subject have an attestation of each required type, by a signer that the rule allows?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from airgap.judgement.checks.base import Answer, Case, Outcome
from airgap.signatures.explain import signer_text
from airgap.signatures.record import Status


@dataclass(frozen=True, slots=True)
class AttestationCheck:
    """A `Check`. It answers if the rule's `require` has attestations, one answer for each type."""

    name: str = "attestation"
    waivable: bool = True
    final: bool = False

    def ask(self, case: Case) -> Iterator[Answer]:
        """See `Check.ask`. One verified finding is enough; otherwise the one that explains most gives the reason."""
        for one in case.examination.attestations:
            best, subject, kind = one.best, one.subject, one.attest.predicate_type
            if best is not None and best.verified:
                yield Answer(self.name, Outcome.PASSED, subject, kind, detail=signer_text(best), finding=best)
            elif best is None or (
                best.reason != "unsigned" and (best.status is Status.ABSENT or best.reason == "wrong-predicate-type")
            ):
                others = ", ".join(sorted({other.predicate_type for other in one.found} - {""}))
                what = f"no attestation {kind} is attached" + (f"; attached instead: {others}" if others else "")
                yield Answer(self.name, Outcome.FAILED, subject, kind, reason="absent", detail=what)
            else:
                yield Answer(self.name, Outcome.FAILED, subject, kind, best.reason, best.detail, best)
