"""`Seal`: the encrypted files of a delivery, and the identities that open them: they are decrypted as they are read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from airgap.base.digest import CHUNK
from airgap.base.disk import Filling, disk_errors, replacing
from airgap.base.errors import InputError, IntegrityError, NotFoundError, WrongIdentityError
from airgap.delivery.contents import Extent
from airgap.delivery.fields import CUT_AGAIN, FileSum
from airgap.delivery.files import Listing
from airgap.delivery.index import Index
from airgap.delivery.mend import BeyondRepairError, mender_of
from airgap.delivery.on_media import open_on_media, read_listed
from airgap.delivery.sealed import Sealed, check_agreement
from airgap.delivery.sealing.keys import AgeIdentity
from airgap.delivery.sealing.stream import PIECE, AgeFile, Read, open_bytes

KEPT_SUFFIX = ".age"
"""The end of the name of an extent that is kept encrypted."""

Identities = Callable[[], Sequence[AgeIdentity]]
"""Gives the identities that open encrypted deliveries. It is called only for an encrypted one."""


def no_identities() -> Sequence[AgeIdentity]:
    """For who has none."""
    return ()


def reader(fd: int) -> Read:
    """Reads an open file at any place."""
    return lambda size, at: os.pread(fd, size, at)


@dataclass(frozen=True, slots=True)
class Seal:
    """The outer index of an encrypted delivery, and what opens its files."""

    sealed: Sealed
    identities: Sequence[AgeIdentity] = field(repr=False)

    def read(self, folders: Sequence[Path], file: FileSum) -> bytes:
        """The plain bytes of AIRGAP.json or evidence.tar. The sum of the file is compared before it is decrypted.

        Raises `IntegrityError` (`damaged-file`, `bad-seal`), `InputError` (`wrong-identity`), `NotFoundError`.
        """
        return open_bytes(read_first(self.sealed, folders, file), file.name, self.identities)

    def open(self, read: Read, number: int, plain: int) -> AgeFile:
        """A volume, by its number from 1, in which there must be `plain` bytes.

        Raises `IntegrityError` (`bad-seal`, `seal-mismatch`), `StoreError`.
        """
        file = self._opened(read, self.sealed.volumes[number - 1])
        if file.size != plain:
            raise IntegrityError(
                "seal-mismatch", f"{file.name}: got {file.size} bytes in it, expected {plain}", CUT_AGAIN
            )
        return file

    def open_kept(self, read: Read, extent: Extent) -> AgeFile:
        """An extent that `keep` wrote, at its offset in the volume. Raises as `open`."""
        return self._opened(read, self.sealed.volumes[extent.volume - 1], extent.offset // PIECE, whole=False)

    def _opened(self, read: Read, file: FileSum, begin: int = 0, *, whole: bool = True) -> AgeFile:
        try:
            with disk_errors(file.name):
                return AgeFile(read, file.size, file.name, self.identities, begin=begin, whole=whole)
        except WrongIdentityError as error:  # these identities opened AIRGAP.json
            what = f"{file.name}: it is encrypted to other keys than the rest of the delivery"
            raise IntegrityError("seal-mismatch", what, CUT_AGAIN) from error

    def keep(self, volume: Path, extent: Extent, path: Path) -> None:
        """Copies what is needed to read an extent, encrypted as it is, to `path` with `KEPT_SUFFIX`.

        Raises as `open`.
        """
        path = path.with_name(path.name + KEPT_SUFFIX)
        partial = path.with_name(f".{path.name}.partial")
        with os.fdopen(open_on_media(volume), "rb", buffering=0) as source:
            read = reader(source.fileno())
            file = self._opened(read, self.sealed.volumes[extent.volume - 1])
            with disk_errors(partial), replacing(path, partial=partial, sync=False) as fd:
                out = Filling(fd)
                out.write(memoryview(file.head))
                at, left = file.span(extent.offset, extent.length)
                while left and (piece := read(min(CHUNK, left), at)):
                    out.write(memoryview(piece))
                    at, left = at + len(piece), left - len(piece)

    def hashed(self, path: Path, file: FileSum) -> tuple[str, str, int]:
        """sha256 of a whole file, and sha256 and size of what is in it, in one pass. Raises as `open`."""
        outer, inner = hashlib.sha256(), hashlib.sha256()
        with os.fdopen(open_on_media(path), "rb", buffering=0) as source:
            opened = self._opened(reader(source.fileno()), file)
            with disk_errors(path):
                for piece in opened.pieces(outer.update):
                    inner.update(piece)
        return outer.hexdigest(), inner.hexdigest(), opened.size


def read_first(index: Listing, folders: Sequence[Path], file: FileSum) -> bytes:
    """The bytes of a small file that AIRGAP.json lists, or that its parity files give.

    Raises `IntegrityError` (`damaged-file`), `NotFoundError` (`file-missing`), `StoreError`.
    """
    try:
        return read_listed(folders, file)
    except (IntegrityError, NotFoundError) as error:
        mender = mender_of(index, folders)
        if mender is None or file not in index.protected:
            raise
        try:
            data = mender.read(index.protected.index(file))
        except BeyondRepairError:
            data = b""
        finally:
            mender.close()
        if hashlib.sha256(data).hexdigest() != file.sha256:
            hint = f"{error.hint}; or also attach the volumes and parity files that are missing"
            raise error.with_hint(hint) from error
        return data


def unsealed(data: bytes, folders: Sequence[Path], identities: Identities) -> tuple[Seal, Index]:
    """The ordinary index of an encrypted delivery, by its outer AIRGAP.json, whose signature must be verified already.

    Raises `InputError` (`identity-needed`, `wrong-identity`, what `identities` raise), `IntegrityError` (`bad-index`,
    `damaged-file`, `bad-seal`, `seal-mismatch`), `TrustError`, `NotFoundError`.
    """
    sealed = Sealed.decode(data)
    opened = identities()
    if not opened:
        raise InputError(
            "identity-needed",
            f"this delivery for {sealed.journey.sovereign!r} is encrypted: what is in it cannot be read",
            "pass the identity of this Sovereign with --identity FILE, or set AIRGAP_IDENTITY_FILE; without it, "
            "`airgap verify`, `copy` and `repair` work: they check the signatures and the sums of the encrypted files",
        )
    seal = Seal(sealed, opened)
    index = Index.decode(seal.read(folders, sealed.index))
    check_agreement(sealed, index)
    return seal, index
