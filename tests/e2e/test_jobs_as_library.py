"""The whole way by the job functions alone, from a program of the user's own: no argparse, no command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.parts import images
from tests.worlds.site import HEAD

pytestmark = pytest.mark.e2e
NAME = "demo.local/app:v1"
SPEC = f"spec:\n  images:\n  - {{ref: 'oci:image:v1', name: '{NAME}'}}\n"
REQUEST = f"{HEAD}kind: Request\nmetadata: {{name: app}}\n{SPEC}"
SOVEREIGN = f"{HEAD}kind: Sovereign\nmetadata: {{name: bank}}\nspec: {{stateDir: state, directory: inside}}\n"
POLICY = f"""\
{HEAD}kind: Policy
metadata: {{name: bank}}
spec:
  rules:
  - match: ["demo.local/**"]
    digestOnly: {{approver: officer, reason: a test, local: true, expires: 2036-01-01T00:00:00Z}}
"""
ROLES = ("exporter", "station", "security-officer", "sovereign")
TRUST = f"{HEAD}kind: Trust\nmetadata: {{name: bank}}\nspec:\n  sovereign: bank\n  keys:\n" + "".join(
    f"  - {{name: {role}, role: {role}, publicKeyFile: {role}.pub, notBefore: 2026-01-01T00:00:00Z, "
    "notAfter: 2036-01-01T00:00:00Z}\n"
    for role in ROLES
)
TRUST += "  require: [pull, verdict, delivery, approval]\n"
PROGRAM = '''\
"""What somebody writes who carries deliveries without the command line."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from airgap.jobs.audit import AuditOptions, audit
from airgap.jobs.bundle import BundleOptions, bundle
from airgap.jobs.extract import ExtractOptions, extract
from airgap.jobs.offer import OfferOptions
from airgap.jobs.import_delivery import ImportOptions, import_delivery
from airgap.jobs.keys import CheckKeyOptions, check_key, make_keys
from airgap.jobs.lock import LockOptions, lock
from airgap.jobs.pull import PullOptions, pull
from airgap.jobs.scan import ScanOptions, scan
from airgap.jobs.sign import SignOptions, sign
from airgap.jobs.station_log import LogOptions, verify_log
from airgap.jobs.surroundings import Surroundings
from airgap.jobs.verify import VerifyOptions, verify
from airgap.jobs.verify_image import VerifyImageOptions, verify_image

folder = Path(sys.argv[1])
notes, asked = [], []


def password(key):
    asked.append(Path(key).name)
    return b"for tests"


surroundings = Surroundings(lambda: datetime.now(UTC), folder / "home", note=notes.append, password=password)
store, media, trust = folder / "store", folder / "media", folder / "trust.yaml"
for role in ("exporter", "station", "security-officer", "sovereign"):
    make_keys(folder / role, lambda: b"for tests")
key = {role: str(folder / f"{role}.key") for role in ("exporter", "station", "security-officer", "sovereign")}
said = {}

locked = lock(LockOptions(folder / "app.request.yaml"), surroundings)
said["lock"] = [item.name for item in locked.lock.items]
pulled = pull(PullOptions((locked.output,), store, key["exporter"]), surroundings)
said["pull"] = [one.outcome for one in pulled]
looked = VerifyImageOptions(sys.argv[2], folder / "policy.yaml", lock=locked.output, store=store)
judged = verify_image(looked, surroundings)
said["verify-image"] = judged.judgement.passed
scanned = scan(ScanOptions((locked.output,), store, folder / "policy.yaml", key["station"], trust=trust), surroundings)
said["scan"] = [one.verdict.outcome for one in scanned.locks]
[cut] = bundle(BundleOptions((locked.output,), store, media, ("bank",), key["station"], "station"), surroundings)
said["bundle"] = cut.index.journey.sequence
options = ImportOptions((media,), folder / "sovereign.yaml", trust, key["sovereign"], folder / "receipt.json")
try:
    import_delivery(options, surroundings)
except Exception as error:
    said["unapproved"] = [type(error).__name__, error.code]
said["sign"] = str(sign(SignOptions(media, key["security-officer"], trust=trust), surroundings).seen.approves.kind)
said["verify"] = len(verify(VerifyOptions((media,), trust), surroundings).bad)
done = import_delivery(options, surroundings)
said["import"] = [str(change.outcome) for _, change in done.changes]
again = import_delivery(options, surroundings)
said["again"] = [str(change.outcome) for _, change in again.changes]
told = []
checked = AuditOptions(
    folder / "sovereign.yaml", folder / "receipt.json", trust=trust, report=folder / "audit.json", key=key["sovereign"]
)
found = audit(checked, surroundings, told.append)
said["audit"] = [len(found.drift), told == [found], (folder / "audit.json").exists()]
said["log"] = verify_log(LogOptions(store=store, trust=trust), surroundings).lines
options = ExtractOptions(OfferOptions(media, trust=trust), (sys.argv[2],), folder / "out")
said["extract"] = str(extract(options, surroundings).items[0].digest)
said["keys"] = len(check_key(CheckKeyOptions(trust=trust), surroundings).keys)
said["asked"] = sorted(set(asked))
said["modules"] = [name for name in ("argparse", "getpass", "airgap.cli") if name in sys.modules]
print(json.dumps(said))
'''


def test_the_whole_way_without_the_command_line(tmp_path: Path) -> None:
    images.make_image(tmp_path / "image", "v1")
    files = {"app.request.yaml": REQUEST, "sovereign.yaml": SOVEREIGN, "policy.yaml": POLICY, "trust.yaml": TRUST}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "program.py").write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, "program.py", tmp_path, NAME],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said.pop("extract").startswith("sha256:")
    assert said == {
        "lock": [NAME],
        "pull": ["pass"],
        "verify-image": True,
        "scan": ["pass"],
        "bundle": 1,
        "unapproved": ["MissingStatementError", "statement-missing"],
        "sign": "delivery",
        "verify": 0,
        "import": ["written"],
        "again": ["present"],
        "audit": [0, True, True],
        "log": 3,
        "keys": 4,
        "asked": ["exporter.key", "security-officer.key", "sovereign.key", "station.key"],
        "modules": [],
    }
