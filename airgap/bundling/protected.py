"""Volumes with parity files: all of them fit the volume size, and so the same media."""

from __future__ import annotations

from collections.abc import Sequence

from airgap.base.errors import InputError
from airgap.content.graph import Descriptor
from airgap.delivery.parity import Grid, plan_grid
from airgap.delivery.plan import MIN_VOLUME, Plan, plan_volumes
from airgap.delivery.sealing.stream import plain_size, sealed_size

_TRIES = 16
"""Smaller volumes are more volumes, for which the table of a parity file is larger: it settles after two or three."""


def plan_protected(
    blobs: Sequence[Descriptor],
    named: Sequence[tuple[str, Descriptor]],
    limit: int,
    evidence: int,
    parity: int,
    header: int = 0,
) -> tuple[Plan, Grid | None]:
    """The volumes of at most `limit` bytes (`plan_volumes`), and the grid of `parity` files; `None` for none of them.

    A parity file is a little larger than the largest volume. Where it would not fit `limit`, the volumes are smaller.
    `evidence` is the size of evidence.tar, for which no limit is kept. `header` is the most that the header of an
    encrypted file has, 0 for plain ones: `limit` is for the files as they are on the medium. Raises `InputError`.
    """
    size = plain_size(limit, header) if header else limit
    if not parity:
        return plan_volumes(blobs, named, size), None
    for _ in range(_TRIES):
        if size < MIN_VOLUME:
            break
        plan = plan_volumes(blobs, named, size)
        volumes = [volume.size for volume in plan.volumes]
        sizes = [*volumes, evidence]
        grid = plan_grid([sealed_size(one, header) for one in sizes] if header else sizes, parity)
        over = grid.file_size - limit
        if over <= 0 or evidence >= max(volumes):
            return plan, grid
        size = (max(volumes) - over) // grid.block * grid.block
    raise InputError(
        "volume-size",
        f"volume size: got {limit} bytes, which is too few for volumes whose {parity} parity files fit it too",
        "choose a larger --volume-size",
    )
