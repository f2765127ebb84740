"""Statements on paper: every byte comes back, 1,000 items fit on a page, and a page that was misread is noticed."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap.base import base45
from airgap.base.digest import Digest
from airgap.base.errors import InputError, TrustError
from airgap.base.zstd import packed
from airgap.content.forms import Change, ChangeOutcome
from airgap.delivery.contents import Contents, Extent, Root
from airgap.delivery.fields import FileSum
from airgap.delivery.index import Index
from airgap.delivery.journey import Evidence, Journey
from airgap.paper import codes, pieces
from airgap.paper.page import PrintedPage, as_pdf, as_text
from airgap.paper.shorter import restore, shorten, subject_of
from airgap.statements.dsse import sign_payload
from airgap.statements.log import EMPTY_HEAD
from airgap.statements.predicates import CarriedLock, Predicate, Receipt
from airgap.statements.statement import Statement
from airgap.statements.want import Want, WantedBlob
from airgap.station import receipts
from tests.worlds.trust import signer

AT = datetime(2026, 11, 30, tzinfo=UTC)
SIGNER = signer()
ALPHANUMERIC = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"


def _digest(number: int) -> Digest:
    return Digest.of(str(number).encode())


def _index(count: int, signed: bool = True) -> Index:
    names = [f"ghcr.io/acme/team-{n % 7}/service-{n}:v1.{n}.0" for n in range(count)]
    roots = tuple(Root(name, "image", _digest(n)) for n, name in enumerate(names))
    blobs = {
        _digest(n + k * 100_000): (Extent(1, 1536 + 1024 * (3 * n + k), 9),) for n in range(count) for k in range(3)
    }
    contents = Contents((_digest(-1),), roots, (FileSum("vol-0001-of-0001.tar", "0" * 64, 1 << 40),), blobs)
    evidence = Evidence(FileSum("evidence.tar", "1" * 64, 4096))
    return Index(contents, Journey("01a22df7-389f-7d4c-9200-b633bd56a22b", "main", 7, "bank", AT, AT, evidence))


def _receipt(index: Index, *, failed: int = -1) -> Receipt:
    changes = []
    for number, root in enumerate(index.contents.roots):
        path, _, tag = root.item.removeprefix("ghcr.io/").rpartition(":")
        outcome = ChangeOutcome.FAILED if number == failed else ChangeOutcome.WRITTEN
        changes.append(Change(root.item, f"catalyst/{path}", tag, root.digest, "", outcome))
        referrer = _digest(number + 100_000)
        changes.append(Change(root.item, f"catalyst/{path}", "", referrer, "", outcome))
    parts = (receipts.placed("https://harbor.bank.local", "graph", changes),)
    lock = CarriedLock("platform", _digest(-1), tuple(root.item for root in index.contents.roots))
    return Receipt(index.journey.id, "main", 7, parts, (), "all-or-nothing", (lock,))


def _signed(index: Index, body: Predicate) -> bytes:
    subject = Digest.of(index.encode())
    made = Statement.of(subject, body, signed_at=AT, log_head=EMPTY_HEAD, role="sovereign")
    return sign_payload(made.payload, SIGNER)


def test_a_receipt_of_1000_items_with_their_signatures_fits_into_two_codes() -> None:
    index = _index(1000)
    data = _signed(index, _receipt(index, failed=500))
    made = shorten(data, index)
    assert len(data) > 400_000
    assert len(pieces.split(made)) <= 2, len(made)
    assert subject_of(made) == Digest.of(index.encode())
    assert restore(made, index) == data


def test_a_want_list_and_a_receipt_come_back_with_and_without_the_index() -> None:
    index = _index(20)
    wanted = Want(
        "bank", index.journey.id, "main", 7, (index.contents.roots[3].item,), (WantedBlob(_digest(100_003), 9),)
    )
    for body in (_receipt(index), wanted):
        data = _signed(index, body)
        alone = shorten(data, None)
        assert subject_of(alone) is None
        assert restore(alone, None) == data
        assert restore(shorten(data, index), index) == data
        assert len(shorten(data, index)) < len(alone)


@given(
    name=st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=40),
    other=st.text(max_size=40).filter(lambda text: text.isprintable()),
    marks=st.sampled_from(["~", "~~", "~i1", "~d2", "\x01A", "~\x01T", ""]),
)
def test_whatever_names_are_like_the_same_bytes_come_back(name: str, other: str, marks: str) -> None:
    index = _index(2)
    change = Change(marks + name, f"{marks}{other}", other + marks, _digest(0), "", ChangeOutcome.WRITTEN, marks)
    known = Change(index.contents.roots[0].item, marks + other, "x" + index.contents.roots[0].item, _digest(1), "")
    parts = (receipts.placed("https://a", "graph", [known, change, known]),)
    data = _signed(index, Receipt("id", "main", 1, parts))
    assert restore(shorten(data, index), index) == data


def test_the_index_of_another_delivery_gives_no_statement_that_anybody_signed() -> None:
    index, other = _index(20), _index(19)
    made = shorten(_signed(index, _receipt(index)), index)
    with pytest.raises(TrustError) as caught:
        restore(made, other)
    assert caught.value.code == "bad-page"


@pytest.mark.parametrize(
    "data",
    [b"", b"x", packed(b"[]"), packed(b'{"v": 2}'), packed(b'{"v": 1}'), packed(b'{"v": 1, "sig": 3, "statement": 1}')],
)
def test_what_is_no_statement_is_refused(data: bytes) -> None:
    with pytest.raises(TrustError) as caught:
        restore(data, None)
    assert caught.value.code == "bad-page"


def test_a_line_that_is_made_to_be_searched_for_ever() -> None:
    piece = "AG1:0123456789:1:1:"
    assert pieces.find(piece + " " * 10_000_000 + "!\n" + piece * 1_000_000 + "a\n" + f"see: {piece}AB \r\n") == [
        piece + "AB"
    ]


def test_a_page_that_would_become_too_large_in_memory_is_refused() -> None:
    with pytest.raises(TrustError):
        restore(packed(b'{"v": 1, "sig": "' + b"A" * (5 << 20) + b'"}'), None)
    index = _index(1)
    many = (5 << 20) // len(index.contents.roots[0].item)  # each in five bytes
    text = '{"about": "", "v": 1, "sig": "", "hint": "", "statement": ["~i1"' + ',"~i0"' * many + "]}"
    with pytest.raises(TrustError, match="larger"):
        restore(packed(text.encode()), index)


@given(data=st.binary(min_size=1, max_size=3000), seed=st.integers(0, 99))
def test_pieces_in_any_order_and_twice_are_the_same_bytes(data: bytes, seed: int) -> None:
    made = pieces.split(data)
    assert all(set(piece) <= set(ALPHANUMERIC) for piece in made)
    mixed = made + made[:1]
    random.Random(seed).shuffle(mixed)
    assert pieces.join(pieces.find("\n".join(["scanned:", *mixed]))) == data


def test_pieces_that_are_missing_or_of_another_page_or_misread_are_named() -> None:
    one, other = pieces.split(b"a" * 2000), pieces.split(b"b" * 2000)
    misread = one[1][:-1] + ("0" if one[1][-1] != "0" else "1")
    for given_pieces, code in (
        ([], "no-pieces"),
        ([one[0], other[1]], "other-page"),
        ([one[0], one[2]], "pieces-missing"),
        ([one[0], misread, one[2]], "bad-piece"),
        (["AG2:nothing"], "bad-piece"),
    ):
        with pytest.raises(InputError) as caught:
            pieces.join(given_pieces)
        assert caught.value.code == code


@given(data=st.binary(max_size=200))
def test_base45_comes_back(data: bytes) -> None:
    text = base45.encode(data)
    assert base45.decode(text) == data
    assert set(text) <= set(ALPHANUMERIC)


def test_base45_writes_what_the_rfc_writes_and_refuses_the_rest() -> None:
    """RFC 9285, sections 4.3 and 4.4."""
    assert base45.encode(b"AB") == "BB8"
    assert base45.encode(b"Hello!!") == "%69 VD92EX0"
    assert base45.encode(b"base-45") == "UJCLQE7W581"
    assert base45.decode("QED8WEX0") == b"ietf!"
    for wrong in ("A", "GGW", "ZZ", "abc", ":::"):
        with pytest.raises(ValueError, match="base45"):
            base45.decode(wrong)


def test_every_code_is_read_back_and_the_page_says_what_is_not_in_place() -> None:
    index = _index(60)
    made = pieces.split(shorten(_signed(index, _receipt(index)), None))
    drawn = [codes.draw(piece) for piece in made]
    for code, piece in zip(drawn, made, strict=True):
        codes.check(code, piece)
    page = PrintedPage("airgap: receipt", [f"line {number}" for number in range(90)], drawn, made)
    data, count = as_pdf(page)
    assert data.startswith(b"%PDF-")
    assert count == 1 + max(0, -(-(len(made) - 4) // 6)) or count >= 1
    assert as_pdf(page)[0] == data
    for on_screen in (True, False):
        assert pieces.find(as_text(page, on_screen=on_screen)) == made


def test_a_file_that_is_no_picture_is_refused(tmp_path: Path) -> None:
    good = codes.picture(codes.draw("AG1:0123456789:1:1:AB"))
    assert codes.read_codes(good, "x") == ["AG1:0123456789:1:1:AB"]
    for bad in (good[:60], b"\x89PNG", b"\xff\xd8\xff" + b"\0" * 50):
        with pytest.raises(InputError) as caught:
            codes.read_codes(bad, "x")
        assert caught.value.code == "bad-picture"
    assert not codes.is_picture(b"AG1:")
