"""The table of roads: what `--to` and `--listen` name, by the scheme of the address.

A new road is an entry in `OUTLETS` and one in `INTAKES`. An address is `SCHEME://HOST:PORT`, `serial:PATH?baud=N`, `-`
for a pipe, or the path of a folder.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from airgap.base.errors import InputError
from airgap.diode.beats import Beat
from airgap.diode.events import RoadListener
from airgap.diode.folder.outlet import FolderOutlet
from airgap.diode.inbox import Inbox
from airgap.diode.outgoing import Outgoing
from airgap.diode.stream.carriers import FileCarrier, TcpCarrier
from airgap.diode.stream.intakes import FileIntake, TcpIntake
from airgap.diode.stream.receiver import StreamReceiver
from airgap.diode.stream.sender import StreamSender
from airgap.diode.stream.serial_line import DEFAULT_BAUD, open_line
from airgap.diode.udp.road import (
    DEFAULT_MTU,
    DEFAULT_PARITY,
    DEFAULT_PASSES,
    DEFAULT_RATE,
    UdpReceiver,
    UdpSender,
    UdpSettings,
)
from airgap.diode.udp.sockets import RECEIVE_BUFFER

PIPE = "-"
FOLDER = "folder"
_NETWORK = re.compile(r"([a-z]+)://(\[[0-9A-Fa-f:.]+\]|[^\[\]:/?#@\s]*):([0-9]{1,5})/?")
_SERIAL = re.compile(r"serial:([^?]+)(?:\?baud=([0-9]{1,7}))?")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a road begins or ends."""

    scheme: str
    host: str = ""
    port: int = 0
    path: Path = Path()
    baud: int = DEFAULT_BAUD

    @classmethod
    def parse(cls, text: str) -> Address:
        """Reads what people type. Raises `InputError` (`bad-road`)."""
        if text == PIPE:
            return cls(PIPE)
        if found := _NETWORK.fullmatch(text):
            if int(found[3]) > 65535:
                raise _bad(text, "the largest port is 65535")
            return cls(found[1], found[2].strip("[]"), int(found[3]))
        if found := _SERIAL.fullmatch(text):
            return cls("serial", path=Path(found[1]), baud=int(found[2] or DEFAULT_BAUD))
        if not text or "://" in text or text.startswith("serial:"):
            raise _bad(text, "no road has such an address")
        return cls(FOLDER, path=Path(text))


def _bad(text: str, why: str) -> InputError:
    roads = "udp://HOST:PORT, tcp://HOST:PORT, serial:/dev/ttyS0?baud=115200, - for a pipe, or a folder"
    return InputError("bad-road", f"{text!r}: {why}", f"name one of {roads}")


@dataclass(frozen=True, slots=True)
class SendSettings:
    """How to send. What a road does not have is not used."""

    clock: Callable[[], datetime]
    """The time, by which a receiver tells an old session from a new one."""
    secret: bytes = b""
    """The shared key; empty for none."""
    rate: int = 0
    """Bits a second; 0 for what the road takes."""
    passes: int = 0
    """How often everything is sent; 0 for what is usual on the road."""
    stdout: int = 1
    """The descriptor of the pipe."""
    parity: int = DEFAULT_PARITY
    """Percent of parity that a road of packets adds."""
    mtu: int = DEFAULT_MTU
    """Bytes of the largest packet of the network."""
    unauthenticated: bool = False
    """Send packets without a shared key: expressly."""


class Outlet(Protocol):
    """The sending end of a road."""

    def send(self, outgoing: Outgoing, advance: Callable[[int], None]) -> None:
        """Sends a delivery; `advance` is told how many bytes went. Raises `IntegrityError`, `UpstreamError`."""

    def beat(self, beat: Beat) -> None:
        """Sends a sign of life. Raises `UpstreamError`."""

    def close(self) -> None:
        """Ends the road."""


class _StreamOutlet:
    """A stream, in the manner of `Outlet`."""

    def __init__(self, sender: StreamSender, passes: int) -> None:
        self._sender, self._passes = sender, passes
        self.beat, self.close = sender.beat, sender.close

    def send(self, outgoing: Outgoing, advance: Callable[[int], None]) -> None:
        self._sender.send(outgoing, self._passes, advance)


def _tcp_out(address: Address, settings: SendSettings) -> Outlet:
    carrier = TcpCarrier(address.host or "127.0.0.1", address.port)
    return _StreamOutlet(StreamSender(carrier, settings.secret, settings.rate), settings.passes or 1)


def _pipe_out(_address: Address, settings: SendSettings) -> Outlet:
    carrier = FileCarrier(settings.stdout, "stdout")
    return _StreamOutlet(StreamSender(carrier, settings.secret, settings.rate), settings.passes or 1)


def _serial_out(address: Address, settings: SendSettings) -> Outlet:
    carrier = FileCarrier.serial(address.path, address.baud)
    return _StreamOutlet(StreamSender(carrier, settings.secret, settings.rate), settings.passes or 1)


def _udp_out(address: Address, settings: SendSettings) -> Outlet:
    _check_key(settings.secret, unauthenticated=settings.unauthenticated)
    return UdpSender(
        address.host,
        address.port,
        settings.secret,
        settings.clock,
        UdpSettings(settings.rate or DEFAULT_RATE, settings.passes or DEFAULT_PASSES, settings.parity, settings.mtu),
    )


def _check_key(secret: bytes, *, unauthenticated: bool) -> None:
    """Raises `InputError` (`no-shared-key`): anybody can put a packet onto a network, and nobody sees who did."""
    if not secret and not unauthenticated:
        raise InputError(
            "no-shared-key",
            "no shared key was given: anybody who can send packets to the receiver could keep it from receiving",
            "pass --key-file on both sides (make one with `openssl rand -hex 32`), or --unauthenticated on both",
        )


def _folder_out(address: Address, settings: SendSettings) -> Outlet:
    return FolderOutlet(address.path, settings.secret)


OUTLETS: Mapping[str, Callable[[Address, SendSettings], Outlet]] = {
    "udp": _udp_out,
    "tcp": _tcp_out,
    "serial": _serial_out,
    PIPE: _pipe_out,
    FOLDER: _folder_out,
}
"""The sending end of each road, by the scheme of its address."""


def open_outlet(text: str, settings: SendSettings) -> Outlet:
    """Opens the sending end of a road. Raises `InputError` (`bad-road`), `UpstreamError`, `StoreError`."""
    address = Address.parse(text)
    if address.scheme not in OUTLETS:
        raise _bad(text, f"there is no road {address.scheme!r}")
    return OUTLETS[address.scheme](address, settings)


@dataclass(frozen=True, slots=True)
class ReceiveSettings:
    """How to receive. What a road does not have is not used."""

    inbox: Inbox
    listener: RoadListener
    secret: bytes = b""
    """The shared key; empty for none."""
    stdin: int = 0
    """The descriptor of the pipe."""
    buffer: int = RECEIVE_BUFFER
    """Bytes of the kernel's buffer for packets."""
    unauthenticated: bool = False
    """Receive packets without a shared key: expressly."""

    def receiver(self) -> StreamReceiver:
        """The reader of a new stream."""
        return StreamReceiver(self.inbox, self.listener, self.secret)


class Intake(Protocol):
    """The receiving end of a road."""

    where: str
    """For people."""

    def run(self, stop: threading.Event) -> None:
        """Takes what comes until `stop`, or until the road ends. Raises `AirgapError` if it cannot go on."""


def _udp_in(address: Address, settings: ReceiveSettings) -> Intake:
    _check_key(settings.secret, unauthenticated=settings.unauthenticated)
    where = (address.host, address.port)
    return UdpReceiver(settings.inbox, settings.listener, settings.secret, where, buffer=settings.buffer)


def _tcp_in(address: Address, settings: ReceiveSettings) -> Intake:
    return TcpIntake(address.host, address.port, settings.receiver)


def _pipe_in(_address: Address, settings: ReceiveSettings) -> Intake:
    return FileIntake(settings.stdin, "stdin", settings.receiver)


def _serial_in(address: Address, settings: ReceiveSettings) -> Intake:
    return FileIntake(open_line(address.path, address.baud), f"serial:{address.path}", settings.receiver)


INTAKES: Mapping[str, Callable[[Address, ReceiveSettings], Intake]] = {
    "udp": _udp_in,
    "tcp": _tcp_in,
    "serial": _serial_in,
    PIPE: _pipe_in,
}
"""The receiving end of each road, by the scheme of its address. A folder is watched (`airgap.diode.folder.intake`)."""


def open_intake(text: str, settings: ReceiveSettings) -> Intake:
    """Opens the receiving end of a road. Raises `InputError` (`bad-road`, `cannot-listen`), `StoreError`."""
    address = Address.parse(text)
    if address.scheme == FOLDER:
        raise InputError("bad-road", f"{text!r} is a folder, which is watched", f"use --watch {text}")
    if address.scheme not in INTAKES:
        raise _bad(text, f"there is no road {address.scheme!r}")
    return INTAKES[address.scheme](address, settings)
