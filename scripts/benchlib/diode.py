"""`scripts/bench D`: a delivery through a data diode, next to other tools: two namespaces that are joined one way.

Each packet is lost with the same chance, by the firewall of the far side, before any tool sees it. The clock runs from
the first packet on the far card until the receiver has everything, verified if it can do that. Root only: it changes
net.core.rmem_default while it runs, because the peers do not ask for a buffer, and gives all tools real-time priority.
"""

from __future__ import annotations

import filecmp
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.worlds.one_way import FAR, NEAR, OneWay
from tests.worlds.site import CUT, HEAD, Site

LOSSES = (0.0, 0.001, 0.01, 0.03)
LINKS = {"singly": ("1", 1500, "2G"), "joined": ("65535", 1500, "4G"), "jumbo": ("1", 9000, "4G")}
"""How packets go through the kernel: each alone, in bursts of 64 KiB as network cards with offloads take them, or large
and alone. With `joined`, whole bursts are lost. Then the MTU, and the rate that the receiver takes without losing."""
PEERS_AT = (0.0, 0.01)
"""Losses at which the other tools are measured."""
AIRGAP = (sys.executable, "-m", "airgap.cli.main")
PORT = "4000"
BUFFER = 64 << 20
RMEM = Path("/proc/sys/net/core/rmem_default")
PATIENCE = 120.0


@dataclass(frozen=True, slots=True)
class Run:
    """What one transfer took."""

    tool: str
    link: str
    loss: float
    whole: bool
    seconds: float
    bytes: int
    sender_cpu: float
    receiver_cpu: float
    sender_mib: int
    receiver_mib: int

    def row(self) -> str:
        speed = f"{self.bytes * 8 / self.seconds / 1e9:.2f}" if self.whole else "failed"
        return (
            f"| {self.tool} | {self.link} | {self.loss:.1%} | {speed} | {self.seconds:.1f} | {self.sender_cpu:.1f} + "
            f"{self.receiver_cpu:.1f} | {self.sender_mib} / {self.receiver_mib} |"
        )


@dataclass(frozen=True, slots=True)
class Tool:
    """A way of sending `media` or `big.bin`; `check` says whether it arrived."""

    name: str
    receive: Sequence[str]
    send: Sequence[str]
    check: Callable[[Path], bool]
    """Gets the folder of the site."""
    piped: bool = False
    """True if the file goes through stdin and stdout."""


def tools(cards: tuple[str, str], link: str, loss: float) -> list[Tool]:
    """airgap, and the peers that are on PATH, where they are measured."""
    mtu = ("--mtu", str(LINKS[link][1]))
    key = ("--key-file", "diode.key")
    receive = (
        *AIRGAP,
        "receive",
        "--listen",
        f"udp://:{PORT}",
        "--inbox",
        "in",
        "--trust",
        "trust.yaml",
        "--once",
        *key,
    )
    found = [
        Tool(
            f"airgap, {rate}bit/s asked, {passes}",
            receive,
            (
                *AIRGAP,
                "send",
                "media",
                "--to",
                f"udp://{FAR}:{PORT}",
                "--rate",
                rate,
                "--passes",
                passes[0],
                *mtu,
                *key,
            ),
            _arrived,
        )
        for rate, passes in (("1G", "2 passes"), (LINKS[link][2], "1 pass"))
    ]
    if link != "singly" or loss not in PEERS_AT:
        return found
    if shutil.which("pydiode"):
        found += [
            Tool(
                f"pydiode, {int(rate) // 10**6} Mbit/s",
                ("pydiode", "receive", "--port", PORT, FAR),
                ("pydiode", "send", "--port", PORT, "--max-bitrate", rate, FAR, NEAR),
                _same,
                piped=True,
            )
            for rate in ("500000000", "1000000000", "2000000000")
        ]
    if shutil.which("udp-sender"):
        found += [
            Tool(
                f"udpcast, 8x{more}/128, {rate}bit/s",
                ("udp-receiver", "--file", "out.bin", "--interface", cards[1], "--nokbd", "--start-timeout", "20"),
                (
                    "udp-sender", "--file", "big.bin", "--interface", cards[0], "--async", "--fec", f"8x{more}/128",
                    "--max-bitrate", rate, "--autostart", "5", "--nokbd", "--rexmit-hello-interval", "100",
                    "--mcast-rdv-address", FAR, "--mcast-data-address", FAR,
                ),
                _same,
            )
            for more, rate in (("8", "500m"), ("8", "900m"), ("8", "2000m"))
        ]  # fmt: skip
    return found


def _arrived(folder: Path) -> bool:
    return any(
        filecmp.cmp(path, folder / "media" / path.name, shallow=False)
        for path in (folder / "in").glob("*/vol-*")
        if not path.parent.name.startswith(".")
    )


def _same(folder: Path) -> bool:
    out = folder / "out.bin"
    return out.exists() and filecmp.cmp(out, folder / "big.bin", shallow=False)


def _site(folder: Path, size: int) -> Site:
    made, hasher = Site(folder), hashlib.sha256()
    with (folder / "big.bin").open("wb") as out:
        for _ in range(size >> 20):
            piece = os.urandom(1 << 20)
            hasher.update(piece)
            out.write(piece)
    entry = f"{{file: big.bin, path: big/big.bin, sha256: {hasher.hexdigest()}}}"
    made.write("r.request.yaml", HEAD + f"kind: Request\nmetadata: {{name: r}}\nspec:\n  files: [{entry}]\n")
    made.write("diode.key", os.urandom(32).hex())
    made.run("lock", "r.request.yaml", "-o", "r.lock.json")
    made.run("pull", "r.lock.json", "--store", "store", "--key", "exporter.key")
    made.run(*CUT, "media")
    shutil.rmtree(folder / "store")
    return made


class _Cable:
    """The namespaces, with a chance that a packet is lost."""

    def __init__(self) -> None:
        self.joined = OneWay()
        far = self.joined.cards[1]
        # What udpcast answers ends here. Nothing goes back over the cable.
        subprocess.run(["ip", "-n", self.joined.far.name, "route", "add", NEAR, "dev", "lo"], check=True)
        self._default = RMEM.read_text()
        RMEM.write_text(str(BUFFER))
        with self.joined.far.entered():
            self._counters = Path("/proc/thread-self/net/dev").open()  # noqa: SIM115
        self._far = far

    def shape(self, link: str) -> None:
        segments, mtu, _ = LINKS[link]
        for side, card in zip((self.joined.near, self.joined.far), self.joined.cards, strict=True):
            words = ["link", "set", card, "gso_max_segs", segments, "mtu", str(mtu)]
            subprocess.run(["ip", "-n", side.name, *words], check=True)

    def lose(self, loss: float) -> None:
        self.joined.far.run(["iptables", "-t", "raw", "-F"])
        if loss:
            chance = ["-m", "statistic", "--mode", "random", "--probability", str(loss)]
            self.joined.far.run(["iptables", "-t", "raw", "-A", "PREROUTING", "-i", self._far, *chance, "-j", "DROP"])

    def came(self) -> int:
        """Packets that came to the far card."""
        self._counters.seek(0)
        line = next(line for line in self._counters if self._far in line)
        return int(line.partition(":")[2].split()[1])

    def end(self) -> None:
        RMEM.write_text(self._default)
        self._counters.close()
        assert self.joined.came_back() == 0
        self.joined.remove()


def _run(tool: Tool, cable: _Cable, folder: Path, link: str, loss: float, size: int) -> Run:
    for name in ("in", "out.bin"):
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).unlink(missing_ok=True)
    cable.lose(loss)
    joined, first = cable.joined, list[float]()
    before = cable.came()
    receiver = _start(joined.far.argv(*tool.receive), folder, 2, stdout="out.bin" if tool.piped else None)
    time.sleep(2.0)
    done = threading.Event()

    def watch() -> None:
        while not first and not done.is_set():
            if cable.came() > before:
                first.append(time.monotonic())
            time.sleep(0.002)

    watcher = threading.Thread(target=watch)
    watcher.start()
    sender = _start(joined.near.argv(*tool.send), folder, 1, stdin="big.bin" if tool.piped else None)
    sent = threading.Thread(target=lambda: results.append(os.wait4(sender.pid, 0)[2]))
    results: list[object] = []
    sent.start()
    used, ended = _wait(receiver, sent, lambda: tool.name.startswith("airgap") and _appeared(folder))
    done.set()
    if sent.is_alive():
        sender.kill()  # the receiver has everything; what is still sent is a second pass
    sent.join()
    watcher.join()
    [spent] = results
    seconds = ended - (first[0] if first else ended - 1)
    return Run(
        tool.name,
        link,
        loss,
        tool.check(folder),
        seconds,
        size,
        spent.ru_utime + spent.ru_stime,  # type: ignore[attr-defined]
        used.ru_utime + used.ru_stime,  # type: ignore[attr-defined]
        spent.ru_maxrss >> 10,  # type: ignore[attr-defined]
        used.ru_maxrss >> 10,  # type: ignore[attr-defined]
    )


def _appeared(folder: Path) -> bool:
    """Whether a delivery is in the inbox."""
    return any(not path.parent.name.startswith(".") for path in (folder / "in").glob("*/AIRGAP.json"))


def _wait(
    receiver: subprocess.Popen[bytes], sent: threading.Thread, is_there: Callable[[], bool]
) -> tuple[object, float]:
    """What the receiver used, and when it had everything, or ended; it is ended some seconds after the sender."""
    until, there = time.monotonic() + PATIENCE, 0.0
    while True:
        pid, _, used = os.wait4(receiver.pid, os.WNOHANG)
        now = time.monotonic()
        if not there and is_there():
            there = now
        if pid:
            return used, there or now
        if not sent.is_alive():
            until = min(until, now + 5.0)
        if now > until:
            receiver.kill()
            until = now + PATIENCE
        time.sleep(0.005)


def _start(
    argv: Sequence[str], folder: Path, priority: int, stdin: str | None = None, stdout: str | None = None
) -> subprocess.Popen[bytes]:
    source = (folder / stdin).open("rb") if stdin else None
    sink = (folder / stdout).open("wb") if stdout else None
    try:
        return subprocess.Popen(
            ["chrt", "--rr", str(priority), *argv],
            cwd=folder,
            stdin=source or subprocess.DEVNULL,
            stdout=sink or subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.getcwd()},
        )
    finally:
        for one in (source, sink):
            if one is not None:
                one.close()


def table(folder: Path, *, small: bool) -> str:
    """Measures each tool at each loss; Markdown."""
    size = (64 if small else 1024) << 20
    lines = [
        f"D: {size >> 20} MiB through a diode of two namespaces",
        "",
        "| tool | packets | lost | Gbit/s | s | CPU s, sender + receiver | peak MiB, sender / receiver |",
        "|---|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory(prefix="airgap-bench-", dir=folder) as temporary:
        place = Path(temporary)
        _site(place, size)
        began = time.monotonic()
        shutil.copy(place / "big.bin", place / "copy.bin")
        took = time.monotonic() - began
        (place / "copy.bin").unlink()
        lines.append(f"| cp | | | {size * 8 / took / 1e9:.2f} | {took:.1f} | | |")
        cable = _Cable()
        try:
            for loss in LOSSES:
                for link in LINKS:
                    cable.shape(link)
                    for tool in tools(cable.joined.cards, link, loss):
                        lines.append(_run(tool, cable, place, link, loss, size).row())
                        print(f"bench: {lines[-1]}", file=sys.stderr)
        finally:
            cable.end()
    return "\n".join(lines)
