"""What roads tell, and what the inbox tells: who is told is one object, for all roads of a receiver."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from airgap.base.digest import Digest
from airgap.base.errors import AirgapError
from airgap.diode.assembly import Assembly
from airgap.diode.beats import Beat
from airgap.diode.received import Arrived


class RoadListener(Protocol):
    """Who is told what comes over a road. Any thread may call it."""

    def began(self, assembly: Assembly) -> None:
        """A delivery was let in, or goes on."""

    def already(self, arrived: Arrived) -> None:
        """A delivery comes that is in the inbox already, or was."""

    def turned_away(self, delivery: Digest | None, error: AirgapError) -> None:
        """A delivery was refused before anything of it was kept."""

    def pass_over(self, assembly: Assembly) -> None:
        """The sender says that it sent all of a delivery: what is missing now was lost."""

    def beat(self, beat: Beat) -> None:
        """The sender is alive."""

    def alive(self) -> None:
        """The sender sends what is here already, such as a second pass."""

    def trouble(self, error: AirgapError) -> None:
        """The disk or the road failed. What was lost is missing; the work goes on."""


class InboxListener(Protocol):
    """Who is told what happens. Called by the inbox's own thread."""

    def finished(self, arrived: Arrived) -> None:
        """A delivery is in the inbox."""

    def refused(self, digest: Digest, error: AirgapError) -> None:
        """A delivery on its way was refused. What arrived of it is kept, and is judged again every minute."""

    def damaged(self, assembly: Assembly, file: str, lost: int) -> None:
        """A file was whole and not as signed: `lost` bytes of it are missing again."""

    def mended(self, assembly: Assembly, files: Sequence[str]) -> None:
        """Files of which something was lost were computed from parity files and the others."""

    def trouble(self, error: AirgapError) -> None:
        """The disk failed or is full, or a statement lacks. What could not be kept is missing; the work goes on."""
