"""What an import needs on this machine: its state folder, keys that are valid, and programs."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

from airgap.base.amounts import human
from airgap.base.disk import disk_error
from airgap.base.errors import EndedKeyError, StoreError, TrustError
from airgap.base.probe import Probe, Probes
from airgap.base.secrets import read_secret
from airgap.base.times import CLOCK_SKEW, utc_text
from airgap.jobs.signing import signer_of
from airgap.jobs.surroundings import Surroundings
from airgap.resources.sovereign import SigningKey, Sovereign
from airgap.resources.trust import Trust
from airgap.statements.accepted_state import StateFile
from airgap.statements.keys.open import open_key
from airgap.statements.rotation import expiring
from airgap.statements.trust import check_signer, key_ring

LITTLE = 1 << 30
"""Bytes. A state folder with less room is a warning: Git repositories and parts of split blobs are unpacked there."""


def probe_state(folder: Path, name: str, now: datetime) -> list[Probe]:
    """The state folder: whether it can be written, its room, and what was accepted."""
    found = Probes(str(folder))
    probe_folder(found, folder, 0)
    if folder.is_dir():
        mode = stat.S_IMODE(folder.stat().st_mode)
        if mode & 0o077:
            said = f"its mode is {mode:o}: other accounts can use it"
            found.warn("mode", said, f"chmod 700 {folder}; the next import does it, too")
    with found.looking("accepted deliveries"):
        state = StateFile(folder, name).load()
        latest, count = state.latest_time(), len(state.deliveries)
        if latest is not None and now + CLOCK_SKEW < latest:
            raise TrustError(
                "clock-behind",
                f"this machine's clock says {utc_text(now)}, and a delivery was accepted at {utc_text(latest)}",
                "set the clock",
            )
        last = state.deliveries[-1] if state.deliveries else None
        more = f"; the last: number {last.sequence} of stream {last.stream}" if last is not None else ""
        found.ok("accepted deliveries", f"{count}{more}")
    return found.found


def probe_folder(found: Probes, folder: Path, needed: int) -> None:
    """Whether a folder exists or can be made, can be written, and has `needed` bytes of room. Writes nothing."""
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    if not there.is_dir():
        found.problem("folder", disk_error(NotADirectoryError(errno.ENOTDIR, "this is not a folder"), there))
        return
    if not os.access(there, os.W_OK | os.X_OK, effective_ids=True):
        what = f"{there} cannot be written by this account (uid {os.geteuid()}), or the disk is mounted read-only"
        hint = f"change its owner or mode, or mount it read-write: `findmnt -T {there}` and `ls -ld {there}` show both"
        found.problem("folder", StoreError("no-permission", what, hint))
        return
    disk = os.statvfs(there)
    free = disk.f_bavail * disk.f_frsize
    said = f"{human(free)} free" + ("" if folder.exists() else "; it will be made")
    if needed > free:
        what = f"{said}, the delivery needs {human(needed)}"
        found.problem("folder", StoreError("disk-full", what, "free space there, or use another disk"))
    elif free < LITTLE:
        found.warn("folder", said, "free space there before a large import")
    else:
        found.ok("folder", said)


def probe_trust(file: Path, trust: Trust, now: datetime, within: timedelta) -> list[Probe]:
    """The keys of a Trust resource: each role needs one that is valid, also soon."""
    found = Probes(str(file))
    with found.looking("keys"):
        key_ring(trust)
        ends = dict(expiring(trust, now, within))
        gone = [role for role, end in ends.items() if end is None]
        if gone:
            raise EndedKeyError(
                "key-expired",
                f"no key of role {', '.join(gone)} is valid now",
                "let the signer make a successor, and add it to the Trust resource: `airgap keys rotate`",
            )
        for role, end in ends.items():
            if end is not None:
                said = f"role {role} has no valid key after {end:%Y-%m-%d}"
                found.warn("keys", said, "add a successor in time: `airgap keys rotate`")
        if not ends:
            found.ok("keys", f"each role has a key that is valid for {within.days} days and more")
    return found.found


def probe_keys(
    key: str | None, admitted: SigningKey | None, trust: Trust | None, surroundings: Surroundings
) -> list[Probe]:
    """The private keys with which an import signs: `key`, and `admitted`, the Sovereign's `signingKey`."""
    probes: list[Probe] = []
    if key is not None:
        found = Probes(key)
        with found.looking("key"):
            signer = signer_of(key, surroundings)
            if trust is not None:
                check_signer(trust, signer.key_id, "sovereign", surroundings.clock())
            found.ok("key", "opens" + ("; the Trust resource lists it as the Sovereign's" if trust is not None else ""))
        probes += found.found
    if admitted is not None:
        found = Probes(admitted.key)
        with found.looking("signingKey"):
            password = admitted.password_file
            module = surroundings.pkcs11_module
            signer = open_key(admitted.key, lambda: read_secret(password, "password").encode(), module)
            listed = (
                [one.name for one, public in key_ring(trust).keys if public.key_id == signer.key_id] if trust else []
            )
            if listed:
                what = f"it is key {listed[0]!r} of the Trust resource, and must have no other purpose"
                raise TrustError("wrong-key", what, "generate a key for this purpose only: `airgap keys generate`")
            found.ok("signingKey", "opens")
        probes += found.found
    return probes


def probe_programs(sovereign: Sovereign) -> list[Probe]:
    """The programs that airgap starts for the destinations of a Sovereign."""
    if sovereign.git is None and sovereign.directory is None:
        return []
    from airgap.tools.git import Git

    found = Probes("git")
    with found.looking("program"), tempfile.TemporaryDirectory(prefix="airgap-doctor-") as work:
        version = ".".join(map(str, Git(Path(work)).version))
        found.ok("program", f"version {version}; git-lfs is not needed")
    return found.found
