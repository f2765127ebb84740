"""`trust show`: what trust roots, policies and Trust resources trust, in words. Decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airgap.base.digest import Digest
from airgap.base.errors import InputError
from airgap.base.inputs import read_input
from airgap.base.known_files import not_expected
from airgap.base.times import utc_text
from airgap.content.lock import MAX_LOCK
from airgap.jobs.trust_roots import load_root
from airgap.resources.keys import key_kind
from airgap.resources.load import load
from airgap.resources.policy import Policy
from airgap.resources.policy_rules import PolicyKey
from airgap.resources.trust import Trust
from airgap.signatures.roots.trust_root import TrustRoot
from airgap.signatures.roots.versions import RootStore, Version, names
from airgap.statements.keys.file import load_public

_KINDS = (
    ("certificateAuthorities", "certificate authority"),
    ("logs", "log"),
    ("ctLogs", "CT log"),
    ("timestampAuthorities", "time stamping authority"),
)


@dataclass(frozen=True, slots=True)
class Look:
    """The result: a JSON document, the same in lines, and notes for people."""

    document: dict[str, Any]
    lines: list[str]
    notes: tuple[str, ...] = ()


def look(thing: Path) -> Look:
    """Describes a trusted_root.json, a file with a Policy or a Trust, or a folder of roots. Raises `InputError`."""
    if thing.is_dir():
        return _folder(thing)
    data = read_input(thing, MAX_LOCK, "unknown-thing")
    if data.lstrip()[:1] == b"{":
        root = load_root(thing.stem, thing)
        return Look(_root(root), _root_lines(root))
    found = [one for one in load(thing) if isinstance(one, Policy | Trust)]
    if not found:
        raise InputError(
            "unknown-thing",
            not_expected(str(thing), data, "a trusted_root.json, a Policy or a Trust resource"),
            "pass a trusted_root.json, a Policy, a Trust resource, or a folder of trust roots",
        )
    looks = [_policy(one) if isinstance(one, Policy) else _trust(one) for one in found]
    document = {key: value for one in looks for key, value in one.document.items()}
    return Look(document, [line for one in looks for line in one.lines])


def described_root(root: TrustRoot) -> tuple[dict[str, Any], list[str]]:
    """A trust root: the JSON document, and the lines for people."""
    return _root(root), _root_lines(root)


def described_trust(trust: Trust) -> tuple[dict[str, Any], list[str]]:
    """A Trust resource: the JSON document, and the lines for people."""
    found = _trust(trust)
    return found.document["trust"], found.lines


def age(root: TrustRoot) -> str:
    """How new a root is, by its newest log: it cannot verify entries of later logs."""
    begun = [log.window.start for log in root.logs]
    if not begun:
        return "it lists no log, so its age is unknown"
    return f"newest log since {utc_text(max(begun))}: entries of later logs are refused (unknown-log)"


def _root(root: TrustRoot) -> dict[str, Any]:
    begun = [log.window.start for log in root.logs]
    return {**root.describe(), "newestLog": utc_text(max(begun)) if begun else None}


def _root_lines(root: TrustRoot) -> list[str]:
    described = root.describe()
    lines = [f"trust root {root.name!r}", f"  sha256 {root.digest.hex}   what a policy pins"]
    for key, words in _KINDS:
        for one in described[key]:
            lines.append(f"  {words} {one.get('name') or one.get('url') or 'without a name'}")
            if "id" in one:
                lines.append(f"      id {one['id']}, {one['key']}")
            else:
                lines.append(f"      certificate {one['certificates'][0]}")
            lines.append(f"      from {one['from']} until {one['until'] or 'further notice'}")
    return [*lines, f"  {age(root)}"]


def _policy(policy: Policy) -> Look:
    roots = [TrustRoot.load(one.name, one.data, one.digest) for one in policy.trust_roots]
    keys = [_policy_key(key) for key in policy.keys]
    lines = [f"policy {policy.name!r}, {policy.digest}"]
    lines += [line for root in roots for line in _root_lines(root)]
    for key in keys:
        how = f"{key['hashAlgorithm']}, {key['rsaPadding']}" if key["rsaPadding"] else key["hashAlgorithm"]
        signs = f", signs with {how}" if how else ""
        lines += [f"key {key['name']!r} {key['spki']}", f"      {_times(key)}{signs}"]
    document = {"name": policy.name, "trustRoots": [_root(root) for root in roots], "keys": keys}
    return Look({"policy": document}, lines)


def _policy_key(key: PolicyKey) -> dict[str, str | None]:
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        PublicFormat,
        load_pem_public_key,
    )

    kind = key_kind(key.pem)
    spki = load_pem_public_key(key.pem).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return {
        "name": key.name,
        "spki": str(Digest.of(spki)),
        "from": None if key.not_before is None else utc_text(key.not_before),
        "until": None if key.not_after is None else utc_text(key.not_after),
        "hashAlgorithm": key.hash_algorithm if kind != "Ed25519" else None,
        "rsaPadding": key.rsa_padding if kind == "RSA" else None,
    }


def _trust(trust: Trust) -> Look:
    keys, lines = [], [f"trust for {trust.sovereign!r}, requires {', '.join(trust.require)}"]
    for key in trust.keys:
        entry: dict[str, Any] = {
            "name": key.name,
            "role": key.role,
            "spki": str(load_public(key.public_key_pem, key.name).digest),
            "from": utc_text(key.not_before),
            "until": utc_text(key.not_after),
            "revoked": None if key.revoked is None else utc_text(key.revoked.at),
            "accept": list(key.accept if key.revoked is None else key.revoked.accept),
        }
        keys.append(entry)
        revoked = f", revoked since {entry['revoked']}" if entry["revoked"] else ""
        lines += [
            f"key {key.name!r} ({key.role}) {entry['spki']}",
            f"      {_times(entry)}{revoked}",
            *(f"      accepts {digest} after its end" for digest in entry["accept"]),
        ]
    limits = {} if trust.verdicts is None else trust.verdicts.as_dict()
    lines += [f"verdicts: {name}: {_limit(name, value)}" for name, value in limits.items()]
    document = {"sovereign": trust.sovereign, "require": list(trust.require), "keys": keys, "verdicts": limits}
    return Look({"trust": document}, lines)


def _limit(name: str, value: Any) -> str:
    if name.endswith("Age"):
        return f"{value // 3600} h"
    if isinstance(value, dict):
        return ", ".join(f"{key} {', '.join(one) if isinstance(one, list) else one}" for key, one in value.items())
    return str(value)


def _times(key: dict[str, str | None]) -> str:
    return f"from {key['from'] or 'ever'} until {key['until'] or 'further notice'}"


def _folder(folder: Path) -> Look:
    found = names(folder)
    if not found:
        raise InputError(
            "unknown-thing",
            f"{folder}: contains no pinned trust roots",
            "create it with `airgap trust pin FILE --name NAME --roots DIR`",
        )
    roots: list[dict[str, Any]] = []
    lines: list[str] = []
    notes: list[str] = []
    for name in found:
        store = RootStore(folder, name)
        versions = store.versions()
        lines += _version_lines(name, versions)
        entry: dict[str, Any] = {"name": name, "versions": [one.as_dict() for one in versions]}
        if versions:
            root = TrustRoot.load(name, store.read(versions[-1]), versions[-1].digest)
            lines += _root_lines(root)
            entry["newest"] = _root(root)
        roots.append(entry)
        notes += [f"{store.folder / file} ignored: no record names it" for file in store.unlisted()]
    return Look({"roots": roots}, lines, tuple(notes))


def _version_lines(name: str, versions: Sequence[Version]) -> list[str]:
    lines = []
    for one in versions:
        lines += [f"{name} version {one.number}, since {utc_text(one.added)}, from {one.origin}", f"    {one.path}"]
    return lines
