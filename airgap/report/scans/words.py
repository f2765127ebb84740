"""Words about checks that several parts of a report use."""

from __future__ import annotations

from airgap.statements.verdict import PassedBy


def by_words(by: PassedBy | None) -> str:
    """Who made a check pass: `key 'x'`, an identity with its issuer, an approver; empty if nobody is named."""
    if by is None:
        return ""
    if by.key:
        return f"key {by.key!r}"
    if by.identity:
        return f"{by.identity} ({by.issuer})" if by.issuer else by.identity
    return by.approver
