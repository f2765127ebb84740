"""Registry, repositories, files and state are all gone; what is in the safe brings everything back, in any order."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.parts import images
from tests.worlds.clock import later
from tests.worlds.effort import cases
from tests.worlds.git_sources import Work, refs
from tests.worlds.root_site import OFFICER
from tests.worlds.row import KEY, Row
from tests.worlds.site import GAP, HEAD, TRUST

pytestmark = pytest.mark.e2e
RECORDS = "safe/records"


class Safe:
    """A site with a registry and an embedded folder, and a safe with its deliveries."""

    def __init__(self, folder: Path) -> None:
        self.row, self.folder = Row(folder), folder
        self.work = Work(folder / "shop")
        self.registry: Any = None
        self.kept: list[str] = []

    def cut(self, name: str, stream: str, apps: Sequence[str]) -> None:
        """A delivery of new content for some tags, with a new commit and a new file; it goes into the safe."""
        row = self.row
        for app in apps:
            row.layout.tag(app, row.layout.image({"said": f"{app} of {name}".encode()}))
        self.work.commit("file", name)
        (self.folder / "tiny").mkdir(exist_ok=True)
        (self.folder / "tiny/config.json").write_text(json.dumps({"name": name}))
        listed = "".join(f"  - {{ref: 'oci:made:{app}', name: 'demo.local/{app}:latest'}}\n" for app in apps)
        listed += f"  - {{ref: 'oci:made:{apps[0]}', name: 'demo.local/own:{name}'}}\n"
        row.site.write(
            f"{name}.request.yaml",
            f"{HEAD}kind: Request\nmetadata: {{name: {name}}}\nspec:\n  images:\n{listed}"
            f"  git:\n  - {{url: '{self.folder}/shop', name: git.local/acme/shop, refs: [refs/heads/main]}}\n"
            + ("" if self.registry else "  models:\n  - {directory: tiny, name: acme/tiny}\n"),
        )
        row.site.run("lock", f"{name}.request.yaml")
        row.site.run("pull", f"{name}.lock.json", "--store", "store", "--key", "exporter.key")
        cut = ("--store", "store", "--to", f"safe/{name}", "--for", "bank", "--key", "exporter.key")
        row.site.run("bundle", f"{name}.lock.json", *cut, "--stream", stream)
        self.kept.append(name)
        time.sleep(1.1)  # which of two streams is newer is known by the second

    def open(self, registry: Any) -> None:
        """The places of a new site: nothing is in them. `None` for the registry is an embedded Sovereign."""
        for name in ("state", "inside"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        self.registry = registry
        services = "  directory: inside\n"
        if registry is not None:
            services = (
                f"  git: {{url: '{self.folder}/inside/git', organizations: {{git.local: local}}}}\n  registries:\n"
                f"  - {{url: '{registry.url}', projects: {{demo.local: in}}, records: {RECORDS}}}\n"
            )
        self.row.inside(f"  streams: [main, side]\n{services}")

    def take(self, name: str, *more: str, expect: int | None = 0) -> Any:
        return self.row.site.run("import", f"safe/{name}", *GAP, *KEY, *more, expect=expect)

    def inside(self) -> dict[str, str]:
        """Every name, with its content."""
        found = {}
        if self.registry is None:
            found = {item["name"]: item["digest"] for item in self.row.site.run("ls", "inside/oci")["items"]}
            models = (self.folder / "inside/models").rglob("*")
            found |= {str(path): path.read_text() for path in models if path.is_file()}
        for app in ("app", "tool", "own") if self.registry is not None else ():
            repository = f"{self.registry.url}/v2/in/{app}"
            for tag in requests.get(f"{repository}/tags/list", timeout=10).json()["tags"]:
                answer = requests.head(f"{repository}/manifests/{tag}", headers={"Accept": images.MANIFEST}, timeout=10)
                found[f"{app}:{tag}"] = answer.headers["Docker-Content-Digest"]
        [shop] = (self.folder / "inside/git").rglob("shop.git")
        return found | refs(shop)

    def accepted(self) -> list[tuple[str, int]]:
        document = json.loads((self.folder / "state/accepted.json").read_bytes())
        return [(one["stream"], one["sequence"]) for one in document["deliveries"]]


@pytest.mark.part("distribution3", "git")
@pytest.mark.parametrize("place", ["services", "embedded"])
def test_any_order_of_the_safe_leads_to_the_newest_state(tmp_path: Path, place: str, start_registry: Any) -> None:
    safe = Safe(tmp_path)

    def new_site() -> None:
        safe.open(start_registry() if place == "services" else None)

    new_site()
    for name, stream, apps in (
        ("m1", "main", ("app", "tool")),
        ("s1", "side", ("tool",)),
        ("m2", "main", ("app",)),
        ("s2", "side", ("tool", "app")),
    )[: 4 if place == "services" else 3]:
        safe.cut(name, stream, apps)
        safe.take(name)
    inside, accepted = safe.inside(), safe.accepted()
    assert len(inside) > 5
    orders = (safe.kept[::-1], ["m2", "s1", "m1", "s2"]) if place == "services" else (["m2", "m1", "s1"],)
    for order in orders[: cases(1, 2)]:  # all orders: tests/property/test_restore_orders.py
        new_site()
        for name in order:
            done = safe.take(name, "--restore", expect=None)
            assert {change["outcome"] for change in done["changes"]} <= {"written", "present", "refused"}
        assert (safe.inside(), safe.accepted()) == (inside, accepted), order
    # And on it goes, as ever.
    safe.cut("m3", "main", ("app",))
    safe.take("m3")
    assert safe.take("m2", expect=4)["code"] == "delivery-replayed"


def test_an_expired_delivery_of_the_safe_needs_an_officer_who_says_so_now(tmp_path: Path) -> None:
    row = Row(tmp_path)
    row.site.run("keys", "generate", "officer")
    row.site.write("trust.yaml", TRUST.replace("  require: [pull, delivery]\n", OFFICER))
    sign = ("--key", "officer.key", "--trust", "trust.yaml")
    for number in (1, 2):
        row.layout.tag("app", row.layout.image({"a": str(number).encode()}))
        row.deliver(number, {"demo.local/app:latest": "app", f"demo.local/app:v{number}": "app"})
        if number == 1:  # an approval of a restore is none of a delivery, and a lock is not restored
            row.site.run("sign", "media1", *sign, "--restore", "--out", "restore")
            refused = row.site.run("import", "media1", "restore", *GAP, *KEY, expect=4)
            assert (refused["code"], "--restore" in refused["hint"]) == ("approval-of-other-kind", True)
            assert row.site.run("sign", "r1.lock.json", *sign, "--restore", expect=2)["code"] == "unknown-thing"
        row.site.run("sign", f"media{number}", *sign)
        row.take(f"media{number}")
    for name in ("state", "inside"):
        shutil.rmtree(tmp_path / name)

    def take(media: str, *more: str, expect: int = 0) -> Any:
        return later(row.site, 90, "import", media, *GAP, *KEY, *more, expect=expect)

    # The approval of then was one that it comes in in time.
    refused = take("media1", "--restore", expect=4)
    assert refused["code"] == "delivery-expired"
    assert "airgap sign DELIVERY --restore" in refused["hint"]
    for number in (2, 1):
        signed = later(row.site, 90, "sign", f"media{number}", *sign, "--restore")
        assert signed["seen"]["approves"]["kind"] == "restore"
    assert take("media2", expect=4)["code"] == "delivery-expired"
    take("media2", "--restore")
    done = take("media1", "--restore", expect=3)
    told = {change["name"]: change["outcome"] for change in done["changes"]}
    assert told == {"latest": "refused", "v1": "written"}
