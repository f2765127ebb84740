"""Objects over 5 GiB: multipart uploads with a local journal, because SeaweedFS lists no parts.

There is one journal, a file of JSON lines, for each endpoint, bucket, key and digest. The first line names the object
and the upload id; then there is one line for each part that the server has. The next run continues after a killed one:
it reads the bytes up to that point again, to hash them, but does not send them again.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airgap.base.canonical import canonical
from airgap.base.digest import Digest
from airgap.base.errors import DamageError, IntegrityError, NotFoundError, StoreError, UpstreamError
from airgap.base.locks import locked
from airgap.base.strict_json import decode_json
from airgap.destinations.s3.client import FULL, mapped
from airgap.destinations.trees.objects import ObjectBody

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PART_SIZE = 16 << 20
"""Bytes of a part. A part is held in memory because its checksum is sent before it: 4 at once are 64 MiB."""
MAX_PARTS = 10_000
"""S3's limit; objects over 156 GiB get larger parts."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part that the server has."""

    number: int
    etag: str
    sha256: str
    """Base64, as S3 requires."""

    def as_dict(self) -> dict[str, Any]:
        """The shape of CompleteMultipartUpload."""
        return {"PartNumber": self.number, "ETag": self.etag, "ChecksumSHA256": self.sha256}


class UploadJournal:
    """One unfinished upload. One process at a time holds it."""

    def __init__(self, path: Path, bucket: str, key: str, digest: Digest) -> None:
        self.path = path
        self.bucket = bucket
        self.key = key
        self.digest = digest
        self.upload_id = ""
        self.part_size = 0
        self.parts: list[Part] = []

    def begin(self, upload_id: str, part_size: int) -> None:
        """Starts the journal for a new upload."""
        self.upload_id, self.part_size, self.parts = upload_id, part_size, []
        header = {
            "bucket": self.bucket, "key": self.key, "digest": str(self.digest),
            "uploadId": upload_id, "partSize": part_size,
        }  # fmt: skip
        with _disk(self.path):
            self.path.write_bytes(canonical(header) + b"\n")

    def add(self, part: Part) -> None:
        """Adds a part. A line that a crash truncates costs only that part, so there is no fsync."""
        self.parts.append(part)
        line = {"part": part.number, "etag": part.etag, "sha256": part.sha256}
        with _disk(self.path), self.path.open("ab") as file:
            file.write(canonical(line) + b"\n")

    def load(self) -> bool:
        """Reads the journal of an earlier run. False if there is nothing to continue."""
        try:
            lines = self.path.read_bytes().split(b"\n")
            header = decode_json(lines[0])
            if (header["bucket"], header["key"], header["digest"]) != (
                self.bucket,
                self.key,
                self.digest,
            ):
                return False
            self.upload_id, self.part_size = str(header["uploadId"]), int(header["partSize"])
        except (OSError, ValueError, KeyError, TypeError):
            return False
        self.parts = []
        for line in lines[1:]:
            try:
                entry = decode_json(line)
                part = Part(int(entry["part"]), str(entry["etag"]), str(entry["sha256"]))
            except (ValueError, KeyError, TypeError):
                break  # truncated by a crash
            if part.number != len(self.parts) + 1:
                break
            self.parts.append(part)
        return True

    def end(self) -> None:
        """Removes the journal of a completed or aborted upload."""
        with _disk(self.path):
            self.path.unlink(missing_ok=True)


class Journals:
    """The folder of journals of one endpoint."""

    def __init__(self, folder: Path, endpoint: str) -> None:
        self._folder = folder
        self._endpoint = endpoint

    def _prefix(self, bucket: str, key: str) -> str:
        return Digest.of(canonical([self._endpoint, bucket, key])).hex[:32]

    @contextmanager
    def hold(self, bucket: str, key: str, digest: Digest) -> Iterator[UploadJournal]:
        """The journal of one object, locked. Raises `StoreError` (`in-use`) if another process holds it."""
        prefix = self._prefix(bucket, key)
        with _disk(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        busy = StoreError(
            "in-use",
            f"{bucket}/{key} is being uploaded by another process",
            "wait for it, then run the same command again",
        )
        with locked(self._folder / f"{prefix}.lock", wait=False, busy=busy):
            yield UploadJournal(self._folder / f"{prefix}-{digest.hex}.jsonl", bucket, key, digest)

    def unfinished(self, bucket: str, key: str | None = None) -> Iterator[UploadJournal]:
        """The journals of a bucket, or of one key in it."""
        pattern = f"{self._prefix(bucket, key)}-*.jsonl" if key is not None else "*.jsonl"
        for path in sorted(self._folder.glob(pattern)):
            try:
                header = decode_json(path.read_bytes().split(b"\n", 1)[0])
                journal = UploadJournal(path, header["bucket"], header["key"], Digest(header["digest"]))
            except (OSError, ValueError, KeyError, TypeError, IntegrityError):
                continue  # not a journal, or just removed by another process
            own = path.name.startswith(self._prefix(journal.bucket, journal.key) + "-")
            if own and journal.bucket == bucket and journal.load():
                yield journal


def abort(client: S3Client, journal: UploadJournal) -> None:
    """Aborts an upload at the server and removes its journal. It is no error if the server no longer has it."""
    try:
        with mapped(f"{journal.bucket}/{journal.key}: abort"):
            client.abort_multipart_upload(Bucket=journal.bucket, Key=journal.key, UploadId=journal.upload_id)
    except NotFoundError:
        pass
    journal.end()


def upload(
    client: S3Client,
    journal: UploadJournal,
    body: ObjectBody,
    condition: dict[str, str],
    part_size: int = PART_SIZE,
) -> str:
    """Uploads an object in parts, continues where the journal ends, and completes it under `condition`.

    Returns the composite checksum that the server must report. Raises `IntegrityError` if the bytes are wrong; the
    upload is then aborted, and nothing is visible.
    """
    if journal.load():
        try:
            return _go_on(client, journal, body, condition)
        except NotFoundError:
            journal.end()  # aborted by the server, or by its life-cycle rules
    size = max(part_size, -(-body.descriptor.size // MAX_PARTS))
    with mapped(f"{journal.bucket}/{journal.key}: begin"):
        made = client.create_multipart_upload(
            Bucket=journal.bucket,
            Key=journal.key,
            ChecksumAlgorithm="SHA256",
            Metadata={"sha256": journal.digest.hex},
        )
    journal.begin(made["UploadId"], size)
    return _go_on(client, journal, body, condition)


def _go_on(client: S3Client, journal: UploadJournal, body: ObjectBody, condition: dict[str, str]) -> str:
    where = f"{journal.bucket}/{journal.key}"
    target: Any = {"Bucket": journal.bucket, "Key": journal.key, "UploadId": journal.upload_id}
    have = {part.number: part for part in journal.parts}
    checksums = hashlib.sha256()
    try:
        for number, data in enumerate(_parts(body, journal.part_size), 1):
            hashed = hashlib.sha256(data).digest()
            checksums.update(hashed)
            checksum = base64.b64encode(hashed).decode()
            known = have.get(number)
            if known is None:
                with _in_upload(client, target, f"{where}: part {number}"):
                    answer = client.upload_part(
                        **target,
                        PartNumber=number,
                        Body=data,  # type: ignore[arg-type]  # a bytearray works like bytes
                        ChecksumSHA256=checksum,
                    )
                journal.add(Part(number, answer["ETag"], checksum))
            elif known.sha256 != checksum:
                raise DamageError("digest-mismatch", f"{where}: part {number} differs from what was sent before")
    except IntegrityError:
        abort(client, journal)
        raise
    parts: Any = {"Parts": [part.as_dict() for part in journal.parts]}
    with _in_upload(client, target, f"{where}: complete"):
        client.complete_multipart_upload(**target, MultipartUpload=parts, **condition)  # type: ignore[arg-type]
    journal.end()
    return f"{base64.b64encode(checksums.digest()).decode()}-{len(journal.parts)}"


@contextmanager
def _in_upload(client: S3Client, target: Any, where: str) -> Iterator[None]:
    """`mapped`, with a second check if the server reports that the upload is gone.

    MinIO reports this for a part that was too short because the disk is full, although the upload and its other parts
    still exist. Without the check the upload would start again, and the old one would keep filling the disk.
    """
    try:
        with mapped(where):
            yield
    except NotFoundError as gone:
        try:
            with mapped(where):
                client.list_parts(**target, MaxParts=1)
        except NotFoundError:
            raise gone from None
        what = f"{gone.what} The upload exists, but the server could not store the part."
        raise UpstreamError("destination-full", what, FULL, 404, side="destination") from gone


def _parts(body: ObjectBody, size: int) -> Iterator[bytearray]:
    """The body in parts of `size` bytes. One buffer is reused: a part is valid until the next one."""
    buffer, have = bytearray(size), 0
    for piece in body.pieces():
        start = 0
        while len(piece) - start >= size - have:
            end = start + size - have
            buffer[have:] = piece[start:end]
            yield buffer
            have, start = 0, end
        buffer[have : have + len(piece) - start] = piece[start:]
        have += len(piece) - start
    if have:
        del buffer[have:]
        yield buffer


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError("journal", f"{path}: {error}", "stateDir must be writable and have room") from error
