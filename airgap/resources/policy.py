"""Policy: whose signatures and attestations count. All that it names is read, so that what decides is read once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from airgap.base.digest import Digest
from airgap.resources.fields import ListOf, Map, Place, Text, given, spec_field
from airgap.resources.parts import DIGEST
from airgap.resources.patterns import check_pattern, pattern_matches
from airgap.resources.policy_rules import PolicyKey, RootFile, Rule, shadow
from airgap.resources.problems import quoted
from airgap.resources.resource import Resource

_EXAMPLE = r"""metadata:
  name: catalyst
spec:
  trustRoots:
  - name: sigstore
    file: roots/sigstore.json
    sha256: 6494e21ea73fa7ee769f85f57d5a3e6a08725eae1e38c755fc3517c9e6bc0b66
  keys:
  - name: bank-ci
    publicKeyFile: exporter.pub
    notBefore: '2026-01-01T00:00:00Z'
    notAfter: '2027-01-01T00:00:00Z'
  deny:
    digests: ['sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08']
    keys: ['sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae']
    identities: ['^https://github\.com/stolen/.*$']
    logEntries:
    - log: c0d23d6ad406973f9559f3ba2d1ca01f84147d8ffc5b8445c224f98b9591801d
      index: '123456'
  rules:
  - match: [ghcr.io/openova-io/bp-*]
    kinds: [chart]
    require:
      trustRoot: sigstore
      identities:
      - issuer: https://token.actions.githubusercontent.com
        identityPattern: ^https://github\.com/openova-io/[^/]+/\.github/workflows/release\.yaml@refs/tags/v.*$
      attestations:
      - predicateType: https://spdx.dev/Document
        content: sbom
  - match: [registry.bank.example/**]
    require:
      subjects: all
      keys: [bank-ci]
  - match: [docker.io/library/*]
    digestOnly:
      approver: Amina al-Harthy
      reason: Docker's official images have no signatures; digests compared with the publisher's list.
      expires: '2026-12-31T00:00:00Z'
  - match: [docker.io/stolen/**]
    deny:
      reason: The account was taken over in March.
"""


@dataclass(frozen=True, slots=True)
class _LogEntry:
    spec: ClassVar = Map("a map with log and index")
    log: str = field(
        metadata=spec_field("log", Text("the log's id: 64 lower-case hex digits", pattern="^[0-9a-f]{64}$"))
    )
    index: str = field(
        metadata=spec_field("index", Text("the entry's index in the log", pattern="^(0|[1-9][0-9]{0,17})$"))
    )

    def checked(self, at: Place) -> tuple[str, int]:
        """(log id in hex, index)."""
        return self.log, int(self.index)


@dataclass(frozen=True, slots=True)
class Deny:
    """What never counts."""

    spec: ClassVar = Map("a map with what is denied", "Asked before all rules. No rule and no waiver lifts it.")
    digests: frozenset[Digest] = field(
        default=frozenset(),
        metadata=spec_field(
            "digests",
            ListOf(
                DIGEST,
                "a list of digests",
                "Of an artifact, or of anything in it or attached to it: manifests, layers, files. The item fails.",
                into=frozenset,
            ),
        ),
    )
    keys: frozenset[Digest] = field(
        default=frozenset(),
        metadata=spec_field(
            "keys",
            ListOf(
                DIGEST,
                "a list of digests of public keys",
                "sha256 of the key in DER (SubjectPublicKeyInfo), which `airgap verify-image` and `airgap keys show` "
                "print. Their signatures do not count.",
                into=frozenset,
            ),
        ),
    )
    """Digests of public keys in DER (SubjectPublicKeyInfo)."""
    identities: tuple[str, ...] = field(
        default=(),
        metadata=spec_field(
            "identities",
            ListOf(
                Text(
                    "an identity, or a pattern from ^ to $",
                    least=1,
                    complaint=lambda text: (check_pattern(text) or "") if text.startswith("^") else "",
                ),
                "a list of identities",
                "An identity as it stands in a certificate, or a pattern from `^` to `$`. "
                "Their signatures do not count, whoever issued them.",
            ),
        ),
    )
    """Exact, or patterns from ^ to $."""
    log_entries: frozenset[tuple[str, int]] = field(
        default=frozenset(),
        metadata=spec_field(
            "logEntries",
            ListOf(
                _LogEntry,
                "a list of log entries",
                "Entries of a transparency log. Signatures that they are about do not count.",
                into=frozenset,
            ),
        ),
    )
    """(log id in hex, index)."""

    def identity(self, identity: str) -> bool:
        """True where an identity is denied."""
        return any(
            pattern_matches(one, identity) if one.startswith("^") else one == identity for one in self.identities
        )


@dataclass(frozen=True, slots=True)
class Policy:
    """What may come in. The first rule that matches decides; where none does, the item fails."""

    spec: ClassVar = Map(
        "a map with the rules, and the trust roots and keys that they name",
        order=("name", "trust_roots", "keys", "deny", "rules", "raw"),
    )
    resource: ClassVar = Resource(
        doc="What may come in: whose signatures and attestations count for which artifacts. The first rule that "
        "matches an item decides; what no rule matches fails. `deny` is asked before all rules, and nothing "
        "lifts it. `airgap scan` and `airgap verify-image` take it with `--policy`.",
        taken_by="`airgap scan` and `airgap verify-image` take a Policy with --policy",
        examples=(_EXAMPLE,),
    )
    name: str = field(metadata=given("name"))
    rules: tuple[Rule, ...] = field(
        metadata=spec_field("rules", ListOf(Rule, "a list of rules", "The first one that matches decides.", least=1))
    )
    trust_roots: tuple[RootFile, ...] = field(
        default=(),
        metadata=spec_field(
            "trustRoots",
            ListOf(
                RootFile,
                "a list of trust roots",
                "A rule names one of them. What one of them says is never mixed with another's.",
                names=True,
            ),
        ),
    )
    keys: tuple[PolicyKey, ...] = field(
        default=(),
        metadata=spec_field(
            "keys",
            ListOf(PolicyKey, "a list of public keys", "Keys of those who sign with a key of their own.", names=True),
        ),
    )
    deny: Deny = field(default=Deny(), metadata=spec_field("deny", Deny))
    raw: bytes = field(default=b"", metadata=given("raw"))
    """The file's bytes, kept as evidence."""

    def checked(self, at: Place) -> Policy:
        """The policy, in which every name is asked about: who writes a `deny` that is not believes that it denies."""
        for count, rule in enumerate(self.rules):
            for index, name in enumerate(rule.match):
                other = shadow(self.rules[:count], rule.kinds, name)
                if other is not None:
                    what = f"{quoted(name)} never decides: {other.label}, above it, takes all that it takes"
                    at.bad(f"{what}; put the narrow rules on top", "rules", rule.number - 1, "match", index)
        return self

    @property
    def digest(self) -> Digest:
        """That of the file: by it verdicts name the policy. What it names by file is named by digest beside it."""
        return Digest.of(self.raw)

    def rule_for(self, kind: str, name: str) -> Rule | None:
        """The first rule that matches."""
        return next((rule for rule in self.rules if rule.matches(kind, name)), None)
