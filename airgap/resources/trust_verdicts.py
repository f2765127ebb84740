"""The `verdicts` of a Trust resource: what a Sovereign asks of verdicts, besides that a trusted station signed them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airgap.content.scan_finding import FindingKind, ScanFinding, Severity
from airgap.resources.fields import spec, spec_map
from airgap.resources.parts import DATABASE_AGES, DURATION, RULES_AGE
from airgap.resources.policy_rules import KindName
from airgap.resources.shapes import Choice, Flag, ListOf, MapOf

_FINDING = Choice(tuple(map(str, FindingKind)))


@spec_map(
    "a map with limits for verdicts",
    "What this Sovereign asks of the verdicts of new deliveries, whatever the station's policy said. It judges the "
    "scan results that the delivery carries. Default: a verdict must let everything pass, and that is enough.",
    least=1,
)
class VerdictLimits:
    """Limits for verdicts of new deliveries."""

    max_age: timedelta | None = spec(
        DURATION,
        "How long ago a verdict may have been signed. An older one refuses the delivery (`verdict-old`).",
        default=None,
    )
    database_max_age: timedelta | None = spec(
        DURATION,
        "How old a scanner's database may have been when the verdict was signed, by its own date (`database-old`).",
        default=None,
    )
    database_max_ages: Mapping[str, timedelta] = spec(DATABASE_AGES, default={})
    required: Mapping[str, tuple[str, ...]] = spec(
        MapOf(KindName(), ListOf(_FINDING, "a list of kinds of finding", least=1, unique=True), "a map from kinds"),
        "For kinds of content, what scanners must have looked for in each subject (`not-scanned`); what is in an image "
        "and is none itself counts as `file`.",
        default={},
    )
    blocks: Mapping[str, str] = spec(
        MapOf(_FINDING, Choice(tuple(map(str, Severity))), "a map from kinds of finding to severities"),
        "For kinds of finding, the least severity that may not come in (`finding-blocks`), unless a waiver that the "
        "verdict names lifts it, or a VEX document where the station's policy blocks it, too; `unknown` for all. The "
        "severity is by the sources of the station's policy.",
        default={},
    )
    ignore_unfixed: bool = spec(
        Flag(),
        "true: `blocks` says nothing of vulnerabilities without a fixed version of which the vendor says `affected`, "
        "`will_not_fix` or `fix_deferred`.",
        default=False,
    )
    partial: bool | None = spec(
        Flag(),
        "false: the station's policy alone may leave nothing out (`airgap scan --promote`): each item in quarantine "
        "needs a waiver of its finding in the delivery (`finding-not-waived`).",
        default=None,
    )

    def as_dict(self) -> dict[str, Any]:
        """What was written, as it is compared and approved; ages are in seconds."""
        ages = {"maxAge": self.max_age, "databaseMaxAge": self.database_max_age}
        made: dict[str, Any] = {name: int(age.total_seconds()) for name, age in ages.items() if age}
        made["databaseMaxAges"] = {name: int(age.total_seconds()) for name, age in self.database_max_ages.items()}
        made["required"] = {kind: sorted(found) for kind, found in self.required.items()}
        made["blocks"] = dict(self.blocks)
        made["ignoreUnfixed"] = self.ignore_unfixed
        kept = {name: value for name, value in made.items() if value}
        return kept if self.partial is None else kept | {"partial": self.partial}

    @property
    def scanned(self) -> bool:
        """True if a verdict without scans is not enough."""
        return bool(self.required or self.blocks or self.database_max_age or self.database_max_ages)

    def max_age_of(self, database: str) -> timedelta | None:
        """How old this database may have been, `None` for no limit."""
        default = {} if self.database_max_age is None else {"trivy-checks": RULES_AGE}
        return {**default, **self.database_max_ages}.get(database, self.database_max_age)

    def forbids(self, finding: ScanFinding, severity: Severity) -> bool:
        """True if a finding of this severity may not come in."""
        least = self.blocks.get(finding.kind)
        if least is None or (self.ignore_unfixed and finding.kind is FindingKind.VULNERABILITY and finding.unfixed):
            return False
        return severity.rank <= Severity(least).rank
