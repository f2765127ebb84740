"""A Policy as values: the bytes of all that it names are in them, so that what decides is read once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from airgap.digest import Digest
from airgap.lock import Item
from airgap.resources.patterns import name_matches, pattern_matches


@dataclass(frozen=True, slots=True)
class RootFile:
    """A trust root: its bytes, and the digest that they must have."""

    name: str
    digest: Digest
    data: bytes


@dataclass(frozen=True, slots=True)
class PolicyKey:
    """A key of somebody who signs with a key. `pem` is the file's content; times have a zone, `None` binds nothing."""

    name: str
    pem: bytes
    not_before: datetime | None = None
    not_after: datetime | None = None


@dataclass(frozen=True, slots=True)
class Signer:
    """Who may sign with a certificate: an issuer, and an exact identity or an anchored pattern."""

    issuer: str
    identity: str = ""
    pattern: str = ""


@dataclass(frozen=True, slots=True)
class Deny:
    """What never counts."""

    digests: frozenset[Digest] = frozenset()
    keys: frozenset[Digest] = frozenset()
    """Digests of public keys in DER (SubjectPublicKeyInfo)."""
    identities: tuple[str, ...] = ()
    """Exact, or patterns from ^ to $."""
    log_entries: frozenset[tuple[str, int]] = frozenset()
    """(log id in hex, index)."""

    def identity(self, identity: str) -> bool:
        """True where an identity is denied."""
        return any(
            pattern_matches(one, identity) if one.startswith("^") else one == identity
            for one in self.identities
        )


@dataclass(frozen=True, slots=True)
class By:
    """Whose signature is demanded: either `signers`, or `keys`."""

    signers: tuple[Signer, ...] = ()
    keys: tuple[PolicyKey, ...] = ()


@dataclass(frozen=True, slots=True)
class Attest:
    """An attestation that is demanded. `content` is what is looked for inside: `sbom`, or `""` for nothing."""

    predicate_type: str
    by: By
    content: str = ""


@dataclass(frozen=True, slots=True)
class Require:
    """What a rule demands of each of the `subjects` (`root` or `all`)."""

    by: By
    subjects: str = "root"
    trust_root: str = ""
    attestations: tuple[Attest, ...] = ()


@dataclass(frozen=True, slots=True)
class DigestOnly:
    """Passes without a signature, until `expires`."""

    approver: str
    reason: str
    expires: datetime


@dataclass(frozen=True, slots=True)
class Rule:
    """What holds for the items that match. One of `require`, `digest_only` and `deny` is set."""

    number: int
    """From 1, in the order of the file."""
    match: tuple[str, ...]
    kinds: tuple[str, ...] = ()
    require: Require | None = None
    digest_only: DigestOnly | None = None
    deny: str = ""
    """Why it is denied."""

    @property
    def label(self) -> str:
        """How people and judgements call it."""
        more = f" and {len(self.match) - 1} more" if len(self.match) > 1 else ""
        return f"rule {self.number} ({self.match[0]}{more})"

    def matches(self, kind: str, name: str) -> bool:
        """True for an item of that kind whose source, without scheme, tag and digest, is `name`."""
        return (not self.kinds or kind in self.kinds) and any(
            name_matches(pattern, name) for pattern in self.match
        )


@dataclass(frozen=True, slots=True)
class Policy:
    """What may come in. The first rule that matches decides; where none does, the item fails."""

    name: str
    rules: tuple[Rule, ...]
    trust_roots: tuple[RootFile, ...] = ()
    keys: tuple[PolicyKey, ...] = ()
    deny: Deny = Deny()
    raw: bytes = b""
    """The file's bytes, kept as evidence."""

    @property
    def digest(self) -> Digest:
        """That of the file: by it verdicts name the policy. What it names by file is named by digest beside it."""
        return Digest.of(self.raw)

    def rule_for(self, kind: str, name: str) -> Rule | None:
        """The first rule that matches."""
        return next((rule for rule in self.rules if rule.matches(kind, name)), None)


_LAYOUTS = ("oci", "oci-archive", "docker-daemon")
_LOCAL = {"image": _LAYOUTS, "chart": _LAYOUTS, "model": ("directory",), "file": ("file",)}
"""How the source of what lies here begins, by kind."""


def policy_name(item: Item) -> str:
    """What rules are matched against: where an item comes from, without scheme, tag and digest.

    What lies on this machine goes by the name that it shall have inside, so that a folder beside the request cannot
    pass by a rule for something else.
    """
    scheme, colon, rest = item.source.removeprefix("oci://").partition(":")
    # Git addresses without a scheme are paths.
    if scheme in _LOCAL.get(item.kind, ()) or (item.kind == "git" and not rest.startswith("//")):
        text = item.name
    elif item.kind == "model":
        text = f"huggingface.co/{item.source.removeprefix('hf:')}"
    else:
        text = scheme + colon + rest
    text = re.sub(r"\A[A-Za-z][A-Za-z0-9+.-]*://", "", text)
    if item.kind in ("image", "chart"):
        head, slash, last = text.partition("@")[0].rpartition("/")
        return head + slash + last.partition(":")[0]
    return text.partition("?")[0].rstrip("/").removesuffix(".git" if item.kind == "git" else "")
