"""What a command may touch of the outside: environment, clock, terminal, output, passwords."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airgap.base.errors import AirgapError, InputError, StoreError
from airgap.base.progress import Progress, Silent
from airgap.base.times import utc_text
from airgap.cli.bar import Bar
from airgap.cli.output import Messages, visible, write
from airgap.version import VERSION

if TYPE_CHECKING:
    from airgap.jobs.surroundings import Surroundings


@dataclass(slots=True)
class Context:
    """One run of a command."""

    environ: Mapping[str, str]
    as_json: bool = False
    quiet: bool = False
    log_file: FileIO | None = None
    unheard: AirgapError | None = None
    """Why the result could not be written, if so."""
    _bar: Bar | None = None
    _notes: list[str] = field(default_factory=list)

    @classmethod
    def from_arguments(cls, arguments: argparse.Namespace) -> Context:
        """Opens the log file, if one was asked for."""
        made = cls(os.environ, arguments.json, arguments.quiet)
        if arguments.log_file is not None:
            try:
                # Without a buffer: a line that cannot be written is known at once, and not again when it is closed.
                made.log_file = arguments.log_file.open("ab", buffering=0)
                made.log_file.write(made.log_line(f"airgap {VERSION}: {arguments.command}"))
            except OSError as error:
                made.close()
                raise InputError(
                    "log-file",
                    f"--log-file {arguments.log_file}: {error.strerror}",
                    "name a file that can be written, in a folder that is there",
                ) from error
        return made

    # output

    def progress(self) -> Progress:
        """The observer for long work: a bar on a terminal, a line every 30 s elsewhere, nothing when quiet."""
        if self.quiet and self.log_file is None:
            return Silent()
        if self._bar is None:
            stream = None if self.quiet else Messages()
            self._bar = Bar(stream, self.log, plain=bool(self.environ.get("NO_COLOR")))
        return self._bar

    def end_progress(self) -> None:
        """Takes the bar off the terminal."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def note(self, message: str) -> None:
        """A message for people, on stderr."""
        self.end_progress()
        self.log(message)
        if not self.quiet:
            Messages().write(visible(message) + "\n")

    def log(self, message: str) -> None:
        """A line in the log file. When its disk is full the work goes on without it, and says so once."""
        log = self.log_file
        if log is None:
            return
        try:
            log.write(self.log_line(message))
        except OSError as error:
            self.log_file = None
            Messages().write(f"airgap: {log.name}: {error.strerror}; going on without the log file\n")

    def log_line(self, message: str) -> bytes:
        """A line as it stands in the log file."""
        return f"{utc_text(self.now())} {message}\n".encode(errors="backslashreplace")

    def result(self, document: Any, text: str) -> None:
        """The command's result on stdout: `document` with `--json`, else `text`.

        What was done or found does not depend on who reads it: an error is kept in `unheard` for the end.
        """
        self.end_progress()
        try:
            if self.as_json:
                write_json(document)
            elif text:
                write(visible(text if text.endswith("\n") else text + "\n"))
        except StoreError as error:
            self.unheard = error

    def result_lines(self, documents: Iterable[Any], text: str) -> None:
        """As `result`, but with `--json` one document a line: for what may be long."""
        if self.as_json:
            dumped = [json.dumps(one, ensure_ascii=False, sort_keys=True) + "\n" for one in documents]
            text = "".join(dumped)
        self.end_progress()
        try:
            write(text if self.as_json else visible(text))
        except StoreError as error:
            self.unheard = error

    def close(self) -> None:
        """Ends the bar and the log."""
        self.end_progress()
        if self.log_file is not None:
            self.log_file.close()
            self.log_file = None

    # the outside

    def now(self) -> datetime:
        """The local clock, in UTC."""
        return datetime.now(UTC)

    def surroundings(self, arguments: argparse.Namespace) -> Surroundings:
        """What a job may know of the outside."""
        from airgap.jobs.surroundings import Surroundings
        from airgap.statements.keys.pkcs11_uri import MODULE_VARIABLE

        environ = self.environ
        home = Path(environ.get("HOME", "/root"))
        made = Surroundings(
            clock=self.now,
            state_folder=self.state_folder(),
            note=self.note,
            progress=self.progress,
            password=lambda key: self.password(arguments, key),
            pkcs11_module=environ.get(MODULE_VARIABLE, ""),
            proxies=self.proxies(),
            docker_config=Path(environ.get("DOCKER_CONFIG", str(home / ".docker"))) / "config.json",
            docker_host=environ.get("DOCKER_HOST", ""),
        )
        return replace(made, hub_endpoint=environ.get("HF_ENDPOINT", made.hub_endpoint))

    def jobs(self, arguments: argparse.Namespace) -> int:
        """`--jobs`, or the default."""
        from airgap.jobs.surroundings import DEFAULT_JOBS

        return arguments.jobs or DEFAULT_JOBS

    def store(self, arguments: argparse.Namespace) -> Path:
        """`--store` or AIRGAP_STORE. Raises `InputError`."""
        chosen = arguments.store or self.environ.get("AIRGAP_STORE")
        if not chosen:
            raise InputError("no-store", "no store was named", "use --store DIR, or set AIRGAP_STORE")
        return Path(chosen)

    def key_path(self, arguments: argparse.Namespace) -> str | None:
        """`--key` or AIRGAP_KEY: a path, or the `pkcs11:` URI of a key in a token."""
        return arguments.key or self.environ.get("AIRGAP_KEY") or None

    def password(self, arguments: argparse.Namespace, key: Path | str, *, confirm: bool = False) -> bytes:
        """The key's password: from the file, or asked for when stdin is a terminal. Raises `InputError`."""
        chosen = arguments.key_password_file or self.environ.get("AIRGAP_KEY_PASSWORD_FILE")
        if chosen:
            from airgap.base.secrets import read_secret

            return read_secret(Path(chosen), "password").encode()
        if not sys.stdin.isatty():
            raise InputError(
                "no-password",
                f"{key}: no password was given, and there is no terminal to ask at",
                "use --key-password-file FILE, or set AIRGAP_KEY_PASSWORD_FILE",
            )
        self.end_progress()
        password = getpass.getpass(f"Password of {key}: ")
        if confirm and getpass.getpass("Once more: ") != password:
            raise InputError("no-password", "the two passwords differ")
        return password.encode()

    def state_folder(self) -> Path:
        """Where state goes when the Sovereign resource names no stateDir."""
        base = self.environ.get("XDG_STATE_HOME") or str(Path(self.environ.get("HOME", "/root")) / ".local/state")
        return Path(base) / "airgap"

    def proxies(self) -> dict[str, str]:
        """Proxies of the environment, for the connected commands."""
        found = {}
        for scheme in ("http", "https", "no"):
            value = self.environ.get(f"{scheme}_proxy") or self.environ.get(f"{scheme.upper()}_PROXY")
            if value:
                found[scheme] = value
        return found


def write_json(document: Any) -> None:
    """One document on stdout, for scripts."""
    write(json.dumps(document, ensure_ascii=False, indent=2, sort_keys=True) + "\n")
