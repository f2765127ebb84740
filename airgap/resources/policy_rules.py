"""The rules of a Policy, and the keys and trust roots that they name: the bytes of all files are read here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, ClassVar

from airgap.base.digest import Digest
from airgap.base.errors import InputError
from airgap.base.inputs import read_input
from airgap.content import known_kinds
from airgap.resources.fields import (
    Choice,
    Flag,
    ListOf,
    Map,
    Place,
    Text,
    given,
    inline,
    named,
    one_of,
    spec_field,
)
from airgap.resources.keys import KEY_NAME, public_key_file
from airgap.resources.parts import APPROVER, REASON, RELATIVE, SHA256, TIME, in_order
from airgap.resources.patterns import check_pattern, name_covers, name_matches
from airgap.resources.policy_names import name_complaint
from airgap.resources.problems import quoted

MAX_TRUST_ROOT = 4 << 20
"""Bytes of a trusted_root.json: Sigstore's own has 10 KiB."""


class _KindName:
    """A `Shape`: the name of a kind of content. Which there are is asked for when a schema is made."""

    def schema(self) -> dict[str, Any]:
        """The JSON Schema."""
        return Choice(known_kinds.names()).schema()

    def read(self, at: Place) -> Any:
        """The name."""
        return at.value


def _root_file(at: Place) -> bytes:
    try:
        return read_input(at.reader.path(at.steps, at.value), MAX_TRUST_ROOT, "bad-trust-root")
    except InputError as error:
        at.bad(error.what)
        return b""


@dataclass(frozen=True, slots=True)
class RootFile:
    """A trust root: its bytes, and the digest that they must have."""

    spec: ClassVar = Map("a map with the trust root's name, file and sha256", order=("name", "data", "digest"))
    name: str = field(metadata=spec_field("name", Text("the trust root's name", pattern=KEY_NAME)))
    digest: Digest = field(
        metadata=spec_field(
            "sha256",
            replace(SHA256, reads=lambda at: Digest(f"sha256:{at.value}")),
            "Of the file. `airgap trust show` prints it; compare it with what others know before you write it here.",
        )
    )
    data: bytes = field(
        metadata=spec_field("file", Text("the path of a trusted_root.json", RELATIVE, least=1, reads=_root_file))
    )


@dataclass(frozen=True, slots=True)
class PolicyKey:
    """A key of somebody who signs with a key. `pem` is the file's content; times have a zone, `None` binds nothing."""

    spec: ClassVar = Map("a map with the key's name and file")
    name: str = field(metadata=spec_field("name", Text("the key's name, such as bank-ci", pattern=KEY_NAME)))
    pem: bytes = field(metadata=spec_field("publicKeyFile", public_key_file("cosign writes")))
    not_before: datetime | None = field(
        default=None,
        metadata=spec_field(
            "notBefore",
            TIME,
            "From when on the key counts. What is asked is the time that a transparency log or a timestamp authority "
            "proves; where there is none, today.",
        ),
    )
    not_after: datetime | None = field(
        default=None,
        metadata=spec_field(
            "notAfter",
            TIME,
            "Until when the key counts. To go on taking what an old key signed without a proven time, leave it out "
            "and deny what should not count.",
        ),
    )

    def checked(self, at: Place) -> PolicyKey:
        """The key, whose times are in order."""
        in_order(at, self.not_before, self.not_after)
        return self


@dataclass(frozen=True, slots=True)
class CertificateIdentity:
    """Who may sign with a certificate: an issuer, and an exact identity or an anchored pattern."""

    spec: ClassVar = Map("a map with the issuer and an identity", one_of=one_of("identity", "identityPattern"))
    issuer: str = field(
        metadata=spec_field(
            "issuer",
            Text(
                "the issuer, such as https://token.actions.githubusercontent.com",
                "Who vouched for the identity, exactly.",
                least=1,
            ),
        )
    )
    identity: str = field(default="", metadata=spec_field("identity", Text("the identity, exactly", least=1)))
    pattern: str = field(
        default="",
        metadata=spec_field(
            "identityPattern",
            Text(
                "a pattern from ^ to $",
                "A small part of regular expressions: characters, `.`, classes, `(?:…)`, alternatives in groups, "
                "repeats.",
                least=1,
                complaint=lambda text: check_pattern(text) or "",
            ),
        ),
    )


@dataclass(frozen=True, slots=True)
class SignedBy:
    """Whose signature is demanded: either `signers`, or `keys`."""

    spec: ClassVar = Map("")
    signers: tuple[CertificateIdentity, ...] = field(
        default=(),
        metadata=spec_field(
            "identities",
            ListOf(
                CertificateIdentity,
                "a list of identities",
                "Who may sign with a certificate; one of them is enough. In an attestation: left out, the rule's.",
                least=1,
            ),
        ),
    )
    keys: tuple[PolicyKey, ...] = field(
        default=(),
        metadata=spec_field(
            "keys",
            ListOf(
                named("the name of one of the keys", "spec.keys"),
                "a list of names of keys",
                "Whose key may sign; one of them is enough. In an attestation: left out, the rule's.",
                least=1,
            ),
        ),
    )


@dataclass(frozen=True, slots=True)
class Attest:
    """An attestation that is demanded. `content` is what is looked for inside: `sbom`, or `""` for nothing."""

    spec: ClassVar = Map("a map with the predicate type", order=("predicate_type", "content", "by"))
    predicate_type: str = field(
        metadata=spec_field(
            "predicateType",
            Text(
                "a predicate type, such as https://spdx.dev/Document",
                pattern=r"^[A-Za-z][A-Za-z0-9+.-]*:\S+$",
                most=500,
            ),
        )
    )
    by: SignedBy = field(metadata=inline(SignedBy))
    content: str = field(
        default="",
        metadata=spec_field(
            "content",
            Choice(
                ("sbom",),
                "What is looked for inside: a real list of packages that describes this artifact. "
                "Left out: it only must be signed.",
            ),
        ),
    )

    def checked(self, at: Place) -> Attest:
        """The attestation, which is there once."""
        if "identities" in at.value and "keys" in at.value:
            at.bad("got identities and keys, expected only one of them")
        at.once(self.predicate_type, quoted(self.predicate_type), "predicateType")
        return self


@dataclass(frozen=True, slots=True)
class Require:
    """What a rule demands of each of the `subjects` (`root` or `all`)."""

    spec: ClassVar = Map(
        "a map that says whose signature must be there",
        "For images and charts, which registries keep signatures of. Anything else fails here.",
        one_of=one_of("identities", "keys"),
        order=("subjects", "trust_root", "log", "by", "attestations"),
    )
    by: SignedBy = field(metadata=inline(SignedBy))
    subjects: str = field(
        default="root",
        metadata=spec_field(
            "subjects",
            Choice(
                ("root", "all"),
                "What must be signed: the index or manifest that the lock names, or every manifest in it that is "
                "carried, too.",
            ),
        ),
    )
    trust_root: str = field(
        default="",
        metadata=spec_field(
            "trustRoot",
            named(
                "the name of one of the trust roots",
                "spec.trustRoots",
                "Needed beside `identities`. Beside `keys` it is what log entries that came along are verified with; "
                "without it they are not looked at.",
            ),
        ),
    )
    attestations: tuple[Attest, ...] = field(
        default=(),
        metadata=spec_field(
            "attestations",
            ListOf(Attest, "a list of attestations", "Each must be there, and be about this very digest."),
        ),
    )
    log: str = field(
        default="",
        metadata=spec_field(
            "log",
            Choice(
                ("required", "optional"),
                "Whether a transparency log of the trust root must have the signature. Left out: required beside "
                "`identities` where the trust root names logs, and optional beside `keys`. With `optional`, a "
                "signature by a certificate needs a time stamp of an authority that the trust root names. An entry "
                "that came along must hold in any case.",
            ),
        ),
    )
    """`required` or `optional`; empty: required of certificates where the root names logs."""

    def checked(self, at: Place) -> Require:
        """With the rule's signers in attestations that name none. Certificates and logs need a trust root."""
        root = at.value.get("trustRoot", "")
        given = at.value.get("attestations", ())
        if not root:
            words = "got no trustRoot beside it, expected the one that issued them"
            if "identities" in at.value:
                at.bad(words, "identities")
            for index, entry in enumerate(given):
                if "identities" in entry:
                    at.bad(words, "attestations", index, "identities")
            if "log" in at.value:
                at.bad("got no trustRoot beside it, expected the one that names logs", "log")
        attestations = tuple(
            one if "identities" in entry or "keys" in entry else replace(one, by=self.by)
            for one, entry in zip(self.attestations, given, strict=True)
        )
        return replace(self, trust_root=root, attestations=attestations)


@dataclass(frozen=True, slots=True)
class DigestOnly:
    """Passes without a signature, until `expires`."""

    spec: ClassVar = Map(
        "a map with approver, reason and expires",
        "Passes without a signature: somebody answers for the digest that stands in the lock.",
    )
    approver: str = field(metadata=spec_field("approver", APPROVER))
    reason: str = field(metadata=spec_field("reason", REASON))
    expires: datetime = field(metadata=spec_field("expires", TIME))
    local: bool = field(
        default=False,
        metadata=spec_field(
            "local",
            Flag(
                "true: also what lies on the machine that locks, whose name only the request gives: `oci:`, "
                "`oci-archive:`, `docker-daemon:`, `directory:`, `file:`, Git by a path. Left out, that fails here."
            ),
        ),
    )
    """True where it also holds for what lies on the machine that locks: only the request gives that its name."""

    def expired(self, at: datetime) -> bool:
        """True when it does not hold any more at that time."""
        return at >= self.expires


@dataclass(frozen=True, slots=True)
class _Denied:
    spec: ClassVar = Map("a map with the reason")
    reason: str = field(metadata=spec_field("reason", replace(REASON, title="why it is denied")))

    def checked(self, at: Place) -> str:
        """The reason."""
        return self.reason


@dataclass(frozen=True, slots=True)
class Rule:
    """What holds for the items that match. One of `require`, `digest_only` and `deny` is set."""

    spec: ClassVar = Map(
        "a map with match and one of require, digestOnly and deny", one_of=one_of("require", "digestOnly", "deny")
    )
    number: int = field(metadata=given("number"))
    """From 1, in the order of the file."""
    match: tuple[str, ...] = field(
        metadata=spec_field(
            "match",
            ListOf(
                Text("a name, such as ghcr.io/acme/*", least=1, most=300, complaint=name_complaint),
                "a list of names",
                "Where the item comes from, without scheme, tag and digest: `ghcr.io/acme/app`, "
                "`huggingface.co/BAAI/bge-m3`, `git.example.org/acme/app`. `*` stands for anything within a segment, "
                "`**` for anything at all. Hosts are in lower case. What is read on the machine that locks goes by its "
                "name in the lock. A rule that denies does not ask about upper and lower case.",
                least=1,
            ),
        )
    )
    kinds: tuple[str, ...] = field(
        default=(),
        metadata=spec_field("kinds", ListOf(_KindName(), "a list of kinds", "Left out: every kind.", least=1)),
    )
    require: Require | None = field(default=None, metadata=spec_field("require", Require))
    digest_only: DigestOnly | None = field(default=None, metadata=spec_field("digestOnly", DigestOnly))
    deny: str = field(default="", metadata=spec_field("deny", _Denied))
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


def shadow(above: Sequence[Rule], kinds: Sequence[str], pattern: str) -> Rule | None:
    """The rule because of which `pattern` never decides anything of `kinds` (none: all) below `above`, if so."""
    asked = kinds or known_kinds.names()
    found = [next((rule for rule in above if rule.shadows(kind, pattern)), None) for kind in asked]
    return None if None in found else found[0]
