"""The bytes of an object in S3, with the errors of airgap: an answer that was cut is not a damaged object."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, BinaryIO, cast

from airgap.base.errors import UpstreamError
from airgap.destinations.s3.client import mapped

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def open_object(client: S3Client, bucket: str, key: str, offset: int) -> BinaryIO:
    """The bytes of an object from `offset` on. Raises `NotFoundError`, `UpstreamError` (`cut-answer`)."""
    where = f"{bucket}/{key}"
    with mapped(where):
        part = {"Range": f"bytes={offset}-"} if offset else {}
        answer = client.get_object(Bucket=bucket, Key=key, **part)  # type: ignore[arg-type]
    return cast("BinaryIO", _Body(answer["Body"], answer["ContentLength"], where))  # type: ignore[arg-type]


class _Body(io.RawIOBase):
    def __init__(self, stream: BinaryIO, size: int, where: str) -> None:
        super().__init__()
        self._stream, self._left, self._where = stream, size, where

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        view = memoryview(buffer).cast("B")
        if not self._left or not view:
            return 0
        with mapped(self._where):
            piece = self._stream.read(min(len(view), self._left))
        if not piece:
            what = f"{self._where}: the answer ended {self._left} bytes too early"
            raise UpstreamError("cut-answer", what, "run the same command again", side="destination")
        view[: len(piece)] = piece
        self._left -= len(piece)
        return len(piece)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()
