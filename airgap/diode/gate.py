"""`TrustGate`: what a Trust resource lets into an inbox, in the order of the acceptance (`airgap.acceptance.steps`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from airgap.acceptance.steps import MAX_SIGNATURES, Acceptance
from airgap.base.digest import Digest
from airgap.base.errors import TrustError, UselessKeyError
from airgap.delivery.files import Listing, read_listing
from airgap.resources.trust import Trust
from airgap.statements.accepted_state import AcceptedState
from airgap.statements.dsse import MAX_BUNDLE
from airgap.statements.trust import Known, authenticate, authorise, key_ring


class TrustGate:
    """Asks the Trust resource of an inbox, which is read again each time: keys come and go while a service runs."""

    def __init__(
        self,
        trust: Callable[[], Trust],
        clock: Callable[[], datetime],
        judge: Callable[[Path], None],
        verify: Callable[[Path], None],
    ) -> None:
        self._trust, self._clock, self.judge, self.verify = trust, clock, judge, verify

    def claimed(self, signatures: Sequence[bytes]) -> Digest:
        """The digest that a delivery statement is about whose key may make it now.

        Raises `TrustError`: `too-many-signatures`, `no-signature`, or why the last signature does not count.
        """
        if len(signatures) > MAX_SIGNATURES:
            raise TrustError(
                "too-many-signatures", f"got {len(signatures)} signatures, expected at most {MAX_SIGNATURES}"
            )
        ring, why = key_ring(self._trust()), None
        for number, data in enumerate(signatures, 1):
            where = f"signature {number}"
            try:
                authentic = authenticate(data, ring, where, MAX_BUNDLE)
                subject = authentic.statement.subject
                authorise(authentic, where, now=self._clock(), known=Known.NOTHING, within=(subject,))
            except UselessKeyError as error:
                why = error
                continue
            if authentic.statement.kind == "delivery":
                return subject
        raise why or TrustError(
            "no-signature",
            "there is no delivery statement among the signatures that came",
            "send the complete delivery, with signatures/",
        )

    def admit(self, index: bytes, signatures: Sequence[bytes]) -> Listing:
        """Checks the signatures of AIRGAP.json, parses it, and checks its journey. Raises `TrustError`, …"""
        trust = self._trust()
        state = AcceptedState(trust.sovereign)
        acceptance = Acceptance(trust, state, sovereign=trust.sovereign, now=self._clock())
        acceptance.check_signatures(index, {f"{number:02d}": data for number, data in enumerate(signatures, 1)})
        found = acceptance.read_index(read_listing)
        acceptance.check_journey(found.journey)
        return found
