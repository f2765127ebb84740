"""Recognizes the files that airgap reads and writes, so that a message about a wrong file says what the file is."""

from __future__ import annotations

import base64
import re

from airgap.base.strict_json import decode_json

_HEAD = 4096
"""Bytes in which a PEM block begins."""
_PEM = re.compile(rb"^-----BEGIN (?:[A-Z0-9]+ )*(PRIVATE KEY|PUBLIC KEY|CERTIFICATE)-----", re.MULTILINE)
"""Unindented, because a resource may have a key inside, as indented text."""
_OURS = re.compile(rb"^apiVersion:[ \t]+[\"']?airgap\.openova\.io/", re.MULTILINE)
_KIND = re.compile(rb"^kind:[ \t]+[\"']?([A-Z][A-Za-z]{1,30})\b", re.MULTILINE)
_KIND_NAME = re.compile(r"[A-Z][A-Za-z]{1,30}")
"""The kind goes into a message, and the file may be hostile: nothing else is quoted from it."""
_JSON_KINDS = {
    "Lock": "a lock",
    "Delivery": "the index of a delivery",
    "SealedDelivery": "the index of a delivery",
    "Seed": "the list of a seed folder",
    "PrunePlan": "a prune plan",
}


def recognized(data: bytes) -> str:
    """What a file is, by its content: `a lock`, `a Trust resource`, `a private key`, …; `""` for an unknown file.

    Checks nothing: a damaged lock is still recognized as a lock, as long as it is JSON.
    """
    if found := _PEM.search(data[:_HEAD]):
        label = found[1].decode().lower()
        return f"a {label}"
    if data.lstrip()[:1] == b"{":
        return _json(data)
    if _OURS.search(data) and (kind := _KIND.search(data)):
        return _resource(kind[1].decode())
    return ""


_REPORT = re.compile(
    rb"<!doctype html>.{0,1000}<meta name=\"generator\" content=\"airgap report "
    rb"|\{\"apiVersion\":\"airgap\.openova\.io/v1alpha1\",\"kind\":\"Report\""
    rb"|\{\"\$schema\":\"[^\"]{1,200}\",\"version\":\"2\.1\.0\",\"runs\":\[\{\"tool\":\{\"driver\":\{\"name\":\"airgap\""
    rb"|\{\"bomFormat\":\"CycloneDX\",\"specVersion\":\"1\.6\",\"metadata\":\{\"tools\":\{\"components\":"
    rb"\[\{\"type\":\"application\",\"name\":\"airgap\""
    rb"|\{\"fingerprint\":\"[0-9a-f]{64}\",\"item\":\"",
    re.DOTALL,
)
"""How each format of `airgap report` begins: a report may be too large to be parsed for this."""
STATEMENTS = {
    "pull": "a pull statement",
    "verdict": "a verdict",
    "delivery": "a delivery statement",
    "approval": "an approval",
    "receipt": "a receipt",
    "audit": "an audit statement",
    "accepted": "an accepted list",
    "rollback": "a rollback",
    "prune": "a prune statement",
    "want": "a want list",
}
"""What a file with a statement is called, by the statement's kind."""
_PREDICATE = re.compile(r"https://airgap\.openova\.io/([a-z]+)/v[0-9]+")


def identified(data: bytes) -> str:
    """As `recognized`, but a signed statement of airgap is named by its kind: `a receipt`, `an approval`, …

    What `airgap report` wrote is `a report`.
    """
    if _REPORT.match(data[:_HEAD]):
        return "a report"
    found = recognized(data)
    if found != "a signed statement":
        return found
    try:
        payload = decode_json(base64.b64decode(decode_json(data)["dsseEnvelope"]["payload"], validate=True))
        kind = _PREDICATE.fullmatch(payload["predicateType"])
    except (ValueError, KeyError, TypeError):
        return found
    return found if kind is None else STATEMENTS.get(kind[1], found)


def not_expected(where: str, data: bytes, expected: str, why: str = "") -> str:
    """The sentence about a file that is not what was expected: it names what the file is, or else `why` it is not.

    `expected` has its article: `a lock`. `why` may begin with `where`, which is left out.
    """
    found = recognized(data)
    if found and found != expected:
        return f"{where} is {found}, not {expected}"
    reason = why.removeprefix(f"{where}: ")
    return f"{where} is not {expected}" + (f": {reason}" if reason else "")


def _json(data: bytes) -> str:
    try:
        value = decode_json(data)
    except ValueError:
        return ""
    kind, version = value.get("kind"), value.get("apiVersion")
    if isinstance(version, str) and version.startswith("airgap.openova.io/"):
        known = isinstance(kind, str) and _KIND_NAME.fullmatch(kind)
        return (_JSON_KINDS.get(known[0]) or _resource(known[0])) if known else ""
    if "dsseEnvelope" in value:
        return "a signed statement"
    if str(value.get("mediaType", "")).startswith("application/vnd.dev.sigstore.trustedroot"):
        return "a trusted_root.json"
    return ""


def _resource(kind: str) -> str:
    return f"{'an' if kind[0] in 'AEIOU' else 'a'} {kind} resource"
