"""A key in a token signs whatever a key file signs: tried with SoftHSM, judged by openssl and by ourselves."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from airgap.base.errors import InputError
from airgap.statements.keys.file import load_public
from tests.parts import images, need
from tests.parts.hsm import PIN, Hsm
from tests.worlds.site import GAP, Site

pytestmark = [pytest.mark.e2e, pytest.mark.part("softhsm2")]
pkcs11 = pytest.importorskip("pkcs11", reason="needs airgap[pkcs11]")


def test_a_token_signs_and_openssl_verifies(hsm: Hsm, tmp_path: Path) -> None:
    signer = hsm.open("object=exporter")
    public, data, signature = tmp_path / "pub", tmp_path / "data", tmp_path / "sig"
    public.write_bytes(signer.public_key_pem)
    data.write_bytes(b"data")
    assert load_public(signer.public_key_pem).key_id == signer.key_id
    for _ in range(50):  # r and s with and without leading zeros
        signature.write_bytes(signer.sign(b"data"))
        assert load_public(signer.public_key_pem).verify(b"data", signature.read_bytes())
    check = ("dgst", "-sha256", "-verify", public, "-signature", signature, data)
    assert need.run("openssl", *map(str, check)).strip() == "Verified OK"


def test_a_key_is_found_by_its_id_too(hsm: Hsm) -> None:
    assert hsm.open("id=%01").key_id == hsm.open("object=exporter").key_id
    assert hsm.open("object=twice;id=%03").key_id != hsm.open("object=twice;id=%04").key_id


def test_threads_share_a_token(hsm: Hsm) -> None:
    signers = [hsm.open("object=exporter"), hsm.open("object=sovereign")]
    with ThreadPoolExecutor(8) as pool:
        jobs = [(signers[n % 2], b"%d" % n) for n in range(200)]
        made = list(pool.map(lambda job: job[0].sign(job[1]), jobs))
    for (signer, data), signature in zip(jobs, made, strict=True):
        assert load_public(signer.public_key_pem).verify(data, signature)


@pytest.mark.parametrize(
    ("rest", "code"),
    [
        ("object=nobody", "token-missing"),
        ("object=exporter;id=%02", "token-missing"),
        ("object=twice", "token-missing"),
        ("object=half", "token-missing"),
        ("object=p384", "key-unsupported"),
        ("object=rsa", "key-unsupported"),
        ("object=exporter;serial=00", "token-missing"),
    ],
)
def test_what_is_not_one_key_that_signs_is_refused(hsm: Hsm, rest: str, code: str) -> None:
    with pytest.raises(InputError) as caught:
        hsm.open(rest)
    assert caught.value.code == code
    assert caught.value.hint


@pytest.fixture
def site(hsm: Hsm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    made = Site(tmp_path)
    made.write("password", PIN.decode() + "\n")
    for role in ("exporter", "sovereign"):
        public = hsm.open(f"object={role}").public_key_pem
        made.write(f"{role}.pub", public.decode())
    monkeypatch.setenv("AIRGAP_PKCS11_MODULE", hsm.module)
    return made


def test_everything_that_signs_takes_it(site: Site) -> None:
    exporter, sovereign = "pkcs11:token=bank;object=exporter", "pkcs11:token=bank;object=sovereign"
    head = "apiVersion: airgap.openova.io/v1alpha1\n"
    images.make_image(site.folder / "made", "v1")
    spec = "spec:\n  images:\n  - {ref: 'oci:made:v1', name: demo.local/app:v1}\n"
    site.write("r.request.yaml", f"{head}kind: Request\nmetadata: {{name: r}}\n{spec}")
    spec = "spec:\n  stateDir: state\n  directory: inside\n"
    site.write("sovereign.yaml", f"{head}kind: Sovereign\nmetadata: {{name: bank}}\n{spec}")
    shown = site.run("keys", "check", "--key", exporter)
    assert shown["publicKey"] == (site.folder / "exporter.pub").read_text()
    site.run("lock", "r.request.yaml")
    site.run("pull", "r.lock.json", "--store", "store", "--key", exporter)
    cut = ("bundle", "r.lock.json", "--store", "store", "--to", "media", "--for", "bank")
    site.run(*cut, "--key", exporter)
    site.run("sign", "media", "--key", exporter, "--out", "elsewhere")
    site.run("verify", "media", "--trust", "trust.yaml")
    site.run("import", "media", *GAP, "--key", sovereign, "--receipt", "receipt.json")
    audit = ("audit", *GAP, "--receipt", "receipt.json", "--report", "report.json")
    site.run(*audit, "--key", sovereign)


def test_mistakes_are_answered(site: Site) -> None:
    def check(key: str, code: str, **environ: str) -> None:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environ.items():
                patch.setenv(name, value)
            assert site.run("keys", "check", "--key", key, expect=2)["code"] == code

    good = "pkcs11:token=bank;object=exporter"
    check(f"{good}?pin-value=1234", "bad-key-uri")
    check("pkcs11:token=other;object=exporter", "token-missing")
    check(f"{good}?module-path=softhsm.so", "bad-module")
    check(f"{good}?module-path={site.folder}/password", "bad-module")
    check(good, "bad-module", AIRGAP_PKCS11_MODULE="")
    site.write("password", "0000\n")
    check(good, "wrong-password")
