"""Who signs in a job: the key is opened and checked before the work."""

from __future__ import annotations

from airgap.base.errors import InputError
from airgap.jobs.surroundings import Surroundings
from airgap.resources.trust import Trust
from airgap.statements.keys.file import Signer
from airgap.statements.keys.open import open_key
from airgap.statements.log import StationLog
from airgap.statements.trust import check_signer
from airgap.station.files import Records
from airgap.station.signatory import Signatory


def signer_of(key: str | None, surroundings: Surroundings) -> Signer:
    """The signer of a key, by its path or `pkcs11:` URI.

    Raises `InputError` (`no-key`) for `None`, and what opening a key raises.
    """
    if key is None:
        raise InputError("no-key", "this command signs, but no key was given", "use --key KEY, or set AIRGAP_KEY")
    return open_key(key, lambda: surroundings.password(key), surroundings.pkcs11_module)


def signatory_of(
    key: str | None,
    role: str,
    records: Records,
    surroundings: Surroundings,
    trust: Trust | None = None,
    besides: str = "",
) -> Signatory:
    """The key in its role, with the log of `records`.

    With a Trust resource, a key that it does not accept in this role is refused; without one, a note says that nobody
    checked it, and what else nobody checked (`besides`). Raises `InputError` (`wrong-key`), and what `signer_of`
    raises.
    """
    signer, log = signer_of(key, surroundings), records.log()
    check_role(signer, role, log, surroundings, trust, besides)
    return Signatory(signer, role, log, surroundings.clock)


def check_role(
    signer: Signer, role: str, log: StationLog, surroundings: Surroundings, trust: Trust | None, besides: str = ""
) -> None:
    """Checks the key by the Trust resource. Without one, says so, and what the log knows of the key.

    A private key does not say its role, and a statement in a wrong role counts for nothing at the receiving side.
    Raises `InputError` (`wrong-key`).
    """
    if trust is not None:
        check_signer(trust, signer.key_id, role, surroundings.clock())
        return
    others = " and ".join(sorted(log.recent_roles(signer.key_id) - {role}))
    what = f"this key signed as {others} before, and a key has one role" if others else "the key's role was not checked"
    more = f"; not checked either: {besides}" if besides else ""
    surroundings.note(f"note: signing as {role}: {what}{more}; pass --trust FILE")
