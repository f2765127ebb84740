"""One module per command (or small family). Each has `add(subparsers)`; handlers import what they need late."""

from __future__ import annotations

from types import ModuleType


def modules() -> list[ModuleType]:
    """The commands, in the order in which `--help` lists them."""
    from airgap.cli.commands import (
        audit,
        bundle,
        completion,
        copy,
        demo,
        doctor,
        extract,
        help_,
        history,
        import_,
        keys,
        lock,
        log,
        pack,
        prune,
        pull,
        receipt,
        report,
        rescan,
        rollback,
        scan,
        serve,
        show,
        sign,
        store,
        trust,
        verify,
        verify_image,
    )

    return [
        lock,
        pull,
        scan,
        bundle,
        copy,
        sign,
        verify,
        doctor,
        import_,
        audit,
        rollback,
        prune,
        history,
        receipt,
        rescan,
        report,
        show,
        extract,
        serve,
        store,
        keys,
        trust,
        log,
        verify_image,
        pack,
        demo,
        completion,
        help_,
    ]
