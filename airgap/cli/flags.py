"""The flags that several commands have, with one meaning everywhere, and the values that flags take."""

from __future__ import annotations

import argparse
import os
import re
from datetime import datetime, time, timedelta
from pathlib import Path

from airgap.base.amounts import read_size, read_span
from airgap.base.errors import InputError
from airgap.base.times import utc_time
from airgap.cli.parser import Parser

LEAST_RATE = 1 << 10
"""Bytes a second: below, a server would think that nobody reads."""


def add_jobs(parser: Parser) -> None:
    """`--jobs`."""
    parser.add_argument("--jobs", "-j", type=_jobs, default=0, metavar="N", help="number of parallel tasks (default 8)")


def add_limit_rate(parser: Parser, what: str) -> None:
    """`--limit-rate`; `what` says which bytes it limits."""
    parser.add_argument(
        "--limit-rate",
        type=_rate,
        default=0,
        metavar="SIZE",
        help=f"{what}: at most so many bytes a second over all threads, such as 10MiB (default: no limit)",
    )


def _rate(text: str) -> int:
    made = read_size(text.removesuffix("/s"))
    if made < LEAST_RATE:
        raise argparse.ArgumentTypeError(
            f"got {text!r}, expected bytes a second, such as 10MiB or 500KiB, at least 1KiB"
        )
    return made


def add_until(parser: Parser) -> None:
    """`--until`."""
    parser.add_argument(
        "--until",
        type=_until,
        metavar="TIME",
        help="stop at this local time of day (06:00), or after this time (8h), with exit 5; what is finished is kept, "
        "and the same command goes on",
    )


def _until(text: str) -> time | timedelta:
    span = read_span(text)
    if span is not None and span > timedelta():
        return span
    try:
        if not re.fullmatch(r"[0-9]{1,2}:[0-9]{2}", text):
            raise ValueError
        hours, minutes = text.split(":")
        return time(int(hours), int(minutes))
    except ValueError:
        what = f"got {text!r}, expected a time of day like 06:00, or a duration like 8h"
        raise argparse.ArgumentTypeError(what) from None


def until_moment(chosen: time | timedelta, now: datetime) -> datetime:
    """The next moment at which the local clock shows a time of day, or the end of a duration.

    Of a time of day that a change of the clocks repeats, the next of the two counts; of one that it leaves out, the
    moment that the clock before the change would call so (PEP 495).
    """
    if isinstance(chosen, timedelta):
        return now + chosen
    local = now.astimezone()
    wall = (datetime.combine(local.date() + timedelta(days=day), chosen) for day in range(3))
    both = ((first.astimezone(), first.replace(fold=1).astimezone()) for first in wall)
    # In a gap, the second reading is earlier than the first, and no clock shows it.
    return next(found for first, second in both for found in (first, max(first, second)) if found > local)


def _jobs(text: str) -> int:
    if not 1 <= number(text) <= 64:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a number from 1 to 64")
    return number(text)


def number(text: str) -> int:
    """Reads a number in ASCII digits; -1 for anything else. Other scripts also have digits, and `²` counts as one."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 18 else -1


def resource_name(text: str) -> str:
    """Reads a name as in `metadata.name`. Names are signed, shown and compared: plain characters only."""
    from airgap.resources.parts import RESOURCE_NAME

    if not re.fullmatch(RESOURCE_NAME.pattern, text):
        raise argparse.ArgumentTypeError(f"got {text!r}, expected {RESOURCE_NAME.title}")
    return text


def add_sovereign(parser: Parser) -> None:
    """`--sovereign`, for commands that work inside."""
    parser.add_argument(
        "--sovereign", type=Path, required=True, metavar="FILE", help="Sovereign resource: the destinations"
    )


def add_store(parser: Parser) -> None:
    """`--store`."""
    parser.add_argument("--store", type=Path, metavar="DIR", help="the store (default: $AIRGAP_STORE)")


def add_shared_key(parser: Parser) -> None:
    """`--key-file` and `--unauthenticated`, for both sides of a one-way road."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--key-file",
        type=Path,
        metavar="FILE",
        help="the key that both sides have (`openssl rand -hex 32`); without it, anybody on the road can disturb",
    )
    group.add_argument(
        "--unauthenticated",
        action="store_true",
        help="by udp, without a key: signatures still decide what comes in, but anybody who can send packets to the "
        "receiver can keep it from receiving",
    )


def add_key(parser: Parser, *, what: str = "") -> None:
    """`--key` and `--key-password-file`; `what` names what the key signs, if anything."""
    signs = f" to sign {what}" if what else ""
    parser.add_argument(
        "--key",
        metavar="KEY",
        help=f"private key{signs}: a key file of airgap or cosign, or a token's key (pkcs11:token=…;object=…) "
        "(default: $AIRGAP_KEY)",
    )
    parser.add_argument(
        "--key-password-file",
        type=Path,
        metavar="FILE",
        help="file with the key's password or PIN (default: $AIRGAP_KEY_PASSWORD_FILE)",
    )


def add_identity(parser: Parser) -> None:
    """`--identity` and `--identity-password-file`, for commands that read deliveries."""
    parser.add_argument(
        "--identity",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="for an encrypted delivery: the secret key that opens it, of age or SSH; may be given more than once "
        "(default: $AIRGAP_IDENTITY_FILE)",
    )
    parser.add_argument(
        "--identity-password-file",
        type=Path,
        metavar="FILE",
        help="file with the passphrase of the identity, if it has one (default: $AIRGAP_IDENTITY_PASSWORD_FILE)",
    )


def add_trust(parser: argparse._ActionsContainer, *, required: bool) -> None:
    """`--trust`."""
    parser.add_argument(
        "--trust",
        type=Path,
        metavar="FILE",
        required=required,
        help="Trust resource: the keys whose signatures are accepted",
    )


def add_signer_trust(parser: Parser, *, each: bool = False) -> None:
    """`--trust`, where only the signer's own key is checked; with `each`, one for each receiving side."""
    what = "Trust resource of the receiving side; refuse what it would refuse, such as a key of another role"
    if each:
        help_text = f"{what}; may be given more than once, for one --for each"
        parser.add_argument("--trust", type=Path, action="append", default=[], metavar="FILE", help=help_text)
    else:
        parser.add_argument("--trust", type=Path, metavar="FILE", help=what)


def add_trust_or_not(parser: Parser) -> None:
    """`--trust`, or `--unverified`, for commands that take content out of a delivery or a store."""
    trust = parser.add_mutually_exclusive_group()
    add_trust(trust, required=False)
    trust.add_argument(
        "--unverified",
        action="store_true",
        help="do not check who signed the delivery; --trust or --unverified is required for one",
    )


def add_delivery(parser: Parser, *, optional: bool = False) -> None:
    """`DELIVERY`: the folders of a delivery that a command reads; `optional`, if it can be named otherwise."""
    parser.add_argument(
        "delivery",
        nargs="*" if optional else "+",
        type=existing,
        metavar="DELIVERY",
        help="folder with the files of the delivery; several, if its volumes are in several folders",
    )


def add_sent_store(parser: Parser) -> None:
    """`--store`, for what went over one-way roads: a sender needs no store."""
    parser.add_argument(
        "--store",
        type=Path,
        metavar="DIR",
        help="the store whose records note what was sent (default: $AIRGAP_STORE, else the state folder)",
    )


def add_volumes(parser: Parser, what: str) -> None:
    """`--volumes FOLDER`: other folders of a delivery; `what` the command reads of it, in a word."""
    parser.add_argument(
        "--volumes",
        type=existing,
        action="append",
        default=[],
        metavar="FOLDER",
        help=f"another folder with {what} of the delivery; may be given more than once",
    )


def add_baseline(parser: Parser) -> None:
    """`--baseline DIR`: where a delta's baselines are at hand."""
    parser.add_argument(
        "--baseline",
        type=existing,
        action="append",
        default=[],
        metavar="DIR",
        help="for a delta: an earlier delivery, or a store, that has what it omits; may be given more than once",
    )


def add_lock(parser: Parser) -> None:
    """`--lock`, where a store does not say itself which items it has."""
    parser.add_argument(
        "--lock", type=Path, metavar="LOCK", help="for a store: the lock that says which items it has, and their phases"
    )


def add_at(parser: Parser) -> None:
    """`--at`, for a delivery from an archive."""
    parser.add_argument(
        "--at",
        type=_moment,
        metavar="TIME",
        help="judge as of this past time, for a delivery from an archive",
    )


def _moment(text: str) -> datetime:
    try:
        return utc_time(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def add_approval(parser: Parser, what: str) -> None:
    """`--approval`, given once for each approval; `what` says which approvals."""
    parser.add_argument("--approval", type=Path, action="append", default=[], metavar="FILE", help=what)


def size(text: str) -> int:
    """Reads a size such as `4095MiB`, `25GB` or `1048576`; returns bytes."""
    made = read_size(text)
    if made < 0:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a size like 4095MiB, 25GB or 1048576")
    return made


def span(text: str) -> timedelta:
    """Reads a time such as `90s`, `30m` or `12h`, of at least a second."""
    made = read_span(text)
    if not made:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a time like 90s, 30m, 12h or 365d")
    return made


def existing(text: str) -> Path:
    """Reads the path of an existing file or folder. Raises `InputError` (`usage`)."""
    try:
        os.lstat(text)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError("usage", f"{text}: there is no such file or folder", "check the path") from error
    except ValueError as error:
        raise InputError("usage", f"{text!r} is not a path: {error}", "check the path") from error
    return Path(text)
