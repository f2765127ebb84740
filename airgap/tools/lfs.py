"""Git LFS: pointers in a repository's history, and the batch API with basic transfers.

Source: git-lfs docs/spec.md (pointers), docs/api/batch.md, docs/api/basic-transfers.md, docs/api/server-discovery.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from airgap.base.digest import CHUNK, Digest
from airgap.base.errors import IntegrityError, NotFoundError, UpstreamError
from airgap.content.graph import Descriptor, Opener
from airgap.content.verified import verified
from airgap.net.http import Auth, Client, RequestBody, Response
from airgap.net.origin import Origin
from airgap.tools.git_repository import BareRepository

LFS_TYPE = "application/vnd.airgap.git.lfs.v1"
MAX_POINTER = 1024
"""A pointer file has fewer bytes than this: spec.md."""
BATCH = 100
"""Objects in one batch request: as many as git-lfs sends, so every server accepts it (Gitea answers 413 to more)."""
EXPIRED = frozenset({401, 403, 404, 410})
"""Answers of an href that has expired: servers sign them for minutes, and a queue can be longer."""
LOST = frozenset({0, 404, 410})
"""Errors of a server for one object that it does not have; 0 where it says nothing."""
MAX_OBJECT = 1 << 40
"""Bytes of one object: a larger size is a mistake in a pointer."""

_MEDIA = "application/vnd.git-lfs+json"
_VERSIONS = ("https://git-lfs.github.com/spec/v1", "https://hawser.github.com/spec/v1")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}\Z")
_HEADER_TEXT = re.compile(r"[\t -~]{0,8192}\Z")
"""Servers give tokens in headers, as ASCII. A line break in one would begin another header."""
_POINTER = re.compile(
    rb"version (\S+)\r?\n(?:ext-\d-\S+ sha256:[0-9a-f]{64}\r?\n)*"
    rb"oid sha256:([0-9a-f]{64})\r?\nsize (\d{1,19})\s*\Z"
)


def parse_pointer(data: bytes) -> tuple[str, int] | None:
    """Object id (hex) and size in bytes from a pointer file; `None` if `data` is not a pointer."""
    match = _POINTER.match(data)
    if match is None or match[1].decode(errors="replace") not in _VERSIONS:
        return None
    return match[2].decode(), int(match[3])


def find_pointers(repository: BareRepository, oids: Iterable[str]) -> dict[str, int]:
    """LFS object id → size in bytes, for every pointer in the complete history of `oids`, sorted by id.

    Reads all blobs that are small enough; git walks the history. Raises `IntegrityError` (`lfs-pointer`) if two
    pointers give different sizes for one object.
    """
    found: dict[str, int] = {}
    for _, pointer in small_blobs_of(repository, oids):
        # An empty file needs no object.
        if pointer is None or pointer[1] == 0:
            continue
        oid, size = pointer
        if found.setdefault(oid, size) != size or size > MAX_OBJECT:
            raise IntegrityError(
                "lfs-pointer",
                (f"LFS object {oid}: pointers disagree about its size: {found[oid]} and {size} bytes"),
            )
    return dict(sorted(found.items()))


def small_blobs_of(repository: BareRepository, oids: Iterable[str]) -> Iterator[tuple[str, tuple[str, int] | None]]:
    """Each blob in the complete history of `oids` that is small enough for a pointer, with what it points to."""
    wanted = "".join(f"{oid}\n" for oid in sorted(set(oids))).encode()
    with (
        repository.git.start(
            "rev-list",
            "--objects",
            "--no-object-names",
            "--filter=object:type=blob",
            f"--filter=blob:limit={MAX_POINTER}",
            # Also filter the tips: a tag may name a blob of any size.
            "--filter-provided-objects",
            "--stdin",
            repository=repository.path,
            stdin=wanted,
        ) as walk,
        repository.git.start("cat-file", "--batch", "--buffer", repository=repository.path, stdin=walk.stdout) as blobs,
    ):
        for blob, data in _small_blobs(blobs.stdout):
            yield blob, parse_pointer(data)
        walk.finish()
        blobs.finish()


def _small_blobs(stream: BinaryIO) -> Iterator[tuple[str, bytes]]:
    """The blobs under `MAX_POINTER` bytes in the output of `git cat-file --batch`; larger ones are skipped."""
    while header := stream.readline():
        blob, kind, size = header.split()
        left = int(size)
        if kind == b"blob" and left < MAX_POINTER:
            yield blob.decode(), stream.read(left)
        else:
            while left and (piece := stream.read(min(left, CHUNK))):
                left -= len(piece)
        stream.read(1)


def lfs_descriptor(oid: str, size: int) -> Descriptor:
    """The descriptor of an LFS object, whose id is its sha256."""
    return Descriptor(LFS_TYPE, Digest(f"sha256:{oid}"), size)


def object_path(repository: Path, oid: str) -> Path:
    """The path of an object in git-lfs's folder, below a bare repository or `.git` folder."""
    return repository / "lfs" / "objects" / oid[:2] / oid[2:4] / oid


def endpoint(url: str) -> str:
    """The URL of a repository's LFS server: docs/api/server-discovery.md."""
    url = url.rstrip("/")
    return f"{url}/info/lfs" if url.endswith(".git") else f"{url}.git/info/lfs"


@dataclass(frozen=True, slots=True)
class Action:
    """An action that a server requests for one object: its URL and headers."""

    href: str
    headers: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class LfsObject:
    """A server's answer for one object: actions by name (`download`, `upload`, `verify`), or an error's number."""

    oid: str
    size: int
    actions: Mapping[str, Action]
    error: int = 0
    message: str = ""


def read_batch(document: Any, resolve: Callable[[str], str]) -> list[LfsObject]:
    """The answers in the parsed body of a batch answer; `resolve` checks an href. Raises `ValueError`."""
    answer = _checked(document, dict)
    if answer.get("transfer", "basic") != "basic":
        raise ValueError(f"got transfer {answer['transfer']!r:.80}, expected basic")
    return [_object(_checked(value, dict), resolve) for value in _checked(answer.get("objects"), list)]


def _object(value: dict[str, Any], resolve: Callable[[str], str]) -> LfsObject:
    error = _checked(value.get("error") or {}, dict)
    actions = _checked(value.get("actions") or {}, dict)
    return LfsObject(
        _checked(value.get("oid"), str),
        _checked(value.get("size", 0), int),
        {name: _action(_checked(action, dict), resolve) for name, action in actions.items()},
        _checked(error.get("code", 0), int),
        _checked(error.get("message", ""), str)[:200],
    )


def _action(value: dict[str, Any], resolve: Callable[[str], str]) -> Action:
    headers = _checked(value.get("header") or {}, dict)
    for name, text in headers.items():
        if not _HEADER_NAME.match(name) or not _HEADER_TEXT.match(_checked(text, str)):
            raise ValueError(f"{name!r:.80} is not a header")
    return Action(resolve(_checked(value.get("href"), str)), headers)


_Type = TypeVar("_Type")


def _checked(value: Any, expected: type[_Type]) -> _Type:
    if not isinstance(value, expected) or isinstance(value, bool):
        raise ValueError(f"got {type(value).__name__}, expected {expected.__name__}")
    return value


class LfsClient:
    """The LFS server at `url` (see `endpoint`). Thread-safe. Hrefs must follow the rules of `client`'s zone."""

    def __init__(self, client: Client, url: str, auth: Auth | None) -> None:
        self.client = client
        self.url = url
        self._auth = auth

    def batch(self, operation: str, objects: Sequence[tuple[str, int]]) -> dict[str, LfsObject]:
        """Asks for at most `BATCH` objects; returns id → answer for each. Raises `UpstreamError`, `NotFoundError`."""
        body = {
            "operation": operation,
            "transfers": ["basic"],
            "hash_algo": "sha256",
            "objects": [{"oid": oid, "size": size} for oid, size in objects],
        }
        response = self.client.request(
            "POST",
            f"{self.url}/objects/batch",
            headers={"Accept": _MEDIA, "Content-Type": _MEDIA},
            body=RequestBody.of(json.dumps(body).encode()),
            auth=self._auth,
            idempotent=True,
        )
        entries = {entry.oid: entry for entry in self._entries(response)}
        missing = [oid for oid, _ in objects if oid not in entries]
        if missing:
            raise UpstreamError("lfs-answer", f"{self.url}: the batch answer lacks {missing[0]}", side=self.client.side)
        return entries

    def _entries(self, response: Response) -> list[LfsObject]:
        try:
            return read_batch(response.json(), lambda href: self.client.resolve(self.url, href, "LFS href"))
        except ValueError as error:
            what = f"{self.url}: the batch answer is malformed: {error}"
            raise UpstreamError("lfs-answer", what, side=self.client.side) from error

    def present(self, objects: Sequence[tuple[str, int]]) -> set[str]:
        """The objects that the server has, which means that it offers their download with the right size.

        The `download` request is the test, because the answer to `verify` proves nothing (Gitea: 200 for a wrong size).
        """
        found: set[str] = set()
        for start in range(0, len(objects), BATCH):
            part = objects[start : start + BATCH]
            entries = self.batch("download", part)
            found |= {oid for oid, size in part if "download" in entries[oid].actions and entries[oid].size == size}
        return found

    def openers(
        self, objects: Sequence[tuple[str, int]], lost: list[str] | None = None
    ) -> Iterator[tuple[Descriptor, Opener]]:
        """Each object with its opener, using one batch request for every `BATCH` objects.

        An object that the server lacks is added to `lost`; without that, raises `NotFoundError` (`lfs-missing`).
        """
        for start in range(0, len(objects), BATCH):
            part = objects[start : start + BATCH]
            entries = self.batch("download", part)
            for oid, size in part:
                if "download" not in entries[oid].actions:
                    if lost is None or entries[oid].error not in LOST:
                        raise missing_object(oid, self.url, entries[oid].message)
                    lost.append(oid)
                    continue
                yield lfs_descriptor(oid, size), self._opener(entries[oid], size)

    def _opener(self, entry: LfsObject, size: int) -> Opener:
        def ask(offset: int) -> BinaryIO:
            action = entry.actions["download"]
            auth = self._auth_for(action)
            return self.client.open_stream(action.href, offset, headers=action.headers, auth=auth)

        def open_at(offset: int) -> BinaryIO:
            nonlocal entry
            try:
                return ask(offset)
            except UpstreamError as error:
                if error.status not in EXPIRED:
                    raise
            entry = self.batch("download", [(entry.oid, size)])[entry.oid]
            if "download" not in entry.actions:
                raise missing_object(entry.oid, self.url, entry.message)
            return ask(offset)

        return open_at

    def _auth_for(self, action: Action) -> Auth | None:
        """This client's login, if the action leads to the LFS server itself and brings no authorization of its own."""
        own = any(name.lower() == "authorization" for name in action.headers)
        return None if own or Origin.of(action.href) != Origin.of(self.url) else self._auth

    def upload(self, descriptor: Descriptor, opener: Opener) -> None:
        """Uploads one object, hashing it while sending: the end is sent only if size and digest match.

        An object that the server has is not sent. Raises `IntegrityError`, `UpstreamError` (`lfs-refused`).
        """
        oid, size = descriptor.digest.hex, descriptor.size
        entry = self.batch("upload", [(oid, size)])[oid]
        if entry.error:
            raise UpstreamError(
                "lfs-refused", f"{self.url}: {oid} ({size} bytes): {entry.error} {entry.message}", side=self.client.side
            )
        action = entry.actions.get("upload")
        if action is None:
            return
        body = RequestBody(size, lambda: verified(opener(0), descriptor))
        headers = {"Content-Type": "application/octet-stream", **action.headers}
        self.client.request("PUT", action.href, headers=headers, body=body, auth=self._auth_for(action))
        verify = entry.actions.get("verify")
        if verify is not None:
            # Some servers keep an object only after `verify`. The answer proves nothing: `present` is called
            # afterwards.
            self.client.request(
                "POST",
                verify.href,
                headers={"Accept": _MEDIA, "Content-Type": _MEDIA, **verify.headers},
                body=RequestBody.of(json.dumps({"oid": oid, "size": size}).encode()),
                auth=self._auth_for(verify),
                idempotent=True,
            )


PUSH_LOST = "push it to the origin (`git lfs push --all`), or carry the repository without `lfs: true`"


def missing_object(oid: str, where: str, message: str = "") -> NotFoundError:
    """The error for an LFS object that its origin does not have."""
    return NotFoundError(
        "lfs-missing",
        f"{where}: LFS object {oid} is missing" + (f": {message}" if message else ""),
        PUSH_LOST,
        side="origin",
    )
