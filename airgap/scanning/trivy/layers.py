"""Looks through each layer of an image once, before the scanner does: is it what the image says that it is?

Trivy believes the image's config: it looks a layer up by the `diff_id` that the config gives it, and keeps what it
found under it. Tried with 0.59.1 and 0.74.0: of two layers with one `diff_id` it reads the first and not the second, a
wrong `diff_id` is taken as it is, and a layer whose end is missing is no error. So each layer is hashed here, packed
and unpacked, and the scanner gets the true ids.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, cast

from airgap.base.digest import Digest
from airgap.base.errors import IntegrityError
from airgap.base.streams import read_into
from airgap.base.unpack import HEAD, BadPackedError, Bounds, Unpacked, packed_as
from airgap.base.untar import BadTarError, TarReader
from airgap.content.graph import Descriptor, Source
from airgap.content.verified import verified
from airgap.scanning.memo import Memo
from airgap.scanning.trivy.unread import UnreadFile, UnreadFiles

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

JAVA = (".jar", ".war", ".ear", ".par")
"""Archives for which Trivy asks its database of Java; without it, it gives the whole image up."""
MAX_ENTRIES = 5_000_000
"""Headers in a layer: the largest known have some 400,000 files."""
MAX_PARTS = 10_000_000
"""Gzip files in one layer: eStargz has one for each file."""
_PIECE = 1 << 20
PLAIN = "application/vnd.oci.image.layer.v1.tar"
_TYPES = {"gzip": f"{PLAIN}+gzip", "zstd": f"{PLAIN}+zstd"}
"""How layers are packed; every reader goes by the bytes, not by what the manifest says."""


@dataclass(frozen=True, slots=True)
class LayerFacts:
    """What a layer is, whatever its image says."""

    digest: Digest
    size: int
    """Bytes, packed."""
    media_type: str
    """How it is packed."""
    diff_id: Digest
    """The digest of the unpacked layer."""
    unpacked: int
    """Bytes."""
    java: bool
    """True if it has Java archives, or if nobody can tell."""
    unread: tuple[UnreadFile, ...]
    """Files by which packages are found, and that the scanner leaves out."""
    more_unread: int
    """How many there are besides."""
    systems: frozenset[str] = frozenset()
    """Whose package databases it has: of `apk`, `dpkg`, `rpm`."""


class Layers:
    """Looks through layers, each once in a run. Thread-safe: whoever needs a layer that another looks through waits."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known = Memo[Digest, LayerFacts]()

    def facts(self, source: Source, layer: Descriptor) -> LayerFacts:
        """The facts of a layer. Raises `IntegrityError` (damage; `layer-unreadable`), and what the source raises."""
        return self._known.get(layer.digest, lambda: look_through(source, layer, self._limit))


def look_through(source: Source, layer: Descriptor, limit: int) -> LayerFacts:
    """Reads a layer to its end. It may unpack to `limit` bytes. Raises as `Layers.facts`."""
    with verified(source.open(layer), layer) as stream:
        buffered = io.BufferedReader(cast("io.RawIOBase", stream), _PIECE)
        form = packed_as(buffered.peek(HEAD)[:HEAD])
        bounds = Bounds(limit, 1 << 40, limit, MAX_PARTS)
        packed = cast("BinaryIO", buffered)
        unpacked = _Hashed(cast("BinaryIO", Unpacked(packed, form, bounds)) if form in _TYPES else packed, limit)
        try:
            entries = _entries(unpacked)
            while unpacked.read(_PIECE):
                pass
        except BadPackedError as error:
            _drain(packed)  # damage is the cause that counts, and shows at the end of the blob
            hint = "build the image again at its origin"
            raise IntegrityError("layer-unreadable", f"layer {layer.digest}: {error}", hint) from error
        _drain(packed)
    return LayerFacts(
        digest=layer.digest,
        size=layer.size,
        media_type=_TYPES.get(form, PLAIN),
        diff_id=unpacked.digest,
        unpacked=unpacked.size,
        java=entries.java,
        unread=entries.found,
        more_unread=entries.more,
        systems=frozenset(entries.systems),
    )


def _drain(stream: BinaryIO) -> None:
    while stream.read(_PIECE):
        pass


class _Hashed(io.RawIOBase):
    """The unpacked layer as a stream, hashed on the way."""

    def __init__(self, stream: BinaryIO, limit: int) -> None:
        super().__init__()
        self._stream, self._limit = stream, limit
        self._hasher = hashlib.sha256()
        self.size = 0

    @property
    def digest(self) -> Digest:
        return Digest.from_hash(self._hasher)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        count = read_into(self._stream, view)
        self._hasher.update(view[:count])
        self.size += count
        if self.size > self._limit:
            raise BadPackedError(f"it unpacks to more than {self._limit} bytes")
        return count


def _entries(unpacked: _Hashed) -> UnreadFiles:
    """Looks at each entry of a layer. The rest of it is still to be read."""
    made = UnreadFiles()
    tar = TarReader(cast("BinaryIO", io.BufferedReader(unpacked, _PIECE)), entries=MAX_ENTRIES, total=1 << 62)
    try:
        for entry in tar:
            made.see(entry, tar)
    except BadTarError as error:
        made.give_up(f"it could not be checked to its end: {error}")
    return made
