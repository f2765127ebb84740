"""Reads files of pickles: one or several, one after the other, or one that pretends to be another file."""

from __future__ import annotations

from airgap.scanning.models.pickle_actions import ACTIONS
from airgap.scanning.models.pickle_machine import (
    MAX_STEPS,
    BrokenPickleError,
    Machine,
    PickleLimitError,
    PickleSeen,
)
from airgap.scanning.models.rules import Report
from airgap.scanning.models.stream import BoundedStream, EndsTooEarlyError


def read_pickle(stream: BoundedStream, steps: int = MAX_STEPS) -> PickleSeen:
    """Follows one pickle from the stream's place, for at most `steps` instructions."""
    machine = Machine(stream, steps)
    seen = machine.seen
    try:
        machine.run(ACTIONS)
    except BrokenPickleError as error:
        seen.broken = str(error)
    except EndsTooEarlyError:
        seen.broken = "it ends before its last instruction"
    except PickleLimitError as error:
        seen.limit = str(error)
    return seen


_TORCH_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""The first pickle of a file of torch before 1.6: four pickles follow, and then the bytes of tensors."""
_TORCH_PICKLES = 5
MAX_PICKLES = 1000
"""Pickles of a file, one after the other."""


def read_pickles(stream: BoundedStream, report: Report, *, expected: bool) -> list[PickleSeen]:
    """Follows the pickles of a file, and says what they do. Empty if the file is none.

    `expected` says that its name is one of a pickle, so that it need not prove to be one.
    """
    head = stream.peek(len(_TORCH_MAGIC))
    marked = head[:1] == b"\x80" and head[1:2] <= b"\x05"
    first = read_pickle(stream)
    if not (expected or first.certain or (marked and (first.whole or first.reached))):
        return []
    found = [first]
    torch = head == _TORCH_MAGIC
    while found[-1].whole and len(found) < (_TORCH_PICKLES if torch else MAX_PICKLES) and stream.peek(1):
        if not torch and stream.peek(2)[:1] != b"\x80":
            break
        found.append(read_pickle(stream, MAX_STEPS - sum(one.steps for one in found)))
    for one in found:
        one.report(report)
    if found[-1].whole and not torch and stream.peek(1):
        report("pickle-trailing", f"from byte {stream.at} on")
        if len(found) < MAX_PICKLES:
            _odd_follower(stream, report, found)
    if not any(one.imports or one.faults or one.broken or one.limit for one in found):
        names = sorted({name for one in found for name in one.harmless})
        report("pickle", f"it imports {', '.join(names)}" if names else "it imports nothing")
    return found


def _odd_follower(stream: BoundedStream, report: Report, found: list[PickleSeen]) -> None:
    """What follows may be a pickle of an old protocol, which nothing marks."""
    following = read_pickle(stream)
    if following.certain:
        found.append(following)
        following.report(report)
