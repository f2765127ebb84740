"""docs/format.md, "What a lock binds": each field of a lock has a row that says what it is checked against."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from airgap.base.digest import Digest
from airgap.content import known_kinds
from airgap.content.graph import Descriptor
from airgap.content.item import Attached, Item, LockedFile
from airgap.content.lock_finding import LockFinding

PAGE = (Path(__file__).parents[2] / "docs/format.md").read_text("utf-8")
DIGEST = Digest.of(b"")


def rows() -> dict[str, tuple[str, str]]:
    """The rows of the table, by field."""
    text = PAGE.partition("### What a lock binds")[2].partition("\n\nTwo locks")[0]
    found = re.findall(r"^\| `([^`]+)` \| (.*?) ?\| (.*?) ?\|$", text, re.MULTILINE)
    assert len(found) == len({name for name, *_ in found}), "a field has two rows"
    return {name: (first.strip(), second.strip()) for name, first, second in found}


def written() -> set[str]:
    """Each field that a lock can have: those of an item, of what is attached to it, and of its files."""
    attached = Attached(DIGEST, "tag", Descriptor("type", DIGEST, 1, artifact_type="more"), "tag")
    named = {one.name for one in fields(Item)} - {"more"}
    named |= {f"attached[].{key}" for key in attached.as_dict()}
    named |= {f"files[].{key}" for key in LockedFile("a", DIGEST, 1).as_dict()}
    named |= {"findings", "leftOut", "lostLFS", "database", "promotedFrom"}
    return named | {f"findings[].{key}" for key in LockFinding("a", "b", "c").as_dict()}


def test_each_field_says_what_checks_it() -> None:
    assert sorted(rows()) == sorted(written())
    assert [name for name, said in rows().items() if not any(said)] == []


def test_each_field_of_each_kind_is_one_of_them() -> None:
    for name in known_kinds.names():
        kind = known_kinds.find(name)
        assert kind is not None
        assert kind.item_fields.always | kind.item_fields.maybe <= written(), name
