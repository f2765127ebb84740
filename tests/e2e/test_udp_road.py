"""A delivery through a data diode: two namespaces, joined one way."""

from __future__ import annotations

import filecmp
import hashlib
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airgap.base.errors import AirgapError
from airgap.jobs.receive import ReceiveOptions
from airgap.jobs.send import SendOptions
from tests.parts.system import mount_tmpfs, unmount
from tests.worlds import effort
from tests.worlds.commands import AIRGAP, ROOT, run_process
from tests.worlds.one_way import PORT, THROUGH, TO, OneWay, Reception, send_from, spoiled
from tests.worlds.site import CUT, HEAD, Site

pytestmark = [pytest.mark.e2e, pytest.mark.part("iproute2")]

SIZE = effort.cases(3 << 20, 200 << 20)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A site with a delivery in `media`, and a key that both sides share."""
    made = Site(tmp_path_factory.mktemp("site"))
    data = os.urandom(SIZE)
    (made.folder / "big.bin").write_bytes(data)
    entry = f"{{file: big.bin, path: big/big.bin, sha256: {hashlib.sha256(data).hexdigest()}}}"
    request = HEAD + f"kind: Request\nmetadata: {{name: r}}\nspec:\n  files: [{entry}]\n"
    made.write("r.request.yaml", request)
    made.write("diode.key", "0123456789abcdef" * 4 + "\n")
    made.write("other.key", "fedcba9876543210" * 4 + "\n")
    made.run("lock", "r.request.yaml", "-o", "r.lock.json")
    made.run("pull", "r.lock.json", "--store", "store", "--key", "exporter.key")
    made.run(*CUT, "media")
    return made


@pytest.fixture(scope="module")
def joined() -> Iterator[OneWay]:
    made = OneWay()
    yield made
    assert made.came_back() == 0, "something came back through the diode"
    made.remove()


@pytest.fixture
def listening(site: Site, joined: OneWay, tmp_path: Path) -> Iterator[Callable[..., Reception]]:
    made = list[Reception]()

    def listen(**more: object) -> Reception:
        options: dict[str, object] = {
            "inbox": tmp_path / "inbox",
            "trust": site.folder / "trust.yaml",
            "listen": (f"udp://:{PORT}",),
            "shared_key": site.folder / "diode.key",
        }
        made.append(Reception(joined, ReceiveOptions(**{**options, **more}), tmp_path / "state"))  # type: ignore[arg-type]
        return made[-1]

    yield listen
    for one in made:
        one.end()


def sending(site: Site, to: str = TO, **more: object) -> SendOptions:
    options: dict[str, object] = {
        "delivery": (site.folder / "media",),
        "to": to,
        "shared_key": site.folder / "diode.key",
        "rate": 300_000_000,
    }
    return SendOptions(**{**options, **more})  # type: ignore[arg-type]


def same(site: Site, folder: Path) -> bool:
    """Whether a folder has the delivery, byte for byte; signatures may have other names."""
    media = site.folder / "media"
    names = [path.name for path in media.iterdir() if path.is_file()]
    return filecmp.cmpfiles(media, folder, names, shallow=False) == (names, [], []) and len(
        list((folder / "signatures").iterdir())
    ) == len(list((media / "signatures").iterdir()))


def test_a_delivery_crosses_by_commands_and_nothing_comes_back(site: Site, joined: OneWay, tmp_path: Path) -> None:
    """The receipt code of the one side makes the other side's record *delivered*."""
    keys = ("--key-file", "diode.key")
    line = ("receive", "--listen", f"udp://:{PORT}", "--inbox", str(tmp_path / "in"), "--trust", "trust.yaml", *keys)
    receiver = _start(joined.far.argv(*AIRGAP, *line, "--once"), site.folder)
    _until(lambda: PORT in _ports(joined))
    sent = run_process(
        ("send", "media", "--to", TO, *keys, "--rate", "300M", "--store", "store"),
        site.folder,
        before=joined.near.argv(),
    )
    out, err = receiver.communicate(timeout=60)
    assert (sent.code, receiver.returncode) == (0, 0), (sent, out, err)
    assert "sent: delivery 1" in sent.out
    assert "delivered" not in sent.out + sent.err
    [folder] = [path for path in (tmp_path / "in").iterdir() if not path.name.startswith(".")]
    assert same(site, folder)
    site.run("verify", str(folder), "--trust", "trust.yaml")
    code = next(word for word in (out + err).split() if word.startswith("2") and word.count("-") >= 2).strip(".,;")
    assert site.run("sent", code, *keys, "--store", "store")["state"] == "delivered"
    assert joined.came_back() == 0


def _changed(packet: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(packet))
    return packet[:at] + bytes([packet[at] ^ 255]) + packet[at + 1 :]


def test_a_line_that_loses_doubles_cuts_and_changes(
    site: Site, joined: OneWay, listening: Callable[..., Reception]
) -> None:
    """One packet in a hundred is lost, and another one in a hundred comes twice, late, cut short, or changed."""
    held = list[bytes]()

    def spoil(packet: bytes, chance: random.Random) -> list[bytes]:
        kind = chance.random()
        if kind < 0.01:
            return []
        if kind < 0.014:
            return [packet, packet]
        if kind < 0.016:
            return [packet[: chance.randrange(1, len(packet))]]
        if kind < 0.018:
            return [_changed(packet, chance)]
        if kind < 0.020:
            held.append(packet)
            return []
        return [packet, held.pop()] if held and kind < 0.04 else [packet]

    there = listening(once=True)
    with spoiled(joined, spoil):
        send_from(joined, sending(site, THROUGH, rate=60_000_000, passes=1), site.folder / "state")
    arrived = there.wait("arrived")
    assert same(site, Path(arrived["folder"]))
    there.end()


def test_a_hole_in_the_first_pass_is_filled_by_the_second(
    site: Site, joined: OneWay, listening: Callable[..., Reception]
) -> None:
    """The line is cut for a while: more than parity can make good."""
    seen = [0]

    def spoil(packet: bytes, _chance: random.Random) -> list[bytes]:
        seen[0] += packet[20] == 3
        return [] if 200 < seen[0] < 1500 else [packet]

    there = listening(once=True)
    with spoiled(joined, spoil):
        send_from(joined, sending(site, THROUGH, rate=100_000_000), site.folder / "state")
    assert same(site, Path(there.wait("arrived")["folder"]))
    there.end()


def test_what_is_lost_in_all_passes_is_sent_again_by_its_code(
    site: Site, joined: OneWay, listening: Callable[..., Reception]
) -> None:
    there = listening()
    with spoiled(
        joined,
        lambda packet, _chance: [] if packet[20:24] == bytes([3, 0, 0, 0]) and packet[28:30] < b"\0\x40" else [packet],
    ):
        send_from(joined, sending(site, THROUGH, rate=100_000_000, passes=1), site.folder / "state")
    code = there.wait("missing")["code"]
    send_from(joined, sending(site, resend=code, passes=1), site.folder / "state")
    assert same(site, Path(there.wait("arrived")["folder"]))
    there.end()


def test_a_receiver_that_is_killed_goes_on_where_it_was(site: Site, joined: OneWay, tmp_path: Path) -> None:
    """kill -9 in the middle of both sides, as often as it takes; each start goes on with what is there."""
    line = ("receive", "--listen", f"udp://:{PORT}", "--inbox", str(tmp_path / "in"), "--trust", "trust.yaml")
    keys, chance = ("--key-file", "diode.key"), random.Random(5)
    for _ in range(effort.cases(1, 12)):
        receiver = _start(joined.far.argv(*AIRGAP, *line, *keys), site.folder)
        sender = _start(
            joined.near.argv(*AIRGAP, "send", "media", "--to", TO, *keys, "--rate", str(SIZE * 8 // 2)), site.folder
        )
        _until(lambda: any((tmp_path / "in" / ".airgap-receiving").glob("*/vol-*")))
        time.sleep(chance.random() / 2)
        for process in (receiver, sender) if chance.random() < 0.5 else (sender, receiver):
            process.send_signal(signal.SIGKILL)
            process.communicate()
            time.sleep(chance.random() / 10)
    there = Reception(
        joined,
        ReceiveOptions(
            tmp_path / "in",
            site.folder / "trust.yaml",
            (f"udp://:{PORT}",),
            shared_key=site.folder / "diode.key",
            once=True,
        ),
        tmp_path / "state",
    )
    send_from(joined, sending(site, passes=1), site.folder / "state")
    assert same(site, Path(there.wait("arrived")["folder"]))
    there.end()


@pytest.mark.skipif(effort.VARIABLE not in os.environ, reason="--thorough: test_diode_udp.py has it without sockets")
def test_a_receiver_that_starts_late(site: Site, joined: OneWay, listening: Callable[..., Reception]) -> None:
    sender = threading.Thread(
        target=send_from, args=(joined, sending(site, rate=SIZE * 8 * 2, passes=2), site.folder / "state")
    )
    sender.start()
    time.sleep(0.6)
    there = listening(once=True)
    arrived = there.wait("arrived")
    sender.join()
    assert same(site, Path(arrived["folder"]))
    there.end()


def test_a_small_buffer_is_enough_for_a_low_rate(
    site: Site, joined: OneWay, listening: Callable[..., Reception], tmp_path: Path
) -> None:
    """What came, and what the kernel dropped, is in the metrics."""
    there = listening(once=True, buffer=212_992, metrics=tmp_path / "receive.prom")
    send_from(joined, sending(site, rate=100_000_000, passes=1), site.folder / "state")
    assert same(site, Path(there.wait("arrived")["folder"]))
    there.end()
    metrics = (tmp_path / "receive.prom").read_text()
    assert 'airgap_receive_packets_total{what="dropped"} 0' in metrics
    assert 'airgap_receive_packets_total{what="good"} 0' not in metrics


@pytest.mark.skipif(effort.VARIABLE not in os.environ, reason="--thorough: test_diode_udp.py has it without sockets")
def test_another_key_and_none_at_all(site: Site, joined: OneWay, listening: Callable[..., Reception]) -> None:
    there = listening()
    send_from(joined, sending(site, shared_key=site.folder / "other.key", passes=1), site.folder / "state")
    assert there.wait("trouble")["code"] == "sealed-otherwise"
    send_from(joined, sending(site, shared_key=None, unauthenticated=True, passes=1), site.folder / "state")
    found = there.end()
    assert (found.arrived, found.on_the_way) == ((), ())


def test_without_a_key_only_expressly(site: Site, joined: OneWay, listening: Callable[..., Reception]) -> None:
    with pytest.raises(AirgapError) as refused:
        send_from(joined, sending(site, shared_key=None), site.folder / "state")
    assert refused.value.code == "no-shared-key"
    there = listening(shared_key=None, unauthenticated=True, once=True)
    send_from(joined, sending(site, shared_key=None, unauthenticated=True, passes=1), site.folder / "state")
    assert same(site, Path(there.wait("arrived")["folder"]))
    there.end()


def test_what_a_stranger_signed_gets_no_place(
    site: Site, joined: OneWay, listening: Callable[..., Reception], tmp_path: Path
) -> None:
    """Whoever has the shared key, and no key of the Trust resource."""
    if not (site.folder / "forged").exists():
        site.run(*[{"exporter.key": "stranger.key"}.get(word, word) for word in CUT], "forged")
    there = listening()
    send_from(joined, sending(site, delivery=(site.folder / "forged",), passes=1), site.folder / "state")
    assert there.wait("refused")["code"] == "unknown-key"
    there.end()
    assert not list((tmp_path / "inbox" / ".airgap-receiving").glob("*/vol-*"))


def test_a_disk_that_is_too_small_is_said(
    site: Site, joined: OneWay, listening: Callable[..., Reception], tmp_path: Path
) -> None:
    (tmp_path / "small").mkdir()
    mount_tmpfs(tmp_path / "small", SIZE // 2)
    try:
        there = listening(inbox=tmp_path / "small" / "inbox")
        send_from(joined, sending(site, passes=1), site.folder / "state")
        assert there.wait("refused")["code"] == "disk-full"
        there.end()
    finally:
        unmount(tmp_path / "small")


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"to": "udp://10.99.0.1:4000"}, "unreachable"),
        ({"to": "udp://receiver.example:4000"}, "bad-road"),
        ({"mtu": 9000}, "diode-mtu"),
        ({"passes": 10, "parity": 100}, "usage"),
    ],
)
def test_mistakes_at_the_sender(site: Site, joined: OneWay, more: dict[str, object], code: str) -> None:
    options = sending(site, **more)  # type: ignore[arg-type]
    with pytest.raises(AirgapError) as refused:
        send_from(joined, options, site.folder / "state")
    assert refused.value.code == code
    assert refused.value.hint


def test_a_neighbour_that_nobody_wrote_down(site: Site) -> None:
    """Nobody answers ARP, and the kernel drops in silence: it would be "sent"."""
    joined = OneWay(known=False)
    try:
        with pytest.raises(AirgapError) as refused:
            send_from(joined, sending(site), site.folder / "state")
        assert (refused.value.code, "nud permanent" in refused.value.hint) == ("unreachable", True)
    finally:
        joined.remove()


def _start(argv: list[str], folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        argv,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _ports(joined: OneWay) -> list[int]:
    """The UDP ports at which somebody listens on the far side."""
    lines = joined.far.run(["cat", "/proc/net/udp"]).stdout.splitlines()[1:]
    return [int(line.split()[1].rpartition(":")[2], 16) for line in lines]


def _until(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not true():
        assert time.monotonic() < until
        time.sleep(0.02)
