"""`send`: a delivery over a one-way road. Afterwards it is *sent*; *delivered* is what the other side says."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from airgap.base.errors import InputError
from airgap.base.times import utc_text
from airgap.diode.beats import MAX_SENT, Beat, SentBefore
from airgap.diode.codes import CodeKind, RoadCode, is_receipt, read_code
from airgap.diode.keys import read_shared_key
from airgap.diode.outgoing import Outgoing, check_resend, open_outgoing
from airgap.diode.roads import Outlet, SendSettings, open_outlet
from airgap.diode.udp.road import DEFAULT_MTU, DEFAULT_PARITY
from airgap.jobs.surroundings import Surroundings
from airgap.station.sent import Sent, SentRecords


@dataclass(frozen=True, slots=True)
class SendOptions:
    """What is sent, and over which road."""

    delivery: tuple[Path, ...] = ()
    """The folders with the files of one delivery. A resend takes those of its record, if none is named."""
    to: str = ""
    """The address of the road; a resend takes that of its record, if none is named."""
    resend: str = ""
    """The code that the other side showed: only what it asks for is sent."""
    store: Path | None = None
    """Its records note what was sent; without one, those of the state folder do."""
    shared_key: Path | None = None
    """The file of the key that both sides have."""
    rate: int = 0
    """Bits a second; 0 for what the road takes."""
    passes: int = 0
    """How often everything is sent; 0 for what is usual on the road."""
    parity: int = DEFAULT_PARITY
    """Percent of parity that a road of packets adds."""
    mtu: int = DEFAULT_MTU
    """Bytes of the largest packet of the network."""
    unauthenticated: bool = False
    """Send packets without a shared key: expressly."""
    stdout: int = 1
    """The descriptor of the road `-`."""


@dataclass(frozen=True, slots=True)
class SentNow:
    """What was sent in this run."""

    record: Sent
    bytes: int
    """Bytes of files, in one pass."""
    seconds: float


def sent_records(store: Path | None, surroundings: Surroundings) -> SentRecords:
    """The records of what was sent: in a store, else in the state folder. Raises `InputError` (`no-store`)."""
    if store is not None and not store.is_dir():
        raise InputError("no-store", f"--store {store}: there is no such folder", "name the store that has the records")
    return SentRecords(surroundings.state_folder if store is None else store / "airgap")


def send(options: SendOptions, surroundings: Surroundings) -> SentNow:
    """Sends a delivery, or what a resend code asks for, and notes it.

    1. Read the code and the key; find the delivery. 2. Open the road. 3. Send, hashing on the way. 4. Note it, and say
    in a beat what was sent.

    Raises `InputError`, `NotFoundError`, `IntegrityError`, `UpstreamError`, `StoreError`.
    """
    # 1.
    records = sent_records(options.store, surroundings)
    code = read_code(options.resend) if options.resend else None
    before = None if code is None else _asked_for(code, records)
    folders = options.delivery or tuple(map(Path, before.folders if before is not None else ()))
    to = options.to or (before.to if before is not None else "")
    _check_known(code, folders, to)
    settings = send_settings(options, surroundings)
    outgoing = open_outgoing(folders, code)
    with records.sending():
        # 2.
        outlet = open_outlet(to, settings)
        try:
            # 3.
            began = time.monotonic()
            send_one(outlet, outgoing, surroundings)
            # 4.
            record = note_sent(records, outgoing, folders, to, surroundings)
            outlet.beat(beat_of(records, to, 0, surroundings))
        finally:
            outlet.close()
    return SentNow(record, outgoing.bytes, time.monotonic() - began)


def send_settings(options: SendOptions, surroundings: Surroundings) -> SendSettings:
    """How to send, with the shared key. Raises `InputError`."""
    secret = b"" if options.shared_key is None else read_shared_key(options.shared_key)
    return SendSettings(
        surroundings.clock,
        secret,
        options.rate,
        options.passes,
        options.stdout,
        options.parity,
        options.mtu,
        unauthenticated=options.unauthenticated,
    )


def _asked_for(code: RoadCode, records: SentRecords) -> Sent | None:
    """The newest record of the delivery that a resend code is about."""
    check_resend(code)
    return next((one for one in reversed(records.all()) if code.is_about(one.delivery)), None)


def _check_known(code: RoadCode | None, folders: Sequence[Path], to: str) -> None:
    if code is not None and not folders:
        what = "the code is about a delivery that this store did not send"
        raise InputError("not-sent", what, "name the folder of the delivery, or the store that sent it (--store)")
    if not to:
        raise InputError("usage", "--to is required", "name the road, such as --to udp://10.0.0.2:9000")


def send_one(outlet: Outlet, outgoing: Outgoing, surroundings: Surroundings) -> None:
    """Sends a delivery with progress. Raises `IntegrityError`, `UpstreamError`, `StoreError`."""
    progress = surroundings.progress()
    progress.start("send", outgoing.bytes, len(outgoing.parts))
    outlet.send(outgoing, progress.advance)


def note_sent(
    records: SentRecords, outgoing: Outgoing, folders: Sequence[Path], to: str, surroundings: Surroundings
) -> Sent:
    """Notes that a delivery, or a part of it, was sent. Raises `StoreError`."""
    now, journey = utc_text(surroundings.clock()), outgoing.index.journey
    where = tuple(str(folder.resolve()) for folder in folders)
    made = Sent(outgoing.digest, journey.stream, journey.sequence, journey.sovereign, where, to, now, now)
    records.save_sent(made)
    return records.find(outgoing.digest) or made


def beat_of(records: SentRecords, to: str, every: int, surroundings: Surroundings) -> Beat:
    """The next beat of a road: it names what was sent over it and has no receipt yet."""
    waiting = [one for one in records.all() if not one.delivered_at and one.to == to]
    sent = tuple(SentBefore(one.delivery, one.sovereign, one.stream, one.sequence) for one in waiting[-MAX_SENT:])
    return Beat(surroundings.clock().replace(microsecond=0), every, sent)


def enter_receipt(text: str, store: Path | None, shared_key: Path | None, surroundings: Surroundings) -> Sent:
    """Turns the record of a delivery from *sent* to *delivered*, by the receipt code that the other side showed.

    Raises `InputError` (`bad-code`, `other-code`, `not-sent`), `StoreError`.
    """
    code = read_code(text)
    if code.kind is CodeKind.RESEND:
        what = "this is a resend code: something of the delivery is missing"
        raise InputError("other-code", what, "enter it with `airgap send --resend CODE`")
    records = sent_records(store, surroundings)
    about = [one for one in records.all() if code.is_about(one.delivery)]
    if not about:
        what = "the code is about a delivery that this store did not send"
        raise InputError("not-sent", what, "name the store that sent it (--store)")
    secret = b"" if shared_key is None else read_shared_key(shared_key)
    found = next((one for one in about if is_receipt(code, secret, one.delivery)), None)
    if found is None:
        which = f"delivery {about[0].sequence} of stream {about[0].stream!r}"
        raise InputError(
            "other-key",
            f"the code is about {which}, and was made with another key",
            "pass the --key-file that the receiver has, or none if it has none; then ask who made the code",
        )
    return records.save_delivered(found.delivery, utc_text(surroundings.clock()))
