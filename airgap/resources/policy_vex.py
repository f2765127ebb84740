"""The `findings.vex` of a Policy: whose OpenVEX documents may say that something is not affected."""

from __future__ import annotations

from airgap.content.names import RuleNames
from airgap.content.purl import Purl
from airgap.resources.fields import inline, one_of, spec, spec_map
from airgap.resources.patterns import name_matches
from airgap.resources.policy_names import name_complaint
from airgap.resources.policy_rules import SignedBy, rule_label, rule_names
from airgap.resources.shapes import Choice, Flag, ListOf, Place, Text, named


@spec_map(
    "a map that says whose OpenVEX documents count",
    "Documents by others count for nothing, and the scan says so.",
    one_of=one_of("identities", "keys"),
)
class VexSigner:
    """Somebody who may say that findings do not affect some items."""

    match: tuple[str, ...] = spec(
        rule_names("registry.suse.com/**", name_complaint),
        "The items about which they may speak, by the same names and wildcards as in `spec.rules`, in the same upper "
        "and lower case.",
        default=("**",),
    )
    packages: tuple[str, ...] = spec(
        ListOf(
            Text("a package URL without its version, such as pkg:golang/github.com/acme/*", pattern="^pkg:[^@?#]+$"),
            "a list of package URLs",
            least=1,
        ),
        "The packages about which they may speak, with the wildcards of `match`: findings in others stay. Default: "
        "any. For somebody who answers for a library, and not for the images that contain it.",
        default=(),
    )
    trust_root: str = spec(
        named("the name of one of the trust roots", "spec.trustRoots"),
        "Required with `identities`, as in `require` of a rule.",
        default="",
    )
    log: str = spec(
        Choice(("required", "optional")),
        "Whether a transparency log of the trust root must contain the signature, as in `require` of a rule.",
        default="",
    )
    by: SignedBy = inline(SignedBy)
    impact_statements: bool = spec(
        Flag(),
        "true: `not_affected` also counts with an `impact_statement` alone, which is free text. By default it needs "
        "one of the five justifications.",
        default=False,
    )

    def checked(self, at: Place) -> VexSigner:
        """The signer. Certificates and logs need a trust root."""
        if "trustRoot" not in at.value:
            if "identities" in at.value:
                at.bad("trustRoot is missing, expected the one that issued their certificates", "identities")
            if "log" in at.value:
                at.bad("trustRoot is missing, expected the one that names the logs", "log")
        return self

    def speaks_of(self, names: RuleNames) -> bool:
        """True if they may speak about an item, by each name that selects its rule."""
        return all(any(name_matches(one, name) for one in self.match) for name in names.deciding)

    def speaks_of_package(self, package: Purl | None) -> bool:
        """True if they may speak about a package; about one without a purl only if they may speak about any."""
        if package is None or not self.packages:
            return not self.packages
        name = "/".join(filter(None, (f"pkg:{package.type}", package.namespace, package.name)))
        return any(name_matches(one, name) for one in self.packages)


def vex_label(number: int, signer: VexSigner) -> str:
    """The name of an entry in messages and verdicts; `number` is from 1."""
    return f"findings.vex {rule_label(number, signer.match)}"
