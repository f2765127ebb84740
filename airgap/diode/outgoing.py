"""`Outgoing`: what a sender sends: the files of a delivery that lies in one folder or several, or parts of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from airgap.base.digest import Digest
from airgap.base.errors import InputError, IntegrityError, NotFoundError
from airgap.base.inputs import plain_size
from airgap.delivery.fields import FileSum
from airgap.delivery.files import Listing, first_files, payload, read_listing
from airgap.delivery.read import Media, open_media
from airgap.diode.assembly import Missing
from airgap.diode.codes import AGAIN, CodeKind, RoadCode, wanted


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A delivery to send. AIRGAP.json was parsed, and no signature of it was verified: it is the sender's own."""

    media: Media
    index: Listing
    files: tuple[FileSum, ...]
    """In the order of `payload`: a file's place is its number on the road."""
    paths: tuple[Path, ...]
    """Where each of them lies."""
    parts: Missing
    """What to send: by the number of a file, ranges [begin, end) of it."""

    @property
    def digest(self) -> Digest:
        """The digest of AIRGAP.json."""
        return self.media.digest

    @property
    def signatures(self) -> list[bytes]:
        """The bytes of each signature."""
        return list(self.media.signatures.values())

    @property
    def is_part(self) -> bool:
        """True if not everything is to be sent."""
        return self.bytes != sum(file.size for file in self.files)

    @property
    def bytes(self) -> int:
        """How many bytes of files one pass sends."""
        return sum(end - begin for ranges in self.parts.values() for begin, end in ranges)

    def order(self) -> list[int]:
        """The numbers of the files in the order of sending: first those without which no volume is of use."""
        first = first_files(self.index)
        return sorted(self.parts, key=lambda number: (self.files[number] not in first, number))


def open_outgoing(folders: Sequence[Path], code: RoadCode | None = None) -> Outgoing:
    """Finds the files of a delivery, or with a resend code those that it asks for. Reads only the small ones.

    Raises `InputError` (`no-delivery`, `bad-code`, `other-code`), `NotFoundError` (`volume-missing`), `IntegrityError`.
    """
    media = open_media(folders)
    if not media.signatures:
        raise IntegrityError(
            "no-signature",
            f"{folders[0]}: signatures/ is empty, and the other side takes nothing that is not signed",
            "send the complete delivery, with signatures/",
        )
    index = read_listing(media.index_bytes)
    files = payload(index)
    parts: Missing = {number: [(0, file.size)] for number, file in enumerate(files)}
    if code is not None:
        check_resend(code)
        if not code.is_about(media.digest):
            raise InputError(
                "other-code",
                f"the code is about another delivery than {folders[0]}",
                "name the folder of the delivery that the other side showed with the code",
            )
        parts = wanted(code, files)
    paths = [_path(media, file, needed=number in parts) for number, file in enumerate(files)]
    return Outgoing(media, index, files, tuple(paths), parts)


def check_resend(code: RoadCode) -> None:
    """Raises `InputError` (`other-code`) for a code of another kind."""
    if code.kind is not CodeKind.RESEND:
        hint = f"enter it with `airgap sent CODE`; if it should be a resend code, {AGAIN}"
        raise InputError("other-code", "this is a receipt code: the delivery arrived", hint)


def _path(media: Media, file: FileSum, *, needed: bool) -> Path:
    for folder in media.folders:
        if plain_size(folder / file.name) == file.size:
            return folder / file.name
    if needed:
        raise NotFoundError(
            "volume-missing",
            f"{file.name} is in none of the folders, or is not complete",
            "pass the folder that contains it, too",
        )
    return media.folders[0] / file.name
