"""What a person reads on the page of a statement: what it is about, and what is not as planned; the codes have all."""

from __future__ import annotations

from airgap.base.text import one_line
from airgap.base.times import utc_text
from airgap.report.statements import counted, described
from airgap.statements.predicates import Receipt
from airgap.statements.statement import Statement
from airgap.station.receipts import DONE


def heading(statement: Statement) -> str:
    """The line at the top."""
    return f"airgap: {statement.kind} of {utc_text(statement.signed_at)}"


def lines(statement: Statement, hint: str) -> list[str]:
    """The lines below it. Of a receipt only the names that are not in place; of everything else what `show` says."""
    body = statement.body
    told = _receipt(statement, body, hint) if isinstance(body, Receipt) else described(statement, hint)
    return [*told, "", "to read it back: airgap receipt decode PICTURE --store STORE --trust TRUST -o FILE"]


def _receipt(statement: Statement, body: Receipt, hint: str) -> list[str]:
    made = [
        f"about AIRGAP.json {statement.subject}",
        f"delivery {body.sequence} of stream {body.stream!r}, id {body.delivery}",
        f"signed as {statement.role} by the key with hint {hint or 'none'}",
        *(f"lock {one.name}, {len(one.items)} items, {one.digest}" for one in body.locks),
    ]
    for part in body.destinations:
        made.append(counted(part))
        made += [
            f"  {line.outcome} {line.at} {line.name} {line.digest} {line.reason}".rstrip()
            for line in part.items
            if line.outcome not in DONE
        ]
    made += [f"not in the lock: {one.item}: {one.code}" for one in body.findings]
    return [one_line(line) for line in made]
