"""S3: MinIO, SeaweedFS, AWS. Trees are written under their keys; both ends check every object.

An object of up to 5 GiB is one PUT with its SHA-256, which the server compares. A larger object is a multipart upload
with a journal (`parts`). A key is created with `If-None-Match: *` and replaced with `If-Match`, so no unknown content
is overwritten.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from airgap.base.digest import CHUNK, Digest, hash_stream
from airgap.base.errors import AirgapError, InputError, IntegrityError, NotFoundError, RaceError, UpstreamError
from airgap.content.graph import Descriptor
from airgap.destinations.base import Run
from airgap.destinations.s3.body import open_object
from airgap.destinations.s3.client import make_client, mapped
from airgap.destinations.s3.parts import PART_SIZE, Journals, abort, upload
from airgap.destinations.trees.destination import TreeDestination
from airgap.destinations.trees.keys import folders
from airgap.destinations.trees.objects import Held, ObjectBody
from airgap.resources.sovereign import S3Config

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import HeadObjectOutputTypeDef

SINGLE_PUT = 5 << 30
"""Largest PUT in bytes: S3's limit ("Uploading objects"). MinIO accepts more, but one rule applies to all servers."""
SEND = 64 << 10
"""Bytes that are passed to the socket at once: twice as fast as the library's default of 16 KiB."""


class S3Destination(TreeDestination):
    """Trees in the buckets of an S3 service. See `TreeDestination`.

    `journal_dir` keeps unfinished multipart uploads. Raises `InputError` for missing credentials or boto3.
    """

    def __init__(
        self,
        config: S3Config,
        journal_dir: Path,
        run: Run,
        *,
        single_put: int = SINGLE_PUT,
        part_size: int = PART_SIZE,
    ) -> None:
        objects = S3Objects(config, journal_dir, max(1, run.jobs), single_put, part_size)
        super().__init__(config.endpoint, objects, run)


class S3Objects:
    """`Objects` over boto3."""

    def __init__(self, config: S3Config, journal_dir: Path, jobs: int, single_put: int, part_size: int) -> None:
        self._config = config
        self._client: S3Client = make_client(config, connections=jobs + 2)
        self._journals = Journals(journal_dir, config.endpoint)
        self._single_put = single_put
        self._part_size = part_size
        self._ready: set[str] = set()
        self._free: set[tuple[str, str]] = set()

    def bucket(self, name: str) -> str:
        """See `Objects.bucket`."""
        made = self._config.buckets.get(name)
        if not made:
            have = ", ".join(sorted(self._config.buckets)) or "none"
            raise InputError(
                "no-mapping",
                f"s3.buckets in the Sovereign resource has no key {name!r}; it has {have}",
                f"add a line to s3.buckets: `{name}: some-bucket`",
            )
        return made

    def ready(self, bucket: str) -> None:
        """See `Objects.ready`.

        It lists the bucket: a HEAD answer has no reason, and a PUT would create the bucket on SeaweedFS.
        """
        if bucket in self._ready:
            return
        with mapped(f"{self._config.endpoint}/{bucket}"):
            self._client.list_objects_v2(Bucket=bucket, MaxKeys=1)
        for journal in self._journals.unfinished(bucket):
            held = self.look(bucket, journal.key)
            if held is not None and held.digest == journal.digest:
                abort(self._client, journal)  # completed, but the process ended before it removed this
        self._ready.add(bucket)

    def look(self, bucket: str, key: str, *, deep: bool = False) -> Held | None:
        """See `Objects.look`. Without `deep`: by the server's checksum, else by airgap's metadata, else by reading."""
        head = self._head(bucket, key)
        if head is None:
            return None
        digest = None if deep else _told(head)
        size = head["ContentLength"]
        if digest is None:
            with (
                mapped(f"{bucket}/{key}"),
                self._client.get_object(Bucket=bucket, Key=key)["Body"] as stream,
            ):
                digest, size = hash_stream(stream)  # type: ignore[arg-type]
            # The library does not always notice a body that ends early. A truncated object is unknown, not changed.
            if size != head["ContentLength"]:
                raise UpstreamError(
                    "cut-answer",
                    f"{bucket}/{key}: got {size} bytes, expected {head['ContentLength']}: the answer was cut",
                    "run the same command again; if it fails again, check proxies between here and the server",
                    side="destination",
                )
        return Held(digest, size, head["ETag"])

    def open(self, bucket: str, key: str, offset: int = 0) -> BinaryIO:
        """See `Objects.open`."""
        return open_object(self._client, bucket, key, offset)

    def copy(self, source: tuple[str, str], target: tuple[str, str], descriptor: Descriptor) -> bool:
        """See `Objects.copy`. The copy is hashed here: a server may copy a digest that it never computed.

        It gets no claim of ours about its digest.
        """
        held = self.look(*source)
        if held is None or descriptor.size > self._single_put:
            return False
        with mapped("/".join(target)):
            self._client.copy_object(
                Bucket=target[0],
                Key=target[1],
                CopySource={"Bucket": source[0], "Key": source[1]},
                CopySourceIfMatch=held.version,
                MetadataDirective="REPLACE",
                ChecksumAlgorithm="SHA256",
            )
        copied = self.look(*target, deep=True)
        return copied is not None and (copied.digest, copied.size) == (descriptor.digest, descriptor.size)

    def _head(self, bucket: str, key: str) -> HeadObjectOutputTypeDef | None:
        try:
            with mapped(f"{bucket}/{key}"):
                return self._client.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
        except NotFoundError:
            return None

    def in_the_way(self, bucket: str, key: str) -> str:
        """See `Objects.in_the_way`."""
        for folder in folders(key):
            if (bucket, folder) not in self._free:
                if self._head(bucket, folder) is not None:
                    return folder
                self._free.add((bucket, folder))
        with mapped(f"{bucket}/{key}/"):
            below = self._client.list_objects_v2(Bucket=bucket, Prefix=f"{key}/", MaxKeys=1)
        return below["Contents"][0]["Key"] if below.get("Contents") else ""

    def write(self, bucket: str, key: str, body: ObjectBody, replaces: Held | None) -> None:
        """See `Objects.write`."""
        condition = {"IfNoneMatch": "*"} if replaces is None else {"IfMatch": replaces.version}
        descriptor = body.descriptor
        try:
            if descriptor.size <= self._single_put:
                self._put(bucket, key, body, condition)
                checksum = base64.b64encode(bytes.fromhex(descriptor.digest.hex)).decode()
            else:
                checksum = self._put_parts(bucket, key, body, condition)
        except RaceError:
            # A request that was repeated because its answer was lost finds the object that it created.
            if self._holds(bucket, key, descriptor.digest, descriptor.size):
                return
            raise
        head = self._head(bucket, key)
        got = None
        if head is not None:
            claim = head["Metadata"].get("sha256")
            got = head["ContentLength"], head.get("ChecksumSHA256"), claim
        expected = descriptor.size, checksum, descriptor.digest.hex
        if got != expected:
            raise IntegrityError(
                "read-back",
                f"{bucket}/{key}: size, checksum and metadata: got {got}, expected {expected}",
                "the store did not keep what it was sent; do not use this object",
            )

    def _holds(self, bucket: str, key: str, digest: Digest, size: int) -> bool:
        held = self.look(bucket, key)
        return held is not None and (held.digest, held.size) == (digest, size)

    def _put(self, bucket: str, key: str, body: ObjectBody, condition: dict[str, str]) -> None:
        digest, size = body.descriptor.digest, body.descriptor.size
        # An object of one piece is completely checked before it is sent, and can be sent again without its source.
        sent = b"".join(body.pieces()) if size <= CHUNK else _Sending(body)
        try:
            with mapped(f"{bucket}/{key}"):
                self._client.put_object(
                    Bucket=bucket,
                    Key=key,
                    Body=sent,  # type: ignore[arg-type]  # anything with read and seek will do
                    ContentLength=size,
                    ChecksumSHA256=base64.b64encode(bytes.fromhex(digest.hex)).decode(),
                    Metadata={"sha256": digest.hex},
                    **condition,  # type: ignore[arg-type]
                )
        except _SourceFailed as failed:
            raise failed.error from failed

    def _put_parts(self, bucket: str, key: str, body: ObjectBody, condition: dict[str, str]) -> str:
        with self._journals.hold(bucket, key, body.descriptor.digest) as journal:
            for other in self._journals.unfinished(bucket, key):
                if other.digest != journal.digest:
                    abort(self._client, other)
            return upload(self._client, journal, body, condition, self._part_size)

    def buckets(self) -> Iterable[str]:
        """See `Objects.buckets`."""
        return dict.fromkeys(self._config.buckets.values())

    def delete(self, bucket: str, key: str, held: Held) -> str:
        """See `Objects.delete`. A server that ignores the condition deletes what was read just before."""
        with mapped(f"{bucket}/{key}"):
            answer = self._client.delete_object(Bucket=bucket, Key=key, IfMatch=held.version)
        if self._head(bucket, key) is not None:
            what = f"{bucket}/{key}: it is still there after it was deleted"
            raise RaceError("changed-meanwhile", what, "another client writes there", side="destination")
        return (
            "the bucket keeps earlier versions: they stay until its own rules remove them"
            if (answer.get("DeleteMarker") or answer.get("VersionId"))
            else ""
        )

    def keys(self, bucket: str) -> Iterator[str]:
        """See `Objects.keys`."""
        with mapped(f"{self._config.endpoint}/{bucket}"):
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
                for entry in page.get("Contents", ()):
                    yield entry["Key"]


def _told(head: HeadObjectOutputTypeDef) -> Digest | None:
    """The object's digest as the server computed it, else as airgap's metadata states it."""
    try:
        raw = base64.b64decode(head.get("ChecksumSHA256", ""), validate=True)
    except binascii.Error:
        raw = b""  # composite: base64, a dash and the number of parts
    try:
        return Digest("sha256:" + (raw.hex() if len(raw) == 32 else head["Metadata"].get("sha256", "")))
    except IntegrityError:
        return None


class _SourceFailed(BaseException):
    """Carries an error of the source through boto3, which would wrap an `Exception` and send the same bytes again."""

    def __init__(self, error: AirgapError) -> None:
        super().__init__(str(error))
        self.error = error


class _Sending:
    """A body in the form that boto3 needs: `read`, and `seek(0)` to start again."""

    def __init__(self, body: ObjectBody) -> None:
        self._body = body
        self._pieces = _small(body)

    def read(self, _amount: int = -1) -> bytes | memoryview:
        """The next piece of up to 64 KiB, whatever was requested: urllib3 requests 16 KiB and sends what it gets."""
        try:
            return next(self._pieces, b"")
        except AirgapError as error:
            raise _SourceFailed(error) from error

    def seek(self, offset: int, whence: int = 0) -> int:
        """Returns to the start, the only position that boto3 seeks."""
        if (offset, whence) != (0, 0):
            raise ValueError(f"seek({offset}, {whence})")
        self._pieces = _small(self._body)
        return 0

    def tell(self) -> int:
        """The position; boto3 asks for it before the first read."""
        return 0


def _small(body: ObjectBody) -> Iterator[memoryview]:
    for piece in body.pieces():
        for start in range(0, len(piece), SEND):
            yield piece[start : start + SEND]
