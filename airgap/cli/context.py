"""The outside, as far as a command may touch it: environment, clock, terminal, output, passwords."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import re
import shlex
import stat
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airgap.base.errors import AirgapError, InputError, StoreError, brief
from airgap.base.progress import Progress, Silent
from airgap.base.text import Lines, visible, visible_json
from airgap.base.text import message as shown
from airgap.base.times import utc_text
from airgap.cli import output
from airgap.cli.bar import Bar
from airgap.cli.output import Messages, write
from airgap.cli.words import fitted
from airgap.version import VERSION

if TYPE_CHECKING:
    from airgap.base.throttle import Throttle
    from airgap.delivery.sealing.keys import AgeIdentity
    from airgap.jobs.surroundings import Surroundings

_LOOK = 64 << 10
"""Bytes of a file in which is seen what it is."""
_SECRETS = (
    (re.compile(r"(?i)(AGE-(?:SECRET-KEY|PLUGIN-[A-Z0-9]{1,20})-(?:PQ-)?1)[0-9A-Z]+"), r"\1…"),
    (re.compile(r"(pin-value=)[^&;?'\"\s]+"), r"\1…"),
    (re.compile(r"(://)[^/\s'\"@]+@"), r"\1…@"),
    (re.compile(r"(?i)([?&](?:[a-z_-]*token|[a-z_-]*key|[a-z_-]*signature|password|sig)=)[^&'\"\s]+"), r"\1…"),
)
"""What a word of a command may have that others must not read, and what the log has instead."""
_LOG_LINE = re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z ")
"""How each line of a log file begins; the first may have been rotated away."""


@dataclass(slots=True)
class Context:
    """One run of a command."""

    environ: Mapping[str, str]
    as_json: bool = False
    quiet: bool = False
    log_file: FileIO | None = None
    unheard: AirgapError | None = None
    """The error that kept the result from being written, if any."""
    line: Sequence[str] = ()
    """The command, as it was typed after `airgap`."""
    _throttle: Throttle | None = None
    _identities: Sequence[AgeIdentity] | None = None
    _bar: Bar | None = None
    _notes: list[str] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)

    @classmethod
    def from_arguments(cls, arguments: argparse.Namespace, argv: Sequence[str] = ()) -> Context:
        """Opens the log file, if one was asked for. It begins with the version and the command as it was typed."""
        made = cls(os.environ, arguments.json, arguments.quiet, line=tuple(argv))
        if arguments.log_file is not None:
            try:
                _check_log_file(arguments.log_file)
                # Without a buffer, a line that cannot be written fails at once, and not again at the close.
                made.log_file = arguments.log_file.open("ab", buffering=0)
                made.log_file.write(made.log_line(f"airgap {VERSION}: {typed(argv) or arguments.command}"))
            except OSError as error:
                made.close()
                raise InputError(
                    "log-file",
                    f"--log-file {arguments.log_file}: {error.strerror}",
                    "name a file that can be written, in an existing folder",
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
        """Removes the bar from the terminal."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def note(self, message: str) -> None:
        """Writes a message for people to stderr, on one line if it is not `Lines`."""
        message = brief(message)
        self.end_progress()
        self.log(message)
        if not self.quiet:
            Messages().write(visible(shown(message)) + "\n")

    def problem(self, what: str, hint: str = "") -> None:
        """Writes what failed, and the next step, to stderr. `--quiet` hides notes, not failures."""
        self.end_progress()
        for line in (what, f"  next: {hint}") if hint else (what,):
            self.log(brief(line))
            Messages().write(visible(shown(brief(line))) + "\n")

    def log(self, message: str) -> None:
        """Writes a line to the log file. A full disk is reported once, and the work goes on without the log file."""
        log = self.log_file
        if log is None:
            return
        try:
            log.write(self.log_line(message))
        except OSError as error:
            self.log_file = None
            Messages().write(f"airgap: {log.name}: {error.strerror}; continuing without the log file\n")

    def log_line(self, message: str) -> bytes:
        """A line, as it is written to the log file."""
        return f"{utc_text(self.now())} {visible(shown(message))}\n".encode()

    def result(self, document: Any, text: str | list[str]) -> None:
        """Writes the command's result to stdout: `document` with `--json`, otherwise `text`.

        A text is one line; several are a list, or `Lines`. So no name can make a line of its own. A failure to write it
        must not change what the command does: the error is kept in `unheard` for the end.
        """
        self.end_progress()
        self._log_delivery(document)
        try:
            if self.as_json:
                write_json(document)
            elif text:
                width = output.width()
                lines = fitted(text, width) if isinstance(text, list) and width else text
                whole: str = Lines.of(lines) if isinstance(lines, list) else shown(lines)
                write(visible(whole if whole.endswith("\n") else whole + "\n"))
        except StoreError as error:
            self.unheard = error

    def result_lines(self, documents: Iterable[Any], text: list[str]) -> None:
        """As `result`, but with `--json` one document per line, for results that may be long."""
        if not self.as_json:
            self.result(None, text)
            return
        self.end_progress()
        dumped = [json.dumps(one, ensure_ascii=False, sort_keys=True) + "\n" for one in documents]
        try:
            write(visible_json("".join(dumped)))
        except StoreError as error:
            self.unheard = error

    def event(self, document: Any, text: str) -> None:
        """Says at once what happened: with `--json` a document on a line of stdout, otherwise as a note."""
        if not self.as_json:
            self.note(text)
            return
        self.log(text)
        try:
            write(visible_json(json.dumps(document, ensure_ascii=False, sort_keys=True)) + "\n")
        except StoreError as error:
            self.unheard = error

    def _log_delivery(self, document: Any) -> None:
        """Writes to the log which delivery the command was about, if it was about one."""
        said = document if isinstance(document, dict) else {}
        if "delivery" in said:
            named = (said.get("id") or said["delivery"], said.get("digest"), said.get("receipt"))
            self.log(f"delivery {', '.join(str(one) for one in named if isinstance(one, str))}")

    def ended(self, code: int) -> None:
        """Writes to the log how the command ended, and how long it took."""
        self.log(f"exit {code} after {time.monotonic() - self._began:.1f} s")

    def close(self) -> None:
        """Ends the bar and the log."""
        self.end_progress()
        if self.log_file is not None:
            self.log_file.close()
            self.log_file = None

    # the outside

    def pipe_in(self) -> int:
        """The descriptor from which a stream is read."""
        return 0

    def pipe_out(self) -> int:
        """The descriptor to which a stream is written."""
        return 1

    def now(self) -> datetime:
        """The local clock, in UTC."""
        return datetime.now(UTC)

    def surroundings(self, arguments: argparse.Namespace) -> Surroundings:
        """The outside, as far as a job may know it."""
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
            identities=lambda: self.identities(arguments),
            pkcs11_module=environ.get(MODULE_VARIABLE, ""),
            proxies=self.proxies(),
            docker_config=Path(environ.get("DOCKER_CONFIG", str(home / ".docker"))) / "config.json",
            docker_host=environ.get("DOCKER_HOST", ""),
        )
        throttle = self.throttle(arguments)
        return replace(made, throttle=throttle, hub_endpoint=environ.get("HF_ENDPOINT", made.hub_endpoint))

    def throttle(self, arguments: argparse.Namespace) -> Throttle:
        """`--limit-rate` and `--until`: one throttle for the whole command."""
        if self._throttle is None:
            from airgap.base.throttle import FREE, Limited
            from airgap.cli.flags import until_moment

            rate, until = getattr(arguments, "limit_rate", 0), getattr(arguments, "until", None)
            end = None if until is None else until_moment(until, self.now())
            self._throttle = Limited(rate, end, self.now) if rate or end is not None else FREE
        return self._throttle

    def jobs(self, arguments: argparse.Namespace) -> int:
        """`--jobs`, or the default."""
        from airgap.jobs.surroundings import DEFAULT_JOBS

        return arguments.jobs or DEFAULT_JOBS

    def store_or_not(self, arguments: argparse.Namespace) -> Path | None:
        """`--store` or AIRGAP_STORE, if there is one."""
        chosen = arguments.store or self.environ.get("AIRGAP_STORE")
        return Path(chosen) if chosen else None

    def store(self, arguments: argparse.Namespace) -> Path:
        """`--store` or AIRGAP_STORE. Raises `InputError`."""
        chosen = self.store_or_not(arguments)
        if chosen is None:
            raise InputError("no-store", "no store was given", "use --store DIR, or set AIRGAP_STORE")
        return chosen

    def key_path(self, arguments: argparse.Namespace) -> str | None:
        """`--key` or AIRGAP_KEY: a path, or the `pkcs11:` URI of a key in a token."""
        return arguments.key or self.environ.get("AIRGAP_KEY") or None

    def password(self, arguments: argparse.Namespace, key: Path | str, *, confirm: bool = False) -> bytes:
        """The key's password, read from the file; asks for it if stdin is a terminal. Raises `InputError`."""
        chosen = arguments.key_password_file or self.environ.get("AIRGAP_KEY_PASSWORD_FILE")
        use = "use --key-password-file FILE, or set AIRGAP_KEY_PASSWORD_FILE"
        what = f"{key}: no password was given"
        return self._secret(chosen, f"Password of {key}: ", what, use, confirm=confirm)

    def _secret(self, chosen: Path | str | None, prompt: str, what: str, use: str, *, confirm: bool = False) -> bytes:
        """A password from the `chosen` file; without one, what a person types. Raises `InputError`."""
        if chosen:
            from airgap.base.secrets import read_secret

            return read_secret(Path(chosen), "password").encode()
        if not sys.stdin.isatty():
            raise InputError("no-password", f"{what}, and there is no terminal to ask for it", use)
        self.end_progress()
        password = getpass.getpass(prompt)
        if confirm and getpass.getpass("Repeat it: ") != password:
            raise InputError("no-password", "the two passwords differ", "run the same command again")
        return password.encode()

    def identities(self, arguments: argparse.Namespace) -> Sequence[AgeIdentity]:
        """The identities of `--identity` or AIRGAP_IDENTITY_FILE, read once. Raises `InputError`."""
        if self._identities is None:
            from airgap.delivery.sealing.identities import load_identities

            paths: Sequence[Path] = getattr(arguments, "identity", ())
            if not paths and (named := self.environ.get("AIRGAP_IDENTITY_FILE")):
                paths = [Path(named)]
            self._identities = load_identities(paths, lambda path: self.passphrase(arguments, path))
        return self._identities

    def passphrase(self, arguments: argparse.Namespace, identity: Path) -> bytes:
        """The passphrase of a file with identities, as `password` gets that of a key. Raises `InputError`."""
        chosen = getattr(arguments, "identity_password_file", None) or self.environ.get("AIRGAP_IDENTITY_PASSWORD_FILE")
        use = "use --identity-password-file FILE, or set AIRGAP_IDENTITY_PASSWORD_FILE"
        return self._secret(chosen, f"Passphrase of {identity}: ", f"{identity}: no passphrase was given", use)

    def state_folder(self) -> Path:
        """The folder for state, if the Sovereign resource has no stateDir."""
        base = self.environ.get("XDG_STATE_HOME") or str(Path(self.environ.get("HOME", "/root")) / ".local/state")
        return Path(base) / "airgap"

    def proxies(self) -> dict[str, str]:
        """The proxies that the environment sets, for the commands of the connected zone."""
        from airgap.net.proxies import proxies_in

        return proxies_in(self.environ)


def typed(argv: Sequence[str]) -> str:
    """A command as it was typed, without what may be a secret: a PIN in a token's URI, a login in an address."""
    shown_words = shlex.join(argv)
    for pattern, instead in _SECRETS:
        shown_words = pattern.sub(instead, shown_words)
    return shown_words


def _check_log_file(path: Path) -> None:
    """Lines are added only to a file that `--log-file` began, to an empty one, or to a pipe or a terminal.

    Raises `InputError` (`log-file`), `OSError`.
    """
    if path.is_symlink() and not path.exists():
        raise _no_log_file(path, "this is a link that leads to nothing")
    with suppress(FileNotFoundError):
        info = path.stat()
        if stat.S_ISBLK(info.st_mode):
            raise _no_log_file(path, "this is a disk")
        if not stat.S_ISREG(info.st_mode) or not info.st_size:
            return
        with path.open("rb") as file:
            start = file.read(_LOOK)
        if not _LOG_LINE.match(start):
            from airgap.base.known_files import identified

            raise _no_log_file(path, f"this is {identified(start) or 'another file'}, and lines would be added to it")


def _no_log_file(path: Path, why: str) -> InputError:
    return InputError("log-file", f"--log-file {path}: {why}", "name a new file, or one that --log-file wrote")


def write_json(document: Any) -> None:
    """Writes one document to stdout, for scripts."""
    write(visible_json(json.dumps(document, ensure_ascii=False, indent=2, sort_keys=True)) + "\n")
