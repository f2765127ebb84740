"""Waivers as the scan station accepts them: a file, and the security-officer's approval of exactly its bytes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from airgap.base.errors import AirgapError, InputError, TrustError
from airgap.base.inputs import read_input
from airgap.base.known_files import not_expected
from airgap.base.times import utc_text
from airgap.bundling.evidence import Approved, beside
from airgap.resources.load import load_waiver
from airgap.resources.trust import Trust
from airgap.resources.waiver import MAX_WAIVER, Waiver
from airgap.statements.approval import Approvable, Approval, Approves
from airgap.statements.dsse import MAX_BUNDLE, open_bundle
from airgap.statements.statement import article
from airgap.statements.trust import VerifiedStatement, verify_bundle

_SIGN = "have exactly this file approved: airgap sign WAIVER --key KEY --role security-officer"


def read_waivers(paths: Sequence[Path], approvals: Sequence[Path], trust: Trust, now: datetime) -> list[Approved]:
    """The waivers in the files `paths`, each with its approval: next to it, or one of `approvals`.

    1. The file is a Waiver (`bad-resource`). 2. An approval is about its bytes: otherwise `waiver-unapproved`, or
    `waiver-changed` if one next to it is about other bytes. 3. It is signed by a security-officer of `trust` whose key
    was valid at that time (raises as `verify_bundle`). 4. It was made for a waiver (raises as `Approval.check`). 5. The
    waiver has not expired (`waiver-expired`).

    Raises `InputError`, `TrustError`: an invalid waiver is reported before anything is judged, and never ignored.
    """
    named = {path: _approval(path, trust, now) for path in approvals}
    unused = dict(named)
    found = []
    for path in paths:
        data = read_input(path, MAX_WAIVER, "resource-file")
        waiver = load_waiver(data, base_dir=path.absolute().parent, label=str(path))
        near = {one: _approval(one, trust, now) for one in beside(path)}
        offered = named | near
        good = _good(offered, waiver)
        if good is None:
            raise _unapproved(path, waiver, near)
        if waiver.expired(now):
            raise InputError(
                "waiver-expired",
                f"{path}: expired at {utc_text(waiver.expires)}; the local time is {utc_text(now)}",
                "omit it, or have a waiver approved that is valid longer",
            )
        unused.pop(good, None)
        found.append(Approved(waiver, offered[good].raw))
    for path, one in unused.items():
        what = f"{path}: approves {one.statement.subject}, which is not a waiver passed with --waiver"
        raise InputError("bad-approval", what, _SIGN)
    return found


def _approval(path: Path, trust: Trust, now: datetime) -> VerifiedStatement:
    data = read_input(path, MAX_BUNDLE, "bad-approval")
    try:
        open_bundle(data, str(path))
    except AirgapError as error:
        # The wrong file was named; no signature is wrong.
        what = not_expected(str(path), data, "a signed statement", error.what)
        raise InputError("bad-approval", what, _SIGN) from error
    found = verify_bundle(data, trust, str(path), now=now)
    if found.statement.kind != "approval":
        what = f"{path}: got {article(found.statement.kind)} statement, expected an approval"
        raise InputError("bad-approval", what, _SIGN)
    return found


def _good(offered: dict[Path, VerifiedStatement], waiver: Waiver) -> Path | None:
    """The first approval of this waiver that counts as one, `None` if there is no approval of it.

    Raises `TrustError` if there are only others.
    """
    refused = None
    for path, one in offered.items():
        body = one.statement.body
        if one.statement.subject != waiver.digest or not isinstance(body, Approval):
            continue
        try:
            body.check(Approves(Approvable.WAIVER), str(path))
        except TrustError as error:
            refused = refused or error
        else:
            return path
    if refused is not None:
        raise refused
    return None


def _unapproved(path: Path, waiver: Waiver, near: dict[Path, VerifiedStatement]) -> TrustError:
    for beside_it, one in near.items():
        return TrustError(
            "waiver-changed",
            f"{path} is {waiver.digest}, but {beside_it.name} approves {one.statement.subject}: the file was edited "
            "after approval",
            f"undo the edit, or remove {beside_it.name} and {_SIGN}",
        )
    return TrustError("waiver-unapproved", f"{path}: the waiver has no approval", _SIGN)
