"""Makes the golden delivery with parity, once: `python -m tests.golden.make_parity FOLDER`.

It is `delivery-v1alpha1` with a parity file and a new AIRGAP.json; the volumes and the evidence are not copied.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from airgap.base.digest import Digest
from airgap.base.progress import Silent
from airgap.delivery import readme as people
from airgap.delivery.index import Index
from airgap.delivery.parity import plan_grid
from airgap.delivery.parity_write import write_parity
from airgap.statements.dsse import sign_payload
from airgap.statements.keys.file import load_private
from airgap.statements.predicates import Delivery
from airgap.statements.statement import Statement
from tests.golden.make_delivery import KEYS, NOW

BEFORE = Path(__file__).with_name("delivery-v1alpha1") / "delivery"


def make_parity(folder: Path) -> None:
    """Writes what is new into `folder`, which must not exist."""
    (folder / "signatures").mkdir(parents=True)
    index = Index.decode((BEFORE / "AIRGAP.json").read_bytes())
    with tempfile.TemporaryDirectory() as work:
        for file in index.protected:
            (Path(work) / file.name).write_bytes((BEFORE / file.name).read_bytes())
        grid = plan_grid([file.size for file in index.protected], 1)
        parity = write_parity(grid, index.protected, Path(work), Silent())
        for file in parity.files:
            (folder / file.name).write_bytes((Path(work) / file.name).read_bytes())
        key = Path(work) / "exporter.key"
        key.write_bytes((KEYS / "exporter.key").read_bytes())
        key.chmod(0o600)  # a checkout lets others read
        signer = load_private(key, (KEYS / "password").read_bytes().strip())
    made = replace(index, parity=parity)
    data = made.encode()
    statement = Statement.of(Digest.of(data), Delivery(), signed_at=NOW, log_head=Digest.of(b""), role="exporter")
    (folder / "signatures" / "exporter.sigstore.json").write_bytes(sign_payload(statement.payload, signer))
    readme = people.readme(made, data)
    (folder / "README.txt").write_bytes(readme)
    (folder / "SHA256SUMS").write_bytes(people.sums(made, data, readme))
    (folder / "AIRGAP.json").write_bytes(data)


if __name__ == "__main__":
    make_parity(Path(sys.argv[1]))
