"""Commands that are killed at random moments: little is done twice, nothing half is visible, the same command finishes.

The moments are drawn from a seed that is printed; AIRGAP_TEST_SEED repeats a run.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.parts import need
from tests.parts.fault_proxy import Rule
from tests.worlds.big_image import PULL, request_big_image
from tests.worlds.cli_site import start
from tests.worlds.row import KEY, Row
from tests.worlds.site import CUT, GAP, HEAD, Site

pytestmark = [pytest.mark.e2e, pytest.mark.part("skopeo", "distribution3")]
BLOB = 96 << 20
"""So large that what a pull without memory would fetch again is beyond every allowance."""
AGAIN = 16 << 20
"""Bytes of a blob in flight that may be fetched twice for each kill: what was in sockets' buffers."""
KILLS = 3
HANG = 3.0
"""Seconds that a server is silent: longer than any moment at which a command is killed meanwhile."""
MODEL_FILES = 10
LAYERS = 16


@pytest.fixture
def chance() -> random.Random:
    seed = int(os.environ.get("AIRGAP_TEST_SEED") or random.randrange(1 << 32))
    sys.stdout.write(f"AIRGAP_TEST_SEED={seed}\n")
    return random.Random(seed)


def kill_when(process: subprocess.Popen[bytes], reached: Callable[[], bool]) -> None:
    """Kills the process once `reached()`, so that nothing of it runs on; it must not have ended before."""
    while not reached():
        assert process.poll() is None, "the command ended before it could be killed"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def test_a_killed_pull_goes_on_and_fetches_little_again(
    tmp_path: Path, start_registry: Any, fault_proxy: Any, chance: random.Random
) -> None:
    site, registry = Site(tmp_path), start_registry()
    proxy = fault_proxy(registry.url)
    request_big_image(site, registry, proxy.host, BLOB)
    proxy.clear()
    proxy.fault("GET", "/blobs/", bytes_per_second=48 << 20)
    # Anywhere, and the last one late in both blobs: who begins at zero then fetches nearly everything again.
    parts = [*sorted(chance.uniform(0.05, 0.85) for _ in range(KILLS - 1)), chance.uniform(0.88, 0.95)]
    for part in parts:
        process = start(site, *PULL)
        kill_when(process, lambda part=part: proxy.served("/blobs/") > part * 2 * BLOB)  # type: ignore[misc]
        assert site.run("ls", "store")["items"] == []
    site.run(*PULL)
    assert proxy.served("/blobs/") <= 2 * BLOB + KILLS * 2 * AGAIN
    site.run(*CUT, "media")


@dataclass(frozen=True, slots=True)
class Gap:
    """Two registries without a referrers API and an S3 store, each behind a proxy, and a delivery for them."""

    row: Row
    registries: Sequence[Any]
    minio: Any
    bucket: str
    proxies: Sequence[Any]

    def visible(self) -> list[str]:
        """Tags, and pointers of models."""
        found = []
        for registry in self.registries:
            answer = requests.get(f"{registry.url}/v2/in/app/tags/list", timeout=10)
            found += [f"{registry.host}/in/app:{tag}" for tag in answer.json().get("tags") or []]
        listed = self.minio.client().list_objects_v2(Bucket=self.bucket).get("Contents", [])
        return found + [entry["Key"] for entry in listed if "/refs/" in entry["Key"]]

    def whole(self, name: str) -> None:
        """Every byte of what a name stands for is there."""
        if "/refs/" in name:
            commit = self.minio.client().get_object(Bucket=self.bucket, Key=name)["Body"].read().decode()
            prefix = name.partition("/refs/")[0] + f"/{commit}/"
            listed = self.minio.client().list_objects_v2(Bucket=self.bucket, Prefix=prefix)["Contents"]
            assert len(listed) == MODEL_FILES
        elif ":sha256-" not in name:
            need.run("crane", "validate", "--insecure", "--remote", name)

    def kill_import(self, proxy: Any, method: str, path: str, skip: int, moment: float) -> None:
        """Kills an import `moment` seconds after a server was asked for the `skip`th time, and did not answer."""
        for one in self.proxies:
            one.clear()
        rule: Rule = proxy.fault(method, path, skip=skip, delay=HANG)
        process = start(self.row.site, "import", "media", *GAP, *KEY, "--jobs", "2")

        def reached() -> bool:
            if rule.used:
                time.sleep(moment)
            return rule.used > 0

        kill_when(process, reached)

    def finish(self) -> None:
        """The same command once more, and an audit."""
        for one in self.proxies:
            one.clear()
        self.row.site.run("import", "media", *GAP, *KEY, "--receipt", "receipt.json")
        assert len(self.visible()) == 5  # a tag and the referrers' tag in two registries, a pointer
        self.row.site.run("audit", *GAP, "--receipt", "receipt.json")


@pytest.fixture
def gap(tmp_path: Path, start_registry: Any, minio: Any, fault_proxy: Any) -> Gap:
    row, noise = Row(tmp_path), random.Random(7)
    image = row.layout.tag("v1", row.layout.image(*({"data": noise.randbytes(1 << 20)} for _ in range(LAYERS))))
    note = row.layout.artifact("application/vnd.test.note", ("text/plain", b"x"), subject=image)
    row.layout.tag("", note)
    (tmp_path / "model").mkdir()
    for number in range(MODEL_FILES):
        (tmp_path / f"model/{number}.bin").write_bytes(noise.randbytes(1 << 20))
    head = f"{HEAD}kind: Request\nmetadata: {{name: r}}\nspec:\n"
    images = "  images:\n  - {ref: 'oci:made:v1', name: 'demo.local/app:v1'}\n"
    row.site.write("r.request.yaml", f"{head}{images}  models:\n  - {{directory: model, name: demo/m}}\n")
    row.site.run("lock", "r.request.yaml")
    row.site.run("pull", "r.lock.json", "--store", "store", "--key", "exporter.key")
    row.site.run(*CUT, "media")
    registries = [start_registry(version=2), start_registry(version=3)]
    proxies = [fault_proxy(one.url) for one in registries] + [fault_proxy(minio.endpoint)]
    bucket = minio.new_bucket("models")
    for name, secret in {"access": minio.access_key, "secret": minio.secret_key}.items():
        row.site.write(name, secret)
    projects = "".join(f"  - {{url: '{one.url}', projects: {{demo.local: in}}}}\n" for one in proxies[:2])
    row.inside(
        f"  registries:\n{projects}  s3:\n    endpoint: '{proxies[2].url}'\n    buckets: {{models: {bucket}}}\n"
        "    credentials: {accessKeyFile: access, secretKeyFile: secret}\n"
    )
    return Gap(row, registries, minio, bucket, proxies)


@pytest.mark.part("distribution2", "minio", "crane")
def test_nothing_is_visible_after_an_import_that_was_killed_while_it_brought_content(
    gap: Gap, chance: random.Random
) -> None:
    # Registries first, as an import does: what is in place is not brought again, so each kill leaves less to do.
    for _ in range(3):
        one, asked = chance.choice(gap.proxies[:2]), chance.choice(["PUT", "POST"])
        gap.kill_import(one, asked, "/blobs/uploads/", chance.randrange(3), chance.uniform(0, 0.5))
        assert gap.visible() == []
    for _ in range(2):
        gap.kill_import(gap.proxies[2], "PUT", r"\.bin", chance.randrange(3), chance.uniform(0, 0.5))
        assert gap.visible() == []
    gap.finish()


@pytest.mark.part("distribution2", "minio", "crane")
@pytest.mark.parametrize("place", [0, 1, 2], ids=["distribution2", "distribution3", "minio"])
def test_what_is_visible_after_an_import_that_was_killed_while_it_named_things_is_whole(
    gap: Gap, chance: random.Random, place: int
) -> None:
    path = "/refs/" if place == 2 else "/manifests/(v1|sha256-)"
    gap.kill_import(gap.proxies[place], "PUT", path, 0, chance.uniform(0.1, 0.5))
    seen = gap.visible()
    assert seen
    for name in seen:
        gap.whole(name)
    gap.finish()
