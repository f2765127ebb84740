"""Content compared with its lock: by everybody who takes it from others, as `pull` compares it (`Kind.check`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from airgap.acceptance.open import Opened
from airgap.base.errors import (
    AbsentError,
    AirgapError,
    IntegrityError,
    NotAsLockedError,
    TrustError,
)
from airgap.base.parallel import parallel
from airgap.base.text import Lines
from airgap.content.forms import Form
from airgap.content.graph import Descriptor, Source
from airgap.content.item import Item
from airgap.delivery.fields import CUT_AGAIN, INDEX_NAME
from airgap.kinds.table import kind_of
from airgap.statements.scan_answers import SCAN
from airgap.statements.verdict import Verdict

Roots = Sequence[tuple[Item, Descriptor]]
"""Items, each with the root of its content."""


def check_nodes(roots: Roots, source: Source, jobs: int) -> list[Form]:
    """Compares the nodes of items with their locks; returns the forms of the items, in the order of `roots`.

    Raises `NotAsLockedError`, and any error of reading manifests.
    """
    return parallel(jobs, lambda named: kind_of(named[0]).form(*named, source), roots)


def check_whole(roots: Roots, source: Source, jobs: int) -> None:
    """Compares all content of items with their locks: it must be in `source`. Raises `NotAsLockedError`."""
    found = parallel(jobs, lambda named: kind_of(named[0]).check(*named, source), roots)
    _raise([(item, findings) for (item, _), findings in zip(roots, found, strict=True)])


def carried(opened: Opened) -> Roots:
    """The items of a delivery without those whose leaves, which `check_leaves` reads, a delta omits."""
    omitted = opened.index.contents.omitted
    if not omitted:
        return opened.roots
    read = ((named, kind_of(named[0]).opened(*named, opened.volumes)) for named in opened.roots)
    return [named for named, leaves in read if all(leaf.digest not in omitted for leaf in leaves or ())]


def check_leaves(opened: Opened, roots: Roots, jobs: int) -> dict[str, AirgapError]:
    """Compares with their locks the leaves of a delivery that no destination compares, as far as they are at hand.

    Returns the items that could not be compared, each with the error: an `AbsentError` names leaves on volumes that are
    not attached, any other is that of reading a damaged medium. Raises `NotAsLockedError`.
    """
    found, unread = list[tuple[Item, list[str]]](), dict[str, AirgapError]()

    def one(named: tuple[Item, Descriptor]) -> None:
        item, root = named
        kind = kind_of(item)
        leaves = kind.opened(item, root, opened.volumes)
        absent = [leaf.digest for leaf in leaves or () if not opened.volumes.has(leaf)]
        if absent:
            unread[item.name] = AbsentError(absent)
        elif leaves is not None:
            try:
                found.append((item, kind.check_content(item, root, opened.volumes)))
            except IntegrityError as error:
                unread[item.name] = error

    parallel(jobs, one, roots)
    _raise(found)
    return unread


def _raise(found: Sequence[tuple[Item, Sequence[str]]]) -> None:
    wrong = [f"{item.kind} {item.name!r}: {finding}" for item, findings in found for finding in findings]
    if wrong:
        raise NotAsLockedError(
            "not-as-locked",
            Lines.of([f"the content differs from its lock: {wrong[0]}", *wrong[1:]], "\n  "),
            "none of it was given a name here; have it locked and pulled again in the connected zone",
        )


def forms_of(opened: Opened, jobs: int) -> list[Form]:
    """The form of each item, in the order of the locks. All content is in the delivery, if not on the attached volumes.

    Raises `NotFoundError` (`volume-missing`), `IntegrityError`; `NotAsLockedError` where nodes differ from the lock;
    `TrustError` (`verdict-contradicted`) if something of them was not scanned, and the verdict says that all was.
    """
    roots = opened.roots
    for _, root in roots:
        if not opened.volumes.has(root):
            opened.volumes.open(root)  # its error names the missing volume
    forms = check_nodes(roots, opened.volumes, jobs)
    _check_listed(forms, opened)
    _check_scanned(opened)
    return forms


def _check_scanned(opened: Opened) -> None:
    """Raises `TrustError` (`verdict-contradicted`) if an index contains something that its verdict's scans left out."""
    for lock in opened.locks:
        said = [one.statement for one in opened.admitted.statements if one.statement.subject == lock.digest]
        last = max((one.signed_at for one in said if isinstance(one.body, Verdict)), default=None)
        for body in (one.body for one in said if one.signed_at == last):
            if not isinstance(body, Verdict) or body.gate is None:
                continue
            for item, root in opened.roots:
                if root.is_index and item in lock.items:
                    _check_subjects(item, root, body, opened)


def _check_subjects(item: Item, root: Descriptor, verdict: Verdict, opened: Opened) -> None:
    scanned = {check.subject for check in verdict.items[item.name].checks if check.check == SCAN}
    for subject in kind_of(item).subjects(item, root, opened.volumes, Path()):
        if subject.digest not in scanned:
            raise TrustError(
                "verdict-contradicted",
                f"{item.kind} {item.name!r}: the verdict lets it pass, but nobody scanned {subject.digest} in it",
                "tell the security-officer: the station's verdict does not cover what it names; have it scanned again",
            )


def _check_listed(forms: Sequence[Form], opened: Opened) -> None:
    """Raises `IntegrityError`: `not-in-delivery` if an item names content that is in no volume, and is not omitted;
    `bad-index` if it is omitted with another size: what is shown of a delta would not be so."""
    contents = opened.index.contents
    for form in forms:
        for blob in form.blobs():
            one = contents.omitted.get(blob.digest)
            if one is not None and one.size != blob.size:
                what = f"{blob.digest} is left out with {one.size} bytes, but {form.item!r} has {blob.size} of it"
                raise IntegrityError("bad-index", f"{INDEX_NAME}: {what}", CUT_AGAIN)
            if one is None and blob.digest not in contents.blobs:
                raise IntegrityError(
                    "not-in-delivery",
                    f"{form.item!r}: {blob.digest} is in no volume of this delivery",
                    "ask the sender to cut the delivery again",
                )
