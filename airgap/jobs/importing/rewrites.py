"""Whether an import may replace the history of Git repositories: `--allow-rewrite`, and an approval of exactly that."""

from __future__ import annotations

from collections.abc import Sequence

from airgap.acceptance.open import Opened
from airgap.base.errors import TrustError
from airgap.jobs.approvables import check_repositories
from airgap.jobs.surroundings import Surroundings
from airgap.kinds.table import kind_of


def check_rewrites(names: Sequence[str], opened: Opened, surroundings: Surroundings, *, dry_run: bool) -> None:
    """Checks that the repositories are in the delivery, and approved. A dry run says that an approval is missing.

    Raises `InputError` (`no-such-item`), `TrustError` (`rewrite-unapproved`).
    """
    known = [item.name for item, _ in opened.roots if kind_of(item).packed]
    check_repositories(names, known, "the delivery")
    for name in names:
        if name in opened.admitted.rewrites:
            continue
        if not dry_run:
            raise TrustError(
                "rewrite-unapproved",
                f"{name}: no security-officer approved that this delivery replaces its history",
                f"have it approved: airgap sign DELIVERY --allow-rewrite {name} --key KEY --trust FILE; if it was "
                "approved with --out DIR, pass DIR in addition to the delivery",
            )
        surroundings.note(f"note: the import requires an approval: airgap sign DELIVERY --allow-rewrite {name}")
