"""`prune`: deletes inside what left the locks, by a plan that a security-officer approved. Nothing else ever deletes.

First a dry run writes the plan. Then its bytes are approved (`airgap sign`), and the same command carries it out, once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from glob import escape
from pathlib import Path

from airgap.base.digest import Digest
from airgap.base.errors import InputError, TrustError
from airgap.base.inputs import read_input
from airgap.base.known_files import not_expected, recognized
from airgap.base.results import ResultFile
from airgap.base.times import utc_text
from airgap.content.finding import Finding, State
from airgap.content.removal import Removal, RemovalOutcome
from airgap.destinations.base import AnyDestination, Inside, Key
from airgap.destinations.make import Destinations
from airgap.jobs.inside import Survey, declared_names, declared_top
from airgap.jobs.named_files import read_lock
from airgap.jobs.site import Site, check_same_sovereign, open_site
from airgap.jobs.surroundings import DEFAULT_JOBS, Surroundings
from airgap.kinds.table import kind_of
from airgap.resources.load import load_sovereign, load_trust
from airgap.resources.patterns import name_matches
from airgap.resources.policy_names import declared_complaint
from airgap.resources.problems import quoted
from airgap.statements.approval import Approvable, Approval, Approves
from airgap.statements.dsse import MAX_BUNDLE
from airgap.statements.prune import Prune, Pruned
from airgap.statements.prune_plan import EXTRA, MAX_PLAN, REMOVED, PruneLine, PrunePlan
from airgap.statements.statement import article
from airgap.statements.trust import verify_bundle
from airgap.station.brought import Past, Place, spot
from airgap.station.files import alone
from airgap.station.prunes import kept_prunes
from airgap.station.signatory import Diary, Signatory

LASTS = timedelta(days=30)
"""How long a plan counts."""
ACTION = "prune-begin"
"""The log's action before the first deletion; the statement at the end has a line of its own."""
_SIGN = "have exactly this file approved: airgap sign PLAN --key KEY --trust TRUST"


@dataclass(frozen=True, slots=True)
class PruneOptions:
    """What is proposed, or which plan is carried out."""

    sovereign: Path
    trust: Path
    plan: Path | None = None
    """In a dry run, where the plan is written; else the approved plan."""
    locks: tuple[Path, ...] = ()
    """Locks whose content stays, whatever the receipts say. Only with them, what came by receipts of earlier versions,
    which name no locks, is proposed."""
    only: tuple[str, ...] = ()
    """Patterns: propose only what matches one of them."""
    extra: tuple[str, ...] = ()
    """Patterns: propose also what no delivery brought, if it matches one of them."""
    approval: Path | None = None
    """The approval of the plan; `None`: next to it."""
    key: str | None = None
    """Signs what was done: a path, or a `pkcs11:` URI."""
    dry_run: bool = False
    jobs: int = DEFAULT_JOBS


@dataclass(slots=True)
class PruneResult:
    """The plan, and what became of its lines; in a dry run, nothing."""

    plan: PrunePlan
    lines: list[Pruned] = field(default_factory=list)
    unlisted: list[Finding] = field(default_factory=list)
    """What could not be listed for the plan."""
    unnamed: int = 0
    """Things that left, by receipts that name no locks: proposed only with `locks`."""
    untold: int = 0
    """Things that a delivery without a receipt here may have brought: proposed only with `locks`."""
    statement: bytes | None = None


def prune(options: PruneOptions, surroundings: Surroundings) -> PruneResult:
    """Proposes what to delete, or deletes what an approved plan lists.

    Raises `InputError`, `TrustError`, `StoreError`, `UpstreamError`. What failed for one thing is in the result.
    """
    site = open_site(load_sovereign(options.sovereign), load_trust(options.trust), surroundings, jobs=options.jobs)
    check_same_sovereign(site.sovereign, options.sovereign, site.trust, options.trust)
    # What a state folder from an older backup does not know would be deleted as if no delivery had brought it.
    site.ledger().compare({})
    return _propose(options, site) if options.dry_run else _carry_out(options, site)


# --- the plan -----------------------------------------------------------------------------------


def _propose(options: PruneOptions, site: Site) -> PruneResult:
    """1. Read what receipts say, and the locks. 2. List everything inside. 3. Write the plan, if there is one."""
    destinations = site.destinations(create=False)
    _check_patterns((*options.only, *options.extra), destinations)
    out = None if options.plan is None else ResultFile(options.plan, "--plan", "a prune plan", own=site.state)
    if out is not None:
        out.check()
    # 1.
    past = site.past(destinations)
    past.close()
    locks = [read_lock(path) for path in options.locks]
    kept = _kept([item for lock in locks for item in lock.items], destinations)
    # 2.
    survey = Survey(past, site.sovereign, kept, site.shelves())
    site.surroundings.progress().start("prune", 0)
    lines, result = list[PruneLine](), PruneResult(_plan(site, [], ()))
    for one in destinations.all():
        for finding in survey.findings(one):
            if finding.state is State.UNKNOWN:
                result.unlisted.append(finding)
            elif _wanted(finding, one.form, options):
                named = _is_named(finding, one, past)
                if finding.state is State.REMOVED and not named and not locks:
                    result.unnamed += 1
                elif not locks and _untold(_line(finding, one.form), past):
                    result.untold += 1
                elif finding.got:
                    lines.append(_line(finding, one.form))
    result.plan = _plan(site, lines, tuple(lock.digest for lock in locks))
    # 3.
    if out is not None and lines:
        out.write(result.plan.encode())
    return result


def _check_patterns(patterns: Sequence[str], destinations: Destinations) -> None:
    tops = list(dict.fromkeys(declared_top(one.url, one.form) for one in destinations.all()))
    for pattern in patterns:
        complaint = declared_complaint(pattern)
        if not complaint and pattern.partition("/")[0] not in tops:
            complaint = f"got {quoted(pattern)}, which begins with no service of the Sovereign resource"
        if complaint:
            step = f"begin it with {', '.join(tops)}; `declared` in `airgap help resources` says more"
            raise InputError("bad-pattern", complaint, step)


def _kept(items: Sequence[object], destinations: Destinations) -> Mapping[Place, set[Key]]:
    kept: dict[Place, set[Key]] = {}
    for line in destinations.work(kind_of(item).expect(item) for item in items).lines:  # type: ignore[arg-type]
        form = line.destination.form
        kept.setdefault((line.destination.url, form), set()).update(spot(form, one) for one in line.expected())
    return kept


def _wanted(finding: Finding, form: str, options: PruneOptions) -> bool:
    names = declared_names(finding.destination, form, finding.at, finding.name, finding.got)

    def matches(patterns: Sequence[str]) -> bool:
        return any(name_matches(pattern, name) for pattern in patterns for name in names)

    if options.only and not matches(options.only):
        return False
    return finding.state is State.REMOVED or matches(options.extra)


def _is_named(finding: Finding, destination: AnyDestination, past: Past) -> bool:
    """True if the delivery that brought it last is known by its locks."""
    place = (destination.url, destination.form)
    brought = [one for one in past.entries(place, (finding.at, finding.name or finding.got)) if one.brought]
    return bool(brought) and bool(past.deliveries[past.last(brought).delivery].series)


def _line(finding: Finding, form: str) -> PruneLine:
    state = REMOVED if finding.state is State.REMOVED else EXTRA
    found = finding
    return PruneLine(
        found.destination, form, found.at, found.name, found.got, state, found.item, found.delivery, found.since
    )


def _plan(site: Site, lines: Sequence[PruneLine], locks: tuple[Digest, ...]) -> PrunePlan:
    now = site.surroundings.clock().replace(microsecond=0)
    ordered = sorted(lines, key=lambda one: (one.destination, one.form, one.at, one.name, one.digest))
    return PrunePlan(site.sovereign.name, now, now + LASTS, locks, tuple(ordered))


# --- carrying it out ----------------------------------------------------------------------------


def _carry_out(options: PruneOptions, site: Site) -> PruneResult:
    """1. Read the plan: it is this Sovereign's, and has not expired. 2. It is approved. 3. Open the key. 4. Take the
    lock of the state folder. 5. The plan was not carried out before. 6. Record the beginning in the log. 7. Delete line
    by line: what belongs here again, or changed, stays. 8. Sign what was done, also after Ctrl-C.
    """
    # 1.
    if options.plan is None:
        raise InputError("no-plan", "nothing is deleted without a plan", "make one first: --dry-run --plan FILE")
    data = read_input(options.plan, MAX_PLAN, "bad-plan")
    if recognized(data) != "a prune plan":
        what = not_expected(str(options.plan), data, "a prune plan")
        raise InputError("bad-plan", what, "make one: airgap prune --dry-run --plan FILE")
    plan = PrunePlan.decode(data, str(options.plan))
    _check(plan, options.plan, site)
    # 2.
    approval = _approval(plan, options, site)
    # 3.
    if options.key is None:
        raise InputError("no-key", "a prune is signed, but no key was given", "use --key KEY, or set AIRGAP_KEY")
    signatory = site.signatory(options.key)
    # 4.
    site.close_state()
    with alone(site.state):
        # 5.
        began = _check_once(plan, options.plan, site)
        # 6.
        Diary(signatory.log, signatory.actor, signatory.clock).note(ACTION, plan.digest)
        site.records.save_plan(plan.digest, plan.encode(), approval)
        # 7. and 8.
        return _delete(plan, approval, site, signatory, began=began)


def _check(plan: PrunePlan, path: Path, site: Site) -> None:
    if plan.sovereign != site.sovereign.name:
        raise TrustError(
            "wrong-sovereign",
            f"{path}: it is for {plan.sovereign[:100]!r}, but the Sovereign is {site.sovereign.name!r}",
            "take it to the Sovereign that it is for, or make a plan for this one",
        )
    now = site.surroundings.clock()
    if plan.expires <= now:
        raise InputError(
            "plan-expired",
            f"{path}: expired at {utc_text(plan.expires)}; the local time is {utc_text(now)}",
            "make a new plan, and have that approved",
        )


def _approval(plan: PrunePlan, options: PruneOptions, site: Site) -> bytes:
    """The bytes of an approval that counts. Raises `TrustError` (`prune-unapproved`, …)."""
    path = options.plan or Path()
    beside = sorted(path.parent.glob(f"{escape(path.name)}.*.sigstore.json"))
    found = [options.approval] if options.approval is not None else beside
    for one in found:
        data = read_input(one, MAX_BUNDLE, "bad-approval")
        verified = verify_bundle(data, site.trust, str(one), now=site.surroundings.clock())
        body = verified.statement.body
        if not isinstance(body, Approval):
            what = f"{one}: got {article(verified.statement.kind)} statement, expected an approval"
            raise InputError("bad-approval", what, _SIGN)
        if verified.statement.subject != plan.digest:
            raise TrustError(
                "prune-unapproved",
                f"{path} is {plan.digest}, but {one.name} approves {verified.statement.subject}: the plan was changed "
                "after the approval",
                f"find out who changed it; then make a new plan, and {_SIGN}",
            )
        body.check(Approves(Approvable.PRUNE, plan.sovereign), str(one))
        return data
    raise TrustError("prune-unapproved", f"{path}: the plan has no approval", _SIGN)


def _check_once(plan: PrunePlan, path: Path, site: Site) -> bool:
    """Raises `InputError` (`plan-done`) if the plan was carried out completely; true if an earlier run began."""
    for found in kept_prunes(site.state, site.trust, site.surroundings.clock()):
        if found.subject == plan.digest and isinstance(found.body, Prune) and found.body.ended:
            raise InputError(
                "plan-done",
                f"{path}: it was carried out at {utc_text(found.signed_at)}, and a plan counts once",
                "make a new plan, if there is more to delete",
            )
    return any(line.action == ACTION and plan.digest in line.subjects for line in site.records.log().entries())


def _delete(plan: PrunePlan, approval: bytes, site: Site, signatory: Signatory, *, began: bool) -> PruneResult:
    destinations = site.destinations(create=False)
    past = site.past(destinations)
    past.close()
    known = {(one.url, one.form): one for one in destinations.all()}
    done: dict[tuple[str, str, Key], Pruned] = {}
    for line in plan.lines:
        done[line.destination, line.form, _key(line)] = _pruned(line, RemovalOutcome.NOT_REACHED)
    progress = site.surroundings.progress()
    progress.start("prune", 0, len(plan.lines))
    try:
        for line, removal in _removals(plan, known, Survey(past, site.sovereign, {}, site.shelves())):
            reason = removal.reason
            if removal.outcome is RemovalOutcome.ABSENT and began:
                reason = "not there; an interrupted run of this plan may have deleted it"
            done[line.destination, line.form, _key(line)] = _pruned(line, removal.outcome, reason)
            progress.done(f"{line.at} {line.name}", str(removal.outcome))
    finally:
        result = PruneResult(plan, list(done.values()))
        body = Prune(plan.sovereign, Digest.of(approval), tuple(result.lines))
        result.statement = signatory.sign(plan.digest, body)
        site.records.save_statement(Prune.kind, plan.digest, result.statement)
    return result


def _removals(
    plan: PrunePlan, known: Mapping[Place, AnyDestination], survey: Survey
) -> Iterator[tuple[PruneLine, Removal]]:
    """Each line with what became of it. What the receipts say by now is asked again: the plan may be old, or no plan
    that airgap made."""
    due: dict[Place, list[PruneLine]] = {}
    for line in plan.lines:
        place = (line.destination, line.form)
        if place not in known:
            why = "the Sovereign resource has no such destination"
        else:
            why = why_kept(line, survey.past) or _since(line, plan, survey.past) or _now(line, known[place], survey)
        if why:
            yield line, _removal(line).kept(why)
        else:
            due.setdefault((line.destination, line.form), []).append(line)
    for place, lines in due.items():
        by_key = {(line.at, line.name, line.digest): line for line in lines}
        for removal in known[place].remove([_removal(line) for line in lines]):
            yield by_key[removal.at, removal.name, removal.digest], removal


def why_kept(line: PruneLine, past: Past) -> str:
    """Why a line must not be deleted any more; `""` if it may be."""
    entries = past.entries((line.destination, line.form), _key(line))
    current = [one for one in entries if past.is_current(one)]
    if current:
        return f"it belongs here again: {past.deliveries[past.last(current).delivery]} lists it"
    content = past.entries((line.destination, line.form), (line.at, line.digest))
    bare = [one for one in content if one.bare and past.is_current(one)]
    if line.form == "graph" and bare:
        # Earlier versions gave no tag to what has no name: it would go with the last tag of the same content.
        return f"{past.deliveries[past.last(bare).delivery]} lists its content without a name: import that again first"
    brought = [one for one in entries if one.brought and one.digest == line.digest]
    if line.state == EXTRA and brought:
        return f"a delivery has brought it since: {past.deliveries[past.last(brought).delivery]}"
    if line.state == REMOVED and not brought:
        return "no receipt here shows that a delivery brought it"
    return ""


def _untold(line: PruneLine, past: Past, since: datetime | None = None) -> str:
    """The delivery without a receipt that may have brought what a line lists, in words; `""` for none."""
    brought = [one for one in past.entries((line.destination, line.form), _key(line)) if one.brought]
    return past.untold(past.last(brought) if brought else None, since)


def _since(line: PruneLine, plan: PrunePlan, past: Past) -> str:
    """Why a line must not be deleted after an import that left no receipt. With locks, the plan judged the others."""
    untold = _untold(line, past, plan.created if plan.locks else None)
    return f"{untold} may have brought it: it was accepted, and there is no receipt of it here" if untold else ""


def _now(line: PruneLine, destination: AnyDestination, survey: Survey) -> str:
    """Why a new plan would not list a line."""
    inside = Inside(line.at, line.name, line.digest)
    return "" if survey.still(destination, inside) else "it belongs here: a new plan would not list it"


def _key(line: PruneLine) -> Key:
    return line.at, line.name or line.digest


def _removal(line: PruneLine) -> Removal:
    return Removal(line.at, line.name, line.digest)


def _pruned(line: PruneLine, outcome: RemovalOutcome, reason: str = "") -> Pruned:
    return Pruned(line.destination, line.form, line.item, line.at, line.name, line.digest, outcome, reason)
