"""Signing keys: ECDSA P-256 with SHA-256, in files, behind `Signer`, so that a KMS or a token can replace a file.

A private key is encrypted PKCS#8 PEM (RFC 5958, RFC 7468 §11), a public one SPKI PEM (RFC 5280 §4.1). Signatures
are DER (RFC 3279 §2.2.3). One algorithm, because cosign, sigstore and openssl all verify it with their defaults.
"""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_pem_private_key,
    load_pem_public_key,
)

from airgap.base.digest import Digest
from airgap.base.disk import disk_errors, sync_folder
from airgap.base.errors import InputError, ReadableError, TrustError
from airgap.base.known_files import not_expected
from airgap.base.secrets import read_private
from airgap.statements.keys.cosign import is_cosign_key, open_box

MAX_KEY = 64 << 10
"""Bytes of a public key: real ones have under one KiB."""


class Signer(Protocol):
    """Has a P-256 key and signs with it."""

    @property
    def public_key_pem(self) -> bytes:
        """The public key, SPKI PEM."""

    @property
    def key_id(self) -> str:
        """base64(sha256(DER SPKI)), which Sigstore bundles call the hint."""

    def sign(self, data: bytes) -> bytes:
        """The DER signature over `data` (not over a digest of it)."""


class PublicKey:
    """A P-256 public key. Two are equal if their SPKI is the same, however the PEM was written."""

    __slots__ = ("_key", "digest", "key_id", "pem")

    def __init__(self, key: ec.EllipticCurvePublicKey) -> None:
        spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self._key = key
        self.pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        self.digest = Digest.of(spki)
        """The SPKI's digest: the key's identity."""
        self.key_id = base64.b64encode(hashlib.sha256(spki).digest()).decode()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PublicKey) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"PublicKey({self.digest.short})"

    def verify(self, data: bytes, signature: bytes) -> bool:
        """True if `signature` (DER) over `data` is by this key."""
        try:
            self._key.verify(signature, data, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True


class HasPublicKey:
    """The public half of every `Signer`'s key. Its repr shows nothing else."""

    __slots__ = ("_public",)

    def __init__(self, public: PublicKey) -> None:
        self._public = public

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._public.digest.short})"

    @property
    def public_key_pem(self) -> bytes:
        """The public key, SPKI PEM."""
        return self._public.pem

    @property
    def key_id(self) -> str:
        """base64(sha256(DER SPKI))."""
        return self._public.key_id


class FileSigner(HasPublicKey):
    """A `Signer` whose key came from a file and stays in memory."""

    __slots__ = ("_key",)

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        super().__init__(PublicKey(key.public_key()))
        self._key = key

    def sign(self, data: bytes) -> bytes:
        """The DER signature over `data`."""
        return self._key.sign(data, ec.ECDSA(hashes.SHA256()))


def load_public(pem: bytes, where: str = "public key") -> PublicKey:
    """Loads a public key from PEM. Raises `TrustError` (`bad-public-key`) unless it is a P-256 SPKI."""

    hint = "pass the PREFIX.pub file that `airgap keys generate PREFIX` wrote (ECDSA P-256, PEM)"

    def refuse(why: str) -> TrustError:
        return TrustError("bad-public-key", f"{where}: {why}", hint)

    if b"PRIVATE KEY" in pem:
        raise refuse("got a private key, expected a public key; never hand out a private key")
    if len(pem) > MAX_KEY:
        raise refuse(f"got {len(pem)} bytes, expected a key of at most {MAX_KEY}")
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise TrustError("bad-public-key", not_expected(where, pem, "a public key in PEM"), hint) from error
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise refuse(f"got {type(key).__name__.strip('_')}, expected ECDSA P-256")
    if not isinstance(key.curve, ec.SECP256R1):
        raise refuse(f"got ECDSA on {key.curve.name}, expected P-256 (secp256r1)")
    return PublicKey(key)


def generate(prefix: Path, password: bytes) -> tuple[Path, Path]:
    """Makes a key pair: PREFIX.key (encrypted, mode 0600) and PREFIX.pub (mode 0644); returns both paths.

    Neither is ever overwritten. Both are durable on return. Raises `InputError` (`key-exists`, `no-password`)
    or `StoreError`.
    """
    if not password:
        raise InputError(
            "no-password",
            f"{prefix}.key would be written without a password",
            "put a password into a file that only you can read, and pass it with --key-password-file",
        )
    private, public = Path(f"{prefix}.key"), Path(f"{prefix}.pub")
    for path in (private, public):
        if path.exists() or path.is_symlink():
            raise _exists(path)
    key = ec.generate_private_key(ec.SECP256R1())
    sealed = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password))
    write_new(private, sealed, 0o600)
    try:
        write_new(public, PublicKey(key.public_key()).pem, 0o644)
    except BaseException:
        private.unlink(missing_ok=True)  # half a pair is useless, and would block the next try
        raise
    with disk_errors(private.parent):
        sync_folder(private.parent)
    return private, public


def check_private(path: Path) -> None:
    """Checks that there is a private key that may be opened, as far as possible before a password is requested.

    Raises `InputError` as `load_private` does, and `bad-key` for a public key, which everyone may read.
    """
    try:
        data = read_private(path, "key")
    except ReadableError:
        with disk_errors(path), path.open("rb") as file:
            data = file.read(MAX_KEY)
        if not _is_public(data):
            raise
    if _is_public(data):
        what = f"{path}: got a public key, expected a private key"
        raise InputError("bad-key", what, "pass the PREFIX.key file of the same pair")


def _is_public(data: bytes) -> bool:
    return b"-----BEGIN PUBLIC KEY-----" in data and b"PRIVATE KEY" not in data


def load_private(path: Path, password: bytes) -> FileSigner:
    """The signer of an encrypted key file, airgap's or cosign's, that no other user may read (`read_private`).

    Raises `InputError`: `key-readable`, `key-not-file`, `key-missing`, `bad-key-file`, `key-not-encrypted`,
    `wrong-password`, `key-unsupported`, `bad-key`, `missing-extra`.
    """
    data = read_private(path, "key")
    cosign = is_cosign_key(data)
    if not cosign and b"-----BEGIN ENCRYPTED PRIVATE KEY-----" not in data:
        if b"PRIVATE KEY-----" in data:
            raise InputError(
                "key-not-encrypted",
                f"{path}: got an unencrypted key or an old format, expected encrypted PKCS#8",
                f"encrypt it: openssl pkcs8 -topk8 -v2 aes-256-cbc -in {path} -out NEW.key",
            )
        raise InputError("bad-key", not_expected(str(path), data, "a private key in PEM"), "pass the PREFIX.key file")
    if not password:
        # cosign also makes keys with an empty password, which are no safer than unencrypted ones.
        raise InputError(
            "wrong-password",
            f"{path}: the key is encrypted, and the password is empty",
            "pass the password with --key-password-file FILE; cosign keys without a password are refused",
        )
    return FileSigner(_p256(path, _cosigns(path, data, password) if cosign else _ours(path, data, password)))


def _ours(path: Path, data: bytes, password: bytes) -> object:
    try:
        return load_pem_private_key(data, password)
    # OpenSSL cannot tell a wrong password from damage: in both cases the padding is wrong.
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InputError(
            "wrong-password",
            f"{path}: the key cannot be decrypted: the password is wrong, or the file is damaged",
            "check the file of --key-password-file; a newline at its end does not count",
        ) from error


def _cosigns(path: Path, data: bytes, password: bytes) -> object:
    try:
        return load_der_private_key(open_box(path, data, password), None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InputError(
            "bad-key",
            f"{path}: decrypts, but contains no private key",
            "restore the file from a backup",
        ) from error


def _p256(path: Path, key: object) -> ec.EllipticCurvePrivateKey:
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        got = key.curve.name if isinstance(key, ec.EllipticCurvePrivateKey) else type(key).__name__
        raise InputError(
            "key-unsupported",
            f"{path}: got {got.strip('_')}, expected ECDSA P-256",
            "make a key with `airgap keys generate`",
        )
    return key


def write_new(path: Path, data: bytes, mode: int) -> None:
    """Writes a new file, durably, and never over another one. Raises `InputError` (`key-exists`), `StoreError`."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with disk_errors(path):
        try:
            fd = os.open(path, flags, 0o600)
        except FileExistsError as error:
            raise _exists(path) from error
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(data)
                file.flush()
                os.fchmod(fd, mode)  # the umask must not change it
                os.fsync(fd)
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def _exists(path: Path) -> InputError:
    return InputError(
        "key-exists",
        f"{path} exists; airgap never overwrites a key",
        "choose another name, for example with the year in it",
    )
