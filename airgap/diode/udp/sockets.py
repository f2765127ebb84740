"""UDP sockets: many datagrams in one call of the kernel where it can, one by one where it cannot. Nothing is answered.

Sources: udp(7), UDP_SEGMENT and UDP_GRO; recvmmsg(2); socket(7), SO_RCVBUFFORCE, SO_MEMINFO; Linux 6.18,
include/uapi/linux/udp.h. Python has no names for most of them.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import socket
import struct
import time
from collections.abc import Sequence
from contextlib import suppress

from airgap.base.errors import InputError, UnreachableError

_SEGMENT, _GRO = 103, 104
_MTU_DISCOVER, _RECVERR, _MTU_DO, _MTU = 10, 11, 2, 14
_NEIGHBOURS = "/proc/net/arp"
_V6_MTU_DISCOVER, _V6_MTU = 23, 24
_SNDBUFFORCE, _RCVBUFFORCE, _MEMINFO = 32, 33, 55
_DROPS = 8
"""The place of the drops among the numbers of SO_MEMINFO."""
_WAIT_FOR_ONE = 0x10000
MESSAGES = 32
"""Messages that one call takes, each of up to 64 KiB: one datagram, or many that the kernel joined."""
MESSAGE = 64 << 10
WAIT = 0.2
"""Seconds that a receiver waits for a packet before it looks at the clock."""
RECEIVE_BUFFER = 64 << 20
"""Bytes of the kernel's buffer that a receiver asks for: a quarter of a second at 2 Gbit/s."""
_SEND_BUFFER = 4 << 20
_PATIENCE = 100
"""How often a send is tried again while the kernel has no room, a millisecond later each time."""


def _mtu_of(where: socket.socket) -> int:
    v6 = where.family == socket.AF_INET6
    with suppress(OSError):
        return where.getsockopt(socket.IPPROTO_IPV6 if v6 else socket.IPPROTO_IP, _V6_MTU if v6 else _MTU)
    return 0


class PacketOutlet:
    """The sending end: a connected socket that sends bursts of packets of one size."""

    def __init__(self, host: str, port: int, packet: int, headers: int, *, plain: bool = False) -> None:
        """`packet` are the bytes of each, `headers` those of IP and UDP; `plain` does without UDP_SEGMENT.

        Raises `InputError` (`diode-mtu`, `bad-road`), `UnreachableError`.
        """
        self.host, self.packet = host, packet
        self._socket = _connected(host, port)
        v6 = self._socket.family == socket.AF_INET6
        with suppress(OSError):
            level = socket.IPPROTO_IPV6 if v6 else socket.IPPROTO_IP
            self._socket.setsockopt(level, _V6_MTU_DISCOVER if v6 else _MTU_DISCOVER, _MTU_DO)
        mtu = _mtu_of(self._socket)
        if mtu and mtu < packet + headers:
            self._socket.close()
            what = f"the way to {host} takes packets of {mtu} bytes, the packets would have {packet + headers}"
            raise InputError("diode-mtu", what, f"pass --mtu {mtu}, or set the MTU of both network cards")
        with suppress(OSError):  # the kernel then says that nobody answers ARP
            self._socket.setsockopt(socket.IPPROTO_IP, _RECVERR, 1)
        _enlarge(self._socket, socket.SO_SNDBUF, _SNDBUFFORCE, _SEND_BUFFER)
        self.joined = not plain and self._can_join()

    def _can_join(self) -> bool:
        try:
            self._socket.setsockopt(socket.IPPROTO_UDP, _SEGMENT, self.packet)
        except OSError:
            return False
        return True

    def send(self, burst: memoryview) -> None:
        """Sends packets that lie one after the other. Raises `UnreachableError`."""
        if self.joined:
            try:
                return self._send(burst)
            except OSError as error:
                if error.errno not in (errno.EIO, errno.EINVAL, errno.EMSGSIZE, errno.EOPNOTSUPP):
                    raise self._failed(error) from error
                # The network card cannot do it, and said so only now.
                self.joined = False
                with suppress(OSError):
                    self._socket.setsockopt(socket.IPPROTO_UDP, _SEGMENT, 0)
        try:
            for at in range(0, len(burst), self.packet):
                self._send(burst[at : at + self.packet])
        except OSError as error:
            raise self._failed(error) from error
        return None

    def _send(self, data: memoryview) -> None:
        for tried in range(_PATIENCE):
            try:
                self._socket.send(data)
            except ConnectionRefusedError:
                continue  # an answer to an earlier packet, on a network that is no diode; this one was not sent
            except OSError as error:
                if error.errno not in (errno.ENOBUFS, errno.EAGAIN) or tried == _PATIENCE - 1:
                    raise
                time.sleep(0.001)
            else:
                return

    def check_neighbour(self) -> None:
        """Checks, once packets were sent, that the kernel knows the hardware address of the other end.

        It asks for one that it does not know, keeps few packets meanwhile, and drops the others in silence. Raises
        `UnreachableError`.
        """
        with suppress(OSError), open(_NEIGHBOURS) as table:
            for words in (line.split() for line in table):
                if len(words) > 3 and words[0] == self.host and words[2] == "0x0":
                    raise self._failed(
                        OSError(errno.EHOSTUNREACH, "nobody answers a question for its hardware address")
                    )

    def _failed(self, error: OSError) -> UnreachableError:
        what = f"{self.host}: {error.strerror or error}"
        hint = "nobody answers ARP through a diode: `ip neigh replace ADDRESS lladdr MAC dev CARD nud permanent`"
        return UnreachableError("unreachable", what, hint)

    def close(self) -> None:
        """Closes the socket."""
        self._socket.close()


def _connected(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)
        family, kind, protocol, _, address = found[0]
    except (OSError, UnicodeError) as error:
        hint = "give an IP address: nothing answers a question for a name through a diode"
        raise InputError("bad-road", f"{host!r:.200}: not an IP address", hint) from error
    made = socket.socket(family, kind | socket.SOCK_CLOEXEC, protocol)
    try:
        made.connect(address)
    except OSError as error:
        made.close()
        hint = "add a route to it, and a permanent neighbour entry"
        raise UnreachableError("unreachable", f"{host}: {error.strerror or error}", hint) from error
    return made


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("size", ctypes.c_size_t))


class _MessageHeader(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_size", ctypes.c_uint32),
        ("vectors", ctypes.c_void_p),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_size", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Message(ctypes.Structure):
    _fields_ = (("header", _MessageHeader), ("length", ctypes.c_uint))


class PacketIntake:
    """The receiving end: fills `messages`, and says how long each is."""

    def __init__(self, host: str, port: int, buffer: int = RECEIVE_BUFFER, *, plain: bool = False) -> None:
        """Listens at `host` (empty: at all addresses). `plain` takes one datagram at a time.

        Raises `InputError` (`cannot-listen`).
        """
        self._socket = _bound(host, port)
        self.port: int = self._socket.getsockname()[1]
        _enlarge(self._socket, socket.SO_RCVBUF, _RCVBUFFORCE, buffer)
        self.buffer = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2
        """Bytes of the kernel's buffer: it doubles what was asked for."""
        seconds = struct.pack("@ll", 0, int(WAIT * 1e6))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, seconds)
        if not plain:
            with suppress(OSError):
                self._socket.setsockopt(socket.IPPROTO_UDP, _GRO, 1)
        self._memory = mmap.mmap(-1, MESSAGES * MESSAGE)
        whole = memoryview(self._memory)
        self.messages = [whole[at : at + MESSAGE] for at in range(0, len(whole), MESSAGE)]
        self._call = None if plain else getattr(ctypes.CDLL(None, use_errno=True), "recvmmsg", None)
        self._raw = bytearray(MESSAGES * ctypes.sizeof(_Message))
        self._vectors = (_Vector * MESSAGES)()
        self._headers = (_Message * MESSAGES).from_buffer(self._raw)
        self._prepare()
        step = ctypes.sizeof(_Message) // 4
        self._lengths = memoryview(self._raw).cast("I")[_Message.length.offset // 4 :: step]

    def _prepare(self) -> None:
        base = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        for at in range(MESSAGES):
            self._vectors[at] = _Vector(base + at * MESSAGE, MESSAGE)
            self._headers[at].header.vectors = ctypes.addressof(self._vectors[at])
            self._headers[at].header.vector_count = 1

    def receive(self) -> Sequence[int]:
        """Waits for a packet, at most `WAIT` seconds; returns the bytes of each message that came. Raises `OSError`."""
        if self._call is None:
            try:
                return (self._socket.recv_into(self.messages[0]),)
            except BlockingIOError:
                return ()
        count = self._call(self._socket.fileno(), self._headers, MESSAGES, _WAIT_FOR_ONE, None)
        if count > 0:
            return self._lengths[:count].tolist()
        number = ctypes.get_errno()
        if number in (errno.EAGAIN, errno.EINTR):
            return ()
        if number in (errno.ENOSYS, errno.EPERM):
            self._call = None  # a sandbox without this call
            return ()
        raise OSError(number, "recvmmsg")

    @property
    def dropped(self) -> int:
        """Packets that the kernel dropped because its buffer was full: the receiver was too slow, not the link."""
        try:
            said = self._socket.getsockopt(socket.SOL_SOCKET, _MEMINFO, 36)
        except OSError:
            return 0
        return int(struct.unpack("@9I", said)[_DROPS]) if len(said) == 36 else 0

    def close(self) -> None:
        """Closes the socket. The memory goes with the object."""
        self._socket.close()


def _bound(host: str, port: int) -> socket.socket:
    try:
        flags = socket.AI_NUMERICHOST | socket.AI_PASSIVE
        family, kind, protocol, _, address = socket.getaddrinfo(
            host or "0.0.0.0",  # noqa: S104 - a receiver behind a diode is asked for by no address of its own
            port,
            type=socket.SOCK_DGRAM,
            flags=flags,
        )[0]
        made = socket.socket(family, kind | socket.SOCK_CLOEXEC, protocol)
    except (OSError, UnicodeError) as error:
        hint = "give an IP address of this machine and a port, or only a port: udp://:4000"
        raise InputError("cannot-listen", f"{host!r:.200}: not an IP address", hint) from error
    try:
        made.bind(address)
    except OSError as error:
        made.close()
        what = f"{host or '*'}:{port}: {error.strerror or error}"
        raise InputError("cannot-listen", what, "name another port, or an address of this machine") from error
    return made


def _enlarge(where: socket.socket, usual: int, forced: int, size: int) -> None:
    """Asks for a buffer of `size` bytes: beyond the system's limit if this process may, else up to it."""
    for option in (forced, usual):
        with suppress(OSError):
            where.setsockopt(socket.SOL_SOCKET, option, size)
            return
