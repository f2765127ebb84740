"""Parity files: where everything is, what is lost and computed again, and what is refused."""

from __future__ import annotations

import errno
import hashlib
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airgap.base.digest import Digest
from airgap.base.errors import InputError, IntegrityError
from airgap.base.progress import Silent
from airgap.bundling.protected import plan_protected
from airgap.content.graph import Descriptor
from airgap.delivery.fields import FileSum
from airgap.delivery.mend import BeyondRepairError, Mender
from airgap.delivery.parity import Grid, Parity, as_parity, parity_document, plan_grid
from airgap.delivery.parity_write import write_parity
from airgap.delivery.plan import DEFAULT_VOLUME
from airgap.delivery.repair import diagnose, write_mended


class Made:
    """Files with parity in a folder; `damage` changes them, `state` is what hashing them would say."""

    def __init__(self, folder: Path, contents: Sequence[int | bytes], parity: int, block: int = 4096) -> None:
        """`contents` are bytes, or the numbers of random ones."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.data = [
            random.Random(at).randbytes(one) if isinstance(one, int) else one for at, one in enumerate(contents)
        ]
        for at, data in enumerate(self.data):
            (folder / f"f{at}").write_bytes(data)
        self.files = [
            FileSum(f"f{at}", hashlib.sha256(data).hexdigest(), len(data)) for at, data in enumerate(self.data)
        ]
        self.grid = Grid(tuple(map(len, self.data)), parity, block)
        self.parity = write_parity(self.grid, self.files, folder, Silent())

    def mender(self) -> Mender:
        return Mender(self.files, self.parity, [self.folder])

    def states(self) -> list[str]:
        return ["good" if self._good(file) else "bad" for file in (*self.files, *self.parity.files)]

    def _good(self, file: FileSum) -> bool:
        path = self.folder / file.name
        return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == file.sha256

    def flip(self, name: str, *places: int) -> None:
        path = self.folder / name
        data = bytearray(path.read_bytes())
        for place in places:
            data[place % len(data)] ^= 0x55
        path.write_bytes(data)

    def short(self) -> int:
        mender = self.mender()
        try:
            return diagnose(mender, self.states(), 1).short
        finally:
            mender.close()

    def mend(self, to: Path) -> None:
        """Writes every bad file again, and puts it in its place."""
        mender = self.mender()
        to.mkdir()
        states = self.states()
        assert diagnose(mender, states, 1).short == 0
        wanted = [file.name for file, state in zip(mender.files, states, strict=True) if state == "bad"]
        write_mended(mender, wanted, to, Silent())
        mender.close()
        assert sorted(path.name for path in to.iterdir()) == sorted(wanted)
        for name in wanted:
            (to / name).replace(self.folder / name)
        assert set(self.states()) == {"good"}


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Made]:
    return lambda sizes, parity, block=4096: Made(tmp_path / "d", sizes, parity, block)


def test_the_vector_of_the_format(tmp_path: Path) -> None:
    """What docs/format.md says of three files, and the same bytes by the definition alone."""
    contents = [hashlib.shake_128(bytes([at])).digest(size) for at, size in enumerate([5000, 4096, 1])]
    made = Made(tmp_path, contents, 2)
    assert [file.size for file in made.parity.files] == [8512, 8512]
    assert [file.sha256 for file in made.parity.files] == [
        "e9f5950a14ae431baa03d29c40239fd32855ec088763c2cacd32d04acffb563c",
        "e3915340bb9a6dc6171fda0cbf4e4b883d40e699fab3b011543c6acfc457b0d9",
    ]
    assert made.parity.sums == ("9595ceeabcdce3200e6d23b02a22d9b0e3208de0b646b41e1f834f42c0c95126",)
    files = [(tmp_path / file.name).read_bytes() for file in made.parity.files]
    rows = [(data + bytes(8192))[:8192] for data in contents]
    for number, file in enumerate(files):
        factors = [_inverse((3 + number) ^ row) for row in range(3)]
        for at in range(0, 8192, 61):
            products = [_times(factor, row[at]) for factor, row in zip(factors, rows, strict=True)]
            assert file[at] == products[0] ^ products[1] ^ products[2]
    table = b"".join(hashlib.sha256(row[at : at + 4096]).digest()[:16] for at in (0, 4096) for row in (*rows, *files))
    assert [file[8192:] for file in files] == [table + table] * 2


def _times(a: int, b: int) -> int:
    product = 0
    while b:
        product ^= a if b & 1 else 0
        a = a << 1 ^ (0x11D if a & 0x80 else 0)
        b >>= 1
    return product


def _inverse(a: int) -> int:
    return next(b for b in range(256) if _times(a, b) == 1)


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 60_000), min_size=1, max_size=6),
    st.integers(1, 4),
    st.randoms(use_true_random=False),
)
def test_any_files_up_to_the_parity_come_back(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], parity: int, chance: random.Random
) -> None:
    folder = tmp_path_factory.mktemp("parity")
    made = Made(folder / "d", sizes, parity)
    names = [file.name for file in (*made.files, *made.parity.files)]
    for name in chance.sample(names, chance.randint(0, parity)):
        match chance.choice(["gone", "short", "long", "flipped", "empty"]):
            case "gone":
                (made.folder / name).unlink()
            case "short":
                data = (made.folder / name).read_bytes()
                (made.folder / name).write_bytes(data[: chance.randrange(len(data))])
            case "long":
                (made.folder / name).write_bytes((made.folder / name).read_bytes() + b"more")
            case "flipped":
                made.flip(name, *(chance.randrange(1 << 20) for _ in range(10)))
            case "empty":
                (made.folder / name).write_bytes(b"")
    made.mend(folder / "to")


def test_flipped_places_on_every_file_at_once(make: Callable[..., Made], tmp_path: Path) -> None:
    """Ten places of each of eight files: more files than parity, but no stripe has more than that."""
    made = make([4_000_000] * 6, 2)
    chance = random.Random(11)
    for file in (*made.files, *made.parity.files):
        made.flip(file.name, *(chance.randrange(file.size) for _ in range(10)))
    assert made.states() == ["bad"] * 8
    made.mend(tmp_path / "to")


def test_one_block_too_many_is_counted(make: Callable[..., Made]) -> None:
    made = make([50_000] * 4, 1)
    made.flip("f0", 9000)
    assert made.short() == 0
    made.flip("f1", 9001)
    made.flip("f2", 9002)
    mender = made.mender()
    found = diagnose(mender, made.states(), 1)
    assert (found.short, found.hopeless) == (2, 1)
    assert found.lost["f1"] == (1, 13)
    buffer = memoryview(bytearray(4096))
    mender.blocks(0, 1, 1, buffer)  # another block is as good as ever
    with pytest.raises(BeyondRepairError, match="block 2 cannot be computed: got 2 good blocks") as caught:
        mender.blocks(0, 2, 1, buffer)
    assert caught.value.short == 2
    mender.close()


def test_the_second_copy_of_a_file_gives_what_the_first_lacks(make: Callable[..., Made], tmp_path: Path) -> None:
    made = make([50_000] * 3, 1)
    other = tmp_path / "other"
    other.mkdir()
    for name in ("f0", "f1"):
        (other / name).write_bytes((made.folder / name).read_bytes())
    made.flip("f0", 5000, 20_000)
    made.flip("f1", 5000)
    mender = Mender(made.files, made.parity, [made.folder, other])
    assert mender.read(0) == made.data[0]
    assert mender.read(1) == made.data[1]
    mender.close()


def test_a_sector_that_the_drive_cannot_read_is_a_lost_block(
    make: Callable[..., Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, real = make([90_000, 80_000], 1), os.preadv

    def preadv(fd: int, buffers: list[memoryview], offset: int) -> int:
        if os.readlink(f"/proc/self/fd/{fd}").endswith("f0") and offset <= 20_000 < offset + len(buffers[0]):
            raise OSError(errno.EIO, "Input/output error")
        return real(fd, buffers, offset)

    monkeypatch.setattr("airgap.delivery.mend.os.preadv", preadv)
    mender = made.mender()
    assert mender.read(0) == made.data[0]
    assert diagnose(mender, ["bad", "good", "good"], 1).lost == {"f0": (1, 22)}
    mender.close()


def test_the_table_is_in_each_parity_file_twice(make: Callable[..., Made], tmp_path: Path) -> None:
    """One copy of four is left; then none: files that were hashed as a whole still mend one that is lost."""
    made = make([500_000] * 3, 2)
    first, second = made.grid.copies_at(0)
    made.flip("parity-01-of-02.par", first, second)
    made.flip("parity-02-of-02.par", first)
    (made.folder / "f1").unlink()
    mender = made.mender()
    assert mender.table(0) is not None
    assert mender.read(1) == made.data[1]
    mender.close()
    made.flip("parity-02-of-02.par", second)
    (made.folder / "f2").unlink()
    assert made.short() == 2  # no parity file is whole, and nobody knows which blocks are
    for name in ("f1", "f2"):
        (made.folder / name).write_bytes(made.data[int(name[1])])
    made.mend(tmp_path / "to")


def test_all_parity_files_are_made_again(make: Callable[..., Made], tmp_path: Path) -> None:
    made = make([70_000, 30_000], 2)
    for file in made.parity.files:
        (made.folder / file.name).unlink()
    made.mend(tmp_path / "to")


def test_several_pieces_of_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airgap.delivery.parity.CHUNK", 2000)
    made = Made(tmp_path / "d", [300_000, 200_001, 17], 2)
    grid = made.grid
    assert grid.pieces == 3
    path = made.folder / "parity-01-of-02.par"
    data = path.read_bytes()
    for piece in range(grid.pieces):
        copies = {data[at : at + grid.piece_size(piece)] for at in grid.copies_at(piece)}
        assert [hashlib.sha256(one).hexdigest() for one in copies] == [made.parity.sums[piece]]
    assert grid.copies_at(2)[1] + grid.piece_size(2) == len(data) == grid.file_size
    (made.folder / "f0").unlink()
    path.write_bytes(data[: len(data) // 2])
    made.mend(tmp_path / "to")


def test_what_was_read_back_wrong_is_not_protected(make: Callable[..., Made]) -> None:
    made = make([50_000, 40_000], 1)
    made.flip("f1", 3)
    with pytest.raises(IntegrityError, match="read back, it has another sha256"):
        write_parity(made.grid, made.files, made.folder, Silent())


def test_a_table_that_lies_mends_nothing(make: Callable[..., Made], tmp_path: Path) -> None:
    """A signed index whose sums are of other bytes: what is computed is not what it says, and no file is written."""
    made = make([50_000, 40_000], 1)
    wrong = FileSum("f0", "0" * 64, 50_000)
    mender = Mender([wrong, made.files[1]], made.parity, [made.folder])
    (tmp_path / "to").mkdir()
    with pytest.raises(IntegrityError, match="what was computed is not what AIRGAP"):
        write_mended(mender, ["f0"], tmp_path / "to", Silent())
    mender.close()
    assert not list((tmp_path / "to").iterdir())


def test_a_made_up_parity_file_changes_nothing(make: Callable[..., Made], tmp_path: Path) -> None:
    """Random bytes, the parity of other files, a hole of the right size: never a wrong byte, whatever is lost."""
    made = make([90_000, 70_000, 50_000], 2)
    good = [(made.folder / file.name).read_bytes() for file in made.parity.files]
    others = Made(tmp_path / "others", [random.Random(98).randbytes(90_000), 70_000, 50_000], 2)
    fakes = [random.Random(1).randbytes(len(good[0])), bytes(len(good[0])), good[0][:100], good[1]]
    fakes.append((others.folder / others.parity.files[0].name).read_bytes())
    (made.folder / "f1").unlink()
    for fake in fakes:
        (made.folder / made.parity.files[0].name).write_bytes(fake)
        mender = made.mender()
        assert mender.read(1) == made.data[1]  # from the other parity file
        mender.close()
        (made.folder / made.parity.files[1].name).write_bytes(fake)
        mender = made.mender()
        if fake == good[1]:
            assert mender.read(1) == made.data[1]
        else:
            with pytest.raises(BeyondRepairError, match=r"no parity file has a good copy|cannot be computed"):
                mender.read(1)
        mender.close()
        assert made.short() == (0 if fake == good[1] else 1)
        (made.folder / made.parity.files[1].name).write_bytes(good[1])


def test_the_index_says_everything_or_is_refused(make: Callable[..., Made]) -> None:
    made = make([50_000, 40_000], 2)
    document: dict[str, Any] = parity_document(made.parity)
    assert as_parity(document, made.files) == made.parity
    one = made.parity.files[0]
    cases: list[tuple[dict[str, Any], str]] = [
        ({"blockSize": 4097}, "blockSize"),
        ({"blockSize": 2048}, "blockSize"),
        ({"blockSize": 1 << 19}, "blockSize"),
        ({"files": []}, "got 0 and 2 other files"),
        ({"files": document["files"] * 128}, "got 256 and 2 other files"),
        ({"files": document["files"][::-1]}, "file name"),
        ({"files": [replace(one, size=one.size + 1).as_dict(), document["files"][1]]}, "size of"),
        ({"sums": document["sums"] * 2}, "sums: got 2, expected 1"),
        ({"sums": ["x"]}, "64 hex digits"),
        ({"more": 1}, "unknown or missing field 'more'"),
    ]
    for wrong, said in cases:
        with pytest.raises((ValueError, IntegrityError), match=said):
            as_parity({**document, **wrong}, made.files)
    with pytest.raises(ValueError, match="no file with a byte"):
        as_parity(document, [FileSum("f0", "0" * 64, 0)])


def test_a_signed_index_of_huge_files_costs_no_memory() -> None:
    """Sizes are the signer's word: the grid is arithmetic, and a list is never made of it."""
    grid = Grid((1 << 53, 1), 1, 4096)
    assert grid.copies_at(grid.pieces - 1)[1] < grid.file_size
    files = [FileSum("f0", "0" * 64, 1 << 50), FileSum("f1", "0" * 64, 1)]
    small = {"name": "parity-01-of-01.par", "sha256": "0" * 64, "size": Grid((1 << 50, 1), 1, 4096).file_size}
    with pytest.raises(ValueError, match="sums: got 1, expected"):
        as_parity({"blockSize": 4096, "files": [small], "sums": ["0" * 64]}, files)
    grid = Grid((1 << 60, 512), 1, 256 << 10)
    huge = tuple(FileSum(f"f{at}", "0" * 64, size) for at, size in enumerate(grid.sizes))
    mender = Mender(huge, Parity(grid.block, (FileSum("p", "0" * 64, grid.file_size),), ()), [Path("/none")])
    found = diagnose(mender, ["missing"] * 3, 1)
    assert (found.short, found.hopeless) == (2, grid.stripes)


@pytest.mark.parametrize(("volumes", "size"), [(1, 1 << 16), (1, 4095 << 20), (12, 4095 << 20), (250, 25 << 30)])
def test_a_parity_file_is_little_larger_than_a_volume(volumes: int, size: int) -> None:
    grid = plan_grid([size] * volumes + [50_000], 2)
    assert grid.file_size <= size * 1.07 + grid.block
    assert grid.block * grid.rows <= 64 << 20


def test_more_files_than_rows_are_refused() -> None:
    assert plan_grid([100_000] * 250, 6).rows == 256
    with pytest.raises(InputError, match=r"got 250 volumes, 6 parity files and evidence\.tar"):
        plan_grid([100_000] * 251, 6)


def test_parity_files_fit_fat32_as_the_volumes_do() -> None:
    """150 GB in the default volumes: each file is below 4 GiB, and the volumes are hardly smaller for it."""
    blobs = [Descriptor("", Digest.of(bytes([at])), 5 << 30) for at in range(30)]
    plan, grid = plan_protected(blobs, [("a", blobs[0])], DEFAULT_VOLUME, 1_000_000, 3)
    assert grid is not None
    assert grid.file_size <= DEFAULT_VOLUME < 4 << 30
    assert grid.file_size >= max(volume.size for volume in plan.volumes) > DEFAULT_VOLUME * 0.98
    assert grid.data == len(plan.volumes) + 1 == 39
    assert plan_protected(blobs, [("a", blobs[0])], DEFAULT_VOLUME, 1_000_000, 0)[1] is None
    with pytest.raises(InputError, match="too few for volumes"):
        plan_protected([Descriptor("", blobs[0].digest, 100_000)], [("a", blobs[0])], 64 << 10, 1000, 1)
