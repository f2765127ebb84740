"""Two network namespaces that are joined by a cable that carries one way, as a data diode does; root only.

The far side has no route back, and no ARP: what it could answer has no way, and the counters say that nothing went.
"""

from __future__ import annotations

import json
import random
import secrets
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from airgap.jobs.receive import ReceivedNow, ReceiveOptions, receive
from airgap.jobs.send import SendOptions, send
from tests.parts.need import require_part
from tests.parts.system import NetworkNamespace
from tests.worlds.surroundings import quiet

NEAR, FAR = "10.77.0.1", "10.77.0.2"
PORT, RELAY = 4000, 4001
TO = f"udp://{FAR}:{PORT}"
THROUGH = f"udp://127.0.0.1:{RELAY}"
"""For a sender whose packets go through a `Spoiler`."""

Spoil = Callable[[bytes, random.Random], list[bytes]]


class OneWay:
    """The namespaces `near` and `far`."""

    def __init__(self, *, known: bool = True) -> None:
        """Without `known`, the near side asks for the hardware address of the far one, and nobody answers."""
        self.near, self.far = NetworkNamespace(), NetworkNamespace()
        self.cards = (f"n{secrets.token_hex(4)}", f"f{secrets.token_hex(4)}")
        near, far = self.cards
        for side in (self.near, self.far):  # IPv6 would announce itself
            side.run(["sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1"])
        self._ip("link", "add", near, "netns", self.near.name, "type", "veth", "peer", far, "netns", self.far.name)
        self._ip("-n", self.near.name, "addr", "add", f"{NEAR}/24", "dev", near)
        self._ip("-n", self.far.name, "addr", "add", f"{FAR}/32", "dev", far)
        self._ip("-n", self.near.name, "link", "set", near, "arp", "off" if known else "on", "up")
        self._ip("-n", self.far.name, "link", "set", far, "arp", "off", "up")
        if known:
            address = self._card(self.far, far)["address"]
            self._ip("-n", self.near.name, "neigh", "replace", FAR, "lladdr", address, "nud", "permanent", "dev", near)

    def remove(self) -> None:
        self.near.remove()
        self.far.remove()

    def came_back(self) -> int:
        """Packets that the far side sent."""
        sent = self._card(self.far, self.cards[1])["stats64"]["tx"]["packets"]
        taken = self._card(self.near, self.cards[0])["stats64"]["rx"]["packets"]
        return int(sent) + int(taken)

    def _card(self, side: NetworkNamespace, name: str) -> dict[str, Any]:
        said = self._ip("-n", side.name, "-s", "-j", "link", "show", "dev", name)
        found: dict[str, Any] = json.loads(said)[0]
        return found

    def _ip(self, *words: str) -> str:
        return subprocess.run(
            [str(require_part("iproute2")), *words], check=True, capture_output=True, text=True
        ).stdout


class Reception:
    """A receiver in the far namespace, in a thread of this process."""

    def __init__(self, joined: OneWay, options: ReceiveOptions, state: Path) -> None:
        self.said = list[dict[str, Any]]()
        self.stop = threading.Event()
        self._joined, self._options, self._state = joined, options, state
        self._pool = ThreadPoolExecutor(1)
        self._result = self._pool.submit(self._run)
        self.wait("listening")

    def _run(self) -> ReceivedNow:
        with self._joined.far.entered():
            return receive(self._options, quiet(self._state), self._tell, self.stop)

    def _tell(self, document: dict[str, Any], _text: str) -> None:
        self.said.append(document)

    def wait(self, event: str, seconds: float = 20.0) -> dict[str, Any]:
        """The first event of that name, when it came."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for one in self.said:
                if one["event"] == event:
                    return one
            if self._result.done():
                self._result.result()
            time.sleep(0.01)
        raise AssertionError(f"no {event}: {self.said}")

    def events(self) -> list[str]:
        return [one["event"] for one in self.said]

    def end(self) -> ReceivedNow:
        """Stops it, and returns its result."""
        self.stop.set()
        found = self._result.result(30)
        self._pool.shutdown()
        return found


def send_from(joined: OneWay, options: SendOptions, state: Path) -> None:
    """Sends, in the near namespace."""
    with joined.near.entered():
        send(options, quiet(state))


class Spoiler:
    """A bad line: takes packets in the near namespace, and gives on what `spoil` makes of them."""

    def __init__(self, joined: OneWay, spoil: Spoil, seed: int = 1) -> None:
        self._spoil, self._chance = spoil, random.Random(seed)
        self._stop = threading.Event()
        with joined.near.entered():
            self._in = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._in.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
        self._in.bind(("127.0.0.1", RELAY))
        self._in.settimeout(0.1)
        self._out.connect((FAR, PORT))
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                packet = self._in.recv(1 << 16)
            except TimeoutError:
                continue
            for one in self._spoil(packet, self._chance):
                self._out.send(one)

    def end(self) -> None:
        self._stop.set()
        self._thread.join()
        self._in.close()
        self._out.close()


@contextmanager
def spoiled(joined: OneWay, spoil: Spoil) -> Iterator[None]:
    made = Spoiler(joined, spoil)
    try:
        yield
    finally:
        made.end()
