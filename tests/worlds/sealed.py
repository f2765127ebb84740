"""Encrypted deliveries, and what somebody with the exporter's key, or the owner of a stolen medium, makes of them."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from airgap.base.digest import Digest
from airgap.delivery import readme as people
from airgap.delivery.fields import FileSum
from airgap.delivery.index import Index
from airgap.delivery.journey import Evidence
from airgap.delivery.sealed import Sealed
from airgap.delivery.sealing.encrypt import encrypt_bytes
from airgap.delivery.sealing.identities import load_identities
from airgap.delivery.sealing.keys import AgeIdentity
from airgap.delivery.sealing.recipients import read_recipients
from airgap.delivery.sealing.stream import open_bytes
from airgap.statements.dsse import sign_payload
from airgap.statements.keys.file import load_private
from airgap.statements.log import EMPTY_HEAD
from airgap.statements.predicates import Delivery
from airgap.statements.statement import Statement
from tests.worlds.commands import PASSWORD, Said, run_airgap
from tests.worlds.row import KEY, Row
from tests.worlds.site import GAP

IDENTITY = ("--identity", "bank.identity")
VOLUME = "vol-0001-of-0002.tar.age"


class SealedRow(Row):
    """A row whose deliveries are encrypted to `bank.identity`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.recipient: str = self.site.run("keys", "identity", "bank.identity")["recipients"][0]

    def bundle(self, lock: str, media: str, *more: str, expect: int = 0) -> None:
        """Cuts what was locked, encrypted."""
        cut = ("--store", "store", "--to", media, "--for", "bank", "--key", "exporter.key")
        self.site.run("bundle", lock, *cut, "--encrypt-to", self.recipient, *more, expect=expect)

    def say(self, *line: str, **environ: str) -> Said:
        """What a command says to a person."""
        return run_airgap(line, self.folder, {**PASSWORD, **environ})

    def refused(self, media: str, *more: str) -> tuple[str, int]:
        """The code with which an import refuses, and its exit."""
        said = self.site.run("import", media, *GAP, *KEY, "--receipt", "refused", *IDENTITY, *more, expect=None)
        code = self.say("import", media, *GAP, *KEY, "--receipt", "refused", *IDENTITY, *more).code
        assert not (self.folder / "refused").exists()
        return str(said["code"]), code

    # what an adversary does

    @property
    def identity(self) -> AgeIdentity:
        """The Sovereign's identity."""
        return load_identities([self.folder / "bank.identity"], lambda _path: b"")[0]

    def seal(self, data: bytes) -> bytes:
        """Everybody can encrypt to a recipient."""
        return encrypt_bytes(data, read_recipients([self.recipient]))

    def opened(self, media: str, name: str) -> bytes:
        """What is in one of the files."""
        return open_bytes((self.folder / media / name).read_bytes(), name, [self.identity])

    def index(self, media: str) -> Index:
        """The ordinary AIRGAP.json."""
        return Index.decode(self.opened(media, "AIRGAP.json.age"))

    def copy(self, media: str, to: str) -> Path:
        """A copy of a delivery, to be changed."""
        return Path(shutil.copytree(self.folder / media, self.folder / to))

    def forge(self, media: str, to: str, change: Callable[[Path], None]) -> str:
        """A copy in which files were changed, and whose outer AIRGAP.json lists and signs them as they are now."""
        folder = self.copy(media, to)
        change(folder)
        sealed = Sealed.decode((folder / "AIRGAP.json").read_bytes())
        made = replace(
            sealed,
            index=_sum(folder, sealed.index),
            volumes=tuple(_sum(folder, one) for one in sealed.volumes),
            journey=replace(sealed.journey, evidence=Evidence(_sum(folder, sealed.evidence))),
        )
        self.sign(folder, made)
        return to

    def sign(self, folder: Path, sealed: Sealed) -> None:
        """Signs another outer AIRGAP.json with the exporter's key."""
        data = sealed.encode()
        (folder / "AIRGAP.json").write_bytes(data)
        statement = Statement.of(
            Digest.of(data), Delivery(), signed_at=datetime.now(UTC), log_head=EMPTY_HEAD, role="exporter"
        )
        signed = sign_payload(statement.payload, load_private(self.folder / "exporter.key", b"for tests"))
        (folder / "signatures/exporter.sigstore.json").write_bytes(signed)
        text = people.readme(sealed, data)
        (folder / "README.txt").write_bytes(text)
        (folder / "SHA256SUMS").write_bytes(people.sums(sealed, data, text))


def _sum(folder: Path, one: FileSum) -> FileSum:
    data = (folder / one.name).read_bytes()
    return FileSum(one.name, hashlib.sha256(data).hexdigest(), len(data))
