"""An encrypted delivery as far as it can be judged without an identity: who signed it, for whom, and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from airgap.acceptance.steps import Acceptance
from airgap.delivery.read import Media, open_media
from airgap.delivery.sealed import Sealed, is_sealed
from airgap.resources.trust import Trust
from airgap.statements.accepted_state import AcceptedState
from airgap.statements.trust import VerifiedStatement


@dataclass(frozen=True, slots=True)
class Outside:
    """An encrypted delivery whose signatures count, and whose content nobody looked at."""

    media: Media
    index: Sealed
    """The outer AIRGAP.json."""
    statements: tuple[VerifiedStatement, ...]
    """Those about AIRGAP.json that count."""
    notes: tuple[str, ...]


def accept_outside(folders: Sequence[Path], trust: Trust, now: datetime) -> Outside | None:
    """Steps 1 to 4 of `Acceptance`, whatever was accepted before; `None` for a delivery that is not encrypted.

    Raises `TrustError`, `IntegrityError`, `InputError`.
    """
    media = open_media(folders)
    if not is_sealed(media.index_bytes):
        return None
    acceptance = Acceptance(trust, AcceptedState(trust.sovereign), sovereign=trust.sovereign, now=now)
    acceptance.check_signatures(media.index_bytes, media.signatures)
    sealed = acceptance.read_index(Sealed.decode)
    acceptance.check_journey(sealed.journey)
    return Outside(media, sealed, *acceptance.about_index())
