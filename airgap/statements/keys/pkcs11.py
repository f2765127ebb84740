"""Keys in tokens and HSMs: a `Signer` over PKCS#11 (v2.40 and later), with python-pkcs11.

The key never leaves the token: the input is a SHA-256 digest, the output is r and s (PKCS#11 §2.3.6, CKM_ECDSA), which
is written as DER here. Each signature is verified before it is returned.
"""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING, Any, NoReturn

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from airgap.base.errors import InputError, ToolError
from airgap.statements.keys.file import HasPublicKey, PublicKey
from airgap.statements.keys.pkcs11_uri import KeyUri, check_module

if TYPE_CHECKING:
    import pkcs11 as p11

_P256 = bytes.fromhex("06082a8648ce3d030107")
"""prime256v1 as CKA_EC_PARAMS: the DER of its object identifier (RFC 5480 §2.1.1.1)."""
_SIZE = 32
"""Bytes of r and of s."""
_lock = threading.RLock()
"""Modules are started without their own locking, so only one thread at a time may use any of them."""
_sessions: dict[tuple[str, int], p11.Session] = {}
"""By module and slot. A login belongs to the process, so a second key in a token needs no PIN of its own. Closing one
session would end the login for all, so none is closed."""


class TokenSigner(HasPublicKey):
    """A `Signer` whose key is in a token. Made by `open_token`; thread-safe."""

    __slots__ = ("_key", "_uri")

    def __init__(self, uri: KeyUri, key: Any, public: PublicKey) -> None:
        super().__init__(public)
        self._uri = uri
        self._key = key

    def sign(self, data: bytes) -> bytes:
        """The DER signature over `data`. Raises `ToolError` (`token-failed`)."""
        from pkcs11 import Mechanism, PKCS11Error

        try:
            with _lock:
                raw = self._key.sign(hashlib.sha256(data).digest(), mechanism=Mechanism.ECDSA)
        except PKCS11Error as error:
            _explain(self._uri, error)
        if len(raw) != 2 * _SIZE:
            raise _failed(self._uri, f"the token's signature has {len(raw)} bytes, expected {2 * _SIZE}")
        signature = encode_dss_signature(int.from_bytes(raw[:_SIZE], "big"), int.from_bytes(raw[_SIZE:], "big"))
        if not self._public.verify(data, signature):
            raise _failed(self._uri, "the token's signature does not match its public key")
        return signature


def open_token(uri: KeyUri, pin: bytes, module: str = "") -> TokenSigner:
    """Logs in and finds the key; `module` is used if the URI names none.

    1. No other user can change the module: `bad-module`. 2. There is exactly one token: `token-missing`. 3. One try
    with the PIN, because tokens lock themselves: `wrong-password`, `token-locked`. 4. There is exactly one private
    key: `token-missing`. 5. It is P-256, and its public key is there too: `key-unsupported`, `token-missing`.
    Raises `InputError` with these codes and `missing-extra`; `ToolError` (`token-failed`) for everything else.
    """
    try:
        from pkcs11 import PKCS11Error
    except ImportError as error:
        raise InputError(
            "missing-extra", "using a token needs the Python package python-pkcs11", "pip install 'airgap[pkcs11]'"
        ) from error
    path = check_module(uri.module or module)
    try:
        with _lock:
            session = _session(uri, str(path), pin)
            key = _private(session, uri)
            return TokenSigner(uri, key, _public(session, uri, key))
    except PKCS11Error as error:
        _explain(uri, error)


def _session(uri: KeyUri, module: str, pin: bytes) -> p11.Session:
    import pkcs11

    try:
        library = pkcs11.lib(module)
    except pkcs11.PKCS11Error as error:
        raise InputError(
            "bad-module",
            f"PKCS#11 module {module!r} cannot be loaded: {_words(error)}",
            "check that it is the token vendor's library, and that you may use the token (group, udev rule, vendor "
            "configuration)",
        ) from error
    filters: dict[str, Any] = {"token_label": uri.token} if uri.token else {}
    if uri.serial:
        filters["token_serial"] = uri.serial.encode()
    token = _one(list(library.get_tokens(**filters)), uri, "token")
    at = (module, token.slot.slot_id)
    if at not in _sessions:
        _sessions[at] = token.open(user_pin=_pin(uri, pin))
    return _sessions[at]


def _pin(uri: KeyUri, pin: bytes) -> str:
    try:
        return pin.decode()
    except UnicodeDecodeError:
        # The decoder's own error contains the bytes.
        raise InputError("wrong-password", f"{uri.text}: the PIN is not UTF-8") from None


def _private(session: p11.Session, uri: KeyUri) -> Any:
    from pkcs11 import Attribute, KeyType, ObjectClass

    wanted: dict[Attribute, Any] = {Attribute.CLASS: ObjectClass.PRIVATE_KEY}
    if uri.label:
        wanted[Attribute.LABEL] = uri.label
    if uri.key_id:
        wanted[Attribute.ID] = uri.key_id
    key: Any = _one(list(session.get_objects(wanted)), uri, "private key")
    if key[Attribute.KEY_TYPE] != KeyType.EC or bytes(key[Attribute.EC_PARAMS]) != _P256:
        raise _unsupported(uri, "another kind of key")
    if not key[Attribute.SIGN]:
        raise _unsupported(uri, "a key that may not sign")
    return key


def _public(session: p11.Session, uri: KeyUri, key: Any) -> PublicKey:
    """The public key: the object with the private key's CKA_ID, which must be the same for both (PKCS#11 §4.8)."""
    from pkcs11 import Attribute, ObjectClass, PKCS11Error

    wanted = {Attribute.CLASS: ObjectClass.PUBLIC_KEY, Attribute.ID: key[Attribute.ID]}
    beside = list(session.get_objects(wanted))
    try:
        point = bytes((_one(beside, uri, "public key") if beside else key)[Attribute.EC_POINT])
    except PKCS11Error as error:
        raise InputError(
            "token-missing",
            f"{uri.text}: no public key has the private key's id",
            "store the public key in the token too, with the same id",
        ) from error
    # An OCTET STRING with the uncompressed point; some tokens omit the wrapping.
    if point[:2] == b"\x04\x41" and len(point) == 3 + 2 * _SIZE:
        point = point[2:]
    try:
        return PublicKey(ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point))
    except ValueError as error:
        raise _unsupported(uri, "a public key that is not a point on P-256") from error


def _one(found: list[Any], uri: KeyUri, what: str) -> Any:
    if len(found) == 1:
        return found[0]
    raise InputError(
        "token-missing",
        f"{uri.text}: got {len(found) or 'no'} {what}s, expected one",
        "list the token's objects (pkcs11-tool -O), and narrow the URI by serial or id",
    )


def _unsupported(uri: KeyUri, got: str) -> InputError:
    return InputError(
        "key-unsupported",
        f"{uri.text}: got {got}, expected ECDSA P-256",
        "create one in the token: pkcs11-tool --keypairgen --key-type EC:prime256v1 --usage-sign",
    )


def _failed(uri: KeyUri, why: str) -> ToolError:
    return ToolError(
        "token-failed", f"{uri.text}: {why}", "check that the token is plugged in, then run the same command again"
    )


def _explain(uri: KeyUri, error: Exception) -> NoReturn:
    """Translates a module's error into airgap's."""
    from pkcs11 import exceptions

    if isinstance(error, exceptions.PinIncorrect | exceptions.PinInvalid | exceptions.PinLenRange):
        raise InputError(
            "wrong-password",
            f"{uri.text}: the token refuses the PIN ({_words(error)})",
            "check the file of --key-password-file before you try again: the token locks after a few wrong PINs",
        ) from error
    if isinstance(error, exceptions.PinLocked | exceptions.PinExpired | exceptions.UserPinNotInitialized):
        raise InputError(
            "token-locked",
            f"{uri.text}: the PIN is locked or expired ({_words(error)})",
            "ask the token's security officer (SO) to set a new PIN",
        ) from error
    raise _failed(uri, _words(error)) from error


def _words(error: Exception) -> str:
    """The error's type and text; python-pkcs11 omits the text if the type says everything."""
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
