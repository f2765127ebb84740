"""One module a command (or a small family). Each has `add(subparsers)`; handlers import what they need late."""

from __future__ import annotations

from types import ModuleType


def modules() -> list[ModuleType]:
    """The commands, in the order in which `--help` lists them."""
    from airgap.cli.commands import (
        audit,
        bundle,
        demo,
        import_,
        keys,
        lock,
        pull,
        show,
        sign,
        verify,
    )

    return [lock, pull, bundle, sign, verify, import_, audit, show, keys, demo]
