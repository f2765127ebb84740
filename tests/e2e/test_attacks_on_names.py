"""Attack stories about names, from the command line: judged by one name, placed under another. docs/threat-model.md.

Whoever writes a request or a lock chooses the names in it; the policy is somebody else's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest

from airgap.base.canonical import canonical
from airgap.base.digest import Digest
from airgap.delivery.index import Index
from airgap.kinds.chart import CHART, CONFIG
from tests.parts.system import NetworkNamespace
from tests.worlds.attacks import Files, World, make_world
from tests.worlds.site import HEAD

pytestmark = [pytest.mark.e2e, pytest.mark.part("iproute2")]
REQUEST = f"""{HEAD}kind: Request
metadata: {{name: r}}
spec:
  images: [{{ref: 'oci:made:v1', name: 'ghcr.io/lab/x:1'}}]
  models: [{{directory: model, name: lab/x}}, {{directory: model, name: BAAI/bge-m3}}]
  files:
  - {{file: model/config.json, path: get.lab.example/tool, sha256: SUM}}
  - {{file: model/config.json, path: k3s, sha256: SUM}}
"""
UPSTREAM = {"image": "ghcr.io/lab/x:1", "model": "hf:lab/x", "file": "https://get.lab.example/tool"}
"""What the lock says of each: content that was fetched from upstream is in the store as local content is."""
LAB = "- {match: [ghcr.io/lab/*, huggingface.co/lab/*, get.lab.example/**], %sdigestOnly: {%s}}"
ANYTHING = "- {match: ['**'], digestOnly: {approver: officer, reason: r, expires: 2036-01-01T00:00:00Z}}"
WHO = "approver: officer, reason: r, expires: 2036-01-01T00:00:00Z"
THEIRS = ("docker.io/library/nginx:1.27", "BAAI/bge-m3", "k3s")
EVERY = ("image", "model", "file")
SCAN = ("scan", "r.lock.json", "--store", "store", "--key", "station.key", "--policy", "policy.yaml")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """An image, a model and a file in a store, locked as from upstream."""
    with ExitStack() as stack:
        netns = NetworkNamespace()
        stack.callback(netns.remove)
        made = make_world(tmp_path_factory.mktemp("names") / "world", netns)
        (made.folder / "model").mkdir()
        made.write("model/config.json", "{}")
        made.write("r.request.yaml", REQUEST.replace("SUM", Digest.of(b"{}").hex))
        made.run("lock", "r.request.yaml", "-o", "local.lock.json")
        made.run("pull", "local.lock.json", "--store", "store", "--key", "exporter.key")
        made.cut("honest", lock="local.lock.json")
        yield made


def items(world: World, *, renamed: bool = False) -> list[dict[str, Any]]:
    """The items as a lock from upstream has them: under their own names, or under those of others."""
    found = []
    for item in json.loads((world.folder / "local.lock.json").read_bytes())["items"]:
        made = {**item, "source": UPSTREAM[item["kind"]]}
        if item["kind"] == "model":
            made["revision"] = "1" * 40
        if item["kind"] == "image" and renamed:
            made["name"] = THEIRS[0]
        if (made["name"] in THEIRS) == renamed:
            found.append(made)
    return found


def encoded(*found: dict[str, Any]) -> bytes:
    ordered = sorted(found, key=lambda item: (item["kind"], item["name"]))
    head = {"apiVersion": "airgap.openova.io/v1alpha1", "kind": "Lock", "metadata": {"name": "r"}}
    return canonical({**head, "items": ordered}) + b"\n"


def judged(world: World, *rules: str, locked: list[dict[str, Any]], expect: int) -> list[tuple[str, str]]:
    """The outcome and the reason of each kind."""
    lines = "".join(f"  {rule}\n" for rule in rules)
    world.write("policy.yaml", f"{HEAD}kind: Policy\nmetadata: {{name: p}}\nspec:\n  rules:\n{lines}")
    (world.folder / "r.lock.json").write_bytes(encoded(*locked))
    [lock] = world.run(*SCAN, expect=expect)["locks"]
    found = {one["kind"]: (one["outcome"], one["reason"]) for one in lock["items"]}
    return [found[kind] for kind in EVERY]


def test_content_of_one_upstream_under_the_name_of_another(world: World) -> None:
    own, others = items(world), items(world, renamed=True)
    assert judged(world, LAB % ("", WHO), locked=own, expect=0) == [("pass", "")] * 3
    assert judged(world, LAB % ("", WHO), locked=others, expect=3) == [("fail", "renamed")] * 3
    # A rule above that speaks of the name inside is not passed by, and a `deny` of it counts.
    theirs = "- {match: [docker.io/library/*, huggingface.co/BAAI/*, k3s], %s}"
    allowed, denied = theirs % f"digestOnly: {{{WHO}}}", theirs % "deny: {reason: ours}"
    assert judged(world, allowed, ANYTHING, locked=others, expect=3) == [("fail", "renamed")] * 3
    assert judged(world, denied, ANYTHING, locked=others, expect=3) == [("fail", "denied")] * 3
    # Who means it says so: in the rule, or with a rule for everything.
    inside = "inside: [docker.io/library/nginx, BAAI/*, k3s], "
    assert judged(world, LAB % (inside, WHO), locked=others, expect=0) == [("pass", "")] * 3
    assert judged(world, ANYTHING, locked=others, expect=0) == [("pass", "")] * 3


def test_what_helm_takes_for_a_chart_passes_by_no_rule_for_images(world: World) -> None:
    """`helm pull` looks for the chart's types in the layers, too, and into an index."""
    layout = world.layout()
    hidden = layout.artifact("application/vnd.test", (CONFIG, b"{}"), (CHART, b"packed"))
    layout.tag("hidden", hidden)
    layout.tag("index", layout.index(layout.image({"a": b"b"}), hidden))
    refs = "".join(f"  - {{ref: 'oci:made:{tag}', name: 'ghcr.io/lab/charts:{tag}'}}\n" for tag in ("hidden", "index"))
    world.write("c.request.yaml", f"{HEAD}kind: Request\nmetadata: {{name: c}}\nspec:\n  images:\n{refs}")
    rules = f"  rules:\n  - {{match: ['**'], kinds: [image], digestOnly: {{{WHO}, local: true}}}}\n"
    world.write("charts.yaml", f"{HEAD}kind: Policy\nmetadata: {{name: p}}\nspec:\n{rules}")
    world.run("lock", "c.request.yaml")
    world.run("pull", "c.lock.json", "--store", "store", "--key", "exporter.key")
    [lock] = world.run("scan", "c.lock.json", *SCAN[2:-1], "charts.yaml", expect=3)["locks"]
    assert [(one["outcome"], one["reason"]) for one in lock["items"]] == [("not-run", "not-as-locked")] * 2


@pytest.mark.parametrize("field", ["Layers", "layer\u017f", "Manifests", "SUBJECT"])
def test_a_field_of_a_manifest_has_one_spelling(world: World, field: str) -> None:
    """Programs in Go take `Layers`, or a long s, for `layers`, if it comes last: inside, other content would count."""
    layout = world.layout()
    plain = json.loads(layout.read(layout.image({"a": b"b"})["digest"]))
    layout.tag("odd", layout.document({**plain, field: plain["layers"]}, plain["mediaType"]))
    refs = "  - {ref: 'oci:made:odd', name: 'ghcr.io/lab/odd:1'}\n"
    world.write("o.request.yaml", f"{HEAD}kind: Request\nmetadata: {{name: o}}\nspec:\n  images:\n{refs}")
    refused = world.run("lock", "o.request.yaml", "-o", f"o{len(field)}{field[0]}.lock.json", expect=4)
    assert (refused["code"], refused["error"].isprintable()) == ("bad-manifest", True)


def test_upper_and_lower_case_lead_past_no_rule(world: World) -> None:
    """Many hosts, and Gitea inside, take two spellings for one name."""
    louder = [{**one, "source": one["source"].replace("hf:lab", "hf:LAB")} for one in items(world)]
    answers = [("pass", ""), ("fail", "no-rule"), ("pass", "")]
    assert judged(world, LAB % ("", WHO), ANYTHING, locked=louder, expect=3) == answers


@pytest.mark.parametrize(
    "source",
    [
        "https://GET.lab.example:0443/tool",
        "http://get.lab.example:80/tool",
        "HTTPS://get.lab.example//t%6Fol?token=1",
        "https://get.lab.example/TOOL",
    ],
)
def test_no_spelling_of_a_denied_source_gets_in(world: World, source: str) -> None:
    spelled = [{**one, "source": source} if one["kind"] == "file" else one for one in items(world)]
    denied = "- {match: [get.lab.example/tool], deny: {reason: theirs}}"
    assert judged(world, denied, ANYTHING, locked=spelled, expect=3)[2] == ("fail", "denied")


@pytest.mark.parametrize(
    ("kind", "source"),
    [
        ("image", "oci://ghcr.io/lab/x:1"),
        ("image", "index.docker.io/lab/x:1"),
        ("image", "docker.io/nginx:1.27"),
        ("image", "ghcr.io./lab/x:1"),
        ("image", f"ghcr.io/lab/x:sha256-{'0' * 64}"),
        ("image", "2130706433:80/lab/x:1"),
        ("image", "docker-daemon: x:1"),
        ("model", "lab/x"),
        ("model", "hf:lab/x\n"),
        ("model", "hf:lab/../BAAI/bge-m3"),
        ("file", "ftp://get.lab.example/tool"),
        ("file", "https://get.lab.example@k3s.example/tool"),
        ("file", "https://get.lab.example/lab/%2e%2e/k3s"),
        ("file", "https://get.lab.example/lab%255c..%255ck3s"),
        ("file", "https://get.lab.example\\@k3s.example/tool"),
        ("file", "https://gеt.lab.example/tool"),  # a Cyrillic е
        ("git", "https://git\thub.com/denied/app"),
        ("git", "https://github.com/denied/app.git.git"),
        ("git", "https://github.com//denied/app"),
        ("git", "https://github.com/denied/app//"),
        ("git", "https://github.com/denied%2Fapp"),
        ("git", "https://github.com/denied/app?"),
        ("git", "https://0x7f.1/denied/app"),
        ("git", " https://github.com/denied/app"),
        ("git", "ssh://github.com/denied/app"),
    ],
)
def test_a_lock_takes_only_what_a_request_takes(world: World, kind: str, source: str) -> None:
    git = {"name": "app", "kind": "git", "refs": {}, "lfs": False}
    item = next((one for one in items(world) if one["kind"] == kind), git)
    (world.folder / "odd.lock.json").write_bytes(encoded({**item, "source": source}))
    refused = world.run("ls", "odd.lock.json", expect=2)
    assert refused["code"] == "bad-lock"
    assert "airgap lock" in refused["hint"]
    assert refused["error"].isprintable()


def test_a_lock_with_another_source_in_a_signed_delivery(world: World) -> None:
    """Inside, with the keys of the exporter and of the station stolen: the lock is not read any further."""
    honest = json.loads((world.folder / "local.lock.json").read_bytes())["items"]
    lock = encoded(*({**one, "source": one["source"].replace("directory:", "")} for one in honest))

    def swapped(files: Files) -> Files:
        kept = {name: data for name, data in files.items() if not name.startswith("locks/")}
        return {**kept, f"locks/{Digest.of(lock).hex}.json": lock}

    def named(index: Index) -> Index:
        return replace(index, contents=replace(index.contents, locks=(Digest.of(lock),)))

    media = world.forge("honest", "forged", evidence=swapped, index=named)
    assert world.refused(media) == "bad-lock"
