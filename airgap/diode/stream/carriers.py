"""What carries a stream away: TCP, an open file such as a pipe, a serial line. Nothing is ever read from it."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress
from pathlib import Path

from airgap.base.errors import UnreachableError, UpstreamError
from airgap.diode.stream.sender import LinkLostError
from airgap.diode.stream.serial_line import open_line

_PIECE = 256 << 10
_SERIAL_PIECE = 4 << 10
"""Bytes of a file in a frame: on a slow line, damage costs a frame."""
CONNECT = 10.0
"""Seconds for one attempt to connect."""
PATIENCE = 600.0
"""Seconds for which a broken connection is tried again."""
_LAST = 10.0
"""Seconds that the other end has to take the last bytes and to close."""


class TcpCarrier:
    """A connection to a proxy of the diode, which ends TCP there. It is made again if it breaks."""

    piece = _PIECE

    def __init__(self, host: str, port: int, patience: float = PATIENCE) -> None:
        """Connects. Raises `UnreachableError` (`unreachable`)."""
        self._address, self._patience = (host, port), patience
        self._where = f"tcp://{host}:{port}"
        self._socket = self._connect(0.0)

    def put(self, data: bytes) -> None:
        """As `Carrier.put`."""
        try:
            self._socket.sendall(data)
        except OSError as error:
            self._socket.close()
            self._socket = self._connect(self._patience)
            raise LinkLostError from error

    def close(self) -> None:
        """Says that no more comes, and waits until the other end has taken it."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
            self._socket.settimeout(_LAST)
            self._socket.recv(1)  # nothing comes; its end does
        self._socket.close()

    def _connect(self, patience: float) -> socket.socket:
        until, pause = time.monotonic() + patience, 0.5
        while True:
            try:
                made = socket.create_connection(self._address, CONNECT)
            except OSError as error:
                if time.monotonic() + pause > until:
                    what = f"{self._where}: {error.strerror or error}"
                    hint = "check the address, and that the proxy of the diode runs; then run the same command again"
                    raise UnreachableError("unreachable", what, hint, side="destination") from error
                time.sleep(pause)
                pause = min(2 * pause, 15.0)
            else:
                made.settimeout(None)
                made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                return made


class FileCarrier:
    """An open file: stdout, a pipe, a serial line."""

    def __init__(self, fd: int, where: str, piece: int = _PIECE) -> None:
        self._fd, self._where, self.piece = fd, where, piece

    @classmethod
    def serial(cls, path: Path, baud: int) -> FileCarrier:
        """A serial line. Raises `InputError` (`bad-road`), `StoreError`."""
        return cls(open_line(path, baud), f"serial:{path}", _SERIAL_PIECE)

    def put(self, data: bytes) -> None:
        """As `Carrier.put`."""
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError as error:
            raise UpstreamError(
                "link-broken",
                f"{self._where}: {error.strerror}",
                "look at the program or the device that takes the stream; then run the same command again",
                side="destination",
            ) from error

    def close(self) -> None:
        """Closes the file; a serial line sends what it has."""
        with suppress(OSError):
            os.close(self._fd)
