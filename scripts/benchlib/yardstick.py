"""The yardstick: what the machine can do with a bare loop of four threads, without any of our code."""

from __future__ import annotations

import hashlib
import http.client
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

THREADS = 4
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
                target.write(view[:count])
            os.fsync(target.fileno())

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(one, blobs))


def push_loop(blobs: Iterable[Path], host: str, repository: str) -> None:
    """Reads, hashes and uploads every blob in 64 KiB pieces over a connection a thread."""

    def some(paths: list[Path]) -> None:
        connection = http.client.HTTPConnection(host)
        for path in paths:
            push_blob(connection, path, repository)
        connection.close()

    every = list(blobs)
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(some, [every[n::THREADS] for n in range(THREADS)]))


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
