"""Runs Trivy: the only place that knows its options and what it says when it fails.

The program that was hashed is the program that runs: it is opened once, and started by its descriptor, so that another
one that takes its place meanwhile is not. It runs in the sandbox, in a folder without a trivy.yaml, .trivyignore or
trivy-secret.yaml, with nothing of the user's environment, and it is told to stay offline besides.
"""

from __future__ import annotations

import os
import re
import secrets
import threading
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from airgap.base.digest import Digest, hash_stream
from airgap.base.disk import disk_errors
from airgap.base.errors import AirgapError, PolicyError, ToolError, TrustError
from airgap.base.inputs import NotPlainError, open_plain
from airgap.tools.limits import Limits
from airgap.tools.sandbox import Ending, Sandbox, SandboxRun, namespaces

REFUSED = ("0.69.4", "0.69.5", "0.69.6")
"""Releases that others had tampered with (CVE-2026-33634)."""
OFFLINE = (
    *("--offline-scan", "--skip-db-update", "--skip-java-db-update", "--skip-check-update", "--skip-vex-repo-update"),
    "--no-progress",
)
"""Nothing is fetched, and no service is asked."""
KNOWN_TO_SOME = ("--skip-version-check", "--disable-telemetry")
"""The same, in later versions: 0.59.1 does neither of it, and does not know the options."""
TREE_SECRETS = """\
disable-allow-rules: [dist-info, vendor, usr-dirs, locale-dir, markdown, node.js, golang, python, rubygems, wordpress,
  anaconda-log]
"""
"""Settings for secrets in trees. By default Trivy looks for none where distributions put what is not theirs, and in no
Markdown: right for images, but a Git repository has its own text in such places. What is left out by the names of tests
and examples stays so. The names of the rules are the same in 0.59.1 and 0.74.0; an unknown one is no error."""
MAX_OUTPUT = 256 << 20
"""Bytes of a report: one of 100,000 packages with as many vulnerabilities."""
LEAST_FILE = 4 << 30
"""Bytes that one file may have which Trivy writes, at least: temporary copies of large files in layers."""
QUICK = 60.0
"""Seconds for its version and its help."""
SHOWN = 500
"""Characters of what it said, in an error."""
NOTED = re.compile(rb"\t(WARN|ERROR|FATAL)\t")
"""Lines of its log that are kept, however long it is: they say what it could not do."""
_VERSION = re.compile(r"^Version: (\S{1,60})$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class TrivyLimits:
    """What one run may use."""

    seconds: float
    memory: int
    """Bytes."""

    def sandbox(self, file: int, share: int = 1) -> Sandbox:
        """The sandbox of a run that writes files of up to `file` bytes, in the place of `share` runs."""
        seconds = int(self.seconds * (os.cpu_count() or 1)) + 1
        return Sandbox(Limits(self.memory * share, seconds, max(file, LEAST_FILE)), self.seconds, MAX_OUTPUT, NOTED)


class Trivy:
    """One program that was checked. `close` it, or let it go. Thread-safe."""

    def __init__(self, path: Path, descriptor: int, digest: Digest, limits: TrivyLimits) -> None:
        self.path, self.digest, self.limits = path, digest, limits
        self.version = ""
        self._descriptor = descriptor
        self._options: tuple[str, ...] = ()
        self._lock = threading.Lock()
        self.close = weakref.finalize(self, os.close, descriptor)

    @classmethod
    def open(cls, path: Path, sha256: str, refused: Sequence[str], limits: TrivyLimits, work: Path) -> Trivy:
        """Opens the program, compares its sha256, and only then asks it for its version.

        `work` is a private folder. Raises `ToolError` (`scanner-missing`, `scanner-crashed`, …), `TrustError`
        (`scanner-changed`), `PolicyError` (`scanner-refused`).
        """
        try:
            descriptor, _ = open_plain(path, follow=True)
        except (OSError, NotPlainError) as error:
            raise _missing(path, getattr(error, "strerror", None) or str(error)) from error
        with open(descriptor, "rb", closefd=False) as stream:
            digest, _ = hash_stream(stream)
        made = cls(path, descriptor, digest, limits)
        if digest.hex != sha256:
            raise TrustError(
                "scanner-changed",
                f"{path}: got sha256 {digest.hex}, expected {sha256}",
                "install the program that the Station resource names; if it was updated on purpose, check the new one, "
                "and write its sha256 there",
            )
        if not os.access(path, os.X_OK):
            raise _missing(path, "it is not executable")
        made._learn((*REFUSED, *refused), work)
        return made

    def _learn(self, refused: Sequence[str], work: Path) -> None:
        run = self._start(("--version",), Sandbox(Limits(self.limits.memory), QUICK, 1 << 16), work)
        found = _VERSION.search(run.stdout.decode(errors="replace")) if run.ending is Ending.EXIT else None
        if found is None or run.status != 0:
            raise failure(run, "--version") or garbage("--version", "it does not say its version")
        self.version = found[1]
        if self.version.removeprefix("v") in {one.removeprefix("v") for one in refused}:
            why = " (CVE-2026-33634)" if self.version.removeprefix("v") in REFUSED else ""
            raise PolicyError(
                "scanner-refused",
                f"{self.path}: version {self.version} must not be used{why}",
                "install another version, and write its sha256 into the Station resource",
            )

    def _offline(self, work: Path) -> tuple[str, ...]:
        """What keeps it offline. Asked for at its first scan: where all answers are kept, this start is left out."""
        with self._lock:
            if not self._options:
                self._options = self._known_options(work)
            return self._options

    def _known_options(self, work: Path) -> tuple[str, ...]:
        shown = self._start(("image", "--help"), Sandbox(Limits(self.limits.memory), QUICK, 1 << 20), work)
        words = set(shown.stdout.decode(errors="replace").split())
        if not {*OFFLINE, "--list-all-pkgs", "--secret-config"} <= words:
            raise failure(shown, "image --help") or garbage("image --help", "it does not know the options of Trivy")
        return (*OFFLINE, *(one for one in KNOWN_TO_SOME if one in words))

    @property
    def isolated(self) -> bool:
        """True if its runs have no network at all; else only its options keep it offline."""
        return bool(namespaces())

    def scan(self, what: str, options: Sequence[str], cache: Path, work: Path, sandbox: Sandbox) -> SandboxRun:
        """One scan (`what` is `image` or `fs`), with `cache` as its cache folder; the report is JSON, on stdout."""
        # In the content, a file of the name of the settings for secrets would not be looked at: nobody can guess this.
        settings = work / f"{secrets.token_hex(16)}.yaml"
        if what == "fs":
            with disk_errors(settings):
                settings.write_text(TREE_SECRETS)
        line = (
            *(what, "--cache-dir", str(cache), *self._offline(work)),
            *("--secret-config", str(settings), "--module-dir", str(settings), "--format", "json", "--list-all-pkgs"),
            *("--timeout", f"{int(sandbox.timeout) + 60}s", *options),
        )
        return self._start(line, sandbox, work)

    def sbom(self, file: Path, cache: Path, work: Path) -> SandboxRun:
        """Compares the packages of an SBOM with the database; the report is JSON, on stdout."""
        sandbox = self.limits.sandbox(0)
        options = (one for one in self._offline(work) if one != "--skip-check-update")  # `sbom` does not know it
        line = (
            *("sbom", "--cache-dir", str(cache), *options, "--scanners", "vuln", "--format", "json"),
            *("--list-all-pkgs", "--timeout", f"{int(sandbox.timeout) + 60}s", str(file)),
        )
        return self._start(line, sandbox, work)

    def _start(self, line: Sequence[str], sandbox: Sandbox, work: Path) -> SandboxRun:
        # Its runtime collects garbage less often as long as there is memory: a start takes a tenth less.
        memory = sandbox.limits.memory * 3 // 4
        environment = {"GOMEMLIMIT": f"{memory}B", "GOGC": "400"} if memory else {}
        program = f"/proc/self/fd/{self._descriptor}"
        return sandbox.run((program, *line), work, environment, (self._descriptor,))


_LIMITS = "raise the limit in the Station resource, or scan fewer at once (`parallel`)"
_PROGRAM = "scan again; if it stays so, try another version of the scanner, and report it to its makers"
_CODES: Mapping[str, tuple[str, str]] = {
    r"first run cannot skip downloading|cannot be specified on the first run": (
        "database-missing",
        "name the database in the Station resource, and pull it into the store",
    ),
    r"old DB schema|version of DB schema": ("database-schema", "lock and pull a database that fits the scanner"),
    r"no space left on device|disk quota exceeded|file too large": (
        "scan-disk-full",
        "free space, or set `workDir` of the Station resource to another disk",
    ),
    r"deadline exceeded": ("scanner-timeout", _LIMITS),
    r"out of memory|cannot allocate memory": ("scanner-memory", _LIMITS),
    r"": ("scanner-crashed", _PROGRAM),
}
"""What it says when it fails, what that is called, and the next step. The first that fits counts."""


def failure(run: SandboxRun, where: str) -> AirgapError | None:
    """The error for a run that did not come to a good end; `None` if it did."""
    said = last_words(run.stderr)
    if run.ending is Ending.EXIT and run.status == 0:
        return None
    if run.ending is Ending.TIMEOUT:
        return ToolError("scanner-timeout", f"trivy {where}: not finished within its time limit", _LIMITS)
    if run.ending is Ending.MEMORY:
        return ToolError("scanner-memory", f"trivy {where}: it needs more memory than its limit", _LIMITS)
    if run.ending is Ending.OUTPUT:
        return garbage(where, f"more than {MAX_OUTPUT} bytes of output")
    if run.ending is Ending.SIGNAL:
        return ToolError("scanner-crashed", f"trivy {where}: ended by signal {run.status}: {said}", _PROGRAM)
    code, hint = next(one for pattern, one in _CODES.items() if re.search(pattern, run.stderr, re.IGNORECASE))
    return ToolError(code, f"trivy {where}: exit status {run.status}: {said}", hint)


def garbage(where: str, what: str) -> AirgapError:
    """The error for an answer that is not what Trivy writes."""
    hint = "check that the program is Trivy, and try another version of it"
    return ToolError("scanner-garbage", f"trivy {where}: {what}", hint)


def last_words(stderr: str) -> str:
    """The last line that it wrote, without its time, shortened."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    fatal = [line for line in lines if "FATAL" in line or "panic:" in line or "fatal error:" in line]
    line = (fatal or lines or ["it printed nothing"])[-1].replace("\t", " ")
    return re.sub(r"^\S+Z +", "", line)[-SHOWN:]


def _missing(path: Path, why: str) -> ToolError:
    hint = "install it, or correct `program` in the Station resource"
    return ToolError("scanner-missing", f"{path}: the scanner cannot be started: {why}", hint)
