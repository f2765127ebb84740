"""`LockFinding`: what a lock lacks of its request. Nothing is cut from such a lock until a waiver accepts each finding.

`airgap lock --partial` writes findings. One names an item that could not be locked and is not in the lock, or an item
of the lock that lacks something, as its kind finds in it. Format: docs/format.md, "lock.json".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from airgap.base.amounts import count
from airgap.base.canonical import canonical
from airgap.base.digest import Digest
from airgap.base.json_fields import plain_complaint
from airgap.base.text import one_line

CHECK = "finding"
"""The name of the check, in waivers and verdicts. Its subject is the digest of the finding."""
QUARANTINED = "quarantined"
"""The code of an item that did not pass, and was left out of a promoted lock."""
MAX_FINDINGS = 10_000
"""Findings of a lock: more than the items of a large one."""
MAX_DETAIL = 2048
"""Characters of a detail: a path of a repository and a digest, or a message with an address, fit."""
MAX_FOUND_ITEM = 512
"""Characters of the item: the same limit as for the names of items, which some findings cannot keep otherwise."""
CODE = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*\Z")

_REQUEST_ID = re.compile(r" \(X-Request-Id [^)]*\)")


@dataclass(frozen=True, slots=True, order=True)
class LockFinding:
    """One thing that is missing: the item's name, a code of docs/reference/codes.md, and the reason in words."""

    item: str
    code: str
    detail: str

    @classmethod
    def of(cls, item: str, code: str, detail: str) -> LockFinding:
        """A finding of a message. The same cause gives the same finding in each run: what a waiver accepts stays."""
        text = one_line(_REQUEST_ID.sub("", detail))
        short = text if len(text) <= MAX_DETAIL else f"{text[: MAX_DETAIL - 1]}…"
        name = one_line(item)[:MAX_FOUND_ITEM] if plain_complaint(item, MAX_FOUND_ITEM) else item
        return cls(name, code, short)

    @property
    def quarantined(self) -> bool:
        """True for an item that did not pass, and was left out when the lock was promoted."""
        return self.code == QUARANTINED

    def as_dict(self) -> dict[str, str]:
        """The JSON object."""
        return {"item": self.item, "code": self.code, "detail": self.detail}

    @property
    def digest(self) -> Digest:
        """sha256 of the canonical JSON object: a waiver names the finding by it."""
        return Digest.of(canonical(self.as_dict()))


def finding_lines(findings: Sequence[LockFinding]) -> list[str]:
    """The findings for people: a heading with their number, and two lines each."""
    if not findings:
        return []
    many, held = count(len(findings), "finding"), sum(one.quarantined for one in findings)
    lines = [f"{many}: the lock lacks this of its request, and only an approved waiver lets it pass"]
    if held == len(findings):
        lines = [f"{many}: left out, in quarantine at the scan station; its policy and verdict have to allow that"]
    elif held:
        lines.append(f"  of these, the scan station's policy and verdict may allow what is in quarantine: {held}")
    for one in findings:
        lines += [f"  {one.item}: {one.detail} [{one.code}]", f"    {one.digest}"]
    return lines


def findings_json(findings: Sequence[LockFinding]) -> list[dict[str, str]]:
    """The findings for `--json`, each with its digest."""
    return [one.as_dict() | {"digest": str(one.digest)} for one in findings]


def finding_note(name: str, findings: Sequence[LockFinding]) -> str:
    """One line about a lock with findings, for every step that goes on with it."""
    first = findings[0]
    many = count(len(findings), "finding")
    return f"lock {name!r} has {many} (first: {first.item}: {first.code}): `airgap show` lists what it lacks"
