"""The wheel of the program that runs, made of its own files: no checkout and no package index is needed for it.

Made twice, on any machine, it has the same bytes: sorted, without times, not compressed. Source: the wheel
specification (PEP 427), core metadata, recording installed projects (RECORD).
"""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from airgap.base.disk import disk_errors
from airgap.base.errors import InputError
from airgap.base.shipped import PACKAGE, SHIPPED, shipped, shipped_files
from airgap.version import VERSION

NAME = f"airgap-{VERSION}-py3-none-any.whl"
_INFO = f"airgap-{VERSION}.dist-info"
_MAN = f"airgap-{VERSION}.data/data/share/man/man1/airgap.1"
_WHEEL = f"Wheel-Version: 1.0\nGenerator: airgap {VERSION}\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
_OLDEST = (1980, 1, 1, 0, 0, 0)
"""The time of every file: the earliest that a zip archive has."""


def own_wheel() -> bytes:
    """The wheel. Raises `InputError` (`not-installed`) if the program was not installed as a package, `StoreError`."""
    files = dict(_files(_installed()))
    rows = [f"{name},sha256={_hash(data)},{len(data)}" for name, data in sorted(files.items())]
    record = f"{_INFO}/RECORD"
    files[record] = "\n".join([*rows, f"{record},,", ""]).encode()
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files, key=lambda one: (one.startswith(_INFO), one)):
            info = zipfile.ZipInfo(name, _OLDEST)
            info.external_attr = 0o100644 << 16
            archive.writestr(info, files[name])
    return made.getvalue()


def _installed() -> Distribution:
    hint = "install airgap as a package (`pip install airgap`), then pack with that one"
    try:
        found = distribution("airgap")
    except PackageNotFoundError:
        raise InputError("not-installed", "airgap was not installed as a package", hint) from None
    if found.version != VERSION:
        what = f"the program is version {VERSION}, and what was installed says {found.version}"
        raise InputError("not-installed", what, hint)
    return found


def _files(installed: Distribution) -> Iterator[tuple[str, bytes]]:
    """Every file but RECORD: its name in the wheel, and its bytes."""
    for path in sorted(PACKAGE.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts and not path.is_relative_to(SHIPPED):
            yield f"airgap/{path.relative_to(PACKAGE).as_posix()}", _read(path)
    for name, path in shipped_files():
        yield f"airgap/shipped/{name}", _read(path)
    yield _MAN, _read(shipped("docs", "reference", "airgap.1"))
    for name in ("METADATA", "entry_points.txt"):
        yield f"{_INFO}/{name}", (installed.read_text(name) or "").encode()
    yield f"{_INFO}/WHEEL", _WHEEL.encode()
    license_ = next((one for one in installed.files or () if one.name == "LICENSE"), None)
    if license_ is not None:
        yield f"{_INFO}/licenses/LICENSE", license_.read_binary()


def _read(path: Path) -> bytes:
    with disk_errors(path):
        return path.read_bytes()


def _hash(data: bytes) -> str:
    """The hash of a file as RECORD has it: base64 for URLs, without padding."""
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
