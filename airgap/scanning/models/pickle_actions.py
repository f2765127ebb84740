"""The instructions of pickles, and what each does to the machine: how many bytes it takes, and which values.

Sources: pickletools.py of CPython; Modules/_pickle.c.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable

from airgap.scanning.models.pickle_machine import (
    MAX_DEPTH,
    MAX_NAME,
    OTHER,
    TEXT,
    BrokenPickleError,
    Import,
    Machine,
    PickleLimitError,
    Value,
)

MAX_LINE = 4096
"""Bytes of a line that are looked at."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*\Z", re.ASCII)

_Action = Callable[[Machine], None]
ACTIONS: dict[int, _Action] = {}


def _on(codes: str | bytes) -> Callable[[_Action], _Action]:
    """Registers what is done for each of these instructions."""

    def add(action: _Action) -> _Action:
        for code in codes.encode("latin-1") if isinstance(codes, str) else codes:
            ACTIONS[code] = action
        return action

    return add


def _known(data: bytes, whole: bool = True) -> Value:
    """A text, if it can be a name; a text with escapes cannot."""
    if not whole or not 0 < len(data) <= MAX_NAME:
        return TEXT
    text = data.decode("latin-1")
    return text if _NAME.match(text) else TEXT


def _literal(size: int) -> _Action:
    def action(machine: Machine) -> None:
        machine.stream.take(size)
        machine.push(OTHER)

    return action


def _counted(size: int, *, text: bool) -> _Action:
    """A value whose length stands before it, in `size` bytes."""

    def action(machine: Machine) -> None:
        length = int.from_bytes(machine.stream.take(size), "little")
        if length >= 1 << 63:
            raise BrokenPickleError("a length is negative")
        if text and length <= MAX_NAME:
            machine.push(_known(machine.stream.take(length)))
            return
        machine.stream.skip(length)
        machine.push(TEXT if text else OTHER)

    return action


def _line(machine: Machine) -> tuple[bytes, bool]:
    return machine.stream.line(MAX_LINE)


def _number(machine: Machine) -> int:
    line, whole = _line(machine)
    try:
        key = int(line) if whole and len(line) <= 20 else -1
    except ValueError:
        key = -1
    if key < 0:
        raise BrokenPickleError(f"a key of the memo is no number, before byte {machine.stream.at}")
    return key


for _code, _size in ((b"J", 4), (b"K", 1), (b"M", 2), (b"G", 8)):
    _on(_code)(_literal(_size))
for _code in (b"N", b"\x88", b"\x89", b"]", b"}", b")", b"\x8f", b"\x97"):
    _on(_code)(_literal(0))
for _code, _size in ((b"\x8a", 1), (b"\x8b", 4), (b"B", 4), (b"C", 1), (b"\x8e", 8), (b"\x96", 8)):
    _on(_code)(_counted(_size, text=False))
for _code, _size in ((b"T", 4), (b"U", 1), (b"X", 4), (b"\x8c", 1), (b"\x8d", 8)):
    _on(_code)(_counted(_size, text=True))


@_on("ILF")
def _number_line(machine: Machine) -> None:
    _line(machine)
    machine.push(OTHER)


@_on("S")
def _quoted(machine: Machine) -> None:
    line, whole = _line(machine)
    line = line.strip()
    if whole and (len(line) < 2 or line[:1] != line[-1:] or line[:1] not in b"'\""):
        raise BrokenPickleError(f"a text without quotes, before byte {machine.stream.at}")
    machine.push(_known(line[1:-1], whole))


@_on("V")
def _unicode_line(machine: Machine) -> None:
    machine.push(_known(*_line(machine)))


@_on("c")
def _global(machine: Machine) -> None:
    machine.push(machine.import_(*_two_names(machine)))


def _two_names(machine: Machine) -> tuple[str, str]:
    names = []
    for _ in range(2):
        line, whole = _line(machine)
        try:
            text = line.decode()
        except ValueError as error:
            raise BrokenPickleError(f"a name is not UTF-8, before byte {machine.stream.at}") from error
        if not whole or len(text) > MAX_NAME:
            raise BrokenPickleError(f"a name of more than {MAX_NAME} characters, before byte {machine.stream.at}")
        names.append(text)
    return names[0], names[1]


@_on(b"\x93")
def _stack_global(machine: Machine) -> None:
    name, module = machine.pop(), machine.pop()
    if isinstance(module, str) and isinstance(name, str):
        machine.push(machine.import_(module, name))
        return
    machine.fault("pickle-hidden-import", f"at byte {machine.stream.at - 1}")
    machine.seen.calls += 1
    machine.seen.reached |= OTHER not in (module, name)
    machine.push(Import("?", "?"))


@_on("i")
def _inst(machine: Machine) -> None:
    # CPython's reader in Python imports before it looks for the mark, the one in C afterwards.
    imported = machine.import_(*_two_names(machine))
    machine.call(imported)
    machine.pop_mark()
    machine.push(OTHER)


@_on("o")
def _obj(machine: Machine) -> None:
    items = machine.pop_mark()
    if not items:
        raise BrokenPickleError(f"nothing to make at byte {machine.stream.at - 1}")
    machine.call(items[0])
    machine.push(OTHER)


@_on(b"R\x81")
def _reduce(machine: Machine) -> None:
    machine.pop()
    machine.call(machine.pop())
    machine.push(OTHER)


@_on(b"\x92")
def _new_with_names(machine: Machine) -> None:
    machine.pop()
    _reduce(machine)


@_on("b")
def _build(machine: Machine) -> None:
    machine.pop()
    machine.change(machine.top())


@_on("a")
def _add_one(machine: Machine) -> None:
    machine.pop()
    machine.change(machine.top())


@_on("s")
def _set_one(machine: Machine) -> None:
    machine.pop()
    machine.pop()
    machine.change(machine.top())


@_on(b"eu\x90")
def _add_many(machine: Machine) -> None:
    machine.pop_mark()
    machine.change(machine.top())


@_on(b"lt\x91d")
def _collect(machine: Machine) -> None:
    machine.pop_mark()
    machine.push(OTHER)


def _tuple(size: int) -> _Action:
    def action(machine: Machine) -> None:
        for _ in range(size):
            machine.pop()
        machine.push(OTHER)

    return action


for _code, _size in ((b"\x85", 1), (b"\x86", 2), (b"\x87", 3)):
    _on(_code)(_tuple(_size))


@_on("(")
def _mark(machine: Machine) -> None:
    machine.depth += 1
    if machine.depth > MAX_DEPTH:
        raise PickleLimitError(f"more than {MAX_DEPTH} marks")
    machine.marked.append(machine.stack)
    machine.stack = []


@_on("0")
def _pop(machine: Machine) -> None:
    if machine.stack or not machine.marked:
        machine.pop()
    else:
        machine.pop_mark()


@_on("1")
def _pop_mark(machine: Machine) -> None:
    machine.pop_mark()


@_on("2")
def _dup(machine: Machine) -> None:
    machine.push(machine.top())


@_on("p")
def _put(machine: Machine) -> None:
    machine.remember(_number(machine))


@_on("q")
def _put_short(machine: Machine) -> None:
    machine.remember(machine.stream.take(1)[0])


@_on("r")
def _put_long(machine: Machine) -> None:
    machine.remember(int.from_bytes(machine.stream.take(4), "little"))


@_on(b"\x94")
def _memoize(machine: Machine) -> None:
    machine.remember(len(machine.memo))


@_on("g")
def _get(machine: Machine) -> None:
    machine.recall(_number(machine))


@_on("h")
def _get_short(machine: Machine) -> None:
    machine.recall(machine.stream.take(1)[0])


@_on("j")
def _get_long(machine: Machine) -> None:
    machine.recall(int.from_bytes(machine.stream.take(4), "little"))


def _extension(size: int) -> _Action:
    def action(machine: Machine) -> None:
        machine.stream.take(size)
        machine.fault("pickle-hidden-import", "an import by a number of the registry of extensions")
        machine.seen.calls += 1
        machine.push(Import("?", "?"))

    return action


for _code, _size in ((b"\x82", 1), (b"\x83", 2), (b"\x84", 4)):
    _on(_code)(_extension(_size))


@_on("P")
def _persistent_line(machine: Machine) -> None:
    _line(machine)
    machine.push(OTHER)


@_on("Q")
def _persistent(machine: Machine) -> None:
    machine.pop()
    machine.push(OTHER)


@_on(b"\x80")
def _protocol(machine: Machine) -> None:
    number = machine.stream.take(1)[0]
    if number > 5:
        raise BrokenPickleError(f"protocol {number} does not exist")


@_on(b"\x95")
def _frame(machine: Machine) -> None:
    (size,) = struct.unpack("<Q", machine.stream.take(8))
    if machine.frame_end:
        machine.fault("pickle-frame", f"a frame in a frame at byte {machine.stream.at - 9}")
    machine.frame_end = machine.stream.at + size if size else 0


@_on(b"\x98")
def _read_only(machine: Machine) -> None:
    machine.top()
