"""A real clamd with signatures of our own, behind a socket that nobody else has; and one that lies.

The databases of ClamAV are not to be had here. Ours knows the EICAR test file, and one more text. It is a `daily.cud`:
a container like daily.cvd, of any date, without the signature of ClamAV's makers.
"""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from tests.parts.need import require_part
from tests.parts.process import Process
from tests.worlds.chart_bombs import tar_member

EICAR = b"X5O!P%@AP[4\\PZX54(P^)" + b"7CC)7}$EIC" + b"AR-STANDARD-ANTIVIRUS" + b"-TEST-FILE!$H+H*"
FOUND = "Airgap-Test-Eicar.UNOFFICIAL"
WORM = b"a text that only our own test signature calls a worm"
WORM_FOUND = "Airgap-Test-Worm.UNOFFICIAL"
LIMITS = "StreamMaxLength 4M\nMaxFileSize 4M\nMaxScanSize 8M\nMaxFiles 50\n"
"""Small ones, so that a test can exceed them."""


@contextmanager
def running_clamd(
    folder: Path,
    updated: datetime | None,
    config: str = "AlertExceedsMax yes\n" + LIMITS,
    known: bytes = EICAR,
) -> Iterator[Path]:
    """The socket of a clamd whose signatures are of that date, or of none."""
    clamd = require_part("clamav")
    (folder / "db").mkdir(parents=True)
    write_signatures(folder, updated, known)
    path = folder / "clamd.sock"
    (folder / "clamd.conf").write_text(
        f"Foreground yes\nLocalSocket {path}\nDatabaseDirectory {folder / 'db'}\nTemporaryDirectory {folder}\n"
        f"MaxThreads 2\n{config}"
    )
    argv: list[str | Path] = [clamd, f"--config-file={folder / 'clamd.conf'}"]
    with Process(argv, log=folder / "clamd.log") as process:
        process.wait_ready(lambda: ask(path, b"PING") == b"PONG")
        yield path


def write_signatures(folder: Path, updated: datetime | None, known: bytes = EICAR) -> None:
    """The signatures that the daemon loads when it starts, or is told to."""
    rows = f"Airgap-Test-Eicar:0:*:{known.hex()}\nAirgap-Test-Worm:0:*:{WORM.hex()}\n".encode()
    if updated is None:
        (folder / "db" / "airgap.ndb").write_bytes(rows)
        return
    said = updated.strftime("%d %b %Y %H-%M +0000")
    head = f"ClamAV-VDB:{said}:27999:2:90:X:X:airgap:{int(updated.timestamp())}"
    info = f"{head}\ndaily.ndb:{len(rows)}:{hashlib.sha256(rows).hexdigest()}\n".encode()
    packed = tar_member("daily.info", info) + tar_member("daily.ndb", rows) + bytes(1024)
    (folder / "db" / "daily.cud").write_bytes(head.encode().ljust(512) + packed)


def reload(path: Path) -> None:
    """Has the daemon load its signatures again, and waits until it has."""
    before = ask(path, b"VERSION")
    assert ask(path, b"RELOAD") == b"RELOADING"
    until = time.monotonic() + 30
    while ask(path, b"VERSION") == before:
        assert time.monotonic() < until, "clamd did not reload"
        time.sleep(0.02)


def ask(path: Path, command: bytes) -> bytes:
    """The answer to a command, empty if there is none."""
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(str(path))
            line.sendall(b"z" + command + b"\0")
            return line.recv(1000).rstrip(b"\0")
    except OSError:
        return b""


@contextmanager
def scripted_clamd(path: Path, answer: Callable[[socket.socket, int], None]) -> Iterator[Path]:
    """A socket at which `answer(connection, number)` speaks; the connection is closed after it."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def serve() -> None:
            number = 0
            with suppress(OSError):
                while True:
                    line, _ = server.accept()
                    with line, suppress(OSError):
                        answer(line, number)
                    number += 1

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield path
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
