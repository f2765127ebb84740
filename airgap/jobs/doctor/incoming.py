"""A delivery that is to be imported: whether it would be accepted, and what it would meet at each destination."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airgap.acceptance.open import Opened, accept
from airgap.base.amounts import count
from airgap.base.errors import AbsentError, AirgapError, UpstreamError
from airgap.base.probe import Probe, Probes
from airgap.content.forms import ChangeOutcome, Graph, Refs
from airgap.destinations.graph import GraphDestination
from airgap.destinations.line import AnyLine
from airgap.destinations.make import Destinations
from airgap.jobs.as_locked import forms_of
from airgap.jobs.doctor.destinations import Needs
from airgap.jobs.importing.lines import each
from airgap.jobs.importing.omitted import read_inside
from airgap.jobs.site import Site
from airgap.station.names import NamesFile

SHOWN = 3
"""Names of items in a line."""


@dataclass(slots=True)
class Incoming:
    """What a delivery would meet."""

    probes: list[Probe] = field(default_factory=list)
    """About the delivery itself."""
    needs: dict[str, Needs] = field(default_factory=dict)
    """By the URL of the destination."""
    at: dict[str, Probes] = field(default_factory=dict)
    """What the plan met at each destination, by URL."""

    def unsaid(self, looked: Sequence[Probes]) -> list[Probe]:
        """The probes, without failures of services that were found broken, and without what was said of a service: the
        cause is the same."""
        broken = {one.place for one in looked if one.broken}
        said = {(one.code, one.said) for probes in looked for one in probes.found if one.code}
        planned = [(url in broken, one) for url, found in self.at.items() for one in found.found]
        return [
            *(one for one in self.probes if (one.code, one.said) not in said),
            *(one for known, one in planned if not (known and one.exit_code == UpstreamError.exit_code)),
        ]


def probe_delivery(folders: Sequence[Path], site: Site, down: Collection[str]) -> Incoming:
    """Accepts a delivery as an import would, and plans it at every destination that is not `down`. Writes nothing."""
    made = Incoming()
    found = Probes(str(folders[0]))
    with found.looking("delivery"):
        ledger = site.ledger()
        opened = accept(
            folders,
            site.trust,
            ledger.known(),
            sovereign=site.sovereign.name,
            now=site.surroundings.clock(),
            streams=site.sovereign.streams,
            state_folder=site.state,
            earlier=lambda lock: site.records.received("verdict", lock),
            identities=site.surroundings.identities,
        )
        journey, many = opened.index.journey, count(len(opened.roots), "item")
        found.ok("delivery", f"would be accepted: number {journey.sequence} of stream {journey.stream}, {many}")
        missing = opened.volumes.missing()
        if missing:
            found.warn("volumes", f"not attached: {', '.join(missing[:SHOWN])}", "name their folders with --delivery")
        _plan(made, opened, site, down)
    made.probes += found.found
    return made


def _plan(made: Incoming, opened: Opened, site: Site, down: Collection[str]) -> None:
    names, known = NamesFile(site.state, site.sovereign.name).load(), site.accepted()
    with tempfile.TemporaryDirectory(prefix="airgap-doctor-") as work:
        destinations = site.destinations(
            create=False,
            work=Path(work),
            precedence=lambda url: names.precedence(url, opened.media.digest, known),
            omitted=opened.index.contents.omitted.keys(),
        )
        omissions = read_inside(opened, destinations, site)
        planned = destinations.work(forms_of(opened, site.jobs))
        for share in planned.shares:
            share.check()
        lines = [line for line in planned.lines if line.destination.url not in down]
        each(site.jobs, lambda line: line.plan(), lines)
        if omissions is not None:
            omissions.check([line for line in lines if line.error is None], site.jobs, keep_going=True)
        made.needs = needs_of(destinations, lines)
    for url in dict.fromkeys(line.destination.url for line in lines):
        made.at[url] = Probes(url)
        _summarize(made.at[url], [line for line in lines if line.destination.url == url])


def needs_of(destinations: Destinations, lines: Sequence[AnyLine]) -> dict[str, Needs]:
    """What planned lines would bring to each destination, by its URL."""
    found: dict[str, Needs] = {}
    for line in lines:
        need = found.setdefault(line.destination.url, Needs())
        if isinstance(line.form, Graph):
            need.graphs.moved += [one for one in line.changes if one.outcome is ChangeOutcome.MOVED and one.name]
        elif not _complete(line):
            size = sum(blob.size for blob in line.form.blobs())
            need.size += 2 * size if isinstance(line.form, Refs) else size  # the bundle, and what is unpacked
    for registry in destinations.registries:
        if registry.url in found:
            found[registry.url].graphs.missing = _lacking(registry, lines)
    for layout in destinations.layouts:
        if layout.url in found:
            found[layout.url].size = _lacking(layout, lines)("")
    return found


def _complete(line: AnyLine) -> bool:
    return line.error is not None or all(one.outcome is ChangeOutcome.PRESENT for one in line.changes)


def _lacking(place: GraphDestination[Any], lines: Sequence[AnyLine]) -> Callable[[str], int]:
    """Says how many bytes a project lacks (`""`: all of the place). A blob counts once, as Harbor counts it."""

    def lacking(project: str) -> int:
        blobs: dict[str, int] = {}
        for line in lines:
            if line.destination.url != place.url or not isinstance(line.form, Graph) or _complete(line):
                continue
            if not project or any(one.at.partition("/")[0] == project for one in line.changes):
                with suppress(AirgapError):  # the plan, or the import, will say it
                    blobs |= {str(digest): size for digest, size in place.missing(line.form).items()}
        return sum(blobs.values())

    return lacking


def _summarize(found: Probes, lines: Sequence[AnyLine]) -> None:
    """One line for each cause."""
    failed: dict[tuple[str, str], list[AnyLine]] = {}
    refused: dict[str, list[str]] = {}
    counts: Counter[str] = Counter()
    for line in lines:
        if line.error is not None and not isinstance(line.error, AbsentError):
            failed.setdefault((line.error.code, str(line.error.hint)), []).append(line)
        for one in line.changes if line.error is None else ():
            counts[str(one.outcome)] += 1
            if one.outcome is ChangeOutcome.REFUSED:
                refused.setdefault(one.reason, []).append(f"{one.at} {one.name or one.digest[:19]}")
    for same in failed.values():
        error = same[0].error
        if error is not None:
            more = f" (and {count(len(same) - 1, 'more item')})" if len(same) > 1 else ""
            found.problem("plan", error.with_where(f"{same[0].form.item}{more}"))
    for reason, names in refused.items():
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        said = f"{len(names)} refused: {', '.join(names[:SHOWN])}{more}: {reason}"
        found.refused("plan", said, "see the rows about refused names in the runbook of imports")
    if counts:
        found.ok("plan", ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())))
