"""Makes golden deltas, once for each version of the format: `python -m tests.golden.make_delta FOLDER`.

A full delivery is the baseline; a delta rests on its receipt, and a selection on the delta alone. The result is checked
in, and never made again, as that of `make_delivery`.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from airgap.base.progress import Silent
from airgap.bundling.bundle import Audience, BundleOrder, cut_delivery
from airgap.content.lock import Lock
from airgap.jobs.baselines import Coming, Since, find_baselines
from airgap.jobs.receiving_side import Receiver
from airgap.resources.load import load_trust
from airgap.statements.keys.file import load_private
from airgap.station.files import store_records
from airgap.station.signatory import Signatory
from airgap.store.layout import Layout as Store
from tests.golden.make_delivery import LIFE, NOW, REQUEST, SOVEREIGN, TRUST, VOLUME, airgap, make_content, run
from tests.parts.images import Layout

IDS = tuple(f"01a2174c-3500-7000-8000-0000000000d{number}" for number in (1, 2, 3))
APPROVE = ("--key", "keys/officer.key", "--log", "officer.jsonl")
GAP = ("--sovereign", "sovereign.yaml", "--trust", "golden/trust.yaml")


def deliver(name: str, request: str, since: Since, only: frozenset[str] = frozenset()) -> None:
    """Locks, pulls and approves what is requested, cuts it into `golden/NAME`, and imports it."""
    Path("golden.request.yaml").write_text(request)
    lock, store, out = "golden.lock.json", Path("store"), Path("golden", name)
    airgap("lock", "golden.request.yaml", "--update", "*")
    airgap("pull", lock, "--store", "store", "--key", "keys/exporter.key")
    read = Lock.decode(Path(lock).read_bytes(), lock)
    records, layout, trust = store_records(store), Store(store), load_trust(Path("golden/trust.yaml"))
    signer = load_private(Path("keys/exporter.key"), Path("keys/password").read_bytes().strip())
    coming = Coming((read,), "main", (Receiver("golden", trust),), NOW)
    [known] = find_baselines(since, coming, layout, records)
    order = BundleOrder((read,), (Audience("golden", known.proven),), out, "main", VOLUME, LIFE, only=only)
    cut_delivery(order, layout, records, Signatory(signer, "exporter", records.log(), lambda: NOW), Silent())
    airgap("sign", str(out), *APPROVE)
    airgap("import", str(out), *GAP, "--key", "keys/sovereign.key", "--receipt", f"golden/{name}.receipt.json")


def make_delta() -> None:
    """Everything, in the current folder."""
    request = REQUEST.replace("MANUAL", make_content(Path("content")))
    Path("sovereign.yaml").write_text(SOVEREIGN)
    Path("golden/trust.yaml").write_text(TRUST)
    deliver("baseline", request, Since())
    # What changes: a tag that shares its lower layer, a commit, and one more file of the model.
    image = Layout(Path("content/image"))
    image.tag("v2", image.image({"hello.txt": b"hello\n", "etc/platform": b"linux/amd64"}, {"more.txt": b"more\n"}))
    Path("content/hello/more.md").write_text("more\n")
    subprocess.run(["git", "-C", "content/hello", "add", "more.md"], check=True)
    author = ("-c", "user.name=golden", "-c", "user.email=golden@example.org")
    subprocess.run(["git", "-C", "content/hello", *author, "commit", "--quiet", "--message", "more"], check=True)
    Path("content/model/tokens.txt").write_text("hello\n")
    both = '  - {ref: "oci:content/image:v1", name: "docker.io/library/hello:1.0-arm64", platforms: [linux/arm64]}\n'
    moved = request.replace(both, '  - {ref: "oci:content/image:v2", name: "docker.io/library/hello:1.1"}\n')
    deliver("delta", moved, Since(receipts=("golden/baseline.receipt.json",)))
    deliver("selection", moved, Since(deliveries=(Path("golden/delta"),)), frozenset({"docker.io/library/hello:1.1"}))


if __name__ == "__main__":
    run(Path(sys.argv[1]), make_delta, *IDS)
