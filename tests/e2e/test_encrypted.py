"""Deliveries that are encrypted on the road: cut, verified without the key, read in place with it, and attacked."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from airgap.delivery.sealed import Sealed
from airgap.delivery.sealing.stream import SEALED_PIECE
from airgap.jobs.inbox import inbox_gate
from airgap.jobs.surroundings import Surroundings
from tests.parts.need import require_part
from tests.worlds.row import KEY
from tests.worlds.sealed import IDENTITY, VOLUME, SealedRow
from tests.worlds.site import CHECKED, GAP, HEAD

pytestmark = pytest.mark.e2e
SECRET = "demo.local/secret-project"
SMALL = ("--volume-size", "160KiB")


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> SealedRow:
    """Two encrypted deliveries of the same lock, in two volumes each."""
    made = SealedRow(tmp_path_factory.mktemp("sealed"))
    for number in (1, 2):
        content = random.Random(number).randbytes(100_000)
        made.layout.tag(f"v{number}", made.layout.image({"a": content}))
    refs = "".join(f"  - {{ref: 'oci:made:v{n}', name: '{SECRET}:v{n}'}}\n" for n in (1, 2))
    made.site.write("r.request.yaml", f"{HEAD}kind: Request\nmetadata: {{name: r}}\nspec:\n  images:\n{refs}")
    made.site.run("lock", "r.request.yaml")
    made.site.run("pull", "r.lock.json", "--store", "store", "--key", "exporter.key")
    for media in ("media1", "media2"):
        made.bundle("r.lock.json", media, *SMALL)
    return made


@pytest.fixture
def row(cut: SealedRow, tmp_path: Path) -> SealedRow:
    """A copy of it, to be used up."""
    shutil.copytree(cut.folder, tmp_path, dirs_exist_ok=True)
    made = SealedRow.__new__(SealedRow)
    made.__dict__.update(cut.__dict__)
    made.folder = tmp_path
    made.site = type(cut.site).__new__(type(cut.site))
    made.site.folder = tmp_path
    return made


def test_nothing_on_the_medium_names_what_is_in_it(cut: SealedRow) -> None:
    folder = cut.folder / "media1"
    digests = [digest.hex for digest in cut.index("media1").contents.blobs]
    locks = [digest.hex for digest in cut.index("media1").contents.locks]
    for path in folder.rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        assert not any(word.encode() in data for word in (SECRET, "secret-project", *digests, *locks)), path
    assert sorted(path.name for path in folder.iterdir()) == [
        "AIRGAP.json", "AIRGAP.json.age", "README.txt", "SHA256SUMS", "evidence.tar.age", "signatures",
        VOLUME, "vol-0002-of-0002.tar.age",
    ]  # fmt: skip
    assert max(path.stat().st_size for path in folder.iterdir()) <= 160 << 10
    subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=folder, check=True)


def test_the_whole_way_with_the_identity(row: SealedRow) -> None:
    found = row.site.run("verify", "media1", *CHECKED, *IDENTITY)
    assert (found["encrypted"], found["opened"], found["outcome"]) == (True, True, "pass")
    row.site.run("doctor", *GAP[1::2], "--delivery", "media1", *IDENTITY, expect=None)
    row.site.run("sign", "media1", *CHECKED, *IDENTITY, "--dry-run")
    row.site.run("report", "media1", *CHECKED, *IDENTITY, "--format", "json", "-o", "report.json")
    assert SECRET in (row.folder / "report.json").read_text()
    row.site.run("extract", "media1", f"{SECRET}:v1", "--to", "out.tar", *CHECKED, *IDENTITY)
    row.take("media1", *IDENTITY)
    row.audit("media1")
    row.site.run("want", "media1", *GAP, *KEY, *IDENTITY, "-o", "want.json")
    row.say("receipt", "print", "media1.receipt", "--delivery", "media1", *IDENTITY, "-o", "page.txt")
    for known in (("--store", "store"), ("--delivery", "media1", *IDENTITY)):
        row.site.run("receipt", "decode", "page.txt", *known, *CHECKED, "-o", f"back{known[1]}")
        assert (row.folder / f"back{known[1]}").read_bytes() == (row.folder / "media1.receipt").read_bytes()
    inside = {path.name for path in (row.folder / "inside/oci/blobs/sha256").iterdir()}
    assert inside >= {digest.hex for digest in row.index("media1").contents.blobs}
    assert not list(row.folder.rglob("*.partial"))


def test_without_the_identity_it_says_what_is_needed_and_verify_checks_the_files(row: SealedRow) -> None:
    found = row.site.run("verify", "media1", *CHECKED)
    assert (found["opened"], found["outcome"], "judged" in found) == (False, "pass", False)
    assert {one["name"] for one in found["files"]} >= {VOLUME, "AIRGAP.json.age", "evidence.tar.age"}
    shown = row.say("show", "media1")
    assert shown.code == 0
    assert SECRET not in shown.out
    assert "encrypted" in shown.out
    for line in (
        ("ls", "media1"),
        ("import", "media1", *GAP, "--dry-run"),
        ("import", "media1", "--store", "station", *CHECKED, "--dry-run"),
        ("sign", "media1", "--dry-run"),
        ("extract", "media1", f"{SECRET}:v1", "--to", "out.tar", *CHECKED),
        ("extract", "media1", f"{SECRET}:v1", "--to", "out.tar", "--unverified"),
        ("report", "media1", *CHECKED),
        ("rescan", "media1", "--store", "store", "--policy", "p.yaml", "--station", "s.yaml"),
    ):
        said = row.say(*line)
        if line[0] != "rescan":  # it reads its resources first
            assert "identity-needed" in said.err, line
        assert said.code == 2, line
    at = bytearray((row.folder / "media1" / VOLUME).read_bytes())
    at[-1] ^= 1
    (row.folder / "media1" / VOLUME).write_bytes(at)
    found = row.site.run("verify", "media1", *CHECKED, expect=4)
    assert [one["name"] for one in found["files"] if one["state"] == "damaged"] == [VOLUME]


LOCKED = """\
YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IHNjcnlwdCBsVFg3Wm8yVENVdDA0Z1V5
bVM1eklRIDYKY0FqVkhMeFlxWDFkRU9jNEhWZVpndEswT3BWZlNCZlV1M1prcW9X
bm1lYwotLS0gaUtjRURTY0szVmxEZTVrenoyeHpVN01vZGtJWlhXajhwUjZnNDJl
TmFzVQofykQyWCXekk/09UWYlbFYr/iH7Ftzx06x7hkgkYFDxpHlyzuUHJJdaA/r
bmXydVDktSyLx45YC/qnTyiZFstnILV5QH3N/oCDctNzZ5D3FjEyAVqz8seVTEmZ
qRpanb9hr/e1CFJtNwUl7ofEdmOcBepAu3GApkUcUpTutdILQ0KRzoy8fUAXzrFp
5vLak8ZmaoBrlOTGILGeEBWCMl58EGNfnsOUzG0TjPiT7aLghcjOlsdbpkyXz0KY
/ZHifZOlwCFdPDdUgGrFGxYVP+qDv+dkoyguvq8=
"""
"""An identity with a passphrase, as `age -p -a` writes one, with few steps so that it opens at once."""


def test_the_environment_names_the_identity_and_one_with_a_passphrase_is_opened(row: SealedRow) -> None:
    assert row.say("ls", "media1", AIRGAP_IDENTITY_FILE="bank.identity").code == 0
    row.site.write("phrase", "correct horse\n")
    armour = f"-----BEGIN AGE ENCRYPTED FILE-----\n{LOCKED}-----END AGE ENCRYPTED FILE-----\n"
    row.site.write("locked.identity", armour)
    show = ("keys", "identity", "--show", "locked.identity")
    asked = row.say(*show)
    assert (asked.code, "no-password" in asked.err) == (2, True)
    phrase = {"AIRGAP_IDENTITY_PASSWORD_FILE": "phrase"}
    assert row.say(*show, **phrase).out.startswith("age1khl8kcydfu05zv7lldhu3qmq2ey7vvs9dlp56q7ud7kcs9ga5dnsycdu99")
    wrong = row.say(*show, "--identity-password-file", "password")
    assert (wrong.code, "wrong-password" in wrong.err) == (2, True)
    opened = row.say("ls", "media1", "--identity", "locked.identity", "--identity-password-file", "phrase")
    assert "[wrong-identity]" in opened.err
    row.site.write("locked.identity", armour.replace(LOCKED[-90:-80], LOCKED[-90:-80].swapcase()))
    assert "[bad-identity-file]" in row.say(*show, **phrase).err


def test_what_is_no_identity_or_no_recipient(row: SealedRow) -> None:
    other = row.site.run("keys", "identity", "other.identity")["recipients"][0]
    secret = (row.folder / "other.identity").read_text().splitlines()[-1]
    (row.folder / "open.identity").write_text(secret)
    (row.folder / "open.identity").chmod(0o644)
    row.site.write("recipients", f"# bank\n{row.recipient}\n\n{other}\n")
    row.site.write("nothing", "# nobody\n")
    for path, code in (
        ("other.identity", "wrong-identity"),
        ("absent", "identity-missing"),
        ("open.identity", "identity-readable"),
        ("trust.yaml", "identity-readable"),
        ("password", "bad-identity-file"),
        ("recipients", "bad-identity-file"),
        ("nothing", "bad-identity-file"),
        (".", "identity-not-file"),
    ):
        said = row.say("import", "media1", *GAP, "--dry-run", "--identity", path)
        assert (said.code, f"[{code}]" in said.err) == (2, True), (path, said.err)
        assert secret not in said.err
    for given in ("age1nobody", "ssh-ed25519 AAAA", "absent", secret, "other.identity", "nothing", "trust.yaml"):
        said = row.say(*_bundle("no"), "--encrypt-to", given, "--log-file", "log")
        assert (said.code, "[bad-recipient]" in said.err) == (2, True), (given, said.err)
        assert secret not in said.err + (row.folder / "log").read_text()
    row.site.run(*_bundle("both"), "--encrypt-to", "recipients")
    for identity in ("bank.identity", "other.identity"):
        row.site.run("verify", "both", *CHECKED, "--identity", identity)
    assert (row.say("keys", "identity", "other.identity").code, row.say("keys", "identity", "none/x").code) == (2, 2)


def _bundle(media: str) -> tuple[str, ...]:
    return ("bundle", "r.lock.json", "--store", "store", "--key", "exporter.key", "--for", "bank", "--to", media)


def test_disc_after_disc_and_no_plain_copy_on_the_disk(row: SealedRow) -> None:
    for disc, name in (("disc1", VOLUME), ("disc2", "vol-0002-of-0002.tar.age")):
        (row.folder / disc).mkdir()
        (row.folder / "media1" / name).rename(row.folder / disc / name)
    (row.folder / "media1").rename(row.folder / "small")
    row.site.run("import", "small", "disc1", *GAP, *KEY, "--receipt", "r1", *IDENTITY, expect=5)
    kept = [path for path in (row.folder / "state/unfinished").rglob("*") if path.is_file()]
    assert {path.suffix for path in kept if path.parent.name != "signatures"} == {".age", ".json"}
    assert not any(SECRET.encode() in path.read_bytes() for path in kept)
    row.site.run("import", "disc2", *GAP, *KEY, "--receipt", "r2", *IDENTITY)
    row.site.run("audit", *GAP, "--receipt", "r2")


def test_an_interrupted_bundle_goes_on_with_new_keys_and_says_nothing_on_the_medium(row: SealedRow) -> None:
    names = sorted(path.name for path in (row.folder / "media1").glob("vol-*"))
    lock = (row.folder / "r.lock.json").read_text()
    media = row.folder / "again"
    row.bundle("r.lock.json", "again", *SMALL)
    first = {name: (media / name).read_bytes() for name in names}
    assert all(first[name][:300] != (row.folder / "media1" / name).read_bytes()[:300] for name in names)
    # Killed in the second volume: the first is finished, of the second there is a part.
    half = row.folder / "half"
    blob = max((row.folder / "store/blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    good = blob.read_bytes()
    blob.write_bytes(good[:-1] + b"?")
    row.bundle("r.lock.json", "half", *SMALL, expect=4)
    journal = json.loads((half / ".airgap-bundle.json").read_text())
    assert list(journal) == ["sealed"]
    written = {path.name: path.read_bytes() for path in half.glob("vol-*")}
    blob.write_bytes(good)
    other = row.site.run("keys", "identity", "other.identity")["recipients"][0]
    said = row.say(*_bundle("half"), *SMALL, "--encrypt-to", row.recipient, "--encrypt-to", other)
    assert "[other-bundle]" in said.err
    assert "[other-bundle]" in row.say(*_bundle("half"), "--volume-size", "140KiB").err
    row.site.run("pull", "r.lock.json", "--store", "store", "--key", "exporter.key")
    row.bundle("r.lock.json", "half", *SMALL)
    assert all((half / name).read_bytes() == data for name, data in written.items())
    row.site.run("verify", "half", *CHECKED, *IDENTITY)
    assert lock == (row.folder / "r.lock.json").read_text()


def test_a_delta_of_an_encrypted_delivery_is_encrypted(row: SealedRow) -> None:
    row.bundle("r.lock.json", "delta", "--since-delivery", "media1")
    assert "omitted" not in (row.folder / "delta/AIRGAP.json").read_text()
    assert row.index("delta").contents.omitted
    row.take("media1", *IDENTITY)
    row.take("delta", *IDENTITY)


def test_parity_files_protect_what_is_encrypted(row: SealedRow) -> None:
    row.bundle("r.lock.json", "safe", *SMALL, "--parity", "1")
    folder = row.folder / "safe"
    assert max(path.stat().st_size for path in folder.iterdir()) <= 160 << 10
    lost = sorted(folder.glob("vol-*"))[0]
    good = lost.read_bytes()
    lost.unlink()
    found = row.site.run("verify", "safe", *CHECKED, expect=4)  # who has no identity can repair it
    assert found["outcome"] == "repairable"
    row.site.run("repair", "safe", *CHECKED, "--to", "again")
    assert (row.folder / "again" / lost.name).read_bytes() == good
    assert (row.folder / "again/AIRGAP.json.age").read_bytes() == (folder / "AIRGAP.json.age").read_bytes()
    (folder / "AIRGAP.json.age").rename(row.folder / "index.age")  # no parity file replaces it
    found = row.say("repair", "safe", *CHECKED, "--to", "less")
    assert (found.code, "AIRGAP.json.age" in found.out, (row.folder / "less/AIRGAP.json.age").exists()) == (
        4,
        True,
        False,
    )
    lost.write_bytes(good)
    found = row.say("repair", "safe", *CHECKED, "--to", "none")
    assert (found.code, "every file is whole" in found.out, (row.folder / "none").exists()) == (4, False, False)
    (row.folder / "index.age").rename(folder / "AIRGAP.json.age")
    damaged = bytearray(good)
    damaged[40:60] = bytes(20)  # the header, without which nothing of the volume is read
    lost.write_bytes(damaged)
    row.take("safe", *IDENTITY)  # says which file was computed
    row.audit("safe")


def test_an_inbox_takes_what_only_somebody_else_can_open(row: SealedRow) -> None:
    around = Surroundings(lambda: datetime.now(UTC), row.folder / "state")
    folder = row.folder / "media1"
    for gate in (
        inbox_gate(row.folder / "trust.yaml", around),
        inbox_gate(row.folder / "trust.yaml", replace(around, identities=lambda: [row.identity])),
    ):
        signatures = [path.read_bytes() for path in (folder / "signatures").iterdir()]
        assert gate.admit((folder / "AIRGAP.json").read_bytes(), signatures).journey.sequence == 1
        gate.judge(folder)
        gate.verify(folder)


@pytest.mark.parametrize("program", ["age", "pyrage"])
def test_the_standard_tool_opens_a_volume(row: SealedRow, program: str) -> None:
    path = row.folder / "media1" / VOLUME
    if program == "age":
        tool = require_part("age")
        command: list[str | Path] = [tool, "-d", "-i", row.folder / "bank.identity", path]
        plain = subprocess.run(command, check=True, capture_output=True).stdout
    else:
        pyrage = pytest.importorskip("pyrage")
        secret = (row.folder / "bank.identity").read_text().splitlines()[-1]
        plain = pyrage.decrypt(path.read_bytes(), [pyrage.x25519.Identity.from_str(secret)])
    assert plain == row.opened("media1", VOLUME)
    listed = subprocess.run(["tar", "-t"], input=plain, check=True, capture_output=True).stdout.decode()
    assert listed.startswith("oci-layout\nblobs/sha256/")


def _truncated(data: bytes) -> bytes:
    return data[:-SEALED_PIECE]


def _flipped(data: bytes) -> bytes:
    return data[:60] + bytes([data[60] ^ 1]) + data[61:]


def _swapped(data: bytes) -> bytes:
    begin = data.index(b"\n---") + 4 + 1 + 43 + 1 + 16
    chunks = [data[at : at + SEALED_PIECE] for at in range(begin, len(data), SEALED_PIECE)]
    return data[:begin] + b"".join([chunks[1], chunks[0], *chunks[2:]])


def _longer(data: bytes) -> bytes:
    return data + data[-100:]


CHANGES = (_truncated, _flipped, _swapped, _longer)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_volume_that_was_changed_on_the_way(row: SealedRow, change: Callable[[bytes], bytes]) -> None:
    path = row.folder / "media1" / VOLUME
    path.write_bytes(change(path.read_bytes()))
    for more in ((), IDENTITY):
        found = row.site.run("verify", "media1", *CHECKED, *more, expect=4)
        assert [one["name"] for one in found["files"] if one["state"] == "damaged"] == [VOLUME]
    assert row.site.run("import", "media1", *GAP, *KEY, "--receipt", "no", *IDENTITY, expect=None)
    assert not json.loads((row.folder / "inside/oci/index.json").read_text())["manifests"]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_changed_volume_that_the_exporter_signed(row: SealedRow, change: Callable[[bytes], bytes]) -> None:
    def changed(folder: Path) -> None:
        (folder / VOLUME).write_bytes(change((folder / VOLUME).read_bytes()))

    forged = row.forge("media1", "forged", changed)
    row.site.run("verify", forged, *CHECKED)  # from outside, everything is as signed
    found = row.say("verify", forged, *CHECKED, *IDENTITY)
    assert found.code == 4, found
    code, end = row.refused(forged)
    assert (code in ("bad-seal", "seal-mismatch"), end) == (True, 4)


def test_parts_of_another_delivery_are_refused(row: SealedRow) -> None:
    def replayed(*names: str) -> Callable[[Path], None]:
        def change(folder: Path) -> None:
            for name in names:
                (folder / name).write_bytes((row.folder / "media1" / name).read_bytes())

        return change

    assert row.refused(row.forge("media2", "a", replayed("AIRGAP.json.age"))) == ("seal-mismatch", 4)
    everything = ("AIRGAP.json.age", "evidence.tar.age", VOLUME, "vol-0002-of-0002.tar.age")
    assert row.refused(row.forge("media2", "b", replayed(*everything))) == ("seal-mismatch", 4)

    def evidence(folder: Path) -> None:
        data = bytearray(row.opened("media2", "evidence.tar.age"))
        data[600] ^= 1
        (folder / "evidence.tar.age").write_bytes(row.seal(bytes(data)))

    assert row.refused(row.forge("media2", "c", evidence)) == ("seal-mismatch", 4)
    # The medium's owner has no key of the exporter: other files are not those that were signed.
    folder = row.copy("media2", "d")
    replayed("AIRGAP.json.age")(folder)
    assert row.refused("d") == ("damaged-file", 4)
    folder = row.copy("media2", "e")
    replayed(VOLUME)(folder)
    assert [one["name"] for one in row.site.run("verify", "e", *CHECKED, *IDENTITY, expect=4)["files"]
            if one["state"] == "damaged"] == [VOLUME]  # fmt: skip


@pytest.mark.parametrize("name", ["sovereign", "stream", "sequence", "id", "expires", "created"])
def test_an_inner_index_that_disagrees_with_the_outer_one(row: SealedRow, name: str) -> None:
    index = row.index("media1")
    journey = index.journey
    other = {
        "sovereign": replace(journey, sovereign="shop"),
        "stream": replace(journey, stream="other"),
        "sequence": replace(journey, sequence=7),
        "id": replace(journey, id="01a20b49-0000-7000-8000-000000000000"),
        "expires": replace(journey, expires=journey.expires.replace(year=2030)),
        "created": replace(journey, created=journey.created.replace(year=2025)),
    }[name]

    def change(folder: Path) -> None:
        (folder / "AIRGAP.json.age").write_bytes(row.seal(replace(index, journey=other).encode()))

    assert row.refused(row.forge("media1", "forged", change)) == ("seal-mismatch", 4)
    assert row.site.run("verify", "forged", *CHECKED, *IDENTITY, expect=4)["code"] == "seal-mismatch"


def test_sums_and_volumes_that_disagree(row: SealedRow) -> None:
    index = row.index("media1")
    contents = index.contents

    def fewer(folder: Path) -> None:
        plain = replace(index, contents=replace(contents, volumes=contents.volumes[:1]))
        (folder / "AIRGAP.json.age").write_bytes(row.seal(plain.encode()))

    def shorter(folder: Path) -> None:
        (folder / VOLUME).write_bytes(row.seal(row.opened("media1", VOLUME)[:-512]))

    def others(folder: Path) -> None:
        data = bytearray(row.opened("media1", VOLUME))
        data[-1] ^= 1  # in the padding: no blob is concerned
        (folder / VOLUME).write_bytes(row.seal(bytes(data)))

    assert row.refused(row.forge("media1", "a", fewer))[1] == 4
    assert row.refused(row.forge("media1", "b", shorter)) == ("seal-mismatch", 4)
    found = row.site.run("verify", row.forge("media1", "c", others), *CHECKED, *IDENTITY, expect=4)
    assert [one["detail"][:40] for one in found["files"] if one["state"] == "damaged"] == [
        "what is in it is not the signed vol-0001"
    ]


def test_an_outer_index_for_somebody_else_needs_no_identity(row: SealedRow) -> None:
    folder = row.copy("media1", "shop")
    sealed = Sealed.decode((folder / "AIRGAP.json").read_bytes())
    row.sign(folder, replace(sealed, journey=replace(sealed.journey, sovereign="shop")))
    assert row.site.run("import", "shop", *GAP, "--dry-run", expect=4)["code"] == "wrong-sovereign"
    row.sign(folder, replace(sealed, journey=replace(sealed.journey, expires=sealed.journey.created)))
    assert row.site.run("verify", "shop", *CHECKED, expect=4)["code"] == "delivery-expired"
