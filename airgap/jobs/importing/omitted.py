"""What a delta omits must be inside: looked for before anything is sent or written down, and a gap is refused by name.

A delivery that was accepted proves nothing of what is there today: a registry may have been built anew, or its garbage
collection may have taken what no tag names. So each omitted blob that something of the import needs must be in place at
its destination, or be readable at one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from airgap.acceptance.open import Opened
from airgap.base.amounts import count, human
from airgap.base.digest import Digest
from airgap.base.errors import AbsentError, AirgapError, InputError, OmittedError
from airgap.base.parallel import parallel
from airgap.base.text import Lines
from airgap.content.graph import Descriptor, Source
from airgap.destinations.line import AnyLine
from airgap.destinations.make import Destinations
from airgap.destinations.omitted import OmittedBlobs
from airgap.destinations.trees.destination import TreeDestination
from airgap.jobs.earlier import or_from
from airgap.jobs.importing.lines import each
from airgap.jobs.site import Site
from airgap.station import receipts
from airgap.station.names import NamesFile

SHOWN = 10
"""Gaps that a message names."""
GONE = "not inside any more, or only where it is about to be replaced"
WANT = (
    "`airgap want DELIVERY --sovereign FILE --trust FILE --key KEY -o want.json` lists what is missing; take that "
    "back, and have it cut with `airgap bundle --want want.json`"
)


def read_inside(
    opened: Opened, destinations: Destinations, site: Site, earlier: Sequence[Path] = ()
) -> Omissions | None:
    """Lets a delivery read what it omits where that is inside, or in `earlier` deliveries and stores that are at hand.

    `None` if it omits nothing. Asks nothing yet. Raises `InputError` (`no-delivery`, `usage`), `IntegrityError`.
    """
    contents = opened.index.contents
    if not contents.omitted:
        if earlier:
            raise InputError("usage", "--baseline is for a delta: this delivery omits nothing", "leave --baseline out")
        return None
    brought = ReceiptPlaces(site, opened)
    items = {digest: one.item for digest, one in contents.omitted.items()}
    blobs = OmittedBlobs(items, destinations.all(), brought.ats)
    opened.volumes.inside = or_from(earlier, blobs, site.surroundings.identities)
    destinations.shared.holders = blobs.holders
    for trees in destinations.trees:
        if isinstance(trees, TreeDestination):
            trees.holders = blobs.holders
    return Omissions(opened, blobs, site)


@dataclass(slots=True)
class ReceiptPlaces:
    """Where the receipts of the baselines say that their items are. Reads them when the first blob is looked for."""

    site: Site
    opened: Opened
    _known: dict[int, Mapping[str, Mapping[str, list[str]]]] = field(default_factory=dict)
    """By the number of a baseline: by item, by URL, the places."""

    def ats(self, digest: Digest) -> Mapping[str, list[str]]:
        """By URL, the places to which the item of an omitted blob was brought."""
        one = self.opened.index.contents.omitted.get(digest)
        if one is None:
            return {}
        if one.baseline not in self._known:
            self._known[one.baseline] = self._read(self.opened.index.journey.based_on[one.baseline - 1].delivery)
        return self._known[one.baseline].get(one.item, {})

    def _read(self, delivery: Digest) -> Mapping[str, Mapping[str, list[str]]]:
        site, found = self.site, dict[str, dict[str, list[str]]]()
        accepted = site.accepted().find(delivery)
        if accepted is None:
            return found
        now, state = site.surroundings.clock(), cache(site.accepted)
        kept = receipts.of_delivery(site.state, accepted.stream, accepted.sequence, site.trust, now, state)
        for _, verified in kept:
            if verified.statement.subject != delivery:
                continue
            for part in receipts.placed_of(verified):
                for line in part.items:
                    if line.outcome in receipts.PUT:
                        found.setdefault(line.item, {}).setdefault(part.url, []).append(line.at)
        return found


@dataclass(frozen=True, slots=True)
class Gap:
    """An omitted blob that a line needs at its destination, and that is nowhere inside."""

    line: AnyLine
    blob: Descriptor


@dataclass(slots=True)
class Looked:
    """What was found out about the omitted blobs of an import."""

    gaps: list[Gap] = field(default_factory=list)
    there: dict[str, int] = field(default_factory=dict)
    """By URL: how much of what was looked for is in place there; none at a destination that was built anew."""

    def errors(self) -> Mapping[int, AirgapError]:
        """By the `id` of a line: the error for its gaps."""
        found: dict[int, list[Gap]] = {}
        for one in self.gaps:
            found.setdefault(id(one.line), []).append(one)
        return {key: _missing([_lacking(some)], WANT) for key, some in found.items()}


def look(lines: Sequence[AnyLine], source: Source, jobs: int) -> Looked:
    """Looks for the omitted blobs that planned lines need. A destination that fails is an error of its lines."""
    made, due = Looked(), list[tuple[AnyLine, Descriptor]]()
    for line in lines:
        if line.changes and line.in_place:
            made.there[line.destination.url] = 1

    def ask(line: AnyLine) -> None:
        for blob, there in line.omitted():
            if there:
                made.there[line.destination.url] = made.there.get(line.destination.url, 0) + 1
            else:
                due.append((line, blob))

    each(jobs, ask, lines)
    wanted = {blob.digest: blob for _, blob in due}
    has = dict(zip(wanted, parallel(jobs, source.has, wanted.values()), strict=True))
    made.gaps = [Gap(line, blob) for line, blob in due if line.error is None and not has[blob.digest]]
    return made


@dataclass(frozen=True, slots=True)
class Omissions:
    """A delivery that omits something, as an import sees it."""

    opened: Opened
    blobs: OmittedBlobs
    site: Site

    def check(self, lines: Sequence[AnyLine], jobs: int, *, keep_going: bool) -> None:
        """Checks that nothing that planned lines need is missing inside.

        With `keep_going`, what lacks something is an error of its line; else raises `NotFoundError`
        (`omitted-missing`). A destination that fails is an error of its lines.
        """
        looked = look(lines, self.opened.volumes, jobs)
        if looked.gaps and not keep_going:
            raise refusal(looked, self.opened, self.blobs, self.site)
        errors = looked.errors()
        for line in lines:
            line.error = line.error or errors.get(id(line))


def lost(error: AbsentError, opened: Opened) -> AirgapError | None:
    """The error for omitted blobs that disappeared during the import; `None` if it waits for a disc alone."""
    gone = [digest for digest in error.digests if Digest(digest) in opened.index.contents.omitted]
    if not gone:
        return None
    what = f"{gone[0]}, which this delta omits, is not there any more, or is damaged"
    return _missing([what], f"run the same command again; then {WANT}")


def refusal(looked: Looked, opened: Opened, blobs: OmittedBlobs, site: Site) -> OmittedError:
    """The error for a delta with gaps: what is missing, where, and the shortest way to mend it."""
    gaps = looked.gaps
    size = sum({one.blob.digest: one.blob.size for one in gaps}.values())
    many = count(len({one.blob.digest for one in gaps}), "blob")
    lines = [f"this delta omits {many} ({human(size)}), {GONE}"]
    lines += _told(gaps)
    lines += [f"{url} could not be asked: {error.what}" for url, error in blobs.unasked.items()]
    return _missing(lines, " ".join(_ways(looked, opened, site)))


def _missing(lines: Sequence[str], hint: str) -> OmittedError:
    return OmittedError("omitted-missing", Lines.of(lines, "\n  "), hint, side="destination")


def _lacking(gaps: Sequence[Gap]) -> str:
    first = gaps[0].blob
    more = f" and {len(gaps) - 1} more" if len(gaps) > 1 else ""
    return f"this delta omits {first.digest} ({human(first.size)}){more}, {GONE}"


def _told(gaps: Sequence[Gap]) -> list[str]:
    shown = [f"{one.line.destination.url}: {one.line.form.item}: {one.blob.digest}" for one in gaps[:SHOWN]]
    sizes = [f" ({human(one.blob.size)})" for one in gaps[:SHOWN]]
    lines = [text + size for text, size in zip(shown, sizes, strict=True)]
    return lines + ([f"and {len(gaps) - SHOWN} more"] if len(gaps) > SHOWN else [])


def _ways(looked: Looked, opened: Opened, site: Site) -> Iterator[str]:
    """The next steps, the shortest first."""
    contents, journey = opened.index.contents, opened.index.journey
    written, accepted = NamesFile(site.state, site.sovereign.name).load(), site.accepted()
    baselines = dict.fromkeys(contents.omitted[one.blob.digest].baseline for one in looked.gaps)
    for number in sorted(baselines):
        delivery = journey.based_on[number - 1].delivery
        known = accepted.find(delivery)
        if known is not None and delivery not in written.complete:
            yield (
                f"delivery {known.sequence} of stream {known.stream!r}, on which it is based, may be unfinished: run "
                "its import again first."
            )
    urls = dict.fromkeys(one.line.destination.url for one in looked.gaps)
    empty = [url for url in urls if not looked.there.get(url)]
    if empty:
        yield (
            f"Nothing of what this delta omits was found at {', '.join(empty)}. After a loss a delta alone will not "
            "do: pass the earlier deliveries too, with --baseline DIR for each, or have a full one cut."
        )
    yield f"{WANT}. --keep-going brings the items that lack nothing."
