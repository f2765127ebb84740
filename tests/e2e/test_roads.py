"""Deliveries over one-way roads, from the command line: what is sent arrives, or it is known what is missing."""

from __future__ import annotations

import filecmp
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from airgap.cli.context import Context
from tests.golden.site import FOLDER
from tests.worlds.commands import AIRGAP, VARIABLE, Said, run_airgap
from tests.worlds.diode import DELIVERY, GOLDEN, Receiving

pytestmark = pytest.mark.e2e

TRUST = ("--inbox", "inbox", "--trust", str(GOLDEN / "trust.yaml"))
KEY = ("--key-file", "shared.key")
NAME = "main-0001-04a3790c5483"


class Roads:
    """A folder where both sides run, with records of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ = {"XDG_STATE_HOME": str(folder / "state")}
        for name in ("shared.key", "other.key"):
            (folder / name).write_text(name * 4 + "\n")
            (folder / name).chmod(0o600)

    def run(self, *line: str, expect: int = 0) -> list[Any]:
        """The documents that a command writes."""
        said = run_airgap([*line, "--json"], self.folder, self.environ)
        assert said.code == expect, said
        try:
            return [json.loads(said.out)]
        except ValueError:
            return [json.loads(one) for one in said.out.splitlines()]

    def refused(self, *line: str) -> Said:
        return run_airgap(line, self.folder, self.environ)

    def start(self, *line: str, **streams: Any) -> subprocess.Popen[bytes]:
        """A process whose streams are the road."""
        environ = {**os.environ, **self.environ}
        return subprocess.Popen([*AIRGAP, *line], cwd=self.folder, env=environ, stderr=subprocess.DEVNULL, **streams)

    def piped_out(self, *line: str) -> bytes:
        """What `send … --to -` writes."""
        path = self.folder / "stream.ags"
        line = ("send", *line, "--to", "-")
        with path.open("wb") as file:
            if VARIABLE in os.environ:
                self.start(*line, stdout=file).wait()
            else:
                with mock.patch.object(Context, "pipe_out", return_value=os.dup(file.fileno())):
                    assert run_airgap(line, self.folder, self.environ).out == ""
        return path.read_bytes()

    def piped_in(self, stream: bytes, *line: str) -> tuple[int, list[Any]]:
        """How `receive --listen -` ends, and what it said."""
        path = self.folder / "stream.ags"
        path.write_bytes(stream)
        line = ("receive", "--listen", "-", *TRUST, *line, "--json")
        with path.open("rb") as file:
            if VARIABLE in os.environ:
                with self.start(*line, stdin=file, stdout=subprocess.PIPE) as process:
                    code, out = process.wait(), process.communicate()[0].decode()
            else:
                with mock.patch.object(Context, "pipe_in", return_value=file.fileno()):
                    said = run_airgap(line, self.folder, self.environ)
                code, out = said.code, said.out
        return code, [json.loads(one) for one in out.splitlines()]

    def arrived(self) -> bool:
        """True if the delivery is in the inbox, byte for byte, and nothing else."""
        there = sorted(path.name for path in (self.folder / "inbox").iterdir() if not path.name.startswith("."))
        names = [path.name for path in DELIVERY.iterdir() if path.is_file()]
        return there == [NAME] and not any(
            filecmp.cmpfiles(DELIVERY, self.folder / "inbox" / NAME, names, shallow=False)[1:]
        )


@pytest.fixture
def roads(tmp_path: Path) -> Roads:
    return Roads(tmp_path)


def test_a_stream_that_was_cut_is_asked_for_by_a_code_and_acknowledged_by_another(roads: Roads) -> None:
    stream = roads.piped_out(str(DELIVERY), *KEY)
    (sent,) = roads.run("sent")[0]
    assert (sent["state"], sent["to"], sent["times"]) == ("sent", "-", 1)
    code, said = roads.piped_in(stream[:80000], *KEY)
    assert code == 3
    (way,) = said[-1]["onTheWay"]
    assert {one["file"] for one in way["missing"]} == {"vol-0001-of-0002.tar", "vol-0002-of-0002.tar"}
    assert roads.run("receive", *TRUST, *KEY, expect=3)[-1]["onTheWay"] == [way]
    # The folder is in the records; the road is, too.
    again = roads.piped_out("--resend", way["code"].lower(), *KEY)
    assert len(again) > 110_000
    code, said = roads.piped_in(again, *KEY)
    assert code == 0
    assert roads.arrived()
    (receipt,) = [one["receiptCode"] for one in said if one["event"] == "arrived"]
    # Another key made another code.
    roads.refused("sent", receipt).refused(2, "other-key")
    roads.refused("sent", "--store", "nowhere").refused(2, "no-store")
    roads.refused("sent", receipt, "--key-file", "other.key").refused(2, "other-key")
    roads.refused("sent", way["code"]).refused(2, "other-code", "resend")
    roads.refused("send", "--resend", receipt).refused(2, "other-code", "receipt code")
    typed = receipt.replace("-", " ").lower()
    assert roads.run("sent", typed, *KEY)[0]["state"] == "delivered"
    (sent,) = roads.run("sent")[0]
    assert (sent["state"], sent["times"]) == ("delivered", 2)
    # The same delivery again is known, also after it was imported.
    code, said = roads.piped_in(stream, *KEY)
    assert (code, said[1]["event"], said[1]["receiptCode"]) == (0, "already-there", receipt)


def test_a_resend_code_sends_only_what_is_missing(roads: Roads) -> None:
    stream = roads.piped_out(str(DELIVERY), *KEY)
    # The last frame of data is damaged: one file of it is missing.
    end = bytearray(stream)
    end[-1500] ^= 1
    code, said = roads.piped_in(bytes(end), *KEY)
    assert code == 3
    (way,) = said[-1]["onTheWay"]
    assert [one["file"] for one in way["missing"]] == ["vol-0002-of-0002.tar"]
    again = roads.piped_out(str(DELIVERY), "--resend", way["code"], *KEY)
    assert len(again) < len(stream) - 60_000
    assert roads.piped_in(again, *KEY)[0] == 0
    assert roads.arrived()


def test_what_is_forged_or_foreign_leaves_nothing(roads: Roads) -> None:
    stream = roads.piped_out(str(DELIVERY), *KEY)
    # Without the key, or with another one.
    for key in ((), ("--key-file", "other.key")):
        code, said = roads.piped_in(stream * 3, *key)
        assert (code, {one["event"] for one in said} & {"began", "arrived"}) == (4, set())
        assert [one["code"] for one in said if one["event"] == "trouble"] == ["sealed-otherwise"]
    # Signed by a key that the Trust resource does not list.
    roads.environ["AIRGAP_KEY_PASSWORD_FILE"] = "shared.key"
    roads.run("keys", "generate", "stranger")
    trust = (GOLDEN / "trust.yaml").read_text().replace("../keys/exporter.pub", "stranger.pub")
    (roads.folder / "stranger.yaml").write_text(trust.replace("../keys", str(GOLDEN.parent / "keys")))
    code, said = roads.piped_in(stream, *KEY, "--trust", "stranger.yaml")
    assert (code, [one["event"] for one in said]) == (4, ["listening", "refused", "end"])
    assert said[1]["code"] == "unknown-key"
    # AIRGAP.json was changed.
    copy = roads.folder / "changed"
    shutil.copytree(DELIVERY, copy)
    data = (copy / "AIRGAP.json").read_bytes().replace(b'"sequence": 1', b'"sequence": 2')
    (copy / "AIRGAP.json").write_bytes(data)
    code, said = roads.piped_in(roads.piped_out(str(copy), *KEY), *KEY)
    assert (code, said[1]["code"]) == (4, "index-mismatch")
    assert not list((roads.folder / "inbox" / ".airgap-receiving").iterdir())


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


def test_tcp_across_a_kill_of_the_receiver_and_two_senders(roads: Roads, port: int) -> None:
    stream = roads.piped_out(str(DELIVERY), *KEY)
    where = f"tcp://127.0.0.1:{port}"
    with roads.start("receive", "--listen", where, *TRUST, *KEY, "--json", stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["event"] == "listening"
        with socket.create_connection(("127.0.0.1", port)) as half:
            half.sendall(stream[: len(stream) // 2])
            journals, until = roads.folder / "inbox" / ".airgap-receiving", time.monotonic() + 20
            while not any(path.stat().st_size for path in journals.glob("*.journal")):
                assert time.monotonic() < until
                time.sleep(0.05)
            process.send_signal(signal.SIGKILL)
    (way,) = roads.run("receive", *TRUST, *KEY, expect=3)[-1]["onTheWay"]
    assert 0 < way["received"] < way["bytes"]
    metrics = roads.folder / "metrics.prom"
    options = {"listen": (where,), "shared_key": roads.folder / "shared.key", "metrics": metrics}
    with Receiving(roads.folder, **options) as receiving:
        receiving.wait("listening")
        with socket.create_connection(("127.0.0.1", port)) as other:
            other.sendall(stream[1000:30000])  # a second sender, of which the beginning is lost
            roads.run("send", str(DELIVERY), "--to", where, *KEY)
            receiving.wait("arrived")
            other.settimeout(0.01)
            with pytest.raises(TimeoutError):
                other.recv(1)  # nothing is ever answered
    assert roads.arrived()
    assert 'airgap_receive_deliveries_total{outcome="arrived"} 1\n' in metrics.read_text()
    roads.refused("send", str(DELIVERY), "--to", where).refused(5, "unreachable")


def test_a_serial_line(roads: Roads) -> None:
    outer, line = os.openpty()
    where = f"serial:{os.ttyname(line)}"
    stream = roads.piped_out(str(DELIVERY), *KEY)
    try:
        with Receiving(roads.folder, listen=(where,), shared_key=roads.folder / "shared.key") as receiving:
            receiving.wait("listening")
            view = memoryview(b"noise before it begins" + stream)
            while view:
                view = view[os.write(outer, view[:4096]) :]
            receiving.wait("arrived")
    finally:
        os.close(outer)
        os.close(line)
    assert roads.arrived()


def test_an_encrypted_delivery_is_verified_from_outside(roads: Roads) -> None:
    sealed = FOLDER / "delivery-encrypted" / "delivery"
    code, said = roads.piped_in(roads.piped_out(str(sealed), *KEY), *KEY)
    assert (code, [one["event"] for one in said]) == (0, ["listening", "began", "arrived", "end"])
    (arrived,) = [one for one in said if one["event"] == "arrived"]
    for path in sealed.iterdir():
        if path.is_file():
            assert (roads.folder / arrived["folder"] / path.name).read_bytes() == path.read_bytes()
    roads.run("verify", arrived["folder"], "--trust", str(GOLDEN / "trust.yaml"))


def test_mistakes_are_said(roads: Roads) -> None:
    delivery = str(DELIVERY)
    for line, code, words in (
        (("send",), "usage", "DELIVERY is required"),
        (("send", delivery), "usage", "--to is required"),
        (("send", delivery, "--watch", "x", "--to", "x"), "usage", "--watch finds"),
        (("send", delivery, "--to", "ftp://x:1"), "bad-road", "no road 'ftp'"),
        (("send", delivery, "--to", "tcp://x"), "bad-road", "no road has such an address"),
        (("send", delivery, "--to", "tcp://x:70000"), "bad-road", "65535"),
        (("send", delivery, "--to", "nowhere"), "bad-road", "no folder nowhere"),
        (("send", delivery, "--to", "serial:/dev/null"), "bad-road", "not a serial line"),
        (("send", delivery, "--to", "serial:/dev/null?baud=7"), "bad-road", "no line has 7 baud"),
        (("sent", "x"), "bad-code", "groups of 5"),
        (("send", "inbox", "--to", "."), "usage", "no such file"),
        (("send", delivery, "--to", ".", "--rate", "fast"), "usage", "900M"),
        (("send", delivery, "--to", ".", "--passes", "0"), "usage", "from 1 to 10"),
        (("send", delivery, "--to", ".", "--key-file", "none"), "shared-key-missing", "none"),
        (("send", "--resend", "10SJX-WF006-KGK40"), "bad-code", "group 3"),
        (("send", delivery, "--to", ".", "--resend", "10SJX-WF006-KGK4B"), "other-code", "another delivery"),
        (("send", "--resend", "10SJX-WF006-KGK4B"), "not-sent", "did not send"),
        (("receive", *TRUST, "--once"), "usage", "nothing to receive from"),
        (("receive", *TRUST, "--empty"), "usage", "--empty is for --watch"),
        (("receive", *TRUST, "--listen", "."), "bad-road", "use --watch"),
        (("receive", *TRUST, "--watch", "nowhere"), "bad-road", "no such folder"),
        (("receive", *TRUST, "--listen", "tcp://192.0.2.1:1"), "cannot-listen", "tcp://192.0.2.1:1"),
        (("receive", "--inbox", "inbox", "--trust", str(DELIVERY / "AIRGAP.json")), "bad-resource", ""),
    ):
        said = roads.refused(*line)
        assert f"[{code}]" in said.err, said
        assert words in said.err, said
        assert said.code in (2, 5), said
        assert "  next: " in said.err
