"""A folder that a box copies one way: files come late, twice, cut, damaged, under other names, or not at all."""

from __future__ import annotations

import os
import random
import threading
from pathlib import Path

import pytest

from airgap.base.digest import Digest
from airgap.base.errors import StoreError, TrustError
from airgap.diode.folder.intake import FolderIntake
from airgap.jobs.outbox import Outbox, OutboxOptions
from airgap.jobs.receive import ReceiveOptions, receive
from airgap.jobs.receive_report import OnTheWay, ReceiveReport
from airgap.jobs.send import SendOptions, SentNow, enter_receipt, send, sent_records
from tests.worlds.diode import DELIVERY, GOLDEN, Heard, admitted, inbox_in
from tests.worlds.surroundings import quiet

FILES = sorted(path for path in DELIVERY.rglob("*") if path.is_file())
KEY = b"k" * 32


class Box:
    """The watched folder, and what a receiver says of it."""

    def __init__(self, folder: Path, *, empty: bool = False) -> None:
        self.folder = folder / "in"
        self.folder.mkdir()
        self.heard = Heard()
        self.inbox = inbox_in(folder, self.heard)
        self.intake = FolderIntake(self.folder, self.inbox, self.heard, KEY, empty=empty, settle=0.0)

    def look(self) -> None:
        self.intake.look()
        self.inbox.settle()
        self.intake.look()


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


@pytest.mark.parametrize("seed", range(5))
def test_a_box_that_does_everything_wrong(box: Box, seed: int) -> None:
    chance = random.Random(seed)
    todo = [path for path in FILES if path.name not in ("README.txt", "SHA256SUMS")]
    late: list[tuple[Path, bytes]] = []
    for number, path in enumerate(chance.sample(todo, len(todo)) * 2):  # each comes twice, in another order
        data = path.read_bytes()
        at = box.folder / chance.choice(["", "a", "a/b"]) / f"{chance.randrange(1 << 30):x}-{number}"
        at.parent.mkdir(parents=True, exist_ok=True)
        if number < len(todo) and chance.random() < 0.5:
            late.append((at, data))
            data = data[: chance.randrange(len(data))]  # cut, or still being written
        at.write_bytes(data)
        if chance.random() < 0.5:
            box.look()
    (box.folder / "noise").write_bytes(chance.randbytes(65536))  # as large as a volume
    (box.folder / "noise.json").write_text("{}")
    (box.folder / "link").symlink_to("/etc/passwd")
    os.mkfifo(box.folder / "pipe")
    for at, data in late:
        at.write_bytes(data)
        box.look()
    box.look()
    (arrived,) = box.heard.arrived
    assert not box.heard.troubles
    for path in FILES:
        if path.parent == DELIVERY:
            assert (box.inbox.folder / arrived.folder / path.name).read_bytes() == path.read_bytes()
    assert len(list((box.inbox.folder / arrived.folder / "signatures").iterdir())) == 2


def test_of_a_volume_that_was_cut_or_damaged_the_sound_part_is_taken(box: Box) -> None:
    for path in FILES:
        data = path.read_bytes()
        if path.name == "vol-0001-of-0002.tar":
            data = data[:30000]
        elif path.name == "vol-0002-of-0002.tar":
            data = data[:1600] + b"!" + data[1601:]
        (box.folder / path.name.replace("vol", "file")).write_bytes(data)
    box.look()
    (assembly,) = box.inbox.on_the_way()
    way = OnTheWay.of(assembly)
    assert 0 < dict(way.files)["vol-0001-of-0002.tar"] < 65536
    # The resend is a file of frames, which the box renames as well.
    out = box.folder.parent / "out"
    out.mkdir()
    state = quiet(box.folder.parent)
    (box.folder.parent / "key").write_bytes(KEY)
    (box.folder.parent / "key").chmod(0o600)
    options = SendOptions((DELIVERY,), str(out), way.code, shared_key=box.folder.parent / "key")
    send(options, state)
    (frames,) = out.glob("main-*")
    assert frames.stat().st_size < 160_000
    frames.rename(box.folder / "0001.dat")
    box.look()
    assert len(box.heard.arrived) == 1


def test_an_approval_that_comes_last_is_waited_for(tmp_path: Path) -> None:
    text = (GOLDEN / "trust.yaml").read_text().replace("require: [", "require: [delivery-approval, ")
    trust = tmp_path / "trust.yaml"
    trust.write_text(text.replace("../keys", str(GOLDEN.parent / "keys")))
    assert "delivery-approval" in trust.read_text()
    heard = Heard()
    inbox = inbox_in(tmp_path, heard, trust)
    folder = tmp_path / "in"
    folder.mkdir()
    intake = FolderIntake(folder, inbox, heard, b"", settle=0.0)
    for path in FILES:
        if path.name != "security-officer.sigstore.json":
            (folder / path.name).write_bytes(path.read_bytes())
    intake.look()
    inbox.settle()
    assert [error.code for error in heard.troubles] == ["statement-missing"]
    assert inbox.on_the_way()
    (folder / "approval").write_bytes((DELIVERY / "signatures/security-officer.sigstore.json").read_bytes())
    intake.look()
    inbox.settle()
    assert len(heard.arrived) == 1


def test_a_folder_is_emptied_of_what_is_in_the_inbox_and_of_nothing_else(tmp_path: Path) -> None:
    box = Box(tmp_path, empty=True)
    (tmp_path / "other").mkdir()
    send(SendOptions((DELIVERY,), str(box.folder)), quiet(tmp_path))
    (box.folder / "mine.txt").write_text("mine")
    volume = (DELIVERY / "vol-0001-of-0002.tar").read_bytes()
    (box.folder / "next.tar").write_bytes(volume[:-1] + b"!")  # such as one of the next delivery, with the same blobs
    (box.folder / "airgap-beat.ags").unlink()
    box.look()
    assert len(box.heard.arrived) == 1
    box.look()
    assert sorted(path.name for path in box.folder.rglob("*")) == ["mine.txt", "next.tar"]


def test_a_folder_as_a_service_on_both_sides(tmp_path: Path) -> None:
    (tmp_path / "outbox").mkdir()
    (tmp_path / "road").mkdir()
    sent: list[SentNow] = []
    metrics = tmp_path / "send.prom"
    options = OutboxOptions(tmp_path / "outbox", SendOptions(to=str(tmp_path / "road")), 30, metrics)
    outbox = Outbox(options, quiet(tmp_path), sent.append)
    outbox.work()
    place = tmp_path / "outbox" / "nov"
    (place / "signatures").mkdir(parents=True)
    for path in FILES:  # AIRGAP.json is the first: what is not whole is not sent
        (place / path.relative_to(DELIVERY)).write_bytes(path.read_bytes())
        outbox.work()
        assert not sent or path == FILES[-1] or (place / "vol-0002-of-0002.tar").exists()
    outbox.work()
    outbox.work()
    (one,) = sent
    assert one.record.state == "sent"
    assert 'airgap_send_records{state="sent"} 1\n' in metrics.read_text()
    said: list[dict[str, object]] = []
    report = ReceiveReport(lambda document, _text: said.append(document), b"", "golden", quiet(tmp_path), None)
    inbox = inbox_in(tmp_path, report)
    report.inbox = inbox
    intake = FolderIntake(tmp_path / "road", inbox, report, b"", settle=0.0)
    intake.look()
    inbox.settle()
    (arrived,) = [document for document in said if document["event"] == "arrived"]
    assert enter_receipt(str(arrived["receiptCode"]), None, None, quiet(tmp_path)).state == "delivered"
    assert [one.state for one in sent_records(None, quiet(tmp_path)).all()] == ["delivered"]


def test_the_alarm_when_the_sender_falls_silent_and_a_delivery_that_nobody_saw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr("airgap.jobs.receive_report.time.monotonic", lambda: now[0])
    said: list[dict[str, object]] = []
    report = ReceiveReport(lambda document, _text: said.append(document), b"", "golden", quiet(tmp_path), None)
    report.inbox = inbox_in(tmp_path, report)
    road = tmp_path / "road"
    road.mkdir()
    sender = quiet(tmp_path)
    send(SendOptions((DELIVERY,), str(road)), sender)
    for path in [*road.rglob("main-*/*")]:  # the box drops all of it
        if path.is_file():
            path.unlink()
    outbox = Outbox(OutboxOptions(road, SendOptions(to=str(road)), 10), sender, lambda _sent: None)
    intake = FolderIntake(road, report.inbox, report, b"", settle=0.0)
    report.tick()
    now[0] += 3600
    report.tick()  # no beat came yet: nobody knows whether there is a service
    assert not said
    for _ in range(3):
        outbox._beat_due = 0.0
        outbox.work()
        os.utime(road / "airgap-beat.ags", ns=(int(now[0]), int(now[0])))
        intake.look()
        now[0] += 10
        report.tick()
    assert [document["event"] for document in said] == ["unseen"]
    again = str(said[0]["code"])
    now[0] += 31
    report.tick()
    report.tick()
    assert [document["event"] for document in said[1:]] == ["alarm"]
    assert "airgap_receive_alarm 1" in "\n".join(f"{m.name} {m.values}" for m in report.metrics()).replace("1.0", "1")
    send(SendOptions(resend=again), sender)  # the folder and the road are in the records
    intake.look()
    report.inbox.settle()
    assert {"alarm-over", "arrived"} <= {document["event"] for document in said}


def test_what_another_process_receives_is_not_said_to_be_nothing(tmp_path: Path) -> None:
    inbox = inbox_in(tmp_path, Heard())
    admitted(inbox)
    options = ReceiveOptions(tmp_path / "inbox", GOLDEN / "trust.yaml")
    with pytest.raises(StoreError, match="of 1 on the way") as caught:
        receive(options, quiet(tmp_path), lambda _document, _text: None, threading.Event())
    assert caught.value.code == "locked"


def test_refusals_by_the_thousand_take_no_memory(tmp_path: Path) -> None:
    report = ReceiveReport(lambda _document, _text: None, b"", "golden", quiet(tmp_path), None)
    for number in range(2500):
        report.turned_away(Digest.of(b"%d" % number), TrustError("no-signature", "none"))
    assert len(report._said) <= 1000
    assert len(report.refusals) == 100
