"""What commands share: opening resources, locks, stores, keys; making clients."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from airgap.base.errors import InputError
from airgap.cli.context import Context
from airgap.version import VERSION

if TYPE_CHECKING:
    from airgap.content.lock import Lock
    from airgap.resources.model import Upstreams
    from airgap.statements.keys.file import Signer
    from airgap.station.files import Records
    from airgap.station.signatory import Signatory
    from airgap.store.locate import Reach

USER_AGENT = f"airgap/{VERSION}"


def read_lock(path: Path) -> Lock:
    """A lock file. Raises `InputError`."""
    from airgap.base.inputs import read_input
    from airgap.content.lock import MAX_LOCK, Lock

    absent = "make it with `airgap lock REQUEST -o LOCK`"
    return Lock.decode(read_input(path, MAX_LOCK, "no-lock", absent=absent), str(path))


def is_trust(path: Path) -> bool:
    """True for a file that says of itself that it is a Trust resource."""
    return _says_kind(path, b"Trust")


def is_waiver(path: Path) -> bool:
    """True for a file that says of itself that it is a Waiver."""
    return _says_kind(path, b"Waiver")


def _says_kind(path: Path, kind: bytes) -> bool:
    from airgap.base.inputs import read_input
    from airgap.content.lock import MAX_LOCK

    data = read_input(path, MAX_LOCK, "resource-file")
    return re.search(rb"^kind:[ \t]+[\"']?" + kind + rb"\b", data, re.MULTILINE) is not None


def reach_for(upstreams: Upstreams, base: Path, work: Path, jobs: int, context: Context) -> Reach:
    """How the connected zone is reached. `base` is where relative paths begin, `work` a folder for temporary files."""
    from airgap.net.http import Client
    from airgap.store.locate import Reach

    client = Client(
        upstreams.hosts,
        zone="connected",
        proxies=context.proxies(),
        user_agent=USER_AGENT,
        max_connections=jobs,
        on_retry=context.progress().note,
    )
    work.mkdir(parents=True, exist_ok=True)
    environ = context.environ
    home = Path(environ.get("HOME", "/root"))
    docker = Path(environ.get("DOCKER_CONFIG", str(home / ".docker"))) / "config.json"
    return Reach(
        http=client,
        spool=work,
        base=base.absolute(),
        docker_config=docker if docker.exists() else None,
        docker_host=environ.get("DOCKER_HOST", ""),
        progress=context.progress(),
        proxies=context.proxies(),
        hub_endpoint=environ.get("HF_ENDPOINT", "https://huggingface.co"),
        jobs=jobs,
    )


def upstreams_of(arguments: argparse.Namespace) -> Upstreams:
    """`--upstreams`, else none."""
    from airgap.resources.load import load_upstreams
    from airgap.resources.model import Upstreams

    return load_upstreams(arguments.upstreams) if arguments.upstreams else Upstreams()


def signer_for(arguments: argparse.Namespace, context: Context, *, required: bool) -> Signer | None:
    """The signer of `--key`. Raises `InputError` when one is required and none was named."""
    key = context.key_path(arguments)
    if key is None:
        if required:
            raise InputError(
                "no-key",
                "this command signs, and no key was named",
                "use --key KEY, or set AIRGAP_KEY",
            )
        return None
    return open_key(key, context, lambda: context.password(arguments, key))


def open_key(named: str, context: Context, password: Callable[[], bytes]) -> Signer:
    """The signer of a key file, or of a key in a token by its `pkcs11:` URI. A wrong URI or path asks for no PIN."""
    from airgap.statements.keys.pkcs11_uri import MODULE_VARIABLE, KeyUri, is_uri

    if is_uri(named):
        from airgap.statements.keys.pkcs11 import open_token

        uri = KeyUri.parse(named)
        return open_token(uri, password(), context.environ.get(MODULE_VARIABLE, ""))
    from airgap.statements.keys.file import check_private, load_private

    check_private(Path(named))
    return load_private(Path(named), password())


def station_for(
    arguments: argparse.Namespace, context: Context, records: Records, role: str, *, required: bool
) -> Signatory | None:
    """The signing station of a command."""
    from airgap.station.signatory import Signatory

    signer = signer_for(arguments, context, required=required)
    return None if signer is None else Signatory(signer, role, records.log(), context.now)
