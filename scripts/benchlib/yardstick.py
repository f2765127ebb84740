"""The yardstick: what the machine can do with a bare loop of four threads, without any of our code."""

from __future__ import annotations

import hashlib
import http.client
import io
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")

THREADS = 4
WRITE = 256 << 10
CHUNK = 1 << 20
SEND = 64 << 10


def copy_loop(blobs: Iterable[Path], to: Path) -> None:
    """Reads, hashes, writes and syncs every blob."""
    to.mkdir(parents=True)

    def one(path: Path) -> None:
        hasher, buffer = hashlib.sha256(), bytearray(CHUNK)
        view = memoryview(buffer)
        with (
            path.open("rb", buffering=0) as source,
            (to / path.name).open("wb", buffering=0) as target,
        ):
            while count := source.readinto(buffer):
                hasher.update(view[:count])
                _write(target, view[:count])
            os.fsync(target.fileno())

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(one, blobs))


def _write(target: io.FileIO, piece: memoryview) -> None:
    """In pieces: of 1 MiB at once some kernels make one page, which may take ten times as long."""
    while piece:
        piece = piece[target.write(piece[:WRITE]) :]


def pull_loop(blobs: Iterable[tuple[str, Path]], host: str, to: Path) -> None:
    """Gets, hashes, writes and syncs every blob, over a connection a thread. `blobs`: repository, and a file whose
    name is the digest in hex. What a registry costs whoever asks: most of a pull of small blobs."""
    to.mkdir(parents=True)

    def some(part: list[tuple[str, Path]]) -> None:
        connection, view = http.client.HTTPConnection(host), memoryview(bytearray(CHUNK))
        for repository, path in part:
            connection.request("GET", f"/v2/{repository}/blobs/sha256:{path.name}")
            answer, hasher = connection.getresponse(), hashlib.sha256()
            with (to / path.name).open("wb", buffering=0) as target:
                while count := answer.readinto(view):
                    hasher.update(view[:count])
                    _write(target, view[:count])
                os.fsync(target.fileno())
            if hasher.hexdigest() != path.name:
                raise RuntimeError(f"the registry answered {answer.status} with other bytes")
        connection.close()

    _spread(some, blobs)


def _spread(work: Callable[[list[T]], None], things: Iterable[T]) -> None:
    every = list(things)
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, [every[n::THREADS] for n in range(THREADS)]))


def push_loop(blobs: Iterable[Path], host: str, repository: str) -> None:
    """Reads, hashes and uploads every blob in 64 KiB pieces over a connection a thread."""

    def some(paths: list[Path]) -> None:
        connection = http.client.HTTPConnection(host)
        for path in paths:
            push_blob(connection, path, repository)
        connection.close()

    _spread(some, blobs)


def push_blob(connection: http.client.HTTPConnection, path: Path, repository: str) -> None:
    """One blob: a session, then its bytes in one request. The file's name is its digest in hex."""
    connection.request("POST", f"/v2/{repository}/blobs/uploads/", headers={"Content-Length": "0"})
    answer = connection.getresponse()
    answer.read()
    where = urlsplit(answer.headers["Location"])
    connection.putrequest("PUT", f"{where.path}?{where.query}&digest=sha256:{path.name}")
    connection.putheader("Content-Length", str(path.stat().st_size))
    connection.endheaders()
    hasher, view = hashlib.sha256(), memoryview(bytearray(CHUNK))
    with path.open("rb", buffering=0) as source:
        while count := source.readinto(view):
            hasher.update(view[:count])
            for at in range(0, count, SEND):
                connection.send(view[at : min(at + SEND, count)])
    answer = connection.getresponse()
    answer.read()
    if answer.status != 201:
        raise RuntimeError(f"the registry answered {answer.status}")
