"""An image with signatures of every kind in a layout, and policies that are asked about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airgap.base.digest import Digest
from airgap.content.bound import measure, total
from airgap.content.graph import Descriptor
from airgap.content.item import Item
from airgap.judgement.checks.base import Outcome
from airgap.judgement.items import load_roots
from airgap.judgement.judge import Judgement, judge
from airgap.judgement.vex import VexFiles, read_vex_files
from airgap.resources.load import load_policy
from airgap.resources.waiver import Waiver
from airgap.statements.scan_run import ScanRun
from airgap.store.attached import find_attached
from airgap.store.layout import Layout
from airgap.store.locate import LayoutFinder
from tests.parts import images
from tests.parts.fake_sigstore import (
    FakeSigstore,
    How,
    attach,
    bundles,
    legacy,
    managed,
    public_pem,
)

NOW = datetime(2026, 11, 1, tzinfo=UTC)
AT = datetime(2024, 5, 1, tzinfo=UTC)
NAME = "ghcr.io/acme/app:1.0"
ACME = How(AT, signer=managed("acme"), log="none")
EVIL = How(AT, signer=managed("evil"), log="none")
RULE = "- {match: [ghcr.io/acme/*], require: {keys: [acme]}}"
LOCKED = "- {match: [ghcr.io/acme/*], digestOnly: {approver: Amina, reason: r, expires: 2026-12-01T00:00:00Z}}"
ANYTHING = LOCKED.replace("ghcr.io/acme/*", "'**'")
SBOM = {
    "spdxVersion": "SPDX-2.3",
    "SPDXID": "SPDXRef-DOCUMENT",
    "name": "app",
    "creationInfo": {"created": "2026-01-01T00:00:00Z", "creators": ["Tool: test"]},
    "packages": [{"name": "zlib", "SPDXID": "SPDXRef-zlib", "versionInfo": "1.3"}],
}
KEYS = """
  - {name: acme, publicKeyFile: acme.pub}
  - {name: auditor, publicKeyFile: auditor.pub}
  - {name: old, publicKeyFile: old.pub, notAfter: 2026-01-01T00:00:00Z}"""


def policy_text(rules: str, more: str) -> bytes:
    head = "apiVersion: airgap.openova.io/v1alpha1\nkind: Policy\nmetadata: {name: p}\n"
    lines = "".join(f"  {line}\n" for line in rules.split("\n"))
    return f"{head}spec:\n  keys: {KEYS}\n{more}\n  rules:\n{lines}".encode()


class World:
    """A layout with one index of two images, and what is attached to them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = images.Layout(folder / "layout")
        self.children = [
            self.files.image({"a": b"1"}),
            self.files.image({"a": b"2"}, platform="linux/arm64"),
        ]
        self.image = self.files.index(*self.children)
        self.fake = FakeSigstore()
        for name in ("acme", "auditor", "old"):
            (folder / f"{name}.pub").write_bytes(public_pem(managed(name).key))

    @property
    def digest(self) -> str:
        return str(self.image["digest"])

    def bundle(self, how: How, subject: images.Descriptor | None = None) -> images.Descriptor:
        """A signature as cosign v3 makes it."""
        about = subject or self.image
        return attach.referrer(self.files, about, self.fake.sign_image(about["digest"], how))

    def attest(self, predicate_type: str, predicate: object, how: How) -> None:
        bundle = self.fake.attest(self.digest, predicate_type, predicate, how)
        attach.referrer(self.files, self.image, bundle)

    def old(self, *layers: legacy.Layer) -> None:
        """Signatures as older cosigns make them."""
        attach.tag(self.files, self.image, "sig", layers)

    def item(self, **changed: object) -> Item:
        """The image as a lock would have it."""
        layout = Layout(self.files.folder)
        root = Descriptor(self.image["mediaType"], Digest(self.digest), self.image["size"])
        nodes = [root.digest, *(Digest(child["digest"]) for child in self.children)]
        attached = find_attached(LayoutFinder(layout), nodes)
        made = Item(name=NAME, kind="image", source=NAME, root=root, attached=attached)
        return replace(made, **changed)  # type: ignore[arg-type]

    def locked(self, name: str, root: images.Descriptor) -> Item:
        """An image by its root alone, as a lock would have it where nothing is attached."""
        there = Descriptor(root["mediaType"], Digest(root["digest"]), root["size"])
        size = total(measure(Layout(self.files.folder), there)[1])
        return Item(name, "image", name, there, size, phase="registry")

    def judge(
        self,
        rules: str = RULE,
        *,
        more: str = "",
        item: Item | None = None,
        waivers: tuple[Waiver, ...] = (),
        run: ScanRun | None = None,
        vex: Sequence[Path] = (),
    ) -> Judgement:
        policy = load_policy(policy_text(rules, more), base_dir=self.folder)
        layout, roots = Layout(self.files.folder), load_roots(policy)
        files = VexFiles.of(read_vex_files(vex, NOW), policy, roots, NOW)
        return judge(item or self.item(), layout, policy, roots, NOW, waivers, run=run, vex=files)


def waiver(*digests: str, checks: tuple[str, ...] = ("signature",), days: int = 1) -> Waiver:
    expires = NOW + timedelta(days=days)
    return Waiver(
        name="w",
        digests=tuple(map(Digest, digests)),
        checks=checks,
        approver="Amina",
        reason="r",
        expires=expires,
        raw=b"w",
    )


def refused(made: Judgement, reason: str, *words: str) -> None:
    assert (made.outcome, made.reason) == (Outcome.FAILED, reason), made.detail
    for word in words:
        assert word in made.detail


def demands(kind: str = bundles.SPDX, more: str = "") -> str:
    wanted = f"attestations: [{{predicateType: {kind}{more}}}]"
    return RULE.replace("[acme]", f"[acme], {wanted}")
