"""Trust roots of Sigstore instances: one file, pinned by its hash, names authorities and logs with their windows.

Source: sigstore protobuf-specs, sigstore_trustroot.proto (`TrustedRoot`). A root is never read from a cache or from
the network here, and two roots are never combined: a rule trusts only the one file that it names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from airgap.base.canonical import canonical
from airgap.base.digest import Digest
from airgap.base.errors import AirgapError, TrustError
from airgap.base.json_fields import Fields
from airgap.base.strict_json import decode_json, unique
from airgap.signatures.roots.instances import (
    Authority,
    TransparencyLog,
    identity_of,
    read_authority,
    read_log,
    window_of,
)

MAX_ROOT = 1 << 20
"""Bytes of a trust root: those of the public instance have under 10 KiB."""
MAX_INSTANCES = 256
"""Instances of each kind."""
_V1 = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"
_TYPES = frozenset({_V1, "application/vnd.dev.sigstore.trustedroot.v0.2+json"})
_LISTS = ("tlogs", "certificateAuthorities", "ctlogs", "timestampAuthorities")


@dataclass(frozen=True, slots=True)
class TrustRoot:
    """One Sigstore instance, as its root names it. Immutable, so that threads can share it."""

    name: str
    digest: Digest
    """The digest of the file's bytes, which a policy pins."""
    raw: bytes = field(repr=False)
    authorities: tuple[Authority, ...]
    logs: tuple[TransparencyLog, ...]
    ct_logs: tuple[TransparencyLog, ...]
    stampers: tuple[Authority, ...]

    @classmethod
    def load(cls, name: str, data: bytes, pinned: Digest | None) -> TrustRoot:
        """Reads `trusted_root.json`; `name` is its name in policies.

        Raises `TrustError`: `trust-root-changed` if the bytes do not match `pinned`, `bad-trust-root` if it cannot be
        read strictly.
        """
        digest = Digest.of(data)
        if pinned is not None and digest != pinned:
            raise TrustError(
                "trust-root-changed",
                f"trust root {name}: got {digest}, expected {pinned}",
                "this is another version, or it was changed: look at it with `airgap trust show`, and pin it only "
                "if you expect it",
            )
        root = _document(data, name)
        return cls(
            name=name,
            digest=digest,
            raw=data,
            authorities=tuple(map(read_authority, _instances(root, "certificateAuthorities"))),
            logs=_logs(root, "tlogs"),
            ct_logs=_logs(root, "ctlogs"),
            stampers=tuple(map(read_authority, _instances(root, "timestampAuthorities"))),
        )

    def log(self, log_id: bytes) -> TransparencyLog | None:
        """The transparency log with this id."""
        return next((log for log in self.logs if log.id == log_id), None)

    def ct_log(self, log_id: bytes) -> TransparencyLog | None:
        """The certificate transparency log with this id."""
        return next((log for log in self.ct_logs if log.id == log_id), None)

    def within(self, times: Sequence[datetime]) -> TrustRoot:
        """The same root with only the instances whose window contains each of `times`."""
        return replace(
            self,
            authorities=tuple(one for one in self.authorities if one.window.holds(times)),
            logs=tuple(one for one in self.logs if one.window.holds(times)),
            ct_logs=tuple(one for one in self.ct_logs if one.window.holds(times)),
            stampers=tuple(one for one in self.stampers if one.window.holds(times)),
        )

    def opened(self) -> bytes:
        """`trusted_root.json` of these instances with open windows, for a library that uses a clock of its own.

        `within` has selected by the signed times; the local clock must not select again.
        """
        return canonical(
            {
                "mediaType": _V1,
                "tlogs": [log.opened() for log in self.logs if log.key],
                "ctlogs": [log.opened() for log in self.ct_logs if log.key],
                "certificateAuthorities": [one.opened() for one in self.authorities],
                "timestampAuthorities": [one.opened() for one in self.stampers],
            }
        )

    def describe(self) -> dict[str, Any]:
        """For display and `--json`: what it trusts, and when."""
        return {
            "name": self.name,
            "sha256": self.digest.hex,
            "certificateAuthorities": [one.describe() for one in self.authorities],
            "logs": [log.describe() for log in self.logs],
            "ctLogs": [log.describe() for log in self.ct_logs],
            "timestampAuthorities": [one.describe() for one in self.stampers],
        }


def merge(old: bytes, new: bytes) -> bytes:
    """A newer version of the same root, with everything in the older one: instances are added, never dropped.

    A new or earlier end is kept (this is how a log is retired or revoked); nothing is widened. Returns `new` itself if
    it contains all of `old`, so that its hash stays the published one. Raises `TrustError`: `bad-trust-root`, or
    `trust-root-changed` if a window opens wider, a log changes its key, or nothing of the old root is in the new one.
    """
    for data, which in ((old, "the old one"), (new, "the new one")):
        TrustRoot.load(which, data, None)
    before, after = _document(old, "the old one"), _document(new, "the new one")
    merged: dict[str, Any] = dict(after.values)
    kept = shared = 0
    for name in _LISTS:
        was = _instances(before, name)
        lost = _lost(was, _instances(after, name))
        if lost:
            merged[name] = [*lost, *merged.get(name, ())]
        kept, shared = kept + len(lost), shared + len(was) - len(lost)
    if not shared:
        raise _changed("the new one shares nothing with the old one: it belongs to another Sigstore instance")
    return canonical(merged) if kept else new


def _lost(old: Sequence[Fields], new: Sequence[Fields]) -> list[dict[str, Any]]:
    """The part of `old` that is not in `new`. Raises `TrustError` if an instance changed in a forbidden way."""
    theirs = {identity_of(one): one for one in new}
    if len(theirs) != len(new):
        raise _changed(f"{new[0].where}: listed twice")
    ids = [one.values.get("logId") for one in new if one.has("logId")]
    lost = []
    for one in old:
        same = theirs.get(identity_of(one))
        if same is not None:
            _check_narrowed(one, same)
        elif one.values.get("logId") in ids:
            raise _changed(f"{one.where}: the log's key has changed")
        else:
            lost.append(dict(one.values))
    return lost


def _check_narrowed(old: Fields, new: Fields) -> None:
    was, now = window_of(old), window_of(new)
    if (was.end is not None and (now.end is None or now.end > was.end)) or now.start < was.start:
        raise _changed(f"{old.where}: got the validity window {now}, expected one within {was}")


def _changed(what: str) -> TrustError:
    return TrustError(
        "trust-root-changed",
        f"the new trust root cannot replace the old one: {what}",
        "ask its publisher; if it is meant to differ, pin it under another name",
    )


# --- reading -------------------------------------------------------------------------------------


def _refuse(what: str) -> AirgapError:
    return TrustError(
        "bad-trust-root",
        what,
        "pass a trusted_root.json from Sigstore's TUF repository, or make one with `cosign trusted-root create`",
    )


def _present(items: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object without its nulls: in protobuf's JSON mapping, a field that is null is not there."""
    return {key: value for key, value in unique(items).items() if value is not None}


def _document(data: bytes, name: str) -> Fields:
    where = f"trust root {name}"
    if len(data) > MAX_ROOT:
        raise _refuse(f"{where}: got {len(data)} bytes, expected at most {MAX_ROOT}")
    try:
        parsed = decode_json(data, _present)
    except ValueError as error:
        raise _refuse(f"{where}: not valid JSON: {error}") from error
    root = Fields.of(parsed, {"mediaType"}, where, _refuse, frozenset(_LISTS))
    root.choice("mediaType", _TYPES)
    return root


def _instances(root: Fields, name: str) -> list[Fields]:
    """The instances under `name`: proto3 JSON omits an empty list."""
    listed = root.items(name) if root.has(name) else []
    if len(listed) > MAX_INSTANCES:
        raise _refuse(f"{root.at(name)}: got {len(listed)} instances, expected at most {MAX_INSTANCES}")
    if "logs" in name:
        needed, maybe = {"publicKey", "logId"}, {"baseUrl", "hashAlgorithm", "checkpointKeyId"}
    else:
        needed, maybe = {"certChain"}, {"subject", "uri", "validFor"}
    return [
        Fields.of(one, needed, f"{root.at(name)}[{index}]", _refuse, maybe | {"operator"})
        for index, one in enumerate(listed)
    ]


def _logs(root: Fields, name: str) -> tuple[TransparencyLog, ...]:
    logs = tuple(map(read_log, _instances(root, name)))
    if len({log.id for log in logs}) != len(logs):
        raise _refuse(f"{root.at(name)}: two logs have the same id")
    return logs
