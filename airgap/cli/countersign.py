"""The key that signs what an import admits: opened before the work, and never one that signs statements."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from airgap.base.errors import InputError
from airgap.cli.context import Context

if TYPE_CHECKING:
    from airgap.jobs.importing.countersign import Countersigner
    from airgap.resources.model import Sovereign, Trust


def countersigner_for(sovereign: Sovereign, trust: Trust, state: Path, context: Context) -> Countersigner | None:
    """The countersigner of a Sovereign, `None` where its resource asks for no signatures.

    Raises `InputError` (`wrong-key`) for a key that the Trust resource lists, and what opening a key raises. A key has
    one purpose: cosign takes any statement of a key about an image for a signature of it.
    """
    places = {one.url: one.signatures for one in sovereign.registries if one.signatures is not None}
    if not places or sovereign.signing_key is None:
        return None
    from airgap.base.secrets import read_secret
    from airgap.cli.connect import open_key
    from airgap.jobs.importing.countersign import Countersigner
    from airgap.statements.trust import key_ring
    from airgap.station.files import Records
    from airgap.station.signatory import Diary

    named = sovereign.signing_key
    signer = open_key(named.key, context, lambda: read_secret(named.password_file, "password").encode())
    for key, public in key_ring(trust).keys:
        if public.key_id == signer.key_id:
            raise InputError(
                "wrong-key",
                f"spec.signingKey is key {key.name!r} of the Trust resource, which signs statements as {key.role}",
                "make a key for this one purpose: `airgap keys generate`",
            )
    diary = Diary(Records(state).log(), f"sovereign {signer.key_id}", context.now)
    return Countersigner(signer, places, diary)
