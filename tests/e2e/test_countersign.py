"""What an import admitted is signed by the Sovereign's own key, and real cosign sees it without losing upstream's."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from airgap.base.digest import Digest
from airgap.jobs.importing.countersign import Countersigner
from tests.worlds.cli_site import airgap
from tests.worlds.countersign import QUIET, SIDE, Inside, Start, ours
from tests.worlds.site import GAP

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.part("cosign", "skopeo", "distribution2", "distribution3"),
]


def digests(inside: Inside) -> list[str]:
    """The index, and its children."""
    root = inside.get("hub/app/manifests/v1")
    tagged = json.loads((inside.site.folder / "r.lock.json").read_bytes())["items"][0]["root"]
    return [tagged["digest"], *(child["digest"] for child in root["manifests"])]


@pytest.mark.parametrize("registry", ["distribution2", "distribution3", "harbor"])
def test_everything_admitted_is_signed_once_in_a_side_repository(start: Start, registry: str) -> None:
    inside = start(registry)
    inside.sovereign(f"{{repository: {SIDE}}}")
    first = ours(inside.take())
    assert [line["outcome"] for line in first] == ["written"] * 3
    index, *children = digests(inside)
    for digest in (index, *children):
        assert inside.verifies("admitted.pub", SIDE, digest)
        assert not inside.verifies("exporter.pub", SIDE, digest)
        assert not inside.verifies("admitted.pub", "hub/app", digest)  # nothing lies beside it
    # Again: what is there is found, and not signed once more.
    again = ours(inside.take())
    assert [line["outcome"] for line in again] == ["present"] * 3
    assert [line["digest"] for line in again] == [line["digest"] for line in first]
    # It is in the receipt, so an audit knows of it. Anybody may list what anybody may read.
    audited = inside.site.run("audit", *GAP, "--receipt", "receipt.json")
    # So does an audit by the lock, which is of upstream's things alone; and the signatures are nobody else's.
    by_lock = inside.site.run("audit", *GAP, "--lock", "r.lock.json")
    assert by_lock["findings"] == audited["findings"]


def test_signatures_that_are_gone_are_missed_and_made_again(start: Start) -> None:
    inside = start()
    inside.sovereign(f"{{repository: {SIDE}}}")
    lost = ours(inside.take())
    shutil.rmtree(next(Path(inside.inside.folder).rglob(f"repositories/{SIDE}")))
    problem = inside.site.run("audit", *GAP, "--receipt", "receipt.json", expect=3)
    assert all(line["digest"] in json.dumps(problem) for line in lost)
    assert [line["outcome"] for line in ours(inside.take())] == ["written"] * 3
    assert inside.verifies("admitted.pub", SIDE, digests(inside)[0])


@pytest.mark.parametrize("registry", ["distribution2", "harbor"])
@pytest.mark.parametrize("signed", ["bundle", "legacy"])
def test_upstreams_signature_is_still_seen(start: Start, registry: str, signed: str) -> None:
    inside = start(registry, signed)
    inside.sovereign(f"{{repository: {SIDE}}}")
    inside.take()
    root = digests(inside)[0]
    assert inside.verifies("cosign.pub", "hub/app", root)
    assert inside.verifies("admitted.pub", SIDE, root)


@pytest.mark.parametrize("registry", ["distribution3", "harbor"])
def test_beside_an_older_signature_is_one_more_layer(start: Start, registry: str) -> None:
    inside = start(registry, "legacy")
    account = ""
    if registry == "harbor":  # which tells nobody without an account about its projects
        inside.inside.users = {"robot$import": "good"}
        account = ", credentials: {username: robot$import, passwordFile: robot}"
        inside.site.write("robot", "good")
        (inside.site.folder / "robot").chmod(0o600)
    inside.sovereign(f"{{place: beside}}{account}")
    assert {line["outcome"] for line in inside.take("--dry-run")} == {"write"}
    lines = inside.take()
    index, *children = digests(inside)
    tag = f"{index.replace(':', '-')}.sig"
    assert {line["outcome"] for line in lines} == {"written"}
    (own,) = [line for line in lines if line["name"].startswith("airgap-sha256-")]
    for key in ("cosign.pub", "admitted.pub"):
        assert inside.verifies(key, "hub/app", index)
    for child in children:  # upstream signed the index alone, so these have bundles
        assert inside.verifies("admitted.pub", "hub/app", child)
    layers = inside.get(f"hub/app/manifests/{tag}")["layers"]
    assert layers[:-1] == inside.get(f"hub/app/manifests/{own['digest']}")["layers"]
    # Again: nothing changes, by receipt and by lock all is as it should be.
    again = inside.site.run("import", "media", *GAP, "--key", "sovereign.key")
    assert ({line["outcome"] for line in again["changes"]}, again["receipt"]) == ({"present"}, False)
    inside.site.run("audit", *GAP, "--receipt", "receipt.json")
    inside.site.run("audit", "--sovereign", "sovereign.yaml", "--lock", "r.lock.json", *GAP[2:])
    assert inside.get(f"hub/app/manifests/{tag}")["layers"] == layers
    # A lost state, or a run that ended before its receipt, takes nothing away either.
    shutil.rmtree(inside.site.folder / "state/receipts")
    assert {line["outcome"] for line in inside.take()} == {"present"}
    # Somebody else adds a signature, as cosign does: nobody loses one.
    assert inside.cosign("generate-key-pair", "--output-key-prefix", "team") == 0
    sign = ("sign", "--key", "team.key", *QUIET, "--new-bundle-format=false")
    assert inside.cosign(*sign, f"{inside.inside.host}/hub/app@{index}") == 0
    lock = ("audit", "--sovereign", "sovereign.yaml", "--lock", "r.lock.json", *GAP[2:])
    inside.site.run(*lock, expect=3)
    lines = inside.take()
    assert {line["outcome"] for line in lines} == {"present"}
    assert [line["name"] for line in lines if "others added" in (line["reason"] or "")] == [tag]
    inside.site.run(*lock)
    for key in ("cosign.pub", "admitted.pub", "team.pub"):
        assert inside.verifies(key, "hub/app", index)


def test_a_bundle_beside_an_older_signature_is_refused(start: Start) -> None:
    inside = start(signed="legacy")
    inside.sovereign("{place: beside, layout: bundle}")
    planned = inside.take("--dry-run", expect=3)
    assert [line["outcome"] for line in planned].count("refused") == 1
    lines = inside.take(expect=3)
    refused = [line for line in lines if line["outcome"] == "refused"]
    assert len(refused) == 1
    assert "side repository" in refused[0]["reason"]
    index, *children = digests(inside)
    assert inside.verifies("cosign.pub", "hub/app", index)
    assert not inside.verifies("admitted.pub", "hub/app", index)
    assert inside.verifies("admitted.pub", "hub/app", children[0])


def test_a_bundle_beside_a_bundle_is_one_more(start: Start) -> None:
    inside = start("distribution2", "bundle")
    inside.sovereign("{place: beside}")
    inside.take()
    for digest in digests(inside):
        assert inside.verifies("admitted.pub", "hub/app", digest)
    assert inside.verifies("cosign.pub", "hub/app", digests(inside)[0])
    assert {line["outcome"] for line in inside.take()} == {"present"}
    inside.site.run("audit", *GAP, "--receipt", "receipt.json")


def test_the_older_layout_in_a_side_repository(start: Start) -> None:
    inside = start(signed="legacy")
    inside.sovereign(f"{{repository: {SIDE}, layout: legacy}}")
    inside.take()
    side = f"{inside.inside.host}/{SIDE}"
    for digest in digests(inside):
        assert inside.verifies("admitted.pub", SIDE, digest)
        assert inside.verifies("admitted.pub", "hub/app", digest, COSIGN_REPOSITORY=side)
    assert inside.verifies("cosign.pub", "hub/app", digests(inside)[0])
    assert {line["outcome"] for line in inside.take()} == {"present"}
    inside.site.run("audit", *GAP, "--receipt", "receipt.json")
    # A new key signs behind the old one, which stays good.
    for suffix in ("key", "pub"):
        (inside.site.folder / f"admitted.{suffix}").rename(inside.site.folder / f"old.{suffix}")
    inside.site.run("keys", "generate", "admitted")
    assert [line["outcome"] for line in ours(inside.take())] == ["written"] * 3
    for key in ("old.pub", "admitted.pub"):
        assert inside.verifies(key, SIDE, digests(inside)[0])


def test_two_that_add_to_a_tag_at_once_lose_nothing(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = start(signed="legacy")
    inside.sovereign("{place: beside, layout: legacy}")
    index = json.loads((inside.site.folder / "r.lock.json").read_bytes())["items"][0]["root"]["digest"]
    assert inside.cosign("generate-key-pair", "--output-key-prefix", "team") == 0
    sign = ("sign", "--key", "team.key", *QUIET, "--new-bundle-format=false")
    real = Countersigner._sign

    def meanwhile(self: Countersigner, task: Any) -> Any:
        made = real(self, task)
        if task.claim.subject == index:
            assert inside.cosign(*sign, f"{inside.inside.host}/hub/app@{index}") == 0
        return made

    monkeypatch.setattr(Countersigner, "_sign", meanwhile)
    lines = inside.take(expect=5)
    (failed,) = [line for line in lines if line["outcome"] == "failed"]
    assert "changed-meanwhile" in failed["reason"]
    monkeypatch.undo()
    inside.take()
    for key in ("cosign.pub", "admitted.pub", "team.pub"):
        assert inside.verifies(key, "hub/app", index)


def test_the_older_layout_beside_a_bundle_is_refused(start: Start) -> None:
    """cosign looks at bundles alone where there is one, so nobody would find it."""
    inside = start(signed="bundle")
    inside.sovereign("{place: beside, layout: legacy}")
    assert [line["outcome"] for line in inside.take("--dry-run", expect=3)].count("refused") == 1
    lines = inside.take(expect=3)
    (refused,) = [line for line in lines if line["outcome"] == "refused"]
    assert "cosign finds no signature of the older layout next to it" in refused["reason"]
    index, *children = digests(inside)
    assert inside.verifies("cosign.pub", "hub/app", index)
    assert inside.verifies("admitted.pub", "hub/app", children[0])


def test_a_signature_beside_what_a_project_blocks(start: Start) -> None:
    inside = start("harbor", "bundle")
    harbor = inside.inside
    harbor.users, harbor.projects["hub"].policy = {"robot$import": "good"}, True
    inside.sovereign("{place: beside}, credentials: {username: robot$import, passwordFile: robot}")
    inside.site.write("robot", "good")
    (inside.site.folder / "robot").chmod(0o600)
    assert {line["outcome"] for line in inside.take()} == {"written"}
    assert {line["outcome"] for line in inside.take()} == {"present"}
    inside.site.run("audit", *GAP, "--receipt", "receipt.json")
    harbor.projects["hub"].policy = False
    index = digests(inside)[0]
    assert inside.verifies("admitted.pub", "hub/app", index)
    assert inside.verifies("cosign.pub", "hub/app", index)


def test_a_statement_has_the_shape_of_cosigns(start: Start) -> None:
    inside = start()
    inside.sovereign(f"{{repository: {SIDE}}}")
    line = ours(inside.take())[-1]
    manifest = inside.get(f"{SIDE}/manifests/{line['digest']}")
    subject = manifest["subject"]["digest"]
    assert subject == digests(inside)[0]
    assert manifest["artifactType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
    bundle = inside.get(f"{SIDE}/blobs/{manifest['layers'][0]['digest']}")
    assert json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"])) == {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {"sha256": Digest(subject).hex}}],
        "predicateType": "https://sigstore.dev/cosign/sign/v1",
        "predicate": {},
    }
    assert "keyid" not in bundle["dsseEnvelope"]["signatures"][0]


def test_one_key_has_one_purpose(start: Start) -> None:
    inside = start()
    inside.sovereign(f"{{repository: {SIDE}}}")
    for suffix in ("key", "pub"):
        (inside.site.folder / f"sovereign.{suffix}").replace(inside.site.folder / f"admitted.{suffix}")
    inside.site.write("sovereign.pub", (inside.site.folder / "admitted.pub").read_text())
    refused = inside.site.run("import", "media", *GAP, expect=2)
    assert refused["code"] == "wrong-key"
    assert not (inside.site.folder / "state/accepted.json").exists()


def test_what_a_receipt_lists_and_clients_do_not_find_is_signed_again(start: Start) -> None:
    inside = start("distribution2")
    inside.sovereign(f"{{repository: {SIDE}}}")
    first = ours(inside.take())
    root = digests(inside)[0]
    assert {line["signs"]["subject"] for line in first} == set(digests(inside))
    side = next(Path(inside.inside.folder).rglob(f"repositories/{SIDE}"))
    shutil.rmtree(side / "_manifests/tags" / root.replace(":", "-"))  # the index of referrers is a tag here
    assert not inside.verifies("admitted.pub", SIDE, root)
    inside.site.run("audit", *GAP, "--receipt", "receipt.json", expect=3)
    assert sorted(line["outcome"] for line in ours(inside.take())) == ["present", "present", "written"]
    assert inside.verifies("admitted.pub", SIDE, root)
    # Another key is another signature, whatever receipts say of the first.
    inside.site.run("keys", "generate", "new")
    for suffix in ("key", "pub"):
        (inside.site.folder / f"new.{suffix}").replace(inside.site.folder / f"admitted.{suffix}")
    assert [line["outcome"] for line in ours(inside.take())] == ["written"] * 3
    assert inside.verifies("admitted.pub", SIDE, root)


def test_an_index_that_lists_what_is_gone_can_be_added_to(start: Start) -> None:
    inside = start("distribution2")
    inside.sovereign(f"{{repository: {SIDE}}}")
    lost = ours(inside.take())[0]
    side = next(Path(inside.inside.folder).rglob(f"repositories/{SIDE}"))
    shutil.rmtree(side / "_manifests/revisions/sha256" / Digest(lost["digest"]).hex)
    key = ("--key", "sovereign.key", "--receipt", "receipt.json")
    said = airgap(inside.site, "import", "media", *GAP, *key)
    assert said.code == 0, said.err
    assert f"they are left out: {lost['digest']}" in said.err
    assert inside.verifies("admitted.pub", SIDE, lost["signs"]["subject"])
    inside.site.run("audit", *GAP, "--receipt", "receipt.json")
