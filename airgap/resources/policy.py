"""Policy: whose signatures and attestations count. Loading it also reads, once, every file that it names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from airgap.base.digest import Digest
from airgap.content.names import RuleNames
from airgap.resources.fields import given, spec, spec_map
from airgap.resources.parts import DIGEST
from airgap.resources.patterns import check_pattern, pattern_matches
from airgap.resources.policy_findings import Findings
from airgap.resources.policy_rules import PolicyKey, RootFile, Rule, shadow
from airgap.resources.problems import quoted
from airgap.resources.resource import Resource
from airgap.resources.shapes import ListOf, Place, Text

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
  - match: [get.k3s.io/**]
    kinds: [file]
    inside: [k3s/**]
    digestOnly:
      approver: Amina al-Harthy
      reason: Checksums compared with the release page.
      expires: '2026-12-31T00:00:00Z'
  - match: [docker.io/stolen/**]
    deny:
      reason: The account was taken over in March.
  findings:
    rules:
    - match: [docker.io/library/*]
      kinds: [image]
      findings: [vulnerability]
      severity: {critical: block, high: block, medium: warn}
      ignoreUnfixed: true
    - match: [ghcr.io/openova-io/static]
      findings: [coverage]
      effect: warn
    severityFrom: [debian, alpine, ghsa, nvd]
    databaseMaxAge: 3d
    required:
      image: [vulnerability, secret, malware, archive]
      model: [model, malware]
"""


@spec_map("a map with log and index")
class _LogEntry:
    log: str = spec(Text("the log's id: 64 lower-case hex digits", pattern="^[0-9a-f]{64}$"))
    index: str = spec(Text("the entry's index in the log", pattern="^(0|[1-9][0-9]{0,17})$"))

    def checked(self, at: Place) -> tuple[str, int]:
        """(log id in hex, index)."""
        return self.log, int(self.index)


@spec_map("a map with what is denied", "Applies before all rules. No rule and no waiver overrides it.")
class Deny:
    """The digests, keys, identities and log entries that never count."""

    digests: frozenset[Digest] = spec(
        ListOf(DIGEST, "a list of digests", into=frozenset),
        "Digests of artifacts, or of anything in them or attached to them: manifests, layers, files. Such an item "
        "fails.",
        default=frozenset(),
    )
    keys: frozenset[Digest] = spec(
        ListOf(DIGEST, "a list of digests of public keys", into=frozenset),
        "sha256 of the key in DER (SubjectPublicKeyInfo), as `airgap verify-image` and `airgap keys show` print it. "
        "Signatures by these keys do not count.",
        default=frozenset(),
    )
    """Digests of public keys in DER (SubjectPublicKeyInfo)."""
    identities: tuple[str, ...] = spec(
        ListOf(
            Text(
                "an identity, or a pattern from ^ to $",
                least=1,
                complaint=lambda text: (check_pattern(text) or "") if text.startswith("^") else "",
            ),
            "a list of identities",
        ),
        "An identity as written in a certificate, or a pattern from `^` to `$`. "
        "Signatures by these identities do not count, whatever the issuer.",
        default=(),
    )
    """Exact, or patterns from ^ to $."""
    log_entries: frozenset[tuple[str, int]] = spec(
        ListOf(_LogEntry, "a list of log entries", into=frozenset),
        "Entries of a transparency log. The signatures that these entries record do not count.",
        default=frozenset(),
    )
    """(log id in hex, index)."""

    def identity(self, identity: str) -> bool:
        """True if the identity is denied."""
        return any(
            pattern_matches(one, identity) if one.startswith("^") else one == identity for one in self.identities
        )


@spec_map("a map with the rules, and the trust roots and keys that they name")
class Policy:
    """What may come in. The first rule that matches an item decides; an item without a matching rule fails."""

    resource: ClassVar = Resource(
        doc="What may come in: whose signatures and attestations count for which artifacts. The first rule that "
        "matches an item decides; an item without a matching rule fails. `deny` applies before all rules, and nothing "
        "overrides it. `airgap scan` and `airgap verify-image` take it with `--policy`.",
        taken_by="`airgap scan` and `airgap verify-image` take a Policy with --policy",
        examples=(_EXAMPLE,),
    )
    name: str = given("name")
    trust_roots: tuple[RootFile, ...] = spec(
        ListOf(RootFile, "a list of trust roots", names=True),
        "A rule names one of them. The contents of different trust roots are never combined.",
        default=(),
    )
    keys: tuple[PolicyKey, ...] = spec(
        ListOf(PolicyKey, "a list of public keys", names=True),
        "The keys of signers that use a key and not a certificate.",
        default=(),
    )
    deny: Deny = spec(Deny, default=Deny())
    rules: tuple[Rule, ...] = spec(ListOf(Rule, "a list of rules", least=1), "The first rule that matches decides.")
    findings: Findings | None = spec(Findings, default=None)
    """`None`: nothing is scanned."""
    raw: bytes = given("raw", default=b"")
    """The file's bytes, kept as evidence."""

    def checked(self, at: Place) -> Policy:
        """The policy. Reports a name that an earlier rule covers, because a `deny` for it would have no effect."""
        for count, rule in enumerate(self.rules):
            for index, name in enumerate(rule.match):
                other = shadow(self.rules[:count], rule.kinds, name)
                if other is not None:
                    what = f"{quoted(name)} never decides: {other.label}, above it, matches everything that it matches"
                    at.bad(f"{what}; put the narrower rule first", "rules", rule.number - 1, "match", index)
        return self

    @property
    def digest(self) -> Digest:
        """sha256 of the policy file, as verdicts cite it. The files that it names are cited by their own digests."""
        return Digest.of(self.raw)

    def choose(self, kind: str, names: RuleNames) -> Ruling:
        """The rule that decides about an item, and what else speaks against the item.

        1. The first rule that matches where the item comes from; without an origin, what it becomes. 2. A rule above it
        with `deny` decides instead if it matches any name of the item. 3. The rule lets the item in only under names of
        its own, or under those that it allows (`inside`).
        """
        # 1.
        first = {name: next((rule for rule in self.rules if rule.speaks_of(kind, name)), None) for name in names}
        name = names.deciding[0]
        rule = first[name]
        if rule is None:
            return Ruling(None, name)
        for also in names.deciding[1:]:
            # A rule for everything does not pass by one that speaks of the upstream's name for this place.
            other = first[also]
            if other is not None and other.number < rule.number and not rule.mentions(name):
                rule, name = other, also
        # 2.
        for one, above in first.items():
            if above is not None and above.deny and above.number < rule.number:
                return Ruling(above, one)
        # 3.
        if not rule.lets(name):
            return Ruling(rule, name, other_case=f"{rule.label} matches {name} only in other upper and lower case")
        for place in names.foreign:
            anything = "**" in rule.match and not rule.inside and all(first[one] is rule for one in place)
            if not anything and not any(map(rule.lets_inside, place)):
                what = f"it would be called {quoted(place[0])}, but comes from {name}, and {rule.label} does not allow "
                return Ruling(rule, name, renamed=f"{what}that name: keep its own, or add it to the rule's 'inside'")
        return Ruling(rule, name)


@dataclass(frozen=True, slots=True)
class Ruling:
    """What `Policy.choose` found for an item."""

    rule: Rule | None
    name: str
    """The name by which the rule was found; the item's first name if there is no rule."""
    other_case: str = ""
    """Why the rule lets nothing in that is written so, `""` if it is written as the rule has it."""
    renamed: str = ""
    """Why the item may not have one of its names, `""` if it may have all of them."""
