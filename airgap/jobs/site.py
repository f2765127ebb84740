"""A Sovereign as jobs see it: opened in one place, so that every job finds the same state, destinations and ledger."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from airgap.base.digest import Digest
from airgap.base.disk import make_private
from airgap.base.errors import InputError, TrustError
from airgap.base.secrets import read_secret
from airgap.destinations.accepted_list import Shelf
from airgap.destinations.base import Precedence, Run
from airgap.destinations.make import Destinations, http_for, make, shelves
from airgap.jobs.importing.countersign import Countersigner
from airgap.jobs.signing import signatory_of
from airgap.jobs.surroundings import DEFAULT_JOBS, Surroundings
from airgap.net.http import Client
from airgap.resources.load import position
from airgap.resources.sovereign import Sovereign
from airgap.resources.trust import Trust
from airgap.statements.accepted_state import AcceptedState, StateFile
from airgap.statements.keys.open import open_key
from airgap.statements.trust import key_ring
from airgap.station import receipts
from airgap.station.brought import Past, add_names, past
from airgap.station.files import Records
from airgap.station.ledger import Ledger
from airgap.station.names import NamesFile
from airgap.station.prunes import kept_prunes
from airgap.station.signatory import Diary, Signatory
from airgap.version import USER_AGENT

ROLE = "sovereign"
"""The role in which a Sovereign signs."""


@dataclass(frozen=True, slots=True)
class Site:
    """A Sovereign with its Trust resource. `open_site` makes it; its methods open what a job needs, in the job's order.

    `jobs` is the number of parallel tasks.
    """

    sovereign: Sovereign
    trust: Trust
    surroundings: Surroundings
    records: Records
    jobs: int

    @property
    def state(self) -> Path:
        """The state folder. It need not exist."""
        return self.records.folder

    def rescuer(self, folder: str) -> Callable[[bytes], None]:
        """For `ResultFile.rescue`: keeps what only the replaced file had, and says where. `folder` has the others."""

        def rescue(data: bytes) -> None:
            path = self.records.rescue(folder, data)
            if path is not None:
                self.surroundings.note(f"note: what the file held before was kept nowhere else; now it is in {path}")

        return rescue

    def close_state(self) -> None:
        """Makes the state folder, or closes it to other accounts. Raises `StoreError` (`folder-open`)."""
        if make_private(self.state):
            self.surroundings.note(f"note: {self.state}: other accounts could use this folder; its mode is 700 now")

    def accepted(self) -> AcceptedState:
        """What was accepted here, by the state folder alone. Raises `StoreError`."""
        return StateFile(self.state, self.sovereign.name).load()

    def ledger(self, *, restore: bool = False) -> Ledger:
        """The record of this Sovereign's deliveries. Asks nothing yet, and writes nothing.

        With `restore`, the lists that the destinations keep count in addition to the state.
        """
        return Ledger(
            file=StateFile(self.state, self.sovereign.name),
            shelves=self.shelves(),
            trust=self.trust,
            records=self.records,
            diary=Diary(self.records.log(), ROLE, self.surroundings.clock),
            note=self.surroundings.note,
            restore=restore,
        )

    def shelves(self) -> list[Shelf]:
        """Where the list of accepted deliveries is kept."""
        return shelves(self.sovereign, self.client())

    def signatory(self, key: str) -> Signatory:
        """The Sovereign's own key, which signs receipts and lists. Raises what `signatory_of` raises."""
        return signatory_of(key, ROLE, self.records, self.surroundings, self.trust)

    def countersigner(self) -> Countersigner | None:
        """The key that signs what an import admits; `None` where the Sovereign resource asks for no signatures.

        Raises `InputError` (`wrong-key`) for a key that the Trust resource lists, and what opening a key raises. A key
        has one purpose: cosign accepts any statement by a key about an image as a signature of it.
        """
        places = {one.url: one.signatures for one in self.sovereign.registries if one.signatures is not None}
        named = self.sovereign.signing_key
        if not places or named is None:
            return None
        signer = open_key(
            named.key,
            lambda: read_secret(named.password_file, "password").encode(),
            self.surroundings.pkcs11_module,
        )
        for key, public in key_ring(self.trust).keys:
            if public.key_id == signer.key_id:
                raise InputError(
                    "wrong-key",
                    f"spec.signingKey is key {key.name!r} of the Trust resource, which signs statements as {key.role}",
                    "generate a key for this purpose only: `airgap keys generate`",
                )
        diary = Diary(self.records.log(), f"{ROLE} {signer.key_id}", self.surroundings.clock)
        return Countersigner(signer, places, diary)

    def destinations(
        self,
        *,
        create: bool,
        restore: bool = False,
        deep: bool = False,
        work: Path | None = None,
        precedence: Callable[[str], Precedence] = lambda _url: Precedence(),
        rewrites: Collection[str] = (),
        omitted: Collection[Digest] = (),
    ) -> Destinations:
        """The destinations, each with what this Sovereign's receipts record about it.

        `create` lets the folders of an embedded Sovereign be made; without it nothing is written. With `restore` no
        name is moved back; with `deep` receipts are ignored. `work` is for unfinished work in place of the state
        folder. `precedence` gives what other deliveries wrote at a URL. `rewrites` are the Git repositories whose
        history may be replaced, `omitted` the blobs that a delta leaves out.
        """
        progress = self.surroundings.progress()
        known = receipts.ours(self.state, self.trust, self.surroundings.clock(), cache(self.accepted))

        def run(url: str) -> Run:
            found = known.get(url, receipts.ReceiptLines())
            return Run(
                progress, self.jobs, found.lines, restore, deep, found.signed, precedence(url), rewrites, omitted
            )

        return make(self.sovereign, run, http=self.client(), state=work or self.state, create=create)

    def past(self, destinations: Destinations, *, verified: bool = True) -> Past:
        """What all receipts of this Sovereign list, and names.json; without `verified`, nobody checks a signature.

        The caller may add receipts from elsewhere, and closes it. Raises `StoreError`.
        """
        trust = self.trust if verified else None
        made = past(self.state, trust, self.surroundings.clock(), cache(self.accepted))
        for path in made.unread:
            self.surroundings.note(f"note: {path}: it is not trusted, and does not count")
        for one in kept_prunes(self.state, trust, self.surroundings.clock()):
            made.add_prune(one)
        forms = {one.url: one.form for one in destinations.all()}
        add_names(made, NamesFile(self.state, self.sovereign.name), forms)
        return made

    def client(self) -> Client:
        """A new HTTP client for the services of the Sovereign."""
        on_retry = self.surroundings.progress().note
        return http_for(self.sovereign, jobs=self.jobs, user_agent=USER_AGENT, on_retry=on_retry)


def check_same_sovereign(sovereign: Sovereign, sovereign_file: Path, trust: Trust, trust_file: Path) -> None:
    """Raises `TrustError` (`wrong-trust`), with both places, when two resources name different Sovereigns."""
    if trust.sovereign != sovereign.name:
        raise TrustError(
            "wrong-trust",
            f"{position(sovereign_file, 'Sovereign', ('metadata', 'name'))}: the Sovereign is {sovereign.name!r}, but "
            f"{position(trust_file, 'Trust', ('spec', 'sovereign'))}: the Trust resource is for {trust.sovereign!r}",
            "pass the Sovereign and the Trust resource of the same Sovereign, or correct the wrong name",
        )


def open_site(sovereign: Sovereign, trust: Trust, surroundings: Surroundings, *, jobs: int = DEFAULT_JOBS) -> Site:
    """Opens a Sovereign. Asks nothing and writes nothing."""
    return Site(sovereign, trust, surroundings, Records(state_folder_of(sovereign, surroundings)), jobs)


def state_folder_of(sovereign: Sovereign, surroundings: Surroundings) -> Path:
    """The state folder of a Sovereign: its stateDir, else a folder of its name among the state of the surroundings."""
    return sovereign.state_dir or surroundings.state_folder / sovereign.name
