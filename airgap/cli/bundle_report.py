"""What `airgap bundle` cut, or would cut, on the screen and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from airgap.base.amounts import count, human
from airgap.base.times import utc_text
from airgap.cli.context import Context
from airgap.cli.words import table

if TYPE_CHECKING:
    from airgap.bundling.baselines import Delta
    from airgap.bundling.bundle import Cut
    from airgap.delivery.disc_plan import Disc
    from airgap.delivery.fields import FileSum
    from airgap.jobs.bundle import BundleOptions, PlannedBundle, PlannedItem

MAX_SHOWN = 20
"""The largest items that a dry run lists; --json lists all."""


def report(cut: Sequence[Cut], options: BundleOptions, context: Context) -> None:
    """What was cut, for each Sovereign."""
    made = [_document(one) for one in cut]
    text = [line for one in cut for line in _lines(one, options)]
    if len(cut) > 1:
        text.append(f"  import each of them with its folder and this one: airgap import {cut[0].folder} {options.to} …")
    context.result(made[0] if len(made) == 1 else {"deliveries": made}, text)


def _document(cut: Cut) -> dict[str, Any]:
    from airgap.delivery.files import volume_files

    journey = cut.index.journey
    return {
        "delivery": str(cut.folder),
        "digest": str(cut.digest),
        "id": journey.id,
        "stream": journey.stream,
        "sequence": journey.sequence,
        "sovereign": journey.sovereign,
        "expires": utc_text(journey.expires),
        "volumes": [volume.as_dict() for volume in volume_files(cut.outer)],
        "only": [root.item for root in cut.index.contents.roots] if cut.index.contents.only else [],
        "parity": [file.as_dict() for file in _parity_files(cut)],
        "encryptedTo": list(cut.encrypted_to),
        **_rests_on(cut.delta),
    }


def _lines(cut: Cut, options: BundleOptions) -> Iterator[str]:
    from airgap.delivery.files import volume_files

    journey, volumes, parity = cut.index.journey, volume_files(cut.outer), _parity_files(cut)
    yield (
        f"{cut.folder}: delivery {journey.sequence} of stream {journey.stream!r} for {journey.sovereign!r}: "
        f"{_files(len(volumes), len(parity))}, {human(sum(file.size for file in (*volumes, *parity)))}; "
        f"expires {utc_text(journey.expires)}"
    )
    yield f"  {cut.digest}  signed by {options.role}"
    if cut.index.contents.only:
        items = count(len(cut.index.contents.roots), "item")
        yield f"  a selection of {items}: inside, nothing is concluded about the others"
    yield from (f"  encrypted to {one}" for one in cut.encrypted_to)
    if options.is_delta:
        yield f"  {_delta_line(cut.delta)}"


def _parity_files(cut: Cut) -> tuple[FileSum, ...]:
    return () if cut.outer.parity is None else cut.outer.parity.files


def _rests_on(delta: Delta) -> dict[str, Any]:
    return {
        "basedOn": [one.as_dict() for one in delta.based_on],
        "omitted": {"blobs": len(delta.blobs), "bytes": delta.bytes},
    }


def _delta_line(delta: Delta) -> str:
    if not delta.blobs:
        return "a full delivery: no baseline proves that something of it is inside at everybody who receives it"
    baselines = count(len(delta.based_on), "earlier delivery", "earlier deliveries")
    return (
        f"a delta of {baselines}: {count(len(delta.blobs), 'blob')} with {human(delta.bytes)} are inside, and left out"
    )


def _files(volumes: int, parity: int) -> str:
    return count(volumes, "volume") + (f" and {count(parity, 'parity file')}" if parity else "")


def report_plan(planned: PlannedBundle, options: BundleOptions, context: Context) -> None:
    """What would be cut: volumes, and what each item adds to them. Shared layers count for the first item."""
    document = {
        "dryRun": True,
        "bytes": planned.bytes,
        "volumes": [{"name": name, "size": size} for name, size in planned.volumes],
        "parity": [{"name": name, "size": size} for name, size in planned.parity],
        "evidence": planned.evidence,
        "discs": [
            {"number": disc.number, "bytes": disc.size, "files": [file.name for file in disc.files]}
            for disc in planned.discs
        ],
        "only": [one.item.name for one in planned.items] if planned.only else [],
        "deliveries": [{"sovereign": name, **_rests_on(delta)} for name, delta in planned.deltas],
        "items": [
            {
                "name": one.item.name,
                "kind": one.item.kind,
                "bytes": one.size.bytes,
                "shared": one.size.shared,
                "inside": one.inside,
                "carried": one.carried,
            }
            for one in planned.items
        ],
    }
    volumes = [("VOLUME", "SIZE"), *((name, human(size)) for name, size in (*planned.volumes, *planned.parity))]
    largest = sorted(planned.items, key=lambda one: -one.carried if options.is_delta else -one.size.bytes)
    rows: list[tuple[str, ...]] = [_DELTA_COLUMNS if options.is_delta else ("KIND", "NAME", "SIZE", "SHARED")]
    rows += [_delta_row(one) if options.is_delta else _row(one) for one in largest[:MAX_SHOWN]]
    more = len(largest) - MAX_SHOWN
    text = [
        (
            f"dry run, nothing was written: {_files(len(planned.volumes), len(planned.parity))}, "
            f"{human(planned.bytes)}, "
            f"{count(len(planned.items), 'item')}"
        ),
        *(
            f"{name}: {_delta_line(delta)}" if len(planned.deltas) > 1 else _delta_line(delta)
            for name, delta in planned.deltas
            if options.is_delta
        ),
        *table(volumes),
        *table([("DISC", "SIZE", "FILES"), *map(_disc_row, planned.discs)] if planned.discs else []),
        *table(rows),
        *([f"and {more} smaller items: --json lists them"] if more > 0 else ()),
    ]
    context.result(document, text)


_DELTA_COLUMNS = ("KIND", "NAME", "SIZE", "INSIDE", "CARRIED", "WHY")


def _disc_row(disc: Disc) -> tuple[str, ...]:
    first, last = disc.files[0].name, disc.files[-1].name
    return (f"{disc.number} of {disc.count}", human(disc.size), first if first == last else f"{first} … {last}")


def _row(one: PlannedItem) -> tuple[str, ...]:
    shared = human(one.size.shared) if one.size.shared else ""
    return (one.item.kind, one.item.name, human(one.size.bytes), shared)


def _delta_row(one: PlannedItem) -> tuple[str, ...]:
    sizes = (human(one.size.bytes), human(one.inside) if one.inside else "", human(one.carried))
    return (one.item.kind, one.item.name, *sizes, one.why)
