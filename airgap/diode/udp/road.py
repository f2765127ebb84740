"""Both ends of the UDP road, as the other roads have them: `UdpSender` and `UdpReceiver`."""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from airgap.base.amounts import human
from airgap.base.disk import write_durably
from airgap.base.errors import InputError, UpstreamError
from airgap.diode.beats import Beat
from airgap.diode.events import RoadListener
from airgap.diode.head import encode_signatures
from airgap.diode.inbox import HIDDEN, Inbox
from airgap.diode.outgoing import Outgoing
from airgap.diode.udp.burst import Burst
from airgap.diode.udp.hello import Hello
from airgap.diode.udp.keeper import Keeper
from airgap.diode.udp.pace import Pace
from airgap.diode.udp.packets import SESSION, PacketKind, PacketPlace, PacketSeal
from airgap.diode.udp.receiver import Newest, PacketReceiver
from airgap.diode.udp.sender import OutgoingFile, PacketSender
from airgap.diode.udp.shape import Block, PacketShape, shape_for
from airgap.diode.udp.sockets import RECEIVE_BUFFER, PacketIntake, PacketOutlet
from airgap.diode.udp.warnings import Counts

DEFAULT_RATE = 100_000_000
"""Bits a second. Nothing tells a sender that a diode drops packets, so it begins with what every network carries."""
DEFAULT_PASSES = 2
DEFAULT_PARITY = 10
"""Percent of the data."""
DEFAULT_MTU = 1500
SMALL_BUFFER = 8 << 20
"""Bytes of the kernel's buffer below which a receiver says that it may lose packets at high rates."""
_NEWEST = "udp-session"
_TICK = 0.25
_PRIORITY = -15
"""Measured on two cores with six busy processes: without it, 5 % of the packets were lost; with it, none."""


@dataclass(frozen=True, slots=True)
class UdpSettings:
    """How to send by UDP."""

    rate: int = DEFAULT_RATE
    """Bits a second."""
    passes: int = DEFAULT_PASSES
    parity: int = DEFAULT_PARITY
    """Percent of the data."""
    mtu: int = DEFAULT_MTU
    """Bytes of the largest packet of the network."""
    plain: bool = False
    """Send each packet by a call of its own."""


USUAL = UdpSettings()


class UdpSender:
    """Sends deliveries and beats to one address."""

    def __init__(
        self,
        host: str,
        port: int,
        secret: bytes,
        clock: Callable[[], datetime],
        settings: UdpSettings = USUAL,
    ) -> None:
        """`secret` is the shared key, empty for none.

        Raises `InputError` (`bad-road`, `usage`, `diode-mtu`),
        `UnreachableError`.
        """
        self._host, self._port, self._secret, self._clock = host, port, secret, clock
        self._rate, self._plain = settings.rate, settings.plain
        self._headers = 48 if ":" in host else 28
        try:
            rows = -(-128 * settings.parity // 100)
            self._shape = shape_for(settings.mtu, self._headers, parity=rows, turns=settings.passes)
        except ValueError as error:
            hint = "use fewer --passes, less --parity, or another --mtu"
            raise InputError("usage", f"--passes, --parity, --mtu: {error}", hint) from error
        with self._burst():  # whether there is a way at all is known before the delivery is looked at
            pass

    def send(self, outgoing: Outgoing, advance: Callable[[int], None]) -> None:
        """Sends a delivery; `advance` is told how many bytes of files went.

        Raises `IntegrityError` (`damaged-file`, `unreadable`, `too-large`), `UnreachableError`, `StoreError`.
        """
        shape = self._shape
        parts = [OutgoingFile(file, path) for file, path in zip(outgoing.files, outgoing.paths, strict=True)]
        blocks = _blocks(outgoing, shape)
        head = [encode_signatures(outgoing.signatures), outgoing.media.index_bytes]
        hello = Hello(
            shape,
            int(self._clock().timestamp() * 1000),
            len(head[0]),
            len(head[1]),
            bytes.fromhex(outgoing.digest.hex),
            sum(block.size for block in blocks),
            len(outgoing.parts),
        )
        with self._burst() as burst:
            PacketSender(burst, hello, head, parts, self._rate).run(blocks, advance)

    def beat(self, beat: Beat) -> None:
        """Sends a sign of life. Raises `UnreachableError`."""
        sent = beat.sent
        while len(payload := Beat(beat.at, beat.every, sent).encode()) > self._shape.payload:
            sent = sent[1:]
        with self._burst() as burst:
            burst.put(PacketPlace(PacketKind.BEAT, 0, 0, 0, 0, 0), payload)
            burst.flush()

    def close(self) -> None:
        """Ends the road: there is nothing to end."""

    @contextlib.contextmanager
    def _burst(self) -> Iterator[Burst]:
        """A socket, and a new session: no two have one name."""
        shape = self._shape
        outlet = PacketOutlet(self._host, self._port, shape.packet, self._headers, plain=self._plain)
        try:
            session = PacketSeal(self._secret, secrets.token_bytes(SESSION))
            yield Burst(outlet, Pace(self._rate), session, shape, self._headers)
        finally:
            outlet.close()


def _blocks(outgoing: Outgoing, shape: PacketShape) -> list[Block]:
    """The blocks in which the wanted parts of files are, in the order of sending."""
    found = []
    for number in outgoing.order():
        size = outgoing.files[number].size
        wanted: set[int] = set()
        for begin, end in outgoing.parts[number]:
            wanted.update(range(begin // shape.block_bytes, -(-end // shape.block_bytes)))
        found += [shape.block(number, one, size) for one in sorted(wanted)]
    return found


class UdpReceiver:
    """Listens at a port, and gives what comes to the inbox."""

    def __init__(
        self,
        inbox: Inbox,
        listener: RoadListener,
        secret: bytes,
        address: tuple[str, int],
        *,
        buffer: int = RECEIVE_BUFFER,
        plain: bool = False,
    ) -> None:
        """`address` is a host (empty: every address) and a port. Raises `InputError` (`cannot-listen`)."""
        self._intake = PacketIntake(*address, buffer, plain=plain)
        self._newest = inbox.folder / HIDDEN / f"{_NEWEST}-{self._intake.port}"
        self.where = f"udp://{address[0]}:{self._intake.port}"
        self._keeper = Keeper(inbox, listener, self._remember)
        self._receiver = PacketReceiver(secret, self._keeper, self._recalled())
        if self._intake.buffer < min(buffer, SMALL_BUFFER):
            self._keeper.put_warning(_small_buffer(self._intake.buffer))

    @property
    def counts(self) -> Counts:
        """What came so far."""
        return self._receiver.counts

    def run(self, stop: threading.Event) -> None:
        """Receives until `stop` is set; then keeps what there is of blocks that are not whole.

        Raises `UpstreamError` if the socket fails.
        """
        with contextlib.suppress(OSError):  # of Linux: of this thread alone. The kernel's buffer is short.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _PRIORITY)
        try:
            self._run(stop)
        except OSError as error:
            what = f"{self.where}: {error.strerror or error}"
            hint = "look at the network card; then run the same command again"
            raise UpstreamError("link-broken", what, hint, side="origin") from error
        finally:
            self._intake.close()
            self._receiver.close()
            self._keeper.close()

    def _run(self, stop: threading.Event) -> None:
        intake, take, messages, due = self._intake, self._receiver.take, self._intake.messages, 0.0
        while not stop.is_set():
            for number, length in enumerate(intake.receive()):
                take(messages[number], length)
            now = time.monotonic()
            if now >= due:
                due = now + _TICK
                self._receiver.tick(intake.dropped)
                self._keeper.check()

    def _recalled(self) -> Newest:
        """The newest session that this inbox met. A damaged file is none: then a replay is only received again."""
        with contextlib.suppress(OSError, ValueError):
            started, name = Path(self._newest).read_bytes()[:100].split()
            return Newest(int(started), bytes.fromhex(name.decode("ascii")))
        return Newest()

    def _remember(self, started: int, name: bytes) -> None:
        write_durably(self._newest, f"{started} {name.hex()}\n".encode())


def _small_buffer(size: int) -> UpstreamError:
    what = f"the kernel keeps only {human(size)} of packets that were not taken yet, and may drop more at high rates"
    hint = f"`sysctl -w net.core.rmem_max={RECEIVE_BUFFER}`, or run it as root or with CAP_NET_ADMIN"
    return UpstreamError("small-buffer", what, hint)
