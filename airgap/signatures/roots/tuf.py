"""`trust update`: gets trusted_root.json from a TUF repository, with the metadata that proves it. Connected zone only.

The TUF client is python-tuf's (sigstore depends on it); the requests are airgap's. Its cache is in the folder of the
roots, because the versions in it detect a repository that was rolled back. The chain of root.json begins with a file
that the user names, or with the one that the sigstore package carries for its own repository. After that it begins with
what the cache contains: a beginning that was trusted once is not replaced by another.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from airgap.base.disk import disk_errors, make_folder
from airgap.base.errors import AirgapError, InputError, NotFoundError, TrustError, UpstreamError
from airgap.base.inputs import read_input
from airgap.base.locks import locked
from airgap.delivery import tar as tape
from airgap.net.http import Client
from airgap.net.origin import Origin, redact

if TYPE_CHECKING:
    from tuf.ngclient.fetcher import FetcherInterface
    from tuf.ngclient.updater import Updater

PRODUCTION = "https://tuf-repo-cdn.sigstore.dev"
TARGET = "trusted_root.json"
"""The target's name in every Sigstore repository."""
MAX_TUF_FILE = 8 << 20
"""Bytes of one file of a repository: sigstore's are below 100 KiB."""
MAX_TUF_ROOT = 512_000
"""Bytes of a root.json: python-tuf's limit for those that follow."""
MAX_ROTATIONS = 256
"""New root.json files in one update; sigstore had 15 in five years."""
_AGAIN = "try again later, or use another mirror with --tuf-url; the pinned trust roots stay as they are"


@dataclass(frozen=True, slots=True)
class TufRepository:
    """A TUF repository."""

    url: str = PRODUCTION
    root: bytes | None = None
    """The root.json with which the chain of trust begins; `None`: that of the cache, or of the sigstore package."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """The current trusted root of a repository, and the metadata that proves it."""

    root: bytes
    evidence: bytes
    """A tar: `N.root.json` from the first trusted one on, `timestamp.json`, `snapshot.json`, `targets.json`."""


def read_tuf_root(path: Path) -> bytes:
    """The root.json that a user trusts. Raises `InputError` (`bad-tuf-root`) if the file is not one."""
    _need_tuf()
    from tuf.api.exceptions import RepositoryError
    from tuf.api.metadata import Metadata

    data = read_input(path, MAX_TUF_ROOT, "bad-tuf-root")
    hint = "pass the root.json that begins the repository's chain of trust"
    try:
        metadata = Metadata.from_bytes(data)
    except (RepositoryError, ValueError, KeyError) as error:
        raise InputError("bad-tuf-root", f"{path}: not TUF metadata: {error}", hint) from error
    kind = metadata.signed.type
    if kind != "root":
        raise InputError("bad-tuf-root", f"{path}: got {kind} metadata, expected root", hint)
    return data


def fetch(repository: TufRepository, cache: Path, client: Client) -> Fetched:
    """Gets the repository's trusted root, and checks all that TUF requires. `cache` belongs to this repository alone.

    1. Where the chain begins. 2. Root, timestamp, snapshot and targets: each newer than the known one, signed and not
    expired. 3. A root.json that the user named is part of that chain. 4. The target itself, by its hash.
    Raises `TrustError` (`tuf-expired`, `tuf-rolled-back`, `tuf-unsigned`, `tuf-invalid`, `tuf-other-root`),
    `InputError` (`no-tuf-root`, `bad-tuf-root`, `bad-url`, `missing-extra`), `UpstreamError`, `StoreError`.
    """
    _need_tuf()
    _check_url(repository.url)
    make_folder(cache)
    with locked(cache / ".lock"), disk_errors(cache):
        # 1. The first root of the chain.
        begin = _beginning(repository, cache)
        updater = _updater(repository.url, begin, cache, client)
        with _tuf_errors(repository.url):
            # 2. The top-level metadata.
            updater.refresh()
            # 3. Never a chain that the user does not mean.
            if repository.root is not None:
                _check_chain(repository.root, cache)
            # 4. The target.
            root = _target(updater, repository.url, cache)
        return Fetched(root, _evidence(cache))


def _check_url(url: str) -> None:
    try:
        Origin.of(url)
    except InputError as error:
        raise InputError("bad-url", error.what, "pass an https:// URL with --tuf-url") from error


def _need_tuf() -> None:
    try:
        import tuf.ngclient  # noqa: F401
    except ImportError as error:
        what = "updating trust roots needs the Python package tuf"
        raise InputError("missing-extra", what, "pip install 'airgap[keyless]'") from error


def _history(cache: Path) -> list[Path]:
    """The cached root.json files of the chain, oldest first."""
    found = (cache / "root_history").glob("*.root.json")
    numbered = [(path.name.partition(".")[0], path) for path in found]
    return [path for number, path in sorted((int(n), path) for n, path in numbered if n.isdecimal())]


def _beginning(repository: TufRepository, cache: Path) -> bytes:
    history = _history(cache)
    if history:
        return read_input(history[0], MAX_TUF_ROOT, "bad-tuf-root")
    if repository.root is not None:
        return repository.root
    from importlib.resources import files

    folder = quote(repository.url.rstrip("/"), safe="")
    embedded = files("sigstore").joinpath("_store", folder, "root.json")
    if not embedded.is_file():
        raise InputError(
            "no-tuf-root",
            f"{redact(repository.url)}: no root.json is known that begins its chain of trust",
            "get its root.json from a source that you trust, and pass it with --tuf-root FILE",
        )
    return embedded.read_bytes()


def _updater(url: str, begin: bytes, cache: Path, client: Client) -> Updater:
    from tuf.api.exceptions import RepositoryError
    from tuf.ngclient.config import UpdaterConfig
    from tuf.ngclient.updater import Updater

    config = UpdaterConfig(
        max_root_rotations=MAX_ROTATIONS,
        root_max_length=MAX_TUF_ROOT,
        targets_max_length=MAX_TUF_FILE,
    )
    base = url.rstrip("/")
    try:
        return Updater(
            str(cache),
            base,
            target_base_url=f"{base}/targets/",
            fetcher=_fetcher(client),
            config=config,
            bootstrap=begin,
        )
    except RepositoryError as error:
        what = f"the root.json that begins the chain of trust does not verify: {error}"
        hint = f"pass another one with --tuf-root FILE; if it came from the cache, remove {cache}"
        raise InputError("bad-tuf-root", what, hint) from error


def _fetcher(client: Client) -> FetcherInterface:
    """Sends python-tuf's requests with airgap's client: the environment's proxies, no netrc, its redirect rules."""
    from tuf.api.exceptions import DownloadHTTPError
    from tuf.ngclient.fetcher import FetcherInterface

    class Fetcher(FetcherInterface):
        def _fetch(self, url: str) -> Iterator[bytes]:
            try:
                return iter((client.request("GET", url, limit=MAX_TUF_FILE).data,))
            except UpstreamError as error:
                if error.status:  # 403 and 404 end the chain of root.json
                    raise DownloadHTTPError(error.what, error.status) from error
                raise

    return Fetcher()


@contextmanager
def _tuf_errors(url: str) -> Iterator[None]:
    """Maps python-tuf's errors about a repository to airgap's."""
    from tuf.api.exceptions import DownloadError, RepositoryError

    try:
        yield
    except RepositoryError as error:
        raise _refused(error, redact(url)) from error
    except DownloadError as error:
        cause = error.__cause__
        if isinstance(cause, NotFoundError):
            hint = "check that this is the URL of a TUF repository; set it with --tuf-url"
            raise NotFoundError("not-found", cause.what, hint, cause.status, side="origin") from error
        if isinstance(cause, AirgapError):
            raise cause from error
        raise UpstreamError("tuf-download", f"{redact(url)}: {error}", _AGAIN, side="origin") from error


def _target(updater: Updater, url: str, cache: Path) -> bytes:
    info = updater.get_targetinfo(TARGET)
    if info is None or info.length > MAX_TUF_FILE:
        why = "is not in it" if info is None else f"has {info.length} bytes"
        hint = "check that this is the TUF repository of a Sigstore instance"
        raise TrustError("tuf-invalid", f"{redact(url)}: {TARGET} {why}", hint)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        return Path(updater.download_target(info, str(Path(folder, TARGET)))).read_bytes()


def _refused(error: Exception, where: str) -> TrustError:
    """The error for each of the four ways in which a repository's metadata can be invalid."""
    from tuf.api.exceptions import (
        BadVersionNumberError,
        ExpiredMetadataError,
        UnsignedMetadataError,
    )

    what = f"{where}: {error}"
    if isinstance(error, ExpiredMetadataError):
        return TrustError(
            "tuf-expired",
            f"{what}: the repository, or this mirror, is out of date",
            f"check this machine's clock first; then {_AGAIN}",
        )
    if isinstance(error, BadVersionNumberError):
        return TrustError("tuf-rolled-back", f"{what}: older than a version that was seen here before", _AGAIN)
    if isinstance(error, UnsignedMetadataError):
        return TrustError(
            "tuf-unsigned",
            f"{what}: not signed by the keys in the root.json chain",
            _AGAIN,
        )
    return TrustError("tuf-invalid", what, _AGAIN)


def _check_chain(root: bytes, cache: Path) -> None:
    """The named root.json is part of the chain, byte for byte, so that no other beginning is accepted."""
    if all(path.read_bytes() != root for path in _history(cache)):
        raise TrustError(
            "tuf-other-root",
            f"the root.json of --tuf-root is not in the chain of trust in {cache}",
            "omit --tuf-root to continue that chain; for another repository use another --name",
        )


def _evidence(cache: Path) -> bytes:
    files = [(path.name, path.read_bytes()) for path in _history(cache)]
    newest = ("timestamp.json", "snapshot.json", "targets.json")
    files += [(name, (cache / name).read_bytes()) for name in newest]
    return tape.pack(files)
