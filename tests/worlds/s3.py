"""Two new buckets of an S3 service as a destination."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from airgap.base.progress import Silent
from airgap.destinations.base import Run
from airgap.destinations.s3 import S3Destination
from airgap.net.config import Credentials, HostConfig
from airgap.resources.sovereign import S3Config
from tests.parts.s3 import S3Service

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
PART = 5 << 20
"""The smallest part that S3 allows."""


@dataclass(frozen=True, slots=True)
class S3Place:
    """Two new buckets of a service."""

    service: S3Service
    config: S3Config
    journals: Path
    client: S3Client

    def make(self, run: Run) -> S3Destination:
        return S3Destination(self.config, self.journals, run)

    def in_parts(self, run: Run | None = None, *, endpoint: str = "") -> S3Destination:
        """The same, with multipart uploads above 5 MiB."""
        config = replace(self.config, endpoint=endpoint or self.config.endpoint)
        made = run or Run(Silent(), jobs=1)
        return S3Destination(config, self.journals, made, single_put=PART, part_size=PART)

    def at(self, prefix: str) -> str:
        bucket = self.config.buckets["models"]
        return f"{bucket}/{prefix}" if prefix else bucket

    def read(self, bucket: str, key: str) -> bytes | None:
        name = self.config.buckets[bucket]
        if key not in self.listing(bucket):
            return None
        with self.client.get_object(Bucket=name, Key=key)["Body"] as stream:
            return stream.read()

    def plant(self, bucket: str, key: str, data: bytes) -> None:
        self.client.put_object(Bucket=self.config.buckets[bucket], Key=key, Body=data)

    def remove(self, bucket: str, key: str) -> None:
        self.client.delete_object(Bucket=self.config.buckets[bucket], Key=key)

    def listing(self, bucket: str) -> set[str]:
        page = self.client.list_objects_v2(Bucket=self.config.buckets[bucket])
        return {entry["Key"] for entry in page.get("Contents", ())}

    def uploads(self) -> int:
        """Unfinished multipart uploads in the bucket for models, asked by key: MinIO needs that."""
        bucket = self.config.buckets["models"]
        page = self.client.list_multipart_uploads(Bucket=bucket, Prefix="acme/mini/r1/weights")
        return len(page.get("Uploads", ()))


def s3_config(service: S3Service, folder: Path, buckets: dict[str, str]) -> S3Config:
    """The Sovereign's s3 section for a service, with its keys in files."""
    (folder / "access").write_text(service.access_key + "\n")
    (folder / "secret").write_text(service.secret_key + "\n")
    for name in ("access", "secret"):
        (folder / name).chmod(0o600)
    keys = Credentials(access_key_file=folder / "access", secret_key_file=folder / "secret")
    return S3Config(endpoint=service.endpoint, buckets=buckets, host=HostConfig(credentials=keys))


def big(size: int = 12_000_001) -> bytes:
    """Bytes that differ in each part."""
    return b"".join(hashlib.sha256(str(n).encode()).digest() for n in range(size // 32 + 1))[:size]
