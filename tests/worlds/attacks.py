"""A world for attack stories: a connected zone, a station, media on the road, and a Sovereign without a route.

Everything happens through the command line. Only the attacker uses our own modules: to write down what a thief of a
key, or the owner of a stolen medium, could write with any tool.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airgap.base.digest import Digest
from airgap.base.errors import AirgapError
from airgap.delivery import readme as people
from airgap.delivery import tar as tape
from airgap.delivery.fields import FileSum
from airgap.delivery.index import Index
from airgap.delivery.journey import Evidence
from airgap.statements.dsse import open_bundle, sign_payload
from airgap.statements.keys.file import load_private
from airgap.statements.log import EMPTY_HEAD
from airgap.statements.predicates import Delivery, Predicate
from airgap.statements.statement import Statement, predicate_type
from tests.parts import images
from tests.parts.need import require_part
from tests.parts.system import NetworkNamespace
from tests.worlds.commands import PASSWORD, run_airgap, run_process
from tests.worlds.row import KEY
from tests.worlds.site import GAP, HEAD

ROLES = {
    "exporter": "exporter",
    "station": "station",
    "officer": "security-officer",
    "sovereign": "sovereign",
}
YEARS = "notBefore: 2026-01-01T00:00:00Z, notAfter: 2036-01-01T00:00:00Z"
NAME = "demo.local/app:v1"
MAX_EVIDENCE = 64 << 20

Files = dict[str, bytes]


@dataclass(frozen=True, slots=True)
class World:
    """A folder with everybody's files in it. `run` is a command outside the gap, `inside` one that has no route."""

    folder: Path
    netns: NetworkNamespace | None
    """`None` if nothing happens inside."""

    # people

    def run(self, *arguments: str, expect: int = 0, clock: str = "") -> Any:
        """A command with `--json`; returns its document. `clock` is where this machine's clock is: `+8 weeks`."""
        return self._run([], arguments, expect, clock)

    def inside(self, *arguments: str, expect: int = 0, clock: str = "") -> Any:
        """The same in a namespace that has loopback and nothing else."""
        assert self.netns is not None
        return self._run(self.netns.argv(), arguments, expect, clock)

    def take(self, *media: str, expect: int = 0, clock: str = "", more: Sequence[str] = ()) -> Any:
        """Imports it, with a receipt `MEDIA.receipt`."""
        receipt = ("--receipt", f"{media[0]}.receipt")
        return self.inside("import", *media, *GAP, *KEY, *receipt, *more, expect=expect, clock=clock)

    def refused(self, *media: str, clock: str = "", more: Sequence[str] = ()) -> str:
        """The code with which the gap refuses it. Nothing became visible, and no state was written."""
        before = self.seen()
        answer = self.take(*media, expect=4, clock=clock, more=more)
        assert answer["hint"], answer
        assert self.seen() == before
        return str(answer["code"])

    def seen(self) -> dict[str, bytes]:
        """What there is to see inside: names, and what was accepted."""
        files = [self.folder / "inside/oci/index.json", self.folder / "state/accepted.json"]
        found = {str(path): path.read_bytes() for path in files if path.exists()}
        # A layout without a name in it is as good as none.
        return {name: data for name, data in found.items() if json.loads(data).get("manifests") != []}

    def _run(self, way: list[str], arguments: Sequence[str], expect: int, clock: str) -> Any:
        faked = [str(require_part("faketime")), "-f", clock] if clock else []
        line, environ = [*arguments, "--json"], {**PASSWORD, "HOME": str(self.folder)}
        if before := [*way, *faked]:
            said = run_process(line, self.folder, environ, before=before)
        else:
            said = run_airgap(line, self.folder, environ)
        assert said.code == expect, f"{arguments}: {said}"
        return json.loads(said.out) if said.out.strip() else None

    # files

    def copy(self, folder: Path) -> World:
        """The same in another folder, so that stories do not meet."""
        shutil.copytree(self.folder, folder)
        return replace(self, folder=folder)

    def write(self, name: str, text: str) -> None:
        """A file that only its owner reads."""
        (self.folder / name).write_text(text)
        (self.folder / name).chmod(0o600)

    def trust(self, *, require: str = "pull, delivery", **keys: str) -> None:
        """The Sovereign's Trust; `officer="revoked: …"` says more about a key, in place of its ten years too."""
        lines = "".join(self._key(name, role, keys.get(name, "")) for name, role in ROLES.items())
        lines += "".join(self._key(name, *more.split(" ", 1)) for name, more in keys.items() if name not in ROLES)
        spec = f"spec:\n  sovereign: bank\n  keys:\n{lines}  require: [{require}]\n"
        self.write("trust.yaml", f"{HEAD}kind: Trust\nmetadata: {{name: bank}}\n{spec}")

    @staticmethod
    def _key(name: str, role: str, more: str = "") -> str:
        life = more if "notBefore" in more else ", ".join(filter(None, (YEARS, more)))
        return f"  - {{name: {name}, role: {role}, publicKeyFile: {name}.pub, {life}}}\n"

    def layout(self) -> images.Layout:
        """Upstream."""
        return images.Layout(self.folder / "made")

    def lock(self, name: str = "r", **names: str) -> str:
        """Locks `oci:made:TAG` under each name (left out: v1 as `NAME`) and pulls; gives the lock's file."""
        refs = names or {NAME: "v1"}
        lines = "".join(f"  - {{ref: 'oci:made:{tag}', name: '{item}'}}\n" for item, tag in refs.items())
        self.write(f"{name}.request.yaml", f"{HEAD}kind: Request\nmetadata: {{name: r}}\nspec:\n  images:\n{lines}")
        again = ("--update",) if (self.folder / f"{name}.lock.json").exists() else ()
        self.run("lock", f"{name}.request.yaml", *again)
        self.run("pull", f"{name}.lock.json", "--store", "store", "--key", "exporter.key")
        return f"{name}.lock.json"

    def cut(self, media: str, *more: str, lock: str = "r.lock.json", who: str = "station", to: str = "bank") -> str:
        """Cuts a delivery, whether somebody judged the lock or not."""
        role = ("--role", ROLES[who], "--unscanned")
        self.run("bundle", lock, "--store", "store", "--to", media, "--for", to, "--key", f"{who}.key", *role, *more)
        return media

    # the attacker

    def signer(self, name: str) -> Any:
        """Somebody's key, stolen with its password."""
        return load_private(self.folder / f"{name}.key", b"for tests")

    def statement(
        self, subject: Digest, body: Predicate, who: str, *, role: str = "", at: datetime | None = None
    ) -> bytes:
        """A statement by whoever's key it is, claiming any role and any time."""
        claimed = role or ROLES.get(who, "exporter")
        moment = at or datetime.now(UTC)
        made = Statement.of(subject, body, signed_at=moment, log_head=EMPTY_HEAD, role=claimed)
        return sign_payload(made.payload, self.signer(who))

    def forge(
        self,
        media: str,
        to: str,
        *,
        evidence: Callable[[Files], Files] = lambda files: files,
        index: Callable[[Index], Index] = lambda index: index,
        who: str = "station",
        at: datetime | None = None,
    ) -> str:
        """A copy of a delivery with another evidence or index, signed again by whoever's key the attacker has."""
        source, target = self.folder / media, self.folder / to
        shutil.copytree(source, target)
        files = evidence(tape.read_archive((source / "evidence.tar").read_bytes(), MAX_EVIDENCE))
        data = tape.pack(files.items())
        (target / "evidence.tar").write_bytes(data)
        made = Index.decode((source / "AIRGAP.json").read_bytes())
        listed = Evidence(FileSum("evidence.tar", Digest.of(data).hex, len(data)), _listed(files))
        made = index(replace(made, journey=replace(made.journey, evidence=listed)))
        signed = made.encode()
        for path in (target / "signatures").iterdir():
            path.unlink()
        bundle = self.statement(Digest.of(signed), Delivery(), who, at=at)
        (target / f"signatures/{ROLES.get(who, who)}.sigstore.json").write_bytes(bundle)
        (target / "AIRGAP.json").write_bytes(signed)
        readme = people.readme(made, signed)
        (target / "README.txt").write_bytes(readme)
        (target / "SHA256SUMS").write_bytes(people.sums(made, signed, readme))
        return to


def make_world(folder: Path, netns: NetworkNamespace | None) -> World:
    """Keys, trust, an embedded Sovereign, and a signed multi-platform image upstream under `v1`."""
    folder.mkdir(exist_ok=True)
    world = World(folder, netns)
    world.write("password", "for tests\n")
    for name in (*ROLES, "thief"):
        world.run("keys", "generate", name)
    world.trust()
    world.write(
        "sovereign.yaml",
        f"{HEAD}kind: Sovereign\nmetadata: {{name: bank}}\nspec:\n  stateDir: state\n  directory: inside\n",
    )
    layout = world.layout()
    children = [layout.image({"a": arch.encode()}, platform=f"linux/{arch}") for arch in ("amd64", "arm64")]
    root = layout.tag("v1", layout.index(*children))
    for subject in (root, *children):
        layout.signature_tag(subject, payload=str(subject["digest"]).encode())
        layout.tag("", layout.artifact("application/vnd.test.signature", ("text/plain", b"signed"), subject=subject))
    return world


def _listed(files: Files) -> tuple[tuple[str, Digest], ...]:
    """What AIRGAP.json says of the statements in the evidence."""
    found = {}
    for name, data in files.items():
        if name.startswith("statements/"):
            found[Digest.of(data)] = predicate_type("pull")  # of what is no statement
            with suppress(AirgapError):
                payload = open_bundle(data, name, MAX_EVIDENCE).payload
                found[Digest.of(data)] = str(json.loads(payload)["predicateType"])
    return tuple((kind, digest) for digest, kind in found.items())
