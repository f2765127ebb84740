"""What a job needs of the process around it. The command line makes it, or any other caller of a job."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from airgap.base.errors import InputError
from airgap.base.progress import Progress, Silent
from airgap.base.throttle import FREE, Throttle
from airgap.delivery.seal import Identities, no_identities

DEFAULT_JOBS = 8
"""Threads across blobs: twice what two cores and one disk need, enough to hide a registry's latency."""


def _unheard(_message: str) -> None:
    """Drops a message."""


def _no_password(key: str) -> bytes:
    """For a caller that gives no passwords. Raises `InputError` (`no-password`)."""
    raise InputError("no-password", f"{key}: no password was given", "give the job a `password` callback")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The clock, the messages, the passwords and the settings that come from outside. Jobs read no environment."""

    clock: Callable[[], datetime]
    """The local time, with its zone."""
    state_folder: Path
    """The folder for state that no resource places elsewhere: the signer's own log, a Sovereign without stateDir."""
    note: Callable[[str], None] = _unheard
    """Takes a message for people; the work goes on."""
    progress: Callable[[], Progress] = Silent
    """Gives the observer of the work. A job asks again for each phase: a note may have ended the last one."""
    password: Callable[[str], bytes] = _no_password
    """Gives the password or PIN of a key, by the key's path or `pkcs11:` URI. Raises `InputError` (`no-password`)."""
    throttle: Throttle = FREE
    """How fast content may move, and until when."""
    identities: Identities = no_identities
    """Gives the identities that open encrypted deliveries; asked only where there is one. Raises `InputError`."""
    pkcs11_module: str = ""
    """The library of a token, where the key's URI names none."""
    proxies: Mapping[str, str] = field(default_factory=dict)
    """Proxies for the connected zone, by scheme (`http`, `https`, `all`), and under `no` the hosts that need none."""
    docker_config: Path | None = None
    """The docker credential store; it need not exist."""
    docker_host: str = ""
    """The address of the container engine; `""` for the usual one."""
    hub_endpoint: str = "https://huggingface.co"
    """The origin of models."""
