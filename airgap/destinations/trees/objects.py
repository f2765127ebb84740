"""`Objects`: a store of keys and objects, as trees need it; `ObjectBody`: the bytes of one object on the way there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from threading import Event
from typing import BinaryIO, Protocol

from airgap.base.digest import CHUNK, Digest
from airgap.base.errors import StoreError
from airgap.content.graph import Descriptor
from airgap.content.verified import VerifiedStream
from airgap.destinations.base import Run


@dataclass(frozen=True, slots=True)
class Held:
    """The present content of a key. `version` is the store's own mark of it (an ETag); `""` if the store has none."""

    digest: Digest
    size: int
    version: str = ""


class ObjectBody:
    """The bytes of one object. They can be read repeatedly from the source, and are hashed while they are sent."""

    def __init__(self, descriptor: Descriptor, opener: Callable[[], BinaryIO], run: Run, stop: Event) -> None:
        self.descriptor = descriptor
        self._opener = opener
        self._run = run
        self._stop = stop
        self._told = 0

    def pieces(self) -> Iterator[memoryview]:
        """The bytes in pieces of up to 1 MiB. A piece is valid until the next one is requested.

        The last piece is given only after size and digest have been checked. A body without its last piece is
        incomplete, and no store keeps it. Raises `IntegrityError`, or the errors of the source.
        """
        self._run.progress.advance(-self._told)
        self._told = 0
        buffer = memoryview(bytearray(min(CHUNK, self.descriptor.size)))
        try:
            with VerifiedStream(self._opener(), self.descriptor) as stream:
                while count := stream.readinto(buffer):
                    if self._stop.is_set():
                        raise StoreError("interrupted", f"{self.descriptor.digest}: stopped")
                    self._tell(count)
                    yield buffer[:count]
        except OSError as error:
            raise StoreError("cannot-read", f"{self.descriptor.digest}: {error}") from error

    def _tell(self, count: int) -> None:
        self._told += count
        self._run.progress.advance(count)


class Objects(Protocol):
    """A store of objects under keys, in buckets. Each write is atomic."""

    def bucket(self, name: str) -> str:
        """The bucket for a tree's `bucket`. Raises `InputError` (`no-mapping`)."""

    def ready(self, bucket: str) -> None:
        """Raises `InputError` or `UpstreamError` unless the bucket exists and is usable. Never creates a bucket."""

    def look(self, bucket: str, key: str, *, deep: bool = False) -> Held | None:
        """The content of the key, or `None`. With `deep`, the object is read and hashed."""

    def open(self, bucket: str, key: str, offset: int = 0) -> BinaryIO:
        """The bytes of an object from `offset` on. Nobody has hashed them. Raises `NotFoundError`."""

    def copy(self, source: tuple[str, str], target: tuple[str, str], descriptor: Descriptor) -> bool:
        """Copies an object to a key that does not exist (each a bucket and key), without sending its bytes from here.

        True if the copy was read and has the blob's digest. False if the store cannot copy, or copied something else:
        then the key may hold anything, and is to be written. Raises `UpstreamError`.
        """

    def in_the_way(self, bucket: str, key: str) -> str:
        """Another existing key that is a folder of `key`, or has `key` as a folder; `""` for none."""

    def write(self, bucket: str, key: str, body: ObjectBody, replaces: Held | None) -> None:
        """Writes an object completely or not at all, and reads back what the store recorded.

        Raises `UpstreamError` (`changed-meanwhile`) if the key no longer holds `replaces`.
        """

    def buckets(self) -> Iterable[str]:
        """The buckets that trees go to."""

    def keys(self, bucket: str) -> Iterator[str]:
        """All keys of a bucket, one by one; none if there is no such bucket."""

    def delete(self, bucket: str, key: str, held: Held) -> str:
        """Deletes an object, and checks that it is gone. Returns what people should know, `""` for nothing.

        Raises `UpstreamError` (`changed-meanwhile`) if the key no longer holds `held`.
        """
