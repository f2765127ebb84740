"""`import`: a delivery into a Sovereign. Opens what the import needs, in the order that keeps it safe."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from airgap.acceptance.discs import forget_superseded
from airgap.acceptance.open import Opened, accept
from airgap.base.amounts import count
from airgap.base.errors import InputError
from airgap.base.inputs import read_input
from airgap.base.probe import Probe
from airgap.base.results import ResultFile
from airgap.delivery.spool import Spool
from airgap.destinations.base import Precedence
from airgap.destinations.make import Destinations
from airgap.jobs.doctor.destinations import foreseen
from airgap.jobs.doctor.incoming import needs_of
from airgap.jobs.importing.lines import Imported
from airgap.jobs.importing.omitted import read_inside
from airgap.jobs.importing.rewrites import check_rewrites
from airgap.jobs.importing.run import plan_import, run_import
from airgap.jobs.site import Site, check_same_sovereign, open_site
from airgap.jobs.surroundings import DEFAULT_JOBS, Surroundings
from airgap.resources.load import load_sovereign, load_trust
from airgap.statements.dsse import MAX_EVIDENCE_BUNDLE
from airgap.statements.predicates import ALL_OR_NOTHING, KEEP_GOING
from airgap.station import receipts
from airgap.station.files import alone
from airgap.station.ledger import Ledger
from airgap.station.names import NamesFile
from airgap.station.signatory import Diary, Signatory


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """Which delivery goes into which Sovereign, whose signatures are accepted, and how."""

    delivery: tuple[Path, ...]
    """The folders with its files."""
    sovereign: Path
    """The Sovereign resource, with the destinations."""
    trust: Path
    """The Trust resource: whose signatures are accepted."""
    key: str | None = None
    """Signs the receipt and the list of accepted deliveries: a path, or a `pkcs11:` URI."""
    receipt: Path | None = None
    """A file for a copy of the receipt; requires a key."""
    dry_run: bool = False
    """Plan, and write nothing."""
    restore: bool = False
    """Import an earlier delivery again, or after a loss any delivery in any order; moves no name back."""
    deep: bool = False
    """Ignore receipts: hash the existing content, and send damaged content again."""
    keep_going: bool = False
    """Publish what did not fail, also at a destination where something failed."""
    allow_rewrite: tuple[str, ...] = ()
    """Names of Git repositories whose history was rewritten upstream, and may be replaced."""
    baselines: tuple[Path, ...] = ()
    """For a delta: earlier deliveries and stores that have what it omits, for what is not inside."""
    jobs: int = DEFAULT_JOBS

    @property
    def publish(self) -> str:
        """How names are published where something failed: one of `airgap.statements.predicates.PUBLISH`."""
        return KEEP_GOING if self.keep_going else ALL_OR_NOTHING


def import_delivery(options: ImportOptions, surroundings: Surroundings) -> Imported:
    """Accepts a delivery and imports it into the Sovereign, as far as its volumes are attached.

    1. Read the Sovereign and Trust resources, and check that the receipt can be written. 2. Accept: trust before bytes,
    and before a destination is asked, except for the lists that a restore uses. Nothing has been written so far. 3.
    Open the keys. 4. Take the lock of the state folder. 5. Plan, and compare the state with the lists in the
    destinations. 6. Bring content, publish names, sign (`run_import`). 7. Keep the receipt. 8. Forget what was kept of
    discs: it is needed until everything is in, and known to be.

    A dry run leaves 3 out but for the countersigning key, and 4; it ends with 5, unpacks Git in a temporary folder, and
    writes nothing. What failed at one destination or item is in the result; the same command goes on.

    Raises `InputError`, `TrustError`, `IntegrityError`, `StoreError`, and `UpstreamError` for a list that a restore
    needs.
    """
    # 1.
    site = open_site(load_sovereign(options.sovereign), load_trust(options.trust), surroundings, jobs=options.jobs)
    check_same_sovereign(site.sovereign, options.sovereign, site.trust, options.trust)
    if options.receipt is not None:
        if options.key is None:
            raise InputError(
                "no-key", "--receipt requires a key, to sign the receipt", "use --key KEY, or set AIRGAP_KEY"
            )
        _copy(options, site).check()
    # 2.
    ledger = site.ledger(restore=options.restore)
    opened = accept(
        options.delivery,
        site.trust,
        ledger.known(),
        sovereign=site.sovereign.name,
        now=surroundings.clock(),
        restore=options.restore,
        streams=site.sovereign.streams,
        state_folder=site.state,
        earlier=lambda lock: site.records.received("verdict", lock),
        identities=surroundings.identities,
    )
    opened.volumes.throttle = surroundings.throttle
    _tell(opened, surroundings)
    check_rewrites(options.allow_rewrite, opened, surroundings, dry_run=options.dry_run)
    # 3. to 8.
    return _plan(options, site, opened, ledger) if options.dry_run else _import(options, site, opened, ledger)


def _tell(opened: Opened, surroundings: Surroundings) -> None:
    for note in opened.admitted.notes:
        surroundings.note(f"note: {note}")
    missing, mender = opened.volumes.missing(), opened.volumes.mender
    if missing and mender is not None:
        more = count(mender.lacking(), "more file")
        surroundings.note(
            f"note: {count(len(missing), 'volume')} missing; with {more} of the delivery in the folders that you pass, "
            "volumes or parity files, they are computed"
        )
    seeds = [item.name for item, _ in opened.roots if item.phase == "seed"]
    if seeds:
        many = count(len(seeds), "item")
        surroundings.note(
            f"note: {many} of phase seed (first: {seeds[0]}) will arrive like all others; for machines that start "
            "before the registry does, use `airgap extract --phase seed`"
        )


def _tell_computed(opened: Opened, surroundings: Surroundings) -> None:
    mender = opened.volumes.mender
    if mender is not None and mender.computed:
        names = ", ".join(sorted(mender.computed))
        surroundings.note(
            f"note: missing or damaged, and computed from the parity files: {names}; "
            "`airgap repair` writes them again, if the delivery is to be kept"
        )


def _plan(options: ImportOptions, site: Site, opened: Opened, ledger: Ledger) -> Imported:
    """The plan alone. Git is unpacked to see what would move: not in the state folder, for nothing is to be written."""
    countersigner = site.countersigner()
    precedence = _precedence(site, opened, ledger)
    with tempfile.TemporaryDirectory(prefix="airgap-dry-run-") as work:
        destinations = site.destinations(
            create=False,
            restore=options.restore,
            deep=options.deep,
            work=Path(work),
            precedence=precedence,
            rewrites=options.allow_rewrite,
            omitted=opened.index.contents.omitted.keys(),
        )
        omissions = read_inside(opened, destinations, site, options.baselines)
        planned = plan_import(opened, destinations, site.jobs, options.publish, _rolled_back(site, opened), omissions)
        if countersigner is not None:
            countersigner.plan(planned.work.at_registries, opened.admitted.claims, site.jobs)
        ledger.compare(planned.gone)
        planned.foreseen = _foreseen(planned, destinations, site)
        planned.publication.withhold({one.place: f"{one.what}: {one.said}" for one in planned.foreseen})
    return planned


def _foreseen(planned: Imported, destinations: Destinations, site: Site) -> list[Probe]:
    """What the import would meet besides what its plan says: missing rights, quotas, immutable tags, read-only mode."""
    said: dict[str, set[str]] = {}
    for line in planned.failed:
        said.setdefault(line.destination.url, set()).add("" if line.error is None else line.error.code)
    needs = {url: need for url, need in needs_of(destinations, planned.lines).items() if url not in planned.gone}
    return foreseen(site.sovereign, site.client(), needs, said)


def _import(options: ImportOptions, site: Site, opened: Opened, ledger: Ledger) -> Imported:
    # 3.
    signatory = None if options.key is None else site.signatory(options.key)
    countersigner = site.countersigner()
    # 4.
    site.close_state()
    with alone(site.state):
        # 5.
        precedence = _precedence(site, opened, ledger)
        destinations = site.destinations(
            create=True,
            restore=options.restore,
            deep=options.deep,
            precedence=precedence,
            rewrites=options.allow_rewrite,
            omitted=opened.index.contents.omitted.keys(),
        )
        omissions = read_inside(opened, destinations, site, options.baselines)
        planned = plan_import(opened, destinations, site.jobs, options.publish, _rolled_back(site, opened), omissions)
        ledger.compare(planned.gone)
        _let_sign(ledger, signatory, site)
        # 6. Who signed the delivery is evidence, too: it is kept from the moment on in which it is accepted.
        _receive(opened, site)
        progress = site.surroundings.progress()
        done = run_import(
            planned,
            ledger,
            NamesFile(site.state, site.sovereign.name),
            signatory,
            jobs=site.jobs,
            progress=progress,
            countersigner=countersigner,
        )
        _tell_computed(opened, site.surroundings)
        # 7.
        _keep(done, site, options)
        # 8.
        if done.whole:
            Spool.of(site.state, opened.media.digest).remove()
        forget_superseded(site.state, ledger.file.load(), opened.media.digest)
    return done


def _receive(opened: Opened, site: Site) -> None:
    """Keeps the statements that counted, about the delivery and its locks.

    A verdict about a promoted lock is kept under its full lock, too: no older one may come in its place.
    """
    full = {lock.digest: lock.promoted_from for lock in opened.locks}
    about = sorted(opened.admitted.statements, key=lambda one: one.statement.signed_at, reverse=True)
    for kind, subject in dict.fromkeys((one.statement.kind, one.statement.subject) for one in about):
        bundles = [one.raw for one in about if (one.statement.kind, one.statement.subject) == (kind, subject)]
        site.records.receive(kind, subject, bundles, replace=True)
        above = full.get(subject) if kind == "verdict" else None
        if above is not None:
            site.records.receive(kind, above, bundles, replace=True)


def _precedence(site: Site, opened: Opened, ledger: Ledger) -> Callable[[str], Precedence]:
    """Which names this delivery may write at a URL, as deliveries were accepted up to now."""
    written = NamesFile(site.state, site.sovereign.name).load()
    if ledger.rebuilds:
        written = written.anew(ledger.known())
    accepted = ledger.order(opened.admitted.record)
    return lambda url: written.precedence(url, opened.media.digest, accepted)


def _rolled_back(site: Site, opened: Opened) -> frozenset[str]:
    return NamesFile(site.state, site.sovereign.name).load().rolled_back(opened.media.digest)


def _let_sign(ledger: Ledger, signatory: Signatory | None, site: Site) -> None:
    """Lets the signatory sign the list of accepted deliveries, and says once where the list is not kept."""
    bare = [registry.url for registry in site.sovereign.registries if not registry.records]
    if signatory is not None:
        ledger.station, ledger.diary = signatory, Diary(signatory.log, signatory.actor, signatory.clock)
    if signatory is None:
        where = "in no destination, because it cannot be signed without --key"
    elif not ledger.shelves:
        where = "only in the state folder, because no registry of the Sovereign resource has `records`"
    elif bare:
        where = f"not in {', '.join(bare)}: the Sovereign resource has no `records` there"
    else:
        return
    site.surroundings.note(f"note: the list of accepted deliveries is kept {where}")


def _copy(options: ImportOptions, site: Site) -> ResultFile:
    """The copy of the receipt, which may go to the medium that the delivery came on."""
    return ResultFile(
        options.receipt or Path(),
        "--receipt",
        "a receipt",
        own=site.state,
        media=options.delivery,
        rescue=site.rescuer(receipts.FOLDER),
    )


def _keep(done: Imported, site: Site, options: ImportOptions) -> None:
    """Keeps the receipt, and copies it. After a run that changed nothing, the copy is of the receipt that stands."""
    journey = done.opened.index.journey
    if done.receipt is not None:
        receipts.save(site.state, journey.sequence, journey.stream, done.receipt)
    data = done.receipt
    if data is None and done.standing is not None:
        data = read_input(done.standing, MAX_EVIDENCE_BUNDLE, "no-receipt")
    if options.receipt is not None and data is not None:
        _copy(options, site).write(data)
