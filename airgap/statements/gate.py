"""The gate of a verdict: what its policy says about findings, in the few fields by which others can ask again.

It decides about single findings (`decide`): for the judge, and for whoever reads a verdict without the policy's file.
Format: docs/format.md, "Statements".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any, ClassVar

from airgap.base.json_fields import Fields
from airgap.content.names import RuleNames
from airgap.content.scan_finding import FindingKind, ScanFinding, Severity, read_kinds
from airgap.resources.patterns import name_matches
from airgap.resources.policy_findings import HIGHEST, SCANNER, FindingRule, Findings

MAX_NAME = 500
"""Characters of a name in a gate."""
MAX_AGE = 100 * 366 * 24 * 3600
"""Seconds of an age: longer than anybody keeps anything."""
_FLAWS = {"critical": "block", "high": "warn", "medium": "inform", "low": "inform", "unknown": "warn"}
_ALL = dict.fromkeys(map(str, Severity), "block")
_DEFAULTS: Mapping[FindingKind, Mapping[str, str]] = {
    FindingKind.VULNERABILITY: _FLAWS,
    FindingKind.MISCONFIGURATION: _FLAWS,
    FindingKind.SECRET: _ALL,
    FindingKind.MALWARE: _ALL,
    FindingKind.MODEL: _ALL | {"low": "inform"},
    FindingKind.ARCHIVE: _ALL | {"low": "inform"},
}
"""What findings do by default (docs/reference/resources.md, "Policy"). `coverage` has a field of its own."""


class Effect(StrEnum):
    """What a finding does, the strictest first."""

    BLOCK = "block"
    WARN = "warn"
    INFORM = "inform"

    @property
    def rank(self) -> int:
        """0 for the strictest."""
        return list(Effect).index(self)


@dataclass(frozen=True, slots=True)
class GateRule:
    """What findings of some kinds do in the items that match."""

    label: str
    """Its name in checks and messages: `findings rule 1 (ghcr.io/acme/*)`."""
    match: tuple[str, ...]
    """Patterns for the names of items, as in the rules of a policy."""
    kinds: tuple[str, ...]
    """Kinds of content; empty for every kind."""
    findings: frozenset[FindingKind]
    severity: Mapping[Severity, Effect] = field(hash=False)
    """The effect of each severity."""
    ignore_unfixed: bool = False
    """True: what the vendor says has no fix only informs."""

    FIELDS: ClassVar[frozenset[str]] = frozenset({"label", "match", "kinds", "findings", "severity", "ignoreUnfixed"})

    def speaks_of(self, kind: str, name: str) -> bool:
        """True if it decides about an item of that kind and name, in upper or lower case."""
        return (not self.kinds or kind in self.kinds) and any(
            name_matches(one.casefold(), name.casefold()) for one in self.match
        )

    def writes(self, name: str) -> bool:
        """True if it matches the name as it is written."""
        return any(name_matches(one, name) for one in self.match)

    def effect(self, finding: ScanFinding, severity: Severity) -> Effect:
        """What a finding of this severity does."""
        return Effect.INFORM if self.ignore_unfixed and finding.unfixed else self.severity[severity]

    def as_dict(self) -> dict[str, Any]:
        """The JSON shape."""
        return {
            "label": self.label,
            "match": list(self.match),
            "kinds": list(self.kinds),
            "findings": sorted(map(str, self.findings)),
            "severity": {str(one): str(effect) for one, effect in self.severity.items()},
            "ignoreUnfixed": self.ignore_unfixed,
        }

    @classmethod
    def read(cls, fields: Fields) -> GateRule:
        """Reads it from a verdict."""
        severity = fields.inner("severity", frozenset(Severity))
        return cls(
            label=fields.text("label", 2 * MAX_NAME),
            match=tuple(fields.texts("match", MAX_NAME)),
            kinds=tuple(fields.texts("kinds", MAX_NAME)),
            findings=read_kinds(fields, "findings"),
            severity={one: _effect(severity, one) for one in Severity},
            ignore_unfixed=fields.flag("ignoreUnfixed"),
        )


_NO_RULE = GateRule("findings: no rule", ("**",), (), frozenset(FindingKind), dict.fromkeys(Severity, Effect.BLOCK))


@dataclass(frozen=True, slots=True)
class Decision:
    """What one finding does in one item, and by which rule."""

    finding: ScanFinding
    severity: Severity
    """The one that counts, by the gate's sources."""
    effect: Effect
    rule: str
    """The label of the rule that decided."""


@dataclass(frozen=True, slots=True)
class Gate:
    """What a policy says about findings. For each kind of finding the first rule that matches the item decides."""

    rules: tuple[GateRule, ...]
    """Those of the policy, then its defaults."""
    severity_from: tuple[str, ...] = (HIGHEST,)
    """The sources whose severity counts, the first that says one; `highest`: the worst that any says."""
    not_run: Effect = Effect.BLOCK
    """What it does that a scanner did not come to its end."""
    database_max_age: timedelta = timedelta(days=7)
    database_max_ages: Mapping[str, timedelta] = field(default_factory=dict, hash=False)
    """For single databases, by name."""
    required: Mapping[str, frozenset[FindingKind]] = field(default_factory=dict, hash=False)
    """By kind of content: what must have been looked for in each of its subjects."""
    partial: bool = False
    """True: what passed may go on without what did not (`airgap scan --promote`)."""

    FIELDS: ClassVar[frozenset[str]] = frozenset(
        {"rules", "severityFrom", "notRun", "databaseMaxAge", "databaseMaxAges", "required"}
    )
    MAYBE: ClassVar[frozenset[str]] = frozenset({"partial"})

    @classmethod
    def of(cls, findings: Findings) -> Gate:
        """What a policy says about findings."""
        required = {kind: frozenset(map(FindingKind, found)) for kind, found in findings.what_is_required.items()}
        return cls(
            rules=tuple(_gate_rules(findings)),
            severity_from=findings.severity_from,
            not_run=Effect(findings.not_run),
            database_max_age=findings.database_max_age,
            database_max_ages=findings.max_ages,
            required=required,
            partial=findings.partial,
        )

    def as_dict(self) -> dict[str, Any]:
        """The JSON shape; ages are in seconds."""
        return {
            "rules": [rule.as_dict() for rule in self.rules],
            "severityFrom": list(self.severity_from),
            "notRun": str(self.not_run),
            "databaseMaxAge": int(self.database_max_age.total_seconds()),
            "databaseMaxAges": {name: int(age.total_seconds()) for name, age in sorted(self.database_max_ages.items())},
            "required": {kind: sorted(map(str, found)) for kind, found in sorted(self.required.items())},
            **({"partial": True} if self.partial else {}),
        }

    @classmethod
    def read(cls, fields: Fields) -> Gate:
        """Reads it from a verdict. The subjects of `required` are kinds of content, which may be newer than this."""
        required, ages = _free(fields, "required"), _free(fields, "databaseMaxAges")
        return cls(
            rules=tuple(map(GateRule.read, fields.each("rules", GateRule.FIELDS))),
            severity_from=tuple(fields.texts("severityFrom", MAX_NAME)),
            not_run=_effect(fields, "notRun"),
            database_max_age=_age(fields, "databaseMaxAge"),
            database_max_ages={name: _age(ages, name) for name in sorted(ages.values)},
            required={name: read_kinds(required, name) for name in sorted(required.values)},
            partial=fields.flag("partial") if fields.has("partial") else False,
        )

    def severity_of(self, finding: ScanFinding) -> Severity:
        """The severity that counts.

        The first source of `severity_from` that says one other than unknown counts. If none does, or with `highest`,
        it is the worst that any source or the scanner says: a source that is silent makes nothing better.
        """
        for source in self.severity_from:
            said = finding.severity if source == SCANNER else finding.severities.get(source, Severity.UNKNOWN)
            if said is not Severity.UNKNOWN:
                return said
        return min((finding.severity, *finding.severities.values()), key=lambda one: one.rank)

    def decide(self, kind: str, names: RuleNames, finding: ScanFinding) -> Decision:
        """What a finding does in an item of that kind and those names.

        A rule that matches a name only in other upper and lower case decides together with the next one that matches,
        and so do the rules of several names: the strictest effect counts. Without a rule, it blocks.
        """
        severity = self.severity_of(finding)
        found = [
            Decision(finding, severity, rule.effect(finding, severity), rule.label)
            for rule in self._rules(kind, names, finding.kind)
        ]
        return min(found, key=lambda one: one.effect.rank)

    def _rules(self, kind: str, names: RuleNames, finding: FindingKind) -> Iterator[GateRule]:
        for name in names.deciding:
            for rule in (*self.rules, _NO_RULE):
                if finding in rule.findings and rule.speaks_of(kind, name):
                    yield rule
                    if rule.writes(name):
                        break


def _effect(fields: Fields, name: str) -> Effect:
    return Effect(fields.choice(name, frozenset(Effect)))


def _age(fields: Fields, name: str) -> timedelta:
    found = fields.number(name)
    if found > MAX_AGE:
        raise fields.refuse(f"{fields.at(name)}: got {found}, expected at most {MAX_AGE}")
    return timedelta(seconds=found)


def _free(fields: Fields, name: str) -> Fields:
    """An object with any names."""
    found = fields.values[name]
    return fields.inner(name, frozenset(found) if isinstance(found, dict) else frozenset())


def _gate_rules(findings: Findings) -> Iterator[GateRule]:
    """The rules of a policy, each with all severities written out, then the defaults of those that are left."""
    for rule in findings.rules:
        tables = {kind: _table(rule, kind, findings.coverage) for kind in map(FindingKind, rule.findings)}
        yield from _grouped(rule.label, rule.match, rule.kinds, tables, rule.ignore_unfixed)
    tables = {kind: _default(kind, findings.coverage) for kind in FindingKind}
    yield from _grouped("findings default", ("**",), (), tables, ignore_unfixed=False)


def _grouped(
    label: str,
    match: tuple[str, ...],
    kinds: tuple[str, ...],
    tables: Mapping[FindingKind, Mapping[Severity, Effect]],
    ignore_unfixed: bool,
) -> Iterator[GateRule]:
    """One rule for all kinds of finding that do the same."""
    left = dict(tables)
    while left:
        table = next(iter(left.values()))
        same = frozenset(kind for kind, other in left.items() if other == table)
        yield GateRule(label, match, kinds, same, table, ignore_unfixed)
        left = {kind: other for kind, other in left.items() if kind not in same}


def _table(rule: FindingRule, kind: FindingKind, coverage: str) -> dict[Severity, Effect]:
    if rule.effect:
        return dict.fromkeys(Severity, Effect(rule.effect))
    given = {one: getattr(rule.severity, one, "") for one in Severity}
    return {one: Effect(given[one]) if given[one] else effect for one, effect in _default(kind, coverage).items()}


def _default(kind: FindingKind, coverage: str) -> dict[Severity, Effect]:
    said = _DEFAULTS.get(kind)
    return {one: Effect(coverage if said is None else said[one]) for one in Severity}
