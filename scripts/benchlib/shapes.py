"""The shapes: how many blobs of which size, in how many images. Source: docs/design.md and its numbers to hold."""

from __future__ import annotations

from dataclasses import dataclass, replace

MIB = 1 << 20
BIG = MIB
"""Bytes of a layer from which a shape is about bytes; below, it is about the number of blobs."""
SMALLER, FEWER = 16, 10
"""What `--small` divides by: the size of big layers, the number of images with small ones."""
COPIES = 8
"""How often a shape lies on the disk at the worst moment: as made, in the first registry, store, media, in the last
registry, one peer's folder and registry, and one to spare."""


@dataclass(frozen=True, slots=True)
class Shape:
    """`images` images of `layers` layers of `size` bytes; `shared` layers of each are the same in all of them.

    `peers`: whether other tools run too. `repeat` is the number of rounds where nobody asks for another.
    """

    name: str
    images: int
    layers: int
    size: int
    shared: int = 0
    peers: bool = True
    repeat: int = 3

    @property
    def blobs(self) -> int:
        """Layers that differ."""
        return self.shared + self.images * (self.layers - self.shared)

    @property
    def bytes(self) -> int:
        """Bytes of the layers that differ."""
        return self.blobs * self.size

    @property
    def needed(self) -> int:
        """Free bytes that a run wants. A tool that shares no layers writes all that the images name."""
        return self.bytes * COPIES + (self.images * self.layers * self.size - self.bytes)

    @property
    def warm(self) -> int:
        """Bytes of memory that a command may want beside what the files hold already: what it writes, twice."""
        return 2 * self.images * self.layers * self.size

    def small(self) -> Shape:
        """The same for a quick look: no result to publish."""
        if self.size >= BIG:
            return replace(self, size=self.size // SMALLER)
        return replace(self, images=max(2, self.images // FEWER))

    def __str__(self) -> str:
        size = f"{self.size / MIB:g} MiB" if self.size >= BIG else f"{self.size / 1024:g} KiB"
        common = f", {self.shared} of each image's {self.layers} shared" if self.shared else ""
        images = f"{self.images} images" if self.images > 1 else "1 image"
        return f"{self.blobs:,} × {size} in {images}{common}"


SHAPES = {
    # 64 layers are named, 36 differ: mounts and shared stores save 44 %.
    "S1": (Shape("S1", images=8, layers=8, size=16 * MIB, shared=4),),
    "S2": (Shape("S2", images=2, layers=2, size=512 * MIB, repeat=1),),
    "L": (Shape("L", images=4, layers=2, size=512 * MIB, repeat=1),),
    "S3": (Shape("S3", images=60, layers=20, size=8 << 10),),
    "T": (Shape("T", images=50, layers=100, size=8 << 10, repeat=1),),
    # Peak memory must be the same in both.
    "M": tuple(Shape("M", images=1, layers=1, size=size * MIB, peers=False, repeat=1) for size in (256, 2048)),
}
DEFAULT = ("S1", "S3")
