"""The rules of a Policy, and the keys and trust roots that they name: the bytes of all files are read here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from airgap.base.digest import Digest
from airgap.base.errors import InputError
from airgap.base.inputs import read_input
from airgap.content import known_kinds
from airgap.resources.fields import given, inline, one_of, spec, spec_map
from airgap.resources.keys import KEY_NAME, public_key_file
from airgap.resources.parts import APPROVER, REASON, RELATIVE, SHA256, TIME, in_order
from airgap.resources.patterns import check_pattern, name_covers, name_matches
from airgap.resources.policy_names import name_complaint
from airgap.resources.problems import quoted
from airgap.resources.shapes import Choice, Flag, ListOf, Place, Text, named

MAX_TRUST_ROOT = 4 << 20
"""Bytes of a trusted_root.json: Sigstore's own has 10 KiB."""


class _KindName:
    """A `Shape`: the name of a kind of content. Which there are is asked for when a schema is made."""

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
        "Of the file. `airgap trust show` prints it; compare it with what others know before you write it here.",
        name="sha256",
    )


@spec_map("a map with the key's name and file")
class PolicyKey:
    """A key of somebody who signs with a key. `pem` is the file's content; times have a zone, `None` binds nothing."""

    name: str = spec(Text("the key's name, such as bank-ci", pattern=KEY_NAME))
    pem: bytes = spec(public_key_file("cosign writes"), name="publicKeyFile")
    not_before: datetime | None = spec(
        TIME,
        "From when on the key counts. What is asked is the time that a transparency log or a timestamp authority "
        "proves; where there is none, today.",
        default=None,
    )
    not_after: datetime | None = spec(
        TIME,
        "Until when the key counts. To go on taking what an old key signed without a proven time, leave it out "
        "and deny what should not count.",
        default=None,
    )

    def checked(self, at: Place) -> PolicyKey:
        """The key, whose times are in order."""
        in_order(at, self.not_before, self.not_after)
        return self


@spec_map("a map with the issuer and an identity", one_of=one_of("identity", "identityPattern"))
class CertificateIdentity:
    """Who may sign with a certificate: an issuer, and an exact identity or an anchored pattern."""

    issuer: str = spec(
        Text("the issuer, such as https://token.actions.githubusercontent.com", least=1),
        "Who vouched for the identity, exactly.",
    )
    identity: str = spec(Text("the identity, exactly", least=1), default="")
    pattern: str = spec(
        Text("a pattern from ^ to $", least=1, complaint=lambda text: check_pattern(text) or ""),
        "A small part of regular expressions: characters, `.`, classes, `(?:…)`, alternatives in groups, repeats.",
        name="identityPattern",
        default="",
    )


@spec_map()
class SignedBy:
    """Whose signature is demanded: either `signers`, or `keys`."""

    signers: tuple[CertificateIdentity, ...] = spec(
        ListOf(CertificateIdentity, "a list of identities", least=1),
        "Who may sign with a certificate; one of them is enough. In an attestation: left out, the rule's.",
        name="identities",
        default=(),
    )
    keys: tuple[PolicyKey, ...] = spec(
        ListOf(named("the name of one of the keys", "spec.keys"), "a list of names of keys", least=1),
        "Whose key may sign; one of them is enough. In an attestation: left out, the rule's.",
        default=(),
    )


@spec_map("a map with the predicate type")
class Attest:
    """An attestation that is demanded. `content` is what is looked for inside: `sbom`, or `""` for nothing."""

    predicate_type: str = spec(
        Text(
            "a predicate type, such as https://spdx.dev/Document",
            pattern=r"^[A-Za-z][A-Za-z0-9+.-]*:\S+$",
            most=500,
        )
    )
    content: str = spec(
        Choice(("sbom",)),
        "What is looked for inside: a real list of packages that describes this artifact. "
        "Left out: it only must be signed.",
        default="",
    )
    by: SignedBy = inline(SignedBy)

    def checked(self, at: Place) -> Attest:
        """The attestation, which is there once."""
        if "identities" in at.value and "keys" in at.value:
            at.bad("got identities and keys, expected only one of them")
        at.once(self.predicate_type, quoted(self.predicate_type), "predicateType")
        return self


@spec_map(
    "a map that says whose signature must be there",
    "For images and charts, which registries keep signatures of. Anything else fails here.",
    one_of=one_of("identities", "keys"),
)
class Require:
    """What a rule demands of each of the `subjects` (`root` or `all`)."""

    subjects: str = spec(
        Choice(("root", "all")),
        "What must be signed: the index or manifest that the lock names, or every manifest in it that is carried, too.",
        default="root",
    )
    trust_root: str = spec(
        named("the name of one of the trust roots", "spec.trustRoots"),
        "Needed beside `identities`. Beside `keys` it is what log entries that came along are verified with; "
        "without it they are not looked at.",
        default="",
    )
    log: str = spec(
        Choice(("required", "optional")),
        "Whether a transparency log of the trust root must have the signature. Left out: required beside "
        "`identities` where the trust root names logs, and optional beside `keys`. With `optional`, a "
        "signature by a certificate needs a time stamp of an authority that the trust root names. An entry "
        "that came along must hold in any case.",
        default="",
    )
    """`required` or `optional`; empty: required of certificates where the root names logs."""
    by: SignedBy = inline(SignedBy)
    attestations: tuple[Attest, ...] = spec(
        ListOf(Attest, "a list of attestations"), "Each must be there, and be about this very digest.", default=()
    )

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


@spec_map(
    "a map with approver, reason and expires",
    "Passes without a signature: somebody answers for the digest that stands in the lock.",
)
class DigestOnly:
    """Passes without a signature, until `expires`."""

    approver: str = spec(APPROVER)
    reason: str = spec(REASON)
    expires: datetime = spec(TIME)
    local: bool = spec(
        Flag(),
        "true: also what lies on the machine that locks, whose name only the request gives: `oci:`, "
        "`oci-archive:`, `docker-daemon:`, `directory:`, `file:`, Git by a path. Left out, that fails here.",
        default=False,
    )
    """True where it also holds for what lies on the machine that locks: only the request gives that its name."""

    def expired(self, at: datetime) -> bool:
        """True when it does not hold any more at that time."""
        return at >= self.expires


@spec_map("a map with the reason")
class _Denied:
    reason: str = spec(replace(REASON, title="why it is denied"))

    def checked(self, at: Place) -> str:
        """The reason."""
        return self.reason


@spec_map("a map with match and one of require, digestOnly and deny", one_of=one_of("require", "digestOnly", "deny"))
class Rule:
    """What holds for the items that match. One of `require`, `digest_only` and `deny` is set."""

    number: int = given("number")
    """From 1, in the order of the file."""
    match: tuple[str, ...] = spec(
        ListOf(
            Text("a name, such as ghcr.io/acme/*", least=1, most=300, complaint=name_complaint),
            "a list of names",
            least=1,
        ),
        "Where the item comes from, without scheme, tag and digest: `ghcr.io/acme/app`, "
        "`huggingface.co/BAAI/bge-m3`, `git.example.org/acme/app`. `*` stands for anything within a segment, "
        "`**` for anything at all. Hosts are in lower case. What is read on the machine that locks goes by its "
        "name in the lock. A rule that denies does not ask about upper and lower case.",
    )
    kinds: tuple[str, ...] = spec(ListOf(_KindName(), "a list of kinds", least=1), "Left out: every kind.", default=())
    require: Require | None = spec(Require, default=None)
    digest_only: DigestOnly | None = spec(DigestOnly, default=None)
    deny: str = spec(_Denied, default="")
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
