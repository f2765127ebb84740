"""What roads tell besides what the inbox tells: who is told is one object, for all roads of a receiver."""

from __future__ import annotations

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
