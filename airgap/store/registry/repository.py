"""`RegistryRepository`: one repository of a registry as a `Source` and a `Target`.

Source: OCI distribution-spec v1.1.1. Comments note where Harbor and Distribution differ from it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import BinaryIO

from airgap.base.digest import Digest, is_digest
from airgap.base.errors import (
    BlockedError,
    ChildMissingError,
    NotFoundError,
    RaceError,
    UnconfirmedError,
    UnreachableError,
    UpstreamError,
)
from airgap.base.streams import read_limited
from airgap.content.graph import (
    MAX_NODE,
    Descriptor,
    Node,
    Opener,
    PutResult,
    Source,
    check_bytes,
    parse_node,
    read_verified,
)
from airgap.content.reference import check_tag
from airgap.net.backoff import Backoff
from airgap.net.faults import server_words
from airgap.net.http import RequestBody, Response
from airgap.net.origin import redact
from airgap.store.registry import referrers
from airgap.store.registry.client import ACCEPT, DELETE, PULL, PUSH, RegistryClient, stored_as
from airgap.store.registry.errors import RIGHTS
from airgap.store.registry.upload import Upload

TAGS_PER_PAGE = 1000
MAX_TAGS = 1_000_000
"""Tags of one repository."""
"""The requested page size; registries may return fewer."""

SMALL = 64 << 10
"""Bytes up to which a blob's upload starts without a check for its presence: sending it costs about as much
as asking."""

CHILD_ATTEMPTS = 4
"""Times that a manifest is sent while the registry reports that a child is missing. Distribution on a file system reads
a child's link as empty for a moment while another client writes the same link, for example by tagging the child."""


class RegistryRepository:
    """A `Target`: the repository `name` of `client`'s registry. Thread-safe.

    `put` verifies the bytes before the registry can accept them; the bytes from `open` must be verified by the reader.
    Raises `UpstreamError` for the registry and the network, `NotFoundError` for missing content.
    """

    def __init__(self, client: RegistryClient, name: str) -> None:
        self.client = client
        self.name = name
        self.path = client.repository_path(name)
        self._absent: set[Digest] = set()
        """Blobs that `has` reported as absent: `put` does not ask again."""
        self._referring: dict[tuple[Digest, Digest], Node] = {}
        """(manifest, subject) → manifest, for `publish` to make findable. A fallback tag is a name, and names come
        last."""
        self._lock = threading.Lock()

    def __str__(self) -> str:
        return f"{self.client.host}/{self.name}"

    # reading

    def has(self, descriptor: Descriptor) -> bool:
        """True if the registry has the blob under this digest. Presence is not integrity."""
        kind = "manifests" if descriptor.is_node else "blobs"
        answer = self.client.call(
            "HEAD",
            self._url(f"{kind}/{descriptor.digest}"),
            self.client.auth(self.path, PULL),
            headers={"Accept": ACCEPT} if descriptor.is_node else None,
            # 307: only a blob that is there is sent on to object storage. 412: Harbor's policy forbids to read
            # a manifest that is there.
            expect=(200, 307, 404, 412) if descriptor.is_node else (200, 302, 303, 307, 404),
            follow=False,
        )
        found = answer.status != 404
        with self._lock:
            (self._absent.discard if found else self._absent.add)(descriptor.digest)
        return found

    def open(self, descriptor: Descriptor, offset: int = 0) -> BinaryIO:
        """The bytes from `offset` on, in a stream that resumes after a broken connection. Not verified."""
        kind = "manifests" if descriptor.is_node else "blobs"
        try:
            return self.client.http.open_stream(
                self._url(f"{kind}/{descriptor.digest}"),
                offset,
                headers={"Accept": ACCEPT} if descriptor.is_node else None,
                auth=self.client.auth(self.path, PULL),
                explain=self.client.explain,
            )
        except UpstreamError as error:
            if error.status >= 500 and not isinstance(error, UnreachableError):
                self.client.check_up(error)
            raise

    def tags(self) -> list[str]:
        """All tags, in the registry's order; none for a missing repository. Raises `UpstreamError`."""
        url = self._url(f"tags/list?n={TAGS_PER_PAGE}")
        found: dict[str, None] = {}
        try:
            for page in self.client.pages(url, self.client.auth(self.path, PULL), found):
                document = page.json()
                names = document.get("tags", ...) if isinstance(document, dict) else ...
                if names is None:
                    names = []
                if not isinstance(names, list) or not all(isinstance(tag, str) for tag in names):
                    raise UpstreamError(
                        "bad-tag-list", f"GET {redact(page.url)}: not a list of tags", side=self.client.http.side
                    )
                found.update(dict.fromkeys(names))
                if len(found) > MAX_TAGS:
                    what = f"GET {redact(page.url)}: more than {MAX_TAGS} tags"
                    raise UpstreamError("endless-list", what, side=self.client.http.side)
        except NotFoundError:
            return []
        return list(found)

    def roots(self) -> Sequence[tuple[str, Descriptor]]:
        """Every tag and its root: one request per tag."""
        return [(tag, self.resolve(tag)) for tag in self.tags()]

    def resolve(self, wanted: str) -> Descriptor:
        """The root of a tag or digest, computed from the bytes. Raises `NotFoundError`, `UpstreamError`."""
        return self.manifest(wanted)[0]

    def holds(self, wanted: str) -> Digest:
        """The digest that a tag or digest names here: from the bytes or, where a policy forbids reading them, as
        Harbor's own API says.

        Raises `NotFoundError`, `UpstreamError`; `BlockedError` if nobody says what a tag holds.
        """
        try:
            return self.resolve(wanted).digest
        except BlockedError as error:
            # Harbor looks up a digest in this repository before it asks the policy.
            return Digest(wanted) if is_digest(wanted) else self._said(wanted, error)

    def _said(self, tag: str, blocked: BlockedError) -> Digest:
        """What Harbor's own API says of a tag that may not be read."""
        if not self.client.harbor.there():
            raise blocked
        try:
            return self.client.harbor.artifact(self.path, tag).digest
        except NotFoundError:
            raise
        except UpstreamError as error:
            raise BlockedError(
                "blocked-by-policy",
                f"{blocked.what}; nor could Harbor's API be asked: {error.what}",
                error.hint or blocked.hint,
                blocked.status,
                side=blocked.side,
            ) from error

    def node(self, digest: Digest) -> Descriptor:
        """The manifest or index with this digest: a registry keeps it without a tag, too."""
        return self.resolve(str(digest))

    def manifest(self, wanted: str) -> tuple[Descriptor, bytes]:
        """A manifest or index by tag or digest, with its bytes: see `RegistryClient.manifest`."""
        return self.client.manifest(self.path, wanted)

    def find(self, tag: str) -> Descriptor | None:
        """The root of a tag; `None` if there is no such tag."""
        try:
            return self.resolve(tag)
        except NotFoundError:
            return None

    def referrers(self, subject: Digest, *, api: bool = True) -> list[Descriptor]:
        """The manifests that name `subject`, with artifact types: from the API (unless `api` is false) and the
        fallback tag.

        Only as complete as the registry's answer; the real type of each must be read from its bytes.
        """
        return referrers.find(self.client, self.path, subject, api=api)

    def lists(self, referrer: Digest, subject: Digest) -> bool:
        """True if a referrers query on the subject returns the referrer."""
        return referrers.lists(self.client, self.path, referrer, subject)

    # writing

    def check_writable(self) -> None:
        """Asks for the token that a write will need. Raises `UpstreamError` (`no-rights`) if it does not allow one.

        Harbor gives everybody a token, and says in it what it allows. Other registries may not say.
        """
        granted = self.client.authority.granted(*self.client.auth(self.path, PUSH).scopes)
        missing = [] if granted is None or "*" in granted else sorted({*PUSH.split(",")} - granted)
        if missing:
            what = f"{self}: {self.client.authority.who} has no right to {' or '.join(missing)} here"
            raise UpstreamError("no-rights", what, RIGHTS, side=self.client.http.side)

    def check_room(self, _blobs: Iterable[Descriptor]) -> None:
        """Does nothing: a registry reports that it is full only when it is."""

    def discard(self, _descriptor: Descriptor) -> bool:
        """False: a registry does not accept a second copy of a blob that it has."""
        return False

    def asks(self, descriptor: Descriptor) -> bool:
        """True for small blobs: the request that starts an upload also asks for a mount from this same repository.

        This saves a third of the requests for many small blobs. A large blob is asked for first, because a registry
        without mounts would receive its bytes again.
        """
        return not descriptor.is_node and descriptor.size <= SMALL

    def put(self, descriptor: Descriptor, opener: Opener, mount_from: Sequence[str] = ()) -> PutResult:
        """Stores a blob or manifest; `mount_from` names repositories of this registry. See `Target.put`.

        A manifest with a subject is findable at once if the registry has the referrers API, else after `publish`, which
        adds it to the fallback index of its subject. Raises `IntegrityError` if the bytes are wrong: in that case, the
        registry never received the last of them.
        """
        if descriptor.is_node:
            return self._put_node(descriptor, opener)
        with self._lock:
            absent = descriptor.digest in self._absent
            self._absent.discard(descriptor.digest)
        sources = [self.client.repository_path(name) for name in mount_from if name != self.name]
        with self.client.alone(self.path, descriptor.digest) as waited:
            alone = not sources and not absent and self.asks(descriptor)
            if not alone and (waited or not absent) and self.has(descriptor):
                return PutResult.PRESENT
            upload = Upload(self.client, self.path, descriptor, opener)
            done = upload.run([self.path] if alone else sources, lambda: self.has(descriptor))
            if not alone or done is not PutResult.MOUNTED:
                return done
            # Do not trust a registry that answers yes to every request.
            if self.has(descriptor):
                return PutResult.PRESENT
            return Upload(self.client, self.path, descriptor, opener).run([], lambda: self.has(descriptor))

    def settle(self) -> None:
        """Does nothing: content that a registry accepted is visible at once."""

    def publish(self, names: Mapping[str, Descriptor], source: Source | None = None) -> None:
        """Adds the referrers that were put to their fallback indexes, then points each tag to its root and reads it
        back.

        The bytes come from the registry itself, by digest, which detects an incomplete root there; where a policy
        forbids reading them, from `source`. A tag that already points to the root is not written: Harbor refuses
        pushing the same digest to an immutable tag. Raises `UpstreamError`; `UnconfirmedError` for a tag that was
        written and that nobody may read.
        """
        self._enter()
        for tag, root in names.items():
            check_tag(tag, str(self))
            if self._current(tag) == root.digest:
                continue
            data = self._read_back(root, source)
            check_bytes(root, data)
            self.put_tag(tag, root, data)

    def refer(self, node: Node, subject: Digest) -> None:
        """Makes the next `publish` list a manifest at a subject, which the manifest need not name itself."""
        with self._lock:
            self._referring[node.descriptor.digest, subject] = node

    def put_tag(self, tag: str, descriptor: Descriptor, data: bytes) -> None:
        """Writes a manifest under a tag and reads it back. Raises `RaceError` (`tag-differs`), `UnconfirmedError`."""
        self._put_manifest(tag, descriptor, data)
        try:
            after: str = self.holds(tag)
        except NotFoundError:
            after = ""
        except BlockedError as error:
            what = f"{self}:{tag}: written, but it could not be read back: {error.what}"
            raise UnconfirmedError("unconfirmed", what, error.hint, error.status, side=error.side) from error
        if after != descriptor.digest:
            raise RaceError(
                "tag-differs",
                f"{self}:{tag}: got {after or 'nothing'} after writing it, expected {descriptor.digest}",
                "another client writes the same tag",
                side=self.client.http.side,
            )

    def delete(self, name: str) -> bool:
        """Deletes a tag, or a manifest with all of its tags, by its digest. True also if it was not there.

        False if the registry deletes no tag alone: CNCF distribution before 3, for example. Raises `UpstreamError`
        (`delete-disabled`, `no-rights`, …).
        """
        auth = self.client.auth(self.path, DELETE)
        answer = self.client.call("DELETE", self._url(f"manifests/{name}"), auth, expect=None)
        if answer.status in (200, 202, 204, 404):
            return True
        by_digest = name.startswith("sha256:")
        words = server_words(answer.data, answer.content_type).lower()
        if answer.status == 405 or (answer.status == 400 and "unsupported" in words and by_digest):
            raise UpstreamError(
                "delete-disabled",
                f"DELETE {redact(answer.url)}: got {answer.status}: this registry does not allow to delete",
                "have that switched on, for CNCF distribution with REGISTRY_STORAGE_DELETE_ENABLED=true, then run the "
                "same command again",
                answer.status,
                side="destination",
            )
        if answer.status == 400 and not by_digest:
            return False
        raise self.client.explain(answer)

    def _read_back(self, root: Descriptor, source: Source | None) -> bytes:
        """The root's bytes as the registry has them; those of the source where a policy forbids reading them."""
        try:
            return self.manifest(root.digest)[1]
        except BlockedError:
            if source is None:
                raise
            return read_verified(source, root)

    def _current(self, tag: str) -> str:
        """The digest of a tag; `""` for none, and if nobody may read it."""
        try:
            return self.holds(tag)
        except (NotFoundError, BlockedError):
            return ""

    def _put_node(self, descriptor: Descriptor, opener: Opener) -> PutResult:
        present = self.has(descriptor)
        if present and self.client.has_referrers:
            return PutResult.PRESENT
        with opener(0) as stream:
            data = read_limited(stream, min(descriptor.size, MAX_NODE) + 1)
        check_bytes(descriptor, data)
        node = parse_node(descriptor, data)
        answer = None
        if not present:
            answer = self._put_manifest(descriptor.digest, descriptor, data)
        if node.subject is not None:
            if answer is not None and answer.headers.get("OCI-Subject"):
                self.client.has_referrers = True
            self.refer(node, node.subject.digest)
        return PutResult.PRESENT if present else PutResult.WRITTEN

    def _enter(self) -> None:
        """Adds the referrers one by one, because several may share an index. The next `publish` retries failed ones."""
        with self._lock:
            waiting = list(self._referring.items())
        for (digest, subject), node in waiting:
            referrers.enter(self.client, self.path, node, subject, self.put_tag, self.has)
            with self._lock:
                self._referring.pop((digest, subject), None)

    def _put_manifest(self, name: str, descriptor: Descriptor, data: bytes) -> Response:
        backoff = Backoff(self.client.http.retries, CHILD_ATTEMPTS)
        while True:
            try:
                answer = self.client.call(
                    "PUT",
                    self._url(f"manifests/{name}"),
                    self.client.auth(self.path, PUSH),
                    headers={"Content-Type": descriptor.media_type},
                    body=RequestBody.of(data),
                )
            except ChildMissingError as error:
                wait = backoff.after()
                if wait is None:
                    raise
                self.client.http.pause(wait, error.what)
            else:
                return stored_as(answer, descriptor)

    def _url(self, rest: str) -> str:
        return self.client.url(self.path, rest)
