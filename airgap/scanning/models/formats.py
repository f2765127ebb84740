"""What a file is, by its first bytes; and which formats of a model are only data, by the names that they have."""

from __future__ import annotations

from enum import Enum, auto

from airgap.scanning.models import arrays, gguf, keras
from airgap.scanning.models.blob import Blob
from airgap.scanning.models.packed import CLOSED, unpacker
from airgap.scanning.models.safetensors import looks_like_safetensors

HEAD = 8192
"""Bytes from which a file is recognised. An HDF5 file may have as many of its user's before it begins."""


class Format(Enum):
    """What the first bytes say."""

    ZIP = auto()
    TAR = auto()
    PACKED = auto()
    CLOSED = auto()
    """Packed in a way that this scanner cannot look into."""
    NUMPY = auto()
    HDF5 = auto()
    GGUF = auto()
    SAFETENSORS = auto()
    PROGRAM = auto()
    IMAGE = auto()
    """An image, a sound, a document: nothing that a loader of models reads."""
    SCRIPT = auto()
    TEXT = auto()
    DATA = auto()
    """Anything else."""


_HDF5_PLACES = (0, 512, 1024, 2048, 4096)
_PROGRAMS = (
    b"\x7fELF",
    b"MZ",
    b"\xcf\xfa\xed\xfe",
    b"\xce\xfa\xed\xfe",
    b"\xca\xfe\xba\xbe",
    b"\0asm",
    b"dex\n",
    b"\x1bLua",
)
_IMAGES = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF8", b"%PDF-", b"RIFF", b"OggS", b"ID3", b"fLaC", b"\0\0\1\0", b"BM")
_TAR_MAGIC = slice(257, 262)


def recognise(head: bytes, size: int) -> Format:
    """The format of a file of `size` bytes that begins with `head` (up to `HEAD` bytes)."""
    if head[_TAR_MAGIC] == b"ustar":
        return Format.TAR
    if any(head[at : at + 8] == keras.HDF5 for at in _HDF5_PLACES):
        return Format.HDF5
    starts = (
        (Format.ZIP, (b"PK\x03\x04", b"PK\x05\x06")),
        (Format.CLOSED, tuple(CLOSED)),
        (Format.NUMPY, (arrays.MAGIC,)),
        (Format.GGUF, (gguf.MAGIC, gguf.MAGIC[::-1])),
        (Format.PROGRAM, _PROGRAMS),
        (Format.IMAGE, _IMAGES),
        (Format.SCRIPT, (b"#!/", b"#! /")),
    )
    found = next((one for one, magics in starts if head.startswith(magics)), None)
    if found is None and looks_like_safetensors(head, size):
        return Format.SAFETENSORS
    if found is None and head[4:8] == b"ftyp":
        return Format.IMAGE
    if found is None and unpacker(head) is not None:
        return Format.PACKED
    return found or (Format.TEXT if _is_text(head) else Format.DATA)


def _is_text(head: bytes) -> bool:
    if b"\0" in head:
        return False
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start > len(head) - 4 and len(head) == HEAD
    return True


_DATA = frozenset({Format.DATA, Format.TEXT})
_TEXT = frozenset({Format.TEXT})
_ENDINGS: dict[str, frozenset[Format]] = {
    "safetensors": frozenset({Format.SAFETENSORS}),
    "gguf": frozenset({Format.GGUF}),
    "onnx": frozenset({Format.DATA}),
    "npy": frozenset({Format.NUMPY}),
    "npz": frozenset({Format.ZIP}),
    **dict.fromkeys(("model", "spm", "tiktoken", "onnx_data", "onnx.data", "onnx_data_1", "bpe", "vocab"), _DATA),
    **dict.fromkeys(
        (
            *(
                "json",
                "jsonl",
                "txt",
                "md",
                "rst",
                "jinja",
                "jinja2",
                "yaml",
                "yml",
                "csv",
                "tsv",
                "toml",
                "cfg",
                "ini",
            ),
            *(
                "license",
                "gitattributes",
                "gitignore",
                "tags",
                "bib",
                "svg",
                "html",
                "template",
                "dict",
                "merges",
                "cff",
            ),
        ),
        _TEXT,
    ),
    **dict.fromkeys(
        ("png", "jpg", "jpeg", "gif", "webp", "ico", "pdf", "wav", "mp3", "ogg", "flac", "mp4", "bmp"),
        frozenset({Format.IMAGE}),
    ),
}
_NAMES = frozenset(
    {"license", "licence", "notice", "readme", "modelfile", "authors", "use_policy", "citation", "version"}
)
_CODE = (
    ".py",
    ".pyc",
    ".pyi",
    ".pyx",
    ".so",
    ".ipynb",
    ".sh",
    ".bash",
    ".js",
    ".ts",
    ".mjs",
    ".c",
    ".cpp",
    ".cc",
    ".cu",
    ".h",
)
_CODE_MORE = (".rb", ".pl", ".php", ".lua", ".ps1", ".bat", ".cmd", ".jar", ".class", ".r", ".m", ".go", ".rs", ".wasm")


def expected(name: str) -> frozenset[Format] | None:
    """What a file of a model with this name must be; `None` if the name is on no list. `name` is in small letters."""
    if name.lstrip(".") in _ENDINGS or name in _NAMES:
        return _ENDINGS.get(name.lstrip("."), _TEXT)
    for ending, formats in _ENDINGS.items():
        if name.endswith(f".{ending}"):
            return formats
    return None


def is_code(name: str, found: Format) -> bool:
    """True for program text, by its name or its first line."""
    return found is Format.SCRIPT or name.endswith((*_CODE, *_CODE_MORE))


def is_named_as_pickle(name: str) -> bool:
    """True for names that only pickles have."""
    return name.endswith((".pkl", ".pickle", ".joblib", ".dill", ".pck", ".pcl"))


ZIP_LOADED = (".pt", ".pth", ".bin", ".ckpt", ".keras", ".npz")
"""Names of files that loaders of models open as zip archives."""
ZIP_ENDINGS = (*ZIP_LOADED, ".zip", ".whl", ".jar")
_END, _END_SIZE, _COMMENT = b"PK\x05\x06", 22, 1 << 16


def ends_as_zip(blob: Blob, *, thorough: bool) -> bool:
    """True for a file that ends like a zip archive, whatever it begins with; `thorough`: also before a comment."""
    size = _END_SIZE + (_COMMENT if thorough else 0)
    tail = blob.read(max(0, blob.size - size), size)
    at = len(tail)
    while (at := tail.rfind(_END, 0, at)) >= 0:
        if at + _END_SIZE + int.from_bytes(tail[at + 20 : at + 22], "little") <= len(tail):
            return at + _END_SIZE <= len(tail)
    return False
