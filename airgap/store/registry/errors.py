"""Explains a registry's refusal. Statuses and texts were observed with Harbor 2.15 and Distribution."""

from __future__ import annotations

from dataclasses import dataclass

from airgap.base.errors import (
    BlockedError,
    ChildMissingError,
    DigestRefusedError,
    NotFoundError,
    ProjectMissingError,
    UpstreamError,
)
from airgap.net.faults import server_words
from airgap.net.http import Response
from airgap.net.origin import redact


@dataclass(frozen=True, slots=True)
class _Refusal:
    """`status` and any of `words` (lower case, in the server's code or message) → error code and next step."""

    status: int
    words: tuple[str, ...]
    code: str
    hint: str
    kind: type[UpstreamError] = UpstreamError


RIGHTS = (
    "give the account the right to do this in the project: an import needs repository:push and repository:pull (push "
    "does not imply pull), an audit repository:pull"
)
"""The next step if an account lacks a right."""
_REFUSALS = (
    _Refusal(
        403,
        ("will exceed", "storage resource", "quota"),
        "quota-exceeded",
        "raise the project's storage quota in Harbor, or make room, then run the same command again",
    ),
    _Refusal(
        403,
        ("read only mode", "read-only"),
        "read-only",
        "the registry is in read-only mode; switch that mode off, then run the same command again",
    ),
    _Refusal(
        403,
        ("proxy project", "proxy cache"),
        "proxy-project",
        "this is a proxy-cache project, which refuses pushes: map to an ordinary project",
    ),
    _Refusal(
        412,
        ("immutable",),
        "immutable-tag",
        "the tag is immutable and has other content; exempt it from that rule, or use another tag",
    ),
    _Refusal(
        412,
        ("projectpolicyviolation", "policy"),
        "blocked-by-policy",
        "a project policy (signed images only, no vulnerable images) forbids reading it",
        BlockedError,
    ),
    _Refusal(
        400,
        ("manifest_blob_unknown", "blob unknown"),
        "child-missing",
        "content that the manifest names is missing in this repository; run the same command again",
        ChildMissingError,
    ),
    _Refusal(400, ("manifest_invalid",), "manifest-refused", "the registry refuses this manifest"),
    _Refusal(
        400,
        ("digest_invalid",),
        "digest-refused",
        "the bytes changed on the way; run the same command again",
        DigestRefusedError,
    ),
    _Refusal(400, ("name_invalid",), "bad-repository-name", "use lower case letters, digits and . _ - /"),
    _Refusal(
        401,
        ("un-recognized request",),
        "bad-repository-name",
        "the registry does not understand the path: repository names are lower case",
    ),
    _Refusal(
        401,
        ("not found",),
        "project-missing",
        "create the project first, or map to one that exists",
        ProjectMissingError,
    ),
    _Refusal(
        401,
        ("unauthorized to access",),
        "no-rights",
        RIGHTS,
    ),
)


def refusal(response: Response, who: str) -> UpstreamError:
    """The error for an unexpected answer; `who` is the account. 404 gives `NotFoundError`."""
    words = server_words(response.data, response.content_type)
    if not words and response.status == 404 and response.method != "HEAD":
        return _not_a_registry(response)
    low = words.lower()
    for known in _REFUSALS:
        if response.status == known.status and any(word in low for word in known.words):
            return _made(response, known.code, words, known.hint, known.kind)
    challenge = response.headers.get("Www-Authenticate")
    if response.status == 401 and not challenge:
        # Harbor's answer for a missing project, whatever the credentials are; a HEAD has no body that could say so.
        return _made(
            response,
            "project-missing",
            words or "got an empty challenge",
            f"the project does not exist, or {who} may not access it",
        )
    if response.status == 401:
        hint = f"{who} may not do this: check the credentials and the account's rights"
        return response.error(hint)
    return response.error()


def _made(
    response: Response, code: str, words: str, hint: str, kind: type[UpstreamError] = UpstreamError
) -> UpstreamError:
    if response.status == 404:
        kind = NotFoundError
    request_id = (response.headers.get("X-Request-Id") or response.request_id)[:80]
    what = f"{response.method} {redact(response.url)}: got {response.status}: {words} (X-Request-Id {request_id})"
    return kind(code, what, hint, response.status, side=response.side)


def _not_a_registry(response: Response) -> UpstreamError:
    if response.content_type != "text/html":
        return response.error()
    return _made(
        response,
        "not-found",
        "a web page",
        "check that this is the URL of a registry; its API is under /v2/",
    )
