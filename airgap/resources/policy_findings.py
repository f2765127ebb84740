"""The `findings` of a Policy: which findings of scanners block, and what must have been scanned by what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import product

from airgap.content import known_kinds
from airgap.content.scan_finding import FindingKind
from airgap.resources.fields import given, spec, spec_map
from airgap.resources.parts import DATABASE_AGES, DURATION, RULES_AGE
from airgap.resources.patterns import name_covers
from airgap.resources.policy_names import name_complaint
from airgap.resources.policy_rules import KindName, rule_label, rule_names
from airgap.resources.policy_vex import VexSigner
from airgap.resources.problems import quoted
from airgap.resources.shapes import Choice, Flag, ListOf, MapOf, Place, Text

EFFECTS = ("block", "warn", "inform")
"""What a finding does, the strictest first."""
HIGHEST, SCANNER = "highest", "scanner"
"""Words of `severityFrom` that are no sources."""
_EFFECT = Choice(EFFECTS)
_FINDING = Choice(tuple(map(str, FindingKind)))


@spec_map("a map from severities to block, warn or inform", least=1)
class BySeverity:
    """What findings of each severity do; empty: the default of their kind."""

    critical: str = spec(_EFFECT, default="")
    high: str = spec(_EFFECT, default="")
    medium: str = spec(_EFFECT, default="")
    low: str = spec(_EFFECT, default="")
    unknown: str = spec(_EFFECT, "Nobody says how bad it is.", default="")


@spec_map("a map with findings, and with severity, effect or ignoreUnfixed")
class FindingRule:
    """What findings of some kinds do in the items that match."""

    number: int = given("number")
    """From 1, in the order of the file."""
    match: tuple[str, ...] = spec(
        rule_names("ghcr.io/acme/*", name_complaint),
        "The items, by the same names and wildcards as in `spec.rules`. Where only the upper and lower case of a name "
        "differs, the next rule is asked, too, and the stricter one decides.",
        default=("**",),
    )
    kinds: tuple[str, ...] = spec(ListOf(KindName(), "a list of kinds", least=1), "Default: every kind.", default=())
    findings: tuple[str, ...] = spec(
        ListOf(_FINDING, "a list of kinds of finding", least=1, unique=True),
        "The kinds of finding that the rule is about. `coverage` is what a scanner could not read.",
    )
    severity: BySeverity | None = spec(
        BySeverity,
        "What findings of each severity do. A severity that is left out does what it does without the rule: `critical` "
        "blocks, `high` and `unknown` warn, the rest informs; for models and archives `low` informs and the rest "
        "blocks; for secrets and malware everything blocks.",
        default=None,
    )
    effect: str = spec(_EFFECT, "The same for every severity. In place of `severity`.", default="")
    ignore_unfixed: bool = spec(
        Flag(),
        "true: a vulnerability only informs if there is no fixed version and the vendor says `affected`, "
        "`will_not_fix` or `fix_deferred`. With another status (`end_of_life`, `under_investigation`) or none, nobody "
        "says that there is no fix to wait for, and it counts as without this field.",
        default=False,
    )

    @property
    def label(self) -> str:
        """The name of the rule in messages and verdicts."""
        return f"findings {rule_label(self.number, self.match)}"

    def checked(self, at: Place) -> FindingRule:
        """The rule. It says something, and not in two ways."""
        if self.severity is not None and self.effect:
            at.bad("got severity and effect, expected only one of them")
        if not at.value.keys() & {"severity", "effect", "ignoreUnfixed"}:
            at.bad("got none of severity, effect and ignoreUnfixed, expected one of them")
        if self.ignore_unfixed and "vulnerability" not in self.findings:
            at.bad("only findings of the kind vulnerability have fixed versions; remove the field", "ignoreUnfixed")
        return self

    def shadows(self, kind: str, finding: str, pattern: str) -> bool:
        """True if this rule decides about such findings in everything of that kind that `pattern` matches."""
        about = finding in self.findings and (not self.kinds or kind in self.kinds)
        return about and any(name_covers(mine, pattern) for mine in self.match)


_SOURCE = Text("the name of a source, such as debian", pattern=r"^[a-z0-9][a-z0-9._-]{0,99}$")
_REQUIRED: Mapping[str, tuple[str, ...]] = {
    "image": ("vulnerability", "secret"),
    "chart": ("misconfiguration", "secret"),
    "git": ("secret",),
    "file": ("secret",),
    "model": ("model",),
}


@spec_map(
    "a map that says what findings of scanners do",
    "What is in the content, as the scanners of the Station find it: `airgap scan` then requires `--station`. Default: "
    "nothing is scanned.",
)
class Findings:
    """What findings of scanners do. Of the rules for a kind of finding, the first that matches the item decides."""

    rules: tuple[FindingRule, ...] = spec(
        ListOf(FindingRule, "a list of rules"),
        "The first rule that matches an item and has the finding's kind decides. Without one: `critical` "
        "vulnerabilities and misconfigurations block, `high` ones and those of unknown severity warn, the rest "
        "informs; secrets and malware block; models and archives block, unless the severity is `low`.",
        default=(),
    )
    severity_from: tuple[str, ...] = spec(
        ListOf(_SOURCE, "a list of sources", least=1, unique=True),
        "Whose severity counts where sources differ: the first of these that says one other than unknown, such as "
        "`[debian, ghsa, nvd]`. `scanner` is the choice of the scanner itself, for Trivy that of the vendor. If none "
        "says one, the worst that anybody says counts, as with `highest`: nobody who leaves this out lets in what some "
        "source calls critical.",
        default=(HIGHEST,),
    )
    not_run: str = spec(
        Choice(("block", "warn")),
        "What it does that a scanner did not come to its end. What was not scanned is not clean: what is `required` "
        "must have been looked for in any case.",
        default="block",
    )
    coverage: str = spec(
        _EFFECT,
        "What it does that a scanner could not read something: an unknown operating system, an image without packages, "
        "a Java archive without database. A rule for findings of the kind `coverage` says it for single items.",
        default="block",
    )
    database_max_age: timedelta = spec(
        DURATION,
        "How old a scanner's database may be, by its own date, when it is judged. An older one makes the scan not-run "
        "(`database-old`). Default: 7d.",
        default=timedelta(days=7),
    )
    database_max_ages: Mapping[str, timedelta] = spec(DATABASE_AGES, default={})
    partial: bool = spec(
        Flag(),
        "true: what passed may go on without what did not: `airgap scan --promote` writes a lock of it, which names "
        "what stays in quarantine, and needs no waiver for that. Approvers and the Sovereign see what was left out.",
        default=False,
    )
    vex: tuple[VexSigner, ...] = spec(
        ListOf(VexSigner, "a list of signers of OpenVEX documents"),
        "Whose OpenVEX documents (specification 0.2.0) may say `not_affected` of a vulnerability: those that are "
        "attached to images as attestations, and files passed with `--vex`. Default: nobody's.",
        default=(),
    )
    required: Mapping[str, tuple[str, ...]] = spec(
        MapOf(KindName(), ListOf(_FINDING, "a list of kinds of finding", unique=True), "a map from kinds"),
        "For kinds of content, what must have been looked for in each subject, so that a Station without clamd does "
        "not satisfy a policy that demands `malware`. An empty list demands nothing. Default: `image: [vulnerability, "
        "secret]`, `chart: [misconfiguration, secret]`, `git: [secret]`, `file: [secret]`, `model: [model]`; a kind "
        "without an entry needs that at least one kind of finding was looked for. What is in an image and is none "
        "itself, such as an attestation in an index, counts as `file`.",
        default={},
    )

    def checked(self, at: Place) -> Findings:
        """The findings, with the defaults of what people left out. Reports a rule that never decides."""
        if HIGHEST in self.severity_from[:-1]:
            at.bad(f"{HIGHEST!r} never leaves anything to the sources after it; put it last", "severityFrom")
        for count, rule in enumerate(self.rules):
            for index, pattern in enumerate(rule.match):
                other = _shadow(self.rules[:count], rule, pattern)
                if other is not None:
                    what = (
                        f"{quoted(pattern)} never decides: {other.label}, above it, matches everything that it matches"
                    )
                    below = ("match", index) if "match" in at.value["rules"][count] else ()
                    at.bad(f"{what}; put the narrower rule first", "rules", rule.number - 1, *below)
        return self

    @property
    def what_is_required(self) -> Mapping[str, tuple[str, ...]]:
        """`required`, with its defaults."""
        return {**_REQUIRED, **self.required}

    @property
    def max_ages(self) -> Mapping[str, timedelta]:
        """`databaseMaxAges`, with its defaults."""
        return {"trivy-checks": RULES_AGE, **self.database_max_ages}


def _shadow(above: Sequence[FindingRule], rule: FindingRule, pattern: str) -> FindingRule | None:
    asked = list(product(rule.kinds or known_kinds.names(), rule.findings))
    found = [next((one for one in above if one.shadows(*pair, pattern)), None) for pair in asked]
    return None if None in found or not found else found[0]
