"""Files of strangers are read by readers that have limits: not by modules of Python with known attacks on them.

airgap runs on each Python from 3.11 on, so on those of distributions too, which have fixes or not. What the fixes are
about is not used (`NOT_USED`), or is worked around, with a test of the attack.
"""

from __future__ import annotations

import ast
import io
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

import airgap
from airgap.base.untar import BadTarError, TarReader
from tests.worlds.commands import ROOT

HOUSE = Path(airgap.__file__).parent
NOT_USED = {
    "tarfile": "CVE-2024-6232 (quadratic headers), CVE-2025-8194 (endless with a negative size), CVE-2025-4517",
    "zipfile": "CVE-2024-0450, CVE-2024-8088, CVE-2025-8291",
    "email": "CVE-2023-27043, CVE-2024-6923",
    "html": "CVE-2025-6069",
    "http.cookies": "CVE-2024-7592",
    "http.cookiejar": "CVE-2024-7592",
    "urllib.request": "redirects, proxies and netrc of its own",
    "xml": "CVE-2024-28757, CVE-2025-12084",
    "plistlib": "CVE-2025-13837",
    "pickle": "runs what it reads",
    "marshal": "crashes",
    "shelve": "runs what it reads",
}
WRITES = {
    "delivery/tar.py": {"TarInfo", "PAX_FORMAT"},
    "cli/demo_content.py": {"TarInfo", "open", "USTAR_FORMAT"},
    "jobs/pack.py": {"TarInfo", "open", "GNU_FORMAT"},
    "jobs/own_wheel.py": {"ZipFile", "ZipInfo", "ZIP_STORED"},
}
"""What may use `tarfile` or `zipfile`, and what of them: only archives that airgap itself writes."""


@pytest.mark.parametrize("path", sorted(HOUSE.rglob("*.py")), ids=lambda path: str(path.relative_to(HOUSE)))
def test_no_module_reads_files_of_strangers_with_what_has_known_attacks(path: Path) -> None:
    where, tree = str(path.relative_to(HOUSE)), ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [one.name for one in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        for name in names:
            known = NOT_USED.get(name) or NOT_USED.get(name.partition(".")[0])
            assert known is None or (name in ("tarfile", "zipfile") and where in WRITES), f"{name}: {known}"
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id in ("tarfile", "zipfile")
        ):
            assert node.attr in WRITES[where]


def hostile_pax() -> bytes:
    """A pax header on which `tarfile` of Python before 3.11.10 and 3.12.6 takes time with the square of its length."""
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 900_000
    data = b"1" * info.size
    return info.tobuf(tarfile.USTAR_FORMAT) + data.ljust(-(-len(data) // 512) * 512, b"\0") + bytes(1024)


def negative_size() -> bytes:
    """A member whose size is negative, in base 256: `tarfile` goes back to it without an end (CVE-2025-8194)."""
    block = bytearray(tarfile.TarInfo("x").tobuf(tarfile.USTAR_FORMAT))
    block[124:136] = b"\xff" * 10 + b"\xfe\x00"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + bytes(1024)


@pytest.mark.parametrize("made", [hostile_pax, negative_size])
def test_attacks_on_tarfile_do_not_work_on_our_reader(made: object) -> None:
    data = made()  # type: ignore[operator]
    began = time.monotonic()
    with pytest.raises(BadTarError):
        list(TarReader(io.BytesIO(data), entries=10, total=len(data), seek=True))
    assert time.monotonic() - began < 5


def test_an_older_python_is_told_at_the_start() -> None:
    line = "import sys; sys.version_info = (3, 10, 14, 'final', 0); import airgap.cli.main"
    done = subprocess.run([sys.executable, "-c", line], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr.startswith("airgap: got Python 3.10, expected 3.11 or later\n  next: ")
