"""Station: which scanners look into content at the scan station, and within which limits."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import ClassVar

from airgap.resources.fields import given, spec, spec_map
from airgap.resources.parts import DURATION, FOLDER, ITEM_NAME, RELATIVE, SHA256, SIZE
from airgap.resources.resource import Resource
from airgap.resources.shapes import ListOf, Place, Text, WholeNumber, path

_EXAMPLE = """\
metadata:
  name: dmz
spec:
  workDir: /var/lib/airgap/work
  parallel: 2
  trivy:
    program: /usr/local/bin/trivy
    sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    timeLimit: 30m
    memoryLimit: 4GiB
    refuse: [0.70.0]
  databases:
    vulnerabilities: ghcr.io/aquasecurity/trivy-db:2
    java: ghcr.io/aquasecurity/trivy-java-db:1
    checks: ghcr.io/aquasecurity/trivy-checks:1
  clamd:
    socket: /run/clamav/clamd.ctl
    signatureMaxAge: 2d
"""
_SMALLEST = """\
metadata:
  name: dmz
spec:
  trivy:
    program: /usr/local/bin/trivy
    sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
  databases:
    vulnerabilities: ghcr.io/aquasecurity/trivy-db:2
"""
MAX_PARALLEL = 64
"""Scans at once: more than any station has processors."""


@spec_map("a map with Trivy's program and its sha256", "The program is run offline, and only if it has this sha256.")
class TrivyConfig:
    """The program, which versions of it are refused, and the limits of one run."""

    program: Path = spec(path("the path of the program trivy", RELATIVE))
    sha256: str = spec(
        SHA256,
        "sha256 of the program. A program with another one is not started (`scanner-changed`). How to get and check "
        "it: `airgap help runbooks/scanner`.",
    )
    time_limit: timedelta = spec(
        DURATION,
        "How long one scan may take. A scan that takes longer is ended, and is not-run (`scanner-timeout`). "
        "Default: 30m.",
        default=timedelta(minutes=30),
    )
    memory_limit: int = spec(
        SIZE,
        "Memory of one scan. A scan that needs more is ended, and is not-run (`scanner-memory`). Default: 4GiB.",
        default=4 << 30,
    )
    refuse: tuple[str, ...] = spec(
        ListOf(Text("a version, such as 0.70.0", pattern=r"^[0-9A-Za-z][0-9A-Za-z.+-]{0,63}$"), "a list of versions"),
        "Versions that are not started (`scanner-refused`), besides those that airgap always refuses: 0.69.4, 0.69.5 "
        "and 0.69.6 (CVE-2026-33634).",
        default=(),
    )


@spec_map(
    "a map that names the scanner's databases",
    "Each is the name of an item in the store that is scanned: the databases are pulled like other content, and read "
    "from the store. `airgap show` prints their dates.",
)
class ScannerDatabases:
    """The names of Trivy's databases in the store; an empty one is not used."""

    vulnerabilities: str = spec(ITEM_NAME, "The vulnerability database (trivy-db).", default="")
    java: str = spec(
        ITEM_NAME,
        "The database that finds Java archives by their digests (trivy-java-db). Without it, Java archives that do "
        "not say what they are give findings of the kind `coverage`.",
        default="",
    )
    checks: str = spec(
        ITEM_NAME,
        "The checks for misconfigurations (trivy-checks). Default: those in the program.",
        default="",
    )

    @property
    def by_type(self) -> dict[str, str]:
        """Those that are named, by what they are (`airgap.content.scanner_database`)."""
        found = {"trivy-db": self.vulnerabilities, "trivy-java-db": self.java, "trivy-checks": self.checks}
        return {kind: name for kind, name in found.items() if name}


@spec_map(
    "a map with clamd's socket",
    "ClamAV's daemon. Content is streamed to it; it opens no file. clamd.conf needs `AlertExceedsMax yes`: without it "
    "clamd says OK to what is beyond its limits, and is not used (`clamd-limit`).",
)
class ClamdConfig:
    """Where clamd listens, and within which limits it is asked."""

    socket: Path | None = spec(
        path("the path of a Unix socket", "`LocalSocket` in clamd.conf. " + RELATIVE),
        "One of `socket` and `host` is required.",
        default=None,
    )
    host: str = spec(
        Text("a host name or an IP address", pattern=r"^[0-9A-Za-z:][0-9A-Za-z.:-]{0,252}$"),
        "In place of `socket`, for a clamd with `TCPSocket`. Nothing protects this connection, so the host must be "
        "this one, or on a network in which nobody else is.",
        default="",
    )
    port: int = spec(WholeNumber("a port", least=1, most=65535), "Of `host`. Default: 3310.", default=3310)
    signature_max_age: timedelta = spec(
        DURATION,
        "How old the signatures may be, by the date of clamd's database `daily`. With older ones every scan is not-run "
        "(`clamd-old`). Default: 7d.",
        default=timedelta(days=7),
    )
    size_limit: int = spec(
        SIZE,
        "The largest file that is sent. What is larger, or beyond a limit of clamd (`StreamMaxLength`, `MaxFileSize`, "
        "`MaxScanSize` …), is a finding of the kind `coverage` (`clamd-limit`). Default: 2GiB, the largest file that "
        "ClamAV scans.",
        default=2 << 30,
    )
    time_limit: timedelta = spec(
        DURATION, "How long clamd may take for one file. Default: 10m.", default=timedelta(minutes=10)
    )

    def checked(self, at: Place) -> ClamdConfig:
        """The configuration. It has one address."""
        if (self.socket is None) == (not self.host):
            at.bad("expected one of socket and host")
        return self

    @property
    def address(self) -> Path | tuple[str, int]:
        """The socket, or host and port."""
        return self.socket or (self.host, self.port)


@spec_map("a map with the limits for models", "Files of models are always looked at, within these limits.")
class ModelLimits:
    """The formats that are let in besides the usual ones, and how much of a file is parsed."""

    formats: tuple[str, ...] = spec(
        ListOf(Text("a pattern of file names, such as *.npz", pattern=r"^[^/\s]{1,100}$"), "a list of patterns"),
        "Files that are allowed in models besides the formats that airgap knows as safe. A name that matches is no "
        "finding, and nothing is known of what is in it.",
        default=(),
    )
    header_limit: int = spec(
        SIZE,
        "The largest header that is parsed. A larger one is a finding. Default: 100MiB, as in safetensors.",
        default=100_000_000,
    )


@spec_map(
    "a map with the limits for archives",
    "Layers and archives are always looked at, within these limits. More is a finding of the kind `archive`.",
)
class ArchiveLimits:
    """How large a layer or an archive may become when it is unpacked."""

    size: int = spec(SIZE, "Bytes when unpacked. Default: 200GiB.", default=200 << 30)
    files: int = spec(
        WholeNumber("a number of files", least=1),
        "Files in one layer or archive, with those in archives in it. Default: 1000000.",
        default=1_000_000,
    )
    ratio: int = spec(
        WholeNumber("a whole number from 2", least=2),
        "How many times larger than packed, once 1 GiB is unpacked. Default: 300.",
        default=300,
    )
    depth: int = spec(
        WholeNumber("a whole number from 0 to 32", least=0, most=32),
        "How many archives within one another are opened. Default: 4.",
        default=4,
    )


@spec_map("a map with the scanners, and the limits of a scan")
class Station:
    """The scanners of a scan station."""

    resource: ClassVar = Resource(
        doc="How the scan station looks into content: which scanners, with which databases, within which limits. What "
        "may pass is said by a Policy. `airgap scan` takes it with `--station`.",
        taken_by="`airgap scan` takes a Station with --station",
        examples=(_EXAMPLE, _SMALLEST),
    )
    name: str = given("name")
    trivy: TrivyConfig | None = spec(TrivyConfig, default=None)
    databases: ScannerDatabases = spec(ScannerDatabases, default=ScannerDatabases())
    clamd: ClamdConfig | None = spec(ClamdConfig, default=None)
    models: ModelLimits = spec(ModelLimits, default=ModelLimits())
    archives: ArchiveLimits = spec(ArchiveLimits, default=ArchiveLimits())
    parallel: int = spec(
        WholeNumber(f"a number of scans from 1 to {MAX_PARALLEL}", least=1, most=MAX_PARALLEL),
        "How many scans run at once. Each may need `memoryLimit`. Default: the number of processors.",
        default=0,
    )
    """0: the number of processors."""
    work_dir: Path | None = spec(
        FOLDER,
        "Where scans keep what they unpack, for as long as they run; no other program may use it. It needs space for "
        "the largest image, unpacked, for each scan that runs. Default: a folder below the store.",
        default=None,
    )

    def checked(self, at: Place) -> Station:
        """The station. Reports databases that nothing uses, and Trivy without its most important one."""
        if self.trivy is not None and not self.databases.vulnerabilities:
            at.bad("databases.vulnerabilities: missing, expected a name without spaces: 'trivy' needs it")
        if "trivy" not in at.value and self.databases.by_type:
            at.bad("databases: only 'trivy' uses them, and there is none")
        return self
