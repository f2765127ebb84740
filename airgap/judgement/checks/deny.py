"""`deny`: is a part of the item on the policy's list of denied digests? No waiver lifts this check."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from airgap.judgement.checks.base import Answer, Case, Outcome


@dataclass(frozen=True, slots=True)
class DenyCheck:
    """A `Check`. It answers only if something is denied."""

    name: str = "deny"
    waivable: bool = False
    final: bool = True

    def ask(self, case: Case) -> Iterator[Answer]:
        """See `Check.ask`. The content is walked only if the list is not empty."""
        denied = case.policy.deny.digests
        found = next((digest for digest in case.digests() if digest in denied), None) if denied else None
        if found is not None:
            what = "the item" if case.root is not None and found == case.root.digest else f"{found}, part of the item,"
            detail = f"{what} is denied by digest"
            yield Answer(self.name, Outcome.FAILED, found, reason="denied", detail=detail, says_where=True)
