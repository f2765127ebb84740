"""What a delta leaves out: blobs of which a baseline proves that they are inside.

Whatever claims to prove it, a wrong claim makes no hole: the receiving side looks for each blob that is left out, and
refuses the delivery if one is not there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from airgap.base.digest import Digest
from airgap.content.graph import Descriptor
from airgap.delivery.contents import Omitted
from airgap.delivery.journey import Baseline


@dataclass(frozen=True, slots=True)
class KnownInside:
    """Which baseline says that a blob is inside, and for which of its items."""

    baseline: Baseline
    item: str


@dataclass(frozen=True, slots=True)
class Delta:
    """The blobs that a delta leaves out, and the baselines that these rest on: the others are not named."""

    blobs: Mapping[Digest, Omitted] = field(default_factory=dict)
    based_on: tuple[Baseline, ...] = ()

    @property
    def bytes(self) -> int:
        """The bytes of the blobs."""
        return sum(one.size for one in self.blobs.values())


def leave_out(leaves: Iterable[Descriptor], proven: Mapping[Digest, KnownInside]) -> Delta:
    """Which of `leaves` can stay away. Everything else is carried."""
    blobs, numbers = dict[Digest, Omitted](), dict[Baseline, int]()
    for leaf in leaves:
        proof = proven.get(leaf.digest)
        if proof is not None:
            number = numbers.setdefault(proof.baseline, len(numbers) + 1)
            blobs[leaf.digest] = Omitted(leaf.size, number, proof.item)
    return Delta(blobs, tuple(numbers))
