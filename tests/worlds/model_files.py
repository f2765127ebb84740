"""Files of models that misbehave, made byte by byte; nothing here is ever loaded."""

from __future__ import annotations

import io
import json
import pickle
import struct
import tarfile
import zipfile
from typing import Any


def text(value: str) -> bytes:
    """SHORT_BINUNICODE."""
    return b"\x8c" + bytes([len(value.encode())]) + value.encode()


def reduced(module: str, name: str, argument: str = "id") -> bytes:
    """A pickle of protocol 4 that calls `module.name` with a text."""
    return b"\x80\x04" + text(module) + text(name) + b"\x93" + text(argument) + b"\x85R."


def old_reduced(module: str, name: str) -> bytes:
    """The same in protocol 0, which nothing marks."""
    return f"c{module}\n{name}\n(S'id'\ntR.".encode()


SYSTEM = reduced("os", "system")
STATE_DICT = (
    b"\x80\x02ccollections\nOrderedDict\nq\x00)Rq\x01X\x01\x00\x00\x00wq\x02ctorch._utils\n_rebuild_tensor_v2\nq\x03(("
    b"X\x07\x00\x00\x00storageq\x04ctorch\nFloatStorage\nq\x05X\x01\x00\x00\x000q\x06X\x03\x00\x00\x00cpuq\x07K\x10tq\x08"
    b"QK\x00K\x04K\x04\x86q\tK\x04K\x01\x86q\n\x89h\x00)Rq\x0btq\x0cRq\rs."
)
"""The pickle of a torch file with one tensor."""
TORCH_START = b"".join(pickle.dumps(one, 2) for one in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}))
"""What every file of torch before 1.6 begins with."""


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return made.getvalue()


def torch(pickled: bytes = STATE_DICT, **more: bytes) -> bytes:
    return zipped({"archive/data.pkl": pickled, "archive/data/0": bytes(64), "archive/version": b"3\n", **more})


def tarred(members: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return made.getvalue()


def safetensors(header: Any, data: bytes = b"", *, length: int | None = None) -> bytes:
    written = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(written) if length is None else length) + written + data


def tensor(dtype: str, shape: list[int], start: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def gguf(
    pairs: dict[str, tuple[int, bytes]] | None = None,
    tensors: list[tuple[str, list[int], int, int]] | None = None,
    data: bytes = b"",
    version: int = 3,
) -> bytes:
    """`pairs`: type and value; `tensors`: name, shape, type and place."""
    pairs, tensors = pairs or {}, tensors or []
    made = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(pairs))
    for key, (kind, value) in pairs.items():
        made += gguf_text(key) + struct.pack("<I", kind) + value
    for name, shape, kind, place in tensors:
        made += gguf_text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, place)
    return made + bytes(-len(made) % 32) + data


def gguf_text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def keras(*layers: dict[str, Any]) -> bytes:
    config = {"module": "keras", "class_name": "Sequential", "config": {"layers": list(layers)}}
    return zipped({"metadata.json": b"{}", "config.json": json.dumps(config).encode()}, zipfile.ZIP_DEFLATED)


LAMBDA = {"module": "keras.layers", "class_name": "Lambda", "config": {"function": {"class_name": "__lambda__"}}}
DENSE = {"module": "keras.layers", "class_name": "Dense", "config": {"units": 1}, "registered_name": None}


def message(*fields: tuple[int, bytes]) -> bytes:
    """A protobuf message of fields with bytes."""
    made = b""
    for number, value in fields:
        made += varint(number << 3 | 2) + varint(len(value)) + value
    return made


def varint(value: int) -> bytes:
    made = b""
    while value > 127:
        made += bytes([value & 127 | 128])
        value >>= 7
    return made + bytes([value])


def array(descr: str, shape: str, data: bytes) -> bytes:
    """A NumPy file."""
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': ({shape}), }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data
