"""Referrers: from the registry's API if it has one, else from the index under the fallback tag.

Source: OCI distribution-spec v1.1.1, "Listing Referrers" and "Unavailable Referrers API". A registry has the API if it
answers a GET of it with an index. The `OCI-Subject` header is no proof: a registry with the API may omit it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from airgap.base.digest import Digest
from airgap.base.errors import ChildMissingError, IntegrityError, NotFoundError, RaceError, UpstreamError
from airgap.base.strict_json import parse_json
from airgap.content.graph import MAX_NODE, OCI_INDEX, Descriptor, Node
from airgap.content.reference import referrers_tag
from airgap.net.http import Response
from airgap.net.origin import redact
from airgap.store.registry.client import PULL, RegistryClient, entries

NO_API = (400, 404, 405, 501)
"""Statuses with which registries without the API answer to its path."""
MAX_LISTED = 20_000
"""Entries of a list that a registry returns in pages: as many as one index may have."""
MAX_MERGES = 5
"""Attempts to add an entry to a fallback index that others write too; the specification has no lock for it."""

PutTag = Callable[[str, Descriptor, bytes], None]
Has = Callable[[Descriptor], bool]


class Leaving(Protocol):
    """A repository whose fallback indexes are rewritten."""

    client: RegistryClient
    path: str

    def put_tag(self, tag: str, descriptor: Descriptor, data: bytes) -> None:
        """Writes a manifest under a tag and reads it back."""

    def delete(self, name: str) -> bool:
        """Deletes a manifest by its digest."""


def find(client: RegistryClient, path: str, subject: Digest, *, api: bool = True) -> list[Descriptor]:
    """The manifests that refer to `subject`, each once, in the registry's order. Without `api`, the API is not asked.

    The fallback index is read even if there is the API: it may be older than the API, and proxies answer with an empty
    list. Raises `UpstreamError`, `IntegrityError` (`too-many-attached` beyond `MAX_LISTED`).
    """
    found = _by_api(client, path, subject) if api else {}
    for entry, _ in _fallback(client, path, subject):
        found.setdefault(entry.digest, entry)
    return list(found.values())


def lists(client: RegistryClient, path: str, referrer: Digest, subject: Digest) -> bool:
    """True if `find` on the subject would return the referrer. Raises what `find` raises."""
    if referrer in _by_api(client, path, subject):
        return True
    return any(entry.digest == referrer for entry, _ in _fallback(client, path, subject))


def _by_api(client: RegistryClient, path: str, subject: Digest) -> dict[Digest, Descriptor]:
    """What the API returns; empty without it."""
    found: dict[Digest, Descriptor] = {}
    answer = _ask(client, path, subject)
    if answer is not None:
        for page in client.pages(answer.url, client.auth(path, PULL), found, answer):
            found |= {entry.digest: entry for entry in entries(page.json(), redact(page.url))}
            if len(found) > MAX_LISTED:
                raise IntegrityError(
                    "too-many-attached",
                    f"{client.host}/{path}: more than {MAX_LISTED} artifacts refer to {subject}",
                    "find out which client pushes them; airgap carries either all of them or none",
                )
    return found


def enter(client: RegistryClient, path: str, node: Node, subject: Digest, put_tag: PutTag, has: Has) -> None:
    """Makes a manifest that refers to `subject` findable: with the API it does nothing, else it adds an index entry.

    Some manifests do not name a subject themselves: cosign finds these in an index too, and no API lists them.

    The index is read again after writing, and written again while another writer's version lacks the entry. If the
    registry refuses the index because listed manifests were deleted, these are left out, and a message reports it.
    Raises `UpstreamError` (`referrers-race`).
    """
    if client.has_referrers or _ask(client, path, subject) is not None:
        return
    gone: set[Digest] = set()
    with client.fallback_lock:
        for _ in range(MAX_MERGES):
            there = [one for one in _fallback(client, path, subject) if one[0].digest not in gone]
            if any(entry.digest == node.descriptor.digest for entry, _ in there):
                return
            data = _index([*(raw for _, raw in there), _entry(node)])
            try:
                put_tag(referrers_tag(subject), Descriptor.of(OCI_INDEX, data), data)
            except ChildMissingError:
                lost = [one for one, _ in there if one.is_node and not has(one)]
                if not lost:
                    raise
                gone |= {one.digest for one in lost}
                client.http.pause(0, _left_out(f"{client.host}/{path}", subject, lost))
            except RaceError:
                continue
    raise UpstreamError(
        "referrers-race",
        f"{client.host}/{path}: {referrers_tag(subject)} lost the new entry {MAX_MERGES} times",
        "another client writes the same referrers; run the same command again",
        side=client.http.side,
    )


def leave(repository: Leaving, subject: Digest, referrer: Digest) -> None:
    """Takes a manifest out of the fallback index of a subject, before it is deleted. An empty index goes, too.

    Raises `UpstreamError`, `RaceError`.
    """
    client, path = repository.client, repository.path
    with client.fallback_lock:
        there = _fallback(client, path, subject)
        left = [raw for entry, raw in there if entry.digest != referrer]
        if len(left) == len(there):
            return
        if left:
            data = _index(left)
            repository.put_tag(referrers_tag(subject), Descriptor.of(OCI_INDEX, data), data)
            return
        found, _ = client.manifest(path, referrers_tag(subject))
        repository.delete(found.digest)


def _left_out(where: str, subject: Digest, lost: Sequence[Descriptor]) -> str:
    listed = ", ".join(str(one.digest) for one in lost)
    return f"{where}:{referrers_tag(subject)} lists manifests that no longer exist; they are left out: {listed}"


def _ask(client: RegistryClient, path: str, subject: Digest) -> Response | None:
    """The API's answer, `None` if the registry does not have the API."""
    if client.has_referrers is False:
        return None
    url = client.url(path, f"referrers/{subject}")
    answer = client.call("GET", url, client.auth(path, PULL), expect=(200, *NO_API), headers={"Accept": OCI_INDEX})
    if answer.status == 200 and answer.content_type != "text/html":
        document = answer.json()
        said = document.get("mediaType") if isinstance(document, dict) else None
        if OCI_INDEX not in (answer.content_type, said):
            raise UpstreamError("not-an-index", f"GET {redact(url)}: got {answer.content_type}", side=client.http.side)
        client.has_referrers = True
        return answer
    # A 404 with an error of the specification may mean this repository; without one, the path itself is unknown. A web
    # page with a 200 comes from a proxy that does not know the path either.
    if answer.status != 200 and not answer.server_errors():
        client.has_referrers = False
    return None


def _fallback(client: RegistryClient, path: str, subject: Digest) -> list[tuple[Descriptor, dict[str, Any]]]:
    """Descriptors of the fallback index, each with its unchanged JSON."""
    try:
        found, data = client.manifest(path, referrers_tag(subject))
    except NotFoundError:
        return []
    if found.media_type != OCI_INDEX:
        # Ignore a tag of that name with other content (a cosign signature has a suffix).
        return []
    where = f"{client.host}/{path}:{referrers_tag(subject)}"
    document = parse_json(data, where)
    return list(zip(entries(document, where), document.get("manifests") or [], strict=True))


def _entry(node: Node) -> dict[str, Any]:
    """An entry as the specification requires it: with the artifact type and the manifest's annotations."""
    made = node.descriptor.as_dict()
    if node.artifact_type:
        made["artifactType"] = node.artifact_type
    if node.annotations:
        made["annotations"] = dict(node.annotations)
    return made


def _index(manifests: list[dict[str, Any]]) -> bytes:
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}
    data = json.dumps(document, separators=(",", ":")).encode()
    if len(data) > MAX_NODE:
        raise UpstreamError(
            "too-many-referrers",
            f"an index of {len(manifests)} referrers would have {len(data)} bytes, expected at most {MAX_NODE}",
            "delete old signatures, or use a registry with the referrers API",
            side="destination",
        )
    return data
