"""The Station: what a file may say about scanners, and its limits."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from airgap.base.errors import InputError
from airgap.resources.load import load_station

SHA = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
TEXT = f"""\
apiVersion: airgap.openova.io/v1alpha1
kind: Station
metadata: {{name: dmz}}
spec:
  workDir: work
  parallel: 3
  trivy: {{program: bin/trivy, sha256: {SHA}, timeLimit: 90s, memoryLimit: 512MiB, refuse: [0.70.0]}}
  databases: {{vulnerabilities: "ghcr.io/aquasecurity/trivy-db:2", java: javadb}}
  clamd: {{socket: /run/clamd.ctl, signatureMaxAge: 2d}}
  archives: {{size: 1TiB, depth: 0}}
"""


def test_a_size_may_be_in_each_unit() -> None:
    made = load_station(TEXT.replace("1TiB", "1TB").encode(), base_dir=Path("/etc/airgap"))
    assert made.archives.size == 10**12


def test_a_station_names_its_scanners_and_their_limits() -> None:
    made = load_station(TEXT.encode(), base_dir=Path("/etc/airgap"))
    assert (made.name, made.parallel, made.work_dir) == ("dmz", 3, Path("/etc/airgap/work"))
    assert made.trivy is not None
    assert (made.trivy.program, made.trivy.sha256) == (Path("/etc/airgap/bin/trivy"), SHA)
    assert (made.trivy.time_limit, made.trivy.memory_limit) == (timedelta(seconds=90), 512 << 20)
    assert made.trivy.refuse == ("0.70.0",)
    assert made.databases.by_type == {"trivy-db": "ghcr.io/aquasecurity/trivy-db:2", "trivy-java-db": "javadb"}
    assert made.clamd is not None
    assert made.clamd.signature_max_age == timedelta(days=2)
    assert (made.archives.size, made.archives.depth) == (1 << 40, 0)


def test_a_station_with_nothing_has_the_scanners_that_are_part_of_airgap() -> None:
    made = load_station(b"apiVersion: airgap.openova.io/v1alpha1\nkind: Station\nmetadata: {name: a}\nspec: {}\n")
    assert (made.trivy, made.clamd, made.databases.by_type, made.parallel) == (None, None, {}, 0)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (SHA, "beef", "spec.trivy.sha256: got 'beef', expected 64 lower-case hex digits"),
        ("program: bin/trivy, ", "", "spec.trivy.program: missing"),
        ("90s", "90", "spec.trivy.timeLimit: got the number 90, expected a time with its unit, such as 90s"),
        ("90s", "0s", "got '0s', expected more than nothing"),
        ("90s", "99999999d", "at most ten years"),
        ("512MiB", "0MiB", "got '0MiB', expected more than nothing"),
        ("512MiB", "half", "spec.trivy.memoryLimit: got 'half', expected a size with its unit"),
        ("parallel: 3", "parallel: 0", "spec.parallel: got 0, expected a number of scans from 1 to 64"),
        ("parallel: 3", "parallel: two", "spec.parallel: got 'two', expected a number of scans"),
        ("depth: 0", "depth: 33", "spec.archives.depth: got 33, expected a whole number from 0 to 32"),
        ('vulnerabilities: "ghcr.io/aquasecurity/trivy-db:2", ', "", "databases.vulnerabilities: missing"),
        ("  trivy:", "  trivvy:", "spec.trivvy: unknown field, did you mean 'trivy'?"),
        ("[0.70.0]", "['0.70 ']", "expected a version, such as 0.70.0"),
    ],
)
def test_a_mistake_is_named(old: str, new: str, said: str) -> None:
    assert old in TEXT
    with pytest.raises(InputError) as caught:
        load_station(TEXT.replace(old, new).encode(), label="station.yaml")
    assert caught.value.code == "bad-resource"
    assert said in caught.value.what


def test_a_mistake_in_trivy_is_reported_once() -> None:
    with pytest.raises(InputError) as caught:
        load_station(TEXT.replace(SHA, "beef").encode(), label="station.yaml")
    assert "\n" not in caught.value.what


def test_databases_without_trivy_are_reported() -> None:
    lines = [line for line in TEXT.splitlines() if "trivy:" not in line]
    with pytest.raises(InputError, match="only 'trivy' uses them"):
        load_station("\n".join(lines).encode())


def test_a_policy_is_no_station() -> None:
    with pytest.raises(InputError, match="expected a Station"):
        load_station(TEXT.replace("kind: Station", "kind: Policy").encode())
