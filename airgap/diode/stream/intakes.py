"""Where streams come in: TCP connections, an open file such as a pipe, a serial line. Nothing is ever written to it."""

from __future__ import annotations

import os
import select
import socket
import threading
from collections.abc import Callable
from contextlib import suppress

from airgap.base.errors import InputError, UpstreamError
from airgap.diode.stream.receiver import StreamReceiver

READ = 256 << 10
"""Bytes that are taken at once."""
MAX_CONNECTIONS = 8
"""Senders at the same time: each may have some megabytes before a signature was checked."""
IDLE = 900.0
"""Seconds without a byte after which a connection is closed: a sender that lives sends beats."""
_LOOK = 0.5
"""Seconds between two looks at whether to stop."""

MakeReceiver = Callable[[], StreamReceiver]


class FileIntake:
    """An open file: stdin, a pipe, a serial line. Its end is the end of the road."""

    def __init__(self, fd: int, where: str, make: MakeReceiver) -> None:
        self.where = where
        self._fd, self._receiver = fd, make()

    def run(self, stop: threading.Event) -> None:
        """Takes bytes until the end of the stream, or until `stop`. Raises `UpstreamError` (`link-broken`)."""
        try:
            while not stop.is_set():
                if not select.select([self._fd], [], [], _LOOK)[0]:
                    continue
                data = os.read(self._fd, READ)
                if not data:
                    return
                self._receiver.feed(data)
        except OSError as error:
            hint = "look at the program or the device that brings the stream; then run the same command again"
            raise UpstreamError("link-broken", f"{self.where}: {error.strerror}", hint, side="origin") from error


class TcpIntake:
    """Takes connections. Each is a stream of its own."""

    def __init__(self, host: str, port: int, make: MakeReceiver) -> None:
        """Begins to listen; `host` may be empty for all addresses. Raises `InputError` (`cannot-listen`)."""
        self._make = make
        self._threads: list[threading.Thread] = []
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self._socket = socket.create_server((host, port), family=family, backlog=MAX_CONNECTIONS)
        except (OSError, OverflowError) as error:
            what = f"tcp://{host}:{port}: {error.strerror if isinstance(error, OSError) else error}"
            raise InputError("cannot-listen", what, "name another address and port in --listen") from error
        self.where = f"tcp://{host}:{self._socket.getsockname()[1]}"

    def run(self, stop: threading.Event) -> None:
        """Takes connections until `stop`."""
        self._socket.settimeout(_LOOK)
        with self._socket:
            while not stop.is_set():
                with suppress(OSError):  # a timeout, or a connection that broke before it was taken
                    connection = self._socket.accept()[0]
                    self._threads = [one for one in self._threads if one.is_alive()]
                    if len(self._threads) >= MAX_CONNECTIONS:
                        connection.close()
                        continue
                    self._threads.append(threading.Thread(target=self._serve, args=(connection, stop), daemon=True))
                    self._threads[-1].start()
        for thread in self._threads:
            thread.join()

    def _serve(self, connection: socket.socket, stop: threading.Event) -> None:
        receiver, idle = self._make(), 0.0
        connection.settimeout(_LOOK)
        with connection:
            while not stop.is_set() and idle < IDLE:
                try:
                    data = connection.recv(READ)
                except TimeoutError:
                    idle += _LOOK
                    continue
                except OSError:
                    return
                if not data:
                    return
                idle = 0.0
                receiver.feed(data)
