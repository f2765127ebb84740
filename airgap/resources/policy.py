"""A Policy document as a value: trust roots and public keys are read here, so that what decides is one set of bytes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from airgap.base.digest import Digest
from airgap.base.errors import InputError
from airgap.base.inputs import read_input
from airgap.content.reference import DOCKER_HUB, HUB_ALIASES
from airgap.resources.patterns import check_pattern
from airgap.resources.policy_model import (
    Attest,
    CertificateIdentity,
    Deny,
    DigestOnly,
    Policy,
    PolicyKey,
    Require,
    RootFile,
    Rule,
    SignedBy,
    shadow,
)
from airgap.resources.problems import Steps, listed, nearest, quoted
from airgap.resources.reader import DocumentReader
from airgap.resources.references import parse_time
from airgap.resources.trust import UNKNOWN_TIME, public_key

MAX_TRUST_ROOT = 4 << 20
"""Bytes of a trusted_root.json: Sigstore's own has 10 KiB."""
MAX_STARS = 8
"""Runs of `*` in one name: each multiplies what comparing costs."""


def policy(reader: DocumentReader, name: str, raw: bytes) -> Policy:
    """Reads a Policy document and the files that it names; what is wrong ends up in `reader.problems`."""
    return _Policy(reader).read(name, raw)


class _Policy:
    """Reads one document: rules speak of roots and keys by their names."""

    def __init__(self, reader: DocumentReader) -> None:
        self.reader = reader
        self.roots: dict[str, RootFile] = {}
        self.keys: dict[str, PolicyKey] = {}

    def read(self, name: str, raw: bytes) -> Policy:
        names: dict[str, Steps] = {}
        for steps, entry in self.reader.entries("trustRoots"):
            self.roots.setdefault(entry["name"], self._root(steps, entry))
            self.reader.unique(names, (*steps, "name"), entry["name"], f"the name {quoted(entry['name'])}")
        names, material = {}, dict[str, Steps]()
        for steps, entry in self.reader.entries("keys"):
            self.keys.setdefault(entry["name"], self._key(steps, entry, material))
            self.reader.unique(names, (*steps, "name"), entry["name"], f"the name {quoted(entry['name'])}")
        deny_steps, deny = self.reader.spec("deny")
        rules = list[Rule]()
        for steps, entry in self.reader.entries("rules"):
            rule = self._rule(steps, entry)
            self._reachable(steps, rule, rules)
            rules.append(rule)
        return Policy(
            name,
            tuple(rules),
            tuple(self.roots.values()),
            tuple(self.keys.values()),
            self._deny(deny_steps, deny or {}),
            raw,
        )

    def _root(self, steps: Steps, entry: Mapping[str, Any]) -> RootFile:
        path = self.reader.path((*steps, "file"), entry["file"])
        data = b""
        try:
            data = read_input(path, MAX_TRUST_ROOT, "bad-trust-root")
        except InputError as error:
            self.reader.bad((*steps, "file"), error.what)
        return RootFile(entry["name"], Digest(f"sha256:{entry['sha256']}"), data)

    def _key(self, steps: Steps, entry: Mapping[str, Any], material: dict[str, Steps]) -> PolicyKey:
        pem = public_key(self.reader, (*steps, "publicKeyFile"), entry["publicKeyFile"], material)
        before, after = (self._time(steps, entry, field) for field in ("notBefore", "notAfter"))
        if before is not None and after is not None and UNKNOWN_TIME not in (before, after) and before >= after:
            self.reader.bad(
                (*steps, "notAfter"),
                f"got {quoted(entry['notAfter'])}, expected a time after notBefore",
            )
        return PolicyKey(entry["name"], pem, before, after)

    def _time(self, steps: Steps, entry: Mapping[str, Any], field: str) -> datetime | None:
        if field not in entry:
            return None
        made = parse_time(entry[field])
        if isinstance(made, str):
            self.reader.bad((*steps, field), made)
            return UNKNOWN_TIME
        return made

    def _deny(self, steps: Steps, entry: Mapping[str, Any]) -> Deny:
        for index, text in enumerate(entry.get("identities", ())):
            if text.startswith("^"):
                self.reader.bad((*steps, "identities", index), check_pattern(text) or "")
        return Deny(
            frozenset(map(Digest, entry.get("digests", ()))),
            frozenset(map(Digest, entry.get("keys", ()))),
            tuple(entry.get("identities", ())),
            frozenset((one["log"], int(one["index"])) for one in entry.get("logEntries", ())),
        )

    def _rule(self, steps: Steps, entry: Mapping[str, Any]) -> Rule:
        for index, name in enumerate(entry["match"]):
            self.reader.bad((*steps, "match", index), name_complaint(name))
        require = digest_only = None
        if "require" in entry:
            require = self._require((*steps, "require"), entry["require"])
        if "digestOnly" in entry:
            given, where = entry["digestOnly"], (*steps, "digestOnly")
            expires = self._time(where, given, "expires") or UNKNOWN_TIME
            digest_only = DigestOnly(given["approver"], given["reason"], expires, given.get("local", False))
        return Rule(
            int(steps[-1]) + 1,
            tuple(entry["match"]),
            tuple(entry.get("kinds", ())),
            require,
            digest_only,
            entry["deny"]["reason"] if "deny" in entry else "",
        )

    def _reachable(self, steps: Steps, rule: Rule, above: Sequence[Rule]) -> None:
        """A name that no item ever comes to is a mistake: who wrote a `deny` there believes that it denies."""
        for index, name in enumerate(rule.match):
            other = shadow(above, rule.kinds, name)
            if other is not None:
                what = f"{quoted(name)} never decides: {other.label}, above it, takes all that it takes"
                self.reader.bad((*steps, "match", index), f"{what}; put the narrow rules on top")

    def _require(self, steps: Steps, entry: Mapping[str, Any]) -> Require:
        root = entry.get("trustRoot", "")
        if root:
            self._known((*steps, "trustRoot"), root, self.roots, "spec.trustRoots")
        by = self._by(steps, entry, root)
        seen: dict[str, Steps] = {}
        attestations = []
        for index, one in enumerate(entry.get("attestations", ())):
            where = (*steps, "attestations", index)
            if "identities" in one and "keys" in one:
                self.reader.bad(where, "got identities and keys, expected only one of them")
            own = self._by(where, one, root) if "identities" in one or "keys" in one else by
            kind = one["predicateType"]
            self.reader.unique(seen, (*where, "predicateType"), kind, quoted(kind))
            attestations.append(Attest(kind, own, one.get("content", "")))
        if "log" in entry and not root:
            self.reader.bad((*steps, "log"), "got no trustRoot beside it, expected the one that names logs")
        subjects, log = entry.get("subjects", "root"), entry.get("log", "")
        return Require(by, subjects, root, tuple(attestations), log)

    def _by(self, steps: Steps, entry: Mapping[str, Any], root: str) -> SignedBy:
        if "identities" in entry and not root:
            self.reader.bad(
                (*steps, "identities"),
                "got no trustRoot beside it, expected the one that issued them",
            )
        for index, one in enumerate(entry.get("identities", ())):
            pattern = one.get("identityPattern", "^a$")
            self.reader.bad((*steps, "identities", index, "identityPattern"), check_pattern(pattern) or "")
        for index, name in enumerate(entry.get("keys", ())):
            self._known((*steps, "keys", index), name, self.keys, "spec.keys")
        return SignedBy(
            tuple(
                CertificateIdentity(one["issuer"], one.get("identity", ""), one.get("identityPattern", ""))
                for one in entry.get("identities", ())
            ),
            tuple(self.keys[name] for name in entry.get("keys", ()) if name in self.keys),
        )

    def _known(self, steps: Steps, name: str, there: Iterable[str], where: str) -> None:
        names = list(there)
        if name not in names:
            word = nearest(name, names)
            has = f"expected one of {where}: {listed(names)}" if names else f"and {where} has none"
            self.reader.bad(steps, f"got {quoted(name)}, " + (f"did you mean {quoted(word)}?" if word else has))


def name_complaint(name: str) -> str:
    """What is wrong with a name in `match`, `""` for nothing."""
    bare = re.sub(r"\A[A-Za-z][A-Za-z0-9+.-]*://", "", name)
    bare = bare.partition("@")[0]
    head, slash, last = bare.rpartition("/")
    # A host alone may have a port; behind a slash, what follows the colon is a tag.
    bare = head + slash + (last.partition(":")[0] if slash else last)
    if bare != name:
        return f"got {quoted(name)}, expected {quoted(bare)}: a name without scheme, tag and digest"
    if re.search(r"[\s?\[\]{}\\^$]|\*\*\*", name):
        return f"got {quoted(name)}, expected a name in which only '*' and '**' stand for something else"
    if len(re.findall(r"\*+", name)) > MAX_STARS:
        return f"got {quoted(name)}, expected at most {MAX_STARS} times '*'"
    likely = _likely(name)
    if likely != name:
        return f"got {quoted(name)}, which nothing is called; did you mean {quoted(likely)}?"
    return ""


def _likely(name: str) -> str:
    """A name that something can have: as the kinds make them for `Policy.rule_for`."""
    if name.startswith("hf:"):
        return f"huggingface.co/{name.removeprefix('hf:')}"
    name = re.sub("/{2,}", "/", name.lstrip("/")).removesuffix(".git")
    if name.endswith("/"):
        name += "" if "*" in name else "**"
    name = name.rstrip("/")
    host, slash, path = name.partition("/")
    if not slash or not (set(".:") & set(host)):
        return name
    host = host.lower().removesuffix(":443")
    host = DOCKER_HUB if host in HUB_ALIASES else host
    official = host == DOCKER_HUB and "/" not in path and "**" not in path
    return f"{host}/{'library/' if official else ''}{path}"
