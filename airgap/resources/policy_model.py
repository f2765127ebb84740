"""A Policy as values: the bytes of all that it names are in them, so that what decides is read once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from airgap.base.digest import Digest
from airgap.content import known_kinds
from airgap.resources.patterns import name_covers, name_matches, pattern_matches


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
class CertificateIdentity:
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
            pattern_matches(one, identity) if one.startswith("^") else one == identity for one in self.identities
        )


@dataclass(frozen=True, slots=True)
class SignedBy:
    """Whose signature is demanded: either `signers`, or `keys`."""

    signers: tuple[CertificateIdentity, ...] = ()
    keys: tuple[PolicyKey, ...] = ()


@dataclass(frozen=True, slots=True)
class Attest:
    """An attestation that is demanded. `content` is what is looked for inside: `sbom`, or `""` for nothing."""

    predicate_type: str
    by: SignedBy
    content: str = ""


@dataclass(frozen=True, slots=True)
class Require:
    """What a rule demands of each of the `subjects` (`root` or `all`)."""

    by: SignedBy
    subjects: str = "root"
    trust_root: str = ""
    attestations: tuple[Attest, ...] = ()
    log: str = ""
    """`required` or `optional`; empty: required of certificates where the root names logs."""


@dataclass(frozen=True, slots=True)
class DigestOnly:
    """Passes without a signature, until `expires`."""

    approver: str
    reason: str
    expires: datetime
    local: bool = False
    """True where it also holds for what lies on the machine that locks: only the request gives that its name."""

    def expired(self, at: datetime) -> bool:
        """True when it does not hold any more at that time."""
        return at >= self.expires


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
        """True for an item of that kind whose source, without scheme, tag and digest, is `name`.

        A rule that denies asks nobody about upper and lower case: many a host does not, either.
        """
        fold = str.lower if self.deny else str
        return (not self.kinds or kind in self.kinds) and any(
            name_matches(fold(pattern), fold(name)) for pattern in self.match
        )

    def shadows(self, kind: str, pattern: str) -> bool:
        """True where this rule takes everything of that kind that `pattern` takes."""
        fold = str.lower if self.deny else str
        return (not self.kinds or kind in self.kinds) and any(
            name_covers(fold(mine), fold(pattern)) for mine in self.match
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


def shadow(above: Sequence[Rule], kinds: Sequence[str], pattern: str) -> Rule | None:
    """The rule because of which `pattern` never decides anything of `kinds` (none: all) below `above`, if so."""
    asked = kinds or known_kinds.names()
    found = [next((rule for rule in above if rule.shadows(kind, pattern)), None) for kind in asked]
    return None if None in found else found[0]
