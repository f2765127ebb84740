"""QR codes: drawn by segno, read by ZXing. Whatever is drawn is read again before anybody relies on it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airgap.base.errors import InputError

if TYPE_CHECKING:
    import segno
    from PIL.Image import Image

MAX_PICTURE = 64 << 20
"""Bytes of a picture's file."""
MAX_PIXELS = 120_000_000
"""Pixels of a picture: A4 at 1,000 dots an inch."""
PICTURES = ("PNG", "JPEG")
"""What scanners and telephones write. Each format more is one more reader that a picture from outside can meet."""
_BEGIN = (b"\x89PNG", b"\xff\xd8\xff")
"""How the files of these formats begin."""
_QUIET = 4
"""Empty modules around a code. Source: ISO/IEC 18004, section 6.3.8."""


def draw(piece: str) -> segno.QRCode:
    """The code of a piece: level M, because paper gets dirty. Raises `InputError` (`missing-extra`)."""
    made: segno.QRCode = _library("segno").make(piece, error="m", micro=False, boost_error=False)
    return made


def picture(code: segno.QRCode, scale: int = 4) -> bytes:
    """A code as a PNG file; a module is `scale` pixels wide."""
    out = io.BytesIO()
    code.save(out, kind="png", scale=scale, border=_QUIET)
    return out.getvalue()


def check(code: segno.QRCode, piece: str) -> None:
    """Reads a code that was drawn. Raises `RuntimeError` if it says something else: a fault of the libraries."""
    with _opened(io.BytesIO(picture(code)), "a code") as image:
        if [one.text for one in _read(image)] != [piece]:
            raise RuntimeError("a code that was drawn does not read back")


def is_picture(data: bytes) -> bool:
    """True for a file that `read_codes` may read; text is not one."""
    return data.startswith(_BEGIN)


def check_kind(data: bytes, where: str) -> None:
    """Raises `InputError` (`bad-picture`) for a PDF: scanners write them, and nothing here reads them."""
    if data.startswith(b"%PDF"):
        hint = f"make pictures of its pages: pdftoppm -r 200 -png {where} page"
        raise InputError("bad-picture", f"{where} is a PDF, not a picture", hint)


def read_codes(data: bytes, where: str) -> list[str]:
    """The texts of all QR codes in a picture's file. Raises `InputError` (`bad-picture`, `missing-extra`)."""
    with _opened(io.BytesIO(data), where) as image:
        try:
            return [one.text for one in _read(image.convert("L"))]
        except (OSError, ValueError, SyntaxError) as error:  # what Pillow raises for a picture that is cut off
            raise _bad(where, str(error)) from error


def _opened(file: io.BytesIO, where: str) -> Image:
    images = _library("PIL.Image")
    images.MAX_IMAGE_PIXELS = None  # the limit is the one below; Pillow would only warn
    try:
        image: Image = images.open(file, formats=PICTURES)  # reads the head of the file
    except (OSError, ValueError, SyntaxError) as error:
        raise _bad(where, f"it is no picture of these kinds: {', '.join(PICTURES)}") from error
    if image.width * image.height > MAX_PIXELS:
        raise _bad(where, f"got {image.width} x {image.height} pixels, expected at most {MAX_PIXELS}")
    return image


def _read(image: Image) -> Sequence[Any]:
    library = _library("zxingcpp")
    found: Sequence[Any] = library.read_barcodes(image, formats=library.BarcodeFormat.QRCode)
    return found


def _bad(where: str, why: str) -> InputError:
    return InputError("bad-picture", f"{where}: {why}", "pass a PNG or JPEG picture of the page, or the codes as text")


def _library(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        what = f"codes on paper need the Python package of {name.partition('.')[0]}"
        raise InputError("missing-extra", what, "pip install 'airgap[paper]'") from error
