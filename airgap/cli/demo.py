"""`airgap demo`: runs every step from lock to audit, shows each command as it would be typed, then a table."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from airgap.base.errors import InputError
from airgap.base.places import check_folder
from airgap.base.secrets import read_secret
from airgap.base.shipped import shipped
from airgap.base.text import Lines
from airgap.base.times import utc_text
from airgap.cli import exits
from airgap.cli.context import Context
from airgap.cli.demo_content import make_content, sign_content
from airgap.cli.words import table
from airgap.statements.keys.file import load_private

SOVEREIGN = """\
apiVersion: airgap.openova.io/v1alpha1
kind: Sovereign
metadata: {name: demo}
spec:
  stateDir: state
  directory: inside
"""
TRUST = """\
apiVersion: airgap.openova.io/v1alpha1
kind: Trust
metadata: {{name: demo}}
spec:
  sovereign: demo
  keys:
  - {{name: exporter, role: exporter, publicKeyFile: exporter.pub, notBefore: {begin}, notAfter: {end}}}
  - {{name: station, role: station, publicKeyFile: station.pub, notBefore: {begin}, notAfter: {end}}}
  - {{name: officer, role: security-officer, publicKeyFile: officer.pub, notBefore: {begin}, notAfter: {end}}}
  - {{name: sovereign, role: sovereign, publicKeyFile: sovereign.pub, notBefore: {begin}, notAfter: {end}}}
  require: [pull, verdict, delivery, approval]
"""
STRICT = """\
apiVersion: airgap.openova.io/v1alpha1
kind: Policy
metadata: {name: demo}
spec:
  keys:
  - {name: publisher, publicKeyFile: publisher.pub}
  rules:
  - match: ["demo.local/**"]
    require: {keys: [publisher]}
"""
UNSIGNED = """\
  - match: ["**"]
    kinds: [git, model, file]
    digestOnly: {{approver: officer, reason: these kinds are not signed, local: true, expires: {end}}}
"""
"""The rule that lets in items which cannot be signed: it names who answers for them, and until when."""


@dataclass(slots=True)
class Demo:
    """One run of the demo in its folder."""

    folder: Path
    context: Context
    rows: list[tuple[str, str, str]] = field(default_factory=list)

    def say(self, text: str) -> None:
        """Shows text to people. A command's output has several lines, in which that command made names harmless."""
        self.context.note(Lines(text))

    def airgap(self, claim: str, line: str, expect: int = exits.DONE) -> None:
        """Runs one command as it would be typed, and records whether its exit code is the expected one."""
        self.say(f"\n$ airgap {line}")
        done = subprocess.run(
            [sys.executable, "-m", "airgap.cli.main", *shlex.split(line)],
            cwd=self.folder,
            env=self._environ(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.stdout or done.stderr:
            self.say((done.stdout + done.stderr).rstrip())
        verdict = "as claimed" if done.returncode == expect else "NOT AS CLAIMED"
        self.rows.append((claim, f"airgap {line}", f"exit {done.returncode}, {verdict}"))

    def _environ(self) -> dict[str, str]:
        """The user's environment without airgap's settings: a command of the demo reads and writes only its folder."""
        kept = {name: value for name, value in self.context.environ.items() if not name.startswith("AIRGAP_")}
        return kept | {"AIRGAP_KEY_PASSWORD_FILE": "password", "XDG_STATE_HOME": str(self.folder / "user-state")}

    @property
    def good(self) -> bool:
        """True when the exit code of every command was as claimed."""
        return all("NOT" not in row[2] for row in self.rows)


def run_demo(chosen: Path | None, context: Context) -> int:
    """Runs the demo in `chosen` (kept), or in a temporary folder. Returns the exit code."""
    if chosen is not None:
        check_folder(chosen, "--dir")
        if chosen.exists() and any(chosen.iterdir()):
            raise InputError("not-empty", f"{chosen} is not empty", "name a new or empty folder")
    if shutil.which("git") is None:
        raise InputError(
            "no-git",
            "the demo carries a Git repository, but git is not installed",
            "install git, for example with apt install git",
        )
    if chosen is not None:
        chosen.mkdir(parents=True, exist_ok=True)
        return _run(Demo(chosen.absolute(), context))
    with tempfile.TemporaryDirectory(prefix="airgap-demo-") as folder:
        return _run(Demo(Path(folder), context))


def _run(demo: Demo) -> int:
    _prepare(demo)
    keys = "--key exporter.key"
    station = "--key station.key --role station"
    gap = "--sovereign sovereign.yaml --trust trust.yaml"
    demo.airgap("names are resolved to digests", "lock demo.request.yaml")
    demo.airgap("everything is fetched once, and verified", f"pull demo.lock.json --store store {keys}")
    demo.airgap(
        "unsigned items that no rule lets in are rejected",
        "scan demo.lock.json --store store --policy strict.yaml --dry-run",
        exits.NO,
    )
    demo.airgap(
        "signatures are verified, a verdict is signed",
        "scan demo.lock.json --store store --policy policy.yaml --key station.key",
    )
    size = "--volume-size 700KiB"
    demo.airgap(
        "one signed delivery in several volumes",
        f"bundle demo.lock.json --store store --to media --for demo {station} {size}",
    )
    demo.airgap(
        "without the approval that trust.yaml requires, it is refused",
        f"import media {gap} --dry-run",
        exits.TRUST,
    )
    demo.airgap("the security-officer approves", "sign media --key officer.key --role security-officer")
    demo.airgap("every byte is as signed", "verify media --trust trust.yaml")
    demo.airgap("a dry run shows what would be written", f"import media {gap} --dry-run")
    demo.airgap(
        "images, charts, Git, models, files arrive",
        f"import media {gap} --key sovereign.key --receipt receipt.json",
    )
    demo.airgap("a second import finds everything present", f"import media {gap} --key sovereign.key")
    demo.airgap("everything is in place, compared by bytes", f"audit {gap} --receipt receipt.json")
    demo.airgap("the station's log has not been rewritten", "log verify --store store --trust trust.yaml")
    if demo.good:  # otherwise there may be no file to damage, and the table shows why
        _flip(demo)
        damaged = "verify damaged --trust trust.yaml"
        demo.airgap("one flipped byte in a volume is found", damaged, exits.TRUST)
        audit = f"audit {gap} --receipt receipt.json"
        demo.airgap("one flipped byte inside is found", audit, exits.NO)
    rows = [("CLAIM", "COMMAND", "RESULT"), *demo.rows]
    document = {"rows": [dict(zip(("claim", "command", "result"), row, strict=True)) for row in demo.rows]}
    demo.context.result(document, ["", *table(rows)])
    return exits.DONE if demo.good else exits.BUG


def _prepare(demo: Demo) -> None:
    folder = demo.folder
    demo.say(f"making content in {folder}: an image, a chart, a Git repository, a model, a file")
    manual = make_content(folder / "content")
    request = re.sub(
        r"sha256: [0-9a-f]{64}", f"sha256: {manual}", shipped("examples", "demo.request.yaml").read_text("utf-8")
    )
    (folder / "demo.request.yaml").write_text(request)
    (folder / "password").write_text("demo only\n")
    (folder / "password").chmod(0o600)
    now = demo.context.now()
    begin, end = utc_text(now - timedelta(days=1)), utc_text(now + timedelta(days=365))
    (folder / "trust.yaml").write_text(TRUST.format(begin=begin, end=end))
    (folder / "sovereign.yaml").write_text(SOVEREIGN)
    (folder / "strict.yaml").write_text(STRICT)
    (folder / "policy.yaml").write_text(STRICT + UNSIGNED.format(end=end))
    for name in ("exporter", "station", "officer", "sovereign", "publisher"):
        demo.airgap(f"a key for the {name}", f"keys generate {name}")
    if demo.good:
        demo.say("\n# the publisher signs the image and the chart, as cosign would")
        signer = load_private(folder / "publisher.key", read_secret(folder / "password", "password").encode())
        sign_content(folder / "content", signer, now)


def _flip(demo: Demo) -> None:
    """Flips one byte in a copy of a volume, and one in a blob inside the Sovereign."""
    damaged = demo.folder / "damaged"
    shutil.copytree(demo.folder / "media", damaged)
    _flip_byte(sorted(damaged.glob("vol-*.tar"))[0])
    blobs = (demo.folder / "inside" / "oci" / "blobs" / "sha256").iterdir()
    _flip_byte(
        max(
            (path for path in blobs if not path.name.startswith(".")),
            key=lambda path: path.stat().st_size,
        )
    )
    demo.say("\n# one byte is flipped in a copy of the first volume, and one in the largest blob inside")


def _flip_byte(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 1]))
