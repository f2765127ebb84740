"""What is answered to a request: the distribution protocol, without sockets. Nothing of a request becomes a path.

Source: OCI distribution-spec v1.1, "Endpoints", "Error Codes"; RFC 9110 §14 for ranges.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode

from airgap.base.digest import Digest
from airgap.base.errors import AirgapError, NotFoundError
from airgap.content.graph import OCI_INDEX, Descriptor, read_verified
from airgap.content.reference import is_repository, is_tag
from airgap.serving.catalog import Catalog, ServedRepository

MAX_FIELDS = 20
"""Parameters of a query."""
_ROUTE = re.compile(r"/v2/(.+)/(manifests|blobs|referrers|tags)/([^/]+)\Z")
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})\Z")
_READS = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: its method, path and query as they were sent, and its headers with names in lower case."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reply:
    """Status, headers, and either a body or `length` bytes of a blob from `first` on."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    blob: Descriptor | None = None
    first: int = 0
    length: int = 0
    fault: str = ""
    """What is wrong here, and not with the request: for the log."""


def refusal(status: int, code: str, message: str, headers: Mapping[str, str] | None = None, fault: str = "") -> Reply:
    """An error, in the form that clients show."""
    body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
    return Reply(status, {"Content-Type": "application/json", **(headers or {})}, body, fault=fault)


def answer(catalog: Catalog, asked: Asked) -> Reply:
    """The answer to a request."""
    if asked.method not in _READS:
        what = "this registry is read-only"
        return refusal(405, "UNSUPPORTED", what, {"Allow": ", ".join(_READS)})
    path, _, query_text = asked.target.partition("?")
    path = unquote(path.partition("#")[0], errors="replace")
    try:
        query = dict(parse_qsl(query_text, keep_blank_values=True, max_num_fields=MAX_FIELDS))
    except ValueError:
        return refusal(400, "UNSUPPORTED", f"more than {MAX_FIELDS} parameters")
    if path in ("/v2", "/v2/"):
        return Reply(200, {"Content-Type": "application/json"}, b"{}")
    if path == "/v2/_catalog":
        names = sorted(catalog.repositories)
        return _page("/v2/_catalog", query, names, lambda part: {"repositories": part})
    route = _ROUTE.match(path)
    if route is None:
        return refusal(404, "UNSUPPORTED", "there is nothing at this path")
    name, what, reference = route.groups()
    if not is_repository(name):
        return refusal(400, "NAME_INVALID", "this is not the name of a repository")
    found = catalog.find(name, query.get("ns", ""))
    if found is None:
        return refusal(404, "NAME_UNKNOWN", "no such repository here")
    return _HANDLERS[what](_Question(catalog, found[1], path, reference, query, asked))


@dataclass(frozen=True, slots=True)
class _Question:
    catalog: Catalog
    repository: ServedRepository
    path: str
    reference: str
    query: Mapping[str, str]
    asked: Asked


def _digest(text: str) -> Digest | None:
    try:
        return Digest(text)
    except AirgapError:
        return None


def _manifest(question: _Question) -> Reply:
    reference, repository = question.reference, question.repository
    if ":" in reference:
        digest = _digest(reference)
        if digest is None:
            return refusal(400, "DIGEST_INVALID", "expected sha256: and 64 hex digits")
        found = repository.manifests.get(digest)
    else:
        found = repository.tags.get(reference) if is_tag(reference) else None
    if found is None:
        return refusal(404, "MANIFEST_UNKNOWN", "no such manifest in this repository")
    headers = {"Content-Type": found.media_type, "Docker-Content-Digest": str(found.digest)}
    headers["ETag"] = f'"{found.digest}"'
    try:
        body = read_verified(question.catalog.source, found)
    except NotFoundError as error:
        return refusal(
            404, "MANIFEST_UNKNOWN", "it is on a volume that is not attached, or that is cut off", fault=str(error)
        )
    except AirgapError as error:
        return refusal(500, "UNKNOWN", "it is damaged, or cannot be read", fault=str(error))
    return Reply(200, headers, body)


def _blob(question: _Question) -> Reply:
    digest = _digest(question.reference)
    if digest is None:
        return refusal(400, "DIGEST_INVALID", "expected sha256: and 64 hex digits")
    found = question.repository.blobs.get(digest) or question.repository.manifests.get(digest)
    if found is None:
        return refusal(404, "BLOB_UNKNOWN", "no such blob in this repository")
    if not question.catalog.source.has(found):
        what = "it is on a volume that is not attached, or that is cut off"
        return refusal(404, "BLOB_UNKNOWN", what, fault=f"{digest}: {what}")
    headers = {
        "Content-Type": "application/octet-stream",
        "Docker-Content-Digest": str(found.digest),
        "Accept-Ranges": "bytes",
        "ETag": f'"{found.digest}"',
    }
    wanted = _range(question.asked, found)
    if wanted is None:
        return Reply(200, headers, blob=found, length=found.size)
    first, last = wanted
    if first > last:
        refused = {"Content-Range": f"bytes */{found.size}"}
        return refusal(416, "RANGE_INVALID", f"the blob has {found.size} bytes", refused)
    headers["Content-Range"] = f"bytes {first}-{last}/{found.size}"
    return Reply(206, headers, blob=found, first=first, length=last - first + 1)


def _range(asked: Asked, blob: Descriptor) -> tuple[int, int] | None:
    """The first and the last byte that are wanted; `None` for all. A range that cannot be met has its end first."""
    match = _RANGE.match(asked.headers.get("range", ""))
    if match is None or match[1] + match[2] == "" or asked.method != "GET":
        return None  # several ranges, other units, and nonsense are ignored, as RFC 9110 allows
    if asked.headers.get("if-range", f'"{blob.digest}"') != f'"{blob.digest}"':
        return None
    end = blob.size - 1
    if match[1] == "":
        count = int(match[2])
        return (max(0, blob.size - count), end) if count and blob.size else (1, 0)
    first, last = int(match[1]), int(match[2] or end)
    if match[2] and last < first:
        return None
    return (first, min(last, end)) if first <= end else (1, 0)


def _tags(question: _Question) -> Reply:
    if question.reference != "list":
        return refusal(404, "UNSUPPORTED", "there is nothing at this path")
    name = question.path.removeprefix("/v2/").removesuffix("/tags/list")
    names = sorted(question.repository.tags)
    return _page(question.path, question.query, names, lambda part: {"name": name, "tags": part})


def _page(
    path: str, query: Mapping[str, str], names: Sequence[str], body: Callable[[list[str]], dict[str, Any]]
) -> Reply:
    """A sorted list, from the name after `last` on, at most `n` of them, with a link to the next part."""
    asked = query.get("n", "")
    if asked and not (asked.isascii() and asked.isdigit() and len(asked) < 10):
        return refusal(400, "PAGINATION_NUMBER_INVALID", "n: expected a number")
    left = [name for name in names if name > query.get("last", "")] if "last" in query else list(names)
    part = left[: int(asked)] if asked else left
    headers = {"Content-Type": "application/json"}
    if part and len(part) < len(left):
        more = {**{key: value for key, value in query.items() if key == "ns"}, "n": asked, "last": part[-1]}
        headers["Link"] = f'<{quote(path)}?{urlencode(more)}>; rel="next"'
    return Reply(200, headers, json.dumps(body(part)).encode())


def _referrers(question: _Question) -> Reply:
    subject = _digest(question.reference)
    if subject is None:
        return refusal(400, "DIGEST_INVALID", "expected sha256: and 64 hex digits")
    listed = list(question.repository.referrers.get(subject, {}).values())
    headers = {"Content-Type": OCI_INDEX}
    wanted = question.query.get("artifactType", "")
    if wanted:
        listed = [entry for entry in listed if entry.get("artifactType") == wanted]
        headers["OCI-Filters-Applied"] = "artifactType"
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed}
    return Reply(200, headers, json.dumps(document).encode())


_HANDLERS = {"manifests": _manifest, "blobs": _blob, "tags": _tags, "referrers": _referrers}
