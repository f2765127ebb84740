"""The journal of a bundle: which volumes are finished, so that an interrupted one goes on after them."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from airgap.base.digest import Digest
from airgap.base.disk import disk_errors, sync_folder, write_durably
from airgap.base.errors import InputError, StoreError
from airgap.base.inputs import read_plain
from airgap.base.locks import HELD
from airgap.base.strict_json import decode_json
from airgap.delivery.contents import volume_name
from airgap.delivery.fields import FileSum
from airgap.delivery.plan import Plan
from airgap.delivery.sealed import SEALED_SUFFIX

JOURNAL_NAME = ".airgap-bundle.json"
MAX_JOURNAL = 4 << 20
"""Bytes of a journal: 9999 volumes."""
_NONCE = 12


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A finished file: what is in it, and how it is on the medium. They differ if it is encrypted."""

    plain: FileSum
    file: FileSum


@dataclass(slots=True)
class BundleJournal:
    """The finished volumes of a plan: an interrupted bundle continues after them."""

    path: Path
    plan: str
    done: dict[str, WrittenFile] = field(default_factory=dict)
    """By the name of the volume, without the suffix of encrypted ones."""
    key: bytes | None = None
    """Of an encrypted delivery: encrypts the journal, which says something of the content."""

    @classmethod
    def open(cls, folder: Path, plan: Plan, purpose: str, key: bytes | None = None) -> BundleJournal:
        """Starts in an empty or absent folder, or continues in a folder with this same unfinished bundle.

        Raises `InputError` (`not-empty`, `other-bundle`).
        """
        identity = Digest.of((purpose + repr(plan)).encode())
        path = folder / JOURNAL_NAME
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            present = sorted(entry.name for entry in folder.iterdir() if entry.name != HELD)
        if not present:
            return cls(path, identity, key=key).save()
        if JOURNAL_NAME not in present:
            raise InputError(
                "not-empty",
                f"{folder}: not empty (it has {present[0]}), and not an unfinished bundle",
                "pass an empty or a new folder; airgap never deletes from media",
            )
        try:
            found = decode_json(read_plain(path, MAX_JOURNAL) or b"")
            if "sealed" in found or key is not None:
                found = _unsealed(found, key)
            done = {name: _written(name, value, plan) for name, value in found["done"].items()}
            journal = cls(path, str(found["plan"]), done, key)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(
                "bad-journal", f"{path}: unreadable: {error}", "empty the folder and bundle again"
            ) from error
        if journal.plan != identity:
            raise InputError(
                "other-bundle",
                f"{folder}: contains an unfinished bundle with different content, Sovereign or volume size",
                "finish that bundle with its own command, or pass another folder",
            )
        return journal

    def add(self, written: WrittenFile) -> None:
        """Records a finished volume."""
        self.done[written.plain.name] = written
        self.save()

    def save(self) -> BundleJournal:
        """Writes the journal, durably."""
        document: dict[str, Any] = {
            "plan": self.plan,
            "done": {name: one.plain.sha256 for name, one in self.done.items()},
        }
        if self.key is not None:
            files = {name: [one.plain.sha256, one.file.sha256, one.file.size] for name, one in self.done.items()}
            nonce = secrets.token_bytes(_NONCE)
            plain = json.dumps({"plan": self.plan, "done": files}).encode()
            document = {
                "sealed": base64.b64encode(nonce + ChaCha20Poly1305(self.key).encrypt(nonce, plain, None)).decode()
            }
        write_durably(self.path, json.dumps(document).encode())
        return self

    def close(self) -> None:
        """Deletes the journal, because the bundle is finished."""
        with disk_errors(self.path):
            self.path.unlink(missing_ok=True)
            sync_folder(self.path.parent)


def _unsealed(found: dict[str, Any], key: bytes | None) -> dict[str, Any]:
    """The journal of an encrypted delivery; one of another delivery if `key` does not open it."""
    sealed = base64.b64decode(found.get("sealed", ""))
    try:
        opened = ChaCha20Poly1305(key or b"").decrypt(sealed[:_NONCE], sealed[_NONCE:], None)
    except (InvalidTag, ValueError):
        return {"plan": "", "done": {}}
    document: dict[str, Any] = decode_json(opened)
    return document


def _written(name: str, value: Any, plan: Plan) -> WrittenFile:
    """A finished volume, as it is written down. Raises `ValueError`, `TypeError`, `KeyError`."""
    sizes = {volume_name(n, len(plan.volumes)): volume.size for n, volume in enumerate(plan.volumes, 1)}
    if isinstance(value, str):
        volume = FileSum(name, value, sizes[name])
        return WrittenFile(volume, volume)
    plain, sealed, size = value
    return WrittenFile(FileSum(name, plain, sizes[name]), FileSum(name + SEALED_SUFFIX, sealed, size))
