"""Runs git: the only place that sets its environment, its folder and its limits.

Nothing of the user's git setup affects these runs: no configuration, hooks, credential helpers, prompts, netrc, proxies
or GIT_* variables. Every setting of a run is passed explicitly, and secrets go through GIT_CONFIG_COUNT, never through
argv. What every run gets is in `git_settings`.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, BinaryIO, cast

from airgap.base.errors import Side, StoreError, ToolError
from airgap.base.streams import read_limited
from airgap.net.origin import Origin
from airgap.net.proxies import for_libcurl
from airgap.tools.git_faults import failure
from airgap.tools.git_settings import CONFIG, ENVIRONMENT, INHERITED
from airgap.tools.limits import Limits

MINIMUM = (2, 32)
"""The minimum version. git 2.32 introduced GIT_CONFIG_GLOBAL, 2.31 GIT_CONFIG_COUNT."""
FIXED = {(2, 39): 4, (2, 40): 2, (2, 41): 1, (2, 42): 2, (2, 43): 4, (2, 44): 1, (2, 45): 1}
"""The first release of each series with the fixes of May 2024: CVE-2024-32004, -32021, -32465 (a repository at a path
runs programs, or links to files of others). It has all earlier fixes too. Later fixes are about what these runs never
use: submodules, credential helpers, prompts, and bundle URIs (CVE-2025-48384, -48385, CVE-2024-50349, -52006)."""
MARK = b"GIT_NO_LAZY_FETCH"
"""What a program of an older number contains if its distribution has added these fixes."""
MAX_PROGRAM = 64 << 20
"""Bytes of git's program that are searched; it has 4 MiB."""
QUICK = 120.0
"""Seconds for a run that only reads a local repository's refs or settings, or asks a server for its refs."""
LONG = 6 * 3600.0
"""Seconds for a run that transfers or reads all objects. http.lowSpeedTime ends a stalled connection earlier."""
MAX_OUTPUT = 256 << 20
"""Bytes of output that are kept: a million refs with long names. A server that sends more is hostile."""
MAX_STDERR = 64 << 10
"""Bytes of stderr that are kept, from its end, where git reports why it failed."""


@dataclass(frozen=True, slots=True)
class Remote:
    """A remote repository: an http or https URL, or an absolute path; and the settings to reach it.

    `authorization` is the value of that header; `proxies` has the keys `http`, `https`, `all` and `no`. `redirects`
    lets git follow a redirect of its first request. Never set it together with `authorization`, because git would send
    that to the new host.
    """

    url: str
    authorization: str = field(default="", repr=False)
    ca_file: Path | None = None
    proxies: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    redirects: bool = False
    side: Side = ""
    """Whether it is an origin or a destination, for errors."""

    @property
    def config(self) -> dict[str, str]:
        """Git settings for runs that contact the remote."""
        made = {"http.followRedirects": "initial" if self.redirects and not self.authorization else "false"}
        if self.authorization:
            made["http.extraHeader"] = f"Authorization: {self.authorization}"
        if self.ca_file is not None:
            made["http.sslCAInfo"] = str(self.ca_file.absolute())
        return made

    @property
    def environment(self) -> dict[str, str]:
        """The proxies, for libcurl."""
        if not self.proxies or "://" not in self.url:
            return {}
        return for_libcurl(Origin.of(self.url), self.proxies)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The texts that must not be shown, longest first."""
        found = {self.authorization, self.authorization.partition(" ")[2]}
        found |= {proxy.rpartition("@")[0] for proxy in self.proxies.values()}
        with suppress(binascii.Error, ValueError):
            plain = base64.b64decode(self.authorization.partition(" ")[2], validate=True).decode()
            found |= {plain, plain.partition(":")[2]}
        return tuple(sorted(filter(None, found), key=len, reverse=True))


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a run: exit status, stdout and stderr (without secrets)."""

    status: int
    stdout: bytes
    stderr: str


def _is_fixed(version: tuple[int, ...]) -> bool:
    """True if the version has the fixes by its number."""
    series = version[:2]
    return series > max(FIXED) or (series in FIXED and version[2] >= FIXED[series])


def scrub(text: str, secrets: tuple[str, ...]) -> str:
    """`text` without the secrets, and without user and password in URLs."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return re.sub(r"(https?://)[^/@\s']+@", r"\1***@", text)


class Git:
    """Runs git in `folder`, which is created if absent and contains git's settings file. Thread-safe.

    The constructor raises `ToolError` (`git-missing`, `git-too-old`).
    """

    def __init__(self, folder: Path) -> None:
        # git runs in this folder and not in the current one, so every path that it gets is absolute.
        self.folder = folder.absolute()
        self._config = self.folder / "gitconfig"
        self._limits = Limits.usual()
        program = shutil.which("git")
        if program is None:
            raise ToolError("git-missing", "git cannot be started: it is in no folder of PATH", "install git")
        self._program = program
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._write_config()
        except OSError as error:
            raise StoreError("no-workdir", f"{folder}: {error.strerror}", "check its owner and mode") from error
        self.version = self._check_version()

    def _write_config(self) -> None:
        if self._config.exists() and self._config.read_text() == CONFIG:
            return
        handle, name = tempfile.mkstemp(dir=self.folder, prefix=".gitconfig.")
        with os.fdopen(handle, "w") as file:
            file.write(CONFIG)
        Path(name).replace(self._config)

    def _check_version(self) -> tuple[int, ...]:
        text = self.run("version").stdout.decode(errors="replace").strip()[:100]
        found = re.search(r"(\d{1,9})\.(\d{1,9})(?:\.(\d{1,9}))?", text)
        version = tuple(int(part) for part in found.groups(default="0")) if found else (0,)
        if version < MINIMUM:
            wanted = ".".join(map(str, MINIMUM))
            raise ToolError("git-too-old", f"git: got {text!r}, expected {wanted} or later", "update git")
        if not (_is_fixed(version) or self._is_patched(version)):
            wanted = ", ".join(f"{major}.{minor}.{patch}" for (major, minor), patch in FIXED.items())
            raise ToolError(
                "git-too-old",
                f"git: got {text!r} without the security fixes of May 2024 (CVE-2024-32465 and others), expected "
                f"{wanted} or later, or a distribution's version with these fixes",
                "update git from your distribution's security updates",
            )
        return version

    def _is_patched(self, version: tuple[int, ...]) -> bool:
        """True if the distribution has added the fixes to an older version. 2.45.0 has the mark without them."""
        if version[:2] == max(FIXED):
            return False
        folder = self.run("--exec-path").stdout.decode(errors="surrogateescape").strip()
        try:
            with Path(folder, "git").open("rb") as program:
                return MARK in program.read(MAX_PROGRAM)
        except (OSError, ValueError):
            return False

    def run(
        self,
        *args: str,
        repository: Path | None = None,
        remote: Remote | None = None,
        stdin: BinaryIO | bytes = b"",
        timeout: float = QUICK,
        ok: tuple[int, ...] = (0,),
        config: Mapping[str, str] | None = None,
        limits: Limits | None = None,
    ) -> Result:
        """Runs `git args` to its end, in the bare `repository` if one is given.

        `remote` adds the settings that are needed to reach it, but not its URL. Exit statuses outside `ok` (`()` allows
        all) raise `UpstreamError`, `IntegrityError`, `StoreError` or `ToolError`, depending on git's output. `limits`
        say what the run may use; left out, they are those of a run of unknown size.
        """
        with self.start(
            *args, repository=repository, remote=remote, stdin=stdin, timeout=timeout, config=config, limits=limits
        ) as running:
            stdout = read_limited(running.stdout, MAX_OUTPUT + 1)
            if len(stdout) > MAX_OUTPUT:
                raise ToolError("too-much-output", f"git {args[0]}: more than {MAX_OUTPUT} bytes of output")
            running.finish(ok)
        return Result(running.status, stdout, running.stderr)

    @contextmanager
    def start(
        self,
        *args: str,
        repository: Path | None = None,
        remote: Remote | None = None,
        stdin: BinaryIO | bytes = b"",
        timeout: float = LONG,
        config: Mapping[str, str] | None = None,
        limits: Limits | None = None,
    ) -> Iterator[Running]:
        """Starts `git args`, to read its stdout as a stream; leaving the block before `finish` kills it."""
        where = () if repository is None else (f"--git-dir={repository}",)
        env = _environment(self._config, remote, config or {})
        secrets = remote.secrets if remote else ()
        with _as_file(stdin) as source:
            line = (limits or self._limits).started(self._program, *where, *args)
            running = Running(self._popen(line, env, source), args, remote, secrets, timeout)
            try:
                yield running
            finally:
                running.close()

    def _popen(self, line: tuple[str, ...], env: Mapping[str, str], stdin: BinaryIO) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                line,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=self.folder,
                env=env,
                start_new_session=True,  # a time limit ends git and its helpers as one group
            )
        except OSError as error:
            raise ToolError("git-missing", f"git cannot be started: {error}", "install git and a shell") from error


def _environment(file: Path, remote: Remote | None, config: Mapping[str, str]) -> dict[str, str]:
    """The variables of one run: the fixed ones, the run's numbered settings, and the proxies for the remote."""
    settings = {**(remote.config if remote else {}), **config}
    env = {name: os.environ[name] for name in INHERITED if name in os.environ} | ENVIRONMENT
    # Without a ceiling, git reads the settings of a repository that contains the folder, for example a checkout.
    env["GIT_CEILING_DIRECTORIES"] = str(file.parent.resolve().parent)
    env |= {"GIT_CONFIG_GLOBAL": str(file), "GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings.items()):
        env |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return env | (remote.environment if remote else {})


class Running:
    """A running git: read `stdout` to its end, then call `finish`."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        args: tuple[str, ...],
        remote: Remote | None,
        secrets: tuple[str, ...],
        timeout: float,
    ) -> None:
        self._process = process
        self._args, self._remote, self._secrets, self._timeout = args, remote, secrets, timeout
        self.stdout = cast(BinaryIO, self._process.stdout)
        self.status = -1
        self._tail = b""
        self._late = False
        # A full stderr pipe would block git while this process waits for its stdout.
        self._drain = threading.Thread(target=self._keep_stderr, daemon=True)
        self._drain.start()
        self._timer = threading.Timer(timeout, self._expire)
        self._timer.daemon = True
        self._timer.start()

    @property
    def stderr(self) -> str:
        """The stderr of git, without secrets."""
        return scrub(self._tail.decode(errors="replace"), self._secrets).strip()

    def _keep_stderr(self) -> None:
        stream = cast(IO[bytes], self._process.stderr)
        with suppress(ValueError, OSError):
            while piece := stream.read1(1 << 16):  # type: ignore[attr-defined]  # a BufferedReader
                self._tail = (self._tail + piece)[-MAX_STDERR:]

    def _expire(self) -> None:
        self._late = True
        self._kill()

    def _kill(self) -> None:
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def finish(self, ok: tuple[int, ...] = (0,)) -> None:
        """Waits for the end. Raises the error for the exit status unless it is in `ok` (`()` allows all)."""
        self.status = self._process.wait()
        self._timer.cancel()
        self._drain.join()
        if self._late:
            raise ToolError(
                "git-timeout",
                f"git {self._args[0]}: not finished after {self._timeout:g} s",
                "check the network and the disk, then run the same command again",
            )
        if ok and self.status not in ok:
            remote = self._remote or Remote("")
            raise failure(self._args[0], self.status, self.stderr, remote.url, remote.side)

    def close(self) -> None:
        """Kills the process group if it still runs, and closes the pipes."""
        self._timer.cancel()
        self._kill()
        self._process.wait()
        self._drain.join()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()


@contextmanager
def _as_file(data: BinaryIO | bytes) -> Iterator[BinaryIO]:
    """A real file with `data`, so that no pipe has to be fed while another one is read."""
    if not isinstance(data, bytes):
        yield data
        return
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        yield cast(BinaryIO, file)
