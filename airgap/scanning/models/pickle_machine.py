"""Reads pickles without running them: a machine that follows every instruction, with symbols instead of objects.

It knows of each value only what decides what may be imported: a text that is a name, an import, or something else. A
pickle is harmless if each import is a literal name on a list (`imports`), and nothing else is called or changed. All
the rest is a finding, so that an instruction which is read wrongly can hide nothing.
Sources: pickletools.py of CPython (meaning and length of each instruction), Modules/_pickle.c (stack, marks, memo).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from airgap.scanning.models.imports import is_harmless, is_unsafe
from airgap.scanning.models.rules import Report
from airgap.scanning.models.stream import BoundedStream

MAX_NAME = 200
"""Characters of a module or a name."""
MAX_DEPTH = 1_000_000
"""Values on the stack, and values in the memo: 8 and 80 MB. The pickle of a forest with 3 million nodes has less."""
MAX_STEPS = 30_000_000
"""Instructions of a file: half a minute."""
MAX_IMPORTS = 200
"""Imports of one pickle that are noted."""
STOP = ord(".")


class BrokenPickleError(ValueError):
    """No loader goes on from here."""


class PickleLimitError(ValueError):
    """A limit of this reader: what follows was not read."""


@dataclass(frozen=True, slots=True)
class Import:
    """Something imported."""

    module: str
    name: str


class Other:
    """Any value that is no text and no import."""


OTHER, TEXT = Other(), Other()
Value = str | Import | Other


@dataclass(slots=True)
class PickleSeen:
    """What one pickle did, as far as it could be read."""

    start: int
    end: int = 0
    whole: bool = False
    """It was read to its STOP."""
    steps: int = 0
    imports: list[tuple[str, str]] = field(default_factory=list)
    """What it imports that is not harmless, in order, each once."""
    harmless: list[str] = field(default_factory=list)
    calls: int = 0
    faults: list[tuple[str, str]] = field(default_factory=list)
    """Rule and detail of everything else that is wrong with it."""

    reached: bool = False
    """It imports something under a name that a module can have."""
    broken: str = ""
    """Why no loader goes on."""
    limit: str = ""
    """Which limit of this reader it is beyond."""

    @property
    def certain(self) -> bool:
        """True if this was no accident: other files seldom begin by importing something and calling it."""
        return self.reached and (self.whole or self.calls > 0)

    def report(self, report: Report) -> None:
        """Says everything that was found."""
        for module, name in self.imports:
            rule = "pickle-import-unsafe" if is_unsafe(module, name) else "pickle-import-unknown"
            report(rule, f"{module}.{name}")
        for rule, detail in self.faults:
            report(rule, detail)
        if self.broken:
            report("pickle-broken", self.broken)
        if self.limit:
            report("not-read-limit", self.limit)


class Machine:
    """One pickle. `run` reads it to its end, and raises what stops it."""

    def __init__(self, stream: BoundedStream, steps: int) -> None:
        self.stream = stream
        self.seen = PickleSeen(stream.at)
        self.stack: list[Value] = []
        self.marked: list[list[Value]] = []
        """The stacks below each mark."""
        self.depth = 0
        self.memo: dict[int, Value] = {}
        self.left = steps
        self.frame_end = 0

    def run(self, actions: Mapping[int, Callable[[Machine], None]]) -> None:
        """Does what `actions` say for each instruction.

        Raises `BrokenPickleError`, `EndsTooEarlyError`, `PickleLimitError`.
        """
        stream, seen = self.stream, self.seen
        try:
            while True:
                code = stream.take(1)[0]
                seen.steps += 1
                if seen.steps > self.left:
                    raise PickleLimitError(f"more than {MAX_STEPS} instructions")
                if code == STOP:
                    self.pop()
                    break
                action = actions.get(code)
                if action is None:
                    raise BrokenPickleError(f"byte {stream.at - 1} is no instruction")
                action(self)
                if self.frame_end:
                    self._check_frame()
            seen.whole = True
            if self.frame_end > stream.at:
                self.fault("pickle-frame", f"the pickle ends at byte {stream.at}, and its frame does not")
        finally:
            seen.end = stream.at

    def _check_frame(self) -> None:
        if self.stream.at > self.frame_end:
            self.fault("pickle-frame", f"at byte {self.stream.at}")
            self.frame_end = 0
        elif self.stream.at == self.frame_end:
            self.frame_end = 0

    def fault(self, rule: str, detail: str) -> None:
        """Notes a fault, each rule once: what follows it is of the same making."""
        if all(rule != known for known, _ in self.seen.faults):
            self.seen.faults.append((rule, detail))

    # The stack, as Modules/_pickle.c has it: nothing reaches below a mark.

    def push(self, value: Value) -> None:
        """Adds a value. Raises `PickleLimitError`."""
        self.stack.append(value)
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise PickleLimitError(f"more than {MAX_DEPTH} values on the stack")

    def pop(self) -> Value:
        """Takes the last value. Raises `BrokenPickleError`."""
        if not self.stack:
            raise BrokenPickleError(f"nothing is on the stack at byte {self.stream.at - 1}")
        self.depth -= 1
        return self.stack.pop()

    def top(self) -> Value:
        """The last value. Raises `BrokenPickleError`."""
        if not self.stack:
            raise BrokenPickleError(f"nothing is on the stack at byte {self.stream.at - 1}")
        return self.stack[-1]

    def pop_mark(self) -> list[Value]:
        """Takes everything above the last mark. Raises `BrokenPickleError`."""
        if not self.marked:
            raise BrokenPickleError(f"no mark is on the stack at byte {self.stream.at - 1}")
        items = self.stack
        self.stack = self.marked.pop()
        self.depth -= len(items) + 1
        return items

    # What decides.

    def import_(self, module: str, name: str) -> Import:
        """Notes an import."""
        if is_harmless(module, name):
            if len(self.seen.harmless) < MAX_IMPORTS and f"{module}.{name}" not in self.seen.harmless:
                self.seen.harmless.append(f"{module}.{name}")
        elif (module, name) not in self.seen.imports:
            if len(self.seen.imports) >= MAX_IMPORTS:
                raise PickleLimitError(f"more than {MAX_IMPORTS} imports")
            self.seen.imports.append((module, name))
        self.seen.reached |= all(part.isidentifier() for part in f"{module}.{name}".split("."))
        return Import(module, name)

    def call(self, what: Value) -> None:
        """Notes a call. An import is judged where it is imported."""
        self.seen.calls += 1
        if not isinstance(what, Import):
            self.fault("pickle-call-computed", f"a call at byte {self.stream.at - 1}")

    def change(self, what: Value) -> None:
        """Notes a change: of an object that was made, and never of something that was imported."""
        if isinstance(what, Import):
            self.seen.calls += 1
            self.fault("pickle-call-computed", f"{what.module}.{what.name} is changed at byte {self.stream.at - 1}")

    def remember(self, key: int) -> None:
        """Puts the last value into the memo."""
        self.memo[key] = self.top()
        if len(self.memo) > MAX_DEPTH:
            raise PickleLimitError(f"more than {MAX_DEPTH} values in the memo")

    def recall(self, key: int) -> None:
        """Pushes a value of the memo. Raises `BrokenPickleError`."""
        if key not in self.memo:
            raise BrokenPickleError(f"value {key} is not in the memo, at byte {self.stream.at - 1}")
        self.push(self.memo[key])
