"""Opens a signing key by its name: a file, or a key in a token."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from airgap.statements.keys.pkcs11_uri import KeyUri, is_uri

if TYPE_CHECKING:
    from airgap.statements.keys.file import Signer


def open_key(named: str, password: Callable[[], bytes], module: str) -> Signer:
    """The signer of a key file, or of a key in a token by its `pkcs11:` URI. A wrong URI or path requests no PIN.

    `module` is the token's library if the URI names none. Raises `InputError`, `TrustError`, `ToolError`, and as
    `password` does.
    """
    if is_uri(named):
        from airgap.statements.keys.pkcs11 import open_token

        uri = KeyUri.parse(named)
        return open_token(uri, password(), module)
    from airgap.statements.keys.file import check_private, load_private

    check_private(Path(named))
    return load_private(Path(named), password())
