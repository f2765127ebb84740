"""Signatures that an HSM or `openssl` made, and real cosign attached: the policy names the algorithm of the key."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.parts.fake_sigstore import attach
from tests.parts.fake_sigstore.keys import b64
from tests.parts.images import Descriptor, Layout
from tests.parts.need import run
from tests.parts.registry import Registry
from tests.worlds.commands import Said, run_airgap
from tests.worlds.cosign import cosign
from tests.worlds.site import HEAD

pytestmark = [pytest.mark.e2e, pytest.mark.part("cosign", "distribution3")]
KEYS = {
    "rsa": ("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"),
    "p256": ("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"),
    "p384": ("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"),
}
PSS = ("-sigopt", "rsa_padding_mode:pss")


@dataclass(frozen=True)
class World:
    """A registry with an image that has no signature yet, and three keys."""

    folder: Path
    registry: Registry
    image: Descriptor
    layout: Layout

    def push(self, name: str) -> str:
        """Puts the image there under a name of its own; returns its reference with its digest."""
        attach.push(self.layout, self.registry.url, f"openssl/{name}")
        return f"{self.registry.host}/openssl/{name}@{self.image['digest']}"

    def sign(self, key: str, hashed: str, *more: str) -> str:
        """Signs the image as the owner of an HSM does: `openssl … | base64`, then `cosign attach signature`."""
        where = self.push(f"{key}-{hashed}{len(more)}")
        payload = cosign("generate", "--allow-http-registry", where, home=self.folder)
        (self.folder / "payload").write_text(payload.stdout)
        run("openssl", "dgst", f"-{hashed}", "-sign", f"{key}.key", *more, "-out", "raw", "payload", cwd=self.folder)
        run("openssl", "base64", "-in", "raw", "-out", "signature", cwd=self.folder)
        assert (self.folder / "signature").read_text().strip().count("\n") > 0
        files = ("--signature", "signature", "--payload", "payload", "--allow-http-registry")
        assert cosign("attach", "signature", *files, where, home=self.folder).returncode == 0
        return where

    def cosign_says(self, where: str, key: str, hashed: str) -> bool:
        how = ("--key", f"{key}.pub", "--signature-digest-algorithm", hashed, "--insecure-ignore-tlog")
        return cosign("verify", *how, "--allow-http-registry", where, home=self.folder).returncode == 0

    def ask(self, where: str, key: str, how: str = "") -> Said:
        """`airgap verify-image` with a policy that trusts the key, and says how it signs."""
        named = f"{{name: owner, publicKeyFile: {key}.pub{how and f', {how}'}}}"
        rule = "{match: ['**'], require: {keys: [owner]}}"
        head = f"{HEAD}kind: Policy\nmetadata: {{name: hsm}}\nspec:\n"
        (self.folder / "policy.yaml").write_text(f"{head}  keys: [{named}]\n  rules: [{rule}]\n")
        known_as = ("--as", "registry.example.org/team/app:1.0") if where.startswith("oci:") else ()
        line = ("verify-image", where, *known_as, "--policy", "policy.yaml", "--upstreams", "u.yaml")
        return run_airgap(line, self.folder)

    def refused(self, where: str, key: str, reason: str, how: str = "") -> str:
        """Checks that the policy does not let it in for this reason; returns the words."""
        said = self.ask(where, key, how)
        assert (said.code, f"[{reason}]" in said.out) == (3, True), said
        return said.out


@pytest.fixture(scope="module")
def world(distribution3: Registry, tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("openssl")
    for name, line in KEYS.items():
        run("openssl", *line, "-out", f"{name}.key", cwd=folder)
        run("openssl", "pkey", "-in", f"{name}.key", "-pubout", "-out", f"{name}.pub", cwd=folder)
    spec = f"spec:\n  hosts: {{'{distribution3.host}': {{plainHTTP: true}}}}\n"
    (folder / "u.yaml").write_text(f"{HEAD}kind: Upstreams\nmetadata: {{name: u}}\n{spec}")
    layout = Layout(folder / "layout")
    return World(folder, distribution3, layout.tag("v1", layout.image({"a": b"a"})), layout)


def test_line_breaks_in_the_signature_mean_nothing(world: World) -> None:
    where = world.sign("p256", "sha256")
    assert world.cosign_says(where, "p256", "sha256")
    said = world.ask(where, "p256")
    assert said.code == 0, said.out


@pytest.mark.parametrize(
    ("key", "hashed"), [("rsa", "sha512"), ("rsa", "sha384"), ("p384", "sha512"), ("p384", "sha384")]
)
def test_the_policy_names_the_hash_of_a_key(world: World, key: str, hashed: str) -> None:
    """Without the name it is not said to be altered: the answer says what to write into the policy."""
    where = world.sign(key, hashed)
    assert world.cosign_says(where, key, hashed)
    assert not world.cosign_says(where, key, "sha256")
    said = world.refused(where, key, "unsupported-algorithm")
    assert f"{{hashAlgorithm: {hashed}}}" in said
    assert "altered" not in said
    assert world.ask(where, key, f"hashAlgorithm: {hashed}").code == 0
    # Only the named one counts, although the key is the right one.
    world.refused(where, key, "unsupported-algorithm", "hashAlgorithm: sha256")


def test_the_policy_names_the_padding_of_a_key(world: World) -> None:
    """cosign itself has no flag for it."""
    where = world.sign("rsa", "sha256", *PSS)
    assert not world.cosign_says(where, "rsa", "sha256")
    said = world.refused(where, "rsa", "unsupported-algorithm")
    assert "{hashAlgorithm: sha256, rsaPadding: pss}" in said
    assert world.ask(where, "rsa", "rsaPadding: pss").code == 0


@pytest.mark.parametrize(
    ("key", "how", "place"),
    [
        ("p256", "hashAlgorithm: md5", "4:"),
        ("p256", "rsaPadding: pss", "only RSA keys have a padding, and this key is ECDSA"),
    ],
)
def test_an_algorithm_that_the_key_cannot_have_is_a_mistake(world: World, key: str, how: str, place: str) -> None:
    said = world.ask(f"{world.registry.host}/openssl/none:1", key, how)
    said.refused(2, "bad-resource", "policy.yaml:", place)


def test_a_bundle_may_sign_the_file_of_the_manifest(world: World) -> None:
    """`cosign sign-blob --bundle` of what `crane manifest` prints, attached as a referrer."""
    layout = Layout(world.folder / "messages")
    image = layout.tag("v1", layout.image({"m": b"m"}))
    (world.folder / "manifest.json").write_bytes(layout.read(image["digest"]))
    keys = ("import-key-pair", "--key", "p256.key", "--output-key-prefix", "imported")
    assert cosign(*keys, home=world.folder).returncode == 0
    alone = ("--use-signing-config=false", "--tlog-upload=false", "-y")
    files = ("--key", "imported.key", "--bundle", "bundle.json", "manifest.json")
    assert cosign("sign-blob", *alone, *files, home=world.folder).returncode == 0
    bundle = (world.folder / "bundle.json").read_bytes()
    assert "messageSignature" in json.loads(bundle)
    attach.referrer(layout, image, bundle)
    said = world.ask(f"oci:{layout.folder}:v1", "p256")
    assert said.code == 0, said
    # The same signature at another image, and one that only claims to be about it.
    other = layout.tag("v2", layout.image({"m": b"other"}))
    attach.referrer(layout, other, bundle)
    world.refused(f"oci:{layout.folder}:v2", "p256", "wrong-subject")
    third = layout.tag("v3", layout.image({"m": b"third"}))
    claims = json.loads(bundle)
    claims["messageSignature"]["messageDigest"]["digest"] = b64(bytes.fromhex(third["digest"][7:]))
    attach.referrer(layout, third, json.dumps(claims).encode())
    world.refused(f"oci:{layout.folder}:v3", "p256", "bad-signature")
