"""`pkcs11:` URIs: they name a key in a token, and the library that talks to it (RFC 7512)."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote_to_bytes

from airgap.base.errors import InputError

SCHEME = "pkcs11:"
MODULE_VARIABLE = "AIRGAP_PKCS11_MODULE"
"""Names the module if the URI has no `module-path`."""
MAX_URI = 4096
"""Characters; real ones have under 200."""
_KNOWN = ("token", "serial", "object", "id", "type", "module-path")
_PIN = frozenset({"pin-value", "pin-source"})
_VALUE = re.compile(r"(?:[A-Za-z0-9\-._~:\[\]@!$'()*+,=&/?|]|%[0-9A-Fa-f]{2})*\Z")
"""The characters that may be written as they are; all others are written as %XX (RFC 7512 §2.3)."""
_OTHERS = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True, slots=True)
class KeyUri:
    """A private key in a token. `token` or `serial` is set, and `label` or `key_id` (or both)."""

    text: str
    token: str = ""
    serial: str = ""
    label: str = ""
    """The object's name: CKA_LABEL."""
    key_id: bytes = b""
    """CKA_ID."""
    module: str = ""

    @classmethod
    def parse(cls, text: str) -> KeyUri:
        """Raises `InputError` (`bad-key-uri`). An unknown attribute is refused: it would narrow the match, and airgap
        cannot tell how (RFC 7512 §2.3). So is a PIN, which must not be in an argument.
        """
        found = _attributes(text)
        # Enough to identify one key.
        if found.get("type", b"private") != b"private":
            raise _bad("type: expected private, because the key signs")
        if not (found.get("token") or found.get("serial")):
            raise _bad("neither token nor serial")
        if not (found.get("object") or found.get("id")):
            raise _bad("neither object nor id")
        try:
            words = {name: value.decode() for name, value in found.items() if name != "id"}
        except UnicodeDecodeError as error:
            raise _bad("a name that is not UTF-8") from error
        return cls(
            text,
            words.get("token", ""),
            words.get("serial", ""),
            words.get("object", ""),
            found.get("id", b""),
            words.get("module-path", ""),
        )


def _attributes(text: str) -> dict[str, bytes]:
    if not is_uri(text) or len(text) > MAX_URI:
        raise _bad(f"got {len(text)} characters, expected a pkcs11: URI of at most {MAX_URI}")
    path, asked, query = text[len(SCHEME) :].partition("?")
    found: dict[str, bytes] = {}
    for part in [*path.split(";"), *(query.split("&") if asked else ())]:
        name, equals, value = part.partition("=")
        # 1. Check for a PIN first, before anything is repeated in a message.
        if name in _PIN:
            raise _bad(
                f"the URI contains {name}, which every user of this machine could read",
                "put the PIN into a file that only you can read, and pass it with --key-password-file",
            )
        # 2. Each attribute is known, occurs once, and is well-formed.
        if name not in _KNOWN or not equals:
            raise _bad(f"got {name[:40]!r}, expected {', '.join(_KNOWN)}")
        if name in found:
            raise _bad(f"{name} twice")
        if not _VALUE.match(value):
            raise _bad(f"{name}: a character must be written as %XX")
        found[name] = unquote_to_bytes(value)
    return found


def _bad(why: str, hint: str = "") -> InputError:
    example = "pkcs11:token=sovereign;object=exporter-2027"
    return InputError("bad-key-uri", f"the key's URI: {why}", hint or f"write for example {example}")


def is_uri(text: str) -> bool:
    """True for the name of a key in a token, not a file; the scheme may be in capitals (RFC 3986 §3.1)."""
    return text[: len(SCHEME)].lower() == SCHEME


def check_module(named: str) -> Path:
    """The module's real path. It runs in airgap's process and sees the PIN, so no other user may be able to change it.

    Raises `InputError` (`bad-module`) unless it is an absolute path to a file that, like every folder above it,
    belongs to root or to the current user and is not writable by others.
    """

    def bad(why: str) -> InputError:
        return InputError(
            "bad-module",
            f"PKCS#11 module {named!r}: {why}",
            f"pass the absolute path of the token vendor's library in `module-path=` or {MODULE_VARIABLE}",
        )

    if not os.path.isabs(named):
        raise bad("not an absolute path" if named else "missing")
    try:
        path = Path(named).resolve(strict=True)
        for each in (path, *path.parents):
            info = each.stat()
            if each == path and not stat.S_ISREG(info.st_mode):
                raise bad("not a file")
            # In a sticky folder, users cannot replace files that are not theirs.
            shared = info.st_mode & _OTHERS and (each == path or not info.st_mode & stat.S_ISVTX)
            if shared or info.st_uid not in (0, os.geteuid()):
                raise bad(f"other users can change {each}")
    except (OSError, ValueError, RuntimeError) as error:
        raise bad(getattr(error, "strerror", None) or str(error)) from error
    return path
