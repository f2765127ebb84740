"""The rules of a Policy, and the keys and trust roots that they name. The bytes of all these files are read here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from airgap.base.digest import Digest
from airgap.base.errors import InputError
from airgap.base.inputs import read_input
from airgap.content import known_kinds
from airgap.resources.fields import given, inline, one_of, spec, spec_map
from airgap.resources.keys import KEY_NAME, key_kind, public_key_file
from airgap.resources.parts import APPROVER, REASON, RELATIVE, SHA256, TIME, in_order
from airgap.resources.patterns import name_covers, name_matches
from airgap.resources.policy_names import name_complaint, place_complaint
from airgap.resources.problems import quoted
from airgap.resources.reach import check_reach
from airgap.resources.shapes import Choice, Flag, ListOf, Place, Text, named

MAX_TRUST_ROOT = 4 << 20
"""Bytes of a trusted_root.json: Sigstore's own has 10 KiB."""


class KindName:
    """A `Shape`: the name of a kind of content. The table of kinds is read when a schema is made."""

    def schema(self, doc: str = "") -> dict[str, Any]:
        """The JSON Schema."""
        return Choice(known_kinds.names(), doc).schema()

    def read(self, at: Place) -> Any:
        """The name."""
        return at.value


def _root_file(at: Place) -> bytes:
    try:
        return read_input(at.reader.path(at.steps, at.value), MAX_TRUST_ROOT, "bad-trust-root")
    except InputError as error:
        at.bad(error.what)
        return b""


@spec_map("a map with the trust root's name, file and sha256")
class RootFile:
    """A trust root: its bytes, and the digest that they must have."""

    name: str = spec(Text("the trust root's name", pattern=KEY_NAME))
    data: bytes = spec(Text("the path of a trusted_root.json", least=1, reads=_root_file), RELATIVE, name="file")
    digest: Digest = spec(
        replace(SHA256, reads=lambda at: Digest(f"sha256:{at.value}")),
        "sha256 of the file, as `airgap trust show` prints it. Compare it with a second source before you write it "
        "here.",
        name="sha256",
    )


@spec_map("a map with the key's name and file")
class PolicyKey:
    """A key that signs without a certificate. `pem` is the file's content. Times have a zone; `None` sets no limit."""

    name: str = spec(Text("the key's name, such as bank-ci", pattern=KEY_NAME))
    pem: bytes = spec(public_key_file("cosign writes"), name="publicKeyFile")
    not_before: datetime | None = spec(
        TIME,
        "The key counts from this time on. The time of a signature is the one that a transparency log or a timestamp "
        "authority proves; without a proof it is today.",
        default=None,
    )
    not_after: datetime | None = spec(
        TIME,
        "The key counts until this time. To keep accepting what an old key signed without a proven time, omit this "
        "field and deny what should not count.",
        default=None,
    )

    hash_algorithm: str = spec(
        Choice(("sha256", "sha384", "sha512")),
        "The hash with which the key signs, as in `cosign verify --signature-digest-algorithm` and in a "
        "ClusterImagePolicy. Default: sha256, for keys of every size. An Ed25519 key has no choice.",
        default="sha256",
    )
    rsa_padding: str = spec(
        Choice(("pkcs1v15", "pss")),
        "The padding of the signatures of an RSA key. Default: pkcs1v15, which cosign uses.",
        default="pkcs1v15",
    )

    def checked(self, at: Place) -> PolicyKey:
        """The key. Checks the order of its times, and that its algorithm is one that its kind has."""
        in_order(at, self.not_before, self.not_after)
        kind = key_kind(self.pem) if at.value.keys() & {"hashAlgorithm", "rsaPadding"} else ""
        if "hashAlgorithm" in at.value and kind == "Ed25519":
            at.bad("an Ed25519 key has no choice of hash algorithm; remove the field", "hashAlgorithm")
        if "rsaPadding" in at.value and kind not in ("", "RSA"):
            at.bad(f"only RSA keys have a padding, and this key is {kind}; remove the field", "rsaPadding")
        return self


_PATTERN = Text("a pattern from ^ to $", least=1, complaint=lambda text: check_reach(text) or "")


@spec_map("a map with the issuer and an identity", one_of=one_of("identity", "identityPattern"))
class CertificateIdentity:
    """Who may sign with a certificate: issuer and identity, each exact or an anchored pattern."""

    issuer: str = spec(
        Text("the issuer, such as https://token.actions.githubusercontent.com", least=1),
        "The exact name of the authority that vouches for the identity. Required, unless there is `issuerPattern`.",
        default="",
    )
    issuer_pattern: str = spec(
        _PATTERN,
        "Issuers, as a pattern like `identityPattern`. Every issuer that it matches is trusted to vouch for the "
        "identity.",
        default="",
    )
    identity: str = spec(Text("the exact identity", least=1), default="")
    pattern: str = spec(
        _PATTERN,
        "A small part of regular expressions: characters, classes, `(?:…)`, alternatives in groups, repetitions. "
        "A pattern that everybody at a host could match is refused: a URL is fixed up to the account and its `/`, an "
        "address from its beginning, and in its domain. Write `\\.` for a dot.",
        name="identityPattern",
        default="",
    )

    def checked(self, at: Place) -> CertificateIdentity:
        """The identity. Reports an issuer that is missing, or there twice."""
        if not self.issuer and not self.issuer_pattern:
            at.bad("got none of issuer and issuerPattern, expected one of them")
        if self.issuer and self.issuer_pattern:
            at.bad("got issuer and issuerPattern, expected only one of them")
        return self


@spec_map()
class SignedBy:
    """Whose signature is required: either `signers` or `keys`."""

    signers: tuple[CertificateIdentity, ...] = spec(
        ListOf(CertificateIdentity, "a list of identities", least=1),
        "Who may sign with a certificate. One of them is enough. An attestation uses those of the rule by default.",
        name="identities",
        default=(),
    )
    keys: tuple[PolicyKey, ...] = spec(
        ListOf(named("the name of one of the keys", "spec.keys"), "a list of names of keys", least=1),
        "Keys that may sign. One of them is enough. An attestation uses those of the rule by default.",
        default=(),
    )


@spec_map("a map with the predicate type")
class Attest:
    """A required attestation. `content` says what it must contain: `sbom`, or `""` for anything."""

    predicate_type: str = spec(
        Text(
            "a predicate type, such as https://spdx.dev/Document",
            pattern=r"^[A-Za-z][A-Za-z0-9+.-]*:\S+$",
            most=500,
        )
    )
    content: str = spec(
        Choice(("sbom",)),
        "What the attestation must contain: `sbom` is a real list of packages that describes this artifact. "
        "Default: it must be signed, whatever it contains.",
        default="",
    )
    by: SignedBy = inline(SignedBy)

    def checked(self, at: Place) -> Attest:
        """The attestation. Reports a second one with the same predicate type."""
        if "identities" in at.value and "keys" in at.value:
            at.bad("got identities and keys, expected only one of them")
        at.once(self.predicate_type, quoted(self.predicate_type), "predicateType")
        return self


@spec_map(
    "a map that says whose signature is required",
    "For images and charts, because registries keep signatures of these only. Items of other kinds fail.",
    one_of=one_of("identities", "keys"),
)
class Require:
    """What a rule requires for each of the `subjects` (`root` or `all`)."""

    signature: str = spec(
        Choice(("required", "none")),
        "Whether a signature must be there. With `none`, the attestations are enough, as in images of GitHub's attest "
        "action: each says by whom the digest was made. At least one attestation must then be required.",
        default="required",
    )
    subjects: str = spec(
        Choice(("root", "all")),
        "What must be signed: only the index or manifest that the lock names (`root`), or also every carried manifest "
        "in it (`all`).",
        default="root",
    )
    trust_root: str = spec(
        named("the name of one of the trust roots", "spec.trustRoots"),
        "Required with `identities`. With `keys`, it verifies the log entries that are included with a signature; "
        "without it they are ignored.",
        default="",
    )
    log: str = spec(
        Choice(("required", "optional")),
        "Whether a transparency log of the trust root must contain the signature. Default: required with `identities` "
        "if the trust root names logs, and optional with `keys`. With `optional`, a signature by a certificate needs "
        "a timestamp from an authority that the trust root names. A log entry that is included with the signature "
        "must be valid in any case.",
        default="",
    )
    """`required` or `optional`. Empty: required for certificates if the trust root names logs."""
    by: SignedBy = inline(SignedBy)
    attestations: tuple[Attest, ...] = spec(
        ListOf(Attest, "a list of attestations"), "Each is required, and must be about exactly this digest.", default=()
    )

    @property
    def signed(self) -> bool:
        """True if a signature must be there, not only attestations."""
        return self.signature == "required"

    def checked(self, at: Place) -> Require:
        """Copies the rule's signers to attestations that name none. Certificates and logs need a trust root."""
        if not self.signed and not self.attestations:
            at.bad("got none, but no attestation is required either; add one to attestations", "signature")
        root = at.value.get("trustRoot", "")
        given = at.value.get("attestations", ())
        if not root:
            words = "trustRoot is missing, expected the one that issued their certificates"
            if "identities" in at.value:
                at.bad(words, "identities")
            for index, entry in enumerate(given):
                if "identities" in entry:
                    at.bad(words, "attestations", index, "identities")
            if "log" in at.value:
                at.bad("trustRoot is missing, expected the one that names the logs", "log")
        attestations = tuple(
            one if "identities" in entry or "keys" in entry else replace(one, by=self.by)
            for one, entry in zip(self.attestations, given, strict=True)
        )
        return replace(self, trust_root=root, attestations=attestations)


@spec_map(
    "a map with approver, reason and expires",
    "Lets items pass without a signature: the approver is responsible for the digest in the lock.",
)
class DigestOnly:
    """Lets items pass without a signature, until `expires`."""

    approver: str = spec(APPROVER)
    reason: str = spec(REASON)
    expires: datetime = spec(TIME)
    local: bool = spec(
        Flag(),
        "true: the rule also lets items pass that `airgap lock` reads from its own machine: `oci:`, `oci-archive:`, "
        "`docker-daemon:`, `directory:`, `file:`, Git by a path. Only the request claims their names. "
        "By default they fail.",
        default=False,
    )
    """True if the rule also applies to items read from the machine that locks. Only the request claims their names."""

    def expired(self, at: datetime) -> bool:
        """True if the permission is no longer valid at that time."""
        return at >= self.expires


@spec_map("a map with the reason")
class _Denied:
    reason: str = spec(replace(REASON, title="the reason for denying it"))

    def checked(self, at: Place) -> str:
        """The reason."""
        return self.reason


def rule_names(example: str, complaint: Callable[[str], str]) -> ListOf:
    """A list of names as rules have them in `match`."""
    return ListOf(
        Text(f"a name, such as {example}", least=1, most=300, complaint=complaint), "a list of names", least=1
    )


def rule_label(number: int, match: Sequence[str]) -> str:
    """The name of a rule in messages and verdicts: `rule 2 (ghcr.io/acme/* and 1 more)`."""
    more = f" and {len(match) - 1} more" if len(match) > 1 else ""
    return f"rule {number} ({match[0]}{more})"


@spec_map("a map with match and one of require, digestOnly and deny", one_of=one_of("require", "digestOnly", "deny"))
class Rule:
    """What applies to the items that match. One of `require`, `digest_only` and `deny` is set."""

    number: int = given("number")
    """From 1, in the order of the file."""
    match: tuple[str, ...] = spec(
        rule_names("ghcr.io/acme/*", name_complaint),
        "Where the item comes from, without scheme, tag and digest: `ghcr.io/acme/app`, "
        "`huggingface.co/BAAI/bge-m3`, `git.example.org/acme/app`. `*` matches anything within a segment, `**` matches "
        "anything. Hosts are in lower case. Items read from the machine that locks are matched by the names that they "
        "get inside: a name in the lock, the path of a file. A rule with `deny` also matches what an item "
        "becomes, if it stands above the rule that matches where the item comes from. The first rule that matches in "
        "upper or lower case decides, and lets in nothing that differs in case.",
    )
    inside: tuple[str, ...] = spec(
        rule_names("BAAI/*", place_complaint),
        "Other names that these items may get inside: `BAAI/bge-m3` for a model, `k3s/**` for the paths of files, "
        "`registry.local/team/app` for an image or a chart whose name in the lock is such a name. Default: none, so "
        "that an item keeps the name that it has upstream (of a file: host and path); in a rule for `**`, any name "
        "about which no earlier rule speaks.",
        default=(),
    )
    kinds: tuple[str, ...] = spec(ListOf(KindName(), "a list of kinds", least=1), "Default: every kind.", default=())
    require: Require | None = spec(Require, default=None)
    digest_only: DigestOnly | None = spec(DigestOnly, default=None)
    deny: str = spec(_Denied, default="")
    """The reason for denying it."""

    @property
    def label(self) -> str:
        """The name of the rule in messages and verdicts."""
        return rule_label(self.number, self.match)

    def checked(self, at: Place) -> Rule:
        """The rule. `deny` needs no `inside`: its `match` is about both names."""
        if "deny" in at.value and "inside" in at.value:
            at.bad("a rule with 'deny' matches by both names; write the name in 'match'", "inside")
        return self

    def speaks_of(self, kind: str, name: str) -> bool:
        """True if the rule decides about an item of that kind and name (without scheme, tag and digest).

        Upper and lower case are ignored, because many hosts do so, too: `lets` compares the case.
        """
        return self._for(kind) and any(name_matches(one.casefold(), name.casefold()) for one in self.match)

    def lets(self, name: str) -> bool:
        """True if the rule matches the name as it is written."""
        return any(name_matches(pattern, name) for pattern in self.match)

    def mentions(self, name: str) -> bool:
        """True if the rule matches the name by more than `**`."""
        return any(name_matches(pattern.casefold(), name.casefold()) for pattern in self.match if pattern != "**")

    def lets_inside(self, name: str) -> bool:
        """True if items of the rule may get this name although they have another upstream."""
        return any(name_matches(pattern, name) for pattern in self.inside)

    def shadows(self, kind: str, pattern: str) -> bool:
        """True if this rule decides about everything of that kind that `pattern` matches."""
        return self._for(kind) and any(name_covers(mine.casefold(), pattern.casefold()) for mine in self.match)

    def _for(self, kind: str) -> bool:
        return not self.kinds or kind in self.kinds


def shadow(above: Sequence[Rule], kinds: Sequence[str], pattern: str) -> Rule | None:
    """The rule in `above` that keeps `pattern` from ever deciding about `kinds` (empty: all kinds), or `None`."""
    asked = kinds or known_kinds.names()
    found = [next((rule for rule in above if rule.shadows(kind, pattern)), None) for kind in asked]
    return None if None in found else found[0]
