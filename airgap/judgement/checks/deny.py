"""`deny`: is something of the item on the policy's list of denied digests? No waiver counts here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from airgap.judgement.checks.base import Answer, Case, Outcome


@dataclass(frozen=True, slots=True)
class DenyCheck:
    """A `Check`. It answers only where something is denied."""

    name: str = "deny"
    waivable: bool = False
    final: bool = True

    def ask(self, case: Case) -> Iterator[Answer]:
        """See `Check.ask`. The content is walked only when the list has something."""
        denied = case.policy.deny.digests
        found = next((digest for digest in case.digests() if digest in denied), None) if denied else None
        if found is not None:
            what = "it" if case.root is not None and found == case.root.digest else f"{found}, which is in it,"
            detail = f"{what} is denied by digest"
            yield Answer(self.name, Outcome.FAILED, found, reason="denied", detail=detail, says_where=True)
